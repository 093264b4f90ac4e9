"""Many fits, one table: repeated grouped k-fold of one recipe, or of a recipe and its tricks.

Every picture is asked about once in each repeat, by a net that has not seen its group; figures are
taken over all pictures of a repeat together. A repeat has its own partition, a fit its own seed,
both the same for every row: rows differ by what their recipes differ in and by nothing else.

STUDY/study.json, written anew after every fit, holds

    kind             kfold or ablate
    recipe, digest   name and digest of the recipe that was asked for
    data, n, folds, repeats, subset, majority     digest and number of pictures; how they were
                     parted; what always naming the commonest class gets right
    rows             list of
      name, changes, digest      which row; KEY=VALUE against the row it is compared with
      compared_with              name of that row, or null
      fits, diverged             how many fits are done; why the first of those that diverged did
      repeats                    how many are complete. Without one, all that follows is null
      top1_per_repeat, top1_per_fold     shares; a list, a list of lists
      figures                    top1, top5, macro_recall, nll, brier, ece, auroc,
                                 average_precision: {mean, std over repeats}, where they are known
      intervals                  of top1 (Wilson), nll and auroc (groups resampled): [low, high]
      difference                 to compared_with in points of top1: {points, std_repeats,
                                 std_folds, interval, only_this_right, only_reference_right}
      seconds_per_fit            {mean, std} of training on one thread, its teacher not counted
      ms_per_image               {mean, std} of asking the finished net, one thread, FP32
      oof                        path below STUDY: an npz with probabilities (repeats, n, classes),
                                 truth (n,), fold (repeats, n), group, picture, box, classes

and beside it the same as table.csv and table.md.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from torchvision.models.resnet import BasicBlock

from edge.classifier import EMPTY
from edge.errors import EdgeError, UnavailableError, UsageError
from trainer import cluster
from trainer.evaluate import figures, true_columns
from trainer.folds import Indices, groups_of, split, subset
from trainer.jobs import (
    Job,
    Pool,
    digest_of,
    is_done,
    make_job,
    read_probabilities,
    read_result,
    tidy,
    work,
)  # fmt: skip
from trainer.recipe import Recipe, changed
from trainer.resnet import DEPTHS
from trainer.runs import replace_file, write_json
from trainer.statistics import (
    interval_of_auroc,
    interval_of_mean,
    paired_difference,
    resamples,
    spread,
    wilson,
)  # fmt: skip
from trainer.train import StoppedError

FIGURES = (
    "top1", "top5", "macro_recall", "nll", "brier", "ece", "auroc", "average_precision",
)  # fmt: skip

MEASURED = (
    "top1_per_repeat", "top1_per_fold", "figures", "intervals", "difference", "seconds_per_fit",
    "ms_per_image", "oof",
)  # fmt: skip
"""What study.json says of a row once a repeat of it is whole."""

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

PLAIN = {"optimizer": "sgd", "linear_scaling": "true", "augment": "crop"}
"""What else the plain recipe has. Its learning rate is the paper's, 0.1 · batch / 256, to which
linear scaling adds nothing."""


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

    names: only these rows, and those they are compared with. Raises UsageError for a wrong one.
    """
    tricks = _tricks(recipe)
    settings = {key: OFF[key] for key in tricks} | PLAIN
    to_plain = tuple(f"{key}={value}" for key, value in settings.items())
    plain = changed(recipe, to_plain)
    rows = [Row("full", recipe), Row("plain", plain, to_plain, "full")]
    for key in tricks:
        off = f"{key}={OFF[key]}"
        rows.append(Row(f"full-{key}", changed(recipe, [off]), (off,), "full"))
    for key, value in tricks.items():
        on = f"{key}={value}"
        if key != "linear_scaling":
            rows.append(Row(f"plain+{key}", changed(plain, [on]), (on,), "plain"))
    return _named(rows, names)


