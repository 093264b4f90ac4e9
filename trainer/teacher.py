"""A better net to learn from: a finished run, or a bundle of which only probabilities are known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge.classifier import MAX_BATCH, open_classifier
from edge.errors import ConfigError
from trainer.recipe import Recipe
from trainer.runs import load_run
from trainer.tricks import Teacher, half_precision


def open_teacher(recipe: Recipe, device: str) -> Teacher | None:
    """Return what answers a batch of varied pictures with logits, None where nobody teaches.

    Raises ConfigError where the teacher knows other classes.
    """
    if recipe.distill is None:
        return None
    path = Path(os.path.expandvars(recipe.distill.teacher)).expanduser()
    if path.is_dir():
        run = load_run(path)
        _check_classes(path, run.recipe.classes, recipe.classes)
        net, size = run.net.to(device), recipe.distill.size or run.recipe.input_size
        dtype = half_precision(recipe, device)

        @torch.no_grad()
        def of_run(images: Tensor) -> Tensor:
            with torch.autocast(device, dtype, enabled=dtype is not None):
                return net(_resized(images, size)).float()

        return of_run
    bundle = open_classifier(path, torch.get_num_threads())
    _check_classes(path, bundle.info.classes, recipe.classes)

    def of_bundle(images: Tensor) -> Tensor:
        pixels = _resized(images, bundle.info.input_size).round().byte().cpu().numpy()
        parts = np.array_split(pixels, max(1, -(-len(pixels) // MAX_BATCH)))
        rows = np.concatenate([bundle.probabilities_of(part) for part in parts])
        # Probabilities are softmax(logits / T): their logarithms are those logits, but for a sum.
        return torch.from_numpy(np.log(np.clip(rows, 1e-12, 1))).to(images.device) * (
            bundle.info.temperature.value
        )

    return of_bundle


def _check_classes(path: Path, teacher: tuple[str, ...], own: tuple[str, ...]) -> None:
    if teacher != own:
        strange = sorted(set(teacher) ^ set(own)) or ["another order"]
        raise ConfigError([f"distill.teacher: {path} knows other classes: {strange[0]}"])


def _resized(images: Tensor, size: int) -> Tensor:
    """Return the pictures, (n, side, side, 3), as floats of the teacher's size."""
    x = images.float()
    if x.shape[1] == size:
        return x
    x = x.permute(0, 3, 1, 2)
    x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=size < images.shape[1])
    return x.permute(0, 2, 3, 1)
