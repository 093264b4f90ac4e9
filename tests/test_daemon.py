"""The running daemon as the rest of the shop meets it: over MQTT and by signals."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemon import Daemon, StagedShelf, write_site
from disk import fill, mount, small_disk
from mosquitto import Mosquitto, Subscriber, free_port, retained, wait_for
from test_broker import login
from test_messages import schema_of

from edge.gate import Gate
from edge.ledger import Ledger
from edge.messages import MAX_REQUEST_BYTES
from edge.monitor import (
    ANSWERS_A_ROUND,
    MAX_WAITING,
    Requests,
    _gate,
    _take_up_ledger,
    answer_requests,
)
from edge.plan import Plan, read_plan
from edge.store import Store
from edge.types import Asked, Moment, Pending, SlotState, State
from edge.web import staff

STATE = "stock/shop/slot/slot-0/state"


def site(folder: Path, shelf: StagedShelf, broker: Mosquitto, slots: int = 2) -> Path:
    mqtt = {"url": f"mqtt://127.0.0.1:{broker.port}"}
    return write_site(folder, shelf.url("/still.jpg"), mqtt, slots)


def events(listener: Subscriber) -> list[dict]:
    return [json.loads(payload) for payload in listener.payloads("stock/shop/event")]


def kinds(listener: Subscriber) -> list[str]:
    return [event["type"].removeprefix("stock.").removesuffix(".v1") for event in events(listener)]


def now(listener: Subscriber) -> dict:
    """Return what was said last of slot-0."""
    said = listener.payloads(STATE)
    return json.loads(said[-1]) if said else {"state": None}


def waiting(folder: Path) -> list[str]:
    """Return the kinds of events in the state file that no broker has yet."""
    with contextlib.closing(sqlite3.connect(folder / "state/state.db", timeout=20)) as db:
        found = db.execute("SELECT kind FROM outbox ORDER BY id").fetchall()
    return [kind.removeprefix("stock.").removesuffix(".v1") for (kind,) in found]


def newest(listener: Subscriber, topic: str) -> dict:
    return json.loads(listener.payloads(f"stock/shop/{topic}")[-1])


def ask(listener: Subscriber, verb: str, payload: str) -> dict:
    before = len(listener.heard(f"stock/shop/response/{verb}"))
    listener.say(f"stock/shop/request/{verb}", payload)
    answers = wait_for(lambda: listener.payloads(f"stock/shop/response/{verb}")[before:])
    return json.loads(answers[0])


def test_a_slot_is_emptied_acknowledged_and_filled_again(tmp_path, shelf, broker, listener):
    listener.say("stock/shop/request/snooze", '{"slot":"slot-0","minutes":9}', retain=True)
    with Daemon(site(tmp_path, shelf, broker)) as daemon:
        wait_for(lambda: now(listener)["state"] == "stocked", 30, daemon.log)
        shelf.empty = {0}
        wait_for(lambda: "slot.opened" in kinds(listener))
        assert now(listener)["state"] == "empty"

        assert ask(listener, "ping", '{"transaction":"t"}') == {
            "status": "ok",
            "data": {},
            "error": None,
            "transaction": "t",
        }
        assert ask(listener, "ack", '{"slot":"slot-0","by":"Kim"}')["status"] == "ok"
        assert ask(listener, "ack", '{"slot":')["error"].startswith("Invalid JSON")
        assert ask(listener, "ack", '{"slot":"slot-7","by":"Kim"}')["status"] == "error"
        assert ask(listener, "dance", "{}")["error"].startswith("unknown request 'dance'")
        wait_for(lambda: now(listener)["ack"])
        assert now(listener)["ack"]["by"] == "Kim"

        shelf.empty = ()
        wait_for(lambda: "slot.closed" in kinds(listener))
        assert daemon.end() == 0

    wait_for(lambda: listener.payloads("stock/shop/status")[-1] == b"offline")
    told = [event for event in events(listener) if event["subject"] == "slot/slot-0"]
    assert [event["type"] for event in told] == [
        "stock.slot.opened.v1",
        "stock.slot.updated.v1",
        "stock.slot.closed.v1",
    ]
    assert len({event["data"]["incident_id"] for event in told}) == 1
    assert now(listener)["snooze_until"] is None
    seen = {
        schema_of(message.topic, message.payload)
        for message in listener.heard()
        if "/request/" not in message.topic
    }
    assert seen == {
        *("status", "info", "health", "inventory", "camera_status"),
        *("slot_state", "event", "response"),
    }
    inventory = json.loads(retained(broker.port)["stock/shop/inventory"])
    assert inventory["Product 0"]["stocked"] == 1


def test_after_a_restart_an_incident_goes_on_and_what_was_removed_is_closed(
    tmp_path, shelf, broker, listener
):
    shelf.empty = {0, 1}
    with Daemon(site(tmp_path, shelf, broker)) as daemon:
        wait_for(lambda: kinds(listener).count("slot.opened") == 2, 30, daemon.log)
        assert daemon.end() == 0
        opened = {event["subject"]: event["data"]["incident_id"] for event in events(listener)[1:]}

        site(tmp_path, shelf, broker, slots=1)
        daemon.begin()
        wait_for(lambda: kinds(listener).count("node.started") == 2, 30, daemon.log)
        closed = wait_for(lambda: [e for e in events(listener) if "closed" in e["type"]])[0]
        assert (closed["subject"], closed["data"]["reason"]) == ("slot/slot-1", "removed")
        assert closed["data"]["incident_id"] == opened["slot/slot-1"]
        assert "stock/shop/slot/slot-1/state" not in retained(broker.port)

        shelf.empty = ()
        wait_for(lambda: kinds(listener).count("slot.closed") == 2)
        assert events(listener)[-1]["data"]["incident_id"] == opened["slot/slot-0"]
        assert kinds(listener).count("slot.opened") == 2


def test_a_broker_that_refuses_the_login_is_reported_and_tried_again(tmp_path, shelf):
    password = tmp_path / "password"
    password.write_text("wrong\n")
    password.chmod(0o600)
    with Mosquitto(tmp_path, users={"till": "r1ght", "ear": "ear"}) as broker:
        mqtt = {
            "url": f"mqtt://127.0.0.1:{broker.port}",
            "username": "till",
            "password_file": "password",
        }
        with Daemon(write_site(tmp_path, shelf.url("/still.jpg"), mqtt, 1)) as daemon:
            wait_for(lambda: "login refused: Not authorized" in daemon.log(), 30)
            password.write_text("r1ght\n")
            wait_for(lambda: "delivery: connected" in daemon.log(), 30)
            assert daemon.end() == 0
        assert "wrong" not in daemon.log()
        assert "r1ght" not in daemon.log()


def test_no_broker_at_all_stops_nothing(tmp_path, shelf, broker, listener):
    path = site(tmp_path, shelf, broker)
    broker.stop()
    with Daemon(path) as daemon:
        wait_for(lambda: "Connection refused; retried" in daemon.log(), 30)
        shelf.empty = {0}
        wait_for(lambda: "slot.opened" in waiting(tmp_path), 30)
        assert daemon.end() == 0
    broker.start()
    with daemon:
        wait_for(lambda: "slot.opened" in kinds(listener), 30)
        assert events(listener)[-1]["data"]["replayed"]
        assert daemon.end() == 0


def test_a_reload_takes_the_new_planogram_and_a_wrong_one_changes_nothing(
    tmp_path, shelf, broker, listener
):
    with Daemon(site(tmp_path, shelf, broker, slots=1)) as daemon:
        wait_for(lambda: now(listener)["state"] == "stocked", 30, daemon.log)
        good = (tmp_path / "planogram.yaml").read_text()
        (tmp_path / "planogram.yaml").write_text("version: 1\ncamera: {}\n")
        refused = ask(listener, "reload", "{}")
        assert refused["status"] == "error"
        assert "planogram.yaml" in refused["error"]
        daemon.send(signal.SIGHUP)
        wait_for(lambda: daemon.log().count("the configuration stays as it was") == 2, 20)
        assert ask(listener, "ping", "")["status"] == "ok"

        begun, first = newest(listener, "info"), newest(listener, "health")
        (tmp_path / "planogram.yaml").write_text(good)
        site(tmp_path, shelf, broker, slots=2)
        daemon.send(signal.SIGHUP)
        wait_for(lambda: listener.payloads("stock/shop/slot/slot-1/state"), 20)
        # The daemon is the same, and says at once how it is.
        wait_for(lambda: newest(listener, "info")["slots"] == ["slot-0", "slot-1"], 20)
        assert newest(listener, "info")["started_at"] == begun["started_at"]
        wait_for(lambda: newest(listener, "health") != first, 20)
        again = newest(listener, "health")
        since = [datetime.fromisoformat(text) for text in (begun["started_at"], again["at"])]
        assert again["uptime_s"] == pytest.approx((since[1] - since[0]).total_seconds(), abs=1.0)
        assert again["uptime_s"] > first["uptime_s"]
        assert again["inference"]["looks"] >= first["inference"]["looks"]
        assert "the configuration has been read anew" in daemon.log()
        assert daemon.end() == 0
        assert "every recording has ended" not in daemon.log(), "it was told to, both times"


def test_a_reload_forgets_nothing_of_the_slots_that_stay_as_they_are(
    tmp_path, shelf, broker, listener
):
    with Daemon(site(tmp_path, shelf, broker, slots=1)) as daemon:
        wait_for(lambda: now(listener).get("visibility") == "clear", 30, daemon.log)
        told = len(listener.payloads(STATE))
        site(tmp_path, shelf, broker, slots=2)
        daemon.send(signal.SIGHUP)
        wait_for(lambda: listener.payloads("stock/shop/slot/slot-1/state"), 20)
        states = [json.loads(payload) for payload in listener.payloads(STATE)[told:]]
        assert states, "a reload tells every slot anew"
        assert {state["visibility"] for state in states} == {"clear"}
        assert daemon.end() == 0


def test_evidence_and_gates_go_over_to_the_next_plan_where_slot_camera_and_model_stay(
    tmp_path, shelf
):
    def plan(**changes: str) -> Plan:
        path = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"}, 2)
        for old, new in changes.items():
            path.write_text(path.read_text().replace(old, new))
        return read_plan(path)

    first = plan()
    gates = {"aisle": Gate(first.slots)}
    pending = SlotState("slot-0", pending=Pending(State.EMPTY, 1.0, 2.0, 3, 3), observed_s=2.0)
    at = Moment(datetime(2026, 11, 24, tzinfo=UTC), 3.0)
    with contextlib.closing(Store(tmp_path / "state")) as store:
        ledger = Ledger(store, "shop", "m", first.slots, ["aisle"], at)
        ledger.states["slot-0"] = pending
        before = SimpleNamespace(plan=first, gates=gates, ledger=ledger)

        def next_of(after: Plan) -> tuple[bool, bool]:
            outlet = SimpleNamespace(store=store)
            taken_up = _take_up_ledger(after, outlet, at, None, threading.Event(), before)
            kept = taken_up.states["slot-0"] == pending
            return kept, _gate(after, "aisle", before) is gates["aisle"]

        assert next_of(plan(confirm_s="unknown_after_s")) == (True, True)
        assert next_of(plan(still="other")) == (False, False)  # another camera's picture
        one = replace(first, slots=first.slots[:1])
        assert next_of(one) == (True, False)
        moved = replace(first.slots[0], quad=first.slots[1].quad)
        assert next_of(replace(first, slots=(moved,))) == (False, False)
        other_model = first.classifier.info.model_copy(update={"digest": "f00"})
        classifier = SimpleNamespace(info=other_model)
        assert next_of(replace(first, classifier=classifier)) == (False, False)


def test_a_reload_takes_the_changed_password_of_the_embedded_broker(tmp_path, shelf):
    password, port = tmp_path / "password", free_port()
    password.write_text("bef0re\n")
    mqtt = {"listen": f"127.0.0.1:{port}", "users": {"till": "password"}}
    with Daemon(write_site(tmp_path, shelf.url("/still.jpg"), mqtt, 1)) as daemon:
        wait_for(lambda: "delivery: connected" in daemon.log(), 30)
        assert login(port, "till", "bef0re") == "Success"
        password.write_text("aft3r\n")
        daemon.send(signal.SIGHUP)
        wait_for(lambda: daemon.log().count("delivery: connected") == 2, 30)
        assert login(port, "till", "aft3r") == "Success"
        assert login(port, "till", "bef0re") == "Not authorized"
        assert daemon.end() == 0
    assert "bef0re" not in daemon.log()
    assert "aft3r" not in daemon.log()


@pytest.mark.parametrize("wrong", ["listen", "state"])
def test_a_reload_that_cannot_be_followed_leaves_the_daemon_as_it_was(
    tmp_path, shelf, broker, wrong
):
    port = free_port()
    path = write_site(tmp_path, shelf.url("/still.jpg"), {"listen": f"127.0.0.1:{port}"}, 1)
    good = path.read_text()
    (tmp_path / "file").write_text("no folder")
    with Daemon(path) as daemon, contextlib.ExitStack() as stack:
        wait_for(lambda: "delivery: connected" in daemon.log(), 30)
        old, new = {
            "listen": (f"127.0.0.1:{port}", f"127.0.0.1:{broker.port}"),
            "state": ("state: state/", "state: file/state/"),
        }[wrong]
        assert old in good
        path.write_text(good.replace(old, new))
        daemon.send(signal.SIGHUP)
        wait_for(lambda: "the configuration stays as it was" in daemon.log(), 30)
        listener = stack.enter_context(Subscriber(port))
        wait_for(lambda: now(listener)["state"] == "stocked", 30)
        path.write_text(good)
        assert ask(listener, "reload", "")["status"] == "ok"
        assert daemon.end() == 0
        assert "Traceback" not in daemon.log()


def test_where_the_way_back_is_barred_too_the_daemon_waits_for_it(tmp_path, shelf, broker):
    password, port = tmp_path / "password", free_port()
    password.write_text("bef0re\n")
    users = {"till": "password"}
    path = write_site(
        tmp_path, shelf.url("/still.jpg"), {"listen": f"127.0.0.1:{port}", "users": users}, 1
    )
    good = path.read_text()
    with Daemon(path) as daemon:
        wait_for(lambda: "delivery: connected" in daemon.log(), 30)
        (tmp_path / "another").write_text("aft3r\n")
        path.write_text(
            good.replace("till: password", "till: another").replace(f":{port}", f":{broker.port}")
        )
        password.unlink()
        daemon.send(signal.SIGHUP)
        wait_for(lambda: "a password cannot be read: No such file" in daemon.log(), 30)
        password.write_text("bef0re\n")
        wait_for(lambda: daemon.log().count("delivery: connected") == 2, 30)
        assert login(port, "till", "bef0re") == "Success"
        assert daemon.end() == 0
        assert "Traceback" not in daemon.log()


def test_a_flood_of_requests_is_answered_in_parts_and_what_is_too_much_refused():
    answers: list[bytes] = []
    requests = Requests()
    for _ in range(MAX_WAITING + 3):
        requests.ask(Asked("ping", b"", answers.append))
    assert [json.loads(one)["status"] for one in answers] == ["error"] * 3
    refused = json.loads(answers.pop())
    assert refused["error"] == "too many requests wait; try again"
    assert staff.STATUS[refused["data"]["code"]] == 503, "pages try it again"
    desk = SimpleNamespace(answer=lambda verb, payload, now: b"pong")
    post = SimpleNamespace(requests=requests, desk=desk)
    for rounds in (1, 2):
        answer_requests(post, Moment(datetime(2026, 11, 24, tzinfo=UTC), 0.0))
        assert answers.count(b"pong") == rounds * ANSWERS_A_ROUND


def test_a_request_that_is_too_long_waits_for_nobody():
    answers: list[bytes] = []
    requests = Requests()
    requests.ask(Asked("ping", b" " * (MAX_REQUEST_BYTES + 1), answers.append))
    assert requests.empty()
    assert "at most 16384 bytes, not 16385" in json.loads(answers[0])["error"]


def test_a_port_in_use_ends_it_with_69_and_one_message(tmp_path, shelf, broker):
    mqtt = {"url": "embedded", "listen": f"127.0.0.1:{broker.port}"}
    with Daemon(write_site(tmp_path, shelf.url("/still.jpg"), mqtt)) as daemon:
        assert daemon.wait() == 69
        assert f"127.0.0.1:{broker.port}: the port is in use" in daemon.log()
        assert "Traceback" not in daemon.log()
        assert "the pages are served" not in daemon.log()  # an address where nobody is


def test_a_damaged_state_file_is_moved_aside_and_the_daemon_goes_on(
    tmp_path, shelf, broker, listener
):
    path = site(tmp_path, shelf, broker)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/state.db").write_bytes(b"no database at all" * 1000)
    with Daemon(path) as daemon:
        wait_for(lambda: now(listener)["state"] == "stocked", 30, daemon.log)
        assert "state.db: the state file is damaged" in daemon.log()
        assert daemon.end() == 0
    assert len(list((tmp_path / "state").glob("state.db.corrupt-*"))) == 1


def test_a_full_disk_is_reported_and_nothing_is_lost_when_there_is_room_again(
    tmp_path, shelf, broker, listener
):
    path = site(tmp_path, shelf, broker)
    with small_disk(tmp_path) as disk:
        path.write_text(path.read_text().replace("state/", f"{disk}/state"))
        ballast = fill(disk)
        with Daemon(path) as daemon:
            wait_for(lambda: "tried again" in daemon.log(), 30)
            ballast.unlink()
            wait_for(lambda: now(listener)["state"] == "stocked", 30, daemon.log)

            ballast = fill(disk)
            shelf.empty = {0}
            wait_for(lambda: "nothing is decided until it can be written" in daemon.log(), 30)
            assert now(listener)["state"] == "stocked"
            ballast.unlink()
            wait_for(lambda: "slot.opened" in kinds(listener), 30, daemon.log)
            assert daemon.end() == 0


def test_a_read_only_state_directory_is_reported_and_can_be_left(tmp_path, shelf, broker):
    path = site(tmp_path, shelf, broker)
    with small_disk(tmp_path) as disk:
        path.write_text(path.read_text().replace("state/", f"{disk}/state"))
        mount("-o", "remount,ro", str(disk))
        with Daemon(path) as daemon:
            wait_for(lambda: "cannot keep the state there (Read-only file" in daemon.log(), 30)
            assert daemon.end() == 0
            assert "Traceback" not in daemon.log()
