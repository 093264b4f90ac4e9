"""What the daemon states, kept in memory and in the state file at once.

A state counts only once it is written: where the file cannot be written now, the state of before
stays, and the next look comes to the same decision again. Nobody is told what a crash could undo.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from edge import history, messages
from edge.decide import remove
from edge.errors import StoreError
from edge.state_rows import QueuedEvent
from edge.store import Store
from edge.types import (
    CameraState,
    CameraStatus,
    Event,
    EventKind,
    Moment,
    Slot,
    SlotState,
    Visibility,
)

log = logging.getLogger(__name__)

HEARTBEAT_S = 300.0  # a state that does not change is published again after so long
HISTORY_EVERY_S = 60.0  # the time spent is written so often by itself …
HISTORY_SOON_S = 5.0  # … and so often together with what is written anyway
RECENT = timedelta(minutes=30)
MAX_RECENT = 200


@dataclass
class _Transaction:
    """What will be written at once, or not at all."""

    states: list[SlotState] = field(default_factory=list)
    documents: dict[str, bytes | None] = field(default_factory=dict)
    events: list[QueuedEvent] = field(default_factory=list)
    history: history.Entry = field(default_factory=history.Entry)


class Ledger:
    """The states of all slots and cameras of one node."""

    def __init__(
        self,
        store: Store,
        node: str,
        model: str,
        slots: Sequence[Slot],
        cameras: Sequence[str],
        now: Moment,
        watched: Mapping[str, SlotState] | None = None,
    ):
        """watched: the states of slots that have been looked at until now, and go on being so."""
        self._store, self._node, self._model = store, node, model
        self._slots = {slot.slot_id: slot for slot in slots}
        remembered = store.states()
        self.states: dict[str, SlotState] = {
            slot_id: _resumed(remembered.get(slot_id, SlotState(slot_id)), now)
            for slot_id in self._slots
        } | dict(watched or {})
        self.cameras: dict[str, CameraState] = {
            camera_id: state
            for camera_id in cameras
            if (told := store.document(_status_of(camera_id)))
            and (state := messages.camera_state(camera_id, told))
        }
        """As they were told last, perhaps before a restart."""
        self._configured = cameras
        self._lasting: dict[str, bytes] = {}  # documents that are written once
        self._generation = store.generation
        self.health = b""
        """The newest health document."""
        self.deeds: tuple[history.Deed, ...] = tuple(store.deeds(now.at - RECENT)[:MAX_RECENT])
        """What happened to incidents in the last half hour or longer, newest first."""
        self._tally = history.Tally(now)
        self._counted_s = now.clock_s
        self._pruned_hour: int | None = None
        self._gone = [state for slot_id, state in remembered.items() if slot_id not in self._slots]
        self._told_s: dict[str, float] = {}
        self._failing = False

    def begin(
        self, events: Iterable[QueuedEvent], documents: Mapping[str, bytes], now: Moment
    ) -> None:
        """Write every configured slot and camera, and empty the topics of those that are gone.

        Raises StoreError and has written nothing; it may be called again.
        """
        wanted = {_state_of(slot_id) for slot_id in self._slots}
        wanted |= {_status_of(camera_id) for camera_id in self._configured}
        entry = _Transaction(documents=dict(documents), events=list(events))
        for document in self._store.documents():
            ours = document.topic.startswith(("slot/", "camera/"))
            if ours and document.topic not in wanted | documents.keys():
                entry.documents[document.topic] = None
        for state in self._gone:
            self._close_removed(entry, state, now)
        for state in self.states.values():
            self._tell(entry, state)
        entry.documents["inventory"] = messages.inventory(self._slots.values(), self.states)
        gone = [state.slot_id for state in self._gone]
        self._store.record(entry.states, entry.documents, entry.events, gone, entry.history)
        self._add_deeds(entry)
        self._gone, self._lasting = [], dict(documents)
        self._told_s = dict.fromkeys(self._slots, now.clock_s)

    def note(
        self,
        slots: Iterable[tuple[SlotState, Event | None]],
        cameras: Iterable[CameraState],
        documents: Mapping[str, bytes],
        now: Moment,
    ) -> bool:
        """Take over decided states, writing what others are to know.

        Return False if the state file could not be written.
        Slots and cameras that are as they were cost nothing but memory.
        """
        generation = self._store.generation
        entry = _Transaction() if generation == self._generation else self._everything()
        entry.documents |= documents
        self._tally.add(self.states.values(), now, blind=self._failing)
        after: dict[str, SlotState] = {}
        for state, event in slots:
            known = after.get(state.slot_id, self.states[state.slot_id])
            if event is not None or _news(state) != _news(known):
                state = replace(state, seq=known.seq + 1)
                self._tell(entry, state, event)
                _remember(entry.history, event, known, state, now)
            elif now.clock_s - self._told_s[state.slot_id] >= HEARTBEAT_S:
                self._tell(entry, state)
            after[state.slot_id] = state
        seen = {camera.camera_id: self._note_camera(entry, camera) for camera in cameras}
        if entry.states:
            known_states = self.states | after
            entry.documents["inventory"] = messages.inventory(self._slots.values(), known_states)
        if not self._write(entry, now):
            return False
        self.states |= after
        self.cameras |= seen
        self._generation = generation
        self.health = documents.get("health", self.health)
        self._told_s |= {state.slot_id: now.clock_s for state in entry.states}
        return True

    def close(self, now: Moment) -> None:
        """Write what has been counted since the last minute, and when each slot was seen last."""
        self._tally.add(self.states.values(), now, blind=self._failing)
        self._counted_s = -HISTORY_EVERY_S
        self._write(_Transaction(states=list(self.states.values())), now)

    @property
    def store(self) -> Store:
        """For readers of the past, who may be in another thread."""
        return self._store

    @property
    def counted(self) -> Mapping[tuple[str, int], history.Spent]:
        """The time spent that is not in the state file yet, by slot and hour; never changed."""
        return self._tally.hours

    def denied(self) -> dict[str, bytes | None]:
        """Return the slots of which somebody said that they are not empty, and how they looked."""
        return {
            slot_id: state.denial.picture for slot_id, state in self.states.items() if state.denial
        }

    def undecided(self) -> set[str]:
        """Return the slots about which something is being decided: each clear picture counts."""
        return {slot_id for slot_id, state in self.states.items() if state.pending}

    def _everything(self) -> _Transaction:
        """Return all that is stated, for a file that is new: a damaged one was moved aside."""
        entry = _Transaction(documents=dict(self._lasting))
        for state in self.states.values():
            self._tell(entry, state)
            if (incident := history.open_incident(state)) is not None:
                entry.history.incidents.append(incident)
        for camera in self.cameras.values():
            entry.documents[_status_of(camera.camera_id)] = messages.camera_status(camera)
        return entry

    def _note_camera(self, entry: _Transaction, camera: CameraState) -> CameraState:
        """Add what is new of a camera; return how it is, and since when."""
        known = self.cameras.get(camera.camera_id)
        if known is not None and (known.status, known.reason) == (camera.status, camera.reason):
            return replace(known, moved_by=camera.moved_by)
        entry.documents[_status_of(camera.camera_id)] = messages.camera_status(camera)
        event = _camera_event(known, camera)
        if event is not None:
            payload = messages.camera_event(event, camera, self._node)
            entry.events.append(QueuedEvent.of(event, payload))
        return camera

    def _tell(self, entry: _Transaction, state: SlotState, event: Event | None = None) -> None:
        slot = self._slots[state.slot_id]
        entry.states.append(state)
        entry.documents[_state_of(state.slot_id)] = messages.slot_state(slot, state, self._model)
        if event is not None:
            payload = messages.slot_event(event, slot, state, self._node, self._model)
            entry.events.append(QueuedEvent.of(event, payload))

    def _close_removed(self, entry: _Transaction, state: SlotState, now: Moment) -> None:
        event = remove(state, now.at)
        last = self._store.document(_state_of(state.slot_id))
        if event is not None and last is not None:
            payload = messages.removed_slot_event(event, last, self._node)
            entry.events.append(QueuedEvent.of(event, payload))
        _remember(entry.history, event, _resumed(state, now), state, now)

    def _write(self, entry: _Transaction, now: Moment) -> bool:
        """Write what there is to write. Trouble is said once, and so is its end."""
        self._add_time(entry, now)
        if not (entry.states or entry.documents or entry.events or entry.history):
            return True
        try:
            self._store.record(entry.states, entry.documents, entry.events, (), entry.history)
        except StoreError as error:
            if not self._failing:
                log.error("%s; nothing is decided until it can be written", error)
            self._failing = True
            return False
        if self._failing:
            log.warning("the state file can be written again")
        self._failing = False
        self._add_deeds(entry)
        if entry.history.hours:
            self._tally.clear()
            self._counted_s = now.clock_s
        if entry.history.before:
            self._pruned_hour = history.hour_of(now.at)
        return True

    def _add_deeds(self, entry: _Transaction) -> None:
        if entry.history.deeds:
            self.deeds = (*reversed(entry.history.deeds), *self.deeds)[:MAX_RECENT]

    def _add_time(self, entry: _Transaction, now: Moment) -> None:
        """Add the time spent when it is due, and once an hour forget what is too long ago."""
        writes = entry.states or entry.documents or entry.events
        wait_s = HISTORY_SOON_S if writes else HISTORY_EVERY_S
        if not self._failing and now.clock_s - self._counted_s < wait_s:
            return  # while writing fails it is what tries again
        entry.history.hours = self._tally.hours
        hour = history.hour_of(now.at)
        if hour != self._pruned_hour:
            first = hour - int(history.KEEP.total_seconds()) // 3600
            entry.history.before = first, now.at - history.KEEP


def _state_of(slot_id: str) -> str:
    return f"slot/{slot_id}/state"


def _status_of(camera_id: str) -> str:
    return f"camera/{camera_id}/status"


def _camera_event(before: CameraState | None, after: CameraState) -> Event | None:
    """Return what a camera's change makes; one that was never told of is expected to be up."""
    was_up = before is None or before.status is CameraStatus.ONLINE
    is_up = after.status is CameraStatus.ONLINE
    if was_up == is_up:
        return None
    kind = EventKind.CAMERA_UP if is_up else EventKind.CAMERA_DOWN
    return Event(kind, f"camera/{after.camera_id}", after.since, reason=after.reason)


def _remember(
    entry: history.Entry, event: Event | None, before: SlotState, after: SlotState, now: Moment
) -> None:
    """Add what an event means to the past."""
    if event is None:
        return
    entry.incidents.append(history.incident_of(event, before, after, now))
    deed = history.deed_of(event, before, now)
    if deed is not None:
        entry.deeds.append(deed)


def _resumed(state: SlotState, now: Moment) -> SlotState:
    """Return a remembered state as it counts now: what was long ago soon becomes unknown."""
    if state.opened_at is not None:
        state = replace(state, opened_s=now.clock_s - _age_s(state.opened_at, now))
    if state.last_seen is None:
        return state
    clear_s = now.clock_s - _age_s(state.last_seen, now)
    return replace(state, visibility=Visibility.STALE, observed_s=None, clear_s=clear_s)


def _age_s(at: datetime, now: Moment) -> float:
    """Return how long ago that was, as far as two times of day tell; never below 0."""
    return max(0.0, (now.at - at).total_seconds())


def _news(state: SlotState) -> tuple[object, ...]:
    """Return what is written and published as soon as it changes; the score alone is no news."""
    incident = state.incident_id, state.ack, state.snooze_until, state.denial
    return state.state, state.visibility, *incident
