"""Plots as SVG inside a page: a pair of axes, marks on it, and texts that keep out of each other's
way.

Colours are the page's own by CSS class, so a plot follows light and dark; texts stay texts, so any
script that the reader's fonts know can be read, searched and copied.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

WIDE, HIGH = 360, 250
"""Of a plot, in its own units, which are about pixels on a phone and a little more on a desk."""
LETTER = 12
STEPS = 5
"""So many an axis has, about."""
LOG_STEPS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
"""Ticks of a decade of a logarithmic axis, the fewest first; the last are always enough."""
DASHES = 5
"""So many kinds of broken lines the page has."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom"""

FAR = 18
AROUND = (
    (1, 0, "start"), (-1, 0, "end"), (0, -1, "middle"), (0, 1.2, "middle"),
    (0.8, -0.8, "start"), (0.8, 0.9, "start"), (-0.8, -0.8, "end"), (-0.8, 0.9, "end"),
)  # fmt: skip
"""Where a text may stand beside its point, best first; farther off than FAR a line leads to it."""


def escape(text: object) -> str:
    """Return text that is safe in HTML and in attributes: names come from other people's data."""
    return html.escape(str(text), quote=True)


def shortened(text: str, most: int = 22) -> str:
    """Return a text that is no longer than so many letters, of which a wide one counts as two."""
    ends = list(accumulate(2 if _is_wide(letter) else 1 for letter in text))
    if not ends or ends[-1] <= most:
        return text
    return text[: sum(end < most for end in ends)] + "…"


def width_of(text: str) -> float:
    """Return about how wide a text is drawn; East Asian letters are square."""
    return sum(LETTER if _is_wide(letter) else 0.57 * LETTER for letter in text)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def percent(share: float) -> str:
    """Return a share as a whole percentage, with a decimal where rounding would say 0 or 100."""
    value = 100 * share
    whole = round(value)
    if whole in (0, 100) and value != whole:
        return f"{min(99.9, max(0.1, value)):.1f} %"
    return f"{whole} %"


def tick_percent(share: float) -> str:
    """Return a share as the percentage that it is: a tick stands for its own number."""
    return f"{round(100 * share, 6):g} %"


def capped(value: float, digits: int) -> str:
    """Return a number of at most 1 with so many decimals, as 1 only where it is."""
    text = f"{value:.{digits}f}"
    return text if value >= 1 or float(text) < 1 else f"{1 - 10.0**-digits:.{digits}f}"


@dataclass(frozen=True)
class Axis:
    """From low to high; low may be the greater one. say: how a tick is written."""

    name: str
    low: float
    high: float
    ticks: tuple[float, ...]
    say: Callable[[float], str] = "{:g}".format
    log: bool = False

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies: 0 at low, 1 at high."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return (value - low) / (high - low)


def axis(
    name: str,
    values: Iterable[float],
    say: Callable[[float], str] = "{:g}".format,
    zero: bool = False,
    most: float = math.inf,
) -> Axis:
    """Return an axis around finite values. zero: it holds 0 too; most: it never goes beyond. Below
    0 it goes only where a value does."""
    known = [*values, *([0.0] if zero else [])]
    low, high = min(known), max(known)
    least = 0.0 if low >= 0 else -math.inf
    if low == high:
        low, high = low - abs(low) / 10, high + abs(high or 1) / 10
    pad = 0.06 * (high - low)
    low, high = max(least, low - pad), min(most, high + pad)
    return Axis(name, low, high, tuple(_round_steps(low, high)), say)


def log_axis(name: str, values: Iterable[float]) -> Axis:
    """Return a logarithmic axis around values above 0, with three ticks at least."""
    known = list(values)
    low, high = min(known) / 1.6, max(known) * 1.6
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: tuple[float, ...] = ()
    for steps in LOG_STEPS[high / low < 300 :]:
        ticks = tuple(m * 10.0**k for k in decades for m in steps if low <= m * 10.0**k <= high)
        if len(ticks) >= 3:
            break
    return Axis(name, low, high, ticks, log=True)


def _round_steps(low: float, high: float) -> list[float]:
    rough = (high - low) / STEPS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


