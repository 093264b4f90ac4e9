"""Accuracy against time: what a right answer costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.types import Image
from trainer.answering import Model, small_reader
from trainer.report.answers import Answers, Contender, same_pictures
from trainer.report.page import Figure, count, table
from trainer.report.svg import Plot, axis, log_axis, percent, tick_percent
from trainer.statistics import paired_difference

BATCH, ROUNDS = 16, 7


@dataclass(frozen=True)
class Timing:
    """Milliseconds a picture: the median of the rounds, the fastest and the slowest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    name: str
    answers: Answers
    timing: Timing
    runs_as: str


def timed(models: Sequence[Model], crops: Sequence[Image]) -> list[Timing]:
    """Return how long each model takes for the crops, by turns, so that what else the machine does
    hits all alike. The first round, in which memory is set up, is not counted."""
    found = np.empty((ROUNDS + 1, len(models)))
    for row in found:
        for column, model in enumerate(models):
            began_s = time.perf_counter()
            model.probabilities(crops)
            row[column] = 1e3 * (time.perf_counter() - began_s) / len(crops)
    counted = found[1:]
    return [Timing(*map(float, each)) for each in zip(
        np.median(counted, axis=0), counted.min(axis=0), counted.max(axis=0), strict=True
    )]  # fmt: skip


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return those that no other is both as fast and as right as, the fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.timing.median, -one.answers.top1)):
        if not front or point.answers.top1 > front[-1].answers.top1:
            front.append(point)
    return front


def comparable(points: Sequence[Point]) -> list[Point]:
    """Return those that have learnt none of what they were asked, or all if none is known to be so:
    who has seen the answers is no measure for who has not."""
    return [point for point in points if point.answers.learnt == 0] or list(points)


def accuracy_and_time(
    contenders: Sequence[Contender], subject: Answers, threads: int
) -> list[Figure]:
    """Return one figure of all that were asked the subject's pictures; none where none can be
    timed."""
    alike = [
        (one, one.answers)
        for one in contenders
        if one.answers is not None and same_pictures(one.answers, subject)
    ]
    if not alike:
        return []
    side = max(one.model.input_size for one, _ in alike)
    read = small_reader(side)
    crops = [read(picture) for picture in subject.pictures[:BATCH]]
    timings = timed([one.model for one, _ in alike], crops)
    points = [
        Point(one.name, answers, timing, one.runs_as)
        for (one, answers), timing in zip(alike, timings, strict=True)
    ]
    fair = comparable(points)
    front = pareto(fair)
    left_out = len(contenders) - len(points)
    missing = f" {left_out} asked about other pictures or none." if left_out else ""
    rows = [
        (p.name, percent(p.answers.top1), learnt_words(p.answers), f"{p.timing.median:.2f}",
         f"{p.timing.low:.2f} – {p.timing.high:.2f}", p.runs_as)
        for p in sorted(points, key=lambda one: one.timing.median)
    ]  # fmt: skip
    numbers = table(
        ("model", "right", "had learnt", "ms a picture", "fastest – slowest", "runs as"), rows
    )
    title = _title(fair, front)
    drawn = _plot(points, front, subject.name, title)
    return [
        Figure(
            title,
            f'<div class="row">{drawn}{numbers}</div>',
            f"All on the same {count(len(subject.truth), 'picture')}; right: top-1; had learnt: "
            "how many of them show what the model, or one that it came from, had learnt."
            f"{_not_compared(points, fair)} Milliseconds a picture, resizing "
            f"from {side} px included, in batches of {len(crops)} on {count(threads, 'thread')} "
            f"of this machine, taken in turns: median of "
            f"{ROUNDS} rounds, lines from fastest to slowest; upright lines are 95 % intervals of "
            "accuracy, every model by itself; differences in accuracy are judged in pairs, picture "
            f"by picture. The stepped line is the Pareto front.{missing}",
            wide=True,
        )
    ]


def learnt_words(answers: Answers) -> str:
    """Return how many of the pictures that it was asked about show what it had learnt."""
    return "not known" if answers.learnt is None else str(answers.learnt)


