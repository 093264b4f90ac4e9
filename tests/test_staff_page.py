"""The staff page's server side over real HTTP, beside a real daemon and a real broker."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from daemon import Daemon, StagedShelf, write_site
from mosquitto import Mosquitto, Subscriber, wait_for
from staff import HEADERS, Page
from witness import clock_s

SOON_S = 1.0
EVENT, SAID = "stock/shop/event", "stock/shop/slot/slot-0/state"


@pytest.fixture
def site(tmp_path: Path, shelf: StagedShelf, broker: Mosquitto) -> Path:
    mqtt = {"url": f"mqtt://127.0.0.1:{broker.port}"}
    return write_site(tmp_path, shelf.url("/still.jpg"), mqtt, 2)


def address(daemon: Daemon) -> str:
    pattern = r"the pages are served at (http://\S+)/"
    return wait_for(lambda: re.findall(pattern, daemon.log()), 30)[-1]


def told(listener: Subscriber) -> list[dict]:
    return [json.loads(payload) for payload in listener.payloads(EVENT)]


def said(listener: Subscriber) -> dict:
    return json.loads(listener.payloads(SAID)[-1])


def is_stocked(page: Page) -> bool:
    return page.slots["slot-0"]["state"] == "stocked" and page.slots["slot-0"]["now"] is not None


def incident(page: Page) -> dict | None:
    return page.slots["slot-0"]["incident"]


def opened(page: Page, shelf: StagedShelf) -> str:
    """Empty slot-0 once it is stocked; return the id of its incident."""
    page.wait_for(is_stocked)
    shelf.empty = {0}
    page.wait_for(incident)
    return page.slots["slot-0"]["incident"]["id"]


def test_an_incident_is_shown_and_what_one_page_does_is_seen_by_another_and_by_the_broker(
    site, shelf, listener, witness
):
    with (
        Daemon(site) as daemon,
        Page(address(daemon)) as page,
        Page(address(daemon)) as other,
    ):
        number = opened(page, shelf)
        wait_for(lambda: [one for one in told(listener) if "opened" in one["type"]])
        other.wait_for(incident)
        slot = page.slots["slot-0"]
        opened_at = datetime.fromisoformat(slot["incident"]["opened_at"])
        for one in (page, other):
            heard_at = one.first_heard[number]
            assert witness.ran_s(clock_s(opened_at), clock_s(heard_at)) < SOON_S
        assert slot["votes"]["looks"] >= 3
        assert (slot["place"], slot["camera"]) == ({"row": 1, "column": 1}, "aisle")
        assert page.recent[0] | {"at": ""} == {
            "at": "", "slot": "slot-0", "name": "Product 0", "kind": "opened", "by": None,
            "incident_id": number, "minutes_open": None, "undo": None,
        }  # fmt: skip

        assert page.act("ack", "slot-0", number, by="Minji").json() == {"status": "ok"}
        answered_s = time.monotonic()
        other.wait_for(lambda one: incident(one)["ack"])
        assert witness.ran_s(answered_s, time.monotonic()) < SOON_S
        assert incident(other)["ack"]["by"] == "Minji"
        wait_for(lambda: said(listener)["ack"])
        assert witness.ran_s(answered_s, time.monotonic()) < 1.0 + SOON_S
        assert other.recent[0]["undo"] == "release"

        assert other.act("release", "slot-0", number).json() == {"status": "ok"}
        page.wait_for(lambda one: incident(one)["ack"] is None)
        assert page.act("snooze", "slot-0", number, minutes=15).status_code == 200
        page.wait_for(lambda one: incident(one)["snooze_until"])
        assert page.act("snooze", "slot-0", number, minutes=0).status_code == 200
        page.wait_for(lambda one: incident(one)["snooze_until"] is None)

        shelf.empty = ()
        page.wait_for(lambda one: incident(one) is None)
        late = page.act("ack", "slot-0", number)
        assert (late.status_code, late.json()["error"]["code"]) == (409, "already_closed")
        assert [one["kind"] for one in page.recent[:3]] == ["closed", "snooze_ended", "snooze"]
        assert page.recent[0]["minutes_open"] == 0


def test_an_act_that_is_sent_again_is_done_once(site, shelf, listener):
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        number = opened(page, shelf)
        twice = [page.act("not_empty", "slot-0", number, action_id="the-same") for _ in range(2)]
        assert [one.status_code for one in twice] == [200, 200]
        anew = page.act("not_empty", "slot-0", number)
        assert anew.json()["error"]["code"] == "already_closed"
        wait_for(lambda: [one for one in told(listener) if "closed" in one["type"]])
        page.wait_for(lambda one: one.recent[0]["kind"] == "not_empty")
        assert len([one for one in page.recent if one["kind"] == "not_empty"]) == 1


def test_what_is_not_an_act_is_refused_in_one_sentence(site):
    with Daemon(site) as daemon:
        client = httpx.Client(base_url=address(daemon), headers=HEADERS)
        good = {"action_id": "abcdefgh", "verb": "ack", "slot": "slot-0", "incident_id": "i"}
        for bad in (
            {"verb": "reload"},
            {"slot": "../slot"},
            {"minutes": -1},
            {"by": ""},
            {"by": ["Kim"]},
            {"extra": 1},
            {"action_id": "a b"},
        ):
            answer = client.post("/api/act", json=good | bad)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
        wait_for(lambda: client.get("/api/snapshot").status_code == 200)
        gone = client.post("/api/act", json=good | {"slot": "slot-9"})
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "gone")
        for path in ("slots/slot-9/now", "slots/slot-0/later", "cameras/none", "slots/%2e%2e/now"):
            assert client.get(f"/api/{path}.jpg").status_code == 404


def test_what_is_not_empty_is_kept_for_training_and_does_not_open_again_by_itself(
    site, shelf, listener, tmp_path
):
    index = tmp_path / "state/training/index.csv"
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        number = opened(page, shelf)
        assert page.act("not_empty", "slot-0", number, by="Minji").status_code == 200
        page.wait_for(lambda one: incident(one) is None)
        assert page.slots["slot-0"]["state"] == "stocked"
        closed = wait_for(lambda: [one for one in told(listener) if "closed" in one["type"]])[0]
        assert (closed["data"]["reason"], closed["data"]["state"]) == ("not_empty", "stocked")
        (row,) = csv.DictReader(index.open(encoding="utf-8"))
        assert (row["label"], row["group"]) == ("stocked", "slot-0")
        assert float(row["score"]) > 0.8
        assert cv2.imread(str(index.parent / row["file"])).mean() > 200  # bright: the empty look
        looks = shelf.pictures
        wait_for(lambda: shelf.pictures > looks + 20)
        assert incident(page) is None

        assert daemon.end() == 0  # the word of somebody outlives a restart …
        daemon.begin()
        wait_for(lambda: daemon.log().count("the pages are served") == 2, 30)
        with Page(address(daemon)) as again:
            again.wait_for(lambda one: one.slots["slot-0"]["visibility"] == "clear")
            looks = shelf.pictures
            wait_for(lambda: shelf.pictures > looks + 20)
            assert incident(again) is None

            undo = again.act("undo_not_empty", "slot-0", number)  # … and so can be undone
            assert undo.status_code == 200
            again.wait_for(incident)
            assert incident(again)["id"] != number
            assert list(csv.DictReader(index.open(encoding="utf-8"))) == []
            assert list(index.parent.glob("*/*.jpg")) == []
            late = again.act("undo_not_empty", "slot-0", number)
            assert late.json()["error"]["code"] == "already_closed"
        wait_for(lambda: told(listener)[-1]["data"].get("reason") == "undo_not_empty")
        assert told(listener)[-1]["type"] == "stock.slot.opened.v1"


def is_denied(folder: Path) -> bool:
    """Whether the state file holds that somebody said of slot-0 that it is not empty."""
    with contextlib.closing(sqlite3.connect(folder / "state/state.db", timeout=20)) as db:
        asked = "SELECT denial IS NOT NULL FROM slot WHERE slot_id = 'slot-0'"
        return bool(db.execute(asked).fetchone()[0])


def test_a_denied_slot_that_looks_different_is_judged_anew(site, shelf, tmp_path):
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        number = opened(page, shelf)
        page.act("not_empty", "slot-0", number)
        page.wait_for(lambda one: incident(one) is None)
        wait_for(lambda: is_denied(tmp_path), 30)
        shelf.empty = ()
        wait_for(lambda: not is_denied(tmp_path), 30)
        shelf.empty = {0}
        page.wait_for(incident)


def brightness(client: httpx.Client, path: str) -> float:
    answer = client.get(path)
    assert answer.headers["content-type"] == "image/jpeg"
    return float(cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1).mean())


def test_a_slot_is_shown_as_it_is_and_as_it_was_when_full_also_after_a_restart(site, shelf):
    with Daemon(site) as daemon:
        with Page(address(daemon)) as page:
            opened(page, shelf)
            page.wait_for(lambda one: one.slots["slot-0"]["full"])
            assert brightness(page.client, "/api/slots/slot-0/now.jpg") > 200
            assert brightness(page.client, "/api/slots/slot-0/full.jpg") < 50
            assert brightness(page.client, "/api/cameras/aisle.jpg") > 50
        assert daemon.end() == 0
        daemon.begin()
        wait_for(lambda: daemon.log().count("the pages are served") == 2, 30)
        with Page(address(daemon)) as page:
            assert brightness(page.client, "/api/slots/slot-0/full.jpg") < 50


def test_whole_pictures_can_be_off(site, shelf):
    site.write_text(site.read_text().replace("web:\n", "web:\n  pictures: false\n"))
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        page.wait_for(is_stocked)
        assert page.cameras["aisle"]["picture"] is None
        answer = page.client.get("/api/cameras/aisle.jpg")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "pictures_off")


def test_a_page_that_comes_back_hears_what_it_missed_and_after_a_restart_everything(site, shelf):
    with Daemon(site) as daemon:
        with Page(address(daemon)) as page:
            page.wait_for(is_stocked)
            known = page.last_id
            shelf.empty = {0}
            page.wait_for(incident)
        with Page(address(daemon), last_id=known) as back:
            back.wait_for(lambda one: "slot-0" in one.slots and incident(one))
            assert "hello" not in back.events
        assert daemon.end() == 0
        daemon.begin()
        wait_for(lambda: daemon.log().count("the pages are served") == 2, 30)
        with Page(address(daemon), last_id=known) as anew:
            assert anew.events[0] == "hello"


def test_the_end_of_the_daemon_ends_the_stream_and_is_not_held_up_by_it(site):
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        page.wait_for(is_stocked)
        assert daemon.end() == 0
        page.wait_for(lambda one: one.events[-1] == "end")


def test_the_time_that_was_watched_is_in_the_state_file_at_the_end(site, shelf, tmp_path):
    with Daemon(site) as daemon:
        with Page(address(daemon)) as page:
            opened(page, shelf)
            shelf.empty = ()
            page.wait_for(lambda one: incident(one) is None)
        assert daemon.end() == 0
    with sqlite3.connect(tmp_path / "state/state.db") as db:
        stocked, unseen = db.execute("SELECT sum(stocked), sum(unseen) FROM spent").fetchone()
        closed = db.execute("SELECT reason, open_s FROM incident").fetchall()
    assert stocked > 0
    assert unseen >= 0
    assert [(reason, open_s > 0) for reason, open_s in closed] == [("stocked", True)]


def test_the_report_counts_what_was_seen_and_a_spreadsheet_reads_it(site, shelf):
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        opened(page, shelf)
        shelf.empty = ()
        page.wait_for(lambda one: incident(one) is None)

        def report() -> dict:
            return page.client.get("/api/report?days=7").json()

        found = wait_for(lambda: report() if report()["slots"][0]["incidents"] else None)
        found = wait_for(lambda: report() if report()["availability"] is not None else None)
        assert 0 < found["availability"] <= 1
        assert found["slots"][0]["id"] == "slot-0"
        assert found["slots"][0]["incidents"] == 1
        assert found["slots"][0]["median_refill_min"] is not None
        assert len(found["days"]) == 7
        assert found["days"][0] == {
            "date": found["days"][0]["date"], "availability": None, "not_visible": None
        }  # fmt: skip
        assert found["stock"][0]["stocked"] == 1
        table = page.client.get("/api/report.csv?days=1")
        assert table.headers["content-type"].startswith("text/csv")
        assert "shop-" in table.headers["content-disposition"]
        lines = csv.DictReader(io.StringIO(table.content.decode("utf-8-sig")))
        assert {line["name"] for line in lines} == {"Product 0", "Product 1"}
        for days in ("0", "365", "x", "7;"):
            assert page.client.get("/api/report", params={"days": days}).status_code == 400


def test_health_tells_of_cameras_broker_outbox_and_this_machine(site, broker):
    with Daemon(site) as daemon, Page(address(daemon)) as page:
        page.wait_for(is_stocked)

        def health() -> dict:
            return page.client.get("/api/health").json()

        found = wait_for(lambda: health() if health()["broker"]["connected_since"] else None)
        camera = found["cameras"][0]
        assert (camera["id"], camera["status"], camera["slots"]) == ("aisle", "online", 2)
        assert camera["frames"] > 0
        last_frame = datetime.fromisoformat(camera["last_frame"])
        assert (datetime.now(UTC) - last_frame).total_seconds() < 60
        assert found["broker"]["address"] == f"mqtt://127.0.0.1:{broker.port}"
        assert found["outbox"] == {"waiting": 0, "oldest_s": None, "dropped": 0}
        assert found["model"]["name"] == "brightness"
        assert found["disk"]["free_bytes"] > 0
        assert found["disk"]["enough"] is True
        assert found["memory_bytes"] > 1e6
        assert found["uptime_s"] > 0
        assert found["sign_in_failures"] == 0
        assert "shelf-edge" in found["versions"]
        broker.stop()
        wait_for(lambda: health()["broker"]["last_error"])
        assert health()["broker"]["connected_since"] is None
