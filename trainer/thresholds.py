"""What to do with a probability: when to alert, and when to say nothing.

A threshold is no property of a model but of what mistakes cost and of how often a thing happens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.classifier import Temperature, Thresholds
from edge.decide import Rule
from trainer.recipe import Costs, Recipe

RAREST = 1e-4
"""Thresholds stay so far from 0 and 1, which no probability ever passes."""


def with_prior(p: float, before: float, after: float) -> float:
    """Return a probability for where the thing happens in `after` of all cases, not in `before`.

    The odds change as the odds of the two base rates do, which is a shift of the logit (Saerens et
    al. 2002). All three are between 0 and 1, exclusively.
    """
    odds = _odds(p) * _odds(after) / _odds(before)
    return odds / (1 + odds)


def thresholds_for(
    recipe: Recipe, temperature: Temperature, trained_share: float | None
) -> Thresholds:
    """Return the thresholds of the recipe; where it names costs instead, what follows from them.

    trained_share: how many of the pictures that it learnt from are empty; None: nobody knows, and
    then the general values hold where that decides.
    """
    written = recipe.thresholds
    if recipe.costs is None or (written.empty_above, written.stocked_below) != (None, None):
        return written
    if recipe.balanced or temperature.shift:  # the shift is fitted with classes counting equally
        trained_share = 1 / len(recipe.classes)
    return written if trained_share is None else thresholds_from(recipe.costs, trained_share)


def thresholds_from(costs: Costs, trained_share: float) -> Thresholds:
    """Return the thresholds on a calibrated p(empty) under which mistakes cost least on average.

    An alert pays where p > C_false / (C_false + C_missed) (Elkan 2001). Where costs.empty_share
    says how many of a store's slots are empty, that p is the store's, and the threshold is what
    the model says there. Down to a lower threshold nothing is stated, so that a probability that
    wavers does not open and close one incident after the other: the odds of the two differ as
    much as those of the daemon's general values.

    trained_share: how many of the pictures that the probabilities are calibrated for are empty.
    """
    pays = costs.false_alert / (costs.false_alert + costs.missed_alert)
    pays = float(np.clip(pays, RAREST, 1 - RAREST))
    here = "as many slots empty as in training"
    if costs.empty_share is not None:
        pays = with_prior(pays, before=costs.empty_share, after=trained_share)
        here = f"{costs.empty_share:.3g} of all slots empty, {trained_share:.3g} in training"
    general = Rule()
    gap = _odds(general.empty_above) / _odds(general.stocked_below)
    empty_above = float(np.clip(pays, 2 * gap * RAREST, 1 - RAREST))
    odds = _odds(empty_above) / gap
    return Thresholds(
        empty_above=round(empty_above, 6),
        stocked_below=round(odds / (1 + odds), 6),
        chosen_for=f"a false alert at {costs.false_alert:g} and a missed one at "
        f"{costs.missed_alert:g}; {here}",
    )


def _odds(p: float) -> float:
    return p / (1 - p)


def risk_coverage(
    confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coverage and risk, both (n,): the error among the surest 1/n, 2/n, … of all answers.

    Among equally sure ones the wrong come first: a threshold cannot tell them apart.
    """
    order = np.lexsort((right, -confidence))
    answered = np.arange(1, len(right) + 1)
    return answered / len(right), np.cumsum(~right[order]) / answered


def aurc(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve: 0 is perfect (Geifman and El-Yaniv 2017)."""
    return float(risk_coverage(confidence, right)[1].mean())
