"""Where a body's weights come from: a file, another run, or torchvision's download."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torchvision import models

from edge.errors import ConfigError, UnavailableError
from trainer.baselines import Baseline
from trainer.files import expanded
from trainer.recipe import Net
from trainer.resnet import ResNet

HOW_TO_GET = (
    "write `weights: FILE` with a torchvision state_dict "
    "(https://download.pytorch.org/models/), or train from scratch without the key"
)
ORIGINAL = "IMAGENET1K_V1"
"""Of torchvision's weights those that the papers began from: newer ones learnt with tricks."""
PATIENCE_S = 10.0
DAMAGED = (
    pickle.UnpicklingError, RuntimeError, EOFError,
    AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip
"""What torch and we ourselves raise over a file that is none of torch's, or not all of one."""
COUNTER = ".num_batches_tracked"
"""How many batches a norm has seen is no weight; old files lack it, or its shape differs."""


def load_weights(body: ResNet | Baseline, net: Net) -> None:
    """Give the body the weights that its recipe names; blocks that were cut are left out.

    Raises UnavailableError where they cannot be read or downloaded, ConfigError where they are of
    another net.
    """
    fill(body, _read(net), net)


def fill(body: ResNet | Baseline, weights: Mapping[str, Tensor], net: Net, named: str = "") -> None:
    """Give the body weights that are at hand.

    named: what of the recipe names them. Raises ConfigError where they are of another net.
    """
    found = body.renamed(weights)
    state = {key: value for key, value in found.items() if not key.endswith(COUNTER)}
    own = body.state_dict()
    strange = [key for key in state if key not in own and not key.startswith(body.left_out)]
    missing = [key for key in own if key not in state and not key.endswith(COUNTER)]
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    if strange or missing or wrong:
        raise ConfigError(
            [f"{named or f'net.weights {net.weights}'}: weights of another net: "
             f"'{(strange + missing + wrong)[0]}' does not fit a {net.arch} like the recipe's; "
             "arch, width and c must be those of the weights"]
        )  # fmt: skip
    body.load_state_dict({key: state.get(key, own[key]) for key in own})


def _read(net: Net) -> Mapping[str, Tensor]:
    assert net.weights is not None
    if net.weights == "imagenet":
        return _download(net.arch)
    path = expanded(net.weights)
    file = path / "last.pt" if path.is_dir() else path
    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnavailableError(
            f"{file}: cannot read the weights: {error.strerror}; {HOW_TO_GET}"
        ) from None
    except DAMAGED:
        raise UnavailableError(f"{file}: no torch state_dict; {HOW_TO_GET}") from None
    if _is_checkpoint(state):
        kept, body = state["average"], "module.body."
        state = {key.removeprefix(body): kept[key] for key in kept if key.startswith(body)}
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UnavailableError(f"{file}: no torch state_dict; {HOW_TO_GET}")
    return state


def _is_checkpoint(content: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(content, Mapping) and "average" in content


def is_checkpoint(file: Path) -> bool:
    """Whether a file is a run's checkpoint, wherever it lies and whatever it is called."""
    try:
        return _is_checkpoint(torch.load(file, map_location="meta", weights_only=True, mmap=True))
    except (OSError, *DAMAGED):  # what is wrong with it is told where it is loaded
        return False


def _download(arch: str) -> Mapping[str, Tensor]:
    try:
        weights = models.get_model_weights(arch)[ORIGINAL]
    except ValueError:
        raise UnavailableError(f"torchvision has no weights for {arch}; {HOW_TO_GET}") from None
    try:
        with _impatience():
            state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, HTTPException, *DAMAGED) as error:  # RuntimeError: the digest is wrong, too
        kept = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
        if kept.exists():
            raise UnavailableError(f"{kept}: is damaged; delete it, and try again") from None
        raise UnavailableError(
            f"{arch}: cannot download torchvision's weights ({error}); {HOW_TO_GET}"
        ) from None
    return state


@contextmanager
def _impatience() -> Iterator[None]:
    """torch.hub sets no time limit: a firewall that only drops packets would hold it for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
