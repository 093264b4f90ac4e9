"""A recording through the whole pipeline, on the recording's own clock and as fast as it goes.

Replay sees what the daemon would see: one picture each every_s and nothing in between.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from edge.cameras.blackout import covered
from edge.classifier import Classifier, open_classifier
from edge.config import load_site
from edge.decide import Rule, decide, expire, speaks_for
from edge.errors import UsageError
from edge.gate import Gate
from edge.geometry import cut
from edge.observe import observe
from edge.overlay import draw_slots
from edge.plan import merge_rule, patient
from edge.recording import BrokenOffError, Recording, ReplayRequest, Timed, open_recording
from edge.site import Decision
from edge.truth import Change, Judge
from edge.types import Frame, Image, Slot, SlotCrop, SlotState, State, Visibility
from edge.view import View, is_another_aspect

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SETTLE_LOOKS, SETTLE_S = 3, 5.0  # what the default tolerance adds to confirm_s


@dataclass(frozen=True)
class Result:
    slots: tuple[Slot, ...]
    looks: int
    seconds: float
    changes: list[Change]
    judged: dict[str, Any] | None
    last: Image | None
    """The last picture, every slot coloured by what was stated of it."""
    broken_off: bool = False
    """Somebody interrupted it, or the camera failed."""

    def as_json(self) -> dict[str, Any]:
        return {
            "looks": self.looks,
            "seconds": round(self.seconds, 3),
            "slots": len(self.slots),
            "broken_off": self.broken_off,
            "changes": [change.as_json() for change in self.changes],
            **(self.judged or {}),
        }


def replay(request: ReplayRequest, progress: Callable[[float], None] = lambda t: None) -> Result:
    """Play what was asked for. Raises UsageError, ConfigError, ModelError or CameraError."""
    site = load_site(request.config) if request.config else None
    classifier = open_classifier(site.bundle if site else None, threads=os.cpu_count() or 1)
    rule = merge_rule(site.decision if site else Decision(), classifier.info.thresholds)
    if request.confirm_s is not None:
        rule = replace(rule, confirm_s=request.confirm_s)
    recording = open_recording(request, site)
    camera = site.camera(recording.slots[0].camera_id) if site else None
    if camera and camera.blackout:
        frames = ((t, covered(image, camera.blackout)) for t, image in recording.frames)
        recording = replace(recording, frames=frames, blackout=camera.blackout)
    if request.until_s is not None:
        recording = replace(recording, frames=_until(request.until_s, recording.frames))
    rule = patient(rule, recording.every_s)
    return play(recording, classifier, rule, request.tolerance_s, progress)


def play(
    recording: Recording,
    classifier: Classifier,
    rule: Rule,
    tolerance_s: float | None = None,
    progress: Callable[[float], None] = lambda t: None,
) -> Result:
    """Play the recording; rule.confirm_s of 0 judges each look by itself, without gate or memory.

    progress is told the time of each picture. An interrupted replay returns what was seen until
    then. Raises UsageError where the first picture has another shape than that which the slots were
    drawn on; later ones are kept back, as the daemon does. Where each is judged by itself, all are.
    """
    alone = rule.confirm_s == 0
    step = (_by_itself if alone else _with_memory)(recording, classifier, rule)
    judge = _judge(recording, rule, tolerance_s)
    known: dict[str, State] = {}
    states: Mapping[str, SlotState] = {}
    changes: list[Change] = []
    looks, t, last, broken_off = 0, 0.0, None, False
    try:
        for t, image in recording.frames:
            if last is None:
                _check_aspect(image, recording.reference_size, alone)
            frame = Frame(recording.slots[0].camera_id, image, EPOCH + timedelta(seconds=t), t)
            states = step(frame)
            looks += len(states)
            new = list(_changes(states.values(), known, t))
            changes += new
            if judge:
                for change in new:
                    judge.change(change)
                judge.look(t, {slot_id: state.state for slot_id, state in states.items()})
            progress(t)
            last = image
    except (KeyboardInterrupt, BrokenOffError) as end:
        if last is None:
            raise
        broken_off = True
        log.warning("%s; what follows is of the first %.0f seconds", end or "interrupted", t)
    seconds = t + (1.0 if recording.is_pictures else 0.0)
    judged = judge.figures(len(recording.slots), seconds, t) if judge else None
    drawn = None if last is None else draw_slots(last, recording.slots, states)
    return Result(recording.slots, looks, seconds, changes, judged, drawn, broken_off)


def _changes(states: Iterable[SlotState], known: dict[str, State], t: float) -> Iterator[Change]:
    """Yield what is stated otherwise than before, and remember it; what is stated first is none."""
    for state in states:
        before = known.get(state.slot_id)
        if state.state is not State.UNKNOWN and state.state is not before:
            known[state.slot_id] = state.state
            if before is not None:
                yield Change(t, state.slot_id, before, state.state, state.score)


Step = Callable[[Frame], dict[str, SlotState]]


def _with_memory(recording: Recording, classifier: Classifier, rule: Rule) -> Step:
    """Return the daemon's own pipeline: what is dark, gate, classifier, decision, staleness."""
    gates = {slot.camera_id: Gate(recording.slots) for slot in recording.slots}
    view = View(may_stand_still=True, blackout=recording.blackout)
    drawn_on = recording.reference_size
    states = {slot.slot_id: SlotState(slot.slot_id) for slot in recording.slots}

    def step(frame: Frame) -> dict[str, SlotState]:
        undecided = {slot_id for slot_id, state in states.items() if state.pending}
        odd = drawn_on is not None and is_another_aspect(frame.image, drawn_on)
        usable = [] if view.trouble(frame) or odd else [frame]
        for seen in observe(usable, gates, classifier, undecided):
            states[seen.slot.slot_id], _ = decide(states[seen.slot.slot_id], seen, rule)
        for slot_id, state in states.items():
            states[slot_id], _ = expire(state, frame.clock_s, frame.taken_at, rule)
        return states

    return step


