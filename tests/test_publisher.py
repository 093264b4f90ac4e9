"""Delivery from a real store to a real mosquitto, over a line that can be cut."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from cutter import Cutter
from disk import spoil
from mosquitto import Heard, Mosquitto, Subscriber, retained, wait_for
from test_messages import schema_of

from edge import messages, payloads
from edge import publisher as publishing
from edge.errors import RequestError, SinkError
from edge.publisher import Publisher
from edge.sinks import Destination, open_sink
from edge.sinks.sink import Message
from edge.store import QueuedEvent, Store
from edge.types import (
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

QUAD = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def line(broker: Mosquitto) -> Iterator[Cutter]:
    with Cutter(broker.port) as cutter:
        yield cutter


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store(tmp_path / "state")) as opened:
        yield opened


class Delivery:
    """Publishers of node n that are stopped after the test."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.requests: list[tuple[str, bytes]] = []
        self._running: list[Publisher] = []

    def start(self, port: int, **options: object) -> Publisher:
        sink = open_sink(Destination(f"mqtt://127.0.0.1:{port}", "n"))
        options = {"first_retry_s": 0.05, "last_retry_s": 0.1} | options
        publisher = Publisher(self.store, sink, self._hear, **options)
        self._running.append(publisher)
        publisher.start()
        return publisher

    def stop(self) -> None:
        for publisher in self._running:
            publisher.stop()
            assert not publisher.is_alive()

    def _hear(self, verb: str, payload: bytes) -> None:
        self.requests.append((verb, payload))


@pytest.fixture
def delivery(store: Store) -> Iterator[Delivery]:
    made = Delivery(store)
    yield made
    made.stop()


def change(store: Store, seq: int, slot_id: str = "a1", kind: EventKind = EventKind.OPENED) -> str:
    """Record that a slot changed for the seq-th time; return the event's id."""
    slot = Slot(slot_id, "aisle", QUAD, f"Product in {slot_id}")
    state = SlotState(
        slot_id, State.EMPTY, Visibility.CLEAR, NOW, NOW, 0.9, incident_id=f"i{seq}", seq=seq
    )
    event = Event(kind, f"slot/{slot_id}", NOW, f"i{seq}")
    store.record(
        [state],
        {f"slot/{slot_id}/state": messages.slot_state(slot, state, "m")},
        [QueuedEvent.of(event, messages.slot_event(event, slot, state, "n", "m"))],
    )
    return event.event_id


def record_all_kinds_of_documents(store: Store) -> None:
    camera = CameraState("aisle", CameraStatus.DEGRADED, CameraReason.DARK, NOW, NOW)
    slot, state = Slot("a1", "aisle", QUAD, "Tea"), SlotState("a1")
    down = Event(EventKind.CAMERA_DOWN, "camera/aisle", NOW)
    started = Event(EventKind.NODE_STARTED, "node", NOW)
    documents = {
        "inventory": messages.inventory([slot], {"a1": state}),
        "slot/a1/state": messages.slot_state(slot, state, "m"),
        "health": messages.encode(
            payloads.HealthPayload(
                at=NOW,
                uptime_s=1.0,
                cpu_percent=3.5,
                memory_bytes=10**8,
                disk_free_bytes=10**9,
                outbox=payloads.OutboxPayload(
                    connected_since=None, waiting=1, oldest_s=2.0, dropped=0, last_error=None
                ),
                inference=payloads.InferencePayload(looks=0, p50_ms=None, p95_ms=None),
                cameras={
                    "aisle": payloads.CameraHealthPayload(
                        status=CameraStatus.DEGRADED, frames=3, last_frame_s=0.5
                    )
                },
            )
        ),
        "camera/aisle/status": messages.camera_status(camera),
        "info": messages.encode(
            payloads.InfoPayload(
                versions={"shelf-edge": "1"},
                model={"name": "m"},
                config_digest="d",
                cameras=["aisle"],
                slots=["a1"],
                started_at=NOW,
            )
        ),
    }
    events = [
        QueuedEvent.of(started, messages.node_started(started, "n", "1", "m")),
        QueuedEvent.of(down, messages.camera_event(down, camera, "n")),
    ]
    store.record([state], documents, events)


def events(listener: Subscriber) -> list[dict]:
    return [json.loads(payload) for payload in listener.payloads("stock/n/event")]


def ids(heard: Sequence[dict]) -> list[str]:
    """Return the events' ids, each where it came first."""
    return list(dict.fromkeys(event["id"] for event in heard))


def words(heard: Sequence[Heard]) -> list[str]:
    return [message.topic.removeprefix("stock/n/") for message in heard]


def settled(store: Store) -> Callable[[], bool]:
    return lambda: store.backlog().count == 0


