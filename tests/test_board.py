"""What the board shows: nobody who stands in front, and the slot as it was when full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.board import Board, Shot
from edge.decide import Rule
from edge.types import Frame, Moment, Observation, Score, Slot, SlotState, State

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LEFT = Slot("a1", "cam", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), "Cola")
RIGHT = Slot("a2", "cam", ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)), "Tea")
FULL, EMPTY, BODY = 40, 200, 120


class Loop:
    """Plays the main loop's rounds; what it pins are the board's own words."""

    def __init__(self, state: Path, slots=(LEFT, RIGHT)):
        self.board = Board()
        self.seconds = 0.0
        self.told: list[int] = []
        self.ledger = SimpleNamespace(states={}, cameras={}, deeds=(), health=b"")
        self.plan = plan(state, slots)
        self.board.listen(self.told.append)

    def now(self) -> Moment:
        return Moment(NOON + timedelta(seconds=self.seconds), 1000 + self.seconds)

    def look(self, *brightness: int, states: dict[str, State] | None = None) -> Frame:
        """Show each slot's half of the picture as so bright; BODY is somebody in front."""
        self.seconds += 1
        now = self.now()
        image = np.repeat(np.array(brightness, np.uint8), 50)[None, :, None]
        frame = Frame("cam", np.broadcast_to(image, (60, 100, 3)).copy(), now.at, now.clock_s)
        seen = [
            Observation(
                slot,
                now.at,
                now.clock_s,
                None if bright == BODY else Score(bright / 250),
                since_s=now.clock_s - (1 if self.seconds > 1 else 0),
            )
            for slot, bright in zip(self.plan.slots, brightness, strict=True)
        ]
        for slot_id, state in (states or {}).items():
            incident = None if state is State.STOCKED else "i"
            self.ledger.states[slot_id] = SlotState(slot_id, state, incident_id=incident)
        self.board.publish([frame], seen, self.ledger, self.plan, now)
        return frame

    def idle(self) -> None:
        self.board.publish([], [], self.ledger, self.plan, self.now())


def plan(state: Path, slots, blackout=()) -> SimpleNamespace:
    camera = SimpleNamespace(id="cam", url="usb:0", blackout=blackout)
    site = SimpleNamespace(state=state, cameras=[camera])
    return SimpleNamespace(slots=slots, rule=Rule(), config=SimpleNamespace(site=site))


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    started = Loop(tmp_path)
    started.look(FULL, FULL, states={"a1": State.STOCKED, "a2": State.STOCKED})
    started.look(FULL, FULL)
    return started


def shade(shot) -> int:
    """Return about how bright a shot is."""
    return round(cv2.imdecode(np.frombuffer(shot.jpeg(), np.uint8), 1).mean())


def test_of_the_first_picture_nobody_knows_whether_somebody_is_on_it(tmp_path):
    loop = Loop(tmp_path)
    frame = loop.look(FULL, FULL)
    assert loop.board.frame("cam") is frame
    assert loop.board.quiet_frame("cam") is None
    assert loop.board.crop("a1", "now") is None


def test_a_slot_is_shown_as_it_was_before_somebody_stepped_in_front(loop):
    before = loop.board.crop("a1", "now")
    blocked = loop.look(BODY, FULL)
    shot = loop.board.crop("a1", "now")
    assert shade(shot) == FULL
    assert (shot.version, shot.taken_at) == (before.version, before.taken_at)
    assert loop.board.frame("cam") is blocked
    assert loop.board.quiet_frame("cam") is not blocked
    loop.look(EMPTY, FULL)
    assert shade(loop.board.crop("a1", "now")) == EMPTY
    assert loop.board.crop("a1", "now").version > before.version


def test_a_slot_that_looks_as_before_is_the_same_picture(loop):
    version = loop.board.crop("a2", "now").version
    loop.seconds += 1
    now = loop.now()
    frame = Frame("cam", np.full((60, 100, 3), FULL, np.uint8), now.at, now.clock_s)
    seen = [
        Observation(slot, now.at, now.clock_s, Score(0.1), now.clock_s - 1, fresh=False)
        for slot in loop.plan.slots
    ]
    loop.board.publish([frame], seen, loop.ledger, loop.plan, now)
    assert loop.board.crop("a2", "now").version == version
    assert loop.board.crop("a2", "now").taken_at == now.at


def test_when_a_slot_is_emptied_its_last_full_picture_is_kept_and_outlives_a_restart(
    loop, tmp_path
):
    assert loop.board.crop("a1", "full") is None
    loop.look(BODY, FULL)
    loop.look(EMPTY, FULL)
    loop.look(EMPTY, FULL, states={"a1": State.EMPTY})
    full = loop.board.crop("a1", "full")
    assert shade(full) == FULL
    assert full.taken_at == NOON + timedelta(seconds=2)
    assert loop.board.crop("a2", "full") is None

    again = Loop(tmp_path)
    again.idle()
    kept = again.board.crop("a1", "full")
    assert (kept.jpeg(), kept.version) == (full.jpeg(), full.version)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["a1.jpg"]


LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def emptied(loop: Loop) -> None:
    loop.look(BODY, FULL)
    loop.look(EMPTY, FULL)
    loop.look(EMPTY, FULL, states={"a1": State.EMPTY})
    assert loop.board.crop("a1", "full") is not None


