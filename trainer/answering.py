"""What a model says of pictures: a run or a bundle is asked, while it is trained as when it is
measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.classifier import EMPTY, MAX_BATCH, Temperature
from edge.preprocess import resize, to_batch
from edge.types import Image
from trainer.data import Unreadable
from trainer.net import SlotNet
from trainer.picture import Picture
from trainer.recipe import Recipe

Real = TypeVar("Real", np.float32, np.float64)
Read = Callable[[Picture], Image]


class Model(Protocol):
    """A bundle or a run: crops in (BGR, any size), one row of probabilities each out."""

    @property
    def input_size(self) -> int: ...

    def probabilities(self, crops: Sequence[Image]) -> NDArray[np.float32]: ...


class RunModel:
    """A run's net, as it is before export: FP32 and, unless its recipe says otherwise, T = 1."""

    def __init__(self, net: SlotNet, recipe: Recipe, threads: int):
        self._net, self._recipe, self._threads = net, recipe, threads

    @property
    def input_size(self) -> int:
        return self._recipe.input_size

    @property
    def balanced(self) -> bool:
        return self._recipe.balanced

    @property
    def unreadable(self) -> Unreadable:
        return self._recipe.unreadable

    @torch.inference_mode()
    def logits(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        images = torch.from_numpy(to_batch(crops, self._recipe.input_size))
        # The number is the whole process's, and training sums in another order with another one.
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            logits: Tensor = self._net(images.to(self._net.scale.device))
            return logits.cpu().numpy()
        finally:
            torch.set_num_threads(before)

    def probabilities(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        return tempered(self.logits(crops), self._recipe.temperature, self._recipe.classes)


def softmax(logits: NDArray[Real]) -> NDArray[Real]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def tempered(
    logits: NDArray[Real], temperature: Temperature | None, classes: Sequence[str]
) -> NDArray[Real]:
    """Return the probabilities (n, classes) that a bundle with this temperature gives."""
    if temperature is None:
        return softmax(logits)
    shifted = logits + _shift(temperature, classes, logits.dtype)
    return softmax(shifted / logits.dtype.type(temperature.value))


def logits_behind(
    probabilities: NDArray[np.float32], temperature: Temperature, classes: Sequence[str]
) -> NDArray[np.float32]:
    """Return the logits (n, classes) that a bundle with this temperature made its probabilities of,
    up to one sum for each picture: softmax does not see that."""
    logs = np.log(np.clip(probabilities, np.finfo(np.float32).tiny, 1))
    return logs * logs.dtype.type(temperature.value) - _shift(temperature, classes, logs.dtype)


def _shift(temperature: Temperature, classes: Sequence[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.array([temperature.shift if name == EMPTY else 0 for name in classes], dtype)


def small_reader(size: int, room: int = 0) -> Read:
    """Return what reads pictures and shrinks them at once to what a net is shown.

    Thirty-two photos of 12 megapixels are a gigabyte. room: bytes of them that are kept for the
    next time.
    """
    kept: dict[tuple[Path, object], Image] = {}

    def read(picture: Picture) -> Image:
        key = (picture.file, picture.box)
        small = kept.get(key)
        if small is None:
            small = resize(picture.read(), size)
            if (len(kept) + 1) * small.nbytes <= room:
                kept[key] = small
        return small

    return read


def predict(
    model: Model, pictures: Sequence[Picture], read: Read | None = None
) -> tuple[NDArray[np.float32], float]:
    """Return the probabilities (n, classes) of pictures, and the seconds that the model took.

    read: a `small_reader` of the model's size that is used more than once.
    """
    rows, elapsed_s = [], 0.0
    read = read or small_reader(model.input_size)
    for start in range(0, len(pictures), MAX_BATCH):
        crops = [read(picture) for picture in pictures[start : start + MAX_BATCH]]
        began_s = time.perf_counter()
        rows.append(model.probabilities(crops))
        elapsed_s += time.perf_counter() - began_s
    return np.concatenate(rows), elapsed_s


def true_columns(pictures: Sequence[Picture], classes: Sequence[str]) -> NDArray[np.int64]:
    column = {name: index for index, name in enumerate(classes)}
    return np.array([column[picture.label] for picture in pictures])


def top1(
    net: SlotNet, recipe: Recipe, pictures: Sequence[Picture], read: Read | None = None
) -> float:
    """Return the share of pictures whose class a net in training says, as it would be tested."""
    was_training = net.training
    model = RunModel(net.eval(), recipe, torch.get_num_threads())
    probabilities, _ = predict(model, pictures, read)
    net.train(was_training)
    return float((probabilities.argmax(axis=1) == true_columns(pictures, recipe.classes)).mean())
