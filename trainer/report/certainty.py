"""Whether probabilities mean what they say, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from edge.classifier import EMPTY
from trainer.figures import by_class, calibration_bins, expected_calibration_error
from trainer.report.answers import Answers, Floats
from trainer.report.page import Figure, details, table
from trainer.report.svg import Axis, Plot, axis, percent, shortened, width_of
from trainer.statistics import wilson
from trainer.thresholds import aurc, risk_coverage

TENTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BINS = 15
SCARCE = 0.1
POINTS = 400
"""Of a smaller share of the answers a single mistake says nothing."""


def of_100(hits: int, n: int, what: str, verb: str) -> str:
    """Return "Of 100 alerts 97 are right"; of fewer cases just how many there were."""
    if n < 100:
        what = what.removesuffix("s") if n == 1 else what
        verb = verb.replace("are ", "is ", 1) if hits == 1 else verb
        return f"Of {n} {what} {hits} {verb}"
    return f"Of 100 {what} {percent(hits / n).removesuffix(' %')} {verb}"


def reliability(answers: Answers) -> Figure:
    """Return how often it is right against how sure it is, in bins of equally many pictures."""
    bins = calibration_bins(answers.confidence, answers.right, BINS)
    low = min(0.5, *(min(one.confidence, one.accuracy) for one in bins))
    lowest = 0.0 if low < 0.5 else 0.5
    ticks = TENTHS if lowest == 0 else (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    plot = Plot(
        Axis("how sure it is", lowest, 1, ticks, percent),
        Axis("how often it is right", 0, 1, TENTHS, percent),
    )
    counts, edges = np.histogram(answers.confidence, 20, (lowest, 1))
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        share = count / counts.max()
        plot.bar((left + right) / 2, 0, 0.18 * share, 0.9 * (right - left), "faint")
    plot.line([lowest, 1], [lowest, 1], "guide")
    for one in bins:
        span = wilson(one.accuracy, one.count)
        plot.line([one.confidence] * 2, span, "span")
    for one in bins:
        about = f"{one.count} pictures: {one.confidence:.3f} sure, {one.accuracy:.3f} right"
        plot.dot(one.confidence, one.accuracy, "main", about)
    sure, right = float(answers.confidence.mean()), answers.top1
    ece = expected_calibration_error(answers.confidence, answers.right, BINS)
    numbers = table(
        ("bin", "pictures", "how sure", "how often right"),
        [(i + 1, one.count, f"{one.confidence:.3f}", f"{one.accuracy:.3f}")
         for i, one in enumerate(bins)],
        numbers=True,
    )  # fmt: skip
    return Figure(
        _sureness(sure, right),
        plot.svg("reliability diagram: accuracy against confidence")
        + details("The numbers", numbers),
        f"Reliability diagram: on the dashed line it is as sure as it is right. {len(bins)} bins "
        f"of equally many of {len(answers.right)} pictures by the probability of the class it "
        f"says, each with its 95 % interval (Wilson, every picture by itself); ECE {ece:.3f}. "
        "Grey: how often it is how sure.",
    )


def _sureness(sure: float, right: float) -> str:
    if abs(sure - right) < 0.02:
        return f"It is as sure as it should be: {percent(sure)} on average, {percent(right)} right"
    what = "surer" if sure > right else "less sure"
    return f"It is {what} than it should be: {percent(sure)} on average, {percent(right)} right"


def risk_over_coverage(answers: Answers, others: Sequence[Answers] = ()) -> Figure:
    """Return the error among the surest answers, of the model and, in grey, of others."""
    shown = [*others, answers]
    curves = [risk_coverage(each.confidence, each.right) for each in shown]
    named = shown if others else []
    room = max((width_of(shortened(each.name)) for each in named), default=0) + 14
    plot = Plot(
        Axis("answered, the surest first", 0, 1, TENTHS, percent),
        axis("wrong among them", [r[c >= SCARCE].max() for c, r in curves], percent, zero=True,
             most=1),
        room=room,
    )  # fmt: skip
    for each, (coverage, risk) in zip(shown, curves, strict=True):
        enough = coverage >= SCARCE
        kind = "main" if each is answers else "other"
        plot.line(*_thinned(coverage[enough], risk[enough]), kind)
    risk = curves[-1][1]
    at_80, at_all = float(risk[int(np.ceil(0.8 * len(risk))) - 1]), float(risk[-1])
    for x, y in ((0.8, at_80), (1.0, at_all)):
        plot.dot(x, y, "main", f"{percent(x)} answered: {y:.4f} wrong")
    plot.labels([(percent(at_80), "main", 0.8, at_80)])
    plot.ends([(e.name, "main" if e is answers else "other", 1, float(r[-1]))
               for e, (_, r) in zip(shown, curves, strict=True) if named])  # fmt: skip
    areas = ", ".join(
        f"{each.name} {aurc(each.confidence, each.right):.4f}" for each in shown[::-1]
    )
    title = f"Asked only where it is surest, in 80 of 100 cases, it errs in {percent(at_80)}"
    if at_all == 0:
        title = "It makes no mistake on these pictures, however unsure it is"
    elif at_80 < at_all:
        title += f" instead of {percent(at_all)}"
    return Figure(
        title,
        plot.svg("risk-coverage curve: error among the surest answers"),
        f"Risk-coverage curve; area under it (AURC, 0 is perfect): {areas}. Among equally sure "
        f"answers the wrong ones come first; drawn from {percent(SCARCE)} on.",
    )


def _thinned(xs: Floats, ys: Floats) -> tuple[list[float], list[float]]:
    """Return at most POINTS of the points, the last one always among them."""
    keep = np.unique(np.linspace(0, len(xs) - 1, POINTS).round().astype(int))
    return xs[keep].tolist(), ys[keep].tolist()


def alerts(answers: Answers) -> Figure:
    """Return precision against recall: of `empty`, or averaged over the classes."""
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
        plot.dot(x, y, "main", f"{marked}: precision {y:.3f}, recall {x:.3f}")
        plot.labels([(marked, "main", x, y)])
    area = float(average_precision_score(is_empty, p_empty))
    title = of_100(hits, int(alert.sum()), "alerts", "are right at the chosen threshold")
    if not alert.any():
        title = f"There is no alert at the chosen threshold of {above:g}"
    written = answers.thresholds
    chosen = "the general value"
    if written is not None and written.empty_above is not None:
        chosen = f"chosen for {written.chosen_for}"
    are_found = of_100(hits, found, "empty slots", "are found")
    return Figure(
        f"{title}; {are_found[0].lower()}{are_found[1:]}",
        plot.svg("precision against recall of alerts"),
        f"Precision and recall of 'empty' over all thresholds; average precision {area:.4f}. "
        f"{percent(float(is_empty.mean()))} of {len(is_empty)} pictures show an empty slot. "
        f"Threshold {above:g}, {chosen}. Single looks; the daemon asks for "
        "several in a row.",
    )  # fmt: skip


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
    plot = _precision_recall_plot(grid, np.mean(curves, axis=0))
    plot.dot(recall, precision, "main", f"precision {precision:.3f}, recall {recall:.3f}")
    plot.labels([("the likeliest class", "main", recall, precision)])
    return Figure(
        f"Averaged over the classes, a name that it says is right in {percent(precision)} of "
        f"cases, and {percent(recall)} of a product's pictures get its name",
        plot.svg("precision against recall, averaged over classes"),
        f"Each of the {len(present)} classes that the pictures show against all others, averaged "
        "with equal weight; a class that is never said counts as never right, and so does one that "
        "is said and not there. The dot is what the "
        "likeliest class gives, without a threshold.",
    )


def _envelope(is_true: NDArray[np.bool_], score: Floats, grid: Floats) -> Floats:
    """Return the best precision at each recall of the grid, or at a higher one."""
    precision, recall, _ = precision_recall_curve(is_true, score)
    best = np.maximum.accumulate(precision)
    return np.asarray(best[np.searchsorted(-recall, -grid, side="right") - 1], np.float64)


def _precision_recall_plot(recall: Floats, precision: Floats) -> Plot:
    plot = Plot(
        Axis("found, of all there are (recall)", 0, 1, TENTHS, percent),
        Axis("right, of all that it says (precision)", 0, 1.04, TENTHS, percent),
    )
    plot.line(*_thinned(np.asarray(recall), np.asarray(precision)))
    return plot
