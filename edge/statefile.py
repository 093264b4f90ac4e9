"""The SQLite file in the state directory: tables, lock, and what happens to a damaged one."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from edge import past
from edge.errors import StoreError

log = logging.getLogger(__name__)

STATE_FILE = "state.db"
SCHEMA_VERSION = 2
LOCK_WAIT_S = 5.0

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE slot (
    slot_id TEXT PRIMARY KEY, state TEXT NOT NULL, visibility TEXT NOT NULL,
    since TEXT, last_seen TEXT, score REAL, p_present REAL, incident_id TEXT,
    ack_by TEXT, ack_at TEXT, snooze_until TEXT, seq INTEGER NOT NULL,
    opened_at TEXT, votes_looks INTEGER, votes_of INTEGER, denial TEXT
) WITHOUT ROWID;
CREATE TABLE document (
    version INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL UNIQUE, payload BLOB NOT NULL
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    subject TEXT NOT NULL, payload BLOB NOT NULL, created_at TEXT NOT NULL,
    keep_rank INTEGER NOT NULL
);
CREATE INDEX outbox_by_rank ON outbox (keep_rank, id);
"""

# A file of version 1 knows since when a slot is as it is, which is when its incident was opened,
# or changed from empty to misplaced.
_FROM_1_TO_2 = """
ALTER TABLE slot ADD COLUMN opened_at TEXT;
ALTER TABLE slot ADD COLUMN votes_looks INTEGER;
ALTER TABLE slot ADD COLUMN votes_of INTEGER;
ALTER TABLE slot ADD COLUMN denial TEXT;
UPDATE slot SET opened_at = coalesce(since, ack_at, last_seen) WHERE incident_id IS NOT NULL;
INSERT INTO incident (incident_id, slot_id, opened_at, acked_at)
    SELECT incident_id, slot_id, opened_at, ack_at FROM slot
    WHERE incident_id IS NOT NULL AND opened_at IS NOT NULL;
"""


def hold(directory: Path) -> IO[bytes]:
    """Take the directory for this process; two daemons on one outbox would send all twice."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = (directory / "state.lock").open("ab")
    except OSError as error:
        raise StoreError(
            f"{directory}: cannot keep the state there ({error.strerror}); "
            "make it writable or set another `state:`"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StoreError(
            f"{directory}: another daemon is using this state directory; "
            "stop it or set another `state:`"
        ) from error
    return held


def is_held(directory: Path) -> bool:
    """Say whether a daemon works in the directory now; no where that is not ours to ask."""
    try:
        held = (directory / "state.lock").open("rb")
    except OSError:
        return False
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def open_or_begin_anew(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Return the opened file, and whether it is a new one: where a damaged one was moved aside, or
    there was none."""
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        aside = f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(path.with_name(aside + suffix))
        log.error(
            "%s: the state file is damaged (%s); moved aside as %s and begun anew: "
            "open incidents and unsent events of before are lost",
            path,
            error,
            aside,
        )
        return _open(path)


@contextlib.contextmanager
def open_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to a file that is there, only to read from: it blocks no writer."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
        db.row_factory = sqlite3.Row
        yield db


def is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _open(path: Path) -> tuple[sqlite3.Connection, bool]:
    db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a change that was confirmed outlives a power cut
        db.execute("PRAGMA journal_size_limit = 4194304")
        finding = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            damage = sqlite3.DatabaseError(finding)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        is_new = _check_version(db, path) == 0
        # Says nothing new, but writes: a file that may not be written is told now, not later.
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        db.close()
        raise
    return db, is_new


def _check_version(db: sqlite3.Connection, path: Path) -> int:
    """Bring the file to our version; return the one that it had, 0 where it is new."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _change(db, _TABLES, past.TABLES, "INSERT INTO meta VALUES ('dropped', 0);")
    elif version == 1:
        _change(db, past.TABLES, _FROM_1_TO_2)
        log.info("%s: brought from schema 1 to %d", path, SCHEMA_VERSION)
    elif version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: written by a newer version of shelf-edge (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); install that version, or move the file away to begin anew"
        )
    return version


def _change(db: sqlite3.Connection, *statements: str) -> None:
    """Bring the file to this version in one transaction: a crash leaves it as it was."""
    db.executescript(
        f"BEGIN IMMEDIATE; {''.join(statements)} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
    )
