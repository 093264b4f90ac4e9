"""Drawn slots, empty and stocked: kinds of shelves and products that no photo at hand shows.

A few hundred real crops of one shop teach what *their* shelf looks like when it is empty. So
shelves of every sort are drawn here: plain walls, pegboards, wire grids with things far behind,
dark voids, deep compartments, crates, decks of steel, wire, wood and glass; and, since an empty
slot is rarely clean, the neighbours' edges, price rails, dividers, hooks, stains, shadows and
the shelf below. A stocked slot is the same with products in it, so that nothing but the products
tells the two apart; only a pack whose front fills the slot leaves nothing else to be seen.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image
from trainer.products import Canvas, label, neighbour, paint, stock


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
        for _ in range(1 if rng.random() < 0.5 else rng.integers(2, 9)):
            _hook(canvas, rng)
    _neighbours(canvas, rng, floor, photo)
    if stocked:
        _goods(canvas, rng, floor, photo)
    if rng.random() < 0.15:
        _shelf_below(canvas, rng, photo)
    else:
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
        _goods(canvas, rng, floor, photo)
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
        canvas[:] = _surface(rng)
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
    tone = (_surface(rng) * np.ones(3) * rng.uniform(0.4, 1)).tolist()
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
    tone, dark = _surface(rng) * np.ones(3), rng.uniform(0.1, 0.9)
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
    askew along the side of the next pack. Sometimes the slot is but a gap between two of them."""
    gap = rng.random() < 0.15
    for left in (True, False):
        side = canvas if left else canvas[:, ::-1]  # a view: the right is the left of a mirror
        kind = rng.random() * (0.5 if gap else 1)
        reach = rng.uniform(0.12, 0.38) if gap else rng.uniform(0.02, 0.22)
        if kind < 0.22:
            neighbour(side, rng, floor, photo, reach)
        elif kind < 0.44:
            _receding_side(side, rng, floor, photo)
        elif kind < 0.5 and photo is not None:
            _photo_beside(side, rng, floor, photo, reach)
        elif kind < 0.6:
            _divider(side, rng, floor)


def _photo_beside(canvas: Canvas, rng: Generator, floor: float, photo: Image, reach: float) -> None:
    """A strip of a photo of goods at the crop's left edge."""
    h, w = canvas.shape[:2]
    wide, top = max(2, int(reach * w)), int(h * rng.uniform(0, 0.5))
    bottom = max(top + 2, int(h * min(floor + 0.05, 1)))
    x = int(rng.uniform(0, 0.8) * photo.shape[1])
    strip = cv2.resize(photo[:, x : x + max(2, photo.shape[1] // 5)], (wide, bottom - top))
    canvas[top:bottom, :wide] = strip * rng.uniform(0.5, 1)


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


def _goods(canvas: Canvas, rng: Generator, floor: float, photo: Image | None) -> None:
    """Drawn products, the front of one that fills the crop, or a photo of some up to the floor."""
    kind = rng.random()
    if kind < 0.12:
        _front_of_pack(canvas, rng, photo)
        return
    if photo is None or kind < 0.72:
        stock(canvas, rng, floor, photo)
        return
    h, w = canvas.shape[:2]
    left, right = np.array([rng.uniform(-0.05, 0.3), 1 - rng.uniform(-0.05, 0.3)]) * w
    top, bottom = rng.uniform(-0.1, 0.45) * h, min(floor, 1.1) * h
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    piece = np.tile(cv2.resize(photo, (96 // columns, 96 // rows)), (rows, columns, 1))
    ph, pw = piece.shape[:2]
    source = np.array([[0, 0], [pw, 0], [pw, ph], [0, ph]], np.float32)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    corners += rng.normal(0, 0.03, (4, 2)) * [w, h]
    move = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    area = np.zeros((h, w), np.uint8)
    cv2.fillPoly(area, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
    seen = cv2.warpPerspective(
        piece.astype(np.float32), move, (w, h), borderMode=cv2.BORDER_REPLICATE
    )
    canvas += (area / np.float32(255))[..., None] * (seen * rng.uniform(0.6, 1.1) - canvas)


def _front_of_pack(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """A large box, flat and printed, with hardly an edge to be seen: its slot is just its size."""
    h, w = canvas.shape[:2]
    print_ = np.empty((h, w, 3), np.float32)
    print_[:] = paint(rng)
    for _ in range(rng.integers(0, 3)):  # fields of colour, straight or aslant
        y, tilt, tall = rng.uniform(0, h), rng.normal(0, 0.15) * h, rng.uniform(0.1, 0.6) * h
        band = [[0, y], [w, y + tilt], [w, y + tilt + tall], [0, y + tall]]
        cv2.fillPoly(print_, [np.array(band, np.int32)], paint(rng).tolist(), cv2.LINE_AA)
    size = np.maximum(rng.uniform(0.25, 1, 2) * [w, h], 8).astype(int)
    x, y = (rng.uniform(0, 1, 2) * ([w, h] - size)).astype(int)
    print_[y : y + size[1], x : x + size[0]] = cv2.resize(label(rng, photo), size.tolist())
    left, top = np.maximum(rng.uniform(-0.15, 0.08, 2), 0) * [w, h]
    right, bottom = (1 - np.maximum(rng.uniform(-0.15, 0.08, 2), 0)) * [w, h]
    part = np.s_[int(top) : int(bottom), int(left) : int(right)]
    canvas[part] = print_[part]


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


def _shelf_below(canvas: Canvas, rng: Generator, photo: Image | None) -> None:
    """The rail and, under it, what stands on the next shelf: the quad reaches too far down."""
    h, w = canvas.shape[:2]
    rail = int(h * (1 - rng.uniform(0.08, 0.3)))
    below = min(h - 4, rail + max(2, int(rng.uniform(0.03, 0.12) * h)))
    canvas[rail:below] = _surface(rng)
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
