"""Training: one function on one screen, a run folder that survives being killed."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edge.errors import UnavailableError, UsageError
from trainer.data import Mixture, batches
from trainer.recipe import Recipe
from trainer.resnet import SlotNet


def fit(
    recipe: Recipe,
    mixture: Mixture,
    run: Path,
    say: Callable[[str], None],
    save_every_s: float = 60,
) -> None:
    """Train until the recipe's last step, going on where the run folder stopped."""
    torch.manual_seed(recipe.seed)
    model = SlotNet(recipe.net, len(recipe.classes)).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, recipe)
    average = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(_decay(recipe)), use_buffers=True
    )
    first = resume(run, recipe, mixture, model, optimizer, average)
    model.train()
    saved_s = started_s = time.monotonic()
    for step, (images, labels) in enumerate(batches(mixture, first, recipe.steps), start=first):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * lr_scale(step, recipe.steps, recipe.warmup_steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast()):
            logits = model(torch.from_numpy(images))
        loss = F.cross_entropy(
            logits.float(), torch.from_numpy(labels), label_smoothing=recipe.label_smoothing
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(model)

        done = step + 1
        if done % max(1, recipe.steps // 50) == 0 or done == recipe.steps:
            ms = (time.monotonic() - started_s) / (done - first) / recipe.batch * 1e3
            say(f"step {done}/{recipe.steps}  loss {loss.item():.4f}  {ms:.1f} ms a picture")
        if done == recipe.steps or time.monotonic() - saved_s > save_every_s:
            save(run, done, model, optimizer, average)
            saved_s = time.monotonic()


def lr_scale(step: int, steps: int, warmup: int) -> float:
    """A linear warm-up, then half a cosine down to zero (arXiv:1812.01187, 3.1 and 5.1)."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True)


def bf16_is_fast() -> bool:
    """Half precision on a CPU only pays where it multiplies bfloat16 itself."""
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else False


def _decay(recipe: Recipe) -> float:
    return 1 - 1 / recipe.average_steps if recipe.average_steps else 0.0


# -- the run folder -------------------------------------------------------------------------------


def resume(
    run: Path, recipe: Recipe, mixture: Mixture, model: nn.Module, optimizer: torch.optim.Optimizer,
    average: AveragedModel,
) -> int:  # fmt: skip
    """Load the run's last checkpoint, if it has one; return the next step's number.

    Raises UsageError where the folder holds a run of another recipe or of other data.
    """
    about = {"recipe": recipe.digest(training_only=True), "data": mixture.digest()}
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "run.json").exists():
        _write(run / "run.json", lambda path: path.write_text(json.dumps(about)))
    for word, value in json.loads((run / "run.json").read_text()).items():
        if value != about[word]:
            raise UsageError(
                f"{run}: holds a run with another {word}; give another folder as --out"
            )
    _write(run / "recipe.json", lambda path: path.write_text(recipe.model_dump_json(indent=1)))
    if not (run / "checkpoint.pt").exists():
        return 0
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    average.load_state_dict(state["average"])
    return int(state["step"])


def save(run: Path, step: int, model: nn.Module, optimizer, average: AveragedModel) -> None:
    """Write the checkpoint beside the old one, then put it in its place at once."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict(),
    }
    _write(run / "checkpoint.pt", lambda path: torch.save(state, path))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    new = path.with_suffix(".new")
    write(new)
    os.replace(new, path)


def load_run(run: Path) -> tuple[Recipe, SlotNet, str]:
    """Return a finished run's recipe, its model in evaluation mode, and its data's digest."""
    if not (run / "checkpoint.pt").exists():
        raise UnavailableError(f"{run}: no finished run; train it with 'trainer fit'")
    recipe = Recipe.model_validate_json((run / "recipe.json").read_text())
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    if state["step"] < recipe.steps:
        raise UnavailableError(
            f"{run}: stopped at step {state['step']} of {recipe.steps}; go on with 'trainer fit'"
        )
    bare = recipe.net.model_copy(update={"weights": None})
    model = SlotNet(bare, len(recipe.classes)).to(memory_format=torch.channels_last)
    average = AveragedModel(model, use_buffers=True)
    average.load_state_dict(state["average"])
    model.load_state_dict(average.module.state_dict())
    return recipe, model.eval(), json.loads((run / "run.json").read_text())["data"]
