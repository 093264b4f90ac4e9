"""What the daemon sees or, if none runs, saw; read from its state file, nothing is asked of it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from edge.config import load_site
from edge.errors import UnavailableError
from edge.statefile import STATE_FILE, is_held, open_to_read


def read_status(site_path: Path) -> dict[str, Any]:
    """Return the newest info, health, camera and slot documents, and whether a daemon runs.

    Raises UnavailableError where no daemon has written anything yet.
    """
    state = load_site(site_path).state
    file = state / STATE_FILE
    try:
        with open_to_read(file) as db:
            rows = db.execute("SELECT topic, payload FROM document ORDER BY topic").fetchall()
            waiting = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
    except sqlite3.Error as error:
        raise UnavailableError(
            f"{file}: no daemon has written there yet, or it cannot be read ({error}); "
            "start one with `edge run`"
        ) from None
    documents = {topic: json.loads(payload) for topic, payload in rows if payload}
    return {
        "running": is_held(state),
        "info": documents.get("info"),
        "health": documents.get("health"),
        "waiting_events": waiting,
        "cameras": _below("camera/", "/status", documents),
        "slots": _below("slot/", "/state", documents),
    }


def report(found: dict[str, Any]) -> str:
    """Return the same for people: cameras first, then the slots that need somebody."""
    health = found["health"] or {}
    lines = [] if found["running"] else ["no daemon is running: this is what the last one saw"]
    lines += [f"last report {health.get('at', 'none yet')}, {found['waiting_events']} events wait"]
    lines += [
        f"camera {camera}: {one['status']}{_because(one['reason'])}"
        for camera, one in found["cameras"].items()
    ]
    slots = found["slots"]
    for slot_id, one in slots.items():
        if one["state"] != "stocked" or one["visibility"] != "clear":
            lines.append(
                f"slot {slot_id} ({one['name']}): {one['state']}, {one['visibility']}, "
                f"since {one['since'] or 'the start'}"
            )
    fine = sum(one["state"] == "stocked" and one["visibility"] == "clear" for one in slots.values())
    return "\n".join([*lines, f"{fine} of {len(slots)} slots stocked and in sight"])


def _below(start: str, end: str, documents: dict[str, Any]) -> dict[str, Any]:
    return {
        topic.removeprefix(start).removesuffix(end): document
        for topic, document in documents.items()
        if topic.startswith(start) and topic.endswith(end)
    }


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
