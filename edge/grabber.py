"""A thread a camera, newest frame only. Whatever a camera does, the others do not notice."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from edge.cameras import Opener, open_camera
from edge.errors import CameraError, SourceEndedError
from edge.types import CameraReason, CameraStatus, Frame

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a camera is waited for, in seconds."""

    first_retry_s: float = 1.0
    last_retry_s: float = 30.0  # waits double up to here
    first_login_s: float = 30.0  # after a refused login: cameras lock an account after a handful
    last_login_s: float = 600.0
    offline_s: float = 15.0  # this long beyond every_s without a frame makes a camera offline
    hang_s: float = 45.0  # this long beyond every_s an open or a read hangs, and is given up
    left_behind: int = 3  # hanging threads of one camera; with more, no new one is begun


PATIENCE = Patience()


class CameraCondition(NamedTuple):
    """Whether a camera gives pictures, and why not, for its status."""

    status: CameraStatus
    reason: CameraReason | None
    message: str | None
    last_frame: datetime | None


class Grabber:
    """Keeps the newest frame of one camera and reconnects for ever.

    start() once; everything else from any thread. `stop` ends it, as does the end of a recording.
    """

    def __init__(
        self,
        camera_id: str,
        url: str,
        every_s: float,
        stop: threading.Event,
        patience: Patience = PATIENCE,
        opener: Opener = open_camera,
        after: Grabber | None = None,
    ):
        """after: one that was told to stop, and may hold the camera until its next picture; it is
        waited for, but no longer than for one that hangs."""
        self.camera_id = camera_id
        self._url, self._every_s, self._opener = url, every_s, opener
        self._stop, self._patience = stop, patience
        self._lock = threading.Lock()
        self._latest: Frame | None = None
        self._last_at: datetime | None = None
        self._alive_s = time.monotonic()  # when the last frame came
        self._trouble: CameraError | None = None
        self._failures = 0  # since the last frame
        self._over = False
        self._after: Grabber | None = (after._after or after) if after else None
        self._turn = _Turn()
        self._left_behind: list[_Turn] = []
        self._watcher = threading.Thread(target=self._watch, name=f"{camera_id} watch", daemon=True)

    def start(self) -> None:
        self._begin(wait_s=0.0)
        self._watcher.start()

    def take(self) -> Frame | None:
        """Return the newest frame nobody has taken yet, or None."""
        with self._lock:
            frame, self._latest = self._latest, None
        return frame

    @property
    def ended(self) -> bool:
        """Whether a recording has ended and its last frame was taken."""
        with self._lock:
            return self._over and self._latest is None

    def condition(self) -> CameraCondition | None:
        """Return the camera's status now, None while it is opened for the first time.

        What heals at the first retry is no trouble yet: nobody is told of a blip.
        """
        with self._lock:
            if self._after is not None:
                return None
            last_at, trouble = self._last_at, self._trouble
            if self._over:
                return _offline(SourceEndedError(), last_at)
            if trouble and (self._failures > 1 or not last_at or _is_final(trouble)):
                return _offline(trouble, last_at)
            if time.monotonic() - self._alive_s > self._every_s + self._patience.offline_s:
                silence = CameraError("the camera is silent", CameraReason.NO_FRAMES)
                return _offline(trouble or silence, last_at)
            return CameraCondition(CameraStatus.ONLINE, None, None, last_at) if last_at else None

    def join(self, timeout_s: float = 1.0) -> None:
        """Wait for the threads after `stop` was set. One that hangs is left to itself."""
        deadline_s = time.monotonic() + timeout_s
        for thread in (self._watcher, self._turn.thread):
            if thread is not None and thread.ident is not None:
                thread.join(max(0.0, deadline_s - time.monotonic()))

    def _watch(self) -> None:
        """Replace the thread that hangs: nothing can end a thread inside a driver or FFmpeg."""
        limit_s = self._every_s + self._patience.hang_s
        while not self._stop.wait(limit_s / 4):
            with self._lock:
                if self._over:
                    return
                self._left_behind = [turn for turn in self._left_behind if turn.is_alive()]
                hangs = self._turn.busy_s() > limit_s
                if not hangs or len(self._left_behind) >= self._patience.left_behind:
                    continue
                self._left_behind.append(self._turn)
                wait_s = self._note(CameraError("the camera hangs", CameraReason.NO_FRAMES))
                self._begin(wait_s)

    def _begin(self, wait_s: float) -> None:
        turn = self._turn = _Turn()
        name = f"{self.camera_id} grab"
        turn.thread = threading.Thread(
            target=self._grab, args=(turn, wait_s), name=name, daemon=True
        )
        turn.thread.start()

    def _wait_for_another(self) -> None:
        """Let the one before let go of the camera; if it hangs, there is nothing to wait for."""
        after = self._after
        if after is None:
            return
        deadline_s = time.monotonic() + self._patience.hang_s
        while (
            after._turn.is_alive() and time.monotonic() < deadline_s and not self._stop.wait(0.05)
        ):
            pass
        if self._stop.is_set():
            return  # whoever comes after this one waits for the same
        with self._lock:
            self._after, self._alive_s = None, time.monotonic()

    def _grab(self, turn: _Turn, wait_s: float) -> None:
        self._wait_for_another()
        while not self._stop.wait(wait_s) and turn is self._turn:
            try:
                self._read_until_it_fails(turn)
                return
            except CameraError as error:
                trouble = error
            except Exception:  # a bug, or a camera nobody foresaw; the other cameras go on
                log.exception("camera %s: unexpected failure", self.camera_id)
                trouble = CameraError("unexpected failure; see the log", CameraReason.NO_FRAMES)
            with self._lock:
                if turn is not self._turn:
                    return
                if isinstance(trouble, SourceEndedError):
                    self._over = True
                    return
                wait_s = self._note(trouble)
                turn.busy_since_s = None

    def _read_until_it_fails(self, turn: _Turn) -> None:
        """Return when `stop` is set or another thread has taken over, else raise CameraError."""
        turn.busy_since_s = time.monotonic()
        camera = self._opener(self._url, self._every_s)
        try:
            while not self._stop.is_set():
                turn.busy_since_s = time.monotonic()
                image = camera.read()
                frame = Frame(self.camera_id, image, datetime.now(UTC), time.monotonic())
                with self._lock:
                    if turn is not self._turn:
                        return
                    self._keep(frame)
        finally:
            camera.close()

    def _keep(self, frame: Frame) -> None:
        if self._trouble is not None:
            log.info("camera %s: pictures again", self.camera_id)
        self._latest, self._last_at, self._alive_s = frame, frame.taken_at, frame.clock_s
        self._trouble, self._failures = None, 0

    def _note(self, trouble: CameraError) -> float:
        """Remember what went wrong; return how long to wait until the next try."""
        known = self._trouble is not None and str(self._trouble) == str(trouble)
        self._trouble = trouble
        self._failures += 1
        wait_s, longest_s = self._patience.first_retry_s, self._patience.last_retry_s
        if _is_final(trouble):
            wait_s, longest_s = self._patience.first_login_s, self._patience.last_login_s
        wait_s = min(wait_s * 2.0 ** min(self._failures - 1, 30), longest_s)
        wait_s *= random.uniform(0.75, 1.25)  # cameras behind one switch do not all come at once
        level = logging.DEBUG if known else logging.WARNING
        log.log(level, "camera %s: %s; next try in %.1f s", self.camera_id, trouble, wait_s)
        return wait_s


class _Turn:
    """One thread's turn with the camera. Only the newest turn may keep frames or report."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.busy_since_s: float | None = None  # since when it opens or reads; None while it waits

    def busy_s(self) -> float:
        since_s = self.busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def is_alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


def _is_final(trouble: CameraError) -> bool:
    """Whether no retry will help before somebody acts."""
    return trouble.reason is CameraReason.AUTH_FAILED


def _offline(trouble: CameraError, last_at: datetime | None) -> CameraCondition:
    return CameraCondition(CameraStatus.OFFLINE, trouble.reason, str(trouble), last_at)