class Plot:
    """Marks on a pair of axes. kind is a CSS class: `main` what is talked about, `other` the rest.

    room: what is kept free at the right for texts beside the last points.
    """

    def __init__(self, x: Axis, y: Axis, high: float = HIGH, room: float = 14):
        self.x, self.y = x, y
        self._high = high
        widest = max((width_of(y.say(tick)) for tick in y.ticks), default=0)
        self.left, self.top = widest + 10, 24.0 if y.name else 8.0
        self.right, self.bottom = WIDE - room, high - 38.0
        self._marks: list[str] = []
        self._under: list[str] = []
        self._taken: list[Box] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies on the drawing."""
        return (
            self.left + self.x.share(x) * (self.right - self.left),
            self.bottom - self.y.share(y) * (self.bottom - self.top),
        )

    def line(self, xs: Sequence[float], ys: Sequence[float], kind: str = "main") -> None:
        places = [self.at(x, y) for x, y in zip(xs, ys, strict=True)]
        points = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        self._marks.append(f'<polyline class="{kind}" points="{points}"/>')
        self._taken += [_around(*place, 2) for place in _along(places, 6)]

    def dot(self, x: float, y: float, kind: str = "main", about: str = "") -> None:
        """about: what a mouse that rests on the dot is told."""
        cx, cy = self.at(x, y)
        self._marks.append(
            f'<circle class="{kind}" cx="{cx:.1f}" cy="{cy:.1f}" r="4">'
            f"<title>{escape(about)}</title></circle>"
        )
        self._taken.append(_around(cx, cy, 6))

    def bar(self, x: float, low: float, high: float, width: float, kind: str) -> None:
        """An upright bar around x, `width` wide on the x axis, beneath all other marks."""
        (left, top), (right, bottom) = self.at(x - width / 2, high), self.at(x + width / 2, low)
        self._under.append(_rectangle(left, top, right, bottom, kind))

    def flat_bar(self, y: float, low: float, high: float, kind: str = "main") -> None:
        """A lying bar around the line y, a good half of a unit high."""
        (left, middle), (right, _) = self.at(low, y), self.at(high, y)
        half = 0.3 * abs(self.at(low, y + 1)[1] - middle)
        self._under.append(
            _rectangle(min(left, right), middle - half, max(left, right), middle + half, kind)
        )

    def write(
        self, left: float, base: float, text: str, kind: str = "", anchor: str = "start"
    ) -> None:
        """Write at a place of the drawing; long names are cut, a resting mouse is told them."""
        self._marks.append(_written(left, base, text, kind, anchor))

    def ends(self, named: Sequence[tuple[str, str, float, float]]) -> None:
        """Write (name, kind, x, y) beside the ends of lines.

        Beside lines that go on to the last x the names stand in one column, moved apart where they
        would touch, then with a stroke to their line; beside shorter ones where nothing is drawn.
        """
        last = max((self.at(x, y)[0] for _, _, x, y in named), default=0.0)
        whole = [one for one in named if self.at(one[2], one[3])[0] > last - 4]
        whole.sort(key=lambda one: self.at(one[2], one[3])[1])
        wished = [self.at(x, y)[1] + 4 for _, _, x, y in whole]
        bases = moved_apart(wished, LETTER + 2, self.top, self.bottom)
        for (name, kind, x, y), wish, base in zip(whole, wished, bases, strict=True):
            right, middle = self.at(x, y)
            if abs(base - wish) > LETTER / 2:
                self._marks.append(_stroke(right + 2, middle, right + 12, base - 4, "leader"))
            self.write(right + 14, base, name, kind)
            self._taken.append(_box_of(right + 14, base, shortened(name), "start"))
        self.labels([one for one in named if one not in whole])

    def labels(self, named: Sequence[tuple[str, str, float, float]]) -> None:
        """Write (name, kind, x, y) near points, over no other text and no mark made until now."""
        points = [self.at(x, y) for _, _, x, y in named]
        texts = [shortened(name) for name, _, _, _ in named]
        inside = (self.left, self.top - 8, WIDE, self.bottom)
        places = places_beside(points, texts, inside, self._taken)
        for (name, kind, _, _), point, (left, base, anchor, is_far) in zip(
            named, points, places, strict=True
        ):
            if is_far:
                self._marks.append(_stroke(*point, left, base - 4, "leader"))
            self.write(left, base, name, kind, anchor)

    def svg(self, alt: str, finding: str = "") -> str:
        """Return the drawing. alt, finding: what it shows and says, for who cannot see it."""
        told = f"{alt}: {finding}" if finding else alt
        return (
            f'<svg viewBox="0 0 {WIDE} {self._high:g}" role="img" aria-label="{escape(told)}">'
            + "".join([*self._axes(), *self._under, *self._marks])
            + "</svg>"
        )

    def _axes(self) -> list[str]:
        parts = []
        for tick in self.y.ticks:
            _, base = self.at(self.x.low, tick)
            parts.append(_stroke(self.left, base, self.right, base, "grid"))
            parts.append(_written(self.left - 7, base + 4, self.y.say(tick), "tick", "end"))
        for tick in self.x.ticks:
            left, _ = self.at(tick, self.y.low)
            parts.append(_stroke(left, self.bottom, left, self.bottom + 4, "axis"))
            parts.append(_written(left, self.bottom + 17, self.x.say(tick), "tick", "middle"))
        parts.append(_stroke(self.left, self.bottom, self.right, self.bottom, "axis"))
        parts.append(_written(self.left - 7, 12, self.y.name, "name", most=60))
        middle = (self.left + self.right) / 2
        parts.append(_written(middle, self._high - 4, self.x.name, "name", "middle", most=60))
        return parts


def moved_apart(wished: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Return rising places at least a gap apart, as near to the wished rising ones as may be."""
    places: list[float] = []
    for wish in wished:
        places.append(max(wish, places[-1] + gap) if places else max(wish, lowest))
    limit = highest
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places


