"""From scores to statements: hysteresis, confirmation over time, staleness, incidents.

All of it is pure. Time comes in with the data: clock_s (monotonic) measures how long, `at` (UTC)
is only written down.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from edge.errors import ClosedError
from edge.payloads import LONGEST_SNOOZE_MIN
from edge.types import (
    Ack,
    Denial,
    Event,
    EventKind,
    Moment,
    Observation,
    Pending,
    Reason,
    Score,
    SlotState,
    State,
    Visibility,
    Votes,
)

DENIED_FOR = timedelta(hours=12)
"""Longest time that "not empty" by staff overrides the model while the picture stays the same."""
SNOOZED_FOR = timedelta(minutes=LONGEST_SNOOZE_MIN)
UNDO_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Rule:
    """When evidence becomes a statement."""

    empty_above: float = 0.8  # p_empty from here up speaks for empty
    stocked_below: float = 0.4  # from here down for stocked; in between says nothing
    misplaced_below: float = 0.2  # p(own product | not empty) under which another one stands there
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
    state, evidence = _with_denial(state, speaks_for(seen.score, rule), seen)
    if evidence is None:
        return _count_undecided_look(state, seen), None
    if evidence is state.state:
        return replace(state, pending=None), None

    pending = _extend(state.pending, evidence, seen, rule)
    lasted_s = pending.last_s - pending.first_s
    if pending.looks < rule.confirm_looks or lasted_s < rule.confirm_s:
        return replace(state, pending=pending), None
    votes = Votes(pending.looks, pending.of)
    return _confirmed(replace(state, votes=votes), evidence, Moment(seen.taken_at, seen.clock_s))


def speaks_for(score: Score, rule: Rule) -> State | None:
    """Return the state that a single score is evidence for, None between the thresholds."""
    if score.p_empty >= rule.empty_above:
        return State.EMPTY
    if score.p_empty > rule.stocked_below:
        return None
    least = rule.misplaced_below * (1 - score.p_empty)
    if score.p_present is not None and score.p_present < least:
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
        state = replace(state, state=State.UNKNOWN, since=at, pending=None, was=state.state)
    # A clock that went wrong for a while must not make either last for years.
    if state.denial is not None and abs(at - state.denial.at) >= DENIED_FOR:
        state = replace(state, denial=None)
    if state.snooze_until is not None and not at < state.snooze_until <= at + SNOOZED_FOR:
        return wake(state, at)
    return state, None


def acknowledge(state: SlotState, by: str, at: datetime) -> tuple[SlotState, Event | None]:
    """Return the state and event of somebody being on the way. ClosedError: nothing is open.

    Who says so again says nothing new.
    """
    _must_be_open(state)
    if state.ack is not None and state.ack.by == by:
        return state, None
    state = replace(state, ack=Ack(by, at))
    return state, _event(EventKind.UPDATED, state, at, Reason.ACK, by)


def release(state: SlotState, by: str | None, at: datetime) -> tuple[SlotState, Event]:
    """Return the state and event of nobody being on the way any more. ClosedError as above."""
    _must_be_open(state)
    state = replace(state, ack=None)
    return state, _event(EventKind.UPDATED, state, at, Reason.RELEASE, by)


def snooze(
    state: SlotState, until: datetime, at: datetime, by: str | None = None
) -> tuple[SlotState, Event]:
    """Return the state and event of an incident put off. ClosedError: nothing is open."""
    _must_be_open(state)
    state = replace(state, snooze_until=until)
    return state, _event(EventKind.UPDATED, state, at, Reason.SNOOZE, by)


def wake(state: SlotState, at: datetime, by: str | None = None) -> tuple[SlotState, Event]:
    """Return the state and event of a snooze that has ended. ClosedError: nothing is open."""
    _must_be_open(state)
    state = replace(state, snooze_until=None)
    return state, _event(EventKind.UPDATED, state, at, Reason.SNOOZE_ENDED, by)


def deny(state: SlotState, by: str, at: datetime) -> tuple[SlotState, Event]:
    """Return the state and event of an alarm that was wrong. ClosedError: nothing is open.

    The model will say the same of the same picture again. So from now on the slot counts as
    stocked whatever the model says, until it agrees, until the picture is another one, or until
    DENIED_FOR has passed: a wrong word of somebody must not hide an empty slot for long.
    """
    _must_be_open(state)
    denial = Denial(
        at=at,
        by=by,
        incident_id=state.incident_id or "",
        opened_at=state.opened_at or at,
        state=state.state,
        since=state.since,
        votes=state.votes,
        ack=state.ack,
        snooze_until=state.snooze_until,
    )
    return (
        replace(_closed(state), state=State.STOCKED, since=at, pending=None, denial=denial),
        _event(EventKind.CLOSED, state, at, Reason.NOT_EMPTY, by),
    )


def undo_denial(state: SlotState, by: str | None, now: Moment) -> tuple[SlotState, Event]:
    """Return the state of before `deny`, and the event of it. ClosedError: it is too late.

    It is another incident: whoever follows the events was told that the first one is closed,
    and may have forgotten it. It has been open since the first one was.
    """
    denial = state.denial
    if denial is None or now.at - denial.at > UNDO_FOR:
        raise ClosedError(f"slot {state.slot_id}: it is too late to undo; the daemon looks anew")
    state = replace(
        state,
        state=denial.state,
        since=denial.since,
        incident_id=str(uuid.uuid4()),
        opened_at=denial.opened_at,
        opened_s=now.clock_s - max(0.0, (now.at - denial.opened_at).total_seconds()),
        votes=denial.votes,
        ack=denial.ack,
        snooze_until=denial.snooze_until,
        denial=None,
        pending=None,
        was=None,
    )
    return state, _event(EventKind.OPENED, state, now.at, Reason.UNDO_NOT_EMPTY, by)


def remove(state: SlotState, at: datetime) -> Event | None:
    """Return the event that closes the incident of a slot that is no longer configured."""
    if state.incident_id is None:
        return None
    return _event(EventKind.CLOSED, state, at, Reason.REMOVED)


def _with_denial(
    state: SlotState, evidence: State | None, seen: Observation
) -> tuple[SlotState, State | None]:
    """Return what a look is evidence for where somebody knew better than the model."""
    if state.denial is None:
        return state, evidence
    if seen.picture not in (None, state.denial.picture):  # it is to outlive a restart
        state = replace(state, denial=replace(state.denial, picture=seen.picture))
    if evidence is None:
        return state, evidence
    if evidence is State.STOCKED or seen.changed_since_denial:
        return replace(state, denial=None), evidence
    return state, State.STOCKED


def _count_undecided_look(state: SlotState, seen: Observation) -> SlotState:
    """Return the state after a look that says nothing: it counts among the votes."""
    if state.pending is None or not seen.fresh:
        return state
    return replace(state, pending=replace(state.pending, of=state.pending.of + 1))


def _extend(pending: Pending | None, evidence: State, seen: Observation, rule: Rule) -> Pending:
    look = 1 if seen.fresh else 0
    if (
        pending is None
        or pending.state is not evidence
        or seen.clock_s - pending.last_s > rule.max_gap_s
    ):
        first_s = max(seen.since_s, seen.clock_s - rule.max_gap_s)
        return Pending(evidence, first_s, seen.clock_s, look, look)
    looks, of = pending.looks + look, pending.of + look
    return replace(pending, last_s=seen.clock_s, looks=looks, of=of)


def _confirmed(before: SlotState, state: State, now: Moment) -> tuple[SlotState, Event | None]:
    """Return the slot in its newly confirmed state, and what happened to its incident."""
    after = replace(before, state=state, since=now.at, pending=None, was=None)
    if state is State.STOCKED:
        if before.incident_id is None:
            return _closed(after), None
        return _closed(after), _event(EventKind.CLOSED, before, now.at, Reason.STOCKED)
    if before.incident_id is None:
        incident_id = str(uuid.uuid4())
        after = replace(after, incident_id=incident_id, opened_at=now.at, opened_s=now.clock_s)
        return after, _event(EventKind.OPENED, after, now.at, Reason(state))
    if before.state is State.UNKNOWN and before.was in (None, state):
        return after, None  # seen again as it was left, as far as is known: nothing new to tell
    return after, _event(EventKind.UPDATED, after, now.at, Reason(state))


def _closed(state: SlotState) -> SlotState:
    """Return the slot without what belongs to an open incident."""
    return replace(
        state,
        incident_id=None,
        ack=None,
        snooze_until=None,
        opened_at=None,
        opened_s=None,
        votes=None,
    )


def _event(
    kind: EventKind, state: SlotState, at: datetime, reason: Reason, by: str | None = None
) -> Event:
    subject = f"slot/{state.slot_id}"
    return Event(kind, subject, at, state.incident_id, reason, by=by)


def _must_be_open(state: SlotState) -> None:
    if state.incident_id is None:
        raise ClosedError(f"slot {state.slot_id} has no open incident")
