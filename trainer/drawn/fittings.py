"""Fittings of drawn slots: decks, rails, tags, hooks, and what is left on and under them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image
from trainer.drawn.backs import surface
from trainer.drawn.looks import Canvas
from trainer.drawn.products import stock


def deck(canvas: Canvas, rng: Generator) -> float:
    """Draw the board that products stand on; return where they would stand (of the height)."""
    h, w = canvas.shape[:2]
    if rng.random() < 0.18:
        return rng.uniform(0.85, 1.02)  # seen from so low that the deck is but a line
    edge = h * (1 - rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.25, 0.75)]))
    tilt = rng.normal(0, 0.05) * w
    corners = np.array([[0, edge - tilt], [w, edge + tilt], [w, h], [0, h]])
    area = np.zeros((h, w), np.float32)
    cv2.fillPoly(area, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
    board = np.empty_like(canvas)
    board[:] = surface(rng)
    away = np.clip((np.arange(h) - edge) / max(h - edge, 1), 0, 1)
    board *= (rng.uniform(0.4, 1) + away * rng.uniform(0, 0.6))[:, None, None].astype(np.float32)
    open_mesh = rng.random() < 0.25
    if open_mesh or rng.random() < 0.25:
        mesh = np.zeros((h, w), np.float32)
        for x in np.arange(-w, 2 * w, rng.uniform(0.06, 0.25) * w):  # converge to the far edge
            near = (int(w / 2 + (x - w / 2) * 1.5), h)
            cv2.line(mesh, (int(x), int(edge)), near, 1.0, int(rng.integers(1, 3)), cv2.LINE_AA)
        for y in edge + (h - edge) * np.linspace(0, 1, int(rng.integers(2, 7))) ** 1.5:
            cv2.line(mesh, (0, int(y)), (w, int(y)), 1.0, 1, cv2.LINE_AA)
        if open_mesh:  # wire: the deck is its lines, the rest looks through
            area *= mesh
        else:  # a perforated or ribbed board
            board *= (1 - rng.uniform(0.1, 0.5) * mesh)[..., None]
    if rng.random() < 0.3:  # light mirrored in a glossy board
        x = np.exp(-(((np.arange(w) / w - rng.random()) / rng.uniform(0.1, 0.4)) ** 2))
        board += (x * rng.uniform(10, 90))[None, :, None].astype(np.float32)
    canvas += area[..., None] * (board - canvas)
    if rng.random() < 0.5:  # the dark joint where board and back meet
        joint = np.exp(-(((np.arange(h) - edge) / (0.02 * h)) ** 2)) * rng.uniform(0.1, 0.6)
        canvas *= (1 - joint)[:, None, None].astype(np.float32)
    return (edge + (h - edge) * rng.uniform(0.3, 1.0)) / h


def shade_from_above(canvas: Canvas, rng: Generator) -> None:
    """The shelf above: its own edge at the top, sometimes, and its shadow."""
    h = canvas.shape[0]
    if rng.random() < 0.5:
        deep = rng.uniform(0.05, 0.6)
        fall = np.exp(-np.arange(h) / (deep * h)) * rng.uniform(0.2, 0.8)
        canvas *= (1 - fall)[:, None, None].astype(np.float32)
    if rng.random() < 0.3:
        deep = int(h * rng.uniform(0.02, 0.16))
        canvas[:deep] = surface(rng)
        if rng.random() < 0.4:
            _tag(canvas, rng, int(rng.uniform(-0.05, 0.05) * h))


def stains(canvas: Canvas, rng: Generator) -> None:
    h, w = canvas.shape[:2]
    for _ in range(rng.integers(0, 4)):
        at = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
        size = (
            max(1, int(rng.uniform(0.005, 0.12) * w)),
            max(1, int(rng.uniform(0.005, 0.06) * h)),
        )
        mark = np.zeros((h, w), np.float32)
        cv2.ellipse(mark, at, size, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
        soft = cv2.GaussianBlur(mark, (0, 0), rng.uniform(0.5, 5))
        canvas *= (1 + soft * rng.uniform(-0.5, 0.35))[..., None]


def hook(canvas: Canvas, rng: Generator) -> None:
    """A bare peg hook, with its little price plate at the tip."""
    h, w = canvas.shape[:2]
    start = np.array([rng.uniform(0.3, 0.7) * w, rng.uniform(0.05, 0.4) * h])
    tip = start + np.array([rng.normal(0, 0.08) * w, rng.uniform(0.1, 0.3) * h])
    tone = [rng.uniform(120, 240)] * 3
    cv2.line(canvas, start.astype(int).tolist(), tip.astype(int).tolist(), tone, 2, cv2.LINE_AA)
    if rng.random() < 0.6:
        half = np.array([0.08 * w, 0.04 * h])
        low, high = (tip - half).astype(int).tolist(), (tip + half).astype(int).tolist()
        cv2.rectangle(canvas, low, high, (235, 240, 240), -1)


def divider(canvas: Canvas, rng: Generator, floor: float) -> None:
    """A thin sheet of plastic or wire between two slots."""
    h, w = canvas.shape[:2]
    wide = max(1, int(w * rng.uniform(0.01, 0.05)))
    strength = np.float32(rng.uniform(0.3, 1))
    sheet = canvas[int(h * rng.uniform(0.2, 0.9)) : int(h * min(floor + 0.1, 1)), :wide]
    sheet += strength * (surface(rng) - sheet).astype(np.float32)


def front(canvas: Canvas, rng: Generator) -> None:
    """The price rail with its tags, or a basket's wires, across the foot of the slot."""
    h, w = canvas.shape[:2]
    if rng.random() < 0.35:
        top = int(h * (1 - rng.uniform(0.03, 0.2)))
        canvas[top:] = surface(rng) * np.linspace(1, 0.8, h - top)[:, None, None]
        for _ in range(rng.integers(0, 3)):
            _tag(canvas, rng, top)
    elif rng.random() < 0.2:
        tone = [rng.uniform(150, 255)] * 3
        for y in h * (1 - np.cumsum(rng.uniform(0.03, 0.12, rng.integers(1, 4)))):
            cv2.line(canvas, (0, int(y)), (w, int(y)), tone, int(rng.integers(1, 3)), cv2.LINE_AA)
    elif rng.random() < 0.15:
        _tag(canvas, rng, int(h * rng.uniform(0.6, 0.9)))


