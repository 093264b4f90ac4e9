"""One camera as the main loop sees it: its newest picture when a look is due, and its status."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from edge.cameras import Opener, kind_of, open_camera
from edge.grabber import CameraCondition, Grabber
from edge.payloads import CameraHealthPayload
from edge.types import CameraReason, CameraState, CameraStatus, Frame, Moment, Quad
from edge.view import FROZEN_AFTER_S, View, is_another_aspect

log = logging.getLogger(__name__)

EARLY = 0.1  # of every_s: a camera that paces itself must not be missed by a hair
HOLD_S = {CameraReason.FROZEN: FROZEN_AFTER_S, CameraReason.MOVED: 150.0}
"""How long after its first picture a camera keeps the trouble it had before it was opened.

Finding out takes so long (moved: two comparisons, see aim.py), and until then it would seem to be
mended."""


class Eye:
    """Takes pictures from a grabber's thread and withholds unusable ones."""

    def __init__(
        self,
        camera_id: str,
        url: str,
        every_s: float,
        stop: threading.Event,
        reference_size: tuple[int, int] | None = None,
        opener: Opener = open_camera,
        blackout: Sequence[Quad] = (),
        after: Eye | None = None,
    ):
        """after: what has looked through the same camera until now and is closed; its picture may
        still be on the way, and many a camera serves one at a time."""
        self.camera_id = camera_id
        self.kind = kind_of(url)
        self.frames = 0
        self.last_frame_s: float | None = None
        self.recent: tuple[Frame, ...] = ()
        """The last two pictures, the newer last, also those that nothing can be stated on."""
        self.every_s = every_s
        self.moved_by: float | None = None
        """How far the slots are off, in widths of a slot, where the camera was found moved."""
        self._reference_size = reference_size
        before = after._grabber if after else None
        self._grabber: Grabber = Grabber(camera_id, url, every_s, stop, opener=opener, after=before)
        self._view = View(may_stand_still=self.kind.is_recording, blackout=blackout)
        self._trouble: CameraReason | None = None
        self._wrong_size: tuple[int, int] | None = None
        self._told_before: CameraState | None = None
        self._first_s: float | None = None  # when its first picture was taken

    def start(self) -> None:
        self._grabber.start()

    def begin_anew(self, reference_size: tuple[int, int] | None) -> None:
        """Go on with slots that were drawn on a picture of this size."""
        if reference_size != self._reference_size:
            self._reference_size, self._wrong_size = reference_size, None

    def remember(self, told: CameraState | None) -> None:
        """Hear what was told of the camera last, where that was before it was opened."""
        if self._first_s is None:
            self._told_before = told

    def close(self, timeout_s: float) -> None:
        """Wait so long at most for its threads, once it was told to stop."""
        self._grabber.join(timeout_s)

    @property
    def ended(self) -> bool:
        """The source was a recording, and all of it has been taken."""
        return self._grabber.ended

    def take(self, now: Moment) -> Frame | None:
        """Return the newest picture if a look is due and something can be seen on it."""
        soon_s = now.clock_s + EARLY * self.every_s
        if self.last_frame_s is not None and soon_s - self.last_frame_s < self.every_s:
            return None
        frame = self._grabber.take()
        if frame is None:
            return None
        self.frames += 1
        self.last_frame_s = frame.clock_s
        self._first_s = self._first_s or frame.clock_s
        self.recent = (*self.recent[-1:], frame)
        self._trouble = self._view.trouble(frame)
        return None if self._trouble or self._is_another_aspect(frame) else frame

    def condition(self) -> CameraCondition | None:
        """Return whether the camera gives pictures, and why not; any thread may ask."""
        return self._grabber.condition()

    def state(self, now: Moment) -> CameraState | None:
        """Return how the camera is; None until there is a first picture, or trouble to get one."""
        condition = self.condition()
        if condition is None:
            return None
        if condition.status is CameraStatus.ONLINE and self._first_s is None:
            return None
        status, reason = condition.status, condition.reason
        if status is CameraStatus.ONLINE and (self._trouble or self._wrong_size):
            status, reason = CameraStatus.DEGRADED, self._trouble
        moved_by = self.moved_by if status is CameraStatus.ONLINE else None
        if moved_by is not None:
            status, reason = CameraStatus.DEGRADED, CameraReason.MOVED
        if status is CameraStatus.ONLINE and (held := self._held(now)):
            status, reason = CameraStatus.DEGRADED, held
        return CameraState(self.camera_id, status, reason, now.at, condition.last_frame, moved_by)

    def _held(self, now: Moment) -> CameraReason | None:
        """Return the trouble of before that cannot have been found anew yet."""
        reason = self._told_before and self._told_before.reason
        if reason not in HOLD_S or self._first_s is None:
            return None
        return reason if now.clock_s - self._first_s < HOLD_S[reason] + self.every_s else None

    def health(self, now: Moment) -> CameraHealthPayload:
        age_s = None if self.last_frame_s is None else max(0.0, now.clock_s - self.last_frame_s)
        state = self.state(now)
        status = state.status if state else CameraStatus.OFFLINE
        return CameraHealthPayload(status=status, frames=self.frames, last_frame_s=age_s)

    def _is_another_aspect(self, frame: Frame) -> bool:
        """Say whether the slots, drawn on a picture of another shape, cannot be found on it."""
        if self._reference_size is None or not is_another_aspect(frame.image, self._reference_size):
            self._wrong_size = None
            return False
        height, width = frame.image.shape[:2]
        if self._wrong_size != (width, height):
            log.error(
                "camera %s: sends %d x %d, the slots were drawn on %d x %d: another aspect; "
                "set the camera back or draw the slots anew",
                self.camera_id,
                width,
                height,
                *self._reference_size,
            )
        self._wrong_size = (width, height)
        return True
