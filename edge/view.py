"""Is the picture usable? A camera can be connected, send frames and still show nothing new."""

from __future__ import annotations

import numpy as np

from edge.types import CameraReason, Frame, Image

FROZEN_AFTER_S = 60.0
DARK_BELOW = 24.0  # of 255, what nine tenths of the picture stay under
LIGHT_ABOVE = 32.0
STEP_PX = 8  # brightness needs no more than each eighth pixel of each eighth row
ROWS = 97


class View:
    """Judges the successive frames of one camera.

    may_stand_still: True for a recording, which may rightly show one picture for long.
    """

    def __init__(self, may_stand_still: bool = False, frozen_after_s: float = FROZEN_AFTER_S):
        self._may_stand_still, self._frozen_after_s = may_stand_still, frozen_after_s
        self._first: Frame | None = None  # of those that are alike
        self._dark = False

    def trouble(self, frame: Frame) -> CameraReason | None:
        """Return FROZEN, DARK or None for the next frame.

        Frozen is a picture of which every pixel has stayed the same for frozen_after_s: the
        noise of a sensor alone prevents that, so it is never said of a shelf at rest. Dark is
        one on which nothing can be told; ending it takes a little more light, so that dusk does
        not flicker.
        """
        if not self._may_stand_still and self._is_frozen(frame):
            return CameraReason.FROZEN
        brightness = float(np.percentile(frame.image[::STEP_PX, ::STEP_PX, 1], 90))
        self._dark = brightness < (LIGHT_ABOVE if self._dark else DARK_BELOW)
        return CameraReason.DARK if self._dark else None

    def _is_frozen(self, frame: Frame) -> bool:
        if self._first is None or not _alike(self._first.image, frame.image):
            self._first = frame
        return frame.clock_s - self._first.clock_s >= self._frozen_after_s


def _alike(one: Image, other: Image) -> bool:
    """Whether two pictures are the same to the bit. A few rows tell nearly all apart."""
    return np.array_equal(one[::ROWS], other[::ROWS]) and np.array_equal(one, other)
