"""What is printed on the packages: flat pictures, (h, w, 3) uint8 BGR, `scale` pixels per cm."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.rendered.products import BLACK, SILVER, WHITE, Colour, Product
from edge.types import Image

FONT = cv2.FONT_HERSHEY_DUPLEX
BOLD = cv2.FONT_HERSHEY_TRIPLEX


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour `share` of the way from one to the other."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def write(
    canvas: Image, text: str, centre: tuple[float, float], width: float, colour: Colour,
    bold: bool = False,
) -> None:  # fmt: skip
    """Write text so wide around a centre, both as shares of the canvas."""
    rows, columns = canvas.shape[:2]
    font, size = (BOLD if bold else FONT), 1.0
    (natural, _), _ = cv2.getTextSize(text, font, size, 2)
    size = width * columns / natural
    weight = max(1, round(size * (2.6 if bold else 1.6)))
    (wide, high), _ = cv2.getTextSize(text, font, size, weight)
    origin = (round(centre[0] * columns - wide / 2), round(centre[1] * rows + high / 2))
    cv2.putText(canvas, text, origin, font, size, colour, weight, cv2.LINE_AA)


def lines(
    canvas: Image, box: tuple[float, float, float, float], count: int, colour: Colour
) -> None:
    """Small print nobody can read: `count` lines in a box of shares (left, top, right, bottom)."""
    rows, columns = canvas.shape[:2]
    left, top, right, bottom = box
    for number in range(count):
        y = round((top + (bottom - top) * (number + 0.5) / count) * rows)
        end = right - (right - left) * (0.0, 0.22, 0.08, 0.4)[number % 4]
        start, stop = (round(left * columns), y), (round(end * columns), y)
        cv2.line(canvas, start, stop, colour, max(1, rows // 160), cv2.LINE_AA)


def print_label(product: Product, scale: float) -> Image:
    """Return the unrolled label of a round package: 1.2 half turns wide, all its height."""
    rows = round(product.height * scale)
    columns = round(product.width * math.pi / 2 * 1.2 * scale)
    canvas = np.full((rows, columns, 3), product.base, np.uint8)
    return _ROUND[product.kind](product, canvas)


def _can(product: Product, canvas: Image) -> Image:
    _fade(canvas, product.base, blend(product.base, BLACK, 0.28))
    rows, columns = canvas.shape[:2]
    centre = (columns // 2, round(rows * 0.46))
    cv2.ellipse(
        canvas,
        centre,
        (round(columns * 0.27), round(rows * 0.25)),
        -18,
        0,
        360,
        product.accent,
        -1,
        cv2.LINE_AA,
    )
    cv2.ellipse(
        canvas,
        centre,
        (round(columns * 0.24), round(rows * 0.22)),
        -18,
        0,
        360,
        blend(product.base, BLACK, 0.1),
        -1,
        cv2.LINE_AA,
    )
    _wave(canvas, 0.74, product.accent)
    write(canvas, product.word, (0.5, 0.46), 0.40, product.ink, bold=True)
    write(canvas, product.size, (0.5, 0.90), 0.16, product.ink)
    lines(canvas, (0.38, 0.58, 0.62, 0.64), 2, product.ink)
    canvas[: round(rows * 0.045)] = SILVER
    canvas[-round(rows * 0.03) :] = blend(SILVER, BLACK, 0.25)
    return canvas


def _bottle(product: Product, canvas: Image) -> Image:
    rows, columns = canvas.shape[:2]
    drink = blend(product.base, WHITE, 0.12)
    _fade(canvas, drink, blend(drink, BLACK, 0.18))
    for share in (0.83, 0.87, 0.91, 0.95):  # grip rings in the foot
        y = round(rows * share)
        cv2.line(canvas, (0, y), (columns, y), blend(drink, BLACK, 0.22), max(1, rows // 110))
    canvas[round(rows * 0.10) : round(rows * 0.155)] = blend(drink, WHITE, 0.45)  # air in the neck
    band = canvas[round(rows * 0.40) : round(rows * 0.76)]
    band[:] = product.accent
    band[: round(len(band) * 0.10)] = product.ink
    band[-round(len(band) * 0.18) :] = blend(product.accent, BLACK, 0.35)
    cv2.circle(
        band,
        (columns // 2, round(len(band) * 0.62)),
        round(len(band) * 0.15),
        drink,
        -1,
        cv2.LINE_AA,
    )
    write(band, product.word, (0.5, 0.30), 0.44, product.ink, bold=True)
    write(
        band,
        product.size,
        (0.5, 0.90),
        0.14,
        product.ink,
    )
    cap = canvas[: round(rows * 0.10)]
    cap[:] = product.accent
    cap[:, ::5] = blend(product.accent, BLACK, 0.35)
    return canvas


def _cup(product: Product, canvas: Image) -> Image:
    rows, columns = canvas.shape[:2]
    canvas[: round(rows * 0.09)] = (226, 230, 232)
    bowl = (columns // 2, round(rows * 0.70))
    cv2.ellipse(
        canvas,
        bowl,
        (round(columns * 0.20), round(rows * 0.20)),
        0,
        0,
        360,
        product.accent,
        -1,
        cv2.LINE_AA,
    )
    cv2.ellipse(
        canvas,
        bowl,
        (round(columns * 0.165), round(rows * 0.155)),
        0,
        0,
        360,
        (60, 132, 214),
        -1,
        cv2.LINE_AA,
    )
    for number in range(7):
        turn = number * 51
        cv2.ellipse(
            canvas,
            bowl,
            (round(columns * 0.12), round(rows * 0.09)),
            turn,
            0,
            130,
            (160, 216, 244),
            max(1, rows // 60),
            cv2.LINE_AA,
        )
    write(canvas, product.word, (0.5, 0.30), 0.46, product.ink, bold=True)
    lines(canvas, (0.06, 0.25, 0.2, 0.8), 7, product.ink)
    lines(canvas, (0.8, 0.25, 0.94, 0.8), 7, product.ink)
    return canvas


def _jar(product: Product, canvas: Image) -> Image:
    rows, columns = canvas.shape[:2]
    _fade(canvas, blend(product.base, WHITE, 0.1), blend(product.base, BLACK, 0.3))
    sign = canvas[
        round(rows * 0.40) : round(rows * 0.84), round(columns * 0.16) : round(columns * 0.84)
    ]
    sign[:] = product.ink
    cv2.rectangle(
        sign, (0, 0), (sign.shape[1] - 1, sign.shape[0] - 1), product.accent, max(1, rows // 50)
    )
    write(sign, product.word, (0.5, 0.36), 0.62, product.accent, bold=True)
    cv2.circle(
        sign,
        (sign.shape[1] // 2, round(sign.shape[0] * 0.72)),
        round(sign.shape[0] * 0.16),
        product.base,
        -1,
        cv2.LINE_AA,
    )
    lid = canvas[: round(rows * 0.20)]
    lid[:] = product.accent
    lid[:, ::4] = blend(product.accent, BLACK, 0.2)
    return canvas


def box_front(product: Product, scale: float) -> Image:
    """Return the front of a box, carton or bag."""
    rows, columns = round(product.height * scale), round(product.width * scale)
    canvas = np.full((rows, columns, 3), product.base, np.uint8)
    _fade(canvas, blend(product.base, WHITE, 0.10), blend(product.base, BLACK, 0.14))
    design = int(product.sku[-3:]) % 3
    _DESIGNS[design](product, canvas)
    return canvas


def _banner(product: Product, canvas: Image) -> None:
    rows, columns = canvas.shape[:2]
    corners = np.array([(0, 0.12), (1, 0.05), (1, 0.34), (0, 0.42)]) * (columns, rows)
    cv2.fillPoly(canvas, [corners.astype(np.int32)], product.accent, cv2.LINE_AA)
    write(canvas, product.word, (0.5, 0.24), 0.72, _readable(product), bold=True)
    plate = (columns // 2, round(rows * 0.68))
    size = round(min(columns * 0.36, rows * 0.24))
    cv2.circle(canvas, plate, size, WHITE, -1, cv2.LINE_AA)
    for number in range(9):
        turn = number * 0.7
        spot = (
            plate[0] + size * 0.6 * math.cos(turn * 3) * math.cos(turn),
            plate[1] + size * 0.6 * math.sin(turn),
        )
        cv2.circle(
            canvas,
            (round(spot[0]), round(spot[1])),
            max(2, size // 4),
            blend((60, 150, 224), product.accent, number / 14),
            -1,
            cv2.LINE_AA,
        )
    write(
        canvas,
        product.size,
        (0.74, 0.955),
        0.3,
        product.ink,
    )


def _roundel(product: Product, canvas: Image) -> None:
    rows, columns = canvas.shape[:2]
    centre = (columns // 2, round(rows * 0.40))
    axes = (round(columns * 0.44), round(min(rows * 0.24, columns * 0.34)))
    cv2.ellipse(canvas, centre, axes, -8, 0, 360, product.accent, -1, cv2.LINE_AA)
    cv2.ellipse(canvas, centre, axes, -8, 0, 360, product.ink, max(1, columns // 50), cv2.LINE_AA)
    write(canvas, product.word, (0.5, 0.40), 0.66, _readable(product), bold=True)
    _wave(canvas, 0.72, blend(product.accent, WHITE, 0.25))
    for number in range(4):
        spot = (round(columns * (0.2 + 0.2 * number)), round(rows * (0.84 + 0.04 * (number % 2))))
        cv2.circle(
            canvas,
            spot,
            max(2, round(columns * 0.075)),
            blend(product.base, BLACK, 0.3),
            -1,
            cv2.LINE_AA,
        )
        cv2.circle(canvas, spot, max(1, round(columns * 0.05)), product.ink, -1, cv2.LINE_AA)
    lines(canvas, (0.1, 0.05, 0.55, 0.11), 2, product.ink)


def _split(product: Product, canvas: Image) -> None:
    rows, columns = canvas.shape[:2]
    corners = np.array([(0, 0.58), (1, 0.40), (1, 1), (0, 1)]) * (columns, rows)
    cv2.fillPoly(canvas, [corners.astype(np.int32)], product.accent, cv2.LINE_AA)
    write(canvas, product.word, (0.5, 0.22), 0.76, product.ink, bold=True)
    lines(canvas, (0.14, 0.32, 0.86, 0.38), 2, product.ink)
    star = [
        (0.5 + 0.26 * math.cos(turn * math.pi / 9) * (1.0, 0.72)[turn % 2],
         0.70 + 0.26 * columns / rows * math.sin(turn * math.pi / 9) * (1.0, 0.72)[turn % 2])
        for turn in range(18)
    ]  # fmt: skip
    cv2.fillPoly(
        canvas,
        [(np.array(star) * (columns, rows)).astype(np.int32)],
        blend(product.base, WHITE, 0.2),
        cv2.LINE_AA,
    )
    write(
        canvas,
        "NEW" if int(product.sku[-2]) % 2 else "x2",
        (0.5, 0.70),
        0.26,
        product.ink,
        bold=True,
    )


def _readable(product: Product) -> Colour:
    """Ink on the accent colour: the product's own unless too alike."""
    apart = sum(abs(a - b) for a, b in zip(product.ink, product.accent, strict=True))
    if apart > 210:
        return product.ink
    return WHITE if sum(product.accent) < 380 else BLACK


