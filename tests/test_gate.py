"""The gate on drawn pictures: what is looked at, what is left alone, and who is in the way."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial

import cv2
import numpy as np
import pytest

from edge.gate import ADOPT_S, REFRESH_S, Gate, Verdict
from edge.thumbnails import Thumbnails
from edge.types import Frame, Score, Slot

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
WIDTH, HEIGHT = 640, 360
LEFT, MIDDLE, RIGHT = (80, 100, 180, 240), (270, 100, 370, 240), (460, 100, 560, 240)
PLACES = {"left": LEFT, "middle": MIDDLE, "right": RIGHT}


def slot(name: str) -> Slot:
    x0, y0, x1, y1 = PLACES[name]
    xs, ys = (x0 / WIDTH, x1 / WIDTH), (y0 / HEIGHT, y1 / HEIGHT)
    quad = ((xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1]))
    return Slot(name, "cam", quad, name)


class Shelf:
    """A wall, a board with a rail and tags, and boxes; each frame gets its own noise."""

    def __init__(self) -> None:
        self.gate = Gate([slot(name) for name in PLACES])
        self.clock_s = 0.0
        self.pictures: dict[str, bytes | None] = {}  # of held slots
        self.full = set(PLACES)
        self.person: tuple[int, int] | None = None
        self.coat = (90, 70, 60)
        self.light = 1.0
        self.tag, self.tag_px = (40, 40, 40), 20
        self._noise = np.random.default_rng(1)

    def picture(self) -> np.ndarray:
        image = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
        cv2.rectangle(image, (0, 244), (WIDTH, 270), (225, 225, 225), -1)
        cv2.rectangle(image, (0, 271), (WIDTH, HEIGHT), (60, 60, 60), -1)
        for x0, *_ in PLACES.values():
            right = x0 + 40 + self.tag_px
            cv2.rectangle(image, (x0 + 40, 248), (right, 262), self.tag, -1)
        for name in self.full:
            x0, y0, x1, y1 = PLACES[name]
            cv2.rectangle(image, (x0 + 8, y0 + 10), (x1 - 8, y1 - 2), (40, 60, 200), -1)
            cv2.circle(image, ((x0 + x1) // 2, (y0 + y1) // 2), 25, (240, 240, 240), -1)
        if self.person:
            cv2.rectangle(image, (self.person[0], 60), (self.person[1], HEIGHT), self.coat, -1)
        noisy = image * self.light + self._noise.normal(0, 3, image.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def look(self, undecided: tuple[str, ...] = (), after_s: float = 5.0) -> dict[str, Verdict]:
        self.clock_s += after_s
        frame = Frame("cam", self.picture(), NOON, self.clock_s)
        return {sight.slot.slot_id: sight.verdict for sight in self.gate.sort(frame, undecided)}

    def watched_for(self, seconds: float) -> Shelf:
        for _ in range(int(seconds / 5)):
            self.look()
        return self


def all_are(verdict: Verdict) -> dict[str, Verdict]:
    return dict.fromkeys(PLACES, verdict)


def test_the_first_picture_is_looked_at_and_the_next_like_it_is_not():
    shelf = Shelf()
    assert shelf.look() == all_are(Verdict.LOOK)
    assert shelf.look() == all_are(Verdict.UNCHANGED)


def test_a_slot_about_which_is_being_decided_is_looked_at_each_time():
    shelf = Shelf().watched_for(30)
    assert shelf.look(undecided=("left",))["left"] is Verdict.LOOK
    assert shelf.look(undecided=("left",))["middle"] is Verdict.UNCHANGED


def test_an_unchanged_slot_is_looked_at_again_now_and_then():
    shelf = Shelf().watched_for(30)
    seen = [shelf.look()["right"] for _ in range(int(REFRESH_S / 5) + 1)]
    assert seen.count(Verdict.LOOK) == 1


def test_a_product_that_is_taken_is_motion_first_and_then_worth_a_look():
    shelf = Shelf().watched_for(60)
    shelf.full.remove("middle")
    assert shelf.look() == {
        "left": Verdict.UNCHANGED, "middle": Verdict.BLOCKED, "right": Verdict.UNCHANGED,
    }  # fmt: skip
    assert shelf.look()["middle"] is Verdict.LOOK
    assert shelf.look()["middle"] is Verdict.UNCHANGED


def test_a_shopper_who_stands_still_blocks_the_slot_for_as_long_as_they_stand():
    shelf = Shelf().watched_for(120)
    shelf.person = (255, 385)
    seen = [shelf.look() for _ in range(24)]
    assert {one["middle"] for one in seen} == {Verdict.BLOCKED}
    assert seen[-1]["left"] is not Verdict.BLOCKED
    shelf.person = None
    shelf.look()
    assert shelf.look()["middle"] is not Verdict.BLOCKED


def test_a_coat_as_bright_as_the_rail_hides_its_tags():
    shelf = Shelf().watched_for(120)
    shelf.person, shelf.coat = (255, 385), (218, 222, 225)
    assert {shelf.look()["middle"] for _ in range(24)} == {Verdict.BLOCKED}


def test_without_a_rail_emptied_neighbours_do_not_hide_a_slot():
    side = 3
    slots = []
    for row in range(side):
        for column in range(side):
            x, y, wide = 0.1 + 0.2 * column, 0.1 + 0.2 * row, 0.2
            quad = ((x, y), (x + wide, y), (x + wide, y + wide), (x, y + wide))
            slots.append(Slot(f"{row}{column}", "cam", quad, "grid"))
    gate, noise = Gate(slots), np.random.default_rng(2)

    def look(clock_s: float, gone: set[str]) -> dict[str, Verdict]:
        image = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
        for one in slots:
            if one.slot_id not in gone:
                (x0, y0), (x1, y1) = np.array(one.quad)[[0, 2]] * (WIDTH, HEIGHT)
                box = (int(x0) + 8, int(y0) + 6), (int(x1) - 8, int(y1) - 6)
                cv2.rectangle(image, *box, (40, 60, 200), -1)
                cv2.circle(image, (int(x0 + x1) // 2, int(y0 + y1) // 2), 12, (240,) * 3, -1)
        noisy = np.clip(image + noise.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        return {s.slot.slot_id: s.verdict for s in gate.sort(Frame("cam", noisy, NOON, clock_s))}

    for number in range(24):
        look(5.0 * number, set())
    gone = {"01", "10", "12", "21"}
    look(120.0, gone)
    assert look(125.0, gone)["11"] is not Verdict.BLOCKED


def test_what_was_emptied_behind_a_shopper_is_looked_at_when_they_have_gone():
    shelf = Shelf().watched_for(120)
    shelf.person = (255, 385)
    shelf.look()
    shelf.full.remove("middle")
    shelf.look()
    shelf.person = None
    shelf.look()
    assert shelf.look()["middle"] is Verdict.LOOK


@pytest.mark.parametrize("light", [0.8, 0.9, 1.1, 1.2])
def test_a_change_of_light_is_neither_motion_nor_a_person(light):
    shelf = Shelf().watched_for(60)
    shelf.light = light
    assert Verdict.BLOCKED not in shelf.look().values()


def test_a_new_price_tag_blocks_nothing():
    shelf = Shelf().watched_for(120)
    shelf.tag = (0, 230, 255)
    shelf.look()
    assert Verdict.BLOCKED not in shelf.look().values()


def test_a_tag_as_wide_as_half_the_slot_is_the_new_normal_before_long():
    shelf = Shelf().watched_for(120)
    shelf.tag, shelf.tag_px = (0, 230, 255), 50
    seen = [shelf.look()["middle"] for _ in range(int(ADOPT_S / 5))]
    assert seen[-1] is not Verdict.BLOCKED


def test_who_stands_there_at_the_start_is_soon_forgotten():
    shelf = Shelf()
    shelf.person = (255, 385)
    shelf.watched_for(10)
    shelf.person = None
    seen = [shelf.look()["middle"] for _ in range(8)]
    assert seen[0] is Verdict.BLOCKED
    assert Verdict.LOOK in seen


def test_what_stands_in_front_for_very_long_is_the_new_normal():
    shelf = Shelf().watched_for(600)
    shelf.person = (255, 385)
    seen = [shelf.look()["middle"] for _ in range(int(ADOPT_S / 5) + 3)]
    assert set(seen[: int(ADOPT_S / 5) - 1]) == {Verdict.BLOCKED}
    assert Verdict.LOOK in seen


def test_a_camera_set_to_another_resolution_is_begun_anew():
    shelf = Shelf().watched_for(30)
    half = cv2.resize(shelf.picture(), (WIDTH // 2, HEIGHT // 2))
    sights = shelf.gate.sort(Frame("cam", half, NOON, shelf.clock_s + 5))
    assert {sight.verdict for sight in sights} == {Verdict.LOOK}


def test_the_score_of_the_last_look_is_kept():
    gate = Shelf().gate
    gate.keep("left", Score(0.2))
    assert gate.kept("left") == Score(0.2)
    with pytest.raises(KeyError):
        gate.kept("right")


def test_a_camera_without_slots_is_only_watched():
    picture = np.zeros((90, 160, 3), np.uint8)
    gate = Gate([])
    assert gate.sort(Frame("cam", picture, NOON, 0.0)) == []
    assert gate.sort(Frame("cam", picture.copy(), NOON, 5.0)) == []


def others(shelf: Shelf, held: tuple[str, ...] = ("left",), times: int = 2) -> set[str]:
    """Return the held slots that are told to be another picture, after the last of some looks."""
    found: set[str] = set()
    shelf.pictures = {name: shelf.pictures.get(name) for name in held}
    for _ in range(times):
        shelf.clock_s += 5
        frame = Frame("cam", shelf.picture(), NOON, shelf.clock_s)
        sights = shelf.gate.sort(frame, denied=shelf.pictures)
        found = {sight.slot.slot_id for sight in sights if sight.changed_since_denial}
        shelf.pictures |= {one.slot.slot_id: one.picture for one in sights if one.picture}
    return found


def test_a_held_slot_is_another_picture_once_it_was_filled_or_emptied():
    shelf = Shelf().watched_for(60)
    assert others(shelf) == set()
    shelf.full.remove("left")
    assert others(shelf) == {"left"}
    assert others(shelf, held=("middle",)) == set()


def test_a_held_slot_stays_the_same_picture_in_other_light_and_behind_who_passes():
    shelf = Shelf().watched_for(60)
    others(shelf)
    shelf.light = 0.8
    assert others(shelf) == set()
    shelf.person = (60, 200)
    assert others(shelf) == set()
    shelf.person = None
    assert others(shelf, times=3) == set()


def test_what_is_taken_piece_by_piece_adds_up_to_another_picture():
    """Each piece is a look of its own; against the look before none would be much."""
    shelf = Shelf().watched_for(60)
    others(shelf)
    x0, y0, x1, y1 = LEFT
    drawn = shelf.picture

    def without(pieces: int) -> np.ndarray:
        picture, high = drawn(), (y1 - y0) // 12
        wall = np.random.default_rng(pieces).normal(150, 3, (pieces * high, x1 - x0, 3))
        picture[y0 : y0 + pieces * high, x0:x1] = wall.clip(0, 255).astype(np.uint8)
        return picture

    found: set[str] = set()
    for pieces in range(1, 6):
        shelf.picture = partial(without, pieces)
        found = others(shelf, times=4)
    assert found == {"left"}


def test_a_slot_that_is_held_anew_is_compared_with_how_it_looks_then():
    shelf = Shelf().watched_for(60)
    others(shelf)
    shelf.full.remove("left")
    assert others(shelf) == {"left"}
    others(shelf, held=())
    assert others(shelf) == set()


def test_what_was_taken_while_the_daemon_was_down_is_another_picture():
    shelf = Shelf().watched_for(60)
    assert others(shelf) == set()
    assert len(shelf.pictures["left"]) < 4096  # it is written with the slot's state
    shelf.gate = Gate([slot(name) for name in PLACES])
    assert others(shelf) == set()
    shelf.gate = Gate([slot(name) for name in PLACES])
    shelf.full.remove("left")
    assert others(shelf) == {"left"}


def test_a_picture_of_another_version_or_of_other_corners_is_taken_anew(monkeypatch):
    shelf = Shelf().watched_for(60)
    for picture in (b"of another version", others(shelf) or shelf.pictures["left"]):
        x0, y0, x1, y1 = LEFT
        monkeypatch.setitem(PLACES, "left", (x0 + 30, y0 - 30, x1, y1))
        shelf.gate = Gate([slot(name) for name in PLACES])
        monkeypatch.setitem(PLACES, "left", LEFT)
        shelf.pictures = {"left": picture}
        assert others(shelf) == set()
        shelf.full.remove("left")
        assert others(shelf) == {"left"}
        shelf.full.add("left")


def test_hundreds_of_slots_are_taken_up_at_once_and_more_than_opencv_counts_too():
    """OpenCV makes no picture of more than 32,767 rows; a slot once took 32 of them."""
    count = 33
    steps = [(number / count, (number + 0.9) / count) for number in range(count)]
    slots = [
        Slot(f"{y0}-{x0}", "cam", ((x0, y0), (x1, y0), (x1, y1), (x0, y1)), "slot")
        for y0, y1 in steps
        for x0, x1 in steps
    ]
    image = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    begun_s = time.monotonic()
    thumbnails = Thumbnails(slots, 1280, 720)
    assert time.monotonic() - begun_s < 20  # it was minutes
    cut = thumbnails.cut(image)
    assert cut.shape == (count * count, 32, 32, 3)
    alone = Thumbnails(slots[-9:], 1280, 720)
    assert np.array_equal(alone.cut(image), cut[-9:])


def test_the_strip_below_a_slot_leaves_out_what_is_another_slot():
    upper, lower = (
        Slot(name, "cam", ((0.2, top), (right, top), (right, top + 0.3), (0.2, top + 0.3)), name)
        for name, top, right in (("upper", 0.1, 0.6), ("lower", 0.42, 0.35))
    )
    both = Thumbnails([upper, lower], 640, 480).rail[0]
    alone = Thumbnails([upper], 640, 480).rail[0]
    assert both.sum() < alone.sum()
    assert not (both & ~alone).any()
