"""How a study is laid out: which fit learns from which pictures, and is asked about which others.

A repeat has its own partition, a fit its own seed, both the same for every row: rows differ by what
their recipes differ in and by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from trainer.ablation import Row
from trainer.data import check_labels
from trainer.files import expanded
from trainer.folds import Indices, groups_of, split, subset
from trainer.jobs import Job, Pool, digest_of, make_job
from trainer.lineage import folder_of_run
from trainer.mixture import check_shown
from trainer.recipe import SEEDS, Recipe, check_choice
from trainer.weights import is_checkpoint


@dataclass(frozen=True)
class Plan:
    """All that decides what a study's fits are. teacher: what a pupil's teacher is trained by."""

    kind: Literal["kfold", "ablate"]
    recipe: Recipe
    rows: tuple[Row, ...]
    folds: int
    repeats: int
    teacher: Recipe | None = None
    subset: tuple[tuple[str, int], ...] = ()

    def seed(self, repeat: int, fold: int = 0, member: int = 0) -> int:
        """Return the seed of one fit, and of a repeat's partition; no two have the same."""
        return (self.recipe.seed + 10_000 * repeat + 100 * fold + member) % SEEDS


class Layout:
    """A plan with its pictures. Raises what reading and parting them raises.

    chosen: numbers of the pool's pictures that take part; labels, groups, and rows of probabilities
    are in their order. folds: for each repeat and fold, from whom is learnt and who is asked
    about; fold_of: in which fold each picture is asked about, (repeats, n).
    """

    def __init__(self, plan: Plan):
        _refuse_leaks(plan)
        self.plan = plan
        self.pool = Pool(plan.recipe)
        groups = groups_of(self.pool.pictures)
        self.chosen: Indices = tuple(range(len(groups)))
        if plan.subset:
            self.chosen = subset(dict(plan.subset), self.pool.labels, groups, plan.recipe.seed)
        self.labels = [self.pool.labels[i] for i in self.chosen]
        self.groups = np.unique(groups[list(self.chosen)], return_inverse=True)[1]
        recipe = plan.recipe.with_classes(self.labels)
        self.classes = recipe.classes
        check_labels([self.pool.pictures[i] for i in self.chosen], self.classes)
        check_choice(set(self.labels))
        check_shown(recipe, set(self.labels))
        self.folds = [
            self._split(self.chosen, plan.folds, plan.seed(repeat))
            for repeat in range(plan.repeats)
        ]  # fmt: skip
        self.fold_of = self._fold_numbers()
        self.jobs = {
            (row.name, repeat, fold): self._jobs(row, repeat, fold)
            for repeat in range(plan.repeats)
            for row in plan.rows
            for fold in range(plan.folds)
        }
        """In the order of work: the first repeat of all rows comes first, so that a study that is
        interrupted has a whole table."""

    def _split(
        self, indices: Indices, folds: int, seed: int, for_ensemble: bool = False
    ) -> list[tuple[Indices, Indices]]:
        """Part some of the pool's pictures."""
        places = np.searchsorted(self.chosen, indices)
        labels = [self.labels[place] for place in places]
        return [
            (tuple(indices[i] for i in learns), tuple(indices[i] for i in asked))
            for learns, asked in split(labels, self.groups[places], folds, seed, for_ensemble)
        ]

    def _jobs(self, row: Row, repeat: int, fold: int) -> list[Job]:
        """Return the fits of one row and fold: one, or as many as are averaged."""
        learns, asked = self.folds[repeat][fold]
        if not row.members:
            return [self._job(row, repeat, fold, 0, learns, asked)]
        inner = self._split(learns, row.members, self.plan.seed(repeat, fold), for_ensemble=True)
        return [
            self._job(row, repeat, fold, member, part, asked)
            for member, (part, _) in enumerate(inner, start=1)
        ]

    def _job(
        self, row: Row, repeat: int, fold: int, member: int, learns: Indices, asked: Indices
    ) -> Job:  # fmt: skip
        plan, teacher = self.plan, None
        own = {"seed": plan.seed(repeat, fold, member), "classes": self.classes}
        place = f"repeat {repeat + 1}, fold {fold + 1}" + (f", member {member}" if member else "")
        if row.recipe.distill is not None:
            assert plan.teacher is not None
            recipe = plan.teacher.model_copy(update=own)
            teacher = make_job(f"teacher, {place}", recipe, self.pool, learns)
        recipe = row.recipe.model_copy(update=own)
        return make_job(f"{row.name}, {place}", recipe, self.pool, learns, asked, teacher)

    def _fold_numbers(self) -> NDArray[np.int64]:
        numbers = np.zeros((self.plan.repeats, len(self.chosen)), np.int64)
        for repeat, folds in enumerate(self.folds):
            for fold, (_, asked) in enumerate(folds):
                numbers[repeat, np.searchsorted(self.chosen, asked)] = fold
        return numbers

    @property
    def all_jobs(self) -> list[Job]:
        return [job for jobs in self.jobs.values() for job in jobs]

    def about(self) -> dict[str, Any]:
        """Return what is asked, as study.json begins."""
        plan = self.plan
        recipes = [plan.recipe, *([plan.teacher] if plan.teacher else [])]
        return {
            "kind": plan.kind,
            "recipe": plan.recipe.name,
            "digest": plan.recipe.digest(training_only=True),
            "teacher": plan.teacher and plan.teacher.digest(training_only=True),
            "asked": _keys(plan.recipe) | {"teacher": plan.teacher and _keys(plan.teacher)},
            "weights": {
                str(recipe.net.weights): digest
                for recipe in recipes
                if (digest := self.pool.weights_of(recipe))
            },
            "data": digest_of([self.pool.prints[i] for i in self.chosen]),
            "places": [source.data for source in plan.recipe.data],
            "n": len(self.chosen),
            "groups": int(self.groups.max()) + 1,
            "grouping": digest_of(self.groups.tolist()),
            "folds": plan.folds,
            "repeats": plan.repeats,
            "subset": dict(plan.subset) or None,
            "majority": float(np.unique(self.labels, return_counts=True)[1].max())
            / len(self.labels),
        }


def _keys(recipe: Recipe) -> dict[str, Any]:
    """Return the keys that the probabilities depend on, as JSON has them."""
    return recipe.of_training() | recipe.model_dump(mode="json", include={"temperature"})


def _refuse_leaks(plan: Plan) -> None:
    """Raise UsageError where a fit would begin with or learn from a net that knows the answers."""
    for row in plan.rows:
        if row.recipe.distill is not None and plan.teacher is None:
            named = ", ".join(row.recipe.distill.teacher)
            raise UsageError(
                f"distill.teacher: {named}: a finished net may have seen the "
                "pictures that a study holds back; name a recipe (*.yaml), which is then trained "
                "on the same pictures as its pupil"
            )
    recipes = [row.recipe for row in plan.rows] + ([plan.teacher] if plan.teacher else [])
    for recipe in recipes:
        weights = recipe.net.weights
        if weights and (folder_of_run(file := expanded(weights)) or is_checkpoint(file)):
            raise UsageError(
                f"net.weights: {weights}: a run may have seen the pictures that a study holds "
                "back; begin with published weights, with the body of a teacher that is a recipe "
                "(distill.body), or from scratch"
            )
