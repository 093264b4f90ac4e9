"""The past in the state file: its tables are written in the transaction of what happens now."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from edge.history import Deed, Entry, Incident, Spent
from edge.state_rows import to_text, to_time

TABLES = """
CREATE TABLE spent (
    slot_id TEXT NOT NULL, hour INTEGER NOT NULL, stocked REAL NOT NULL, empty REAL NOT NULL,
    misplaced REAL NOT NULL, unseen REAL NOT NULL, PRIMARY KEY (slot_id, hour)
) WITHOUT ROWID;
CREATE TABLE incident (
    incident_id TEXT PRIMARY KEY, slot_id TEXT NOT NULL, opened_at TEXT NOT NULL, acked_at TEXT,
    closed_at TEXT, reason TEXT, open_s REAL
) WITHOUT ROWID;
CREATE INDEX incident_by_time ON incident (closed_at);
CREATE TABLE deed (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, slot_id TEXT NOT NULL, kind TEXT NOT NULL,
    incident_id TEXT NOT NULL, by TEXT, open_s REAL
);
CREATE INDEX deed_by_time ON deed (at);
"""


def write(db: sqlite3.Connection, entry: Entry) -> None:
    """Add to the past, and forget what is older than is kept."""
    if entry.before is not None:
        _forget(db, *entry.before)
    db.executemany(
        "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " stocked = stocked + excluded.stocked, empty = empty + excluded.empty,"
        " misplaced = misplaced + excluded.misplaced, unseen = unseen + excluded.unseen",
        [
            (slot_id, hour, one.stocked, one.empty, one.misplaced, one.unseen)
            for (slot_id, hour), one in entry.hours.items()
        ],
    )
    db.executemany(
        "INSERT INTO incident VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " acked_at = coalesce(acked_at, excluded.acked_at), closed_at = excluded.closed_at,"
        " reason = excluded.reason, open_s = excluded.open_s",
        [_incident_row(incident) for incident in entry.incidents],
    )
    db.executemany(
        "INSERT INTO deed (at, slot_id, kind, incident_id, by, open_s) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (one.at.isoformat(), one.slot_id, one.kind, one.incident_id, one.by, one.open_s)
            for one in entry.deeds
        ],
    )


def _forget(db: sqlite3.Connection, hour: int, at: datetime) -> None:
    """Forget what was before, unless that is more than would stay: the clock is wrong more likely.

    So each hour takes one hour along, and a clock that is years ahead for a while nothing.
    """
    hours = "SELECT count(DISTINCT hour) FROM spent WHERE hour"
    (older,), (newer,) = (db.execute(f"{hours} {is_} ?", (hour,)).fetchone() for is_ in ("<", ">="))
    if older > newer:
        return
    db.execute("DELETE FROM spent WHERE hour < ?", (hour,))
    db.execute("DELETE FROM incident WHERE closed_at < ?", (at.isoformat(),))
    db.execute("DELETE FROM deed WHERE at < ?", (at.isoformat(),))


def by_day(db: sqlite3.Connection, first: int) -> dict[tuple[str, int], Spent]:
    """Return (slot, day of the wall clock since 1970) → the time spent, from that hour on."""
    return _summed(db, "hour / 24", first)


def by_hour_of_day(db: sqlite3.Connection, first: int) -> dict[tuple[str, int], Spent]:
    """Return (slot, 0 … 23) → the time spent, from that hour on."""
    return _summed(db, "hour % 24", first)


def _summed(db: sqlite3.Connection, part: str, first: int) -> dict[tuple[str, int], Spent]:
    rows = db.execute(
        f"SELECT slot_id, {part} AS part, sum(stocked), sum(empty), sum(misplaced), sum(unseen)"
        " FROM spent WHERE hour >= ? GROUP BY 1, 2",
        (first,),
    )
    return {(row["slot_id"], row["part"]): Spent(*tuple(row)[2:]) for row in rows}


def of_hours(
    db: sqlite3.Connection, keys: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], Spent]:
    """Return the time spent in each (slot, hour of the wall clock since 1970) that is known."""
    query = "SELECT stocked, empty, misplaced, unseen FROM spent WHERE slot_id = ? AND hour = ?"
    rows = ((key, db.execute(query, key).fetchone()) for key in keys)
    return {key: Spent(*row) for key, row in rows if row is not None}


def incidents(db: sqlite3.Connection, since: datetime) -> list[Incident]:
    """Return the incidents that are open or were closed since then, oldest first."""
    rows = db.execute(
        "SELECT * FROM incident WHERE closed_at IS NULL OR closed_at >= ? ORDER BY opened_at",
        (since.isoformat(),),
    )
    return [_incident(row) for row in rows]


def deeds(db: sqlite3.Connection, since: datetime) -> list[Deed]:
    """Return what was done since then, newest first."""
    rows = db.execute("SELECT * FROM deed WHERE at >= ? ORDER BY id DESC", (since.isoformat(),))
    return [
        Deed(
            datetime.fromisoformat(row["at"]),
            row["slot_id"],
            row["kind"],
            row["incident_id"],
            row["by"],
            row["open_s"],
        )
        for row in rows
    ]


def _incident_row(one: Incident) -> tuple[str | float | None, ...]:
    return (
        one.incident_id,
        one.slot_id,
        one.opened_at.isoformat(),
        to_text(one.acked_at),
        to_text(one.closed_at),
        one.reason,
        one.open_s,
    )


def _incident(row: sqlite3.Row) -> Incident:
    return Incident(
        row["incident_id"],
        row["slot_id"],
        datetime.fromisoformat(row["opened_at"]),
        to_time(row["acked_at"]),
        to_time(row["closed_at"]),
        row["reason"],
        row["open_s"],
    )
