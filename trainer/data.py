"""Labelled pictures: an index.csv, a folder of class folders, or boxes in whole shelf photos."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
from numpy.random import Generator

from edge.classifier import EMPTY, OCCUPANCY
from edge.errors import ConfigError, UnavailableError, UsageError
from edge.types import Image
from trainer.decode import (
    THREADS,
    UnreadableError,
    fingerprints,
    look,
    read_pixels,
)
from trainer.recipe import Data
from trainer.walk import count_archives, is_hidden, walk

log = logging.getLogger(__name__)

BOX_LABELS = {EMPTY, "stocked"}
"""Boxes with other labels are remarks of the one who drew them."""
NEEDED_COLUMNS = ("file", "label", "group")
KNOWN_COLUMNS = {*NEEDED_COLUMNS, "source", "split"}
Unreadable = Literal["refuse", "skip"]
NAME_AT_MOST = 5
"""So many files are named in one message."""
UNPACK = "unpack first (for Korean names: unzip -O cp949 FILE), and give the folder"


@dataclass(frozen=True)
class Picture:
    """One labelled file, or a box in it. group names what pictures of the same thing share in their
    data set; columns has the rest of its row; box is x, y, width, height in pixels; data_set is
    the folder where that lies, the same however its DATA is spelled: indexes in one folder, such as
    train.csv and val.csv, are of one data set."""

    file: Path
    label: str
    group: str
    columns: dict[str, str]
    box: tuple[int, int, int, int] | None = None
    data_set: str = ""

    def read(self) -> Image:
        """Return the picture, or its box. Raises UnavailableError where the file is no picture."""
        return self.cut(read_pixels(self.file))

    def cut(self, pixels: Image, rng: Generator | None = None, widen: float = 0.0) -> Image:
        """Return its box out of its file's pixels, each side moved out by up to `widen` of it.

        People draw slots loosely: a box shows slivers of its neighbours, of rail and of tag.
        """
        if self.box is None:
            return pixels
        x, y, wide, high = self.box
        down, across = pixels.shape[:2]
        if min(x + wide, across) <= max(x, 0) or min(y + high, down) <= max(y, 0):
            raise ConfigError([f"{self.file}: its box {self.box} lies beside the photo"])
        out = np.zeros(4) if rng is None else rng.uniform(-widen / 3, widen, 4)
        left, right = round(x - out[0] * wide), round(x + (1 + out[1]) * wide)
        top, bottom = round(y - out[2] * high), round(y + (1 + out[3]) * high)
        left, top = min(max(0, left), across - 1), min(max(0, top), down - 1)
        return pixels[top : max(top + 1, bottom), left : max(left + 1, right)]


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
        pictures = _from_boxes(path) or _from_folders(path, label)
    elif path.is_file():
        pictures = _from_index(path)
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
    return [replace(p, label=label or p.label, data_set=data_set) for p in pictures]


def _path_and_label(text: str) -> tuple[Path, str]:
    """Return the two parts of PATH=label; a path may itself have an equals sign in it."""
    if not text.strip():
        raise UsageError(
            "the data is named by an empty text; is a variable in it not set? give a folder or an "
            "index.csv"
        )
    whole = Path(os.path.expandvars(text)).expanduser()
    name, _, label = (text, "", "") if whole.exists() else text.rpartition("=")
    path = Path(os.path.expandvars(name or text)).expanduser()
    if "$" in str(path) and not path.exists():
        raise UsageError(
            f"{text}: the environment variable in it is not set; set it or write a path"
        )
    if not path.exists():
        raise UnavailableError(f"{path}: no such file or folder; give an index.csv or its folder")
    return path, normalize("NFC", label) if name else ""


def _on_disk(folder: Path, name: str) -> Path | None:
    """Return a file by its name, in Unicode's other normal form where the disk has it in that.

    None where there is none. Macs write the parts of a Korean letter one by one, and so do their
    archives.
    """
    spellings = (name, normalize("NFC", name), normalize("NFD", name))
    return next((file for each in spellings if (file := folder / each).is_file()), None)


def usable(pictures: Sequence[Picture], unreadable: Unreadable) -> list[Picture]:
    """Return the pictures whose files can be read, as a recipe's `unreadable` says.

    refuse: files are only looked at, which takes a second for 20,000 of them; what is damaged
    within is told when its turn comes. skip: each file is decoded once, so that from here on it is
    settled which pictures there are, and picture number i is the same in every run; those left out
    are named in a warning each.

    Raises UnavailableError with the unreadable files, where they are refused or no other is left.
    """
    files = sorted({picture.file for picture in pictures})
    decoding = unreadable == "skip"  # which keeps a core busy, and takes memory
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1) if decoding else THREADS) as pool:
        told = pool.map(partial(_error_of, decoded=decoding), files)
        errors = {file: error for file, error in zip(files, told, strict=True) if error}
    left = [picture for picture in pictures if picture.file not in errors]
    if errors and (unreadable == "refuse" or not left):
        raise _refusal(list(errors.values()))
    for file, error in errors.items():
        log.warning("%s: left out: %s", file, error.why)
    return left


def _error_of(file: Path, decoded: bool) -> UnreadableError | None:
    try:
        if decoded:
            read_pixels(file, near=1)
        else:
            look(file)
    except UnreadableError as error:
        return error
    return None


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


def _from_index(path: Path) -> list[Picture]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            rows = csv.DictReader(text)
            rows.fieldnames = _headings(path, rows.fieldnames or ())
            return _from_rows(path, rows)
    except (UnicodeDecodeError, csv.Error):
        raise ConfigError(
            [f"{path}: not a CSV text in UTF-8 (in Excel: save as 'CSV UTF-8'); give an index.csv "
             "or a folder"]
        ) from None  # fmt: skip


def _headings(path: Path, first_line: Sequence[str]) -> list[str]:
    """Return the columns' names, those that mean something here in small letters."""
    names = [name.strip() for name in first_line]
    names = [name.lower() if name.lower() in KNOWN_COLUMNS else name for name in names]
    missing = [name for name in NEEDED_COLUMNS if name not in names]
    if not missing:
        return names
    for letter, called in ((";", "';'"), ("\t", "tabs")):
        if any(letter in name for name in first_line):
            raise ConfigError(
                [f"{path}:1: its columns are separated by {called}; save it separated by commas "
                 "(in Excel: as 'CSV UTF-8'; or replace each in a text editor)"]
            )  # fmt: skip
    raise ConfigError(
        [f"{path}:1: no column {', '.join(sorted(missing))}; the first line must name "
         "file,label,group"]
    )  # fmt: skip


