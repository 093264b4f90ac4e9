"""When evidence becomes a statement: read it as the rules a store manager could check."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.decide import (
    Rule,
    acknowledge,
    decide,
    deny,
    expire,
    release,
    remove,
    snooze,
    speaks_for,
    undo_denial,
    wake,
)
from edge.errors import ClosedError
from edge.types import (
    EventKind,
    Moment,
    Observation,
    Score,
    Slot,
    SlotState,
    State,
    Visibility,
    Votes,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULE = Rule(confirm_s=30, confirm_looks=3)
SLOT = Slot("a1", "aisle", ((0, 0), (1, 0), (1, 1), (0, 1)), "Cola")
FRESH = SlotState("a1")
BLOCKED = None


def seen(at_s: float, p_empty: float | None, p_present: float | None = None) -> Observation:
    score = None if p_empty is None else Score(p_empty, p_present)
    return Observation(SLOT, NOON + timedelta(seconds=at_s), at_s, score, since_s=at_s)


def play(state: SlotState, *scores: tuple[float, float | None], rule: Rule = RULE):
    """Feed (seconds, p_empty) pairs, None being blocked; return the last state and the events."""
    events = []
    for at_s, p_empty in scores:
        state, event = decide(state, seen(at_s, p_empty), rule)
        events += [event] if event else []
    return state, events


def stocked() -> SlotState:
    state, events = play(FRESH, (-60, 0.1), (-45, 0.1), (-30, 0.1))
    assert state.state is State.STOCKED
    assert events == []
    return state


def empty() -> SlotState:
    state, _ = play(stocked(), (0, 0.9), (15, 0.9), (30, 0.9))
    assert state.state is State.EMPTY
    return state


def test_an_empty_slot_is_reported_once_after_the_confirmation_time():
    state, events = play(stocked(), (0, 0.9), (15, 0.9), (30, 0.9), (45, 0.9))
    assert [event.kind for event in events] == [EventKind.OPENED]
    assert state.state is State.EMPTY
    assert state.since == NOON + timedelta(seconds=30)
    assert events[0].incident_id == state.incident_id


def test_a_slot_that_is_empty_when_first_seen_opens_an_incident_too():
    state, events = play(FRESH, (0, 0.9), (15, 0.9), (30, 0.9))
    assert [event.kind for event in events] == [EventKind.OPENED]
    assert state.incident_id is not None


def test_few_looks_confirm_nothing_however_long_they_last():
    state, events = play(stocked(), (0, 0.9), (40, 0.9))
    assert events == []
    assert state.state is State.STOCKED


def test_one_contrary_look_starts_the_evidence_again():
    _, events = play(stocked(), (0, 0.9), (10, 0.9), (20, 0.1), (30, 0.9), (40, 0.9))
    assert events == []


def test_a_score_between_the_thresholds_says_nothing():
    state, events = play(stocked(), (0, 0.9), (10, 0.6), (20, 0.9), (30, 0.9))
    assert len(events) == 1
    assert state.state is State.EMPTY


def test_a_camera_outage_does_not_count_as_confirmation_time():
    _, events = play(stocked(), (0, 0.9), (10, 0.9), (600, 0.9))
    assert events == []


def test_somebody_in_front_neither_opens_nor_closes_anything():
    state, events = play(stocked(), (0, BLOCKED), (15, BLOCKED), (30, BLOCKED), (60, BLOCKED))
    assert events == []
    assert (state.state, state.visibility) == (State.STOCKED, Visibility.BLOCKED)


def test_evidence_goes_on_after_somebody_has_passed():
    state, events = play(stocked(), (0, 0.9), (10, BLOCKED), (20, 0.9), (30, 0.9))
    assert state.state is State.EMPTY
    assert len(events) == 1


def test_a_kept_score_is_no_further_look():
    state = stocked()
    for at_s in (0, 15, 30, 45):
        kept = replace(seen(at_s, 0.9), fresh=at_s == 0)
        state, event = decide(state, kept, RULE)
        assert event is None
    assert state.state is State.STOCKED


def test_a_refilled_slot_closes_its_own_incident():
    before = empty()
    state, events = play(before, (60, 0.1), (75, 0.1), (90, 0.1))
    assert [event.kind for event in events] == [EventKind.CLOSED]
    assert events[0].incident_id == before.incident_id
    assert (state.incident_id, state.ack, state.snooze_until) == (None, None, None)


def test_a_slot_not_seen_for_long_is_unknown_and_its_incident_stays_open():
    before = empty()
    state, event = expire(before, 30 + RULE.unknown_after_s, NOON, RULE)
    assert event is None
    assert (state.state, state.incident_id) == (State.UNKNOWN, before.incident_id)


def test_a_blocked_slot_is_stale_only_without_pictures_and_unknown_after_long():
    state, _ = play(stocked(), (0, BLOCKED))
    assert expire(state, 30, NOON, RULE)[0].visibility is Visibility.BLOCKED
    assert expire(state, 61, NOON, RULE)[0].visibility is Visibility.STALE
    state, _ = play(state, (RULE.unknown_after_s, BLOCKED))
    late, _ = expire(state, RULE.unknown_after_s, NOON, RULE)
    assert (late.state, late.visibility) == (State.UNKNOWN, Visibility.BLOCKED)


def test_an_empty_slot_seen_again_after_an_outage_is_the_same_incident():
    lost, _ = expire(empty(), 2000, NOON, RULE)
    state, events = play(lost, (2000, 0.9), (2015, 0.9), (2030, 0.9))
    assert events == []
    assert (state.state, state.incident_id) == (State.EMPTY, lost.incident_id)


def test_an_empty_slot_that_comes_back_with_another_product_updates_its_incident():
    lost, _ = expire(empty(), 2000, NOON, RULE)
    state, events = lost, []
    for at_s in (2000, 2015, 2030):
        state, event = decide(state, seen(at_s, 0.05, 0.01), RULE)
        events += [event] if event else []
    assert state.state is State.MISPLACED
    told = [(event.kind, event.reason, event.incident_id) for event in events]
    assert told == [(EventKind.UPDATED, "misplaced", lost.incident_id)]


def test_another_product_in_the_slot_is_misplaced_and_opens_an_incident():
    state = stocked()
    events = []
    for at_s in (0, 15, 30):
        state, event = decide(state, seen(at_s, 0.05, 0.01), RULE)
        events += [event] if event else []
    assert state.state is State.MISPLACED
    assert [(event.kind, event.reason) for event in events] == [(EventKind.OPENED, "misplaced")]


def test_how_unlikely_the_own_product_must_be_is_the_rules_and_asks_only_about_what_is_there():
    said = Score(p_empty=0.2, p_present=0.3)  # 0.375 of what is not empty
    assert speaks_for(said, RULE) is State.STOCKED
    assert speaks_for(said, replace(RULE, misplaced_below=0.37)) is State.STOCKED
    assert speaks_for(said, replace(RULE, misplaced_below=0.38)) is State.MISPLACED
    assert speaks_for(Score(p_empty=0.2), replace(RULE, misplaced_below=0.38)) is State.STOCKED


def test_a_misplaced_product_taken_away_updates_the_same_incident():
    state = stocked()
    for at_s in (0, 15, 30):
        state, _ = decide(state, seen(at_s, 0.05, 0.01), RULE)
    incident = state.incident_id
    state, events = play(state, (60, 0.9), (75, 0.9), (90, 0.9))
    assert [(event.kind, event.incident_id) for event in events] == [(EventKind.UPDATED, incident)]


def test_acknowledging_and_snoozing_need_an_open_incident():
    with pytest.raises(ClosedError, match="no open incident"):
        acknowledge(stocked(), "Minji", NOON)
    with pytest.raises(ClosedError, match="no open incident"):
        snooze(stocked(), NOON + timedelta(minutes=15), NOON)
    with pytest.raises(ClosedError, match="no open incident"):
        deny(stocked(), "Minji", NOON)


def test_an_ack_and_a_snooze_can_be_taken_back():
    state, _ = acknowledge(empty(), "Minji", NOON)
    state, event = release(state, "Minji", NOON)
    assert (state.ack, event.kind, event.reason) == (None, EventKind.UPDATED, "release")
    state, _ = snooze(state, NOON + timedelta(hours=1), NOON)
    state, event = wake(state, NOON)
    assert (state.snooze_until, event.reason) == (None, "snooze_ended")


def test_an_incident_tells_by_how_many_looks_it_was_opened():
    state, _ = play(stocked(), (0, 0.9), (10, 0.6), (20, 0.9), (30, 0.9))
    assert state.votes == Votes(3, 4)
    state, _ = play(state, (40, 0.1), (50, 0.1), (75, 0.1))
    assert (state.state, state.votes) == (State.STOCKED, None)


def denied() -> SlotState:
    state, event = deny(empty(), "Minji", NOON + timedelta(seconds=40))
    assert (event.kind, event.reason) == (EventKind.CLOSED, "not_empty")
    assert event.incident_id == empty_incident(state)
    return state


def empty_incident(state: SlotState) -> str | None:
    return state.denial.incident_id if state.denial else None


LONG = [(45.0 + 15 * n, 0.9) for n in range(40)]


def test_what_is_said_not_to_be_empty_stays_stocked_though_the_model_repeats_itself():
    state, events = play(denied(), *LONG)
    assert (state.state, state.incident_id, events) == (State.STOCKED, None, [])


def test_after_the_model_has_agreed_once_it_is_believed_again():
    _, events = play(denied(), (45, 0.9), (60, 0.1), *[(75.0 + 15 * n, 0.9) for n in range(3)])
    assert [event.kind for event in events] == [EventKind.OPENED]


def test_another_picture_is_judged_by_the_model_again():
    state, event = decide(denied(), replace(seen(45, 0.9), changed_since_denial=True), RULE)
    assert (state.denial, event) == (None, None)
    _, events = play(state, (60, 0.9), (75, 0.9))
    assert [event.kind for event in events] == [EventKind.OPENED]


def test_the_picture_of_a_denied_slot_is_kept_with_the_word_that_was_said_of_it():
    state, _ = decide(denied(), replace(seen(45, 0.6), picture=b"then"), RULE)
    assert state.denial.picture == b"then"
    state, _ = decide(state, seen(46, 0.9), RULE)  # the first look of a daemon compares nothing
    assert state.denial.picture == b"then"


def test_somebodys_word_counts_for_twelve_hours():
    said = NOON + timedelta(seconds=40)
    state, _ = expire(denied(), 45, said + timedelta(hours=11, minutes=59), RULE)
    assert state.denial is not None
    state, event = expire(state, 45, said + timedelta(hours=12), RULE)
    assert (state.denial, event) == (None, None)


def test_a_denied_slot_that_was_not_seen_for_long_is_stocked_again_once_it_is():
    lost, _ = expire(denied(), 3000, NOON, RULE)
    assert lost.state is State.UNKNOWN
    state, events = play(lost, (3000, 0.9), (3015, 0.9), (3030, 0.9))
    assert (state.state, events) == (State.STOCKED, [])


def test_not_empty_can_be_undone_as_another_incident_that_has_been_open_all_along():
    before = empty()
    state, _ = deny(before, "Minji", NOON + timedelta(seconds=40))
    now = Moment(NOON + timedelta(minutes=10), 600)
    state, event = undo_denial(state, "Minji", now)
    assert (event.kind, event.reason) == (EventKind.OPENED, "undo_not_empty")
    assert event.incident_id == state.incident_id != before.incident_id
    assert (state.state, state.since, state.votes) == (State.EMPTY, before.since, before.votes)
    assert (state.opened_at, state.opened_s) == (before.opened_at, before.opened_s)
    assert state.denial is None


def test_what_is_undone_is_taken_and_put_off_as_it_was():
    until = NOON + timedelta(hours=1)
    before, _ = snooze(acknowledge(empty(), "Minji", NOON)[0], until, NOON)
    state, _ = deny(before, "Junho", NOON + timedelta(seconds=40))
    assert (state.ack, state.snooze_until) == (None, None)
    state, _ = undo_denial(state, "Junho", Moment(NOON + timedelta(minutes=10), 600))
    assert (state.ack, state.snooze_until) == (before.ack, until)


def test_what_was_denied_unseen_and_undone_is_as_it_was_left():
    lost, _ = expire(denied(), 1000, NOON + timedelta(minutes=16), RULE)
    assert lost.state is State.UNKNOWN
    state, _ = undo_denial(lost, "Minji", Moment(NOON + timedelta(minutes=17), 1020))
    state, _ = expire(state, 3000, NOON + timedelta(minutes=50), RULE)
    _, events = play(state, (3000, 0.9), (3015, 0.9), (3030, 0.9))
    assert events == []


def test_not_empty_cannot_be_undone_after_half_an_hour_nor_once_the_slot_was_judged_anew():
    late = Moment(NOON + timedelta(minutes=31), 1860)
    with pytest.raises(ClosedError, match="too late"):
        undo_denial(denied(), None, late)
    state, _ = play(denied(), (45, 0.1))
    with pytest.raises(ClosedError, match="too late"):
        undo_denial(state, None, Moment(NOON + timedelta(minutes=1), 60))


def test_a_clock_that_was_years_ahead_hides_no_slot_for_years():
    """Said while it was wrong; then it was set right."""
    wrong = NOON + timedelta(days=1500)
    state, _ = snooze(empty(), wrong + timedelta(minutes=15), wrong)
    state, event = expire(state, 31, NOON, RULE)
    assert event is not None
    assert (state.snooze_until, event.reason) == (None, "snooze_ended")
    state, _ = expire(denied(), 45, NOON - timedelta(days=1500), RULE)
    assert state.denial is None
    state, _ = expire(denied(), 45, NOON - timedelta(minutes=5), RULE)
    assert state.denial is not None  # set right by a little


def test_a_snooze_ends_by_itself_and_says_so():
    state, event = snooze(empty(), NOON + timedelta(minutes=15), NOON)
    assert event.reason == "snooze"
    same, nothing = expire(state, 31, NOON + timedelta(minutes=14), RULE)
    assert (same.snooze_until, nothing) == (state.snooze_until, None)
    state, event = expire(state, 31, NOON + timedelta(minutes=15), RULE)
    assert event is not None
    assert (state.snooze_until, event.reason) == (None, "snooze_ended")


def test_a_slot_that_is_taken_out_of_the_planogram_closes_its_incident():
    event = remove(empty(), NOON)
    assert event is not None
    assert (event.kind, event.reason) == (EventKind.CLOSED, "removed")
    assert remove(stocked(), NOON) is None
