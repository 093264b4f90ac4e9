"""Answers what people ask over MQTT: request/<verb> in, response/<verb> out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from edge import messages, payloads
from edge.decide import acknowledge, snooze
from edge.errors import EdgeError, RequestError
from edge.ledger import Ledger
from edge.plan import Plan
from edge.types import Event, Moment, SlotState

log = logging.getLogger(__name__)

PICTURES_OFF = "pictures of slots are not sent: they are off"


class Desk:
    """Reads one request after the other; only the main loop's thread stands here."""

    def __init__(self, ledger: Ledger, read: Callable[[], Plan]):
        """read gives the configuration anew and raises EdgeError where it is wrong."""
        self._ledger, self._read = ledger, read
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
        except (ValueError, EdgeError) as error:
            return messages.response(request, error=str(error))
        return messages.response(request)

    def _do(self, request: payloads.Request, now: Moment) -> None:
        """Raises ValueError or EdgeError, whose text is for the sender."""
        match request:
            case payloads.AckRequest(slot=slot_id, by=by):
                self._note(acknowledge(self._slot(slot_id), by, now.at), now)
            case payloads.SnoozeRequest(slot=slot_id, minutes=minutes):
                until = now.at + timedelta(minutes=minutes)
                self._note(snooze(self._slot(slot_id), until, now.at), now)
            case payloads.ReloadRequest():
                self._reload()
            case payloads.SnapshotRequest(slot=slot_id):
                self._slot(slot_id)
                raise ValueError(PICTURES_OFF)

    def _reload(self) -> None:
        """Read the configuration anew. The log says how that went: a signal has no answer."""
        try:
            self.reloaded = self._read()
        except EdgeError as error:
            log.error("the configuration stays as it was: %s", error)
            raise
        log.info("the configuration has been read anew")

    def _slot(self, slot_id: str) -> SlotState:
        if slot_id not in self._ledger.states:
            raise ValueError(f"there is no slot {slot_id}")
        return self._ledger.states[slot_id]

    def _note(self, decided: tuple[SlotState, Event | None], now: Moment) -> None:
        if not self._ledger.note([decided], [], {}, now):
            raise ValueError("the state file cannot be written now; try again")
