"""The fixture itself: back panel, boards, side walls, price rails, the header above.

Flat textures, (h, w, 4) float32 0 to 1, each with the world corners that the lens projects it to.
"""

from __future__ import annotations

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.rendered.labels import price_tag, write
from edge.rendered.packs import Face, Texture
from edge.rendered.products import Colour
from edge.rendered.shelf import BOARD, DEPTH, PITCH, RAIL, TOP_FLOOR, Points, Shelf

_PANEL: Colour = (206, 210, 208)
_METAL: Colour = (222, 224, 222)
_RAIL: Colour = (228, 230, 228)


def surroundings(shelf: Shelf, scale: float) -> list[Face]:
    """Return what lies around the shelf: the plinth below, the wall and the posts beside it."""
    low, high = TOP_FLOOR - PITCH * (shelf.rows - 1), TOP_FLOOR + PITCH
    wide = shelf.width
    plinth = _plain((wide + 200, 60), (58, 60, 62), scale / 3)
    plinth[..., :3] *= np.linspace(0.55, 1.0, plinth.shape[0], dtype=np.float32)[:, None, None]
    wall = _plain((200, 140), (150, 156, 158), scale / 4)
    posts = _plain((2.8, high - low + 40), _METAL, scale)
    across = np.linspace(0, 1, posts.shape[1], dtype=np.float32)[None, :, None]
    posts[..., :3] *= 0.72 + 0.28 * np.sin(across * np.pi)
    posts[
        :: max(2, round(2.5 * scale)), posts.shape[1] // 3 : -posts.shape[1] // 3 or None, :3
    ] *= 0.45
    return [
        Face(wall, _upright(-200, 0, low - 20, high + 30, -6)),
        Face(wall, _upright(wide, wide + 200, low - 20, high + 30, -6)),
        Face(plinth, _upright(-100, wide + 100, low - 60, low - RAIL, -4)),
        Face(posts, _upright(-2.8, 0, low - 20, high + 20, 0.4)),
        Face(posts, _upright(wide, wide + 2.8, low - 20, high + 20, 0.4)),
    ]


def header(shelf: Shelf, scale: float) -> Face:
    """Return the sign over the shelf, with the lamp strip at its lower edge."""
    board, high = _plain((shelf.width + 6, 20), (62, 118, 32), scale), TOP_FLOOR + PITCH
    _sign(board, "FRESH & DAILY")
    return Face(board, _upright(-3, shelf.width + 3, high - BOARD, high + 17.6, 0.6))


def room(shelf: Shelf, row: int, scale: float) -> list[Face]:
    """Return the room over one board as it looks empty: back panel, side walls, board."""
    floor = TOP_FLOOR - PITCH * row
    high, wide = floor + PITCH - BOARD, shelf.width
    found = [
        Face(_back_panel(wide, high - floor, scale), _upright(0, wide, floor, high, -DEPTH)),
        Face(_board(wide, scale), _level(0, wide, floor)),
    ]
    for x, seen in ((0.0, shelf.lens.eye[0] > 0), (wide, shelf.lens.eye[0] < wide)):
        if seen:
            corners = [(x, high, -DEPTH), (x, high, 0), (x, floor, 0), (x, floor, -DEPTH)]
            wall = _plain((DEPTH, high - floor), _PANEL, scale / 2)
            wall[..., :3] *= np.linspace(0.42, 0.86, wall.shape[1], dtype=np.float32)[None, :, None]
            if x:
                corners = [corners[1], corners[0], corners[3], corners[2]]
                wall = np.ascontiguousarray(wall[:, ::-1])
            found.append(Face(wall, np.array(corners)))
    return found


