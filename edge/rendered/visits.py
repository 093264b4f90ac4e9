"""One person's visit: the way along the aisle, the stops, the reaches into slots."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from edge.rendered.people import Looks, Posture
from edge.rendered.shelf import FRONT, Shelf

TURN_S = 0.5
REACH_S = 0.9
HOLD_S = 0.35


@dataclass(frozen=True, slots=True)
class Reach:
    """A hand that goes to a slot: out from from_s to grasp_s, back until until_s.

    change is what happens to the number of products at grasp_s: -1, 0 or +1.
    """

    from_s: float
    place: int
    change: int

    @property
    def grasp_s(self) -> float:
        return self.from_s + REACH_S

    @property
    def until_s(self) -> float:
        return self.from_s + 2 * REACH_S + HOLD_S


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's way along the aisle: (seconds, x) corners, standing where x stays the same."""

    looks: Looks
    z: float
    path: tuple[tuple[float, float], ...]
    reaches: tuple[Reach, ...] = ()

    @property
    def start_s(self) -> float:
        return self.path[0][0]

    @property
    def end_s(self) -> float:
        return self.path[-1][0]

    @property
    def still_s(self) -> float:
        """Return how long the person stands in one spot without reaching out, at most."""
        if self.reaches:
            return 0.0
        return max(b[0] - a[0] for a, b in zip(self.path, self.path[1:], strict=False))

    def serves(self, t: float) -> set[int]:
        """Return the places at which the person is at work at t: from first to last reach."""
        return {
            reach.place
            for reach in self.reaches
            if reach.until_s >= t
            and any(one.place == reach.place and one.from_s <= t for one in self.reaches)
        }

    def posture(self, t: float, shelf: Shelf) -> Posture:
        """Return how the person stands at t, which lies between start_s and end_s."""
        leg = bisect.bisect_right([corner[0] for corner in self.path], t) - 1
        leg = min(max(leg, 0), len(self.path) - 2)
        (from_s, from_x), (until_s, until_x) = self.path[leg], self.path[leg + 1]
        share = (t - from_s) / (until_s - from_s)
        if from_x == until_x:
            turned = _ease(min((t - from_s) / TURN_S, (until_s - t) / TURN_S))
            sway = self.looks.sway * math.sin(t * 0.9 + self.start_s)
            x, step = from_x + sway * turned, 0.0
        else:
            turned, x = 0.0, from_x + (until_x - from_x) * share
            step = x / 23.0
        hand, carried = self._hand(t, x, shelf)
        return Posture(x, self.z, self._facing(leg), turned, step, hand, carried)

    def _facing(self, leg: int) -> int:
        after = [b[1] - a[1] for a, b in zip(self.path[leg:], self.path[leg + 1 :], strict=False)]
        return 1 if next((way for way in after if way), 1.0) > 0 else -1

    def _hand(
        self, t: float, x: float, shelf: Shelf
    ) -> tuple[tuple[float, float, float] | None, int | None]:
        reach = next((one for one in self.reaches if one.from_s <= t <= one.until_s), None)
        if reach is None:
            return None, None
        place = shelf.places[reach.place]
        out = _ease(min((t - reach.from_s) / REACH_S, (reach.until_s - t) / REACH_S))
        before = t < reach.grasp_s
        carried = reach.place if (reach.change < 0) != before and reach.change else None
        goal = (place.centre, place.floor + 0.5 * place.product.height, FRONT)
        side = 1 if place.centre >= x else -1
        rest = (x + side * 15.0, self.looks.height * 0.64, self.z - 12)
        hand = tuple(r + (g - r) * out for r, g in zip(rest, goal, strict=True))
        return (hand[0], hand[1], hand[2]), carried


def _ease(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)
