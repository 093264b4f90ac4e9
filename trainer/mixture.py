"""What a net is fed: photos once an epoch, or a balanced mixture of photos and drawn slots.

Picture number i is a function of the recipe and i alone. So a run that was stopped goes on with
exactly the pictures it would have seen, two runs of one recipe see the same, and so do several
processes that share one run.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from edge.classifier import EMPTY
from edge.errors import ConfigError, UsageError
from edge.preprocess import to_batch
from edge.types import Image
from trainer import drawn
from trainer.augment import vary
from trainer.data import (
    LeaveOut,
    Unreadable,
    check_labels,
    digest,
    prints,
    read_source,
    warn_of_doubles,
)
from trainer.hold_out import hold_out
from trainer.picture import Picture
from trainer.pixels import Pixels
from trainer.recipe import Data, Recipe, check_choice
from trainer.series import in_series
from trainer.wording import some_of

log = logging.getLogger(__name__)

T = TypeVar("T")
Make = Callable[["Mixture", Generator], Image]
"""Not bound to its mixture: a circle would keep the pixels of each fit of a study for long."""
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

FEWEST_THREADS, MOST_THREADS = 2, 8
"""That make pictures: as many as torch may use, so that one core's work does not hold up a GPU."""
GOODS_MAY_CROP = 0.06
"""How much of a side a drawn slot may lose: its edges were drawn on purpose."""


