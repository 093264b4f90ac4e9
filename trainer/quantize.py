"""From FP32 to INT8: which integers suit a processor, and which range of reals they stand for.

Weights know their ranges, activations are measured on representative pictures. Three rules read a
range from what was measured; which one is best differs from net to net by more than a point, so
all three are tried, on pictures that none of them was measured on. Which way weights are rounded
within theirs: trainer/rounding.py.

The ranges are our own work because ONNX Runtime's calibrators keep every activation of every
picture until the end, and their entropy rule with its 128 bins has one threshold to choose from.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantType, load_model_with_shape_infer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from threadpoolctl import threadpool_limits

from edge.errors import UnavailableError
from trainer.answering import softmax
from trainer.rounding import measure, round_weights
from trainer.scaling import fold_scaling, read_bytes
from trainer.session import Batch, Floats, in_memory, logits_of, open_session, run

Range = tuple[float, float]

LEVELS, NARROWED = 255, 64
"""How many values 8 bits have, and in how many steps the widest range is narrowed for entropy."""
CHANCE = 0.01
"""Agreements that differ by less are alike."""


class Target(StrEnum):
    """The processor that a bundle is for."""

    X86 = "x86"
    """Any. Without VNNI it adds two 8 x 8 bit products in 16 bits, which full-range weights
    overflow; with one bit less the same file gives the same answers on every PC."""
    X86_VNNI = "x86-vnni"
    """Weights keep all 8 bits: a little more accurate there, wrong on older ones."""
    ARM = "arm"

    @property
    def reduce_range(self) -> bool:
        return self is Target.X86

    @property
    def top(self) -> int:
        """The largest integer of a weight."""
        return 64 if self.reduce_range else 127

    @property
    def activations(self) -> QuantType:
        return QuantType.QInt8 if self is Target.ARM else QuantType.QUInt8

    @property
    def words(self) -> str:
        integers = "S8S8" if self is Target.ARM else "U8S8"
        return f"{integers} per channel, QDQ{', reduce_range' if self.reduce_range else ''}, GPTQ"


class Histogram:
    """How often a tensor had which values, in equal bins from -edge to edge.

    The edge doubles whenever a value lies beyond it; neighbouring bins then become one.
    """

    BINS = 8192

    def __init__(self) -> None:
        self.counts = np.zeros(self.BINS, np.int64)
        self.edge = 2.0**-20
        self.low = self.high = 0.0  # every range has a level for zero: padding is made of it

    def add(self, values: Floats) -> None:
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        if not np.isfinite(values).all():
            raise UnavailableError("the net's activations overflow on its own training pictures")
        while self.edge <= max(-self.low, self.high):
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(pairs, self.BINS // 4)
            self.edge *= 2
        # In 64 bits: rounded to 32, a value just below the edge would come out on it.
        bins = ((values.ravel().astype(np.float64) + self.edge) / self.width).astype(np.int32)
        self.counts += np.bincount(bins, minlength=self.BINS)

    @property
    def width(self) -> float:
        return 2 * self.edge / self.BINS

    def bin_of(self, value: float) -> int:
        return min(int((value + self.edge) / self.width), self.BINS - 1)

    def value_of(self, number: int) -> float:
        """Return where a bin begins."""
        return number * self.width - self.edge


def minmax(seen: Histogram) -> Range:
    """Return the range of all values: none is clipped, outliers make the steps wide."""
    return seen.low, seen.high


def percentile(seen: Histogram, kept: float = 0.9999) -> Range:
    """Return the range without the outermost values of both sides, one in ten thousand."""
    below = np.cumsum(seen.counts) / seen.counts.sum()
    first = int(np.searchsorted(below, (1 - kept) / 2))
    last = int(np.searchsorted(below, (1 + kept) / 2))
    low, high = max(seen.low, seen.value_of(first)), min(seen.high, seen.value_of(last + 1))
    return min(0.0, low), max(0.0, high)


def entropy(seen: Histogram) -> Range:
    """Return the range whose levels diverge least from what was seen (Migacz, GTC 2017)."""
    farthest = max(-seen.low, seen.high)
    ranges = [
        (max(seen.low, -farthest * k / NARROWED), min(seen.high, farthest * k / NARROWED))
        for k in range(NARROWED // 8, NARROWED + 1)
    ]
    return min(ranges, key=lambda each: _divergence(seen, each))


def _divergence(seen: Histogram, kept: Range) -> float:
    """Return KL(seen, its outliers moved to the ends | the same in LEVELS)."""
    counts = seen.counts.copy()
    # A Relu leaves a spike at zero, and zero has its own level in every range.
    counts[seen.BINS // 2] = counts[seen.BINS // 2 + 1]
    first, last = seen.bin_of(kept[0]), seen.bin_of(kept[1]) + 1
    inside = counts[first:last].astype(np.float64)
    level = np.arange(len(inside)) * LEVELS // len(inside)
    filled = inside > 0
    mass = np.bincount(level, inside, LEVELS)
    among = np.maximum(np.bincount(level, filled, LEVELS), 1)
    coarse = np.where(filled, (mass / among)[level], 0)
    inside[0] += counts[:first].sum()
    inside[-1] += counts[last:].sum()
    p, q = inside / max(inside.sum(), 1), coarse / max(coarse.sum(), 1)
    there = p > 0
    return float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-9))).sum())


RULES: dict[str, Callable[[Histogram], Range]] = {
    "MinMax": minmax,
    "Entropy": entropy,
    "Percentile": percentile,
}


@dataclass(frozen=True)
class Candidate:
    """A quantized net, and how close it stays to its FP32 net on representative pictures."""

    rule: str
    model: onnx.ModelProto
    agreement: float
    kl: float


def candidates(
    path: Path, target: Target, measured_on: Batch, judged_on: Batch, expected: Floats
) -> list[Candidate]:
    """Return the FP32 graph in INT8 by each rule.

    path: a graph that quant_pre_process has prepared. Both batches are (n, size, size, 3) RGB;
    expected are the logits (n, classes) of the FP32 net on judged_on.
    """
    seen = histograms(path, measured_on)
    p = softmax(expected.astype(np.float64))
    rules = RULES.values()
    models = [quantize(path, target, {t: rule(h) for t, h in seen.items()}) for rule in rules]
    with threadpool_limits(1):  # sums of several threads are others, and so would be the file
        round_weights(models, measure(path, measured_on), target.top)
    found = []
    for name, model in zip(RULES, models, strict=True):
        logits = logits_of(open_session(model.SerializeToString()), judged_on)
        agreement = float((logits.argmax(axis=1) == expected.argmax(axis=1)).mean())
        kl = float(divergence(p, softmax(logits.astype(np.float64))).mean())
        found.append(Candidate(name, model, agreement, kl))
    return found


def closest(tried: Sequence[Candidate]) -> Candidate:
    """Return the candidate that agrees most; where that may be chance, the one that diverges least.

    A picture more or less of two hundred says nothing; the divergence is of all of them.
    """
    most = max(candidate.agreement for candidate in tried)
    alike = [candidate for candidate in tried if candidate.agreement >= most - CHANCE]
    return min(alike, key=lambda candidate: candidate.kl)


def divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return KL(p | q) of each row, in nats."""
    rows: NDArray[np.float64] = p * (np.log(np.clip(p, 1e-12, 1)) - np.log(np.clip(q, 1e-12, 1)))
    return rows.sum(axis=1)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter and the quantizer talk about what nobody here can change."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.root.setLevel(level)


