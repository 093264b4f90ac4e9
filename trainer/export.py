"""From a run to a bundle: INT8 as close to FP32 as it comes, calibrated, with its parity report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.classifier import (
    EMPTY,
    MAX_BATCH,
    BundleInfo,
    Temperature,
)
from edge.errors import ConfigError, EdgeError, UnavailableError, UsageError
from edge.preprocess import RESIZE, to_batch
from trainer.answering import small_reader, tempered, true_columns
from trainer.bundle import scratch, write_bundle, write_fp32
from trainer.checkpoint import BEST
from trainer.data import check_labels, read_pictures, usable
from trainer.files import make_folder
from trainer.folds import groups_of, seen_of
from trainer.lineage import LEARNT, inherited
from trainer.mixture import Mixture, open_mixture
from trainer.parity import (
    LEAST_AGREEMENT,
    MOST_LOST,
    LabelledParts,
    accuracy,
    ask,
    parity,
    worst,
)
from trainer.picture import Picture
from trainer.qat import STEPS, fine_tune
from trainer.quantize import RULES, Candidate, Target, candidates, closest
from trainer.recipe import Data, Recipe
from trainer.runs import Run, load_run
from trainer.session import Batch, in_parts, logits_of, open_session
from trainer.temper import fit_temperature, on_held_out
from trainer.thresholds import thresholds_for

log = logging.getLogger(__name__)

REPRESENTATIVE = 400
"""So many different training pictures: ranges are measured on half of them, judged on the rest."""
TEMPERED = 5
"""In so many parts temperatures are fitted for the figures, each on the others."""
TOLD_ELSEWHERE = {"accuracy", "worst", "ms_fp32", "ms_int8", "threads"}
"""What the bundle's parity leaves out of the report: its times differ from export to export, and a
run's bundle is to have one digest; the worst pictures are named by where they lie."""
Say = Callable[[int, int], None]
"""Told the step of the fine-tuning, and how many there are."""


class Qat(StrEnum):
    """When a net is fine-tuned for its quantization (trainer/qat.py)."""

    AUTO = "auto"
    """Where the contract is missed without."""
    ON = "on"
    OFF = "off"


@dataclass(frozen=True)
class Few:
    """What the net met in training, without the variation. labels: of those judged on."""

    measured_on: Batch
    judged_on: Batch
    labels: tuple[str, ...]


@dataclass(frozen=True)
class TestSet:
    """What both nets are asked about, which of it (n,) the run did not learn from, and the number
    of each picture's group (n,)."""

    asked: LabelledParts
    unseen: NDArray[np.bool_]
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Compared:
    """A quantized net, its temperature, and the report of how it did beside the FP32 net."""

    candidate: Candidate
    temperature: Temperature
    report: dict[str, Any]


def export(
    run: Path,
    out: Path,
    *,
    held_out: Sequence[str] = (),
    only: str | None = None,
    data: Sequence[str] = (),
    unfinished: bool = False,
    target: Target = Target.X86,
    qat: Qat = Qat.AUTO,
    threads: int = 1,
    say: Say = lambda step, steps: None,
) -> dict[str, Any]:
    """Write the bundle of a finished run; return the report of FP32 against INT8.

    held_out: DATA to measure on, of it only what has COLUMN=VALUE; none: what the run kept back.
    data: where the pictures that it was trained on are now; none: where its recipe says. Raises
    what reading either raises, and ConfigError for a run whose classes make no bundle.
    """
    if out.suffix != ".onnx":
        raise UsageError(f"--out {out}: a bundle is called *.onnx")
    found = load_run(run, unfinished=unfinished)
    if run.name == BEST and not held_out:
        log.warning("%s was chosen on the pictures that are measured on: they flatter it", run)
    _check_classes(run, found.recipe)
    make_folder(out.parent)
    mixture = _reopened(run, found, data, bool(held_out))
    few = _few(mixture)
    known = [*mixture.pictures, *inherited(found.recipe)]
    test = _test(mixture, known, held_out, only, few)
    best, tried = _quantized(found, mixture, few, test, target, qat, threads, say)
    report = best.report | {"rule": best.candidate.rule, "candidates": _figures_of(tried)}
    if not report["within_contract"]:
        log.warning(_missed(report))
    words = _words(target, few, best.candidate, tried)
    info = _info(found, mixture, best.temperature, report, words)
    write_bundle(best.candidate.model, info, out)
    return {"bundle": str(out), "megabytes": round(out.stat().st_size / 1e6, 2),
            "temperature": best.temperature.value, **report}  # fmt: skip


