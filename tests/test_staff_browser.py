"""The staff page in a real browser, on a shop that shows every state and trouble at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from browser import DESK, PHONE
from mosquitto import wait_for
from playwright.sync_api import Page, expect
from shop import NAMES, Shop, emptied, milliseconds, time
from visits import VIEWS, settled


def cards(page: Page) -> list[str]:
    return page.locator(".cards .card__name").all_inner_texts()


def test_most_urgent_comes_first_and_nothing_that_is_put_off_is_hidden(visit):
    page = visit(Shop())
    assert cards(page) == [NAMES[2], NAMES[1], NAMES[0], NAMES[3]]
    urgent = page.locator(".card").first
    expect(urgent).to_contain_text("급함")
    expect(urgent).to_contain_text("3시간 5분째")
    expect(urgent).to_contain_text("6번 확인해 6번 같은 결과")
    expect(urgent).to_contain_text("비었을 가능성 97 %")
    expect(page.locator(".group .row")).to_contain_text("민지 · 4분 전")
    expect(page.locator(".later summary")).to_contain_text("나중에 보기 1")
    assert page.title() == "(4) 채울 곳 · shop"
    assert page.locator("link[rel=icon]").get_attribute("href") == "/static/favicon-alert.svg"


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("ko-KR", "카메라가 칸 너비의 약 40 %만큼 움직였어요"),
        ("en-US", "Moved by about 40 % of a slot's width"),
    ],
)
def test_a_moved_camera_says_by_how_much_and_where_that_is_put_right(visit, locale, words):
    page = visit(Shop(), "/#shelves", viewport=DESK, locale=locale)
    page.locator(".cameras__tab", has_text="fridge").click()
    trouble = page.locator("#shelves .notice")
    expect(trouble).to_contain_text(words)
    assert trouble.get_by_role("link").get_attribute("href") == "/calibrate?camera=fridge"
    settled(page, "health")
    vital = page.locator(".vital--bad", has_text="fridge")
    expect(vital).to_contain_text(words)
    assert vital.get_by_role("link").get_attribute("href") == "/calibrate?camera=fridge"


@pytest.mark.parametrize(
    ("locale", "later", "words"),
    [
        ("ko-KR", "나중에", "오늘은 그만 (24:00까지)"),
        ("en-US", "Later", "not today, until 24:00"),
    ],
)
def test_what_is_put_off_for_today_is_put_off_until_a_time(visit, locale, later, words):
    page = visit(Shop(), viewport={"width": 360, "height": 740}, locale=locale)
    page.locator(".card").first.get_by_role("button", name=later).click()
    expect(page.get_by_text(words, exact=True)).to_be_visible()


def test_a_name_with_html_is_text(visit):
    page = visit(Shop(), viewport=DESK)
    settled(page, "history")
    expect(page.get_by_role("heading", name=NAMES[2])).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "(4) 채울 곳 · shop"


def test_by_keyboard_alone_somebody_goes_and_comes_to_the_next(visit):
    shop = Shop()
    page = visit(shop)
    page.locator("h1").wait_for()
    for _ in range(30):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")
        if name == f"{NAMES[2]} · 채우러 갈게요":
            break
    page.keyboard.press("Enter")
    wait_for(lambda: shop.acts)
    assert (
        shop.acts[0].items()
        >= {"verb": "ack", "slot": "aisle-2", "incident_id": "of-aisle-2"}.items()
    )
    shop.slots[2]["incident"]["ack"] = {"by": "staff", "at": shop.slots[0]["last_seen"]}
    shop.tell(shop.slots[2])
    expect(page.locator(".card").first).to_contain_text(NAMES[1])
    focused = page.evaluate("document.activeElement.closest('.cards__item')?.dataset.slot")
    assert focused == "aisle-1"


def test_nothing_moves_under_a_finger(visit):
    shop = Shop()
    page = visit(shop)
    before = cards(page)
    box = page.locator(".card").nth(1).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.clock.set_fixed_time(datetime.now(UTC))  # else it may come by itself after the finger
    page.mouse.down()
    emptied(shop.slots[15], 500)
    shop.slots[15]["priority"] = 1
    shop.slots[1] |= {"state": "stocked", "incident": None}  # refilled while it is touched
    shop.tell(shop.slots[15], shop.slots[1])
    fresh = page.get_by_role("button", name="새 알림 1")
    expect(fresh).to_be_visible()
    assert cards(page) == before
    expect(page.locator(".card").nth(1)).to_contain_text("채워졌어요")
    page.mouse.up()
    fresh.click()
    assert cards(page)[0] == shop.slots[15]["name"]
    assert len(cards(page)) == len(before)


@pytest.mark.parametrize(
    ("locale", "kind", "more", "words"),
    [
        ("ko-KR", "closed", {"minutes_open": 12}, "채워졌어요 · 12분 걸림"),
        ("en-US", "closed", {"minutes_open": 12}, "Refilled · took 12 min"),
        (
            "ko-KR",
            "not_empty",
            {"minutes_open": 12, "by": "지훈"},
            "비어 있지 않다고 했어요 · 지훈",
        ),
        ("en-US", "not_empty", {"minutes_open": 12, "by": "Kim"}, "Said not empty · Kim"),
    ],
)
def test_a_card_that_is_held_says_what_has_closed_it_and_goes_on_saying_so(
    visit, locale, kind, more, words
):
    shop = Shop()
    page = visit(shop, locale=locale)
    held = page.locator(".card", has_text=NAMES[1])
    box = held.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    closed = shop.slots[1]
    closed |= {"state": "stocked", "incident": None}
    shop.tell(closed, recent=[shop.deed(closed, kind, **more)])
    told = held.locator(".card__closed")
    expect(told).to_have_text(words)
    shop.slots[15]["name"] = "Told last"
    shop.tell(shop.slots[15], at=time(-40), recent=[shop.deed(shop.slots[15], "opened")])
    expect(page.locator(".recent__name")).to_have_text("Told last")
    expect(told).to_have_text(words)


def test_new_cards_come_by_themselves_once_hands_are_off(visit):
    shop = Shop()
    page = visit(shop)
    page.locator(".card__name").first.click()
    emptied(shop.slots[15], 500, id="late")
    shop.slots[15]["priority"] = 1
    shop.tell(shop.slots[15])
    expect(page.locator(".card").first).to_contain_text("8시간 20분째", timeout=10_000)


def test_what_is_put_off_says_until_when_and_can_be_undone(visit):
    shop = Shop()
    page = visit(shop)
    page.get_by_role("button", name=f"{NAMES[2]} · 나중에").click()
    page.get_by_role("button", name="1시간 뒤").click()
    expect(page.locator(".toast")).to_contain_text("다시 알려 드려요")
    page.get_by_role("button", name="되돌리기", exact=True).click()
    wait_for(lambda: len(shop.acts) == 2)
    assert [(one["verb"], one["minutes"]) for one in shop.acts] == [("snooze", 60), ("snooze", 0)]
    assert shop.acts[0]["action_id"] != shop.acts[1]["action_id"]


def test_a_wrong_alert_is_denied_and_taken_back(visit):
    shop = Shop()
    page = visit(shop)
    page.get_by_role("button", name=f"{NAMES[2]} · 비어 있지 않아요").click()
    expect(page.locator(".toast")).to_contain_text("다음 학습에 쓸게요")
    page.get_by_role("button", name="되돌리기", exact=True).click()
    wait_for(lambda: len(shop.acts) == 2)
    assert [one["verb"] for one in shop.acts] == ["not_empty", "undo_not_empty"]


def test_the_last_half_hour_offers_to_take_back(visit):
    shop = Shop()
    page = visit(shop)
    page.locator(".recent").get_by_role("button", name=f"{NAMES[1]} · 되돌리기").click()
    wait_for(lambda: shop.acts)
    assert (shop.acts[0]["verb"], shop.acts[0]["slot"]) == ("undo_not_empty", "aisle-1")


@pytest.mark.parametrize(
    ("code", "words"), [("already_closed", "이미 채워졌어요"), ("gone", "이제 없는 칸이에요")]
)
def test_what_is_refused_is_said_and_nothing_changes(visit, code, words):
    shop = Shop()
    shop.refuse = (409, code)
    page = visit(shop, expected="status of 409")
    page.get_by_role("button", name=f"{NAMES[2]} · 채우러 갈게요").click()
    expect(page.locator(".toast")).to_contain_text(words)
    assert page.locator(".card").count() == 4


def test_nothing_to_do_is_proven(visit):
    page = visit(Shop(busy=False))
    expect(page.locator(".nothing")).to_contain_text("지금 채울 곳이 없어요")
    expect(page.locator(".nothing")).to_contain_text(re.compile(r"40칸 모두 \d+초 전에 확인했어요"))
    assert page.title() == "채울 곳 · shop"


def test_nothing_to_do_admits_what_it_cannot_see(visit):
    shop = Shop(busy=False)
    for one in shop.slots[:4]:
        one["visibility"] = "blocked"
    page = visit(shop)
    expect(page.locator(".nothing")).to_contain_text("4칸은 지금 안 보여요")
    expect(page.locator(".nothing")).to_contain_text("보이는 36칸은")
    expect(page.locator(".nothing__mark")).to_be_hidden()


def test_camera_trouble_is_seen_at_a_glance_with_its_reason(visit):
    page = visit(Shop())
    page.get_by_role("link", name="카메라 1대에 문제가 있어요").click()
    moved = "카메라가 칸 너비의 약 40 %만큼 움직였어요"
    page.get_by_role("button", name=f"fridge · {moved}").click()
    expect(page.locator("#shelves .notice")).to_contain_text(moved)
    link = page.get_by_role("link", name="위치 다시 맞추기")
    assert link.get_attribute("href") == "/calibrate?camera=fridge"


def test_the_map_is_walked_by_arrow_keys_and_tells_why_a_slot_is_not_seen(visit):
    page = visit(Shop(), "/#shelves")
    first = page.locator(".slot").first
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_contain_text(NAMES[0])  # aisle-6: row 2, place 2
    expect(page.locator(".detail")).to_contain_text("지금 누가 앞에 있어요")
    assert page.locator(".slot[tabindex='0']").count() == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_contain_text("25분 전부터 보지 못했어요")


def test_a_picture_from_before_somebody_came_says_how_old_it_is(visit):
    shop = Shop(busy=False)
    page = visit(shop, "/#shelves")
    expect(page.locator("#shelves .heading p")).not_to_be_empty()
    expect(page.locator("#shelves .heading")).not_to_contain_text("사람이 없을 때")
    shop.cameras[0]["picture"] = milliseconds(minutes_ago=3)
    page.reload()
    expect(page.locator("#shelves .heading")).to_contain_text("사람이 없을 때 찍은 사진 (3분 전)")


def test_without_pictures_the_planogram_is_drawn(visit):
    shop = Shop(pictures=False)
    asked: list[str] = []
    page = visit(shop, "/#shelves")
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector(".stage--drawn .slot--empty")
    expect(page.locator("#shelves")).to_contain_text("사진 대신 배치도를 보여 드려요")
    assert not [url for url in asked if "/api/cameras/" in url]


def test_the_history_never_rounds_up_and_its_map_is_a_table(visit):
    page = visit(Shop(), "/#history")
    settled(page, "history")
    expect(page.locator(".figure--first")).to_contain_text("99.9 %")
    cell = page.locator("td.heat__cell[tabindex='0']")
    cell.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".heat__told").inner_text().endswith("%")
    page.get_by_role("button", name="30일").click()
    link = page.get_by_role("link", name="CSV 내려받기")
    assert link.get_attribute("href") == "/api/report.csv?days=30"


def test_health_counts_what_needs_a_look(visit):
    page = visit(Shop(), "/#health")
    settled(page, "health")
    expect(page.locator(".verdict")).to_contain_text("살펴볼 것이 3가지 있어요")
    assert page.locator(".vital--bad dt").all_inner_texts() == [
        "fridge",
        "메시지 서버",
        "전송 대기",
    ]


def test_language_and_appearance_are_chosen_and_remembered(visit):
    page = visit(Shop(), viewport=DESK)
    page.get_by_role("button", name="English").click()
    expect(page.locator("#todo-title")).to_have_text("4 to refill")
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Dark").click()
    page.reload()
    expect(page.locator("#todo-title")).to_have_text("4 to refill")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_a_wide_screen_shows_everything_at_once(visit):
    page = visit(Shop(), viewport=DESK)
    for view in VIEWS:
        expect(page.locator(f"#{view}")).to_be_visible()
    expect(page.locator("nav.tabs")).to_be_hidden()
    page.set_viewport_size(PHONE)
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator("nav.tabs")).to_be_visible()
