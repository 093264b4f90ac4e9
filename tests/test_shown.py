"""What the staff page reads of the board: above all, what can be taken back now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from test_board import LEFT, NOON, RIGHT

from edge.history import CLOSED, OPENED, Deed
from edge.types import Ack, Denial, Reason, SlotState, State, Visibility
from edge.web.shown import VOLATILE_FIELDS, changed, recent_json, slots_json

NOW = NOON + timedelta(minutes=10)
OPEN = SlotState("a1", State.EMPTY, incident_id="i", opened_at=NOON)


def notice(state: SlotState, *deeds: Deed) -> SimpleNamespace:
    plan = SimpleNamespace(slots=(LEFT, RIGHT))
    return SimpleNamespace(plan=plan, states={state.slot_id: state}, looks={}, full={}, deeds=deeds)


def deed(kind: str, minute: float = 9, incident: str = "i", slot: str = "a1") -> Deed:
    return Deed(NOON + timedelta(minutes=minute), slot, kind, incident, "Kim")


def undo(state: SlotState, *deeds: Deed) -> list[str | None]:
    return [one["undo"] for one in recent_json(notice(state, *deeds), NOW)]


def test_an_ack_can_be_taken_back_while_it_stands():
    acked = replace(OPEN, ack=Ack("Kim", NOON))
    assert undo(acked, deed(Reason.ACK)) == ["release"]
    assert undo(OPEN, deed(Reason.RELEASE), deed(Reason.ACK, 8)) == [None, None]
    assert undo(replace(acked, incident_id="next"), deed(Reason.ACK)) == [None]


def test_of_several_acks_only_the_last_can_be_taken_back():
    acked = replace(OPEN, ack=Ack("Kim", NOON))
    told = undo(acked, deed(Reason.ACK, 9), deed(Reason.RELEASE, 8), deed(Reason.ACK, 7))
    assert told == ["release", None, None]


def test_a_snooze_can_be_ended_while_it_lasts():
    snoozed = replace(OPEN, snooze_until=NOW + timedelta(minutes=5))
    assert undo(snoozed, deed(Reason.SNOOZE)) == ["snooze"]
    assert undo(OPEN, deed(Reason.SNOOZE)) == [None]


def test_a_word_against_an_alarm_can_be_taken_back_for_half_an_hour_while_it_counts():
    denial = Denial(NOON, "Kim", "i", NOON, State.EMPTY, NOON, None)
    denied = SlotState("a1", State.STOCKED, denial=denial)
    said = deed(Reason.NOT_EMPTY, 0)
    assert undo(denied, said) == ["undo_not_empty"]
    assert undo(SlotState("a1", State.STOCKED), said) == [None]
    assert undo(denied, deed(Reason.NOT_EMPTY, 0, "another")) == [None]


def test_what_is_longer_ago_than_half_an_hour_is_not_recent():
    deeds = [deed(CLOSED, 9), deed(OPENED, -21)]
    assert [one["kind"] for one in recent_json(notice(OPEN, *deeds), NOW)] == ["closed"]


def test_what_happened_to_a_slot_that_is_gone_goes_by_its_id():
    (told,) = recent_json(notice(OPEN, deed(CLOSED, slot="gone")), NOW)
    assert (told["name"], told["undo"], told["by"]) == ("gone", None, "Kim")


@pytest.mark.parametrize(("open_s", "minutes"), [(None, None), (29.0, 0), (1799.0, 30)])
def test_how_long_it_was_open_is_told_in_minutes(open_s, minutes):
    closed = replace(deed(CLOSED), open_s=open_s)
    assert recent_json(notice(OPEN, closed), NOW)[0]["minutes_open"] == minutes


def test_a_slot_that_was_never_seen_is_there_with_nothing_known():
    told = slots_json(notice(OPEN), {})["a2"]
    assert (told["state"], told["visibility"]) == (State.UNKNOWN, Visibility.STALE)
    assert [key for key, value in told.items() if value is None] == [
        *("sku", "priority", "place", "since", "last_seen", "score", "p_present", "votes"),
        *("incident", "now", "full"),
    ]


def test_a_score_alone_is_no_news_for_a_page():
    before = slots_json(notice(OPEN), {})
    scored = slots_json(notice(replace(OPEN, score=0.91, last_seen=NOON)), {})
    assert changed(before, scored, VOLATILE_FIELDS) == []
    assert changed(before, scored, ()) == ["a1"]
    assert changed({}, scored, VOLATILE_FIELDS) == ["a1", "a2"]
