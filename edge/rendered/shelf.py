"""The shelf of the rendered store: which product stands where, and the lens that looks at it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.rendered.products import Product, catalogue
from edge.types import Quad

Points = NDArray[np.float64]
"""(…, 3) world or (…, 2) picture coordinates."""

PITCH = 34.0
BOARD = 2.4
DEPTH = 30.0
RAIL = 5.2
TOP_FLOOR = 122.0
"""Height of the topmost shelf board over the shop's floor; eye level of nobody, reach of all."""
FRONT = -1.0
"""Where the front row of products stands, behind the board's edge."""
ASPECT = 16 / 9
SLOT_SHARE = 12.7
"""Centimetres of shelf per slot, on average."""

_KINDS = (
    ("can", "bottle", "box", "can", "carton", "bag", "bottle", "box", "cup", "bag", "jar", "box"),
    ("box", "bottle", "bag", "cup", "can", "box", "jar", "bottle", "box", "bag", "carton", "can"),
)


_LEANS_BACK = {
    "can": 0.85, "bottle": 0.7, "cup": 0.85, "jar": 0.85, "carton": 0.5, "box": 0.0, "bag": 0.3
}  # fmt: skip
"""How far behind its front a package's highest point lies, as a share of its depth."""


class Lens:
    """A pinhole camera above the opposite side of the aisle, fitted to see the whole shelf.

    project() returns fractions of a 16:9 picture.
    """

    def __init__(self, eye: Points, target: Points, roll: float, to_fit: Points):
        forward = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cos, sin = math.cos(roll), math.sin(roll)
        self.eye = eye
        self._axes = np.stack([cos * right + sin * down, cos * down - sin * right, forward])
        self._focal, self._shift = np.ones(2), np.zeros(2)
        seen = self.project(to_fit).reshape(-1, 2)
        low, high = seen.min(axis=0), seen.max(axis=0)
        focal = 0.985 / max(high[0] - low[0], (high[1] - low[1]) * ASPECT)
        self._focal = np.array([focal, focal * ASPECT])
        self._shift = 0.5 - self._focal * (low + high) / 2
        self._scale = float(focal) / float(np.linalg.norm(target - eye))

    def project(self, points: Points) -> Points:
        """Return (…, 2) fractions of the picture for (…, 3) world points."""
        seen = (np.asarray(points, np.float64) - self.eye) @ self._axes.T
        return np.asarray(seen[..., :2] / seen[..., 2:] * self._focal + self._shift)

    @property
    def scale(self) -> float:
        """Return how much of the picture's width a centimetre of what it looks at takes."""
        return self._scale

    def tilt(self, point: Points) -> float:
        """Return the tangent of the angle at which the lens looks down on a point."""
        return float((self.eye[1] - point[1]) / (self.eye[2] - point[2]))

    def over_shelf(self, x: float, z: float) -> float:
        """Return where on the shelf's front one sees what stands at x, z before it."""
        return float(self.eye[0] + (x - self.eye[0]) * self.eye[2] / (self.eye[2] - z))

    def standing(self, over: float, z: float) -> float:
        """Return the x at which one must stand, at z, to be seen at `over`."""
        return float(self.eye[0] + (over - self.eye[0]) * (self.eye[2] - z) / self.eye[2])


@dataclass(frozen=True, slots=True)
class Place:
    """A slot in the world: its width on the board, and how many products fit one behind another."""

    slot_id: str
    row: int
    left: float
    right: float
    floor: float
    product: Product
    capacity: int
    priority: int | None

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class Shelf:
    rows: int
    width: float
    places: tuple[Place, ...]
    lens: Lens

    def quad(self, place: Place) -> Quad:
        """Return the upright corners of the front product's face as fractions of the picture."""
        half = min(place.product.width + 0.8, place.right - place.left) / 2
        left, right = place.centre - half, place.centre + half
        leans_back = _LEANS_BACK[place.product.kind] * place.product.depth
        tilt = self.lens.tilt(np.array([place.centre, place.floor + 10, FRONT]))
        low = place.floor + tilt * FRONT  # down to the board's edge, where the rail begins
        high = place.floor + place.product.height + 0.4 + tilt * leans_back
        corners = [(left, high), (right, high), (right, low), (left, low)]
        seen = self.lens.project(np.array([(x, y, FRONT) for x, y in corners]))
        return tuple((round(float(x), 4), round(float(y), 4)) for x, y in seen)

    def volume(self, place: Place) -> Points:
        """Return the (8, 3) corners of the room that a slot's products may take."""
        high = place.floor + PITCH - BOARD
        return np.array(
            [
                (x, y, z)
                for x in (place.left, place.right)
                for y in (place.floor, high)
                for z in (-DEPTH, 0.5)
            ]
        )


def build_shelf(seed: int, rows: int = 2, columns: int = 12) -> Shelf:
    """Return the shelf of this seed. Slots are called a1-01… from the top left."""
    chance = random.Random(f"shelf {seed}")
    width = columns * SLOT_SHARE
    stacks = {kind: _shuffled(kind, chance) for kind in sorted(set(_KINDS[0] + _KINDS[1]))}
    places: list[Place] = []
    for row in range(rows):
        kinds = [_KINDS[row % 2][number % 12] for number in range(columns)]
        start = chance.randrange(columns)
        products = [_next_of(stacks[kind]) for kind in kinds[start:] + kinds[:start]]
        for number in range(1, columns):
            # Good sellers get two facings, as long as the row does not grow too wide by it.
            same_size = products[number].width <= products[number - 1].width + 1.0
            if same_size and number % 5 == 3:
                products[number] = products[number - 1]
        places += _row(row, products, width, chance)
    return Shelf(rows, width, tuple(places), _lens(rows, width, chance))


def _row(row: int, products: list[Product], width: float, chance: random.Random) -> list[Place]:
    gap = (width - sum(product.width for product in products)) / len(products)
    floor, left, places = TOP_FLOOR - PITCH * row, 0.0, []
    for number, product in enumerate(products):
        right = left + product.width + gap
        capacity = min(4, int((DEPTH - 2.0) // (product.depth + 0.4)))
        priority = chance.choice([None, None, None, 1, 2, 3])
        slot_id = f"a{row + 1}-{number + 1:02d}"
        places.append(Place(slot_id, row, left, right, floor, product, capacity, priority))
        left = right
    return places


def _shuffled(kind: str, chance: random.Random) -> list[Product]:
    products = [product for product in catalogue() if product.kind == kind]
    chance.shuffle(products)
    return products


def _next_of(stack: list[Product]) -> Product:
    stack.append(stack.pop(0))
    return stack[-1]


def _lens(rows: int, width: float, chance: random.Random) -> Lens:
    lowest = TOP_FLOOR - PITCH * (rows - 1)
    side = chance.choice([-1, 1])
    eye = np.array(
        [width * (0.5 + side * chance.uniform(0.05, 0.12)), 226.0, max(320, 2.2 * width)]
    )
    target = np.array([width / 2, (lowest + TOP_FLOOR + PITCH) / 2, 0.0])
    low, high = lowest - RAIL - 0.8, TOP_FLOOR + PITCH + 3.0
    to_fit = np.array([(x, y, 0.0) for x in (-2.5, width + 2.5) for y in (low, high)])
    return Lens(eye, target, math.radians(chance.uniform(0.4, 0.9) * -side), to_fit)
