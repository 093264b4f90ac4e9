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
from trainer.recipe import Distill, Recipe, load_recipe
from trainer.runs import is_run, load_run
from trainer.tricks import Teacher, half_precision


def open_teacher(recipe: Recipe, device: str, path: Path | None = None) -> Teacher | None:
    """Return what answers a batch of varied pictures with logits, None where nobody teaches.

    path: the run or bundle that teaches, where it is not the one that the recipe names.

    Raises ConfigError where the teacher knows other classes.
    """
    if recipe.distill is None:
        return None
    path = path or _path(recipe.distill)
    if is_run(path):
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
        # softmax(logits / T) has logits / T as logarithm, but for a sum that softmax ignores.
        return torch.from_numpy(np.log(np.clip(rows, 1e-12, 1))).to(images.device) * (
            bundle.info.temperature.value
        )

    return of_bundle


def teacher_recipe(recipe: Recipe, beside: Path) -> Recipe | None:
    """Return what a teacher is trained by on its pupil's own pictures, where a recipe is named.

    beside: the folder of the pupil's recipe. None: the teacher is a finished run or a bundle, or
    nobody teaches. Raises ConfigError where the teacher would need a teacher.
    """
    if recipe.distill is None or _path(recipe.distill).suffix not in (".yaml", ".yml"):
        return None
    file = beside / _path(recipe.distill)
    teacher = load_recipe(file)
    if teacher.distill is not None:
        raise ConfigError(
            [f"{file}: distill: a teacher that is trained on the way has none itself"]
        )
    return teacher.model_copy(update={"data": recipe.data, "classes": recipe.classes})


def _path(distill: Distill) -> Path:
    return Path(os.path.expandvars(distill.teacher)).expanduser()


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