class Mixture:
    """The endless row of a recipe's training pictures.

    photos: a list for each source; held_out: what the run is measured on, and never shown;
    left_out: the rows that photos are already without.
    """

    def __init__(
        self,
        recipe: Recipe,
        photos: Sequence[Sequence[Picture]],
        held_out: Sequence[Picture] = (),
        left_out: LeaveOut | None = None,
    ):
        self.photos = [list(pictures) for pictures in photos]
        self.held_out = list(held_out)
        self.left_out = left_out
        self._everything = [
            (picture, source)
            for source, pictures in zip(recipe.data, photos, strict=True)
            for picture in pictures
        ]
        self.pictures = pictures = [picture for picture, _ in self._everything]
        self.recipe = recipe.with_classes([picture.label for picture in pictures])
        check_labels(pictures, self.recipe.classes)
        self.goods = [picture for picture in pictures if picture.label != EMPTY]
        self.empties = [picture for picture in pictures if picture.label == EMPTY]
        if recipe.altered and not self.empties:
            raise ConfigError(["altered: there is no photo of an empty slot that could be altered"])
        if recipe.drawn and not self.empties:
            log.warning(
                "there is no photo of an empty slot to learn from: drawn ones alone say what "
                "'%s' is, and no figure says how well; add some of your own", EMPTY,
            )  # fmt: skip
        starts = [0.0, *(start for start, _ in recipe.train_sizes)]
        largest = max(recipe.input_size, *(made_at(recipe, start) for start in starts))
        self._pixels = Pixels(near=2 * largest)
        if not pictures and not recipe.balanced:
            raise UsageError("there is no picture to learn from; name data in the recipe or --data")
        labels = {picture.label for picture in pictures}
        if not recipe.balanced:
            check_choice(labels)
        check_shown(self.recipe, labels)
        if recipe.balanced:
            self._kinds = {label: self._kinds_of(label) for label in self.recipe.classes}

    @property
    def steps(self) -> int:
        """How many steps the recipe's training takes."""
        recipe = self.recipe
        if recipe.steps is not None:
            return recipe.steps
        return max(1, math.ceil((recipe.epochs or 0) * len(self._everything) / recipe.batch))

    @property
    def epoch_steps(self) -> int:
        """After how many steps it is time to look how far training is."""
        if self.recipe.epochs is None:
            return max(1, self.steps // 20)
        return max(1, round(len(self._everything) / self.recipe.batch))

    def epochs_after(self, step: int) -> float:
        """Return how often everything was seen; of what has no end, a twentieth counts as once."""
        if self.recipe.epochs is None:
            return step / self.epoch_steps
        return step * self.recipe.batch / len(self._everything)

    @property
    def shares(self) -> dict[str, float] | None:
        """How many of the photos show what, by label; None where all slots are drawn."""
        counts = Counter(picture.label for picture in self.pictures)
        shares = {label: count / len(self.pictures) for label, count in counts.items()}
        return shares or None

    def describe(self) -> str:
        """Return in one line what there is to learn, and to measure on."""
        counts = Counter(picture.label for picture in self.pictures)
        classes = [f"{name} {counts[name] or 'drawn'}" for name in self.recipe.classes]
        said = f"{len(self.pictures)} pictures of {len(classes)} classes"
        if self.held_out:
            said += f", {len(self.held_out)} more held out"
        return f"{said}: {some_of(classes, 12)}"

    @cached_property
    def _fingerprints(self) -> list[str]:
        return prints(self.pictures)

    def digest(self) -> str:
        return digest(self._fingerprints)

    def order_digest(self) -> str:
        """Return a digest that differs also where the same pictures are numbered otherwise."""
        return digest(self._fingerprints, in_order=True)

    def image(self, i: int, augmented: bool = True) -> tuple[Image, str]:
        """Return picture number i and its label."""
        rng = np.random.default_rng((self.recipe.seed, i))
        image, may_crop, label = self._pick(i, rng)
        if augmented:
            image = vary(image, rng, self.recipe, may_crop)
        return image, label

    def _pick(self, i: int, rng: Generator) -> tuple[Image, float, str]:
        if not self.recipe.balanced:
            picture, source = self._everything[self.photo_number(i)]
            return self._photo(rng, [picture], source), source.may_crop, picture.label
        label = _choose(self.recipe.classes, rng)
        kinds, limits = self._kinds[label]
        make, may_crop = kinds[int(np.searchsorted(limits, rng.random(), side="right"))]
        return make(self, rng), may_crop, label

    def photo_number(self, i: int) -> int:
        """Return which of `pictures` picture number i shows, where each comes once an epoch."""
        epoch, place = divmod(i, len(self._everything))
        return int(_shuffled(self.recipe.seed, epoch, len(self._everything))[place])

    def _kinds_of(self, label: str) -> tuple[list[tuple[Make, float]], NDArray[np.float64]]:
        """Return the ways to come by a picture of a class, and where each one's share ends.

        With each way goes how much of a side may be cut off: of a slot little, of goods much.
        """
        kinds: list[tuple[Make, float]] = []
        shares: list[float] = []
        for source, pictures in zip(self.recipe.data, self.photos, strict=True):
            same = [picture for picture in pictures if picture.label == label]
            if same:
                kinds.append(
                    (partial(Mixture._photo, pictures=same, source=source), source.may_crop)
                )
                shares.append(source.share)
        recipe = self.recipe
        if _may_draw(recipe, label):
            drawn = ((recipe.drawn, Mixture._drawn), (recipe.altered, Mixture._altered))
            for share, make in drawn:
                if share:
                    kinds.append((partial(make, stocked=label != EMPTY), GOODS_MAY_CROP))
                    shares.append(share)
        return kinds, np.cumsum(shares) / sum(shares)

    def _photo(self, rng: Generator, pictures: Sequence[Picture], source: Data) -> Image:
        picture = _choose(pictures, rng) if len(pictures) > 1 else pictures[0]
        return picture.cut(self._pixels_of(picture), rng, source.widen)

    def _pixels_of(self, picture: Picture) -> Image:
        return self._pixels.of(picture.file, whole=picture.box is not None)

    def _drawn(self, rng: Generator, stocked: bool) -> Image:
        return drawn.slot(rng, stocked, self._artwork(rng))

    def _altered(self, rng: Generator, stocked: bool) -> Image:
        empty = _choose(self.empties, rng)
        return drawn.alter(empty.cut(self._pixels_of(empty)), rng, stocked, self._artwork(rng))

    def _artwork(self, rng: Generator) -> Image | None:
        """A photo of goods, for what is printed on drawn ones."""
        if not self.goods or rng.random() >= 0.7:
            return None
        goods = _choose(self.goods, rng)
        return goods.cut(self._pixels_of(goods))


def open_mixture(
    recipe: Recipe, left_out: LeaveOut | None = None, unreadable: Unreadable | None = None
) -> Mixture:
    """Return what a recipe's net is fed, and what it keeps back: `hold_out` of it, and `held_out`.

    unreadable: stands in for the recipe's. Raises where data is missing or wrong.
    """
    unreadable = unreadable or recipe.unreadable
    photos = [read_source(source, unreadable) for source in recipe.data]
    if recipe.series and (recipe.hold_out or left_out or recipe.optimizer == "logistic"):
        photos = in_series(photos)
    everything = [picture for pictures in photos for picture in pictures]
    warn_of_doubles(everything)
    held_out: list[Picture] = []
    if recipe.hold_out:  # before rows are left out, so that an export finds the same ones
        photos, held_out = hold_out(photos, recipe.hold_out)
    if left_out:
        *photos, held_out = left_out.kept([*photos, held_out])
        if not any(photos) and not (recipe.drawn and recipe.classes):
            raise UsageError(
                f"--leave-out {left_out.column}={left_out.value}: none is left to learn from; "
                "all others share a group or a photo with those"
            )
    for source in recipe.held_out:
        held_out += read_source(source, unreadable)
    return Mixture(recipe, photos, held_out, left_out)


def check_shown(recipe: Recipe, labels: Collection[str]) -> None:
    """Raise UsageError where no picture shows one of the classes, and none is drawn."""
    for name in recipe.classes:
        if name not in labels and not _may_draw(recipe, name):
            raise UsageError(
                f"there is no picture of the class '{name}' to learn from; name data in the recipe "
                "or with --data"
            )


def _may_draw(recipe: Recipe, label: str) -> bool:
    """Whether slots of a class are drawn or altered, as far as the recipe does: no products."""
    return recipe.drawn + recipe.altered > 0 and (label == EMPTY or recipe.only_occupancy)


def _choose(items: Sequence[T], rng: Generator) -> T:
    return items[int(rng.integers(len(items)))]


@lru_cache(4)
def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch, 1)).permutation(count)


