"""Rows and columns as people count them, from quads alone."""

from __future__ import annotations

import math

import pytest

from edge.places import places
from edge.types import Slot


def grid(rows: int, columns: int, gap: float = 0.0) -> list[Slot]:
    """Return the slots of a shelf; its names are their row and column."""
    wide, high = 0.9 / columns, 0.9 / rows
    slots = []
    for row in range(rows):
        for column in range(columns):
            left, top = 0.05 + column * wide + gap, 0.05 + row * high + gap
            right, bottom = 0.05 + (column + 1) * wide - gap, 0.05 + (row + 1) * high - gap
            quad = ((left, top), (right, top), (right, bottom), (left, bottom))
            slots.append(Slot(f"{row + 1}-{column + 1}", "cam", quad, "x"))
    return slots


def moved(slots: list[Slot], move) -> list[Slot]:
    return [Slot(one.slot_id, "cam", tuple(move(x, y) for x, y in one.quad), "x") for one in slots]


def told(slots: list[Slot]) -> set[str]:
    """Return the ids of the slots whose place is another than their name says."""
    found = places(slots)
    assert set(found) == {one.slot_id for one in slots}
    return {name for name, place in found.items() if f"{place.row}-{place.column}" != name}


def test_a_shelf_as_it_is_drawn():
    assert told(grid(4, 9)) == set()
    assert told(list(reversed(grid(4, 9, 0.01)))) == set()


@pytest.mark.parametrize("degrees", [-15, 15, 90, 180, -90])
def test_a_camera_that_hangs_askew_or_rotated(degrees):
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = moved(
        grid(4, 6),
        lambda x, y: (
            0.5 + cos * (x - 0.5) - sin * (y - 0.5),
            0.5 + sin * (x - 0.5) + cos * (y - 0.5),
        ),
    )
    assert told(turned) == set()


def test_a_shelf_seen_from_the_side_whose_rows_rise_and_fall():
    # Rows run together to the right: at its end the lowest stands as high as the second began.
    assert told(moved(grid(5, 12), lambda x, y: (x, 0.5 + (y - 0.5) * (1 - 0.7 * x)))) == set()


def test_rows_of_different_counts_and_a_place_left_free():
    slots = [one for one in grid(3, 4) if one.slot_id not in ("2-2", "3-4")]
    assert places(slots)["2-3"] == (2, 2)
    assert places(slots)["3-3"] == (3, 3)


def test_no_slots_have_no_places():
    assert places([]) == {}
