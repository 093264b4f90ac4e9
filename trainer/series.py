"""Which photos were taken in one go, where the data does not say: a series shares light and ground.

Half of a series tells a net what the other half shows, so a series is learnt or asked about as a
whole. No net is needed to find it, and none whose own mistakes would then decide what it is asked.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from edge.errors import UsageError
from edge.preprocess import resize
from trainer.decode import THREADS, read_pixels
from trainer.folds import named
from trainer.picture import Picture

SIDE = 24
"""Pixels to which a photo is shrunk before its colours are counted, in each quarter of it."""
BINS = (8, 3, 3)
"""Of hue, saturation and brightness."""
APART = 0.3
"""Mean cosine distance from which on colours are those of two series. A class that looks alike
throughout, as most of the grocery photos' do, is parted by the half rule of `series_of`. There a
logistic regression on frozen features is right about 0.66 of the photos out of its fold, about 0.68
of the set's own validation photos, and about 0.96 where series are parted."""
MOST = 10_000
"""So many photos of a class are compared, each with each: 800 MB, in each process."""


def in_series(sources: Sequence[Sequence[Picture]]) -> list[list[Picture]]:
    """Return the pictures of each source, in series where the data names nothing that they belong
    with: of one class and data set, and alike in their colours.

    Raises UsageError where a class is too large for series to be found.
    """
    grouped = iter(_grouped([picture for own in sources for picture in own]))
    return [[next(grouped) for _ in own] for own in sources]


def _grouped(pictures: Sequence[Picture]) -> list[Picture]:
    once = {(name, picture.file, picture.box) for picture in pictures for name in named(picture)}
    sharing = Counter(name for name, _, _ in once)
    alone: dict[tuple[str, str], list[int]] = defaultdict(list)
    for here, picture in enumerate(pictures):
        if all(sharing[name] == 1 for name in named(picture)):
            alone[picture.data_set, picture.label].append(here)
    grouped = list(pictures)
    for (_, label), own in alone.items():
        if len(own) > MOST:
            raise UsageError(
                f"series: '{label}' has {len(own)} pictures, and {MOST} can be compared; write "
                "their groups into an index.csv (file,label,group), and leave out `series`"
            )
        members = defaultdict(list)
        for here, series in zip(own, series_of(colours([pictures[i] for i in own])), strict=True):
            members[int(series)].append(here)
        for those in members.values():
            name = min(pictures[here].group for here in those)
            for here in those:
                grouped[here] = replace(pictures[here], group=name)
    return grouped


def colours(pictures: Sequence[Picture]) -> NDArray[np.float64]:
    """Return which colours each picture has in its four quarters (n, 288), as unit vectors."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return np.array(list(pool.map(_colours, pictures)))


def _colours(picture: Picture) -> NDArray[np.float64]:
    whole = picture.box is None
    small = resize(read_pixels(picture.file, 4 * SIDE) if whole else picture.read(), SIDE)
    hsv, half = cv2.cvtColor(small, cv2.COLOR_BGR2HSV), SIDE // 2
    quarters = [hsv[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    ranges = [0, 180, 0, 256, 0, 256]
    counts = [cv2.calcHist([part], [0, 1, 2], None, BINS, ranges).ravel() for part in quarters]
    return np.asarray(np.sqrt(np.concatenate(counts).astype(np.float64) / SIDE**2))


def series_of(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of each picture's series (n,), by average linkage of their `colours`.

    It is cut at APART, or finer, until none holds more than half of the pictures: two folds want to
    be filled. So two or three pictures are no series.
    """
    count = len(shares)
    if count == 1:
        return np.zeros(1, np.int64)
    tree = linkage(shares, "average", "cosine")
    for height in (APART, *(own for own in tree[::-1, 2] if own < APART)):
        found = fcluster(tree, np.nextafter(height, 0), "distance")
        if np.bincount(found).max() <= max(1, count // 2):
            return np.asarray(found, np.int64)
    return np.arange(count)
