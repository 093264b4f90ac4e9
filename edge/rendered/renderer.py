"""Draws the rendered store: a Scene at a moment → the picture a camera would give."""

from __future__ import annotations

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.rendered import backdrop
from edge.rendered.easel import Easel, Layer, Patch
from edge.rendered.packs import Face, Pose, faces
from edge.rendered.people import Part, Posture
from edge.rendered.scene import Scene
from edge.rendered.shelf import FRONT, Place
from edge.types import Image

_NOISE_ROOM = 96
"""How many pixels the noise field is larger than the picture: room to shift it each frame."""
_SHADOW_SHIFT = np.array([0.012, -0.02])
_EXPOSURE = 278
"""What a fully lit white is exposed to; more than 255, so that highlights burn out."""
_COARSE = 4
"""Shading and shadows of people are computed at a quarter of the size: they are soft."""


class Renderer:
    """Draws pictures of one size. What does not move is drawn once and kept.

    Not for two threads at once.
    """

    def __init__(self, scene: Scene, size: tuple[int, int] = (1280, 720)):
        self._scene, self._size = scene, size
        self._scale = scene.shelf.lens.scale * size[0]
        self._easel = Easel(scene.shelf.lens, size)
        self._empty = self._surroundings()
        rows = range(scene.shelf.rows)
        self._rooms = [self._patches(backdrop.room(scene.shelf, row, self._scale)) for row in rows]
        self._rails = [
            self._patches([backdrop.rail(scene.shelf, row, scene.seed, self._scale * 1.2)])
            for row in rows
        ]
        self._rails[0] += self._patches([backdrop.header(scene.shelf, self._scale)])
        self._packs = [self._lined_up(place) for place in scene.shelf.places]
        self._held = [self._easel.patch(self._faces(place, FRONT)) for place in scene.shelf.places]
        self._vignette = _vignette(size)
        self._folds = _folds(scene.seed)
        self._noise = _noise(scene.seed, size)
        self._stocked: tuple[tuple[int, ...], Image] | None = None

    def picture(self, t: float) -> Image:
        """Return the picture at t seconds: (height, width, 3) uint8, BGR."""
        image = self._shelf(self._scene.stock(t)).copy()
        people = self._scene.people(t)
        if people:
            self._cast_shadows(image, [part for one in people for part in one.arm + one.body])
        for person in people:
            self._carry(image, person.posture)
            self._person(image, person.arm)
            self._person(image, person.body)
        return self._exposed(image, t)

    # --- the shelf ------------------------------------------------------------------------------

    def _surroundings(self) -> Layer:
        width, height = self._size
        picture = np.full((height, width, 3), 0.22, np.float32)
        for patch in self._patches(backdrop.surroundings(self._scene.shelf, self._scale)):
            patch.lay_on(picture)
        return picture

    def _patches(self, found: list[Face]) -> list[Patch]:
        return [self._easel.patch([face]) for face in found]

    def _lined_up(self, place: Place) -> list[Patch]:
        """Return each product of a place on its shadow, the front one first."""
        fronts = [FRONT - number * (place.product.depth + 0.4) for number in range(place.capacity)]
        chance = random.Random(f"packs {self._scene.seed} {place.slot_id}")
        spare = max(0.0, (place.right - place.left - place.product.width) / 2)
        lined = []
        for number, front in enumerate(fronts):
            aside, turn = chance.uniform(-1, 1) * min(spare, 0.5), chance.uniform(-0.22, 0.22)
            drawn = [_shadow(place, front), *self._faces(place, front, aside, turn)]
            lined.append(self._easel.patch(drawn, light=1.0 - 0.20 * number))
        return lined

    def _faces(
        self, place: Place, front: float, aside: float = 0.0, turn: float = 0.0
    ) -> list[Face]:
        lens, product = self._scene.shelf.lens, place.product
        foot = np.array([place.centre + aside, place.floor, front - product.depth / 2])
        top = foot + np.array([0, product.height, 0])
        pose = Pose(
            foot[0], place.floor, front, turn, lens.tilt(foot), lens.tilt(top), float(lens.eye[0])
        )
        return faces(product, pose, self._scale * 1.25)

    def _shelf(self, stock: tuple[int, ...]) -> Image:
        """Return the shelf with so many products, without people, noise and drifting light."""
        if self._stocked is None or self._stocked[0] != stock:
            self._stocked = (stock, self._drawn_shelf(stock))
        return self._stocked[1]

    def _drawn_shelf(self, stock: tuple[int, ...]) -> Image:
        picture = self._empty.copy()
        eye_x = self._scene.shelf.lens.eye[0]
        for row in reversed(range(self._scene.shelf.rows)):
            for patch in self._rooms[row]:
                patch.lay_on(picture)
            standing = [
                (-number, -abs(place.centre - eye_x), index)
                for index, place in enumerate(self._scene.shelf.places)
                for number in range(stock[index])
                if place.row == row
            ]
            for number, _, index in sorted(standing):  # far ones first, then from the sides inwards
                self._packs[index][-number].lay_on(picture)
            for patch in self._rails[row]:
                patch.lay_on(picture)
        picture *= self._vignette
        soft = cv2.GaussianBlur(picture, (0, 0), 0.55 * self._size[0] / 1280)
        return np.asarray(np.clip(soft * _EXPOSURE, 0, 255), np.uint8)

    # --- people ---------------------------------------------------------------------------------

    def _cast_shadows(self, image: Image, parts: list[Part]) -> None:
        """Darken the shelf softly behind people: their outlines, shifted up and blurred."""
        width, height = self._size
        small = (width // 16, height // 16)
        mask = np.zeros(small[::-1], np.uint8)
        for part in parts:
            seen = (self._scene.shelf.lens.project(part.outline) + _SHADOW_SHIFT) * small
            cv2.fillPoly(mask, [np.rint(seen).astype(np.int32)], 70)
        mask = cv2.GaussianBlur(mask, (0, 0), 3.0)
        shade = cv2.resize(255 - mask, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(image, cv2.merge([shade] * 3), image, scale=1 / 255)

    def _person(self, image: Image, parts: list[Part]) -> None:
        """Fill the parts' outlines, then shade each as something round."""
        if not parts:
            return
        outlines = [self._scene.shelf.lens.project(part.outline) * self._size for part in parts]
        every = np.concatenate(outlines)
        left, top = np.clip(np.floor(every.min(axis=0)).astype(int) - 4, 0, self._size)
        right, bottom = np.clip(np.ceil(every.max(axis=0)).astype(int) + 4, 0, self._size)
        if right - left < 2 * _COARSE or bottom - top < 2 * _COARSE:
            return
        roi = image[top:bottom, left:right]
        shade = np.full(
            ((bottom - top) // _COARSE + 1, (right - left) // _COARSE + 1), 235, np.uint8
        )
        for part, outline in zip(parts, outlines, strict=True):
            inside = outline - (left, top)
            cv2.fillPoly(roi, [np.rint(inside * 16).astype(np.int32)], part.colour, cv2.LINE_AA, 4)
            self._shade_part(shade, part, inside / _COARSE)
        full = cv2.resize(shade, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)
        full = np.ascontiguousarray(full[: bottom - top, : right - left])
        cv2.multiply(roi, cv2.merge([full] * 3), roi, scale=1 / 235)

    def _shade_part(self, shade: Image, part: Part, outline: NDArray[np.float64]) -> None:
        low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 2, shade.shape[::-1])
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(mask, [np.rint((outline - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        thin = float(min(np.ptp(outline, axis=0)))
        round_ = cv2.GaussianBlur(mask, (0, 0), max(0.8, thin * 0.17)).astype(np.float32) / 255
        value = 250 * (1 - part.bulge * 0.75 * (1 - round_))
        if part.cloth:
            value *= self._folds[: mask.shape[0], : mask.shape[1]]
        inside = mask.astype(np.float32) / 255
        below = shade[low[1] : high[1], low[0] : high[0]]
        below[:] = np.clip(below * (1 - inside) + value * inside, 0, 255)

    def _carry(self, image: Image, posture: Posture) -> None:
        """Draw the product in a reaching hand: the front one of its place, moved to the hand."""
        if posture.carried is None or posture.hand is None:
            return
        place, held = self._scene.shelf.places[posture.carried], self._held[posture.carried]
        home = np.array([place.centre, place.floor + 0.5 * place.product.height, FRONT])
        lens = self._scene.shelf.lens
        shift = (lens.project(np.array(posture.hand)) - lens.project(home)) * self._size
        held.lay_on_bytes(image, (round(shift[0]), round(shift[1])), _EXPOSURE)

    # --- the camera -----------------------------------------------------------------------------

    def _exposed(self, image: Image, t: float) -> Image:
        """Apply the light of the moment and the sensor's noise."""
        levels = np.arange(256, dtype=np.float64)[:, None] * self._scene.light(t)[None, :]
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]
        image = np.asarray(cv2.LUT(image, table), np.uint8)
        chance = random.Random(f"noise {self._scene.seed} {t:.3f}")
        top, left = chance.randrange(_NOISE_ROOM), chance.randrange(_NOISE_ROOM)
        width, height = self._size
        noise = self._noise[chance.randrange(len(self._noise))]
        noise = noise[top : top + height, left : left + width]
        return np.asarray(cv2.addWeighted(image, 1.0, noise, 1.0, -128.0), np.uint8)


def _shadow(place: Place, front: float) -> Face:
    """What a product darkens of the board it stands on: most at its foot, nothing farther off."""
    product = place.product
    size, border = 24, 6
    dark = np.zeros((size, size), np.float32)
    dark[border:-border, border:-border] = 0.75
    texture = np.zeros((size, size, 4), np.float32)
    texture[..., 3] = cv2.GaussianBlur(dark, (0, 0), border * 0.45)
    half = min(product.width / 2 * 1.25, (place.right - place.left) / 2)
    near, far = front + 0.9, front - product.depth - 1.0
    left, right = place.centre - half, place.centre + half
    corners = [(left, far), (right, far), (right, near), (left, near)]
    return Face(texture, np.array([(x, place.floor, z) for x, z in corners]))


def _vignette(size: tuple[int, int]) -> Layer:
    """The lens gives its corners less light, the lamp strip the picture's upper part more."""
    x = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    return np.asarray((1.03 - 0.10 * (x**2 + y**2) - 0.03 * y)[..., None], np.float32)


def _folds(seed: int) -> NDArray[np.float32]:
    """Soft vertical folds of cloth, 0.8 to 1.1."""
    chance = np.random.default_rng([seed, 2])
    wide = cv2.resize(
        chance.random((14, 30), np.float32), (960, 960), interpolation=cv2.INTER_CUBIC
    )
    fine = cv2.resize(chance.random((60, 240), np.float32), (960, 960))
    return np.asarray(0.78 + 0.30 * wide + 0.10 * fine)


def _noise(seed: int, size: tuple[int, int]) -> list[Image]:
    """Return fields of sensor noise around 128, larger than the picture: grain and tint."""
    chance = np.random.default_rng([seed, 1])
    shape = (size[1] + _NOISE_ROOM, size[0] + _NOISE_ROOM)
    fields = []
    for _ in range(2):
        grain = chance.normal(0, 2.2, (*shape, 1)).astype(np.float32)
        colour = chance.normal(0, 1.4, (*shape, 3)).astype(np.float32)
        field = cv2.GaussianBlur(grain + colour, (3, 3), 0.5)
        fields.append(np.asarray(np.clip(np.rint(field + 128), 0, 255), np.uint8))
    return fields
