"""The report: one HTML file in which somebody who would rather look than read sees what was learnt.

    answers  who is asked, and what they say     page, svg, thumbs  how it is shown
    mistakes, certainty, speed, curves, studies, facts              one kind of figure each

Every figure's title is a finding in plain words, made from its numbers; its caption says how it was
measured. The file asks nobody for anything, and holds no picture that must not be shown.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

from edge import __version__
from edge.errors import UsageError
from trainer.data import Picture
from trainer.evaluate import coarse_classes
from trainer.report.answers import Answers, Contender, open_contenders, same_pictures
from trainer.report.certainty import alerts, reliability, risk_over_coverage
from trainer.report.curves import training_curves
from trainer.report.facts import circumstances, recipes, this_machine
from trainer.report.mistakes import confusion, per_class, worst
from trainer.report.page import Figure, Section, count, page
from trainer.report.speed import accuracy_and_time
from trainer.report.studies import Study, open_study, out_of_fold, study_figures
from trainer.report.svg import percent
from trainer.report.thumbs import may_show
from trainer.runs import LEARNT, make_folder, replace_file

MOST_OTHERS = 5
"""Curves beside the one that is talked about."""


def write_report(
    out: Path,
    runs: Sequence[Path],
    data: Sequence[str] = (),
    bundles: Sequence[Path] = (),
    studies: Sequence[Path] = (),
    threads: int = 1,
    pictures: bool = True,
) -> None:
    """Write the report of runs, bundles and studies to out.

    What is said in detail is said of the first run or bundle that has pictures to be asked about,
    else of the first study's out-of-fold answers. data: pictures, instead of each run's held-out
    ones; pictures False: figures only. Raises UsageError where nothing is named, and what opening
    a run, a bundle, a study or the data raises.
    """
    if not (runs or bundles or studies):
        raise UsageError("trainer report: name a run, or a --bundle or --study")
    make_folder(out.parent)
    opened = [open_study(path) for path in studies]
    contenders = open_contenders(runs, bundles, data, threads)
    answered = [one.answers for one in contenders if one.answers is not None]
    answered += [found for study in opened if (found := out_of_fold(study)) is not None]
    subject = answered[0] if answered else None
    name = subject.name if subject else contenders[0].name if contenders else opened[0].title
    others = [a for a in answered[1:] if subject and same_pictures(a, subject)][:MOST_OTHERS]
    sections = [
        *([] if subject is None else _of_subject(subject, others, pictures)),
        Section(
            "speed",
            "Accuracy and speed",
            [] if subject is None else accuracy_and_time(contenders, subject, threads),
        ),
        Section("training", "How it learned", training_curves(contenders, name)),
        *(_of_study(number, study) for number, study in enumerate(opened, start=1)),
        Section("made", "How it was made", [*recipes(contenders), *circumstances(contenders)]),
    ]
    text = page(
        f"Report: {name}", _lead(subject, contenders), _facts(subject), sections, _made(threads)
    )
    # A name may hold bytes that were no text; they are shown as question marks.
    replace_file(out, lambda path: path.write_bytes(text.encode("utf-8", "replace")))


def _of_subject(subject: Answers, others: Sequence[Answers], pictures: bool) -> list[Section]:
    show: Callable[[Picture], bool] = may_show if pictures else lambda picture: False
    coarse_of = coarse_classes(subject.pictures)
    return [
        Section(
            "sure",
            "How far it can be trusted",
            [alerts(subject), reliability(subject), risk_over_coverage(subject, others)],
        ),
        Section(
            "mistakes",
            "What it gets wrong",
            [confusion(subject, coarse_of, show), *worst(subject, show), per_class(subject)],
        ),
    ]


def _of_study(number: int, study: Study) -> Section:
    figures: list[Figure] = study_figures(study)
    return Section(f"study-{number}", study.title, figures, study.note)


def _lead(subject: Answers | None, contenders: Sequence[Contender]) -> str:
    """Return what a hurried reader needs, and what could not be looked at."""
    silent = [f"{one.name} was not asked: {one.why}." for one in contenders if one.why]
    silent += [f"{one.name} was stopped at {one.stopped}." for one in contenders if one.stopped]
    if subject is None:
        return " ".join(["No picture was asked about; --data names some.", *silent])
    n, right = len(subject.truth), int(subject.right.sum())
    low, high = subject.top1_interval
    said = (
        f"Of {n} pictures {subject.of} {subject.name} names {right} right: {percent(right / n)}; "
        f"with 95 % confidence between {percent(low)} and {percent(high)}."
    )
    if subject.learnt is None:
        silent.insert(0, "Whether it has learnt from them is not known.")
    elif subject.learnt:
        silent.insert(0, f"{subject.learnt} of them show what was {LEARNT}, which flatters it.")
    return " ".join([said, *silent])


def _facts(subject: Answers | None) -> list[tuple[str, str]]:
    if subject is None:
        return []
    found = subject.figures
    facts = [("right (top-1)", percent(found["top1"])), ("pictures", str(found["n"]))]
    if found["auroc"] is not None:
        facts.append(("AUROC of empty", f"{found['auroc']:.3f}"))
    if len(subject.classes) > 5:
        facts.append(("right among five (top-5)", percent(found["top5"])))
    return [
        *facts,
        ("calibration error (ECE)", f"{found['ece']:.3f}"),
        ("classes", str(len(subject.classes))),
    ]


def _made(threads: int) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return (
        f"Written {now:%Y-%m-%d %H:%M} UTC by shelf-edge {__version__}; measured with "
        f"{count(threads, 'thread')} on {this_machine()}."
    )
