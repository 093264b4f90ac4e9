"""The delivery thread: what the store holds goes out, oldest first, until the other side has it.

Nothing is lost by a dead line, because nothing is taken out of the store before it arrived; an
event may arrive twice, then with the same id.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.errors import SinkError, StoreError
from edge.messages import as_replayed
from edge.sinks.sink import OFFLINE, ONLINE, Message, OnRequest, Sink
from edge.state_rows import QueuedEvent
from edge.store import Backlog, Document, Store

log = logging.getLogger(__name__)

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
STORE_RETRY_S = 1.0
STILL_S = 60.0
"""Where the main loop has not gone round for so long, what it stated may be wrong by now."""
BATCH_EVENTS = 20  # on their way at once: a long backlog need not wait for each answer
MAX_ANSWERS = 100  # who waits for more than these has given up

# The order after each (re)connect, by the first word of the topic; all others come last.
_RANKS = {"info": 0, "camera": 1, "slot": 2}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How delivery goes, for the health topic. connected_since is None while it does not."""

    connected_since: datetime | None
    last_error: str | None
    backlog: Backlog


class Publisher:
    """One thread between one store and one sink."""

    def __init__(
        self,
        store: Store,
        sink: Sink,
        on_request: OnRequest,
        *,
        first_retry_s: float = FIRST_RETRY_S,
        last_retry_s: float = LAST_RETRY_S,
    ) -> None:
        self._store, self._sink, self._on_request = store, sink, on_request
        self._first_retry_s, self._last_retry_s = first_retry_s, last_retry_s
        self._thread = threading.Thread(target=self.run, name="publisher", daemon=True)
        self._stopping = threading.Event()
        self._give_up_s = float("inf")  # monotonic
        self._round_s = time.monotonic()  # when the main loop went round last
        self._answers: deque[Message] = deque(maxlen=MAX_ANSWERS)
        self._connected_since: datetime | None = None
        self._last_error: str | None = None
        self._generation = 0  # of the store's files, the one that the next two numbers are of
        self._sent_version = 0  # documents up to here are known to this connection
        self._waited_until_row = 0  # events up to here waited for this connection
        self._told: set[str] = set()  # events that arrived, in case the store cannot forget them

    def start(self) -> None:
        """Begin, unless it has begun: what is retained must have been written before."""
        self._round_s = time.monotonic()
        if self._thread.ident is None:
            self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def check(self) -> None:
        """Hear that the main loop goes round, and tell it that this thread lives.

        Raises RuntimeError if it has died of a bug, which it has printed.
        """
        self._round_s = time.monotonic()
        if self._thread.ident is not None and not self.is_alive():
            raise RuntimeError("the publisher's thread has died")

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send what still waits if that takes no longer, say `offline` and disconnect."""
        if self._thread.ident is None:
            return
        self._give_up_s = time.monotonic() + timeout_s / 2
        self._stopping.set()
        self._store.news.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():  # it waits for a broker that no longer answers
            self._sink.drop()
            self._thread.join(timeout_s)

    def answer(self, verb: str, response: bytes) -> None:
        """Send a response soon. It is not kept: who asked does not wait for a reconnect."""
        self._answers.append(Message(f"response/{verb}", response))
        self._store.news.set()

    def delivery(self) -> Delivery:
        """Return the figures for health. Raises StoreError."""
        return Delivery(self._connected_since, self._last_error, self._store.backlog())

    def run(self) -> None:
        wait_s = self._first_retry_s
        while not self._stopping.is_set():
            try:
                self._must_be_watched()
                self._sink.open(self._on_request, self._store.news.set)
                if self._stopping.is_set():
                    self._sink.drop()
                    return
                self._greet()
                wait_s = self._first_retry_s
                self._deliver()
                self._say_goodbye()
            except (SinkError, StoreError) as error:
                self._sink.drop()
                self._connected_since = None
                self._report(error)
                # Jitter, so that a shop's devices do not come back in one moment.
                self._stopping.wait(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, self._last_retry_s)

    def _greet(self) -> None:
        """Say all that is retained anew: the broker may have forgotten it."""
        self._generation = self._store.generation
        self._waited_until_row = self._store.newest_row()
        self._answers.clear()
        self._sent_version = 0
        self._send_documents(sorted(self._store.documents(), key=_rank))
        self._sink.send([Message("status", ONLINE, retain=True)])
        self._connected_since = datetime.now(UTC)
        self._last_error = None
        log.info("delivery: connected")

    def _deliver(self) -> None:
        """Return when stopping and nothing is left to be sent."""
        while True:
            self._must_be_watched()
            self._store.news.clear()
            try:
                worked = self._send_next()
                self._last_error = None
            except StoreError as error:
                self._report(error)
                worked = not self._stopping.wait(STORE_RETRY_S)
            if self._stopping.is_set() and (not worked or time.monotonic() > self._give_up_s):
                return
            if not worked:
                if self._sink.lost is not None:
                    raise SinkError(self._sink.lost)
                self._store.news.wait(STILL_S / 4)

    def _must_be_watched(self) -> None:
        """Let the broker say `offline` while nobody looks: what is retained there looks fresh."""
        still = time.monotonic() - self._round_s > STILL_S
        if still and not self._stopping.is_set():
            raise SinkError(f"the daemon has not looked at its cameras for {STILL_S:.0f} s")

    def _send_next(self) -> bool:
        """Send answers, the newest states, the oldest events; return whether there were events."""
        while self._answers:
            self._sink.send([self._answers.popleft()])
        if self._generation != self._store.generation:
            self._generation, self._sent_version, self._waited_until_row = (
                self._store.generation,
                0,
                0,
            )
        events = self._store.oldest_events(BATCH_EVENTS)
        # Read after the events: the states they speak of were written with them and go first.
        self._send_documents(self._store.documents(newer_than=self._sent_version))
        if events:
            self._send_events(events)
        return bool(events)

    def _send_events(self, events: Sequence[QueuedEvent]) -> None:
        """Send events and forget those that arrived, even if not all did."""
        fresh = [event for event in events if event.event_id not in self._told]
        try:
            refused = self._send([self._message(event) for event in fresh])
        except SinkError as error:
            self._store.forget(fresh[: error.arrived])
            raise
        self._told = {event.event_id for event in events}
        self._store.forget(events, dropped=[fresh[index] for index in refused])

    def _message(self, event: QueuedEvent) -> Message:
        waited = event.row <= self._waited_until_row
        return Message("event", as_replayed(event.payload) if waited else event.payload)

    def _send_documents(self, documents: Sequence[Document]) -> None:
        if documents:
            self._send([Message(one.topic, one.payload, retain=True) for one in documents])
            self._sent_version = max(document.version for document in documents)
            self._store.forget_removed(documents)

    def _send(self, messages: Sequence[Message]) -> list[int]:
        """Send all; return the indexes of those that will never be accepted."""
        try:
            self._sink.send(messages)
            return []
        except SinkError as error:
            if not error.permanent:
                raise
        refused = []
        for index, message in enumerate(messages):
            try:
                self._sink.send([message])
            except SinkError as error:
                if not error.permanent:
                    raise
                log.error("a message is given up: %s", error)
                refused.append(index)
        return refused

    def _say_goodbye(self) -> None:
        self._sink.send([Message("status", OFFLINE, retain=True)])
        self._sink.close()
        self._connected_since = None

    def _report(self, error: SinkError | StoreError) -> None:
        """Tell the log about new trouble once, not at each attempt."""
        told_before = self._last_error == str(error)
        self._last_error = str(error)
        log.log(logging.DEBUG if told_before else logging.WARNING, "delivery: %s; retried", error)


def _rank(document: Document) -> tuple[int, int]:
    return _RANKS.get(document.topic.partition("/")[0], len(_RANKS)), document.version