def shelf_below(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """The rail and, under it, what stands on the next shelf: the quad reaches too far down."""
    h, w = canvas.shape[:2]
    rail = int(h * (1 - rng.uniform(0.08, 0.3)))
    below = min(h - 4, rail + max(2, int(rng.uniform(0.03, 0.12) * h)))
    canvas[rail:below] = surface(rng)
    if rng.random() < 0.6:
        _tag(canvas, rng, rail)
    under = canvas[below:]
    under[:] = rng.uniform(0, 60)
    if photo is not None and rng.random() < 0.5:
        under[:] = cv2.resize(photo, (w, h))[: len(under)] * rng.uniform(0.3, 1)
    else:
        stock(under, rng, rng.uniform(1.5, 4), photo)


def _tag(canvas: Canvas, rng: Generator, top: int) -> None:
    """A price tag: a bright card with dark strokes."""
    h, w = canvas.shape[:2]
    x, wide = int(rng.uniform(-0.1, 0.8) * w), int(rng.uniform(0.15, 0.6) * w)
    bottom = top + max(4, int(rng.uniform(0.06, 0.16) * h))
    card = [(245, 250, 250), (90, 230, 250), (60, 60, 220), (200, 220, 255)][rng.integers(0, 4)]
    cv2.rectangle(canvas, (x, top), (x + wide, bottom), card, -1)
    for _ in range(rng.integers(1, 6)):
        y = int(rng.uniform(top, bottom))
        start = int(x + rng.uniform(0.05, 0.6) * wide)
        end = int(start + rng.uniform(0.1, 0.35) * wide)
        cv2.line(canvas, (start, y), (end, y), (30, 30, 30), int(rng.integers(1, 4)))
