"""Drawing the packages: a label laid on a can, bottle, cup, box, carton or bag, and lit.

Textures are (h, w, 4) float32, BGR and alpha, 0 to 1. Those of round packages already are what
the lens sees (a billboard), those of boxes are single faces that the lens has yet to project.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.rendered.labels import box_front, box_side, box_top, print_label
from edge.rendered.products import SILVER, Colour, Product
from edge.rendered.shelf import Points

Texture = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A texture and the (4, 3) world corners it is stretched over, from its top left clockwise."""

    texture: Texture
    corners: Points


@dataclass(frozen=True, slots=True)
class Pose:
    """Where one package stands: the middle of its front edge on the board, and how it is turned."""

    x: float
    floor: float
    front: float
    turn: float
    tilt_low: float
    tilt_top: float
    eye_x: float


def faces(product: Product, pose: Pose, scale: float) -> list[Face]:
    """Return what the lens sees of a package, farthest first; scale is pixels per centimetre."""
    return _DRAWERS[product.kind](product, pose, scale)


# --- round packages -----------------------------------------------------------------------------

Profile = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Relative height 0…1 → relative radius 0…1."""


def _steps(*points: tuple[float, float]) -> Profile:
    heights, radii = zip(*points, strict=True)
    return lambda height: np.interp(height, heights, radii).astype(np.float32)


_PROFILES: dict[str, Profile] = {
    "can": _steps((0, 0.86), (0.035, 1), (0.93, 1), (0.965, 0.93), (0.985, 0.9), (1, 0.9)),
    "bottle": _steps(
        (0, 0.9), (0.03, 1), (0.22, 1), (0.24, 0.97), (0.60, 0.97), (0.63, 1), (0.68, 0.98),
        (0.74, 0.88), (0.80, 0.66), (0.86, 0.42), (0.895, 0.36), (0.9, 0.42), (1, 0.42),
    ),
    "cup": _steps((0, 0.76), (0.90, 0.96), (0.93, 1), (1, 1)),
    "jar": _steps(
        (0, 0.93), (0.03, 1), (0.68, 1), (0.75, 0.88), (0.8, 0.84), (0.81, 0.9), (1, 0.9),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Finish:
    """How a surface answers the light: strength of the two streaks, and how dark its rim gets."""

    gloss: float
    rim: float
    lid: Colour


def _turned(product: Product, pose: Pose, scale: float, finish: _Finish) -> list[Face]:
    """A surface of revolution seen from above its foot, with its label and its lid."""
    radius, height = product.width / 2, product.height
    margin_low = pose.tilt_low * radius + 0.2
    margin_top = pose.tilt_top * radius + 0.2
    rows = round((height + margin_low + margin_top) * scale)
    columns = round(product.width * scale) | 1
    u = np.linspace(-radius, radius, columns, dtype=np.float32)[None, :]
    v = np.linspace(height + margin_top, -margin_low, rows, dtype=np.float32)[:, None]
    v = np.repeat(v, columns, axis=1)

    profile = _PROFILES[product.kind]
    y = v
    for _ in range(4):  # the seen point lies lower in the picture the farther it bulges out
        share = np.clip(y / height, 0, 1)
        tilt = pose.tilt_low + (pose.tilt_top - pose.tilt_low) * share
        around = radius * profile(share)
        cosine = np.sqrt(np.clip(1 - (u / around) ** 2, 0, 1))
        y = v + tilt * around * cosine
    inside = np.minimum(np.minimum(around - np.abs(u), y), height - y)
    body = np.clip(inside * scale + 0.5, 0, 1)

    angle = np.arcsin(np.clip(u / around, -1, 1))
    label = print_label(product, scale).astype(np.float32) / 255
    at_x = ((angle + pose.turn) / (math.pi * 1.2) + 0.5) * (label.shape[1] - 1)
    at_y = (1 - np.clip(y / height, 0, 1)) * (label.shape[0] - 1)
    printed = cv2.remap(
        label, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    colour = _lit_round(np.asarray(printed, np.float32), angle, share, finish)

    top = radius * float(profile(np.ones(1, np.float32))[0])
    ring = np.sqrt((u / top) ** 2 + ((v - height) / (pose.tilt_top * top)) ** 2)
    lid = ring <= 1
    lid_colour = (
        np.array(finish.lid, np.float32)
        / 255
        * (1.06 - 0.10 * (np.abs(ring - 0.86) < 0.06))[..., None]
    )
    colour = np.where(lid[..., None], lid_colour - 0.06 * (ring < 0.8)[..., None], colour)
    alpha = np.maximum(body, np.clip((1 - ring) * top * scale * 0.5 + 0.5, 0, 1))
    texture = np.dstack([np.clip(colour, 0, 1), alpha]).astype(np.float32)

    z = pose.front - radius
    high, low = pose.floor + height + margin_top, pose.floor - margin_low
    left, right = pose.x - radius, pose.x + radius
    corners = [(left, high, z), (right, high, z), (right, low, z), (left, low, z)]
    return [Face(texture, np.array(corners))]


def _lit_round(
    colour: Texture, angle: NDArray[np.float32], share: NDArray[np.float32], finish: _Finish
) -> Texture:
    """Light from the lamp strip above the front: bright in the middle, streaks, dark rims."""
    diffuse = 1.0 - finish.rim * (1 - np.cos(angle - 0.12)) ** 1.2
    streak = np.exp(-(((angle + 0.55) / 0.16) ** 2)) + 0.6 * np.exp(-(((angle - 0.72) / 0.12) ** 2))
    streak *= finish.gloss * (0.35 + 0.65 * np.clip(share * 1.3, 0, 1))
    lit = colour * (diffuse * (0.80 + 0.24 * share))[..., None]
    return np.asarray(lit + streak[..., None] * (1 - lit) * 0.9, np.float32)


def _can(product: Product, pose: Pose, scale: float) -> list[Face]:
    return _turned(product, pose, scale, _Finish(0.62, 0.62, SILVER))


def _bottle(product: Product, pose: Pose, scale: float) -> list[Face]:
    return _turned(product, pose, scale, _Finish(0.55, 0.50, product.accent))


def _cup(product: Product, pose: Pose, scale: float) -> list[Face]:
    return _turned(product, pose, scale, _Finish(0.14, 0.42, (232, 236, 238)))


def _jar(product: Product, pose: Pose, scale: float) -> list[Face]:
    return _turned(product, pose, scale, _Finish(0.50, 0.55, product.accent))


# --- boxes and cartons --------------------------------------------------------------------------


def _box(product: Product, pose: Pose, scale: float) -> list[Face]:
    half, high = product.width / 2, pose.floor + product.height
    found = [
        _side(product, pose, scale, high),
        _flat(box_top(product, scale), pose, (-half, high, -product.depth), (half, high, 0), 1.04),
        _flat(box_front(product, scale), pose, (-half, high, 0), (half, pose.floor, 0), 0.97),
    ]
    return [face for face in found if face is not None]


def _carton(product: Product, pose: Pose, scale: float) -> list[Face]:
    """A milk carton: a box with a slanting roof and a crimped ridge."""
    half, eaves = product.width / 2, pose.floor + product.height * 0.80
    ridge, top = pose.floor + product.height * 0.955, pose.floor + product.height * 1.03
    middle = -product.depth / 2
    front = box_front(product, scale)
    cut = round(front.shape[0] * 0.2)
    found = [
        _side(product, pose, scale, eaves),
        _flat(front[cut:], pose, (-half, eaves, 0), (half, pose.floor, 0), 0.95),
        _flat(front[:cut], pose, (-half, ridge, middle), (half, eaves, 0), 1.05),
        _flat(box_top(product, scale)[:6], pose, (-half, top, middle), (half, ridge, middle), 0.9),
    ]
    return [face for face in found if face is not None]


def _flat(
    picture: NDArray[np.uint8],
    pose: Pose,
    first: tuple[float, float, float],
    last: tuple[float, float, float],
    light: float,
) -> Face:
    """A face from its far or top left corner to its near or bottom right one."""
    cos, sin = math.cos(pose.turn * 0.25), math.sin(pose.turn * 0.25)
    (left, high, far), (right, low, near) = first, last
    corners = [(left, high, far), (right, high, far), (right, low, near), (left, low, near)]
    turned = [
        (pose.x + x * cos - z * sin, y, pose.front + x * sin * 0.5 + z * cos) for x, y, z in corners
    ]
    return Face(_shaded(picture, light), np.array(turned))


def _side(product: Product, pose: Pose, scale: float, high: float) -> Face | None:
    """The side wall that faces the lens, if one does."""
    half = product.width / 2
    towards = pose.eye_x - pose.x
    if abs(towards) <= half:
        return None
    x, back = math.copysign(half, towards), -product.depth
    corners = [(x, high, 0.0), (x, high, back), (x, pose.floor, back), (x, pose.floor, 0.0)]
    if towards < 0:
        corners = [corners[1], corners[0], corners[3], corners[2]]
    world = np.array([(pose.x + at, y, pose.front + z) for at, y, z in corners])
    return Face(_shaded(box_side(product, scale), 0.66), world)


def _shaded(picture: NDArray[np.uint8], light: float) -> Texture:
    """A flat face, a little darker towards its foot and edges."""
    rows, columns = picture.shape[:2]
    down = np.linspace(1.03, 0.86, rows, dtype=np.float32)[:, None]
    across = 1 - 0.07 * np.abs(np.linspace(-1, 1, columns, dtype=np.float32)[None, :]) ** 6
    colour = picture.astype(np.float32) / 255 * (light * down * across)[..., None]
    return np.dstack([np.clip(colour, 0, 1), np.ones((rows, columns), np.float32)])


# --- bags ---------------------------------------------------------------------------------------


def _bag(product: Product, pose: Pose, scale: float) -> list[Face]:
    """A pillow of foil with crimped, toothed ends; creases and gloss come from its height field."""
    picture = box_front(product, scale).astype(np.float32) / 255
    rows, columns = picture.shape[:2]
    u = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    v = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    height = _creased(product, rows, columns) + 2.6 * (1 - np.abs(u) ** 2.6) * (1 - np.abs(v) ** 4)

    slope_x = cv2.GaussianBlur(np.gradient(height, axis=1), (0, 0), scale * 0.10) * scale
    slope_y = cv2.GaussianBlur(np.gradient(height, axis=0), (0, 0), scale * 0.10) * scale
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    # The lamp hangs above the front, a little to the left.
    lit = np.clip((0.80 - 0.30 * slope_x * 0.5 + 0.55 * slope_y) / length, 0, 1.3)
    gloss = np.clip((0.86 + 0.30 * slope_y - 0.16 * slope_x) / length, 0, 1) ** 26
    crimp = (np.abs(v) > 0.90) & (np.abs(v) < 0.985)
    ribs = 1 - 0.16 * crimp * (np.sin(v * rows / 2 * 1.9 / max(scale / 8, 1)) > 0)
    colour = picture * (0.42 + 0.62 * lit * ribs)[..., None] + 0.42 * gloss[..., None]

    teeth = 0.978 + 0.022 * np.abs(((u * columns / scale * 0.9) % 1) * 2 - 1)
    waist = 0.955 + 0.045 * (1 - (1 - np.abs(v)) ** 2 * 0.9) - 0.03 * (np.abs(v) > 0.9)
    inside = (np.abs(v) <= teeth) & (np.abs(u) <= np.minimum(waist + 0.03 * np.cos(v * 5), 1))
    alpha = cv2.GaussianBlur(inside.astype(np.float32), (3, 3), 0.6)
    texture = np.dstack([np.clip(colour, 0, 1), alpha]).astype(np.float32)

    half, high = product.width / 2, pose.floor + product.height
    lean = 0.16 * product.height  # the upper half leans back
    left, right, z = pose.x - half, pose.x + half, pose.front
    corners = [
        (left, high, z - lean),
        (right, high, z - lean),
        (right, pose.floor, z),
        (left, pose.floor, z),
    ]
    return [Face(texture, np.array(corners))]


def _creased(product: Product, rows: int, columns: int) -> NDArray[np.float32]:
    """Wrinkles, the same for every bag of a product: smooth noise stretched along the bag."""
    chance = random.Random(product.sku)
    coarse = np.array([[chance.uniform(-1, 1) for _ in range(7)] for _ in range(5)], np.float32)
    fine = np.array([[chance.uniform(-1, 1) for _ in range(16)] for _ in range(9)], np.float32)
    size = (columns, rows)
    return np.asarray(
        0.42 * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        + 0.16 * cv2.resize(fine, size, interpolation=cv2.INTER_CUBIC),
        np.float32,
    )


_DRAWERS: dict[str, Callable[[Product, Pose, float], list[Face]]] = {
    "can": _can,
    "bottle": _bottle,
    "cup": _cup,
    "jar": _jar,
    "box": _box,
    "carton": _carton,
    "bag": _bag,
}
