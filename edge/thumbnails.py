"""What a gate compares: one small picture a slot, of the slot and of a margin around it.

Light is taken out first: by the gain of the slot's surroundings from one picture to the next, by
that of the whole picture over a longer time.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.geometry import around, contains, side_lengths, to_pixels
from edge.types import Image, Slot

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

THUMB_PX = 32
MARGIN = 0.35  # of the slot's sides, shown around it
DIFFERENT = 20.0  # of 255: a pixel that differs by more has changed
RAIL = 0.04, 0.19  # of the slot's height below it: the strip in which a person is looked for
HIDDEN_RAIL = 0.3  # of that strip: more than a new price tag, less than a person
LEAST_RAIL = 0.5  # of the strip must be no other slot; else the whole margin is taken …
HIDDEN_MARGIN = 0.6  # … of which more must have changed than a neighbour that was emptied
GAIN_LIMITS = (0.72, 1.4)  # a shadow or a lamp; a dark coat is more than that


class Thumbnails:
    """Cuts all slots' thumbnails out of a picture in two calls, and knows what they show."""

    def __init__(self, slots: Sequence[Slot], width: int, height: int):
        self._picture_size = (width, height)
        self._reduce = _reduction(slots, width, height)
        grids = [around(slot.quad, MARGIN, THUMB_PX, width, height) for slot in slots]
        points = np.concatenate(grids)
        small = (points + 0.5) / self._reduce - 0.5
        # A row a slot: of more than 32,767 rows OpenCV makes no picture.
        maps = small.astype(np.float32).reshape(len(slots), -1, 2)
        self._maps = np.ascontiguousarray(maps[..., 0]), np.ascontiguousarray(maps[..., 1])

        points = points.reshape(len(slots), THUMB_PX, THUMB_PX, 2)
        fractions = (points + 0.5) / (width, height)
        in_picture = np.all((fractions >= 0) & (fractions <= 1), axis=-1)
        self.inside = _inside_mask(len(slots)) & in_picture
        self.outside = ~_inside_mask(len(slots)) & in_picture
        rail = _rail_mask(len(slots)) & in_picture
        _take_out_others(rail, fractions, slots)
        self.has_rail = rail.sum((1, 2)) >= LEAST_RAIL * _rail_mask(1).sum()
        self.rail = np.where(self.has_rail[:, None, None], rail, self.outside)
        self.hidden_share = np.where(self.has_rail, HIDDEN_RAIL, HIDDEN_MARGIN)

    def fit(self, image: Image) -> bool:
        return (image.shape[1], image.shape[0]) == self._picture_size

    def cut(self, image: Image) -> Pixels:
        """Return (n, T, T, 3) float32."""
        height, width = (side // self._reduce for side in image.shape[:2])
        # Whole blocks only: by a whole number OpenCV reduces several times as fast.
        blocks = image[: height * self._reduce, : width * self._reduce]
        small = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA)
        strip = cv2.remap(small, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(strip, np.float32).reshape(-1, THUMB_PX, THUMB_PX, 3)


def _reduction(slots: Sequence[Slot], width: int, height: int) -> int:
    """Return by how much to reduce the picture, so that the median thumbnail has its pixels.

    Thumbnails taken from a much larger picture would jump with every shake of the camera.
    """
    sides = [np.mean(side_lengths(to_pixels(slot.quad, width, height))) for slot in slots]
    wide_px = float(np.median(sides)) * (1 + 2 * MARGIN)
    return max(1, min(int(wide_px / THUMB_PX), width, height))


def _steps() -> NDArray[np.float64]:
    """Return where a thumbnail's rows and columns lie: 0 to 1 is the slot."""
    return (np.arange(THUMB_PX) + 0.5) / THUMB_PX * (1 + 2 * MARGIN) - MARGIN


def _inside_mask(count: int) -> Mask:
    within = (_steps() >= 0) & (_steps() <= 1)
    return np.broadcast_to(within[:, None] & within[None, :], (count, THUMB_PX, THUMB_PX))


def _rail_mask(count: int) -> Mask:
    across, down = (
        (_steps() >= 0) & (_steps() <= 1),
        (_steps() > 1 + RAIL[0]) & (_steps() <= 1 + RAIL[1]),
    )
    return np.broadcast_to(down[:, None] & across[None, :], (count, THUMB_PX, THUMB_PX)).copy()


def _take_out_others(rail: Mask, points: NDArray[np.float64], slots: Sequence[Slot]) -> None:
    """Take out of each slot's strip (n, T, T) what lies in another slot.

    points: (n, T, T, 2), where the strips' pixels lie. Of hundreds of slots only those are asked
    whose bounding boxes touch the strip.
    """
    corners = np.array([slot.quad for slot in slots], np.float64)
    lows, highs = corners.min(1), corners.max(1)
    for index, strip in enumerate(rail):
        inside = points[index][strip]
        if not len(inside):
            continue
        near = np.all((lows <= inside.max(0)) & (highs >= inside.min(0)), axis=-1)
        near[index] = False
        for other in np.flatnonzero(near):
            strip &= ~contains(slots[int(other)].quad, points[index])


def differing(now: Pixels, before: Pixels, gain: Pixels, different: float = DIFFERENT) -> Mask:
    """Return which pixels (n, T, T) differ once the light is made equal."""
    # Compared at the brighter of the two: a dark picture must not hide a difference.
    limit = different * np.minimum(np.float32(1), gain)
    expected = np.minimum(before * gain, 255)  # a highlight that burns out has not changed
    return np.asarray((np.abs(now - expected) > limit).any(-1))


def light_of_each(now: Pixels, before: Pixels, around: Mask) -> Pixels:
    """Return the gain (n, 1, 1, 3) of each slot's surroundings, one a colour.

    It is the median ratio, so it holds while less than half of them have changed.
    """
    ratio = (now + 4) / (before + 4)
    unknown = np.ones(3, np.float32)
    gains = [
        np.median(one[mask], axis=0) if mask.any() else unknown
        for one, mask in zip(ratio, around, strict=True)
    ]
    return _limited(np.array(gains, np.float32)[:, None, None, :])


def light_of_all(now: Pixels, before: Pixels) -> Pixels:
    """Return the gain (1, 1, 1, 3) of the whole picture, one a colour.

    Over a long time a slot's surroundings change too much to tell of the light, but not all
    slots do. Exposure and white balance, which cameras change when somebody steps in, are the
    same for all.
    """
    ratio = (now[:, ::2, ::2] + 4) / (before[:, ::2, ::2] + 4)
    return _limited(np.median(ratio, axis=(0, 1, 2), keepdims=True))


def _limited(gain: Pixels) -> Pixels:
    """What darkens a place by more is no change of light."""
    return np.clip(gain, *GAIN_LIMITS).astype(np.float32)


def share_of(changed: Mask, where: Mask) -> NDArray[np.float64]:
    """Return the share of the pixels in `where` that changed, (n,); 0 where there are none."""
    return np.asarray((changed & where).sum((1, 2)) / np.maximum(1, where.sum((1, 2))))
