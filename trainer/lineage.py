"""What a run has learnt from: its own pictures, and those of the runs that it came from."""

from __future__ import annotations

import logging
from pathlib import Path

from edge.errors import EdgeError, UsageError
from trainer.data import LeaveOut
from trainer.files import expanded
from trainer.mixture import Mixture, open_mixture
from trainer.picture import Picture
from trainer.recipe import Recipe
from trainer.runs import RECIPE, Run, left_out_of, read_about, read_recipe
from trainer.weights import is_checkpoint

log = logging.getLogger(__name__)

LEARNT = "learnt by the run, or by one that it began with or was taught by"


def mixture_of(recipe: Recipe, left_out: LeaveOut | None, data_digest: str) -> Mixture:
    """Return what is learnt from, and what of it is kept back; the recipe's other held-out pictures
    are not read.

    data_digest: that of the run. Where what a look at the files leaves has it, none is decoded.
    """
    own = recipe.model_copy(update={"held_out": ()})
    if own.unreadable == "skip":
        mixture = open_mixture(own, left_out, "overlook")
        if mixture.digest() == data_digest:
            return mixture
    return open_mixture(own, left_out)


def fed_to(run: Run) -> Mixture:
    """Return what a run has learnt from, and what of it was kept back.

    Raises UsageError where it is not the same any more, and what reading raises.
    """
    mixture = mixture_of(run.recipe, run.left_out, run.data_digest)
    if mixture.digest() != run.data_digest:
        raise UsageError(
            "its data is not what it was trained on: pictures came, went or changed; name others "
            "with --data"
        )
    return mixture


def inherited(recipe: Recipe) -> list[Picture]:
    """Return the pictures that were learnt by the runs whose weights a recipe begins with or that
    teach it, and by those before them.

    A run that cannot be read is named in a warning. What a teacher that is given as a recipe began
    with is not looked into.
    """
    found: list[Picture] = []
    waiting, known = _named_runs(recipe), set()
    while waiting:
        run = waiting.pop()
        if run in known:
            continue
        known.add(run)
        try:
            own, about = read_recipe(run), read_about(run)
            mixture = mixture_of(own, left_out_of(about), about["data"])
        except EdgeError as error:
            log.warning("%s: what it has learnt from is not known: %s", run, error)
            continue
        if mixture.digest() != about["data"]:
            log.warning("%s: its pictures came, went or changed since it learnt from them", run)
        found += mixture.pictures
        waiting += _named_runs(own)
    return found


def _named_runs(recipe: Recipe) -> list[Path]:
    """Return the folders of the runs that a recipe begins with or learns from."""
    named = [recipe.net.weights or "", *(recipe.distill.teacher if recipe.distill else ())]
    found = []
    for path in (expanded(one) for one in named if one):
        gone = not path.exists() and not path.suffix and path.name != "imagenet"
        folder = path if gone else folder_of_run(path)
        if folder:
            found.append(folder.absolute())
        elif is_checkpoint(path):
            log.warning(
                "%s: a run's checkpoint away from its folder: what it has learnt is not known", path
            )
    return found


def folder_of_run(path: Path) -> Path | None:
    """Return the folder of the run that a path means, by itself or by one of its checkpoints.

    None: it means published weights, a bundle or a recipe.
    """
    folder = path if path.is_dir() else path.parent
    return folder if path.is_dir() or (folder / RECIPE).exists() else None