def box_side(product: Product, scale: float) -> Image:
    """Return a side of a box: its colour, its name along it, small print."""
    rows, columns = round(product.height * scale), max(8, round(product.depth * scale))
    along = np.full((columns, rows, 3), blend(product.base, product.accent, 0.15), np.uint8)
    write(along, product.word, (0.66, 0.5), 0.5, product.ink, bold=True)
    lines(along, (0.06, 0.2, 0.34, 0.8), 6, product.ink)
    return np.ascontiguousarray(cv2.rotate(along, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8)


def box_top(product: Product, scale: float) -> Image:
    """Return the top of a box, with the flap's seam."""
    rows, columns = max(8, round(product.depth * scale)), round(product.width * scale)
    canvas = np.full((rows, columns, 3), blend(product.base, WHITE, 0.12), np.uint8)
    cv2.line(
        canvas,
        (0, rows // 2),
        (columns, rows // 2),
        blend(product.base, BLACK, 0.3),
        1,
        cv2.LINE_AA,
    )
    write(canvas, product.word, (0.5, 0.75), 0.4, product.ink)
    return canvas


def price_tag(name: str, price: int, special: bool, scale: float) -> Image:
    """Return a shelf label, 6.4 × 3.4 cm: the product's name, a bar code and its price."""
    paper: Colour = (60, 222, 252) if special else (244, 246, 246)
    canvas = np.full((round(3.4 * scale), round(6.4 * scale), 3), paper, np.uint8)
    rows, columns = canvas.shape[:2]
    write(canvas, name.upper()[:16], (0.5, 0.18), 0.86, BLACK)
    write(canvas, f"{price:,}", (0.62, 0.66), 0.62, (30, 24, 190) if special else BLACK, bold=True)
    for number in range(6):
        x, width = round(columns * (0.05 + 0.038 * number)), 1 + (number * 7 + price) % 3 // 2
        cv2.line(canvas, (x, round(rows * 0.46)), (x, round(rows * 0.84)), (70, 66, 66), width)
    cv2.rectangle(canvas, (0, 0), (columns - 1, rows - 1), blend(paper, BLACK, 0.3), 1)
    return canvas


def _fade(canvas: Image, top: Colour, bottom: Colour) -> None:
    share = np.linspace(0, 1, canvas.shape[0], dtype=np.float32)[:, None, None]
    canvas[:] = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share


def _wave(canvas: Image, height: float, colour: Colour) -> None:
    rows, columns = canvas.shape[:2]
    x: NDArray[np.float64] = np.linspace(0, 1, 24)
    upper = height + 0.03 * np.sin(x * 7)
    edge = np.concatenate([np.stack([x, upper], 1), np.stack([x, upper + 0.045], 1)[::-1]])
    cv2.fillPoly(canvas, [(edge * (columns, rows)).astype(np.int32)], colour, cv2.LINE_AA)


_ROUND = {"can": _can, "bottle": _bottle, "cup": _cup, "jar": _jar}
_DESIGNS = (_banner, _roundel, _split)
