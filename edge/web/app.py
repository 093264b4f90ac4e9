"""The web application: pages and requests, behind the guard."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edge.site import Site
from edge.web import static
from edge.web.auth import Door
from edge.web.guard import FAILED, Guard
from edge.web.hosts import Hosts
from edge.web.refusal import Refusal


def create_app(site: Site, routes: Sequence[BaseRoute]) -> Guard:
    """Return the application: the pages, /api/session, and the given routes, behind the guard.

    Handlers find the door at request.app.state.door.
    """
    door = Door(site)
    app = Starlette(
        routes=[*static.routes(), *door.routes(), *routes],
        exception_handlers={Refusal: _refused, HTTPException: _not_found, Exception: _failed},
    )
    app.state.door = door
    app.router.redirect_slashes = False
    return Guard(app, door, Hosts.of(site))


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return refusal.response()


async def _not_found(request: Request, error: Exception) -> Response:
    """Starlette's own errors: no such path, or not with this method."""
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "not_this_way"}
    code = codes.get(error.status_code, "refused")
    return Refusal(error.status_code, code, error.detail, error.headers).response()


async def _failed(request: Request, error: Exception) -> Response:
    """A bug: Starlette raises it again, and the guard logs it; the answer says nothing about it."""
    return FAILED.response()
