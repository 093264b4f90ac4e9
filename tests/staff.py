"""An open staff page without a browser: reads the daemon's events and acts, over real HTTP."""

from __future__ import annotations

import itertools
import json
import threading
import time
from datetime import UTC, datetime
from typing import Any, Self

import httpx

HEADERS = {"X-Stock": "1", "Content-Type": "application/json"}


class Page:
    """Keeps what a page would show: slots and cameras by id, and what happened of late."""

    def __init__(self, address: str, last_id: str | None = None):
        self.client = httpx.Client(base_url=address, timeout=20, headers=HEADERS)
        self.slots: dict[str, Any] = {}
        self.cameras: dict[str, Any] = {}
        self.recent: list[Any] = []
        self.first_heard: dict[str, datetime] = {}
        """When the page was first told of an incident, by its id."""
        self.events: list[str] = []
        self.last_id = last_id
        self.end: Exception | None = None
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def act(self, verb: str, slot: str, incident_id: str, **more: Any) -> httpx.Response:
        action_id = more.pop("action_id", f"{id(self):x}-{next(self._numbers):04}")
        body = {"action_id": action_id, "verb": verb, "slot": slot, "incident_id": incident_id}
        return self.client.post("/api/act", json=body | more)

    def wait_for(self, is_so: Any, timeout_s: float = 20.0) -> float:
        """Wait until is_so(page); return the seconds since the call."""
        begun_s = time.monotonic()
        with self._changed:
            if not self._changed.wait_for(lambda: is_so(self), timeout_s):
                raise AssertionError(f"not within {timeout_s} s; {self.slots} {self.events[-9:]}")
        return time.monotonic() - begun_s

    def _read(self) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        try:
            with self.client.stream("GET", "/api/events", headers=headers) as response:
                self._response = response
                response.raise_for_status()
                lines: list[str] = []
                for line in response.iter_lines():
                    if line:
                        lines.append(line)
                    else:
                        self._take(dict(one.split(": ", 1) for one in lines))
                        lines = []
        except (httpx.TransportError, httpx.StreamError) as error:
            self.end = error  # the daemon has ended, or the page was closed
        with self._changed:
            self.events.append("end")
            self._changed.notify_all()

    def _take(self, event: dict[str, str]) -> None:
        told = json.loads(event["data"])
        with self._changed:
            self.events.append(event["event"])
            self.last_id = event.get("id", self.last_id)
            if event["event"] == "hello":
                self.slots, self.cameras = {}, {}
                told = told["snapshot"]
            for name in ("slots", "cameras"):
                getattr(self, name).update({one["id"]: one for one in told.get(name, [])})
            at = datetime.now(UTC)
            for slot in told.get("slots", []):
                if slot["incident"] is not None:
                    self.first_heard.setdefault(slot["incident"]["id"], at)
            for slot_id in told.get("gone", []):
                del self.slots[slot_id]
            self.recent = told.get("recent", self.recent)
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(lambda page: page.events)
        return self

    def __exit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()
        self.client.close()
