"""Labelled pictures: an index.csv, a folder of class folders, or boxes in whole shelf photos."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from edge.classifier import EMPTY
from edge.errors import ConfigError, UnavailableError, UsageError
from edge.types import Image
from trainer.recipe import Data

BOX_LABELS = {EMPTY, "stocked"}
"""Boxes with other labels are remarks of the one who drew them."""
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class Picture:
    """One labelled file, or a box in it. group names what pictures of the same thing share;
    columns has the rest of its row; box is x, y, width, height in pixels."""

    file: Path
    label: str
    group: str
    columns: dict[str, str]
    box: tuple[int, int, int, int] | None = None

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
        out = np.zeros(4) if rng is None else rng.uniform(-widen / 3, widen, 4)
        left, right = x - out[0] * wide, x + (1 + out[1]) * wide
        top, bottom = y - out[2] * high, y + (1 + out[3]) * high
        rows = slice(max(0, round(top)), max(1, round(bottom)))
        return pixels[rows, max(0, round(left)) : max(1, round(right))]


def read_pixels(file: Path) -> Image:
    """Return a file's pixels, upright, BGR. Raises UnavailableError where it is no picture."""
    pixels = cv2.imread(str(file))
    if pixels is None:
        raise UnavailableError(
            f"{file}: cannot be read as a picture; mend it, take it out of the data, or write "
            "`unreadable: skip` in the recipe"
        )
    return np.asarray(pixels, np.uint8)


class Pixels:
    """Reads pictures for training, and keeps the small ones: decoding must not be the limit.

    near: pixels that the shorter side needs at most; larger pictures are shrunk to it.
    """

    def __init__(self, near: int, keep_bytes: int = 2 << 30):
        self._near, self._room = near, keep_bytes
        self._kept: dict[Path, Image] = {}

    def of(self, picture: Picture) -> Image:
        """Return the pixels of the picture's whole file."""
        kept = self._kept.get(picture.file)
        if kept is not None:
            return kept
        pixels = read_pixels(picture.file)
        if picture.box is None:
            pixels = _shrunk(pixels, self._near)
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            self._kept[picture.file] = pixels
        return pixels


def _shrunk(pixels: Image, near: int) -> Image:
    scale = near / min(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def read_source(source: Data) -> list[Picture]:
    """Return the pictures of a recipe's source."""
    return read_data(source.data, source.split, source.only)


def read_data(text: str, split: str | None = None, only: Sequence[str] = ()) -> list[Picture]:
    """Return the pictures that DATA names: an index.csv, a folder with one, or class folders.

    `PATH=label` gives all of them that label; $NAME and ~ are expanded. Raises UnavailableError
    where something is missing, ConfigError where an index is wrong.
    """
    name, _, label = text.partition("=")
    path = Path(os.path.expandvars(name)).expanduser()
    if "$" in str(path):
        raise UsageError(
            f"{text}: the environment variable in it is not set; set it or write a path"
        )
    if not path.exists():
        raise UnavailableError(f"{path}: no such file or folder; give an index.csv or its folder")
    if path.is_dir() and (path / "index.csv").exists():
        path = path / "index.csv"
    if path.is_dir() and any(path.glob("*.json")):
        pictures = _from_boxes(path)
    else:
        pictures = _from_folders(path) if path.is_dir() else _from_index(path)
    if split is not None:
        pictures = [picture for picture in pictures if picture.columns.get("split") == split]
    if only:
        pictures = [picture for picture in pictures if picture.label in only]
    if not pictures:
        what = (f" of split '{split}'" if split else "") + (f" labelled {only}" if only else "")
        raise UnavailableError(f"{path}: no picture{what}")
    if label:
        return [replace(picture, label=label) for picture in pictures]
    return pictures


def _from_index(path: Path) -> list[Picture]:
    try:
        with path.open(newline="") as text:
            rows = csv.DictReader(text)
            missing = {"file", "label", "group"} - set(rows.fieldnames or ())
            if missing:
                raise ConfigError(
                    [f"{path}:1: no column {', '.join(sorted(missing))}; the first line must name "
                     "file,label,group"]
                )  # fmt: skip
            pictures, problems = [], []
            for row in rows:
                file = path.parent / (row["file"] or "")
                if not row["label"] or not row["group"]:
                    problems.append(f"{path}:{rows.line_num}: a row needs file, label and group")
                elif not file.is_file():
                    problems.append(f"{path}:{rows.line_num}: no such picture: {file}")
                else:
                    pictures.append(Picture(file, row["label"], row["group"], row))
    except (UnicodeDecodeError, csv.Error):
        raise ConfigError([f"{path}: not a CSV text; give an index.csv or a folder"]) from None
    if problems:
        more = [f"{path}: and {len(problems) - 5} more"] if len(problems) > 5 else []
        raise ConfigError(problems[:5] + more)
    return pictures


def _from_folders(path: Path) -> list[Picture]:
    return [
        Picture(file, folder.name, str(file.relative_to(path)), {})
        for folder in sorted(path.iterdir())
        if folder.is_dir()
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in ENDINGS
    ]


def _from_boxes(path: Path) -> list[Picture]:
    """Return the boxes of whole shelf photos, each described by a JSON file beside it."""
    pictures = []
    for file in sorted(path.glob("*.json")):
        try:
            scene = json.loads(file.read_bytes())
            if not isinstance(scene, dict) or "image" not in scene:
                continue  # it describes no photo
            photo, about = path / scene["image"], {"source": str(scene.get("source_image", ""))}
            pictures += [
                Picture(photo, b["label"], file.stem, about, (b["x"], b["y"], b["w"], b["h"]))
                for b in scene["boxes"]
                if b["label"] in BOX_LABELS
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError([f"{file}: not a description of boxes: {error!r}"]) from None
    return pictures


def check_labels(pictures: Sequence[Picture], classes: Sequence[str]) -> None:
    """Raise ConfigError where a picture's label is no class."""
    strange = sorted({picture.label for picture in pictures} - set(classes))
    if strange:
        raise ConfigError(
            [f"{pictures[0].file.parent}: label '{strange[0]}' is none of the classes "
             f"{', '.join(classes)}; write DATA=label to give all of its pictures one label"]
        )  # fmt: skip


def digest(pictures: Sequence[Picture]) -> str:
    """Return sixteen hex digits over labels and file contents; the order does not matter."""
    lines = sorted(
        f"{picture.label} {hashlib.sha256(picture.file.read_bytes()).hexdigest()}"
        for picture in pictures
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LeaveOut:
    """Rows that a fit must not see: those whose column has this value."""

    column: str
    value: str

    def kept(self, sources: Sequence[Sequence[Picture]]) -> list[list[Picture]]:
        """Return the sources without them, and without what else was cut from the same photo."""
        out = [p for pictures in sources for p in pictures if self._matches(p)]
        photos = {picture.columns["source"] for picture in out if "source" in picture.columns}
        return [
            [p for p in each if not self._matches(p) and p.columns.get("source") not in photos]
            for each in sources
        ]

    def _matches(self, picture: Picture) -> bool:
        return picture.columns.get(self.column) == self.value
