"""How a camera moved is told from real photos, and what does not show the same is refused."""

from __future__ import annotations

import os
import random

import cv2
import numpy as np
import pytest
from conftest import require_data
from moved import trials

from edge.drawing.align import align
from edge.errors import AlignmentError
from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene

# Three shelves of the one shop, by the numbers of their photos. The upper and the lower shelves of
# the boxes stand in one bay; these photos of them have no board in common.
SPRAYS = [6, 7, *range(113, 119), 120, 121]
UPPER = [16, *range(18, 35), 36, 37, 39, 40, 123, 124, 125]
LOWER = [*range(57, 65), *range(66, 72), *range(73, 103), *range(104, 110)]
TRIALS = int(os.environ.get("ALIGN_TRIALS", "16"))
PAIRS = int(os.environ.get("ALIGN_PAIRS", "6"))


@pytest.fixture(scope="module")
def shelf() -> np.ndarray:
    return Renderer(Scene(7)).picture(0.0)


def moved(picture: np.ndarray, turn_deg=0.0, scale=1.0, shift=(0.0, 0.0)) -> np.ndarray:
    """Return the picture turned clockwise and scaled about its middle, then shifted (fractions)."""
    high, wide = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), -turn_deg, scale)
    matrix[:, 2] += np.array(shift) * (wide, high)
    return cv2.warpAffine(picture, matrix, (wide, high))


def test_a_moved_turned_scaled_relit_and_half_restocked_photo_is_brought_back():
    folder = require_data("scenes/rows.json").parent
    worst = [
        trial.worst_corner(align(trial.reference, trial.picture).homography)
        for trial in trials(folder, TRIALS)
    ]
    assert max(worst) < 0.01  # of the width; 200 measured: 200 below


def test_other_shelves_of_the_same_shop_are_refused():
    folder = require_data("scenes/rows.json").parent
    pairs = [
        (one, other)
        for these, those in ((SPRAYS, UPPER), (SPRAYS, LOWER), (UPPER, LOWER))
        for one in these
        for other in those
    ]
    for pair in random.Random(0).sample(pairs, PAIRS):
        photos = (cv2.imread(str(folder / f"pun__1-{number}.jpg")) for number in pair)
        with pytest.raises(AlignmentError):
            pytest.fail(f"{pair}: {align(*photos)}")


def test_the_numbers_say_what_was_done_to_the_camera(shelf):
    found = align(shelf, moved(shelf, turn_deg=3.0, scale=1.05, shift=(0.03, 0.04)))
    assert found.rotation_deg == pytest.approx(3.0, abs=0.1)
    assert found.scale == pytest.approx(1.05, abs=0.005)
    assert found.moved_share == pytest.approx(np.hypot(0.03, 0.04 * 9 / 16), abs=0.002)
    assert found.inliers > 200


def test_a_camera_that_did_not_move_is_said_not_to_have_moved(shelf):
    found = align(shelf, shelf)
    assert found.homography == pytest.approx(np.eye(3), abs=1e-4)
    assert found.moved_share < 1e-4


def test_the_same_pictures_give_the_same_answer(shelf):
    picture = moved(shelf, turn_deg=2.0)
    found = []
    for seed in range(3):
        cv2.setRNGSeed(seed)  # whatever else has drawn numbers before
        found.append(align(shelf, picture).homography)
    assert (found[1] == found[0]).all()
    assert (found[2] == found[0]).all()


def test_the_surer_kind_of_point_is_asked_where_the_quick_one_finds_few(shelf):
    tiny = cv2.resize(moved(shelf, turn_deg=3.0), (160, 90), interpolation=cv2.INTER_AREA)
    assert align(shelf, tiny).rotation_deg == pytest.approx(3.0, abs=0.3)


def test_the_slower_kind_of_point_is_not_asked_where_the_quick_one_is_sure(shelf, monkeypatch):
    monkeypatch.setattr(cv2.SIFT, "create", lambda *_: pytest.fail("four times as slow"))
    assert align(shelf, moved(shelf, turn_deg=3.0)).inliers > 200


def test_a_substream_is_compared_with_a_large_reference(shelf):
    large = cv2.resize(shelf, (4000, 2250))
    small = cv2.resize(moved(shelf, shift=(0.05, 0.0)), (640, 360), interpolation=cv2.INTER_AREA)
    went = cv2.perspectiveTransform(np.array([[[0.5, 0.5]]]), align(large, small).homography)
    assert went.ravel() == pytest.approx([0.55, 0.5], abs=0.003)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("turned over", "too_different"),
        ("far nearer", "too_different"),
        ("a corner", "too_little_in_common"),
        ("black", "nothing_in_common"),
        ("noise", "nothing_in_common"),
    ],
)
def test_it_says_why_it_cannot_tell(shelf, what, reason):
    picture = {
        "turned over": lambda: moved(shelf, turn_deg=25.0),
        "far nearer": lambda: moved(shelf, scale=1.38),
        "a corner": lambda: cv2.copyMakeBorder(shelf[:300, :500], 0, 420, 0, 780, 0),
        "black": lambda: np.zeros_like(shelf),
        "noise": lambda: np.random.default_rng(0).integers(0, 255, shelf.shape, np.uint8),
    }[what]()
    with pytest.raises(AlignmentError) as caught:
        align(shelf, picture)
    assert caught.value.reason == reason
