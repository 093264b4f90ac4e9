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

from edge.classifier import EMPTY, MAX_BATCH, OCCUPANCY, Classifier, Temperature
from edge.errors import UsageError
from edge.types import Image
from trainer.data import Picture, check_labels
from trainer.evaluate import Model, RunModel, open_model, true_columns

SUREST, VAGUEST = 0.25, 10.0


def fit_temperature(
    logits: NDArray[np.float32], truth: NDArray[np.int64], shift_of: int | None
) -> tuple[float, float]:
    """Return the T > 0 and the shift of one class that make softmax least surprised.

    Guo et al. 2017, with Platt's intercept; classes count equally however many pictures each has.
    shift_of None: no shift.
    """
    log_t = torch.zeros((), requires_grad=True)
    shift = torch.zeros((), requires_grad=shift_of is not None)
    free = [log_t] if shift_of is None else [log_t, shift]
    optimizer = torch.optim.LBFGS(free, max_iter=200, line_search_fn="strong_wolfe")
    x, y = torch.from_numpy(logits), torch.from_numpy(truth)
    counts = torch.bincount(y, minlength=x.shape[1]).clamp(min=1)
    mask = torch.zeros(x.shape[1])
    if shift_of is not None:
        mask[shift_of] = 1.0

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        cooled = (x + shift * mask) / log_t.exp()
        loss = torch.nn.functional.cross_entropy(cooled, y, weight=len(y) / counts)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(np.clip(log_t.exp().item(), SUREST, VAGUEST)), float(shift.item())


def temper(asked: Sequence[tuple[Path, Sequence[Picture]]]) -> Temperature:
    """Return what fits models, runs or bundles, that are each asked about pictures they never saw.

    The shift is for models of occupancy: between products there is no one threshold that moves,
    so those get a temperature alone. Raises UsageError where there is nothing to fit on.
    """
    logits, truths = [], []
    classes: tuple[str, ...] = ()
    for path, pictures in asked:
        model, own = open_model(path, torch.get_num_threads())
        if EMPTY not in own or own != (classes or own):
            raise UsageError(
                f"{path}: knows {', '.join(own[:5])}; all models must know the same classes, and "
                f"'{EMPTY}' among them"
            )
        classes = own
        check_labels(pictures, classes)
        for start in range(0, len(pictures), MAX_BATCH):
            crops = [picture.read() for picture in pictures[start : start + MAX_BATCH]]
            logits.append(_logits(model, crops))
        truths.append(true_columns(pictures, classes))
    truth = np.concatenate(truths)
    if len(np.unique(truth)) < 2:
        raise UsageError("all of these pictures are of one class; a temperature needs two")
    shift_of = classes.index(EMPTY) if set(classes) == OCCUPANCY else None
    value, shift = fit_temperature(np.concatenate(logits), truth, shift_of)
    return Temperature(
        value=round(value, 3),
        shift=round(shift, 3),
        fitted_on=f"{len(truth)} pictures of places that {len(asked)} runs had not seen",
    )


def _logits(model: Model, crops: Sequence[Image]) -> NDArray[np.float32]:
    """Return logits without the model's own temperature; a sum in them softmax does not see."""
    if isinstance(model, RunModel):
        return model.logits(crops)
    assert isinstance(model, Classifier)
    own = model.info.temperature
    shift = [own.shift if name == EMPTY else 0 for name in model.info.classes]
    logs = np.log(np.clip(model.probabilities(crops), 1e-12, 1))
    return logs * np.float32(own.value) - np.array(shift, np.float32)
