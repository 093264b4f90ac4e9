"""The login page in a real browser: what the PIN opens, what it says of itself, who goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import LAN_NAME, Browser, watch_browser
from looks import low_contrasts, small_targets, sticking_out, unnamed
from mosquitto import wait_for
from pages import serve_pages
from playwright.sync_api import Page, expect
from shop import Shop

from edge.pin import set_pin

PIN = "204816"
REFUSED = "status of (401|429)"  # Chromium writes each into the console


@pytest.fixture
def browser(tmp_path: Path, chromium: Any) -> Iterator[Browser]:
    """A phone in the shop's network, to which the pages are plain http."""
    set_pin(tmp_path / "pin", PIN)
    with (
        serve_pages(tmp_path, Shop().routes(), names=(LAN_NAME,)) as address,
        watch_browser(chromium, address.replace("127.0.0.1", LAN_NAME), REFUSED) as running,
    ):
        yield running


def sign_in(page: Page, pin: str = PIN) -> None:
    page.get_by_label("PIN", exact=True).fill(pin)
    page.get_by_role("button", name="로그인").click()


def test_the_pin_opens_the_page_that_was_asked_for(browser):
    page = browser.open("/?from=link")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("이 기기 이름").fill("민지 휴대폰")
    sign_in(page)
    expect(page).to_have_url(f"{browser.address}/?from=link")
    expect(page.locator(".card").first).to_be_visible()
    page.goto(browser.address + "/login")  # who is signed in is not asked again
    expect(page).to_have_url(f"{browser.address}/")


@pytest.mark.parametrize("path", ["/", "/calibrate"])
def test_who_opens_a_page_stays_signed_in_for_thirty_days_more(browser, path):
    browser.expect_in_console("status of 404")  # the shop of this test has no cameras to draw on
    page = browser.open("/")
    sign_in(page)
    expect(page.locator(".card").first).to_be_visible()
    (cookie,) = page.context.cookies()
    soon = time.time() + 86_400
    page.context.add_cookies([cookie | {"expires": soon}])
    page.goto(browser.address + path)

    def expires() -> float:
        return page.context.cookies()[0]["expires"]

    wait_for(lambda: expires() > soon + 28 * 86_400)


def test_without_tls_it_says_what_the_pin_protects_and_what_not(browser):
    page = browser.open("/login")
    expect(page.locator(".honest")).to_contain_text("암호화되지 않은 연결이에요")
    expect(page.locator(".honest")).to_contain_text("엿듣는 사람은 PIN과 사진을 볼 수 있어요")
    expect(page.locator(".honest")).to_contain_text("web.tls")


def test_a_wrong_pin_is_said_and_after_many_one_waits(browser):
    page = browser.open("/login")
    for _ in range(5):
        sign_in(page, "999999")
        expect(page.get_by_role("alert")).to_have_text("PIN이 맞지 않아요")
        expect(page.get_by_label("PIN", exact=True)).to_be_focused()
        expect(page.get_by_role("button", name="로그인")).to_be_enabled()
        page.get_by_role("alert").evaluate("one => one.textContent = ''")
    sign_in(page)
    expect(page.get_by_role("alert")).to_have_text(re.compile(r"^\d+초 뒤에 다시 시도해 주세요"))
    expect(page.get_by_role("button", name="로그인")).to_be_disabled()


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.test/", "/\\evil.test/", "https://evil.test/"),
        *("/%09/evil.test/", "/%0A/evil.test/", "javascript:alert(1)", "https://"),
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(browser, path):
    page = browser.open("/login?next=" + path)
    sign_in(page)
    expect(page).to_have_url(f"{browser.address}/")


def test_a_session_that_ends_asks_for_the_pin_over_the_page(browser):
    page = browser.open("/login")
    sign_in(page)
    expect(page.locator(".card").first).to_be_visible()
    page.context.clear_cookies()
    page.get_by_role("button", name=re.compile("채우러 갈게요")).first.click()
    expect(page.get_by_role("dialog")).to_contain_text("PIN을 다시 입력해 주세요")
    assert page.locator(".card").count() == 4  # the page stays
    sign_in(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".live")).to_contain_text("실시간")


def test_who_signs_out_is_out(browser):
    page = browser.open("/login")
    sign_in(page)
    page.get_by_role("button", name="설정").click()
    expect(page.get_by_role("dialog")).to_contain_text(
        "이 주소(http)에서는 휴대폰 알림을 쓸 수 없어요"
    )
    page.get_by_role("button", name="로그아웃").click()
    expect(page).to_have_url(f"{browser.address}/login")
    page.goto(browser.address + "/")
    expect(page).to_have_url(re.compile("/login"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_it_is_readable_named_and_fits_the_smallest_phone(browser, theme, locale):
    page = browser.open(
        "/login", viewport={"width": 320, "height": 560}, color_scheme=theme, locale=locale
    )
    page.get_by_label("PIN").wait_for()
    assert low_contrasts(page) == []
    assert unnamed(page) == []
    assert small_targets(page) == []
    assert sticking_out(page) == []
