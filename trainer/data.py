"""Labelled pictures: an index.csv or a folder of class folders, and the mixture a net is fed.

Picture number i of a mixture is a function of the recipe and i alone. So a run that was stopped
goes on with exactly the pictures it would have seen, and two runs of one recipe see the same.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.classifier import EMPTY
from edge.errors import ConfigError, UnavailableError, UsageError
from edge.preprocess import to_batch
from edge.types import Image
from trainer import augment, draw
from trainer.recipe import Data, Recipe

T = TypeVar("T")
Make = Callable[[Generator], Image]

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

    def read(self, rng: Generator | None = None, widen: float = 0.0) -> Image:
        """Return the picture, or its box with each side moved outwards by up to `widen` of it.

        People draw slots loosely: a box shows slivers of its neighbours, of rail and of tag.
        """
        pixels = cv2.imread(str(self.file))
        if pixels is None:
            raise UnavailableError(
                f"{self.file}: cannot be read as a picture; mend it or take it out of the data"
            )
        image = np.asarray(pixels, np.uint8)
        if self.box is None:
            return image
        x, y, wide, high = self.box
        out = np.zeros(4) if rng is None else rng.uniform(-widen / 3, widen, 4)
        left, right = x - out[0] * wide, x + (1 + out[1]) * wide
        top, bottom = y - out[2] * high, y + (1 + out[3]) * high
        rows = slice(max(0, round(top)), max(1, round(bottom)))
        return image[rows, max(0, round(left)) : max(1, round(right))]


def read_data(text: str, split: str | None = None) -> list[Picture]:
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
    if not pictures:
        raise UnavailableError(f"{path}: no picture" + (f" of split '{split}'" if split else ""))
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


class Mixture:
    """Photos of several sources, drawn slots and altered slots, in the recipe's shares.

    Each class is picked as often as any other: the prior of a training set is nobody's shop.
    """

    def __init__(self, recipe: Recipe, sources: Sequence[Data], leave_out: LeaveOut | None = None):
        self.recipe = recipe
        photos = [read_data(source.data, source.split) for source in sources]
        self.photos = leave_out.kept(photos) if leave_out else photos
        for pictures in self.photos:
            check_labels(pictures, recipe.classes)
        everything = [picture for pictures in self.photos for picture in pictures]
        self.goods = [picture for picture in everything if picture.label != EMPTY]
        self.empties = [picture for picture in everything if picture.label == EMPTY]
        if recipe.altered and not self.empties:
            raise ConfigError(["altered: there is no photo of an empty slot that could be altered"])
        self._kinds = {label: self._kinds_of(label, sources) for label in recipe.classes}

    def digest(self) -> str:
        return digest([picture for pictures in self.photos for picture in pictures])

    def image(self, i: int, augmented: bool = True) -> tuple[Image, str]:
        """Return picture number i and its label."""
        rng = np.random.default_rng((self.recipe.seed, i))
        label = _choose(self.recipe.classes, rng)
        kinds, limits = self._kinds[label]
        make, may_crop = kinds[int(np.searchsorted(limits, rng.random(), side="right"))]
        image = make(rng)
        if augmented and self.recipe.augment:
            image = augment.vary(image, rng, may_crop)
        return image, label

    def _kinds_of(
        self, label: str, sources: Sequence[Data]
    ) -> tuple[list[tuple[Make, float]], NDArray[np.float64]]:
        """Return the ways to come by a picture of a class, and where each one's share ends.

        With each way goes how much of a side may be cut off: of a slot little, of goods much.
        """
        kinds: list[tuple[Make, float]] = []
        shares: list[float] = []
        for source, pictures in zip(sources, self.photos, strict=True):
            same = [picture for picture in pictures if picture.label == label]
            if same:
                kinds.append((partial(_photo, same, source.widen), source.may_crop))
                shares.append(source.share)
        for share, make in ((self.recipe.drawn, self._drawn), (self.recipe.altered, self._altered)):
            if share:
                kinds.append((partial(make, stocked=label != EMPTY), 0.06))
                shares.append(share)
        if not shares:
            raise UsageError(
                f"there is no picture of the class '{label}' to learn from; name data in the "
                "recipe or with --data"
            )
        return kinds, np.cumsum(shares) / sum(shares)

    def _drawn(self, rng: Generator, stocked: bool) -> Image:
        return draw.slot(rng, stocked, self._print(rng))

    def _altered(self, rng: Generator, stocked: bool) -> Image:
        return draw.alter(_choose(self.empties, rng).read(), rng, stocked, self._print(rng))

    def _print(self, rng: Generator) -> Image | None:
        """A photo of goods, for what is printed on drawn ones."""
        return _choose(self.goods, rng).read() if self.goods and rng.random() < 0.7 else None


def _photo(pictures: Sequence[Picture], widen: float, rng: Generator) -> Image:
    return _choose(pictures, rng).read(rng, widen)


def _choose(items: Sequence[T], rng: Generator) -> T:
    return items[int(rng.integers(len(items)))]


def batches(
    mixture: Mixture, first: int, last: int, threads: int = 2
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield the batches number first to last - 1, made a little ahead in threads.

    Threads suffice, and an error in one arrives as itself: OpenCV and torch let go of the lock.
    """
    recipe = mixture.recipe
    column = {name: index for index, name in enumerate(recipe.classes)}

    def make(number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        drawn = [mixture.image(number * recipe.batch + k) for k in range(recipe.batch)]
        labels = np.array([column[label] for _, label in drawn])
        return to_batch([image for image, _ in drawn], recipe.input_size), labels

    cv2.setNumThreads(1)  # a small picture is not worth OpenCV's own threads
    with ThreadPoolExecutor(threads) as pool:
        ahead = [pool.submit(make, n) for n in range(first, min(first + 2 * threads, last))]
        for number in range(first, last):
            yield ahead.pop(0).result()
            if number + 2 * threads < last:
                ahead.append(pool.submit(make, number + 2 * threads))
