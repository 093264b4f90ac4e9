"""Parts of a camera's picture that nobody may ever see: painted over as soon as it is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.cameras import Camera, Opener, open_camera
from edge.geometry import paint_over
from edge.types import Image, Quad


def blacked_out(quads: Sequence[Quad], opener: Opener = open_camera) -> Opener:
    """Return an opener of cameras on whose pictures the quads are black."""
    if not quads:
        return opener
    return lambda url, every_s: _BlackedOut(opener(url, every_s), quads)


class _BlackedOut:
    """Another camera, seen through a mask, in that camera's own thread."""

    def __init__(self, camera: Camera, quads: Sequence[Quad]):
        self._camera, self._quads = camera, quads

    def read(self) -> Image:
        return covered(self._camera.read(), self._quads)

    def close(self) -> None:
        self._camera.close()


def covered(image: Image, quads: Sequence[Quad]) -> Image:
    """Return a copy on which the quads are black."""
    copy = np.array(image, np.uint8, order="C")
    for quad in quads:
        paint_over(copy, quad)
    return copy
