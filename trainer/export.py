"""From a run to a bundle: one INT8 ONNX file that the daemon opens, with its parity report.

U8S8 per channel as ONNX Runtime advises for x86, with reduce_range: without VNNI the processor
adds two 8 x 8 bit products in 16 bits, and full-range weights would overflow there. So the same
file gives the same answers on every PC, at the price of one bit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.classifier import (
    EMPTY,
    FORMAT,
    MAX_BATCH,
    METADATA_KEY,
    BundleInfo,
    Temperature,
    open_classifier,
)
from edge.errors import UsageError
from edge.preprocess import RESIZE, to_batch
from trainer.data import Picture, read_data, read_source
from trainer.evaluate import RunModel, figures, tempered, true_columns
from trainer.mixture import open_mixture
from trainer.net import SlotNet
from trainer.recipe import Recipe
from trainer.runs import load_run
from trainer.temper import fit_temperature

QUANTIZATION = "U8S8 per channel, QDQ, reduce_range, MinMax over {n} representative pictures"
REPRESENTATIVE = 256
INPUT, OUTPUT = "images", "probabilities"


def export(
    run: Path, out: Path, held_out: Sequence[Picture], unfinished: bool = False
) -> dict[str, Any]:
    """Write the bundle of a finished run; return the report FP32 against INT8 on held_out."""
    found = load_run(run, unfinished=unfinished)
    recipe, net = found.recipe, found.net
    with TemporaryDirectory() as folder, _quiet():
        plain, quantized = Path(folder, "plain.onnx"), Path(folder, "int8.onnx")
        to_onnx(net, recipe, plain)
        _quantize(plain, quantized, _representative(recipe))
        model = onnx.load(quantized)
    truth = true_columns(held_out, recipe.classes)
    int8 = _int8_logits(model, recipe, held_out)
    temperature = recipe.temperature or Temperature(
        value=fit_temperature(int8, truth, shift_of=None)[0],
        fitted_on=f"INT8 logits of {len(held_out)} held-out pictures",
    )
    fp32 = _fp32_logits(net, recipe, held_out)
    report = parity(fp32, int8, truth, temperature, recipe.classes)
    info = BundleInfo(
        format=FORMAT,
        name=recipe.name,
        classes=recipe.classes,
        input_size=recipe.input_size,
        resize=RESIZE,
        thresholds=recipe.thresholds,
        temperature=temperature,
        recipe=recipe.model_dump(mode="json"),
        recipe_hash=recipe.digest(),
        data_digest=found.data_digest,
        accuracy={"held_out": report},
        quantization=QUANTIZATION.format(n=REPRESENTATIVE),
        sources=recipe.sources,
    )
    _add_softmax(model, temperature, recipe.classes)
    _add_metadata(model, info)
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_suffix(".new")
    onnx.save(model, new)
    open_classifier(new)  # what the daemon would refuse never gets the name
    os.replace(new, out)
    return {"bundle": str(out), "megabytes": round(out.stat().st_size / 1e6, 2),
            "temperature": temperature.value, **report}  # fmt: skip


def parity(
    fp32: NDArray[np.float32], int8: NDArray[np.float32], truth: NDArray[np.int64],
    temperature: Temperature, classes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Return what quantization changed: both top-1, how often they agree, mean KL(FP32 | INT8)."""
    p, q = (tempered(logits.astype(np.float64), temperature, classes) for logits in (fp32, int8))
    divergence = (p * (np.log(np.clip(p, 1e-12, 1)) - np.log(np.clip(q, 1e-12, 1)))).sum(axis=1)
    of_q = figures(q, truth, classes)
    return {
        "n": len(truth),
        "top1_fp32": float((p.argmax(axis=1) == truth).mean()),
        "top1_int8": of_q["top1"],
        "agreement": float((p.argmax(axis=1) == q.argmax(axis=1)).mean()),
        "kl": float(divergence.mean()),
        "nll": of_q["nll"],
        "ece": of_q["ece"],
    }


