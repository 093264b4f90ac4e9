"""The calibration page on real photos of shelves: drawn, named and saved by hand."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require_data, require_program

pytest.importorskip("playwright")
from drawing import calibration, shelf
from looks import low_contrasts

from edge.geometry import divide
from edge.picture import read_picture
from edge.planogram import quad_problem

BAY = ((0.035, 0.075), (0.952, 0.092), (0.79, 0.93), (0.06, 0.84))
"""Four rows of the photo's shelf."""
ROWS, COLUMNS = 4, 10
GAP = 0.06
MOST_ACTIONS = 20

NAMES = [f"상품 {number} <b>&amp;</b>" for number in range(ROWS * COLUMNS)]
GOODS = "\n".join(f"{name}\t{8801104940000 + i}" for i, name in enumerate(NAMES))


@pytest.fixture
def bench(tmp_path):
    require_program("chromium")
    with calibration(tmp_path, read_picture(require_data("scenes/pun__1-113.jpg"))) as bench:
        yield bench


def drawn_grid():
    """The quads of the drawn grid, with the page's usual room for price rails."""
    height = (1 - GAP * (ROWS - 1)) / ROWS
    spans = [(row * (height + GAP), row * (height + GAP) + height) for row in range(ROWS)]
    return np.array(divide(BAY, np.linspace(0, 1, COLUMNS + 1), spans)).reshape(-1, 4, 2)


def check_saved(bench, near):
    """Forty slots stand in the file, named as pasted, each quad nearer than that to the grid."""
    slots = bench.saved()
    assert [slot["name"] for slot in slots] == NAMES
    assert [slot["sku"] for slot in slots] == [line.split("\t")[1] for line in GOODS.split("\n")]
    assert [slot["id"] for slot in slots] == [
        f"a{row}-{column:02}" for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)
    ]
    assert all(quad_problem(slot["quad"]) is None for slot in slots)
    quads = np.array([slot["quad"] for slot in slots])
    assert np.abs(quads - drawn_grid()).max() < near
    assert any(bench.planogram.parent.glob("aisle.*.jpg")), "no reference picture was kept"


def test_forty_named_slots_are_saved_in_at_most_twenty_actions_of_mouse_and_keyboard(bench):
    hand = bench.mouse()
    shelf(hand, BAY, ROWS, COLUMNS)
    assert hand.slots() == ROWS * COLUMNS
    hand.paste(GOODS)
    hand.settled()
    hand.press("Enter", "Control+s")
    hand.said("저장했어요")
    assert hand.actions <= MOST_ACTIONS
    check_saved(bench, near=0.004)


def test_forty_named_slots_are_saved_in_at_most_twenty_actions_of_a_finger(bench):
    hand = bench.finger()
    for corner in BAY:
        hand.at(*corner)
    hand.settled()
    hand.choose("input[name=rows]")
    hand.press("4")
    hand.choose("input[name=columns]")
    hand.press("1", "0")
    hand.choose(".steps__one:nth-child(3)")
    hand.choose("textarea[name=paste]")
    hand.paste(GOODS)
    hand.settled()
    hand.choose(".paste__buttons .button--primary")
    hand.choose(".bar__save")
    hand.said("저장했어요")
    assert hand.actions <= MOST_ACTIONS
    check_saved(bench, near=0.012)  # a pixel of a phone's window is two of the picture


def test_a_suggestion_keeps_the_count_and_can_be_taken_back(bench):
    hand = bench.mouse()
    shelf(hand, BAY, ROWS, COLUMNS)
    before = hand.quads()
    hand.press("Escape", "s")
    hand.said("사진에서 찾았어요")
    hand.settled()
    suggested = hand.quads()
    assert len(suggested) == ROWS * COLUMNS
    moved = np.abs(np.array(suggested) - np.array(before)).max(axis=(1, 2))
    assert (moved > 2).mean() > 0.5, "nothing was moved to the picture's edges"
    hand.press("Control+z")
    hand.settled()
    assert hand.quads() == before


