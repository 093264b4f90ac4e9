"""How sure a model may be: temperature and shift, fitted where it has never been.

Features travel from shop to shop, the threshold does not: a shop left out of training is ranked
almost without error and still half of its empty slots are called stocked. What is fitted on the
training shop itself says nothing of that, so both numbers come from runs that did not see the
place they are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from edge.classifier import EMPTY, MAX_BATCH, OCCUPANCY, Classifier, Temperature
from edge.errors import UsageError
from edge.types import Image
from trainer.answering import Model, RunModel, logits_behind, small_reader, softmax, true_columns
from trainer.data import check_labels, usable
from trainer.evaluate import open_model, unreadable_by
from trainer.folds import seen_of
from trainer.lineage import LEARNT, inherited, mixture_of
from trainer.picture import Picture
from trainer.runs import is_run, load_run

SUREST, VAGUEST = 0.25, 10.0
TINY = np.finfo(np.float64).tiny
USUAL = 0.5
"""Standard deviation of log T before anything was asked. Logits that few pictures leave without an
error would be least surprised by a T of zero; so few say little."""


def on_held_out(n: int) -> str:
    """Return on what a bundle says its temperature was fitted: n pictures that were kept back."""
    return f"INT8 logits of {n} held-out pictures"


def fit_temperature(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    shift_of: int | None,
    equally: bool = True,
) -> tuple[float, float]:
    """Return the T > 0 and the shift of one class that make softmax least surprised.

    logits (n, classes), truth (n,). Guo et al. 2017, with Platt's intercept. Before the first
    picture T is expected around 1. shift_of None: no shift. equally: classes count equally however
    many pictures each has, as they did for a net that was shown each as often; one that was not
    would be asked for other odds than it learnt, and T alone cannot give them.
    """
    x = logits.astype(np.float64)
    counts = np.bincount(truth, minlength=x.shape[1]).clip(1)
    weight = (1 / counts if equally else np.ones(x.shape[1]))[truth][:, None]
    weight /= weight.sum()
    right = np.eye(x.shape[1])[truth]
    shifted = np.zeros(x.shape[1])
    if shift_of is not None:
        shifted[shift_of] = 1

    def surprise(log_t: float, shift: float) -> tuple[float, tuple[float, float]]:
        """Return how surprised softmax is, and the slopes. shift: of what was divided by T."""
        cooled = x / np.exp(log_t)
        p = softmax(cooled + shift * shifted)
        loss = -(weight * right * np.log(np.clip(p, TINY, 1))).sum()
        slope = weight * (p - right)
        expected = log_t / USUAL**2 / len(x)
        return (
            loss + log_t * expected / 2,
            (expected - (slope * cooled).sum(), (slope * shifted).sum()),
        )

    best = minimize(
        lambda both: surprise(*both),
        (0.0, 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(np.log(SUREST), np.log(VAGUEST)), (None, None)],
    )
    value = float(np.exp(best.x[0]))
    return value, float(best.x[1]) * value


def temper(asked: Sequence[tuple[Path, Sequence[Picture]]]) -> Temperature:
    """Return what fits models, runs or bundles, that are each asked about pictures they never saw.

    The shift is for models of occupancy: between products there is no one threshold that moves,
    so those get a temperature alone. Raises UsageError where there is nothing to fit on, or where
    a run has learnt from what it is asked about (of a bundle nobody can tell).
    """
    logits, truths, formats, balanced = [], [], set(), []
    classes: tuple[str, ...] = ()
    for path, pictures in asked:
        if is_run(path):
            _refuse_learnt(path, pictures)
        formats.add("FP32" if is_run(path) else "INT8")
        model, own = open_model(path, torch.get_num_threads())
        if EMPTY not in own or own != (classes or own):
            raise UsageError(
                f"{path}: knows {', '.join(own[:5])}; all models must know the same classes, and "
                f"'{EMPTY}' among them"
            )
        classes = own
        balanced.append(_is_balanced(model))
        read = small_reader(model.input_size)
        check_labels(pictures, classes)
        pictures = usable(pictures, unreadable_by(model))
        for start in range(0, len(pictures), MAX_BATCH):
            crops = [read(picture) for picture in pictures[start : start + MAX_BATCH]]
            logits.append(_logits(model, crops))
        truths.append(true_columns(pictures, classes))
    truth = np.concatenate(truths)
    if len(np.unique(truth)) < 2:
        raise UsageError("all of these pictures are of one class; a temperature needs two")
    shift_of = classes.index(EMPTY) if set(classes) == OCCUPANCY else None
    equally = shift_of is not None or all(balanced)
    value, shift = fit_temperature(np.concatenate(logits), truth, shift_of, equally)
    return Temperature(
        value=round(value, 3),
        shift=round(shift, 3),
        fitted_on=f"{' and '.join(sorted(formats))} logits of {len(truth)} pictures"
        + (f" that {len(asked)} models had not seen" if formats == {"FP32"} else ""),
    )


def _refuse_learnt(run: Path, asked: Sequence[Picture]) -> None:
    found = load_run(run)
    mixture = mixture_of(found.recipe, found.left_out, found.data_digest)
    known = [*mixture.pictures, *inherited(found.recipe)]
    learnt = int(seen_of(known, asked).sum())
    if learnt:
        raise UsageError(
            f"{run}: {learnt} of the pictures show what was {LEARNT}; name others, or train them "
            "all with --leave-out COLUMN=VALUE and ask it about those"
        )


def _is_balanced(model: Model) -> bool:
    """Return whether a model was shown each class as often as any other."""
    if isinstance(model, RunModel):
        return model.balanced
    assert isinstance(model, Classifier)
    return bool(model.info.recipe.get("balanced"))


def _logits(model: Model, crops: Sequence[Image]) -> NDArray[np.float32]:
    """Return logits without the model's own temperature."""
    if isinstance(model, RunModel):
        return model.logits(crops)
    assert isinstance(model, Classifier)
    return logits_behind(model.probabilities(crops), model.info.temperature, model.info.classes)
