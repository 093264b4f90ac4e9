"""What happens in the rendered store: a seeded sequence of visits, each planned once.

The aisle is two halves. Whoever does something enters and leaves at the near end of one half, so
both live their own lives; a passer-by crosses both. After a visit that emptied or refilled a slot
nobody comes to that half for a while, as in a shop of this size: a minute with pace=1, ten seconds
with pace=6.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from edge.rendered.people import Looks, clerk, shopper
from edge.rendered.shelf import Shelf
from edge.rendered.visits import TURN_S, Reach, Visit

CALM_S = 60.0
"""With pace 1: how long the shop is left alone at first and wherever something has changed.

Who watches it first has to see what is there. The first customer takes the last of a product.
"""
WALK = 78.0
"""Centimetres a second."""
SHOULDERS = 44.0
"""Half of what a body with its arms hides of the shelf's front and its surroundings, in cm."""
WITHIN_REACH = 20.0
"""Places so near to each other are served from one spot, by turns."""

_DECK = ("buyer",) * 8 + ("browser",) * 3 + ("undecided", "passer")


@dataclass(frozen=True, slots=True)
class _Stop:
    """Standing where one is seen at `over`: reaching (place, change) by turns, or just looking."""

    over: float
    reaches: Sequence[tuple[int, int]] = ()
    looking_s: float = 0.0


@dataclass
class _Half:
    """One half of the aisle. end: -1 or 1, the side on which one enters and leaves it."""

    end: int
    places: list[int]
    free_s: float
    deck: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)


