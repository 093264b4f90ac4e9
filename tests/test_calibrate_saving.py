"""What becomes of a drawing: judged, saved, refused, taken up again, moved with its camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright")
from browser import intercept
from drawing import BAY, DEMO, calibration, rendered_shelf, shelf

from edge.cameras.demo import demo_slots


def test_after_the_camera_was_moved_all_slots_move_with_it(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 5)
    hand.press("Control+s")
    hand.said("저장했어요")
    before = np.array([slot["quad"] for slot in bench.saved()]) * [1280, 720]
    turn = cv2.getRotationMatrix2D((640, 360), 2.0, 1.03)
    turn[:, 2] += (25, -12)
    bench.cameras.pictures["aisle"] = cv2.warpAffine(
        rendered_shelf(), turn, (1280, 720), borderMode=cv2.BORDER_REPLICATE
    )
    hand = bench.mouse()  # it notices by itself
    apply = hand.page.locator(".realign .button--primary")
    apply.wait_for()
    assert "2.0° 돌아감" in hand.page.locator(".realign__numbers").inner_text().replace("-", "")
    apply.click()
    hand.settled()
    expected = before @ turn[:, :2].T + turn[:, 2]
    assert np.abs(np.array(hand.quads()) - expected).max() < 6.4  # half a per cent of the width
    hand.press("Control+z")
    hand.settled()
    assert np.abs(np.array(hand.quads()) - before).max() < 0.05
    hand.press("Control+y", "Control+s")
    hand.said("저장했어요")
    saved = np.array([slot["quad"] for slot in bench.saved()]) * [1280, 720]
    assert np.abs(saved - expected).max() < 6.4


def test_an_answer_that_comes_after_the_slots_were_moved_changes_nothing(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.press("Control+s")
    hand.said("저장했어요")
    aside = np.float32([[1, 0, 60], [0, 1, 0]])
    bench.cameras.pictures["aisle"] = cv2.warpAffine(
        rendered_shelf(), aside, (1280, 720), borderMode=cv2.BORDER_REPLICATE
    )
    hand = bench.mouse()
    apply = hand.page.locator(".realign .button--primary")
    apply.wait_for()
    held = intercept(hand.page, "**/align")
    hand.choose("[aria-label='위치 다시 맞추기'].button")
    hand.wait(lambda: held)
    apply.click()
    hand.said("모든 칸을 옮겼어요")
    hand.let_go(held[0])
    assert not hand.page.locator(".realign").is_visible()


def test_what_is_drawn_while_saving_is_still_to_be_saved(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    held = intercept(hand.page, "**/api/calibrate/aisle")
    hand.press("Control+s")
    hand.wait(lambda: held)
    hand.at(0.3, 0.5)
    hand.press("Delete")
    held[0].continue_()
    hand.said("4칸을 저장했어요")
    hand.page.locator(".bar__save[aria-busy='false']").wait_for()
    assert (hand.slots(), len(bench.saved())) == (3, 4)
    assert hand.page.locator(".bar__save").get_attribute("data-dirty") is not None


def test_a_picture_with_something_moving_is_not_saved(bench):
    bench.cameras.moving = True
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    hand.press("Control+s")
    again = hand.page.locator("dialog[open] .ask__choice")
    again.wait_for()
    assert not bench.planogram.exists()
    bench.refused(423)
    bench.cameras.moving = False
    again.click()
    hand.said("저장했어요")
    assert len(bench.saved()) == 2


def test_an_earlier_version_is_taken_up_again(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.press("Control+s")
    hand.said("4칸을 저장했어요")
    hand.at(0.3, 0.5)
    hand.press("Delete", "Control+s")
    hand.said("3칸을 저장했어요")
    hand.choose(".steps__one:nth-child(4)")
    hand.page.locator(".more > summary", has_text="이전 버전").click()
    hand.page.locator(".versions__one").first.click()
    hand.said("이전 버전 4칸")
    hand.settled()
    assert hand.slots() == 4
    hand.press("Control+z")
    hand.settled()
    assert hand.slots() == 3


def test_a_list_of_goods_is_imported_from_a_file(bench, tmp_path):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 2)
    hand.choose(".steps__one:nth-child(3)")
    goods = tmp_path / "goods.csv"
    goods.write_bytes("상품명,바코드\n우유,8801104940016\n차,8801104940023\n".encode("cp949"))
    hand.page.locator("input[type=file]").set_input_files(goods)
    hand.page.locator(".paste__summary", has_text="2칸은 붙일 이름이 없어요").wait_for()
    hand.press("Enter")
    hand.settled()
    assert hand.names() == ["우유", "차", "2단 1칸", "2단 2칸"]


def test_a_pasted_list_with_a_heading_is_read_as_the_same_file_is(bench, tmp_path):
    text = "품목명,EAN13,페이싱\n초코우유,8801104940016,3\n녹차,8801104940023,1\n"
    names = {}
    for way in ("file", "paste"):
        hand = bench.mouse()
        shelf(hand, BAY, 2, 2)
        hand.choose(".steps__one:nth-child(3)")
        if way == "file":
            (tmp_path / "goods.csv").write_text(text, encoding="utf-8")
            hand.page.locator("input[type=file]").set_input_files(tmp_path / "goods.csv")
        else:
            hand.paste(text.replace(",", "\t"))
        hand.page.locator(".paste__rows td", has_text="녹차").wait_for()
        hand.press("Enter")
        hand.settled()
        skus = hand.page.locator("input[name=slot-sku]")
        names[way] = hand.names(), [one.input_value() for one in skus.all()]
        hand.page.context.close()  # with its draft
    assert names["paste"] == names["file"]
    assert names["file"][0] == ["초코우유"] * 3 + ["녹차"]


def test_rounded_barcodes_are_told_and_never_pasted(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    hand.choose(".steps__one:nth-child(3)")
    hand.paste("우유\t8.8011E+12\n차\t8.8011E+12")
    hand.page.locator(".paste .problems__item", has_text="8.8011E+12").wait_for()
    hand.press("Enter")
    hand.settled()
    assert hand.names() == ["우유", "차"]
    assert [one.input_value() for one in hand.page.locator("input[name=slot-sku]").all()] == [
        "",
        "",
    ]
    hand.paste("상품명\t바코드\n우유\t8.8011E+12\n차\t8801104940023")
    hand.page.locator(".paste .problems__item", has_text="rounded").wait_for()
    assert hand.page.locator(".paste__rows td", has_text="8.8").count() == 0


def test_who_cannot_save_is_told_so_for_as_long_as_that_is_so(bench):
    hand = bench.mouse()

    def forbidden(route):
        about = route.fetch().json()
        route.fulfill(json=about | {"writable": False, "why_not": "the folder is read-only"})

    intercept(hand.page, "**/api/calibrate", forbidden)
    hand.page.reload()
    hand.said("이 배치도는 저장할 수 없어요 · the folder is read-only")  # before anything is drawn
    hand.page.locator(".toast").wait_for(state="detached")
    bench.ready(hand)
    shelf(hand, BAY, 1, 2)
    hand.choose(".steps__one:nth-child(4)")
    notice = hand.page.locator(".notice--alert", has_text="the folder is read-only")
    notice.wait_for()
    assert hand.page.locator(".bar__save").is_disabled()
    hand.press("Control+s")
    hand.said("이 배치도는 저장할 수 없어요 · the folder is read-only")
    assert notice.is_visible()


def test_an_id_that_is_taken_is_refused_where_it_stands(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    hand.choose(".steps__one:nth-child(3)")
    hand.page.locator("input[name=slot-id]").nth(0).fill("milk")
    hand.page.locator("input[name=slot-id]").nth(1).fill("milk")
    hand.page.get_by_text("이미 쓰는 ID예요").wait_for()
    hand.press("Control+s")
    hand.said("고쳐야 저장할 수 있는 칸이 1개")
    assert not bench.planogram.exists()
    hand.page.locator("input[name=slot-id]").nth(1).fill("tea")
    hand.press("Control+s")
    hand.said("저장했어요")
    assert [slot["id"] for slot in bench.saved()] == ["milk", "tea"]


def test_what_the_camera_no_longer_sees_is_cut_off_and_can_be_taken_back(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.press("Control+s")
    hand.said("저장했어요")
    aside = np.float32([[1, 0, -420], [0, 1, 0]])
    moved = cv2.warpAffine(rendered_shelf(), aside, (1280, 720), borderMode=cv2.BORDER_REPLICATE)
    bench.cameras.pictures["aisle"] = moved
    hand = bench.mouse()
    apply = hand.page.locator(".realign .button--primary")
    hand.until("document.querySelector('.stage__picture').naturalWidth > 1")
    hand.choose("[aria-label='위치 다시 맞추기'].button")
    apply.click()
    hand.said("모든 칸을 옮겼어요")
    hand.press("Control+s")
    hand.said("고쳐야 저장할 수 있는 칸")
    hand.page.get_by_role("button", name="화면에 맞게 자르기").click()
    hand.settled()
    kept = hand.quads()
    assert 0 < len(kept) < 4
    assert min(x for quad in kept for x, _ in quad) >= 0
    hand.press("Control+z")
    hand.settled()
    assert hand.slots() == 4
    hand.press("Control+y", "Control+s")
    hand.said("저장했어요")
    assert len(bench.saved()) == len(kept)


def test_names_survive_a_count_that_is_typed_digit_by_digit(bench):
    hand = bench.mouse()
    hand.stop_time()
    shelf(hand, BAY, 1, 3)
    hand.paste("Milk\nTea\nJuice")
    hand.settled()
    hand.press("Enter")
    hand.pause()
    hand.choose(".steps__one:nth-child(2)")
    hand.choose("input[name=columns]")
    hand.press("1", "2")
    hand.settled()
    assert hand.names()[:4] == ["Milk", "Tea", "Juice", "1단 4칸"]
    assert hand.slots() == 12
    hand.press("Escape", "Control+z")
    hand.settled()
    assert hand.slots() == 3


def test_each_slot_is_scored_while_it_is_drawn(bench):
    hand = bench.mouse()
    quads = [slot.quad for slot in demo_slots(DEMO, "aisle")][:2]
    for quad in quads:
        hand.press("1")
        for corner in quad:
            hand.at(*corner)
    hand.until("document.querySelectorAll('.slot:not([data-state=none])').length === 2")
    hand.choose(".steps__one:nth-child(4)")
    hand.until(
        "[...document.querySelectorAll('.crop__picture')].filter((one) => one.naturalWidth > 1)"
        ".length === 2"
    )
    chance = hand.page.locator(".crop__chance").first.inner_text()
    assert chance in hand.page.locator(".crop").first.get_attribute("aria-label")


def test_slots_that_lie_on_each_other_or_are_tiny_are_warned_of(bench):
    hand = bench.mouse()
    for start, end in (
        ((0.2, 0.2), (0.4, 0.5)),
        ((0.35, 0.3), (0.5, 0.6)),
        ((0.7, 0.7), (0.712, 0.72)),
    ):
        hand.press("1")
        hand.drag(start, end)
    hand.choose(".steps__one:nth-child(4)")
    hand.settled()
    told = hand.page.locator(".problems__item").all_inner_texts()
    assert sum("겹쳐요" in text for text in told) == 2
    assert sum("너무 작아요" in text for text in told) == 1


@pytest.mark.parametrize(
    ("language", "words"), [("ko-KR", "검게 가린 곳"), ("en-US", "Blacked out")]
)
def test_a_slot_that_a_blackout_hides_is_warned_of_where_it_is_drawn(tmp_path, language, words):
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    with calibration(tmp_path, rendered_shelf(), [left]) as bench:
        hand = bench.mouse(locale=language)
        for start, end in (
            ((0.3, 0.3), (0.4, 0.5)),
            ((0.45, 0.6), (0.7, 0.8)),
            ((0.49, 0.3), (0.7, 0.5)),
        ):
            hand.press("1")
            hand.drag(start, end)  # all of it, a fifth of it, a twentieth of it
        hand.until("document.querySelectorAll('.slot:not([data-state=none])').length === 3")
        hand.choose(".steps__one:nth-child(4)")
        hand.settled()
        told = hand.page.locator(".problems__item").all_inner_texts()
        assert [words in text for text in told] == [True, True], told
        drawn = hand.page.locator(".slot").evaluate_all(
            "(all) => all.map((slot) => [slot.ariaLabel,"
            " getComputedStyle(slot.children[1]).strokeDasharray])"
        )
        assert sorted(words in label for label, _ in drawn) == [False, True, True]
        assert all((words in label) == (dashes == "3px, 3px") for label, dashes in drawn), drawn
        hand.press("Escape", "Control+s")
        hand.page.locator(".bar__save:not([data-dirty])").wait_for()
        assert len(bench.saved()) == 3, "it is a warning, no refusal"


def test_the_help_lists_the_keys(bench):
    hand = bench.mouse()
    hand.press("?")
    dialog = hand.page.locator("dialog[open]")
    dialog.wait_for()
    assert dialog.locator("kbd").count() > 20
    hand.press("Escape")
    hand.until("document.querySelector('dialog') === null")


def test_what_another_camera_was_given_meanwhile_is_no_question(bench):
    bench.cameras.pictures["door"] = bench.cameras.pictures["aisle"]
    mine, theirs = bench.mouse(), bench.mouse("/calibrate?camera=door")
    shelf(mine, BAY, 1, 4)
    shelf(theirs, BAY, 1, 2)
    theirs.press("Control+s")
    theirs.said("2칸을 저장했어요")
    mine.press("Control+s")  # both pages had named their first slots alike
    mine.said("4칸을 저장했어요")
    bench.refused(409)
    assert not mine.page.locator("dialog[open]").is_visible()
    ids = [slot["id"] for slot in (*bench.saved(), *bench.saved("door"))]
    assert len(set(ids)) == len(ids)
    assert (len(bench.saved()), len(bench.saved("door"))) == (4, 2)


def test_an_answer_that_got_lost_is_no_question(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("net::ERR_FAILED")
    lost = [True]

    def answer(route):
        if lost and route.request.method == "PUT":
            lost.clear()
            route.fetch()
            route.abort()
        else:
            route.continue_()

    intercept(hand.page, "**/api/calibrate/aisle", answer)
    shelf(hand, BAY, 1, 4)
    hand.press("Control+s")
    hand.said("저장하지 못했어요")
    assert len(bench.saved()) == 4
    hand.press("Control+s")
    hand.said("4칸을 저장했어요")
    bench.refused(409)
    assert not hand.page.locator("dialog[open]").is_visible()
    assert hand.page.locator(".bar__save").get_attribute("data-dirty") is None


def test_a_refusal_that_comes_late_touches_no_other_camera(bench):
    bench.cameras.pictures["door"] = bench.cameras.pictures["aisle"]
    mine, theirs = bench.mouse(), bench.mouse()
    shelf(theirs, BAY, 1, 2)
    theirs.press("Control+s")
    theirs.said("2칸을 저장했어요")
    shelf(mine, BAY, 1, 4)
    held = intercept(mine.page, "**/api/calibrate/aisle")
    mine.press("Control+s")
    mine.wait(lambda: held)
    mine.page.locator(".bar__camera").select_option("door")
    bench.ready(mine)
    shelf(mine, BAY, 1, 3)
    held[0].continue_()
    mine.said("aisle 저장하지 못했어요")
    bench.refused(409)
    assert mine.slots() == 3
    assert not mine.page.locator("dialog[open]").is_visible()
    mine.page.locator(".bar__camera").select_option("aisle")
    bench.ready(mine)
    assert mine.slots() == 4  # the draft is there


def test_what_was_brought_back_and_discarded_can_be_brought_back(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.kept()
    hand.page.reload()
    hand.said("되살렸어요")
    hand.page.locator(".toast__undo", has_text="버리기").click()
    bench.ready(hand)
    hand.until("document.querySelectorAll('.slot').length === 0")
    hand.press("Escape", "Control+z")
    hand.until("document.querySelectorAll('.slot').length === 4")


def test_what_was_begun_on_another_file_and_discarded_stays_discarded(bench):
    mine, theirs = bench.mouse(), bench.mouse()
    shelf(mine, BAY, 1, 4)
    mine.kept()
    shelf(theirs, BAY, 1, 2)
    theirs.press("Control+s")
    theirs.said("저장했어요")
    mine.page.reload()
    mine.page.locator(".toast__undo", has_text="버리기").click()
    bench.ready(mine)
    mine.until("document.querySelectorAll('.slot').length === 2")
    assert mine.page.locator(".strip button").first.is_disabled()
    mine.at(0.3, 0.5)
    mine.press("Delete", "Control+s")
    mine.said("1칸을 저장했어요")  # and nobody asks which ones to keep
    assert len(bench.saved()) == 1


def test_an_old_picture_is_renewed_and_compared_before_anything_is_saved(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 5)
    hand.press("Control+s")
    hand.said("저장했어요")
    before = bench.saved()
    bench.browser.expect_in_console("status of 410")
    gone = {"error": {"code": "picture_gone", "message": "take another one"}}
    forgotten = [True]

    def answer(route):
        if forgotten and route.request.method == "PUT":
            forgotten.clear()
            route.fulfill(status=410, json=gone)
        else:
            route.continue_()

    intercept(hand.page, "**/api/calibrate/aisle", answer)
    aside = np.float32([[1, 0, 60], [0, 1, 0]])
    bench.cameras.pictures["aisle"] = cv2.warpAffine(
        rendered_shelf(), aside, (1280, 720), borderMode=cv2.BORDER_REPLICATE
    )
    hand.press("Control+s")
    hand.page.locator(".realign .button--primary").wait_for()
    assert bench.saved() == before


def test_a_picture_that_does_not_arrive_is_told(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("net::ERR_FAILED")
    away = [True]
    intercept(hand.page, "**/pictures/*.jpg", lambda one: one.abort() if away else one.continue_())
    hand.choose(".calibrate-bar [aria-label='사진 새로 찍기']")
    trouble = hand.page.locator(".trouble", has_text="사진을 받지 못했어요")
    trouble.wait_for()
    away.clear()
    trouble.get_by_role("button", name="다시 해 보기").click()
    trouble.wait_for(state="hidden")
    hand.until("document.querySelector('.stage__picture').naturalWidth === 1280")


def test_a_picture_that_comes_after_one_was_lost_is_shown(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("net::ERR_FAILED")
    away = [True]
    intercept(hand.page, "**/pictures/*.jpg", lambda one: one.abort() if away else one.continue_())
    retake = ".calibrate-bar [aria-label='사진 새로 찍기']"
    hand.choose(retake)
    trouble = hand.page.locator(".trouble", has_text="사진을 받지 못했어요")
    trouble.wait_for()
    away.clear()
    hand.choose(retake)
    trouble.wait_for(state="hidden")
    hand.until("document.querySelector('.stage__picture').naturalWidth === 1280")


def test_letters_work_while_a_korean_keyboard_is_on(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.at(0.3, 0.5)
    hand.page.evaluate(
        "() => document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'ㅇ', code: 'KeyD', bubbles: true, cancelable: true}))"
    )
    hand.until("document.querySelectorAll('.slot').length === 5")


def test_undo_takes_a_shelf_back_while_its_count_waits_to_be_typed(bench):
    hand = bench.mouse()
    for corner in BAY:
        hand.at(*corner)
    hand.until("document.activeElement.matches('.stepper__value')")
    hand.press("Control+z")
    hand.until("document.querySelectorAll('.slot').length === 0")


def test_a_shelf_whose_camera_hangs_on_its_side_is_turned(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 3)
    before = hand.quads()
    hand.press("Escape", "r")
    hand.said("위쪽을 오른쪽 변으로")
    hand.settled()
    turned = hand.quads()
    assert hand.page.locator(".top-side").count() == 1
    [first, *_] = turned
    (ax, ay), (bx, by) = first[0], first[1]
    assert by - ay > 4 * abs(bx - ax)  # the top runs down the picture, along its right side
    assert ax > 0.7 * 1280
    hand.press("Control+s")
    hand.said("3칸을 저장했어요")
    saved = np.array([slot["quad"] for slot in bench.saved()]) * [1280, 720]
    assert np.abs(saved - turned).max() < 0.02
    again = bench.mouse()  # another device knows the file alone
    assert np.abs(np.sort(again.quads(), axis=0) - np.sort(turned, axis=0)).max() < 0.1
    assert again.page.locator(".bar__save").get_attribute("data-dirty") is None
    hand.press("Control+z")
    hand.settled()
    assert np.abs(np.array(hand.quads()) - before).max() < 0.05
