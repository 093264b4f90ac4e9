"""What quantization changed: an FP32 net and its INT8 bundle, asked about the same pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.classifier import Temperature
from trainer.answering import tempered
from trainer.figures import figures
from trainer.quantize import divergence
from trainer.session import Batch, Floats, logits_of

MOST_LOST, LEAST_AGREEMENT = 0.003, 0.985
"""The contract: so much top-1 may be lost, and so often the same class must be said."""
WORST = 10


@dataclass(frozen=True)
class LabelledParts:
    """Labelled pictures, read anew by each call of parts: there may be more than memory holds."""

    names: Sequence[str]
    truth: NDArray[np.int64]
    parts: Callable[[], Iterable[Batch]]


def ask(
    sessions: Sequence[ort.InferenceSession], asked: LabelledParts
) -> list[tuple[Floats, float]]:
    """Return for each net its logits (n, classes) and how many milliseconds a picture takes.

    All are asked about one part after the other, so that what else the machine does slows them
    alike; the median part counts.
    """
    rows: list[list[Floats]] = [[] for _ in sessions]
    ms: list[list[float]] = [[] for _ in sessions]
    for part in asked.parts():
        for number, session in enumerate(sessions):
            began_s = time.perf_counter()
            rows[number].append(logits_of(session, part))
            ms[number].append(1e3 * (time.perf_counter() - began_s) / len(part))
    return [
        (np.concatenate(each), float(np.median(times)))
        for each, times in zip(rows, ms, strict=True)
    ]  # fmt: skip


def parity(
    fp32: Floats, int8: Floats, truth: NDArray[np.int64],
    temperature: Temperature, classes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Return what quantization changed: both top-1, how often they agree, mean KL(FP32 | INT8)."""
    p, q = _probabilities(fp32, int8, temperature, classes)
    top1_fp32, top1_int8 = (float((each.argmax(axis=1) == truth).mean()) for each in (p, q))
    agreement = float((p.argmax(axis=1) == q.argmax(axis=1)).mean())
    lost = top1_fp32 - top1_int8
    return {
        "n": len(truth),
        "top1_fp32": top1_fp32,
        "top1_int8": top1_int8,
        "agreement": agreement,
        "kl": float(divergence(p, q).mean()),
        "within_contract": lost <= MOST_LOST + 1e-9 and agreement >= LEAST_AGREEMENT,
    }


def accuracy(
    p: NDArray[np.float64], truth: NDArray[np.int64], groups: NDArray[np.int64],
    classes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Return how good the bundle is on pictures that neither the run nor the temperature behind
    their probabilities p (n, classes) has seen; empty without any."""
    if not len(truth):
        return {}
    found = figures(p, truth, classes, groups)
    told = {key: found[key] for key in ("n", "top1", "nll", "ece")}
    return {"held_out": told | {"top1_interval": list(found["top1_interval"])}}


def worst(
    fp32: Floats,
    int8: Floats,
    asked: LabelledParts,
    temperature: Temperature,
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the pictures on which both differ most, with what each says."""
    p, q = _probabilities(fp32, int8, temperature, classes)
    kl = divergence(p, q)

    def answer(row: NDArray[np.float64]) -> dict[str, Any]:
        return {"class": classes[int(row.argmax())], "p": round(float(row.max()), 4)}

    return [
        {
            "picture": asked.names[i],
            "label": classes[int(asked.truth[i])],
            "fp32": answer(p[i]),
            "int8": answer(q[i]),
            "kl": float(kl[i]),
        }
        for i in np.argsort(-kl, kind="stable")[:WORST].tolist()
    ]


def _probabilities(
    fp32: Floats, int8: Floats, temperature: Temperature, classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        tempered(fp32.astype(np.float64), temperature, classes),
        tempered(int8.astype(np.float64), temperature, classes),
    )
