"""What drawn products look like: their shapes, colours and prints, each drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.types import Image

Canvas = NDArray[np.float32]
"""(height, width, 3) float32, BGR, 0 to 255, drawn on in place."""

Field = NDArray[np.float32]
"""(height, width) float32: one number a pixel."""


@dataclass(frozen=True)
class Shape:
    profile: tuple[tuple[float, float], ...]  # (height, half-width), both 0 to 1, bottom to top
    aspect: tuple[float, float]  # width / height, from - to
    round: bool = True  # turned on a lathe: shaded towards its edges
    cap: float = 1.0  # height at which the cap begins
    clear: float = 0.0  # how often it is made of glass or clear plastic
    piles: bool = False  # may stand on its like


SHAPES = {
    "bottle": Shape(
        ((0, 0.93), (0.03, 1), (0.58, 1), (0.75, 0.6), (0.83, 0.36), (1, 0.36)),
        (0.24, 0.4), cap=0.91, clear=0.65,
    ),
    "soda": Shape(
        ((0, 0.8), (0.04, 1), (0.3, 1), (0.42, 0.88), (0.6, 1), (0.86, 0.38), (1, 0.38)),
        (0.25, 0.36), cap=0.92, clear=0.6,
    ),
    "flask": Shape(((0, 0.9), (0.05, 1), (0.7, 1), (0.8, 0.45), (1, 0.45)), (0.45, 0.7), cap=0.84,
                   clear=0.4),
    "spray": Shape(((0, 0.97), (0.82, 1), (0.88, 0.7), (1, 0.62)), (0.24, 0.36), cap=0.86),
    "can": Shape(((0, 0.9), (0.04, 1), (0.95, 1), (1, 0.9)), (0.5, 0.75), piles=True),
    "jar": Shape(((0, 0.93), (0.06, 1), (0.76, 1), (0.84, 0.84), (1, 0.84)), (0.6, 0.95),
                 cap=0.84, clear=0.5, piles=True),
    "tube": Shape(((0, 0.7), (0.12, 0.7), (0.14, 0.8), (0.9, 1), (1, 1)), (0.22, 0.4)),
    "glass": Shape(((0, 0.75), (1, 1)), (0.5, 0.85), clear=1.0),
    "goblet": Shape(((0, 0.8), (0.03, 0.8), (0.05, 0.12), (0.42, 0.12), (0.55, 0.85), (0.75, 1),
                     (1, 0.8)), (0.35, 0.55), clear=1.0),
    "bowl": Shape(((0, 0.45), (0.12, 0.5), (0.5, 0.86), (1, 1)), (1.5, 2.6), piles=True),
    "plate": Shape(((0, 0.6), (0.4, 0.75), (1, 1)), (4.0, 8.0), piles=True),
    "cup": Shape(((0, 0.8), (0.1, 0.9), (1, 1)), (0.75, 1.2), clear=0.1, piles=True),
    "pot": Shape(((0, 0.6), (0.3, 1), (0.55, 0.97), (0.8, 0.6), (0.84, 0.2), (1, 0.15)),
                 (0.9, 1.4), cap=0.8),
    "box": Shape(((0, 1), (1, 1)), (0.4, 1.6), round=False, piles=True),
    "carton": Shape(((0, 1), (0.82, 1), (0.93, 0.8), (1, 0.8)), (0.35, 0.6), round=False),
    "bag": Shape(((0, 0.94), (0.05, 1), (0.5, 1.04), (0.85, 0.95), (0.9, 0.88), (1, 1)),
                 (0.5, 0.95), round=False),
    "pouch": Shape(((0, 1), (0.2, 1.02), (0.8, 0.8), (1, 0.74)), (0.55, 0.9), round=False),
    "fruit": Shape(((0, 0.3), (0.12, 0.68), (0.3, 0.92), (0.5, 1), (0.7, 0.92), (0.88, 0.66),
                    (1, 0.2)), (0.9, 1.3), piles=True),
}  # fmt: skip
PORCELAIN = ("bowl", "plate", "cup", "pot")


@dataclass(frozen=True)
class Look:
    """What all pieces of one product share: a shelf shows the same thing many times."""

    shape: Shape
    clear: bool
    colour: Field  # (3,) BGR of the body
    cap: Field
    label: Image | None  # what is printed or glued on, stretched over label_from … label_to
    label_from: float
    label_to: float
    gloss: float
    tint: Field  # (3,) what clear material lets through
    filled_to: float
    side: float  # share of a box's width that is its receding side, negative: on the left
    lean: float  # half-width's wobble of soft packs


def some_look(rng: Generator, photo: Image | None) -> Look:
    """Return how one product looks. photo is any picture of goods, for its print."""
    name = str(rng.choice(list(SHAPES)))
    if rng.random() < 0.22:
        name = str(rng.choice(["bottle", "soda", "flask", "glass", "jar", "goblet"]))
    shape = SHAPES[name]
    clear = bool(rng.random() < shape.clear)
    colour = rng.uniform(150, 255, 1) * np.array([0.97, 1, 1]) if name in PORCELAIN else paint(rng)
    printed = rng.random() < (0.35 if clear else 0.75) and name not in (*PORCELAIN, "fruit")
    whole = not shape.round and rng.random() < 0.7
    low, high = (0.0, 1.0) if whole else sorted(rng.uniform(0.08, 0.72, 2))
    if high - low < 0.15:
        low, high = 0.2, 0.55
    tint = rng.uniform(0.8, 1.0, 3)
    if rng.random() < 0.5:
        tint = 1 - (1 - paint(rng) / 255) * rng.uniform(0.1, 0.7)
    return Look(
        shape=shape,
        clear=clear,
        colour=np.asarray(np.broadcast_to(colour, 3), np.float32),
        cap=paint(rng),
        label=label(rng, photo) if printed else None,
        label_from=low,
        label_to=high,
        gloss=rng.uniform(0, 0.8),
        tint=np.asarray(tint, np.float32),
        filled_to=rng.uniform(0.6, 0.95) if rng.random() < 0.8 else 0.0,
        side=rng.uniform(0.05, 0.35) * rng.choice([-1, 0, 1]) if name in ("box", "carton") else 0,
        lean=rng.uniform(0.01, 0.06) if name in ("bag", "pouch") else 0.0,
    )


def paint(rng: Generator) -> Field:
    """A colour as packs have it: any hue, mostly strong, sometimes white, grey or black."""
    if rng.random() < 0.25:
        grey = rng.choice([rng.uniform(0, 50), rng.uniform(90, 190), rng.uniform(215, 255)])
        return np.full(3, grey, np.float32)
    hsv = np.array([[[rng.uniform(0, 180), rng.uniform(60, 255), rng.uniform(90, 255)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)


def label(rng: Generator, photo: Image | None) -> Image:
    """A print: a piece of a photo, or bars and blobs that look like words and emblems from afar."""
    if photo is not None and rng.random() < 0.6:
        h, w = photo.shape[:2]
        y, x = int(rng.uniform(0, 0.6) * h), int(rng.uniform(0, 0.6) * w)
        # Of a picture of one pixel a third is still that pixel.
        tall, wide = (max(1, int(rng.uniform(0.3, 0.9) * side)) for side in (h, w))
        piece = photo[y : y + tall, x : x + wide]
        return np.asarray(cv2.resize(piece, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)
    print_ = np.empty((64, 64, 3), np.float32)
    print_[:] = paint(rng)
    for _ in range(rng.integers(1, 4)):
        y = int(rng.integers(0, 64))
        print_[y : y + int(rng.integers(4, 30))] = paint(rng)
    for _ in range(rng.integers(0, 3)):
        at = tuple(int(n) for n in rng.integers(8, 56, 2))
        axes = tuple(int(n) for n in rng.integers(5, 26, 2))
        cv2.ellipse(print_, at, axes, 0, 0, 360, paint(rng).tolist(), -1, cv2.LINE_AA)
    for _ in range(rng.integers(1, 6)):
        ink = paint(rng).tolist()
        x, y, tall = int(rng.integers(2, 24)), int(rng.integers(2, 58)), int(rng.integers(2, 12))
        for _ in range(rng.integers(2, 9)):  # letters
            wide = int(rng.integers(1, 2 + tall // 2 + 1))
            cv2.rectangle(print_, (x, y), (x + wide, y + tall), ink, -1)
            x += wide + 2
    return print_.astype(np.uint8)
