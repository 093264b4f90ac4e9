"""What the calibration page computes: how long it takes, and how often it is right on real photos.

The photos are recordings of a real shop (conftest.require_data); without them the part is left
out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from conftest import require_data
from figures import Row, Spread
from moved import trials
from test_suggest import along, are_near, as_quad, hits

from edge.drawing.align import align
from edge.drawing.suggest import suggest_boundaries
from edge.errors import AlignmentError
from edge.types import Image

JITTER_PX = 4 / 640


def measure_proposals(count: int) -> Iterator[Row]:
    """Yield rows for Suggest over all marked rows and for Align over `count` random movements."""
    try:
        path = require_data("scenes/rows.json")
    except pytest.skip.Exception as missing:
        print(missing, file=sys.stderr)
        return
    marked = [
        (picture, row)
        for name, rows in json.loads(path.read_text())["rows"].items()
        for picture in [cv2.imread(str(path.parent / name))]
        for row in rows
    ]
    yield from _suggest(marked)
    times, errors = [], []
    for trial in trials(path.parent, count):
        begun_s = time.perf_counter()
        try:
            found = align(trial.reference, trial.picture)
            errors.append(100 * trial.worst_corner(found.homography))
        except AlignmentError:
            errors.append(100.0)
        times.append(1000 * (time.perf_counter() - begun_s))
    right = sum(error < 1 for error in errors)
    note = f"{right} of {count} below 1 % of the width"
    yield Row("proposals", "align: one picture", "ms", Spread.around_median(times))
    yield Row(
        "proposals", "align: worst corner", "% of width", Spread.around_median(errors), None, note
    )


def _suggest(marked: list[tuple[Image, dict]]) -> Iterator[Row]:
    chance, times = np.random.default_rng(0), []
    found: dict[str, list] = {"as drawn": [], "corners 4 px off": []}
    equal = []
    for picture, row in marked:
        shaken = np.array(row["quad"]) + chance.normal(0, JITTER_PX, (4, 2))
        for how, quad in zip(found, (as_quad(row["quad"]), as_quad(shaken)), strict=True):
            true = along(quad, row["boundaries"])[:, 0]
            found[how].append(hits(picture, quad, true, len(true) + 1))
            begun_s = time.perf_counter()
            suggest_boundaries(picture, quad, len(true) + 1)
            times.append(1000 * (time.perf_counter() - begun_s))
        true = along(as_quad(row["quad"]), row["boundaries"])[:, 0]
        equal.append(are_near(true, np.linspace(0, 1, len(true) + 2)))
    found["by equal parts instead"] = equal
    yield Row("proposals", "suggest: one row", "ms", Spread.around_median(times))
    for how, each in found.items():
        right = np.concatenate(each)
        share, note = Spread.single(100 * right.mean()), f"{right.sum()} of {len(right)}"
        yield Row("proposals", f"suggest: boundaries found, {how}", "%", share, None, note)
