"""The staff page in a real browser beside the real daemon: seconds count, nothing gets lost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from browser import AWAY, DESK, Browser, open_browser
from daemon import Daemon, StagedShelf, write_site
from mosquitto import Mosquitto, Subscriber, free_port, wait_for
from playwright.sync_api import Page, expect

SOON_MS = 1000
OPENED, STATE = "stock/shop/event", "stock/shop/slot/slot-0/state"


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


def empty(shelf: StagedShelf, listener: Subscriber, number: int = 0) -> None:
    """Empty a slot and wait until the daemon has told of it."""
    shelf.empty = {number}
    subject = f"slot/slot-{number}"
    wait_for(lambda: [one for one in events(listener) if one["subject"] == subject], 20)


def events(listener: Subscriber) -> list[dict]:
    told = [json.loads(payload) for payload in listener.payloads(OPENED)]
    return [one for one in told if one["type"] == "stock.slot.opened.v1"]


def said(listener: Subscriber) -> dict:
    return json.loads(listener.payloads(STATE)[-1])


def test_an_incident_shows_within_a_second_and_so_does_what_others_do(browser, shelf, listener):
    mine, others = open_page(browser), open_page(browser, viewport=DESK)
    empty(shelf, listener)
    expect(mine.locator(".card")).to_contain_text("Product 0", timeout=SOON_MS)
    expect(others.locator(".card")).to_contain_text("비어 있음", timeout=SOON_MS)
    assert mine.title() == "(1) 채울 곳 · shop"

    mine.get_by_role("button", name="Product 0 · 채우러 갈게요").click()
    expect(others.locator(".group .row")).to_contain_text("Product 0", timeout=SOON_MS)
    expect(others.locator(".card")).to_have_count(0, timeout=SOON_MS)
    wait_for(lambda: said(listener)["ack"], SOON_MS / 1000)

    mine.get_by_role("button", name="되돌리기", exact=True).click()
    expect(others.locator(".card")).to_contain_text("Product 0", timeout=SOON_MS)
    wait_for(lambda: said(listener)["ack"] is None)

    expect(mine.locator(".card")).to_contain_text("Product 0", timeout=20_000)
    shelf.empty = ()
    expect(mine.locator(".card")).to_have_count(0, timeout=20_000)
    expect(mine.locator(".recent")).to_contain_text("채워졌어요", timeout=SOON_MS)


def test_a_wrong_alert_is_denied_on_one_phone_and_taken_back_on_another(browser, shelf, listener):
    mine, others = open_page(browser), open_page(browser, viewport=DESK)
    empty(shelf, listener)
    mine.get_by_role("button", name="Product 0 · 비어 있지 않아요").click()
    expect(others.locator(".card")).to_have_count(0, timeout=SOON_MS)
    wait_for(lambda: said(listener)["incident_id"] is None)

    others.get_by_role("button", name="Product 0 · 되돌리기").click()
    expect(mine.locator(".card")).to_contain_text("Product 0", timeout=5 * SOON_MS)


def test_who_is_on_the_way_is_called_by_name(browser, shelf, listener):
    mine, others = open_page(browser), open_page(browser, viewport=DESK)
    mine.get_by_role("button", name="설정").click()
    mine.get_by_label("내 이름").fill("민지")
    mine.get_by_role("button", name="닫기", exact=True).click()
    empty(shelf, listener)
    mine.get_by_role("button", name="Product 0 · 채우러 갈게요").click()
    expect(others.locator(".group .row")).to_contain_text("민지", timeout=SOON_MS)
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
