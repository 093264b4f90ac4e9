"""The net as a whole: scaling, a body, a head.

It takes what edge.preprocess makes, bytes in RGB, so that nothing between the camera and the
first convolution can be done in two ways.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from trainer.baselines import BASELINES, Baseline
from trainer.recipe import Net, Recipe
from trainer.resnet import DEPTHS, MEAN, STD, ResNet
from trainer.weights import load_weights


class SlotNet(nn.Module):
    """(n, size, size, 3) RGB bytes, or floats between two of them, to (n, classes) logits."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: Net, classes: int, zero_gamma: bool = False):
        super().__init__()
        self.body = open_body(net, zero_gamma)
        self.head = nn.Sequential(nn.Dropout(net.dropout), nn.Linear(self.body.features, classes))
        self.frozen = self.body.parts[: net.freeze]
        self.freeze_norm = net.freeze_norm
        self.channels_last = True
        scale = 1 / (255 * torch.tensor(STD))
        self.register_buffer("scale", scale.view(1, 3, 1, 1), persistent=False)
        shift = -torch.tensor(MEAN) / torch.tensor(STD)
        self.register_buffer("shift", shift.view(1, 3, 1, 1), persistent=False)
        for part in self.frozen:
            part.requires_grad_(False)

    def features(self, images: Tensor) -> Tensor:
        """Return what the head is asked about: (n, features)."""
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        # As bytes come the channels are last in memory, and every layer keeps that order.
        x = x if self.channels_last else x.contiguous()
        return self.body(x).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))

    def train(self, mode: bool = True) -> SlotNet:
        """Frozen parts stay in evaluation mode: their BatchNorm statistics are frozen too."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        if self.freeze_norm:
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    @property
    def body_is_frozen(self) -> bool:
        return len(self.frozen) == len(self.body.parts)


def open_body(net: Net, zero_gamma: bool = False) -> ResNet | Baseline:
    """Return the body, with its weights where the recipe names some."""
    body = ResNet(net, zero_gamma) if net.arch in DEPTHS else BASELINES[net.arch](net)
    if net.freeze > len(body.parts):
        raise ConfigError([f"net.freeze: {net.freeze}, but {net.arch} has {len(body.parts)} parts"])
    if net.weights:
        load_weights(body, net)
    return body


def check_sizes(model: SlotNet, recipe: Recipe, processes: int = 1) -> None:
    """Raise ConfigError where pictures of the recipe's sizes do not suit its net.

    processes: among which each batch is shared out.
    """
    on_the_way = [("train_sizes", size) for _, size in recipe.train_sizes]
    for key, size in (("input_size", recipe.input_size), *on_the_way):
        if why := why_unsuited(model, recipe.net.arch, size):
            raise ConfigError([f"{key}: {size}; {why}"])
    smallest = min((size for _, size in recipe.train_sizes), default=recipe.input_size)
    if recipe.batch == processes and recipe.optimizer != "logistic":
        _check_alone(model, smallest)


def _check_alone(model: SlotNet, size: int) -> None:
    """Raise ConfigError where of one picture nothing is left to take a BatchNorm's mean over."""
    shapes = copy.deepcopy(model).to("meta").train()  # computes nothing but shapes
    try:
        shapes(torch.empty((1, size, size, 3), device="meta"))
    except ValueError:
        raise ConfigError(
            [f"batch: one picture of {size} pixels at a time (for each process) leaves a BatchNorm "
             "one value to take the mean of: a batch of two, or larger pictures"]
        ) from None  # fmt: skip


def why_unsuited(model: SlotNet, arch: str, size: int) -> str:
    """Return why pictures of a size do not suit a net; empty where they do."""
    body = model.body
    if size < body.smallest:
        return f"{arch} needs {body.smallest} pixels at least"
    if size % body.divisor:
        return (
            f"with d the side must be even wherever this {arch} halves it: a multiple of "
            f"{body.divisor}"
        )
    return ""


def settle(model: SlotNet, batches: list[Tensor]) -> None:
    """Take all BatchNorm statistics anew over the batches, as a plain mean.

    Weights that were trained with another stride or shortcut lose accuracy until then: 72.8 % as
    loaded, 89.6 % after 125 pictures, of 92.0 % in the net they were trained in.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for images in batches:
            model(images)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
