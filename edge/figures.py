"""How it went, in figures: from the time spent and the incidents to what the owner reads.

Availability is the share of the time that a slot was stocked, of the time in which it could be
seen; what was not seen is told beside it and never counted as fine. Shares are None where there is
nothing to divide by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from statistics import median
from typing import TypeVar

from edge.history import EPOCH, NOTHING, Incident, Spent, hour_of
from edge.places import Place
from edge.types import Reason, Slot, SlotState, State

Key = TypeVar("Key")

REFILLED = Reason.STOCKED
"""The reason of an incident that was closed because the camera saw the slot filled."""
WRONG = (Reason.NOT_EMPTY,)
"""Closing reasons of false alarms."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the figures are made of, of `days` days, the last of which is today.

    by_day: (slot, day since 1970) → time; by_hour: (slot, 0 … 23) → time; hours: (slot, hour since
    1970) → time, of at least the hours of wrongly_alarmed_s(incidents).
    """

    days: int
    today: int
    by_day: Mapping[tuple[str, int], Spent]
    by_hour: Mapping[tuple[str, int], Spent]
    incidents: Sequence[Incident]
    hours: Mapping[tuple[str, int], Spent] = field(default_factory=dict)

    @property
    def first_hour(self) -> int:
        return first_hour(self.today, self.days)


def first_hour(today: int, days: int) -> int:
    """Return the first hour of so many days, the last of which is today."""
    return 24 * (today - days + 1)


def with_counted(past: Past, counted: Mapping[tuple[str, int], Spent]) -> Past:
    """Return the past with what is not written yet: (slot, hour since 1970) → time."""
    new = [(one, hour, spent) for (one, hour), spent in counted.items() if hour >= past.first_hour]
    return replace(
        past,
        by_day=_sums(
            [*past.by_day.items(), *(((one, hour // 24), spent) for one, hour, spent in new)]
        ),
        by_hour=_sums(
            [*past.by_hour.items(), *(((one, hour % 24), spent) for one, hour, spent in new)]
        ),
        hours=_sums([*past.hours.items(), *(((one, hour), spent) for one, hour, spent in new)]),
    )


@dataclass(frozen=True, slots=True)
class Share:
    availability: float | None
    not_visible: float | None

    @classmethod
    def of(cls, spent: Spent) -> Share:
        seen, whole = spent.seen, spent.whole
        return cls(
            spent.stocked / seen if seen > 0 else None,
            spent.unseen / whole if whole > 0 else None,
        )


@dataclass(frozen=True, slots=True)
class SlotFigures:
    slot: Slot
    place: Place | None
    share: Share
    incidents: int
    median_refill_min: float | None
    empty_min: float


@dataclass(frozen=True, slots=True)
class Stock:
    sku: str | None
    name: str
    slots: int
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Report:
    share: Share
    median_refill_min: float | None
    days: Sequence[tuple[date, Share]]
    slots: Sequence[SlotFigures]
    """Worst first."""
    shelves: Sequence[tuple[str, int, Share]]
    """(camera, row, share)"""
    empty_by_hour: Mapping[str, Sequence[float | None]]
    """Slot, worst first → the share of its seen time in which it was empty, for each hour."""
    stock: Sequence[Stock]


def make_report(
    slots: Sequence[Slot],
    states: Mapping[str, SlotState],
    places: Mapping[str, Place],
    past: Past,
) -> Report:
    """Return the figures of the slots that there are now."""
    known = {slot.slot_id for slot in slots}
    wrong = _wrong(past)
    by_day = {key: spent for key, spent in past.by_day.items() if key[0] in known}
    by_day = _without(wrong, by_day, lambda hour: hour // 24)
    by_hour = _without(wrong, past.by_hour, lambda hour: hour % 24)
    by_slot = _sums((slot_id, spent) for (slot_id, _), spent in by_day.items())
    incidents = [one for one in past.incidents if one.slot_id in known and one.reason not in WRONG]
    figures = _slot_figures(slots, places, by_slot, incidents)
    days = _sums((day, spent) for (_, day), spent in by_day.items())
    first = past.first_hour // 24
    return Report(
        share=Share.of(sum(by_day.values(), NOTHING)),
        median_refill_min=_median_refill_min(incidents),
        days=[
            (_date(day), Share.of(days.get(day, NOTHING))) for day in range(first, past.today + 1)
        ],
        slots=figures,
        shelves=_shelves(slots, places, by_slot),
        empty_by_hour={
            one.slot.slot_id: [
                _empty_share(by_hour.get((one.slot.slot_id, hour), NOTHING)) for hour in range(24)
            ]
            for one in figures
        },
        stock=_stock(slots, states),
    )


def wrongly_alarmed_s(
    incidents: Sequence[Incident], zone: tzinfo | None = None
) -> dict[tuple[str, int], float]:
    """Return (slot, hour since 1970) → seconds in which a false alarm was open.

    False is an alarm that somebody has called not empty. Where that was taken back, another
    incident goes on from the same moment, and what is said of that counts. zone: the shop's; None:
    the machine's.
    """
    last: dict[tuple[str, datetime], Incident] = {}
    for one in sorted(incidents, key=_closed_last):
        last[one.slot_id, one.opened_at] = one
    found: dict[tuple[str, int], float] = {}
    for one in last.values():
        if one.reason not in WRONG or one.closed_at is None:
            continue
        begun_at = one.closed_at - timedelta(seconds=one.open_s or 0.0)
        for hour, lasted_s in _by_hour(begun_at, one.closed_at, zone):
            key = one.slot_id, hour
            found[key] = found.get(key, 0.0) + lasted_s
    return found


def _closed_last(one: Incident) -> tuple[bool, datetime]:
    return one.closed_at is None, one.closed_at or one.opened_at


def _by_hour(begin: datetime, end: datetime, zone: tzinfo | None) -> Iterator[tuple[int, float]]:
    """Yield (hour of the wall clock since 1970, seconds of it) for the time between the two."""
    while begin < end:
        wall = begin.astimezone(zone)
        into = timedelta(minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)
        until = min(end, begin + timedelta(hours=1) - into)
        yield hour_of(begin, zone), (until - begin).total_seconds()
        begin = until


def _wrong(past: Past) -> dict[tuple[str, int], Spent]:
    """Return (slot, hour since 1970) → the time counted as empty or misplaced in wrong alarms.

    An hour with both kinds of alarm, of which one was wrong, does not say which: the empty first.
    """
    found = {}
    for key, lasted_s in wrongly_alarmed_s(past.incidents).items():
        if key[1] >= past.first_hour:
            counted = past.hours.get(key, NOTHING)
            empty_s = min(lasted_s, counted.empty)
            misplaced_s = min(lasted_s - empty_s, counted.misplaced)
            found[key] = Spent(empty=empty_s, misplaced=misplaced_s)
    return found


def _without(
    wrong: Mapping[tuple[str, int], Spent],
    spent: Mapping[tuple[str, int], Spent],
    part: Callable[[int], int],
) -> dict[tuple[str, int], Spent]:
    """Return the time without wrong alarms. part: of an hour since 1970, what `spent` goes by."""
    found = dict(spent)
    for (slot_id, hour), alarmed in wrong.items():
        key = slot_id, part(hour)
        if key in found:
            # The least of them: sums of fractions differ in the last digit.
            empty_s = min(alarmed.empty, found[key].empty)
            misplaced_s = min(alarmed.misplaced, found[key].misplaced)
            found[key] += Spent(empty_s + misplaced_s, -empty_s, -misplaced_s)
    return found


def _slot_figures(
    slots: Sequence[Slot],
    places: Mapping[str, Place],
    by_slot: Mapping[str, Spent],
    incidents: Sequence[Incident],
) -> list[SlotFigures]:
    own: dict[str, list[Incident]] = {slot.slot_id: [] for slot in slots}
    for incident in incidents:
        own[incident.slot_id].append(incident)
    figures = []
    for slot in slots:
        spent, its = by_slot.get(slot.slot_id, NOTHING), own[slot.slot_id]
        refill_min, place = _median_refill_min(its), places.get(slot.slot_id)
        share, empty_min = Share.of(spent), spent.empty / 60
        figures.append(SlotFigures(slot, place, share, len(its), refill_min, empty_min))
    return sorted(figures, key=_worst_first)


def _worst_first(one: SlotFigures) -> tuple[bool, float, float, int]:
    """Order by availability; what was never seen comes last, the longer empty of two first."""
    availability = one.share.availability
    return availability is None, availability or 0.0, -one.empty_min, -one.incidents


def _median_refill_min(incidents: Iterable[Incident]) -> float | None:
    took_s = [one.open_s for one in incidents if one.reason == REFILLED and one.open_s is not None]
    return median(took_s) / 60 if took_s else None


def _shelves(
    slots: Sequence[Slot], places: Mapping[str, Place], by_slot: Mapping[str, Spent]
) -> list[tuple[str, int, Share]]:
    rows = _sums(
        ((slot.camera_id, places[slot.slot_id].row), by_slot.get(slot.slot_id, NOTHING))
        for slot in slots
        if slot.slot_id in places
    )
    return [(camera, row, Share.of(spent)) for (camera, row), spent in sorted(rows.items())]


def _stock(slots: Sequence[Slot], states: Mapping[str, SlotState]) -> list[Stock]:
    """Count the facings of each product; what has no SKU goes by its name."""
    products: dict[tuple[bool, str], list[Slot]] = {}
    for slot in slots:
        products.setdefault((slot.sku is not None, slot.sku or slot.name), []).append(slot)
    found = []
    for facings in products.values():
        known = [states.get(slot.slot_id) for slot in facings]
        counts = dict.fromkeys(State, 0)
        for state in known:
            counts[state.state if state else State.UNKNOWN] += 1
        found.append(Stock(facings[0].sku, facings[0].name, len(facings), counts))
    return found


def _empty_share(spent: Spent) -> float | None:
    return spent.empty / spent.seen if spent.seen > 0 else None


def _sums(parts: Iterable[tuple[Key, Spent]]) -> dict[Key, Spent]:
    found: dict[Key, Spent] = {}
    for key, spent in parts:
        found[key] = found.get(key, NOTHING) + spent
    return found


def _date(day: int) -> date:
    return (EPOCH + timedelta(days=day)).date()
