"""Scaling for nothing: the first convolution of a quantized net reads the bytes themselves.

(x * scale + shift) convolved with W is (x - GREY) convolved with W * scale, plus a constant. And a
byte less GREY is an activation of 8 bits as it stands. So nothing casts, multiplies, adds and
rounds every picture before the net: a twelfth of the time of nets small enough for a mini PC.

Where the convolution pads with nought, scaled pictures get a border in ImageNet's mean colour.
Bytes get it by a Pad and an Or, rounded to the nearest byte.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from trainer.resnet import MEAN

COLOUR = np.array([round(255 * mean) for mean in MEAN], np.uint8)
GREY = round(255 * sum(MEAN) / len(MEAN))

SCALING = ["Transpose", "Cast", "Mul", "Add"]
"""What trainer.net.SlotNet does before its body."""


def fold_scaling(model: onnx.ModelProto) -> str:
    """Leave of the scaling of an FP32 graph nothing but x - GREY; return the name of that.

    The graph is changed in place. Raises RuntimeError where it does not begin with the scaling.
    """
    graph = model.graph
    before = graph.node[: len(SCALING)]
    if [node.op_type for node in before] != SCALING:
        raise RuntimeError(f"the graph does not begin with {', '.join(SCALING)}")
    _, cast, multiply, add = before
    conv = _first_convolution(graph)
    known = {each.name: each for each in graph.initializer}
    scale, shift, weight = (
        known[name] for name in (multiply.input[1], add.input[1], conv.input[1])
    )
    a, b = (_array(each).astype(np.float64) for each in (scale, shift))  # (1, 3, 1, 1)
    w = _array(weight).astype(np.float64)
    more = (w * (a * GREY + b)).sum(axis=(1, 2, 3))
    if len(conv.input) > 2:
        _put(known[conv.input[2]], _array(known[conv.input[2]]) + more)
    else:
        conv.input.append("grey")
        graph.initializer.append(numpy_helper.from_array(more.astype(np.float32), "grey"))
    _put(weight, w * a)
    _put(shift, np.array(-GREY))
    add.input[0] = cast.output[0]
    graph.node.remove(multiply)
    return add.output[0]


def read_bytes(model: onnx.ModelProto, signed: bool) -> None:
    """Give the bytes their border, and to the first convolution of a quantized graph as they are.

    signed: activations are S8; then x - GREY is still computed, for x itself does not fit.
    """
    graph = model.graph
    _add_border(graph)
    if signed:
        return
    made_by = {name: node for node in graph.node for name in node.output}
    reader = made_by[_first_convolution(graph).input[0]]
    rounding = made_by[reader.input[0]]
    subtraction = made_by[rounding.input[0]]
    cast = made_by[subtraction.input[0]]
    reader.input[0] = cast.input[0]
    for node in (cast, subtraction, rounding):
        graph.node.remove(node)


def _add_border(graph: onnx.GraphProto) -> None:
    """Pad bytes (n, size, size, 3) with COLOUR before all else, not in the convolution."""
    conv = _first_convolution(graph)
    pads = next(each for each in conv.attribute if each.name == "pads").ints
    top, left, bottom, right = pads
    if not any(pads):
        return
    images = graph.input[0].name
    height, width = (graph.input[0].type.tensor_type.shape.dim[k].dim_value for k in (1, 2))
    border = np.full((1, top + height + bottom, left + width + right, 3), COLOUR)
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


def _first_convolution(graph: onnx.GraphProto) -> onnx.NodeProto:
    return next(node for node in graph.node if node.op_type == "Conv")


def _array(tensor: onnx.TensorProto) -> NDArray[np.float32]:
    values: NDArray[np.float32] = numpy_helper.to_array(tensor)
    return values


def _put(tensor: onnx.TensorProto, values: NDArray[np.float64]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
