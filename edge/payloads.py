"""What stands in each MQTT payload: one model each, the single source of the schemas that ship."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    RootModel,
    WithJsonSchema,
)

from edge.types import CameraReason, CameraStatus, EventKind, State, Visibility

NAME = r"[a-z0-9][a-z0-9_-]*"
"""How a node, a camera and a slot may be called: each is a word of an MQTT topic."""
LONGEST_SNOOZE_MIN = 14 * 24 * 60


def rfc3339(moment: datetime) -> str:
    """Return the moment in UTC to the millisecond: 2026-11-24T03:26:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rounded(number: float | None, digits: int = 4) -> float | None:
    """Return the number with no more digits than are known: what is equal shall not look new."""
    return None if number is None else round(float(number), digits)


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
Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
"""A word of an MQTT topic."""
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
    source: Annotated[str, Field(pattern=rf"^/stock/{NAME}$")]
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


Person = Annotated[str, Field(min_length=1, max_length=64)]


class IncidentRequest(Request):
    """About the slot's incident: the open one, or refused where incident_id is another."""

    slot: Name
    incident_id: str | None = None


class AckRequest(IncidentRequest):
    """Somebody is on the way."""

    by: Person


class ReleaseRequest(IncidentRequest):
    """Nobody is on the way any more: takes an ack back."""

    by: Person | None = None


class SnoozeRequest(IncidentRequest):
    minutes: Annotated[int, Field(ge=0, le=LONGEST_SNOOZE_MIN, description="0 ends a snooze")]
    by: Person | None = None


class NotEmptyRequest(IncidentRequest):
    """The alarm is wrong: the incident closes, and its picture is kept for training."""

    by: Person


class UndoNotEmptyRequest(IncidentRequest):
    """The alarm was right: it opens again, within 30 minutes; incident_id is the closed one's."""

    by: Person | None = None


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
    "release": ReleaseRequest,
    "snooze": SnoozeRequest,
    "not_empty": NotEmptyRequest,
    "undo_not_empty": UndoNotEmptyRequest,
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
