"""The staff page in a real browser beside the real daemon: seconds count, nothing gets lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from browser import AWAY, DESK, Browser, open_browser
from daemon import Daemon, StagedShelf, write_site
from mosquitto import Heard, Mosquitto, Subscriber, free_port, wait_for
from playwright.sync_api import Page, expect
from witness import clock_s

SOON_S = 1.0
OPENED, STATE = "stock/shop/event", "stock/shop/slot/slot-0/state"

WATCH = """([selector, text]) => {
  const note = {at: null};
  window.notes = [...(window.notes ?? []), note];
  const look = () => {
    const found = [...document.querySelectorAll(selector)];
    const there = text === null
      ? found.length === 0
      : found.length === 1 && found[0].textContent.includes(text);
    if (there) note.at ??= Date.now();
  };
  new MutationObserver(look).observe(document,
    {subtree: true, childList: true, characterData: true, attributes: true});
  look();
  return window.notes.length - 1;
}"""
"""The page itself notes when it first shows one such element with the text, or (null) none."""


@pytest.fixture
def site(tmp_path: Path, shelf: StagedShelf, broker: Mosquitto) -> Path:
    """Four slots; the pages have a port of their own, which a restart keeps."""
    path = write_site(
        tmp_path, shelf.url("/still.jpg"), {"url": f"mqtt://127.0.0.1:{broker.port}"}, 4
    )
    told = yaml.safe_load(path.read_text())
    told["web"] = {"listen": f"127.0.0.1:{free_port()}"}
    path.write_text(yaml.safe_dump(told))
    return path


@pytest.fixture
def daemon(site: Path) -> Iterator[Daemon]:
    with Daemon(site) as running:
        yield running


@pytest.fixture
def browser(daemon: Daemon) -> Iterator[Browser]:
    pattern = r"the pages are served at (http://\S+)"
    address = wait_for(lambda: re.search(pattern, daemon.log()), 30)[1]
    with open_browser(address, AWAY) as running:
        yield running


def open_page(browser: Browser, **options: object) -> Page:
    page = browser.open(**options)
    expect(page.locator(".live[data-kind=live]")).to_be_visible(timeout=20_000)
    expect(page.locator("#todo .nothing")).to_contain_text("지금 채울 곳이 없어요", timeout=20_000)
    return page


def watch(page: Page, selector: str, text: str | None) -> Callable[[], float]:
    """Return what waits until the page shows that, and tells when it first did.

    When: by time.monotonic(). The page may show it already.
    """
    number = page.evaluate(WATCH, [selector, text])

    def shown_s() -> float:
        shown_ms = wait_for(lambda: page.evaluate(f"window.notes[{number}].at"), 20)
        return clock_s(datetime.fromtimestamp(shown_ms / 1000, UTC))

    return shown_s


def empty(shelf: StagedShelf, listener: Subscriber, number: int = 0) -> float:
    """Empty a slot and wait until the daemon has told of it; return when that was."""
    shelf.empty = {number}
    subject = f"slot/slot-{number}"
    told = wait_for(lambda: [one for one in events(listener) if one["subject"] == subject], 20)
    return clock_s(datetime.fromisoformat(told[0]["time"]))


def events(listener: Subscriber) -> list[dict]:
    told = [json.loads(payload) for payload in listener.payloads(OPENED)]
    return [one for one in told if one["type"] == "stock.slot.opened.v1"]


def said(listener: Subscriber) -> dict:
    return json.loads(listener.payloads(STATE)[-1])


def acked(message: Heard) -> object:
    return json.loads(message.payload)["ack"]


def test_an_incident_shows_within_a_second_and_so_does_what_others_do(
    browser, shelf, listener, witness
):
    mine, others = open_page(browser), open_page(browser, viewport=DESK)
    first = watch(mine, ".card", "Product 0"), watch(others, ".card", "비어 있음")
    opened_s = empty(shelf, listener)
    for shown_s in first:
        assert witness.ran_s(opened_s, shown_s()) < SOON_S
    assert mine.title() == "(1) 채울 곳 · shop"

    others_know = watch(others, ".group .row", "Product 0"), watch(others, ".card", None)
    mine.get_by_role("button", name="Product 0 · 채우러 갈게요").click()
    clicked_s = time.monotonic()
    for shown_s in others_know:
        assert witness.ran_s(clicked_s, shown_s()) < SOON_S
    acknowledged = wait_for(lambda: [one for one in listener.heard(STATE) if acked(one)])
    assert witness.ran_s(clicked_s, acknowledged[0].at_s) < SOON_S

    back_s = watch(others, ".card", "Product 0")
    mine.get_by_role("button", name="되돌리기", exact=True).click()
    clicked_s = time.monotonic()
    assert witness.ran_s(clicked_s, back_s()) < SOON_S
    wait_for(lambda: said(listener)["ack"] is None)

    expect(mine.locator(".card")).to_contain_text("Product 0", timeout=20_000)
    gone_s, refilled_s = watch(mine, ".card", None), watch(mine, ".recent", "채워졌어요")
    shelf.empty = ()
    assert witness.ran_s(gone_s(), refilled_s()) < SOON_S


def test_a_wrong_alert_is_denied_on_one_phone_and_taken_back_on_another(
    browser, shelf, listener, witness
):
    mine, others = open_page(browser), open_page(browser, viewport=DESK)
    empty(shelf, listener)
    expect(others.locator(".card")).to_contain_text("Product 0", timeout=20_000)
    gone_s = watch(others, ".card", None)
    mine.get_by_role("button", name="Product 0 · 비어 있지 않아요").click()
    clicked_s = time.monotonic()
    assert witness.ran_s(clicked_s, gone_s()) < SOON_S
    wait_for(lambda: said(listener)["incident_id"] is None)

    expect(mine.locator(".card")).to_have_count(0, timeout=20_000)
    back_s = watch(mine, ".card", "Product 0")
    others.get_by_role("button", name="Product 0 · 되돌리기").click()
    clicked_s = time.monotonic()
    assert witness.ran_s(clicked_s, back_s()) < 5 * SOON_S


def test_who_is_on_the_way_is_called_by_name(browser, shelf, listener, witness):
    mine, others = open_page(browser), open_page(browser, viewport=DESK)
    mine.get_by_role("button", name="설정").click()
    mine.get_by_label("내 이름").fill("민지")
    mine.get_by_role("button", name="닫기", exact=True).click()
    empty(shelf, listener)
    named_s = watch(others, ".group .row", "민지")
    mine.get_by_role("button", name="Product 0 · 채우러 갈게요").click()
    clicked_s = time.monotonic()
    assert witness.ran_s(clicked_s, named_s()) < SOON_S
    wait_for(lambda: (said(listener)["ack"] or {}).get("by") == "민지")


def test_the_page_outlives_a_restart_of_the_daemon(browser, daemon, shelf, listener):
    page = open_page(browser)
    daemon.end()
    expect(page.locator(".live")).to_contain_text("다시 연결하는 중")
    page.get_by_role("button", name="설정").click()  # the page itself goes on
    page.keyboard.press("Escape")
    shelf.empty = {1}
    daemon.begin()
    expect(page.locator(".card")).to_contain_text("Product 1", timeout=40_000)
    expect(page.locator(".live")).to_contain_text("실시간")


def test_a_tap_while_the_daemon_restarts_is_not_lost(browser, daemon, shelf, listener):
    page = open_page(browser)
    empty(shelf, listener)
    expect(page.locator(".card")).to_contain_text("Product 0")
    daemon.end()
    page.get_by_role("button", name="Product 0 · 채우러 갈게요").click()
    expect(page.locator(".card")).to_contain_text("보내는 중")
    daemon.begin()
    expect(page.locator(".group .row")).to_contain_text("Product 0", timeout=40_000)


def test_pictures_of_now_and_when_full_are_shown(browser, shelf, listener):
    page = open_page(browser, viewport=DESK)
    empty(shelf, listener)
    for which in ("now", "full"):
        shot = page.locator(f".card .shot--{which} img")
        expect(shot).to_be_visible(timeout=10_000)
        assert shot.evaluate("image => image.naturalWidth") > 0
    expect(page.locator(".stage__photo")).to_be_visible()
