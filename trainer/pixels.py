"""What was decoded once is kept, in memory and then on disk: decoding must not be the limit."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import IO

import numpy as np

from edge.types import Image
from trainer.decode import read_pixels

log = logging.getLogger(__name__)

MEMORY_AT_MOST = 2 << 30  # bytes
DISK_AT_MOST = 64 << 30  # bytes
Key = tuple[Path, bool]


class Pixels:
    """Reads files for training, and keeps them small.

    What comes back does not depend on what was kept. Any number of threads may ask.

    near: pixels that the shorter side needs at most; larger pictures are shrunk to it.
    memory, disk: bytes that may be kept in either; None: a quarter of the memory that is free, half
    of what is free on the disk with temporary files.
    """

    def __init__(self, near: int, memory: int | None = None, disk: int | None = None):
        self._near = near
        self._room = _spare_memory() if memory is None else memory
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
            fits = pixels.nbytes <= self._room
            if fits and key not in self._kept:
                self._room -= pixels.nbytes
                self._kept[key] = pixels
        if not fits:
            self._spill.put(key, pixels)
        return pixels


class _Spill:
    """Pixels in one file without a name, that is gone with the process, however it ends.

    A photo of 12 megapixels takes thirty milliseconds and more to decode, its shrunk pixels less
    than one to read while the system's own cache holds them. They are not compressed: without loss
    that would take about as long as decoding.
    """

    def __init__(self, room: int | None):
        self._folder = os.environ.get("TMPDIR", "/var/tmp")  # /tmp may be memory itself
        self._room = room
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
        with self._lock:
            if self._room is None:
                self._room = self._spare_disk()
            if key in self._places or self._end + pixels.nbytes > self._room:
                return
            start, self._end = self._end, self._end + pixels.nbytes
        try:
            self._write(pixels, start)
        except OSError as error:
            self._give_up(error)
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
        try:
            return min(shutil.disk_usage(self._folder).free // 2, DISK_AT_MOST)
        except OSError as error:
            self._give_up(error)
            return 0

    def _give_up(self, error: OSError) -> None:
        self._room = 0
        log.warning("pictures are not kept on disk, which costs time: %s", error)


def _spare_memory() -> int:
    """A quarter of the memory that other programs, or this one's container, have left free."""
    free = [4 * MEMORY_AT_MOST]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        free.append(MEMORY_AT_MOST)  # no Linux: nobody to ask without one more package
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except OSError:
        limit, used = "max", 0
    if limit != "max":
        free.append(max(0, int(limit) - used))
    return min(free) // 4
