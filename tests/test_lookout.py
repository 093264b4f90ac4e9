"""Cameras over a change of the configuration: only what changed is closed and opened anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mosquitto import wait_for

from edge.eye import Eye
from edge.lookout import CLOSE_S, Lookout
from edge.site import CameraConfig
from edge.types import CameraStatus, Moment


@pytest.fixture
def lookout() -> Iterator[Lookout]:
    opened = Lookout()
    yield opened
    opened.close()


def camera(camera_id: str, folder: Path, every_s: float = 0.1) -> CameraConfig:
    for number in range(100):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), 100 + number, np.uint8))
    return CameraConfig(id=camera_id, url=f"folder:{folder}", every_s=every_s)


def look(lookout: Lookout, *cameras: CameraConfig, size: tuple[int, int] | None = None):
    return lookout.look(cameras, lambda camera_id: size)


def pictures(eye: Eye) -> int:
    eye.take(Moment.now())
    return eye.frames


def test_a_camera_that_stays_the_same_stays_open_and_goes_on(lookout, tmp_path):
    aisle, fridge = camera("aisle", tmp_path), camera("fridge", tmp_path)
    first = look(lookout, aisle, fridge)
    wait_for(lambda: pictures(first[0]) >= 3)
    again = look(lookout, fridge, aisle)
    assert again == first[::-1]
    assert len(first[0].recent) == 2  # who draws slots need not wait
    before = first[0].frames
    wait_for(lambda: pictures(first[0]) > before)


def test_a_camera_that_changed_is_another_and_one_that_went_is_closed(lookout, tmp_path):
    aisle, fridge = camera("aisle", tmp_path), camera("fridge", tmp_path)
    first = look(lookout, aisle, fridge)
    slower = camera("aisle", tmp_path, every_s=0.2)
    (after,) = look(lookout, slower)
    assert after is not first[0]
    assert after.every_s == 0.2
    wait_for(lambda: pictures(after) >= 1)
    seen = [pictures(gone) for gone in first]
    until = after.frames + 3  # meanwhile those that went would have had theirs
    wait_for(lambda: pictures(after) >= until)
    assert [pictures(gone) for gone in first] == seen


def test_many_cameras_that_sleep_are_waited_for_together(lookout, tmp_path):
    cameras = [camera(f"c{number}", tmp_path, every_s=60) for number in range(4)]
    eyes = look(lookout, *cameras)
    wait_for(lambda: all(pictures(eye) for eye in eyes))
    waits: list[float] = []
    for eye in eyes:
        eye.close = waits.append
    look(lookout)
    assert len(waits) == 4
    assert max(waits) <= CLOSE_S


class RecordingEye:
    """Notes whom it has to wait for."""

    def __init__(self, camera_id, url, *rest, blackout, after):
        self.url, self.after = url, after

    def start(self): ...

    def close(self, timeout_s): ...

    def begin_anew(self, size): ...


def test_who_holds_a_camera_is_waited_for_whatever_it_was_called(lookout, monkeypatch):
    monkeypatch.setattr("edge.lookout.Eye", RecordingEye)

    def eyes(**urls: str) -> dict[str, RecordingEye]:
        cameras = [CameraConfig(id=name, url=url) for name, url in urls.items()]
        return dict(zip(urls, look(lookout, *cameras), strict=True))

    first = eyes(a="usb:0", b="usb:1", c="http://c/x.jpg", d="rtsp://viewer:old@d/1")
    assert [one.after for one in first.values()] == [None] * 4
    second = eyes(
        a="usb:1", b="usb:0?size=640x480", c="http://c/x.jpg?y", e="rtsp://viewer:new@d/1"
    )
    assert (second["a"].after, second["b"].after) == (first["b"], first["a"])
    assert second["e"].after is first["d"]
    assert second["c"].after is None  # a still: nobody holds it
    third = eyes(a="usb:2", b="usb:0?size=640x480")
    assert third["a"].after is None
    assert third["b"] is second["b"]


def test_slots_drawn_on_another_picture_end_the_wrong_aspect(lookout, tmp_path):
    aisle = camera("aisle", tmp_path)
    (eye,) = look(lookout, aisle, size=(100, 100))

    def status() -> CameraStatus | None:
        eye.take(Moment.now())
        state = eye.state(Moment.now())
        return state.status if state else None

    wait_for(lambda: status() is CameraStatus.DEGRADED)
    look(lookout, aisle, size=(64, 48))
    wait_for(lambda: status() is CameraStatus.ONLINE)
