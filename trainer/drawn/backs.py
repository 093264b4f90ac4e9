"""Backs of drawn slots: what is seen where nothing stands."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image
from trainer.drawn.looks import Canvas, paint
from trainer.drawn.products import stock


def _wall(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    canvas[:] = surface(rng)


def _pegboard(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """Holes in rows: a pegboard's are far apart, perforated steel's are dense."""
    canvas[:] = surface(rng)
    h, w = canvas.shape[:2]
    step = rng.uniform(5, 26)
    across = step * rng.uniform(0.6, 1.6)
    size = (max(1, int(step * rng.uniform(0.12, 0.3))), max(1, int(step * rng.uniform(0.12, 0.45))))
    hole = (canvas[0, 0] * rng.uniform(0.1, 0.7)).tolist()
    for row, y in enumerate(np.arange(rng.uniform(0, step), h, step)):
        shift = across / 2 if row % 2 and step < 12 else 0
        for x in np.arange(shift, w, across):
            cv2.ellipse(canvas, (int(x), int(y)), size, 0, 0, 360, hole, -1, cv2.LINE_AA)


def _slats(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """Horizontal or upright ribs: slatwall, planks, corrugated sheet, louvres."""
    canvas[:] = surface(rng)
    length = canvas.shape[0]
    period, dark = rng.uniform(6, 50), rng.uniform(0.05, 0.5)
    wave = (np.arange(max(canvas.shape[:2])) / period + rng.random()) % 1
    line = 1 - dark * (np.exp(-wave / 0.08) + rng.uniform(0, 0.4) * wave)
    if rng.random() < 0.6:
        canvas *= line[:length, None, None].astype(np.float32)
    else:
        canvas *= line[None, : canvas.shape[1], None].astype(np.float32)


def _void(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """Too dark to say what is there, as deep shelves and coolers are."""
    h = canvas.shape[0]
    canvas[:] = rng.uniform(2, 45) * rng.uniform(0.85, 1.15, 3)
    low = rng.uniform(0, 60)
    canvas += (np.linspace(0, 1, h) ** 2 * low)[:, None, None].astype(np.float32)
    if rng.random() < 0.5:
        _shapes_far_behind(canvas, rng, rng.uniform(4, 25))


def _wire_rack(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """A wire grid with the next aisle's goods behind it: full of colours and yet empty.

    How bright and how sharp these are is anything: what says that the slot is empty is that the
    wires run in front of them, all over.
    """
    h, w = canvas.shape[:2]
    dim, soft = rng.uniform(0.12, 0.85), h * rng.uniform(0, 0.03)
    if photo is not None and rng.random() < 0.5:
        grid = int(rng.integers(1, 4))
        far = np.tile(cv2.resize(photo, (w // grid + 1, h // grid + 1)), (grid, grid, 1))[:h, :w]
        canvas[:] = far * dim
    elif rng.random() < 0.6:
        canvas[:] = surface(rng)
        for _ in range(rng.integers(1, 4)):
            stock(canvas, rng, rng.uniform(0.4, 1.1), photo)
        canvas *= dim
    else:
        canvas[:] = rng.uniform(10, 110)
        _shapes_far_behind(canvas, rng, rng.uniform(20, 90))
    if soft > 0.3:
        canvas[:] = cv2.GaussianBlur(canvas, (0, 0), soft)
    if rng.random() < 0.25:  # light from behind
        canvas[: int(h * rng.uniform(0.1, 0.5))] *= rng.uniform(1.2, 3)
    if rng.random() < 0.3:
        _upright(canvas, rng)
    _mesh(canvas, rng)


def _upright(canvas: Canvas, rng: Generator) -> None:
    """A post of the rack."""
    h, w = canvas.shape[:2]
    left, wide = rng.uniform(-0.1, 1) * w, rng.uniform(0.04, 0.25) * w
    lean = rng.normal(0, 0.05) * w
    corners = [[left, 0], [left + wide, 0], [left + wide + lean, h], [left + lean, h]]
    tone = (surface(rng) * np.ones(3) * rng.uniform(0.4, 1)).tolist()
    cv2.fillPoly(canvas, [np.array(corners, np.int32)], tone, cv2.LINE_AA)


def _mesh(canvas: Canvas, rng: Generator) -> None:
    """Wires across the whole canvas."""
    h, w = canvas.shape[:2]
    bright = 255 * rng.uniform(0.35, 1) if rng.random() < 0.8 else rng.uniform(0, 40)
    tone = (bright * (1 + rng.normal(0, 0.06, 3))).tolist()
    step_x, step_y = rng.uniform(0.06, 0.4) * w, rng.uniform(0.08, 0.3) * h
    thick, slope = int(rng.integers(1, 3)), rng.normal(0, 0.06)
    for x in np.arange(rng.uniform(0, step_x), w, step_x):
        cv2.line(canvas, (int(x), 0), (int(x + slope * h), h), tone, thick, cv2.LINE_AA)
    for y in np.arange(rng.uniform(0, step_y), h, step_y):
        cv2.line(canvas, (0, int(y)), (w, int(y + slope * w)), tone, thick, cv2.LINE_AA)


def _room(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """A deep compartment: a back wall far away, and walls and a ceiling that lead to it."""
    h, w = canvas.shape[:2]
    near = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    far = near + rng.uniform(0.03, 0.32, (4, 2)) * [[w, h], [-w, h], [-w, -h], [w, -h]]
    tone, dark = surface(rng) * np.ones(3), rng.uniform(0.1, 0.9)
    canvas[:] = tone * dark
    for side in range(4):
        ends = [near[side], near[(side + 1) % 4], far[(side + 1) % 4], far[side]]
        light = (tone * rng.uniform(dark, 1) * rng.uniform(0.7, 1.1)).tolist()
        cv2.fillPoly(canvas, [np.array(ends, np.int32)], light, cv2.LINE_AA)
    if rng.random() < 0.6:
        canvas[:] = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 0.04 * h))


def _crate(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """A crate or basket seen from above: its bottom and its walls have holes in rows."""
    _room(canvas, rng, photo)
    h, w = canvas.shape[:2]
    if rng.random() < 0.5:
        canvas[:] = paint(rng) * rng.uniform(0.2, 0.9)
    columns, rows = int(rng.integers(3, 14)), int(rng.integers(3, 14))
    holes = np.zeros((h, w), np.float32)
    across, down = w / columns, h / rows
    size = (
        max(1, int(across * rng.uniform(0.15, 0.45))),
        max(1, int(down * rng.uniform(0.15, 0.45))),
    )
    for row in range(rows):
        for column in range(columns):
            x, y = int((column + 0.5) * across), int((row + 0.5) * down)
            cv2.rectangle(holes, (x - size[0], y - size[1]), (x + size[0], y + size[1]), 1.0, -1)
    strength = rng.uniform(0.2, 0.9)
    canvas *= (1 - strength * holes)[..., None]


BACKS: dict[Callable[[Canvas, Generator, Image | None], None], float] = {
    _wall: 0.26,
    _pegboard: 0.13,
    _slats: 0.12,
    _void: 0.14,
    _wire_rack: 0.2,
    _room: 0.11,
    _crate: 0.04,
}


def _shapes_far_behind(canvas: Canvas, rng: Generator, contrast: float) -> None:
    """Blurred blocks of colour, hardly told from the dark."""
    h, w = canvas.shape[:2]
    far = np.zeros_like(canvas)
    for _ in range(rng.integers(2, 10)):
        x, y = rng.uniform(-0.1, 0.9) * w, rng.uniform(0, 0.8) * h
        end = (int(x + rng.uniform(0.1, 0.5) * w), int(y + rng.uniform(0.1, 0.5) * h))
        cv2.rectangle(far, (int(x), int(y)), end, (paint(rng) - 100).tolist(), -1)
    canvas += cv2.GaussianBlur(far, (0, 0), rng.uniform(2, 8)) * (contrast / 155)
    np.clip(canvas, 0, 255, out=canvas)


def surface(rng: Generator) -> np.ndarray:
    """The colour of shop fittings: whites, greys, beiges, black, sometimes a strong colour."""
    if rng.random() < 0.15:
        return paint(rng) * 0.8
    return rng.uniform(25, 245) * (1 + rng.normal(0, 0.04, 3))
