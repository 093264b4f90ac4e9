"""The staff page and its connection: silence, sleep, refusals, and what it tells without looking.

Time is the browser's own and is moved on by the test: nobody waits for half a minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, intercept, watch_browser
from mosquitto import wait_for
from pages import serve_pages
from playwright.sync_api import Page, expect
from shop import NAMES, Shop, emptied, time

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
COUNT_RINGS = """() => {
  window.rings = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (when) {
    window.rings += 1;
    start.call(this, when);
  };
}"""


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def browser(tmp_path: Path, chromium: Any, shop: Shop) -> Iterator[Browser]:
    with (
        serve_pages(tmp_path, shop.routes()) as address,
        watch_browser(chromium, address, "status of 503") as running,
    ):
        yield running


def open_page(browser: Browser, clock: bool = True) -> Page:
    page = browser.device().new_page()
    if clock:
        page.clock.install()
    page.goto(browser.address + "/")
    expect(page.locator(".live")).to_contain_text("실시간")
    return page


def test_after_half_a_minute_of_silence_it_asks_anew(browser, shop):
    page = open_page(browser)
    shop.slots[2]["name"] = "다른 이름"  # told by nobody: only everything anew shows it
    page.clock.fast_forward(20_000)
    assert page.locator(".card__name").first.inner_text() == NAMES[2]
    page.clock.fast_forward(15_000)
    expect(page.locator(".card__name").first).to_have_text("다른 이름")
    expect(page.locator(".live")).to_contain_text("실시간")
    wait_for(lambda: shop.listeners == 1)


def test_without_a_connection_it_says_how_old_it_is_and_comes_back(browser, shop):
    page = open_page(browser)
    shop.away = True
    page.clock.fast_forward(35_000)
    banner = page.locator(".offline")
    date = r"(\d+월 \d+일 )?"  # where midnight has passed meanwhile
    expect(banner).to_contain_text(re.compile(rf"연결이 끊겼어요 · {date}\d\d:\d\d 화면이에요"))
    expect(page.locator(".live")).to_contain_text("다시 연결하는 중")
    assert page.locator(".card").count() == 4  # what was known stays, marked as old
    assert "is-old" in (page.locator("body").get_attribute("class") or "")
    shop.away = False
    page.clock.fast_forward(20_000)
    expect(banner).to_be_hidden()
    expect(page.locator(".live")).to_contain_text("실시간")


def test_a_hidden_page_hangs_up_and_a_page_that_is_looked_at_calls_again(browser, shop):
    page = open_page(browser)
    page.evaluate(HIDE, True)
    page.clock.fast_forward(20_000)
    assert shop.listeners == 1
    page.clock.fast_forward(11_000)
    wait_for(lambda: shop.listeners == 0)
    emptied(shop.slots[15], 500)
    shop.slots[15]["priority"] = 1
    page.evaluate(HIDE, False)
    expect(page.locator(".card").first).to_contain_text(shop.slots[15]["name"])
    wait_for(lambda: shop.listeners == 1)


def test_a_page_behind_another_tells_what_ran_empty_all_the_same(browser, shop):
    page = open_page(browser)
    page.evaluate(COUNT_RINGS)
    turn_sound_on(page)
    page.evaluate(HIDE, True)
    page.clock.fast_forward(31_000)
    wait_for(lambda: shop.listeners == 0)
    rung = page.evaluate("rings")
    emptied(shop.slots[16], 0)
    page.clock.fast_forward(31_000)
    wait_for(lambda: page.title().startswith("(5)"))
    assert page.evaluate("rings") > rung
    assert shop.listeners == 0
    page.evaluate(HIDE, False)
    wait_for(lambda: shop.listeners == 1)


def test_what_runs_empty_is_told_to_who_does_not_look(browser, shop):
    page = open_page(browser, clock=False)
    emptied(shop.slots[16], 0)
    shop.tell(shop.slots[16])
    live = page.locator("[aria-live=polite]")
    expect(live).to_have_text(f"새로 비었어요 · {shop.slots[16]['name']}", timeout=10_000)
    assert page.title().startswith("(5)")
    assert live.count() == 1


def turn_sound_on(page: Page) -> int:
    """Turn it on in the settings; return how many notes that rang."""
    page.get_by_role("button", name="설정").click()
    page.get_by_role("button", name="소리 켜기").click()
    rung = page.evaluate("rings")
    assert rung > 0  # so that it is heard what it sounds like
    page.get_by_role("button", name="닫기", exact=True).click()
    return rung


def test_it_rings_once_the_sound_was_turned_on(browser, shop):
    page = open_page(browser, clock=False)
    page.evaluate(COUNT_RINGS)
    emptied(shop.slots[16], 0)
    shop.tell(shop.slots[16])
    expect(page.locator(".card")).to_have_count(5)
    assert page.evaluate("rings") == 0
    rung = turn_sound_on(page)
    emptied(shop.slots[17], 0)
    shop.tell(shop.slots[17])
    page.wait_for_function("before => rings > before", arg=rung)


@pytest.mark.parametrize("told", [True, False])
def test_what_is_no_longer_put_off_rings_and_is_told_once(browser, shop, told):
    """Also where the daemon says nothing: the page's own clock brings it back."""
    late = shop.slots[5]
    emptied(late, 30, snooze_until=time(-60))
    page = open_page(browser)
    page.evaluate(COUNT_RINGS)
    rung = turn_sound_on(page)
    expect(page.locator(".later summary")).to_contain_text("나중에 보기 1")
    if told:
        late["incident"]["snooze_until"] = None
        shop.tell(late, at=time(-61))  # that time has come to the page before the news
    else:
        shop.tell(at=time(-59.95))
        page.clock.run_for(10_000)
    expect(page.locator(".card")).to_have_count(5)
    page.clock.run_for(6000)
    live = page.locator("[aria-live=polite]")
    expect(live).to_have_text(f"새로 비었어요 · {late['name']}")
    page.clock.run_for(6000)
    assert page.evaluate("rings") == 2 * rung


