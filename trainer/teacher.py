"""Better nets to learn from: finished runs, or bundles of which only probabilities are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge.classifier import MAX_BATCH, open_classifier
from edge.errors import ConfigError
from trainer.answering import logits_behind
from trainer.files import expanded
from trainer.net import SlotNet, check_sizes, why_unsuited
from trainer.recipe import Distill, Net, Recipe, load_recipe
from trainer.runs import is_run, load_run
from trainer.tricks import Teacher, half_precision, resized
from trainer.weights import fill
from trainer.workers import count


def open_teacher(recipe: Recipe, device: str, path: Path | None = None) -> Teacher | None:
    """Return what answers a batch of varied pictures with logits, None where nobody teaches.

    path: the run or bundle that teaches, where it is not what the recipe names.

    Raises ConfigError where a teacher is not there, knows other classes or cannot be asked at
    `distill.size`.
    """
    if recipe.distill is None:
        return None
    paths = _there([path] if path is not None else _paths(recipe.distill))
    teachers = [(_run if is_run(one) else _bundle)(one, recipe, device) for one in paths]
    return lambda images: torch.stack([ask(images) for ask in teachers]).mean(dim=0)


def _run(path: Path, recipe: Recipe, device: str) -> Teacher:
    assert recipe.distill is not None
    run = load_run(path)
    _check_classes(path, run.recipe.classes, recipe.classes)
    net, size = run.net.to(device), recipe.distill.size or run.recipe.input_size
    _check_size(net, run.recipe, size, path)
    dtype = half_precision(recipe, device)

    @torch.no_grad()
    def ask(images: Tensor) -> Tensor:
        with torch.autocast(device, dtype, enabled=dtype is not None):
            return net(resized(images, size)).float()

    return ask


def _bundle(path: Path, recipe: Recipe, device: str) -> Teacher:
    bundle = open_classifier(path, torch.get_num_threads())
    _check_classes(path, bundle.info.classes, recipe.classes)

    def ask(images: Tensor) -> Tensor:
        pixels = resized(images, bundle.info.input_size).round().byte().cpu().numpy()
        parts = np.array_split(pixels, max(1, -(-len(pixels) // MAX_BATCH)))
        rows = np.concatenate([bundle.probabilities_of(part) for part in parts])
        logits = logits_behind(rows, bundle.info.temperature, bundle.info.classes)
        return torch.from_numpy(logits).to(device)

    return ask


def net_at_first(recipe: Recipe, path: Path | None = None) -> Net:
    """Return the recipe's net, with its teacher's weights where it begins with them.

    path: the run that teaches, where it is not what the recipe names.

    Raises ConfigError where it is a bundle, which has no weights to begin with.
    """
    if recipe.distill is None or not recipe.distill.body:
        return recipe.net
    (teacher,) = _there([path] if path is not None else _paths(recipe.distill)[:1])
    if not is_run(teacher):
        raise ConfigError([f"distill.body: {teacher}: no run; only a run has a body to begin with"])
    return recipe.net.model_copy(update={"weights": str(teacher)})


def teacher_recipe(recipe: Recipe, beside: Path) -> Recipe | None:
    """Return what a teacher is trained by on its pupil's own pictures, where a recipe is named.

    beside: the folder of the pupil's recipe. None: the teacher is a finished run or a bundle, or
    nobody teaches. Raises ConfigError where the teacher would need a teacher, or is one of several;
    and, before any is trained, where pictures of the recipes' sizes do not suit the nets, or the
    pupil's cannot begin with the teacher's body.
    """
    if recipe.distill is None:
        return None
    paths = _paths(recipe.distill)
    recipes = [path for path in paths if path.suffix in (".yaml", ".yml")]
    if not recipes:
        return None
    if len(paths) > 1:
        raise ConfigError(
            [f"distill.teacher: {recipes[0]}: a recipe is the only teacher; of several, each is a "
             "finished run or a bundle"]
        )  # fmt: skip
    file = beside / recipes[0]
    teacher = load_recipe(file)
    if teacher.distill is not None:
        raise ConfigError(
            [f"{file}: distill: a teacher that is trained on the way has none itself"]
        )
    _check_nets(teacher, recipe, file)
    # Whoever opens the teacher's run must find the same pictures, and the same kept back.
    own = ("data", "classes", "series", "hold_out", "held_out", "unreadable")
    return teacher.model_copy(update={key: getattr(recipe, key) for key in own})


def _check_nets(teacher: Recipe, pupil: Recipe, path: Path) -> None:
    """Hours of the teacher's training would be lost if only then its pupil could not begin."""
    nets = [SlotNet(own.net.model_copy(update={"weights": None}), 2) for own in (teacher, pupil)]
    try:
        check_sizes(nets[0], teacher)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    check_sizes(nets[1], pupil, count())
    if pupil.distill and pupil.distill.body:
        fill(nets[1].body, nets[0].body.state_dict(), pupil.net, f"distill.body: {path}")
    if pupil.distill and pupil.distill.size:
        _check_size(nets[0], teacher, pupil.distill.size, path)


def _check_size(net: SlotNet, teacher: Recipe, size: int, path: Path) -> None:
    if why := why_unsuited(net, teacher.net.arch, size):
        raise ConfigError([f"distill.size: {size} does not suit the teacher {path}: {why}"])


def _paths(distill: Distill) -> list[Path]:
    return [expanded(one) for one in distill.teacher]


def _there(paths: list[Path]) -> list[Path]:
    """Return the paths. Raises ConfigError where one does not exist."""
    missing = [one for one in paths if not one.exists()]
    if missing:
        raise ConfigError([f"distill.teacher: {one}: no such run or bundle" for one in missing])
    return paths


def _check_classes(path: Path, teacher: tuple[str, ...], own: tuple[str, ...]) -> None:
    if teacher != own:
        strange = sorted(set(teacher) ^ set(own)) or ["another order"]
        raise ConfigError([f"distill.teacher: {path} knows other classes: {strange[0]}"])
