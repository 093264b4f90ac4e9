"""Boundaries and rails found in pictures: of a real shop, of the rendered one, and of nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from conftest import require_data

from edge.drawing.suggest import suggest_boundaries, suggest_rows
from edge.geometry import project, unit_to
from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene
from edge.rendered.shelf import FRONT

BAYS = {  # rows of rows.json that stand on one board each, from the top
    "pun__1-113.jpg": ["A", "B", "C", "D"],
    "pun__1-103.jpg": ["T", "M", "B"],
    "pun__1-39.jpg": ["A", "B"],
}


def along(quad, points) -> np.ndarray:
    """Return where points of the picture lie in the quad's own perspective: (…, 2), u and v."""
    return project(np.linalg.inv(unit_to(quad)), np.asarray(points, float))


def as_quad(corners) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in corners)


@pytest.fixture(scope="module")
def marked() -> list[tuple[np.ndarray, dict]]:
    """(picture, row) of the rows that were marked by eye."""
    path = require_data("scenes/rows.json")
    rows = json.loads(path.read_text())["rows"]
    return [
        (picture, row)
        for name, of_picture in rows.items()
        for picture in [cv2.imread(str(path.parent / name))]
        for row in of_picture
    ]


def hits(image, quad, true: np.ndarray, count: int | None) -> np.ndarray:
    """Return which true boundaries have a suggested one within a fifth of the narrower slot."""
    return are_near(true, np.array(suggest_boundaries(image, quad, count).u))


def are_near(true: np.ndarray, suggested: np.ndarray) -> np.ndarray:
    """The same of boundaries from 0 to 1 that anything has suggested."""
    widths = np.diff([0.0, *true, 1.0])
    near = np.abs(true[:, None] - suggested[1:-1]).min(axis=1, initial=1.0)
    return near <= 0.2 * np.minimum(widths[:-1], widths[1:])


def rendered_rows(seed: int) -> Iterator[tuple[np.ndarray, tuple, np.ndarray]]:
    """Yield picture, quad and true boundaries of each row of the rendered store."""
    scene = Scene(seed)
    image, shelf = Renderer(scene).picture(0.0), scene.shelf
    for row in range(shelf.rows):
        places = [place for place in shelf.places if place.row == row]
        low, left, right = places[0].floor - 0.5, places[0].left, places[-1].right
        high = low + 26.5
        corners = [(left, high), (right, high), (right, low), (left, low)]
        quad = as_quad(shelf.lens.project(np.array([(x, y, FRONT) for x, y in corners])))
        ends = np.array([(place.right, low + 10, FRONT) for place in places[:-1]])
        yield image, quad, along(quad, shelf.lens.project(ends))[:, 0]


def test_the_boundaries_of_real_shelves_are_found(marked):
    found = [
        hits(image, row["quad"], along(row["quad"], row["boundaries"])[:, 0], count)
        for image, row in marked
        for count in [len(row["boundaries"]) + 1]
    ]
    assert np.concatenate(found).mean() >= 0.96  # measured: 108 of 110; of equal parts 86


def test_they_are_found_where_the_corners_were_drawn_badly(marked):
    chance, found = np.random.default_rng(0), []
    for image, row in marked * 2:
        quad = as_quad(np.array(row["quad"]) + chance.normal(0, 4 / 640, (4, 2)))
        true = along(quad, row["boundaries"])[:, 0]
        found.append(hits(image, quad, true, len(true) + 1))
    assert np.concatenate(found).mean() >= 0.93  # measured over ten draws: 0.97


def test_how_many_facings_there_are_is_found_out_for_most_rows(marked):
    exact = [
        len(suggest_boundaries(image, row["quad"], None).u) == len(row["boundaries"]) + 2
        for image, row in marked
    ]
    assert np.mean(exact) >= 0.8  # measured: 16 of 18


def test_the_boundaries_of_the_rendered_store_are_found():
    found = [
        hits(image, quad, true, len(true) + 1)
        for seed in range(4)
        for image, quad, true in rendered_rows(seed)
    ]
    assert np.concatenate(found).mean() >= 0.9  # measured over ten stores: 209 of 220


@pytest.mark.parametrize("size", [(1920, 1080), (4000, 2250), (320, 180)])
def test_a_picture_of_another_size_gets_the_same_boundaries(size):
    image, quad, _ = next(rendered_rows(7))
    expected = suggest_boundaries(image, quad, 12).u
    other = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    assert np.array(suggest_boundaries(other, quad, 12).u) == pytest.approx(
        np.array(expected), abs=0.02
    )


