"""How training went: loss, accuracy on held-out pictures, learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trainer.checkpoint import CurveRow
from trainer.report.answers import Contender
from trainer.report.page import Figure
from trainer.report.svg import (
    Axis,
    Plot,
    axis,
    dashed,
    percent,
    shortened,
    tick_percent,
    width_of,
)

LOSS = ("label_smoothing", "mixup", "cutmix", "distill")
"""Fields of a recipe that change what its loss means."""
NAMED = 6
"""More lines than this are not told apart; the others stay without a name."""

Value = Callable[[CurveRow], float | None]


def training_curves(runs: Sequence[Contender], subject: str) -> list[Figure]:
    """Return one figure with three plots, every run a line in each, but in that of the loss only
    those whose loss means the same; none without a run.

    subject: what the page talks about; where that is no run, the first one stands out.
    """
    runs = [run for run in runs if run.curve]
    if not runs:
        return []
    own = _first(runs, subject)
    subject = own.name
    others = [run.name for run in runs if run.name != subject]
    alike = [run for run in runs if _loss_of(run) == _loss_of(own)]
    kinds = {name: dashed(number) for number, name in enumerate(others)} | {subject: "main"}
    plots = [
        _plot(alike, kinds, "loss", lambda row: row.loss, lambda v: axis("training loss", v,
              zero=True)),
        _plot(runs, kinds, "accuracy on held-out pictures", lambda row: row.held_out,
              lambda v: axis("right on held-out pictures", v, tick_percent, most=1)),
        _plot(runs, kinds, "learning rate", lambda row: row.lr, lambda v: axis("learning rate",
              v, zero=True)),
    ]  # fmt: skip
    unnamed = f" Named are the first {NAMED} of {len(runs)} runs." if len(runs) > NAMED else ""
    other_losses = [run.name for run in runs if run not in alike]
    if other_losses:
        unnamed = (
            f" Of another loss, and not drawn in the first: {', '.join(other_losses)}.{unnamed}"
        )
    caption = (
        "A point an epoch; loss is the mean over its steps, with label smoothing, mixing and "
        "distillation where the recipe has them. Held-out accuracy is that of the averaged weights "
        f"where the recipe has ema.{_other_pictures(runs, subject)}{unnamed}"
    )
    body = f'<div class="row">{"".join(plots)}</div>'
    return [Figure(_title(own), body, caption, wide=True)]


def _loss_of(run: Contender) -> object:
    return run.classes, [run.recipe.get(field) for field in LOSS]


def _first(runs: Sequence[Contender], subject: str) -> Contender:
    """Return the run that the page talks about, else the first."""
    return next((run for run in runs if run.name == subject), runs[0])


def _other_pictures(runs: Sequence[Contender], subject: str) -> str:
    """Return which runs were measured on other pictures than the one that is talked about."""
    measured = [run for run in runs if any(row.held_out is not None for row in run.curve)]
    if len(measured) < 2:
        return ""
    own = _first(measured, subject)
    others = [run.name for run in measured if run is not own
              and (run.measured_on != own.measured_on or not run.measured_on)]  # fmt: skip
    if not others:
        return ""
    return f" Other held-out pictures than those of {own.name}, or not known: {', '.join(others)}."


def _title(run: Contender) -> str:
    rows = [row for row in run.curve if row.held_out is not None]
    if not rows:
        first, last = run.curve[0].loss, run.curve[-1].loss
        return f"The loss of {run.name} went from {first:.2f} to {last:.2f}"
    end = rows[-1].held_out or 0.0
    best = max(rows, key=lambda row: row.held_out or 0.0)
    text = f"{run.name} ends at {percent(end)} right on held-out pictures"
    if (best.held_out or 0.0) - end < 0.005:
        return f"{text}, which is as good as it ever was"
    return f"{text}; it was better, {percent(best.held_out or 0.0)}, at step {best.step}"


def _plot(
    runs: Sequence[Contender], kinds: Mapping[str, str], alt: str, value: Value,
    y_axis: Callable[[list[float]], Axis],
) -> str:  # fmt: skip
    """Return the drawing, each run's line of its kind; empty where no run knows the value."""
    lines = [
        (run.name, [(row.step, known) for row in run.curve if (known := value(row)) is not None])
        for run in runs
    ]
    lines = [(name, points) for name, points in lines if points]
    if not lines:
        return ""
    named = lines[:NAMED] if len(lines) > 1 else []
    room = max((width_of(shortened(name)) for name, _ in named), default=0) + 20
    steps = [step for _, points in lines for step, _ in points]
    plot = Plot(
        axis("step", steps, "{:.10g}".format, zero=True),
        y_axis([known for _, points in lines for _, known in points]),
        room=room,
    )
    for name, points in sorted(lines, key=lambda line: kinds[line[0]] == "main"):
        plot.line([x for x, _ in points], [y for _, y in points], kinds[name])
        if len(points) == 1:
            plot.dot(*points[0], kinds[name], name)
    plot.ends([(name, kinds[name], *points[-1]) for name, points in named])
    return plot.svg(f"{alt} over the steps of training")
