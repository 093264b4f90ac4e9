"""The calibration page's lines by keyboard alone: chosen, told, moved and taken back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("playwright")
from drawing import shelf

BAY = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
"""Upright, so that a pixel of the picture is a pixel of the bay."""
FOCUSED = "document.activeElement.getAttribute('aria-label')"
TOLD = "document.activeElement.getAttribute('aria-valuetext')"


@pytest.fixture
def hand(bench):
    hand = bench.mouse()
    hand.stop_time()
    shelf(hand, BAY, 2, 3)
    hand.press("Escape")
    hand.pause()
    return hand


def walked(hand, key, steps):
    """The names of the lines that a key leads to."""
    names = []
    for _ in range(steps):
        hand.press(key)
        names.append(hand.page.evaluate(FOCUSED))
    return names


def drawn(hand):
    hand.settled()
    return np.array(hand.quads())


def test_brackets_lead_through_all_lines_of_the_shelf_and_braces_through_the_rows_edges(hand):
    assert walked(hand, "]", 7) == [
        "1단 · 1번째 경계",
        "1단 · 2번째 경계",
        "1단 · 아래쪽 선",
        "2단 · 위쪽 선",
        "2단 · 1번째 경계",
        "2단 · 2번째 경계",
        "1단 · 1번째 경계",
    ]
    assert walked(hand, "}", 3) == ["1단 · 아래쪽 선", "2단 · 위쪽 선", "1단 · 아래쪽 선"]
    assert walked(hand, "[", 1) == ["1단 · 2번째 경계"]


def test_a_boundary_moves_by_arrow_keys_and_comes_back_in_one_step(hand):
    before = drawn(hand)
    hand.press("]")
    told = float(hand.page.evaluate(TOLD).removesuffix("픽셀"))
    hand.press("ArrowRight", "ArrowRight", "Shift+ArrowLeft", "Alt+ArrowRight", "ArrowUp")
    after = drawn(hand)
    moved = np.zeros_like(before)
    moved[0, [1, 2], 0] = moved[1, [0, 3], 0] = 2 - 10 + 0.25
    # the next boundary is not pinned: it keeps halving what is left
    moved[1, [1, 2], 0] = moved[2, [0, 3], 0] = (2 - 10 + 0.25) / 2
    assert np.allclose(after - before, moved, atol=0.02)
    assert hand.page.evaluate(TOLD) == f"{round(told - 7.75)}픽셀"
    hand.press("Control+z")
    hand.said("되돌림 · 경계 옮기기")
    assert (drawn(hand) == before).all()
    hand.press("Control+z")
    hand.said("되돌림 · 칸 나누기")


def test_the_edge_of_a_row_moves_by_arrow_keys_and_comes_back_in_one_step(hand):
    before = drawn(hand)
    hand.press("}")
    hand.press("ArrowUp", "ArrowUp", "Shift+ArrowUp", "ArrowLeft")
    moved = np.zeros_like(before)
    moved[:3, [2, 3], 1] = -12
    assert np.allclose(drawn(hand) - before, moved, atol=0.02)
    hand.press("}")
    hand.pause()
    hand.press("ArrowDown")
    moved[3:, [0, 1], 1] = 1
    assert np.allclose(drawn(hand) - before, moved, atol=0.02)
    hand.press("Control+z")
    hand.said("되돌림 · 단 높이")
    moved[3:] = 0
    assert np.allclose(drawn(hand) - before, moved, atol=0.02)
    hand.press("Control+z")
    assert (drawn(hand) == before).all()


def test_a_line_is_found_with_tab_and_enter_goes_on_to_its_ends(hand):
    before = drawn(hand)
    for _ in range(60):
        if hand.page.evaluate("document.activeElement.matches('.edge')"):
            break
        hand.press("Tab")
    assert hand.page.evaluate(FOCUSED) == "1단 · 1번째 경계"
    hand.press("Tab")
    assert hand.page.evaluate(FOCUSED) == "왼쪽 위 모서리", "one stop for all lines"
    hand.press("Shift+Tab", "Enter", "Enter")
    assert hand.page.evaluate(FOCUSED) == "경계의 위쪽 끝"
    hand.press("Shift+ArrowRight")
    moved = drawn(hand) - before
    assert moved[0, 1, 0] == pytest.approx(10, abs=0.02)
    assert moved[0, 2, 0] == pytest.approx(0, abs=0.02)
    hand.press("Control+z")
    assert (drawn(hand) == before).all()


def test_deleting_with_an_edge_of_a_row_in_hand_deletes_no_slot(hand):
    before = drawn(hand)
    hand.press("}", "Delete")
    hand.said("먼저 칸을")
    assert (drawn(hand) == before).all()


def test_escape_lets_go_of_a_line(hand):
    before = drawn(hand)
    hand.press("]", "Escape")
    assert hand.page.evaluate("document.activeElement.matches('.stage')")
    hand.press("ArrowRight")  # the whole shelf
    assert np.allclose(drawn(hand) - before, [1, 0], atol=0.02)


def test_a_pointer_that_stays_on_a_thing_paints_nothing_anew(hand):
    page = hand.page
    page.evaluate("""() => {
      window.changes = 0;
      const seen = new MutationObserver((all) => { window.changes += all.length; });
      seen.observe(document.body, {subtree: true, childList: true, attributes: true});
    }""")

    def changes(x, y):
        page.mouse.move(*hand.place(x, y))
        hand.settled()
        page.evaluate("window.changes = 0")
        for step in range(10):
            page.mouse.move(*hand.place(x + 0.002 * step, y))
            hand.settled()
        return page.evaluate("window.changes")

    hand.until("document.querySelectorAll('.slot:not([data-state=none])').length === 6")
    page.wait_for_timeout(500)
    assert changes(0.29, 0.3) == 0  # on a slot
    assert changes(0.05, 0.05) == 0  # beside the shelf
    assert changes(0.385, 0.3) > 0  # onto a boundary, which is marked