def _quantized(
    found: Run,
    mixture: Mixture,
    few: Few,
    test: TestSet,
    target: Target,
    qat: Qat,
    threads: int,
    say: Say,
) -> tuple[Compared, list[Candidate]]:
    """Return the best quantized net, fine-tuned where that helps, and all that were tried."""
    with scratch() as folder:
        plain, tuned = folder / "plain.onnx", folder / "tuned.onnx"
        write_fp32(found.net, found.recipe, plain, few.judged_on)
        fp32 = open_session(plain.read_bytes(), threads)
        expected = logits_of(fp32, few.judged_on)
        tried = candidates(plain, target, few.measured_on, few.judged_on, expected)
        best = _compared(fp32, closest(tried), test, mixture.recipe, threads)
        if qat is Qat.OFF or (qat is Qat.AUTO and best.report["within_contract"]):
            return best, tried
        log.warning("fine-tuning for %d steps; --qat %s leaves it out", STEPS, Qat.OFF)
        net = fine_tune(found.net, mixture, target.top, say)
        write_fp32(net, found.recipe, tuned, few.judged_on)
        more = candidates(tuned, target, few.measured_on, few.judged_on, expected)
        more = [replace(each, rule=f"{each.rule}, fine-tuned") for each in more]
        after = _compared(fp32, closest(more), test, mixture.recipe, threads)
        return _better(best, after), [*tried, *more]


# -- the pictures ---------------------------------------------------------------------------------


def _check_classes(run: Path, recipe: Recipe) -> None:
    if EMPTY not in recipe.classes:
        raise ConfigError(
            [f"{run}: a bundle needs a class '{EMPTY}', for the daemon asks what is empty; this "
             f"run knows {', '.join(recipe.classes[:5])}: train it with pictures of empty slots, "
             f"too (--data FOLDER={EMPTY} gives all of a folder's that label)"]
        )  # fmt: skip


def _reopened(run: Path, found: Run, data: Sequence[str], measures_elsewhere: bool) -> Mixture:
    """Return what the run was fed, at the size that its net is asked about."""
    recipe = found.recipe
    changes: dict[str, Any] = {"train_sizes": (), "distill": None}
    if measures_elsewhere:
        changes["held_out"] = ()
    if data:
        # One for each source: it keeps what the recipe says of its split, labels and share.
        known = recipe.data if len(data) == len(recipe.data) else [Data(data=text) for text in data]
        pairs = zip(known, data, strict=True)
        changes["data"] = tuple(old.model_copy(update={"data": text}) for old, text in pairs)
    try:
        mixture = open_mixture(recipe.model_copy(update=changes), found.left_out)
    except EdgeError as error:
        raise UnavailableError(
            f"{run}: the export needs the pictures of the run, and cannot have them: {error}; say "
            "where those it was trained on are now with --data, those to measure on with --held-out"
        ) from None
    if mixture.digest() != found.data_digest:
        log.warning(
            "%s: its data is not what it was trained on: pictures came, went or changed. The "
            "temperature may be fitted on pictures that it knows",
            run,
        )
    return mixture


def _few(mixture: Mixture) -> Few:
    """Return two parts, equally large, of pictures that all differ; one alone is in both."""
    different: dict[bytes, tuple[Batch, str]] = {}
    for i in range(4 * REPRESENTATIVE):
        image, label = mixture.image(i, augmented=False)
        part = to_batch([image], mixture.recipe.input_size)
        different.setdefault(sha256(part.tobytes()).digest(), (part, label))
        if len(different) == REPRESENTATIVE:
            break
    images = np.concatenate([part for part, _ in different.values()])
    labels = [label for _, label in different.values()]
    half = len(images) // 2
    return Few(images[: max(1, half)], images[half:], tuple(labels[half:]))


