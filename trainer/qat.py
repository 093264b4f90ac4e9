"""Quantization-aware fine-tuning: a net learns to give its own answers in 8 bits.

For nets that lose too much when their numbers are simply rounded. The net that is fine-tuned rounds
as the bundle will (weights per output channel, activations per tensor), while gradients pass as if
it did not (Jacob et al. 2018, arXiv:1712.05877). What it learns is what the FP32 net says of the
run's own varied pictures: the question is parity, so no label is needed.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from itertools import dropwhile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils import parametrize

from trainer.mixture import Mixture, batches

STEPS, LR = 200, 1e-5
"""Steps of the recipe's batch, and the learning rate of Adam, which then falls by half a cosine.

Adam moves each weight by about the rate a step. At 1e-4 that is farther in all than rounding does:
of `grocery-small` the divergence (KL) from FP32 grew from 0.005 to 0.028; at 1e-5 it fell to 0.003.
"""
LOOKS = 8
"""Batches from which the ranges of activations are taken before anything is rounded."""

STORED: set[Any] = {
    operator.add, operator.iadd, torch.cat, F.relu, "mean", nn.Conv2d, nn.BatchNorm2d, nn.ReLU,
    nn.AvgPool2d, F.avg_pool2d,
}  # fmt: skip
"""What the quantizer puts a range behind, unless only a Relu reads it."""


class RoundedWeight(nn.Module):
    """Weights (out, …) in steps of a 127th of each output channel's largest, or of a 64th.

    Those of a BatchNorm that no convolution took in, (channels,), are stored with one step for all.
    scale: what they are multiplied with in the bundle, where it is rounded.
    """

    def __init__(self, top: int, scale: Tensor):
        """top: the largest integer."""
        super().__init__()
        self.top, self.scale = top, scale

    def forward(self, weight: Tensor) -> Tensor:
        scaled = weight * self.scale
        rows = scaled if scaled.ndim > 1 else scaled[None]
        largest = rows.detach().abs().flatten(1).amax(dim=1).clamp(min=1e-12)
        zero = torch.zeros_like(largest, dtype=torch.int32)
        rounded = torch.fake_quantize_per_channel_affine(
            rows, largest / self.top, zero, 0, -self.top, self.top
        )
        return rounded.reshape(weight.shape) / self.scale


class RoundedActivation(nn.Module):
    """Activations in 255 steps between the mean lowest and the mean highest of LOOKS batches."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.looks = 0.0, 0.0, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.looks < LOOKS:
            self.looks += 1
            self.low += (min(0.0, x.min().item()) - self.low) / self.looks
            self.high += (max(0.0, x.max().item()) - self.high) / self.looks
            return x
        scale = max(self.high - self.low, 1e-12) / 255
        return torch.fake_quantize_per_tensor_affine(x, scale, round(-self.low / scale), 0, 255)


def fine_tune(
    net: nn.Module, mixture: Mixture, top: int, say: Callable[[int, int], None]
) -> nn.Module:
    """Return the net, BatchNorm folded into its convolutions, with weights that survive rounding.

    A BatchNorm that follows no convolution stays, as in a DenseNet. net: in evaluation mode. top:
    the largest integer of a weight. It is a function of the recipe, the data and the thread count.
    say is told the step and the number of steps.
    """
    student = fuse(net)
    assert isinstance(student, fx.GraphModule)
    student.requires_grad_(True)
    rounding = _with_rounded_activations(student)
    kinds = nn.Conv2d | nn.Linear | nn.BatchNorm2d
    layers = [module for module in student.modules() if isinstance(module, kinds)]
    with torch.inference_mode():
        for images, _ in batches(mixture, mixture.steps, mixture.steps + LOOKS):
            rounding(torch.from_numpy(images))
    first_scale = _scale_before(layers[0], student, mixture.recipe.input_size)
    for layer in layers:
        scale = first_scale if layer is layers[0] else torch.ones(())
        parametrize.register_parametrization(layer, "weight", RoundedWeight(top, scale))
    optimizer = torch.optim.Adam(student.parameters(), lr=LR)
    first = mixture.steps + LOOKS
    for step, (images, _) in enumerate(batches(mixture, first, first + STEPS)):
        for group in optimizer.param_groups:
            group["lr"] = LR * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        x = torch.from_numpy(images)
        with torch.inference_mode():
            expected = F.softmax(net(x), dim=1)
        loss = F.cross_entropy(rounding(x), expected.clone())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        say(step + 1, STEPS)
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")
    return student


def _scale_before(first: nn.Module, net: nn.Module, size: int) -> Tensor:
    """Return what a net's first convolution gets of a byte, by channel: (1, 3, 1, 1).

    The bundle multiplies its weights with that, and rounds them then (trainer/scaling.py).
    """
    got: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, x: got.append(x[0][:1, :, :1, :1].clone()))
    with torch.inference_mode():
        for byte in (0, 255):
            net(torch.full((1, size, size, 3), byte, dtype=torch.uint8))
    hook.remove()
    dark, light = got
    return ((light - dark) / 255).clone()


def _with_rounded_activations(student: fx.GraphModule) -> fx.GraphModule:
    """Return a net of the same modules that rounds wherever the quantizer does.

    Not before the first convolution: what it reads are bytes (trainer/scaling.py).
    """
    graph = copy.deepcopy(student.graph)
    rounding = fx.GraphModule(student, graph)
    behind = dropwhile(lambda node: _kind(node, student) is not nn.Conv2d, graph.nodes)
    for number, node in enumerate([node for node in behind if _is_stored(node, student)]):
        name = f"rounded{number}"
        rounding.add_module(name, RoundedActivation())
        with graph.inserting_after(node):
            after = graph.call_module(name, (node,))
        node.replace_all_uses_with(after)
        after.args = (node,)
    rounding.recompile()
    return rounding


def _is_stored(node: fx.Node, net: nn.Module) -> bool:
    kind = _kind(node, net)
    if kind is torch.cat and len(node.all_input_nodes) == 1:
        return False  # it is its input; the graph has no node for it
    return kind in STORED and not all(_kind(user, net) in (nn.ReLU, F.relu) for user in node.users)


def _kind(node: fx.Node, net: nn.Module) -> Any:
    if node.op == "call_module":
        return type(net.get_submodule(str(node.target)))
    return node.target
