"""What is said over MQTT: one model a payload, the single source of the JSON Schemas that ship.

The functions below turn the records of edge.types into payload bytes; nothing here sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    RootModel,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import from_json

from edge.errors import RequestError
from edge.types import (
    CameraReason,
    CameraState,
    CameraStatus,
    Event,
    EventKind,
    Slot,
    SlotState,
    State,
    Visibility,
)

MAX_REQUEST_BYTES = 16 * 1024


def rfc3339(moment: datetime) -> str:
    """Return the moment in UTC to the millisecond: 2026-11-24T03:26:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    AwareDatetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        }
    ),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class AckPayload(Payload):
    by: str
    at: Time


class SlotStatePayload(Payload):
    """…/slot/<slot>/state, retained."""

    schema_: Literal[1] = Field(1, alias="schema")
    state: State
    visibility: Visibility
    since: Time | None
    last_seen: Time | None
    score: Share | None = Field(description="p_empty: 0 something stands there, 1 empty")
    p_present: Share | None = Field(description="the slot's own product is there; null: not judged")
    camera: Name
    sku: str | None
    name: str
    priority: int | None
    incident_id: str | None
    ack: AckPayload | None
    snooze_until: Time | None
    seq: Count
    model: str


class SlotEventData(SlotStatePayload):
    reason: str | None
    replayed: bool


class CameraStatusPayload(Payload):
    """…/camera/<camera>/status, retained."""

    status: CameraStatus
    reason: CameraReason | None
    since: Time
    last_frame: Time | None


class CameraEventData(CameraStatusPayload):
    camera: Name
    replayed: bool


class NodeEventData(Payload):
    version: str
    model: str
    replayed: bool


class CloudEvent(Payload):
    """The envelope of …/event: CloudEvents 1.0, structured JSON. Deduplicate on source + id."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: Annotated[str, Field(pattern=r"^/stock/[a-z0-9][a-z0-9_-]*$")]
    subject: str
    time: Time
    datacontenttype: Literal["application/json"] = "application/json"


class SlotEventPayload(CloudEvent):
    type: Literal[EventKind.OPENED, EventKind.UPDATED, EventKind.CLOSED]
    data: SlotEventData


class CameraEventPayload(CloudEvent):
    type: Literal[EventKind.CAMERA_DOWN, EventKind.CAMERA_UP]
    data: CameraEventData


class NodeEventPayload(CloudEvent):
    type: Literal[EventKind.NODE_STARTED]
    data: NodeEventData


class EventPayload(
    RootModel[
        Annotated[
            SlotEventPayload | CameraEventPayload | NodeEventPayload, Field(discriminator="type")
        ]
    ]
):
    """…/event, not retained."""


class StatusPayload(RootModel[Literal["online", "offline"]]):
    """…/status, retained and the will. The one payload that is a bare word, not JSON."""


class InfoPayload(Payload):
    """…/info, retained."""

    versions: dict[str, str]
    model: dict[str, JsonValue]
    config_digest: str = Field(description="of the configuration without its passwords")
    cameras: list[Name]
    slots: list[Name]
    started_at: Time


class OutboxPayload(Payload):
    connected_since: Time | None
    waiting: Count
    oldest_s: Annotated[float, Field(ge=0)] | None
    dropped: Count
    last_error: str | None


class InferencePayload(Payload):
    looks: Count
    p50_ms: float | None
    p95_ms: float | None


class CameraHealthPayload(Payload):
    status: CameraStatus
    frames: Count
    last_frame_s: Annotated[float, Field(ge=0)] | None = Field(description="age of the last frame")


class HealthPayload(Payload):
    """…/health, retained, each 60 s. Figures a machine cannot give are null."""

    at: Time
    uptime_s: Annotated[float, Field(ge=0)]
    cpu_percent: Annotated[float, Field(ge=0)] | None = Field(description="of one core")
    memory_bytes: Count | None
    disk_free_bytes: Count | None
    outbox: OutboxPayload
    inference: InferencePayload
    cameras: dict[Name, CameraHealthPayload]


class StockPayload(Payload):
    name: str
    slots: Count
    stocked: Count
    empty: Count
    misplaced: Count
    unknown: Count


class InventoryPayload(RootModel[dict[str, StockPayload]]):
    """…/inventory, retained: by SKU, or by the slot's name where it has none."""


class Request(Payload):
    """…/request/<verb>. The reply repeats transaction, so that it can be told from others."""

    transaction: str | int | None = None


class PingRequest(Request):
    """Answered with data {}."""


class ReloadRequest(Request):
    """Read the configuration again."""


class AckRequest(Request):
    slot: Name
    by: Annotated[str, Field(min_length=1, max_length=64)]


class SnoozeRequest(Request):
    slot: Name
    minutes: Annotated[int, Field(ge=0, le=14 * 24 * 60, description="0 ends a snooze")]


class SnapshotRequest(Request):
    slot: Name


class ResponsePayload(Payload):
    """…/response/<verb>."""

    status: Literal["ok", "error"]
    data: dict[str, JsonValue]
    error: str | None
    transaction: str | int | None


REQUESTS: dict[str, type[Request]] = {
    "ping": PingRequest,
    "reload": ReloadRequest,
    "ack": AckRequest,
    "snooze": SnoozeRequest,
    "snapshot": SnapshotRequest,
}

SCHEMAS: dict[str, type[BaseModel]] = {
    "status": StatusPayload,
    "info": InfoPayload,
    "health": HealthPayload,
    "inventory": InventoryPayload,
    "camera_status": CameraStatusPayload,
    "slot_state": SlotStatePayload,
    "event": EventPayload,
    "response": ResponsePayload,
    **{f"request_{verb}": model for verb, model in REQUESTS.items()},
}
"""Schema name → model. edge/schemas/<name>.schema.json is written from here."""


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
    under the first one's name.
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
    if len(payload) > MAX_REQUEST_BYTES:
        raise RequestError(f"a request has at most {MAX_REQUEST_BYTES} bytes, not {len(payload)}")
    try:
        return REQUESTS[verb].model_validate_json(payload.strip() or b"{}", strict=True)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_url=False)]
        raise RequestError("; ".join(problems), transaction=_transaction(payload)) from error


def response(
    request: Request, data: Mapping[str, JsonValue] | None = None, error: str | None = None
) -> bytes:
    """Return the reply to a request that was understood; error says why it was not done."""
    return _reply(request.transaction, dict(data or {}), error)


def refusal(error: RequestError) -> bytes:
    """Return the reply to a request that was not understood."""
    return _reply(error.transaction, {}, str(error))


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
        "score": _rounded(state.score),
        "p_present": _rounded(state.p_present),
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


def _rounded(probability: float | None) -> float | None:
    """Four digits: more would say that the model knows them, and make equal states look new."""
    return None if probability is None else round(float(probability), 4)
