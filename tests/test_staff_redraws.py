"""News on the staff page change words and figures, never what somebody has opened or focused."""

from __future__ import annotations

import pytest
from browser import DESK
from playwright.sync_api import Page, expect
from shop import Shop
from visits import settled


def load_again(page: Page, what: str) -> None:
    """Let a minute pass, after which the page asks anew, and wait for the answer."""
    page.clock.install()
    page.clock.fast_forward(61_000)
    with page.expect_response(f"**/api/{what}*") as answer:
        page.evaluate("dispatchEvent(new Event('online'))")  # news, with which it looks at the time
    answer.value.finished()


def test_new_figures_leave_the_history_as_it_was_opened_and_scrolled(visit):
    shop = Shop()
    page = visit(shop, "/#history")
    settled(page, "history")
    page.get_by_role("button", name="모두 보기").click()
    page.get_by_role("button", name="숫자로").click()
    cell, told = page.locator(".heat__cell[data-words]").nth(13 * 24 + 9), page.locator("output")
    cell.focus()
    page.evaluate("document.querySelector('.heat .scroll').scrollLeft = 40")
    page.evaluate("window.before = document.activeElement")
    words = told.inner_text()

    shop.hours_on = 1
    load_again(page, "report")
    expect(page.locator(".worst")).to_contain_text("4시간 42분")
    assert page.locator(".heat tbody tr").count() == 14
    assert page.get_by_role("button", name="숫자로").get_attribute("aria-pressed") == "true"
    assert page.locator(".heat__table--numbers").count() == 1
    assert page.evaluate("document.querySelector('.heat .scroll').scrollLeft") == 40
    assert page.evaluate("document.activeElement === before")
    expect(page.locator(":focus")).to_be_in_viewport()
    assert told.inner_text() == page.evaluate("document.activeElement.dataset.words") != words


def test_a_report_without_news_changes_nothing(visit):
    page = visit(Shop(), "/#history")
    settled(page, "history")
    page.evaluate("""() => {
      window.changes = 0;
      const options = { subtree: true, childList: true, characterData: true };
      new MutationObserver(() => (window.changes += 1)).observe(
        document.querySelector(".history"), options);
    }""")
    load_again(page, "report")
    page.wait_for_timeout(200)
    assert page.evaluate("changes") == 0


def test_health_tells_new_figures_around_a_link_that_keeps_the_focus(visit):
    shop = Shop()
    page = visit(shop, "/#health")
    settled(page, "health")
    link = page.get_by_role("link", name="위치 다시 맞추기")
    link.focus()
    expect(page.locator(".vitals")).to_contain_text("50시간 50분")
    shop.hours_on = 1
    load_again(page, "health")
    expect(page.locator(".vitals")).to_contain_text("51시간 50분")
    expect(link).to_be_focused()


def test_trouble_that_is_fixed_is_gone_from_health(visit):
    shop = Shop()
    page = visit(shop, "/#health")
    settled(page, "health")
    expect(page.locator(".vital--bad dt", has_text="fridge")).to_be_visible()
    shop.cameras[1] |= {"status": "online", "reason": None, "moved_by": None}
    load_again(page, "health")
    expect(page.locator(".vital--bad dt")).to_have_text(["메시지 서버", "전송 대기"])
    expect(page.locator(".verdict")).to_contain_text("살펴볼 것이 2가지 있어요")
    expect(page.get_by_role("link", name="위치 다시 맞추기")).to_have_count(0)


@pytest.mark.parametrize("free_bytes", [41_300_000_000, None])
def test_a_disk_with_too_little_room_is_trouble_whatever_its_figure(visit, free_bytes):
    shop = Shop()
    page = visit(shop, "/#health")
    settled(page, "health")
    expect(page.locator(".vital--bad dt", has_text="저장 공간")).to_have_count(0)
    shop.disk = {"free_bytes": free_bytes, "enough": False}
    load_again(page, "health")
    expect(page.locator(".vital--bad dt", has_text="저장 공간")).to_be_visible()


def test_the_trouble_of_a_camera_keeps_the_focus_while_news_come(visit):
    shop = Shop()
    page = visit(shop, "/#shelves", viewport=DESK)
    page.locator(".cameras__tab", has_text="fridge").click()
    link = page.locator("#shelves .notice").get_by_role("link")
    link.focus()
    shop.slots[0]["name"] = "다른 이름"
    shop.tell(shop.slots[0])
    expect(page.locator(".card__name", has_text="다른 이름")).to_be_visible()
    expect(link).to_be_focused()
    page.locator(".cameras__tab", has_text="aisle").click()
    expect(page.locator("#shelves .notice")).to_be_hidden()