def _tricks(recipe: Recipe) -> dict[str, str]:
    """Return the fields of OFF that the recipe switches on, with its values as YAML."""
    about = recipe.model_dump(mode="json")
    flat = about | {f"net.{key}": value for key, value in about["net"].items()}
    on = {key: json.dumps(flat[key]) for key in OFF if flat[key] != yaml.safe_load(OFF[key])}
    if DEPTHS.get(recipe.net.arch, (BasicBlock,))[0] is BasicBlock:
        on.pop("net.b", None)  # it moves a stride within a bottleneck
    if recipe.drawn + recipe.altered:
        on.pop("balanced", None)  # drawn slots cannot be picked once an epoch
    if recipe.augment == "none":
        on.pop("augment", None)
    return on


def _named(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise UsageError(f"--rows {name}: no such row; this recipe has {', '.join(known)}")
    wanted = set(names or known)
    wanted |= {row.compared_with or "" for row in rows if row.name in wanted}
    return [row for row in rows if row.name in wanted]


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
        return self.recipe.seed + 10_000 * repeat + 100 * fold + member


class Study:
    """A plan, its pictures and its folder. Raises what reading and parting the pictures raises."""

    def __init__(self, plan: Plan, folder: Path, keep_runs: bool = False):
        _refuse_leaks(plan)
        self.plan, self.folder, self._keep_runs = plan, folder, keep_runs
        self.pool = Pool(plan.recipe)
        groups = groups_of(self.pool.sources)
        self.chosen: Indices = tuple(range(len(groups)))
        if plan.subset:
            self.chosen = subset(dict(plan.subset), self.pool.labels, groups, plan.recipe.seed)
        self.labels = [self.pool.labels[i] for i in self.chosen]
        self.groups = np.unique(groups[list(self.chosen)], return_inverse=True)[1]
        self.classes = plan.recipe.with_classes(self.labels).classes
        self.folds = [
            self._split(self.chosen, plan.folds, plan.seed(repeat))
            for repeat in range(plan.repeats)
        ]  # fmt: skip
        self.jobs = {
            (row.name, repeat, fold): self._jobs(row, repeat, fold)
            for repeat in range(plan.repeats)
            for row in plan.rows
            for fold in range(plan.folds)
        }
        """In the order of work: the first repeat of all rows comes first, so that a study that is
        interrupted has a whole table."""

    def _split(self, indices: Indices, folds: int, seed: int) -> list[tuple[Indices, Indices]]:
        """Part some of the pool's pictures."""
        places = np.searchsorted(self.chosen, indices)
        labels = [self.labels[place] for place in places]
        return [
            (tuple(indices[i] for i in learns), tuple(indices[i] for i in asked))
            for learns, asked in split(labels, self.groups[places], folds, seed)
        ]

    def _jobs(self, row: Row, repeat: int, fold: int) -> list[Job]:
        """Return the fits of one row and fold: one, or as many as are averaged."""
        learns, asked = self.folds[repeat][fold]
        if not row.members:
            return [self._job(row, repeat, fold, 0, learns, asked)]
        inner = self._split(learns, row.members, self.plan.seed(repeat, fold))
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

    @property
    def all_jobs(self) -> list[Job]:
        return [job for jobs in self.jobs.values() for job in jobs]

    def work(self) -> None:
        """Do what no other process does. One that shares the folder may do some."""
        work(self.folder, self.all_jobs, self.pool, self._keep_runs, self.report)

    def report(self, job: Job) -> None:
        """Say what a fit brought, and write the table anew."""
        self.write()
        done = [each for each in self.all_jobs if is_done(self.folder, each)]
        result = read_result(self.folder, job)
        said = result.diverged or f"{result.train_s:.0f} s"
        if result.top1 is not None:
            said += f", top-1 {result.top1:.4f}"
        print(f"[{len(done)}/{len(self.all_jobs)}] {job.name}: {said}", file=sys.stderr)

    def tidy(self) -> None:
        if not self._keep_runs:
            tidy(self.folder, self.all_jobs)

    # -- what came out -----------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Return what is asked, as study.json begins."""
        plan = self.plan
        return {
            "kind": plan.kind,
            "recipe": plan.recipe.name,
            "digest": plan.recipe.digest(training_only=True),
            "teacher": plan.teacher and plan.teacher.digest(training_only=True),
            "data": digest_of([self.pool.prints[i] for i in self.chosen]),
            "n": len(self.chosen),
            "groups": int(self.groups.max()) + 1,
            "folds": plan.folds,
            "repeats": plan.repeats,
            "subset": dict(plan.subset) or None,
            "majority": float(np.unique(self.labels, return_counts=True)[1].max())
            / len(self.labels),
        }

    def check_folder(self) -> None:
        """Raise UsageError where the folder holds another study: its table would be lost."""
        file = self.folder / "study.json"
        if not file.exists():
            return
        known, own = json.loads(file.read_text()), self.about()
        for word in ("kind", "recipe", "digest", "teacher", "data", "folds"):
            if known[word] != own[word]:
                raise UsageError(
                    f"{self.folder}: holds a study with another {word} ({known[word]}); give "
                    "another folder as --out"
                )

    def write(self, oof: bool = False) -> dict[str, Any]:
        """Write the table as far as the study is; return what study.json holds.

        oof: also the out-of-fold probabilities of each row, which may be large.
        """
        rows = {row.name: self._probabilities(row) for row in self.plan.rows}
        if oof:
            for name, probabilities in rows.items():
                self._write_oof(name, probabilities)
        weights = resamples(self.groups)
        found = self.about() | {
            "rows": [self._summary(row, rows, weights) for row in self.plan.rows]
        }
        write_json(self.folder / "study.json", found)
        replace_file(self.folder / "table.csv", lambda path: path.write_text(as_csv(found)))
        replace_file(self.folder / "table.md", lambda path: path.write_text(as_markdown(found)))
        return found

    @cached_property
    def _truth(self) -> NDArray[np.int64]:
        return true_columns([self.pool.pictures[i] for i in self.chosen], self.classes)

    @cached_property
    def _fold_of(self) -> NDArray[np.int64]:
        """In which fold each picture is asked about, (repeats, n)."""
        numbers = np.zeros((self.plan.repeats, len(self.chosen)), np.int64)
        for repeat, folds in enumerate(self.folds):
            for fold, (_, asked) in enumerate(folds):
                numbers[repeat, np.searchsorted(self.chosen, asked)] = fold
        return numbers

    def _probabilities(self, row: Row) -> NDArray[np.float32]:
        """Return what a row's nets say, (repeats, n, classes): the repeats that are complete."""
        whole = []
        for repeat in range(self.plan.repeats):
            jobs = [self.jobs[row.name, repeat, fold] for fold in range(self.plan.folds)]
            if not all(self._answered(job) for fold in jobs for job in fold):
                break
            said = np.zeros((len(self.chosen), len(self.classes)), np.float32)
            for fold in jobs:
                answers = [read_probabilities(self.folder, job) for job in fold]
                said[np.searchsorted(self.chosen, fold[0].asked)] = np.mean(answers, axis=0)
            whole.append(said)
        return np.array(whole, np.float32).reshape(-1, len(self.chosen), len(self.classes))

    def _answered(self, job: Job) -> bool:
        return is_done(self.folder, job) and not read_result(self.folder, job).diverged

    def _write_oof(self, name: str, probabilities: NDArray[np.float32]) -> None:
        if not len(probabilities):
            return
        pictures = [self.pool.pictures[i] for i in self.chosen]
        content = io.BytesIO()
        np.savez_compressed(
            content,
            probabilities=probabilities,
            truth=self._truth,
            fold=self._fold_of[: len(probabilities)],
            group=self.groups,
            picture=np.array([str(picture.file) for picture in pictures]),
            box=np.array([picture.box or (0, 0, 0, 0) for picture in pictures]),
            classes=np.array(self.classes),
        )
        (self.folder / "oof").mkdir(exist_ok=True)
        replace_file(self._oof(name), lambda path: path.write_bytes(content.getvalue()))

    def _oof(self, name: str) -> Path:
        return self.folder / "oof" / f"{name}.npz"

    def _summary(
        self, row: Row, rows: Mapping[str, NDArray[np.float32]], weights: NDArray[np.float32]
    ) -> dict[str, Any]:  # fmt: skip
        """Return what study.json says of a row."""
        probabilities, oof = rows[row.name], self._oof(row.name)
        fits = [
            [job for job in self.jobs[row.name, repeat, fold] if is_done(self.folder, job)]
            for repeat in range(self.plan.repeats)
            for fold in range(self.plan.folds)
        ]
        results = [[read_result(self.folder, job) for job in fit] for fit in fits]
        diverged = [result.diverged for fit in results for result in fit if result.diverged]
        about = {
            "name": row.name,
            "changes": list(row.changes),
            "digest": row.recipe.digest(training_only=True),
            "compared_with": row.compared_with,
            "fits": sum(len(fit) for fit in fits),
            "diverged": next(iter(diverged), None),
            "repeats": len(probabilities),
        }
        if not len(probabilities):
            return about | dict.fromkeys(MEASURED)
        whole = results[: len(probabilities) * self.plan.folds]
        reference = rows[row.compared_with] if row.compared_with else None
        return about | self._measured(probabilities, weights) | {
            "difference": self._difference(probabilities, reference, weights),
            "seconds_per_fit": spread([sum(r.train_s or 0 for r in fit) for fit in whole]),
            "ms_per_image": spread([sum(r.ms_per_image or 0 for r in fit) for fit in whole]),
            "oof": str(oof.relative_to(self.folder)) if oof.exists() else None,
        }  # fmt: skip

    def _measured(
        self, probabilities: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> dict[str, Any]:
        truth, n = self._truth, len(self.chosen)
        repeats = [figures(p, truth, self.classes) for p in probabilities]
        right = self._right(probabilities)
        surprise = -np.log(np.clip(probabilities[:, np.arange(n), truth], 1e-12, 1)).mean(axis=0)
        intervals = {
            "top1": wilson(float(right.mean()), n),
            "nll": interval_of_mean(surprise, weights),
        }
        if repeats[0]["auroc"] is not None:
            column = self.classes.index(EMPTY)
            intervals["auroc"] = interval_of_auroc(
                probabilities[..., column], truth == column, weights
            )
        return {
            "top1_per_repeat": [found["top1"] for found in repeats],
            "top1_per_fold": [
                [float(row[fold == k].mean()) for k in range(self.plan.folds)]
                for row, fold in zip(right, self._fold_of, strict=False)
            ],
            "figures": {
                name: spread([found[name] for found in repeats])
                for name in FIGURES
                if repeats[0][name] is not None
            },
            "intervals": intervals,
        }

    def _right(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.asarray(probabilities.argmax(axis=2) == self._truth)

    def _difference(
        self,
        probabilities: NDArray[np.float32],
        reference: NDArray[np.float32] | None,
        weights: NDArray[np.float32],
    ) -> dict[str, Any] | None:
        both = 0 if reference is None else min(len(probabilities), len(reference))
        if reference is None or not both:
            return None
        return paired_difference(
            self._right(probabilities[:both]),
            self._right(reference[:both]),
            self._fold_of[:both],
            weights,
        )


def _refuse_leaks(plan: Plan) -> None:
    """Raise UsageError where a fit would begin with or learn from a net that knows the answers."""
    for row in plan.rows:
        if row.recipe.distill is not None and plan.teacher is None:
            raise UsageError(
                f"distill.teacher: {row.recipe.distill.teacher}: a finished net may have seen the "
                "pictures that a study holds back; name a recipe (*.yaml), which is then trained "
                "on the same pictures as its pupil"
            )
        weights = row.recipe.net.weights
        if weights and Path(os.path.expandvars(weights)).expanduser().is_dir():
            raise UsageError(
                f"net.weights: {weights}: a run may have seen the pictures that a study holds "
                "back; begin with a file of published weights, or from scratch"
            )


# -- doing it -------------------------------------------------------------------------------------


class WorkerError(EdgeError):
    """What a process that worked along had to say; its exit code is handed on."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def run_study(
    plan: Plan, folder: Path, workers: int = 1, on: str | None = None, keep_runs: bool = False
) -> dict[str, Any]:
    """Do all fits of a plan that are not done yet; return what study.json then holds.

    workers: processes of one thread each. on: a Ray cluster's address, instead of them. Neither
    changes a result. Raises StoppedError after Ctrl-C, and what a fit raises.
    """
    study = Study(plan, folder, keep_runs)
    study.check_folder()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if on is not None:
            cluster.work(on, folder, study.all_jobs, plan.recipe, keep_runs, study.report)
        elif workers == 1:
            study.work()
        else:
            _work_together(plan, folder, workers, keep_runs)
    except KeyboardInterrupt:
        raise StoppedError(f"{folder}: stopped; the same command goes on") from None
    finally:
        found = study.write(oof=True)
    study.tidy()
    return found


def _work_together(plan: Plan, folder: Path, workers: int, keep_runs: bool) -> None:
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        working = [pool.submit(_worker, plan, folder, keep_runs) for _ in range(workers)]
    try:
        for failure in [each.result() for each in working]:
            if failure is not None:
                raise WorkerError(*failure)
    except BrokenProcessPool:
        raise UnavailableError(
            f"{folder}: a worker was killed, perhaps for want of memory; the same command goes on"
        ) from None


def _worker(plan: Plan, folder: Path, keep_runs: bool) -> tuple[str, int] | None:
    try:
        Study(plan, folder, keep_runs).work()
    except EdgeError as error:
        return str(error), error.exit_code
    return None


# -- telling it -----------------------------------------------------------------------------------

HEADINGS = (
    "row", "top-1 %", "± repeats", "95 %", "against", "points", "± folds", "95 %", "NLL",
    "repeats", "s a fit", "ms a picture",
)  # fmt: skip


def as_markdown(study: Mapping[str, Any]) -> str:
    """Return the table for people; a row without a whole repeat shows dashes."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *map(_cells, study["rows"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        + " |\n"
        for line in lines
    )  # fmt: skip


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    against = row["compared_with"] or "-"
    if not row["repeats"]:
        state = "diverged" if row["diverged"] else "-"
        return (row["name"], state, "-", "-", against, *"-----", "0", *"--")[: len(HEADINGS)]
    top1, gain = row["figures"]["top1"], row["difference"]
    return (
        row["name"],
        f"{100 * top1['mean']:.2f}",
        _number(top1["std"], scale=100),
        _range(row["intervals"]["top1"], scale=100),
        against,
        "-" if gain is None else f"{gain['points']:+.2f}",
        "-" if gain is None else _number(gain["std_folds"]),
        "-" if gain is None else _range(gain["interval"]),
        f"{row['figures']['nll']['mean']:.3f}",
        str(row["repeats"]),
        f"{row['seconds_per_fit']['mean']:.0f}",
        f"{row['ms_per_image']['mean']:.2f}",
    )


def _number(value: float | None, scale: float = 1) -> str:
    return "-" if value is None else f"{scale * value:.2f}"


def _range(interval: Sequence[float], scale: float = 1) -> str:
    low, high = interval
    return f"{scale * low:.1f} to {scale * high:.1f}"


def as_csv(study: Mapping[str, Any]) -> str:
    """Return one line a row, every number of study.json in a column of its own."""
    lines = [dict(_flat(row)) for row in study["rows"]]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name.inner or name.0 with each value that holds no others."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, each in inner:
        path = f"{name}.{key}" if name else str(key)
        if isinstance(each, Mapping | list | tuple):
            yield from _flat(each, path)
        else:
            yield path, each
