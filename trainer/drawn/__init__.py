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
from trainer.drawn.backs import BACKS
from trainer.drawn.fittings import deck, divider, front, hook, shade_from_above, shelf_below, stains
from trainer.drawn.looks import Canvas, label, paint
from trainer.drawn.products import neighbour, stock

LEAST = 16
"""Pixels a side in which something can be drawn."""


def slot(rng: Generator, stocked: bool, photo: Image | None = None) -> Image:
    """Return one drawn slot, about 60 to 200 pixels a side.

    photo is any picture of goods: prints are cut from it, and it may show, dark and blurred,
    through the back of a wire rack.
    """
    height = int(rng.uniform(100, 180))
    canvas = np.zeros((height, int(height * rng.uniform(0.4, 1.3)), 3), np.float32)
    draw_back = _pick(rng, BACKS)
    draw_back(canvas, rng, photo)
    floor = deck(canvas, rng)
    shade_from_above(canvas, rng)
    stains(canvas, rng)
    if rng.random() < 0.15:
        for _ in range(1 if rng.random() < 0.5 else rng.integers(2, 9)):
            hook(canvas, rng)
    _neighbours(canvas, rng, floor, photo)
    if stocked:
        _goods(canvas, rng, floor, photo)
    if rng.random() < 0.15:
        shelf_below(canvas, rng, photo)
    else:
        front(canvas, rng)
    _light(canvas, rng)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def alter(empty: Image, rng: Generator, stocked: bool, photo: Image | None = None) -> Image:
    """Return a photo of an empty slot with drawn neighbours and, if stocked, drawn products."""
    least = min(empty.shape[:2])
    larger = 1 if least >= 60 else max(2, LEAST / least)
    canvas = cv2.resize(empty, None, fx=larger, fy=larger).astype(np.float32)
    light = max(canvas.mean() / 130, 0.35)  # what is drawn is lit as the slot is
    canvas /= light
    floor = rng.uniform(0.8, 0.99)
    _neighbours(canvas, rng, floor, photo)
    if stocked:
        _goods(canvas, rng, floor, photo)
    if rng.random() < 0.5:
        front(canvas, rng)
    return np.clip(canvas * light, 0, 255).astype(np.uint8)


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
            divider(side, rng, floor)


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
    _put(canvas, print_, corners)


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
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    corners += rng.normal(0, 0.03, (4, 2)) * [w, h]
    _put(canvas, piece.astype(np.float32), corners, light=rng.uniform(0.6, 1.1))


def _put(canvas: Canvas, piece: Canvas, corners: np.ndarray, light: float = 1) -> None:
    """Draw a picture into four corners (4, 2) of the canvas."""
    h, w = canvas.shape[:2]
    ph, pw = piece.shape[:2]
    source = np.array([[0, 0], [pw, 0], [pw, ph], [0, ph]], np.float32)
    move = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    area = np.zeros((h, w), np.uint8)
    cv2.fillPoly(area, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
    seen = cv2.warpPerspective(piece, move, (w, h), borderMode=cv2.BORDER_REPLICATE)
    canvas += (area / np.float32(255))[..., None] * (seen * light - canvas)


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
