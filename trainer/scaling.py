"""Scaling at no cost: the first convolution of a quantized net reads the bytes themselves.

(x * scale + shift) convolved with W is (x - grey) convolved with W * scale, plus a constant. And a
byte less grey is an activation of 8 bits as it stands. So nothing casts, multiplies, adds and
rounds every picture before the net: some 7 % of the time of nets small enough for a mini PC.

Where the convolution pads with zero, scaled pictures get a border in the mean colour of what the
weights were made with. Bytes get it by a Pad and an Or, rounded to the nearest byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

NEARLY_ZERO = 1e-8


class Folded(NamedTuple):
    """tensor: x - grey, by its name. colour: the bytes that were scaled to zero, RGB."""

    tensor: str
    grey: int
    colour: NDArray[np.uint8]


def fold_scaling(model: onnx.ModelProto) -> Folded:
    """Leave of the scaling of an FP32 graph nothing but x - grey.

    The graph is changed in place. Raises RuntimeError where it does not begin as
    trainer.net.SlotNet does: bytes are transposed, cast, multiplied and added to by channel.
    """
    graph = model.graph
    known = {each.name: each for each in graph.initializer}
    conv = _first_convolution(graph)
    before = list(graph.node)[: list(graph.node).index(conv)]
    kinds = [node.op_type for node in before]
    if kinds != ["Transpose", "Cast"] + ["Mul", "Add"] * max(1, len(before) // 2 - 1):
        raise RuntimeError(f"this is not how a net begins: {', '.join(kinds)}")
    _, cast, *steps = before
    scale, shift = np.ones((1, 3, 1, 1)), np.zeros((1, 3, 1, 1))
    for multiply, add in zip(steps[::2], steps[1::2], strict=True):
        a, b = (values_of(known[step.input[1]]) for step in (multiply, add))
        scale, shift = scale * a, shift * a + b
    mean = (-shift / scale).ravel()
    grey = round(mean.mean())
    _fold_into(graph, conv, scale, scale * grey + shift)
    *folded, last = steps
    last.input[:] = [cast.output[0], "minus_grey"]
    graph.initializer.append(numpy_helper.from_array(np.array(-grey, np.float32), "minus_grey"))
    _remove(graph, folded)
    return Folded(last.output[0], grey, mean.round().clip(0, 255).astype(np.uint8))


def _fold_into(
    graph: onnx.GraphProto,
    conv: onnx.NodeProto,
    scale: NDArray[np.float64],
    at: NDArray[np.float64],
) -> None:
    """Let a convolution read x - grey instead of x * scale + shift, which is `at` where x is grey.

    Both are (1, 3, 1, 1).
    """
    known = {each.name: each for each in graph.initializer}
    weight = known[conv.input[1]]
    w = values_of(weight)
    # Without weights of its own a filter would be quantized in steps of one, its bias with it.
    w[~w.any(axis=(1, 2, 3)), 0, 0, 0] = NEARLY_ZERO
    bias = (w * at).sum(axis=(1, 2, 3))
    if len(conv.input) > 2:
        bias += values_of(known[conv.input[2]])
    conv.input[2:] = ["folded_bias"]
    graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), "folded_bias"))
    weight.CopyFrom(numpy_helper.from_array((w * scale).astype(np.float32), weight.name))


def read_bytes(model: onnx.ModelProto, colour: NDArray[np.uint8], signed: bool) -> None:
    """Let the first convolution of a quantized graph read the bytes, with their border around them.

    colour: of the border, RGB. signed: activations are S8; then x - grey is still computed, for x
    itself does not fit.
    """
    graph = model.graph
    _add_border(graph, colour)
    if signed:
        return
    made_by = {name: node for node in graph.node for name in node.output}
    reader = made_by[_first_convolution(graph).input[0]]
    rounding = made_by[reader.input[0]]
    subtraction = made_by[rounding.input[0]]
    cast = made_by[subtraction.input[0]]
    reader.input[0] = cast.input[0]
    _remove(graph, (cast, subtraction, rounding))


def _add_border(graph: onnx.GraphProto, colour: NDArray[np.uint8]) -> None:
    """Pad bytes (n, size, size, 3) before all else, not in the convolution."""
    conv = _first_convolution(graph)
    pads = next(each for each in conv.attribute if each.name == "pads").ints
    top, left, bottom, right = pads
    if not any(pads):
        return
    images = graph.input[0].name
    height, width = (graph.input[0].type.tensor_type.shape.dim[k].dim_value for k in (1, 2))
    border = np.full((1, top + height + bottom, left + width + right, 3), colour)
    border[:, top : top + height, left : left + width] = 0
    by = np.array([0, top, left, 0, 0, bottom, right, 0], np.int64)
    graph.initializer.extend(
        [numpy_helper.from_array(by, "pads"), numpy_helper.from_array(border, "border")]
    )
    graph.node[0].input[0] = "framed"
    graph.node.insert(0, helper.make_node("BitwiseOr", ["padded", "border"], ["framed"]))
    graph.node.insert(0, helper.make_node("Pad", [images, "pads"], ["padded"]))
    pads[:] = [0] * len(pads)
    del graph.value_info[:]  # they tell of pictures without a border


def _remove(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Take nodes out, and what nobody reads any more."""
    for node in nodes:
        graph.node.remove(node)
    read = {name for node in graph.node for name in node.input}
    for each in [each for each in graph.initializer if each.name not in read]:
        graph.initializer.remove(each)


def _first_convolution(graph: onnx.GraphProto) -> onnx.NodeProto:
    return next(node for node in graph.node if node.op_type == "Conv")


def values_of(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    """Return the numbers of a tensor in a graph."""
    values: NDArray[np.float64] = numpy_helper.to_array(tensor).astype(np.float64)
    return values
