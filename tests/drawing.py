"""A person at the calibration page, with a mouse, a finger or a keyboard, who counts every action.

with calibration(tmp_path, picture) as bench:
    hand = bench.mouse()
    hand.at(0.1, 0.2)          # one click
    hand.press("4")            # one key
    assert hand.actions == 2
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from browser import ASK, DESK, PHONE, Browser, open_browser
from pages import serve_pages
from playwright.sync_api import Page, Response, Route

from edge.cameras.blackout import covered
from edge.cameras.demo import build_scene, parse_demo_url
from edge.drawing.bench import CalibrationBench, Setup
from edge.drawing.viewfinder import Capture
from edge.errors import CameraError
from edge.rendered.renderer import Renderer
from edge.site import Decision
from edge.types import CameraReason, Frame, Image, Quad
from edge.web.calibrate import routes

Point = tuple[float, float]

DEMO = "demo:?seed=7"
BAY = ((0.2, 0.2), (0.8, 0.25), (0.78, 0.8), (0.22, 0.85))
"""Corners of the rendered shelf, as fractions of its picture."""
DRAG_STEPS = 6
LIMIT_S = 10.0
PAUSE = timedelta(seconds=2)
"""Longer than what is still one step of undoing, BURST_MS in model.js."""
KEPT = """async () => {
  let before = null, draft = null;
  do {
    before = draft;
    await new Promise((done) => setTimeout(done, 400)); // longer than DRAFT_MS in main.js
    draft = localStorage.getItem("stock.calibrate.draft.aisle");
  } while (draft === null || draft !== before);
}"""

PASTE = """(text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  document.activeElement.dispatchEvent(
    new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""


class Hand:
    """Points are fractions of the picture. One action: a click or tap, a drag, a key, a paste."""

    def __init__(self, page: Page):
        self.page = page
        self.actions = 0
        self._now = datetime.now(UTC)

    def place(self, x: float, y: float) -> Point:
        """Return where a point of the picture is in the window."""
        box = self.page.evaluate(
            "() => document.querySelector('.stage__picture').getBoundingClientRect().toJSON()"
        )
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def at(self, x: float, y: float, **how: Any) -> None:
        self.actions += 1
        self.page.mouse.click(*self.place(x, y), **how)

    def drag(self, start: Point, end: Point) -> None:
        self.actions += 1
        self.page.mouse.move(*self.place(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end), steps=DRAG_STEPS)
        self.page.mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.actions += 1
            self.page.keyboard.press(key)

    def paste(self, text: str) -> None:
        self.actions += 1
        self.page.evaluate(PASTE, text)

    def choose(self, selector: str) -> None:
        self.actions += 1
        self.page.locator(selector).first.click()

    # What a person sees; no action.

    def slots(self) -> int:
        return self.page.locator(".slot").count()

    def quads(self) -> list[list[Point]]:
        """Return the slots as they are drawn, in pixels of the picture."""
        drawn: list[str] = self.page.evaluate(
            "() => [...document.querySelectorAll('.slot__face')].map((face) =>"
            " face.getAttribute('points'))"
        )
        return [[tuple(map(float, p.split(","))) for p in one.split()] for one in drawn]

    def names(self) -> list[str]:
        labels: list[str] = self.page.evaluate(
            "() => [...document.querySelectorAll('.slot')].map((slot) => slot.ariaLabel)"
        )
        return [label.split(" · ")[0] for label in labels]

    def until(self, what: str) -> Any:
        """Wait until a JavaScript expression is true: Playwright's way needs eval."""
        end_s = time.monotonic() + LIMIT_S
        while not (found := self.page.evaluate(what)):
            assert time.monotonic() < end_s, f"never: {what}"
            self.page.wait_for_timeout(25)
        return found

    def wait(self, done: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        """Wait for what the page does to the test: a request that it holds back."""
        end_s = time.monotonic() + limit_s
        said: dict[str, None] = {}  # a toast is gone before the limit is reached
        while not done():
            said |= dict.fromkeys(self.page.locator(".toast").all_inner_texts())
            assert time.monotonic() < end_s, f"never; meanwhile the page said {list(said)}"
            self.page.wait_for_timeout(25)

    def stop_time(self) -> None:
        """Let no time pass for the page, however slowly its keys are pressed."""
        self.page.clock.set_fixed_time(self._now)

    def pause(self) -> None:
        """Let so much pass, after stop_time, that what is done next is a step of its own."""
        self._now += PAUSE
        self.page.clock.set_fixed_time(self._now)

    def kept(self) -> None:
        """Wait until what is drawn on the camera "aisle" is kept as its draft.

        A timer of the page's own comes after those that were set before it and run shorter.
        """
        self.page.evaluate(KEPT)

    def settled(self) -> None:
        """Wait for the next two frames: what was done is drawn."""
        self.page.evaluate(
            "() => new Promise((done) =>"
            " requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        )

    def let_go(self, route: Route) -> None:
        """Send what was held back; wait until the page has drawn what it makes of the answer."""
        with self.page.expect_response(lambda answer: answer.request == route.request) as answer:
            route.continue_()
        self.taken_in(answer.value)

    def taken_in(self, answer: Response) -> None:
        """Wait until the page has drawn what it makes of an answer."""
        answer.finished()
        self.page.evaluate(ASK, "/static/favicon.svg")  # this answer comes after it
        self.settled()

    def said(self, text: str) -> None:
        self.page.locator(".toast", has_text=text).wait_for()


class Finger(Hand):
    """The same with touch, sent as a touch screen sends it."""

    def __init__(self, page: Page):
        super().__init__(page)
        self._screen = page.context.new_cdp_session(page)

    def at(self, x: float, y: float, **how: Any) -> None:
        self.actions += 1
        self.page.touchscreen.tap(*self.place(x, y))

    def drag(self, start: Point, end: Point) -> None:
        self.actions += 1
        (x0, y0), (x1, y1) = self.place(*start), self.place(*end)
        self.touch("touchStart", (x0, y0))
        for step in range(1, DRAG_STEPS + 1):
            self.touch(
                "touchMove",
                (x0 + (x1 - x0) * step / DRAG_STEPS, y0 + (y1 - y0) * step / DRAG_STEPS),
            )
        self.touch("touchEnd")

    def choose(self, selector: str) -> None:
        self.actions += 1
        self.page.locator(selector).first.tap()

    def touch(self, kind: str, *points: Point) -> None:
        """Send what the fingers do, all of them at once, as points of the window."""
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


@dataclass
class Cameras:
    """The seam to the cameras: "aisle" shows a picture, "door" shows none until it has one."""

    pictures: dict[str, Image]
    moving: bool = False

    def take(self, camera_id: str) -> Capture:
        if camera_id not in self.pictures:
            raise CameraError("nobody answers at the camera's address", CameraReason.CONNECT_FAILED)
        image = self.pictures[camera_id].copy()
        frame = Frame(camera_id, image, datetime.now(UTC), time.monotonic())
        return Capture(frame, self.moving)

    def close(self) -> None:
        pass


@dataclass
class Calibration:
    """Two cameras, the planogram of both, and a browser before the page."""

    browser: Browser
    cameras: Cameras
    planogram: Path

    def mouse(self, path: str = "/calibrate?camera=aisle", **options: Any) -> Hand:
        return self.ready(Hand(self.browser.open(path, **{"viewport": DESK} | options)))

    def finger(self, path: str = "/calibrate?camera=aisle", **options: Any) -> Finger:
        page = self.browser.open(path, viewport=PHONE, has_touch=True, **options)
        finger = Finger(page)
        self.ready(finger)
        return finger

    def ready(self, hand: Hand) -> Hand:
        hand.until("document.querySelector('.stage__picture')?.naturalWidth > 1")
        hand.settled()
        return hand

    def saved(self, camera_id: str = "aisle") -> list[dict[str, Any]]:
        """Return the camera's slots that stand in the planogram's file."""
        written = yaml.safe_load(self.planogram.read_text(encoding="utf-8"))
        slots: list[dict[str, Any]] = written["cameras"][camera_id]["slots"]
        return slots

    def refused(self, status: int) -> None:
        """An answer of that status was meant to come: Chromium writes each into the console."""
        meant = [error for error in self.browser.errors if f"status of {status} " in error]
        assert meant, f"no answer {status}; {self.browser.errors}"
        for error in meant:
            self.browser.errors.remove(error)


@contextlib.contextmanager
def calibration(
    folder: Path,
    picture: Image,
    blackout: Sequence[Quad] = (),
    bundle: Path | None = None,
    decision: Decision | None = None,
) -> Iterator[Calibration]:
    """Serve the page over a picture, with a real model, file and requests."""
    planogram = folder / "planogram.yaml"
    cameras = Cameras({"aisle": covered(picture, blackout)})
    kinds = {"aisle": "rtsp", "door": "rtsp"}
    setup = Setup(
        kinds,
        planogram,
        bundle,
        blackout={"aisle": blackout},
        decision=decision or Decision(),
    )
    bench = CalibrationBench(lambda: setup, cameras)
    with serve_pages(folder, routes(bench)) as address, open_browser(address) as browser:
        yield Calibration(browser, cameras, planogram)


@functools.cache
def rendered_shelf() -> Image:
    """Return a picture of DEMO's store, 1280 x 720."""
    return Renderer(build_scene(parse_demo_url(DEMO))).picture(0.0)


def shelf(hand: Hand, corners: Sequence[Point], rows: int, columns: int) -> None:
    """Draw a shelf with a mouse and the keyboard: four clicks and the two counts."""
    there = hand.slots()
    for corner in corners:
        hand.at(*corner)
    hand.press(*str(rows), "Tab", *str(columns))
    hand.settled()
    hand.until(f"document.querySelectorAll('.slot').length === {there + rows * columns}")
