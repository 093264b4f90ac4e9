"""Drawn goods: pictures of products, slots and shelves, for tests that train a tiny net on them.

A product is a kind of pack in two colours. Who knows cans, cartons and bottles of some colours has
not seen the same packs in others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.random import Generator

from edge.types import Image

HIGH, WIDE = 96, 72
"""A slot's picture in pixels."""
RAIL = 28

WHITE, BLACK = (240, 240, 240), (30, 30, 30)
RED, GREEN, BLUE = (40, 40, 210), (60, 170, 60), (200, 90, 30)
YELLOW, ORANGE, VIOLET = (40, 210, 230), (20, 120, 240), (170, 50, 150)

GOODS = {  # kind of pack, colour (BGR), colour of its band
    "cola": ("can", RED, WHITE),
    "lemonade": ("can", GREEN, YELLOW),
    "milk": ("carton", WHITE, BLUE),
    "juice": ("carton", ORANGE, GREEN),
    "tea": ("bottle", BLACK, YELLOW),
    "water": ("bottle", BLUE, WHITE),
}
COLOURS = {
    "white": WHITE, "black": BLACK, "red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW,
    "orange": ORANGE, "violet": VIOLET,
}  # fmt: skip
OTHERS = {
    f"{one}-{two}-{pack}": (pack, COLOURS[one], COLOURS[two])
    for pack in ("can", "carton", "bottle")
    for one, two in permutations(COLOURS, 2)
    if (pack, COLOURS[one], COLOURS[two]) not in GOODS.values()
}
"""Goods that are sold, but have no slot: shown in training as `other`, or never."""

KIND = {name: pack for name, (pack, _, _) in (GOODS | OTHERS).items()}
"""Each product's coarse class."""


def goods_recipe(steps: int) -> str:
    """Return a recipe's text by which a tiny net learns the goods in this many steps."""
    return f"""
name: goods
input_size: 32
net: {{arch: resnet10, width: 0.25}}
balanced: true
augment: none
precision: fp32
steps: {steps}
batch: 24
lr: 0.05
warmup: 0.1
ema: 0.1
"""


