"""Networks to compare with: those of the study, those of the paper, and a simple one.

Each is torchvision's without its last layers, as a list of leading parts, so that `freeze` and
`weights` mean the same as for our ResNets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vgg import cfgs, make_layers

from trainer.recipe import Net
from trainer.resnet import MEAN, STD

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)")
"""Names in torchvision's files of 2017, which it still offers: norm.1 is what is called norm1."""


class Baseline(nn.Module):
    """(n, 3, h, w) floats to a map of features: the leading layers of a published net.

    smallest: side in pixels that a picture needs at least. whole: the net under torchvision's
    names; what is in no part is not kept.
    """

    divisor = 1
    left_out = ("fc.", "classifier.", "AuxLogits.")
    """Where the names of surplus weights begin."""

    def __init__(
        self, parts: Sequence[nn.Module], features: int, smallest: int, whole: nn.Module | None
    ):
        super().__init__()
        self.layers = nn.ModuleList(parts)
        self.features = features
        self.smallest = smallest
        own = {id(tensor): name for name, tensor in _tensors(self)}
        published = [] if whole is None else list(_tensors(whole))
        self._own_names = {name: own[id(t)] for name, t in published if id(t) in own}

    @property
    def parts(self) -> list[nn.Module]:
        """The leading parts, in order: what `freeze` counts."""
        return list(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.layers:
            x = part(x)
        return x

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a torchvision state_dict under this net's own names."""
        new = {OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
        return {self._own_names.get(key, key): value for key, value in new.items()}


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _vgg(letter: str) -> Baseline:
    """Without the 120 million weights of the classifier, which are never made."""
    layers = make_layers(cfgs[letter], batch_norm=False)
    for weight in layers.parameters():
        if weight.ndim == 1:
            nn.init.zeros_(weight)
        else:
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    ends = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    parts = [layers[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return Baseline(parts, 512, 32, nn.ModuleDict({"features": layers}))


class _ToHalves(nn.Module):
    """From ImageNet's scaling to -1 … 1: what torchvision's weights of Inception-V3 were made for.

    torchvision's own net does it where it is made with them (transform_input).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self.register_buffer("scale", (std / 0.5).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((mean - 0.5) / 0.5).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def _inception() -> Baseline:
    whole = models.inception_v3(weights=None, aux_logits=False, init_weights=True)
    names = [name for name, _ in whole.named_children() if name not in ("avgpool", "dropout", "fc")]
    parts = [_ToHalves(), *_grouped(whole, names, ends=("maxpool2", "Mixed_5d", "Mixed_6e"))]
    return Baseline([nn.Sequential(*parts[:2]), *parts[2:]], 2048, 80, whole)


def _resnext() -> Baseline:
    whole = models.resnext50_32x4d(weights=None)
    stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool)
    parts = [stem, whole.layer1, whole.layer2, whole.layer3, whole.layer4]
    return Baseline(parts, 2048, 32, whole)


def _densenet() -> Baseline:
    whole = models.densenet201(weights=None)
    names = [name for name, _ in whole.features.named_children()]
    ends = ("pool0", "transition1", "transition2", "transition3")
    *parts, last = _grouped(whole.features, names, ends)
    return Baseline([*parts, nn.Sequential(last, nn.ReLU(inplace=True))], 1920, 32, whole)


def _grouped(whole: nn.Module, names: Sequence[str], ends: Sequence[str]) -> list[nn.Sequential]:
    """Return the net's children in groups, each up to one of the ends, and the rest."""
    places = [0, *(names.index(end) + 1 for end in ends), len(names)]
    return [
        nn.Sequential(*(whole.get_submodule(name) for name in names[a:b]))
        for a, b in pairwise(places)
    ]


def _simple(net: Net) -> Baseline:
    """Four convolutions with pooling: what one writes first for 174 photos."""
    parts: list[nn.Module] = []
    before = 3
    for planes in (32, 64, 128, 128):
        wide = max(8, round(planes * net.width))
        parts.append(
            nn.Sequential(
                nn.Conv2d(before, wide, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
            )
        )
        before = wide
    return Baseline(parts, before, 16, None)


BASELINES: dict[str, Callable[[Net], Baseline]] = {
    "vgg16": lambda net: _vgg("D"),
    "vgg19": lambda net: _vgg("E"),
    "inception_v3": lambda net: _inception(),
    "resnext50_32x4d": lambda net: _resnext(),
    "densenet201": lambda net: _densenet(),
    "simple_cnn": _simple,
}
