"""Answers what people ask, over MQTT (request/<verb> in, response/<verb> out) or on a page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from edge import messages, payloads
from edge.board import Board
from edge.classifier import OTHER, product_of
from edge.decide import acknowledge, deny, release, snooze, undo_denial, wake
from edge.errors import ActError, ClosedError, EdgeError, RequestError
from edge.ledger import Ledger
from edge.plan import Plan
from edge.training import STOCKED, Sample, TrainingFolder
from edge.types import Event, Moment, SlotState

log = logging.getLogger(__name__)

PICTURES_OFF = "pictures of slots are not sent: they are off"


class Desk:
    """Reads one request after the other. Use from the main loop's thread only."""

    def __init__(self, ledger: Ledger, plan: Plan, board: Board, read: Callable[[], Plan]):
        """read gives the configuration anew and raises EdgeError where it is wrong."""
        self._ledger, self._plan, self._board, self._read = ledger, plan, board, read
        self._training = TrainingFolder(plan.config.site.state)
        self.reloaded: Plan | None = None
        """What the daemon should go on with: set by a reload that was found to be right."""

    def answer(self, verb: str, payload: bytes, now: Moment) -> bytes:
        """Do what is asked and return the response's payload."""
        try:
            request = messages.parse_request(verb, payload)
        except RequestError as error:
            return messages.refusal(error)
        try:
            self._do(request, now)
        except ActError as error:
            return messages.response(request, {"code": error.code}, str(error))
        except (ValueError, EdgeError) as error:
            return messages.response(request, error=str(error))
        return messages.response(request)

    def _do(self, request: payloads.Request, now: Moment) -> None:
        """Raises ValueError or EdgeError, whose text is for the sender."""
        match request:
            case payloads.AckRequest(by=by):
                self._note(acknowledge(self._open(request), by, now.at), now)
            case payloads.ReleaseRequest(by=sender):
                self._note(release(self._open(request), sender, now.at), now)
            case payloads.SnoozeRequest(minutes=0, by=sender):
                self._note(wake(self._open(request), now.at, sender), now)
            case payloads.SnoozeRequest(minutes=minutes, by=sender):
                until = now.at + timedelta(minutes=minutes)
                self._note(snooze(self._open(request), until, now.at, sender), now)
            case payloads.NotEmptyRequest(by=by):
                self._not_empty(self._open(request), by, now)
            case payloads.UndoNotEmptyRequest(by=sender):
                self._undo_not_empty(request, sender, now)
            case payloads.ReloadRequest():
                self._reload()
            case payloads.SnapshotRequest(slot=slot_id):
                self._slot(slot_id)
                raise ValueError(PICTURES_OFF)

    def _not_empty(self, state: SlotState, by: str, now: Moment) -> None:
        """Close the incident, then keep what the model was wrong about; a loss of that is told."""
        self._note(deny(state, by, now.at), now)
        shot = self._board.crop(state.slot_id, "now")
        if shot is None:
            return
        label = self._label(state.slot_id)
        sample = Sample(state.slot_id, label, now.at, state.score, shot.jpeg())
        try:
            self._training.add(sample)
        except OSError as error:
            log.warning("slot %s: no picture kept for training: %s", state.slot_id, error.strerror)

    def _undo_not_empty(
        self, request: payloads.IncidentRequest, by: str | None, now: Moment
    ) -> None:
        state = self._slot(request.slot)
        denial = state.denial
        if denial and request.incident_id not in (None, denial.incident_id):
            raise ClosedError(f"slot {request.slot}: that is not what was said last")
        self._note(undo_denial(state, by, now), now)
        if denial:
            try:
                self._training.remove(request.slot, denial.at)
            except OSError as error:
                log.warning("slot %s: its picture stays: %s", request.slot, error.strerror)

    def _label(self, slot_id: str) -> str:
        """Return what the model should have said: the product, where it knows products."""
        slot = next(slot for slot in self._plan.slots if slot.slot_id == slot_id)
        classes = self._plan.classifier.info.classes
        return product_of(slot, classes) or (STOCKED if STOCKED in classes else OTHER)

    def _reload(self) -> None:
        """Read the configuration anew. The log says how that went: a signal has no answer."""
        try:
            self.reloaded = self._read()
        except EdgeError as error:
            log.error("the configuration stays as it was: %s", error)
            raise
        log.info("the configuration has been read anew")

    def _open(self, request: payloads.IncidentRequest) -> SlotState:
        """Return the slot's state; ClosedError where another incident is meant than its own."""
        state = self._slot(request.slot)
        if request.incident_id not in (None, state.incident_id):
            raise ClosedError(f"slot {request.slot}: that incident is closed")
        return state

    def _slot(self, slot_id: str) -> SlotState:
        if slot_id not in self._ledger.states:
            raise ActError(f"there is no slot {slot_id}", "gone")
        return self._ledger.states[slot_id]

    def _note(self, decided: tuple[SlotState, Event | None], now: Moment) -> None:
        if not self._ledger.note([decided], [], {}, now):
            raise ActError("the state file cannot be written now; try again", "not_written")
