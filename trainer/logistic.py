"""The head in one go: scikit-learn's logistic regression over the features of a frozen body.

What a pretrained net is worth before any of its weights is touched, and on a few hundred photos
hard to beat. The weights become those of the head, so that the run is one like any other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from edge.errors import ConfigError, UsageError
from trainer.answering import top1, true_columns
from trainer.checkpoint import CurveRow, State
from trainer.folds import groups_of
from trainer.lesson import features_of
from trainer.mixture import Mixture
from trainer.net import SlotNet
from trainer.picture import Picture

FOLDS = 5
STRENGTHS = tuple(10.0**power for power in range(-4, 3))
"""scikit-learn's C to choose from: how little the weights are held down."""


def solve(mixture: Mixture, held_out: Sequence[Picture], state: State) -> None:
    """Give the head its best weights, and bring the state to its end.

    Looks at as many copies of each photo as the recipe has epochs, varied as the recipe says. C is
    chosen by cross-validation that never parts what belongs to one group.

    Raises ConfigError where the body is not frozen, UsageError where a class has no picture.
    """
    recipe, net = mixture.recipe, state.model
    if not net.body_is_frozen:
        raise ConfigError(
            [f"optimizer: logistic learns only the head; write net.freeze: {len(net.body.parts)}"]
        )
    began_s = time.monotonic()
    numbers = range(round(len(mixture.pictures) * (recipe.epochs or 1)))
    pictures = [mixture.pictures[mixture.photo_number(i)] for i in numbers]
    truth = true_columns(pictures, recipe.classes)
    missing = set(range(len(recipe.classes))) - set(truth.tolist())
    if missing:
        raise UsageError(f"there is no picture of the class '{recipe.classes[min(missing)]}'")
    images = (mixture.image(i)[0] for i in numbers)
    features = features_of(net, images, recipe.input_size).double().cpu().numpy()
    groups = groups_of(mixture.pictures)[[mixture.photo_number(i) for i in numbers]]
    middle = features.mean(axis=0)
    scale = features.std(axis=0) + 1e-3  # some features never stir on a few hundred photos
    _set_head(net, _best((features - middle) / scale, truth, groups, recipe.seed), middle, scale)
    state.average.update_parameters(net)
    state.step = state.steps
    with torch.no_grad():
        logits = net.head.eval()(torch.from_numpy(features).float().to(net.scale.device)).cpu()
    state.curve.append(
        CurveRow(
            step=state.step,
            epoch=recipe.epochs or 1,
            lr=0.0,
            loss=float(nn.functional.cross_entropy(logits, torch.from_numpy(truth))),
            held_out=top1(net, recipe, held_out) if held_out else None,
            ms_per_image=round(1e3 * (time.monotonic() - began_s) / len(numbers), 2),
        )
    )


def _best(
    features: NDArray[np.float64], truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> LogisticRegression:
    """Return the model of the C whose predictions out of the fold surprise least."""
    losses = np.zeros(len(STRENGTHS))
    for learnt, asked in _splits(features, truth, groups, seed):
        models = (_fitted(features[learnt], truth[learnt], c) for c in STRENGTHS)
        losses += [_loss(model, features[asked], truth[asked]) for model in models]
    best = STRENGTHS[int(losses.argmin())] if losses.any() else 1.0
    return _fitted(features, truth, best)


def _splits(
    features: NDArray[np.float64], truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield what is learnt from, two classes at least, and what is asked about; nothing where a
    class has one group."""
    folds = min(FOLDS, *(len(set(groups[truth == column])) for column in set(truth.tolist())))
    if folds > 1:
        cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        parts = cut.split(features, truth, groups)
        yield from ((learnt, asked) for learnt, asked in parts if len(set(truth[learnt])) > 1)


def _fitted(
    features: NDArray[np.float64], truth: NDArray[np.int64], strength: float
) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000).fit(features, truth)


def _loss(
    model: LogisticRegression, features: NDArray[np.float64], truth: NDArray[np.int64]
) -> float:
    """Return how surprised the model is in all; a class that it never met is a large surprise."""
    p = np.full((len(truth), max(truth.max(), model.classes_.max()) + 1), 1e-6)
    p[:, model.classes_] = model.predict_proba(features)
    return float(-np.log(np.clip(p[np.arange(len(truth)), truth], 1e-12, 1)).sum())


def _set_head(
    net: SlotNet, model: LogisticRegression, middle: NDArray[np.float64], scale: NDArray[np.float64]
) -> None:
    """Write the model, made for (features - middle) / scale, into the last layer."""
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # of two classes scikit-learn keeps the difference
        weights, bias = np.stack([-weights[0], weights[0]]) / 2, np.stack([-bias, bias])[:, 0] / 2
    weights = weights / scale
    linear = net.head[-1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights))
        linear.bias.copy_(torch.from_numpy(bias - weights @ middle))
