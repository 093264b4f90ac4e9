"""The rendered store as a world: what stands on the shelf, who stands before it, how it is lit.

Everything is a function of (seed, t): the same seed gives the same world at every t, whatever was
asked before. edge.rendered.renderer draws it; truth() says what really happened in it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.rendered.people import Part, Posture, arm, body
from edge.rendered.shelf import Shelf, build_shelf
from edge.rendered.timeline import Timeline
from edge.rendered.visits import Visit
from edge.truth import OCCLUDED
from edge.types import Slot, State

CAMERA_ID = "demo"
TRUTH_FPS = 5.0
HIDDEN = 0.08
"""A slot counts as occluded when somebody hides more than this share of it."""
GLIMPSE_S = 2.5

_GRID = (480, 270)
"""Width and height of the mask in which hidden shares are counted."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at one moment.

    arm is the one that reaches into the shelf, behind the body; serves are the places, as
    numbers, that the hand will reach into again.
    """

    posture: Posture
    arm: list[Part]
    body: list[Part]
    serves: set[int]


class Scene:
    """A shelf of rows × columns slots in a small shop.

    pace says how soon visits follow one another: with 1 nobody comes near a slot that has just
    been emptied or refilled for a minute, with 6 for ten seconds. People move at the same speed.
    Nobody changes anything in the last such minute before closes_s, and then nobody is left.
    """

    def __init__(
        self,
        seed: int,
        rows: int = 2,
        columns: int = 12,
        pace: float = 1.0,
        closes_s: float = math.inf,
    ):
        self.seed = seed
        self.shelf: Shelf = build_shelf(seed, rows, columns)
        self._timeline = Timeline(seed, self.shelf, pace, closes_s)
        self._lamps = _Lamps(seed)

    def slots(self, camera_id: str = CAMERA_ID) -> tuple[Slot, ...]:
        """Return the planogram of the shelf, the topmost row first."""
        return tuple(
            Slot(
                place.slot_id, camera_id, self.shelf.quad(place), place.product.name,
                place.product.sku, place.priority,
            )
            for place in self.shelf.places
        )  # fmt: skip

    def stock(self, t: float) -> tuple[int, ...]:
        """Return how many products stand in each slot at t, in the order of slots()."""
        return self._timeline.stock_at(t)

    def people(self, t: float) -> list[Person]:
        """Return who is there at t, the one farthest from the lens first."""
        return [
            Person(posture, arm(visit.looks, posture), body(visit.looks, posture), visit.serves(t))
            for visit in self._timeline.visits_at(t)
            for posture in [visit.posture(t, self.shelf)]
        ]

    def light(self, t: float) -> NDArray[np.float64]:
        """Return the light's strength at t for blue, green and red; 1 is what it was set up for."""
        return self._lamps.at(t)

    def visits(self, until_s: float) -> list[Visit]:
        """Return every visit that begins before until_s."""
        return self._timeline.visits_until(until_s)

    def truth(self, until_s: float) -> dict[str, Any]:
        """Return what really happened from 0 to until_s, in the format of truth.json.

        Sampled TRUTH_FPS times a second. A slot is occluded while a body or an arm hides it, and
        from a hand's first reach into it to its last; a glimpse in between does not count.
        """
        slots = self.slots()
        seen: dict[str, list[dict[str, Any]]] = {slot.slot_id: [] for slot in slots}
        for t, stock, hidden in self._moments(until_s, _SlotMasks(slots)):
            for slot, count, share in zip(slots, stock, hidden, strict=True):
                state = OCCLUDED if share > HIDDEN else str(_state(count))
                entries = seen[slot.slot_id]
                if not entries or entries[-1]["state"] != state:
                    entries.append({"t": t, "state": state})
        return {
            "source": f"demo:?seed={self.seed}",
            "camera": CAMERA_ID,
            "fps": TRUTH_FPS,
            "size": [1280, 720],
            "slots": list(seen),
            "truth": {slot_id: _without_glimpses(entries) for slot_id, entries in seen.items()},
        }

    def _moments(
        self, until_s: float, masks: _SlotMasks
    ) -> Iterator[tuple[float, tuple[int, ...], NDArray[np.float64]]]:
        """Yield (t, stock, hidden share of each slot) for t = 0 and whenever anything moved."""
        before: object = None
        for number in range(int(until_s * TRUTH_FPS) + 1):
            t = round(number / TRUTH_FPS, 3)
            people = self.people(t)
            now = (self.stock(t), [(person.posture, person.serves) for person in people])
            if now == before:
                continue
            before = now
            parts = [part.outline for one in people for part in one.arm + one.body]
            seen = self.shelf.lens.project(np.concatenate(parts)) if parts else np.zeros((0, 2))
            hidden = masks.hidden(seen, [len(part) for part in parts])
            hidden[[place for person in people for place in person.serves]] = 1.0
            yield t, now[0], hidden


def _without_glimpses(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for entry, after in zip(entries, [*entries[1:], None], strict=True):
        follows = kept[-1]["state"] if kept else None
        if follows == entry["state"]:
            continue
        if after and follows == after["state"] == OCCLUDED and after["t"] - entry["t"] < GLIMPSE_S:
            continue
        kept.append(entry)
    return kept


def _state(count: int) -> State:
    return State.STOCKED if count else State.EMPTY


class _SlotMasks:
    """Counts which share of each slot lies under some outlines, on a coarse grid."""

    def __init__(self, slots: tuple[Slot, ...]):
        found = []
        for slot in slots:
            mask = np.zeros(_GRID[::-1], np.uint8)
            cv2.fillConvexPoly(mask, _on_grid(np.array(slot.quad)), 1)
            found.append(np.flatnonzero(mask))
        self._pixels = np.concatenate(found)
        self._starts = np.cumsum([0] + [len(one) for one in found[:-1]])
        self._sizes = np.array([len(one) for one in found])

    def hidden(self, corners: NDArray[np.float64], lengths: list[int]) -> NDArray[np.float64]:
        """Return a share per slot.

        corners: (n, 2) fractions of the picture, the outlines one after another, so long each.
        """
        mask = np.zeros(_GRID[::-1], np.uint8)
        for outline in np.split(_on_grid(corners), np.cumsum(lengths)[:-1]):
            if len(outline):
                cv2.fillPoly(mask, [outline], 1)
        covered = np.add.reduceat(mask.ravel()[self._pixels], self._starts, dtype=np.int64)
        return np.asarray(covered / self._sizes)


def _on_grid(outline: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(outline * _GRID).astype(np.int32)


class _Lamps:
    """Light that drifts by up to 15 % and between warm and cold, and a lamp that goes on or off."""

    def __init__(self, seed: int):
        chance = random.Random(f"lamps {seed}")
        self._waves = [
            (share, chance.uniform(*period), chance.uniform(0, 2 * math.pi))
            for share, period in ((0.07, (240, 420)), (0.04, (900, 1500)), (0.015, (41, 67)))
        ]
        self._warmth = (chance.uniform(500, 900), chance.uniform(0, 2 * math.pi))
        self._lamp = (chance.uniform(260, 420), chance.uniform(0, 400), 0.025)

    def at(self, t: float) -> NDArray[np.float64]:
        level = 1.0 + sum(
            share * math.sin(2 * math.pi * t / period + phase)
            for share, period, phase in self._waves
        )
        every_s, offset, step = self._lamp
        if (t + offset) // every_s % 2:
            level -= step
        period, phase = self._warmth
        warm = 0.02 * math.sin(2 * math.pi * t / period + phase)
        return np.array([level * (1 - warm), level, level * (1 + warm)])
