"""A shop in which something changes all the time, as a process that may be killed at any moment.

Change number k happens to slot k % SLOTS and carries k as its seq. After a kill it goes on from
what the state file holds, as the daemon does, so every number belongs to exactly one change.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from edge import messages
from edge.errors import StoreError
from edge.publisher import Publisher
from edge.sinks import Destination, open_sink
from edge.store import QueuedEvent, Store
from edge.types import Event, EventKind, Slot, SlotState, State, Visibility

SLOTS = 12
NODE = "restless"
QUAD = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def keep_changing(directory: Path, port: int, pause_s: float) -> None:
    """Record changes and deliver them until killed; end cleanly on SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with contextlib.closing(open_freed(directory)) as store:
        sink = open_sink(Destination(f"mqtt://127.0.0.1:{port}", NODE))
        publisher = Publisher(
            store, sink, lambda verb, payload: None, first_retry_s=0.02, last_retry_s=0.2
        )
        publisher.start()
        states = store.states()
        number = last_change(states)
        while not stop.wait(pause_s):
            number += 1
            change(store, states, number)
            publisher.check()
        publisher.stop(timeout_s=80)


def last_change(states: dict[str, SlotState]) -> int:
    return max((state.seq for state in states.values()), default=0)


def change(store: Store, states: dict[str, SlotState], number: int) -> None:
    slot = Slot(f"slot-{number % SLOTS}", "aisle", QUAD, f"Product {number % SLOTS}")
    now = datetime.now(UTC)
    is_empty = (number // SLOTS) % 2 == 0
    incident = f"incident-{slot.slot_id}-{number // (2 * SLOTS)}"
    state = SlotState(
        slot.slot_id,
        State.EMPTY if is_empty else State.STOCKED,
        Visibility.CLEAR,
        since=now,
        last_seen=now,
        score=0.9 if is_empty else 0.1,
        incident_id=incident if is_empty else None,
        seq=number,
    )
    kind = EventKind.OPENED if is_empty else EventKind.CLOSED
    event = Event(kind, f"slot/{slot.slot_id}", now, incident)
    store.record(
        [state],
        {f"slot/{slot.slot_id}/state": messages.slot_state(slot, state, "m")},
        [QueuedEvent.of(event, messages.slot_event(event, slot, state, NODE, "m"))],
    )
    states[slot.slot_id] = state


def open_freed(directory: Path) -> Store:
    """Open the store; who was just killed may hold it for a moment longer."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return Store(directory)
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
