"""The net: a ResNet, cut where a small picture has been understood, with scaling built in.

It takes what edge.preprocess makes, bytes in RGB, so that nothing between the camera and the
first convolution can be done in two ways.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from edge.errors import ConfigError, UnavailableError
from trainer.recipe import Net

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB, on a 0 to 1 scale
STD = (0.229, 0.224, 0.225)


class SlotNet(nn.Module):
    """(n, size, size, 3) uint8 RGB to (n, classes) logits."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: Net, classes: int):
        super().__init__()
        body = getattr(models, net.arch)(weights=None)
        if net.stride_on == "1x1":
            _stride_on_first_convolution(body)
        if net.weights:
            _load(body, net.weights)
        stages = (body.layer1, body.layer2, body.layer3, body.layer4)
        kept = [stage[:count] for stage, count in zip(stages, net.blocks, strict=False)]
        self.parts = nn.ModuleList(
            [nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool), *kept]
        )
        self.frozen, self.freeze_norm = net.freeze, net.freeze_norm
        self.head = nn.Linear(_width(kept[-1]), classes)
        scale = 1 / (255 * torch.tensor(STD))
        self.register_buffer("scale", scale.view(1, 3, 1, 1), persistent=False)
        shift = -torch.tensor(MEAN) / torch.tensor(STD)
        self.register_buffer("shift", shift.view(1, 3, 1, 1), persistent=False)
        for part in self.parts[: self.frozen]:
            part.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        for part in self.parts:
            x = part(x)
        return self.head(x.mean(dim=(2, 3)))

    def train(self, mode: bool = True) -> SlotNet:
        """Frozen parts stay in evaluation mode: their BatchNorm statistics are frozen too."""
        super().train(mode)
        for part in self.parts[: self.frozen]:
            part.eval()
        if self.freeze_norm:
            for module in self.parts.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def _stride_on_first_convolution(body: models.ResNet) -> None:
    for stage in (body.layer2, body.layer3, body.layer4):
        block = stage[0]
        if not hasattr(block, "conv3"):
            raise ConfigError(["net.stride_on: '1x1' needs bottlenecks; write resnet50 or '3x3'"])
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def _load(body: nn.Module, name: str) -> None:
    path = Path(os.path.expandvars(name)).expanduser()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot read the weights: {error.strerror}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise UnavailableError(f"{path}: no torch state_dict; give the file anew") from None
    try:
        body.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(
            [f"{path}: weights of another net: {str(error).splitlines()[1]}"]
        ) from None


def _width(stage: nn.Sequential) -> int:
    """How many channels leave a stage."""
    last: models.resnet.BasicBlock | models.resnet.Bottleneck = stage[-1]
    return (last.conv3 if hasattr(last, "conv3") else last.conv2).out_channels
