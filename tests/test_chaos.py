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
import time
from collections import defaultdict
from pathlib import Path

import pytest
from cutter import Cutter
from daemon import SLOTS, Daemon, StagedShelf, write_site
from mosquitto import Mosquitto, Subscriber, retained, wait_for

from edge.store import Store

FULL = os.environ.get("EDGE_CHAOS") == "full"
KILLS = 200 if FULL else 6
BROKER_AWAY_S = 60.0 if FULL else 4.0
LONGEST_LIFE_S = 5.0


class ChangingShelf(StagedShelf):
    """Each slot turns empty and stocked in its own time."""

    def next_picture(self) -> bytes:
        now_s = time.monotonic()
        self.empty = [n for n in range(SLOTS) if math.floor(now_s / (1.2 + 0.13 * n)) % 2]
        return super().next_picture()


def audit(state: Path) -> None:
    """Let the state file itself list each event in the transaction that commits it."""
    Store(state).close()
    with contextlib.closing(sqlite3.connect(state / "state.db")) as db:
        db.executescript(
            "CREATE TABLE audit (id INTEGER PRIMARY KEY, event_id TEXT);"
            "CREATE TRIGGER audit AFTER INSERT ON outbox"
            " BEGIN INSERT INTO audit VALUES (new.id, new.event_id); END;"
        )


def committed(state: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(state / "state.db")) as db:
        return [row[0] for row in db.execute("SELECT event_id FROM audit ORDER BY id")]


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
        contextlib.ExitStack() as end,
    ):
        mqtt = {"url": f"mqtt://127.0.0.1:{line.port}"}
        daemon = Daemon(write_site(tmp_path, camera.url("/still.jpg"), mqtt))
        end.push(daemon)
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
        online = len(listener.payloads("stock/shop/status"))
        wait_for(lambda: listener.payloads("stock/shop/status")[online:][-1:] == [b"online"], 30)
        wait_for(lambda: len(committed(state)) > 3 * KILLS, 120)  # short lives may have had few
        assert daemon.end() == 0

        expected = committed(state)
        with contextlib.closing(Store(state)) as store:
            assert store.backlog().count == store.backlog().dropped == 0
            documents = {f"stock/shop/{one.topic}": one.payload for one in store.documents()}
        wait_for(lambda: {event["id"] for event in heard(listener)} >= set(expected), 30)
        held = retained(broker.port)
        events = heard(listener)

    first = {event["id"]: event for event in reversed(events)}
    assert list(dict.fromkeys(event["id"] for event in events)) == expected
    assert held == documents | {"stock/shop/status": b"offline"}
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
    return [json.loads(payload) for payload in listener.payloads("stock/shop/event")]


def by_slot(events: list[dict]) -> dict[str, list[tuple[str, str]]]:
    """Return slot → what happened to its incidents, in order."""
    found = defaultdict(list)
    for event in events:
        if event["subject"].startswith("slot/"):
            kind = event["type"].removeprefix("stock.slot.").removesuffix(".v1")
            found[event["subject"]].append((kind, event["data"]["incident_id"]))
    return found
