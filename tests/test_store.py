from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from disk import fill, mount, small_disk, spoil, unmount
from mosquitto import wait_for

from edge import past, statefile
from edge.errors import StoreError
from edge.history import Deed, Entry, Incident, Spent
from edge.publisher import Publisher
from edge.sinks.sink import Message
from edge.store import Backlog, QueuedEvent, Store
from edge.types import Ack, Denial, EventKind, Pending, Reason, SlotState, State, Visibility, Votes

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store(tmp_path / "state")) as opened:
        yield opened


def event(name: str, kind: EventKind = EventKind.OPENED, size: int = 10) -> QueuedEvent:
    return QueuedEvent(name, kind, "slot/a1", b"x" * size, NOON)


def waiting(store: Store) -> list[str]:
    """Take everything out of the outbox; return the ids in the order they came out."""
    ids = []
    while found := store.oldest_events():
        ids += [event.event_id for event in found]
        store.forget(found)
    return ids


def test_what_is_known_of_a_slot_survives_a_restart(tmp_path):
    known = SlotState(
        "a1",
        State.EMPTY,
        Visibility.BLOCKED,
        since=NOON,
        last_seen=NOON + timedelta(seconds=1, microseconds=5),
        score=0.93,
        p_present=0.1,
        incident_id="incident",
        ack=Ack("Kim", NOON),
        snooze_until=NOON + timedelta(hours=1),
        opened_at=NOON - timedelta(minutes=1),
        votes=Votes(6, 7),
        denial=Denial(
            *(NOON, "Kim", "another", NOON, State.EMPTY, NOON, Votes(3, 3), Ack("Lee", NOON)),
            snooze_until=NOON,
            picture=bytes(range(256)),
        ),
        seq=7,
    )
    with contextlib.closing(Store(tmp_path)) as store:
        store.record([known, SlotState("a2")])
    with contextlib.closing(Store(tmp_path)) as store:
        assert store.states() == {"a1": known, "a2": SlotState("a2")}


def test_evidence_that_is_still_pending_does_not_survive(store):
    store.record([SlotState("a1", pending=Pending(State.EMPTY, 1.0, 2.0, 3))])
    assert store.states()["a1"].pending is None


def test_events_come_out_oldest_first_and_stay_until_they_are_forgotten(store):
    store.record(events=[event("first"), event("second")])
    store.record(events=[event("third")])
    assert [event.event_id for event in store.oldest_events(2)] == ["first", "second"]
    assert waiting(store) == ["first", "second", "third"]


def test_an_event_of_the_same_row_in_another_file_is_not_taken_for_it(store):
    store.record(events=[event("first")])
    (first,) = store.oldest_events()
    store.forget([replace(first, event_id="of the file before")])
    assert waiting(store) == ["first"]


def test_an_event_waits_with_all_that_was_said_of_it(store):
    queued = QueuedEvent("one", EventKind.CAMERA_DOWN, "camera/c", b'{"a":1}', NOON)
    store.record(events=[queued])
    (found,) = store.oldest_events()
    assert found == QueuedEvent(
        "one", EventKind.CAMERA_DOWN, "camera/c", b'{"a":1}', NOON, found.row
    )
    assert store.backlog().oldest_at == NOON


def test_rows_go_on_counting_after_the_outbox_was_emptied(store):
    assert store.newest_row() == 0
    store.record(events=[event("first")])
    before = store.newest_row()
    assert waiting(store) == ["first"]
    store.record(events=[event("second")])
    assert store.oldest_events()[0].row > before


def test_a_state_its_document_and_its_event_are_written_together_or_not_at_all(store):
    store.record(events=[event("same id")])
    with pytest.raises(sqlite3.IntegrityError):
        store.record([SlotState("a1")], {"slot/a1/state": b"{}"}, [event("same id")])
    assert store.states() == {}
    assert store.documents() == []
    assert waiting(store) == ["same id"]


def test_only_documents_written_after_a_version_are_new(store):
    store.record(documents={"info": b"1", "slot/a1/state": b"1"})
    last = store.documents()[-1].version
    assert store.documents(newer_than=last) == []
    store.record(documents={"info": b"2"})
    assert [(d.topic, d.payload) for d in store.documents(newer_than=last)] == [("info", b"2")]
    assert [d.topic for d in store.documents()] == ["slot/a1/state", "info"]
    assert store.document("info") == b"2"