def test_after_each_connect_all_is_said_in_the_documented_order(store, line, listener, delivery):
    record_all_kinds_of_documents(store)
    expected = ["info", "camera/aisle/status", "slot/a1/state"]
    last = ["event", "event"]
    delivery.start(line.port)
    wait_for(lambda: len(listener.heard()) == 8)
    said = words(listener.heard())
    assert said[:3] == expected
    assert set(said[3:5]) == {"inventory", "health"}
    assert said[5:] == ["status", *last]
    assert listener.payloads("stock/n/status") == [b"online"]

    wait_for(settled(store))
    line.silence()
    change(store, 1)  # before the next connect, however soon that is
    line.cut()
    line.resume()
    wait_for(lambda: len(events(listener)) == 3)
    again = words(listener.heard())[8:]
    assert again[:4] == ["status", *expected]  # the first is the will
    assert set(again[4:6]) == {"inventory", "health"}
    assert again[6:] == ["status", "event"]
    assert listener.payloads("stock/n/status") == [b"online", b"offline", b"online"]


def test_requests_are_heard_before_anything_is_said(store, broker, delivery):
    """Who sees `online` may ask at once."""
    record_all_kinds_of_documents(store)
    with Subscriber(broker.port) as asker:
        asker.client.on_message = lambda client, _, message: client.publish(
            "stock/n/request/ping", message.topic
        )
        delivery.start(broker.port)
        wait_for(lambda: ("ping", b"stock/n/info") in delivery.requests)


def test_a_change_is_told_at_once_its_state_before_its_event(
    store, broker, listener, delivery, witness
):
    delivery.start(broker.port)
    wait_for(lambda: listener.heard("stock/n/status"))
    late_s = []
    for seq in range(1, 6):  # the machine may stand still for a moment, but not at every second one
        wait_for(settled(store))
        begun_s = time.monotonic()
        event_id = change(store, seq)
        wait_for(lambda told=seq: len(events(listener)) == told)
        late_s.append(witness.ran_s(begun_s, listener.heard("stock/n/event")[-1].at_s))
        assert words(listener.heard())[-2:] == ["slot/a1/state", "event"]
        event = events(listener)[-1]
        assert (event["id"], event["data"]["replayed"]) == (event_id, False)
    assert median(late_s) < 0.2
    wait_for(settled(store))


def test_states_go_on_being_told_when_a_new_file_took_the_place_of_a_damaged_one(
    store, broker, listener, delivery
):
    for seq in range(1, 6):
        change(store, seq)
    delivery.start(broker.port)
    wait_for(settled(store))  # the broker has all; the listener may not yet
    wait_for(lambda: len(events(listener)) == 5)
    spoil(store)
    event_id = change(store, 6)  # its row and its document's version are the first ones again
    wait_for(lambda: events(listener)[-1]["id"] == event_id)
    assert not events(listener)[-1]["data"]["replayed"]
    assert json.loads(listener.payloads("stock/n/slot/a1/state")[-1])["seq"] == 6
    assert words(listener.heard())[-2:] == ["slot/a1/state", "event"]


def test_what_changed_while_away_is_told_in_order_and_says_that_it_waited(
    store, broker, listener, delivery
):
    publisher = delivery.start(broker.port)
    wait_for(lambda: publisher.delivery().connected_since)
    broker.stop()
    wait_for(lambda: publisher.delivery().last_error)
    assert publisher.delivery().connected_since is None
    expected = [change(store, seq, slot_id) for seq in range(10) for slot_id in ("a1", "a2")]
    assert publisher.delivery().backlog.count == 20
    broker.start()
    wait_for(settled(store))
    wait_for(lambda: len(events(listener)) >= 20)
    assert ids(events(listener)) == expected
    assert all(event["data"]["replayed"] for event in events(listener))
    states = [words([m])[0] for m in listener.heard() if m.topic.endswith("/state")]
    assert states == ["slot/a1/state", "slot/a2/state"]  # the newest only, once
    assert publisher.delivery().last_error is None
    change(store, 11)
    wait_for(lambda: events(listener)[-1]["data"]["seq"] == 11)
    assert not events(listener)[-1]["data"]["replayed"]


def test_an_event_whose_acknowledgement_was_lost_comes_again_with_the_same_id(
    store, line, listener, delivery
):
    publisher = delivery.start(line.port)
    wait_for(lambda: publisher.delivery().connected_since)
    line.deafen()
    camera = CameraState("aisle", CameraStatus.OFFLINE, CameraReason.NO_FRAMES, NOW, NOW)
    down = Event(EventKind.CAMERA_DOWN, "camera/aisle", NOW)
    store.record(events=[QueuedEvent.of(down, messages.camera_event(down, camera, "n"))])
    wait_for(lambda: events(listener))
    assert store.backlog().count == 1
    line.cut()
    line.resume()
    wait_for(settled(store))
    wait_for(lambda: len(events(listener)) == 2)
    first, second = events(listener)
    assert first["id"] == second["id"] == down.event_id
    assert (first["data"]["replayed"], second["data"]["replayed"]) == (False, True)


