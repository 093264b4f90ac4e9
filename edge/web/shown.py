"""What is on the board, as the staff page reads it: plain JSON values, times in UTC."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from edge.board import Notice, version_of
from edge.decide import UNDO_FOR
from edge.history import Deed
from edge.ledger import RECENT
from edge.payloads import rfc3339, rounded
from edge.places import Place, places
from edge.plan import Plan
from edge.types import CameraStatus, Reason, Slot, SlotState

Json = dict[str, Any]

AGE_STEPS_MIN = (15, 60)
"""Minutes after which an incident is marked late, and then urgent."""
VOLATILE_FIELDS = ("last_seen", "score", "p_present")
"""What changes with each look: it is told together with the next thing that matters."""


def places_of(plan: Plan) -> dict[str, Place]:
    """Return each slot's place on its camera's shelf."""
    found: dict[str, Place] = {}
    for camera in plan.config.site.cameras:
        found |= places(plan.slots_of(camera.id))
    return found


def slots_json(notice: Notice, where: Mapping[str, Place]) -> dict[str, Json]:
    return {slot.slot_id: _slot(slot, notice, where) for slot in notice.plan.slots}


def cameras_json(notice: Notice) -> dict[str, Json]:
    return {camera.id: _camera(camera.id, notice) for camera in notice.plan.config.site.cameras}


def recent_json(notice: Notice, at: datetime) -> list[Json]:
    """Return what happened in the last half hour, newest first, and what can be taken back."""
    names = {slot.slot_id: slot.name for slot in notice.plan.slots}
    told: list[Json] = []
    undone: set[tuple[str, str]] = set()  # of several acks only the last can be taken back
    for deed in notice.deeds:
        if at - deed.at > RECENT:
            break
        undo = _undo(deed, notice.states.get(deed.slot_id), at)
        if (deed.incident_id, deed.kind) in undone:
            undo = None
        undone.add((deed.incident_id, deed.kind))
        told.append(
            {
                "at": rfc3339(deed.at),
                "slot": deed.slot_id,
                "name": names.get(deed.slot_id, deed.slot_id),
                "kind": deed.kind,
                "by": deed.by,
                "incident_id": deed.incident_id,
                "minutes_open": None if deed.open_s is None else round(deed.open_s / 60),
                "undo": undo,
            }
        )
    return told


def settings_json(plan: Plan) -> Json:
    return {"age_steps_min": AGE_STEPS_MIN, "pictures": plan.config.site.web.pictures}


def changed(
    before: Mapping[str, Json], after: Mapping[str, Json], volatile: Collection[str]
) -> list[str]:
    """Return the keys whose values differ in more than their volatile fields."""

    def lasting(value: Json | None) -> Json | None:
        return value and {key: one for key, one in value.items() if key not in volatile}

    return [key for key, value in after.items() if lasting(value) != lasting(before.get(key))]


def _slot(slot: Slot, notice: Notice, where: Mapping[str, Place]) -> Json:
    state = notice.states.get(slot.slot_id) or SlotState(slot.slot_id)
    look, full = notice.looks.get(slot.slot_id), notice.full.get(slot.slot_id)
    place = where.get(slot.slot_id)
    return {
        "id": slot.slot_id,
        "name": slot.name,
        "sku": slot.sku,
        "priority": slot.priority,
        "camera": slot.camera_id,
        "place": {"row": place.row, "column": place.column} if place else None,
        "quad": slot.quad,
        "state": state.state,
        "visibility": state.visibility,
        "since": _time(state.since),
        "last_seen": _time(state.last_seen),
        "score": rounded(state.score),
        "p_present": rounded(state.p_present),
        "votes": _votes(state),
        "incident": _incident(state),
        "now": look.version if look else None,
        "full": full.version if full else None,
    }


def _votes(state: SlotState) -> Json | None:
    """Return how many looks confirmed the open incident, of how many that were taken."""
    if state.votes is None or state.incident_id is None:
        return None
    return {"looks": state.votes.looks, "of": state.votes.of}


def _incident(state: SlotState) -> Json | None:
    if state.incident_id is None:
        return None
    ack = state.ack
    return {
        "id": state.incident_id,
        "opened_at": _time(state.opened_at or state.since),
        "ack": {"by": ack.by, "at": rfc3339(ack.at)} if ack else None,
        "snooze_until": _time(state.snooze_until),
    }


def _camera(camera_id: str, notice: Notice) -> Json:
    state, frame = notice.cameras.get(camera_id), notice.frames.get(camera_id)
    quiet = notice.quiet.get(camera_id) if notice.plan.config.site.web.pictures else None
    size = (frame.image.shape[1], frame.image.shape[0]) if frame else None
    size = size or notice.plan.config.planogram.reference_size(camera_id)
    return {
        "id": camera_id,
        "status": state.status if state else CameraStatus.OFFLINE,
        "reason": state.reason if state else None,
        "moved_by": state.moved_by if state else None,
        "since": _time(state.since) if state else None,
        "last_frame": _time(frame.taken_at if frame else state.last_frame if state else None),
        "slots": len(notice.plan.slots_of(camera_id)),
        "picture": version_of(quiet.taken_at) if quiet else None,
        "aspect": round(size[0] / size[1], 4) if size else None,
    }


def _undo(deed: Deed, state: SlotState | None, at: datetime) -> str | None:
    """Return the verb that undoes a deed, if that is possible now."""
    if state is None:
        return None
    if deed.kind == Reason.NOT_EMPTY:
        denial = state.denial
        same = denial is not None and denial.incident_id == deed.incident_id
        return "undo_not_empty" if same and at - deed.at <= UNDO_FOR else None
    if deed.incident_id != state.incident_id:
        return None
    if deed.kind == Reason.ACK and state.ack:
        return "release"
    return "snooze" if deed.kind == Reason.SNOOZE and state.snooze_until else None


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
