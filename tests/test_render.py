from itertools import pairwise

import numpy as np
import pytest

from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene

SIZE = (640, 360)


@pytest.fixture(scope="module")
def store():
    scene = Scene(7)
    return scene, Renderer(scene, SIZE)


def quiet_pair(scene):
    """Two moments with nobody there, and the one slot whose stock differs between them."""
    quiet = [t for t in np.arange(0, 900, 1.0) if not scene.people(t)]
    for before, after in pairwise(quiet):
        pairs = zip(scene.stock(before), scene.stock(after), strict=True)
        changed = [n for n, (a, b) in enumerate(pairs) if a != b]
        if len(changed) == 1:
            return before, after, changed[0]
    raise AssertionError("no single product was taken in a quarter of an hour")


def pixels(scene, points):
    return scene.shelf.lens.project(points) * SIZE


def test_the_same_seed_and_moment_give_the_same_picture(store):
    _, renderer = store
    renderer.picture(500.0)
    again = Renderer(Scene(7), SIZE)
    for t in (0.0, 9.0, 333.3):
        assert np.array_equal(renderer.picture(t), again.picture(t))


def test_another_seed_is_another_store(store):
    _, renderer = store
    other = Renderer(Scene(8), SIZE).picture(0.0)
    difference = np.abs(renderer.picture(0.0).astype(int) - other)
    assert (difference.max(axis=2) > 40).mean() > 0.2


def test_noise_differs_from_picture_to_picture_and_is_small(store):
    scene, renderer = store
    quiet = next(t for t in range(60, 900) if not scene.people(t) and not scene.people(t + 0.1))
    one, other = renderer.picture(quiet).astype(int), renderer.picture(quiet + 0.1)
    assert not np.array_equal(one, other)
    assert 1.0 < (one - other).std() < 6.0


def test_a_taken_product_changes_its_own_slot_and_no_other(store):
    scene, renderer = store
    before, after, index = quiet_pair(scene)
    levels = [renderer.picture(t) / scene.light(t) for t in (before, after)]
    changed = (np.abs(levels[0] - levels[1]) > 30).any(axis=2)
    corners = pixels(scene, scene.shelf.volume(scene.shelf.places[index]))
    left, top = np.floor(corners.min(axis=0)).astype(int) - 3
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 3
    inside = changed[max(top, 0) : bottom, max(left, 0) : right].sum()
    assert inside > 50
    assert changed.sum() == inside


def test_a_person_is_drawn_where_the_truth_says_that_slots_are_hidden(store):
    scene, renderer = store
    visit, alone = next(
        (visit, t)
        for visit in scene.visits(1800)
        for t in np.arange(visit.start_s + 5, visit.end_s - 5, 1.0)
        if visit.still_s > 60 and len(scene.people(t)) == 1
    )
    x = scene.people(alone)[0].posture.x
    chest = pixels(scene, np.array([x, visit.looks.height * 0.7, visit.z])).astype(int)
    chest[0] += 14  # beside the back's seam
    column, row = np.clip(chest, 6, np.array(SIZE) - 6)
    coat = renderer.picture(alone)[row - 5 : row + 5, column - 5 : column + 5].mean(axis=(0, 1))
    coat = coat / scene.light(alone)
    shade = coat.sum() / sum(visit.looks.coat)  # folds and light change how bright, not which hue
    assert 0.5 < shade < 1.3
    assert np.abs(coat / shade - visit.looks.coat).max() < 30


def test_a_still_shopper_moves_by_five_pixels_at_most():
    scene = Scene(7)
    for visit in scene.visits(1800):
        if visit.still_s < 60:
            continue
        (from_s, _), (until_s, _) = visit.path[1], visit.path[2]
        times = np.arange(from_s + 1, until_s - 1, 0.5)
        places = np.array([(visit.posture(t, scene.shelf).x, 120, visit.z) for t in times])
        seen = scene.shelf.lens.project(places) * (1280, 720)
        assert np.ptp(seen, axis=0).max() <= 5


def test_other_sizes_show_the_same_store(store):
    _, renderer = store
    large = Renderer(Scene(7), (1280, 720)).picture(0.0)
    halved = large.reshape(360, 2, 640, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - renderer.picture(0.0)).mean() < 12
