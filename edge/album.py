"""How each slot looked when it was full: one JPEG a slot in the state directory, taken rarely."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    taken_at: datetime
    jpeg: bytes


class Album:
    """A folder full/ with one file a slot, whose time is the picture's. Only one thread writes.

    A picture that cannot be read or written is told to the log: a page is poorer by it, no more.
    """

    def __init__(self, state: Path):
        self._folder = state / "full"

    def open(self, slots: Collection[str]) -> dict[str, Kept]:
        """Return the pictures of these slots and remove those of all others."""
        found = {}
        try:
            for path in sorted(self._folder.glob("*")):
                if path.suffix == ".jpg" and path.stem in slots:
                    taken_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    found[path.stem] = Kept(taken_at, path.read_bytes())
                else:
                    path.unlink()
        except OSError as error:
            log.warning("%s: %s", self._folder, error.strerror)
        return found

    def keep(self, slot_id: str, kept: Kept) -> None:
        path = self._folder / f"{slot_id}.jpg"
        beside = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            beside.write_bytes(kept.jpeg)
            os.utime(beside, (kept.taken_at.timestamp(),) * 2)
            beside.replace(path)  # not synced: after a power cut the picture of before will do
        except OSError as error:
            log.warning("%s: the picture is not kept: %s", path, error.strerror)
            with contextlib.suppress(OSError):
                beside.unlink()
