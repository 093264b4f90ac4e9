"""What really happened in a recording, and how well that was stated."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from edge.errors import ConfigError
from edge.types import State

EARLY_S = 1.0  # a hand hides the moment itself: the marks are that exact
DAY_S = 86_400.0
OCCLUDED = "occluded"


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    t: float
    state: Literal["stocked", "empty", "misplaced", "occluded"]


class Truth(BaseModel):
    """truth.json. A state lasts until the next entry; `occluded` is no state of the shelf."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    camera: str
    truth: dict[str, tuple[Entry, ...]]

    @model_validator(mode="after")
    def _entries_are_in_order(self) -> Truth:
        for slot_id, entries in self.truth.items():
            if not entries:
                raise ValueError(f"truth.{slot_id}: has no entry")
            if any(later.t <= earlier.t for earlier, later in pairwise(entries)):
                raise ValueError(f"truth.{slot_id}: entries must be in order of t")
        return self

    def at(self, slot_id: str, t: float) -> str:
        """Return the state or `occluded`; before the first entry, the first one's."""
        entries = self.truth[slot_id]
        return entries[max(0, bisect_right([entry.t for entry in entries], t) - 1)].state

    def changes(self) -> list[Change]:
        """Return every true change: at the moment at which the new state can be seen first."""
        found = []
        for slot_id, entries in self.truth.items():
            shown = [entry for entry in entries if entry.state != OCCLUDED]
            found += [
                Change(after.t, slot_id, State(before.state), State(after.state))
                for before, after in pairwise(shown)
                if before.state != after.state
            ]
        return sorted(found, key=lambda change: change.t)


@dataclass(frozen=True, slots=True)
class Change:
    """A slot went from one known state to another; score is p_empty where it was stated."""

    t: float
    slot_id: str
    before: State
    after: State
    score: float | None = None

    def as_json(self) -> dict[str, Any]:
        score = {} if self.score is None else {"score": round(self.score, 4)}
        ends = {"from": self.before.value, "to": self.after.value}
        return {"t": round(self.t, 3), "slot": self.slot_id, **ends, **score}


def read_truth(path: Path) -> Truth:
    """Return a truth.json. Raises ConfigError naming the file and the key."""
    try:
        return Truth.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except ValidationError as error:
        raise ConfigError(
            [
                f"{path}: {'.'.join(map(str, detail['loc'])) or 'the file'}: {detail['msg']}"
                for detail in error.errors(include_url=False)
            ]
        ) from None


class Judge:
    """Compares what is stated with the truth, look by look.

    tolerance_s: how late a change may be stated. A change stated at t to S matches a true one to
    S of that slot at t0 if -1 s <= t - t0 <= tolerance; with tolerance 0, t = t0. Each matches
    once, the earliest first. A change stated while the slot is hidden and that matches none is
    false like any other.
    """

    def __init__(self, truth: Truth, tolerance_s: float):
        self._truth = truth
        self._tolerance_s = tolerance_s
        self._open = truth.changes()
        self._settling = {
            slot_id: [change.t for change in self._open if change.slot_id == slot_id]
            for slot_id in truth.truth
        }
        self._delays: list[float] = []
        self._false: list[Change] = []
        self._looks = self._right = self._unknown = 0

    def look(self, t: float, states: Mapping[str, State]) -> None:
        """Take in what is stated of each slot at t."""
        for slot_id, state in states.items():
            if slot_id not in self._truth.truth or self._is_settling(slot_id, t):
                continue
            true = self._truth.at(slot_id, t)
            if true != OCCLUDED:
                self._looks += 1
                self._right += state == true
                self._unknown += state is State.UNKNOWN

    def change(self, stated: Change) -> None:
        """Take in a stated change; they come in order of time."""
        early_s = EARLY_S if self._tolerance_s else 0.0
        for true in self._open:
            same = (true.slot_id, true.after) == (stated.slot_id, stated.after)
            if same and -early_s <= stated.t - true.t <= self._tolerance_s:
                self._open.remove(true)
                self._delays.append(stated.t - true.t)
                return
        self._false.append(stated)

    def figures(self, slots: int, seconds: float, ended_t: float) -> dict[str, Any]:
        """Return the figures; true changes after the recording's end do not count."""
        missed = [change for change in self._open if change.t <= ended_t]
        matched, stated = len(self._delays), len(self._delays) + len(self._false)
        slot_days = slots * seconds / DAY_S
        return {
            "truth_changes": matched + len(missed),
            "matched": matched,
            "missed": len(missed),
            "false": len(self._false),
            "precision": _ratio(matched, stated),
            "recall": _ratio(matched, matched + len(missed)),
            "delay_s": {
                "median": round(median(self._delays), 3) if self._delays else None,
                "p95": round(float(np.percentile(self._delays, 95)), 3) if self._delays else None,
            },
            "false_per_slot_day": _ratio(len(self._false), slot_days),
            "state_accuracy": _ratio(self._right, self._looks),
            "unknown_share": _ratio(self._unknown, self._looks),
            "missed_changes": [change.as_json() for change in missed],
            "false_changes": [change.as_json() for change in self._false],
        }

    def _is_settling(self, slot_id: str, t: float) -> bool:
        return any(t0 <= t < t0 + self._tolerance_s for t0 in self._settling[slot_id])


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None
