"""A measured figure with its spread, and the row of a table that it stands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median


@dataclass(frozen=True)
class Spread:
    """What was measured count times: the middle, the smallest and the largest."""

    middle: float
    low: float
    high: float
    count: int

    @classmethod
    def around_median(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values), len(values))

    @classmethod
    def around_mean(cls, values: Sequence[float]) -> Spread:
        """For windows of one long run: the mean is the whole run, with its rare bursts."""
        return cls(fmean(values), min(values), max(values), len(values))

    @classmethod
    def single(cls, value: float) -> Spread:
        return cls(value, value, value, 1)


@dataclass(frozen=True)
class Row:
    """One line: what was measured, and how many times our own figure that is."""

    part: str
    what: str
    unit: str
    value: Spread
    ratio: Spread | None = None
    note: str = ""
