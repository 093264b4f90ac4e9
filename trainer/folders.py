"""Pictures by a folder of class folders."""

from __future__ import annotations

import logging
import re
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from edge.classifier import EMPTY, OCCUPANCY
from edge.errors import ConfigError, UnavailableError
from trainer.picture import NAME_AT_MOST, Picture
from trainer.walk import is_garbled, is_hidden, walk

log = logging.getLogger(__name__)

PART = re.compile(r"(?<![a-z])(?:(train(?:ing)?)|val(?:id(?:ation)?)?|test(?:ing)?)(?![a-z])", re.I)
"""What folders of a data set are called that is parted already, as 1.Training; group 1: the one for
learning."""


def from_folders(path: Path, label: str) -> list[Picture]:
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
    else:
        _warn_of_parts(path, [parts for _, parts in files])


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


def _warn_of_parts(path: Path, files: Sequence[tuple[str, ...]]) -> None:
    """Say that Training/.../cola and Validation/.../cola are one class, and how to part them."""
    learning: dict[Path, set[str]] = defaultdict(set)
    others: dict[Path, set[str]] = defaultdict(set)
    for parts in files:
        for depth, name in enumerate(parts[:-2], 1):
            if found := PART.search(name):
                classes = learning if found[1] else others
                classes[path.joinpath(*parts[:depth])].add(parts[-2])
                break
    joined = set[str]().union(*learning.values()) & set[str]().union(*others.values())
    if joined:
        learn = " ".join(f"--data {shlex.quote(str(folder))}" for folder in learning)
        ask = ", ".join(f'{{data: "{folder}"}}' for folder in others)
        log.warning(
            "folders to learn from and folders to measure on are joined, class by class, as '%s' "
            "(%d in all); to keep them apart: %s --set %s",
            min(joined), len(joined), learn, shlex.quote(f"held_out=[{ask}]"),
        )  # fmt: skip
