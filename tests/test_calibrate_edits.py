"""Every edit of the calibration page on a rendered shelf: done, taken back and done again."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("playwright")
from drawing import BAY, Hand, shelf


def middle(quad):
    """The middle of a quad in pixels, as a fraction of the picture."""
    x, y = np.mean(quad, axis=0)
    return float(x) / 1280, float(y) / 720


def edge_between(hand: Hand, left: int, right: int):
    """The middle of the edge that two neighbouring slots share."""
    a, b = hand.quads()[left], hand.quads()[right]
    return middle([a[1], a[2], b[0], b[3]])


def seen(hand: Hand):
    hand.settled()
    return hand.quads(), hand.names()


def test_everything_can_be_taken_back_and_done_again(bench):
    hand = bench.mouse()
    hand.stop_time()
    steps = [seen(hand)]

    def did():
        steps.append(seen(hand))
        assert steps[-1] != steps[-2], f"step {len(steps)} changed nothing"

    def click_slot(index: int):
        hand.at(*middle(hand.quads()[index]))

    for corner in BAY[:3]:
        hand.at(*corner)
    points = 3
    hand.at(*BAY[3])
    did()
    hand.press("2", "Tab", "4")
    did()
    hand.press("Escape")
    x, y = edge_between(hand, 0, 1)
    hand.drag((x, y), (x + 0.03, y))  # a divider; the unpinned ones follow
    did()
    hand.press("ArrowRight")  # the divider is still in hand
    did()
    hand.pause()
    hand.drag(BAY[1], (0.83, 0.22))
    did()
    click_slot(5)
    hand.press("a")
    did()
    click_slot(5)
    hand.page.keyboard.down("Shift")
    click_slot(6)
    hand.page.keyboard.up("Shift")
    hand.press("m")
    did()
    click_slot(7)
    hand.press("d")
    did()
    hand.press("ArrowDown")
    did()
    hand.press("Delete")
    did()
    click_slot(2)
    hand.press("Delete")
    did()
    hand.paste("Milk\nTea")
    hand.settled()
    hand.press("Enter")
    did()
    hand.choose(".steps__one:nth-child(2)")
    hand.press("e")
    did()

    for expected in reversed(steps[1:-1]):
        hand.press("Control+z")
        assert seen(hand) == expected
    for _ in range(points + 1):
        hand.press("Control+z")
    assert seen(hand) == steps[0]
    hand.press("Control+z")
    hand.said("되돌릴 것이 없어요")
    for _ in range(points + 1):
        hand.press("Control+Shift+z")
    for expected in steps[2:]:
        hand.press("Control+y")
        assert seen(hand) == expected
    hand.press("Control+y")
    hand.said("다시 할 것이 없어요")


def test_undo_names_what_it_takes_back(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 3)
    hand.press("Escape", "Control+z")
    hand.said("되돌림 · 칸 나누기")
    hand.press("Control+z")
    hand.said("되돌림 · 선반 그리기")
    hand.press("Control+z")
    hand.said("되돌림 · 점 찍기")


def test_a_divider_stays_where_it_was_put_until_it_is_tapped_twice(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.press("Escape")
    before = hand.quads()
    x, y = edge_between(hand, 1, 2)
    hand.drag((x, y), (x + 0.05, y))
    hand.settled()
    assert hand.page.locator(".pin").count() == 1
    moved = hand.quads()
    assert np.abs(np.array(moved[0]) - before[0]).max() > 5, "unpinned neighbours share the room"
    x, y = edge_between(hand, 1, 2)
    hand.page.mouse.dblclick(*hand.place(x, y))
    hand.settled()
    assert hand.page.locator(".pin").count() == 0
    assert np.allclose(hand.quads(), before, atol=0.02)


def test_one_drag_fits_the_perspective_of_a_whole_row(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 5)
    hand.page.get_by_role("button", name="같은 폭을 지키며").click()
    x, y = edge_between(hand, 1, 2)
    hand.drag((x, y), (x + 0.06, y))
    hand.settled()
    widths = [quad[1][0] - quad[0][0] for quad in hand.quads()]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1.3 * widths[-1]
    assert hand.page.locator(".pin").count() == 0


def test_rows_may_differ_in_columns_and_their_edges_can_be_dragged(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 2, 4)
    hand.page.locator(".more > summary", has_text="단마다").click()
    hand.page.locator("input[name=columns-2]").fill("6")
    hand.settled()
    assert hand.slots() == 10
    quads = hand.quads()
    x, y = middle([quads[1][2], quads[1][3]])
    hand.drag((x, y), (x, y - 0.05))  # the upper row's lower edge
    hand.settled()
    after = hand.quads()
    assert after[1][2][1] < quads[1][2][1] - 20
    assert after[4:] == quads[4:], "the row below stays"


def test_the_next_row_shares_the_edge_above_it(bench):
    hand = bench.mouse()
    shelf(hand, ((0.2, 0.2), (0.8, 0.25), (0.79, 0.4), (0.21, 0.38)), 1, 4)
    hand.press("Escape", "n")
    hand.at(0.77, 0.62)
    hand.at(0.23, 0.58)
    hand.settled()
    quads = hand.quads()
    assert len(quads) == 8
    assert np.allclose([quads[0][3], quads[3][2]], [quads[4][0], quads[7][1]], atol=0.02)
    names = hand.names()
    assert names[0] == "1단 1칸"
    assert names[4] == "2단 1칸"


def test_a_slot_is_made_and_changed_with_the_keyboard_alone(bench):
    hand = bench.mouse()
    hand.press("1", "ArrowRight")  # the cross appears in the middle
    for way, times in (("Left", 10), ("Down", 8), ("Right", 10)):
        hand.press("Enter")
        for _ in range(times):
            hand.press(f"Shift+Arrow{way}")
    hand.press("Enter")
    hand.settled()
    assert hand.slots() == 1
    assert hand.quads()[0] == [(540, 360), (640, 360), (640, 440), (540, 440)]
    hand.press("Escape", "Escape")
    for _ in range(60):
        if hand.page.evaluate("document.activeElement.matches('.slot')"):
            break
        hand.press("Tab")
    label = hand.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("1단 1칸 · a1-01")
    hand.press("Enter", "Enter")  # select it, go to its first corner
    assert hand.page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "왼쪽 위 모서리"
    )
    hand.press("ArrowLeft", "Shift+ArrowUp")
    hand.press("Tab", "Alt+ArrowRight", "Escape", "ArrowDown")
    hand.settled()
    assert hand.quads()[0] == [(539, 351), (640.25, 361), (640, 441), (540, 441)]
    hand.page.locator(".chosen .more > summary").click()
    hand.page.locator("input[name=corner-2-x]").fill("650")
    hand.press("Tab")
    hand.settled()
    assert hand.quads()[0][2] == (650, 441)


def test_corners_snap_to_other_slots_unless_alt_is_held(bench):
    hand = bench.mouse()
    hand.press("1")
    hand.drag((0.2, 0.2), (0.4, 0.5))
    hand.press("1")
    hand.drag((0.45, 0.21), (0.6, 0.5))
    hand.settled()
    first, second = hand.quads()
    assert second[0] != first[1]
    hand.drag((0.45, 0.21), (0.403, 0.203))
    hand.settled()
    assert hand.quads()[1][0] == first[1]
    hand.press("Control+z")
    hand.page.keyboard.down("Alt")
    hand.drag((0.45, 0.21), (0.403, 0.203))
    hand.page.keyboard.up("Alt")
    hand.settled()
    assert hand.quads()[1][0] != first[1]


def test_a_key_that_was_never_seen_to_be_lifted_changes_nothing(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 2)
    hand.press("Escape")
    page = hand.page
    page.keyboard.down("Shift")
    start = hand.place(*BAY[2])
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 10, start[1], steps=2)
    page.keyboard.up("Shift")
    page.mouse.move(start[0] + 50, start[1], steps=4)
    page.mouse.up()
    hand.settled()
    scale = hand.place(1, 0)[0] - hand.place(0, 0)[0]
    moved = (hand.quads()[1][2][0] / 1280 - BAY[2][0]) * scale
    assert 38 < moved < 45, "a tenth while Shift is down, all of it afterwards"
    page.keyboard.down(" ")
    page.evaluate("window.dispatchEvent(new Event('blur'))")  # lifted in another window
    before = hand.place(0, 0)
    hand.drag((0.2, 0.2), (0.22, 0.22))
    assert hand.place(0, 0) == before, "the picture was panned"
    page.keyboard.up(" ")


def test_a_window_that_changes_its_size_loses_no_point(bench):
    hand = bench.mouse()
    hand.at(*BAY[0])
    hand.at(*BAY[1])
    hand.page.set_viewport_size({"width": 700, "height": 900})
    hand.until("innerWidth === 700")
    hand.settled()
    hand.at(*BAY[2])
    hand.at(*BAY[3])
    hand.press("1", "Tab", "1")
    hand.settled()
    drawn = np.array(hand.quads()[0]) / [1280, 720]
    assert np.abs(drawn - BAY).max() < 0.003


def test_a_finger_that_rests_chooses_one_slot_more(bench):
    hand = bench.finger()
    for corner in BAY:
        hand.at(*corner)
    hand.settled()
    hand.choose(".steps__one:nth-child(4)")
    count = hand.slots()
    first, second = (middle(quad) for quad in hand.quads()[1:3])
    hand.at(*first)
    hand.touch("touchStart", hand.place(*second))
    hand.until("document.querySelectorAll('.slot[aria-pressed=true]').length === 2")
    hand.touch("touchEnd")
    hand.settled()
    assert hand.page.locator(".slot[aria-pressed=true]").count() == 2
    hand.choose(".tools--four .button:nth-child(2)")
    hand.settled()
    assert hand.slots() == count - 1


def shelf_with_hole(hand, rows: int, columns: int, hole: int) -> None:
    """Draw a shelf, delete one slot of it, and go back to the counts."""
    shelf(hand, BAY, rows, columns)
    hand.press("Escape")
    hand.at(*middle(hand.quads()[hole]))
    hand.press("Delete")
    hand.choose(".steps__one:nth-child(2)")


def test_a_deleted_slot_stays_deleted_whatever_its_row_is_divided_into(bench):
    hand = bench.mouse()
    shelf_with_hole(hand, 2, 4, hole=1)
    hand.choose("input[name=columns]")
    hand.press("5")
    hand.settled()
    assert hand.names()[:3] == ["1단 1칸", "1단 3칸", "1단 4칸"]
    assert hand.slots() == 9
    hand.choose("input[name=rows]")
    hand.press("3")
    hand.settled()
    assert hand.slots() == 14
    hand.press("Escape", "s")
    hand.said("사진에서 찾았어요")
    hand.settled()
    assert hand.slots() == 14
    assert "1단 2칸" not in hand.names()


def test_a_shelf_that_is_counted_down_to_a_deleted_slot_can_still_be_seen(bench):
    hand = bench.mouse()
    shelf_with_hole(hand, 1, 3, hole=0)
    hand.choose("input[name=columns]")
    hand.press("1")
    hand.settled()
    assert hand.names() == ["1단 1칸"]


def test_pasted_names_go_where_the_preview_shows_them(bench):
    hand = bench.mouse()
    shelf(hand, BAY, 1, 4)
    hand.press("Escape")
    hand.at(*middle(hand.quads()[1]))
    hand.paste("Milk\nTea")
    shown = hand.page.locator(".paste__rows th").all_inner_texts()
    hand.at(*middle(hand.quads()[2]))
    hand.settled()
    assert hand.page.locator(".paste__rows th").all_inner_texts() == shown
    hand.choose(".paste__buttons .button--primary")
    hand.said("2칸에 이름을 붙였어요")
    hand.settled()
    assert hand.names() == ["1단 1칸", "Milk", "Tea", "1단 4칸"]
