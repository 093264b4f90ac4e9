"""The rows as a Markdown table, and as JSON with the machine they were measured on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby

from figures import Row, Spread
from machine import Machine

CAPTION = """\
Middle (smallest – largest). Times: the median of interleaved rounds. CPU: the whole run, and its
windows. "× ours": the figure divided by ours, round by round or window by window."""


def heading(machine: Machine) -> str:
    return f"{machine}\n\n{CAPTION}"


def as_markdown(rows: Iterable[Row]) -> str:
    """Return one table a part, in the order of the rows."""
    lines = []
    for part, group in groupby(rows, key=lambda row: row.part):
        lines += ["", f"### {part}", "", "| what | figure | unit | × ours | |"]
        lines += ["|---|---:|---|---:|---|", *(_line(row) for row in group)]
    return "\n".join(lines)


def as_json(machine: Machine, rows: Sequence[Row]) -> str:
    found = {"machine": asdict(machine), "rows": [asdict(row) for row in rows]}
    return json.dumps(found, ensure_ascii=False, indent=2)


def _line(row: Row) -> str:
    ratio = _spread(row.ratio) if row.ratio else ""
    return f"| {row.what} | {_spread(row.value)} | {row.unit} | {ratio} | {row.note} |"


def _spread(spread: Spread) -> str:
    if spread.count == 1:
        return _number(spread.middle)
    return f"{_number(spread.middle)} ({_number(spread.low)} – {_number(spread.high)})"


def _number(value: float) -> str:
    """Return three significant digits, never an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
