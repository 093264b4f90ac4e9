"""Whether probabilities mean what they say, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from edge.classifier import EMPTY
from trainer.figures import by_class, calibration_bins, expected_calibration_error
from trainer.report.answers import Answers, Floats
from trainer.report.page import Figure, count, details, table
from trainer.report.svg import (
    Axis,
    Plot,
    axis,
    capped,
    dashed,
    percent,
    shortened,
    tick_percent,
    width_of,
)
from trainer.statistics import wilson
from trainer.thresholds import aurc, risk_coverage

TENTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BINS = 15
IN_A_BIN = 10
"""So many pictures a bin has at least: of fewer, how many are right is mostly chance."""
SCARCE = 0.1
"""Of a smaller share of the answers a single mistake says nothing."""
POINTS = 400
"""More of a curve nobody sees."""


def of_100(hits: int, n: int, what: str, verb: str, scaled: bool = True) -> str:
    """Return "Of 100 alerts 97 are right"; of fewer cases, unscaled, or where 100 would have parts
    of one, how many there were."""
    if n < 100 or not scaled or "." in percent(hits / n):
        what = what.removesuffix("s") if n == 1 else what
        verb = verb.replace("are ", "is ", 1) if hits == 1 else verb
        return f"Of {n} {what} {hits} {verb}"
    return f"Of 100 {what} {percent(hits / n).removesuffix(' %')} {verb}"


def reliability(answers: Answers) -> Figure:
    """Return how often it is right against how sure it is, in bins of equally many pictures."""
    n = len(answers.right)
    bins = calibration_bins(answers.confidence, answers.right, min(BINS, max(1, n // IN_A_BIN)))
    low = min(0.5, *(min(one.confidence, one.accuracy) for one in bins))
    lowest = 0.0 if low < 0.5 else 0.5
    ticks = TENTHS if lowest == 0 else (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    plot = Plot(
        Axis("how sure it is", lowest, 1, ticks, tick_percent),
        Axis("how often it is right", 0, 1, TENTHS, tick_percent),
    )
    counts, edges = np.histogram(answers.confidence, 20, (lowest, 1))
    for how_often, left, right in zip(counts, edges, edges[1:], strict=False):
        share = how_often / counts.max()
        plot.bar((left + right) / 2, 0, 0.18 * share, 0.9 * (right - left), "faint")
    plot.line([lowest, 1], [lowest, 1], "guide")
    for one in bins:
        span = wilson(one.accuracy, one.count)
        plot.line([one.confidence] * 2, span, "span")
    for one in bins:
        about = f"{count(one.count, 'picture')}: {capped(one.confidence, 3)} sure, "
        about += f"{capped(one.accuracy, 3)} right"
        plot.dot(one.confidence, one.accuracy, "main", about)
    ece = expected_calibration_error(answers.confidence, answers.right, BINS)
    numbers = table(
        ("bin", "pictures", "how sure", "how often right"),
        [(i + 1, one.count, capped(one.confidence, 3), capped(one.accuracy, 3))
         for i, one in enumerate(bins)],
        numbers=True,
    )  # fmt: skip
    title = _sureness(answers)
    fitted = f" Its temperature was fitted on {answers.fitted}." if answers.fitted else ""
    if answers.fitted_here:
        fitted = " Its temperature was fitted on these same pictures: elsewhere it may be less apt."
    return Figure(
        title,
        plot.svg("reliability diagram: accuracy against confidence", title)
        + details("The numbers", numbers),
        f"Reliability diagram: on the dashed line it is as sure as it is right. "
        f"{count(len(bins), 'bin')} of equally many of {count(n, 'picture')} by the probability of "
        "the class it says, each with its 95 % interval (Wilson, every picture by itself). "
        f"Expected calibration error (ECE, {BINS} bins at most): ECE {ece:.3f}. Grey bars: how "
        f"many pictures at each sureness.{fitted}",
    )


def _sureness(answers: Answers) -> str:
    """Return whether it is as sure as it is right, and by what that is known."""
    sure, right = float(answers.confidence.mean()), answers.top1
    low, high = answers.top1_interval
    say = percent
    if percent(sure) == percent(right) and sure != right:
        say = _to_a_tenth
    numbers = f"{say(sure)} on average, {say(right)} right"
    if low <= sure <= high:
        known = f"As far as {count(len(answers.right), 'picture')} can tell"
        fitted = "; its temperature was fitted to be so here" if answers.fitted_here else ""
        return f"{known}, on average it is as sure as it should be: {numbers}{fitted}"
    fitted = ", though its temperature was fitted here" if answers.fitted_here else ""
    return f"It is {'surer' if sure > right else 'less sure'} than it should be: {numbers}{fitted}"


def _to_a_tenth(share: float) -> str:
    return f"{100 * share:.1f} %"


def risk_over_coverage(answers: Answers, others: Sequence[Answers] = ()) -> Figure:
    """Return the error among the surest answers, of the model and, in grey, of others."""
    shown = [*others, answers]
    curves = [risk_coverage(each.confidence, each.right) for each in shown]
    named = shown if others else []
    room = max((width_of(shortened(each.name)) for each in named), default=0) + 20
    plot = Plot(
        Axis("answered, the surest first", 0, 1, TENTHS, tick_percent),
        axis("wrong among them", [r[c >= SCARCE].max() for c, r in curves], tick_percent,
             zero=True, most=1),
        room=room,
    )  # fmt: skip
    kinds = [*map(dashed, range(len(others))), "main"]
    coverage, risk = curves[-1]
    surest = int(np.ceil(0.8 * len(risk))) - 1  # of few pictures it is more than 80 %
    answered, at_80, at_all = float(coverage[surest]), float(risk[surest]), float(risk[-1])
    for kind, (shares, errors) in zip(kinds, curves, strict=True):
        enough = shares >= SCARCE
        plot.line(*_thinned(shares[enough], errors[enough], answered), kind)
    for x, y in ((answered, at_80), (1.0, at_all)):
        plot.dot(x, y, "main", f"{percent(x)} answered: {y:.4f} wrong")
    plot.ends([(e.name, kind, 1, float(r[-1]))
               for e, kind, (_, r) in zip(shown, kinds, curves, strict=True) if named])  # fmt: skip
    plot.labels([(percent(at_80), "main", answered, at_80)])
    areas = ", ".join(
        f"{each.name} {aurc(each.confidence, each.right):.4f}" for each in shown[::-1]
    )
    title = (
        f"Asked only where it is surest, in {round(100 * answered)} of 100 cases, it errs in "
        f"{percent(at_80)}"
    )
    if at_all == 0:
        title = "It makes no mistake on these pictures, however unsure it is"
    elif percent(at_80) != percent(at_all):
        title += f" instead of {percent(at_all)}"
    return Figure(
        title,
        plot.svg("risk-coverage curve: error among the surest answers", title),
        f"Risk-coverage curve; area under it (AURC, 0 is perfect): {areas}. Among equally sure "
        f"answers the wrong ones come first; drawn from {percent(SCARCE)} on.",
    )


def _thinned(xs: Floats, ys: Floats, also: float | None = None) -> tuple[list[float], list[float]]:
    """Return at most POINTS of the points, the last one always among them, and the one at `also`
    where xs rise."""
    spaced = np.linspace(0, len(xs) - 1, POINTS - 1).round().astype(int)
    there = [] if also is None else [min(int(np.searchsorted(xs, also)), len(xs) - 1)]
    keep = np.unique([*spaced, *there])
    return xs[keep].tolist(), ys[keep].tolist()


def alerts(answers: Answers) -> Figure | None:
    """Return precision against recall: of `empty`, or averaged over the classes; None where all
    pictures are of one class, and everything that is said of it is right."""
    if len(np.unique(answers.truth)) < 2:
        return None
    p_empty = answers.p_empty
    return _of_classes(answers) if p_empty is None else _of_empty(answers, p_empty)


def _of_empty(answers: Answers, p_empty: Floats) -> Figure:
    is_empty = answers.truth == answers.classes.index(EMPTY)
    precision, recall, _ = precision_recall_curve(is_empty, p_empty)
    above = answers.empty_above
    alert = p_empty >= above
    hits, found = int((alert & is_empty).sum()), int(is_empty.sum())
    plot = _precision_recall_plot(recall, precision)
    marked = f"threshold {above:g}"
    if alert.any():
        x, y = hits / found, hits / int(alert.sum())
        plot.dot(x, y, "main", f"{marked}: precision {capped(y, 3)}, recall {capped(x, 3)}")
        plot.labels([(marked, "main", x, y)])
    which, chosen = "general", "the general value"
    if answers.thresholds is not None and answers.thresholds.empty_above is not None:
        which, chosen = "chosen", f"chosen for {answers.thresholds.chosen_for}"
    scaled = min(int(alert.sum()), found) >= 100  # both halves of a title, or none
    title = of_100(hits, int(alert.sum()), "alerts", f"are right at the {which} threshold", scaled)
    if not alert.any():
        title = f"There is no alert at the {which} threshold of {above:g}"
    are_found = of_100(hits, found, "empty slots", "are found", scaled)
    title = f"{title}; {are_found[0].lower()}{are_found[1:]}"
    area, auroc = answers.figures["average_precision"], answers.figures["auroc"]
    return Figure(
        title,
        plot.svg("precision against recall of alerts", title),
        f"Precision and recall of 'empty' over all thresholds; average precision "
        f"{capped(area, 4)}, area under the ROC (AUROC) {capped(auroc, 4)}. "
        f"{percent(float(is_empty.mean()))} of {count(len(is_empty), 'picture')} show an empty "
        f"slot. Threshold {above:g}, {chosen}. Single looks; the daemon asks for several in a row.",
    )


def _of_classes(answers: Answers) -> Figure:
    """One against the rest for each class of which there are pictures, then averaged."""
    grid = np.linspace(0, 1, 101)
    present = sorted(set(answers.truth.tolist()))
    curves = [_envelope(answers.truth == k, answers.p[:, k], grid) for k in present]
    table_of = by_class(answers.truth, answers.guess, answers.classes)
    known = [table_of[answers.classes[k]] for k in present]
    recall = float(np.mean([one["recall"] for one in known]))
    said = [one for one in table_of.values() if one["support"] or one["precision"] is not None]
    precision = float(np.mean([one["precision"] or 0.0 for one in said]))
    # What is said and not there is never right, at no threshold: in the curve as in the dot.
    plot = _precision_recall_plot(grid, np.sum(curves, axis=0) / len(said))
    about = f"precision {capped(precision, 3)}, recall {capped(recall, 3)}"
    plot.dot(recall, precision, "main", about)
    plot.labels([("the likeliest class", "main", recall, precision)])
    never = sum(one["precision"] is None for one in known)
    counted = f" ({count(never, 'class')} it never says counted as never right)" if never else ""
    title = (
        f"Averaged over the classes, a name that it says is right in {percent(precision)} of "
        f"cases{counted}, and {percent(recall)} of a product's pictures get its name"
    )
    return Figure(
        title,
        plot.svg("precision against recall, averaged over classes", title),
        f"Each of the {len(present)} classes that the pictures show against all others, averaged "
        "with equal weight; a class that is never said counts as never right, and so does one that "
        "is said and not there, in the curve as in the dot. The dot is what the likeliest class "
        "gives, without a threshold.",
    )


def _envelope(is_true: NDArray[np.bool_], score: Floats, grid: Floats) -> Floats:
    """Return the best precision at each recall of the grid, or at a higher one."""
    precision, recall, _ = precision_recall_curve(is_true, score)
    best = np.maximum.accumulate(precision)
    return np.asarray(best[np.searchsorted(-recall, -grid, side="right") - 1], np.float64)


def _precision_recall_plot(recall: Floats, precision: Floats) -> Plot:
    plot = Plot(
        Axis("found, of all there are (recall)", 0, 1, TENTHS, tick_percent),
        Axis("right, of all that it says (precision)", 0, 1.04, TENTHS, tick_percent),
    )
    plot.line(*_thinned(np.asarray(recall), np.asarray(precision)))
    return plot
