"""Tables: what the models were made with, and where this was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.recipe import Recipe
from trainer.report.answers import Contender
from trainer.report.page import Figure, count, table
from trainer.report.svg import shortened
from trainer.runs import processor_name

LONG = 80


def recipes(contenders: Sequence[Contender]) -> list[Figure]:
    """Return what differs between the recipes; of a single one what it does not leave as it is."""
    if not contenders:
        return []
    usual = _usual()
    written = [usual | _flat(one.recipe) for one in contenders]
    keys = list(dict.fromkeys(key for recipe in written for key in recipe))
    if len(contenders) == 1:
        keys = [key for key in keys if written[0].get(key) != usual.get(key)]
        title = f"{contenders[0].name} sets {count(len(keys), 'key')} of its recipe"
        caption = "All other keys have their usual values."
    else:
        keys = [key for key in keys if any(r.get(key) != written[0].get(key) for r in written)]
        title = f"The recipes differ in {count(len(keys), 'key')}"
        title = title if keys else "The recipes are the same"
        caption = "Keys that are the same in all are left out."
    rows = [(key, _told_apart([recipe.get(key) for recipe in written])) for key in keys]
    heads = ("key", *(shortened(one.name) for one in contenders))
    body = table(heads, [(key, *values) for key, values in rows]) if rows else ""
    return [Figure(title, body, caption, wide=True)]


def circumstances(contenders: Sequence[Contender]) -> list[Figure]:
    """Return versions, seeds and digests, one column a run or bundle."""
    if not contenders:
        return []
    keys = list(dict.fromkeys(key for one in contenders for key in one.about))
    rows = [(key, *(_said(one.about.get(key)) for one in contenders)) for key in keys]
    heads = ("", *(shortened(one.name) for one in contenders))
    digests = {str(one.about.get("data")) for one in contenders}
    same = "from the same data" if len(digests) == 1 else f"from {len(digests)} sets of data"
    title = f"{len(contenders)} models, made {same}"
    if len(contenders) == 1:
        title = f"What {contenders[0].name} was made from and with"
    return [
        Figure(
            title,
            table(heads, rows),
            "data: digest over labels and contents of the training pictures; recipe: of what "
            "decides the weights.",
            wide=True,
        )
    ]


def this_machine() -> str:
    """Return processor and system, for whoever compares milliseconds."""
    return f"{processor_name()}, {os.cpu_count()} threads, {platform.system()}"


def _usual() -> dict[str, Any]:
    """Return the value of each key that nobody has to write."""
    least = {"name": "", "input_size": 16, "steps": 1}
    whole = Recipe.model_validate(least).model_dump(mode="json")
    return _flat({key: value for key, value in whole.items() if key not in least})


def _flat(about: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested keys as net.width; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in about.items():
        inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{before}{key}.") if inner else {f"{before}{key}": value}
    return flat


def _told_apart(values: Sequence[object]) -> list[str]:
    """Return values in short, or in full where only that tells them apart."""
    short = [_said(value) for value in values]
    whole = [_said(value, most=None) for value in values]
    return short if len(set(short)) == len(set(whole)) else whole


def _said(value: object, most: int | None = LONG) -> str:
    if value is None or value in ([], ()):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and value:
        text = ", ".join(_said(one, most) for one in value)
    elif isinstance(value, Mapping):
        text = ", ".join(f"{k} {_said(v, most)}" for k, v in value.items() if v)
    else:
        text = str(value)
    return text if most is None else shortened(text, most)