def _not_compared(points: Sequence[Point], fair: Sequence[Point]) -> str:
    names = [point.name for point in points if point not in fair]
    if not names:
        return ""
    return f" Drawn but not compared, as not known to have learnt none of them: {', '.join(names)}."


def _title(fair: Sequence[Point], front: Sequence[Point]) -> str:
    """Return what the one that is most often right has over the fastest, or over the next one."""
    best = front[-1]
    others = [point for point in fair if point is not best]
    if not others:
        return (
            f"{best.name} takes {best.timing.median:.2g} ms a picture and names "
            f"{percent(best.answers.top1)} right"
        )
    fastest = front[0] if front[0] is not best else max(others, key=lambda one: one.answers.top1)
    said = compared(best, fastest)
    if best.answers.learnt != 0:
        return f"{said}; each has learnt some of these pictures, or may have"
    return said


def compared(best: Point, other: Point) -> str:
    """Return in words what one model has over another one, chance set aside."""
    points = None
    if clearly_differ(best.answers, other.answers):
        points = 100 * (best.answers.top1 - other.answers.top1)
    alike = best.timing.low <= other.timing.high and other.timing.low <= best.timing.high
    times = None if alike else best.timing.median / other.timing.median
    return said_of_two(best.name, other.name, points, times)


def said_of_two(best: str, other: str, points: float | None, times: float | None) -> str:
    """Return in words what the one that is more often right has over another one.

    points: of accuracy, None where that may be chance; times: as many milliseconds, None where they
    are about as fast.
    """
    faster = 1.0 if times is None else max(times, 1 / times)
    if f"{faster:.1f}" == "1.0":
        times = None
    if points is None:
        said = f"There is no clear difference in accuracy between {best} and {other}"
        if times is None:
            return f"{said}, and they are about as fast"
        return f"{said}; {best if times < 1 else other} is {faster:.1f} times as fast"
    gain = f"{points:.1f}" if points >= 0.05 else f"{points:.1g}"
    said = f"{best} is right {gain} points more often than {other} and"
    if times is None:
        return f"{said} about as fast"
    if times < 1:
        return f"{said} {faster:.1f} times as fast"
    return f"{said} takes {faster:.1f} times as long"


def clearly_differ(a: Answers, b: Answers) -> bool:
    """Return whether the interval of how much more often a is right than b, asked the same,
    leaves out 0. Pictures of a single group tell nothing."""
    if len(np.unique(a.groups)) < 2:
        return False
    folds = np.zeros((1, len(a.truth)), np.int64)
    low, high = paired_difference(a.right[None], b.right[None], folds, a.groups)["interval"]
    return bool(low > 0 or high < 0)


def _plot(points: Sequence[Point], front: Sequence[Point], subject: str, title: str) -> str:
    spans = [(p, p.answers.top1_interval) for p in points]
    plot = Plot(
        log_axis("milliseconds a picture",
                 [v for p in points for v in (p.timing.low, p.timing.high)]),
        axis("right", [v for _, span in spans for v in span], tick_percent, most=1),
        high=300,
    )  # fmt: skip
    xs: list[float] = []
    ys: list[float] = []
    for point in front:  # from each model on, its accuracy is to be had until a better one is
        ys += [ys[-1] if ys else point.answers.top1, point.answers.top1]
        xs += [point.timing.median] * 2
    plot.line([*xs, plot.x.high], [*ys, ys[-1]], "guide")
    for point, span in spans:
        x, y = point.timing.median, point.answers.top1
        plot.line([x, x], span, "span")
        plot.line([point.timing.low, point.timing.high], [y, y], "span")
    named = []
    for point in points:
        kind = "main" if point.name == subject else "other"
        x, y = point.timing.median, point.answers.top1
        plot.dot(x, y, kind, f"{point.name}: {x:.2f} ms, {y:.4f}")
        named.append((point.name, kind, x, y))
    plot.labels(named)
    return plot.svg("accuracy against milliseconds a picture", title)
