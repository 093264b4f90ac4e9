"""The rows of the state file: a slot's state and a waiting event as SQLite keeps them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from edge.types import Ack, Denial, Event, EventKind, SlotState, State, Visibility, Votes

# What goes first when there is no room: losing an `updated` costs a detail, losing an `opened`
# or `closed` leaves somebody's list wrong.
_KEEP_RANK = {EventKind.UPDATED: 0, EventKind.OPENED: 2, EventKind.CLOSED: 2}


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event with the payload that is to be sent for it; row orders the outbox."""

    event_id: str
    kind: EventKind
    subject: str
    payload: bytes
    created_at: datetime
    row: int = 0

    @classmethod
    def of(cls, event: Event, payload: bytes) -> QueuedEvent:
        return cls(event.event_id, event.kind, event.subject, payload, event.at)


_COLUMNS = (
    *("slot_id", "state", "visibility", "since", "last_seen", "score", "p_present"),
    *("incident_id", "ack_by", "ack_at", "snooze_until", "seq"),
    *("opened_at", "votes_looks", "votes_of", "denial"),
)
WRITE_SLOT = (
    f"INSERT OR REPLACE INTO slot ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join('?' for _ in _COLUMNS)})"
)
_DENIAL = TypeAdapter(Denial)


def slot_row(state: SlotState) -> tuple[str | float | bytes | None, ...]:
    """Return the values of WRITE_SLOT."""
    return (
        state.slot_id,
        state.state.value,
        state.visibility.value,
        to_text(state.since),
        to_text(state.last_seen),
        state.score,
        state.p_present,
        state.incident_id,
        state.ack.by if state.ack else None,
        to_text(state.ack.at) if state.ack else None,
        to_text(state.snooze_until),
        state.seq,
        to_text(state.opened_at),
        state.votes.looks if state.votes else None,
        state.votes.of if state.votes else None,
        _DENIAL.dump_json(state.denial).decode() if state.denial else None,
    )


def slot_state(row: sqlite3.Row) -> SlotState:
    acked_at, looks = to_time(row["ack_at"]), row["votes_looks"]
    return SlotState(
        slot_id=row["slot_id"],
        state=State(row["state"]),
        visibility=Visibility(row["visibility"]),
        since=to_time(row["since"]),
        last_seen=to_time(row["last_seen"]),
        score=row["score"],
        p_present=row["p_present"],
        incident_id=row["incident_id"],
        ack=Ack(row["ack_by"], acked_at) if acked_at else None,
        snooze_until=to_time(row["snooze_until"]),
        seq=row["seq"],
        opened_at=to_time(row["opened_at"]),
        votes=None if looks is None else Votes(looks, row["votes_of"]),
        denial=_DENIAL.validate_json(row["denial"]) if row["denial"] else None,
    )


def event_row(event: QueuedEvent) -> tuple[str | bytes | int, ...]:
    return (
        event.event_id,
        event.kind.value,
        event.subject,
        event.payload,
        event.created_at.isoformat(),
        _KEEP_RANK.get(event.kind, 1),
    )


def queued_event(row: sqlite3.Row) -> QueuedEvent:
    return QueuedEvent(
        event_id=row["event_id"],
        kind=EventKind(row["kind"]),
        subject=row["subject"],
        payload=row["payload"],
        created_at=datetime.fromisoformat(row["created_at"]),
        row=row["id"],
    )


def to_text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def to_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
