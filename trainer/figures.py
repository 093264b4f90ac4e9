"""Figures: what probabilities are worth against the truth. JSON-able; unknown is None, never NaN.

p is always (n, classes), the truth (n,) columns of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from edge.classifier import EMPTY, OTHER
from edge.decide import Rule
from trainer.statistics import interval_of_share
from trainer.thresholds import aurc, risk_coverage

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

GENERAL = Rule()


def figures(
    probabilities: NDArray[np.floating[Any]],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    groups: NDArray[np.int64],
) -> dict[str, Any]:
    """Return what is asked of every model. No threshold is used.

    groups: number of each picture's group (n,): what is right or wrong together.
    """
    n = len(truth)
    p = probabilities.astype(np.float64)
    guess = p.argmax(axis=1)
    right, confidence = guess == truth, p.max(axis=1)
    order = np.argsort(-p, axis=1, kind="stable")
    one_hot = np.eye(len(classes))[truth]
    per_class = by_class(truth, guess, classes)
    result: dict[str, Any] = {
        "n": n,
        "top1": float(right.mean()),
        "top1_interval": interval_of_share(right, groups),
        "top5": float((order[:, :5] == truth[:, None]).any(axis=1).mean()),
        "macro_recall": _macro_recall(per_class),
        "nll": float(-np.log(np.clip(p[np.arange(n), truth], 1e-12, 1)).mean()),
        "brier": float(((p - one_hot) ** 2).sum(axis=1).mean()),
        "ece": expected_calibration_error(confidence, right),
        "auroc": None,
        "average_precision": None,
        "aurc": aurc(confidence, right),
        "risk_coverage": _at_tenths(*risk_coverage(confidence, right)),
        "per_class": per_class,
    }
    if EMPTY in classes:
        column = list(classes).index(EMPTY)
        result |= _ranking(p[:, column], truth == column)
    return result


def coarse_figures(
    probabilities: NDArray[np.floating[Any]],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    coarse_of: Mapping[str, str],
) -> dict[str, Any]:
    """Return figures by coarse class, whose probability is the sum of its fine classes'.

    coarse_of: fine to coarse; a class that is not in it is a coarse class by itself.
    """
    of_class = [coarse_of.get(name, name) for name in classes]
    names = sorted(set(of_class))
    column = np.array([names.index(name) for name in of_class])
    guess = (probabilities @ np.eye(len(names))[column]).argmax(axis=1)
    true = column[truth]
    per_coarse = by_class(true, guess, names)
    return {
        "coarse_top1": float((guess == true).mean()),
        "coarse_macro_recall": _macro_recall(per_coarse),
        "per_coarse": per_coarse,
        "coarse_confusion": _confusion(true, guess, names),
    }


def presence_figures(
    probabilities: NDArray[np.floating[Any]],
    labels: Sequence[str],
    classes: Sequence[str],
    coarse_of: Mapping[str, str],
    misplaced_below: float = GENERAL.misplaced_below,
) -> dict[str, dict[str, float | None]]:
    """Return how well "is the product that this slot expects what stands in it?" is answered.

    Each picture is asked about every product: once about its own, which is there, else about
    another, which is not. labels (n,) may be products that the model never learned; then none is
    there. The questions are also told apart by whether the picture shows a product of the asked
    one's coarse class: who puts a thing back into the wrong slot takes a neighbour of its kind.
    misplaced_below: under which p(asked product | not empty) the daemon says that another one
    stands there.
    """
    p = probabilities.astype(np.float64)
    p_full = 1 - p[:, list(classes).index(EMPTY)] if EMPTY in classes else np.ones(len(p))
    asked = [k for k, name in enumerate(classes) if name not in (EMPTY, OTHER)]
    names = np.array(classes)[asked]
    p_present, shown = p[:, asked], np.array(labels)[:, None]
    # As edge.decide asks it of a slot that is not empty.
    misplaced = p_present < misplaced_below * p_full[:, None]
    goods = np.broadcast_to(shown != EMPTY, p_present.shape)
    own = shown == names
    kinds = {"all": np.ones_like(own)}
    if coarse_of:
        shown_kind = np.array([coarse_of.get(label, label) for label in labels])[:, None]
        alike = shown_kind == np.array([coarse_of.get(name, name) for name in names])
        kinds |= {"same_coarse": alike, "other_coarse": ~alike}
    return {
        kind: {
            "questions": int(mask.sum()),
            **_ranking(p_present[mask], own[mask]),
            "brier": _share((p_present - own)[mask] ** 2),
            "ece": expected_calibration_error(p_present[mask], own[mask]) if mask.any() else None,
            "called_misplaced": _share(misplaced[mask & own]),
            "taken_for_own": _share(~misplaced[mask & goods & ~own]),
        }
        for kind, mask in kinds.items()
    }


def by_class(
    truth: NDArray[np.int64], guess: NDArray[np.int64], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return precision, recall and support of each class."""
    precision, recall, _, support = precision_recall_fscore_support(
        truth, guess, labels=range(len(names)), zero_division=np.nan
    )
    return {
        name: {
            "precision": None if np.isnan(precision[k]) else float(precision[k]),
            "recall": float(recall[k]) if support[k] else None,
            "support": int(support[k]),
        }
        for k, name in enumerate(names)
    }


@dataclass(frozen=True)
class Bin:
    """Pictures of about the same confidence: how many, their mean confidence, how many right."""

    count: int
    confidence: float
    accuracy: float


def calibration_bins(confidence: Floats, right: Bools, bins: int = 15) -> list[Bin]:
    """Return bins of equally many pictures, the least sure first; fewer where there are fewer.

    Where equally sure pictures fall into several bins, each has its share of those that are right.
    """
    _, sure, count = np.unique(confidence, return_inverse=True, return_counts=True)
    share_right = (np.bincount(sure, right) / count)[sure]
    order = np.argsort(confidence, kind="stable")
    return [
        Bin(len(part), float(confidence[part].mean()), float(share_right[part].mean()))
        for part in np.array_split(order, bins)
        if len(part)
    ]


def expected_calibration_error(confidence: Floats, right: Bools, bins: int = 15) -> float:
    """Return |confidence - accuracy| averaged over bins of equally many pictures."""
    found = calibration_bins(confidence, right, bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in found) / len(confidence)


def _macro_recall(per_class: Mapping[str, Mapping[str, Any]]) -> float:
    """The mean recall of the classes of which there are pictures."""
    return float(np.mean([c["recall"] for c in per_class.values() if c["recall"] is not None]))


def _ranking(score: Floats, is_true: Bools) -> dict[str, float | None]:
    if not 0 < is_true.sum() < len(is_true):
        return {"auroc": None, "average_precision": None}
    return {
        "auroc": float(roc_auc_score(is_true, score)),
        "average_precision": float(average_precision_score(is_true, score)),
    }


def _at_tenths(coverage: Floats, risk: Floats) -> list[tuple[float, float]]:
    """Return ten points of a curve at most: (coverage, risk)."""
    n = len(coverage)
    places = sorted({int(np.ceil(n * tenth / 10)) - 1 for tenth in range(1, 11)})
    return [(float(coverage[i]), float(risk[i])) for i in places]


def _confusion(
    truth: NDArray[np.int64], guess: NDArray[np.int64], names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return how often a true class was called what; pairs that never met are left out."""
    table: dict[str, dict[str, int]] = {}
    pairs, counts = np.unique(np.stack([truth, guess]), axis=1, return_counts=True)
    for (true, said), count in zip(pairs.T, counts, strict=True):
        table.setdefault(names[true], {})[names[said]] = int(count)
    return table


def _share(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if values.size else None
