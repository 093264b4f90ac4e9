"""Where a calibration's pictures come from: every kind of camera, and why one gives none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from conftest import require_gst_rtsp, require_program
from http_camera import HttpCamera
from rtsp_server import RtspServer, encode_counting
from test_file_folder import write_video

from edge.drawing.viewfinder import OwnCameras, SharedCameras, is_moving
from edge.errors import CameraError
from edge.eye import Eye
from edge.site import CameraConfig
from edge.types import CameraReason, Frame, Moment

RANDOM = np.random.default_rng(3)
SHELF = cv2.resize(RANDOM.integers(0, 255, (18, 32, 3), np.uint8), (640, 360))


def frame(image: np.ndarray, clock_s: float) -> Frame:
    """Return the picture as a camera in bad light sends it: noisy, and compressed."""
    noisy = np.clip(image + RANDOM.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    sent = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return Frame("aisle", cv2.imdecode(sent, cv2.IMREAD_COLOR), Moment.now().at, clock_s)


@pytest.fixture(scope="module")
def rtsp_server(tmp_path_factory):
    require_gst_rtsp()
    require_program("ffmpeg")
    path = tmp_path_factory.mktemp("rtsp") / "stream.h264"
    with RtspServer(encode_counting(path, fps=15, key_s=1.0)) as running:
        yield running


@pytest.fixture(params=["rtsp", "http", "mjpeg", "file", "folder", "demo"])
def url(request, tmp_path) -> Iterator[str]:
    """Give the address of one camera of each kind that needs no device."""
    if request.param == "rtsp":
        yield request.getfixturevalue("rtsp_server").url()
    elif request.param == "file":
        yield f"file:{write_video(tmp_path / 'shelf.mp4')}"
    elif request.param == "folder":
        for number in range(3):
            cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.roll(SHELF, 90 * number, axis=1))
        yield f"folder:{tmp_path}"
    elif request.param == "demo":
        yield "demo:?width=640"
    else:
        with HttpCamera() as server:
            yield server.url("/still.jpg" if request.param == "http" else "/sized.mjpg")


def own_cameras(url: str, **options: float) -> OwnCameras:
    return OwnCameras([CameraConfig(id="aisle", url=url)], **options)


def test_nothing_moves_where_only_noise_light_and_compression_differ():
    assert not is_moving(frame(SHELF, 0.0), frame(SHELF, 0.5))
    assert not is_moving(frame(SHELF, 0.0), frame(np.minimum(SHELF * 1.05, 255), 0.5))


def test_a_hand_before_the_shelf_moves():
    reached = SHELF.copy()
    cv2.ellipse(reached, (400, 200), (30, 50), 20, 0, 360, (120, 150, 200), -1)
    assert is_moving(frame(SHELF, 0.0), frame(reached, 0.5))
    assert is_moving(frame(reached, 0.0), frame(SHELF, 0.5))


def test_every_kind_of_camera_gives_a_picture_and_another_one(url):
    cameras = own_cameras(url)
    first, second = cameras.take("aisle"), cameras.take("aisle")
    cameras.close()
    assert first.frame.image.ndim == 3
    assert second.frame.clock_s > first.frame.clock_s


def test_every_kind_of_camera_gives_the_daemons_pictures(url):
    stop = threading.Event()
    eye = Eye("aisle", url, 0.3, stop)
    eye.start()
    looking = threading.Thread(target=look_until, args=(eye, stop))
    looking.start()
    try:
        cameras = SharedCameras(lambda: {"aisle": eye})
        first, second = cameras.take("aisle"), cameras.take("aisle")
        assert second.frame.clock_s > first.frame.clock_s
    finally:
        stop.set()
        looking.join()
        eye.close(timeout_s=10)


def look_until(eye: Eye, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        eye.take(Moment.now())


def test_pictures_of_a_folder_differ_and_do_not_move(tmp_path):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.roll(SHELF, 90 * number, axis=1))
    cameras = own_cameras(f"folder:{tmp_path}")
    assert [cameras.take("aisle").moving for _ in range(3)] == [False] * 3
    cameras.close()


def test_a_recording_that_has_ended_shows_its_last_picture(tmp_path):
    cv2.imwrite(str(tmp_path / "only.jpg"), SHELF)
    cameras = own_cameras(f"folder:{tmp_path}")
    first, again = cameras.take("aisle"), cameras.take("aisle")
    cameras.close()
    assert first.frame is again.frame


def test_what_moves_before_a_camera_is_told():
    with HttpCamera() as server:
        shelves = [cv2.imencode(".png", np.roll(SHELF, 90 * n, axis=1))[1] for n in range(2)]
        server.next_picture = lambda: bytes(shelves[len(server.requests) % 2])
        cameras = own_cameras(server.url("/still.jpg"))
        assert cameras.take("aisle").moving
        cameras.close()


@pytest.mark.parametrize(
    ("address", "reason", "says"),
    [
        ("http://viewer:s3same@127.0.0.1:9/", CameraReason.CONNECT_FAILED, "check address"),
        ("usb:97", CameraReason.CONNECT_FAILED, "there is no /dev/video97"),
        ("folder:/nowhere", CameraReason.CONNECT_FAILED, "there is no such folder"),
    ],
)
def test_a_camera_without_a_picture_says_why(address, reason, says):
    cameras = own_cameras(address)
    with pytest.raises(CameraError, match=says) as caught:
        cameras.take("aisle")
    cameras.close()
    assert caught.value.reason is reason
    assert "s3same" not in str(caught.value)


def test_a_refused_login_is_tried_once_and_named_so():
    with HttpCamera(scheme="basic") as server:
        cameras = own_cameras(server.url("/still.jpg", password="wrong"))
        with pytest.raises(CameraError, match="refuses the login") as caught:
            cameras.take("aisle")
        cameras.close()
        assert caught.value.reason is CameraReason.AUTH_FAILED
        assert len(server.requests) == 2  # asked, and tried


def test_a_camera_that_hangs_is_given_up():
    with HttpCamera() as server:
        cameras = own_cameras(server.url("/silent"), wait_s=0.5)
        begun_s = time.monotonic()
        with pytest.raises(CameraError, match="no picture came in time") as caught:
            cameras.take("aisle")
        assert time.monotonic() - begun_s < 4
        cameras.close()
        assert caught.value.reason is CameraReason.NO_FRAMES


def test_the_daemons_camera_that_is_down_says_why():
    stop = threading.Event()
    eye = Eye("aisle", "http://127.0.0.1:9/", 0.3, stop)
    eye.start()
    try:
        with pytest.raises(CameraError, match="check address"):
            SharedCameras(lambda: {"aisle": eye}).take("aisle")
    finally:
        stop.set()
        eye.close(timeout_s=10)


def test_the_daemons_picture_is_had_also_where_nothing_can_be_stated_on_it(tmp_path):
    cv2.imwrite(str(tmp_path / "only.jpg"), SHELF)
    stop = threading.Event()
    eye = Eye("aisle", f"folder:{tmp_path}", 0.1, stop, reference_size=(480, 480))
    eye.start()
    deadline_s = time.monotonic() + 10
    try:
        while not eye.recent:
            assert eye.take(Moment.now()) is None  # the slots were drawn on another aspect
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert SharedCameras(lambda: {"aisle": eye}).take("aisle").frame.image.shape == SHELF.shape
    finally:
        stop.set()
        eye.close(timeout_s=10)
