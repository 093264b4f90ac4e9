"""A camera that was moved is noticed by its picture; other goods, people and light are no move."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import moved
import numpy as np
import pytest
import yaml
from conftest import require_data
from daemon import write_site
from http_camera import HttpCamera
from mosquitto import Mosquitto, Subscriber, wait_for

from edge import aim
from edge.aim import slots_off
from edge.board import Board
from edge.errors import AlignmentError
from edge.monitor import Requests, serve
from edge.plan import Plan, read_plan
from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene
from edge.types import Asked, Slot

TRIALS = int(os.environ.get("AIM_TRIALS", "12"))
ROWS, COLUMNS = 4, 8


def slots() -> list[Slot]:
    """A bay in the middle of the picture; a slot is a tenth of it wide."""
    found = []
    for number in range(ROWS * COLUMNS):
        left, top = 0.1 + 0.1 * (number % COLUMNS), 0.1 + 0.2 * (number // COLUMNS)
        quad = ((left, top), (left + 0.1, top), (left + 0.1, top + 0.2), (left, top + 0.2))
        found.append(Slot(f"slot-{number}", "aisle", quad, ""))
    return found


def shifted(picture: np.ndarray, right: float, down: float = 0.0) -> np.ndarray:
    """Return the picture of a camera that turned away by these shares of its width and height."""
    high, wide = picture.shape[:2]
    matrix = np.array([[1.0, 0.0, right * wide], [0.0, 1.0, down * high]])
    return cv2.warpAffine(picture, matrix, (wide, high), borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture
def movements(monkeypatch) -> list[np.ndarray]:
    """What the trials do to the camera, in order; when they are used up, nothing."""
    movements: list[np.ndarray] = []
    monkeypatch.setattr(moved, "_movement", lambda _: movements.pop(0) if movements else np.eye(3))
    return movements


def photos(share: float, seed: int) -> Iterator[moved.Trial]:
    """Yield real photos in other light, with other goods in that share of their slots."""
    yield from moved.trials(require_data("scenes/rows.json").parent, TRIALS, share, seed)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_other_goods_and_other_light_are_no_movement(movements, share):
    found = []
    for trial in photos(share, 11):
        with contextlib.suppress(AlignmentError):  # nothing is said then
            found.append(slots_off(trial.reference, trial.picture, slots()))
    assert set(found) == {0.0}
    assert len(found) > 0.9 * TRIALS


def test_a_camera_that_moved_a_little_is_noticed_and_by_how_much(movements):
    chance = np.random.default_rng(3)
    steps, directions = chance.uniform(0.03, 0.08, TRIALS), chance.uniform(0, 2 * np.pi, TRIALS)
    for step, direction in zip(steps, directions, strict=True):
        by = step * np.cos(direction), step * np.sin(direction)
        movements.append(np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]], [0.0, 0.0, 1.0]]))
    found = [slots_off(trial.reference, trial.picture, slots()) for trial in photos(0.5, 12)]
    assert found == pytest.approx(list(steps / 0.1), abs=0.05)


@pytest.fixture(scope="module")
def shelf() -> np.ndarray:
    return Renderer(Scene(7)).picture(0.0)


def test_less_than_a_tenth_of_a_slot_is_too_little_to_be_told(shelf):
    assert slots_off(shelf, shifted(shelf, 0.008), slots()) == 0.0
    assert slots_off(shelf, shifted(shelf, 0.012), slots()) == pytest.approx(0.12, abs=0.01)
    narrow = [
        replace(one, quad=tuple((x / 10 + 0.4, y) for x, y in one.quad)) for one in slots()
    ]  # a hundredth of the picture each: what is found is no surer than half of that
    assert slots_off(shelf, shifted(shelf, 0.004), narrow) == 0.0
    assert slots_off(shelf, shifted(shelf, 0.006), narrow) == pytest.approx(0.6, abs=0.1)


def test_a_large_product_or_person_in_front_is_no_movement(shelf):
    person = shelf.copy()
    high, wide = shelf.shape[:2]
    person[high // 5 :, wide // 3 : 2 * wide // 3] = np.random.default_rng(0).integers(
        0, 255, (high - high // 5, 2 * wide // 3 - wide // 3, 3), np.uint8
    )
    assert slots_off(shelf, person, slots()) == 0.0


def test_another_shelf_is_not_called_moved(shelf):
    with pytest.raises(AlignmentError):
        slots_off(shelf, np.random.default_rng(0).integers(0, 255, shelf.shape, np.uint8), slots())


class Aimed(HttpCamera):
    """Shows one picture, with the noise of a sensor."""

    picture: np.ndarray

    def next_picture(self) -> bytes:
        self.pictures += 1
        noisy = cv2.add(self.picture, np.full_like(self.picture, self.pictures % 3))
        return bytes(cv2.imencode(".jpg", noisy)[1])


@pytest.fixture
def camera(shelf) -> Iterator[Aimed]:
    with Aimed() as opened:
        opened.picture = shelf
        yield opened


@pytest.fixture
def site(tmp_path: Path, camera: Aimed, broker: Mosquitto, shelf: np.ndarray) -> Path:
    """A shop whose slots were drawn on the rendered shelf, and which is looked at often."""
    path = write_site(
        tmp_path, camera.url("/still.jpg"), {"url": f"mqtt://127.0.0.1:{broker.port}"}
    )
    draw(tmp_path, shelf)
    return path


def draw(folder: Path, reference: np.ndarray | None) -> None:
    """Save the slots as drawn on this picture."""
    drawn = [
        {"id": one.slot_id, "name": "a", "quad": [list(p) for p in one.quad]} for one in slots()
    ]
    section: dict[str, object] = {"slots": drawn}
    if reference is not None:
        cv2.imwrite(str(folder / "aisle.png"), reference)
        section["reference"] = "aisle.png"
    planogram = {"version": 1, "cameras": {"aisle": section}}
    (folder / "planogram.yaml").write_text(yaml.safe_dump(planogram))


class Running:
    """The daemon's main loop in a thread of the test, asking each half second."""

    def __init__(self, site: Path):
        self.board, self.requests = Board(), Requests()
        self._stop = threading.Event()

        def read() -> Plan:
            return read_plan(site)

        args = (read(), read, self.requests, self.board, self._stop)
        self._thread = threading.Thread(target=serve, args=args, daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the main loop does not end"

    def moved_by(self) -> float | None:
        return self.board.eyes["aisle"].moved_by if "aisle" in self.board.eyes else None

    def pictures(self) -> int:
        return self.board.eyes["aisle"].frames if "aisle" in self.board.eyes else 0


@pytest.fixture
def often(monkeypatch) -> None:
    for name in ("EVERY_S", "AGAIN_S", "AWAIT_S"):
        monkeypatch.setattr(aim, name, 0.4)


def told(listener: Subscriber) -> tuple[str, str | None]:
    """Return the camera's status and reason as stated last; a reload takes it back for a moment."""
    status = statuses(listener)[-1:] or [{"status": "", "reason": None}]
    return status[0]["status"], status[0]["reason"]


def statuses(listener: Subscriber) -> list[dict[str, str | None]]:
    return [json.loads(one) for one in listener.payloads("stock/shop/camera/aisle/status") if one]


def downs(listener: Subscriber) -> list[dict]:
    events = [json.loads(one) for one in listener.payloads("stock/shop/event")]
    return [one for one in events if one["type"] == "stock.camera.down.v1"]


def test_a_moved_camera_is_degraded_until_it_is_set_back_and_its_slots_go_on(
    site, camera, shelf, broker, often
):
    with Subscriber(broker.port) as listener, Running(site) as running:
        wait_for(lambda: told(listener) == ("online", None), 20)
        camera.picture = shifted(shelf, 0.05)
        wait_for(lambda: told(listener) == ("degraded", "moved"), 30)
        assert running.moved_by() == 0.5
        wait_for(lambda: running.board.notice.cameras["aisle"].moved_by == 0.5)
        seen = running.board.notice.states["slot-0"].last_seen
        wait_for(lambda: running.board.notice.states["slot-0"].last_seen != seen, 10)
        wait_for(lambda: downs(listener))
        assert [one["data"]["reason"] for one in downs(listener)] == ["moved"]
        camera.picture = shelf
        wait_for(lambda: told(listener) == ("online", None), 30)
        assert running.moved_by() is None


def test_slots_that_were_drawn_anew_fit_and_a_reload_alone_forgets_nothing(
    site, camera, shelf, broker, often
):
    camera.picture = shifted(shelf, 0.05)
    with Subscriber(broker.port) as listener, Running(site) as running:
        wait_for(lambda: told(listener) == ("degraded", "moved"), 30)
        heard = len(statuses(listener))
        running.requests.put(Asked("reload", b"", lambda _: None))
        before = running.pictures()
        wait_for(lambda: running.pictures() > before + 20, 30)
        assert running.board.notice.cameras["aisle"].moved_by == 0.5
        draw(site.parent, camera.picture)
        running.requests.put(Asked("reload", b"", lambda _: None))
        wait_for(lambda: told(listener) == ("online", None), 30)
        assert len(statuses(listener)) == heard + 1


@pytest.mark.parametrize("reference", ["none", "of another shelf"])
def test_where_nothing_can_be_compared_nothing_is_said(
    site, camera, shelf, broker, often, reference
):
    noise = np.random.default_rng(0).integers(0, 255, shelf.shape, np.uint8)
    draw(site.parent, None if reference == "none" else noise)
    with Subscriber(broker.port) as listener, Running(site) as running:
        wait_for(lambda: told(listener) == ("online", None), 20)
        before = running.pictures()
        wait_for(lambda: running.pictures() > before + 20, 30)
        assert told(listener) == ("online", None)
        assert running.moved_by() is None


def test_one_picture_alone_does_not_make_a_camera_moved(
    site, camera, shelf, broker, often, monkeypatch
):
    monkeypatch.setattr(aim, "AGAIN_S", 3600.0)  # the second one never comes
    camera.picture = shifted(shelf, 0.05)
    with Subscriber(broker.port) as listener, Running(site) as running:
        wait_for(lambda: told(listener) == ("online", None), 20)
        before = running.pictures()
        wait_for(lambda: running.pictures() > before + 20, 30)
        assert running.moved_by() is None


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has its own priority on Linux alone")
def test_looking_for_moved_cameras_gives_way_to_everything_else():
    with contextlib.closing(aim.Aims(Board())):
        (thread,) = (one for one in threading.enumerate() if one.name == "aims")
        wait_for(lambda: os.getpriority(os.PRIO_PROCESS, thread.native_id) == aim.NICENESS)


def test_one_picture_that_nobody_thought_of_does_not_end_the_asking(
    site, camera, shelf, broker, often, monkeypatch, caplog
):
    compare, troubles = aim.slots_off, iter([cv2.error("unforeseen")])

    def once(*args: object) -> float:
        for trouble in troubles:
            raise trouble
        return compare(*args)

    monkeypatch.setattr(aim, "slots_off", once)
    camera.picture = shifted(shelf, 0.05)
    with Subscriber(broker.port) as listener, Running(site):
        wait_for(lambda: told(listener) == ("degraded", "moved"), 30)
    assert "unforeseen" in caplog.text