def test_a_second_finger_zooms_and_leaves_no_point(bench):
    hand = bench.finger()
    hand.at(*BAY[0])
    (x, y), (x2, y2) = hand.place(0.4, 0.4), hand.place(0.6, 0.6)
    before = hand.page.locator(".stage__picture").first.bounding_box()
    hand.touch("touchStart", (x, y))
    hand.touch("touchStart", (x, y), (x2, y2))
    for step in range(1, 9):
        hand.touch("touchMove", (x - 5 * step, y - 5 * step), (x2 + 5 * step, y2 + 5 * step))
    hand.touch("touchEnd")
    hand.settled()
    after = hand.page.locator(".stage__picture").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > 1.3 * before["width"]
    assert hand.page.locator(".handle--draft").count() == 1


def test_a_second_finger_takes_back_a_drag_that_has_begun(bench):
    hand = bench.finger()
    for corner in BAY:
        hand.at(*corner)
    hand.settled()
    before = hand.quads()
    x, y = hand.place(*BAY[2])
    hand.touch("touchStart", (x, y))
    for step in range(1, 6):
        hand.touch("touchMove", (x - 8 * step, y - 8 * step))
    hand.settled()
    assert hand.quads() != before
    hand.touch("touchStart", (x - 40, y - 40), (x - 150, y - 150))
    hand.touch("touchEnd")
    hand.settled()
    assert hand.quads() == before