def test_what_was_there_when_the_page_came_is_not_told(browser, shop):
    shop.away = True
    page = browser.device().new_page()
    page.clock.install()
    page.goto(browser.address + "/")
    page.clock.run_for(12_000)  # it looks at the time also while it knows nothing
    shop.away = False
    page.clock.fast_forward(20_000)
    expect(page.locator(".card")).to_have_count(4)
    page.clock.run_for(6000)
    shop.slots[2]["name"] = "다른 이름"
    page.evaluate("dispatchEvent(new Event('online'))")  # which connects anew
    expect(page.locator(".card__name").first).to_have_text("다른 이름")
    page.clock.run_for(6000)
    expect(page.locator("[aria-live=polite]")).to_be_empty()


def test_the_pin_is_asked_for_until_somebody_is_signed_in(browser, shop):
    browser.expect_in_console("status of 401")
    shop.refuse = (401, "sign_in")
    page = open_page(browser, clock=False)
    intercept(page, "**/api/session", lambda route: route.fulfill(json={}))
    go = page.get_by_role("button", name=f"{NAMES[2]} · 채우러 갈게요")
    go.click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_be_visible()
    for _ in range(3):  # the second in a row closes it, whatever the page says
        page.keyboard.press("Escape")
    expect(sheet).to_contain_text("PIN을 다시 입력해 주세요")
    expect(sheet).to_be_visible()
    shop.refuse = None
    sheet.get_by_label("PIN", exact=True).fill("204816")
    sheet.get_by_role("button", name="로그인").click()
    expect(sheet).to_have_count(0)
    go.click()
    expect(page.locator(".toast")).to_contain_text("채우러 간다고 알렸어요")


def test_a_lost_answer_is_asked_for_again_with_the_same_number(browser, shop):
    page = open_page(browser, clock=False)
    lost = []

    def lose(route) -> None:
        lost.append(route.request.post_data_json["action_id"])
        if len(lost) == 1:
            route.abort("failed")
        else:
            route.continue_()

    browser.expect_in_console("ERR_FAILED")
    intercept(page, "**/api/act", lose)
    page.get_by_role("button", name=f"{NAMES[2]} · 채우러 갈게요").click()
    expect(page.locator(".toast")).to_contain_text("채우러 간다고 알렸어요")
    assert lost == [shop.acts[0]["action_id"]] * 2
