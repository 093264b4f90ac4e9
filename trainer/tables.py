"""A study's table for people and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEADINGS = (
    "row", "top-1 %", "± repeats", "95 %", "against", "points", "± folds", "95 %", "NLL",
    "repeats", "s a fit", "ms a picture",
)  # fmt: skip


def as_markdown(study: Mapping[str, Any]) -> str:
    """Return the table for people; a row without a whole repeat shows dashes. The share of kinds
    (coarse classes) that are right stands behind the rest where pictures say one."""
    by_kind = any("coarse_top1" in (row["figures"] or ()) for row in study["rows"])
    headings = (*HEADINGS, "coarse %") if by_kind else HEADINGS
    rows = [(*_cells(row), *([_coarse(row)] if by_kind else [])) for row in study["rows"]]
    lines = [headings, tuple("---" for _ in headings), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        + " |\n"
        for line in lines
    )  # fmt: skip


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    against = row["compared_with"] or "-"
    if not row["repeats"]:
        state = "diverged" if row["diverged"] else "-"
        return (row["name"], state, "-", "-", against, *"----", "0", *"--")
    top1, gain = row["figures"]["top1"], row["difference"]
    return (
        row["name"],
        f"{100 * top1['mean']:.2f}",
        _number(top1["std"], scale=100),
        _range(row["intervals"]["top1"], scale=100),
        against,
        "-" if gain is None else f"{gain['points']:+.2f}",
        "-" if gain is None else _number(gain["std_folds"]),
        "-" if gain is None else _range(gain["interval"]),
        f"{row['figures']['nll']['mean']:.3f}",
        str(row["repeats"]),
        f"{row['seconds_per_fit']['mean']:.0f}",
        f"{row['ms_per_image']['mean']:.2f}",
    )


def _coarse(row: Mapping[str, Any]) -> str:
    found = (row["figures"] or {}).get("coarse_top1")
    return "-" if found is None else f"{100 * found['mean']:.2f}"


def _number(value: float | None, scale: float = 1) -> str:
    return "-" if value is None else f"{scale * value:.2f}"


def _range(interval: Sequence[float], scale: float = 1) -> str:
    low, high = interval
    return f"{scale * low:.1f} to {scale * high:.1f}"


def as_csv(study: Mapping[str, Any]) -> str:
    """Return one line a row, every number of study.json in a column of its own."""
    lines = [dict(_flat(row)) for row in study["rows"]]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name.inner or name.0 with each value that holds no others."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, each in inner:
        path = f"{name}.{key}" if name else str(key)
        if isinstance(each, Mapping | list | tuple):
            yield from _flat(each, path)
        else:
            yield path, each
