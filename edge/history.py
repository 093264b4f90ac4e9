"""What a node remembers of the past: time by state and hour, incidents, and what people did.

Pure but for the node's time zone. Hours are those of the shop's wall clock, so that a day is the
shop's day also where the clock changes: then one hour of the year holds two, and one none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from edge.types import Event, EventKind, Moment, Reason, SlotState, State, Visibility

KEEP = timedelta(days=90)
BLOCKED_FOR_S = 60.0  # for so long a slot somebody stands in front of counts as it was
MISSED_S = 60.0  # more between two rounds means the PC was suspended: not counted as watched
STEP_S = 1.0
EPOCH = datetime(1970, 1, 1)

Kind = Literal["stocked", "empty", "misplaced", "unseen"]
KINDS: tuple[Kind, ...] = ("stocked", "empty", "misplaced", "unseen")
_COUNTS_AS: dict[State, Kind] = {
    State.STOCKED: "stocked",
    State.EMPTY: "empty",
    State.MISPLACED: "misplaced",
}
OPENED, CLOSED = "opened", "closed"
_SEEN = {EventKind.OPENED: OPENED, EventKind.CLOSED: CLOSED}
"""What a deed is called that nobody did: the camera saw it."""
_DONE = {
    EventKind.OPENED: (Reason.UNDO_NOT_EMPTY,),
    EventKind.UPDATED: (Reason.ACK, Reason.RELEASE, Reason.SNOOZE, Reason.SNOOZE_ENDED),
    EventKind.CLOSED: (Reason.NOT_EMPTY,),
}
"""What people do, and the event that it makes."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by what was stated; unseen: nobody could say."""

    stocked: float = 0.0
    empty: float = 0.0
    misplaced: float = 0.0
    unseen: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.stocked + other.stocked,
            self.empty + other.empty,
            self.misplaced + other.misplaced,
            self.unseen + other.unseen,
        )

    @property
    def seen(self) -> float:
        return self.stocked + self.empty + self.misplaced

    @property
    def whole(self) -> float:
        return self.seen + self.unseen


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident; closed_at, reason and open_s are None while it is open."""

    incident_id: str
    slot_id: str
    opened_at: datetime
    acked_at: datetime | None = None
    closed_at: datetime | None = None
    reason: str | None = None
    """A Reason; a state file may know others."""
    open_s: float | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that happened to an incident, for the list of the last minutes."""

    at: datetime
    slot_id: str
    kind: str
    """OPENED, CLOSED, or the Reason of what somebody did."""
    incident_id: str
    by: str | None = None
    open_s: float | None = None
    """For how long it has been open, where it was closed."""


@dataclass(slots=True)
class Entry:
    """What one transaction adds to the past; before: nothing older is kept (an hour, a time)."""

    hours: Mapping[tuple[str, int], Spent] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    before: tuple[int, datetime] | None = None

    def __bool__(self) -> bool:
        return bool(self.hours or self.incidents or self.deeds or self.before)


class Tally:
    """Adds up seconds by slot, hour and state. Only the monotonic clock says how many."""

    def __init__(self, now: Moment, zone: tzinfo | None = None):
        """zone: the shop's; None: the machine's."""
        self._zone, self._until_s = zone, now.clock_s
        self._rows: dict[tuple[str, int], dict[Kind, float]] = {}

    @property
    def hours(self) -> dict[tuple[str, int], Spent]:
        """(slot id, hour of the wall clock since 1970) → what has been counted since `clear`.

        Another thread may ask as well.
        """
        return {key: Spent(**row) for key, row in list(self._rows.items())}

    def add(self, states: Iterable[SlotState], now: Moment, blind: bool = False) -> None:
        """Count the time since the last call for what the slots have been until now.

        blind: nothing that was seen could be taken over, so nothing was.
        """
        passed_s = now.clock_s - self._until_s
        if passed_s < STEP_S:
            return
        self._until_s = now.clock_s
        hour, unseen = hour_of(now.at, self._zone), blind or passed_s > MISSED_S
        for state in states:
            row = self._rows.get((state.slot_id, hour))
            if row is None:
                row = self._rows[state.slot_id, hour] = dict.fromkeys(KINDS, 0.0)
            row["unseen" if unseen else counts_as(state, now.clock_s)] += passed_s

    def clear(self) -> None:
        self._rows = {}


def counts_as(state: SlotState, clock_s: float) -> Kind:
    """Return what the time is counted as in which a slot is like this.

    What is stale or unknown is not seen, nor what somebody has hidden for long.
    """
    if state.state is State.UNKNOWN or state.visibility is Visibility.STALE:
        return "unseen"
    if state.visibility is Visibility.BLOCKED and (
        state.clear_s is None or clock_s - state.clear_s > BLOCKED_FOR_S
    ):
        return "unseen"
    return _COUNTS_AS[state.state]


def hour_of(at: datetime, zone: tzinfo | None = None) -> int:
    """Return the hour of the wall clock since 1970 in the zone, by default the machine's."""
    wall = at.astimezone(zone).replace(tzinfo=None)
    return int((wall - EPOCH).total_seconds() // 3600)


def deed_of(event: Event, before: SlotState, now: Moment) -> Deed | None:
    """Return what people read of an event; None: nothing. before: the slot's state until then."""
    if event.reason in _DONE.get(event.kind, ()):
        kind = str(event.reason)
    elif event.kind in _SEEN:
        kind = _SEEN[event.kind]
    else:
        return None
    open_s = open_for_s(before, now) if event.kind is EventKind.CLOSED else None
    return Deed(event.at, before.slot_id, kind, event.incident_id or "", event.by, open_s)


def incident_of(event: Event, before: SlotState, after: SlotState, now: Moment) -> Incident:
    """Return the incident as the event leaves it."""
    acked = after.ack or before.ack
    incident = Incident(
        event.incident_id or "",
        before.slot_id,
        after.opened_at or before.opened_at or event.at,
        acked.at if acked else None,
    )
    if event.kind is not EventKind.CLOSED:
        return incident
    return Incident(
        incident.incident_id,
        incident.slot_id,
        incident.opened_at,
        incident.acked_at,
        event.at,
        event.reason,
        open_for_s(before, now),
    )


def open_incident(state: SlotState) -> Incident | None:
    """Return the incident that is open in a slot."""
    if state.incident_id is None or state.opened_at is None:
        return None
    acked_at = state.ack.at if state.ack else None
    return Incident(state.incident_id, state.slot_id, state.opened_at, acked_at)


def open_for_s(state: SlotState, now: Moment) -> float | None:
    return None if state.opened_s is None else max(0.0, now.clock_s - state.opened_s)