def _from_rows(path: Path, rows: csv.DictReader[str]) -> list[Picture]:
    pictures: list[Picture] = []
    problems: list[str] = []
    again = 0
    bare_lines: list[str] = []  # of nothing but commas, as Excel writes them among others
    labels: dict[str, str] = {}
    for row in rows:
        where = f"{path}:{rows.line_num}"
        missing = [name for name in NEEDED_COLUMNS if not (row[name] or "").strip()]
        found = _on_disk(path.parent, row["file"] or "")
        file = found or path.parent / (row["file"] or "")
        name = os.path.normpath(file)  # ./a.png is a.png
        label = normalize("NFC", row["label"] or "")
        if missing:
            lacks = " and no ".join(missing)
            said = f"{where}: a row needs file, label and group; this one has no {lacks}"
            bare = not any("".join(cell or "").strip() for cell in row.values())
            (bare_lines if bare else problems).append(said)
        elif not found:
            problems.append(f"{where}: no such picture: {file}")
        elif labels.get(name, label) != label:
            problems.append(f"{where}: {file} has the label '{labels[name]}' already")
        elif name in labels:
            again += 1
        else:
            labels[name] = label
            pictures.append(Picture(file, label, row["group"], row))
    if again:
        log.warning("%s: %d rows name a picture once more, which counts once", path, again)
    problems = problems or ([] if pictures else bare_lines)
    if problems:
        more = [f"{path}: and {len(problems) - 5} more"] if len(problems) > 5 else []
        raise ConfigError(problems[:5] + more)
    return pictures


def _from_folders(path: Path, label: str) -> list[Picture]:
    """Return the pictures below a folder, each labelled with its class folder's name.

    Classes are the first level's folders, if one of them holds pictures itself or is called
    `empty`. Else each folder that holds pictures is a class, however deep it lies: product photos
    are often exported as Training/snacks/8801019606557_choco-pie/0001.jpg.

    label: stands in for all classes, so that pictures need no class folder.
    """
    files = [(file, file.relative_to(path).parts) for file in sorted(walk(path))]
    tops = {parts[0] for _, parts in files if len(parts) > 1}
    flat = EMPTY in tops or any(len(parts) == 2 for _, parts in files)
    if not label:
        _remark_folders(path, files, flat)
        files = [(file, parts) for file, parts in files if len(parts) > 1]
    level = 0 if flat else -2
    return [
        Picture(file, label or normalize("NFC", parts[level]), "/".join(parts), {})
        for file, parts in files
    ]


