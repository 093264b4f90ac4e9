"""How the daemon is: its own CPU time, memory, free disk and the speed of its looks."""

from __future__ import annotations

import resource
import shutil
import time
from collections import deque
from pathlib import Path

import numpy as np

from edge import messages, payloads
from edge.publisher import Delivery
from edge.types import Moment

EVERY_S = 60.0
SETTLED_S = 20.0
LAST_BATCHES = 500
LEAST_FREE_BYTES = 10**9
"""With less room than this on the disk of the state, somebody has to make some."""


class Health:
    """Gathers figures between two reports, over all readings of the configuration."""

    def __init__(self, now: Moment):
        self._started_s = self._reported_s = now.clock_s
        self._wanted = True
        self._cpu_s = time.process_time()
        self._looks = 0
        self._crop_ms: deque[float] = deque(maxlen=LAST_BATCHES)

    def looked(self, crops: int, took_s: float) -> None:
        """Note that a batch of crops went through the classifier."""
        self._looks += crops
        self._crop_ms.append(1000 * took_s / crops)

    def renew(self) -> None:
        """Make a report due: cameras, or what they are told by, may be others now."""
        self._wanted = True

    def is_due(self, now: Moment, settled: bool) -> bool:
        """settled: of each camera it is known whether it gives pictures. At the start that is
        waited for, but not for long: one that is still being opened is not offline."""
        waited_s = now.clock_s - self._reported_s
        wanted = self._wanted and (settled or waited_s >= SETTLED_S)
        return wanted or waited_s >= EVERY_S

    def report(
        self,
        delivery: Delivery,
        cameras: dict[str, payloads.CameraHealthPayload],
        state: Path,
        now: Moment,
    ) -> bytes:
        """Return the health payload; CPU is the mean since the report before.

        state: the folder whose disk has to have room.
        """
        cpu_s, passed_s = time.process_time(), now.clock_s - self._reported_s
        busy = (cpu_s - self._cpu_s) / max(1e-3, passed_s)
        self._cpu_s, self._reported_s, self._wanted = cpu_s, now.clock_s, False
        return messages.encode(
            payloads.HealthPayload(
                at=now.at,
                uptime_s=round(now.clock_s - self._started_s, 1),
                cpu_percent=round(100 * busy, 1),
                memory_bytes=memory_bytes(),
                disk_free_bytes=disk_free_bytes(state),
                outbox=payloads.OutboxPayload(
                    connected_since=delivery.connected_since,
                    waiting=delivery.backlog.count,
                    oldest_s=delivery.backlog.oldest_s(now.at),
                    dropped=delivery.backlog.dropped,
                    last_error=delivery.last_error,
                ),
                inference=payloads.InferencePayload(
                    looks=self._looks, p50_ms=self._percentile(50), p95_ms=self._percentile(95)
                ),
                cameras=cameras,
            )
        )

    def _percentile(self, percent: float) -> float | None:
        if not self._crop_ms:
            return None
        return round(float(np.percentile(self._crop_ms, percent)), 2)


def disk_free_bytes(folder: Path) -> int | None:
    """Return the room on the folder's disk; None where the folder or the disk is gone."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def is_room_enough(free_bytes: int | None) -> bool:
    """Say whether a disk has the room that the daemon needs; no where that cannot be told."""
    return free_bytes is not None and free_bytes >= LEAST_FREE_BYTES


def memory_bytes() -> int:
    """Return the process's resident memory; where /proc is missing, the most it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
