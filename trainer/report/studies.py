"""What each trick brings, or what each way to train does: the rows of a study, with their spread.

The format of study.json is that of trainer.study. A study may be unfinished: rows without a whole
repeat are named and not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import UnavailableError
from trainer.files import DAMAGED_NPZ
from trainer.findings import read_study
from trainer.picture import Picture
from trainer.report.answers import Answers
from trainer.report.page import Figure, count, details, table
from trainer.report.speed import said_of_two
from trainer.report.svg import (
    WIDE,
    Axis,
    Plot,
    axis,
    log_axis,
    percent,
    shortened,
    tick_percent,
    width_of,
)
from trainer.statistics import half_width

Row = Mapping[str, Any]
FULL, PLAIN = "full", "plain"
OOF = ("classes", "truth", "picture", "group", "box", "probabilities")
OUT_OF_FOLD = "that it had not learnt from"
LEAST_FITS = 4
FEW_FITS = (
    f"With fewer than {LEAST_FITS} fits a row nothing is called clear: how far another one would "
    "be off is not known. "
)
NAMED = 8
"""Of more rows only the best and the fastest have their name beside the dot."""


@dataclass(frozen=True)
class Study:
    folder: Path
    about: Mapping[str, Any]

    @property
    def title(self) -> str:
        what = "The tricks one by one" if self.about["kind"] == "ablate" else "Cross-validation"
        return f"{what}: {self.about['recipe']}"

    @property
    def measured(self) -> list[Row]:
        return [row for row in self.about["rows"] if row["repeats"]]

    @property
    def note(self) -> str:
        """What the whole of it says, and what is missing yet, in words."""
        diverged = [row["name"] for row in self.about["rows"] if row["diverged"]]
        missing = [
            row["name"]
            for row in self.about["rows"]
            if not row["repeats"] and row["name"] not in diverged
        ]
        parts = [_together(self)] if _together(self) else []
        parts += _so_far(self)
        if missing:
            parts.append(f"Not measured yet: {', '.join(missing)}.")
        if diverged:
            parts.append(f"Diverged: {', '.join(diverged)}.")
        return " ".join(parts)


def open_study(path: Path) -> Study:
    """Open a study's folder, or its study.json. Raises what `read_study` does."""
    file = path / "study.json" if path.is_dir() else path
    return Study(file.parent, read_study(file))


def study_figures(study: Study) -> list[Figure]:
    """Return the bars of full minus and plain plus, or the rows of a k-fold, then accuracy against
    milliseconds; the table last."""
    if not study.measured:
        return []
    if study.about["kind"] == "ablate":
        figures = [*_gains(study, FULL, "full-", -1), *_gains(study, PLAIN, "plain+", 1)]
    else:
        figures = [_accuracies(study)]
    return [*figures, *_rows_and_time(study), _table(study)]


def out_of_fold(study: Study) -> Answers | None:
    """Return what the first row's nets said of the pictures they had not seen, in one repeat."""
    row = next((row for row in study.measured if row.get("oof")), None)
    if row is None or not (study.folder / row["oof"]).is_file():
        return None
    try:
        with np.load(study.folder / row["oof"]) as file:
            found = {key: file[key] for key in OOF}
            kinds = file["coarse"] if "coarse" in file else [""] * len(found["truth"])  # older ones
    except DAMAGED_NPZ:
        raise UnavailableError(
            f"{study.folder / row['oof']}: is damaged; the study's own command writes it again"
        ) from None
    classes = tuple(map(str, found["classes"]))
    truth = found["truth"].astype(np.int64)
    pictures = [
        Picture(Path(str(file)), classes[k], str(group), {"coarse": str(coarse)}, _box(box))
        for file, k, group, box, coarse in zip(
            *(found["picture"], truth, found["group"], found["box"], kinds), strict=True
        )
    ]
    p, groups = found["probabilities"][0].astype(np.float64), found["group"]
    name = f"{study.about['recipe']}, {row['name']}"
    return Answers(name, classes, pictures, p, truth, groups, OUT_OF_FOLD)