def _remark_folders(path: Path, files: Sequence[tuple[Path, tuple[str, ...]]], flat: bool) -> None:
    """Tell what lies in no class folder, and which class folder has no picture.

    Raises UnavailableError where there is no class folder, ConfigError where a name is garbled.
    """
    loose = sum(len(parts) == 1 for _, parts in files)
    if files and loose == len(files):
        raise UnavailableError(
            f"{path}: its pictures lie in no class folder; make a folder for each class, or write "
            f"{path}=label to give all of them one"
        )
    if loose:
        log.warning("%s: %d pictures lie in no class folder and are left out", path, loose)
    for file, parts in files:
        if len(parts) > 1 and is_garbled(parts[0 if flat else -2]):
            raise ConfigError(
                [f"{str(file.parent)!a}: the folder's name is no UTF-8; unpack the archive again, "
                 "for example with unzip -O cp949"]
            )  # fmt: skip
    full = {parts[0] for _, parts in files}
    if flat:
        for folder in sorted(path.iterdir()):
            if folder.is_dir() and not is_hidden(folder.name) and folder.name not in full:
                log.warning("%s: no picture in it, so it is no class", folder)
        _warn_of_joined(path, [parts for _, parts in files if len(parts) > 1])


def _warn_of_joined(path: Path, files: Sequence[tuple[str, ...]]) -> None:
    """Name the classes that are but folders of folders: those may have been meant as classes.

    One picture or an `empty` on the first level is enough to have them joined.
    """
    inner: dict[str, set[str]] = defaultdict(set)
    for parts in files:
        inner[parts[0]].add("/".join(parts[1:-1]))
    for name in sorted(inner.keys() - OCCUPANCY):
        below = sorted(inner[name])
        if len(below) > 1 and "" not in below:
            named = ", ".join(below[:NAME_AT_MOST])
            more = f" and {len(below) - NAME_AT_MOST} more" if len(below) > NAME_AT_MOST else ""
            deep = any("/" in each for each in below)
            log.warning(
                "class '%s' joins the folders %s%s; if these are products move them %s",
                name, named, more, f"up into {path}" if deep else "one level up",
            )  # fmt: skip


def is_garbled(name: str) -> bool:
    """Return whether a name on the disk has bytes that are no UTF-8."""
    return any("\udc80" <= letter <= "\udcff" for letter in name)


def _from_boxes(path: Path) -> list[Picture]:
    """Return the boxes of whole shelf photos, each described by a JSON file beside it."""
    pictures = []
    for file in sorted(path.glob("*.json")):
        scene = _scene(file)
        if scene is not None:
            photo = _on_disk(path, scene["image"]) or path / scene["image"]
            about = {"source": str(scene.get("source_image", ""))}
            pictures += [
                Picture(photo, label, file.stem, about, box)
                for label, box in _boxes(file, scene["boxes"])
            ]
    return pictures


def _scene(file: Path) -> dict[str, Any] | None:
    """Return what a file says of a photo and its boxes; None where it is about something else."""
    try:
        scene = json.loads(file.read_bytes()) if file.is_file() else None
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested too deeply
        return None
    if not isinstance(scene, dict) or not isinstance(scene.get("image"), str):
        return None
    return scene if isinstance(scene.get("boxes"), list) else None


def _boxes(file: Path, boxes: Sequence[Any]) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Return label and sides of each box that is learnt from."""
    found = []
    for number, box in enumerate(boxes, 1):
        try:
            label = box["label"]
            if label in BOX_LABELS:
                found.append((label, _sides(box)))
        except (ValueError, KeyError, TypeError, OverflowError):
            raise ConfigError(
                [f"{file}: not a description of boxes: box {number} needs a label and the numbers "
                 "x, y, w, h"]
            ) from None  # fmt: skip
    return found


def _sides(box: Mapping[str, Any]) -> tuple[int, int, int, int]:
    x, y, wide, high = (int(box[side]) for side in "xywh")
    return x, y, wide, high


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


def digest(pictures: Sequence[Picture]) -> str:
    """Return sixteen hex digits over labels, boxes and files; the order does not matter.

    Of files what `fingerprints` takes, so that large photos are not read once more for it.
    """
    content = fingerprints(picture.file for picture in pictures)
    lines = sorted(f"{p.label} {p.box} {content[p.file]}" for p in pictures)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def warn_of_contradictions(pictures: Sequence[Picture]) -> None:
    """Name a picture that is there under two labels: one of them is wrong, but not which."""
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

    def kept(
        self, sources: Sequence[Sequence[Picture]], whole_groups: bool = False
    ) -> list[list[Picture]]:
        """Return the sources without them, and without what else was cut from the same photo.

        whole_groups: also without what else is of their groups. Raises UsageError where there is
        none of them.
        """
        out = [p for pictures in sources for p in pictures if self._matches(p)]
        if not out:
            raise UsageError(
                f"--leave-out {self.column}={self.value}: no picture has '{self.value}' in its "
                f"column '{self.column}'"
            )
        photos = {photo for picture in out if (photo := picture.columns.get("source"))}
        groups = {(p.data_set, p.group) for p in out} if whole_groups else set()

        def stays(picture: Picture) -> bool:
            parted = picture.columns.get("source") not in photos
            return parted and (picture.data_set, picture.group) not in groups

        return [[p for p in each if not self._matches(p) and stays(p)] for each in sources]

    def _matches(self, picture: Picture) -> bool:
        return picture.columns.get(self.column) == self.value
