"""How training went: loss, accuracy on held-out pictures, learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trainer.report.answers import Contender
from trainer.report.page import Figure
from trainer.report.svg import Axis, Plot, axis, percent, shortened, width_of
from trainer.runs import CurveRow

NAMED = 6
"""More lines than this are not told apart; the others stay without a name."""

Value = Callable[[CurveRow], float | None]


def training_curves(runs: Sequence[Contender], subject: str) -> list[Figure]:
    """Return one figure with three plots, every run a line in each; none without a run.

    subject: the run that the page talks about.
    """
    runs = [run for run in runs if run.curve]
    if not runs:
        return []
    plots = [
        _plot(runs, subject, "loss", lambda row: row.loss, lambda v: axis("training loss", v,
              zero=True)),
        _plot(runs, subject, "accuracy on held-out pictures", lambda row: row.held_out,
              lambda v: axis("right on held-out pictures", v, percent, most=1)),
        _plot(runs, subject, "learning rate", lambda row: row.lr, lambda v: axis("learning rate",
              v, zero=True)),
    ]  # fmt: skip
    unnamed = f" Named are the first {NAMED} of {len(runs)} runs." if len(runs) > NAMED else ""
    caption = (
        "A point an epoch; loss is the mean over its steps, with label smoothing, mixing and "
        "distillation where the recipe has them. Held-out accuracy is that of the averaged weights "
        f"where the recipe has ema.{unnamed}"
    )
    body = f'<div class="row">{"".join(plots)}</div>'
    return [Figure(_title(runs), body, caption, wide=True)]


def _title(runs: Sequence[Contender]) -> str:
    seen = [(run, [row for row in run.curve if row.held_out is not None]) for run in runs]
    ends = [(rows[-1].held_out or 0.0, run, rows) for run, rows in seen if rows]
    if not ends:
        first, last = runs[0].curve[0].loss, runs[0].curve[-1].loss
        return f"The loss of {runs[0].name} went from {first:.2f} to {last:.2f}"
    end, run, rows = max(ends, key=lambda one: one[0])
    best = max(rows, key=lambda row: row.held_out or 0.0)
    text = f"{run.name} ends at {percent(end)} right on held-out pictures"
    if (best.held_out or 0.0) - end < 0.005:
        return f"{text}, which is as good as it ever was"
    return f"{text}; it was better, {percent(best.held_out or 0.0)}, at step {best.step}"


def _plot(
    runs: Sequence[Contender], subject: str, alt: str, value: Value,
    y_axis: Callable[[list[float]], Axis],
) -> str:  # fmt: skip
    """Return the drawing; empty where no run knows the value."""
    lines = [
        (run.name, [(row.step, known) for row in run.curve if (known := value(row)) is not None])
        for run in runs
    ]
    lines = [(name, points) for name, points in lines if points]
    if not lines:
        return ""
    named = lines[:NAMED] if len(lines) > 1 else []
    room = max((width_of(shortened(name)) for name, _ in named), default=0) + 14
    steps = [step for _, points in lines for step, _ in points]
    plot = Plot(
        axis("step", steps, "{:.0f}".format, zero=True),
        y_axis([known for _, points in lines for _, known in points]),
        room=room,
    )
    for name, points in sorted(lines, key=lambda line: line[0] == subject):
        plot.line([x for x, _ in points], [y for _, y in points], _kind(name, subject))
        if len(points) == 1:
            plot.dot(*points[0], _kind(name, subject), name)
    plot.ends([(name, _kind(name, subject), *points[-1]) for name, points in named])
    return plot.svg(f"{alt} over the steps of training")


def _kind(name: str, subject: str) -> str:
    return "main" if name == subject else "other"
