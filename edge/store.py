"""The state file: what is known of each slot, what is to be told, what was told last, the past.

A change of a slot, its retained documents and its event are one transaction, so that neither a
crash nor a full disk can leave a state nobody hears of or an event without its state. Delivery
reads from here and forgets an event only when the broker has it.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge import past, state_rows
from edge.errors import StoreError
from edge.history import Deed, Entry
from edge.state_rows import QueuedEvent
from edge.statefile import STATE_FILE, hold, is_damage, open_or_begin_anew, open_to_read
from edge.types import SlotState

log = logging.getLogger(__name__)

MAX_EVENTS = 100_000  # about 100 MB; a busy shop of 160 slots fills it in some weeks
RESERVE_BYTES = 64 * 2**20  # with less free disk than this the outbox grows no further …
LOW_DISK_EVENTS = 1_000  # … beyond this many events


@dataclass(frozen=True, slots=True)
class Document:
    """What a retained topic below stock/<node>/ should hold; an empty payload removes it."""

    topic: str
    payload: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait, since when the oldest does, and how many were given up so far."""

    count: int
    oldest_at: datetime | None
    dropped: int

    def oldest_s(self, at: datetime) -> float | None:
        """Return how long the oldest has waited by then; a clock that was set back makes it 0."""
        return max(0.0, (at - self.oldest_at).total_seconds()) if self.oldest_at else None


class Store:
    """One SQLite file. Every method may be called from any thread.

    All of them raise StoreError when the file cannot be read or written now; then nothing of
    that call has been written, and the same call may succeed later.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_events: int = MAX_EVENTS,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        """Open directory/state.db, creating both where they are missing.

        A file that is damaged is moved aside, which the log says, and a new one is begun. Raises
        StoreError where it cannot be written, where another daemon holds it, and where a newer
        version of the program wrote it.
        """
        self.path = directory / STATE_FILE
        self.news = threading.Event()
        """Set after each record(), so that delivery need not ask again and again."""
        self.generation = 0
        """How many new files were begun. One that is begun while others know what was in a damaged
        one holds nothing of that, and its numbers begin again."""
        self._max_events, self._reserve_bytes = max_events, reserve_bytes
        self._lock = threading.Lock()
        self._dropping = False
        self._db: sqlite3.Connection | None = None
        self._held = hold(directory)
        try:
            with self._explained("open"):
                self._opened()
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._drop_connection()
            self._held.close()

    def states(self) -> dict[str, SlotState]:
        """Return what is known of each slot, as far as it outlives a restart."""
        with self._reading() as db:
            found = db.execute("SELECT * FROM slot").fetchall()
        return {row["slot_id"]: state_rows.slot_state(row) for row in found}

    def record(
        self,
        states: Iterable[SlotState] = (),
        documents: Mapping[str, bytes | None] | None = None,
        events: Iterable[QueuedEvent] = (),
        forget_slots: Iterable[str] = (),
        history: Entry | None = None,
    ) -> None:
        """Write all of it in one transaction, or raise StoreError and write nothing.

        documents: retained topics below stock/<node>/, e.g. "slot/a1/state"; None or b"" removes
        one. Where the outbox is full, events are dropped and counted, `updated` first.
        """
        events = list(events)
        dropped = 0
        with self._writing() as db:
            db.executemany(state_rows.WRITE_SLOT, [state_rows.slot_row(state) for state in states])
            db.executemany("DELETE FROM slot WHERE slot_id = ?", [(slot,) for slot in forget_slots])
            for topic, payload in (documents or {}).items():
                _write_document(db, topic, payload or b"")
            if history:
                past.write(db, history)
            if events:
                room_for = self._room(db)
                db.executemany(
                    "INSERT INTO outbox (event_id, kind, subject, payload, created_at, keep_rank)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    [state_rows.event_row(event) for event in events],
                )
                dropped = _drop_beyond(db, room_for)
        if dropped and not self._dropping:
            log.warning("the outbox is full: old events are dropped to make room for new ones")
        if events:
            self._dropping = dropped > 0
        self.news.set()

    def documents(self, newer_than: int = 0) -> list[Document]:
        """Return the retained documents written after that version, oldest first."""
        with self._reading() as db:
            found = db.execute(
                "SELECT * FROM document WHERE version > ? ORDER BY version", (newer_than,)
            ).fetchall()
        return [Document(row["topic"], row["payload"], row["version"]) for row in found]

    def document(self, topic: str) -> bytes | None:
        """Return what that retained topic should hold now."""
        with self._reading() as db:
            row = db.execute("SELECT payload FROM document WHERE topic = ?", (topic,)).fetchone()
        return row["payload"] if row and row["payload"] else None

    def forget_removed(self, sent: Iterable[Document]) -> None:
        """Drop the memory of topics that the broker has emptied, unless written again since."""
        versions = [(document.version,) for document in sent if not document.payload]
        if versions:
            with self._writing() as db:
                db.executemany("DELETE FROM document WHERE version = ?", versions)

    def oldest_events(self, limit: int = 1) -> list[QueuedEvent]:
        """Return the events that have waited longest, oldest first."""
        with self._reading() as db:
            found = db.execute("SELECT * FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
        return [state_rows.queued_event(row) for row in found]

    def newest_row(self) -> int:
        """Return the row of the newest event that ever waited here; 0 if none did."""
        with self._reading() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return row["seq"] if row else 0

    def forget(self, arrived: Iterable[QueuedEvent], dropped: Iterable[QueuedEvent] = ()) -> None:
        """Take events out of the outbox: those that arrived, and those nobody will ever get."""
        with self._writing() as db:
            _count_dropped(db, _delete_events(db, dropped))
            _delete_events(db, arrived)

    def backlog(self) -> Backlog:
        with self._reading() as db:
            count = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
            oldest = db.execute("SELECT created_at FROM outbox ORDER BY id LIMIT 1").fetchone()
            dropped = db.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()[0]
        return Backlog(count, state_rows.to_time(oldest["created_at"]) if oldest else None, dropped)

    @contextlib.contextmanager
    def looking_back(self) -> Iterator[sqlite3.Connection]:
        """Give a connection of its own, to read from: a long read blocks no writer."""
        with self._explained("read", another=True), open_to_read(self.path) as db:
            yield db

    def deeds(self, since: datetime) -> list[Deed]:
        """Return what happened to incidents since then, newest first."""
        with self._reading() as db:
            return past.deeds(db, since)

    def _room(self, db: sqlite3.Connection) -> int:
        """Return how many events may wait. A filling disk ends growth, it throws nothing away."""
        if shutil.disk_usage(self.path.parent).free >= self._reserve_bytes:
            return self._max_events
        waiting: int = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        return min(self._max_events, max(waiting, LOW_DISK_EVENTS))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained("read"):
            yield self._opened()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained("write"):
            db = self._opened()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite has rolled back by itself where it had to
                    db.execute("ROLLBACK")
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._held.closed:
            raise StoreError(f"{self.path}: the state file has been closed")
        if self._db is None:
            self._db, is_new = open_or_begin_anew(self.path)
            self.generation += is_new
        return self._db

    def _drop_connection(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _explained(self, verb: str, another: bool = False) -> Iterator[None]:
        """Turn trouble with the file into StoreError; another: with a connection not ours."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
                raise  # a bug of ours, not trouble with the file
            if is_damage(error) and not another:
                self._drop_connection()  # the next call opens it anew, and then moves it aside
            raise StoreError(f"{self.path}: cannot {verb} the state file: {error}") from error


