"""Varied copies of a picture, in the ways a recipe's `augment` may name.

`camera` is ours: a slot's crop may be 30 pixels wide, out of a compressed stream, under a yellow
lamp. The net must have seen that, or its probabilities mean nothing in the next shop. The others
are what the papers used, to be compared with.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image
from trainer.recipe import Recipe


def vary(image: Image, rng: Generator, recipe: Recipe, may_crop: float) -> Image:
    """Return a copy varied as the recipe says; it may have another size.

    may_crop: how much of each side `camera` may take away at most, 0 to 0.5.
    """
    if recipe.augment == "none":
        return image
    if recipe.augment == "camera":
        return camera(image, rng, may_crop)
    if recipe.augment == "keras":
        return _keras(image, rng)
    image = _random_part(image, rng, recipe.crop_area)
    if recipe.mirror and rng.random() < 0.5:
        image = np.asarray(cv2.flip(image, 1), np.uint8)  # a reversed view is slow to resize
    if recipe.augment == "paper":
        return _paper_colours(image, rng)
    return _trivial(image, rng) if recipe.augment == "trivial" else image


def _random_part(image: Image, rng: Generator, area: tuple[float, float]) -> Image:
    """Return a part with so much of the picture's area, its aspect changed by up to 4 : 3."""
    h, w = image.shape[:2]
    for _ in range(10):
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        side = np.sqrt(rng.uniform(*area) * h * w)
        wide, high = max(1, round(side * np.sqrt(aspect))), max(1, round(side / np.sqrt(aspect)))
        if wide <= w and high <= h:
            x, y = int(rng.integers(w - wide + 1)), int(rng.integers(h - high + 1))
            return image[y : y + high, x : x + wide]
    return image


# -- what the papers did --------------------------------------------------------------------------

VALUES = np.arange(256, dtype=np.float32)
"""All that a pixel's channel can be: what treats each by itself is looked up, not computed."""
PCA_VALUES = np.array([55.46, 4.794, 1.148], np.float32)  # ImageNet's, of RGB in 0 to 255
PCA_VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32
)


def _replaced(image: Image, table: np.ndarray) -> Image:
    """Return the image with each value replaced by table's, (256,) or (256, 3), cut to bytes."""
    code = np.clip(table, 0, 255).astype(np.uint8).reshape(1, 256, -1)
    return np.asarray(cv2.LUT(image, code), np.uint8)


def _paper_colours(image: Image, rng: Generator) -> Image:
    """arXiv:1812.01187, § 2.1: hue, saturation and brightness by 0.6 to 1.4, and PCA noise."""
    hsv = VALUES[:, None] * rng.uniform(0.6, 1.4, 3).astype(np.float32)
    hsv[:, 0] %= 180
    varied = _replaced(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), np.uint8), hsv)
    noise = PCA_VECTORS @ (rng.normal(0, 0.1, 3).astype(np.float32) * PCA_VALUES)
    bgr = np.asarray(cv2.cvtColor(varied, cv2.COLOR_HSV2BGR), np.uint8)
    return _replaced(bgr, VALUES[:, None] + noise[::-1])


def _keras(image: Image, rng: Generator) -> Image:
    """ImageDataGenerator as small studies set it: turned by up to 40°, shifted, sheared and zoomed
    by up to a fifth, mirrored; borders repeat the nearest pixel."""
    h, w = image.shape[:2]
    turn, shear = np.radians(rng.uniform(-40, 40)), np.radians(rng.uniform(-11.5, 11.5))
    zoom = rng.uniform(0.8, 1.2, 2)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = turned @ np.array([[1, -np.sin(shear)], [0, np.cos(shear)]]) @ np.diag(zoom)
    middle = np.array([w, h]) / 2
    shift = rng.uniform(-0.2, 0.2, 2) * [w, h]
    moved = cv2.warpAffine(
        image,
        np.column_stack([matrix, middle + shift - matrix @ middle]),
        (w, h),
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved[:, ::-1] if rng.random() < 0.5 else moved, np.uint8)


def _trivial(image: Image, rng: Generator) -> Image:
    """TrivialAugment (arXiv:2103.10158, wide): one operation, its strength drawn from 0 to 1.

    Unlike in torchvision, AutoContrast stretches all channels alike: a lamp's cast stays;
    pictures move by up to 30 % of their side, not 32 pixels; a plain mean is what blurs.
    """
    operation = TRIVIAL[int(rng.integers(len(TRIVIAL)))]
    strength = rng.random()
    return operation(image, strength if rng.random() < 0.5 else -strength)


def _moved(image: Image, matrix: list[list[float]]) -> Image:
    """Move about the middle; what comes in from outside is middle grey."""
    h, w = image.shape[:2]
    middle = np.array([w, h]) / 2
    move = np.array(matrix, np.float64)
    move[:, 2] = move[:, 2] * [w, h] + middle - move[:, :2] @ middle
    return np.asarray(cv2.warpAffine(image, move, (w, h), borderValue=(128, 128, 128)), np.uint8)


def _away_from(value: float, image: Image, strength: float) -> Image:
    """Return the image, its values moved away from one (strength 1) or towards it (-1)."""
    return _replaced(image, VALUES + 0.99 * strength * (VALUES - value))


