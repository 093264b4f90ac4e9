"""One camera as the main loop sees it: looks when due, and its status with the reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mosquitto import wait_for as wait

from edge.eye import HOLD_S, Eye
from edge.types import CameraReason, CameraState, CameraStatus, Frame, Moment


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def folder(path: Path, brightness: list[int], size: tuple[int, int] = (64, 48)) -> str:
    for number, value in enumerate(brightness):
        image = np.full((size[1], size[0], 3), value, np.uint8)
        cv2.imwrite(str(path / f"{number}.png"), image)
    return f"folder:{path}"


def wait_for(eye: Eye, status: CameraStatus, reason: CameraReason | None, frames: list[Frame]):
    """Take frames until the camera is like that."""
    for _ in range(300):
        now = Moment.now()
        if (frame := eye.take(now)) is not None:
            frames.append(frame)
        if (state := eye.state(now)) and (state.status, state.reason) == (status, reason):
            return
        time.sleep(0.02)
    raise AssertionError(f"never {status} {reason}")


def test_pictures_come_and_the_end_of_a_recording_is_a_camera_that_is_down(tmp_path, stop):
    eye = Eye("cam", folder(tmp_path, [100, 110, 120] * 10), 0.1, stop)
    eye.start()
    frames: list[Frame] = []
    wait_for(eye, CameraStatus.ONLINE, None, frames)
    wait_for(eye, CameraStatus.OFFLINE, CameraReason.ENDED, frames)
    wait(lambda: eye.take(Moment.now()) is None and eye.ended)  # the last picture may still wait
    assert len(frames) >= 2


def test_no_look_is_taken_before_it_is_due(tmp_path, stop):
    eye = Eye("cam", folder(tmp_path, [100] * 50), 0.05, stop)
    eye.every_s = 10.0  # the camera sends more often than looks are wanted
    eye.start()
    frames: list[Frame] = []
    wait_for(eye, CameraStatus.OFFLINE, CameraReason.ENDED, frames)
    assert len(frames) == 1


def test_a_dark_picture_shows_no_slot_and_says_why(tmp_path, stop):
    eye = Eye("cam", folder(tmp_path, [3] * 30), 0.1, stop)
    eye.start()
    frames: list[Frame] = []
    wait_for(eye, CameraStatus.DEGRADED, CameraReason.DARK, frames)
    assert frames == []


def test_a_picture_of_another_aspect_than_the_reference_shows_no_slot(tmp_path, stop, caplog):
    eye = Eye("cam", folder(tmp_path, [100] * 30), 0.1, stop, reference_size=(1920, 1080))
    eye.start()
    frames: list[Frame] = []
    wait_for(eye, CameraStatus.DEGRADED, None, frames)
    assert frames == []
    assert "64 x 48, the slots were drawn on 1920 x 1080" in caplog.text
    assert caplog.text.count("another aspect") == 1


def test_a_smaller_picture_of_the_same_aspect_is_fine(tmp_path, stop):
    eye = Eye("cam", folder(tmp_path, [100] * 30), 0.1, stop, reference_size=(1600, 1200))
    eye.start()
    frames: list[Frame] = []
    wait_for(eye, CameraStatus.ONLINE, None, frames)
    wait_for(eye, CameraStatus.OFFLINE, CameraReason.ENDED, frames)
    assert frames


def test_a_camera_that_is_not_there_is_down_and_says_so(tmp_path, stop):
    eye = Eye("cam", f"folder:{tmp_path / 'none'}", 0.1, stop)
    eye.start()
    wait_for(eye, CameraStatus.OFFLINE, CameraReason.CONNECT_FAILED, [])
    assert not eye.ended


@pytest.mark.parametrize("reason", [CameraReason.FROZEN, CameraReason.MOVED])
def test_what_takes_long_to_be_found_counts_until_there_was_time_for_it(tmp_path, stop, reason):
    eye = Eye("cam", folder(tmp_path, [100] * 50), 0.1, stop)
    told = CameraState("cam", CameraStatus.DEGRADED, reason, Moment.now().at, None)
    eye.remember(told)
    eye.start()
    frames: list[Frame] = []
    wait_for(eye, CameraStatus.DEGRADED, reason, frames)
    assert frames  # its slots are judged all the same
    eye.remember(replace(told, reason=CameraReason.DARK))  # it is open: too late to hear of before
    now = Moment.now()
    state = eye.state(Moment(now.at, now.clock_s + HOLD_S[reason] + 1))
    assert state is not None
    assert state.status is CameraStatus.ONLINE


def test_a_camera_is_not_up_before_its_first_picture_was_looked_at(tmp_path, stop):
    eye = Eye("cam", folder(tmp_path, [3] * 50), 0.1, stop)
    eye.start()
    for _ in range(300):
        if eye.condition() is not None:
            break
        time.sleep(0.02)
    assert eye.state(Moment.now()) is None
    wait_for(eye, CameraStatus.DEGRADED, CameraReason.DARK, [])


def test_a_camera_of_another_aspect_stays_so_over_a_reload(tmp_path, stop):
    eye = Eye("cam", folder(tmp_path, [100] * 50), 0.1, stop, reference_size=(1920, 1080))
    eye.start()
    wait_for(eye, CameraStatus.DEGRADED, None, [])
    eye.begin_anew((1920, 1080))
    state = eye.state(Moment.now())
    assert state is not None
    assert state.status is CameraStatus.DEGRADED