@pytest.mark.parametrize("nothing", [None, b""])
def test_a_removed_document_stays_until_the_broker_has_emptied_its_topic(store, nothing):
    store.record(documents={"slot/a1/state": b"1"})
    store.record(documents={"slot/a1/state": nothing})
    assert [document.payload for document in store.documents()] == [b""]
    assert store.document("slot/a1/state") is None
    store.forget_removed(store.documents())
    assert store.documents() == []


def test_a_topic_written_again_while_it_was_being_emptied_is_kept(store):
    store.record(documents={"slot/a1/state": b"1"})
    store.record(documents={"slot/a1/state": None})
    being_sent = store.documents()
    store.record(documents={"slot/a1/state": b"2"})
    store.forget_removed(being_sent)
    assert [document.payload for document in store.documents()] == [b"2"]


def test_removing_what_never_was_there_writes_nothing(store):
    store.record(documents={"slot/a1/state": None})
    assert store.documents() == []


def test_a_slot_can_be_forgotten_in_the_transaction_that_tells_so(store):
    store.record([SlotState("a1"), SlotState("a2")])
    store.record(events=[event("removed", EventKind.CLOSED)], forget_slots=["a1"])
    assert list(store.states()) == ["a2"]


def test_a_full_outbox_is_reported_once_until_there_is_room_again(tmp_path, caplog):
    with contextlib.closing(Store(tmp_path, max_events=2)) as store:
        for number in range(5):
            store.record(events=[event(f"first {number}")])
        assert caplog.text.count("the outbox is full") == 1
        assert len(waiting(store)) == 2
        for number in range(5):
            store.record(events=[event(f"second {number}")])
        assert caplog.text.count("the outbox is full") == 2


def test_a_full_outbox_drops_updates_before_openings_and_counts_both(tmp_path):
    kinds = {
        "opened 1": EventKind.OPENED,
        "updated 1": EventKind.UPDATED,
        "camera": EventKind.CAMERA_DOWN,
        "updated 2": EventKind.UPDATED,
        "closed 1": EventKind.CLOSED,
    }
    with contextlib.closing(Store(tmp_path, max_events=4)) as store:
        for name, kind in kinds.items():
            store.record(events=[event(name, kind)])
        assert store.backlog().dropped == 1
        for name in ("opened 2", "closed 2", "opened 3"):
            store.record(events=[event(name, EventKind.OPENED)])
        assert store.backlog().dropped == 4
        assert waiting(store) == ["closed 1", "opened 2", "closed 2", "opened 3"]
    with contextlib.closing(Store(tmp_path)) as store:
        assert store.backlog().dropped == 4


def test_the_outbox_grows_no_further_while_the_disk_fills_but_loses_nothing_it_has(tmp_path):
    with contextlib.closing(Store(tmp_path)) as store:
        store.record(events=[event(str(number)) for number in range(1500)])
    with contextlib.closing(Store(tmp_path, reserve_bytes=2**62)) as store:
        store.record(events=[event("one more")])
        assert store.backlog().count == 1500
        assert store.backlog().dropped == 1
        assert store.oldest_events()[0].event_id == "1"


def test_with_little_disk_a_short_outbox_still_takes_events(tmp_path):
    with contextlib.closing(Store(tmp_path, reserve_bytes=2**62)) as store:
        store.record(events=[event("first"), event("second")])
        assert store.backlog().dropped == 0
        assert waiting(store) == ["first", "second"]


def test_an_event_given_up_is_counted_as_dropped(store):
    store.record(events=[event("bad"), event("good")])
    bad = store.oldest_events()
    store.forget([], dropped=bad)
    store.forget([], dropped=bad)
    assert store.backlog().dropped == 1
    assert waiting(store) == ["good"]


def test_whoever_waits_for_news_is_woken_by_a_record(store):
    woken = threading.Event()

    def wait() -> None:
        if store.news.wait(5):
            woken.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    store.record([SlotState("a1")])
    waiter.join()
    assert woken.is_set()


