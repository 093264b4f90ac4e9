"""Where one facing of a shelf ends and the next begins, and where its rows do, from the picture.

Neighbouring packages meet in an edge that runs upright over much of the row's height; print on a
package seldom does. So each column is scored by the long upright edges in it, and the boundaries
are the columns that together score best while the widths stay alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.geometry import flattened, side_lengths, to_pixels
from edge.types import Image, Quad

WIDTH = 640  # of a row, upright, in pixels
STEP = 2  # pixels between two columns that may be a boundary
LEANS = (-0.12, -0.06, 0.0, 0.06, 0.12)  # pixels aside per pixel down that an edge may run
RUN = 0.2  # of the row's height is what an edge must run upright to count
COLOUR_WEIGHT = 1.5  # a step in colour counts more than one in brightness: shadows have none
UPRIGHT = 1.2  # how much steeper than flat a step must be
EVEN = 2.0  # what ln² of a width's ratio to the mean width costs
NARROW, WIDE = 0.4, 2.6  # times the mean width is what a facing may measure
PER_BOUNDARY = 0.45  # what one more boundary must bring where the count is unknown
MOST = 16  # facings that are tried where the count is unknown
FAINT = 120.0  # a step (Scharr, in Lab) below which nothing is an edge: noise, soft light
REAL = 0.15  # of the row's height must be an edge where the picture is said to show a boundary
BAY_WIDTH = 320
MOST_ROWS = 8
PALE, GREY = 140, 22  # Lab: a rail's lightness is above, its chroma below
THICKNESSES = (0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1)  # of a rail, in heights of the bay
RAIL = 0.4  # from this score up the picture shows a rail

Profile = NDArray[np.float64]
"""For each STEP pixels along a row, the share of its height that is a long upright edge."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The boundaries of a row's facings.

    u: along the row in its own perspective, ascending, 0 its left and 1 its right end.
    found: of each boundary between the ends, whether the picture shows it; else it is a guess
    from its neighbours.
    """

    u: tuple[float, ...]
    found: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A bay's rows, (top, bottom) each in the bay's own perspective: 0 its upper, 1 its lower end.

    found: whether the picture shows a rail between each two; where it shows none at all the rows
    are of one height.
    """

    rows: tuple[tuple[float, float], ...]
    found: bool


def suggest_boundaries(image: Image, quad: Quad, count: int | None) -> Suggestion:
    """Return where the facings of a row begin and end.

    Args:
        image: the camera's whole picture.
        quad: the row's own corners, as fractions of the picture.
        count: how many facings the row has; None finds that out as well, up to MOST.
    """
    profile = edges(upright(image, quad, WIDTH))
    columns = _best(profile / max(float(np.percentile(profile, 95)), REAL), count, MOST)
    if columns is None:
        number = count or 1
        return Suggestion(tuple(np.linspace(0, 1, number + 1).tolist()), (False,) * (number - 1))
    inner = (columns * STEP / WIDTH).tolist()
    return Suggestion((0.0, *inner, 1.0), tuple((profile[columns] >= REAL).tolist()))


def suggest_rows(image: Image, bay: Quad, count: int | None) -> Rows:
    """Return where the rows of a bay are: what lies between two is a rail and belongs to neither.

    Args:
        image: the camera's whole picture.
        bay: the bay's own corners, from its first row's top to its last row's bottom.
        count: how many rows it has; None finds that out as well, up to MOST_ROWS.
    """
    profile, thick = rails(upright(image, bay, BAY_WIDTH))
    length = len(profile)
    lines = _best(profile / RAIL - 1, count, MOST_ROWS)
    if lines is not None and profile[lines].max(initial=0) >= RAIL:
        tops = np.append(0.0, (lines + thick[lines] / 2) / length)
        bottoms = np.append((lines - thick[lines] / 2) / length, 1.0)
        if (tops < bottoms).all():  # else two rails overlap, which cannot be
            rows = tuple(zip(tops.tolist(), bottoms.tolist(), strict=True))
            return Rows(rows, bool((profile[lines] >= RAIL).all()))
    ends = np.linspace(0, 1, (count or 1) + 1).tolist()
    return Rows(tuple(pairwise(ends)), count == 1)


