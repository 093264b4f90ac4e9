"""How good a model is on pictures it has not seen: a run or a bundle is asked, and judged."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.classifier import OCCUPANCY, Classifier, open_classifier
from edge.errors import EdgeError, UnavailableError, UsageError
from trainer.answering import Model, RunModel, predict, true_columns
from trainer.data import Unreadable, check_labels, coarse_classes, usable
from trainer.figures import GENERAL, coarse_figures, figures, presence_figures
from trainer.folds import groups_of, seen_of
from trainer.lineage import LEARNT, inherited, mixture_of
from trainer.picture import Picture
from trainer.runs import Run, asked_at, is_run, load_run

log = logging.getLogger(__name__)

CHANGED = ". Its pictures came, went or changed since, and all that are there now count"


def open_model(path: Path, threads: int) -> tuple[Model, tuple[str, ...]]:
    """Return a run (or its checkpoint, RUN/best.pt) or a bundle, and its classes."""
    return _model_of(load_run(path), threads) if is_run(path) else _bundle(path, threads)


def _model_of(run: Run, threads: int) -> tuple[Model, tuple[str, ...]]:
    return RunModel(run.net, run.recipe, threads), run.recipe.classes


def _bundle(path: Path, threads: int) -> tuple[Model, tuple[str, ...]]:
    if not path.exists():
        raise UnavailableError(f"{path}: No such file or folder, neither a run nor a bundle")
    classifier = open_classifier(path, threads)
    return classifier, classifier.info.classes


def evaluate(
    path: Path,
    pictures: Sequence[Picture],
    threads: int = 1,
    unknown: Sequence[Picture] = (),
    coarse_of: Mapping[str, str] | None = None,
    unfinished: bool = False,
    input_size: int | None = None,
) -> dict[str, Any]:
    """Return the figures of a run or a bundle on pictures, as one JSON-able dict.

    unknown: pictures of products of which some were never learned; those are asked about too.
    coarse_of: fine class to coarse class; None: as the pictures say.
    unfinished: also of a run that was stopped, with what it has.
    input_size: pixels a side at which a run is asked, instead of its recipe's.
    """
    run = load_run(path, unfinished) if is_run(path) else None
    if input_size:
        if run is None:
            raise UsageError(f"--input-size: {path} is a bundle; its size was chosen at its export")
        run = asked_at(run, input_size)
    model, classes = _model_of(run, threads) if run else _bundle(path, threads)
    check_labels(pictures, classes)
    unreadable = unreadable_by(model)
    pictures, unknown = usable(pictures, unreadable), usable(unknown, unreadable)
    strangers = _strangers(unknown, classes)
    if run:
        _warn_of_learnt(run, pictures)
    coarse_of = coarse_classes([*pictures, *unknown]) if coarse_of is None else coarse_of
    below = _misplaced_below(model, run)
    probabilities, elapsed_s = predict(model, pictures)
    truth = true_columns(pictures, classes)
    found = figures(probabilities, truth, classes, groups_of(pictures))
    if coarse_of:
        found |= coarse_figures(probabilities, truth, classes, coarse_of)
    if set(classes) != OCCUPANCY:
        labels = [picture.label for picture in pictures]
        found["misplaced_below"] = below
        found["presence"] = presence_figures(probabilities, labels, classes, coarse_of, below)
    if strangers:
        found["unknown"] = _unknown_figures(model, strangers, classes, coarse_of, below)
    found["ms_per_image"] = round(1e3 * elapsed_s / len(pictures), 3)
    found["threads"] = threads
    return found


def unreadable_by(model: Model) -> Unreadable:
    """Return what the recipe behind a run or a bundle does with a file that is no picture."""
    if isinstance(model, RunModel):
        return model.unreadable
    assert isinstance(model, Classifier)
    return "skip" if model.info.recipe.get("unreadable") == "skip" else "refuse"


def _misplaced_below(model: Model, run: Run | None) -> float:
    """Return a bundle's threshold on p(own product | not empty), as the daemon would take it.

    A run has only what its recipe writes: what follows from costs is chosen at the export, for
    the temperature that is fitted there.
    """
    if run:
        below = run.recipe.thresholds.misplaced_below
    else:
        assert isinstance(model, Classifier)
        below = model.info.thresholds.misplaced_below
    return GENERAL.misplaced_below if below is None else below


def _warn_of_learnt(run: Run, pictures: Sequence[Picture]) -> None:
    try:
        mixture = mixture_of(run.recipe, run.left_out, run.data_digest)
    except EdgeError as error:
        log.warning("whether it has learnt from these pictures is not known: %s", error)
        return
    learnt = int(seen_of([*mixture.pictures, *inherited(run.recipe)], pictures).sum())
    if learnt:
        changed = "" if mixture.digest() == run.data_digest else CHANGED
        log.warning(
            "%d of the %d pictures show what was %s: they flatter it%s",
            learnt, len(pictures), LEARNT, changed,
        )  # fmt: skip


def _strangers(pictures: Sequence[Picture], classes: Sequence[str]) -> list[Picture]:
    """Return the pictures of products that a model does not know."""
    strangers = [picture for picture in pictures if picture.label not in classes]
    if pictures and (set(classes) == OCCUPANCY or not strangers):
        raise UsageError(
            "--unknown needs a model of products, and pictures of a product it does not know; "
            f"it knows {', '.join(classes)}"
        )
    return strangers


def _unknown_figures(
    model: Model,
    strangers: Sequence[Picture],
    classes: Sequence[str],
    coarse_of: Mapping[str, str],
    misplaced_below: float,
) -> dict[str, Any]:
    probabilities, _ = predict(model, strangers)
    labels = [picture.label for picture in strangers]
    return presence_figures(probabilities, labels, classes, coarse_of, misplaced_below)