def _write_document(db: sqlite3.Connection, topic: str, payload: bytes) -> None:
    """Give the topic a new version, unless nothing was ever there to be removed."""
    if payload or db.execute("SELECT 1 FROM document WHERE topic = ?", (topic,)).fetchone():
        db.execute(
            "INSERT OR REPLACE INTO document (topic, payload) VALUES (?, ?)", (topic, payload)
        )


def _drop_beyond(db: sqlite3.Connection, room_for: int) -> int:
    """Drop and count the events there is no room for; return how many that are."""
    waiting: int = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
    too_many = max(0, waiting - room_for)
    if too_many:
        db.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY keep_rank, id LIMIT ?)",
            (too_many,),
        )
        _count_dropped(db, too_many)
    return too_many


def _delete_events(db: sqlite3.Connection, events: Iterable[QueuedEvent]) -> int:
    """Delete the events that are still there; return how many that were.

    Found by their rows: an index of event_id that is damaged would find none, and all be sent for
    ever. The row alone will not do: in a file that was begun anew it is another event's.
    """
    found = [(event.row, event.event_id) for event in events]
    if not found:
        return 0
    return db.executemany("DELETE FROM outbox WHERE id = ? AND event_id = ?", found).rowcount


def _count_dropped(db: sqlite3.Connection, count: int) -> None:
    db.execute("UPDATE meta SET value = value + ? WHERE key = 'dropped'", (count,))
