"""Do the cameras still look where the slots were drawn? Asked rarely, by a thread of its own.

Somebody bumps into a camera, or its bracket gives way, and the slots lie beside their goods. The
newest picture is aligned to the one that the slots were drawn on, as the page's Realign does; only
what that is certain of counts. Slots are judged all the same: a small shift leaves most of a
facing in its slot, and where the shift is large people are told.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from edge.board import Board
from edge.drawing.align import align
from edge.errors import AlignmentError, CameraError
from edge.eye import Eye
from edge.geometry import project
from edge.niceness import give_way
from edge.picture import read_picture
from edge.plan import Plan
from edge.types import Frame, Image, Slot

log = logging.getLogger(__name__)

EVERY_S = 600.0  # each time 0.15 s of a core, 0.5 s where the surer kind of point is asked
AGAIN_S = 120.0  # while the slots seem to lie elsewhere: to be sure, and to see that it was mended
AWAIT_S = 5.0  # until a camera that has no picture yet is asked again
MOVED = 0.1  # of a slot's width …
LEAST = 0.005  # … but of the picture's width; unmoved photos with other goods are 0.0006 off
TIMES = 2  # in a row: while somebody cleans the lens, the camera is where it was before
NICENESS = 19


def slots_off(reference: Image, picture: Image, slots: Sequence[Slot]) -> float:
    """Return how far the slots' goods have moved since the reference, in widths of a slot.

    That is the median of all corners, over the median width; 0.0 where it is too little to be
    told. Raises AlignmentError where the pictures do not say.
    """
    corners = np.array([slot.quad for slot in slots], np.float64)  # (n, 4, 2)
    upright = np.array([1.0, reference.shape[0] / reference.shape[1]])  # to picture widths
    went = project(align(reference, picture).homography, corners)
    off = float(np.median(np.linalg.norm((went - corners) * upright, axis=-1)))
    sides = np.linalg.norm((np.roll(corners, -1, axis=1) - corners) * upright, axis=-1)
    width = float(np.median((sides[:, 0] + sides[:, 2]) / 2))
    return off / width if off >= max(LEAST, MOVED * width) else 0.0


@dataclass(eq=False)
class _Aim:
    """One camera, and the picture that its slots were drawn on."""

    eye: Eye
    slots: tuple[Slot, ...]
    reference: Path
    drawn_ns: int
    since_s: float  # pictures from before do not count: another camera may have had this name
    due_s: float
    times: int = 0  # so often in a row the slots were found elsewhere
    unsure: bool = False  # it was said already that the pictures cannot be compared

    @property
    def subject(self) -> tuple[object, ...]:
        """The camera, its slots and the picture: what is found holds as long as they are these."""
        return self.eye, self.slots, self.reference, self.drawn_ns


class Aims:
    """Tells each eye by how much its slots are off. close() ends the thread."""

    def __init__(self, board: Board):
        self._board = board
        self._aims: list[_Aim] = []
        self._lock = threading.Lock()  # of what the aims found, and which of them count
        self._wake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="aims", daemon=True)
        self._thread.start()

    def follow(self, plan: Plan) -> None:
        """Ask of the plan's cameras from now on, at once; the board has their eyes by now.

        What is known stays known where camera, slots and reference picture are as they were.
        """
        now_s = time.monotonic()
        aims = [aim for eye in self._board.eyes.values() if (aim := _aim(plan, eye, now_s))]
        with self._lock:
            times = {aim.subject: aim.times for aim in self._aims}
            for aim in aims:
                aim.times = times.get(aim.subject, 0)
            moved = {aim.eye for aim in aims if aim.times}
            for eye in set(self._board.eyes.values()) - moved:
                eye.moved_by = None
            self._aims = aims
        self._wake.set()

    def close(self) -> None:
        self._over = True
        self._wake.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        give_way(NICENESS)
        while not self._over:
            aims = self._aims
            for aim in aims:
                if not self._wake.is_set() and time.monotonic() >= aim.due_s:
                    self._ask_safely(aim)
            next_s = min((aim.due_s for aim in aims), default=time.monotonic() + EVERY_S)
            self._wake.wait(max(0.0, next_s - time.monotonic()))
            self._wake.clear()

    def _ask_safely(self, aim: _Aim) -> None:
        """One camera's trouble must not end the thread that asks for all of them."""
        try:
            self._ask(aim)
        except Exception:
            log.exception("camera %s: not told whether it moved", aim.eye.camera_id)
            aim.due_s = time.monotonic() + EVERY_S

    def _ask(self, aim: _Aim) -> None:
        """Compare the camera's newest picture, if there is one since it was asked last."""
        frame = self._board.frame(aim.eye.camera_id)
        if frame is None or frame.clock_s < aim.since_s:
            aim.due_s = time.monotonic() + AWAIT_S
            return
        off = self._off(aim, frame)
        with self._lock:
            if off is not None and aim in self._aims:
                _take(aim, off, frame.taken_at)
        aim.since_s = time.monotonic()
        aim.due_s = aim.since_s + (AGAIN_S if aim.times else EVERY_S)

    def _off(self, aim: _Aim, frame: Frame) -> float | None:
        """Return how far the slots are off, None where that cannot be told."""
        try:
            off = slots_off(read_picture(aim.reference), frame.image, aim.slots)
        except (AlignmentError, CameraError) as error:
            if not aim.unsure:
                log.info("camera %s: not told whether it moved: %s", aim.eye.camera_id, error)
            aim.unsure = True
            return None
        aim.unsure = False
        return off


def _take(aim: _Aim, off: float, at: datetime) -> None:
    """Count what was found; once it is certain, have the eye say so."""
    aim.times = aim.times + 1 if off else 0
    was_moved = aim.eye.moved_by is not None
    if not off:
        aim.eye.moved_by = None
    elif aim.times >= TIMES:
        aim.eye.moved_by = round(off, 1)
    if was_moved == (aim.eye.moved_by is not None):
        return
    if was_moved:
        log.info("camera %s: looks where its slots were drawn again", aim.eye.camera_id)
    else:
        log.warning(
            "camera %s: has moved by %.0f %% of a slot's width (picture of %s): set it back or "
            "realign its slots on the calibration page",
            aim.eye.camera_id,
            100 * off,
            at.isoformat(timespec="seconds"),
        )


def _aim(plan: Plan, eye: Eye, now_s: float) -> _Aim | None:
    """Return what is to be compared; None for a camera without slots or reference picture."""
    slots = plan.slots_of(eye.camera_id)
    section = plan.config.planogram.cameras.get(eye.camera_id)
    if not slots or section is None or section.reference is None:
        return None
    with contextlib.suppress(OSError):  # a file that has just gone: then there is no reference
        drawn_ns = section.reference.stat().st_mtime_ns
        return _Aim(eye, slots, section.reference, drawn_ns, now_s, now_s)
    return None