def test_after_a_restart_no_slot_that_a_blackout_touches_is_shown_as_it_was(loop, tmp_path):
    emptied(loop)
    again = Loop(tmp_path)
    again.plan = plan(tmp_path, (LEFT, RIGHT), (LEFT_HALF,))
    again.idle()
    assert again.board.crop("a1", "full") is None
    assert list((tmp_path / "full").iterdir()) == []


@pytest.mark.parametrize(
    "form",
    [
        "rtsp://viewer:{}@10.0.0.9/x?channel=1",
        "http://10.0.0.9/snap.jpg?user=viewer&password={}&channel=1",
    ],
)
def test_another_password_takes_no_picture_away(tmp_path, form):
    loop = Loop(tmp_path)
    for password in ("old", "new"):
        loop.plan = plan(tmp_path, (LEFT, RIGHT))
        loop.plan.config.site.cameras[0].url = form.format(password)
        if password == "old":
            loop.look(FULL, FULL, states={"a1": State.STOCKED, "a2": State.STOCKED})
            loop.look(FULL, FULL)
            emptied(loop)
        loop.idle()
    assert loop.board.crop("a1", "full") is not None
    assert loop.board.frame("cam") is not None


@pytest.mark.parametrize("change", [{"blackout": (LEFT_HALF,)}, {"url": "usb:1"}])
def test_what_a_camera_may_no_longer_show_hangs_nowhere(loop, tmp_path, change):
    emptied(loop)
    before, loop.plan = loop.plan, plan(tmp_path, (LEFT, RIGHT))
    loop.idle()
    assert loop.board.frame("cam") is not None  # read anew, all the same
    assert loop.board.crop("a1", "full") is not None

    loop.plan = plan(tmp_path, (LEFT, RIGHT))
    vars(loop.plan.config.site.cameras[0]).update(change)
    loop.idle()
    assert before is not loop.plan
    assert loop.board.frame("cam") is loop.board.quiet_frame("cam") is None
    for which in ("now", "full"):
        assert loop.board.crop("a1", which) is loop.board.crop("a2", which) is None
    assert list((tmp_path / "full").iterdir()) == []
    frame = loop.look(FULL, FULL)
    assert loop.board.frame("cam") is frame


def test_a_picture_that_is_not_full_is_never_kept_as_full(loop):
    half_full = 150
    loop.look(half_full, FULL)
    loop.look(BODY, FULL)
    loop.look(EMPTY, FULL)
    loop.look(EMPTY, FULL, states={"a1": State.EMPTY})
    full = loop.board.crop("a1", "full")
    assert (shade(full), full.taken_at) == (FULL, NOON + timedelta(seconds=2))


def test_with_a_slot_goes_its_picture(loop, tmp_path):
    loop.look(EMPTY, FULL)
    loop.look(EMPTY, FULL, states={"a1": State.EMPTY})
    assert (tmp_path / "full/a1.jpg").exists()
    loop.plan = plan(tmp_path, (RIGHT,))
    loop.ledger.states = {"a2": loop.ledger.states["a2"]}
    loop.idle()
    assert loop.board.crop("a1", "full") is None
    assert loop.board.crop("a1", "now") is None
    assert shade(loop.board.crop("a2", "now")) == FULL
    assert not (tmp_path / "full/a1.jpg").exists()


def test_a_slot_that_was_drawn_anew_shows_nothing_of_before(loop, tmp_path):
    loop.plan = plan(tmp_path, (replace(LEFT, quad=RIGHT.quad), RIGHT))
    loop.idle()
    assert loop.board.crop("a1", "now") is None
    assert loop.board.crop("a2", "now") is not None


def test_a_disk_that_takes_no_picture_costs_the_picture_only(loop, tmp_path, caplog):
    (tmp_path / "full").touch()
    loop.look(EMPTY, FULL)
    loop.look(EMPTY, FULL, states={"a1": State.EMPTY})
    assert "the picture is not kept" in caplog.text
    assert shade(loop.board.crop("a1", "full")) == FULL


def test_who_listens_is_told_of_what_people_can_see_and_of_nothing_else(loop):
    told = len(loop.told)
    loop.idle()
    loop.ledger.states["a1"] = replace(loop.ledger.states["a1"], score=0.2, last_seen=NOON)
    loop.idle()
    assert len(loop.told) == told
    loop.ledger.states["a1"] = replace(loop.ledger.states["a1"], incident_id="i")
    loop.idle()
    assert loop.told[told:] == [loop.board.notice.version]


def test_who_has_left_is_told_no_more(loop):
    heard: list[int] = []
    leave = loop.board.listen(heard.append)
    loop.look(EMPTY, FULL)
    leave()
    loop.look(FULL, FULL)
    assert len(heard) == 1


def test_a_wide_picture_is_reduced_for_a_page(loop):
    shot = Shot(NOON, 1, loop.board.quiet_frame("cam").image)
    assert cv2.imdecode(np.frombuffer(shot.jpeg(20), np.uint8), 1).shape == (12, 20, 3)
    assert cv2.imdecode(np.frombuffer(shot.jpeg(500), np.uint8), 1).shape == (60, 100, 3)


def test_a_camera_without_slots_gives_a_picture_to_draw_on_and_none_to_staff(tmp_path):
    loop = Loop(tmp_path, slots=())
    frames = []
    for _ in range(2):
        loop.seconds += 1
        frames.append(Frame("cam", np.zeros((60, 100, 3), np.uint8), NOON, loop.seconds))
        loop.board.publish(frames[-1:], [], loop.ledger, loop.plan, loop.now())
    assert loop.board.frame("cam") is frames[1]
    assert loop.board.quiet_frame("cam") is None
