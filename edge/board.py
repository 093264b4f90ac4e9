"""The notice board between the main loop and the pages: what is seen and stated now.

The main loop publishes, the pages' thread reads. What is there is one record that is never
changed, only replaced: readers need no lock and cannot hold the main loop up. Pictures lie there
as they came; whoever wants a JPEG encodes it in a thread of their own.

Nobody is shown who stands in front: a slot's picture is the last one in which nothing moved there,
a whole picture the last one in which that held for all slots of its camera.

Memory: two pictures a camera; of each slot that is not clear now the cut of its last clear
picture, and of each slot at most one cut and one JPEG of how it looked when full.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeVar

import cv2
import numpy as np

from edge.album import Album, Kept
from edge.decide import speaks_for
from edge.eye import Eye
from edge.geometry import cut, share_inside
from edge.history import Deed
from edge.ledger import Ledger
from edge.picture import encode_jpeg
from edge.plan import Plan, same_sight
from edge.publisher import STILL_S, Delivery
from edge.types import (
    CameraState,
    Frame,
    Image,
    Moment,
    Observation,
    Quad,
    Score,
    Slot,
    SlotState,
    State,
)

JPEG_QUALITY = 90

Listener = Callable[[int], None]
V = TypeVar("V")


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture that may be shown: the quad of an image, all of it, or a JPEG that was kept."""

    taken_at: datetime
    version: int
    """Changes with the picture: the time it was taken, in milliseconds since 1970."""
    image: Image | None = None
    quad: Quad | None = None
    kept: bytes = b""

    def jpeg(self, widest_px: int | None = None) -> bytes:
        """Encode it, reduced to that width: milliseconds for a whole picture, so not in the main
        thread."""
        if self.image is None:
            return self.kept
        image = self.image if self.quad is None else cut(self.image, self.quad)
        image = image if widest_px is None else _reduced(image, widest_px)
        return encode_jpeg(image, JPEG_QUALITY)


def _reduced(image: Image, widest_px: int) -> Image:
    height, width = image.shape[:2]
    if width <= widest_px:
        return image
    size = widest_px, max(1, round(height * widest_px / width))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def version_of(taken_at: datetime) -> int:
    return int(1000 * taken_at.timestamp())


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The last clear picture of a slot.

    full: it showed the slot's product. image is its cut; None while the slot is still clear on
    the camera's newest picture, of which it is then cut when somebody asks for it.
    """

    taken_at: datetime
    version: int
    full: bool
    image: Image | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Notice:
    """All that is published at one time. Its mappings are never changed."""

    plan: Plan
    ledger: Ledger
    now: Moment
    states: Mapping[str, SlotState] = field(default_factory=dict)
    cameras: Mapping[str, CameraState] = field(default_factory=dict)
    frames: Mapping[str, Frame] = field(default_factory=dict)
    quiet: Mapping[str, Frame] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)
    full: Mapping[str, Shot] = field(default_factory=dict)
    deeds: tuple[Deed, ...] = ()
    """What happened to incidents in the last half hour or longer, newest first."""
    version: int = 0
    """Changes whenever something visible to people has changed."""


class Board:
    """Outlives each reading of the configuration. Only the main loop's thread publishes."""

    def __init__(self) -> None:
        self.begun_s = self._published_s = time.monotonic()
        self.eyes: Mapping[str, Eye] = {}
        """The cameras that are open now, by their ids; for pictures that slots are drawn on."""
        self.delivery: Callable[[], Delivery] | None = None
        """How the present publisher does; it raises StoreError."""
        self._notice: Notice | None = None
        self._album: Album | None = None
        self._filled: dict[str, tuple[datetime, Image]] = {}  # each slot's last picture when full
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()  # of the listeners

    @property
    def notice(self) -> Notice | None:
        """What is published now; None before the main loop's first round."""
        return self._notice

    @property
    def current(self) -> Notice | None:
        """What is published now; None also where the main loop stands still: it may be wrong."""
        still = time.monotonic() - self._published_s > STILL_S
        return None if still else self._notice

    def frame(self, camera_id: str) -> Frame | None:
        """Return the newest usable picture of a camera, whoever is on it."""
        return self._notice.frames.get(camera_id) if self._notice else None

    def quiet_frame(self, camera_id: str) -> Frame | None:
        """Return the newest picture on which nothing moved or stood in front of a slot."""
        return self._notice.quiet.get(camera_id) if self._notice else None

    def crop(self, slot_id: str, which: Literal["now", "full"]) -> Shot | None:
        """Return a slot's last clear picture, or how it looked before it was emptied."""
        notice = self._notice
        if notice is None:
            return None
        if which == "full":
            return notice.full.get(slot_id)
        look = notice.looks.get(slot_id)
        slot = next((one for one in notice.plan.slots if one.slot_id == slot_id), None)
        if look is None or slot is None:
            return None
        if look.image is not None:
            return Shot(look.taken_at, look.version, look.image)
        image = notice.frames[slot.camera_id].image
        return Shot(look.taken_at, look.version, image, slot.quad)

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Have callback(version) called after each change; return what ends that.

        It is called in the main loop's thread and must not wait for anything.
        """
        with self._lock:
            self._listeners = (*self._listeners, callback)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not callback)

        return end

    def publish(
        self,
        frames: Sequence[Frame],
        seen: Sequence[Observation],
        ledger: Ledger,
        plan: Plan,
        now: Moment,
    ) -> None:
        """Publish what one round of the main loop saw and decided."""
        self._published_s = time.monotonic()
        before = self._notice
        if before is None or before.plan is not plan:
            before = self._rebuilt(plan, ledger, now)
        elif not frames and _is_as_stated(before, ledger):
            self._notice = replace(before, now=now)
            return
        after = replace(
            before,
            ledger=ledger,
            now=now,
            states=dict(ledger.states),
            cameras=dict(ledger.cameras),
            frames={**before.frames, **{frame.camera_id: frame for frame in frames}},
            quiet={**before.quiet, **_quiet(frames, seen)},
            looks=self._looked(seen, before),
            full=self._kept(ledger.states, before),
            deeds=ledger.deeds,
        )
        if before is self._notice and _shown(after) == _shown(before):
            self._notice = after
            return
        self._notice = replace(after, version=before.version + 1)
        for tell in self._listeners:
            tell(self._notice.version)

    def _rebuilt(self, plan: Plan, ledger: Ledger, now: Moment) -> Notice:
        """Return the board for another plan; what is there of slots that stayed the same stays."""
        before = self._notice
        slots = {slot.slot_id: slot for slot in plan.slots}
        cameras = {camera.id for camera in plan.config.site.cameras}
        if before is None:
            slots = _untouched(slots, plan)
        else:
            cameras &= same_sight(before.plan, plan)
            slots = {key: slot for key, slot in slots.items() if slot.camera_id in cameras}
        self._album = Album(plan.config.site.state)
        full = {
            slot_id: Shot(kept.taken_at, version_of(kept.taken_at), kept=kept.jpeg)
            for slot_id, kept in self._album.open(slots).items()
        }
        if before is None:
            return Notice(plan, ledger, now, full=full)
        same = {one.slot_id for one in before.plan.slots if slots.get(one.slot_id) == one}
        self._filled = _only(same, self._filled)
        return replace(
            before,
            plan=plan,
            frames=_only(cameras, before.frames),
            quiet=_only(cameras, before.quiet),
            looks=_only(same, before.looks),
            full=full,
        )

    def _looked(self, seen: Sequence[Observation], before: Notice) -> Mapping[str, Look]:
        """Return each slot's last clear picture; cut out what the newest picture hides."""
        looks = dict(before.looks)
        for one in seen:
            slot_id = one.slot.slot_id
            last = looks.get(slot_id)
            clear = _is_clear(one)
            full = clear and one.score is not None and _is_full(one.score, before.plan)
            if last is not None and last.image is None and (not clear or last.full > full):
                image = cut(before.frames[one.slot.camera_id].image, one.slot.quad)
                if last.full:
                    self._filled[slot_id] = last.taken_at, image
                last = looks[slot_id] = replace(last, image=image)
            if clear:
                version = version_of(one.taken_at) if last is None or one.fresh else last.version
                looks[slot_id] = Look(one.taken_at, version, full)
        return looks

    def _kept(self, states: Mapping[str, SlotState], before: Notice) -> Mapping[str, Shot]:
        """Return how slots looked when full: kept anew of each that has just been emptied."""
        full: dict[str, Shot] = {}
        for slot_id, state in states.items():
            known = before.states.get(slot_id)
            opened = known is not None and known.incident_id is None and state.incident_id
            if opened and self._album is not None and slot_id in self._filled:
                taken_at, image = self._filled.pop(slot_id)
                # The only one that the main thread encodes, and small.
                kept = Kept(taken_at, encode_jpeg(image, JPEG_QUALITY))
                self._album.keep(slot_id, kept)
                full[slot_id] = Shot(taken_at, version_of(taken_at), kept=kept.jpeg)
        return {**before.full, **full} if full else before.full


