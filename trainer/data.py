"""Labelled pictures: an index.csv, a folder of class folders, or boxes in whole shelf photos."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar
from unicodedata import normalize

import numpy as np

from edge.errors import ConfigError, UnavailableError, UsageError
from trainer.boxes import from_boxes
from trainer.decode import (
    THREADS,
    UnreadableError,
    check_ends,
    check_readable,
    fingerprints,
    of_each,
    size_of,
)
from trainer.files import expanded
from trainer.folders import from_folders
from trainer.folds import seen_of
from trainer.index import from_index
from trainer.picture import Picture
from trainer.recipe import Data
from trainer.walk import count_archives, walk
from trainer.wording import NAME_AT_MOST, some_of

log = logging.getLogger(__name__)

T = TypeVar("T")
Unreadable = Literal["refuse", "skip", "overlook"]
PATIENCE_S = 3.0
"""After so long it is said what is waited for."""
UNPACK = "unpack first (for Korean names: unzip -O cp949 FILE), and give the folder"


def read_source(source: Data, unreadable: Unreadable = "refuse") -> list[Picture]:
    """Return the pictures of a recipe's source, looked at as `usable` does."""
    return usable(read_data(source.data, source.split, source.only), unreadable)


def read_data(text: str, split: str | None = None, only: Sequence[str] = ()) -> list[Picture]:
    """Return the pictures that DATA names: an index.csv, a folder with one, or class folders.

    `PATH=label` gives all of them that label; $NAME and ~ are expanded. Whether they can be read
    is for `usable`.

    Raises UnavailableError where something is missing or may not be read, ConfigError where an
    index is wrong.
    """
    try:
        return _found(text, split, only)
    except OSError as error:
        raise UnavailableError(
            f"{error.filename or text}: cannot be read: {error.strerror}"
        ) from None


def _found(text: str, split: str | None, only: Sequence[str]) -> list[Picture]:
    path, label = _path_and_label(text)
    if path.is_file() and path.suffix.lower() == ".zip":
        raise UnavailableError(f"{path}: a zip archive: {UNPACK}")
    if (path / "index.csv").is_file():
        path = path / "index.csv"
    if path.is_dir():
        pictures = from_boxes(path)
        if pictures:
            _warn_of_folders(path, pictures)
        pictures = pictures or from_folders(path, label)
    elif path.is_file():
        pictures = from_index(path)
    else:
        raise UnavailableError(
            f"{path}: neither a file nor a folder; give an index.csv or its folder"
        )
    if not pictures and path.is_dir() and (count := count_archives(path)):
        archives = "1 zip archive" if count == 1 else f"{count} zip archives"
        raise UnavailableError(f"{path}: no picture, but {archives}: {UNPACK}")
    if split is not None:
        pictures = [picture for picture in pictures if picture.columns.get("split") == split]
    if only:
        wanted = {normalize("NFC", label) for label in only}
        pictures = [picture for picture in pictures if picture.label in wanted]
    if not pictures:
        what = (f" of split '{split}'" if split else "") + (f" labelled {only}" if only else "")
        raise UnavailableError(f"{path}: no picture{what}")
    data_set = os.path.realpath(path if path.is_dir() else path.parent)
    # In full: `replace` takes as long for 20,000 of them as to ask the disk for the files.
    return [
        Picture(p.file, label or p.label, p.group, p.columns, p.box, data_set) for p in pictures
    ]


def _warn_of_folders(path: Path, pictures: Sequence[Picture]) -> None:
    """Tell what a folder of photos with boxes holds besides: one such file makes it one."""
    photos = {picture.file for picture in pictures}
    within = (folder / name for folder, names in walk(path) if folder != path for name in names)
    if inside := sum(file not in photos for file in within):
        log.warning(
            "%s: its photos are read by the boxes that JSON files beside them tell; %d pictures in "
            "folders within are left out; give those with a --data of their own", path, inside,
        )  # fmt: skip