def _box(sides: Sequence[int]) -> tuple[int, int, int, int] | None:
    x, y, wide, high = (int(side) for side in sides)
    return (x, y, wide, high) if wide and high else None


def _gains(study: Study, reference: str, prefix: str, sign: int) -> list[Figure]:
    """Return the figure of what each trick brings to a recipe: bars with intervals.

    sign: -1 where the rows are the recipe without the trick.
    """
    rows = [
        (row["name"].removeprefix(prefix), *_points(row, sign), _has_spread(row))
        for row in study.measured
        if row["compared_with"] == reference and row["name"].startswith(prefix)
        and row["difference"]
    ]  # fmt: skip
    if not rows:
        return []
    rows.sort(key=lambda row: -row[1])
    told = [name for name, _, low, _, sure in rows if sure and low > 0]
    hurt = [name for name, _, _, high, sure in rows if sure and high < 0]
    where = "the full recipe" if sign < 0 else "the plain recipe"
    helps = "helps" if 1 in (len(told), len(rows)) else "help"
    title = f"{len(told) or 'None'} of {count(len(rows), 'trick')} clearly {helps} {where}"
    if told:
        points = next(points for name, points, *_ in rows if name == told[0])
        title += f"; {_plain_name(told[0])} brings most, {points:.1f} points"
    if hurt:
        names = ", ".join(_plain_name(one) for one in hurt)
        title += f"; {names} clearly {'hurts' if len(hurt) == 1 else 'hurt'}"
    versus = "full less full without it" if sign < 0 else "plain with it less plain"
    return [
        Figure(
            title,
            _bars(rows, f"points of accuracy that each trick brings to {where}", title),
            f"Points of top-1, {versus}; lines are 95 % intervals, over groups of pictures or, "
            f"of {LEAST_FITS} fits and more, over those, whichever is wider. Blue: the interval "
            "leaves out 0. " + _caution(sure for *_, sure in rows) + _how(study),
        )
    ]


def _points(row: Row, sign: int) -> tuple[float, float, float]:
    """Return the gain, low and high: how much it hangs on the pictures or on the fits, if more."""
    found = row["difference"]
    points = sign * found["points"]
    low, high = sorted(sign * end for end in found["interval"])
    if _has_spread(row):
        half = half_width(found["std_folds"], _fits(row))
        low, high = max(-100.0, min(low, points - half)), min(100.0, max(high, points + half))
    return points, low, high


def _has_spread(row: Row) -> bool:
    """Whether a row has so many fits that their spread says how far the next one may be off."""
    return row["difference"]["std_folds"] is not None and _fits(row) >= LEAST_FITS


def _caution(sure: Iterable[bool]) -> str:
    return "" if all(sure) else FEW_FITS


def _fits(row: Row) -> int:
    return sum(map(len, row["top1_per_fold"]))


def _bars(rows: Sequence[tuple[str, float, float, float, bool]], alt: str, title: str) -> str:
    """Return lying bars of (name, value, low, high, whether that interval can be relied on)."""
    values = [value for _, *three, _ in rows for value in three]
    names = [_plain_name(name) for name, *_ in rows]
    plot = Plot(
        axis("points", values, signed, zero=True),
        _rows_axis(names),
        high=62 + 24 * len(rows),
        room=44,
    )
    plot.line([0, 0], [plot.y.low, plot.y.high], "zero")
    for i, (_, value, low, high, sure) in enumerate(rows):
        plot.flat_bar(i, 0, value, "main" if sure and (low > 0 or high < 0) else "other")
        plot.line([low, high], [i, i], "error")
        plot.write(WIDE, plot.at(0, i)[1] + 4, signed(round(value, 1)), anchor="end")
    return plot.svg(alt, title)


def signed(value: float) -> str:
    """Return a number with its sign, the minus as wide as the plus."""
    return "0" if value == 0 else f"{value:+g}".replace("-", "−")