class Timeline:
    """All visits, planned as far ahead as somebody asks. Not for two threads at once."""

    def __init__(self, seed: int, shelf: Shelf, pace: float = 1.0, closes_s: float = math.inf):
        self._last_s = closes_s - CALM_S / pace
        self._chance = random.Random(f"visits {seed} {pace}")
        self._shelf, self._pace = shelf, pace
        self._middle = shelf.width / 2
        self._halves = self._both_halves()
        self._stock = self._morning()
        self._changes = [[(0.0, count)] for count in self._stock]

    def visits_at(self, t: float) -> list[Visit]:
        """Return the visits under way at t, the one farthest from the lens first."""
        self._plan_until(t)
        last = (
            half.visits[number - 1]
            for half in self._halves
            if (number := bisect.bisect_right(half.visits, t, key=lambda one: one.start_s))
        )
        return sorted({one for one in last if t < one.end_s}, key=lambda one: (one.z, one.start_s))

    def visits_until(self, t: float) -> list[Visit]:
        """Return all visits that begin before t, in their order."""
        self._plan_until(t)
        begun = {one for half in self._halves for one in half.visits if one.start_s < t}
        return sorted(begun, key=lambda one: one.start_s)

    def stock_at(self, t: float) -> tuple[int, ...]:
        """Return how many products stand in each place at t."""
        self._plan_until(t)
        return tuple(
            row[max(bisect.bisect_right(row, t, key=lambda change: change[0]), 1) - 1][1]
            for row in self._changes
        )

    def _plan_until(self, t: float) -> None:
        """A half's next visit begins at its free_s, so before that everything is settled."""
        while min(half.free_s for half in self._halves) <= t:
            self._plan_next()

    def _both_halves(self) -> list[_Half]:
        places = self._shelf.places
        left = [number for number, place in enumerate(places) if place.centre < self._middle]
        right = [number for number, place in enumerate(places) if place.centre >= self._middle]
        opens_s = CALM_S / self._pace
        halves = [_Half(-1, left, opens_s), _Half(1, right, opens_s)]
        first, other = self._chance.sample(halves, 2)
        first.deck = ["relief", "first"]
        other.free_s = opens_s + self._chance.uniform(20, 40) / math.sqrt(self._pace)
        return halves

    def _morning(self) -> list[int]:
        """The shelf at t = 0: mostly full, one good seller down to its last, one place empty."""
        first = next(half for half in self._halves if half.deck)
        other = next(half for half in self._halves if not half.deck)
        stock = [
            self._chance.choice([1, 2, place.capacity, place.capacity])
            for place in self._shelf.places
        ]
        self._opener = self._chance.choice(
            [n for n in first.places if self._depth(first, n) < self._middle * 0.7]
        )
        stock[self._opener] = 1
        stock[self._chance.choice(other.places)] = 0
        return stock

    # --- planning -------------------------------------------------------------------------------

    def _plan_next(self) -> None:
        half = min(self._halves, key=lambda one: one.free_s)
        kind = self._kind(half)
        visit = self._planned(kind, half)
        if visit.end_s > self._last_s:
            half.free_s = math.inf
            return
        before = list(self._stock)
        crossed = self._halves if kind == "passer" else [half]
        for reach in visit.reaches:
            if reach.change:
                self._stock[reach.place] += reach.change
                self._changes[reach.place].append((reach.grasp_s, self._stock[reach.place]))
        turned = any((a == 0) != (b == 0) for a, b in zip(before, self._stock, strict=True))
        pause = CALM_S if turned else self._chance.uniform(3, 12)
        idle = 0.0 if kind == "first" else self._chance.uniform(1, 16)
        for one in crossed:
            one.visits.append(visit)
            one.free_s = visit.end_s + (pause + idle) / self._pace + 0.5

    def _kind(self, half: _Half) -> str:
        if not half.deck:
            half.deck = self._chance.sample(_DECK, len(_DECK))
        empty = sum(self._stock[number] == 0 for number in half.places)
        wanted = half.deck[-1]
        called = empty >= 3 or (empty >= 1 and self._chance.random() < 0.4)
        if called and not self._clerk_is_busy(half) and wanted in ("buyer", "undecided"):
            return "clerk"
        return half.deck.pop()

    def _clerk_is_busy(self, half: _Half) -> bool:
        """There is one clerk: whether the other half has the only one when this half is free."""
        others = [one.visits[-1] for one in self._halves if one is not half and one.visits]
        return any(visit.looks.clerk and visit.end_s > half.free_s for visit in others)

    def _planned(self, kind: str, half: _Half) -> Visit:
        match kind:
            case "first":
                return self._visit(half, self._stops(half, {self._opener: [-1]}), looking_s=0.4)
            case "relief":
                return self._refill(half, [self._opener])
            case "clerk":
                return self._refill(half, self._wanting(half))
            case "buyer":
                return self._purchase(half)
            case "undecided":
                return self._change_of_mind(half)
            case "browser":
                return self._still_look(half)
            case _:
                return self._passing()

    def _purchase(self, half: _Half) -> Visit:
        """Takes one to all of one or two products; what sells well is what is nearly gone."""
        offered = [number for number in half.places if self._stock[number]]
        if not offered:
            return self._still_look(half)
        weights = [1 / self._stock[number] for number in offered]
        errands: dict[int, list[int]] = {}
        for _ in range(self._chance.choice([1, 2, 2])):
            number = self._chance.choices(offered, weights)[0]
            left = self._stock[number]
            count = left if self._chance.random() < 0.75 else self._chance.randint(1, left)
            errands[number] = [-1] * count
        return self._visit(half, self._stops(half, errands))

    def _wanting(self, half: _Half) -> list[int]:
        """Return what is empty, and one more place that is nearly so."""
        empty = [number for number in half.places if self._stock[number] == 0]
        low = [n for n in half.places if self._stock[n] == 1 < self._shelf.places[n].capacity]
        return empty + self._chance.sample(low, min(len(low), 1))

    def _refill(self, half: _Half, wanted: Sequence[int]) -> Visit:
        """The clerk fills places up, or nearly up."""
        errands = {}
        for number in wanted:
            room = self._shelf.places[number].capacity - self._stock[number]
            errands[number] = [1] * self._chance.randint(max(1, room - 1), room)
        return self._visit(half, self._stops(half, errands), looks=clerk(self._chance))

    def _change_of_mind(self, half: _Half) -> Visit:
        """Touches one product and leaves it, takes another and puts it back."""
        several = [number for number in half.places if self._stock[number] >= 2]
        errands = {self._chance.choice(half.places): [0]}
        if several:
            errands[self._chance.choice(several)] = [-1, 1]
        return self._visit(half, self._stops(half, errands))

    def _still_look(self, half: _Half) -> Visit:
        """Stands still for a minute or more, before an empty slot if there is one."""
        empty = [number for number in half.places if self._stock[number] == 0]
        before = self._shelf.places[self._chance.choice(empty or half.places)]
        over = self._within(half, before.centre + self._chance.uniform(-12, 12))
        looking_s = max(8.0, self._chance.uniform(62, 85) / self._pace)
        return self._visit(half, [_Stop(over, looking_s=looking_s)])

    def _passing(self) -> Visit:
        way = self._chance.choice([-1, 1])
        half = self._halves[0 if way > 0 else 1]
        start_s = max(one.free_s for one in self._halves)
        return self._visit(half, [], start_s=start_s, leave=way)

    # --- ways -----------------------------------------------------------------------------------

    def _stops(self, half: _Half, errands: Mapping[int, Sequence[int]]) -> list[_Stop]:
        """Return where one stands for errands (place → changes), the deepest first.

        One reaches back, away from the way out, and then hides the places no more.
        """
        spots: list[list[int]] = []
        for number in self._deepest_first(half, errands):
            depth = self._depth(half, number)
            if spots and self._depth(half, spots[-1][0]) - depth < WITHIN_REACH:
                spots[-1].append(number)
            else:
                spots.append([number])
        stops = []
        for spot in spots:
            outermost = self._shelf.places[spot[-1]].centre
            over = self._within(half, outermost + half.end * self._chance.uniform(24, 33))
            rounds = zip_longest(*([(n, change) for change in errands[n]] for n in spot))
            reaches = [reach for one_round in rounds for reach in one_round if reach]
            stops.append(_Stop(over, reaches))
        return stops

    def _within(self, half: _Half, over: float) -> float:
        """A spot from which the body hides nothing of the other half."""
        return half.end * max(half.end * over, half.end * self._middle + SHOULDERS)

    def _depth(self, half: _Half, number: int) -> float:
        centre = self._shelf.places[number].centre
        return centre if half.end < 0 else self._shelf.width - centre

    def _deepest_first(self, half: _Half, numbers: Iterable[int]) -> list[int]:
        return sorted(numbers, key=lambda number: (-self._depth(half, number), number))

    def _visit(
        self,
        half: _Half,
        stops: Sequence[_Stop],
        looks: Looks | None = None,
        start_s: float | None = None,
        leave: int | None = None,
        looking_s: float = 1.0,
    ) -> Visit:
        """Walk in at the half's end, make the stops without ever turning deeper in, walk out."""
        z = self._chance.uniform(38, 46)
        outside = {-1: self._x(-52, z), 1: self._x(self._shelf.width + 52, z)}
        looks = looks or shopper(self._chance)
        path = [(half.free_s if start_s is None else start_s, outside[half.end])]
        reaches: list[Reach] = []
        over = -half.end * math.inf
        for stop in stops:
            over = half.end * max(half.end * over, half.end * stop.over)
            path.append(self._walk(path[-1], self._x(over, z)))
            t = path[-1][0] + TURN_S + stop.looking_s + looking_s * self._chance.uniform(0.5, 1.5)
            for number, change in stop.reaches:
                reaches.append(Reach(t, number, change))
                t = reaches[-1].until_s + self._chance.uniform(0.1, 0.5)
            path.append((t + TURN_S, path[-1][1]))
        path.append(self._walk(path[-1], outside[half.end if leave is None else leave]))
        return Visit(looks, z, tuple(path), tuple(reaches))

    def _x(self, over: float, z: float) -> float:
        return self._shelf.lens.standing(over, z)

    def _walk(self, start: tuple[float, float], x: float) -> tuple[float, float]:
        return start[0] + max(abs(x - start[1]) / WALK, 0.1), x
