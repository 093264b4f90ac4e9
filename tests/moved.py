"""Real photos as a camera sees them after somebody has bumped into it and the goods were sold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CELLS = 8  # a picture's slots: so many across and down
MARGIN = 0.1  # of a slot, around what stands in it


@dataclass(frozen=True)
class Trial:
    """reference and picture, and the homography (in fractions) that takes one to the other."""

    reference: np.ndarray
    picture: np.ndarray
    homography: np.ndarray

    def worst_corner(self, found: np.ndarray) -> float:
        """Return how far the worst corner of the picture is off, in picture widths."""
        corners = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
        true, said = (cv2.perspectiveTransform(corners, one) for one in (self.homography, found))
        aspect = self.picture.shape[0] / self.picture.shape[1]
        return float(np.hypot(*((true - said)[0] * (1.0, aspect)).T).max())


def trials(folder: Path, count: int, changed: float = 0.5, seed: int = 0) -> Iterator[Trial]:
    """Yield random trials: moved, turned, scaled, other light, `changed` of the slots with others.

    Shift and scale up to 8 %, turn up to 4 degrees, corners up to 1.5 % aside (a tilt).
    """
    chance = np.random.default_rng(seed)
    files = sorted(folder.glob("*.jpg"))
    for _ in range(count):
        reference, *others = (
            cv2.imread(str(files[number])) for number in chance.choice(len(files), 4, False)
        )
        high, wide = reference.shape[:2]
        homography = _movement(chance)
        size = np.diag([wide, high, 1.0])
        in_pixels = size @ homography @ np.linalg.inv(size)
        moved = cv2.warpPerspective(
            _restocked(reference, others, changed, chance), in_pixels, (wide, high)
        )
        yield Trial(reference, _taken(moved, chance), homography)


def _movement(chance: np.random.Generator) -> np.ndarray:
    """Return a random movement about the middle of the picture, in fractions."""
    turn, scale = math.radians(chance.uniform(-4, 4)), chance.uniform(0.92, 1.08)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    went = corners @ np.array([[cos, sin], [-sin, cos]]) + 0.5 + chance.uniform(-0.08, 0.08, 2)
    went += chance.uniform(-0.015, 0.015, (4, 2))
    return cv2.getPerspectiveTransform((corners + 0.5).astype(np.float32), went.astype(np.float32))


def _restocked(
    picture: np.ndarray, others: list[np.ndarray], share: float, chance: np.random.Generator
) -> np.ndarray:
    """Return the picture with crops of others in this share of its slots."""
    changed = picture.copy()
    high, wide = picture.shape[0] // CELLS, picture.shape[1] // CELLS
    down, aside = round(MARGIN * high), round(MARGIN * wide)
    for cell in chance.choice(CELLS**2, round(share * CELLS**2), replace=False):
        top, left = divmod(int(cell), CELLS)
        other = others[chance.integers(len(others))]
        y, x = (
            chance.integers(0, full - part)
            for full, part in zip(other.shape, (high, wide), strict=False)
        )
        crop = other[y : y + high - 2 * down, x : x + wide - 2 * aside]
        begin_y, begin_x = top * high + down, left * wide + aside
        changed[begin_y : begin_y + crop.shape[0], begin_x : begin_x + crop.shape[1]] = crop
    return changed


def _taken(picture: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return the picture in other light, out of focus, noisy, and through a JPEG."""
    light = (picture / 255.0) ** chance.uniform(0.7, 1.4) * chance.uniform(0.6, 1.35)
    light = cv2.GaussianBlur(light, (0, 0), chance.uniform(0.1, 1.2))
    noisy = (
        255 * light + chance.uniform(-15, 15) + chance.normal(0, chance.uniform(0, 8), light.shape)
    )
    quality = int(chance.integers(60, 95))
    data = cv2.imencode(
        ".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)
