"""The words of the project: one record for each arrow of a picture's way.

Frame ─cut─▶ SlotCrop ─classifier─▶ Score ─▶ Observation ─decide─▶ SlotState + Event
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import Base64Bytes

Image = NDArray[np.uint8]
"""(height, width, 3) uint8 in OpenCV's BGR order."""

Quad = tuple[tuple[float, float], ...]
"""Four corners as fractions of the picture: top left, top right, bottom right, bottom left."""


class State(StrEnum):
    """What the daemon states of a slot."""

    STOCKED = "stocked"
    EMPTY = "empty"
    MISPLACED = "misplaced"
    UNKNOWN = "unknown"


class Visibility(StrEnum):
    """Whether the slot could be seen at the last look; never a state of the shelf."""

    CLEAR = "clear"
    BLOCKED = "blocked"
    STALE = "stale"


class CameraStatus(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"
    DEGRADED = "degraded"


class CameraReason(StrEnum):
    CONNECT_FAILED = "connect_failed"
    AUTH_FAILED = "auth_failed"
    NO_FRAMES = "no_frames"
    FROZEN = "frozen"
    DARK = "dark"
    ENDED = "ended"
    BLURRED = "blurred"
    COVERED = "covered"
    MOVED = "moved"


class EventKind(StrEnum):
    """The CloudEvents types, the last part of each being the payload's version."""

    OPENED = "stock.slot.opened.v1"
    UPDATED = "stock.slot.updated.v1"
    CLOSED = "stock.slot.closed.v1"
    CAMERA_DOWN = "stock.camera.down.v1"
    CAMERA_UP = "stock.camera.up.v1"
    NODE_STARTED = "stock.node.started.v1"


class Reason(StrEnum):
    """What made a slot's event: the state that was confirmed, or what somebody did."""

    STOCKED = "stocked"
    EMPTY = "empty"
    MISPLACED = "misplaced"
    ACK = "ack"
    RELEASE = "release"
    SNOOZE = "snooze"
    SNOOZE_ENDED = "snooze_ended"
    NOT_EMPTY = "not_empty"
    UNDO_NOT_EMPTY = "undo_not_empty"
    REMOVED = "removed"  # the slot is no longer configured


@dataclass(frozen=True, slots=True)
class Moment:
    """The two clocks, read together: UTC for people, monotonic seconds for durations."""

    at: datetime
    clock_s: float

    @classmethod
    def now(cls) -> Moment:
        return cls(datetime.now(UTC), time.monotonic())


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from one camera.

    image is (height, width, 3) uint8, BGR, and read-only. taken_at is UTC, for people;
    clock_s is monotonic seconds, for durations: a device without a clock battery
    jumps when NTP first answers.
    """

    camera_id: str
    image: Image
    taken_at: datetime
    clock_s: float

    def __post_init__(self) -> None:
        self.image.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place on a shelf as one camera sees it."""

    slot_id: str
    camera_id: str
    quad: Quad
    name: str
    sku: str | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SlotCrop:
    """The upright picture of one slot, in the camera's own resolution; image is BGR."""

    slot: Slot
    image: Image


@dataclass(frozen=True, slots=True)
class Score:
    """What the classifier says of one crop.

    p_empty is 0 (something stands there) to 1 (empty). p_present is the probability that the
    slot's own product is there, None where the model only judges occupancy.
    """

    p_empty: float
    p_present: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What one frame says of one slot: a score, or that something is in the way.

    fresh is False where the picture of the slot has not changed and the score is that of an
    earlier look. score is None exactly when the slot is blocked. since_s is the clock_s since
    when nothing has moved in it: the picture before already showed the same.
    changed_since_denial: the picture is another than when somebody said that the slot is not empty;
    picture is the one of then.
    """

    slot: Slot
    taken_at: datetime
    clock_s: float
    score: Score | None
    since_s: float
    fresh: bool = True
    changed_since_denial: bool = False
    picture: bytes | None = None

    @property
    def blocked(self) -> bool:
        return self.score is None


@dataclass(frozen=True, slots=True)
class Pending:
    """Evidence for another state that has not lasted long enough yet.

    looks: how many looks said so, out of `of` looks since the first.
    """

    state: State
    first_s: float
    last_s: float
    looks: int
    of: int = 0


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody is on the way."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Votes:
    """The looks that confirmed a state, of all since the first of them."""

    looks: int
    of: int


@dataclass(frozen=True, slots=True)
class Denial:
    """Somebody said that the slot is not empty; what it was said of, so that it can be undone.

    picture: how the slot looked, as the gate compares it; None until it was seen clearly again.
    """

    at: datetime
    by: str
    incident_id: str
    opened_at: datetime
    state: State
    since: datetime | None
    votes: Votes | None
    ack: Ack | None = None  # with their defaults: a state file may be older than these
    snooze_until: datetime | None = None
    picture: Base64Bytes | None = None


@dataclass(frozen=True, slots=True)
class SlotState:
    """All that is known of a slot. What stands below `seq` does not survive a restart.

    votes, opened_at and opened_s belong to the open incident; denial to a closed one.
    """

    slot_id: str
    state: State = State.UNKNOWN
    visibility: Visibility = Visibility.STALE
    since: datetime | None = None
    last_seen: datetime | None = None
    score: float | None = None
    p_present: float | None = None
    incident_id: str | None = None
    ack: Ack | None = None
    snooze_until: datetime | None = None
    opened_at: datetime | None = None
    votes: Votes | None = None
    denial: Denial | None = None
    seq: int = 0
    opened_s: float | None = None  # clock_s, for how long it has been open
    pending: Pending | None = None
    observed_s: float | None = None  # clock_s of the last picture, blocked or clear
    clear_s: float | None = None  # clock_s of the last clear one
    was: State | None = None  # while it is unknown: what it was before


@dataclass(frozen=True, slots=True)
class Event:
    """Something people are told once. event_id is what consumers deduplicate on."""

    kind: EventKind
    subject: str
    at: datetime
    incident_id: str | None = None
    reason: Reason | CameraReason | None = None
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    by: str | None = None


@dataclass(frozen=True, slots=True)
class CameraState:
    """Whether a camera can be relied on, and why not.

    moved_by: how far its slots are off since it moved, in widths of a slot.
    """

    camera_id: str
    status: CameraStatus
    reason: CameraReason | None
    since: datetime
    last_frame: datetime | None
    moved_by: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of the main loop; reply takes the response's payload, in its thread."""

    verb: str
    payload: bytes
    reply: Callable[[bytes], None]
