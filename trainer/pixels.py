"""What was decoded once is kept, in memory and then on disk: decoding must not be the limit."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from edge.types import Image
from trainer.decode import read_pixels

log = logging.getLogger(__name__)

MEMORY_AT_MOST = 2 << 30  # bytes
DISK_AT_MOST = 64 << 30  # bytes
STEP = 64 << 20
"""Bytes to take at a time before looking again at what is left."""
Key = tuple[Path, bool]


class Pixels:
    """Reads files for training, and keeps them small.

    What comes back does not depend on what was kept. Any number of threads may ask.

    near: pixels that the shorter side needs at most; larger pictures are shrunk to it.
    memory, disk: bytes that may be kept in either; None: while a third of all memory, a twentieth
    of the disk with temporary files stay free.
    """

    def __init__(self, near: int, memory: int | None = None, disk: int | None = None):
        self._near = near
        self._room = Room(MEMORY_AT_MOST, spare_memory) if memory is None else Room(memory)
        self._lock = threading.Lock()
        self._kept: dict[Key, Image] = {}
        self._spill = _Spill(disk)

    def of(self, file: Path, whole: bool = False) -> Image:
        """Return a file's pixels, which nobody may change. whole: not shrunk."""
        key = (file, whole)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._spill.get(key)
        if kept is not None:
            return kept
        pixels = read_pixels(file, None if whole else self._near)
        pixels.flags.writeable = False
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:  # by another thread meanwhile
                return kept
            fits = self._room.take(pixels.nbytes)
            if fits:
                self._kept[key] = pixels
        if not fits:
            self._spill.put(key, pixels)
        return pixels


class Room:
    """How many bytes may still be kept.

    at_most: by this process. spare: tells how many bytes all processes together may still take,
    however many keep pixels: each asks again before it takes a STEP more, and so sees what the
    others took.
    """

    def __init__(self, at_most: int, spare: Callable[[], int] = lambda: sys.maxsize):
        self._left, self._taken = at_most, 0
        self._spare = spare

    def take(self, size: int) -> bool:
        """Return whether so many bytes more may be kept; they then count as kept."""
        if size > self._taken:
            step = min(max(size, STEP), self._left)
            if self._spare() < step:
                return False
            self._left, self._taken = self._left - step, self._taken + step
        if size > self._taken:
            return False
        self._taken -= size
        return True


class _Spill:
    """Pixels in one file without a name, that is gone with the process, however it ends.

    A photo of 12 megapixels takes thirty milliseconds and more to decode, its shrunk pixels less
    than one to read while the system's own cache holds them. They are not compressed: without loss
    that would take about as long as decoding.
    """

    def __init__(self, room: int | None):
        self._folder = os.environ.get("TMPDIR", "/var/tmp")  # /tmp may be memory itself
        self._room = None if room is None else Room(room)
        self._file: IO[bytes] | None = None
        self._end = 0
        self._lock = threading.Lock()
        self._places: dict[Key, tuple[int, tuple[int, ...]]] = {}

    def get(self, key: Key) -> Image | None:
        place = self._places.get(key)
        if place is None or self._file is None:
            return None
        start, shape = place
        size = int(np.prod(shape))
        data = os.pread(self._file.fileno(), size, start)
        return np.frombuffer(data, np.uint8).reshape(shape) if len(data) == size else None

    def put(self, key: Key, pixels: Image) -> None:
        """Keep pixels while there is room; a disk that is full meanwhile is no error."""
        try:
            with self._lock:
                if self._room is None:
                    self._room = Room(DISK_AT_MOST, self._spare_disk)
                if key in self._places or not self._room.take(pixels.nbytes):
                    return
                start, self._end = self._end, self._end + pixels.nbytes
            self._write(pixels, start)
        except OSError as error:
            self._room = Room(0)
            log.warning("pictures are not kept on disk, which costs time: %s", error)
        else:
            self._places[key] = start, pixels.shape

    def _write(self, pixels: Image, start: int) -> None:
        with self._lock:
            if self._file is None:  # most data fits into memory
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        data, written = memoryview(np.ascontiguousarray(pixels).data).cast("B"), 0
        while written < len(data):  # a write may be cut short
            written += os.pwrite(self._file.fileno(), data[written:], start + written)

    def _spare_disk(self) -> int:
        disk = shutil.disk_usage(self._folder)
        return disk.free - disk.total // 20


def spare_memory() -> int:
    """Return how many bytes of memory, or of this program's container, may be taken.

    Of all there is a third stays free: a net in training wants its own, and a share of what is
    free would shrink with each process that begins, and never come to an end.
    """
    known = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, size = line.partition(":")
            known[name] = 1024 * int(size.split()[0])
    except OSError:
        return MEMORY_AT_MOST  # no Linux: nobody to ask without one more package
    total = known["MemTotal"]
    free = known.get("MemAvailable", known["MemFree"])
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return free - total // 3
    # Files that were read and can be forgotten count as used there.
    used -= sum(int(size) for name, size in stat if name == "inactive_file")
    return min(free, limit - used) - min(total, limit) // 3