@quiet()
def quantize(path: Path, target: Target, ranges: dict[str, Range]) -> onnx.ModelProto:
    """Return the graph in INT8, from the picture's bytes to what the logits are made of."""
    model = load_model_with_shape_infer(path)
    folded = fold_scaling(model)
    ranges = ranges | {folded.tensor: (-folded.grey, 255 - folded.grey)}
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    quantizer = QDQQuantizer(
        model,
        True,  # per channel
        target.reduce_range,
        QuantType.QInt8,
        target.activations,
        TensorsData(CalibrationMethod.MinMax, data),
        [],
        _before_first_convolution(model),
        sorted({*QDQRegistry, *QLinearOpsRegistry}),
        # 256 steps are few for logits that a temperature below one stretches; QGemm gives floats.
        {"OpTypesToExcludeOutputQuantization": ["Gemm"]},
    )
    quantizer.quantize_model()
    quantized: onnx.ModelProto = quantizer.model.model
    read_bytes(quantized, folded.colour, signed=target.activations is QuantType.QInt8)
    quantizer.model.topological_sort()  # which ONNX demands, if not ONNX Runtime
    return quantized


def _before_first_convolution(model: onnx.ModelProto) -> list[str]:
    """What is left of the scaling: bytes are exact, and nothing in there is to be rounded."""
    names = [node.name for node in model.graph.node]
    kinds = [node.op_type for node in model.graph.node]
    return names[: kinds.index("Conv")]


def histograms(path: Path, images: Batch) -> dict[str, Histogram]:
    """Return what each activation was over the pictures, a few of them in memory at a time."""
    model = load_model_with_shape_infer(path)
    folded = _before_relu(model)
    floats = [
        info for info in (*model.graph.value_info, *model.graph.output)
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and info.name not in folded
    ]  # fmt: skip
    del model.graph.output[:]
    model.graph.output.extend(floats)
    session = open_session(model.SerializeToString())
    seen = {info.name: Histogram() for info in floats}
    for part in in_memory(images):
        for name, values in zip(seen, run(session, part), strict=True):
            seen[name].add(values)
    return seen | {name: seen[after] for name, after in folded.items()}


def _before_relu(model: onnx.ModelProto) -> dict[str, str]:
    """What only a Relu reads is never stored, so its range is the Relu's; both names."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return {
        name: nodes[0].output[0]
        for name, nodes in readers.items()
        if len(nodes) == 1 and nodes[0].op_type == "Relu"
    }
