"""The tricks that happen in a step: the learning rate, what decays, mixed pictures, the loss.

Each is the neutral thing where its field of the recipe is neutral.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from trainer.net import SlotNet
from trainer.recipe import Recipe

Teacher = Callable[[Tensor], Tensor]
"""(n, size, size, 3) floats to logits."""

SCALED_FOR = 256
"""§ 3.1: the batch that a learning rate under linear scaling is meant for."""
KERAS_RHO, KERAS_EPSILON = 0.9, 1e-7
"""Of RMSprop as the study had it; with torch's own 0.99 the same rate goes twice as far or more."""
CPU_FLAGS = Path("/proc/cpuinfo")


def lr_at(step: int, steps: int, recipe: Recipe) -> float:
    """Return the learning rate of a step: a linear rise, then the recipe's way down."""
    highest = recipe.lr * (recipe.batch / SCALED_FOR if recipe.linear_scaling else 1)
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return highest * (step + 1) / warmup
    if recipe.schedule == "constant":
        return highest
    if recipe.schedule == "steps":
        return highest * 0.1 ** ((step >= 0.5 * steps) + (step >= 0.75 * steps))
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; what has one dimension is a bias or a norm's scale, by any name."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    vector_decay = 0.0 if recipe.no_bias_decay else recipe.weight_decay
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": vector_decay},
    ]
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, lr=recipe.lr, momentum=recipe.momentum, alpha=KERAS_RHO, eps=KERAS_EPSILON
        )
    nesterov = recipe.momentum > 0
    optimizer = torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True
    )
    if recipe.momentum:
        # Else torch makes room for it at the first step, and leaves in it whatever lay there where
        # the scaler skips that step: with 16 bits it usually does.
        for parameter in trained:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def running_mean(model: SlotNet, window: float) -> AveragedModel:
    """Return a copy of the model that follows it as the mean over about so many steps.

    Buffers too: BatchNorm statistics of other weights would fit neither. The n-th step counts
    (1 - d) / (1 - dⁿ), not 1 - d, as if nothing had been there before the first: a mean over half
    of a training would else consist of its first weights to one seventh. Of frozen parts, and of
    all where the window is one step, it holds the very same tensors: they cost no memory, no time
    and no disk twice.
    """
    decay = 1 - 1 / max(1.0, window)

    def update(means: Sequence[Tensor], news: Sequence[Tensor], before: Tensor | int) -> None:
        share = (1 - decay) / (1 - decay ** (int(before) + 1))
        for mean, new in zip(means, news, strict=True):
            if mean.data_ptr() == new.data_ptr():
                continue  # the very same
            if mean.is_floating_point():
                mean.lerp_(new, share)
            else:
                mean.copy_(new)  # a count of batches

    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    twins = average.module
    assert isinstance(twins, SlotNet)
    same: Iterable[tuple[nn.Module, nn.Module]] = [(model, twins)]
    if decay:
        same = zip(model.frozen, twins.frozen, strict=True)
    for part, twin in same:
        for kept, copy in zip(_tensors(part), _tensors(twin), strict=True):
            copy.data = kept.data
    return average


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def half_precision(recipe: Recipe, device: str) -> torch.dtype | None:
    """Return the type that multiplications are done in, None for plain float32.

    Half precision on a CPU pays only where it multiplies bfloat16 itself. A logistic head, which
    a solver fits, needs all digits.
    """
    if recipe.optimizer == "logistic":
        return None
    if recipe.precision == "auto":
        if device == "cuda":
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if bf16 else torch.float16
        return torch.bfloat16 if _cpu_multiplies_bf16() else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[recipe.precision]


def _cpu_multiplies_bf16() -> bool:
    """Linux tells: on x86 as avx512_bf16 or amx_bf16, on ARM as bf16."""
    if not CPU_FLAGS.exists():
        return False
    told = CPU_FLAGS.read_text(encoding="utf-8", errors="replace").split()
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(told)


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


def resized(images: Tensor, size: int) -> Tensor:
    """Return the pictures, (n, side, side, 3), as floats of another side, by edge's own rule."""
    x = images.float()
    if x.shape[1] == size:
        return x
    rule = "area" if size < x.shape[1] else "bilinear"
    return F.interpolate(x.permute(0, 3, 1, 2), size=(size, size), mode=rule).permute(0, 2, 3, 1)


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
