"""Who is looked at, and what they say of pictures they have not learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.classifier import EMPTY, Temperature, Thresholds, open_classifier
from edge.decide import Rule
from edge.errors import EdgeError, UsageError
from trainer.answering import Model, RunModel, predict, true_columns
from trainer.checkpoint import BEST, CurveRow
from trainer.data import read_pictures, read_source, usable
from trainer.figures import figures
from trainer.folds import groups_of, seen_of
from trainer.lineage import fed_to, inherited
from trainer.mixture import Mixture
from trainer.picture import Picture
from trainer.recipe import Recipe
from trainer.report.page import count
from trainer.runs import ABOUT, load_run
from trainer.statistics import Interval, interval_of_share
from trainer.temper import on_held_out
from trainer.thresholds import thresholds_for

Floats = NDArray[np.float64]
HELD_OUT = "held out of training"
INT8 = "INT8, ONNX Runtime"
UNTEMPERED = Temperature(value=1, fitted_on="nothing")


@dataclass(frozen=True)
class Answers:
    """p: (n, classes), one row a picture; truth: (n,), the column of what is really there; groups:
    (n,), the number of each one's group.

    of: where the pictures are from, as words after "pictures". learnt: how many of them show what
    was learnt by the model, or by a run that it began with or was taught by; None where nobody
    knows. fitted: on what its temperature was fitted, in words; empty where it has none;
    fitted_here: whether on these very pictures.
    """

    name: str
    classes: tuple[str, ...]
    pictures: Sequence[Picture]
    p: Floats
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    of: str
    thresholds: Thresholds | None = None
    learnt: int | None = 0
    fitted: str = ""
    fitted_here: bool = False

    @cached_property
    def guess(self) -> NDArray[np.int64]:
        return np.asarray(self.p.argmax(axis=1), np.int64)

    @cached_property
    def confidence(self) -> Floats:
        return np.asarray(self.p.max(axis=1), np.float64)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.guess == self.truth, np.bool_)

    @property
    def top1(self) -> float:
        return float(self.right.mean())

    @cached_property
    def figures(self) -> dict[str, Any]:
        return figures(self.p, self.truth, self.classes, self.groups)

    @property
    def top1_interval(self) -> Interval:
        return interval_of_share(self.right, self.groups)

    @property
    def empty_above(self) -> float:
        """From which p(empty) on there is an alert, as the daemon would take it."""
        chosen = self.thresholds.empty_above if self.thresholds else None
        return Rule().empty_above if chosen is None else chosen

    @property
    def p_empty(self) -> Floats | None:
        """None where the model, or the data, knows no empty slots or nothing else."""
        if EMPTY not in self.classes:
            return None
        column = self.classes.index(EMPTY)
        return self.p[:, column] if 0 < (self.truth == column).sum() < len(self.truth) else None


@dataclass(frozen=True)
class Contender:
    """A run or a bundle. runs_as: number format and program; about: what it was made with; curve:
    of a run; stopped: where a run was, before its end; known: what was learnt by a run and by those
    that it began with or was taught by, None where that is not known; measured_on: the same for
    runs whose curves are of the same held-out pictures; fitted_on: on what the temperature was,
    fitted_here: whether on these held-out pictures; why: what kept it from being asked, in words
    for the reader."""

    name: str
    model: Model
    classes: tuple[str, ...]
    recipe: Mapping[str, Any]
    thresholds: Thresholds
    runs_as: str
    about: Mapping[str, object]
    curve: tuple[CurveRow, ...] = ()
    stopped: str = ""
    known: tuple[Picture, ...] | None = None
    measured_on: str = ""
    held_out: tuple[Picture, ...] = ()
    fitted_on: str = ""
    fitted_here: bool = False
    answers: Answers | None = None
    why: str = ""


def open_contenders(
    runs: Sequence[Path], bundles: Sequence[Path], data: Sequence[str], threads: int
) -> list[Contender]:
    """Return all of them, asked about `data`, else each about what it kept back in training.

    A bundle is then asked about the first run's. Raises where a run or a bundle cannot be opened,
    or where none of them can be asked about the data.
    """
    if bundles and not (runs or data):
        raise UsageError("trainer report: name the pictures for the bundles with --data")
    names = _names([*runs, *bundles])
    found = [_open_run(path, names[path], threads, not data) for path in runs]
    skips = any(one.recipe["unreadable"] == "skip" for one in found)
    given = usable(read_pictures(data, None), "skip" if skips else "refuse") if data else []
    shared = given or next((list(run.held_out) for run in found if run.held_out), [])
    of = "given with --data" if data else HELD_OUT
    asked = [_ask(run, given or run.held_out, of) for run in found]
    opened = [_of_run(_open_bundle(path, names[path], threads), found) for path in bundles]
    asked += [_ask(one, shared, of) for one in opened]
    if data and all(one.answers is None for one in asked) and asked:
        raise UsageError(f"trainer report: --data: {asked[0].why}")
    return asked


def _ask(contender: Contender, pictures: Sequence[Picture], of: str) -> Contender:
    if not pictures:
        return contender if contender.why else replace(contender, why="it has no held-out pictures")
    strange = sorted({picture.label for picture in pictures} - set(contender.classes))
    if strange:
        more = f" and {count(len(strange) - 1, 'other label')}" if strange[1:] else ""
        return replace(contender, why=f"it knows no '{strange[0]}'{more} of these pictures")
    p, _ = predict(contender.model, pictures)
    truth = true_columns(pictures, contender.classes)
    known = contender.known
    answers = Answers(
        contender.name, contender.classes, pictures, p.astype(np.float64), truth,
        groups_of(pictures), of, contender.thresholds,
        None if known is None else int(seen_of(known, pictures).sum()),
        contender.fitted_on,
        contender.fitted_here and tuple(pictures) == contender.held_out,
    )  # fmt: skip
    return replace(contender, answers=answers)


def _of_run(bundle: Contender, runs: Sequence[Contender]) -> Contender:
    """Return the bundle, knowing what the run knows that it was made from, if that is here."""
    for run in runs:
        if run.recipe == bundle.recipe and run.about.get("data") == bundle.about["data"]:
            own = bundle.fitted_on == on_held_out(len(run.held_out))
            return replace(bundle, known=run.known, held_out=run.held_out, fitted_here=own)
    return bundle


def _open_run(path: Path, name: str, threads: int, reads_held_out: bool) -> Contender:
    run = load_run(path, unfinished=True)
    recipe, fed = run.recipe, None
    folder = path if path.is_dir() else path.parent
    held_out: tuple[Picture, ...] = ()
    known: tuple[Picture, ...] | None = None
    why = measured_on = ""
    reads_held_out = reads_held_out and bool(recipe.held_out or recipe.hold_out)
    try:
        fed = fed_to(run)
        known = (*fed.pictures, *inherited(recipe))
        measured_on = _measured_on(fed, recipe)
        held_out = _unseen(known, fed, recipe) if reads_held_out else ()
    except EdgeError as error:
        why = f"its held-out pictures: {error}" if reads_held_out else ""
    step = run.step if run.step == run.steps else f"{run.step} of {run.steps}"
    return Contender(
        name,
        RunModel(run.net, recipe, threads),
        recipe.classes,
        recipe.model_dump(mode="json"),
        thresholds_for(recipe, recipe.temperature or UNTEMPERED, fed.shares if fed else None),
        "FP32, PyTorch",
        json.loads((folder / ABOUT).read_bytes()) | {"steps": step},
        run.curve,
        f"step {step}" if path.name != BEST and run.step < run.steps else "",
        known,
        measured_on,
        held_out,
        recipe.temperature.fitted_on if recipe.temperature else "",
        why=why,
    )


def _measured_on(fed: Mixture, recipe: Recipe) -> str:
    """Return a text that is the same for runs that are measured on the same held-out pictures."""
    sources = sorted(source.model_dump_json() for source in recipe.held_out)
    kept = sorted(f"{picture.file.resolve()} {picture.box}" for picture in fed.held_out)
    return "\n".join([*sources, *kept])


def _unseen(known: Sequence[Picture], fed: Mixture, recipe: Recipe) -> tuple[Picture, ...]:
    """Return of what a run kept back the pictures that share nothing with those that it knows.

    Raises UsageError where none is left, and what reading raises.
    """
    kept = list(fed.held_out)
    for source in recipe.held_out:
        kept += read_source(source, recipe.unreadable)
    seen = seen_of(known, kept)
    found = tuple(p for p, before in zip(kept, seen, strict=True) if not before)
    if not found:
        raise UsageError("it has learnt from all of them; name others with --data")
    return found


def _open_bundle(path: Path, name: str, threads: int) -> Contender:
    classifier = open_classifier(path, threads)
    info = classifier.info
    about = {
        "data": info.data_digest,
        "quantization": info.quantization,
        "temperature": f"{info.temperature.value:g}, fitted on {info.temperature.fitted_on}",
        "sha256": info.digest[:16],
    }
    return Contender(
        name, classifier, info.classes, info.recipe, info.thresholds, INT8, about,
        fitted_on=info.temperature.fitted_on,
    )  # fmt: skip


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest ends of the paths that tell them apart; a checkpoint's has its run."""
    names = {}
    for path in paths:
        parts = path.absolute().parts
        names[path] = next(
            "/".join(parts[-length:])
            for length in range(1 + (path.suffix == ".pt"), len(parts) + 1)
            if all(
                other == path or other.absolute().parts[-length:] != parts[-length:]
                for other in paths
            ) or length == len(parts)
        )  # fmt: skip
    return names


def same_pictures(a: Answers, b: Answers) -> bool:
    """Whether both were asked the same: only then may their accuracies stand side by side."""
    first, second = (
        [(picture.file.resolve(), picture.box, picture.label) for picture in each.pictures]
        for each in (a, b)
    )
    return first == second
