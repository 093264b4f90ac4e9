"""The staff page's news, as server-sent events: one hub, any number of open pages.

    hello   everything, to each page that opens (or was away too long)
    patch   what has changed since; id: <boot>-<seq>
    beat    each 10 s, so that a page knows a silent line from a quiet shop; none while the main
            loop stands still

Each event is written once and the same bytes go to all. Nothing is done while no page is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from edge.board import Board, Notice
from edge.payloads import rfc3339
from edge.places import Place
from edge.plan import Plan
from edge.web import shown
from edge.web.shown import Json

log = logging.getLogger(__name__)

BEAT_S = 10.0
PICTURES_EVERY_S = 3.0  # a camera's new picture alone is told no more often
GAP_S = 0.1  # between two patches: what happens at the same time goes into one
QUEUE = 64  # events a slow page may be behind before it gets everything again
RING = 512  # patches kept for a page that comes back
FIRST_S = 5.0  # how long a page waits that opens before the main loop's first round


class Hub:
    """Lives in the pages' event loop; only the board calls it from another thread."""

    def __init__(self, board: Board):
        self._board = board
        self._boot = secrets.token_hex(4)
        self._seq = 0
        self._ring: deque[bytes] = deque(maxlen=RING)
        self._pages: set[_Page] = set()
        self._pump: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._slots: dict[str, Json] = {}
        self._cameras: dict[str, Json] = {}
        self._recent: list[Json] = []
        self._told_cameras_s = float("-inf")
        self._places: tuple[Plan | None, dict[str, Place]] = (None, {})

    async def is_ready(self) -> bool:
        """Wait for the main loop's first round, but not for long. False: nothing is looked at."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + FIRST_S
        while self._board.notice is None and loop.time() < until_s:
            await asyncio.sleep(GAP_S)
        return self._board.current is not None

    def snapshot(self) -> Json | None:
        """Return all there is to show now; None where nothing is looked at."""
        notice = self._refresh()
        if notice is None or self._board.current is None:
            return None
        return {
            "node": notice.plan.config.site.node,
            "server_time": rfc3339(datetime.now(UTC)),
            "slots": list(self._slots.values()),
            "cameras": list(self._cameras.values()),
            "recent": self._recent,
            "settings": shown.settings_json(notice.plan),
        }

    async def stream(self, last_id: str | None) -> AsyncIterator[bytes]:
        """Yield a page's events until it leaves. last_id: the last one it knows.

        To be called when the hub is ready.
        """
        page = _Page()
        self._pages.add(page)
        pump = self._pump or self._begin()
        try:
            self._refresh()
            missed = self._since(last_id)
            page.clear()  # what has been put there since is among what it has missed
            if missed is None:
                yield self._hello()
            for event in missed or ():
                yield event
            while not pump.done():
                news = await page.get()
                yield self._hello() if news is None else news
        finally:
            self._pages.discard(page)
            if self._pump is not None and not self._pages:
                self._pump.cancel()
                self._pump = None

    def _begin(self) -> asyncio.Task[None]:
        """Start telling news; from here on none is missed."""
        loop = asyncio.get_running_loop()

        def wake(version: int) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._news.set)

        leave = self._board.listen(wake)
        self._pump = asyncio.create_task(self._run())
        self._pump.add_done_callback(lambda pump: leave())
        self._pump.add_done_callback(self._failed)
        return self._pump

    async def _run(self) -> None:
        """Tell all pages what is new, until the last of them has left."""
        loop = asyncio.get_running_loop()
        beat_s = loop.time() + BEAT_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat_s):
                    await self._news.wait()
            self._news.clear()
            self._refresh()
            if loop.time() >= beat_s and self._board.current:
                self._tell(_event("beat", {"server_time": rfc3339(datetime.now(UTC))}))
                beat_s = loop.time() + BEAT_S
            await asyncio.sleep(GAP_S)

    def _failed(self, pump: asyncio.Task[None]) -> None:
        """Make all pages connect again where telling them has failed: a bug, which is logged."""
        error = None if pump.cancelled() else pump.exception()
        if error is not None:
            log.error("the pages' news failed", exc_info=error)
            self._pump = None
            for page in self._pages:
                page.put(b"")

    def _refresh(self) -> Notice | None:
        """Compare what pages show with what the board says; tell them the difference."""
        notice = self._board.notice
        if notice is None:
            return None
        if self._places[0] is not notice.plan:
            self._places = notice.plan, shown.places_of(notice.plan)
        slots = shown.slots_json(notice, self._places[1])
        cameras = shown.cameras_json(notice)
        recent = shown.recent_json(notice, datetime.now(UTC))
        gone = [key for key in self._cameras if key not in cameras]
        news: Json = {
            "slots": [
                slots[key] for key in shown.changed(self._slots, slots, shown.VOLATILE_FIELDS)
            ],
            "cameras": self._changed_cameras(cameras),
            "gone": [key for key in self._slots if key not in slots],
            "gone_cameras": gone,
        }
        if recent != self._recent:
            news["recent"] = recent
        self._slots, self._recent = slots, recent
        if any(news.values()) or "recent" in news:
            self._seq += 1
            patch = {"server_time": rfc3339(datetime.now(UTC)), **news}
            event = _event("patch", patch, f"{self._boot}-{self._seq}")
            self._ring.append(event)
            self._tell(event)
        return notice

    def _changed_cameras(self, cameras: dict[str, Json]) -> list[Json]:
        """Return the cameras to tell about: a new picture alone can wait for a while."""
        now_s = asyncio.get_running_loop().time()
        due = now_s - self._told_cameras_s >= PICTURES_EVERY_S
        changed = shown.changed(self._cameras, cameras, () if due else ("last_frame", "picture"))
        if changed and due:
            self._told_cameras_s = now_s
        self._cameras |= {key: cameras[key] for key in changed}
        self._cameras = {key: self._cameras[key] for key in cameras}
        return [cameras[key] for key in changed]

    def _tell(self, event: bytes) -> None:
        for page in self._pages:
            page.put(event)

    def _hello(self) -> bytes:
        data = {"boot": self._boot, "seq": self._seq, "server_time": rfc3339(datetime.now(UTC))}
        return _event("hello", data | {"snapshot": self.snapshot()}, f"{self._boot}-{self._seq}")

    def _since(self, last_id: str | None) -> list[bytes] | None:
        """Return the patches after that event; None where some of them are forgotten."""
        boot, _, number = (last_id or "").rpartition("-")
        if boot != self._boot or not number.isdecimal():
            return None
        missed = self._seq - int(number)
        if not 0 <= missed <= len(self._ring):
            return None
        return list(self._ring)[len(self._ring) - missed :]


class _Page:
    """What one page has not read yet."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)

    def put(self, event: bytes) -> None:
        """Add an event; where too many wait, everything takes their place."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.clear()
            self._events.put_nowait(None)

    async def get(self) -> bytes | None:
        """Wait for the next event; None stands for everything."""
        return await self._events.get()

    def clear(self) -> None:
        while not self._events.empty():
            self._events.get_nowait()


def _event(name: str, data: Json, number: str = "") -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    mark = f"id: {number}\n" if number else ""
    return f"event: {name}\n{mark}data: {text}\n\n".encode()
