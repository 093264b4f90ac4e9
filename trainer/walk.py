"""Which files below a folder are pictures that somebody put there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from trainer.decode import ENDINGS, OTHER_ENDINGS

log = logging.getLogger(__name__)

PICTURES = ENDINGS | OTHER_ENDINGS
OF_SYSTEMS = {
    "__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip
"""What computers and network storage keep beside one's files, in small letters."""


def walk(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with pictures, from path down and through links too, and their names.

    None that the system put there. A pipe or device with a picture's name is left out with a
    warning: reading it might never end.
    """
    for folder, entries in _folders(path):
        if names := [entry.name for entry in entries if _is_picture(entry)]:
            yield folder, names


def is_hidden(name: str) -> bool:
    """Return whether a system made a file or folder: @eaDir and the like are a NAS's thumbnails."""
    return name.startswith((".", "@")) or name.casefold() in OF_SYSTEMS


def count_archives(path: Path) -> int:
    """Return how many zip archives lie below a folder."""
    return sum(_ending(entry) == ".zip" for _, entries in _folders(path) for entry in entries)


def on_disk(folder: Path, name: str) -> Path | None:
    """Return a file by its name, in Unicode's other normal form where the disk has it in that.

    None where there is none. Macs write the parts of a Korean letter one by one, and so do their
    archives.
    """
    file = folder / name
    if file.is_file():  # as nearly always
        return file
    spellings = (normalize("NFC", name), normalize("NFD", name))
    return next((file for each in spellings if (file := folder / each).is_file()), None)


def is_garbled(name: str) -> bool:
    """Return whether a name on the disk has bytes that are no UTF-8."""
    return any("\udc80" <= letter <= "\udcff" for letter in name)


def _folders(path: Path) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield a folder and those below it, each with what it holds but for folders.

    Raises OSError where a folder may not be looked into: else it would be one that is not there.
    """
    left = [path]
    while left:
        here = left.pop()
        with os.scandir(here) as found:
            entries = [entry for entry in found if not is_hidden(entry.name)]
        folders = [here / entry.name for entry in entries if _is_folder(entry)]
        left += [folder for folder in folders if not _leads_back(folder)]
        yield here, [entry for entry in entries if not _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in a circle
        return False


def _leads_back(folder: Path) -> bool:
    """Return whether a link goes to where one has come from: there would be no end of pictures."""
    if not folder.is_symlink():
        return False
    return os.path.realpath(folder) in {os.path.realpath(parent) for parent in folder.parents}


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return _ending(entry) in PICTURES and not _is_endless(entry)


def _ending(entry: os.DirEntry[str]) -> str:
    return os.path.splitext(entry.name)[1].lower()


def _is_endless(entry: os.DirEntry[str]) -> bool:
    """Return whether it is there, but is no file."""
    try:
        if entry.is_file():  # as the folder's listing says, so that 20,000 need not be asked
            return False
        entry.stat()
    except OSError:
        return False  # which is told where it is read
    log.warning("%s: a pipe or device, no picture; left out", entry.path)
    return True
