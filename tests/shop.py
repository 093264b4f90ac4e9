"""A shop without cameras behind the real pages: every state, trouble and length of name at once.

Only what the staff page asks for; the daemon's own answers are tested with the daemon.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

NAMES = (
    "초코우유 240 ml",
    "비비고 왕교자 만두 1.05 kg 대용량 에어프라이어 전용 기획팩",
    '<img src=x onerror="document.title=1"> & "콜라"',
    "Schokoladenüberzugsmandeln 100 g",
    "제주 삼다수 2 L",
    "A",
)
ROWS, COLUMNS = 4, 5
JPEG = bytes(cv2.imencode(".jpg", np.full((90, 120, 3), 128, np.uint8))[1])


def time(minutes_ago: float = 0) -> str:
    moment = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(minutes_ago: float = 0) -> int:
    return int(1000 * (datetime.now(UTC) - timedelta(minutes=minutes_ago)).timestamp())


def slot(camera: str, row: int, column: int) -> dict[str, Any]:
    left, top = 0.05 + 0.18 * column, 0.05 + 0.23 * row
    right, bottom = left + 0.18, top + 0.2
    number = row * COLUMNS + column
    return {
        "id": f"{camera}-{number}", "name": NAMES[number % len(NAMES)], "sku": f"88011{number:03}",
        "priority": None, "camera": camera, "place": {"row": row + 1, "column": column + 1},
        "quad": [[left, top], [right, top], [right, bottom], [left, bottom]],
        "state": "stocked", "visibility": "clear", "since": time(300), "last_seen": time(),
        "score": 0.03, "p_present": None, "votes": None, "incident": None, "now": 1, "full": 1,
    }  # fmt: skip


def emptied(slot: dict[str, Any], minutes: float, **incident: Any) -> None:
    slot["state"], slot["score"], slot["votes"] = "empty", 0.97, {"looks": 6, "of": 6}
    told = {"id": f"of-{slot['id']}", "opened_at": time(minutes), "ack": None}
    slot["incident"] = told | {"snooze_until": None} | incident


class Shop:
    """What the pages are told. busy: with incidents and trouble, else all is well."""

    def __init__(self, busy: bool = True, pictures: bool = True):
        places = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]
        self.slots = [slot(camera, *place) for camera in ("aisle", "fridge") for place in places]
        self.cameras = [self._camera("aisle"), self._camera("fridge")]
        self.recent: list[dict[str, Any]] = []
        self.today = datetime.now(UTC).date()  # also where a test sees midnight
        self.pictures = pictures
        self.disk: dict[str, Any] = {"free_bytes": 41_300_000_000, "enough": True}
        self.acts: list[dict[str, Any]] = []
        self.refuse: tuple[int, str] | None = None
        """Status and code with which acts are answered, where they are refused."""
        self.refill_min: float | None = 27.4
        self.hours_on = 0
        """How many hours later the figures of the report and of the health are."""
        self.away = False
        """Whether nobody gets any news."""
        self._pages: set[asyncio.Queue[bytes]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        if busy:
            self._trouble()

    def _trouble(self) -> None:
        one = self.slots
        for number, minutes in ((0, 0), (1, 20), (2, 185), (3, 40)):
            emptied(one[number], minutes)
        one[2]["priority"] = 1
        one[3] |= {"state": "misplaced", "p_present": 0.02, "full": None, "visibility": "blocked"}
        emptied(one[4], 8, ack={"by": "민지", "at": time(4)})
        emptied(one[5], 30, snooze_until=time(-50))
        for number, seen in ((6, "blocked"), (7, "stale"), (8, "stale")):
            one[number]["visibility"], one[number]["last_seen"] = seen, time(25)
        one[8] |= {"state": "unknown", "last_seen": None, "since": None, "now": None}
        self.cameras[1] |= {"status": "degraded", "reason": "moved", "moved_by": 0.4}
        self.cameras[1]["since"] = time(30)
        kinds = ("closed", "not_empty", "ack", "opened", "snooze", "release", "undo_not_empty")
        undo = {"not_empty": "undo_not_empty", "ack": "release", "snooze": "snooze"}
        self.recent = [
            {"at": time(at), "slot": one[at]["id"], "name": one[at]["name"], "kind": kind,
             "by": "지훈" if kind in undo else None, "incident_id": f"earlier-of-{one[at]['id']}",
             "minutes_open": 12 if kind == "closed" else None, "undo": undo.get(kind)}
            for at, kind in enumerate(kinds)
        ]  # fmt: skip

    def _camera(self, name: str) -> dict[str, Any]:
        return {
            "id": name, "status": "online", "reason": None, "moved_by": None, "since": time(300),
            "slots": 20,
            "last_frame": time(), "picture": milliseconds(), "aspect": 4 / 3,
        }  # fmt: skip

    def deed(self, slot: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
        """Return what the list of the last half hour says of something that was just done."""
        told = {"at": time(), "slot": slot["id"], "name": slot["name"], "kind": kind, "by": None}
        return told | {"incident_id": f"of-{slot['id']}", "minutes_open": None, "undo": None} | more

    def tell(
        self,
        *slots: dict[str, Any],
        at: str | None = None,
        recent: list[dict[str, Any]] | None = None,
    ) -> None:
        """Tell all open pages of these slots. To be called from the test's thread.

        at: what the daemon's clock says, where the test moves it on. recent: the new list of the
        last half hour, where it has changed.
        """
        news = {"server_time": at or time(), "slots": slots}
        event = _event("patch", news if recent is None else news | {"recent": recent})
        assert self._loop is not None
        for page in list(self._pages):
            self._loop.call_soon_threadsafe(page.put_nowait, event)

    @property
    def listeners(self) -> int:
        """How many pages hear the news now."""
        return len(self._pages)

    def routes(self) -> list[Route]:
        return [
            Route("/api/events", self._events),
            Route("/api/snapshot", self._snapshot),
            Route("/api/act", self._act, methods=["POST"]),
            Route("/api/slots/{slot}/{which}.jpg", self._picture),
            Route("/api/cameras/{camera}.jpg", self._picture),
            Route("/api/report", self._report),
            Route("/api/health", self._health),
        ]

    async def _events(self, request: Request) -> Response:
        self._loop = asyncio.get_running_loop()
        if self.away:
            return JSONResponse({"error": {"code": "starting", "message": "soon"}}, 503)
        return StreamingResponse(self._news(), media_type="text/event-stream")

    async def _news(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._pages.add(queue)
        hello = {"boot": "b", "seq": 0, "server_time": time(), "snapshot": self._everything()}
        try:
            yield _event("hello", hello)
            while True:
                yield await queue.get()
        finally:
            self._pages.discard(queue)

    def _everything(self) -> dict[str, Any]:
        return {
            "node": "shop", "server_time": time(), "slots": self.slots, "cameras": self.cameras,
            "recent": self.recent,
            "settings": {"age_steps_min": [15, 60], "pictures": self.pictures},
        }  # fmt: skip

    async def _snapshot(self, request: Request) -> Response:
        return JSONResponse(self._everything())

    async def _act(self, request: Request) -> Response:
        self.acts.append(await request.json())
        if self.refuse is None:
            return JSONResponse({"status": "ok"})
        status, code = self.refuse
        return JSONResponse({"error": {"code": code, "message": "no"}}, status)

    async def _picture(self, request: Request) -> Response:
        return Response(JPEG, media_type="image/jpeg")

    async def _report(self, request: Request) -> Response:
        days = int(request.query_params["days"])
        dates = [self.today - timedelta(days=days - 1 - k) for k in range(days)]
        some = self.slots[:14]
        return JSONResponse({
            "availability": 0.9996, "not_visible": 0.031,
            "median_refill_min": self.refill_min,
            "days": [{"date": str(date), "availability": None if k == 2 else 0.9 + k / 100,
                      "not_visible": 0.01} for k, date in enumerate(dates[:10])],
            "slots": [{"id": one["id"], "name": one["name"], "sku": one["sku"],
                       "camera": one["camera"], "availability": 0.7 + k / 50, "not_visible": 0.1,
                       "incidents": 14 - k, "median_refill_min": 30.0,
                       "empty_min": 222.0 + 60 * self.hours_on}
                      for k, one in enumerate(some)],
            "shelves": [{"camera": "aisle", "row": 1, "availability": 0.97, "not_visible": 0.0}],
            "hours": {"slots": [one["id"] for one in some], "hours": list(range(24)),
                      "empty_share": [[None if h < 2 else (h * k + self.hours_on) % 24 / 23
                                       for h in range(24)] for k in range(len(some))]},
            "stock": [{"sku": "1", "name": name, "slots": 4, "stocked": 2, "empty": 1,
                       "misplaced": 0, "unknown": 1} for name in NAMES],
        })  # fmt: skip

    async def _health(self, request: Request) -> Response:
        return JSONResponse({
            "cameras": [one | {"frames": 1234} for one in self.cameras],
            "broker": {"connected_since": None, "last_error": "refused", "address": "mqtt://h"},
            "outbox": {"waiting": 3, "oldest_s": 300.0, "dropped": 1},
            "model": {"name": "default", "p50_ms": 3.2,
                      "p95_ms": 5.9, "looks": 123456},
            "disk": self.disk, "cpu_percent": 7.4,
            "memory_bytes": 212_000_000, "uptime_s": 183_000.0 + 3600 * self.hours_on,
            "versions": {"shelf-edge": "0.4", "python": "3.12"}, "sign_in_failures": 2,
        })  # fmt: skip


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
