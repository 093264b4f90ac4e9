"""What stands before every request: who may ask what, how much, and how many at once.

The checks go from cheap to expensive: a stranger's request is refused before its body is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from urllib.parse import urlencode

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.web.answer import Answer
from edge.web.auth import Door
from edge.web.hosts import Hosts
from edge.web.refusal import Refusal
from edge.web.static import PAGE_FILES

log = logging.getLogger(__name__)

API = "/api/"
STREAM = "/api/events"
LARGE = "/api/calibrate/"
"""Requests below this path may hold a whole planogram."""
OPEN = ("/login", "/api/session")
"""What may be asked for before signing in, besides /static/."""
MOST_REQUESTS = 64
"""At once, not counting streams and static files."""
MOST_STREAMS = 100
BODY_BYTES, LARGE_BODY_BYTES = 64 * 1024, 2 * 1024 * 1024
BODY_S = 10.0
"""Longest time that a body may take to arrive."""
REQUEST_S = 60.0
"""Longest time from a request to the end of its answer, if the reader reads slowly."""
READS = ("GET", "HEAD", "OPTIONS")
TELL_EACH_S = 10.0
SOON = {"Retry-After": "2"}
FAILED = Refusal(500, "failed", "this did not work; the daemon's log says why")


class Guard:
    """The whole web application. Everything runs in the pages' event loop."""

    def __init__(self, app: ASGIApp, door: Door, hosts: Hosts):
        self._app, self._door, self._hosts = app, door, hosts
        self._running = 0
        self._streams: set[_Stream] = set()
        self._closing = False
        self._told_s = -TELL_EACH_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send)
        try:
            await self._admit(HTTPConnection(scope), receive, answer)
        except Refusal as refusal:
            self._tell(scope, refusal)
            await refusal.response()(scope, receive, answer)
        except Exception:
            log.exception("the pages: %s failed", _asked(scope))
            if not answer.begun:
                await FAILED.response()(scope, receive, answer)

    def end_streams(self) -> None:
        """End what would never end by itself, and let nothing of that kind start again."""
        self._closing = True
        for stream in self._streams:
            stream.end()

    async def _admit(self, request: HTTPConnection, receive: Receive, answer: Answer) -> None:
        path, scope = request.scope["path"], request.scope
        self._hosts.check_name(request)
        if path.startswith(API):
            self._hosts.check_origin(request)
        if scope["method"] not in READS:
            _check_write(request)
        if not (path in OPEN or path.startswith("/static/") or self._door.admits(request)):
            if path not in PAGE_FILES:
                raise Refusal(401, "sign_in", "sign in with the PIN first")
            query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
            to = f"/login?{urlencode({'next': path + query})}"
            await RedirectResponse(to, 303)(scope, receive, answer)
        elif path.startswith("/static/"):  # from memory, never refused: no page is half there
            await self._app(scope, receive, answer)
        elif path == STREAM:
            await self._stream(request, receive, answer)
        else:
            with self._turn():
                received = await self._received(request, receive)
                try:
                    async with asyncio.timeout(REQUEST_S):
                        await self._app(scope, received, answer)
                except TimeoutError:
                    if not answer.begun:
                        raise
                    log.info("the pages: %s was read too slowly: broken off", _asked(scope))

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if self._running >= MOST_REQUESTS:
            raise Refusal(503, "busy", "too many requests at once; try again", SOON)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _stream(self, request: HTTPConnection, receive: Receive, answer: Answer) -> None:
        """Serve what goes on until the reader leaves, is signed out, or the server stops."""
        if self._closing or len(self._streams) >= MOST_STREAMS:
            raise Refusal(503, "busy", "too many pages are open; close some", SOON)
        stream = _Stream(self._door, request, answer)
        self._streams.add(stream)
        try:
            await self._app(request.scope, receive, stream.send)
        except asyncio.CancelledError:
            if not stream.is_over:
                raise
            stream.task.uncancel()
            await answer.end()
        finally:
            self._streams.discard(stream)

    async def _received(self, request: HTTPConnection, receive: Receive) -> Receive:
        """Return a `receive` that holds the whole body, which came in time and is small enough."""
        most = LARGE_BODY_BYTES if request.scope["path"].startswith(LARGE) else BODY_BYTES
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise _too_large(most)
        if length == "0" and "transfer-encoding" not in request.headers:
            return receive
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(receive, most)
        except TimeoutError:
            message = f"the request took longer than {BODY_S:.0f} s to arrive"
            raise Refusal(408, "too_slow", message, {"Connection": "close"}) from None
        return _Replay(body, receive)

    def _tell(self, scope: Scope, refusal: Refusal) -> None:
        """Log what looks like an attack or a wrong setting, but never a flood of it."""
        now_s = time.monotonic()
        if refusal.status in (403, 421, 503) and now_s - self._told_s >= TELL_EACH_S:
            self._told_s = now_s
            log.warning("the pages: %s was refused: %s", _asked(scope), refusal)


class _Stream:
    """One open stream: looks at each of its messages whether its reader is still signed in."""

    def __init__(self, door: Door, request: HTTPConnection, answer: Answer):
        task = asyncio.current_task()
        assert task is not None
        self.task, self.is_over = task, False
        self._door, self._request, self._answer = door, request, answer

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not self._door.admits(self._request):
            self.end()
            return
        await self._answer(message)

    def end(self) -> None:
        self.is_over = True
        self.task.cancel()


class _Replay:
    """A `receive` for a body that is there already."""

    def __init__(self, body: bytes, receive: Receive):
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _check_write(request: HTTPConnection) -> None:
    """Raises Refusal for what a form or a script of another site could have sent."""
    if request.headers.get("x-stock") != "1":
        raise Refusal(403, "not_from_the_page", "requests that change something need X-Stock: 1")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and _has_body(request):
        raise Refusal(415, "not_json", "only JSON is understood here")


def _has_body(request: HTTPConnection) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers


async def _body(receive: Receive, most: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "broken_off", "the request did not arrive as a whole")
        part = message.get("body", b"")
        parts.append(part)
        size, more = size + len(part), message.get("more_body", False)
        if size > most:
            raise _too_large(most)
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    # The connection stays: closing it on what still comes would take the answer back.
    return Refusal(413, "too_large", f"a request may hold {most // 1024} KiB here")


def _asked(scope: Scope) -> str:
    address = scope["client"][0] if scope.get("client") else "?"
    return f"{scope['method']} {scope['path'][:80]!a} from {address}"
