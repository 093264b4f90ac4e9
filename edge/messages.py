"""What is said over MQTT: the records of edge.types as payload bytes, and requests read from them.

Nothing here sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import from_json

from edge.errors import RequestError
from edge.payloads import (
    REQUESTS,
    AckPayload,
    CameraEventData,
    CameraEventPayload,
    CameraStatusPayload,
    InventoryPayload,
    NodeEventData,
    NodeEventPayload,
    Request,
    ResponsePayload,
    SlotEventData,
    SlotEventPayload,
    SlotStatePayload,
    StockPayload,
    rounded,
)
from edge.types import CameraState, Event, Slot, SlotState, State

MAX_REQUEST_BYTES = 16 * 1024


def encode(payload: BaseModel) -> bytes:
    return payload.model_dump_json(by_alias=True).encode()


def slot_state(slot: Slot, state: SlotState, model: str) -> bytes:
    """Return the payload of …/slot/<slot>/state; model is the bundle's name."""
    return encode(SlotStatePayload(**_slot_fields(slot, state, model)))


def slot_event(event: Event, slot: Slot, state: SlotState, node: str, model: str) -> bytes:
    """Return the CloudEvent of a slot; its incident_id is the event's, also once it is closed."""
    fields = _slot_fields(slot, state, model) | {"incident_id": event.incident_id}
    data = SlotEventData(**fields, reason=event.reason, replayed=False)
    return encode(SlotEventPayload(**_envelope(event, node), data=data))


def removed_slot_event(event: Event, last_state: bytes, node: str) -> bytes:
    """Return the CloudEvent of a slot that is no longer configured.

    last_state is the payload of its retained state topic: nobody else knows its name any more.
    """
    fields = json.loads(last_state) | {"incident_id": event.incident_id}
    data = SlotEventData(**fields, reason=event.reason, replayed=False)
    return encode(SlotEventPayload(**_envelope(event, node), data=data))


def camera_status(camera: CameraState) -> bytes:
    """Return the payload of …/camera/<camera>/status."""
    return encode(CameraStatusPayload(**_camera_fields(camera)))


def camera_state(camera_id: str, status: bytes) -> CameraState | None:
    """Return what `camera_status` made a payload of, but for how far the camera has moved.

    None where another version made it, which knew other reasons.
    """
    try:
        told = CameraStatusPayload.model_validate_json(status)
    except ValidationError:
        return None
    return CameraState(camera_id, told.status, told.reason, told.since, told.last_frame)


def camera_event(event: Event, camera: CameraState, node: str) -> bytes:
    data = CameraEventData(**_camera_fields(camera), camera=camera.camera_id, replayed=False)
    return encode(CameraEventPayload(**_envelope(event, node), data=data))


def node_started(event: Event, node: str, version: str, model: str) -> bytes:
    data = NodeEventData(version=version, model=model, replayed=False)
    return encode(NodeEventPayload(**_envelope(event, node), data=data))


def as_replayed(event_payload: bytes) -> bytes:
    """Return the same event, saying that it had to wait for a connection."""
    event = json.loads(event_payload)
    event["data"]["replayed"] = True
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def inventory(slots: Iterable[Slot], states: Mapping[str, SlotState]) -> bytes:
    """Return the stock-taking: how many facings of each product are stocked, empty and so on.

    A slot of which nothing is known yet counts as unknown. Slots that share a SKU are one line,
    under the first one's name. Lines are keyed by SKU, else by name; a slot without a SKU whose
    name equals another slot's SKU is counted on that line.
    """
    lines: dict[str, dict[str, Any]] = {}
    for slot in slots:
        line = lines.setdefault(
            slot.sku or slot.name, {"name": slot.name, "slots": 0} | dict.fromkeys(State, 0)
        )
        known = states.get(slot.slot_id)
        line["slots"] += 1
        line[known.state if known else State.UNKNOWN] += 1
    return encode(InventoryPayload({key: StockPayload(**line) for key, line in lines.items()}))


def parse_request(verb: str, payload: bytes) -> Request:
    """Return the request as one of REQUESTS' models; an empty payload stands for {}.

    Raises RequestError, whose text says what is wrong and is meant for the sender.
    """
    if verb not in REQUESTS:
        raise RequestError(f"unknown request {verb!r}; use one of {', '.join(REQUESTS)}")
    check_length(payload)
    try:
        return REQUESTS[verb].model_validate_json(payload.strip() or b"{}", strict=True)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_url=False)]
        raise RequestError("; ".join(problems), transaction=_transaction(payload)) from error


def check_length(payload: bytes) -> None:
    """Raise RequestError for what is too long to be read as a request."""
    if len(payload) > MAX_REQUEST_BYTES:
        raise RequestError(f"a request has at most {MAX_REQUEST_BYTES} bytes, not {len(payload)}")


def response(
    request: Request, data: Mapping[str, JsonValue] | None = None, error: str | None = None
) -> bytes:
    """Return the reply to a request that was understood; error says why it was not done."""
    return _reply(request.transaction, dict(data or {}), error)


def refusal(error: RequestError) -> bytes:
    """Return the reply to a request that was not understood."""
    return _reply(error.transaction, {}, str(error))


def busy() -> bytes:
    """Return the reply to a request that was not even read: nothing was done, it may come again."""
    return _reply(None, {"code": "busy"}, "too many requests wait; try again")


def _reply(transaction: str | int | None, data: dict[str, JsonValue], error: str | None) -> bytes:
    return encode(
        ResponsePayload(
            status="error" if error else "ok", data=data, error=error, transaction=transaction
        )
    )


def _problem(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])


def _transaction(payload: bytes) -> str | int | None:
    """Return the sender's mark of a request that is wrong elsewhere, if it can be read at all."""
    try:
        return Request.model_validate(
            {"transaction": from_json(payload)["transaction"]}, strict=True
        ).transaction
    except (ValueError, TypeError, LookupError):
        return None


def _slot_fields(slot: Slot, state: SlotState, model: str) -> dict[str, Any]:
    ack = AckPayload(by=state.ack.by, at=state.ack.at) if state.ack else None
    return {
        "state": state.state,
        "visibility": state.visibility,
        "since": state.since,
        "last_seen": state.last_seen,
        "score": rounded(state.score),
        "p_present": rounded(state.p_present),
        "camera": slot.camera_id,
        "sku": slot.sku,
        "name": slot.name,
        "priority": slot.priority,
        "incident_id": state.incident_id,
        "ack": ack,
        "snooze_until": state.snooze_until,
        "seq": state.seq,
        "model": model,
    }


def _camera_fields(camera: CameraState) -> dict[str, Any]:
    return {
        "status": camera.status,
        "reason": camera.reason,
        "since": camera.since,
        "last_frame": camera.last_frame,
    }


def _envelope(event: Event, node: str) -> dict[str, Any]:
    return {
        "id": event.event_id,
        "source": f"/stock/{node}",
        "type": event.kind,
        "subject": event.subject,
        "time": event.at,
    }
