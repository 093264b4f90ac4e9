"""How long the other cameras wait for their looks while one camera hangs."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from figures import Row, Spread
from processes import running
from shop import EVERY_S, open_shop
from streams import BUSY, CAMERAS, rendered

PART = "One of four cameras hangs"
SETTLE_S = 15.0


def measure_hang(model: Path | None, seconds: float) -> Iterator[Row]:
    """Yield the longest gaps between two looks of the other cameras, before and meanwhile."""
    hung, *others = CAMERAS
    timed = Path(__file__).with_name("timed.py")
    with open_shop(rendered(BUSY), model) as shop:
        with running([sys.executable, str(timed), str(shop.site)], shop.log) as daemon:
            shop.wait_until_online(daemon)
            time.sleep(SETTLE_S)
            begun_s = time.monotonic()
            time.sleep(seconds)
            hung_s = time.monotonic()
            shop.servers[hung].hang()
            time.sleep(seconds)
            ended_s = time.monotonic()
            told = shop.documents(f"camera/{hung}/status")[-1]
        looks = _looks(shop.log)
    # What it sent before is looked at when that is due, and by key frames that is rarely EVERY_S.
    if looks[hung][-1] > hung_s + _longest_gap_s(looks[hung], begun_s, hung_s):
        raise SystemExit(f"{hung} did not hang")
    before = [_longest_gap_s(looks[camera], begun_s, hung_s) for camera in others]
    meanwhile = [_longest_gap_s(looks[camera], hung_s, ended_s) for camera in others]
    late = [(b - a) / EVERY_S for a, b in zip(before, meanwhile, strict=True)]
    what = "longest gap between two looks of another camera"
    yield Row(PART, f"{what}, before", "s", Spread.around_median(before))
    note = f"after {seconds:.0f} s the hung camera is said to be {told['status']}: {told['reason']}"
    yield Row(PART, f"{what}, meanwhile", "s", Spread.around_median(meanwhile), note=note)
    yield Row(PART, "so a look of another camera is late by", "looks", Spread.around_median(late))


def _looks(log: Path) -> dict[str, list[float]]:
    """Return when each camera's pictures were taken, monotonic, out of all the daemon said."""
    found = defaultdict(list)
    for words in map(str.split, log.read_text().splitlines()):
        if len(words) == 2 and words[0] in CAMERAS:
            found[words[0]].append(float(words[1]))
    return found


def _longest_gap_s(looks: list[float], from_s: float, until_s: float) -> float:
    """Return the longest gap that reaches into the time, cut off at its end."""
    inside = [at_s for at_s in looks if from_s <= at_s < until_s]
    before = [at_s for at_s in looks if at_s < from_s][-1:]
    return max(after - start for start, after in pairwise([*before, *inside, until_s]))