def slot(name: str | None, rng: Generator) -> Image:
    """Return a slot's picture with this product in it; None: nothing."""
    image = np.full((HIGH, WIDE, 3), rng.uniform(90, 130), np.float32)
    image[: HIGH // 3] *= 0.7  # the shadow of the board above
    image[-10:] = 175
    if name is not None:
        _draw(image, *(GOODS | OTHERS)[name], rng)
    return _seen(image, rng)


def _draw(image: Image, pack: str, colour: Sequence[int], band: Sequence[int], rng: Generator):
    x, foot = round(WIDE / 2 + rng.uniform(-6, 6)), HIGH - round(rng.uniform(4, 9))
    half, high = {"can": (19, 52), "carton": (22, 74), "bottle": (16, 80)}[pack]
    size = rng.uniform(0.9, 1.1)
    half, high = round(half * size), round(high * size)
    top = foot - high
    if pack == "bottle":
        cv2.rectangle(image, (x - half // 3, top), (x + half // 3, foot), colour, -1)
        cv2.rectangle(image, (x - half, top + high // 3), (x + half, foot), colour, -1)
    else:
        cv2.rectangle(image, (x - half, top), (x + half, foot), colour, -1)
    if pack == "can":
        cv2.ellipse(image, (x, top), (half, 5), 0, 0, 360, (190, 190, 190), -1)
    if pack == "carton":
        gable = np.array([[x - half, top], [x + half, top], [x, top - 10]])
        cv2.fillPoly(image, [gable], [channel * 0.8 for channel in colour])
    low = foot - round(high * rng.uniform(0.28, 0.34))
    cv2.rectangle(image, (x - half, low - high // 4), (x + half, low), band, -1)


def _seen(image: Image, rng: Generator) -> Image:
    """The light of the day, and the sensor's noise."""
    lit = image * rng.uniform(0.85, 1.12) + rng.normal(0, 3, image.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def write_photos(folder: Path, products: Iterable[str | None], each: int, seed: int) -> Path:
    """Write so many pictures of each product, None an empty slot, as a data set; return it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    lines = ["file,label,group,coarse"]
    for product in products:
        label, kind = (product, KIND[product]) if product else ("empty", "empty")
        for number in range(each):
            name = f"{label}-{number}.png"
            cv2.imwrite(str(folder / name), slot(product, rng))
            lines.append(f"{name},{label},{name},{kind}")
    (folder / "index.csv").write_text("\n".join(lines))
    return folder


def shelf(crops: Sequence[Image], rng: Generator) -> Image:
    """Return a camera's picture: slots beside each other, above a rail with a tag for each."""
    gap = np.full((HIGH, 8, 3), 80, np.uint8)
    row = np.hstack([part for crop in crops for part in (gap, crop)] + [gap])
    rail = np.full((RAIL, row.shape[1], 3), 200, np.uint8)
    for number in range(len(crops)):
        left = 8 + number * (WIDE + 8) + 20
        cv2.rectangle(rail, (left, 6), (left + 30, 22), (250, 250, 250), -1)
        cv2.putText(rail, f"{number}", (left + 9, 19), cv2.FONT_HERSHEY_PLAIN, 1, BLACK)
    above = np.full((RAIL, row.shape[1], 3), 150, np.uint8)
    return _seen(np.vstack([above, row, rail]).astype(np.float32), rng)


def quad(number: int, of: int) -> list[list[float]]:
    """Return where slot `number` is on a shelf of so many, as fractions of its picture."""
    whole_w, whole_h = of * (WIDE + 8) + 8, HIGH + 2 * RAIL
    left, right = (8 + number * (WIDE + 8)) / whole_w, (number + 1) * (WIDE + 8) / whole_w
    top, bottom = RAIL / whole_h, (RAIL + HIGH) / whole_h
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


MIXED_UP, PUT_RIGHT, ENDS = 6, 15, 24
"""Looks of the recording: before the first all is in its place, as it is after the second."""


def write_recording(folder: Path, crops: Mapping[str, Image], bundle: Path) -> Path:
    """Write a recording of a shelf on which two products are swapped, and one is sold out.

    crops: five slots' pictures by product, the last one `empty`, which is the fifth slot's all the
    time. The first two products are swapped and the fourth is taken away for a while. Writes
    pictures/, planogram.yaml, truth.json and a site.yaml with the bundle.
    """
    names = list(crops)
    assert names[4] == "empty"
    a, b, c, d, nothing = crops.values()
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for t in range(ENDS):
        wrong = MIXED_UP <= t < PUT_RIGHT
        shown = [b, a, c, nothing, nothing] if wrong else [a, b, c, d, nothing]
        cv2.imwrite(str(folder / f"pictures/{t:03}.png"), shelf(shown, rng))
    slots = [
        {"id": f"s{number}", "name": f"The {name} shelf", "sku": name, "quad": quad(number, 5)}
        for number, name in enumerate([*names[:4], names[2]])
    ]
    truth = {
        f"s{number}": [{"t": 0, "state": before}]
        + [
            {"t": t, "state": state}
            for t, state in ((MIXED_UP, during), (PUT_RIGHT, before))
            if during != before
        ]
        for number, (before, during) in enumerate(
            [("stocked", "misplaced")] * 2
            + [("stocked", "stocked"), ("stocked", "empty"), ("empty", "empty")]
        )
    }
    site = {
        "version": 1, "node": "shop", "model": str(bundle), "planogram": "planogram.yaml",
        "cameras": [{"id": "cam", "url": "folder:pictures", "every_s": 0.1}],
        "decision": {"confirm_s": 0.2}, "mqtt": {"url": "stdout:"}, "state": "state/",
        "web": {"listen": "127.0.0.1:0"},
    }  # fmt: skip
    planogram = {"version": 1, "cameras": {"cam": {"slots": slots}}}
    (folder / "planogram.yaml").write_text(yaml.safe_dump(planogram))
    (folder / "truth.json").write_text(json.dumps({"camera": "cam", "fps": 1, "truth": truth}))
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    return folder