def _untouched(slots: Mapping[str, Slot], plan: Plan) -> dict[str, Slot]:
    """Return the slots that no blackout touches: what is kept of others may be from before it."""
    black = {camera.id: camera.blackout for camera in plan.config.site.cameras}
    return {
        slot_id: slot
        for slot_id, slot in slots.items()
        if not share_inside(slot.quad, black.get(slot.camera_id, ()))
    }


def _is_clear(one: Observation) -> bool:
    """Say whether it is known that nothing moves: of a camera's first picture it is not."""
    return not one.blocked and one.since_s < one.clock_s


def _is_full(score: Score, plan: Plan) -> bool:
    return speaks_for(score, plan.rule) is State.STOCKED


def _quiet(frames: Sequence[Frame], seen: Sequence[Observation]) -> dict[str, Frame]:
    """Return the pictures on which all slots are clear; a camera without slots has none."""
    sights: dict[str, bool] = {}
    for one in seen:
        camera_id = one.slot.camera_id
        sights[camera_id] = sights.get(camera_id, True) and _is_clear(one)
    return {frame.camera_id: frame for frame in frames if sights.get(frame.camera_id)}


def _shown(notice: Notice) -> tuple[object, ...]:
    """Return what people see changing; scores and the time of a look alone are not worth telling.

    Two of them are equal where nothing has to be told.
    """
    states = [
        (one.state, one.visibility, one.since, one.incident_id, one.ack, one.snooze_until)
        for one in notice.states.values()
    ]
    versions = {slot_id: look.version for slot_id, look in notice.looks.items()}
    return states, versions, notice.cameras, notice.full, notice.quiet, notice.deeds


def _is_as_stated(notice: Notice, ledger: Ledger) -> bool:
    """Say whether nothing new is stated, as in most rounds."""
    return (
        notice.ledger is ledger
        and notice.deeds is ledger.deeds
        and notice.states == ledger.states
        and notice.cameras == ledger.cameras
    )


def _only(keys: set[str], mapping: Mapping[str, V]) -> dict[str, V]:
    return {key: value for key, value in mapping.items() if key in keys}
