"""The whole daemon on a real HTTP camera, while it is killed, cut off and left without a broker.

A trigger in the state file keeps a list of all events that were ever committed: that list is what
a subscriber must have heard. EDGE_CHAOS=full: 200 kills and a minute without broker.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from cutter import Cutter
from http_camera import HttpCamera
from mosquitto import Mosquitto, Subscriber, retained, wait_for
from test_classifier import metadata, write_bundle

from edge.store import open_store

FULL = os.environ.get("EDGE_CHAOS") == "full"
KILLS = 200 if FULL else 6
BROKER_AWAY_S = 60.0 if FULL else 4.0
LONGEST_LIFE_S = 5.0
WIDTH, HEIGHT, COLUMNS, ROWS = 640, 480, 4, 3


class ChangingShelf(HttpCamera):
    """Slots that turn bright (empty, to the bundle used here) and dark, each in its own time."""

    def next_picture(self) -> bytes:
        image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        for number, (left, top, right, bottom) in enumerate(boxes()):
            is_empty = math.floor(time.monotonic() / (1.2 + 0.13 * number)) % 2
            image[top:bottom, left:right] = 250 if is_empty else 10
        return bytes(cv2.imencode(".jpg", image)[1])


def boxes() -> list[tuple[int, int, int, int]]:
    """Return the slots' left, top, right and bottom in pixels, well apart from each other."""
    wide, high = WIDTH // COLUMNS, HEIGHT // ROWS
    return [
        (wide * x + wide // 3, high * y + high // 3, wide * x + 2 * wide // 3, high * y + high // 2)
        for y in range(ROWS)
        for x in range(COLUMNS)
    ]


def write_site(folder: Path, camera_url: str, broker_port: int) -> Path:
    write_bundle(folder / "model.onnx", metadata())
    slots = [
        {
            "id": f"slot-{number}",
            "name": f"Product {number}",
            "quad": [[x / WIDTH, y / HEIGHT] for x, y in ((le, to), (ri, to), (ri, bo), (le, bo))],
        }
        for number, (le, to, ri, bo) in enumerate(boxes())
    ]
    planogram = {"version": 1, "cameras": {"aisle": {"slots": slots}}}
    site = {
        "version": 1,
        "node": "chaos",
        "cameras": [{"id": "aisle", "url": camera_url, "every_s": 0.1}],
        "planogram": "planogram.yaml",
        "model": "model.onnx",
        "state": "state/",
        "decision": {"empty_above": 0.8, "stocked_below": 0.4, "confirm_s": 0.1},
        "mqtt": {"url": f"mqtt://127.0.0.1:{broker_port}"},
    }
    (folder / "planogram.yaml").write_text(yaml.safe_dump(planogram))
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    return folder / "site.yaml"


def audit(state: Path) -> None:
    """Let the state file itself list each event in the transaction that commits it."""
    open_store(state).close()
    with contextlib.closing(sqlite3.connect(state / "state.db")) as db:
        db.executescript(
            "CREATE TABLE audit (id INTEGER PRIMARY KEY, event_id TEXT);"
            "CREATE TRIGGER audit AFTER INSERT ON outbox"
            " BEGIN INSERT INTO audit VALUES (new.id, new.event_id); END;"
        )


def committed(state: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(state / "state.db")) as db:
        return [row[0] for row in db.execute("SELECT event_id FROM audit ORDER BY id")]


class Daemon:
    def __init__(self, site: Path) -> None:
        self._command = [sys.executable, "-m", "edge.cli", "run", "-c", str(site)]
        self._log = site.with_name("daemon.log")
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def end(self, number: int) -> int:
        """Send the signal; return the exit code."""
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        self._process.send_signal(number)
        return self._process.wait(30)


@pytest.mark.slow
def test_every_change_the_daemon_decides_arrives_in_order_whatever_happens(tmp_path, capsys):
    moments = random.Random(11)
    state = tmp_path / "state"
    begun_s = time.monotonic()
    audit(state)
    with (
        ChangingShelf() as camera,
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port) as listener,
        Cutter(broker.port, every_s=2.0, seed=11) as line,
    ):
        daemon = Daemon(write_site(tmp_path, camera.url("/still.jpg"), line.port))
        for number in range(KILLS):
            daemon.begin()
            if number == KILLS // 2:
                broker.stop()
                time.sleep(BROKER_AWAY_S)
                broker.start()
            time.sleep(moments.uniform(0.1, LONGEST_LIFE_S))
            assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
        line.calm()
        daemon.begin()
        online = len(listener.payloads("stock/chaos/status"))
        wait_for(lambda: listener.payloads("stock/chaos/status")[online:][-1:] == [b"online"], 30)
        assert daemon.end(signal.SIGTERM) == 0

        expected = committed(state)
        with contextlib.closing(open_store(state)) as store:
            assert store.backlog().count == store.backlog().dropped == 0
            documents = {f"stock/chaos/{one.topic}": one.payload for one in store.documents()}
        wait_for(lambda: {event["id"] for event in heard(listener)} >= set(expected), 30)
        held = retained(broker.port)
        events = heard(listener)

    first = {event["id"]: event for event in reversed(events)}
    assert list(dict.fromkeys(event["id"] for event in events)) == expected
    assert held == documents | {"stock/chaos/status": b"offline"}
    for incidents in by_slot([first[event_id] for event_id in expected]).values():
        opened = [incident for kind, incident in incidents if kind == "opened"]
        closed = [incident for kind, incident in incidents if kind == "closed"]
        assert [kind for kind, _ in incidents[::2]] == ["opened"] * len(opened)
        assert opened[: len(closed)] == closed
    assert len(expected) > 3 * KILLS
    with capsys.disabled():
        print(
            f"\n{len(expected)} events, {KILLS} kills, {line.cuts} cuts,"
            f" broker away {BROKER_AWAY_S:.0f} s: none lost, {len(events) - len(expected)}"
            f" duplicates, {time.monotonic() - begun_s:.0f} s"
        )


def heard(listener: Subscriber) -> list[dict]:
    return [json.loads(payload) for payload in listener.payloads("stock/chaos/event")]


def by_slot(events: list[dict]) -> dict[str, list[tuple[str, str]]]:
    """Return slot → what happened to its incidents, in order."""
    found = defaultdict(list)
    for event in events:
        if event["subject"].startswith("slot/"):
            kind = event["type"].removeprefix("stock.slot.").removesuffix(".v1")
            found[event["subject"]].append((kind, event["data"]["incident_id"]))
    return found