def test_retained_states_come_back_to_a_broker_that_forgot_them(tmp_path, store, delivery):
    with Mosquitto(tmp_path, persistent=False) as broker:
        change(store, 1)
        delivery.start(broker.port)
        wait_for(settled(store))
        before = retained(broker.port)
        broker.stop()
        broker.start()
        wait_for(lambda: retained(broker.port) == before)
        assert set(before) == {"stock/n/slot/a1/state", "stock/n/status"}


def test_what_is_no_longer_configured_is_removed_also_if_that_was_decided_offline(
    store, broker, delivery
):
    change(store, 1, "a1")
    change(store, 1, "a2")
    first = delivery.start(broker.port)
    wait_for(settled(store))
    first.stop()
    store.record(documents={"slot/a1/state": None}, forget_slots=["a1"])
    second = delivery.start(broker.port)
    wait_for(lambda: second.delivery().connected_since)
    wait_for(lambda: [d.topic for d in store.documents()] == ["slot/a2/state"])
    assert "stock/n/slot/a1/state" not in retained(broker.port)

    store.record(documents={"slot/a2/state": None})
    wait_for(lambda: store.documents() == [])
    assert set(retained(broker.port)) == {"stock/n/status"}


def test_a_clean_stop_sends_what_waits_and_says_offline(store, broker, listener, delivery):
    publisher = delivery.start(broker.port)
    wait_for(lambda: listener.heard("stock/n/status"))
    expected = [change(store, seq) for seq in range(50)]
    publisher.stop()
    assert store.backlog().count == 0
    wait_for(lambda: listener.payloads("stock/n/status") == [b"online", b"offline"])
    assert words(listener.heard())[-1] == "status"
    assert ids(events(listener)) == expected


def test_a_main_loop_that_stands_still_is_offline_until_it_goes_round_again(
    monkeypatch, store, broker, listener, delivery
):
    monkeypatch.setattr(publishing, "STILL_S", 1.0)
    publisher = delivery.start(broker.port)
    told = partial(listener.payloads, "stock/n/status")
    wait_for(lambda: told() == [b"online"])
    since_s = time.monotonic()
    wait_for(lambda: told() == [b"online", b"offline"])
    assert time.monotonic() - since_s > 0.5
    assert "not looked at its cameras" in publisher.delivery().last_error

    def going_round():
        publisher.check()
        return told()[-1] == b"online"

    wait_for(going_round)
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        assert going_round()
        time.sleep(0.1)


def test_stopping_without_a_broker_takes_no_time(store, delivery, broker, witness):
    publisher = delivery.start(broker.port, first_retry_s=30.0, last_retry_s=60.0)
    wait_for(lambda: publisher.delivery().connected_since)
    broker.stop()
    wait_for(lambda: publisher.delivery().last_error)
    assert witness.took_s(publisher.stop) < 1
    assert not publisher.is_alive()


def test_stopping_does_not_wait_for_a_broker_that_no_longer_answers(store, line, delivery):
    publisher = delivery.start(line.port)
    wait_for(lambda: publisher.delivery().connected_since)
    line.silence()
    change(store, 1)
    publisher.stop(timeout_s=0.3)
    assert not publisher.is_alive()
    assert store.backlog().count == 1


def test_a_request_is_answered_and_a_wrong_one_is_told_what_is_wrong(
    store, broker, listener, delivery
):
    publisher = delivery.start(broker.port)
    wait_for(lambda: listener.heard("stock/n/status"))
    listener.say("stock/n/request/ping", b'{"transaction":"t1"}')
    listener.say("stock/n/request/ack", b'{"slot":')
    for _ in range(2):
        wait_for(lambda: delivery.requests)
        verb, payload = delivery.requests.pop(0)
        try:
            publisher.answer(verb, messages.response(messages.parse_request(verb, payload)))
        except RequestError as error:
            publisher.answer(verb, messages.refusal(error))
    wait_for(lambda: listener.heard("stock/n/response/ack"))
    (pong,) = listener.payloads("stock/n/response/ping")
    assert json.loads(pong) == {"status": "ok", "data": {}, "error": None, "transaction": "t1"}
    (refused,) = listener.payloads("stock/n/response/ack")
    assert json.loads(refused)["error"].startswith("Invalid JSON")


