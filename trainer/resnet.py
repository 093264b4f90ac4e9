"""ResNets with the paper's tweaks B, C and D, any width, cut after any block.

He et al. 2019, arXiv:1812.01187, § 4. The blocks are torchvision's and so are all names, which is
why its state dicts load into the untweaked net as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TypeAlias

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

from edge.errors import ConfigError
from trainer.recipe import Net

Block: TypeAlias = type[BasicBlock] | type[Bottleneck]

DEPTHS: dict[str, tuple[Block, tuple[int, ...]]] = {
    "resnet10": (BasicBlock, (1, 1, 1, 1)),
    "resnet14": (Bottleneck, (1, 1, 1, 1)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet26": (Bottleneck, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}
STEM, PLANES = 64, (64, 128, 256, 512)
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB, on a 0 to 1 scale: what weights are made for
STD = (0.229, 0.224, 0.225)


class ResNet(nn.Module):
    """(n, 3, h, w) floats to (n, features, h / 32, w / 32), or as far as its last stage goes.

    divisor: with D the side of a picture must be even wherever it is halved, so a multiple of this.
    smallest: side in pixels that a picture needs at least, for a last map of one pixel.
    """

    def __init__(self, net: Net, zero_gamma: bool = False):
        super().__init__()
        block, full = DEPTHS[net.arch]
        kept = net.blocks or full
        too_many = [f"{k} of {n}" for k, n in zip(kept, full, strict=False) if not 0 < k <= n]
        if too_many:
            raise ConfigError([f"net.blocks: {net.arch} has no {too_many[0]} blocks in a stage"])
        channels = [_scaled(planes, net.width) for planes in PLANES[: len(kept)]]
        self.conv1 = _deep_stem(_scaled(STEM, net.width)) if net.c else _stem(net.width)
        self.bn1 = nn.BatchNorm2d(_scaled(STEM, net.width))
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.features = _scaled(STEM, net.width)
        for number, (planes, count) in enumerate(zip(channels, kept, strict=True), start=1):
            stage = self._stage(block, planes, count, stride=1 if number == 1 else 2, net=net)
            self.add_module(f"layer{number}", stage)
        self._stages = len(kept)
        halved = 2 ** (1 + len(kept))
        self.divisor = halved if net.d else 1
        # Of a map of one pixel that is halved, oneDNN's gradients in BF16 are what lay in memory.
        self.smallest = max(16, halved)
        self.left_out = ("fc.", *_cut(full, kept))
        """Where the names of surplus weights begin."""
        self._initialise(zero_gamma)

    @property
    def parts(self) -> list[nn.Module]:
        """The stem and the stages, in order: what `freeze` counts."""
        stem = nn.Sequential(self.conv1, self.bn1, self.relu, self.maxpool)
        return [stem, *(self.get_submodule(f"layer{n + 1}") for n in range(self._stages))]

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(self._stages):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x

    def _stage(self, block: Block, planes: int, count: int, stride: int, net: Net) -> nn.Sequential:
        out = planes * block.expansion
        shortcut = None
        if stride != 1 or self.features != out:
            shortcut = _shortcut(self.features, out, stride, averaged=net.d)
        first = block(self.features, planes, stride, shortcut)
        if isinstance(first, Bottleneck) and not net.b:
            first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
        self.features = out
        return nn.Sequential(first, *(block(out, planes) for _ in range(count - 1)))

    def _initialise(self, zero_gamma: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_gamma and isinstance(module, BasicBlock | Bottleneck):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.zeros_(last.weight)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state_dict, torchvision's or a run's, under this net's own names.

        With D the averaging is number 0 of a shortcut, and its convolution and norm are one further
        on than without.
        """
        further = _averages(self.state_dict()) - _averages(state)
        return {_moved(key, further): value for key, value in state.items()}


def _cut(full: Sequence[int], kept: Sequence[int]) -> Iterator[str]:
    """Yield the names of the blocks that the net of this depth has and a shorter one has not."""
    for stage, (count, left) in enumerate(zip_longest(full, kept, fillvalue=0), start=1):
        yield from (f"layer{stage}.{block}." for block in range(left, count))


def _scaled(channels: int, width: float) -> int:
    """Channels come in eights: vector registers hold so many."""
    return max(8, round(channels * width / 8) * 8)


def _stem(width: float) -> nn.Conv2d:
    return nn.Conv2d(3, _scaled(STEM, width), 7, 2, 3, bias=False)


def _deep_stem(channels: int) -> nn.Sequential:
    """Tweak C: 3x3 with stride 2, then two more; half the channels until the last."""
    half = max(8, channels // 2)
    steps: list[nn.Module] = []
    for before, stride in ((3, 2), (half, 1)):
        steps += [
            nn.Conv2d(before, half, 3, stride, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*steps, nn.Conv2d(half, channels, 3, 1, 1, bias=False))


def _shortcut(before: int, after: int, stride: int, averaged: bool) -> nn.Sequential:
    """Tweak D averages first: a 1x1 convolution with stride 2 would look at every fourth pixel.

    ceil_mode is False because torch and ONNX round it differently; sizes must be even there.
    """
    if not averaged:
        return nn.Sequential(conv1x1(before, after, stride), nn.BatchNorm2d(after))
    pool = nn.AvgPool2d(2, stride, ceil_mode=False) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, conv1x1(before, after), nn.BatchNorm2d(after))


def _averages(state: Mapping[str, Tensor]) -> bool:
    """Whether shortcuts have the averaging in front (tweak D)."""
    return any(".downsample.2." in key for key in state)


def _moved(key: str, further: int) -> str:
    head, found, tail = key.partition(".downsample.")
    number, _, name = tail.partition(".")
    if not found or not number.isdecimal():
        return key
    return f"{head}.downsample.{int(number) + further}.{name}"
