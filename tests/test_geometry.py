"""One quad divided into the slots of a shelf, as a lens sees them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.geometry import divide, project, unit_to
from edge.planogram import quad_problem

WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
corner = st.tuples(st.floats(0, 0.3), st.floats(0, 0.3))


def lens(points: np.ndarray) -> np.ndarray:
    """Return where a pinhole sees points of a wall that turns away from it."""
    turned = np.array([[math.cos(0.6), 0], [0, 1], [math.sin(0.6), 0.1]])
    seen = points @ turned.T + np.array([-0.4, -0.5, 2.0])
    return 0.5 + seen[..., :2] / seen[..., 2:]


def test_slots_of_one_width_on_the_wall_are_where_the_lens_sees_them():
    corners = lens(np.array(WHOLE))
    us, vs = np.linspace(0, 1, 10), np.linspace(0, 1, 5)
    found = np.array(divide(tuple(map(tuple, corners)), us, list(pairwise(vs))))
    assert found.shape == (4, 9, 4, 2)
    for row, column in np.ndindex(4, 9):
        u, v = us[column : column + 2], vs[row : row + 2]
        wall = np.array([(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])])
        assert found[row, column] == pytest.approx(lens(wall), abs=1e-9)


def test_what_lies_between_two_rows_belongs_to_no_slot():
    (upper,), (lower,) = divide(WHOLE, (0, 1), [(0, 0.45), (0.55, 1)])
    assert upper == ((0, 0), (1, 0), (1, 0.45), (0, 0.45))
    assert lower == ((0, 0.55), (1, 0.55), (1, 1), (0, 1))


def test_neighbours_share_their_corners_to_the_last_digit():
    quad = ((0.1, 0.2), (0.9, 0.1), (0.8, 0.7), (0.2, 0.9))
    rows = divide(quad, (0, 0.3, 1), [(0, 0.5), (0.5, 1)])
    assert rows[0][0][2] == rows[0][1][3] == rows[1][0][1] == rows[1][1][0]


@settings(deadline=None)
@given(corner, corner, corner, corner)
def test_every_slot_of_a_valid_shelf_is_valid(a, b, c, d):
    quad = (a, (1 - b[0], b[1]), (1 - c[0], 1 - c[1]), (d[0], 1 - d[1]))
    assert quad_problem(quad) is None
    assert project(unit_to(quad), np.array(WHOLE)) == pytest.approx(np.array(quad), abs=1e-12)
    for row in divide(quad, np.linspace(0, 1, 13), [(0, 0.3), (0.35, 1)]):
        for slot in row:
            held = tuple((min(max(x, 0), 1), min(max(y, 0), 1)) for x, y in slot)
            assert np.array(held) == pytest.approx(np.array(slot), abs=1e-12)
            assert quad_problem(held) is None
