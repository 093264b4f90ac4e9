"""Tables: what the models were made with, and where this was measured."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.recipe import Recipe
from trainer.report.answers import Contender
from trainer.report.page import Figure, table
from trainer.report.svg import shortened

LONG = 80


def recipes(contenders: Sequence[Contender]) -> list[Figure]:
    """Return what differs between the recipes; of a single one what it does not leave as it is."""
    if not contenders:
        return []
    flat = [_flat(one.recipe) for one in contenders]
    keys = list(dict.fromkeys(key for each in flat for key in each))
    if len(contenders) == 1:
        usual = {name: field.default for name, field in Recipe.model_fields.items()}
        keys = [k for k in keys if k.split(".")[0] not in usual or flat[0][k] != _usual(k)]
        title = f"{contenders[0].name} sets {len(keys)} keys of its recipe"
        caption = "All other keys have their usual values."
    else:
        keys = [key for key in keys if len({_said(each.get(key)) for each in flat}) > 1]
        title = f"The recipes differ in {len(keys)} keys" if keys else "The recipes are the same"
        caption = "Keys that are the same in all are left out."
    rows = [(key, *(_said(each.get(key)) for each in flat)) for key in keys]
    heads = ("key", *(shortened(one.name) for one in contenders))
    return [Figure(title, table(heads, rows), caption, wide=True)]


def circumstances(contenders: Sequence[Contender]) -> list[Figure]:
    """Return versions, seeds and digests, one column a run or bundle."""
    if not contenders:
        return []
    keys = list(dict.fromkeys(key for one in contenders for key in one.about))
    rows = [(key, *(_said(one.about.get(key)) for one in contenders)) for key in keys]
    heads = ("", *(shortened(one.name) for one in contenders))
    digests = {str(one.about.get("data")) for one in contenders}
    same = "from the same data" if len(digests) == 1 else f"from {len(digests)} sets of data"
    title = f"Made {same}" if len(contenders) == 1 else f"{len(contenders)} models, made {same}"
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
    """Return processor and system, for who compares milliseconds."""
    lines = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (lines.read_text().splitlines() if lines.exists() else [])
        if line.startswith("model name")
    ]
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {platform.system()}"
    )


def _usual(key: str) -> object:
    """Return the value that a recipe's key has where nobody writes it."""
    head, _, rest = key.partition(".")
    plain = Recipe.model_construct(name="", input_size=16).model_dump(mode="json")
    value = _flat({head: plain.get(head)})
    return value.get(key if rest else head)


def _flat(about: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested keys as net.width; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in about.items():
        inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{before}{key}.") if inner else {f"{before}{key}": value}
    return flat


def _said(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return shortened(", ".join(_said(one) for one in value), LONG)
    if isinstance(value, Mapping):
        return shortened(", ".join(f"{k} {_said(v)}" for k, v in value.items() if v), LONG)
    return shortened(str(value), LONG)