@pytest.mark.parametrize("kind", ["black", "noise", "soft light"])
def test_what_shows_no_edge_is_divided_evenly_and_said_to_be_guessed(kind):
    image = np.zeros((120, 400, 3), np.uint8)
    if kind == "noise":
        noise = np.random.default_rng(0).normal(128, 4, image.shape)
        image = np.clip(noise, 0, 255).astype(np.uint8)
    if kind == "soft light":
        image[:] = np.linspace(60, 200, 400, dtype=np.uint8)[:, None]
    found = suggest_boundaries(image, ((0, 0), (1, 0), (1, 1), (0, 1)), 5)
    assert found.u == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1), abs=0.05)
    assert found.found == (False,) * 4
    rows = suggest_rows(image, ((0, 0), (1, 0), (1, 1), (0, 1)), 2)
    assert rows.rows == ((0, 0.5), (0.5, 1))
    assert not rows.found


def test_an_edge_counts_as_found_and_a_gap_in_print_does_not():
    image = np.full((200, 400, 3), 60, np.uint8)
    image[:, 190:] = (40, 200, 200)
    image[80:100, 300:320] = 255
    found = suggest_boundaries(image, ((0, 0), (1, 0), (1, 1), (0, 1)), 3)
    assert found.u[1] == pytest.approx(190 / 400, abs=0.01)
    assert found.found == (True, False)


@pytest.mark.parametrize("count", [1, 60, 1000])
def test_any_count_gives_as_many_ascending_boundaries(count):
    image = np.random.default_rng(1).integers(0, 255, (50, 300, 3), np.uint8)
    found = suggest_boundaries(image, ((0, 0), (1, 0), (1, 1), (0, 1)), count)
    assert len(found.u) == count + 1
    assert len(found.found) == count - 1
    assert (np.diff(found.u) > 0).all()
    assert (found.u[0], found.u[-1]) == (0, 1)


def test_the_rails_of_real_bays_are_found(marked):
    rows = {}
    for image, row in marked:
        rows.setdefault(id(image), (image, {}))[1][row["row"]] = row["quad"]
    names = list(json.loads(require_data("scenes/rows.json").read_text())["rows"])
    for name, (image, quads) in zip(names, rows.values(), strict=True):
        if name not in BAYS:
            continue
        drawn = [quads[row] for row in BAYS[name]]
        bay = as_quad([*drawn[0][:2], *drawn[-1][2:]])
        found = suggest_rows(image, bay, len(drawn))
        assert found.found
        for (_, bottom), quad in zip(found.rows[:-1], drawn, strict=False):
            assert bottom == pytest.approx(along(bay, quad[2:])[:, 1].mean(), abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 5, 8, 30])
def test_any_count_of_rows_gives_as_many_that_do_not_overlap(count):
    image = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    image[::11] = 255
    found = suggest_rows(image, ((0, 0), (1, 0), (1, 1), (0, 1)), count)
    assert len(found.rows) == count
    assert (np.diff(np.array(found.rows).ravel()) >= 0).all()
    assert (found.rows[0][0], found.rows[-1][1]) == (0, 1)


def test_a_dark_rail_is_a_rail():
    image = np.full((400, 400, 3), 90, np.uint8)
    image[:, ::40] = (40, 200, 200)
    image[190:210] = (20, 40, 60)
    found = suggest_rows(image, ((0, 0), (1, 0), (1, 1), (0, 1)), 2)
    assert found.found
    assert found.rows[0][1] == pytest.approx(190 / 400, abs=0.02)
    assert found.rows[1][0] == pytest.approx(210 / 400, abs=0.02)


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_the_rails_of_the_rendered_store_are_found_and_counted(rows):
    scene = Scene(7, rows=rows)
    shelf, image = scene.shelf, Renderer(scene).picture(0.0)
    floors = sorted({place.floor for place in shelf.places}, reverse=True)
    ends = [(0.0, floors[0] + 27), (shelf.width, floors[0] + 27)]
    ends += [(shelf.width, floors[-1] - 0.5), (0.0, floors[-1] - 0.5)]
    bay = as_quad(shelf.lens.project(np.array([(x, y, FRONT) for x, y in ends])))
    found = suggest_rows(image, bay, None)
    assert found.found
    assert len(found.rows) == rows
    assert suggest_rows(image, bay, rows) == found
    middle = np.array([(shelf.width / 2, floor, FRONT) for floor in floors[:-1]])
    boards = along(bay, shelf.lens.project(middle))[:, 1]
    bottoms = [bottom for _, bottom in found.rows[:-1]]
    assert bottoms == pytest.approx(boards.tolist(), abs=0.02)
    assert all(
        bottom < top for (_, bottom), (top, _) in zip(found.rows, found.rows[1:], strict=False)
    )
