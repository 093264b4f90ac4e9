"""`make bench`: speed and memory as ratios, taken side by side in one run. Nothing is asserted.

python tests/bench [--only PART …] [--quick] [--seconds S] [--model FILE] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # the real parts that tests talk to

from conftest import require_gst_rtsp, require_program
from figures import Row
from hang import measure_hang
from machine import this_machine
from models import measure_models
from open_pages import measure_pages
from pipeline import measure_pipeline
from products import measure_products
from proposals import measure_proposals
from startup import measure_startup
from streams import BUSY, IDLE, rendered
from table import as_json, as_markdown, heading
from training import measure_training

from edge.errors import EdgeError

MISSING = 69
WITHOUT_STREAMS = {"products", "proposals", "training"}


def main() -> None:
    given = _arguments().parse_args()
    windows = 2 if given.quick else 4
    seconds = given.seconds or (20 if given.quick else 120)
    rounds = 2 if given.quick else 7
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "models": lambda: measure_models(given.model, rounds),
        "daemon": lambda: measure_pipeline(given.model, windows, seconds / windows),
        "pages": lambda: measure_pages(given.model, windows, seconds / windows),
        "proposals": lambda: measure_proposals(20 if given.quick else 200),
        "hang": lambda: measure_hang(given.model, seconds / 2),
        "startup": lambda: measure_startup(given.model, rounds),
        "products": lambda: measure_products(rounds),
        "training": lambda: measure_training(rounds, 5 if given.quick else 20),
    }
    for clip in (IDLE, BUSY):
        if not {*(given.only or parts)} <= WITHOUT_STREAMS:
            _tell(f"stream: {rendered(clip).video} (rendered once, in minutes)")
    machine = this_machine()
    print(heading(machine), flush=True)
    rows: list[Row] = []
    for name in given.only or parts:
        _tell(f"measuring: {name}")
        found = list(parts[name]())
        print(as_markdown(found), flush=True)
        rows += found
    if given.json:
        given.json.write_text(as_json(machine, rows) + "\n", encoding="utf-8")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Speed and memory, as ratios.")
    choices = ["models", "daemon", "pages", "proposals", "hang", "startup", "products", "training"]
    parser.add_argument("--only", nargs="+", choices=choices, help="these parts instead of all")
    parser.add_argument("--quick", action="store_true", help="a try; the figures say little")
    parser.add_argument("--seconds", type=float, help="how long the daemon is measured at a time")
    parser.add_argument("--model", type=Path, help="another bundle than the one that ships")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        require_gst_rtsp()
        for program in ("ffmpeg", "mosquitto"):
            require_program(program)
        main()
    except (EdgeError, pytest.skip.Exception) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(MISSING) from None