def test_two_threads_may_write_and_forget_at_once(store):
    names = [str(number) for number in range(200)]

    def write() -> None:
        for name in names:
            store.record([SlotState("a1")], {"slot/a1/state": name.encode()}, [event(name)])

    writer = threading.Thread(target=write)
    writer.start()
    came_out: list[str] = []
    while writer.is_alive() or store.backlog().count:
        came_out += waiting(store)
    writer.join()
    assert came_out == names


def test_a_second_daemon_on_the_same_directory_is_refused(store):
    with pytest.raises(StoreError, match="another daemon is using"):
        Store(store.path.parent)


def test_a_killed_daemon_does_not_hold_the_directory(tmp_path):
    script = (
        "import os, sys, pathlib; from edge.store import Store;"
        "Store(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    Store(tmp_path).close()


def test_a_state_file_of_a_newer_version_is_left_alone(tmp_path):
    Store(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.execute("PRAGMA user_version = 3")
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(
        StoreError, match=r"state\.db: written by a newer version .*schema 3.*knows 2"
    ):
        Store(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == before


VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE slot (
    slot_id TEXT PRIMARY KEY, state TEXT NOT NULL, visibility TEXT NOT NULL,
    since TEXT, last_seen TEXT, score REAL, p_present REAL, incident_id TEXT,
    ack_by TEXT, ack_at TEXT, snooze_until TEXT, seq INTEGER NOT NULL
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
INSERT INTO meta VALUES ('dropped', 4);
INSERT INTO slot VALUES ('a1', 'empty', 'clear', '2026-11-24T12:00:00+00:00', NULL, 0.9, NULL,
                         'incident', 'Kim', '2026-11-24T12:01:00+00:00', NULL, 7);
INSERT INTO slot VALUES ('a2', 'stocked', 'stale', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                         NULL, 1);
INSERT INTO document (topic, payload) VALUES ('info', x'7b7d');
INSERT INTO outbox (event_id, kind, subject, payload, created_at, keep_rank)
    VALUES ('one', 'stock.slot.opened.v1', 'slot/a1', x'7b7d', '2026-11-24T12:00:00+00:00', 2);
PRAGMA user_version = 1;
"""


def test_a_state_file_of_the_first_version_is_brought_up_to_date_and_nothing_is_lost(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.executescript(VERSION_1)
    for _ in range(2):
        with contextlib.closing(Store(tmp_path)) as store:
            a1 = store.states()["a1"]
            assert (a1.state, a1.incident_id, a1.seq) == (State.EMPTY, "incident", 7)
            assert (a1.opened_at, a1.votes, a1.denial) == (NOON, None, None)
            assert a1.ack == Ack("Kim", NOON + timedelta(minutes=1))
            assert store.states()["a2"] == SlotState("a2", State.STOCKED, seq=1)
            assert store.document("info") == b"{}"
            assert [one.event_id for one in store.oldest_events()] == ["one"]
            assert store.backlog().dropped == 4
            acked_at = NOON + timedelta(minutes=1)
            assert incidents(store, NOON) == [Incident("incident", "a1", NOON, acked_at)]


def incidents(store: Store, since: datetime) -> list[Incident]:
    with store.looking_back() as db:
        return past.incidents(db, since)


def days(store: Store) -> dict[tuple[str, int], Spent]:
    with store.looking_back() as db:
        return past.by_day(db, 0)


def test_what_happens_and_its_history_are_written_together_or_not_at_all(store):
    entry = Entry(hours={("a1", 5): Spent(stocked=1)}, deeds=[Deed(NOON, "a1", Reason.ACK, "i")])
    store.record(events=[event("same id")])
    with pytest.raises(sqlite3.IntegrityError):
        store.record(events=[event("same id")], history=entry)
    assert (days(store), store.deeds(NOON)) == ({}, [])


def test_time_adds_up_by_slot_and_hour_and_what_is_too_old_is_forgotten(store):
    for _ in range(2):
        hours = {("a1", 23): Spent(1, 2, 3, 4), ("a1", 24): Spent(1), ("a1", 47): Spent(empty=5)}
        store.record(history=Entry(hours=hours))
    assert days(store) == {("a1", 0): Spent(2, 4, 6, 8), ("a1", 1): Spent(2, 10)}
    with store.looking_back() as db:
        assert past.by_hour_of_day(db, 24) == {("a1", 0): Spent(2), ("a1", 23): Spent(empty=10)}
        asked = [("a1", 23), ("a1", 25), ("a2", 23)]
        assert past.of_hours(db, asked) == {("a1", 23): Spent(2, 4, 6, 8)}
    store.record(history=Entry(before=(24, NOON)))
    assert days(store) == {("a1", 1): Spent(2, 10)}


def test_an_incident_keeps_when_it_was_first_acknowledged_and_how_long_it_was_open(store):
    opened = Incident("i", "a1", NOON)
    acked = replace(opened, acked_at=NOON + timedelta(minutes=1))
    closed = replace(opened, closed_at=NOON + timedelta(hours=1), reason="stocked", open_s=3600.0)
    for incident in (opened, acked, closed):
        store.record(history=Entry(incidents=[incident]))
    assert incidents(store, NOON) == [replace(closed, acked_at=acked.acked_at)]
    assert incidents(store, NOON + timedelta(hours=2)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"this is no database" * 500,
        lambda data: data[:5000],
        lambda data: data[:4096] + os.urandom(len(data) - 4096),
    ],
    ids=["no database", "cut off", "overwritten"],
)
def test_a_damaged_state_file_is_moved_aside_and_a_new_one_begun(tmp_path, caplog, spoil):
    with contextlib.closing(Store(tmp_path)) as store:
        store.record([SlotState("a1")], {"info": b"{}" * 5000}, [event("lost", size=9000)])
    file = tmp_path / "state.db"
    spoiled = spoil(file.read_bytes())
    file.write_bytes(spoiled)
    with caplog.at_level(logging.ERROR), contextlib.closing(Store(tmp_path)) as store:
        assert store.states() == {}
        store.record([SlotState("a2")])
    (aside,) = tmp_path.glob("state.db.corrupt-*Z")
    assert aside.read_bytes() == spoiled
    assert aside.name in caplog.text
    with contextlib.closing(Store(tmp_path)) as store:
        assert list(store.states()) == ["a2"]


def test_a_state_file_that_is_damaged_while_in_use_is_replaced_at_the_next_call(tmp_path):
    with contextlib.closing(Store(tmp_path)) as store:
        store.record(events=[event(str(number), size=50_000) for number in range(100)])
    with contextlib.closing(Store(tmp_path)) as store:
        with (tmp_path / "state.db").open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(4_000_000))
        with pytest.raises(StoreError, match=r"state\.db: cannot read the state file: .*malformed"):
            waiting(store)
        store.record([SlotState("a1")])
        assert list(store.states()) == ["a1"]
    assert len(list(tmp_path.glob("state.db.corrupt-*Z"))) == 1


def test_a_new_file_is_counted_also_when_it_could_not_be_made_at_once(tmp_path, monkeypatch):
    with contextlib.closing(Store(tmp_path)) as store:
        store.record([SlotState("a1")])
        before = store.generation
        spoil(store)
        opened, full = statefile._open, sqlite3.OperationalError("database or disk is full")
        tries: list[Path] = []

        def open_but_not_anew(path: Path):
            tries.append(path)
            if len(tries) == 2:  # the damaged one has just been moved aside
                raise full
            return opened(path)

        monkeypatch.setattr("edge.statefile._open", open_but_not_anew)
        with pytest.raises(StoreError, match="disk is full"):
            store.record([SlotState("a1")])
        store.record([SlotState("a1")])
        assert store.generation == before + 1


def test_who_looks_back_at_a_damaged_file_does_not_disturb_who_writes(tmp_path):
    with contextlib.closing(Store(tmp_path)) as store:
        store.record([SlotState("a1")], history=Entry(hours={("a1", 5): Spent(1)}))
        inside = store._db
        (tmp_path / "state.db-wal").write_bytes(b"")
        with (tmp_path / "state.db").open("r+b") as file:
            file.seek(0)
            file.write(os.urandom(20_000))
        with pytest.raises(StoreError, match="cannot read the state file"):
            incidents(store, NOON)
        assert store._db is inside


def test_an_empty_state_file_is_simply_begun(tmp_path):
    (tmp_path / "state.db").touch()
    with contextlib.closing(Store(tmp_path)) as store:
        assert store.states() == {}


def test_a_state_directory_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match=r"state: cannot keep the state there \(File exists\)"):
        Store(tmp_path / "state")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path) as mounted:
        yield mounted


def test_a_full_disk_refuses_the_whole_change_and_takes_it_when_there_is_room(disk):
    with contextlib.closing(Store(disk / "state")) as store:
        store.record([SlotState("a1")], events=[event("before")])
        ballast = fill(disk)

        changed = SlotState("a1", State.EMPTY, seq=1)
        big = event("after", size=200_000)
        with pytest.raises(StoreError, match=r"state\.db: cannot write.*full"):
            store.record([changed], {"slot/a1/state": b"{}"}, [big])
        assert store.states() == {"a1": SlotState("a1")}
        assert store.documents() == []
        assert store.backlog().count == 1

        ballast.unlink()
        store.record([changed], {"slot/a1/state": b"{}"}, [big])
        assert store.states() == {"a1": changed}
        assert waiting(store) == ["before", "after"]


def test_an_event_that_arrived_while_the_disk_is_full_is_not_told_again_and_again(
    disk, monkeypatch
):
    monkeypatch.setattr("edge.publisher.STORE_RETRY_S", 0.05)
    sink = Listening()
    with contextlib.closing(Store(disk / "state")) as store:
        payload = b'{"data":{"seq":1}}'
        store.record(events=[QueuedEvent("one", EventKind.OPENED, "slot/a1", payload, NOON)])
        ballast = fill(disk)
        publisher = Publisher(store, sink, lambda verb, payload: None)
        publisher.start()
        wait_for(lambda: publisher.delivery().last_error)
        time.sleep(0.5)
        assert store.backlog().count == 1
        assert "full" in str(publisher.delivery().last_error)
        ballast.unlink()
        wait_for(lambda: store.backlog().count == 0)
        wait_for(lambda: publisher.delivery().last_error is None)
        publisher.stop()
    assert sink.topics.count("event") == 1


class Listening:
    """A sink that takes everything and notes the topics."""

    lost = None

    def __init__(self) -> None:
        self.topics: list[str] = []

    def open(self, on_request, on_lost) -> None: ...

    def send(self, messages: Sequence[Message]) -> None:
        self.topics += [message.topic for message in messages]

    def close(self) -> None: ...

    def drop(self) -> None: ...


def test_a_full_disk_at_the_start_is_explained(disk):
    ballast = fill(disk)
    with pytest.raises(StoreError, match=str(disk)):
        Store(disk / "state")
    ballast.unlink()
    Store(disk / "state").close()


def test_a_disk_that_turns_read_only_is_explained_and_nothing_is_half_written(disk):
    with contextlib.closing(Store(disk / "state")) as store:
        store.record([SlotState("a1")])
        store.close()
    mount("-o", "remount,ro", str(disk))
    with pytest.raises(StoreError, match=r"cannot keep the state there \(Read-only file system\)"):
        Store(disk / "state")
    mount("-o", "remount,rw", str(disk))
    with contextlib.closing(Store(disk / "state")) as store:
        assert list(store.states()) == ["a1"]


def test_a_state_file_that_may_not_be_written_is_explained(tmp_path):
    """The directory is writable, the file is not: bound read-only over itself, root or not."""
    with contextlib.closing(Store(tmp_path)) as store:
        store.record([SlotState("a1")])
    file = str(tmp_path / "state.db")
    mount("--bind", file, file)
    try:
        mount("-o", "remount,ro,bind", file)
        with pytest.raises(StoreError, match=r"state\.db: cannot open the state file"):
            Store(tmp_path)
    finally:
        unmount(Path(file))
    with contextlib.closing(Store(tmp_path)) as store:
        assert list(store.states()) == ["a1"]


def test_how_long_the_oldest_event_waits_is_never_less_than_no_time():
    assert Backlog(1, NOON, 0).oldest_s(NOON + timedelta(seconds=2)) == 2
    assert Backlog(1, NOON, 0).oldest_s(NOON - timedelta(seconds=2)) == 0, "a clock was set back"
    assert Backlog(0, None, 0).oldest_s(NOON) is None
