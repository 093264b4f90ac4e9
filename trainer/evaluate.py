"""Figures: how good a model is on pictures it has not seen. No threshold is used."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score
from torch import Tensor

from edge.classifier import EMPTY, MAX_BATCH, Temperature, open_classifier
from edge.errors import UsageError
from edge.preprocess import to_batch
from edge.types import Image
from trainer.data import Picture, check_labels, read_data
from trainer.net import SlotNet
from trainer.recipe import Recipe
from trainer.runs import load_run

Real = TypeVar("Real", np.float32, np.float64)


class Model(Protocol):
    """A bundle or a run: crops in (BGR, any size), one row of probabilities each out."""

    def probabilities(self, crops: Sequence[Image]) -> NDArray[np.float32]: ...


class RunModel:
    """A run's net, as it is before export: FP32 and, unless its recipe says otherwise, T = 1."""

    def __init__(self, net: SlotNet, recipe: Recipe, threads: int):
        self._net, self._recipe, self._threads = net, recipe, threads

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
    shift = np.array([temperature.shift if name == EMPTY else 0 for name in classes], logits.dtype)
    return softmax((logits + shift) / logits.dtype.type(temperature.value))


def open_model(path: Path, threads: int) -> tuple[Model, tuple[str, ...]]:
    """Return a run or a bundle, and its classes."""
    if path.is_dir():
        run = load_run(path)
        return RunModel(run.net, run.recipe, threads), run.recipe.classes
    classifier = open_classifier(path, threads)
    return classifier, classifier.info.classes


def evaluate(path: Path, pictures: Sequence[Picture], threads: int = 1) -> dict[str, Any]:
    """Return the figures of a run or a bundle on pictures, as one JSON-able dict."""
    model, classes = open_model(path, threads)
    check_labels(pictures, classes)
    probabilities, elapsed_s = predict(model, pictures)
    truth = true_columns(pictures, classes)
    found = figures(probabilities, truth, classes)
    coarse = [picture.columns.get("coarse") for picture in pictures]
    if all(coarse):
        found["coarse_top1"] = _coarse_top1(probabilities, pictures, classes)
    found["ms_per_image"] = round(1e3 * elapsed_s / len(pictures), 3)
    found["threads"] = threads
    return found


def predict(model: Model, pictures: Sequence[Picture]) -> tuple[NDArray[np.float32], float]:
    """Return the probabilities (n, classes) of pictures, and the seconds that the model took."""
    rows, elapsed_s = [], 0.0
    for start in range(0, len(pictures), MAX_BATCH):
        crops = [picture.read() for picture in pictures[start : start + MAX_BATCH]]
        began_s = time.perf_counter()
        rows.append(model.probabilities(crops))
        elapsed_s += time.perf_counter() - began_s
    return np.concatenate(rows), elapsed_s


def true_columns(pictures: Sequence[Picture], classes: Sequence[str]) -> NDArray[np.int64]:
    column = {name: index for index, name in enumerate(classes)}
    return np.array([column[picture.label] for picture in pictures])


def top1(net: SlotNet, recipe: Recipe, pictures: Sequence[Picture]) -> float:
    """Return the share of pictures whose class a net in training says, as it would be tested."""
    was_training = net.training
    model = RunModel(net.eval(), recipe, torch.get_num_threads())
    probabilities, _ = predict(model, pictures)
    net.train(was_training)
    return float((probabilities.argmax(axis=1) == true_columns(pictures, recipe.classes)).mean())


def figures(
    probabilities: NDArray[np.floating[Any]], truth: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any]:
    """Return what the probabilities (n, classes) are worth against the true classes (n,)."""
    n = len(truth)
    p = probabilities.astype(np.float64)
    guess = p.argmax(axis=1)
    order = np.argsort(-p, axis=1, kind="stable")
    precision, recall, _, support = precision_recall_fscore_support(
        truth, guess, labels=range(len(classes)), zero_division=np.nan
    )
    one_hot = np.eye(len(classes))[truth]
    result: dict[str, Any] = {
        "n": n,
        "top1": float((guess == truth).mean()),
        "top5": float((order[:, :5] == truth[:, None]).any(axis=1).mean()),
        "macro_recall": float(recall[support > 0].mean()),
        "nll": float(-np.log(np.clip(p[np.arange(n), truth], 1e-12, 1)).mean()),
        "brier": float(((p - one_hot) ** 2).sum(axis=1).mean()),
        "ece": expected_calibration_error(p.max(axis=1), guess == truth),
        "auroc": None,
        "average_precision": None,
        "per_class": {
            name: {
                "precision": _or_none(precision[k]),
                "recall": _or_none(recall[k]) if support[k] else None,
                "support": int(support[k]),
            }
            for k, name in enumerate(classes)
        },
    }
    if EMPTY in classes:
        column = list(classes).index(EMPTY)
        is_empty = truth == column
        if 0 < is_empty.sum() < n:
            result["auroc"] = float(roc_auc_score(is_empty, p[:, column]))
            result["average_precision"] = float(average_precision_score(is_empty, p[:, column]))
    return result


def expected_calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Return |confidence - accuracy| averaged over bins of equally many pictures."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(confidence[part].mean() - right[part].mean()) for part in parts]
    return float(sum(gaps) / len(order))


def _coarse_top1(
    probabilities: NDArray[np.float32], pictures: Sequence[Picture], classes: Sequence[str]
) -> float:
    coarse_of = {picture.label: picture.columns["coarse"] for picture in pictures}
    names = sorted({coarse_of.get(name, name) for name in classes})
    member = np.array(
        [[coarse_of.get(name, name) == coarse for coarse in names] for name in classes]
    )
    guess = (probabilities @ member).argmax(axis=1)
    return float(
        np.mean([names[g] == p.columns["coarse"] for g, p in zip(guess, pictures, strict=True)])
    )


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def read_pictures(texts: Sequence[str], only: str | None) -> list[Picture]:
    """Return the pictures of all DATA, only those with COLUMN=VALUE where that is given."""
    pictures = [picture for text in texts for picture in read_data(text)]
    if only is not None:
        column, _, value = only.partition("=")
        pictures = [picture for picture in pictures if picture.columns.get(column) == value]
        if not pictures:
            raise UsageError(f"--only {only}: no picture has '{value}' in its column '{column}'")
    return pictures
