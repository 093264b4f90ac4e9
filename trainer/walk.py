"""Which files below a folder are pictures that somebody put there."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from trainer.decode import ENDINGS, OTHER_ENDINGS

log = logging.getLogger(__name__)

OF_SYSTEMS = {
    "__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip
"""What computers and network storage keep beside one's files, in small letters."""


def walk(path: Path) -> Iterator[Path]:
    """Yield the pictures below a folder, through links too, but none that the system put there.

    A pipe or device with a picture's name is left out with a warning: reading it might never end.
    """
    for file in _files(path):
        ending = file.suffix.lower()
        if (ending in ENDINGS or ending in OTHER_ENDINGS) and not _is_endless(file):
            yield file


def is_hidden(name: str) -> bool:
    """Return whether a system made a file or folder: @eaDir and the like are a NAS's thumbnails."""
    return name.startswith((".", "@")) or name.casefold() in OF_SYSTEMS


def count_archives(path: Path) -> int:
    """Return how many zip archives lie below a folder."""
    return sum(file.suffix.lower() == ".zip" for file in _files(path))


def on_disk(folder: Path, name: str) -> Path | None:
    """Return a file by its name, in Unicode's other normal form where the disk has it in that.

    None where there is none. Macs write the parts of a Korean letter one by one, and so do their
    archives.
    """
    spellings = (name, normalize("NFC", name), normalize("NFD", name))
    return next((file for each in spellings if (file := folder / each).is_file()), None)


def is_garbled(name: str) -> bool:
    """Return whether a name on the disk has bytes that are no UTF-8."""
    return any("\udc80" <= letter <= "\udcff" for letter in name)


def _files(path: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(path, onerror=_raise, followlinks=True):
        folders[:] = [n for n in folders if not (is_hidden(n) or _leads_back(Path(here, n)))]
        yield from (Path(here, name) for name in names if not is_hidden(name))


def _raise(error: OSError) -> None:
    """A folder that may not be looked into would be one that is not there."""
    raise error


def _leads_back(folder: Path) -> bool:
    """Return whether a link goes to where one has come from: there would be no end of pictures."""
    if not folder.is_symlink():
        return False
    return os.path.realpath(folder) in {os.path.realpath(parent) for parent in folder.parents}


def _is_endless(file: Path) -> bool:
    """Return whether it is there, but is no file."""
    try:
        regular = stat.S_ISREG(os.stat(file).st_mode)
    except OSError:
        return False  # which is told where it is read
    if not regular:
        log.warning("%s: a pipe or device, no picture; left out", file)
    return not regular