def upright(image: Image, quad: Quad, width: int) -> Image:
    """Return the quad's upright picture, `width` pixels wide, of its own aspect."""
    corners = to_pixels(quad, image.shape[1], image.shape[0])
    wide, high = side_lengths(corners)
    height = int(np.clip(round(width * high / max(wide, 1.0)), 24, 2 * width))
    shrunk = min(1.0, 2 * width / max(wide, 1.0))
    if shrunk < 1:  # else every second pixel of a large picture would be skipped
        smaller = cv2.resize(image, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
        image = np.asarray(smaller, np.uint8)
        corners = to_pixels(quad, image.shape[1], image.shape[0])
    return flattened(image, corners, width, height)


def edges(row: Image) -> Profile:
    """Return how much of each column of an upright row is a long upright edge."""
    strength = _upright_steps(row)
    height, width = strength.shape
    run = cv2.getStructuringElement(cv2.MORPH_RECT, (1, max(3, round(RUN * height))))
    best = np.zeros(width)
    for lean in LEANS:
        shear = np.array([[1, lean, -lean * height / 2], [0, 1, 0]])
        straight = cv2.warpAffine(strength, shear, (width, height), borderMode=cv2.BORDER_REPLICATE)
        wide = cv2.dilate(straight, np.ones((3, 3), np.uint8))
        long = cv2.morphologyEx(wide, cv2.MORPH_OPEN, run)
        best = np.maximum(best, long.mean(axis=0))
    return np.asarray(cv2.GaussianBlur(best[None], (0, 0), 1.5)[0, ::STEP], np.float64)


def rails(bay: Image) -> tuple[Profile, NDArray[np.int_]]:
    """Return how much each line of an upright bay is the middle of a rail, and how thick that is.

    A rail is a band from side to side: edges above and below, and mostly lighter and less
    coloured than what stands above and hangs below it. The edges are half of the score, so that
    dark rails are found as well.

    Returns:
        For each STEP pixels of the height, the score, 0 to 2, and the thickness in such steps.
    """
    lab = cv2.cvtColor(bay, cv2.COLOR_BGR2Lab).astype(np.float32)
    pale = (lab[..., 0] > PALE) & (np.hypot(lab[..., 1] - 128, lab[..., 2] - 128) < GREY)
    across = edges(np.ascontiguousarray(np.swapaxes(bay, 0, 1)))
    length = len(across)
    total = np.append(0.0, np.cumsum(pale[::STEP].mean(axis=1)))
    lines = np.arange(length)

    def mean(begin: NDArray[np.int_], end: NDArray[np.int_]) -> Profile:
        begin, end = np.clip(begin, 0, length), np.clip(end, 0, length)
        return np.asarray((total[end] - total[begin]) / np.maximum(end - begin, 1))

    scores, thicks = [], np.array([max(2, round(share * length)) for share in THICKNESSES])
    for thick in thicks:
        top = lines - thick // 2
        bottom, side = top + thick, thick // 2
        ridge = mean(top, bottom) - np.maximum(mean(top - side, top), mean(bottom, bottom + side))
        ends = across[np.clip(top, 0, length - 1)] + across[np.clip(bottom, 0, length - 1)]
        scores.append(ridge + ends / 2)
    chosen = np.argmax(scores, axis=0)
    return np.max(scores, axis=0), thicks[chosen]


def _upright_steps(row: Image) -> NDArray[np.float32]:
    """Return, pixel by pixel, how strong a step to the side is, 0 to 1; flat ones count nothing."""
    lab = cv2.GaussianBlur(cv2.cvtColor(row, cv2.COLOR_BGR2Lab), (0, 0), 1.2).astype(np.float32)
    weights = np.array([1, COLOUR_WEIGHT, COLOUR_WEIGHT], np.float32)
    aside = (np.abs(cv2.Scharr(lab, cv2.CV_32F, 1, 0)) * weights).max(axis=2)
    down = (np.abs(cv2.Scharr(lab, cv2.CV_32F, 0, 1)) * weights).max(axis=2)
    aside[aside <= UPRIGHT * down] = 0
    strong = max(float(np.percentile(aside, 97)), FAINT)
    return np.asarray(np.minimum(aside / strong, 1), np.float32)


def _best(gain: Profile, count: int | None, most: int) -> NDArray[np.int_] | None:
    """Return the boundaries between `count` parts of alike lengths, None where so many do not fit.

    Without a count each further boundary must bring PER_BOUNDARY.
    """
    counts = [count] if count else range(1, most + 1)
    fits = [fit for number in counts if (fit := _fit(gain, number)) is not None]
    if not fits:
        return None
    return max(fits, key=lambda fit: fit[0] - PER_BOUNDARY * len(fit[1]))[1]


def _fit(gain: Profile, count: int) -> tuple[float, NDArray[np.int_]] | None:
    """Return the best (score, boundaries) of `count` parts, None where so many do not fit.

    Dynamic programming from left to right: best[x] is the score of the best parts up to x.
    """
    length = len(gain)
    mean = length / count
    widths = np.arange(max(1, round(NARROW * mean)), min(length, round(WIDE * mean)) + 1)
    costs = EVEN * np.log(widths / mean) ** 2
    before = np.arange(length + 1)[:, None] - widths  # where a part that ends at x began
    outside = before < 0
    gain = np.append(gain, 0.0)
    best = np.full(length + 1, -np.inf)
    best[0] = 0.0
    choices = []
    for number in range(count):
        totals = np.where(outside, -np.inf, best[before] - costs)
        choice = totals.argmax(axis=1)
        best = totals[np.arange(length + 1), choice] + (gain if number < count - 1 else 0.0)
        choices.append(choice)
    if not np.isfinite(best[length]):
        return None
    found, x = [], length
    for choice in reversed(choices):
        x -= int(widths[choice[x]])
        found.append(x)
    return float(best[length]), np.array(found[-2::-1], int)
