"""What the whole daemon takes, beside FFmpeg that only decodes key frames and the naive loop."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from figures import Row, Spread
from processes import cpu_a_minute, peak_mb, running
from shop import EDGE, EVERY_S, Shop, open_shop
from streams import BUSY, CAMERAS, COLUMNS, IDLE, ROWS, Recording, rendered

DAEMON = "the daemon"
FFMPEG, NAIVE = "FFmpeg, key frames decoded only", "the naive loop"
DECIDED_S = 60.0  # at first every slot is looked at each time, until its state is confirmed
CONNECTED_S = 10.0
UNIT = "CPU s a camera-minute"


def measure_pipeline(model: Path | None, windows: int, window_s: float) -> Iterator[Row]:
    """Yield the figures of an idle shop, then of a busy one."""
    for recording in (rendered(IDLE), rendered(BUSY)):
        with open_shop(recording, model) as shop:
            yield from _measure(shop, recording, windows, window_s)


def _measure(shop: Shop, recording: Recording, windows: int, window_s: float) -> Iterator[Row]:
    part = f"Pipeline, {recording.name}: {len(CAMERAS)} cameras of {ROWS * COLUMNS} slots"
    with running([*EDGE, "run", "-c", str(shop.site)], shop.log) as daemon:
        begun_s = time.monotonic()
        shop.wait_until_online(daemon)
        time.sleep(DECIDED_S)
        alone = cpu_a_minute({DAEMON: daemon}, windows, window_s)[DAEMON]
        with ExitStack() as stack:
            rivals = {
                name: stack.enter_context(running(command, shop.folder / "rivals.log"))
                for name, command in _rivals(shop).items()
            }
            time.sleep(CONNECTED_S)
            beside = cpu_a_minute({DAEMON: daemon, **rivals}, windows, window_s)
        minutes = (time.monotonic() - begun_s) / 60
        memory = peak_mb(daemon)

    cores = [100 * cpu_s / 60 for cpu_s in alone]
    yield Row(part, "daemon, all cameras", "% of one core", Spread.around_mean(cores))
    yield Row(part, "daemon, most memory", "MB", Spread.single(memory))
    yield Row(part, "daemon, alone", UNIT, Spread.around_mean(_each(alone)))
    yield from _side_by_side(part, beside)
    yield from _what_it_did(part, shop, recording, minutes)


def _rivals(shop: Shop) -> dict[str, list[str]]:
    """Return the commands that watch the first camera alone."""
    camera = CAMERAS[0]
    url = shop.servers[camera].url()
    ffmpeg = ["ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp"]
    ffmpeg += ["-skip_frame", "nokey", "-i", url, "-an", "-fps_mode", "passthrough"]
    naive = [sys.executable, str(Path(__file__).with_name("naive.py")), url, str(shop.model)]
    naive += [str(shop.folder / "planogram.yaml"), camera, str(EVERY_S)]
    return {FFMPEG: [*ffmpeg, "-f", "null", "-"], NAIVE: naive}


def _side_by_side(part: str, beside: dict[str, list[float]]) -> Iterator[Row]:
    ours = _each(beside[DAEMON])
    yield Row(part, "daemon, beside the two below", UNIT, Spread.around_mean(ours))
    for name in (FFMPEG, NAIVE):
        ratios = [one / base for one, base in zip(beside[name], ours, strict=True)]
        figure, ratio = Spread.around_mean(beside[name]), Spread.around_mean(ratios)
        yield Row(part, name, UNIT, figure, ratio)


def _each(cpu_s: list[float]) -> list[float]:
    return [one / len(CAMERAS) for one in cpu_s]


def _what_it_did(part: str, shop: Shop, recording: Recording, minutes: float) -> Iterator[Row]:
    """Yield how much there was to do: who does nothing is quick."""
    changes = recording.changes_a_minute
    yield Row(part, "slots that changed, each camera", "a minute", Spread.single(changes))
    kinds = Counter(event["type"] for event in shop.documents("event"))
    told = ", ".join(f"{kind.removeprefix('stock.')} {count}" for kind, count in kinds.items())
    total = Spread.single(sum(kinds.values()))
    yield Row(part, f"events in {minutes:.1f} minutes", "", total, note=told)
    looks = _looks_a_minute(shop)
    if looks is not None:
        yield Row(part, "crops classified, each camera", "a minute", Spread.single(looks))


def _looks_a_minute(shop: Shop) -> float | None:
    """Return the crops a camera-minute between the first and the last health report."""
    reports = shop.documents("health")
    first, last = reports[0], reports[-1]
    passed_s = last["uptime_s"] - first["uptime_s"]
    if passed_s <= 0:
        return None
    looks = last["inference"]["looks"] - first["inference"]["looks"]
    return float(looks * 60 / passed_s / len(CAMERAS))
