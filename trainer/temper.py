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

from edge.classifier import EMPTY, MAX_BATCH, Temperature
from edge.errors import UsageError
from trainer.data import Picture
from trainer.evaluate import open_model

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
    """Return what fits models that are each asked about pictures they never saw.

    Every model must be without a temperature of its own: a run, or a bundle that says 1 and 0.
    """
    parts, truths = [], []
    for path, pictures in asked:
        model, classes = open_model(path, torch.get_num_threads())
        if EMPTY not in classes:
            raise UsageError(f"{path}: has no class '{EMPTY}' to shift")
        for start in range(0, len(pictures), MAX_BATCH):
            crops = [picture.read() for picture in pictures[start : start + MAX_BATCH]]
            parts.append(np.log(np.clip(model.probabilities(crops), 1e-12, 1)))
        truths += [classes.index(picture.label) for picture in pictures]
    value, shift = fit_temperature(
        np.concatenate(parts), np.array(truths), list(classes).index(EMPTY)
    )
    return Temperature(
        value=round(value, 3),
        shift=round(shift, 3),
        fitted_on=f"{len(truths)} pictures of places that {len(asked)} runs had not seen",
    )