def _by_itself(recording: Recording, classifier: Classifier, rule: Rule) -> Step:
    """Return a step that states of each picture what its scores say, empty from one half up."""
    at_half = replace(rule, empty_above=0.5, stocked_below=0.5)

    def step(frame: Frame) -> dict[str, SlotState]:
        crops = [SlotCrop(slot, cut(frame.image, slot.quad)) for slot in recording.slots]
        states = {}
        for slot, score in zip(recording.slots, classifier.score(crops), strict=True):
            state = speaks_for(score, at_half) or State.UNKNOWN
            clear = Visibility.CLEAR
            states[slot.slot_id] = SlotState(slot.slot_id, state, clear, score=score.p_empty)
        return states

    return step


def _judge(recording: Recording, rule: Rule, tolerance_s: float | None) -> Judge | None:
    if recording.truth is None:
        return None
    if tolerance_s is None:
        alone = recording.is_pictures and rule.confirm_s == 0
        settle_s = rule.confirm_s + SETTLE_LOOKS * recording.every_s + SETTLE_S
        tolerance_s = 0.0 if alone else settle_s
    return Judge(recording.truth, tolerance_s)


def _check_aspect(image: Image, drawn_on: tuple[int, int] | None, alone: bool) -> None:
    """alone: pictures that are each judged by themselves may be of any shape; it is told."""
    if drawn_on is None or not is_another_aspect(image, drawn_on):
        return
    height, width = image.shape[:2]
    said = (
        f"the recording has pictures of {width} x {height}, the slots were drawn on one of "
        f"{drawn_on[0]} x {drawn_on[1]}: another aspect, in which the daemon judges no slot"
    )
    if not alone:
        raise UsageError(said)
    log.warning("%s", said)


def _until(end_s: float, frames: Timed) -> Timed:
    return takewhile(lambda timed: timed[0] <= end_s, frames)
