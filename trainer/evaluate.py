"""How good a model is on pictures it has not seen: a run or a bundle is asked, and judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.classifier import (
    EMPTY,
    MAX_BATCH,
    OCCUPANCY,
    Classifier,
    Temperature,
    open_classifier,
)
from edge.errors import EdgeError, UsageError
from edge.preprocess import resize, to_batch
from edge.types import Image
from trainer.data import Unreadable, check_labels, read_data, usable
from trainer.figures import GENERAL, coarse_figures, figures, presence_figures
from trainer.folds import groups_of, seen_of
from trainer.net import SlotNet
from trainer.picture import Picture
from trainer.recipe import Recipe
from trainer.runs import LEARNT, Run, asked_at, inherited, is_run, load_run, mixture_of

log = logging.getLogger(__name__)

CHANGED = ". Its pictures came, went or changed since, and all that are there now count"

Real = TypeVar("Real", np.float32, np.float64)
Read = Callable[[Picture], Image]


class Model(Protocol):
    """A bundle or a run: crops in (BGR, any size), one row of probabilities each out."""

    @property
    def input_size(self) -> int: ...

    def probabilities(self, crops: Sequence[Image]) -> NDArray[np.float32]: ...


class RunModel:
    """A run's net, as it is before export: FP32 and, unless its recipe says otherwise, T = 1."""

    def __init__(self, net: SlotNet, recipe: Recipe, threads: int):
        self._net, self._recipe, self._threads = net, recipe, threads

    @property
    def input_size(self) -> int:
        return self._recipe.input_size

    @property
    def balanced(self) -> bool:
        return self._recipe.balanced

    @torch.inference_mode()
    def logits(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        images = torch.from_numpy(to_batch(crops, self._recipe.input_size))
        # The number is the whole process's, and training sums in another order with another one.
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            logits: Tensor = self._net(images.to(self._net.scale.device))
            return logits.cpu().numpy()
        finally:
            torch.set_num_threads(before)

    def probabilities(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        return tempered(self.logits(crops), self._recipe.temperature, self._recipe.classes)


def softmax(logits: NDArray[Real]) -> NDArray[Real]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def tempered(
    logits: NDArray[Real], temperature: Temperature | None, classes: Sequence[str]
) -> NDArray[Real]:
    """Return the probabilities (n, classes) that a bundle with this temperature gives."""
    if temperature is None:
        return softmax(logits)
    shifted = logits + _shift(temperature, classes, logits.dtype)
    return softmax(shifted / logits.dtype.type(temperature.value))


def logits_behind(
    probabilities: NDArray[np.float32], temperature: Temperature, classes: Sequence[str]
) -> NDArray[np.float32]:
    """Return the logits (n, classes) that a bundle with this temperature made its probabilities of,
    up to one sum for each picture: softmax does not see that."""
    logs = np.log(np.clip(probabilities, np.finfo(np.float32).tiny, 1))
    return logs * logs.dtype.type(temperature.value) - _shift(temperature, classes, logs.dtype)


def _shift(temperature: Temperature, classes: Sequence[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.array([temperature.shift if name == EMPTY else 0 for name in classes], dtype)


def open_model(path: Path, threads: int, unfinished: bool = False) -> tuple[Model, tuple[str, ...]]:
    """Return a run (or its checkpoint, RUN/best.pt) or a bundle, and its classes.

    unfinished: also a run that was stopped, with what it has.
    """
    return (
        _model_of(load_run(path, unfinished), threads) if is_run(path) else _bundle(path, threads)
    )


def _model_of(run: Run, threads: int) -> tuple[Model, tuple[str, ...]]:
    return RunModel(run.net, run.recipe, threads), run.recipe.classes


def _bundle(path: Path, threads: int) -> tuple[Model, tuple[str, ...]]:
    classifier = open_classifier(path, threads)
    return classifier, classifier.info.classes


def evaluate(
    path: Path,
    pictures: Sequence[Picture],
    threads: int = 1,
    unknown: Sequence[Picture] = (),
    coarse_of: Mapping[str, str] | None = None,
    unfinished: bool = False,
    input_size: int | None = None,
) -> dict[str, Any]:
    """Return the figures of a run or a bundle on pictures, as one JSON-able dict.

    unknown: pictures of products of which some were never learned; those are asked about too.
    coarse_of: fine class to coarse class; None: as the pictures say.
    unfinished: also of a run that was stopped, with what it has.
    input_size: pixels a side at which a run is asked, instead of its recipe's.
    """
    run = load_run(path, unfinished) if is_run(path) else None
    if input_size:
        if run is None:
            raise UsageError(f"--input-size: {path} is a bundle; its size was chosen at its export")
        run = asked_at(run, input_size)
    model, classes = _model_of(run, threads) if run else _bundle(path, threads)
    check_labels(pictures, classes)
    unreadable = run.recipe.unreadable if run else _unreadable(model)
    pictures, unknown = usable(pictures, unreadable), usable(unknown, unreadable)
    strangers = _strangers(unknown, classes)
    if run:
        _warn_of_learnt(run, pictures)
    coarse_of = coarse_classes([*pictures, *unknown]) if coarse_of is None else coarse_of
    below = _misplaced_below(model, run)
    probabilities, elapsed_s = predict(model, pictures)
    truth = true_columns(pictures, classes)
    found = figures(probabilities, truth, classes, groups_of(pictures))
    if coarse_of:
        found |= coarse_figures(probabilities, truth, classes, coarse_of)
    if set(classes) != OCCUPANCY:
        labels = [picture.label for picture in pictures]
        found["misplaced_below"] = below
        found["presence"] = presence_figures(probabilities, labels, classes, coarse_of, below)
    if strangers:
        found["unknown"] = _unknown_figures(model, strangers, classes, coarse_of, below)
    found["ms_per_image"] = round(1e3 * elapsed_s / len(pictures), 3)
    found["threads"] = threads
    return found


def _unreadable(bundle: Model) -> Unreadable:
    """Return what the recipe behind a bundle does with a file that is no picture."""
    assert isinstance(bundle, Classifier)
    return "skip" if bundle.info.recipe.get("unreadable") == "skip" else "refuse"


def _misplaced_below(model: Model, run: Run | None) -> float:
    """Return a bundle's threshold on p(own product | not empty), as the daemon would take it.

    A run has only what its recipe writes: what follows from costs is chosen at the export, for
    the temperature that is fitted there.
    """
    if run:
        below = run.recipe.thresholds.misplaced_below
    else:
        assert isinstance(model, Classifier)
        below = model.info.thresholds.misplaced_below
    return GENERAL.misplaced_below if below is None else below


def _warn_of_learnt(run: Run, pictures: Sequence[Picture]) -> None:
    try:
        mixture = mixture_of(run.recipe, run.left_out, run.data_digest)
    except EdgeError as error:
        log.warning("whether it has learnt from these pictures is not known: %s", error)
        return
    learnt = int(seen_of([*mixture.pictures, *inherited(run.recipe)], pictures).sum())
    if learnt:
        changed = "" if mixture.digest() == run.data_digest else CHANGED
        log.warning(
            "%d of the %d pictures show what was %s: they flatter it%s",
            learnt, len(pictures), LEARNT, changed,
        )  # fmt: skip


def coarse_classes(pictures: Sequence[Picture]) -> dict[str, str]:
    """Return the coarse class of each label whose pictures say one."""
    return {p.label: p.columns["coarse"] for p in pictures if p.columns.get("coarse")}


def _strangers(pictures: Sequence[Picture], classes: Sequence[str]) -> list[Picture]:
    """Return the pictures of products that a model does not know."""
    strangers = [picture for picture in pictures if picture.label not in classes]
    if pictures and (set(classes) == OCCUPANCY or not strangers):
        raise UsageError(
            "--unknown needs a model of products, and pictures of a product it does not know; "
            f"it knows {', '.join(classes)}"
        )
    return strangers


def _unknown_figures(
    model: Model,
    strangers: Sequence[Picture],
    classes: Sequence[str],
    coarse_of: Mapping[str, str],
    misplaced_below: float,
) -> dict[str, Any]:
    probabilities, _ = predict(model, strangers)
    labels = [picture.label for picture in strangers]
    return presence_figures(probabilities, labels, classes, coarse_of, misplaced_below)


def small_reader(size: int, room: int = 0) -> Read:
    """Return what reads pictures and shrinks them at once to what a net is shown.

    Thirty-two photos of 12 megapixels are a gigabyte. room: bytes of them that are kept for the
    next time.
    """
    kept: dict[tuple[Path, object], Image] = {}

    def read(picture: Picture) -> Image:
        key = (picture.file, picture.box)
        small = kept.get(key)
        if small is None:
            small = resize(picture.read(), size)
            if (len(kept) + 1) * small.nbytes <= room:
                kept[key] = small
        return small

    return read


def predict(
    model: Model, pictures: Sequence[Picture], read: Read | None = None
) -> tuple[NDArray[np.float32], float]:
    """Return the probabilities (n, classes) of pictures, and the seconds that the model took.

    read: a `small_reader` of the model's size that is used more than once.
    """
    rows, elapsed_s = [], 0.0
    read = read or small_reader(model.input_size)
    for start in range(0, len(pictures), MAX_BATCH):
        crops = [read(picture) for picture in pictures[start : start + MAX_BATCH]]
        began_s = time.perf_counter()
        rows.append(model.probabilities(crops))
        elapsed_s += time.perf_counter() - began_s
    return np.concatenate(rows), elapsed_s


def true_columns(pictures: Sequence[Picture], classes: Sequence[str]) -> NDArray[np.int64]:
    column = {name: index for index, name in enumerate(classes)}
    return np.array([column[picture.label] for picture in pictures])


def top1(
    net: SlotNet, recipe: Recipe, pictures: Sequence[Picture], read: Read | None = None
) -> float:
    """Return the share of pictures whose class a net in training says, as it would be tested."""
    was_training = net.training
    model = RunModel(net.eval(), recipe, torch.get_num_threads())
    probabilities, _ = predict(model, pictures, read)
    net.train(was_training)
    return float((probabilities.argmax(axis=1) == true_columns(pictures, recipe.classes)).mean())


def read_pictures(texts: Sequence[str], only: str | None) -> list[Picture]:
    """Return the pictures of all DATA, only those with COLUMN=VALUE where that is given."""
    pictures = [picture for text in texts for picture in read_data(text)]
    if only is None:
        return pictures
    column, equals, value = only.partition("=")
    if not equals:
        raise UsageError(f"--only {only}: write COLUMN=VALUE, for example view=A")
    pictures = [picture for picture in pictures if picture.columns.get(column) == value]
    if not pictures:
        raise UsageError(f"--only {only}: no picture has '{value}' in its column '{column}'")
    return pictures
