"""Whether all is well: cameras, broker, outbox, model, disk and this PC."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.board import Board, Notice
from edge.errors import StoreError
from edge.health import disk_free_bytes, is_room_enough, memory_bytes
from edge.payloads import rfc3339
from edge.redact import without_login
from edge.site import Mqtt
from edge.versions import versions
from edge.web.refusal import starting
from edge.web.shown import Json, cameras_json


def routes(board: Board) -> list[Route]:
    async def show(request: Request) -> Response:
        notice = board.current
        if notice is None:
            raise starting()
        found = await to_thread.run_sync(health_json, board, notice, datetime.now(UTC))
        failures = request.app.state.door.failures
        return JSONResponse(found | {"sign_in_failures": failures})

    return [Route("/api/health", show, methods=["GET"])]


def health_json(board: Board, notice: Notice, now: datetime) -> Json:
    """Return what is known now; processor and model as last measured, at most a minute ago."""
    site, model = notice.plan.config.site, notice.plan.classifier.info
    measured: Json = json.loads(notice.ledger.health or b"{}")
    looks = measured.get("inference", {})
    free_bytes = disk_free_bytes(site.state)
    return {
        "cameras": _cameras(board, notice),
        **_delivery(board, site.mqtt, now),
        "model": {
            "name": model.name,
            "p50_ms": looks.get("p50_ms"),
            "p95_ms": looks.get("p95_ms"),
            "looks": looks.get("looks", 0),
        },
        "disk": {"free_bytes": free_bytes, "enough": is_room_enough(free_bytes)},
        "cpu_percent": measured.get("cpu_percent"),
        "memory_bytes": memory_bytes(),
        "uptime_s": round(notice.now.clock_s - board.begun_s, 1),
        "versions": versions(),
    }


def _cameras(board: Board, notice: Notice) -> list[Json]:
    eyes = board.eyes
    return [
        camera | {"frames": eyes[camera_id].frames if camera_id in eyes else 0}
        for camera_id, camera in cameras_json(notice).items()
    ]


def _delivery(board: Board, mqtt: Mqtt, now: datetime) -> Json:
    """Return how the events get out. Where the state file is in trouble, that is the error."""
    delivery, trouble = None, None
    try:
        delivery = board.delivery() if board.delivery else None
    except StoreError as error:
        trouble = str(error)
    since = delivery.connected_since if delivery else None
    return {
        "broker": {
            "connected_since": rfc3339(since) if since else None,
            "last_error": delivery.last_error if delivery else trouble,
            "address": f"mqtt://{mqtt.listen}" if mqtt.embedded else without_login(mqtt.url),
        },
        "outbox": {
            "waiting": delivery.backlog.count if delivery else 0,
            "oldest_s": delivery.backlog.oldest_s(now) if delivery else None,
            "dropped": delivery.backlog.dropped if delivery else 0,
        },
    }
