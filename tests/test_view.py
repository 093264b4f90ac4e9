"""Frozen and dark: pictures that arrive and show nothing new, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from edge.types import CameraReason, Frame
from edge.view import View

SIZE = (240, 320, 3)
SHELF = np.random.default_rng(3).integers(40, 220, SIZE, dtype=np.uint8)


def frame(image, at_s):
    return Frame("aisle", image.copy(), datetime.now(UTC), float(at_s))


def noisy(level, seed=0):
    """Return a picture of this brightness with the noise of a sensor."""
    noise = np.random.default_rng(seed).normal(level, 3.0, SIZE)
    return noise.clip(0, 255).astype(np.uint8)


def test_a_picture_that_stays_the_same_for_a_minute_is_frozen():
    view = View()
    said = [view.trouble(frame(SHELF, at_s)) for at_s in (0, 5, 59, 60, 65)]
    assert said == [None, None, None, CameraReason.FROZEN, CameraReason.FROZEN]


@pytest.mark.parametrize("pixel", [(0, 0, 0), (120, 160, 1), (239, 319, 2)])
def test_one_changed_pixel_anywhere_is_life(pixel):
    view = View()
    alive = SHELF.copy()
    alive[pixel] += 1
    said = [view.trouble(frame(image, at_s)) for at_s, image in ((0, SHELF), (59, alive))]
    assert said == [None, None]
    assert view.trouble(frame(alive, 118)) is None
    assert view.trouble(frame(alive, 119)) is CameraReason.FROZEN


def test_a_frozen_camera_that_moves_again_is_fine_at_once():
    view = View()
    view.trouble(frame(SHELF, 0))
    assert view.trouble(frame(SHELF, 100)) is CameraReason.FROZEN
    assert view.trouble(frame(noisy(120), 105)) is None


def test_a_camera_that_changes_its_size_is_not_frozen():
    view = View()
    view.trouble(frame(SHELF, 0))
    assert view.trouble(frame(SHELF[:120], 100)) is None


def test_a_recording_may_show_one_picture_for_long():
    view = View(may_stand_still=True)
    assert [view.trouble(frame(SHELF, at_s)) for at_s in (0, 100, 1000)] == [None, None, None]


@pytest.mark.parametrize("level", [0, 4, 12])
def test_a_shop_without_light_is_dark(level):
    assert View().trouble(frame(noisy(level), 0)) is CameraReason.DARK


def test_a_dim_shop_and_a_shelf_with_one_lamp_are_not_dark():
    assert View().trouble(frame(noisy(45), 0)) is None
    lamp = noisy(8)
    lamp[:60] = 180
    assert View().trouble(frame(lamp, 0)) is None


COVER = ((0.0, 0.0), (0.93, 0.0), (0.93, 1.0), (0.0, 1.0))


def test_what_is_black_on_purpose_is_no_darkness():
    picture = noisy(128)
    picture[:, : round(0.93 * 320)] = 0
    assert View().trouble(frame(picture, 0)) is CameraReason.DARK
    view = View(blackout=[COVER])
    assert view.trouble(frame(picture, 0)) is None
    smaller = picture[::2, ::2]
    assert view.trouble(frame(smaller, 1)) is None
    assert view.trouble(frame(noisy(5), 2)) is CameraReason.DARK


def test_of_what_is_black_all_over_nothing_can_be_told():
    whole = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    assert View(blackout=[whole]).trouble(frame(noisy(128) * 0, 0)) is CameraReason.DARK


def test_dusk_does_not_flicker():
    view = View()
    levels = [30, 23, 18, 23, 25, 18, 40]
    said = [view.trouble(frame(noisy(level, seed=at), at)) for at, level in enumerate(levels)]
    assert said == [None, None, *[CameraReason.DARK] * 4, None]