def _path_and_label(text: str) -> tuple[Path, str]:
    """Return the two parts of PATH=label; a path may itself have an equals sign in it."""
    if not text.strip():
        raise UsageError(
            "the data is named by an empty text; is a variable in it not set? give a folder or an "
            "index.csv"
        )
    whole = expanded(text)
    name, _, label = (text, "", "") if whole.exists() else text.rpartition("=")
    path = expanded(name or text)
    if "$" in str(path) and not path.exists():
        raise UsageError(
            f"{text}: the environment variable in it is not set; set it or write a path"
        )
    if not path.exists():
        raise UnavailableError(f"{path}: no such file or folder; give an index.csv or its folder")
    return path, normalize("NFC", label) if name else ""


def usable(pictures: Sequence[Picture], unreadable: Unreadable) -> list[Picture]:
    """Return the pictures whose files can be read, as a recipe's `unreadable` says.

    refuse: files are only looked at, which takes a second for 20,000 of them; what is damaged
    within is told when its turn comes. skip: it is settled from here on which pictures there are,
    and picture number i is the same in every run; those left out are named in a warning each. Of a
    JPEG as cameras write them its header tells that, others are decoded for it. overlook: files are
    only looked at, and left out as with skip, without a word; what is damaged within may be among
    those that stay.

    Raises UnavailableError with the unreadable files, where they are refused or no other is left.
    """
    files = sorted({picture.file for picture in pictures})
    test, threads = check_ends, THREADS
    if unreadable == "skip":  # which keeps a core busy, and takes memory
        test, threads = check_readable, min(THREADS, os.cpu_count() or 1)
    told = _patiently(of_each(partial(_error_of, test=test), files, threads), len(files))
    errors = {file: error for file, error in zip(files, told, strict=True) if error}
    left = [picture for picture in pictures if picture.file not in errors]
    if errors and (unreadable == "refuse" or not left):
        raise _refusal(list(errors.values()))
    for file, error in errors.items():
        if unreadable == "skip":
            log.warning("%s: left out: %s", file, error.why)
    return _with_pixels(left, unreadable)


def _with_pixels(pictures: Sequence[Picture], unreadable: Unreadable) -> list[Picture]:
    """Return the pictures without boxes that lie beside their photo.

    Raises ConfigError with them where they are refused or no other is left.
    """
    files = sorted({picture.file for picture in pictures if picture.box})
    sizes = dict(zip(files, of_each(size_of, files), strict=True))
    left: list[Picture] = []
    out: list[Picture] = []
    for picture in pictures:
        size = sizes.get(picture.file) if picture.box else None
        (out if size and picture.is_beside(*size) else left).append(picture)
    named = some_of([f"{picture.file} {picture.box}" for picture in out])
    if out and (unreadable == "refuse" or not left):
        raise ConfigError([f"boxes that lie beside their photo: {named}"])
    if out and unreadable == "skip":
        log.warning("left out are boxes that lie beside their photo: %s", named)
    return left


def _error_of(file: Path, test: Callable[[Path], None]) -> UnreadableError | None:
    try:
        test(file)
    except UnreadableError as error:
        return error
    return None


def _patiently(told: Iterable[T], count: int) -> Iterator[T]:
    """Yield what is told of files, and say so once where that takes long."""
    silent_until_s = time.monotonic() + PATIENCE_S
    for one in told:
        if time.monotonic() > silent_until_s:
            log.warning("checking %d files: whether they can be read as pictures", count)
            silent_until_s = math.inf
        yield one


def _refusal(errors: Sequence[UnreadableError]) -> UnavailableError:
    if len(errors) == 1:
        return errors[0]
    lines = [f"{error.file}: {error.why}" for error in errors[:NAME_AT_MOST]]
    if len(errors) > NAME_AT_MOST:
        lines.append(f"and {len(errors) - NAME_AT_MOST} more")
    return UnavailableError(
        f"{len(errors)} files cannot be read as pictures; take them out of the data, or write "
        "`unreadable: skip` in the recipe:\n" + "\n".join(lines)
    )


def check_labels(pictures: Sequence[Picture], classes: Sequence[str]) -> None:
    """Raise ConfigError where a picture's label is no class."""
    known = set(classes)
    strange = next((picture for picture in pictures if picture.label not in known), None)
    if strange is not None:
        raise ConfigError(
            [f"{strange.file}: label '{strange.label}' is none of the classes "
             f"{', '.join(classes)}; take its pictures out, or write DATA=label to give all "
             "pictures of a folder one label"]
        )  # fmt: skip


