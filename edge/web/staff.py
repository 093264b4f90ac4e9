"""The staff page's requests: what there is to see, the pictures, and what people do about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edge.board import Board, Shot, version_of
from edge.payloads import LONGEST_SNOOZE_MIN, Name, Person
from edge.types import Asked
from edge.web.events import Hub
from edge.web.refusal import Refusal, read_body, starting
from edge.web.shown import Json

ANSWER_S = 5.0
MAX_ANSWERS = 1000  # acts remembered, so that one that is sent twice is done once
MAX_PICTURES = 1000  # JPEGs kept: about 5 KB for a slot, some hundred for a camera
WIDEST_PX = 1600  # of a whole picture: more than a phone or half a screen shows
NOBODY = "staff"
"""Who acts where the user of the page has given no name."""

STATUS = {"already_closed": 409, "gone": 404, "not_written": 503, "busy": 503}
RETRYABLE = {"not_written", "busy"}
"""The codes of an answer after which the same act may be tried again: nothing was done."""


class Act(BaseModel):
    """One tap. The same action_id sent again, after a lost answer, is the same tap."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
    verb: Literal["ack", "release", "snooze", "not_empty", "undo_not_empty"]
    slot: Name
    incident_id: Annotated[str, Field(min_length=1, max_length=64)]
    by: Person = NOBODY
    minutes: Annotated[int, Field(ge=0, le=LONGEST_SNOOZE_MIN)] = 15

    def request(self) -> bytes:
        """Return the payload of the request of that name."""
        fields: Json = {"slot": self.slot, "incident_id": self.incident_id, "by": self.by}
        if self.verb == "snooze":
            fields["minutes"] = self.minutes
        return json.dumps(fields).encode()


class StaffRequests:
    """One method per request. ask hands a request to the main loop, from any thread."""

    def __init__(self, board: Board, ask: Callable[[Asked], None]):
        self._board, self._ask = board, ask
        self._hub = Hub(board)
        self._acts: dict[tuple[str, str], asyncio.Future[Json]] = {}
        self._pictures: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._encoding = CapacityLimiter(1)  # the other core is the cameras'

    async def events(self, request: Request) -> Response:
        if not await self._hub.is_ready():
            raise starting()
        stream = self._hub.stream(request.headers.get("last-event-id"))
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    async def snapshot(self, request: Request) -> Response:
        found = self._hub.snapshot()
        if found is None:
            raise starting()
        return JSONResponse(found)

    async def act(self, request: Request) -> Response:
        """Do what is asked once, however often it is sent."""
        act = await read_body(request, Act)
        answered = self._acts.get((act.incident_id, act.action_id)) or self._ask_for(act)
        try:
            async with asyncio.timeout(ANSWER_S):
                # A page that leaves or has waited long enough does not take back what it sent.
                response = await asyncio.shield(answered)
        except TimeoutError:
            raise _busy() from None
        if response["status"] == "ok":
            return JSONResponse({"status": "ok"})
        code = response["data"].get("code", "refused")
        raise Refusal(STATUS.get(code, 422), code, response["error"])

    async def slot_picture(self, request: Request) -> Response:
        slot_id, which = request.path_params["slot"], request.path_params["which"]
        if which not in ("now", "full"):
            raise Refusal(404, "not_found", "there are now.jpg and full.jpg")
        shot = self._board.crop(slot_id, which)
        if shot is None:
            raise Refusal(404, "no_picture", "there is no picture of that slot")
        return await self._picture(f"{which}/{slot_id}", shot)

    async def camera_picture(self, request: Request) -> Response:
        camera_id, notice = request.path_params["camera"], self._board.notice
        if notice is not None and not notice.plan.config.site.web.pictures:
            raise Refusal(403, "pictures_off", "whole pictures are off in this shop")
        frame = self._board.quiet_frame(camera_id)
        if frame is None:
            raise Refusal(404, "no_picture", "there is no picture of that camera without people")
        shot = Shot(frame.taken_at, version_of(frame.taken_at), frame.image)
        return await self._picture(f"camera/{camera_id}", shot)

    async def _picture(self, name: str, shot: Shot) -> Response:
        """Answer with the JPEG, encoded once for all pages."""
        async with self._encoding:
            version, jpeg = self._pictures.get(name, (0, b""))
            if version != shot.version:
                jpeg = await to_thread.run_sync(shot.jpeg, WIDEST_PX)
                self._pictures[name] = shot.version, jpeg
                if len(self._pictures) > MAX_PICTURES:
                    self._pictures.popitem(last=False)
        return Response(jpeg, media_type="image/jpeg")

    def _ask_for(self, act: Act) -> asyncio.Future[Json]:
        """Hand it to the main loop; return the response to come, which is remembered."""
        self._make_room()
        loop, key = asyncio.get_running_loop(), (act.incident_id, act.action_id)
        answered: asyncio.Future[Json] = loop.create_future()

        def settle(payload: bytes) -> None:
            response: Json = json.loads(payload)
            if response["data"].get("code") in RETRYABLE:
                del self._acts[key]
            answered.set_result(response)

        def reply(response: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the pages' loop has just been closed
                loop.call_soon_threadsafe(settle, response)

        self._acts[key] = answered
        self._ask(Asked(act.verb, act.request(), reply))
        return answered

    def _make_room(self) -> None:
        """Forget the oldest answer; never an act that the main loop has not answered."""
        if len(self._acts) < MAX_ANSWERS:
            return
        oldest = next((key for key, answered in self._acts.items() if answered.done()), None)
        if oldest is None:
            raise _busy()
        del self._acts[oldest]


def _busy() -> Refusal:
    """Answer while the main loop has not answered; the same act sent again waits for it."""
    return Refusal(503, "busy", "the daemon is busy")


def routes(requests: StaffRequests) -> list[Route]:
    table: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]]], ...] = (
        ("GET", "/api/events", requests.events),
        ("GET", "/api/snapshot", requests.snapshot),
        ("POST", "/api/act", requests.act),
        ("GET", "/api/slots/{slot}/{which}.jpg", requests.slot_picture),
        ("GET", "/api/cameras/{camera}.jpg", requests.camera_picture),
    )
    return [Route(path, handler, methods=[method]) for method, path, handler in table]
