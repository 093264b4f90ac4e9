"""Putting textures into a picture: projected once into a patch, then laid over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.rendered.packs import Face
from edge.rendered.shelf import Lens
from edge.types import Image

Layer = NDArray[np.float32]
"""(h, w, 3) float32, BGR, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A part of the picture at (left, top): colour premultiplied, and what shines through."""

    left: int
    top: int
    colour: Layer
    through: NDArray[np.float32]

    def lay_on(self, picture: Layer) -> None:
        """Paint over the picture in place."""
        rows, columns = self.colour.shape[:2]
        part = picture[self.top : self.top + rows, self.left : self.left + columns]
        part *= self.through
        part += self.colour

    def lay_on_bytes(self, picture: Image, shift: tuple[int, int], exposure: float) -> None:
        """Paint over a (h, w, 3) uint8 picture in place, moved by (x, y) pixels."""
        rows, columns = self.colour.shape[:2]
        top, left = self.top + shift[1], self.left + shift[0]
        from_y, until_y = max(0, -top), min(rows, picture.shape[0] - top)
        from_x, until_x = max(0, -left), min(columns, picture.shape[1] - left)
        if until_y <= from_y or until_x <= from_x:
            return
        part = picture[top + from_y : top + until_y, left + from_x : left + until_x]
        inside = (slice(from_y, until_y), slice(from_x, until_x))
        colour = part * self.through[inside] + self.colour[inside] * exposure
        part[:] = np.clip(colour, 0, 255)


class Easel:
    """Projects faces through the lens into patches of a picture of `size` (width, height)."""

    def __init__(self, lens: Lens, size: tuple[int, int]):
        self.lens, self.size = lens, size

    def patch(self, faces: Sequence[Face], light: float = 1.0) -> Patch:
        """Return all faces, painted in their order, as one patch; it may be of no size."""
        corners = [self.lens.project(face.corners) * self.size for face in faces]
        every = np.concatenate(corners)
        left, top = np.maximum(np.floor(every.min(axis=0)) - 2, 0).astype(int)
        right, bottom = np.minimum(np.ceil(every.max(axis=0)) + 2, self.size).astype(int)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        colour = np.zeros((bottom - top, right - left, 4), np.float32)
        for face, seen in zip(faces, corners, strict=True):
            onto = _warped(face, seen - (left, top), (right - left, bottom - top))
            colour = onto + colour * (1 - onto[..., 3:])
        return Patch(left, top, colour[..., :3] * np.float32(light), 1 - colour[..., 3:])


def _warped(face: Face, seen: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the face, colour premultiplied by alpha, stretched over four points of a patch."""
    texture = face.texture.copy()
    texture[..., :3] *= texture[..., 3:]
    rows, columns = texture.shape[:2]
    # One transparent pixel around it: the warp then blends the edge instead of cutting stairs.
    framed = cv2.copyMakeBorder(texture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    source = np.array(
        [(1, 1), (columns + 1, 1), (columns + 1, rows + 1), (1, rows + 1)], np.float32
    )
    matrix = cv2.getPerspectiveTransform(source - 0.5, seen.astype(np.float32) - 0.5)
    return np.asarray(cv2.warpPerspective(framed, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
