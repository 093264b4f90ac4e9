"""Where a calibration's pictures come from: cameras of its own, or the daemon's.

Two pictures are compared each time, so that nobody draws slots on a person who walks by.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.cameras import Kind, kind_of
from edge.errors import CameraError
from edge.eye import Eye
from edge.gate import Gate, Verdict
from edge.grabber import CameraCondition, Grabber
from edge.site import CameraConfig
from edge.types import CameraReason, CameraStatus, Frame, Slot

TICK_S = 0.05
APART_S = 0.5  # between the two pictures that are compared
PICTURE_S = 20.0  # after so long without a picture the camera has none: a lost packet, two tries
KEEP_OPEN_S = 60.0  # a camera that was looked through once is soon looked through again
NOT_IN_TIME = "no picture came in time"
GRID = 8  # fields across and down in which movement is looked for


@dataclass(frozen=True, eq=False)
class Capture:
    """A picture to draw on, and whether something moved in it."""

    frame: Frame
    moving: bool


class Viewfinder(Protocol):
    def take(self, camera_id: str) -> Capture:
        """Return a picture of the camera as it is now, waiting for it.

        Raises CameraError, with the reason, where there is none; KeyError: no such camera.
        """
        ...

    def close(self) -> None: ...


def is_moving(before: Frame, now: Frame) -> bool:
    """Say whether something moves between two pictures, by the measure that blocks a slot."""
    gate = Gate(_fields())
    gate.sort(before)
    return any(sight.verdict is Verdict.BLOCKED for sight in gate.sort(now))


def _fields() -> list[Slot]:
    """The whole picture as a grid of slots."""
    fields = []
    for number in range(GRID * GRID):
        left, top = number % GRID / GRID, number // GRID / GRID
        right, bottom = left + 1 / GRID, top + 1 / GRID
        quad = ((left, top), (right, top), (right, bottom), (left, bottom))
        fields.append(Slot(f"field-{number}", "", quad, ""))
    return fields


class OwnCameras:
    """Opens the cameras itself: nobody else does while no daemon runs."""

    def __init__(self, cameras: Sequence[CameraConfig], wait_s: float = PICTURE_S):
        self._cameras, self._wait_s = {camera.id: camera for camera in cameras}, wait_s
        self._lock = threading.Lock()  # one camera at a time: some USB hubs carry no two
        self._open: _Open | None = None
        self._closing: threading.Timer | None = None

    def take(self, camera_id: str) -> Capture:
        camera = self._cameras[camera_id]
        with self._lock:
            self._close_later()
            if self._open is None or self._open.camera_id != camera_id:
                self._close_now()
                self._open = _Open(camera)
            try:
                return self._open.view(self._wait_s)
            except CameraError:
                self._close_now()  # the next try begins anew and not in a pause between two tries
                raise

    def close(self) -> None:
        with self._lock:
            if self._closing is not None:
                self._closing.cancel()
            self._close_now()

    def _close_later(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._closing = threading.Timer(KEEP_OPEN_S + self._wait_s, self.close)
        self._closing.daemon = True
        self._closing.start()

    def _close_now(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class _Open:
    """One camera that is being looked through."""

    def __init__(self, camera: CameraConfig):
        self.camera_id = camera.id
        self._stop = threading.Event()
        self._grabber = Grabber(camera.id, camera.url, APART_S, self._stop, opener=camera.opener)
        self._grabber.start()
        self._kind = kind_of(camera.url)
        self._seen: deque[Frame] = deque(maxlen=2)

    def view(self, wait_s: float) -> Capture:
        """Return the newest picture after two of now were compared, or the last of a recording."""
        asked_s = time.monotonic()
        wanted = 1 if self._kind.is_stills else 2
        fresh = 0
        while fresh < wanted and not self._grabber.ended:
            frame = self._grabber.take()
            if frame is not None:
                self._seen.append(frame)
                fresh += frame.clock_s >= asked_s
                continue
            self._give_up_if_late(asked_s + wait_s)
            time.sleep(TICK_S)
        if not self._seen:
            self._give_up_if_late(0.0)
        return compared(self._kind, self._seen)

    def close(self) -> None:
        self._stop.set()
        self._grabber.join()

    def _give_up_if_late(self, until_s: float) -> None:
        _raise_if_down(self._grabber.condition())
        if time.monotonic() > until_s:
            raise CameraError(NOT_IN_TIME, CameraReason.NO_FRAMES)


class SharedCameras:
    """Looks at what the daemon saw last: many cameras cannot be opened twice."""

    def __init__(self, eyes: Callable[[], Mapping[str, Eye]]):
        """eyes gives those that are open now, by the camera's id."""
        self._eyes = eyes
        self._given: dict[str, Frame] = {}

    def take(self, camera_id: str) -> Capture:
        """Return the newest picture; whoever asks again waits for the next one."""
        begun_s = time.monotonic()
        while True:
            eye = self._eyes().get(camera_id)  # anew: the configuration may be read meanwhile
            frames = eye.recent if eye else ()
            over = eye is not None and eye.ended
            _raise_if_down(eye.condition() if eye else None)
            is_new = len(frames) > 1 and frames[-1] is not self._given.get(camera_id)
            wait_s = min(eye.every_s + 1.0, PICTURE_S) if eye and frames else PICTURE_S
            if is_new or over or time.monotonic() > begun_s + wait_s:
                break
            time.sleep(TICK_S)
        if eye is None or not frames:
            raise CameraError(NOT_IN_TIME, CameraReason.NO_FRAMES)
        self._given[camera_id] = frames[-1]
        return compared(eye.kind, frames)

    def close(self) -> None:
        """The cameras are the daemon's."""


def _raise_if_down(condition: CameraCondition | None) -> None:
    """Raise why there are no pictures; the end of a recording is no trouble."""
    if condition is None or condition.status is not CameraStatus.OFFLINE:
        return
    reason = condition.reason or CameraReason.NO_FRAMES
    if reason is not CameraReason.ENDED:
        raise CameraError(condition.message or NOT_IN_TIME, reason)


def compared(kind: Kind, frames: Sequence[Frame]) -> Capture:
    """Return the last of one or two pictures; a single one shows no movement."""
    moving = len(frames) > 1 and not kind.is_stills and is_moving(frames[-2], frames[-1])
    return Capture(frames[-1], moving)