def size_at(recipe: Recipe, share: float) -> int:
    """Return the side in pixels of training pictures after this share of the steps."""
    sizes = [size for start, size in recipe.train_sizes if start <= share]
    return sizes[-1] if sizes else recipe.input_size


def made_at(recipe: Recipe, share: float) -> int:
    """Return the side that they are made with: a teacher may be shown more of them than its pupil.

    What is enlarged is not sharp again.
    """
    for_teacher = recipe.distill.size if recipe.distill else None
    return max(size_at(recipe, share), for_teacher or 0)


def batches(
    mixture: Mixture, first: int, last: int, rank: int = 0, ranks: int = 1
) -> Iterator[Batch]:
    """Yield the batches number first to last - 1, made a little ahead in threads.

    Of several processes each makes its own share of every batch. Threads suffice, and an error in
    one arrives as itself: OpenCV and torch let go of the lock.
    """
    recipe = mixture.recipe
    column = {name: index for index, name in enumerate(recipe.classes)}
    threads = min(max(FEWEST_THREADS, torch.get_num_threads()), MOST_THREADS)

    def make(number: int) -> Batch:
        mine = range(number * recipe.batch + rank, (number + 1) * recipe.batch, ranks)
        drawn = [mixture.image(i) for i in mine]
        labels = np.array([column[label] for _, label in drawn])
        size = made_at(recipe, number / mixture.steps)
        return to_batch([image for image, _ in drawn], size), labels

    cv2.setNumThreads(1)  # a small picture is not worth OpenCV's own threads
    with ThreadPoolExecutor(threads) as pool:
        ahead = [pool.submit(make, n) for n in range(first, min(first + 2 * threads, last))]
        for number in range(first, last):
            yield ahead.pop(0).result()
            if number + 2 * threads < last:
                ahead.append(pool.submit(make, number + 2 * threads))
