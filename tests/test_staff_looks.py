"""What can be measured of the staff page's looks: readable, named, narrow, light."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from browser import DESK
from looks import low_contrasts, small_targets, sticking_out, unnamed
from shop import Shop
from visits import VIEWS, settled

LOOKS = list(itertools.product(("light", "dark"), ("ko-KR", "en-US")))
MOST_BYTES = 200_000


@pytest.mark.parametrize(("theme", "locale"), LOOKS)
def test_every_text_is_readable_and_every_control_has_a_name(visit, theme, locale):
    page = visit(Shop(), viewport=DESK, color_scheme=theme, locale=locale)
    for view in VIEWS:
        settled(page, view)
    page.locator(".later summary").click()
    page.locator(".fold summary").click()
    page.locator(".slot--empty").first.click(force=True)
    page.get_by_role("button", name=re.compile("숫자로|numbers")).click()
    assert low_contrasts(page) == []
    assert unnamed(page) == []
    assert small_targets(page) == []
    page.get_by_role("button", name=re.compile("설정|Settings")).click()
    assert low_contrasts(page) == []
    assert unnamed(page) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_a_narrow_screen_never_scrolls_sideways(visit, view, locale):
    page = visit(Shop(), f"/#{view}", viewport={"width": 320, "height": 640}, locale=locale)
    settled(page, view)
    if view == "shelves":
        page.locator(".slot--blocked").first.click(force=True)
    assert sticking_out(page) == []
    assert small_targets(page) == []


@pytest.mark.parametrize("width", [320, 390, 1000, 1100, 1440])
@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
@pytest.mark.parametrize("refill_min", [0.4, 23 * 60 + 59])
def test_a_duration_stays_on_one_line(visit, width, locale, refill_min):
    shop = Shop()
    shop.refill_min = refill_min
    page = visit(shop, "/#history", viewport={"width": width, "height": 800}, locale=locale)
    settled(page, "history")
    lines = page.locator(".figure__value").evaluate_all(
        "all => all.map(one => Math.round("
        "one.clientHeight / parseFloat(getComputedStyle(one).lineHeight)))"
    )
    assert lines == [1, 1, 1]


def test_the_days_figures_stand_beside_each_other_on_a_phone(visit):
    page = visit(Shop(), "/#history", viewport={"width": 320, "height": 640})
    settled(page, "history")
    spans = page.locator(".days__value").evaluate_all(
        """all => all.filter(one => one.textContent).map(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            const { left, right } = range.getBoundingClientRect();
            return [left, right];
        })"""
    )
    assert len(spans) == 6
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(spans))


def test_the_page_weighs_little(visit):
    shop = Shop()
    page = visit(shop)
    taken: dict[str, int] = {}

    def weigh(response: Any) -> None:
        if "/api/" not in response.url and response.status == 200:
            taken[response.url] = len(response.body())

    page.on("response", weigh)
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.reload(wait_until="load")
    page.wait_for_selector(".card")
    assert any(url.endswith("/staff/main.js") for url in taken)
    assert sum(taken.values()) <= MOST_BYTES
