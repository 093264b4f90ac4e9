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
from trainer.data import coarse_classes
from trainer.files import make_folder, replace_file
from trainer.lineage import LEARNT
from trainer.picture import Picture
from trainer.report.answers import INT8, Answers, Contender, open_contenders, same_pictures
from trainer.report.certainty import alerts, reliability, risk_over_coverage
from trainer.report.curves import training_curves
from trainer.report.facts import circumstances, recipes, this_machine
from trainer.report.mistakes import confusion, per_class, worst
from trainer.report.page import Figure, Section, count, page
from trainer.report.speed import accuracy_and_time, learnt_words
from trainer.report.studies import (
    OUT_OF_FOLD,
    Study,
    open_study,
    out_of_fold,
    study_figures,
)
from trainer.report.svg import capped, percent
from trainer.report.thumbs import may_show

MOST_OTHERS = 5
"""Curves beside the one that is talked about."""


def write_report(
    out: Path,
    runs: Sequence[Path],
    *,
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
    if data and not (runs or bundles):
        raise UsageError("trainer report: --data: name the run or the --bundle to ask about it")
    make_folder(out.parent)
    opened = [open_study(path) for path in _once(studies)]
    contenders = open_contenders(_once(runs), _once(bundles), data, threads)
    answered = [one.answers for one in contenders if one.answers is not None]
    answered += [found for study in opened if (found := out_of_fold(study)) is not None]
    subject = answered[0] if answered else None
    name = subject.name if subject else contenders[0].name if contenders else opened[0].title
    others = [a for a in answered[1:] if subject and same_pictures(a, subject)][:MOST_OTHERS]
    sections = [
        *([] if subject is None else _of_subject(subject, others, pictures)),
        *([] if subject is None else _of_bundles(contenders, subject)),
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
        f"Report: {name}", _lead(subject, opened if not contenders else []), _facts(subject),
        sections, _made(threads if contenders else None), _notes(subject, others, contenders),
    )  # fmt: skip
    # A name may hold bytes that were no text; they are shown as question marks.
    replace_file(out, lambda path: path.write_bytes(text.encode("utf-8", "replace")))


def _of_subject(subject: Answers, others: Sequence[Answers], pictures: bool) -> list[Section]:
    show: Callable[[Picture], bool] = may_show if pictures else lambda picture: False
    coarse_of = coarse_classes(subject.pictures)
    return [
        Section(
            "sure",
            "How far it can be trusted",
            [*_alerts(subject), reliability(subject), risk_over_coverage(subject, others)],
        ),
        Section(
            "mistakes",
            "What it gets wrong",
            [confusion(subject, coarse_of, show), *worst(subject, show), per_class(subject)],
        ),
    ]


def _alerts(answers: Answers) -> list[Figure]:
    found = alerts(answers)
    return [] if found is None else [found]


def _of_bundles(contenders: Sequence[Contender], subject: Answers) -> list[Section]:
    """Return the same of bundles that were asked the subject's pictures: they are what alerts."""
    asked = [one.answers for one in contenders if one.runs_as == INT8 and one.answers is not None]
    return [
        Section(
            f"bundle-{number}",
            f"In the shop: {answers.name}",
            [*_alerts(answers), reliability(answers)],
            _lead(answers, ()),
        )
        for number, answers in enumerate(asked, start=1)
        if answers is not subject and same_pictures(answers, subject)
    ]


def _once(paths: Sequence[Path]) -> list[Path]:
    """Return the paths without those that lead where an earlier one does."""
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.resolve(), path)
    return list(first.values())


def _of_study(number: int, study: Study) -> Section:
    return Section(f"study-{number}", study.title, study_figures(study), study.note)


def _lead(subject: Answers | None, studies: Sequence[Study]) -> str:
    """Return what a hurried reader needs. studies: where there is nothing else."""
    found = [(study.title, study_figures(study)[0].title) for study in studies if study.measured]
    if len(found) > 1:
        return " ".join(f"{title}: {finding}." for title, finding in found)
    if subject is None and studies:
        return f"{found[0][1]}." if found else ""  # its section says why there is none
    if subject is None:
        return "No picture was asked about; --data names some."
    n, right = len(subject.truth), int(subject.right.sum())
    low, high = subject.top1_interval
    pictures = count(n, "picture")
    said_of = f"Of {pictures} {subject.of}, {subject.name} names {right} right"
    if subject.of == OUT_OF_FOLD:
        said_of = (
            f"Of {pictures} {OUT_OF_FOLD}, {right} {'is' if right == 1 else 'are'} named right"
        )
    return (
        f"{said_of}: {percent(right / n)}; "
        f"with 95 % confidence between {percent(low)} and {percent(high)}."
    )


def _notes(
    subject: Answers | None, others: Sequence[Answers], contenders: Sequence[Contender]
) -> list[str]:
    """Return what flatters whom, and what could not be looked at."""
    flattered = [] if subject is None else [_flattered(subject)]
    flattered += [
        f"{other.name} has learnt from {learnt_words(other)} of them."
        if other.learnt is not None
        else f"Whether {other.name} has learnt from them is not known."
        for other in others
        if other.learnt != 0
    ]
    silent = [f"{one.name} was not asked: {one.why}." for one in contenders if one.why]
    silent += [f"{one.name} was stopped at {one.stopped}." for one in contenders if one.stopped]
    return [text for text in (" ".join(filter(None, flattered)), " ".join(silent)) if text]


def _flattered(answers: Answers) -> str:
    if answers.learnt is None:
        return "Whether it has learnt from them is not known."
    if not answers.learnt:
        return ""
    shows = "shows" if answers.learnt == 1 else "show"
    return f"{answers.learnt} of them {shows} what was {LEARNT}, which flatters it."


def _facts(subject: Answers | None) -> list[tuple[str, str]]:
    """Return the big numbers, in plain words; captions have the field's own."""
    if subject is None:
        return []
    found = subject.figures
    facts = [("named right", percent(found["top1"])), ("pictures", str(found["n"]))]
    if found["auroc"] is not None:
        facts.append(("how well it tells empty apart, 1 is perfect", capped(found["auroc"], 3)))
    if len(subject.classes) > 5:
        facts.append(("right among its five likeliest", percent(found["top5"])))
    return [
        *facts,
        ("how far off its sureness is, 0 is perfect", f"{found['ece']:.3f}"),
        ("classes", str(len(subject.classes))),
    ]


def _made(threads: int | None) -> str:
    """Return when and by what; threads: None where nothing was measured for this page."""
    now = datetime.datetime.now(datetime.UTC)
    said = f"Written {now:%Y-%m-%d %H:%M} UTC by shelf-edge {__version__}"
    if threads is None:
        return f"{said}."
    return f"{said}; measured with {count(threads, 'thread')} on {this_machine()}."
