"""What to do with a probability: when to alert, and when to say nothing.

A threshold is no property of a model but of what mistakes cost and of how often a thing happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.classifier import EMPTY, OTHER, Temperature, Thresholds
from edge.decide import Rule
from trainer.recipe import Costs, Recipe

RAREST = 1e-4
"""Thresholds stay so far from 0 and 1, which no probability ever passes."""
RAREST_OWN = 1e-6
"""The same of misplaced_below, from 0: where thousands of products may stand in a slot, even the
right one begins with little."""


def with_prior(p: float, before: float, after: float) -> float:
    """Return a probability for where the thing happens in `after` of all cases, not in `before`.

    The odds change as the odds of the two base rates do, which is a shift of the logit (Saerens et
    al. 2002). All three are between 0 and 1, exclusively.
    """
    odds = _odds(p) * _odds(after) / _odds(before)
    return odds / (1 + odds)


def thresholds_for(
    recipe: Recipe, temperature: Temperature, shares: Mapping[str, float] | None
) -> Thresholds:
    """Return the thresholds of the recipe; where it names costs instead, what follows from them.

    shares: how many of the pictures that it learnt from show what, by label; None: nobody knows,
    and then the general values hold where that decides.
    """
    written, costs = recipe.thresholds, recipe.costs
    if costs is None:
        return written
    empties, own = _empty_share(recipe, temperature, shares), _own_share(recipe, shares)
    if (written.empty_above, written.stocked_below) != (None, None):
        empties = None
    if written.misplaced_below is not None:
        own = None
    chosen = thresholds_from(costs, empties, own)
    if chosen is None:
        return written
    values = written.model_dump(exclude_none=True, exclude={"chosen_for"})
    if values:
        values["chosen_for"] = f"{written.chosen_for}; the rest for {chosen.chosen_for}"
    return chosen.model_copy(update=values)


def thresholds_from(
    costs: Costs, trained_share: float | None, own_share: float | None = None
) -> Thresholds | None:
    """Return the thresholds on calibrated probabilities under which mistakes cost least on average.

    trained_share: how many of the pictures that the probabilities are calibrated for are empty.
    own_share: how many of the others show the product that they are asked about. Where one of both
    is None, what follows from it is left to the general values; None where that is everything.
    """
    found: dict[str, float] = {}
    here = []
    if trained_share is not None:
        found["empty_above"], found["stocked_below"] = _of_empty(costs, trained_share)
        here.append(
            "as many slots empty as in training"
            if costs.empty_share is None
            else f"{costs.empty_share:.3g} of all slots empty, {trained_share:.3g} in training"
        )
    if own_share is not None and costs.misplaced_share is not None:
        found["misplaced_below"] = _of_misplaced(costs, costs.misplaced_share, own_share)
        here.append(
            f"another product in {costs.misplaced_share:.3g} of the slots that are not empty, "
            f"{1 - own_share:.3g} in training"
        )
    if not found:
        return None
    paid = f"a false alert at {costs.false_alert:g} and a missed one at {costs.missed_alert:g}"
    return Thresholds(**found, chosen_for="; ".join([paid, *here]))


def _of_empty(costs: Costs, trained_share: float) -> tuple[float, float]:
    """Return empty_above and stocked_below.

    An alert pays where p > C_false / (C_false + C_missed) (Elkan 2001). Where costs.empty_share
    says how many of a store's slots are empty, that p is the store's, and the threshold is what
    the model says there. Down to a lower threshold nothing is stated, so that a probability that
    wavers does not open and close one incident after the other: the odds of the two differ as
    much as those of the daemon's general values.
    """
    pays = costs.false_alert / (costs.false_alert + costs.missed_alert)
    pays = float(np.clip(pays, RAREST, 1 - RAREST))
    if costs.empty_share is not None:
        pays = with_prior(pays, before=costs.empty_share, after=trained_share)
    general = Rule()
    gap = _odds(general.empty_above) / _odds(general.stocked_below)
    empty_above = float(np.clip(pays, 2 * gap * RAREST, 1 - RAREST))
    odds = _odds(empty_above) / gap
    return round(empty_above, 6), round(odds / (1 + odds), 6)


def _of_misplaced(costs: Costs, misplaced_share: float, own_share: float) -> float:
    """Return misplaced_below.

    Let p be the store's p(own product | not empty). Who says that another product stands there is
    wrong with probability p and pays p · C_false on average; who does not, (1 - p) · C_missed. So
    it pays to say it where p < C_missed / (C_false + C_missed). In the store p is 1 -
    misplaced_share before anybody looks, for the model it was own_share: with n products shown
    equally often 1 / n, for it had to expect any of them. The threshold is what the model says
    where the store's p is that.

    How many slots are empty does not matter: p asks only about the others. It is assumed that what
    stands in wrong slots is, one product against the other, as in the pictures learnt from.
    """
    pays = costs.missed_alert / (costs.false_alert + costs.missed_alert)
    pays = float(np.clip(pays, RAREST, 1 - RAREST))
    said = with_prior(pays, before=1 - misplaced_share, after=own_share)
    return round(float(np.clip(said, RAREST_OWN, 1 - RAREST)), 9)


def _empty_share(
    recipe: Recipe, temperature: Temperature, shares: Mapping[str, float] | None
) -> float | None:
    """Return how many pictures the model had to expect to be empty; None: nobody knows."""
    if recipe.balanced or temperature.shift:  # the shift is fitted with classes counting equally
        return 1 / len(recipe.classes)
    return None if shares is None else shares.get(EMPTY, 0.0)


def _own_share(recipe: Recipe, shares: Mapping[str, float] | None) -> float | None:
    """Return how many pictures of goods the model had to expect to show the product that a slot is
    for, averaged over the products; None: nobody knows, or it cannot tell goods apart.

    Goods of the class `other` count among what may be shown; no slot is for them. A shift does not
    matter: it is one of `empty` against all others. Where the recipe is not balanced, one threshold
    is too low for products with more photos than the others, and too high for those with fewer.
    """
    goods = [name for name in recipe.classes if name != EMPTY]
    products = [name for name in goods if name != OTHER]
    if len(goods) < 2:
        return None
    if recipe.balanced:
        return 1 / len(goods)
    shown = {name: (shares or {}).get(name, 0.0) for name in goods}
    if not any(shown.values()):
        return None
    own = sum(shown[name] for name in products) / sum(shown.values()) / len(products)
    return float(np.clip(own, RAREST, 1 - RAREST))


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