def _rows_axis(names: Sequence[str]) -> Axis:
    """One line a name, the first on top."""
    return Axis("", len(names) - 0.4, -0.6, tuple(range(len(names))), lambda i: names[int(i)])


def _accuracies(study: Study) -> Figure:
    """Return each row's accuracy: a dot a repeat, a line for the interval."""
    rows = sorted(study.measured, key=_top1, reverse=True)
    names = [row["name"] for row in rows]
    low_high = [end for row in rows for end in row["intervals"]["top1"]]
    each = [top1 for row in rows for top1 in row["top1_per_repeat"]]
    plot = Plot(
        axis("right", [*low_high, *each], tick_percent, most=1),
        _rows_axis([shortened(name) for name in names]),
        high=62 + 28 * len(rows),
        room=width_of("100 %") + 20,
    )
    for i, row in enumerate(rows):
        kind = "main" if i == 0 else "other"
        plot.line(row["intervals"]["top1"], [i, i], "span")
        for number, top1 in enumerate(row["top1_per_repeat"], start=1):
            plot.dot(top1, i, kind, f"repeat {number}: {top1:.4f}")
        plot.write(WIDE, plot.at(_top1(row), i)[1] + 4, percent(_top1(row)), kind, "end")
    best, mean = rows[0], _top1(rows[0])
    majority = study.about.get("majority")
    title = f"{shortened(best['name'], 40)} names {percent(mean)} of unseen pictures right"
    if majority is not None:
        title += f"; always naming the commonest class is right in {percent(majority)}"
    return Figure(
        title,
        plot.svg("accuracy of each row of the study", title),
        "A dot a repeat; lines are 95 % intervals (Wilson) of their mean. " + _how(study),
    )


def _table(study: Study) -> Figure:
    rows = [
        (
            row["name"],
            f"{100 * row['figures']['top1']['mean']:.2f}",
            _spread(row["figures"]["top1"]["std"], 100),
            _difference(row),
            _spread((row["difference"] or {}).get("std_folds"), 1),
            f"{row['seconds_per_fit']['mean']:.0f}",
            " ".join(row["changes"]) if len(row["changes"]) < 3 else f"{len(row['changes'])} keys",
        )
        for row in study.measured
    ]
    heads = ("row", "top-1 %", "± repeats", "points", "± folds", "s a fit", "changed")
    folds = study.about["folds"]  # an ensemble's time is that of all its members
    seconds = sum(r["seconds_per_fit"]["mean"] * r["repeats"] * folds for r in study.measured)
    return Figure(
        f"{count(len(rows), 'row')} measured in {_duration(seconds)} of training",
        details("All rows", table(heads, rows)),
        "Paired differences on the same pictures in the same folds. "
        + _caution(_has_spread(row) for row in study.measured if row["difference"])
        + _how(study),
        wide=True,
    )


def _together(study: Study) -> str:
    """Return what all tricks bring together; empty where that is not known yet."""
    plain = next((row for row in study.measured if row["name"] == PLAIN), None)
    if plain is None or not plain["difference"]:
        return ""
    points, low, high = _points(plain, -1)
    if points < 0:
        points, low, high = -points, -high, -low
        said = f"All tricks together cost {points:.1f} points of the plain recipe's accuracy "
    else:
        said = f"All tricks together bring {points:.1f} points of accuracy over the plain recipe "
    if not _has_spread(plain):
        return f"{said}({low:.1f} to {high:.1f} over groups of pictures). {FEW_FITS}".strip()
    return f"{said}({low:.1f} to {high:.1f} with 95 % confidence)."


def _duration(seconds: float) -> str:
    if seconds < 120:
        return count(round(seconds), "second")
    if seconds < 7200:
        return count(round(seconds / 60), "minute")
    return f"{seconds / 3600:.0f} hours"


def _difference(row: Row) -> str:
    if not row["difference"]:
        return "–"
    points, low, high = _points(row, 1)
    if not _has_spread(row):
        return f"{points:+.2f} against {row['compared_with']}"
    return f"{points:+.2f} ({low:+.1f} to {high:+.1f}) against {row['compared_with']}"