def prints(pictures: Sequence[Picture]) -> list[str]:
    """Return of each picture a text that is the same wherever it lies: label, box and content.

    Of files what `fingerprints` takes, so that large photos are not read once more for it.
    """
    content = fingerprints(picture.file for picture in pictures)
    return [f"{p.label} {p.box} {content[p.file]}" for p in pictures]


def digest(lines: Sequence[str], in_order: bool = False) -> str:
    """Return sixteen hex digits over what `prints` says; the order matters if in_order."""
    lines = lines if in_order else sorted(lines)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def warn_of_doubles(pictures: Sequence[Picture]) -> None:
    """Tell how many pictures are given again, and name those that are there under two labels: one
    of them is wrong, but not which."""
    if again := len(pictures) - len(once(pictures)):
        log.warning("%d pictures are given once more, and count as often", again)
    content = fingerprints(picture.file for picture in pictures if picture.box is None)
    same: dict[str, dict[str, Path]] = defaultdict(dict)
    for picture in pictures:
        if picture.box is None:
            same[content[picture.file]].setdefault(picture.label, picture.file)
    twice = [files for files in same.values() if len(files) > 1]
    for files in twice[:NAME_AT_MOST]:
        (label, file), (other, copy) = list(files.items())[:2]
        log.warning("one picture, two labels: %s ('%s') and %s ('%s')", file, label, copy, other)
    if len(twice) > NAME_AT_MOST:
        log.warning("and %d more pictures with two labels", len(twice) - NAME_AT_MOST)


@dataclass(frozen=True)
class LeaveOut:
    """Rows that a fit must not see: those whose column has this value."""

    column: str
    value: str

    def kept(self, sources: Sequence[Sequence[Picture]]) -> list[list[Picture]]:
        """Return the sources without them, and without what else is of their groups: it shows the
        same. Raises UsageError where there is none of them.
        """
        everything = [picture for pictures in sources for picture in pictures]
        out = [picture for picture in everything if self._matches(picture)]
        if not out:
            raise UsageError(
                f"--leave-out {self.column}={self.value}: no picture has '{self.value}' in its "
                f"column '{self.column}'"
            )
        goes = seen_of(out, everything)
        if also := np.count_nonzero(goes) - len(out):
            log.warning(
                "%d more pictures are left out with %s=%s: they share a group or a photo with "
                "those, or are copies", also, self.column, self.value,
            )  # fmt: skip
        left = iter((~goes).tolist())
        return [[picture for picture in each if next(left)] for each in sources]

    def _matches(self, picture: Picture) -> bool:
        return picture.columns.get(self.column) == self.value


def read_pictures(texts: Sequence[str], only: str | None = None) -> list[Picture]:
    """Return the pictures of all DATA, only those with COLUMN=VALUE where that is given."""
    given = [picture for text in texts for picture in read_data(text)]
    given = given if only is None else those_with(only, given)
    pictures = once(given)
    if again := len(given) - len(pictures):
        log.warning("%d pictures are given once more, and count once", again)
    return pictures


def once(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures without those that are there already: by file, box and label."""
    first: dict[tuple[str, object, str], Picture] = {}
    for picture in pictures:
        first.setdefault((os.path.abspath(picture.file), picture.box, picture.label), picture)
    return list(first.values())


def those_with(only: str, pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures with COLUMN=VALUE. Raises UsageError where there is none."""
    column, value = column_and_value("--only", only)
    found = [picture for picture in pictures if picture.columns.get(column) == value]
    if not found:
        raise UsageError(f"--only {only}: no picture has '{value}' in its column '{column}'")
    return found


def column_and_value(option: str, text: str) -> tuple[str, str]:
    """Return the two parts of COLUMN=VALUE. Raises UsageError, with the option's name."""
    column, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{option} {text}: write COLUMN=VALUE, for example view=A")
    return column.strip(), value.strip()


def coarse_classes(pictures: Sequence[Picture]) -> dict[str, str]:
    """Return the coarse class of each label whose pictures say one."""
    return {p.label: p.columns["coarse"] for p in pictures if p.columns.get("coarse")}
