"""The rows of a study: which recipes are compared, and with which other one.

An ablation is one recipe with one field changed. It is read from both ends: what a trick costs when
it is missing from the whole recipe, and what it brings when it comes alone to a plain one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import yaml
from torchvision.models.resnet import BasicBlock

from edge.errors import UsageError
from edge.yamlfile import Loader
from trainer.recipe import Recipe, changed
from trainer.resnet import DEPTHS

OFF = {
    "lr": "0.1",
    "linear_scaling": "false",
    "warmup": "0",
    "zero_gamma": "false",
    "no_bias_decay": "false",
    "precision": "fp32",
    "schedule": "steps",
    "label_smoothing": "0",
    "mixup": "0",
    "distill": "null",
    "net.b": "false",
    "net.c": "false",
    "net.d": "false",
    "cutmix": "0",
    "augment": "crop",
    "ema": "0",
    "balanced": "false",
    "train_sizes": "[]",
}
"""Each trick's field and the value that switches it off: a learning rate other than the paper's,
its nine tricks, its three changes of the net, and what came later."""

PLAIN = {"lr": "0.1", "optimizer": "sgd", "linear_scaling": "true", "augment": "crop"}
"""What the plain recipe has whatever the whole one has. Its learning rate is the paper's, 0.1 ·
batch / 256, to which linear scaling adds nothing."""


WITHOUT_STEPS = (
    "lr", "linear_scaling", "warmup", "zero_gamma", "no_bias_decay", "precision", "schedule",
)  # fmt: skip
"""What a head that is solved in one go does not read."""


@dataclass(frozen=True)
class Row:
    """members: as many models of inner folds are averaged; 0 is one model of all pictures."""

    name: str
    recipe: Recipe
    changes: tuple[str, ...] = ()
    compared_with: str | None = None
    members: int = 0


def kfold_rows(recipe: Recipe, folds: int, ensemble: bool) -> list[Row]:
    """Return the recipe's row and, to learn what averaging brings, that of averaged models."""
    rows = [Row("single", recipe)]
    if ensemble:
        rows.append(Row("ensemble", recipe, (), "single", folds))
    return rows


def ablate_rows(recipe: Recipe, names: Sequence[str] = ()) -> list[Row]:
    """Return full, plain, full less each trick and plain with each, as far as the recipe uses it.

    names: only these rows, and those they are compared with, which are compared with nothing
    unless that is there too. Raises UsageError for a wrong one.
    """
    tricks = _tricks(recipe)
    unread = WITHOUT_STEPS if recipe.optimizer == "logistic" else ()  # but plain, of SGD, reads it
    settings = {key: OFF[key] for key in (*tricks, *unread)} | PLAIN
    to_plain = tuple(f"{key}={value}" for key, value in settings.items())
    plain = changed(recipe, to_plain)
    rows = [Row("full", recipe), Row("plain", plain, to_plain, "full")]
    for key in tricks:
        off = [f"{key}={OFF[key]}"]
        if key == "lr" and not recipe.linear_scaling:
            off.append("linear_scaling=true")
        rows.append(Row(f"full-{key}", changed(recipe, off), tuple(off), "full"))
    for key, value in tricks.items():
        on = f"{key}={value}"
        if key != "linear_scaling":
            rows.append(Row(f"plain+{key}", changed(plain, [on]), (on,), "plain"))
    return _named(rows, names)


def _tricks(recipe: Recipe) -> dict[str, str]:
    """Return the fields of OFF that the recipe switches on, with its values as YAML.

    The learning rate as one of 256 pictures a step: plain scales it.
    """
    about = recipe.model_dump(mode="json")
    flat = about | {f"net.{key}": value for key, value in about["net"].items()}
    flat["lr"] = recipe.lr if recipe.linear_scaling else recipe.lr * 256 / recipe.batch
    on = {key: json.dumps(flat[key]) for key in OFF if flat[key] != yaml.load(OFF[key], Loader)}
    if DEPTHS.get(recipe.net.arch, (BasicBlock,))[0] is BasicBlock:
        on.pop("net.b", None)  # it moves a stride within a bottleneck
    if recipe.drawn + recipe.altered:
        on.pop("balanced", None)  # drawn slots cannot be picked once an epoch
    if recipe.augment == "none":
        on.pop("augment", None)
    if recipe.optimizer != "sgd":
        on.pop("lr", None)  # 0.1 is one of SGD
    if recipe.optimizer == "logistic":
        on = {key: value for key, value in on.items() if key not in WITHOUT_STEPS}
    return on


def _named(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise UsageError(f"--rows {name}: no such row; this recipe has {', '.join(known)}")
    wanted = set(names or known)
    wanted |= {row.compared_with or "" for row in rows if row.name in wanted}
    return [
        row if row.compared_with in wanted else replace(row, compared_with=None)
        for row in rows
        if row.name in wanted
    ]
