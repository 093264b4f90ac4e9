"""Knows when the machine stood still, so that a test's bound holds for the code alone.

A process of its own: code under test that keeps this one busy, or its lock, is not excused by it.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

TICK_S, STILL_S = 0.01, 0.05


class Witness:
    """The machine stood still when the witness, too, was not woken for STILL_S or more.

    Times are seconds of time.monotonic(). What stood still counts neither for nor against the code
    that is timed; the bounds in the tests hold for the rest.
    """

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._gaps()  # it watches from here on
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def ran_s(self, begun_s: float, end_s: float) -> float:
        """Return how long of the time between the two the machine did not stand still."""
        return end_s - begun_s - self._still_s(begun_s, end_s)

    def took_s(self, part: Callable[[], object]) -> float:
        """Return how long the part of a test took while the machine ran."""
        begun_s = time.monotonic()
        part()
        return self.ran_s(begun_s, time.monotonic())

    def sees(self, part: Callable[[], object], tries: int = 5) -> None:
        """Run the part of a test; anew if it failed and the machine stood still meanwhile."""
        for left in reversed(range(tries)):
            begun_s = time.monotonic()
            try:
                part()
                return
            except AssertionError:
                if not left or not self._still_s(begun_s, time.monotonic()):
                    raise

    def _still_s(self, begun_s: float, end_s: float) -> float:
        overlaps = (min(end_s, end) - max(begun_s, begin) for begin, end in self._gaps())
        return sum(overlap for overlap in overlaps if overlap > 0)

    def _gaps(self) -> list[tuple[float, float]]:
        """Return when the machine stood still, up to now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [(begin, end) for begin, end in json.loads(self.process.stdout.readline())]


def clock_s(at: datetime) -> float:
    """Return when that was by time.monotonic()."""
    return time.monotonic() - (datetime.now(UTC) - at).total_seconds()


def watch() -> None:
    """Tell for each line that is read all gaps so far, until there is none to read any more."""
    gaps, woken_s = list[tuple[float, float]](), time.monotonic()
    while True:
        asked = select.select([sys.stdin], [], [], TICK_S)[0]
        now_s = time.monotonic()
        if now_s - woken_s > STILL_S:
            gaps.append((woken_s + TICK_S, now_s))
        woken_s = now_s
        if asked:
            if not sys.stdin.readline():
                return
            print(json.dumps(gaps), flush=True)


if __name__ == "__main__":
    watch()
