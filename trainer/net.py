"""The net as a whole: scaling, a body, a head; and where a body's weights come from.

It takes what edge.preprocess makes, bytes in RGB, so that nothing between the camera and the
first convolution can be done in two ways.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from edge.errors import ConfigError, UnavailableError
from trainer.baselines import BASELINES, Baseline
from trainer.recipe import Net
from trainer.resnet import DEPTHS, ResNet

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB, on a 0 to 1 scale
STD = (0.229, 0.224, 0.225)

HOW_TO_GET = (
    "write `weights: FILE` with a torchvision state_dict "
    "(https://download.pytorch.org/models/), or train from scratch without the key"
)


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
        scale = 1 / (255 * torch.tensor(STD))
        self.register_buffer("scale", scale.view(1, 3, 1, 1), persistent=False)
        shift = -torch.tensor(MEAN) / torch.tensor(STD)
        self.register_buffer("shift", shift.view(1, 3, 1, 1), persistent=False)
        for part in self.frozen:
            part.requires_grad_(False)

    def features(self, images: Tensor) -> Tensor:
        """Return what the head is asked about: (n, features)."""
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
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


def open_body(net: Net, zero_gamma: bool) -> ResNet | Baseline:
    """Return the body, with its weights where the recipe names some."""
    body = ResNet(net, zero_gamma) if net.arch in DEPTHS else BASELINES[net.arch](net)
    if net.weights:
        try:
            body.load_pretrained(_read_weights(net))
        except ConfigError as error:
            raise ConfigError([f"net.weights {net.weights}: {error}"]) from None
    return body


def _read_weights(net: Net) -> Mapping[str, Tensor]:
    assert net.weights is not None
    if net.weights == "imagenet":
        return _download(net.arch)
    path = Path(os.path.expandvars(net.weights)).expanduser()
    if path.is_dir():
        return _of_run(path)
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnavailableError(
            f"{path}: cannot read the weights: {error.strerror}; {HOW_TO_GET}"
        ) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise UnavailableError(f"{path}: no torch state_dict; {HOW_TO_GET}") from None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UnavailableError(f"{path}: no torch state_dict; {HOW_TO_GET}")
    return state


def _of_run(folder: Path) -> Mapping[str, Tensor]:
    """Return the body that a run keeps."""
    try:
        kept = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)["average"]
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError):
        raise UnavailableError(f"{folder}: holds no run to start from; {HOW_TO_GET}") from None
    body = "module.body."
    return {key.removeprefix(body): kept[key] for key in kept if key.startswith(body)}


def _download(arch: str) -> Mapping[str, Tensor]:
    try:
        weights = models.get_model_weights(arch).DEFAULT
    except ValueError:
        raise UnavailableError(f"torchvision has no weights for {arch}; {HOW_TO_GET}") from None
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise UnavailableError(
            f"{arch}: cannot download torchvision's weights ({error}); {HOW_TO_GET}"
        ) from None
    return state


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
