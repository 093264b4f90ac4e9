"""Which row and column of the shelf a slot stands in, as people count: from the top, from the left.

The planogram knows quads only. A row is what stands side by side: each slot is joined to the next
one at its right that is about as high up, so that rows may rise and fall as a camera sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.types import Slot

SAME_ROW = 0.5  # of the lower slot's height must be beside the other
ASIDE = 0.5  # of the narrower slot's width may be above or below the other

Numbers = NDArray[np.float64]


class Place(NamedTuple):
    """Both count from 1."""

    row: int
    column: int


def places(slots: Sequence[Slot]) -> dict[str, Place]:
    """Return the place of each slot of one camera, whichever way up it hangs."""
    if not slots:
        return {}
    quads = np.array([slot.quad for slot in slots], np.float64)
    across, down = _axes(quads)
    x, y = quads @ across, quads @ down  # (n, 4): along the shelf, and down it
    rows = _rows(_next_at_the_right(x, y), y.mean(1))
    found = {}
    for number, row in enumerate(rows, start=1):
        for column, which in enumerate(sorted(row, key=lambda one: x[one].mean()), start=1):
            found[slots[which].slot_id] = Place(number, column)
    return found


def _axes(quads: Numbers) -> tuple[Numbers, Numbers]:
    """Return the unit vectors along the facings' own upper edge and down their sides."""
    top_left, top_right, bottom_right, bottom_left = quads.mean(0)
    across = (top_right - top_left) + (bottom_right - bottom_left)
    down = (bottom_left - top_left) + (bottom_right - top_right)
    return across / np.linalg.norm(across), down / np.linalg.norm(down)


def _next_at_the_right(x: Numbers, y: Numbers) -> list[tuple[int, int]]:
    """Return the pairs (slot, the nearest one at its right that stands beside it)."""
    beside = _shared(y) >= SAME_ROW
    apart = _shared(x) <= ASIDE
    middle = x.mean(1)
    gap = middle[None, :] - middle[:, None]
    gap[~(beside & apart) | (gap <= 0)] = np.inf
    nearest = gap.argmin(1)
    has_one = np.isfinite(gap.min(1))
    return [(one, int(other)) for one, other in enumerate(nearest) if has_one[one]]


def _shared(edges: Numbers) -> Numbers:
    """Return what share of the shorter of two extents both have, (n, n); edges is (n, 4)."""
    low, high = edges.min(1), edges.max(1)
    both = np.minimum(high[:, None], high[None, :]) - np.maximum(low[:, None], low[None, :])
    size = np.maximum(high - low, 1e-9)
    return np.asarray(np.maximum(both, 0) / np.minimum(size[:, None], size[None, :]))


def _rows(pairs: Sequence[tuple[int, int]], height: Numbers) -> list[list[int]]:
    """Return the slots that are joined, directly or by others, uppermost row first."""
    row = list(range(len(height)))

    def root(one: int) -> int:
        while row[one] != one:
            row[one] = row[row[one]]
            one = row[one]
        return one

    for one, other in pairs:
        row[root(one)] = root(other)
    rows: dict[int, list[int]] = {}
    for one in range(len(height)):
        rows.setdefault(root(one), []).append(one)
    return sorted(rows.values(), key=lambda members: float(np.mean(height[members])))
