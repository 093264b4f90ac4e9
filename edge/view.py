"""Is the picture usable? A camera can be connected, send frames and still show nothing new."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.geometry import paint_over
from edge.types import CameraReason, Frame, Image, Quad

FROZEN_AFTER_S = 60.0
DARK_BELOW = 24.0  # of 255, what nine tenths of the picture stay under
LIGHT_ABOVE = 32.0
STEP_PX = 8  # brightness needs no more than each eighth pixel of each eighth row
ROWS = 97
ASPECT_TOLERANCE = 0.02  # a substream of the same aspect may be rounded to whole blocks


class View:
    """Judges the successive frames of one camera.

    may_stand_still: True for a recording, which may rightly show one picture for long.
    blackout: what is black on purpose, and so says nothing of the light.
    """

    def __init__(
        self,
        may_stand_still: bool = False,
        blackout: Sequence[Quad] = (),
    ):
        self._may_stand_still = may_stand_still
        self._blackout = blackout
        self._size: tuple[int, ...] = ()  # of the pictures that _shown is made for
        self._shown: NDArray[np.bool_] = np.ones((0, 0), np.bool_)
        self._first: Frame | None = None  # of those that are alike
        self._dark = False

    def trouble(self, frame: Frame) -> CameraReason | None:
        """Return FROZEN, DARK or None for the next frame.

        Frozen is a picture of which every pixel has stayed the same for FROZEN_AFTER_S: the
        noise of a sensor alone prevents that, so it is never said of a shelf at rest. Dark is
        one on which nothing can be told; ending it takes a little more light, so that dusk does
        not flicker.
        """
        if not self._may_stand_still and self._is_frozen(frame):
            return CameraReason.FROZEN
        shown = self._not_blacked_out(frame.image)
        brightness = float(np.percentile(shown, 90)) if shown.size else 0.0
        self._dark = brightness < (LIGHT_ABOVE if self._dark else DARK_BELOW)
        return CameraReason.DARK if self._dark else None

    def _not_blacked_out(self, image: Image) -> NDArray[np.uint8]:
        """Return the brightness of each looked at pixel that is not black on purpose."""
        looked_at = image[::STEP_PX, ::STEP_PX, 1]
        if not self._blackout:
            return looked_at
        if self._size != image.shape[:2]:
            mask = np.ones(image.shape, np.uint8)
            for quad in self._blackout:
                paint_over(mask, quad)
            self._size, self._shown = image.shape[:2], mask[::STEP_PX, ::STEP_PX, 1] > 0
        return looked_at[self._shown]

    def _is_frozen(self, frame: Frame) -> bool:
        if self._first is None or not _alike(self._first.image, frame.image):
            self._first = frame
        return frame.clock_s - self._first.clock_s >= FROZEN_AFTER_S


def is_another_aspect(image: Image, drawn_on: tuple[int, int]) -> bool:
    """Say whether slots that were drawn on a picture of another shape cannot be found on this one.

    drawn_on: its width and height in pixels.
    """
    height, width = image.shape[:2]
    ratio = (width * drawn_on[1]) / (height * drawn_on[0])
    return bool(abs(ratio - 1) > ASPECT_TOLERANCE)


def _alike(one: Image, other: Image) -> bool:
    """Whether two pictures are the same to the bit. A few rows tell nearly all apart."""
    return np.array_equal(one[::ROWS], other[::ROWS]) and np.array_equal(one, other)
