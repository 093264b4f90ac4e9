"""What a study has found so far: figures, their spread, and differences in pairs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.classifier import EMPTY
from edge.errors import ConfigError, UnavailableError
from trainer.ablation import Row
from trainer.answering import true_columns
from trainer.data import coarse_classes
from trainer.figures import coarse_figures, figures
from trainer.files import make_folder, replace_file
from trainer.jobs import Job, Result, is_done, read_probabilities, read_result
from trainer.layout import Layout
from trainer.statistics import (
    Interval,
    interval_of_auroc,
    interval_of_mean,
    interval_of_share,
    paired_difference,
    resamples,
    spread,
)

FIGURES = (
    "top1", "coarse_top1", "top5", "macro_recall", "nll", "brier", "ece", "auroc",
    "average_precision",
)  # fmt: skip

MEASURED = (
    "top1_per_repeat", "top1_per_fold", "figures", "intervals", "difference", "seconds_per_fit",
    "ms_per_image", "oof",
)  # fmt: skip
"""What study.json says of a row once a repeat of it is whole."""


class Findings:
    """What the finished jobs of a study's folder say, row by row."""

    def __init__(self, layout: Layout, study: Path):
        self._layout, self._study = layout, study
        self._repeats, self._folds = range(layout.plan.repeats), range(layout.plan.folds)
        self._n, self._classes = len(layout.chosen), layout.classes
        self._pictures = [layout.pool.pictures[i] for i in layout.chosen]
        self._truth = true_columns(self._pictures, self._classes)
        self._weights = resamples(layout.groups)
        fits = (job for jobs in layout.jobs.values() for job in jobs)
        self._done = {job.digest for job in fits if is_done(study, job)}
        self._said = {row.name: self._probabilities(row) for row in layout.plan.rows}

    def rows(self) -> list[dict[str, Any]]:
        """Return what study.json says of each row."""
        return [self._summary(row) for row in self._layout.plan.rows]

    def write_oof(self) -> None:
        """Write the out-of-fold probabilities of each row that has a whole repeat; remove others,
        which no row would name."""
        make_folder(self._study / "oof")
        whole = {self._oof(name): said for name, said in self._said.items() if len(said)}
        for file, said in whole.items():
            self._write_oof(file, said)
        for file in set(self._study.glob("oof/*.npz")) - whole.keys():
            file.unlink(missing_ok=True)  # another process tidies up, too

    def _probabilities(self, row: Row) -> NDArray[np.float32]:
        """Return what a row's nets say, (repeats, n, classes): the repeats that are complete."""
        whole = np.zeros((0, self._n, len(self._classes)), np.float32)
        for repeat in self._repeats:
            jobs = [self._layout.jobs[row.name, repeat, fold] for fold in self._folds]
            if not all(self._answered(job) for fold in jobs for job in fold):
                break
            said = np.zeros((1, self._n, len(self._classes)), np.float32)
            for number, fold in enumerate(jobs):
                answers = [read_probabilities(self._study, job) for job in fold]
                said[0, self._layout.fold_of[repeat] == number] = np.mean(answers, axis=0)
            whole = np.concatenate([whole, said])
        return whole

    def _answered(self, job: Job) -> bool:
        return job.digest in self._done and not read_result(self._study, job).diverged

    def _write_oof(self, file: Path, probabilities: NDArray[np.float32]) -> None:
        content = io.BytesIO()
        np.savez_compressed(
            content,
            probabilities=probabilities,
            truth=self._truth,
            fold=self._layout.fold_of[: len(probabilities)],
            group=self._layout.groups,
            picture=np.array([str(picture.file.absolute()) for picture in self._pictures]),
            box=np.array([picture.box or (0, 0, 0, 0) for picture in self._pictures]),
            coarse=np.array([picture.columns.get("coarse") or "" for picture in self._pictures]),
            classes=np.array(self._classes),
        )
        replace_file(file, lambda path: path.write_bytes(content.getvalue()))

    def _oof(self, name: str) -> Path:
        return self._study / "oof" / f"{name}.npz"

    def _summary(self, row: Row) -> dict[str, Any]:
        said, results = self._said[row.name], self._results(row)
        diverged = [result.diverged for fit in results for result in fit if result.diverged]
        about = {
            "name": row.name,
            "changes": list(row.changes),
            "digest": row.recipe.digest(training_only=True),
            "compared_with": row.compared_with,
            "fits": sum(len(fit) for fit in results),
            "diverged": next(iter(diverged), None),
            "repeats": len(said),
        }
        if not len(said):
            return about | dict.fromkeys(MEASURED)
        whole, oof = results[: len(said) * len(self._folds)], self._oof(row.name)
        times = {
            "seconds_per_fit": spread([sum(r.train_s or 0 for r in fit) for fit in whole]),
            "ms_per_image": spread([sum(r.ms_per_image or 0 for r in fit) for fit in whole]),
        }
        place = {"oof": str(oof.relative_to(self._study)) if oof.exists() else None}
        return about | self._measured(said) | self._difference(row) | times | place

    def _results(self, row: Row) -> list[list[Result]]:
        """Return what is known of each fold's fits, repeat by repeat."""
        folds = [
            self._layout.jobs[row.name, r, fold] for r in self._repeats for fold in self._folds
        ]
        return [
            [read_result(self._study, job) for job in jobs if job.digest in self._done]
            for jobs in folds
        ]

    def _measured(self, said: NDArray[np.float32]) -> dict[str, Any]:
        """Return the figures of what a row's nets say, (repeats, n, classes)."""
        repeats = [self._figures(p) for p in said]
        right = self._right(said)
        return {
            "top1_per_repeat": [found["top1"] for found in repeats],
            "top1_per_fold": [
                [float(row[fold == number].mean()) for number in self._folds]
                for row, fold in zip(right, self._layout.fold_of, strict=False)
            ],
            "figures": {
                name: spread([found[name] for found in repeats])
                for name in FIGURES
                if repeats[0].get(name) is not None
            },
            "intervals": self._intervals(said, with_auroc=repeats[0]["auroc"] is not None),
        }

    def _figures(self, p: NDArray[np.float32]) -> dict[str, Any]:
        """Return the figures of one repeat, (n, classes), by kind too where pictures say one."""
        found = figures(p, self._truth, self._classes, self._layout.groups)
        if kinds := coarse_classes(self._pictures):
            found |= coarse_figures(p, self._truth, self._classes, kinds)
        return found

    def _intervals(self, said: NDArray[np.float32], with_auroc: bool) -> dict[str, Interval]:
        believed = np.clip(said[:, np.arange(self._n), self._truth], 1e-12, 1)
        found = {
            "top1": interval_of_share(self._right(said).mean(axis=0), self._layout.groups),
            "nll": interval_of_mean(-np.log(believed).mean(axis=0), self._layout.groups),
        }
        if with_auroc:
            column = self._classes.index(EMPTY)
            empty = self._truth == column
            found["auroc"] = interval_of_auroc(
                said[..., column], empty, self._weights, self._layout.groups
            )
        return found

    def _right(self, said: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.asarray(said.argmax(axis=2) == self._truth)

    def _difference(self, row: Row) -> dict[str, Any]:
        """Return the row against the one it is compared with, over the repeats that both have."""
        if row.compared_with is None:
            return {"difference": None}
        said, reference = self._said[row.name], self._said[row.compared_with]
        both = min(len(said), len(reference))
        if not both:
            return {"difference": None}
        right, other = self._right(said[:both]), self._right(reference[:both])
        folds = self._layout.fold_of[:both]
        return {"difference": paired_difference(right, other, folds, self._layout.groups)}


def read_study(file: Path) -> dict[str, Any]:
    """Return a study.json. Raises UnavailableError where there is none, ConfigError where it is
    not what `trainer ablate` or `trainer kfold` writes."""
    try:
        about = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError):
        place = file.parent if file.name == "study.json" else file
        raise UnavailableError(
            f"{place}: no study; make one with 'trainer kfold' or 'trainer ablate'"
        ) from None
    except ValueError:
        about = None
    wanted = {"kind", "recipe", "n", "folds", "rows"}
    if not isinstance(about, dict) or not wanted <= about.keys() or not _are_rows(about["rows"]):
        raise ConfigError([f"{file}: not what 'trainer kfold' or 'trainer ablate' writes"])
    return about


def _are_rows(rows: object) -> bool:
    wanted = {"name", "changes", "compared_with", "diverged", "repeats", *MEASURED}
    return isinstance(rows, list) and all(
        isinstance(row, dict) and wanted <= row.keys() for row in rows
    )
