"""What the calibration page does with answers: refusals, and those that come too late."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require_program

pytest.importorskip("playwright")
from browser import intercept
from drawing import BAY, calibration, rendered_shelf, shelf
from test_classifier import metadata, write_bundle

from edge.config import load_planogram
from edge.site import Decision

ALL_SCORED = (
    "(all => all.length && all.every((one) => one.textContent !== '…'))"
    "([...document.querySelectorAll('.crop__chance')])"
)


@pytest.fixture
def bench(bench):
    bench.cameras.pictures["door"] = rendered_shelf()[:, ::-1]
    return bench


def go_to(bench, hand, camera):
    hand.page.locator(".bar__camera").select_option(camera)
    bench.ready(hand)


# Scores


@pytest.mark.parametrize(
    ("written", "states"),
    [
        ({}, ["empty", "empty", "unsure", "stocked"]),
        ({"empty_above": 0.8, "stocked_below": 0.4}, ["empty", "unsure", "stocked", "stocked"]),
        ({"empty_above": 0.95, "stocked_below": 0.05}, ["unsure"] * 4),
    ],
    ids=["the bundle's", "site.yaml's", "site.yaml's, narrow"],
)
def test_a_score_is_judged_on_the_page_by_the_rule_that_the_daemon_judges_by(
    tmp_path, written, states
):
    require_program("chromium")
    about = metadata(
        thresholds={"empty_above": 0.5, "stocked_below": 0.2, "chosen_for": "this test"}
    )
    model = write_bundle(tmp_path / "model.onnx", about)
    brightness = 255 * (0.5 + logit(np.array([0.9, 0.6, 0.3, 0.1])) / 16)  # what the model sees
    picture = np.broadcast_to(brightness.repeat(320).round()[:, None], (720, 1280, 3))
    with calibration(
        tmp_path, picture.astype(np.uint8), bundle=model, decision=Decision(**written)
    ) as bench:
        hand = bench.mouse()
        shelf(hand, ((0, 0), (1, 0), (1, 1), (0, 1)), 1, 4)
        hand.choose(".steps__one:nth-child(4)")
        hand.wait(lambda: all_of(hand, ".crop__chance", "textContent") == ["90", "60", "30", "10"])
        hand.settled()
        assert all_of(hand, ".crop", "dataset.state") == states
        assert all_of(hand, ".slot", "dataset.state") == states


def all_of(hand, selector, what):
    return hand.page.evaluate(
        f"[...document.querySelectorAll('{selector}')].map((one) => one.{what})"
    )


def logit(p):
    return np.log(p / (1 - p))


# Refusals


def test_at_a_change_elsewhere_what_was_drawn_is_downloaded_and_can_be_taken_up_again(
    bench, tmp_path
):
    mine, theirs = bench.mouse(), bench.mouse()
    shelf(theirs, BAY, 1, 2)
    theirs.press("Control+s")
    theirs.said("저장했어요")
    shelf(mine, BAY, 2, 3)
    mine.paste('우유\t8801104940016\nTea: <b>"green"</b>, #1\t00120012')
    mine.settled()
    mine.press("Enter")
    mine.settled()
    drawn, names = mine.quads(), mine.names()
    mine.press("Control+s")
    with mine.page.expect_download() as downloading:
        mine.page.locator("dialog[open] .ask__choice").nth(2).click()
    bench.refused(409)
    assert downloading.value.suggested_filename == "aisle.planogram.yaml"
    file = tmp_path / "downloaded.yaml"
    downloading.value.save_as(file)
    slots = load_planogram(file).slots_of("aisle")
    assert [slot.name for slot in slots] == names
    assert names[:2] == ["우유", 'Tea: <b>"green"</b>, #1']
    assert [slot.sku for slot in slots] == ["8801104940016", "00120012", None, None, None, None]
    assert np.abs(np.array([slot.quad for slot in slots]) * [1280, 720] - drawn).max() < 0.02
    mine.until("document.querySelectorAll('.slot').length === 2")
    assert len(bench.saved()) == 2, "what they saved stays as it is"
    mine.press("Control+z")
    mine.settled()
    assert (mine.quads(), mine.names()) == (drawn, names)
    mine.press("Control+s")
    mine.said("6칸을 저장했어요")
    assert [slot["name"] for slot in bench.saved()] == names


def test_what_the_server_refuses_is_told_at_the_slot_it_concerns(bench):
    hand = bench.mouse()
    hand.press("1")
    hand.drag((0.3, 0.4), (0.4, 0.6))
    hand.press("1", "ArrowRight")  # the cross appears in the middle
    for way in ("Left", "Down", "Right"):
        hand.press("Enter", *[f"Arrow{way}"] * 3)
    hand.press("Enter")  # three pixels wide: only the planogram's reader finds that too little
    hand.settled()
    assert hand.slots() == 2
    hand.choose(".steps__one:nth-child(3)")
    for number, slot_id in enumerate(("tea", "tea-2")):
        hand.page.locator("input[name=slot-id]").nth(number).fill(slot_id)
        hand.page.locator("input[name=slot-name]").nth(number).fill(f"Slot {slot_id}")
    hand.press("Escape", "Control+s")
    hand.said("저장하지 못했어요 · slot tea-2: quad: has no area")
    bench.refused(422)
    told = hand.page.locator(".problems__item", has_text="has no area")
    assert told.count() == 1
    assert told.locator(".problems__name").inner_text() == "Slot tea-2"
    chosen = hand.page.locator(".slot[aria-pressed=true]")
    assert chosen.count() == 1
    assert "tea-2" in chosen.get_attribute("aria-label")
    assert not bench.planogram.exists()
    hand.press("Delete", "Control+s")
    hand.said("1칸을 저장했어요")
    assert hand.page.locator(".problems__item").count() == 0
    assert [slot["id"] for slot in bench.saved()] == ["tea"]


def test_what_is_wrong_elsewhere_in_the_file_is_told_at_no_slot(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    hand.press("Control+s")
    hand.said("저장했어요")
    good = bench.planogram.read_text()
    spoilt = (
        "  door:\n    slots:\n    - {id: x, name: '', quad: [[0, 0], [1, 0], [1, 1], [0, 1]]}\n"
    )
    bench.planogram.write_text(good + spoilt)
    hand.at(0.3, 0.5)
    hand.press("Delete", "Control+s")
    hand.said("저장하지 못했어요 · ")
    assert "door" in hand.page.locator(".toast").inner_text()
    bench.refused(422)
    hand.choose(".steps__one:nth-child(4)")
    hand.settled()
    assert hand.page.locator(".problems__item").count() == 0
    assert bench.planogram.read_text() == good + spoilt
    assert hand.slots() == 1, "what was drawn is still there"
    bench.planogram.write_text(good)
    hand.press("Control+s")
    hand.said("1칸을 저장했어요")


def test_what_was_saved_is_not_called_unsaved_when_the_plan_cannot_be_read_again(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    bench.browser.expect_in_console("net::ERR_FAILED")
    intercept(hand.page, "**/plan", lambda route: route.abort())
    hand.press("Control+s")
    hand.said("처리됐지만 배치도를 다시 읽지 못했어요")
    hand.page.locator(".bar__save:not([data-dirty])").wait_for()
    assert len(bench.saved()) == 2


# Drafts


def test_what_was_not_saved_outlives_the_saving_of_another_camera(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    drawn = hand.quads()
    go_to(bench, hand, "door")
    shelf(hand, BAY, 1, 2)
    hand.press("Control+s")
    hand.said("2칸을 저장했어요")
    go_to(bench, hand, "aisle")
    hand.said("되살렸어요")
    assert hand.quads() == drawn
    hand.press("Control+s")
    hand.said("4칸을 저장했어요")
    assert (len(bench.saved()), len(bench.saved("door"))) == (4, 2)


def test_what_was_not_saved_outlives_a_change_elsewhere_which_is_not_overwritten_unasked(bench):
    mine, theirs = bench.mouse(), bench.mouse()
    shelf(mine, BAY, 1, 4)
    mine.kept()
    shelf(theirs, BAY, 1, 2)
    theirs.press("Control+s")
    theirs.said("저장했어요")
    for _ in range(2):
        mine.page.reload()
        mine.said("되살렸어요")
        bench.ready(mine)
        assert mine.slots() == 4
        mine.kept()
    mine.press("Control+s")
    dialog = mine.page.locator("dialog[open]")
    dialog.wait_for()
    bench.refused(409)
    assert len(bench.saved()) == 2
    dialog.locator(".ask__choice").nth(1).click()
    mine.until("document.querySelectorAll('.slot').length === 2")
    mine.press("Control+z")
    mine.settled()
    assert mine.slots() == 4


def test_a_drawing_that_was_saved_gives_way_to_a_change_elsewhere(bench):
    mine = bench.mouse()
    shelf(mine, BAY, 1, 4)
    mine.press("Control+s")
    mine.said("4칸을 저장했어요")
    mine.kept()
    theirs = bench.mouse()
    theirs.at(0.3, 0.5)
    theirs.press("Delete", "Control+s")
    theirs.said("3칸을 저장했어요")
    mine.page.reload()
    bench.ready(mine)
    assert mine.slots() == 3
    assert mine.page.locator(".bar__save").get_attribute("data-dirty") is None


# Late answers


def test_boundaries_found_too_late_are_not_drawn_on_another_camera(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 4)
    drawn = hand.quads()
    held = intercept(hand.page, "**/suggest")
    hand.press("Escape", "s")
    hand.wait(lambda: held)
    go_to(bench, hand, "door")
    shelf(hand, BAY, 2, 4)
    hand.press("Escape")
    before = hand.quads()
    hand.let_go(held[0])
    hand.said("찾은 경계를 쓰지 않았어요")
    assert hand.quads() == before
    hand.press("Control+z")
    hand.said("되돌림 · 칸 나누기")  # the last step is one's own
    go_to(bench, hand, "aisle")
    assert hand.quads() == drawn


def test_scores_that_come_too_late_say_nothing_of_another_picture(bench):
    hand = bench.mouse()
    held = intercept(hand.page, "**/score")
    shelf(hand, BAY, 1, 2)
    hand.wait(lambda: held)
    go_to(bench, hand, "door")
    shelf(hand, BAY, 1, 2)
    go_to(bench, hand, "aisle")  # its slots are the old ones, its picture is new
    assert hand.slots() == 2
    hand.let_go(held[0])
    judged = ".slot:not([data-state=none])"
    assert hand.page.locator(judged).count() == 0
    hand.wait(lambda: len(held) >= 2)
    assert held[1].request.post_data_json["token"] != held[0].request.post_data_json["token"]
    held[1].continue_()
    hand.page.locator(judged).nth(1).wait_for(state="attached")


def test_how_one_camera_was_moved_is_not_told_of_another(bench):
    hand = bench.mouse()
    for camera in ("door", "aisle"):
        go_to(bench, hand, camera)
        shelf(hand, BAY, 1, 3)
        hand.press("Control+s")
        hand.said("저장했어요")
    drawn = hand.quads()
    bench.cameras.pictures["aisle"] = np.roll(rendered_shelf(), 60, axis=1)
    hand.page.locator(".bar [aria-label='사진 새로 찍기']").click()
    bench.ready(hand)
    held = intercept(hand.page, "**/aisle/align")
    hand.choose("[aria-label='위치 다시 맞추기'].button")
    hand.wait(lambda: held)
    go_to(bench, hand, "door")
    hand.let_go(held[0])
    assert not hand.page.locator(".realign").is_visible()
    assert hand.page.locator(".ghost").count() == 0
    assert np.allclose(hand.quads(), drawn, atol=0.02), "both cameras have the same slots"


def test_a_camera_whose_slots_cannot_be_read_is_tried_again(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("net::ERR_FAILED")
    bench.cameras.pictures["door"] = bench.cameras.pictures["aisle"]
    away = [True]
    intercept(hand.page, "**/door/plan", lambda one: one.abort() if away else one.continue_())
    hand.page.locator(".bar__camera").select_option("door")
    trouble = hand.page.locator(".trouble")
    trouble.get_by_text("door · 매장 컴퓨터에 연결할 수 없어요").wait_for()
    away.clear()
    trouble.get_by_role("button", name="다시 해 보기").click()
    bench.ready(hand)
    shelf(hand, BAY, 1, 2)


def test_a_page_that_cannot_begin_says_so_until_it_can(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("net::ERR_FAILED")
    away = [True]
    intercept(hand.page, "**/api/calibrate", lambda one: one.abort() if away else one.continue_())
    hand.page.reload()
    trouble = hand.page.locator(".trouble")
    trouble.get_by_text("화면을 열지 못했어요 · 매장 컴퓨터에 연결할 수 없어요").wait_for()
    away.clear()
    trouble.get_by_role("button", name="다시 해 보기").click()
    bench.ready(hand)


def test_scores_that_do_not_come_are_told_until_they_do(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("net::ERR_FAILED")
    away = [True]
    intercept(hand.page, "**/score", lambda one: one.abort() if away else one.continue_())
    shelf(hand, BAY, 1, 2)
    hand.choose(".steps__one:nth-child(4)")
    told = hand.page.locator(".notice--alert", has_text="매장 컴퓨터에 연결할 수 없어요")
    told.wait_for()
    away.clear()
    told.wait_for(state="hidden")
    hand.until(ALL_SCORED)


def test_a_picture_that_the_daemon_has_forgotten_is_taken_anew(bench):
    hand = bench.mouse()
    bench.browser.expect_in_console("status of 410")
    first = hand.page.locator(".stage__picture").first.get_attribute("src")
    gone = {"error": {"code": "picture_gone", "message": "take another one"}}
    token = first.rsplit("/", 1)[1].removesuffix(".jpg")

    def forgotten(route):
        if route.request.post_data_json["token"] == token:
            route.fulfill(status=410, json=gone)
        else:
            route.continue_()

    asked = intercept(hand.page, "**/score", forgotten)
    shelf(hand, BAY, 1, 2)
    hand.choose(".steps__one:nth-child(4)")
    hand.until(ALL_SCORED)
    assert hand.page.locator(".stage__picture").first.get_attribute("src") != first
    assert hand.slots() == 2
    assert sum(one.request.post_data_json["token"] == token for one in asked) == 1
