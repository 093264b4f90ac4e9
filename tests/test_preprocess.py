from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.preprocess import to_batch

BLUE_BGR, BLUE_RGB = (255, 0, 0), [0, 0, 255]


def one_colour(height: int, width: int, bgr: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), bgr, np.uint8)


def test_a_batch_is_rgb_and_of_the_asked_size_whatever_the_crops_were():
    crops = [one_colour(h, w, BLUE_BGR) for h, w in ((7, 300), (300, 7), (1, 1), (64, 64))]
    batch = to_batch(crops, 64)
    assert batch.shape == (4, 64, 64, 3)
    assert batch.dtype == np.uint8
    assert (batch == BLUE_RGB).all()


def test_no_crop_gives_an_empty_batch():
    assert to_batch([], 32).shape == (0, 32, 32, 3)


def test_shrinking_averages_so_that_fine_stripes_become_grey_and_do_not_alias():
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = to_batch([stripes], 32)
    assert np.abs(shrunk.astype(int) - 128).max() <= 1


def test_growing_interpolates_so_that_a_small_crop_gets_no_blocks():
    step = np.zeros((4, 4, 3), np.uint8)
    step[:, 2:] = 255
    grown = to_batch([step], 64)[0, 0, :, 0].astype(int)
    assert np.diff(grown).min() >= 0
    assert np.diff(grown).max() < 32


def test_a_narrow_crop_shrinks_in_height_and_grows_in_width():
    crop = np.zeros((200, 10, 3), np.uint8)
    crop[:100] = 255
    out = to_batch([crop], 50)[0]
    assert (out[:25] == 255).all()
    assert (out[25:] == 0).all()


def test_a_view_into_a_read_only_frame_is_fine_and_stays_as_it_was():
    frame = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    before = frame.copy()
    frame.setflags(write=False)
    to_batch([frame[10:30, 5:40]], 24)
    assert (frame == before).all()


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "four channels", "float", "no pixel"],
)
def test_what_is_no_picture_is_refused(crop):
    with pytest.raises(ValueError, match="a crop must be"):
        to_batch([crop], 8)


def test_same_size_passes_through_untouched():
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    assert (to_batch([image], 16)[0] == cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).all()