def rail(shelf: Shelf, row: int, seed: int, scale: float) -> Face:
    """Return the front edge of one board: a plastic rail with a price tag under each slot."""
    floor = TOP_FLOOR - PITCH * row
    strip = _plain((shelf.width, RAIL), _RAIL, scale)
    rows = strip.shape[0]
    down = np.linspace(0, 1, rows, dtype=np.float32)
    strip[..., :3] *= (1.02 - 0.22 * down**2 - 0.2 * (down < 0.06) - 0.15 * (down > 0.93))[
        :, None, None
    ]
    chance = random.Random(f"prices {seed} {row}")
    for place in shelf.places:
        if place.row != row:
            continue
        price = 100 * chance.randint(9, 79)
        tag = price_tag(place.product.word, price, chance.random() < 0.25, scale)
        left = round((place.centre - 3.2 + chance.uniform(-0.6, 0.6)) * scale)
        top = round(0.9 * scale)
        left = min(max(left, 0), strip.shape[1] - tag.shape[1])
        height = min(tag.shape[0], rows - top)
        strip[top : top + height, left : left + tag.shape[1], :3] = tag[:height] / np.float32(255)
    return Face(strip, _upright(0, shelf.width, floor - RAIL, floor, 0.4))


def _back_panel(wide: float, high: float, scale: float) -> Texture:
    """Perforated sheet metal; it lies in the shade of the board above."""
    panel = _plain((wide, high), _PANEL, scale)
    rows, columns = panel.shape[:2]
    step, radius = 2.5 * scale, max(1.0, 0.34 * scale)
    holes = np.zeros((rows, columns), np.uint8)
    for y in np.arange(step / 2, rows, step):
        for x in np.arange(step / 2, columns, step):
            centre = (round(x * 8), round(y * 8))
            cv2.circle(holes, centre, round(radius * 8), 255, -1, cv2.LINE_AA, 3)
    panel[..., :3] *= 1 - 0.55 * (holes.astype(np.float32) / 255)[..., None]
    for x in np.arange(1, 6) * columns / 6:  # seams of the panels
        panel[:, round(x) : round(x) + max(1, round(0.25 * scale)), :3] *= 0.6
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    lit = 0.34 + 0.46 * np.clip(down * 1.5, 0, 1) ** 1.3 - 0.12 * np.clip(down - 0.86, 0, 1) / 0.14
    panel[..., :3] *= (lit * _edges(columns))[..., None]
    return panel


def _board(wide: float, scale: float) -> Texture:
    """A painted board, bright at its front under the lamp strip, dark at the back."""
    board = _plain((wide, DEPTH), _METAL, scale)
    rows, columns = board.shape[:2]
    near = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    lit = 0.36 + 0.58 * near**1.2
    board[..., :3] *= (lit * _edges(columns))[..., None]
    board[-max(1, round(0.5 * scale)) :, :, :3] *= 1.08
    return np.clip(board, 0, 1)


def _edges(columns: int) -> NDArray[np.float32]:
    across = np.abs(np.linspace(-1, 1, columns, dtype=np.float32))[None, :]
    return np.asarray(1 - 0.28 * across**14, np.float32)


def _sign(sign: Texture, words: str) -> None:
    rows = sign.shape[0]
    board = (sign[..., :3] * 255).astype(np.uint8)
    board[: round(rows * 0.16)] = (238, 240, 240)
    board[-round(rows * 0.12) :] = (250, 252, 252)  # the lamp strip
    for middle in (0.17, 0.5, 0.83):
        write(board, words, (middle, 0.52), 0.20, (240, 246, 246), bold=True)
    sign[..., :3] = board.astype(np.float32) / 255


def _plain(size: tuple[float, float], colour: Colour, scale: float) -> Texture:
    rows, columns = max(4, round(size[1] * scale)), max(4, round(size[0] * scale))
    texture = np.ones((rows, columns, 4), np.float32)
    texture[..., :3] = np.array(colour, np.float32) / 255
    return texture


def _upright(left: float, right: float, low: float, high: float, z: float) -> Points:
    return np.array([(left, high, z), (right, high, z), (right, low, z), (left, low, z)])


def _level(left: float, right: float, y: float) -> Points:
    return np.array([(left, y, -DEPTH), (right, y, -DEPTH), (right, y, 0.4), (left, y, 0.4)])
