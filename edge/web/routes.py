"""All that the daemon's pages can ask for; the board and `ask` tie it to the main loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future

from starlette.routing import Route

from edge.board import Board
from edge.drawing.bench import CalibrationBench, Reloaded, Setup
from edge.drawing.viewfinder import SharedCameras
from edge.plan import Plan
from edge.types import Asked
from edge.web import calibrate, health, report, staff
from edge.web.staff import StaffRequests

RELOAD_S = 10.0

Ask = Callable[[Asked], None]
"""Hands a request to the main loop."""


def daemon_routes(plan: Plan, board: Board, ask: Ask) -> list[Route]:
    """Return the pages' routes. plan: what the daemon starts with; the board has the newest."""

    def now() -> Plan:
        return board.notice.plan if board.notice else plan

    bench = CalibrationBench(
        setup=lambda: Setup.of(now().config.site),
        viewfinder=SharedCameras(lambda: board.eyes),
        reload=lambda: reload_by(ask),
    )
    return [
        *staff.routes(StaffRequests(board, ask)),
        *report.routes(board),
        *health.routes(board),
        *calibrate.routes(bench),
    ]


def reload_by(ask: Ask) -> Reloaded:
    """Have the main loop read the configuration again, and wait for its answer."""
    answered: Future[bytes] = Future()
    ask(Asked("reload", b"", answered.set_result))
    try:
        response = json.loads(answered.result(RELOAD_S))
    except TimeoutError:
        return Reloaded(False, "the daemon is busy; it will read the planogram when it can")
    if response["status"] == "ok":
        return Reloaded(True, "the daemon watches these slots now")
    return Reloaded(False, f"the daemon goes on as before: {response['error']}")
