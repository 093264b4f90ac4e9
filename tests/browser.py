"""A real browser on the pages, which fails the test for what a user would not see.

Every page that is opened is watched: errors in the console and requests to anywhere but the
daemon are kept and fail the test when the browser is closed.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from conftest import require_program
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

LAN_NAME = "shop.test"
"""A name that the browser finds here: to it that is a stranger in the network, no loopback."""
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         f"--host-resolver-rules=MAP {LAN_NAME} 127.0.0.1"]  # fmt: skip
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}

AWAY = r"net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)"
"""What Chromium itself writes into the console while the daemon is away."""

PROBE = "/static/favicon.svg?probe"
PROBE_LIMIT_S = 10.0
ASK = "(path) => fetch(path, {cache: 'no-store'}).then((answer) => answer.text())"


class Browser:
    """Opens pages of one daemon; each has a context, a device, of its own."""

    def __init__(self, chromium: Any, address: str, expected: str):
        self._chromium, self.address = chromium, address.rstrip("/")
        self._expected = expected
        self.errors: list[str] = []
        self.elsewhere: list[str] = []

    def device(self, **options: Any) -> BrowserContext:
        """A new phone or PC; options as Playwright's new_context, locale Korean at first."""
        options = {"locale": "ko-KR", "viewport": PHONE, "color_scheme": "light"} | options
        context: BrowserContext = self._chromium.new_context(**options)
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", lambda request: self._asked(request.url))
        return context

    def open(self, path: str = "/", **options: Any) -> Page:
        page = self.device(**options).new_page()
        page.goto(self.address + path)
        return page

    def expect_in_console(self, pattern: str) -> None:
        """Let the console say from now on what matches the pattern."""
        self._expected = "|".join(filter(None, [self._expected, pattern]))

    def _said(self, kind: str, text: str) -> None:
        expected = self._expected and re.search(self._expected, text)
        if kind in ("error", "warning") and not expected:
            self.errors.append(text)

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme != "blob" and not url.startswith(self.address + "/"):
            self.elsewhere.append(url)


def intercept(page: Page, what: str, then: Callable[[Route], object] | None = None) -> list[Route]:
    """Take all requests of the page to that address from now on; return the list they come into.

    then says what becomes of each; without it they wait until the test lets them go.
    """
    taken: list[Route] = []
    probes: list[Route] = []

    def take(route: Route) -> None:
        taken.append(route)
        if then is not None:
            then(route)

    def answer(route: Route) -> None:
        probes.append(route)
        route.fulfill(body="")

    page.route(what, take)
    # Chromium sends requests past a first route for a moment longer: one of our own shows when
    # that is over. Its route goes while the other stays; without any, all would begin again.
    probe = re.compile(re.escape(PROBE) + "$")
    page.route(probe, answer)
    end_s = time.monotonic() + PROBE_LIMIT_S
    while not probes:
        assert time.monotonic() < end_s, f"no request of {page.url} is intercepted"
        page.evaluate(ASK, PROBE)
    page.unroute(probe)
    return taken


@contextlib.contextmanager
def start_chromium() -> Iterator[Any]:
    """Start Chromium; it takes a second, so the tests of a file may share one."""
    program = require_program("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@contextlib.contextmanager
def watch_browser(chromium: Any, address: str, expected: str = "") -> Iterator[Browser]:
    """Open pages at the address in a browser that runs; at the end nothing may have gone wrong.

    expected: a pattern of what may stand in the console all the same. Chromium itself writes
    each refused request there.
    """
    browser = Browser(chromium, address, expected)
    try:
        yield browser
    finally:
        for context in chromium.contexts:
            context.close()
    assert browser.errors == []
    assert browser.elsewhere == []


@contextlib.contextmanager
def open_browser(address: str, expected: str = "") -> Iterator[Browser]:
    """The same in a browser of its own."""
    with start_chromium() as chromium, watch_browser(chromium, address, expected) as browser:
        yield browser