def test_an_event_that_is_refused_for_good_does_not_block_the_line(
    store, broker, listener, delivery, caplog
):
    publisher = delivery.start(broker.port)
    payload = json.dumps({"data": {"name": "x" * 300_000}}).encode()
    huge = QueuedEvent("huge", EventKind.OPENED, "slot/a1", payload, NOW)
    store.record(documents={"slot/a9/state": b"x" * 300_000}, events=[huge])
    good = change(store, 1)
    wait_for(lambda: events(listener))
    assert ids(events(listener)) == [good]
    assert "a message is given up: event: 3000" in caplog.text
    assert "a message is given up: slot/a9/state: 300000 bytes" in caplog.text
    wait_for(settled(store))
    assert publisher.delivery().backlog.dropped == 1


def test_a_refused_login_is_reported_once_and_retried_until_it_is_right(
    tmp_path, store, delivery, caplog
):
    password = tmp_path / "password"
    password.write_text("wrong")
    with Mosquitto(tmp_path, users={"store": "right"}) as broker:
        sink = open_sink(
            Destination(f"mqtt://127.0.0.1:{broker.port}", "n", "store", password_file=password)
        )
        opened: list[float] = []
        publisher = Publisher(
            store, Counting(sink, opened), lambda *_: None, first_retry_s=0.05, last_retry_s=0.1
        )
        publisher.start()
        wait_for(lambda: len(opened) >= 4)
        assert "login refused: Not authorized" in str(publisher.delivery().last_error)
        assert caplog.text.count("login refused") == 1
        password.write_text("right")
        wait_for(lambda: publisher.delivery().connected_since)
        publisher.stop()


class Counting:
    """A sink that notes when it was opened."""

    def __init__(self, sink, opened: list[float]) -> None:
        self._sink, self._opened = sink, opened

    def __getattr__(self, name: str):
        return getattr(self._sink, name)

    def open(self, *arguments) -> None:
        self._opened.append(time.monotonic())
        self._sink.open(*arguments)


class Refusing:
    """A sink without a broker that notes when it was opened."""

    lost = "not there"

    def __init__(self) -> None:
        self.opened: list[float] = []

    def open(self, on_request, on_lost) -> None:
        self.opened.append(time.monotonic())
        raise SinkError("not there")

    def send(self, messages: Sequence[Message]) -> None:
        raise SinkError("not there")

    def close(self) -> None: ...

    def drop(self) -> None: ...


def test_the_wait_between_attempts_grows_to_its_limit_with_jitter(store, monkeypatch):
    sink = Refusing()
    publisher = Publisher(store, sink, lambda *_: None, first_retry_s=0.1, last_retry_s=0.4)
    asked: list[float] = []
    wait = publisher._stopping.wait

    def noted(timeout_s: float) -> bool:
        asked.append(timeout_s)
        return wait(timeout_s)

    monkeypatch.setattr(publisher._stopping, "wait", noted)
    publisher.start()
    wait_for(lambda: len(sink.opened) >= 6)
    publisher.stop()
    waits = [after - before for before, after in pairwise(sink.opened[:6])]
    longest = [0.1, 0.2, 0.4, 0.4, 0.4]
    for wait_s, asked_s, longest_s in zip(waits, asked[:5], longest, strict=True):
        assert 0.5 * longest_s <= asked_s <= longest_s
        assert 0.5 * longest_s <= wait_s  # how much longer is the machine's affair


def test_an_idle_line_costs_no_processor_time(store, broker, delivery):
    publisher = delivery.start(broker.port)
    wait_for(lambda: publisher.delivery().connected_since)
    before = time.thread_time(), time.process_time()
    time.sleep(1.0)
    own, all_threads = time.thread_time() - before[0], time.process_time() - before[1]
    assert all_threads - own < 0.05


def test_everything_said_conforms_to_the_schemas_that_ship(store, line, listener, delivery):
    publisher = delivery.start(line.port)
    record_all_kinds_of_documents(store)
    for seq, kind in enumerate([EventKind.OPENED, EventKind.UPDATED, EventKind.CLOSED]):
        change(store, seq, kind=kind)
    wait_for(lambda: len(events(listener)) == 5)
    publisher.answer("ping", messages.response(payloads.PingRequest()))
    wait_for(lambda: listener.heard("stock/n/response/ping"))
    wait_for(settled(store))
    line.cut()
    change(store, 9)
    wait_for(lambda: len(events(listener)) == 6)
    publisher.stop()
    wait_for(lambda: listener.payloads("stock/n/status")[-1] == b"offline")
    seen = {schema_of(message.topic, message.payload) for message in listener.heard()}
    assert seen == {
        *("status", "info", "health", "inventory", "camera_status"),
        *("slot_state", "event", "response"),
    }