def _test(
    mixture: Mixture, known: Sequence[Picture], texts: Sequence[str], only: str | None, few: Few
) -> TestSet:
    """Return the pictures to measure on: the named ones, else what the run kept back."""
    recipe = mixture.recipe
    pictures = _held_out(mixture, texts, only)
    column = {name: number for number, name in enumerate(recipe.classes)}
    if not pictures:
        log.warning(
            "nothing was kept back to measure on: parity is measured on pictures that the run has "
            "learnt from, its accuracy is not known; name others with --held-out"
        )
        names = [f"training picture {i}" for i in range(len(few.labels))]
        truth = np.array([column[label] for label in few.labels])
        asked = LabelledParts(names, truth, lambda: in_parts(few.judged_on, MAX_BATCH))
        return TestSet(asked, np.zeros(len(truth), np.bool_), np.arange(len(truth)))
    check_labels(pictures, recipe.classes)
    read = small_reader(recipe.input_size)

    def parts() -> Iterator[Batch]:
        for start in range(0, len(pictures), MAX_BATCH):
            crops = [read(picture) for picture in pictures[start : start + MAX_BATCH]]
            yield to_batch(crops, recipe.input_size)

    asked = LabelledParts(
        [f"{p.file}{'' if p.box is None else f' {p.box}'}" for p in pictures],
        true_columns(pictures, recipe.classes),
        parts,
    )
    return TestSet(asked, _unseen(known, pictures), groups_of(pictures))


def _held_out(mixture: Mixture, texts: Sequence[str], only: str | None) -> Sequence[Picture]:
    if texts:
        return usable(read_pictures(texts, only), mixture.recipe.unreadable)
    return mixture.held_out


def _unseen(known: Sequence[Picture], pictures: Sequence[Picture]) -> NDArray[np.bool_]:
    """Return which pictures (n,) share no group, photo or file with one that was learnt from."""
    unseen = ~seen_of(known, pictures)
    if not unseen.all():
        log.warning(
            "%d of the %d pictures to measure on show what was %s: they flatter its accuracy, and "
            "no temperature is fitted on them",
            np.count_nonzero(~unseen), len(unseen), LEARNT,
        )  # fmt: skip
    return unseen


# -- the figures ----------------------------------------------------------------------------------


def _compared(
    fp32: ort.InferenceSession, candidate: Candidate, test: TestSet, recipe: Recipe, threads: int
) -> Compared:
    int8 = open_session(candidate.model.SerializeToString(), threads)
    (expected, fp32_ms), (logits, int8_ms) = ask([fp32, int8], test.asked)
    truth = test.asked.truth
    unseen = logits[test.unseen], truth[test.unseen]
    temperature = recipe.temperature or _fitted(*unseen, recipe.balanced)
    groups = test.groups[test.unseen]
    report = parity(expected, logits, truth, temperature, recipe.classes) | {
        "trained_on": int(np.count_nonzero(~test.unseen)),
        "accuracy": accuracy(_crossed(*unseen, groups, recipe), unseen[1], groups, recipe.classes),
        "ms_fp32": round(fp32_ms, 3),
        "ms_int8": round(int8_ms, 3),
        "threads": threads,
        "worst": worst(expected, logits, test.asked, temperature, recipe.classes),
    }
    return Compared(candidate, temperature, report)


def _fitted(int8: NDArray[np.float32], truth: NDArray[np.int64], equally: bool) -> Temperature:
    """Return the temperature of logits on pictures that the run has not seen."""
    if len(np.unique(truth)) < 2:
        log.warning("no temperature is fitted: it needs unseen pictures of two classes at least")
        return Temperature(value=1, fitted_on="nothing: no unseen pictures of two classes")
    value, _ = fit_temperature(int8, truth, shift_of=None, equally=equally)
    return Temperature(value=value, fitted_on=on_held_out(len(truth)))


