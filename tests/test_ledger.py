"""What is stated is written first: a state file that cannot be written holds decisions back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from disk import spoil
from pages import site_of

import edge.past
from edge import history
from edge.board import Notice
from edge.config import Config
from edge.decide import Rule, decide, deny, expire
from edge.errors import StoreError
from edge.figures import Report
from edge.ledger import HEARTBEAT_S, Ledger
from edge.plan import Plan
from edge.planogram import Planogram
from edge.store import Store
from edge.types import (
    CameraReason,
    CameraState,
    CameraStatus,
    EventKind,
    Moment,
    Observation,
    Score,
    Slot,
    SlotState,
    State,
    Visibility,
)
from edge.web.report import read_report

QUAD = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
SLOTS = [Slot("a1", "cam", QUAD, "Cola", "880"), Slot("a2", "cam", QUAD, "Cola", "880")]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULE = Rule(confirm_s=10, confirm_looks=2)


def at(seconds: float) -> Moment:
    return Moment(NOON + timedelta(seconds=seconds), 1000 + seconds)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def take_up(store: Store, slots=SLOTS, seconds: float = 0.0, cameras=("cam",)) -> Ledger:
    ledger = Ledger(store, "shop", "model", slots, cameras, at(seconds))
    ledger.begin([], {"info": b"{}"}, at(seconds))
    return ledger


def see(ledger: Ledger, seconds: float, p_empty: float | None, slot: Slot = SLOTS[0]) -> bool:
    now = at(seconds)
    score = None if p_empty is None else Score(p_empty)
    seen = Observation(slot, now.at, now.clock_s, score, since_s=now.clock_s)
    return ledger.note([decide(ledger.states[slot.slot_id], seen, RULE)], [], {}, now)


def events(store: Store) -> list[dict]:
    waiting = store.oldest_events(100)
    store.forget(waiting)
    return [json.loads(event.payload) for event in waiting]


def document(store: Store, topic: str):
    payload = store.document(topic)
    return None if payload is None else json.loads(payload)


def test_a_decision_is_in_the_file_with_its_document_its_event_and_the_inventory(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    (opened,) = events(store)
    assert opened["type"] == EventKind.OPENED
    assert opened["data"]["incident_id"] == document(store, "slot/a1/state")["incident_id"]
    assert document(store, "inventory")["880"] == {
        "name": "Cola", "slots": 2, "stocked": 0, "empty": 1, "misplaced": 0, "unknown": 1,
    }  # fmt: skip
    assert store.states()["a1"].state is State.EMPTY


class FailingStore:
    """A store whose disk is full when told so; the seam below the ledger."""

    def __init__(self, store: Store):
        self._store, self.full = store, False

    def record(self, *arguments):
        if self.full:
            raise StoreError("state.db: disk is full")
        self._store.record(*arguments)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_what_cannot_be_written_is_decided_again_when_it_can(store, caplog):
    disk = FailingStore(store)
    ledger = take_up(disk)
    see(ledger, 0, 0.9)
    disk.full = True
    assert not see(ledger, 10, 0.9)
    assert not see(ledger, 15, 0.9)
    assert ledger.states["a1"].state is State.UNKNOWN
    assert events(store) == []
    assert caplog.text.count("disk is full") == 1
    disk.full = False
    assert see(ledger, 20, 0.9)
    assert [one["type"] for one in events(store)] == [EventKind.OPENED]
    assert "can be written again" in caplog.text


def test_a_score_alone_is_no_news_but_is_told_each_five_minutes(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.1)
    before = document(store, "slot/a1/state")
    see(ledger, 100, 0.2)
    assert document(store, "slot/a1/state") == before
    see(ledger, 10 + HEARTBEAT_S, 0.3)
    after = document(store, "slot/a1/state")
    assert (after["score"], after["seq"]) == (0.3, before["seq"])


def test_somebody_in_front_is_news_without_an_event(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.1)
    see(ledger, 15, None)
    state = document(store, "slot/a1/state")
    assert (state["state"], state["visibility"]) == ("stocked", "blocked")
    assert events(store) == []


def test_a_restart_goes_on_where_it_was(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    incident = ledger.states["a1"].incident_id
    again = take_up(store, seconds=60)
    state = again.states["a1"]
    assert (state.state, state.incident_id) == (State.EMPTY, incident)
    assert state.visibility is Visibility.STALE
    see(again, 65, 0.9)
    assert [one["type"] for one in events(store)] == [EventKind.OPENED]


def test_after_a_long_night_nobody_knows_until_it_is_seen(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.1)
    morning = 10 + RULE.unknown_after_s + 1
    again = take_up(store, seconds=morning)
    now = at(morning)
    again.note([expire(again.states["a1"], now.clock_s, now.at, RULE)], [], {}, now)
    assert document(store, "slot/a1/state")["state"] == "unknown"


def test_a_slot_that_is_no_longer_configured_is_closed_and_removed(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    events(store)
    take_up(store, slots=SLOTS[1:], seconds=60)
    (closed,) = events(store)
    assert (closed["type"], closed["data"]["reason"]) == (EventKind.CLOSED, "removed")
    assert closed["data"]["name"] == "Cola"
    assert store.document("slot/a1/state") is None
    assert "a1" not in store.states()


def look(ledger: Ledger, seconds: float, reason: CameraReason | None) -> bool:
    """Note that the camera gives pictures, or why it does not."""
    status = CameraStatus.OFFLINE if reason else CameraStatus.ONLINE
    state = CameraState("cam", status, reason, at(seconds).at, None)
    return ledger.note([], [state], {}, at(seconds))


def test_a_camera_that_goes_down_and_comes_back_is_a_document_and_events(store):
    ledger = take_up(store)
    look(ledger, 1, None)
    assert events(store) == []  # it is expected to be up
    look(ledger, 2, CameraReason.NO_FRAMES)
    look(ledger, 3, CameraReason.NO_FRAMES)
    assert document(store, "camera/cam/status")["status"] == "offline"
    (down,) = events(store)
    assert (down["type"], down["subject"]) == (EventKind.CAMERA_DOWN, "camera/cam")
    assert (down["data"]["camera"], down["data"]["reason"]) == ("cam", "no_frames")
    look(ledger, 4, CameraReason.CONNECT_FAILED)  # another reason, told without an event
    assert document(store, "camera/cam/status")["since"].startswith("2026-11-24T12:00:04")
    look(ledger, 5, None)
    assert [event["type"] for event in events(store)] == [EventKind.CAMERA_UP]


def test_a_camera_is_told_when_the_file_can_be_written_again(store):
    disk = FailingStore(store)
    ledger = take_up(disk)
    look(ledger, 1, None)
    disk.full = True
    assert not look(ledger, 2, CameraReason.NO_FRAMES)
    assert ledger.cameras["cam"].status is CameraStatus.ONLINE
    disk.full = False
    look(ledger, 3, CameraReason.NO_FRAMES)
    assert [event["type"] for event in events(store)] == [EventKind.CAMERA_DOWN]
    assert document(store, "camera/cam/status")["status"] == "offline"


def test_a_camera_that_is_mended_across_a_restart_is_up_and_one_still_down_is_told_once(store):
    look(take_up(store), 1, CameraReason.AUTH_FAILED)
    events(store)
    ledger = take_up(store, seconds=60)
    look(ledger, 61, CameraReason.AUTH_FAILED)
    assert events(store) == []
    assert ledger.cameras["cam"].since == at(1).at
    ledger = take_up(store, seconds=120)
    look(ledger, 121, None)
    assert [event["type"] for event in events(store)] == [EventKind.CAMERA_UP]


def test_only_a_camera_that_is_no_longer_configured_is_removed(store):
    look(take_up(store), 1, None)
    version = max(one.version for one in store.documents() if one.topic.startswith("camera/"))
    take_up(store, seconds=60)
    (kept,) = [one for one in store.documents() if one.topic.startswith("camera/")]
    assert (kept.version, kept.payload != b"") == (version, True)
    take_up(store, seconds=120, cameras=())
    assert document(store, "camera/cam/status") is None


def test_a_cameras_status_of_another_version_is_told_anew(store):
    store.record(documents={"camera/cam/status": b'{"status": "levitating"}'})
    ledger = take_up(store)
    assert ledger.cameras == {}
    look(ledger, 1, None)
    assert document(store, "camera/cam/status")["status"] == "online"


def test_what_a_new_reading_of_the_configuration_remembers_is_as_fresh_as_before(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10, 200):
        see(ledger, seconds, 0.1)
    ledger.close(at(205))
    resumed = take_up(store, seconds=205).states["a1"]
    assert resumed.clear_s == pytest.approx(at(200).clock_s)


def test_a_new_file_in_place_of_a_damaged_one_is_told_everything(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    look(ledger, 11, CameraReason.NO_FRAMES)
    spoil(store)
    see(ledger, 15, 0.9, SLOTS[1])
    see(ledger, 20, 0.9, SLOTS[1])
    assert store.states()["a1"] == replace(
        ledger.states["a1"], opened_s=None, observed_s=None, clear_s=None
    )
    assert document(store, "slot/a1/state")["state"] == "empty"
    assert document(store, "camera/cam/status")["status"] == "offline"
    assert document(store, "info") == {}
    assert document(store, "inventory")["880"]["empty"] == 1
    (incident,) = past(store)[1]
    assert incident.incident_id == ledger.states["a1"].incident_id
    assert events(store) == []


def test_a_state_without_change_costs_no_writing(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.1)
    version = store.documents()[-1].version
    see(ledger, 15, 0.12)
    assert store.documents()[-1].version == version
    assert ledger.states["a1"] == replace(
        ledger.states["a1"], score=0.12, state=State.STOCKED, slot_id="a1"
    )


def test_undecided_slots_are_those_with_evidence_for_another_state(store):
    ledger = take_up(store)
    assert ledger.undecided() == set()
    see(ledger, 0, 0.9)
    assert ledger.undecided() == {"a1"}
    assert isinstance(ledger.states["a1"], SlotState)


def past(store: Store) -> tuple[dict, list]:
    with store.looking_back() as db:
        return edge.past.by_day(db, 0), edge.past.incidents(db, NOON - timedelta(days=1))


def test_the_past_is_written_with_what_happens_and_at_the_end(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    (opened,) = past(store)[1]
    assert (opened.slot_id, opened.closed_at) == ("a1", None)
    for seconds in (20, 25, 30):
        see(ledger, seconds, 0.1)
    (closed,) = past(store)[1]
    assert (closed.reason, closed.open_s) == ("stocked", 20.0)
    assert [deed.kind for deed in ledger.deeds] == ["closed", "opened"]
    ledger.close(at(40))
    spent = {slot_id: one for (slot_id, _), one in past(store)[0].items()}
    assert (spent["a1"].empty, spent["a1"].stocked) == (20.0, 10.0)
    assert spent["a1"].whole == spent["a2"].whole == 40.0
    assert ledger.counted == {}


def test_what_happened_today_began_at_midnight_as_the_time_did(store, tmp_path):
    config = Config(site_of(tmp_path), Planogram(version=1, cameras={}))
    plan = Plan(config, None, RULE, tuple(SLOTS))

    def empty_for_a_while(hour: datetime) -> None:
        begun_s = (hour.astimezone(UTC) - NOON).total_seconds()
        ledger = take_up(store, seconds=begun_s)
        for seconds, p_empty in ((0, 0.9), (5, 0.9), (10, 0.9), (60, 0.1), (65, 0.1), (70, 0.1)):
            see(ledger, begun_s + seconds, p_empty)
        ledger.close(at(begun_s + 80))

    def today() -> Report:
        now = Moment(datetime(2026, 11, 26, 9).astimezone(UTC), 0.0)
        return read_report(Notice(plan, take_up(store), now), 1, now.at)

    empty_for_a_while(datetime(2026, 11, 25, 20))  # of the shop's day, wherever that is
    found = today()
    assert (found.slots[0].incidents, found.median_refill_min) == (0, None)
    empty_for_a_while(datetime(2026, 11, 26, 0, 1))
    found = today()
    assert (found.slots[0].incidents, found.median_refill_min) == (1, 1.0)


def stocked(store: Store) -> tuple[FailingStore, Ledger]:
    """Return a disk that can be full, and what has stated after 10 s that slot a1 is stocked."""
    disk = FailingStore(store)
    ledger = take_up(disk)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.1)
    return disk, ledger


def spent_on(store: Store, slot_id: str) -> history.Spent:
    (spent,) = [one for (own, _), one in past(store)[0].items() if own == slot_id]
    return spent


def test_time_that_could_not_be_written_is_written_when_it_can(store):
    disk, ledger = stocked(store)
    disk.full = True
    for seconds in range(20, 200, 10):
        see(ledger, seconds, 0.1)
    disk.full = False
    see(ledger, 200, 0.1)
    spent = spent_on(store, "a1")
    assert spent.whole == 200.0


def test_time_in_which_nothing_could_be_decided_counts_as_not_seen(store):
    disk, ledger = stocked(store)
    disk.full = True
    for seconds in range(20, 620, 10):
        see(ledger, seconds, 0.9)
    disk.full = False
    for seconds in (620, 625, 630, 640):
        see(ledger, seconds, 0.9)
    ledger.close(at(640))
    spent = spent_on(store, "a1")
    # The first look for another state at 20 s only counts; the next would have decided.
    assert (spent.stocked, spent.unseen, spent.empty) == (30.0, 600.0, 10.0)


def test_one_failed_write_blinds_no_longer_than_it_lasts(store):
    disk, ledger = stocked(store)
    disk.full = True
    assert not ledger.note([], [], {"health": b"{}"}, at(20))
    disk.full = False
    for seconds in range(25, 100, 5):
        see(ledger, seconds, 0.1)
    ledger.close(at(100))
    spent = spent_on(store, "a1")
    assert spent.unseen <= 10.0 + 5.0  # before the first statement, and until it was tried again


def test_what_happened_of_late_is_known_after_a_restart_and_incidents_go_on(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    again = take_up(store, seconds=100)
    assert again.deeds == ledger.deeds
    for seconds in (101, 106, 111):
        see(again, seconds, 0.1)
    assert past(store)[1][0].open_s == 101.0
    assert take_up(store, seconds=3600).deeds == ()


def test_an_incident_of_a_removed_slot_is_over_in_the_past_too(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    take_up(store, slots=SLOTS[1:], seconds=60)
    (incident,) = past(store)[1]
    assert (incident.reason, incident.open_s) == ("removed", 50.0)


def test_what_is_older_than_three_months_is_forgotten(store):
    long_ago, of_late = (history.hour_of(NOON - timedelta(days=days)) for days in (91, 89))
    spent = history.Spent(stocked=1)
    store.record(history=history.Entry(hours={("a1", long_ago): spent, ("a1", of_late): spent}))
    ledger = take_up(store)
    ledger.close(at(10))
    days = {day for _, day in past(store)[0]}
    assert of_late // 24 in days
    assert long_ago // 24 not in days


def test_a_clock_that_is_years_ahead_at_the_start_takes_no_history_along(store):
    of_late = history.hour_of(NOON - timedelta(days=1))
    hours = {("a1", of_late - n): history.Spent(stocked=1) for n in range(12)}
    store.record(history=history.Entry(hours=hours))
    for years in (30, 30, 31):
        years_s = years * 365 * 86400.0
        ledger = take_up(store, seconds=years_s)
        for seconds in (0, 5, 10):
            see(ledger, years_s + seconds, 0.9)
        ledger.close(at(years_s + 20))
    assert of_late // 24 in {day for _, day in past(store)[0]}


def test_a_word_against_the_alarm_outlives_a_restart(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    denied = deny(ledger.states["a1"], "Kim", at(11).at)
    assert ledger.note([denied], [], {}, at(11))
    assert document(store, "slot/a1/state")["state"] == "stocked"
    again = take_up(store, seconds=20)
    assert again.denied() == {"a1": None}
    for seconds in (21, 26, 31, 36):
        see(again, seconds, 0.9)
    assert [one["data"]["reason"] for one in events(store)] == ["empty", "not_empty"]


def test_so_does_how_the_slot_looked_when_it_was_said(store):
    ledger = take_up(store)
    for seconds in (0, 5, 10):
        see(ledger, seconds, 0.9)
    assert ledger.note([deny(ledger.states["a1"], "Kim", at(11).at)], [], {}, at(11))
    look = Observation(SLOTS[0], at(16).at, 1016, Score(0.9), 1016, picture=b"\xffhalf full")
    assert ledger.note([decide(ledger.states["a1"], look, RULE)], [], {}, at(16))
    del ledger  # killed: nothing is written at its end
    assert take_up(store, seconds=20).denied() == {"a1": b"\xffhalf full"}
