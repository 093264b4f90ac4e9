"""Files that take the old one's place whole, and folders that are ours to write into.

Every file is written beside the old one and then takes its place, so that a kill or a power cut at
any moment leaves one of both, whole.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

from edge.errors import UnavailableError, UsageError

NEW = ".new"


DAMAGED_NPZ = (OSError, ValueError, LookupError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What numpy raises over an npz that is not all there, or of which a bit has changed."""


def expanded(text: str) -> Path:
    """Return a path that somebody wrote, with $NAME and ~ filled in where they are known."""
    return Path(os.path.expanduser(os.path.expandvars(text)))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises UnavailableError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be made: {error.strerror}") from None


def write_json(path: Path, content: object) -> None:
    replace_file(path, lambda new: new.write_text(json.dumps(content, indent=1) + "\n"))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside the old one and, once it is on the disk, let it take its place.

    Raises UnavailableError where the disk is full or lets nobody write; the old file stays.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}{NEW}")
    try:
        write(new)
        _force_to_disk(new)
        os.replace(new, path)
        _force_to_disk(path.parent)  # where the name is kept
    except OSError as error:
        raise UnavailableError(
            f"{path}: cannot be written: {error.strerror}; what it held before is kept"
        ) from None
    finally:
        with suppress(OSError):  # a disk that lets nobody write lets nobody delete
            new.unlink(missing_ok=True)


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_strangers(folder: Path, known: Collection[str] = ()) -> None:
    """Raise UsageError where a folder to write into holds other things than the known ones."""
    strange = sorted(file.name for file in folder.iterdir() if not _is_left(file))
    strange = [name for name in strange if name not in known]
    if strange:
        raise UsageError(
            f"{folder}: holds other things ({strange[0]}); give a new or empty folder as --out"
        )


def remove_left(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left."""
    for file in filter(_is_left, folder.iterdir()):
        file.unlink()


def _is_left(file: Path) -> bool:
    """Whether a process that was killed while it wrote has left a file."""
    return file.is_file() and re.search(rf"\.\d+{re.escape(NEW)}$", file.name) is not None