def _blended(image: Image, other: np.ndarray, strength: float) -> Image:
    """Return the image moved away from another one (strength 1) or towards it (-1)."""
    weight = 0.99 * strength
    return np.asarray(cv2.addWeighted(image, 1 + weight, other, -weight, 0), np.uint8)


def _turned(image: Image, strength: float) -> Image:
    angle = np.radians(135 * strength)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return _moved(image, [[cos, -sin, 0], [sin, cos, 0]])


def _greyed(image: Image) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def _posterized(image: Image, strength: float) -> Image:
    keep = 8 - round(6 * abs(strength))
    return np.asarray(image & (0xFF << (8 - keep) & 0xFF), np.uint8)


def _solarized(image: Image, strength: float) -> Image:
    return _replaced(image, np.where(256 * (1 - abs(strength)) > VALUES, VALUES, 255 - VALUES))


def _stretched(image: Image, _: float) -> Image:
    low, high = float(image.min()), float(image.max())
    return _replaced(image, (VALUES - low) * (255 / max(1.0, high - low)))


def _equalized(image: Image, _: float) -> Image:
    return np.asarray(cv2.merge([cv2.equalizeHist(each) for each in cv2.split(image)]), np.uint8)


TRIVIAL: tuple[Callable[[Image, float], Image], ...] = (
    lambda image, _: image,
    lambda image, s: _moved(image, [[1, 0.99 * s, 0], [0, 1, 0]]),
    lambda image, s: _moved(image, [[1, 0, 0], [0.99 * s, 1, 0]]),
    lambda image, s: _moved(image, [[1, 0, 0.3 * s], [0, 1, 0]]),
    lambda image, s: _moved(image, [[1, 0, 0], [0, 1, 0.3 * s]]),
    _turned,
    lambda image, s: _away_from(0, image, s),  # brightness
    lambda image, s: _blended(image, _greyed(image), s),  # colour
    lambda image, s: _away_from(float(np.mean(cv2.mean(image)[:3])), image, s),  # contrast
    lambda image, s: _blended(image, cv2.blur(image, (3, 3)), s),  # sharpness
    _posterized,
    _solarized,
    _stretched,
    _equalized,
)


# -- what a camera and a hand do ------------------------------------------------------------------


def camera(image: Image, rng: Generator, may_crop: float) -> Image:
    """Return a copy a little off, in other light, with fewer pixels, blurred, noisy, compressed."""
    image = _reframe(image, rng, may_crop)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    varied = _light(image, rng)
    if rng.random() < 0.7:
        varied = _fewer_pixels(varied, rng)
    if rng.random() < 0.3:
        varied = _blur(varied, rng)
    if rng.random() < 0.6:
        varied = varied + rng.normal(0, rng.uniform(1, 10), varied.shape)
    image = np.clip(varied, 0, 255).astype(np.uint8)
    return _compress(image, rng) if rng.random() < 0.6 else image


def _reframe(image: Image, rng: Generator, may_crop: float) -> Image:
    """Move the four corners inwards, each by itself: a slot is marked by hand, at an angle."""
    h, w = image.shape[:2]
    common = rng.uniform(0, may_crop, 4) * 0.8  # left, top, right, bottom
    own = rng.uniform(0, may_crop, (4, 2)) * 0.2
    left, top, right, bottom = common
    corners = np.array([[left, top], [1 - right, top], [1 - right, 1 - bottom], [left, 1 - bottom]])
    corners += own * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    new_w = max(8, int(w * (1 - left - right)))
    new_h = max(8, int(h * (1 - top - bottom)))
    target = np.array([[0, 0], [new_w, 0], [new_w, new_h], [0, new_h]], np.float32)
    move = cv2.getPerspectiveTransform((corners * [w, h]).astype(np.float32), target)
    moved = cv2.warpPerspective(image, move, (new_w, new_h), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _light(pixels: Image, rng: Generator) -> np.ndarray:
    """Exposure, contrast, gamma, the lamp's colour, and how strong colours come out."""
    levels = 255 * (np.arange(256, dtype=np.float32) / 255) ** np.exp(rng.normal(0, 0.35))
    levels = levels * np.exp(rng.normal(0, 0.25))
    of_colours = levels[:, None] * np.exp(rng.normal(0, 0.08, 3))
    image = cv2.LUT(np.ascontiguousarray(pixels), of_colours[:, None])
    middle = image.mean()
    image = middle + (image - middle) * np.exp(rng.normal(0, 0.25)) + rng.normal(0, 12)
    grey = image.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.3, 1.4)
    return np.clip(grey + (image - grey) * saturation, 0, 255).astype(np.float32)


def _fewer_pixels(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Shrink to what a far camera gives."""
    side = np.exp(rng.uniform(np.log(16), np.log(110)))
    scale = side / min(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(8, int(image.shape[1] * scale)), max(8, int(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _blur(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Out of focus, or moved while the shutter was open."""
    if rng.random() < 0.7:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.025 * min(image.shape[:2]) + 0.4))
    length = int(rng.integers(2, 6))
    kernel = np.eye(length) if rng.random() < 0.5 else np.ones((1, length))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _compress(image: Image, rng: Generator) -> Image:
    quality = int(rng.integers(20, 95))
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
