"""`folder:` pictures of a folder, or of a quoted glob, in natural name order."""

from __future__ import annotations

import glob
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

from edge.cameras import path_of
from edge.errors import CameraError, SourceEndedError
from edge.picture import ENDINGS, read_picture
from edge.types import Image

log = logging.getLogger(__name__)


def open_folder(url: str, every_s: float) -> FolderCamera:
    return FolderCamera(str(path_of(url)), every_s)


def pictures(source: str) -> list[Path]:
    """Return the pictures of a folder or a glob pattern: frame_2 before frame_10.

    Other files are ignored. Raises CameraError if there is none.
    """
    folder = Path(source)
    try:
        found = (
            folder.iterdir() if folder.is_dir() else map(Path, glob.iglob(source, recursive=True))
        )
        paths = [path for path in found if path.suffix.lower() in ENDINGS and path.is_file()]
    except OSError as error:
        raise CameraError(f"{source}: cannot be read: {error.strerror}") from None
    if not paths:
        kinds = ", ".join(sorted(ENDINGS))
        if folder.is_dir() or glob.has_magic(source):
            raise CameraError(f"{source}: holds no picture ({kinds})")
        raise CameraError(f"{source}: there is no such folder")
    return sorted(paths, key=_natural)


def _natural(path: Path) -> tuple[str, list[tuple[int, str]]]:
    parts = re.findall(r"\d+|\D+", path.name.lower())
    name = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return str(path.parent), [*name, (-1, path.name)]


def frames(source: str, every_s: float = 1.0) -> Iterator[tuple[float, Image]]:
    """Yield (t, picture), the first at or after each k · every_s; t counts pictures from 0.

    A picture that cannot be read is reported and left out; its number stays.
    """
    due = 0.0
    for t, path in enumerate(pictures(source)):
        if t < due - 1e-6:
            continue
        try:
            image = read_picture(path)
        except CameraError as error:
            log.warning("%s; it is left out", error)
            continue
        yield float(t), image
        while due < t + 1e-6:
            due += every_s


class FolderCamera:
    """Shows one picture each every_s and ends after the last."""

    def __init__(self, source: str, every_s: float):
        self._frames = frames(source)
        self._first = next(self._frames, None)  # now: a missing folder is told at once
        self._every_s = every_s
        self._due_s = time.monotonic()

    def read(self) -> Image:
        timed, self._first = self._first or next(self._frames, None), None
        if timed is None:
            raise SourceEndedError
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s += self._every_s
        return timed[1]

    def close(self) -> None:
        """Nothing is held open between two pictures."""
