"""How long one waits: for the daemon to be online, for the command line, for imports."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from figures import Row, Spread
from mosquitto import wait_for
from processes import running
from shop import EDGE, ONLINE_S, Shop, open_shop
from streams import IDLE, rendered

PART = "Start-up (files in the disk cache)"


def measure_startup(model: Path | None, rounds: int) -> Iterator[Row]:
    """Yield seconds, measured by turns; the ratios are to the daemon's start."""
    with open_shop(rendered(IDLE), model) as shop:
        starts: dict[str, Callable[[], float]] = {
            "`edge run` until `online` is at the broker": lambda: _until_online_s(shop),
            "`edge version`": lambda: _ends_after_s(*EDGE, "version"),
            "`import edge.monitor`": lambda: _ends_after_s(sys.executable, "-c", _MONITOR),
            "`import torch`, for comparison": lambda: _ends_after_s(sys.executable, "-c", _TORCH),
            "Python alone": lambda: _ends_after_s(sys.executable, "-c", ""),
        }
        for start in starts.values():
            start()
        found = {name: [] for name in starts}
        for _ in range(rounds):
            for name, start in starts.items():
                found[name].append(start())
    ours = next(iter(found.values()))
    for name, took_s in found.items():
        ratios = [one / base for one, base in zip(took_s, ours, strict=True)]
        ratio = None if took_s is ours else Spread.around_median(ratios)
        yield Row(PART, name, "s", Spread.around_median(took_s), ratio)


_MONITOR, _TORCH = "import edge.monitor", "import torch"


def _ends_after_s(*command: str) -> float:
    begun_s = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun_s


def _until_online_s(shop: Shop) -> float:
    """Each start is that of a fresh device; what is left of the one before says offline."""
    before = shop.heard("status").count(b"online")
    begun_s = time.monotonic()
    with running([*EDGE, "run", "-c", str(shop.site)], shop.log):
        wait_for(lambda: shop.heard("status").count(b"online") > before, ONLINE_S, "online")
        return time.monotonic() - begun_s
