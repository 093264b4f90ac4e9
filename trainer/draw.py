"""Drawn slots, empty and stocked: kinds of shelves and products that no photo at hand shows.

A few hundred real crops of one shop teach what *their* shelf looks like when it is empty. So
shelves of every sort are drawn here: plain walls, pegboards, wire grids with things far behind,
dark voids, decks of steel, wire, wood and glass; and, since an empty slot is rarely clean, the
neighbours' edges, price rails, dividers, hooks, stains and shadows. A stocked slot is the same
with products in it, so that nothing but the products tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image
from trainer.products import Canvas, neighbour, paint, stock


def slot(rng: Generator, stocked: bool, photo: Image | None = None) -> Image:
    """Return one drawn slot, about 60 to 200 pixels a side.

    photo is any picture of goods: prints are cut from it, and it may show, dark and blurred,
    through the back of a wire rack.
    """
    height = int(rng.uniform(100, 180))
    canvas = np.zeros((height, int(height * rng.uniform(0.4, 1.3)), 3), np.float32)
    draw_back = _pick(rng, BACKS)
    draw_back(canvas, rng, photo)
    floor = _deck(canvas, rng)
    _shade_from_above(canvas, rng)
    _stains(canvas, rng)
    if rng.random() < 0.15:
        _hook(canvas, rng)
    _neighbours(canvas, rng, floor, photo)
    if stocked:
        stock(canvas, rng, floor, photo)
    _front(canvas, rng)
    _light(canvas, rng)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def alter(empty: Image, rng: Generator, stocked: bool, photo: Image | None = None) -> Image:
    """Return a photo of an empty slot with drawn neighbours and, if stocked, drawn products."""
    canvas = cv2.resize(empty, None, fx=2, fy=2) if min(empty.shape[:2]) < 60 else empty.copy()
    canvas = canvas.astype(np.float32)
    light = max(canvas.mean() / 130, 0.35)  # what is drawn is lit as the slot is
    canvas /= light
    floor = rng.uniform(0.8, 0.99)
    _neighbours(canvas, rng, floor, photo)
    if stocked:
        stock(canvas, rng, floor, photo)
    if rng.random() < 0.5:
        _front(canvas, rng)
    return np.clip(canvas * light, 0, 255).astype(np.uint8)


# -- backs: what is seen where nothing stands -----------------------------------------------------


def _wall(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    canvas[:] = _surface(rng)


def _pegboard(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """Holes in rows: a pegboard's are far apart, perforated steel's are dense."""
    canvas[:] = _surface(rng)
    h, w = canvas.shape[:2]
    step = rng.uniform(5, 26)
    across = step * rng.uniform(0.6, 1.6)
    size = (max(1, int(step * rng.uniform(0.12, 0.3))), max(1, int(step * rng.uniform(0.12, 0.45))))
    hole = (canvas[0, 0] * rng.uniform(0.1, 0.7)).tolist()
    for row, y in enumerate(np.arange(rng.uniform(0, step), h, step)):
        shift = across / 2 if row % 2 and step < 12 else 0
        for x in np.arange(rng.uniform(0, across) * 0 + shift, w, across):
            cv2.ellipse(canvas, (int(x), int(y)), size, 0, 0, 360, hole, -1, cv2.LINE_AA)


def _slats(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """Horizontal or upright ribs: slatwall, planks, corrugated sheet, louvres."""
    canvas[:] = _surface(rng)
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
    """A wire grid with the next aisle's goods behind it: full of colours and yet empty."""
    h, w = canvas.shape[:2]
    if photo is not None and rng.random() < 0.7:
        far = cv2.GaussianBlur(photo, (0, 0), photo.shape[1] / rng.uniform(20, 80))
        grid = int(rng.integers(1, 4))
        far = np.tile(cv2.resize(far, (w // grid + 1, h // grid + 1)), (grid, grid, 1))[:h, :w]
        canvas[:] = far * rng.uniform(0.1, 0.4)
    else:
        canvas[:] = rng.uniform(10, 110)
        _shapes_far_behind(canvas, rng, rng.uniform(20, 90))
    tone = np.full(3, 255 * rng.uniform(0.5, 1) if rng.random() < 0.8 else 0)
    step_x, step_y = rng.uniform(0.1, 0.4) * w, rng.uniform(0.1, 0.3) * h
    thick, slope = int(rng.integers(1, 3)), rng.normal(0, 0.06)
    for x in np.arange(rng.uniform(0, step_x), w, step_x):
        cv2.line(canvas, (int(x), 0), (int(x + slope * h), h), tone.tolist(), thick, cv2.LINE_AA)
    for y in np.arange(rng.uniform(0, step_y), h, step_y):
        cv2.line(canvas, (0, int(y)), (w, int(y + slope * w)), tone.tolist(), thick, cv2.LINE_AA)


BACKS: dict[Callable[[Canvas, Generator, Image | None], None], float] = {
    _wall: 0.34,
    _pegboard: 0.16,
    _slats: 0.14,
    _void: 0.16,
    _wire_rack: 0.2,
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


def _surface(rng: Generator) -> np.ndarray:
    """The colour of shop fittings: whites, greys, beiges, black, sometimes a strong colour."""
    if rng.random() < 0.15:
        return paint(rng) * 0.8
    return rng.uniform(25, 245) * (1 + rng.normal(0, 0.04, 3))


# -- what lies between the back and the front -----------------------------------------------------


def _deck(canvas: Canvas, rng: Generator) -> float:
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
    board[:] = _surface(rng)
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


def _shade_from_above(canvas: Canvas, rng: Generator) -> None:
    """The shelf above: its own edge at the top, sometimes, and its shadow."""
    h = canvas.shape[0]
    if rng.random() < 0.5:
        deep = rng.uniform(0.05, 0.6)
        fall = np.exp(-np.arange(h) / (deep * h)) * rng.uniform(0.2, 0.8)
        canvas *= (1 - fall)[:, None, None].astype(np.float32)
    if rng.random() < 0.3:
        deep = int(h * rng.uniform(0.02, 0.16))
        canvas[:deep] = _surface(rng)
        if rng.random() < 0.4:
            _tag(canvas, rng, int(rng.uniform(-0.05, 0.05) * h))


def _stains(canvas: Canvas, rng: Generator) -> None:
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


def _hook(canvas: Canvas, rng: Generator) -> None:
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


def _neighbours(canvas: Canvas, rng: Generator, floor: float, photo: Image | None) -> None:
    """What stands next door reaches into the crop: quads are drawn by hand, and cameras look
    askew along the side of the next pack."""
    for left in (True, False):
        side = canvas if left else canvas[:, ::-1]  # a view: the right is the left of a mirror
        kind = rng.random()
        if kind < 0.22:
            neighbour(side, rng, floor, photo)
        elif kind < 0.44:
            _receding_side(side, rng, floor, photo)
        elif kind < 0.54:
            _divider(side, rng, floor)


def _receding_side(canvas: Canvas, rng: Generator, floor: float, photo: Image | None) -> None:
    """The side of a box, or of a row of them, from the crop's left edge into the depth."""
    h, w = canvas.shape[:2]
    wide = w * (rng.uniform(0.01, 0.12) if rng.random() < 0.6 else rng.uniform(0.1, 0.32))
    print_ = np.empty((64, 64, 3), np.float32)
    if photo is not None and rng.random() < 0.6:
        x = int(rng.uniform(0, 0.7) * photo.shape[1])
        print_[:] = cv2.resize(photo[:, x : x + max(2, photo.shape[1] // 4)], (64, 64))
    else:
        print_[:] = paint(rng)
        for _ in range(rng.integers(0, 5)):
            y = int(rng.integers(0, 64))
            print_[y : y + int(rng.integers(2, 24))] = paint(rng)
    print_ *= np.linspace(rng.uniform(0.5, 1), rng.uniform(0.2, 0.9), 64)[None, :, None]
    top, bottom = h * rng.uniform(-0.3, 0.55), h * min(floor + rng.uniform(-0.02, 0.12), 1.05)
    shrink = rng.uniform(0, 0.25) * (bottom - top)
    corners = np.array(
        [[0, top], [wide, top + shrink * rng.uniform(0, 1)], [wide, bottom - shrink], [0, bottom]],
        np.float32,
    )
    source = np.array([[0, 0], [64, 0], [64, 64], [0, 64]], np.float32)
    move = cv2.getPerspectiveTransform(source, corners)
    area = np.zeros((h, w), np.uint8)
    cv2.fillPoly(area, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
    seen = cv2.warpPerspective(print_, move, (w, h), borderMode=cv2.BORDER_REPLICATE)
    canvas += (area / np.float32(255))[..., None] * (seen - canvas)


def _divider(canvas: Canvas, rng: Generator, floor: float) -> None:
    """A thin sheet of plastic or wire between two slots."""
    h, w = canvas.shape[:2]
    wide = max(1, int(w * rng.uniform(0.01, 0.05)))
    strength = np.float32(rng.uniform(0.3, 1))
    sheet = canvas[int(h * rng.uniform(0.2, 0.9)) : int(h * min(floor + 0.1, 1)), :wide]
    sheet += strength * (_surface(rng) - sheet).astype(np.float32)


# -- the front, and light on all of it ------------------------------------------------------------


def _front(canvas: Canvas, rng: Generator) -> None:
    """The price rail with its tags, or a basket's wires, across the foot of the slot."""
    h, w = canvas.shape[:2]
    if rng.random() < 0.35:
        top = int(h * (1 - rng.uniform(0.03, 0.2)))
        canvas[top:] = _surface(rng) * np.linspace(1, 0.8, h - top)[:, None, None]
        for _ in range(rng.integers(0, 3)):
            _tag(canvas, rng, top)
    elif rng.random() < 0.2:
        tone = [rng.uniform(150, 255)] * 3
        for y in h * (1 - np.cumsum(rng.uniform(0.03, 0.12, rng.integers(1, 4)))):
            cv2.line(canvas, (0, int(y)), (w, int(y)), tone, int(rng.integers(1, 3)), cv2.LINE_AA)
    elif rng.random() < 0.15:
        _tag(canvas, rng, int(h * rng.uniform(0.6, 0.9)))


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


def _light(canvas: Canvas, rng: Generator) -> None:
    """Uneven light: a gradient, sometimes the sharp edge of a shadow."""
    h, w = canvas.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    along = (np.cos(turn) * (x / w - 0.5) + np.sin(turn) * (y / h - 0.5)).astype(np.float32)
    canvas *= (1 + rng.uniform(0, 0.6) * along)[..., None]
    if rng.random() < 0.2:
        soft = rng.uniform(0.01, 0.1)
        shade = 1 / (1 + np.exp(-np.clip((along - rng.uniform(-0.4, 0.4)) / soft, -30, 30)))
        canvas *= (1 - rng.uniform(0.1, 0.5) * shade)[..., None]


def _pick(rng: Generator, weights: dict) -> Callable:
    kinds = list(weights)
    return kinds[rng.choice(len(kinds), p=np.array(list(weights.values())))]
