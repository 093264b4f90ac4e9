"""The tricks that happen in a step: the learning rate, what decays, mixed pictures, the loss.

Each is the neutral thing where its field of the recipe is neutral.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from trainer.recipe import Recipe

Teacher = Callable[[Tensor], Tensor]
"""(n, size, size, 3) floats to logits."""

SCALED_FOR = 256
"""§ 3.1: the batch that a learning rate under linear scaling is meant for."""


def lr_at(step: int, steps: int, recipe: Recipe) -> float:
    """Return the learning rate of a step: a linear rise, then the recipe's way down."""
    highest = recipe.lr * (recipe.batch / SCALED_FOR if recipe.linear_scaling else 1)
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return highest * (step + 1) / warmup
    if recipe.schedule == "constant":
        return highest
    share = (step - warmup) / (steps - warmup)
    if recipe.schedule == "steps":
        return highest * 0.1 ** ((share >= 0.5) + (share >= 0.75))
    return highest * 0.5 * (1 + math.cos(math.pi * share))


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; what has one dimension is a bias or a norm's scale, by any name."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    vector_decay = 0.0 if recipe.no_bias_decay else recipe.weight_decay
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": vector_decay},
    ]
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=recipe.lr, momentum=recipe.momentum)
    return torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


def half_precision(recipe: Recipe, device: str) -> torch.dtype | None:
    """Return the type that multiplications are done in, None for plain float32.

    Half precision on a CPU pays only where it multiplies bfloat16 itself.
    """
    if recipe.precision == "auto":
        if device == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return torch.bfloat16 if _cpu_multiplies_bf16() else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[recipe.precision]


def _cpu_multiplies_bf16() -> bool:
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else False


def mixed(images: Tensor, targets: Tensor, recipe: Recipe, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return the pictures, (n, size, size, 3) as floats where they changed, and their soft targets.

    One λ a batch, and each picture's partner is the one at the mirrored place, as in GluonCV. With
    mixup and cutmix both on, either is taken half of the time.
    """
    if recipe.cutmix and (not recipe.mixup or rng.random() < 0.5):
        images, kept = _with_patch(images, float(rng.beta(recipe.cutmix, recipe.cutmix)), rng)
    elif recipe.mixup:
        kept = float(rng.beta(recipe.mixup, recipe.mixup))
        images = kept * images.float() + (1 - kept) * images.flip(0).float()
    else:
        return images, targets
    return images, kept * targets + (1 - kept) * targets.flip(0)


def _with_patch(images: Tensor, kept: float, rng: Generator) -> tuple[Tensor, float]:
    """Put a rectangle of the partner into each picture; return the share that was kept."""
    height, width = images.shape[1:3]
    side = math.sqrt(1 - kept)
    x, y = rng.integers(width), rng.integers(height)
    half_w, half_h = side * width / 2, side * height / 2
    left, right = np.clip([round(x - half_w), round(x + half_w)], 0, width).tolist()
    top, bottom = np.clip([round(y - half_h), round(y + half_h)], 0, height).tolist()
    images = images.clone()
    images[:, top:bottom, left:right] = images.flip(0)[:, top:bottom, left:right]
    return images, 1 - (right - left) * (bottom - top) / (width * height)


def smoothed(labels: Tensor, classes: int, recipe: Recipe) -> Tensor:
    """Return one-hot targets (n, classes), a little of each spread over all classes (§ 5.2)."""
    epsilon = recipe.label_smoothing
    return F.one_hot(labels, classes) * (1 - epsilon) + epsilon / classes


def loss_of(
    logits: Tensor, targets: Tensor, images: Tensor, recipe: Recipe, teacher: Teacher | None
) -> Tensor:
    """Return cross-entropy, plus § 5.3's distillation: T² times that against the teacher's."""
    loss = F.cross_entropy(logits, targets)
    if teacher is None or recipe.distill is None:
        return loss
    t = recipe.distill.temperature
    believed = F.softmax(teacher(images) / t, dim=1)
    return loss + recipe.distill.weight * t * t * F.cross_entropy(logits / t, believed)