def test_names_are_only_ever_text(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    nasty = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>'
    hand.paste(f"{nasty}\n{nasty} 2")
    hand.settled()
    hand.press("Enter", "Control+s")
    hand.said("저장했어요")
    hand.choose(".steps__one:nth-child(4)")
    hand.choose(".crop")
    hand.settled()
    assert hand.page.evaluate("window.stolen") is None
    assert hand.page.locator("main img[src=x], main script").count() == 0
    assert [slot["name"] for slot in bench.saved()] == [nasty, f"{nasty} 2"]


def test_what_exists_is_loaded_and_edited(bench):
    first = bench.mouse()
    shelf(first, BAY, 2, 3)
    first.press("Control+s")
    first.said("저장했어요")
    ids = [slot["id"] for slot in bench.saved()]
    hand = bench.mouse()  # another device: it has no draft of the drawing
    assert hand.slots() == 6
    for saved, drawn in zip(bench.saved(), hand.quads(), strict=True):
        assert np.abs(np.array(saved["quad"]) * 640 - drawn).max() < 0.02
    hand.at(*np.mean(bench.saved()[5]["quad"], axis=0))
    hand.press("Delete", "Control+s")
    hand.said("5칸을 저장했어요")
    assert [slot["id"] for slot in bench.saved()] == ids[:5]


def test_a_shelf_that_another_device_drew_still_has_its_dividers(bench):
    first = bench.mouse()
    shelf(first, BAY, 4, 9)
    first.press("Control+s")
    first.said("저장했어요")
    before = bench.saved()
    hand = bench.mouse()
    hand.at(*np.mean(before[1]["quad"], axis=0))
    hand.choose(".steps__one:nth-child(2)")
    left, right = np.array(before[0]["quad"]), np.array(before[1]["quad"])
    assert (left[1:3] == right[[0, 3]]).all()
    x, y = np.mean(left[1:3], axis=0)
    hand.drag((x, y), (x + 0.03, y))
    hand.settled()
    hand.press("Control+s")
    hand.said("저장했어요")
    after = bench.saved()
    left, right = np.array(after[0]["quad"]), np.array(after[1]["quad"])
    assert (left[1:3] == right[[0, 3]]).all(), "one edge for both"
    assert left[1, 0] > before[0]["quad"][1][0] + 0.02
    assert after[9:] == before[9:], "the other rows keep every digit"
    assert [slot["id"] for slot in after] == [slot["id"] for slot in before]


def test_a_drawing_that_was_not_saved_comes_back_with_its_dividers(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 3)
    hand.kept()
    hand.page.reload()
    hand.said("되살렸어요")
    bench.ready(hand)
    assert hand.slots() == 6
    hand.choose(".steps__one:nth-child(2)")
    hand.choose("input[name=columns]")
    hand.press("5")
    hand.settled()
    assert hand.slots() == 10


def test_a_change_elsewhere_is_never_overwritten_unasked(bench):
    mine, theirs = bench.mouse(), bench.mouse()
    shelf(theirs, BAY, 1, 2)
    theirs.press("Control+s")
    theirs.said("저장했어요")
    shelf(mine, BAY, 1, 4)
    mine.press("Control+s")
    ways = mine.page.locator("dialog[open] .ask__choice")
    ways.first.wait_for()
    assert ways.count() == 3
    assert len(bench.saved()) == 2
    bench.refused(409)
    ways.nth(0).click()
    mine.said("4칸을 저장했어요")
    assert len(bench.saved()) == 4
    theirs.at(0.4, 0.4)
    theirs.press("d", "Control+s")
    theirs.page.locator("dialog[open] .ask__choice").nth(1).click()
    theirs.until("document.querySelectorAll('.slot').length === 4")
    bench.refused(409)
    assert len(bench.saved()) == 4


def test_a_camera_without_a_picture_says_why_and_its_reference_can_be_edited(bench):
    bench.cameras.pictures["door"] = bench.cameras.pictures["aisle"]
    hand = bench.mouse("/calibrate?camera=door")
    shelf(hand, BAY, 1, 2)
    hand.press("Control+s")
    hand.said("저장했어요")
    del bench.cameras.pictures["door"]
    hand.page.locator(".bar__camera").select_option("aisle")
    bench.ready(hand)
    assert hand.slots() == 0
    hand.page.locator(".bar__camera").select_option("door")
    trouble = hand.page.locator(".trouble")
    trouble.get_by_text("door · 연결할 수 없어요").wait_for()
    bench.refused(503)
    trouble.get_by_role("button", name="저장된 기준 사진에 그리기").click()
    bench.ready(hand)
    assert hand.slots() == 2
    hand.at(0.2, 0.4)
    hand.press("Delete", "Control+s")
    hand.said("1칸을 저장했어요")
    assert len(bench.saved("door")) == 1


NAMELESS = """() => [...document.querySelectorAll(
  "button, input, select, textarea, a, summary, canvas,"
  + "[role=button], [role=group], [role=slider]")]
  .filter((one) => one.closest("[aria-hidden=true], [hidden]") === null)
  .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
  .map((one) => one.outerHTML.slice(0, 120))"""
SMALL = """() => [...document.querySelectorAll("button, select, summary, main input")]
  .filter((one) => one.checkVisibility() && !one.classList.contains("sr-only"))
  .map((one) => [one.getBoundingClientRect(), one.outerHTML.slice(0, 120)])
  .filter(([box]) => box.width && (box.height < 43.5 || box.width < 43.5))
  .map(([box, text]) => [box.width, box.height, text])"""


@pytest.mark.parametrize("language", ["ko-KR", "en-US"])
def test_every_control_has_a_name_and_room_for_a_finger(bench, language):
    hand = bench.finger(locale=language)
    for corner in BAY:
        hand.at(*corner)
    for step in range(1, 5):
        hand.choose(f".steps__one:nth-child({step})")
        hand.settled()
        assert hand.page.evaluate(NAMELESS) == []
        assert hand.page.evaluate(SMALL) == []
        wide = hand.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360
    assert hand.page.evaluate("document.documentElement.lang") == language[:2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["ko-KR", "en-US"])
def test_every_text_is_readable_on_its_ground(bench, theme, language):
    hand = bench.mouse(color_scheme=theme, locale=language)
    assert low_contrasts(hand.page) == []
    shelf(hand, BAY, ROWS, COLUMNS)
    for step in range(1, 5):
        hand.choose(f".steps__one:nth-child({step})")
        hand.settled()
        assert low_contrasts(hand.page) == []
    hand.choose(".crop")
    hand.settled()
    assert low_contrasts(hand.page) == []
    hand.press("Escape", "Control+s")
    hand.page.locator(".toast").first.wait_for()
    hand.page.locator(".bar__save[aria-busy='false']").wait_for()
    hand.until("document.getAnimations().length === 0")  # no colour is on its way
    assert low_contrasts(hand.page) == []


def test_the_page_without_its_pictures_is_light(bench):
    got = []
    page = bench.browser.device().new_page()
    page.on("requestfinished", lambda request: got.append(request))
    page.goto(f"{bench.browser.address}/calibrate")
    page.locator(".bar__camera option").first.wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    pages = [request for request in got if "/api/" not in request.url]
    assert len(pages) > 20
    assert sum(request.sizes()["responseBodySize"] for request in pages) < 200_000
