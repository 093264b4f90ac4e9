"""Delivery while everything around it breaks: kill -9, cut lines, a broker that is away.

EDGE_CHAOS=full: 200 kills and a broker that is away for a minute; some three minutes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
import restless
from cutter import Cutter
from mosquitto import Mosquitto, Subscriber, retained, wait_for

from edge.store import Store

FULL = os.environ.get("EDGE_CHAOS") == "full"
KILLS = 200 if FULL else 40
BROKER_AWAY_S = 60.0 if FULL else 5.0


class Shop:
    """A process that is killed and begun again; each life starts in milliseconds."""

    def __init__(self, directory: Path, port: int, pause_s: float = 0.004) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["restless"])
        self._arguments = (directory, port, pause_s)
        self._life: ForkServerProcess | None = None

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        if self._life is not None:  # a failed test: else it would go on, and be waited for
            self._life.kill()
            self._life.join()

    def begin(self) -> None:
        self._life = self._context.Process(target=restless.keep_changing, args=self._arguments)
        self._life.start()

    def kill(self) -> None:
        assert self._life is not None
        assert self._life.is_alive()  # it must not have died of anything else
        self._life.kill()
        self._life.join()
        assert self._life.exitcode == -9

    def end(self) -> None:
        """Let it stop as the daemon does on SIGTERM."""
        assert self._life is not None
        self._life.terminate()
        self._life.join(90)
        assert self._life.exitcode == 0


@pytest.mark.slow
def test_every_change_arrives_in_order_whatever_is_killed_cut_or_stopped(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # for the fork server
    moments = random.Random(7)
    state = tmp_path / "state"
    begun = time.monotonic()
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port) as listener,
        Cutter(broker.port, every_s=0.4, seed=7) as line,
        Shop(state, line.port) as shop,
    ):
        for number in range(KILLS):
            shop.begin()
            if number == KILLS // 2:
                broker.stop()
                time.sleep(BROKER_AWAY_S)
                broker.start()
            time.sleep(moments.uniform(0.02, 0.5))
            shop.kill()
        line.calm()
        cuts = line.cuts
        with contextlib.closing(restless.open_freed(state)) as store:
            before = restless.last_change(store.states())
        shop.begin()
        # Until it has told of a change of its own: before, it may not hear signals yet.
        wait_for(lambda: _newest(listener) > max(before, 10 * KILLS), 120)
        shop.end()
        with contextlib.closing(Store(state)) as store:
            committed = store.states()
            assert store.backlog().count == 0
        last = restless.last_change(committed)
        events = wait_for(lambda: _events_up_to(listener, last), 30, lambda: f"change {last}")
        time.sleep(0.5)
        held = retained(broker.port)

    arrival = list(dict.fromkeys(event["data"]["seq"] for event in events))
    assert arrival == list(range(1, last + 1)), "every change arrives, in order"
    ids = {(event["data"]["seq"], event["id"]) for event in events}
    assert len(ids) == last, "a duplicate has the same id"
    states = {
        slot_id: json.loads(held[f"stock/restless/slot/{slot_id}/state"])["seq"]
        for slot_id in committed
    }
    assert states == {slot_id: known.seq for slot_id, known in committed.items()}
    assert held["stock/restless/status"] == b"offline"
    assert last > 10 * KILLS
    with capsys.disabled():
        print(
            f"\n{last} changes, {KILLS} kills, {cuts} cuts, broker away {BROKER_AWAY_S:.0f} s:"
            f" none lost, {len(events) - last} duplicates, {time.monotonic() - begun:.0f} s"
        )


def _newest(listener: Subscriber) -> int:
    """Return the number of the change that was heard last."""
    told = listener.payloads("stock/restless/event")[-1:]
    return json.loads(told[0])["data"]["seq"] if told else 0


def _events_up_to(listener: Subscriber, last: int) -> list[dict]:
    """Return all events heard if change number `last` is among them, else nothing."""
    events = [json.loads(payload) for payload in listener.payloads("stock/restless/event")]
    return events if any(event["data"]["seq"] == last for event in events) else []