def _spread(std: float | None, scale: float) -> str:
    return "–" if std is None else f"{scale * std:.2f}"


def _how(study: Study) -> str:
    about = study.about
    repeats = sorted({row["repeats"] for row in study.measured})
    times = count(repeats[-1], "repeat")
    if len(repeats) > 1:
        times = f"{repeats[0]} to {times}"
    pictures = count(about["n"], "picture")
    return f"{pictures}, {about['folds']} folds by group, {times}."


def _so_far(study: Study) -> list[str]:
    """Return, of what has begun and is not over, how far it is."""
    wanted = int(study.about.get("repeats") or 0)
    begun = [row for row in study.measured if row["repeats"] < wanted]
    done = {row["repeats"] for row in begun}
    if len(done) == 1 and len(begun) == len(study.measured):
        return [f"{done.pop()} of {count(wanted, 'repeat')} so far."]
    return [f"{r['name']}: {r['repeats']} of {count(wanted, 'repeat')} so far." for r in begun]


def _rows_and_time(study: Study) -> list[Figure]:
    """Return the rows' accuracy against their milliseconds; none of fewer than two rows."""
    rows = [row for row in study.measured if (row["ms_per_image"] or {}).get("mean", 0) > 0]
    if len(rows) < 2:
        return []
    rows.sort(key=lambda row: (row["ms_per_image"]["mean"], -_top1(row)))
    best = max(rows, key=_top1)
    plot = Plot(
        log_axis("milliseconds a picture", [row["ms_per_image"]["mean"] for row in rows]),
        axis("right", [end for row in rows for end in row["intervals"]["top1"]], tick_percent,
             most=1),
        high=300,
    )  # fmt: skip
    points = [
        (row["name"], "main" if row is best else "other", row["ms_per_image"]["mean"], _top1(row))
        for row in rows
    ]  # fmt: skip
    for row, (name, kind, ms, top1) in zip(rows, points, strict=True):
        plot.line([ms, ms], row["intervals"]["top1"], "span")
        plot.dot(ms, top1, kind, f"{name}: {ms:.2f} ms, {top1:.4f}")
    ends = [rows.index(best), 0]
    plot.labels(points if len(points) <= NAMED else [points[i] for i in dict.fromkeys(ends)])
    title = _best_and_fastest(best, rows)
    return [
        Figure(
            title,
            plot.svg("accuracy against milliseconds a picture of each row of the study", title),
            "Milliseconds a picture as measured in the fits, an ensemble's summed over its members;"
            " lines are 95 % intervals of accuracy. "
            + (f"Named are the best and the fastest of {len(rows)} rows. " if
               len(rows) > NAMED else "") + _how(study),
        )
    ]  # fmt: skip


def _best_and_fastest(best: Row, rows: Sequence[Row]) -> str:
    """Return what the best row has over the fastest, or over the next best where it is that itself;
    rows: the fastest first. Intervals that touch are no difference."""
    others = [row for row in rows if row is not best]
    other = rows[0] if rows[0] is not best else max(others, key=_top1)
    low, _ = best["intervals"]["top1"]
    gain = low - other["intervals"]["top1"][1]
    for row, versus, sign in ((best, other, 1), (other, best, -1)):
        if row["compared_with"] == versus["name"] and row["difference"]:
            gain = _points(row, sign)[1] if _has_spread(row) else 0.0
    points = 100 * (_top1(best) - _top1(other)) if gain > 0 else None
    ms, other_ms = best["ms_per_image"], other["ms_per_image"]
    alike = abs(ms["mean"] - other_ms["mean"]) <= (ms["std"] or 0) + (other_ms["std"] or 0)
    name, other_name = (shortened(row["name"], 40) for row in (best, other))
    times = None if alike else ms["mean"] / other_ms["mean"]
    return said_of_two(name, other_name, points, times)


def _top1(row: Row) -> float:
    return float(row["figures"]["top1"]["mean"])


def _plain_name(trick: str) -> str:
    return trick.replace("net.", "net ").replace("_", " ")
