"""RTSP cameras against GStreamer's real server on loopback."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median

import pytest
from conftest import require_gst_rtsp, require_program
from http_camera import HttpCamera
from rtsp_server import RtspServer, encode_counting, number_of

from edge.cameras import open_camera
from edge.cameras.rtsp import open_rtsp
from edge.errors import CameraError
from edge.types import CameraReason

FPS = 15
FRAMES = 90  # of the repeated stream
PASSWORD = "p@s:s/w%rd&é"


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A key frame each second, as many cameras send them."""
    require_gst_rtsp()
    require_program("ffmpeg")
    return encode_counting(tmp_path_factory.mktemp("rtsp") / "often.h264", fps=FPS, key_s=1.0)


@pytest.fixture(scope="module")
def server(stream):
    with RtspServer(stream, fps=FPS) as running:
        yield running


def look(camera, times):
    """Return the numbers of the next pictures, and when each came."""
    seen = [(number_of(camera.read()), time.monotonic()) for _ in range(times)]
    return [number for number, _ in seen], [at_s for _, at_s in seen]


def steps_of(values):
    """Return by how much each is more than the one before. Where the machine stands still for a
    moment, one step is long and the next short; half of them are as they are meant."""
    return [after - before for before, after in pairwise(values)]


def test_a_picture_comes_each_every_s_and_is_a_key_frame(server):
    camera = open_camera(server.url(), 2.0)
    numbers, at_s = look(camera, 5)
    camera.close()
    assert [number - FPS * round(number / FPS) for number in numbers] == pytest.approx(
        [0] * 5, abs=1
    )
    assert median(steps_of(at_s[1:])) == pytest.approx(2.0, abs=0.3)


def test_pictures_wanted_more_often_than_key_frames_come_are_had_from_every_frame(server):
    camera = open_camera(server.url(), 0.4)
    look(camera, 4)  # by then the camera's habit is known
    numbers, at_s = look(camera, 8)
    camera.close()
    assert median(each % FRAMES for each in steps_of(numbers)) == pytest.approx(0.4 * FPS, abs=1.5)
    assert median(steps_of(at_s)) == pytest.approx(0.4, abs=0.1)


def test_a_camera_with_rare_key_frames_and_b_frames_is_looked_at_in_time(stream, tmp_path):
    rare = encode_counting(tmp_path / "rare.h264", fps=FPS, key_s=6.0, b_frames=2)
    with RtspServer(rare, fps=FPS) as server:
        camera = open_camera(server.url(), 1.0)
        look(camera, 2)
        numbers, at_s = look(camera, 6)
        camera.close()
    assert median(each % FRAMES for each in steps_of(numbers)) == pytest.approx(FPS, abs=2)
    assert median(steps_of(at_s)) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("digest", [False, True], ids=["basic", "digest"])
def test_a_login_opens_the_stream_and_a_wrong_one_is_named_so(stream, digest):
    with RtspServer(stream, user="vi ewer", password=PASSWORD, digest=digest) as server:
        camera = open_rtsp(server.url(), 1.0)
        assert camera.read().shape == (120, 160, 3)
        camera.close()
        with pytest.raises(CameraError, match="refuses the login") as caught:
            open_rtsp(server.url(password="wrong-sesame"), 1.0)
    assert caught.value.reason is CameraReason.AUTH_FAILED
    assert "sesame" not in str(caught.value)


def test_a_wrong_path_and_a_closed_port_say_what_to_check(server):
    with pytest.raises(CameraError, match="no such stream") as caught:
        open_rtsp(server.url("/nothing"), 1.0)
    assert caught.value.reason is CameraReason.CONNECT_FAILED
    with pytest.raises(CameraError, match="refused; check address") as caught:
        open_rtsp("rtsp://viewer:sesame@127.0.0.1:9/stream", 1.0)
    assert caught.value.reason is CameraReason.CONNECT_FAILED
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "message"),
    [("nowhere.invalid", "check the name of the host"), ("pa/ss@10.0.0.2", "percent-encode")],
)
def test_an_address_that_cannot_be_one_quotes_nothing_of_it(host, message):
    with pytest.raises(CameraError, match=message) as caught:
        open_rtsp(f"rtsp://viewer:sesame{host}" if "@" in host else f"rtsp://{host}/s", 1.0)
    assert "sesame" not in str(caught.value)


def test_a_port_where_something_else_listens_is_no_camera():
    with HttpCamera() as server, pytest.raises(CameraError, match="does not speak RTSP"):
        open_rtsp(server.url("/still.jpg").replace("http:", "rtsp:"), 1.0)


def test_a_stopped_server_is_given_up(stream):
    with RtspServer(stream, fps=FPS) as server:
        camera = open_rtsp(server.url(), 0.2, read_s=2.0)
        camera.read()
        server.hang()
        with pytest.raises(CameraError, match="silent") as caught:
            look(camera, 100)
        assert caught.value.reason is CameraReason.NO_FRAMES
        camera.close()
        with pytest.raises(CameraError, match=r"no answer within 0\.5 s") as caught:
            open_rtsp(server.url(), 1.0, open_s=0.5)
        assert caught.value.reason is CameraReason.CONNECT_FAILED


def test_a_killed_server_is_noticed(stream):
    with RtspServer(stream, fps=FPS) as server:
        camera = open_rtsp(server.url(), 0.2)
        camera.read()
        server.kill()
        with pytest.raises(CameraError) as caught:
            look(camera, 100)
        camera.close()
    assert caught.value.reason is CameraReason.NO_FRAMES
