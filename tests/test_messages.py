from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import messages, payloads
from edge.errors import RequestError
from edge.schemas import FOLDER
from edge.types import (
    Ack,
    CameraReason,
    CameraState,
    CameraStatus,
    Event,
    EventKind,
    Slot,
    SlotState,
    State,
    Visibility,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MILK = Slot("a1", "aisle", ((0, 0), (1, 0), (1, 1), (0, 1)), "Milk 240 ml", "8801104940016", 1)
EMPTY = SlotState(
    "a1",
    State.EMPTY,
    Visibility.CLEAR,
    since=NOON,
    last_seen=NOON + timedelta(seconds=5),
    score=0.912345678,
    incident_id="incident-1",
    ack=Ack("Kim", NOON),
    snooze_until=NOON + timedelta(hours=1),
    seq=3,
)


def conforms(payload: bytes, schema: str) -> dict:
    """Return the payload after holding it against the schema's file that ships."""
    document = json.loads(payload)
    rules = json.loads((FOLDER / f"{schema}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(rules).validate(document)
    return document


def schema_of(topic: str, payload: bytes) -> str:
    """Hold what was heard on a topic against its schema; return the schema's name."""
    match topic.split("/")[2:]:
        case ["status"]:
            name, payload = "status", json.dumps(payload.decode()).encode()
        case ["camera" | "slot" as thing, _, what]:
            name = f"{thing}_{what}"
        case ["response", _]:
            name = "response"
        case [name]:
            pass
    conforms(payload, name)
    return name


def test_a_slot_state_says_all_that_is_known_of_the_slot():
    assert conforms(messages.slot_state(MILK, EMPTY, "slots-1"), "slot_state") == {
        "schema": 1,
        "state": "empty",
        "visibility": "clear",
        "since": "2026-11-24T12:00:00.000Z",
        "last_seen": "2026-11-24T12:00:05.000Z",
        "score": 0.9123,
        "p_present": None,
        "camera": "aisle",
        "sku": "8801104940016",
        "name": "Milk 240 ml",
        "priority": 1,
        "incident_id": "incident-1",
        "ack": {"by": "Kim", "at": "2026-11-24T12:00:00.000Z"},
        "snooze_until": "2026-11-24T13:00:00.000Z",
        "seq": 3,
        "model": "slots-1",
    }


def test_a_slot_never_seen_is_stated_too():
    state = conforms(messages.slot_state(MILK, SlotState("a1"), "m"), "slot_state")
    assert (state["state"], state["visibility"]) == ("unknown", "stale")
    assert state["since"] is state["last_seen"] is state["score"] is state["ack"] is None


def test_a_closed_slot_event_names_the_incident_that_the_state_no_longer_has():
    closed = Event(EventKind.CLOSED, "slot/a1", NOON, "incident-1", None)
    stocked = SlotState("a1", State.STOCKED, Visibility.CLEAR, since=NOON, last_seen=NOON)
    event = conforms(messages.slot_event(closed, MILK, stocked, "store-1", "m"), "event")
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": closed.event_id,
        "source": "/stock/store-1",
        "type": "stock.slot.closed.v1",
        "subject": "slot/a1",
        "time": "2026-11-24T12:00:00.000Z",
        "datacontenttype": "application/json",
    }
    state = json.loads(messages.slot_state(MILK, stocked, "m"))
    assert data == state | {"incident_id": "incident-1", "reason": None, "replayed": False}


def test_the_event_of_a_removed_slot_is_told_from_its_last_retained_state():
    removed = Event(EventKind.CLOSED, "slot/a1", NOON, "incident-1", "removed")
    last = messages.slot_state(MILK, EMPTY, "m")
    data = conforms(messages.removed_slot_event(removed, last, "store-1"), "event")["data"]
    assert (data["name"], data["reason"]) == ("Milk 240 ml", "removed")
    assert data["incident_id"] == "incident-1"


def test_camera_and_node_events_are_cloud_events_too():
    camera = CameraState("aisle", CameraStatus.OFFLINE, CameraReason.NO_FRAMES, NOON, None)
    assert conforms(messages.camera_status(camera), "camera_status") == {
        "status": "offline",
        "reason": "no_frames",
        "since": "2026-11-24T12:00:00.000Z",
        "last_frame": None,
    }
    down = Event(EventKind.CAMERA_DOWN, "camera/aisle", NOON)
    event = conforms(messages.camera_event(down, camera, "store-1"), "event")
    assert event["data"]["camera"] == "aisle"
    started = Event(EventKind.NODE_STARTED, "node", NOON)
    event = conforms(messages.node_started(started, "store-1", "1.2.3", "m"), "event")
    assert event["data"] == {"version": "1.2.3", "model": "m", "replayed": False}


def test_a_replayed_event_differs_in_nothing_but_saying_so():
    opened = Event(EventKind.OPENED, "slot/a1", NOON, "incident-1")
    korean = Slot("a1", "aisle", MILK.quad, "바나나맛 우유")
    first = messages.slot_event(opened, korean, EMPTY, "store-1", "m")
    again = conforms(messages.as_replayed(first), "event")
    assert again["data"].pop("replayed") is True
    expected = json.loads(first)
    del expected["data"]["replayed"]
    assert again == expected


def test_times_are_utc_whatever_they_came_in():
    seoul = NOON.astimezone(timezone(timedelta(hours=9)))
    assert payloads.rfc3339(seoul) == "2026-11-24T12:00:00.000Z"


def test_the_inventory_counts_facings_by_sku_and_else_by_name():
    slots = [
        MILK,
        Slot("a2", "aisle", MILK.quad, "Milk 240 ml, right", MILK.sku),
        Slot("b1", "aisle", MILK.quad, "Tea"),
        Slot("b2", "aisle", MILK.quad, "Tea"),
        Slot("c1", "aisle", MILK.quad, "Soap", "77"),
    ]
    states = {
        "a1": EMPTY,
        "a2": SlotState("a2", State.STOCKED),
        "b1": SlotState("b1", State.MISPLACED),
        "b2": SlotState("b2", State.STOCKED),
    }
    nothing = {"stocked": 0, "empty": 0, "misplaced": 0, "unknown": 0}
    assert conforms(messages.inventory(slots, states), "inventory") == {
        "8801104940016": nothing | {"name": "Milk 240 ml", "slots": 2, "stocked": 1, "empty": 1},
        "Tea": nothing | {"name": "Tea", "slots": 2, "stocked": 1, "misplaced": 1},
        "77": nothing | {"name": "Soap", "slots": 1, "unknown": 1},
    }


def test_a_shop_without_slots_has_an_empty_inventory():
    assert messages.inventory([], {}) == b"{}"


def test_requests_are_read_into_what_they_ask_for():
    assert messages.parse_request("ping", b"") == payloads.PingRequest()
    assert messages.parse_request("ack", b'{"slot":"a1","by":"Kim","transaction":7}') == (
        payloads.AckRequest(slot="a1", by="Kim", transaction=7)
    )
    snoozed = messages.parse_request("snooze", b'{"slot":"a1","minutes":30,"transaction":"x"}')
    assert snoozed == payloads.SnoozeRequest(slot="a1", minutes=30, transaction="x")


@pytest.mark.parametrize(
    ("verb", "payload", "complaint"),
    [
        ("ack", b'{"slot"', "Invalid JSON"),
        ("ack", b"\xff\xfe", "Invalid JSON"),
        ("ack", b"[]", "object"),
        ("ack", b'{"slot":"a1"}', "by: Field required"),
        ("ack", b'{"slot":"a1/#","by":"Kim"}', "slot: .*pattern"),
        ("ack", b'{"slot":"a1","by":"Kim","to":"me"}', "to: Extra inputs"),
        ("snooze", b'{"slot":"a1","minutes":"30"}', "minutes: .*integer"),
        ("snooze", b'{"slot":"a1","minutes":-1}', "minutes: .*greater than or equal to 0"),
        ("dance", b"{}", "unknown request 'dance'; use one of ping, reload, ack"),
        ("ping", b" " * 20000, "at most 16384 bytes"),
        ("ping", b"[" * 10000, "Invalid JSON"),
        ("ping", b'{"transaction":"\\ud800"}', "Invalid JSON"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_to_its_sender(verb, payload, complaint):
    with pytest.raises(RequestError, match=complaint) as raised:
        messages.parse_request(verb, payload)
    reply = conforms(messages.refusal(raised.value), "response")
    assert (reply["status"], reply["data"]) == ("error", {})
    assert reply["error"] == str(raised.value)


def test_the_reply_to_a_wrong_request_still_repeats_its_transaction():
    with pytest.raises(RequestError) as raised:
        messages.parse_request("ack", b'{"transaction":"t-1"}')
    assert json.loads(messages.refusal(raised.value))["transaction"] == "t-1"


def test_replies_say_ok_with_data_or_an_error():
    ping = payloads.PingRequest(transaction=5)
    assert conforms(messages.response(ping, {"x": 1}), "response") == {
        "status": "ok",
        "data": {"x": 1},
        "error": None,
        "transaction": 5,
    }
    reply = conforms(messages.response(ping, error="no such slot"), "response")
    assert (reply["status"], reply["error"]) == ("error", "no such slot")


@settings(deadline=None)
@given(verb=st.sampled_from([*payloads.REQUESTS, "other"]), payload=st.binary(max_size=300))
def test_no_bytes_do_more_harm_than_a_refusal(verb, payload):
    try:
        messages.parse_request(verb, payload)
    except RequestError as error:
        conforms(messages.refusal(error), "response")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["slot", "by", "minutes", "transaction", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(verb=st.sampled_from([*payloads.REQUESTS]), value=JSON)
def test_no_json_does_more_harm_than_a_refusal(verb, value):
    try:
        messages.parse_request(verb, json.dumps(value).encode())
    except RequestError as error:
        conforms(messages.refusal(error), "response")
