"""Networks to compare with: those of the study, those of the paper, and a simple one.

Each is torchvision's without its last layers, as a list of leading parts, so that `freeze` and
`weights` mean the same as for our ResNets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torchvision import models

from edge.errors import ConfigError
from trainer.recipe import Net


class Baseline(nn.Module):
    """(n, 3, h, w) floats to a map of features: the leading layers of a published net."""

    def __init__(self, parts: list[nn.Module], features: int, whole: nn.Module | None):
        super().__init__()
        self._parts = nn.ModuleList(parts)
        self._whole = [] if whole is None else [whole]  # in a list: not one of its own parameters
        self.features = features

    @property
    def parts(self) -> list[nn.Module]:
        return list(self._parts)

    def forward(self, x: Tensor) -> Tensor:
        for part in self._parts:
            x = part(x)
        return x

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Load a torchvision state_dict of the same net, head included or not.

        Raises ConfigError where the weights are of another net.
        """
        if not self._whole:
            raise ConfigError(["net.weights: a simple_cnn has none; leave the key out"])
        whole = self._whole[0]
        own = whole.state_dict()
        heads = ("fc.", "classifier.", "AuxLogits.")
        strange = [k for k in state if k not in own and not k.startswith(heads)]
        missing = [k for k in own if k not in state and not k.startswith(heads)]
        if strange or missing:
            raise ConfigError([f"weights of another net: '{(strange + missing)[0]}' does not fit"])
        whole.load_state_dict({key: state.get(key, own[key]) for key in own})


def _vgg(make: Callable[..., models.VGG], net: Net) -> Baseline:
    whole = make(weights=None)
    layers = list(whole.features)
    ends = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    parts = [nn.Sequential(*layers[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return Baseline(list(parts), 512, whole)


def _inception(net: Net) -> Baseline:
    whole = models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    names = [name for name, _ in whole.named_children() if name not in ("avgpool", "dropout", "fc")]
    return Baseline([whole.get_submodule(name) for name in names], 2048, whole)


def _resnext(net: Net) -> Baseline:
    whole = models.resnext50_32x4d(weights=None)
    stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool)
    parts = [stem, whole.layer1, whole.layer2, whole.layer3, whole.layer4]
    return Baseline(parts, 2048, whole)


def _densenet(net: Net) -> Baseline:
    whole = models.densenet201(weights=None)
    parts = [*whole.features, nn.ReLU(inplace=True)]
    return Baseline(parts, 1920, whole)


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
    return Baseline(parts, before, None)


BASELINES: dict[str, Callable[[Net], Baseline]] = {
    "vgg16": lambda net: _vgg(models.vgg16, net),
    "vgg19": lambda net: _vgg(models.vgg19, net),
    "inception_v3": _inception,
    "resnext50_32x4d": _resnext,
    "densenet201": _densenet,
    "simple_cnn": _simple,
}
