"""From scores to statements: hysteresis, confirmation over time, staleness, incidents.

All of it is pure. Time comes in with the data: clock_s (monotonic) measures how long, `at` (UTC)
is only written down.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from edge.types import (
    Ack,
    Event,
    EventKind,
    Observation,
    Pending,
    Score,
    SlotState,
    State,
    Visibility,
)

MISPLACED_BELOW = 0.2
"""p(own product | not empty) under which something else stands in the slot."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When evidence becomes a statement."""

    empty_above: float = 0.8  # p_empty from here up speaks for empty
    stocked_below: float = 0.4  # from here down for stocked; in between says nothing
    confirm_s: float = 30.0  # seconds the evidence must last
    confirm_looks: int = 3  # looks it must consist of
    max_gap_s: float = 60.0  # a longer silence starts the evidence again
    stale_after_s: float = 60.0  # no picture for so long: the slot is stale
    unknown_after_s: float = 900.0  # not seen clearly for so long: nobody knows


def decide(state: SlotState, seen: Observation, rule: Rule) -> tuple[SlotState, Event | None]:
    """Return the next state of the slot and, if an incident opened, changed or closed, the event.

    A blocked slot keeps its state and its evidence: somebody in front says nothing of the shelf.
    """
    if seen.score is None:
        return replace(state, visibility=Visibility.BLOCKED, observed_s=seen.clock_s), None

    state = replace(
        state,
        visibility=Visibility.CLEAR,
        last_seen=seen.taken_at,
        score=seen.score.p_empty,
        p_present=seen.score.p_present,
        observed_s=seen.clock_s,
        clear_s=seen.clock_s,
    )
    evidence = speaks_for(seen.score, rule)
    if evidence is None:
        return state, None
    if evidence is state.state:
        return replace(state, pending=None), None

    pending = _extend(state.pending, evidence, seen, rule)
    lasted_s = pending.last_s - pending.first_s
    if pending.looks < rule.confirm_looks or lasted_s < rule.confirm_s:
        return replace(state, pending=pending), None
    return _state(state, evidence, seen.taken_at)


def speaks_for(score: Score, rule: Rule) -> State | None:
    """Return the state that a single score is evidence for, None between the thresholds."""
    if score.p_empty >= rule.empty_above:
        return State.EMPTY
    if score.p_empty > rule.stocked_below:
        return None
    if score.p_present is not None and score.p_present < MISPLACED_BELOW * (1 - score.p_empty):
        return State.MISPLACED
    return State.STOCKED


def expire(
    state: SlotState, clock_s: float, at: datetime, rule: Rule
) -> tuple[SlotState, Event | None]:
    """Return the state after time has passed without news, and the event of a snooze that ended.

    A slot without a picture becomes stale, one that was not seen clearly for long unknown; neither
    opens nor closes an incident.
    """
    if state.observed_s is None or clock_s - state.observed_s >= rule.stale_after_s:
        state = replace(state, visibility=Visibility.STALE)
    unseen = state.clear_s is None or clock_s - state.clear_s >= rule.unknown_after_s
    if unseen and state.state is not State.UNKNOWN:
        state = replace(state, state=State.UNKNOWN, since=at, pending=None)
    if state.snooze_until is not None and state.snooze_until <= at:
        state = replace(state, snooze_until=None)
        return state, _event(EventKind.UPDATED, state, at, "snooze_ended")
    return state, None


def acknowledge(state: SlotState, by: str, at: datetime) -> tuple[SlotState, Event]:
    """Return the state and event of somebody being on the way. ValueError: nothing is open."""
    _must_be_open(state)
    state = replace(state, ack=Ack(by, at))
    return state, _event(EventKind.UPDATED, state, at, "ack")


def snooze(state: SlotState, until: datetime, at: datetime) -> tuple[SlotState, Event]:
    """Return the state and event of an incident put off. ValueError: nothing is open."""
    _must_be_open(state)
    state = replace(state, snooze_until=until)
    return state, _event(EventKind.UPDATED, state, at, "snooze")


def remove(state: SlotState, at: datetime) -> Event | None:
    """Return the event that closes the incident of a slot that is no longer configured."""
    if state.incident_id is None:
        return None
    return _event(EventKind.CLOSED, state, at, "removed")


def _extend(pending: Pending | None, evidence: State, seen: Observation, rule: Rule) -> Pending:
    look = 1 if seen.fresh else 0
    if (
        pending is None
        or pending.state is not evidence
        or seen.clock_s - pending.last_s > rule.max_gap_s
    ):
        first_s = max(seen.since_s, seen.clock_s - rule.max_gap_s)
        return Pending(evidence, first_s, seen.clock_s, look)
    return replace(pending, last_s=seen.clock_s, looks=pending.looks + look)


def _state(before: SlotState, state: State, at: datetime) -> tuple[SlotState, Event | None]:
    """Return the slot in its newly confirmed state, and what happened to its incident."""
    after = replace(before, state=state, since=at, pending=None)
    if state is State.STOCKED:
        if before.incident_id is None:
            return after, None
        closed = _event(EventKind.CLOSED, before, at, "stocked")
        return replace(after, incident_id=None, ack=None, snooze_until=None), closed
    if before.incident_id is None:
        after = replace(after, incident_id=str(uuid.uuid4()))
        return after, _event(EventKind.OPENED, after, at, state.value)
    if before.state is State.UNKNOWN:
        return after, None  # seen again as it was left: nothing new to tell
    return after, _event(EventKind.UPDATED, after, at, state.value)


def _event(kind: EventKind, state: SlotState, at: datetime, reason: str) -> Event:
    return Event(kind, f"slot/{state.slot_id}", at, state.incident_id, reason)


def _must_be_open(state: SlotState) -> None:
    if state.incident_id is None:
        raise ValueError(f"slot {state.slot_id} has no open incident")