def held_out_pictures(recipe: Recipe, texts: Sequence[str]) -> list[Picture]:
    """Return the pictures of --data, else of the recipe's held_out."""
    if texts:
        return [picture for text in texts for picture in read_data(text)]
    if not recipe.held_out:
        raise UsageError("nothing to measure the export on: give --data, or held_out in the recipe")
    return [p for source in recipe.held_out for p in read_source(source)]


def to_onnx(net: SlotNet, recipe: Recipe, path: Path) -> None:
    """Write the net as it is: FP32, (n, size, size, 3) bytes in, logits out."""
    size = recipe.input_size
    torch.onnx.export(
        net.to(memory_format=torch.contiguous_format),
        (torch.zeros((2, size, size, 3), dtype=torch.uint8),),
        path,
        input_names=[INPUT],
        output_names=["logits"],
        dynamo=True,
        opset_version=18,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        external_data=False,
        verbose=False,
    )


def _representative(recipe: Recipe) -> NDArray[np.uint8]:
    """Pictures as the net met them in training, without the variation."""
    mixture = open_mixture(recipe)
    images = [mixture.image(i, augmented=False)[0] for i in range(REPRESENTATIVE)]
    return to_batch(images, recipe.input_size)


class _Reader(CalibrationDataReader):
    def __init__(self, images: NDArray[np.uint8]):
        self._parts = iter(np.array_split(images, max(1, len(images) // MAX_BATCH)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        part = next(self._parts, None)
        return None if part is None else {INPUT: part}


def _quantize(plain: Path, quantized: Path, images: NDArray[np.uint8]) -> None:
    ready = plain.with_name("ready.onnx")
    quant_pre_process(plain, ready, skip_symbolic_shape=True)
    quantize_static(
        ready,
        quantized,
        _Reader(images),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=_before_first_convolution(onnx.load(ready)),
    )


def _before_first_convolution(model: onnx.ModelProto) -> list[str]:
    """The scaling's nodes: bytes are exact, rounding them again before the net is for nothing."""
    names = [node.name for node in model.graph.node]
    kinds = [node.op_type for node in model.graph.node]
    return names[: kinds.index("Conv")]


def _fp32_logits(net: SlotNet, recipe: Recipe, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    model = RunModel(net, recipe, torch.get_num_threads())
    return np.concatenate([model.logits(crops) for crops in _read(pictures)])


def _int8_logits(
    model: onnx.ModelProto, recipe: Recipe, pictures: Sequence[Picture]
) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    parts = (to_batch(crops, recipe.input_size) for crops in _read(pictures))
    return np.concatenate([session.run(None, {INPUT: part})[0] for part in parts])


def _read(pictures: Sequence[Picture]) -> Iterator[list[NDArray[np.uint8]]]:
    for start in range(0, len(pictures), MAX_BATCH):
        yield [picture.read() for picture in pictures[start : start + MAX_BATCH]]


def _add_softmax(model: onnx.ModelProto, temperature: Temperature, classes: Sequence[str]) -> None:
    """Append shift, division and softmax, so that calibrated probabilities leave the graph."""
    graph = model.graph
    shift = [temperature.shift if name == EMPTY else 0.0 for name in classes]
    graph.initializer.extend(
        [
            helper.make_tensor("empty_shift", TensorProto.FLOAT, [len(shift)], shift),
            helper.make_tensor("temperature", TensorProto.FLOAT, [], [temperature.value]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Add", [graph.output[0].name, "empty_shift"], ["shifted"]),
            helper.make_node("Div", ["shifted", "temperature"], ["cooled"]),
            helper.make_node("Softmax", ["cooled"], [OUTPUT], axis=1),
        ]
    )
    graph.output[0].name = OUTPUT


def _add_metadata(model: onnx.ModelProto, info: BundleInfo) -> None:
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = json.dumps(info.model_dump(mode="json", exclude={"digest"}))
    model.producer_name = "shelf-edge trainer"
    model.doc_string = f"{info.name}: {', '.join(info.classes)}"
    for node in model.graph.node:  # the exporter notes where in our sources each node came from
        del node.metadata_props[:]
        node.doc_string = ""
    for value in model.graph.value_info:
        del value.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter and the quantizer talk about what nobody here can change."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.root.setLevel(level)
