"""Pictures by a folder of class folders."""

from __future__ import annotations

import logging
import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from edge.classifier import EMPTY, OCCUPANCY
from edge.errors import ConfigError, UnavailableError
from trainer.picture import Picture
from trainer.walk import is_garbled, is_hidden, walk
from trainer.wording import some_of

log = logging.getLogger(__name__)

PART = re.compile(r"(?<![a-z])(?:(train(?:ing)?)|val(?:id(?:ation)?)?|test(?:ing)?)(?![a-z])", re.I)
"""What folders of a data set are called that is parted already, as 1.Training; group 1: the one for
learning."""
Folders = Mapping[tuple[str, ...], Sequence[str]]
"""The names of the pictures in each folder that has some, by the folder's parts."""


def from_folders(path: Path, label: str) -> list[Picture]:
    """Return the pictures below a folder, each labelled with its class folder's name.

    Classes are the first level's folders, if one of them holds pictures itself or is called
    `empty`. Else each folder that holds pictures is a class, however deep it lies: product photos
    are often exported as Training/snacks/8801019606557_choco-pie/0001.jpg.

    label: stands in for all classes, so that pictures need no class folder.
    """
    folders = {here.relative_to(path).parts: names for here, names in walk(path)}
    flat = any(len(parts) == 1 or EMPTY in parts[:1] for parts in folders)
    if not label:
        _remark_folders(path, folders, flat)
        folders.pop((), None)
    level = 0 if flat else -1
    labels = {parts: label or normalize("NFC", parts[level]) for parts in folders}
    return [
        Picture(path.joinpath(*parts), labels[parts[:-1]], "/".join(parts), {})
        for parts in sorted((*inside, name) for inside, names in folders.items() for name in names)
    ]


def _remark_folders(path: Path, folders: Folders, flat: bool) -> None:
    """Tell what lies in no class folder, and which class folder has no picture.

    Raises UnavailableError where there is no class folder, ConfigError where a name is garbled.
    """
    loose = len(folders.get((), ()))
    if folders.keys() == {()}:
        raise UnavailableError(
            f"{path}: its pictures lie in no class folder; make a folder for each class, or write "
            f"{path}=label to give all of them one"
        )
    if loose:
        log.warning("%s: %d pictures lie in no class folder and are left out", path, loose)
    inside = sorted(folders.keys() - {()})
    for parts in inside:
        if is_garbled(parts[0 if flat else -1]):
            raise ConfigError(
                [f"{str(path.joinpath(*parts))!a}: the folder's name is no UTF-8; unpack the "
                 "archive again, for example with unzip -O cp949"]
            )  # fmt: skip
    if flat:
        full = {parts[0] for parts in inside}
        for folder in sorted(path.iterdir()):
            if folder.is_dir() and not is_hidden(folder.name) and folder.name not in full:
                log.warning("%s: no picture in it, so it is no class", folder)
        _warn_of_joined(path, inside)
    else:
        _warn_of_strays(path, folders)
        _warn_of_parts(path, inside)


def _warn_of_joined(path: Path, folders: Sequence[tuple[str, ...]]) -> None:
    """Name the classes that are but folders of folders: those may have been meant as classes.

    One picture or an `empty` on the first level is enough to have them joined.
    """
    inner: dict[str, set[str]] = defaultdict(set)
    for parts in folders:
        inner[parts[0]].add("/".join(parts[1:]))
    for name in sorted(inner.keys() - OCCUPANCY):
        below = sorted(inner[name] - {""})
        if len(below) > 1:
            deep = any("/" in each for each in below)
            log.warning(
                "class '%s' joins the folders %s; if these are products move them %s",
                name, some_of(below), f"up into {path}" if deep else "one level up",
            )  # fmt: skip


def _warn_of_strays(path: Path, folders: Folders) -> None:
    """Name the classes whose folder holds those of others: a cover picture, left there by chance,
    makes one of a whole shelf."""
    above = {parts[:depth] for parts in folders for depth in range(1, len(parts))}
    for parts in sorted(above & folders.keys()):
        names = sorted(folders[parts])
        log.warning(
            "class '%s' is what lies beside the folders of other classes in %s: %s; take out "
            "what is no picture of one",
            parts[-1], path.joinpath(*parts), some_of(names),
        )  # fmt: skip


def _warn_of_parts(path: Path, folders: Sequence[tuple[str, ...]]) -> None:
    """Say that Training/.../cola and Validation/.../cola are one class, and how to part them."""
    learning: dict[Path, set[str]] = defaultdict(set)
    others: dict[Path, set[str]] = defaultdict(set)
    for parts in folders:
        for depth, name in enumerate(parts[:-1], 1):
            if found := PART.search(name):
                classes = learning if found[1] else others
                classes[path.joinpath(*parts[:depth])].add(parts[-1])
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
