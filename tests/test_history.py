"""How the past is counted and what is read out of it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from edge.drawing.goods_list import read_goods
from edge.figures import Past, Share, make_report, with_counted, wrongly_alarmed_s
from edge.history import (
    BLOCKED_FOR_S,
    CLOSED,
    MISSED_S,
    Incident,
    Spent,
    Tally,
    counts_as,
    deed_of,
    hour_of,
    incident_of,
)
from edge.places import Place
from edge.types import Ack, Event, EventKind, Moment, Slot, SlotState, State, Visibility
from edge.web.report import as_csv, report_json

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEOUL = timezone(timedelta(hours=9))
QUAD = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
STOCKED = SlotState("a1", State.STOCKED, Visibility.CLEAR, clear_s=100.0)


def at(seconds: float) -> Moment:
    return Moment(NOON + timedelta(seconds=seconds), 1000 + seconds)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (STOCKED, "stocked"),
        (replace(STOCKED, state=State.EMPTY), "empty"),
        (replace(STOCKED, state=State.MISPLACED), "misplaced"),
        (replace(STOCKED, state=State.UNKNOWN), "unseen"),
        (replace(STOCKED, visibility=Visibility.STALE), "unseen"),
    ],
)
def test_time_counts_as_what_was_stated_if_it_could_be_seen(state, kind):
    assert counts_as(state, 101.0) == kind


def test_who_passes_by_takes_no_time_and_who_stays_takes_it_away():
    blocked = replace(STOCKED, visibility=Visibility.BLOCKED)
    assert counts_as(blocked, 100 + BLOCKED_FOR_S) == "stocked"
    assert counts_as(blocked, 101 + BLOCKED_FOR_S) == "unseen"
    assert counts_as(replace(blocked, clear_s=None), 1.0) == "unseen"


def test_a_machine_that_stood_still_has_seen_nothing():
    tally = Tally(at(0))
    tally.add([STOCKED], at(MISSED_S + 1))
    assert list(tally.hours.values()) == [Spent(unseen=MISSED_S + 1)]


def test_time_is_counted_by_the_shops_hour_and_by_the_clock_that_never_jumps():
    tally = Tally(at(0), SEOUL)
    tally.add([STOCKED], at(10))
    jumped = Moment(NOON - timedelta(days=400), 1025)
    tally.add([STOCKED], jumped)
    tally.add([STOCKED], at(5))  # the monotonic clock does not go back; if it did, nothing counts
    hours = {hour_of(NOON, SEOUL): Spent(stocked=10), hour_of(jumped.at, SEOUL): Spent(stocked=15)}
    assert tally.hours == {("a1", hour): spent for hour, spent in hours.items()}
    assert hour_of(NOON, SEOUL) % 24 == 21
    tally.clear()
    assert tally.hours == {}


def test_an_incident_was_open_for_as_long_as_the_monotonic_clock_says():
    before = SlotState("a1", State.EMPTY, incident_id="i", opened_at=NOON, opened_s=1000.0)
    before = replace(before, ack=Ack("Kim", NOON))
    earlier = Moment(NOON - timedelta(days=1), 1600.0)  # the clock was set back meanwhile
    closed = Event(EventKind.CLOSED, "slot/a1", earlier.at, "i", "stocked")
    deed = deed_of(closed, before, earlier)
    assert deed is not None
    assert (deed.kind, deed.open_s) == (CLOSED, 600.0)
    assert incident_of(closed, before, SlotState("a1"), earlier) == Incident(
        "i", "a1", NOON, NOON, earlier.at, "stocked", 600.0
    )


def test_a_change_from_empty_to_misplaced_is_no_deed():
    event = Event(EventKind.UPDATED, "slot/a1", NOON, "i", "misplaced")
    assert deed_of(event, SlotState("a1"), at(0)) is None


SLOTS = [
    Slot("a1", "cam", QUAD, "Cola", "880"),
    Slot("a2", "cam", QUAD, "Cola", "880"),
    Slot("b1", "cam", QUAD, "=cmd()", None),
]
PLACES = {"a1": Place(1, 1), "a2": Place(1, 2), "b1": Place(2, 1)}


def closed(slot_id: str, minutes: float, reason: str = "stocked") -> Incident:
    return Incident(f"{slot_id}{minutes}", slot_id, NOON, None, NOON, reason, 60 * minutes)


def report(**changes):
    today = 20_000
    past = Past(
        days=2,
        today=today,
        by_day={
            ("a1", today - 1): Spent(stocked=3600, unseen=1200),
            ("a1", today): Spent(stocked=900, empty=2700),
            ("a2", today): Spent(stocked=3600, misplaced=400),
            ("gone", today): Spent(empty=9999),
        },
        by_hour={("a1", 9): Spent(stocked=1, empty=3)},
        incidents=[
            closed("a1", 10),
            closed("a1", 20),
            closed("a1", 1, "not_empty"),
            closed("a2", 60),
            closed("gone", 999),
            Incident("open", "a2", NOON),
        ],
    )
    states = {"a1": STOCKED, "a2": replace(STOCKED, slot_id="a2", state=State.EMPTY)}
    return make_report(SLOTS, states, PLACES, replace(past, **changes))


def test_availability_is_a_share_of_the_time_that_was_seen():
    found = report()
    assert found.share == Share(8100 / 11200, 1200 / 12400)
    assert Share.of(Spent()) == Share(None, None)
    assert Share.of(Spent(unseen=5)) == Share(None, 1.0)
    assert [(day, share.availability) for day, share in found.days] == [
        (date(2024, 10, 3), 1.0),
        (date(2024, 10, 4), 4500 / 7600),
    ]


def test_the_worst_slot_comes_first_and_what_was_never_seen_last():
    found = report()
    assert [one.slot.slot_id for one in found.slots] == ["a1", "a2", "b1"]
    a1, a2, b1 = found.slots
    assert (a1.incidents, a1.median_refill_min, a1.empty_min) == (2, 15.0, 45.0)
    assert (a2.incidents, a2.median_refill_min, a2.empty_min) == (2, 60.0, 0.0)
    assert (b1.incidents, b1.median_refill_min, b1.share.availability) == (0, None, None)


def test_a_wrong_alarm_is_no_incident_and_took_no_time_to_refill():
    assert report().median_refill_min == 20.0
    assert report(incidents=[closed("a1", 5, "not_empty")]).median_refill_min is None


def wrong(until: datetime, minutes: float) -> Incident:
    opened_at = until - timedelta(minutes=minutes)
    return Incident(f"{until}", "a1", opened_at, None, until, "not_empty", 60 * minutes)


def figures_after(*incidents: Incident, hours: dict[int, Spent], days: int = 2):
    """Return the report of slot a1, which was seen in these hours since 1970."""
    counted = {("a1", hour): spent for hour, spent in hours.items()}
    past = Past(days, hour_of(NOON) // 24, {}, {}, incidents)
    return make_report(SLOTS[:1], {}, {}, with_counted(past, counted))


def test_the_time_of_a_wrong_alarm_was_stocked_unless_the_word_was_taken_back():
    last = hour_of(NOON) - 1  # the hour that ends at noon
    hours = {last: Spent(stocked=3000, empty=600)}
    alarm = wrong(NOON, 8)
    found = figures_after(alarm, hours=hours)
    assert found.slots[0].share.availability == 3480 / 3600
    assert found.slots[0].empty_min == 2.0
    assert found.empty_by_hour["a1"][last % 24] == 120 / 3600
    reopened = Incident("again", "a1", alarm.opened_at)
    found = figures_after(alarm, reopened, hours=hours)
    assert found.slots[0].share.availability == 3000 / 3600
    assert found.empty_by_hour["a1"][last % 24] == 600 / 3600


def test_a_wrong_alarm_of_a_wrong_item_was_stocked_too():
    last = hour_of(NOON) - 1
    found = figures_after(wrong(NOON, 8), hours={last: Spent(stocked=3000, misplaced=600)})
    assert found.slots[0].share.availability == 3480 / 3600
    # Ten minutes in all: empty at first, then something else stood there.
    hours = {last: Spent(stocked=3000, empty=200, misplaced=400)}
    found = figures_after(wrong(NOON, 8), hours=hours)
    assert (found.slots[0].share.availability, found.slots[0].empty_min) == (3480 / 3600, 0.0)


def test_a_wrong_alarm_of_a_wrong_item_leaves_what_was_rightly_empty():
    last = hour_of(NOON) - 1
    hours = {
        last - 3: Spent(stocked=2400, empty=1200),
        last: Spent(stocked=3000, misplaced=600),
    }
    found = figures_after(wrong(NOON, 10), hours=hours)
    assert found.slots[0].empty_min == 20.0
    assert found.empty_by_hour["a1"][(last - 3) % 24] == 1200 / 3600
    assert found.slots[0].share.availability == 6000 / 7200


def test_who_says_it_again_after_taking_it_back_means_the_whole_alarm():
    last = hour_of(NOON) - 1
    alarm = wrong(NOON - timedelta(minutes=1), 8)
    again = Incident("again", "a1", alarm.opened_at, None, NOON, "not_empty", 60 * 9)
    for order in ((alarm, again), (again, alarm)):
        found = figures_after(*order, hours={last: Spent(stocked=3000, empty=600)})
        assert found.slots[0].share.availability == 3540 / 3600


def test_a_wrong_alarm_across_midnight_leaves_both_days_and_the_hours_it_lasted():
    midnight = (hour_of(NOON) // 24) * 24  # of the wall clock
    until = NOON - timedelta(hours=hour_of(NOON) - midnight) + timedelta(minutes=20)
    hours = {
        midnight - 24: Spent(stocked=1800, empty=1800),  # a day before: rightly empty
        midnight - 1: Spent(stocked=2700, empty=900),
        midnight: Spent(stocked=1200, empty=600, unseen=1800),
    }
    found = figures_after(wrong(until, 30), hours=hours)
    by_hour = found.empty_by_hour["a1"]
    assert by_hour[23] == 300 / 3600  # ten minutes of fifteen
    assert by_hour[0] == 1800 / 5400  # today's ten minutes, which is less than twenty; not more
    assert [share.availability for _, share in found.days] == [
        (1800 + 2700 + 600) / 7200,
        1800 / 1800,
    ]


def test_of_a_wrong_alarm_only_what_the_figures_reach_back_to_is_taken_out():
    midnight = (hour_of(NOON) // 24) * 24
    until = NOON - timedelta(hours=hour_of(NOON) - midnight) + timedelta(minutes=20)
    found = figures_after(
        wrong(until, 50), hours={midnight - 1: Spent(empty=3600), midnight: Spent(3600)}, days=1
    )
    assert found.empty_by_hour["a1"][23] is None
    assert [share.availability for _, share in found.days] == [1.0]


def test_a_wrong_alarm_falls_into_the_hours_of_the_shops_clock():
    half_past = timezone(timedelta(hours=5, minutes=30))  # Mumbai: 12:00 UTC is 17:30
    found = wrongly_alarmed_s([wrong(NOON, 100)], half_past)
    last = hour_of(NOON, half_past)
    assert last % 24 == 17
    assert found == {("a1", last - 1): 3600, ("a1", last): 1800, ("a1", last - 2): 600}
    assert wrongly_alarmed_s([closed("a1", 5), Incident("open", "a1", NOON)]) == {}


def test_what_is_not_written_yet_counts_as_well():
    past = Past(2, 20_000, {("a1", 20_000): Spent(stocked=60)}, {}, [])
    hour = 24 * 20_000 + 9
    found = with_counted(past, {("a1", hour): Spent(empty=60), ("a1", hour - 72): Spent(1)})
    assert found.by_day == {("a1", 20_000): Spent(stocked=60, empty=60)}
    assert found.by_hour == {("a1", 9): Spent(empty=60)}


def test_shelves_hours_and_stock():
    found = report_json(report())
    assert [(one["row"], one["availability"]) for one in found["shelves"]] == [
        (1, round(8100 / 11200, 4)),
        (2, None),
    ]
    assert found["hours"]["slots"] == ["a1", "a2", "b1"]
    assert found["hours"]["empty_share"][0][8:11] == [None, 0.75, None]
    assert found["stock"] == [
        {"sku": "880", "name": "Cola", "slots": 2, "stocked": 1, "empty": 1, "misplaced": 0,
         "unknown": 0},
        {"sku": None, "name": "=cmd()", "slots": 1, "stocked": 0, "empty": 0, "misplaced": 0,
         "unknown": 1},
    ]  # fmt: skip


def in_spreadsheet(slot: Slot) -> dict[str, str]:
    found = make_report([slot], {}, {}, Past(1, 20_000, {}, {}, []))
    (row,) = csv.DictReader(io.StringIO(as_csv(found.slots)))
    return row


@pytest.mark.parametrize(
    "sku", ["8801104940016", "00120012", "2026-11-24", "12e5", "12E5", "1.50", "3/4", "1:30"]
)
def test_a_barcode_and_an_id_keep_their_digits_in_a_spreadsheet_and_on_the_way_back(sku):
    row = in_spreadsheet(replace(SLOTS[0], slot_id="1-02", sku=sku))
    assert (row["slot"], row["sku"]) == ('="1-02"', f'="{sku}"')
    (goods,) = read_goods(f"name,sku\nCola,{row['sku']}\n").rows
    assert goods.sku == sku


def test_what_is_no_number_stands_bare_in_a_spreadsheet():
    row = in_spreadsheet(replace(SLOTS[0], slot_id="a1-02", name="Cola 250", sku="88011"))
    assert (row["slot"], row["name"], row["sku"]) == ("a1-02", "Cola 250", "88011")


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@sum", "\tx"])
def test_no_name_is_a_formula_in_a_spreadsheet(name):
    row = in_spreadsheet(replace(SLOTS[0], name=name, sku="=1"))
    assert (row["name"], row["sku"]) == (f"'{name}", "'=1")
    assert (row["availability"], row["row"], row["empty_min"]) == ("", "", "0.0")
