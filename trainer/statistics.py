"""How sure a figure is: spread over repeats, intervals over pictures, differences in pairs.

Intervals are 95 %, and over groups (n,), the number of each picture's own: pictures of one shelf
are right or wrong together, and counting each by itself would make the interval too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

Floats = NDArray[np.floating[Any]]
Interval = tuple[float, float]

Z_95 = 1.959964
RESAMPLES = 1000
ROUNDING = 1e-9
"""Points or shares: a narrower interval is none."""


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean and standard deviation (n - 1); of a single value there is no spread."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std}


def half_width(std: float, n: int) -> float:
    """Return half the interval of the mean of n values that spread by std; n is 2 at least."""
    return float(t.ppf(0.975, n - 1) * std / np.sqrt(n))


def wilson(share: float, n: float, z: float = Z_95) -> Interval:
    """Return Wilson's interval of a share of n pictures; unlike share ± 2 σ it stays in [0, 1]."""
    z2 = z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = float(max(0, middle - half)), float(min(1, middle + half))
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)  # whatever rounding says


def interval_of_share(values: Floats | NDArray[np.bool_], groups: NDArray[np.int64]) -> Interval:
    """Return the interval of the mean of what is 0 to 1 for each picture (n,).

    Wilson's, for as many pictures as would be worth as much if each stood by itself: so it also has
    a width where no picture is wrong. How much they vary together is taken from the sums over
    groups (Kish 1965, Survey Sampling, section 6.5), and from few groups it is hardly known, hence
    Student's t. Where all are right or all are wrong nothing tells, and a group is worth one.
    """
    share, n = float(values.mean()), len(values)
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - share)
    if len(sums) == n:
        return wilson(share, n)
    alone = share * (1 - share) * n * n / (n - 1)
    if len(sums) == 1 or not alone:
        return wilson(share, len(sums))
    together = float((sums**2).sum()) * len(sums) / (len(sums) - 1)
    worth = min(n, n * alone / together) if together else n
    return wilson(share, worth, float(t.ppf(0.975, len(sums) - 1)))


def resamples(groups: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return how often each picture was drawn, (RESAMPLES, n), whole groups with replacement; the
    same every time."""
    count = int(groups.max()) + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return drawn[:, groups].astype(np.float32)


def interval_of_mean(values: Floats, groups: NDArray[np.int64]) -> Interval:
    """Return the interval of the mean of one value a picture (n,), of two groups at least.

    By Student's t over the groups' sums: resampling few groups makes it too narrow, of five it
    would hold the truth in 84 cases of 100.
    """
    mean = float(values.mean())
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - mean)
    count = len(sums)
    error = np.sqrt(float((sums**2).sum()) * count / (count - 1)) / len(values)
    half = float(t.ppf(0.975, count - 1) * error)
    return mean - half, mean + half


def interval_of_auroc(
    scores: Floats,
    positive: NDArray[np.bool_],
    weights: Floats,
    groups: NDArray[np.int64],
) -> Interval:
    """Return the interval of the area under the ROC, averaged over repeats: scores (repeats, n).

    Where every resample parts all as well, as with an area of 1, their spread tells nothing: then
    it is that of a share of as many as there are groups of the rarer kind.
    """
    areas = np.mean([weighted_auroc(row, positive, weights) for row in scores], axis=0)
    low, high = _middle_95(areas)
    if high - low < ROUNDING:
        return wilson(
            round(low, 9), min(len(np.unique(groups[kind])) for kind in (positive, ~positive))
        )
    return low, high


def weighted_auroc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the area (resamples,) where picture i counts weights[:, i] times; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ups = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    downs = np.add.reduceat((weights * ~positive)[:, order], starts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2
    with np.errstate(invalid="ignore"):  # a resample without one of both has no area
        return np.asarray((ups * below).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1)))


def paired_difference(
    right: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    folds: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> dict[str, Any]:
    """Return by how many points one model names more pictures right than another.

    right, reference, folds: (repeats, n), the same pictures in the same folds; groups: (n,). The
    interval says how much it hangs on the pictures; the spreads say how much on partition and
    training seed.
    """
    gain = 100.0 * (right.astype(np.float64) - reference)
    each_fold = [
        float(row[fold == number].mean())
        for row, fold in zip(gain, folds, strict=True)
        for number in np.unique(fold)
    ]
    return {
        "points": float(gain.mean()),
        "std_repeats": spread(gain.mean(axis=1).tolist())["std"],
        "std_folds": spread(each_fold)["std"],
        "interval": _interval_of_gain(gain.mean(axis=0), groups),
        "only_this_right": int((right & ~reference).sum()),
        "only_reference_right": int((reference & ~right).sum()),
    }


def _interval_of_gain(gain: Floats, groups: NDArray[np.int64]) -> Interval:
    """Return the interval of a mean gain of -100 to 100 points a picture (n,).

    Where all groups gain alike, their spread tells nothing: then as many as there are may have
    missed one of another kind, as where all of a share are right.
    """
    mean, count = float(gain.mean()), len(np.unique(groups))
    low, high = interval_of_mean(gain, groups) if count > 1 else (mean, mean)
    if high - low < ROUNDING:
        half = 100 * wilson(0, count)[1]
        low, high = mean - half, mean + half
    return max(-100.0, low), min(100.0, high)


def _middle_95(values: Floats) -> Interval:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
