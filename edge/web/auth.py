"""The door of the pages: the PIN, and the sessions that it opens."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge import __version__
from edge.pin import PinFile
from edge.site import Site
from edge.web.limiter import Limiter
from edge.web.refusal import Refusal, read_body
from edge.web.sessions import LASTS_S, Sessions

log = logging.getLogger(__name__)


class SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    pin: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(max_length=60)] = ""
    """What the device is called."""


class Door:
    """Lets in whoever has the PIN.

    Where one is set it is needed, and always where the pages can be reached from outside.
    Otherwise everybody is let in: only this PC can reach the pages.
    """

    def __init__(self, site: Site):
        self._node, self._tls = site.node, site.web.tls is not None
        self._pin, self._outside = PinFile(site.pin_file), not site.web.is_local
        self._sessions = Sessions(site.state / "sessions.json")
        self._limiter = Limiter()
        self._one_at_a_time = asyncio.Lock()  # each try takes memory and a tenth of a second
        self.cookie = "__Host-stock_sid" if self._tls else "stock_sid"
        self.failures = 0
        """Wrong PINs since the start."""

    @property
    def is_locked(self) -> bool:
        return self._outside or self._pin.exists

    def admits(self, connection: HTTPConnection) -> bool:
        """Whether the request comes from somebody signed in, or nobody needs to be."""
        if not self.is_locked:
            return True
        mark, token = self._pin.mark(), self._token(connection)
        return mark is not None and bool(token) and self._sessions.knows(mark.name, token)

    def routes(self) -> list[Route]:
        path = "/api/session"
        return [
            Route(path, self._show, methods=["GET"]),
            Route(path, self._sign_in, methods=["POST"]),
            Route(path, self._sign_out, methods=["DELETE"]),
        ]

    async def _show(self, request: Request) -> Response:
        shown = {
            "signed_in": self.admits(request),
            "pin": self.is_locked,
            "tls": self._tls,
            "node": self._node,
            "version": __version__,
        }
        response = JSONResponse(shown)
        if self.is_locked and shown["signed_in"]:
            self._give(response, self._token(request))  # its thirty days start again
        return response

    async def _sign_in(self, request: Request) -> Response:
        asked = await read_body(request, SignIn)
        response = JSONResponse({"signed_in": True})
        if not self.is_locked:
            return response
        address = request.client.host if request.client else ""
        wait_s = self._limiter.wait_s(address)
        if wait_s:
            raise Refusal(
                429,
                "wait",
                f"too many wrong PINs; try again in {wait_s} s",
                {"Retry-After": str(wait_s)},
                seconds=wait_s,
            )
        mark = self._pin.mark()
        async with self._one_at_a_time:
            right = mark is not None and await run_in_threadpool(mark.fits, asked.pin)
        if mark is None or not right:
            self.failures += 1
            log.warning("a wrong PIN from %s", address)
            raise Refusal(401, "wrong_pin", "this is not the PIN")
        self._limiter.was_right(address)
        self._give(response, self._sessions.begin(mark.name, asked.name))
        log.info("signed in from %s: %r", address, asked.name)
        return response

    async def _sign_out(self, request: Request) -> Response:
        self._sessions.end(self._token(request))
        response = JSONResponse({"signed_in": not self.is_locked})
        self._give(response, "", 0)
        return response

    def _token(self, connection: HTTPConnection) -> str:
        return connection.cookies.get(self.cookie, "")

    def _give(self, response: Response, token: str, lasts_s: int = int(LASTS_S)) -> None:
        response.set_cookie(
            self.cookie, token, lasts_s, secure=self._tls, httponly=True, samesite="strict"
        )
