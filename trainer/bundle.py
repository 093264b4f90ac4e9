"""The ONNX file: a net as a graph that takes bytes, and a quantized graph as a bundle."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from edge.classifier import EMPTY, METADATA_KEY, BundleInfo, Temperature, open_classifier
from edge.errors import EdgeError, UnavailableError
from trainer.files import replace_file
from trainer.quantize import quiet
from trainer.recipe import Recipe
from trainer.session import Batch, logits_of, open_session

INPUT, OUTPUT = "images", "probabilities"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}
LEAST_FREE_BYTES = 1 << 20
SAME = 1e-3
"""How far torch and ONNX Runtime may be apart, relative to the largest logit."""


def to_onnx(net: nn.Module, recipe: Recipe, path: Path) -> None:
    """Write the net as it is: FP32, (n, size, size, 3) bytes in, logits out."""
    size = recipe.input_size
    with quiet():
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


def write_fp32(net: nn.Module, recipe: Recipe, path: Path, images: Batch) -> None:
    """Write the net as a graph ready to be quantized, BatchNorm folded into its convolutions.

    images are some to try it on. Raises UnavailableError where the net's answers to them are no
    numbers, RuntimeError where the graph's answers are others.
    """
    few = images[:8]
    with torch.inference_mode():
        expected = net(torch.from_numpy(few)).numpy()
    if not np.isfinite(expected).all():
        raise UnavailableError("the net's answers are no numbers; train it anew, with a lower lr")
    plain = path.with_suffix(".plain")
    to_onnx(net, recipe, plain)
    with quiet():
        quant_pre_process(plain, path, skip_symbolic_shape=True)
    model = onnx.load(path)
    _part_shared(model.graph)
    onnx.save(model, path)
    apart = np.abs(logits_of(open_session(path.read_bytes()), few) - expected).max()
    if apart > SAME * max(1.0, float(np.abs(expected).max())):
        raise RuntimeError(f"torch and ONNX Runtime differ by {apart} on one net")


def _part_shared(graph: onnx.GraphProto) -> None:
    """Give each layer weights and a bias of its own: the exporter stores equal ones once, and each
    is quantized by what its own layer meets."""
    known = {each.name: each for each in graph.initializer}
    taken: set[str] = set()
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        for place, name in enumerate(node.input):
            if name in taken and name in known:
                own = graph.initializer.add()
                own.CopyFrom(known[name])
                node.input[place] = own.name = f"{name}_of_{node.name}"
            taken.add(name)


def write_bundle(model: onnx.ModelProto, info: BundleInfo, out: Path) -> None:
    """Write a quantized graph as a bundle; what the daemon would refuse never gets the name."""
    _add_softmax(model, info.temperature, info.classes)
    _add_metadata(model, info)
    with scratch() as folder:
        draft = folder / out.name
        onnx.save(model, draft)
        open_classifier(draft)
        replace_file(out, lambda new: shutil.copyfile(draft, new))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that is gone afterwards. Raises UnavailableError where it is out of room."""
    try:
        with TemporaryDirectory() as folder:
            try:
                yield Path(folder)
            except EdgeError:
                raise
            except Exception as error:
                # ONNX Runtime writes what fits and says nothing; who reads that finds it damaged.
                if shutil.disk_usage(folder).free >= LEAST_FREE_BYTES:
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UnavailableError(
            f"{gettempdir()}: {error.strerror}; make room there, or name another folder in TMPDIR"
        ) from None


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