def places_beside(
    points: Sequence[tuple[float, float]], texts: Sequence[str], inside: Box, marks: Sequence[Box]
) -> list[tuple[float, float, str, bool]]:
    """Return (left, base, anchor, far off) for a text at each point: inside, and as long as there
    is room over no mark and no other text, else over the fewest."""
    taken = list(marks)
    places = []
    for (x, y), text in zip(points, texts, strict=True):
        tries = [
            (x + away * across, y + 4 + away * down, anchor, away > FAR)
            for away in (10, FAR, 30, 44, 60, 90, 130)
            for across, down, anchor in AROUND
        ]
        boxes = [_box_of(left, base, text, anchor) for left, base, anchor, _ in tries]
        within = [i for i, box in enumerate(boxes) if _holds(inside, box)] or [0]
        best = min(within, key=lambda i: sum(_touch(boxes[i], other) for other in taken))
        taken.append(boxes[best])
        places.append(tries[best])
    return places


def dashed(number: int) -> str:
    """Return the kind of the line that is so many-th among those that are not talked about."""
    return f"other dash-{number % DASHES}"


def _along(places: Sequence[tuple[float, float]], step: float) -> Iterator[tuple[float, float]]:
    """Yield points of a line, none farther than a step from the next."""
    for (x1, y1), (x2, y2) in pairwise(places):
        parts = max(1, math.ceil(math.hypot(x2 - x1, y2 - y1) / step))
        yield from ((x1 + (x2 - x1) * i / parts, y1 + (y2 - y1) * i / parts) for i in range(parts))
    yield from places[-1:]


def _around(x: float, y: float, half: float) -> Box:
    return x - half, y - half, x + half, y + half


def _box_of(left: float, base: float, text: str, anchor: str) -> Box:
    wide = width_of(text)
    start = left - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return start, base - LETTER + 2, start + wide, base + 2


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _holds(outer: Box, box: Box) -> bool:
    return box[0] >= outer[0] and box[1] >= outer[1] and box[2] <= outer[2] and box[3] <= outer[3]


def _written(
    left: float, base: float, text: str, kind: str = "", anchor: str = "start", most: int = 22
) -> str:
    short = shortened(text, most)
    whole = f"<title>{escape(text)}</title>" if short != text else ""
    return (
        f'<text class="{kind}" x="{left:.1f}" y="{base:.1f}" text-anchor="{anchor}">'
        f"{whole}{escape(short)}</text>"
    )


def _stroke(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rectangle(left: float, top: float, right: float, bottom: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{bottom - top:.1f}"/>'
    )
