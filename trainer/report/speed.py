"""Accuracy against time: what a right answer costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.types import Image
from trainer.evaluate import Model, small_reader
from trainer.report.answers import Answers, Contender, same_pictures
from trainer.report.page import Figure, count, table
from trainer.report.svg import Plot, axis, log_axis, percent

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
    front = pareto(points)
    left_out = len(contenders) - len(points)
    missing = f" {left_out} asked about other pictures or none." if left_out else ""
    rows = [
        (p.name, percent(p.answers.top1), f"{p.timing.median:.2f}",
         f"{p.timing.low:.2f} – {p.timing.high:.2f}", p.runs_as)
        for p in sorted(points, key=lambda one: one.timing.median)
    ]  # fmt: skip
    numbers = table(("model", "right", "ms a picture", "fastest – slowest", "runs as"), rows)
    return [
        Figure(
            _title(points, front),
            f'<div class="row">{_plot(points, front, subject.name)}{numbers}</div>',
            f"All on the same {len(subject.truth)} pictures. Milliseconds a picture, resizing "
            f"from {side} px included, in batches of {len(crops)} on {count(threads, 'thread')} "
            f"of this machine, taken in turns: median of "
            f"{ROUNDS} rounds, lines from fastest to slowest; upright lines are 95 % intervals of "
            f"accuracy. The stepped line is the Pareto front.{missing}",
            wide=True,
        )
    ]


def _title(points: Sequence[Point], front: Sequence[Point]) -> str:
    fastest, best = front[0], front[-1]
    if len(points) == 1:
        return (
            f"A picture takes {best.timing.median:.2g} ms, and {percent(best.answers.top1)} are "
            "named right"
        )
    if fastest is best:
        return (
            f"{best.name} is both the fastest, {best.timing.median:.2g} ms a picture, and most "
            f"often right, {percent(best.answers.top1)}"
        )
    times = best.timing.median / fastest.timing.median
    points_more = 100 * (best.answers.top1 - fastest.answers.top1)
    return (
        f"{best.name} is right {points_more:.1f} points more often than {fastest.name} and takes "
        f"{times:.1f} times as long"
    )


def _plot(points: Sequence[Point], front: Sequence[Point], subject: str) -> str:
    spans = [(p, p.answers.top1_interval) for p in points]
    plot = Plot(
        log_axis("milliseconds a picture",
                 [v for p in points for v in (p.timing.low, p.timing.high)]),
        axis("right", [v for _, span in spans for v in span], percent, most=1),
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
    return plot.svg("accuracy against milliseconds a picture")
