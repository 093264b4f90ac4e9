"""What a camera and a hand do to a picture: crops that are a little off, light, blur, noise, JPEG.

A slot's crop may be 30 pixels wide, out of a compressed stream, under a yellow lamp. The net must
have seen that, or its probabilities mean nothing in the next shop.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image


def vary(image: Image, rng: Generator, may_crop: float) -> Image:
    """Return a varied copy. may_crop: how much of each side may be lost at most, 0 to 0.5."""
    image = _reframe(image, rng, may_crop)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    varied = _light(image.astype(np.float32), rng)
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


def _light(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Exposure, contrast, gamma, the lamp's colour, and how strong colours come out."""
    image = 255 * (image / 255) ** np.exp(rng.normal(0, 0.35))
    image = image * np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.08, 3))
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
