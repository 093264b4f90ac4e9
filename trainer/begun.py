"""What a study's folder holds already: may a command go on there, or would a table be lost?

Fits may be added to a study, as rows or as repeats, and its pictures may lie elsewhere by now. All
else makes it another one, and that is told in words: whoever set a key once is to see which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from trainer.findings import read_study
from trainer.jobs import folder_of
from trainer.layout import Layout
from trainer.recipe_difference import difference

About = Mapping[str, Any]
"""What study.json says, or would say."""


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


def _of_weights(known: About, own: About) -> str:
    changed = [
        name for name, digest in own["weights"].items() if known["weights"].get(name) != digest
    ]
    return f"other weights are in {', '.join(changed)} now (net.weights)"


def _of_pictures(known: About, own: About) -> str:
    if known.get("subset") != own["subset"]:
        return "its --subset differs"
    before, now = (" and ".join(about["places"]) for about in (known, own))
    if before != now:
        return f"its pictures are those of {before}, not of {now}"
    return "its pictures differ: some came, went or changed"


DIFFERENCES: dict[str, Callable[[About, About], str]] = {
    "kind": lambda known, own: f"'trainer {known['kind']}' made it",
    "recipe": lambda known, own: f"its recipe is called {known['recipe']}, not {own['recipe']}",
    "asked": lambda known, own: difference(known["asked"], own["asked"]),
    "digest": lambda known, own: "its recipe differs, or another version made it",
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
