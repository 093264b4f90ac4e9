"""What a study's folder holds already: may a command go on there, or would a table be lost?

Fits may be added to a study, as rows or as repeats. All else makes it another one, and that is told
in words: whoever moved the pictures or set a key once is to see which.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from trainer.findings import read_study
from trainer.jobs import folder_of
from trainer.layout import Layout

About = Mapping[str, Any]
"""What study.json says, or would say."""

SHOWN = 40
"""Characters of a value that are still read at a glance."""


def check_goes_on(folder: Path, layout: Layout) -> None:
    """Raise UsageError where the folder's study is another than the one that is laid out, or has
    measured what that one would not; ConfigError where its study.json is damaged."""
    known, own = read_study(folder / "study.json"), layout.about()
    for word, say in DIFFERENCES.items():
        # Of a study that an older version has begun, not every word is known.
        if word in known and known[word] != own[word]:
            raise UsageError(
                f"{folder}: holds another study: {say(known, own)}; give another folder as --out"
            )
    lost = [each for row in known["rows"] if (each := _lost(row, layout))]
    if lost:
        raise UsageError(
            f"{folder}: its table would lose {', '.join(lost)}; to keep both, ask for the same "
            "rows and repeats, or more, or give another folder as --out"
        )
    if strange := next((row for row in known["rows"] if _is_strange(row, folder, layout)), None):
        raise UsageError(
            f"{folder}: holds another study: no fit of its row {strange['name']} is one of those "
            "that are asked for; groups, temperature, weights or the trainer's version differ; "
            "give another folder as --out"
        )


def _of_key(known: About, own: About) -> str:
    key, before, now = _first_difference(known["asked"], own["asked"])
    if key.startswith("data.") and key.endswith(".data"):
        same = known.get("data") == own["data"]
        advice = ", though they are the same: name them as before" if same else ""
        return f"its pictures are those of {before}, not of {now}{advice}"
    if not key:
        return "its recipe has other keys: another version made it"
    values = [json.dumps(value, ensure_ascii=False) for value in (before, now)]
    short = all(len(value) <= SHOWN for value in values)
    return f"its {key} differs" + (f" ({values[0]}, now {values[1]})" if short else "")


def _first_difference(known: Any, own: Any, key: str = "") -> tuple[str, Any, Any]:
    """Return where two values that JSON holds differ first, and what is there in each."""
    if isinstance(known, list) and isinstance(own, list) and len(known) == len(own):
        known, own = (dict(enumerate(value)) for value in (known, own))
    if isinstance(known, dict) and isinstance(own, dict):
        keys = (each for each in {**own, **known} if known.get(each) != own.get(each))
        if (first := next(keys, None)) is not None:
            inner = f"{key}.{first}" if key else str(first)
            return _first_difference(known.get(first), own.get(first), inner)
    return key, known, own


def _of_weights(known: About, own: About) -> str:
    changed = [
        name for name, digest in own["weights"].items() if known["weights"].get(name) != digest
    ]
    return f"other weights are in {', '.join(changed)} now (net.weights)"


def _of_pictures(known: About, own: About) -> str:
    if known.get("subset") != own["subset"]:
        return "its --subset differs"
    return "its pictures differ: some came, went or changed"


DIFFERENCES: dict[str, Callable[[About, About], str]] = {
    "kind": lambda known, own: f"'trainer {known['kind']}' made it",
    "recipe": lambda known, own: f"its recipe is called {known['recipe']}, not {own['recipe']}",
    "asked": _of_key,
    "digest": lambda known, own: "its recipe differs, or where that says its pictures are",
    "teacher": lambda known, own: "its teacher's recipe differs",
    "weights": _of_weights,
    "data": _of_pictures,
    "groups": lambda known, own: "its pictures are grouped otherwise",
    "grouping": lambda known, own: "its pictures are grouped otherwise",
    "folds": lambda known, own: f"it has {known['folds']} folds, not {own['folds']}",
}
"""The words of study.json that must be the same, and how it is said that one is not."""


def _lost(row: About, layout: Layout) -> str | None:
    """Return what study.json would say no more of a row, in words; None: nothing."""
    measured, asked = row["repeats"], layout.plan.repeats
    if row["name"] not in {each.name for each in layout.plan.rows}:
        return f"the row {row['name']}" if measured or row["diverged"] else None
    if measured > asked:
        return f"{measured - asked} of {measured} repeats of {row['name']}"
    return None


def _is_strange(row: About, folder: Path, layout: Layout) -> bool:
    """Whether a row is measured, by fits of which none is one that is asked for.

    Not where there are no fits at all: somebody has removed them to have them made again.
    """
    if not row["repeats"] or not any((folder / "jobs").glob("*")):
        return False
    folds = (
        jobs
        for (name, repeat, _), jobs in layout.jobs.items()
        if name == row["name"] and repeat < row["repeats"]
    )
    return not any(folder_of(folder, job).exists() for jobs in folds for job in jobs)
