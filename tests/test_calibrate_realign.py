"""After the camera was moved: both pictures are looked at, and aligned by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright")
from drawing import rendered_shelf, shelf

from edge.geometry import project

BAY = ((0.25, 0.4), (0.75, 0.4), (0.75, 0.85), (0.25, 0.85))
CORNERS = np.array([[320, 288], [960, 288], [960, 612], [320, 612]], np.float32)
"""Those of BAY, in pixels of the picture."""
STRANGE = np.full((720, 1280, 3), 90, np.uint8)
"""Nothing to find anything on: the page has to be told by hand."""


@pytest.fixture
def bench(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 3)
    hand.press("Control+s")
    hand.said("저장했어요")
    return bench


def moved_on(bench, picture, device="mouse"):
    """A page of another device, after the camera was moved; it notices that if it can."""
    bench.cameras.pictures["aisle"] = picture
    hand = getattr(bench, device)()
    if picture is STRANGE:
        hand.choose("[aria-label='위치 다시 맞추기'].button")
    hand.page.locator(".realign").wait_for()
    hand.until("document.querySelector('.stage__old').naturalWidth > 1")
    hand.settled()
    return hand


def looks(hand):
    """What lies on the screen where the picture is, beside all that is drawn: (left, right)."""
    (left, top), (right, bottom) = hand.place(0.02, 0.02), hand.place(0.98, 0.12)
    box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    data = np.frombuffer(hand.page.screenshot(clip=box), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)
    middle = image.shape[1] // 2
    return image[:, : middle - 8], image[:, middle + 8 :]


def same(a, b):
    return all(np.abs(one - other).mean() < 1 for one, other in zip(a, b, strict=True))


def both_pictures(hand):
    """The old and the new picture, each alone, by the slider."""
    swipe = hand.page.locator(".realign__swipe")
    swipe.focus()
    hand.press("End")
    hand.settled()
    old = looks(hand)
    hand.press("Home")
    hand.settled()
    new = looks(hand)
    assert not same(old, new)
    return old, new


def test_the_old_and_the_new_picture_are_compared_by_a_slider(bench):
    hand = moved_on(bench, np.roll(rendered_shelf(), 60, axis=1))
    (old_left, old_right), (new_left, new_right) = both_pictures(hand)
    swipe = hand.page.locator(".realign__swipe")
    swipe.fill("50")
    hand.settled()
    assert same(looks(hand), (old_left, new_right))
    assert not same(looks(hand), (new_left, old_right))
    assert swipe.get_attribute("aria-label") == "옛 사진과 새 사진 비교"


def test_the_old_and_the_new_picture_are_shown_in_turn(bench):
    hand = moved_on(bench, np.roll(rendered_shelf(), 60, axis=1))
    old, new = both_pictures(hand)
    blink = hand.page.get_by_role("button", name="번갈아 보기")
    blink.click()
    assert blink.get_attribute("aria-pressed") == "true"
    for shown in (old, new, old):
        for _ in range(60):
            if same(looks(hand), shown):
                break
            hand.page.wait_for_timeout(50)
        else:
            pytest.fail("one of the pictures is not shown any more")
    blink.click()
    assert blink.get_attribute("aria-pressed") == "false"
    for _ in range(15):
        assert same(looks(hand), new), "what the slider says"
        hand.page.wait_for_timeout(100)


def anchors(hand):
    hand.settled()
    places = hand.page.evaluate(
        "() => [...document.querySelectorAll('.handle--anchor')].map((one) =>"
        " one.getAttribute('transform').match(/translate\\(([^)]*)\\)/)[1].split(' ').map(Number))"
    )
    return np.array(places, np.float32)


def test_four_points_dragged_and_moved_by_keys_take_all_slots_along(bench):
    hand = moved_on(bench, STRANGE)  # asked to align, it asks for a hand
    before = np.array(hand.quads())
    assert np.allclose(anchors(hand), CORNERS, atol=0.05), "around all slots"
    told = hand.page.locator(".realign__numbers").inner_text()
    assert told.startswith("자동으로 맞추지 못했어요 · 두 사진에 같은 선반이 보이지 않아요")
    assert told.endswith("같은 곳에 놓아 주세요.")
    apply = hand.page.locator(".realign .button--primary")
    assert apply.is_disabled(), "nothing to confirm yet"

    hand.drag(BAY[0], (0.3, 0.42))
    hand.drag(BAY[2], (0.72, 0.9))
    for _ in range(60):
        if hand.page.evaluate("document.activeElement.matches('.handle--anchor')"):
            break
        hand.press("Tab")
    hand.press("Tab")
    assert hand.page.evaluate("document.activeElement.ariaLabel") == "오른쪽 위 모서리"
    dragged = anchors(hand)
    hand.press("Shift+ArrowRight", "Shift+ArrowRight", "ArrowUp", "ArrowUp", "ArrowUp")
    hand.press("Tab", "Tab", "Shift+ArrowLeft", "ArrowDown")
    placed = anchors(hand)
    assert np.allclose(dragged - CORNERS, [[64, 14.4], [0, 0], [-38.4, 36], [0, 0]], atol=2)
    assert np.allclose(placed - dragged, [[0, 0], [20, -3], [0, 0], [-10, 1]], atol=0.02)

    expected = project(cv2.getPerspectiveTransform(CORNERS, placed), before)
    assert np.abs(expected - before).max() > 30
    ghosts = hand.page.locator(".ghost--to").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('points').split(' ')"
        ".map((point) => point.split(',').map(Number)))"
    )
    assert np.abs(np.array(ghosts) - expected).max() < 0.1, "shown before it is confirmed"
    assert (np.array(hand.quads()) == before).all()
    apply.click()
    hand.said("모든 칸을 옮겼어요")
    hand.settled()
    assert np.abs(np.array(hand.quads()) - expected).max() < 0.1
    assert not hand.page.locator(".realign").is_visible()
    hand.press("Control+z")
    hand.said("되돌림 · 위치 다시 맞추기")
    hand.settled()
    assert (np.array(hand.quads()) == before).all()
    hand.press("Control+y", "Control+s")
    hand.said("저장했어요")
    saved = np.array([slot["quad"] for slot in bench.saved()]) * [1280, 720]
    assert np.abs(saved - expected).max() < 0.1


def test_a_second_finger_takes_back_how_a_point_was_dragged(bench):
    hand = moved_on(bench, STRANGE, "finger")
    before = anchors(hand)
    x, y = hand.place(*BAY[0])
    hand.touch("touchStart", (x, y))
    for step in range(1, 6):
        hand.touch("touchMove", (x + 8 * step, y + 8 * step))
    assert not np.allclose(anchors(hand), before, atol=5)
    hand.touch("touchStart", (x + 40, y + 40), (x + 150, y + 150))
    hand.touch("touchEnd")
    assert np.allclose(anchors(hand), before, atol=0.05)
    assert hand.page.locator(".realign .button--primary").is_disabled(), "nothing was moved"


def test_aligning_by_hand_goes_on_from_what_the_page_found_and_may_be_dropped(bench):
    turn = cv2.getRotationMatrix2D((640, 360), 2.0, 1.02)  # the middle stays where it was
    hand = moved_on(
        bench, cv2.warpAffine(rendered_shelf(), turn, (1280, 720), borderMode=cv2.BORDER_REPLICATE)
    )
    before = hand.quads()
    hand.page.get_by_role("button", name="직접 맞추기").click()
    found = CORNERS @ turn[:, :2].T + turn[:, 2]
    assert np.abs(anchors(hand) - found).max() < 6.4
    hand.page.locator(".handle--anchor").first.focus()
    hand.press("Shift+ArrowDown", "Escape")
    hand.settled()
    assert not hand.page.locator(".realign").is_visible()
    assert hand.quads() == before
    hand.press("Control+z")
    hand.said("되돌릴 것이 없어요")


def applied(hand):
    """The slots after what the page offers was applied."""
    hand.page.locator(".realign .button--primary").click()
    hand.said("모든 칸을 옮겼어요")
    hand.page.locator(".realign").wait_for(state="hidden")
    hand.settled()
    return np.array(hand.quads())


def realigned(hand):
    """The same after the page was asked to align once more."""
    hand.choose("[aria-label='위치 다시 맞추기'].button")
    hand.page.locator(".realign").wait_for()
    return applied(hand)


def test_slots_that_were_moved_are_not_moved_a_second_time(bench):
    hand = moved_on(bench, np.roll(rendered_shelf(), 60, axis=1))
    before, moved = np.array(hand.quads()), applied(hand)
    assert np.abs(moved - before - [60, 0]).max() < 3

    hand.choose("[aria-label='위치 다시 맞추기'].button")
    hand.page.locator(".realign").wait_for()
    numbers = hand.page.locator(".realign__numbers").inner_text()
    assert numbers.replace("-", "").startswith("0.0 % 옮겨짐, 0.0° 돌아감")
    hand.press("Escape")
    assert np.abs(realigned(hand) - moved).max() < 1, "before they are saved"

    hand.kept()
    with hand.page.expect_response("**/align") as answer:
        hand.page.reload()
    hand.said("되살렸어요")
    bench.ready(hand)
    hand.taken_in(answer.value)
    assert not hand.page.locator(".realign").is_visible(), "they lie right already"
    assert np.abs(realigned(hand) - moved).max() < 1, "as the draft was brought back"


def test_what_is_taken_back_after_saving_is_moved_as_far_as_it_has_to_be(bench):
    hand = moved_on(bench, np.roll(rendered_shelf(), 60, axis=1))
    before, moved = np.array(hand.quads()), applied(hand)
    hand.press("Control+s")
    hand.said("저장했어요")
    hand.page.locator(".bar__save:not([data-dirty])").wait_for()
    assert np.abs(realigned(hand) - moved).max() < 1, "their reference is the new picture"
    hand.press("Control+z", "Control+z")
    hand.settled()
    assert np.abs(np.array(hand.quads()) - before).max() < 0.05
    assert np.abs(realigned(hand) - moved).max() < 1


def test_while_the_page_asks_enter_moves_the_slots_and_nothing_is_saved(bench):
    hand = moved_on(bench, np.roll(rendered_shelf(), 60, axis=1))
    written = bench.planogram.read_bytes()
    asked = []
    hand.page.on("request", lambda request: asked.append(request.method))
    assert hand.page.locator(".bar__save").is_disabled()
    hand.page.locator(".realign__swipe").focus()
    hand.press("Control+s")
    assert hand.page.evaluate("document.activeElement.textContent") == "적용"
    hand.page.evaluate("document.activeElement.blur()")
    before = np.array(hand.quads())
    hand.press("Enter")
    hand.said("모든 칸을 옮겼어요")
    hand.settled()
    assert np.abs(np.array(hand.quads()) - before - [60, 0]).max() < 3
    assert "PUT" not in asked
    assert bench.planogram.read_bytes() == written
    hand.press("Control+s")
    hand.said("저장했어요")
    saved = np.array([slot["quad"] for slot in bench.saved()]) * [1280, 720]
    assert np.abs(saved - before - [60, 0]).max() < 3


def test_where_the_page_found_no_way_enter_does_nothing(bench):
    hand = moved_on(bench, STRANGE)
    written = bench.planogram.read_bytes()
    before = hand.quads()
    hand.page.locator(".handle--anchor").first.focus()
    hand.press("Enter")
    hand.page.evaluate("document.activeElement.blur()")
    hand.press("Enter", "Control+s")
    hand.page.wait_for_timeout(500)
    assert hand.page.locator(".realign").is_visible()
    assert hand.quads() == before
    assert bench.planogram.read_bytes() == written
