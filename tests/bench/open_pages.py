"""What open staff pages cost: the daemon with none, then with fifty that hear all its events."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal
from figures import Row, Spread
from mosquitto import wait_for
from pipeline import DECIDED_S
from processes import cpu_a_minute, running
from shop import EDGE, Shop, open_shop
from streams import BUSY, CAMERAS, COLUMNS, ROWS, rendered

PAGES = 50
DAEMON = "the daemon"


def measure_pages(model: Path | None, windows: int, window_s: float) -> Iterator[Row]:
    """Yield the CPU without and with pages, by turns, and what one page is told."""
    recording = rendered(BUSY)
    slots = len(CAMERAS) * ROWS * COLUMNS
    part = f"Pages, {recording.name}: {PAGES} open staff pages of {slots} slots"
    without: list[float] = []
    beside: list[float] = []
    told = _Told()
    with (
        open_shop(recording, model) as shop,
        running([*EDGE, "run", "-c", str(shop.site)], shop.log) as daemon,
    ):
        shop.wait_until_online(daemon)
        time.sleep(DECIDED_S)
        for _ in range(windows):
            without += cpu_a_minute({DAEMON: daemon}, 1, window_s)[DAEMON]
            with _open_pages(_address(shop), told):
                beside += cpu_a_minute({DAEMON: daemon}, 1, window_s)[DAEMON]
    cores = [[100 * cpu_s / 60 for cpu_s in one] for one in (without, beside)]
    added = [more - less for less, more in zip(*cores, strict=True)]
    minutes = windows * window_s / 60
    yield Row(part, "daemon, no page open", "% of one core", Spread.around_mean(cores[0]))
    yield Row(part, f"daemon, {PAGES} pages open", "% of one core", Spread.around_mean(cores[1]))
    yield Row(part, f"what {PAGES} pages add", "% of one core", Spread.around_mean(added))
    a_minute = Spread.single(told.events / PAGES / minutes)
    yield Row(part, "events, each page", "a minute", a_minute)
    kilobytes = Spread.single(told.bytes / PAGES / minutes / 1e3)
    yield Row(part, "sent, each page", "kB a minute", kilobytes)


class _Told:
    """What all pages together were sent, without what each hears when it opens."""

    def __init__(self) -> None:
        self.events = self.bytes = 0


def _address(shop: Shop) -> str:
    pattern = r"the pages are served at (http://\S+)"
    found = wait_for(lambda: re.findall(pattern, shop.log.read_text(encoding="utf-8")))
    return str(found[-1])


@contextmanager
def _open_pages(address: str, told: _Told) -> Iterator[None]:
    """Have the pages open meanwhile, in a thread of their own."""
    url = urlsplit(address)
    host, port = url.hostname or "127.0.0.1", url.port or 80
    with start_blocking_portal() as portal:
        pages = [portal.start_task_soon(_page, host, port, told) for _ in range(PAGES)]
        try:
            yield
            for page in pages:
                if page.done():
                    page.result()  # raises what ended it
        finally:
            for page in pages:
                page.cancel()


async def _page(host: str, port: int, told: _Told) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=2**24)
    writer.write(f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.splitlines()[0]:
        raise SystemExit(f"a page was refused: {head.decode()}")
    await reader.readuntil(b"\n\n")  # hello
    while True:
        event = await reader.readuntil(b"\n\n")
        told.events += 1
        told.bytes += len(event)