def _crossed(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    recipe: Recipe,
) -> NDArray[np.float64]:
    """Return the probabilities of unseen pictures, each with a temperature that was fitted without
    its group: the one of all of them flatters how sure it may be."""
    x = logits.astype(np.float64)
    if recipe.temperature:
        return tempered(x, recipe.temperature, recipe.classes)
    part = np.unique(groups, return_inverse=True)[1] % TEMPERED
    rows = np.zeros_like(x)
    for number in np.unique(part):
        own, others = part == number, part != number
        temperature = None
        if len(np.unique(truth[others])) > 1:
            value, _ = fit_temperature(logits[others], truth[others], None, recipe.balanced)
            temperature = Temperature(value=value, fitted_on="other groups")
        rows[own] = tempered(x[own], temperature, recipe.classes)
    return rows


def _better(before: Compared, after: Compared) -> Compared:
    """Return the one that is within the contract, and tell of both; of two that are, or are not,
    the one that stays closer to FP32 on the representative pictures.

    The contract is a promise about the pictures that are measured on: who gets a bundle that breaks
    it is not helped by one that was closer elsewhere. So those pictures choose, too, by a yes or no
    of each net and not by how well it does. That flatters a little: one of two nets keeps a promise
    by chance more often than the only one, so the report shows both answers. (Whether one is
    fine-tuned at all follows from the same answer, unless somebody says so.)
    """
    within = [each for each in (before, after) if each.report["within_contract"]]
    asked = within or [before, after]
    found = closest([each.candidate for each in asked])
    best = next(each for each in asked if each.candidate is found)
    told = ("top1_int8", "agreement", "kl", "within_contract")
    both = {"before": before.report, "after": after.report}
    qat = {name: {key: report[key] for key in told} for name, report in both.items()}
    return replace(best, report=best.report | {"qat": qat})


def _figures_of(tried: Sequence[Candidate]) -> dict[str, dict[str, float]]:
    return {each.rule: {"agreement": each.agreement, "kl": each.kl} for each in tried}


def _info(
    found: Run, mixture: Mixture, temperature: Temperature, report: dict[str, Any], words: str
) -> BundleInfo:
    """Return what a bundle says of itself; words: how it was quantized."""
    thresholds = thresholds_for(mixture.recipe, temperature, mixture.shares)
    parity = {key: report[key] for key in report if key not in TOLD_ELSEWHERE}
    return BundleInfo(
        format=thresholds.format,
        name=mixture.recipe.name,
        classes=found.recipe.classes,
        input_size=found.recipe.input_size,
        resize=RESIZE,
        thresholds=thresholds,
        temperature=temperature,
        recipe=found.recipe.model_dump(mode="json"),
        recipe_hash=found.recipe.digest(),
        data_digest=found.data_digest,
        accuracy=report["accuracy"] | {"parity": parity},
        quantization=words,
        sources=found.recipe.sources,
    )


def _words(target: Target, few: Few, best: Candidate, tried: Sequence[Candidate]) -> str:
    figures = "; ".join(f"{c.rule} {c.agreement:.4f}, {c.kl:.5f}" for c in tried)
    steps = f" for {STEPS} steps" if "fine-tuned" in best.rule else ""
    met = first = ""
    if len(tried) > len(RULES):
        met = ", which the fine-tuning had met,"
        first = " (whether fine-tuned or not, by the contract first)"
    return (
        f"{target.words}; {best.rule}{steps}, over {len(few.measured_on)} representative pictures, "
        f"chosen on {len(few.judged_on)} others{met} by agreement with FP32 and KL{first}: "
        f"{figures}"
    )


def _missed(report: dict[str, Any]) -> str:
    more = "" if "qat" in report else f"; --qat {Qat.ON} fine-tunes the net for it"
    return (
        f"quantization costs more than it may: top-1 {report['top1_fp32']:.4f} became "
        f"{report['top1_int8']:.4f} (at most {MOST_LOST} less), agreement "
        f"{report['agreement']:.4f} (at least {LEAST_AGREEMENT}), of {report['n']} pictures{more}. "
        "The bundle was written all the same"
    )
