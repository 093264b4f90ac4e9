"""HTTP cameras against a real HTTP server: stills, MJPEG, logins and what goes wrong."""

from __future__ import annotations

import subprocess
import time
from itertools import pairwise

import pytest
from conftest import require_program
from http_camera import HttpCamera, jpeg

from edge.cameras import open_camera
from edge.cameras.http import open_http
from edge.errors import CameraError
from edge.types import CameraReason


@pytest.fixture
def server():
    with HttpCamera() as running:
        yield running


def number_of(image):
    return round(float(image.mean())) - 40


def test_a_still_is_fetched_each_every_s_and_not_faster(server, asked_s):
    begun_s = time.monotonic()
    camera = open_camera(server.url("/still.jpg"), 0.3)
    numbers = [number_of(camera.read()) for _ in range(4)]
    assert time.monotonic() - begun_s > 0.85
    assert sum(asked_s) < 1.5
    assert numbers == [0, 1, 2, 3]
    assert len(server.requests) == 4
    camera.close()


@pytest.mark.parametrize("path", ["/sized.mjpg", "/unsized.mjpg"])
def test_of_a_stream_the_newest_picture_is_handed_out_each_every_s(path, witness):
    def a_stream():
        with HttpCamera() as server:
            camera = open_camera(server.url(path), 0.2)
            seen = [(number_of(camera.read()), time.monotonic()) for _ in range(4)]
            camera.close()
        newest = [(at_s - seen[0][1]) / 0.05 for _, at_s in seen]  # twenty a second
        assert [number for number, _ in seen] == pytest.approx(newest, abs=1.1)
        assert min(after - before for (before, _), (after, _) in pairwise(seen)) >= 3
        assert len(server.requests) == 1

    witness.sees(a_stream)


@pytest.mark.parametrize("path", ["/매대 사진.jpg", "/still.jpg?자리=왼쪽"])
def test_a_path_may_have_letters_of_any_language(server, path):
    camera = open_camera(server.url(path), 0.0)
    assert number_of(camera.read()) == 0
    camera.close()


@pytest.mark.parametrize("host", ["cam..lan", "c" * 70 + ".lan"])
def test_a_host_that_cannot_be_one_is_no_wrong_password(host):
    with pytest.raises(CameraError, match="check the URL") as caught:
        open_camera(f"http://viewer:sesame@{host}/still.jpg", 1.0)
    assert caught.value.reason is CameraReason.CONNECT_FAILED
    assert "login" not in str(caught.value).partition(";")[2]


def test_the_end_of_a_stream_is_no_picture(server):
    camera = open_camera(server.url("/sized.mjpg"), 0.0)  # leaves none out, however late it reads
    for _ in range(20):
        camera.read()
    with pytest.raises(CameraError, match="ended the stream") as caught:
        camera.read()
    assert caught.value.reason is CameraReason.NO_FRAMES
    camera.close()


def test_a_picture_without_end_is_given_up_before_it_fills_the_memory(server):
    camera = open_camera(server.url("/endless.mjpg"), 0.0)
    with pytest.raises(CameraError, match="too large"):
        camera.read()
    camera.close()
    assert server.poured < 64, "32 MiB are read, and some more lie in the line's buffers"


@pytest.mark.parametrize("scheme", ["basic", "digest"])
@pytest.mark.parametrize("path", ["/still.jpg", "/sized.mjpg"])
def test_a_login_is_sent_as_the_camera_asks_for_it(scheme, path):
    with HttpCamera(scheme=scheme, user="vi ewer", password="p@s:s/w%rd") as server:
        camera = open_camera(server.url(path), 0.0)
        assert [number_of(camera.read()) for _ in range(2)] == [0, 1]
        camera.close()


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_a_wrong_password_is_tried_once_and_named_so(scheme):
    with HttpCamera(scheme=scheme) as server:
        with pytest.raises(CameraError, match="refuses the login") as caught:
            open_camera(server.url("/still.jpg", password="wrong-one"), 1.0)
        assert caught.value.reason is CameraReason.AUTH_FAILED
        assert "wrong-one" not in str(caught.value)
        assert server.requests == [("/still.jpg", 401)] * 2  # asked, and tried


def test_a_forbidden_path_is_a_refused_login(server):
    with pytest.raises(CameraError, match="login") as caught:
        open_camera(server.url("/forbidden"), 1.0)
    assert caught.value.reason is CameraReason.AUTH_FAILED


@pytest.mark.parametrize(
    ("path", "message"),
    [("/nothing", "404.*check the path"), ("/page.html", "answers with text, not with a picture")],
)
def test_another_answer_than_a_picture_says_what_to_check(server, path, message):
    with pytest.raises(CameraError, match=message):
        open_camera(server.url(path), 1.0)


def test_https_needs_a_certificate_that_can_be_checked(tmp_path, monkeypatch):
    openssl, made = require_program("openssl"), tmp_path / "camera.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=camera", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", str(made), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    with HttpCamera(certificate=made) as server:
        with pytest.raises(CameraError, match=r"not trusted: self.signed .*; .*SSL_CERT_"):
            open_camera(server.url("/still.jpg"), 1.0)
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
        camera = open_camera(server.url("/still.jpg"), 1.0)
        assert number_of(camera.read()) == 0
        camera.close()


def test_a_camera_that_does_not_answer_is_given_up(server):
    with pytest.raises(CameraError, match="no answer in time"):
        open_http(server.url("/silent"), 1.0, timeout_s=0.3)


def test_a_closed_port_is_a_failed_connection():
    with pytest.raises(CameraError, match="refused; check address") as caught:
        open_camera("http://viewer:sesame@127.0.0.1:9/still.jpg", 1.0)
    assert caught.value.reason is CameraReason.CONNECT_FAILED
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://viewer:s3same/x@h/", "http:///still.jpg", "http://h:port/"]
)
def test_an_address_that_cannot_be_one_quotes_nothing_of_it(url):
    with pytest.raises(CameraError, match="percent-encode") as caught:
        open_camera(url, 1.0)
    assert "s3same" not in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (jpeg()[:300], "cut short"),
        (b"\xff\xd8\xff\xe0garbage", "cut short"),
        (b"not a picture", "no picture"),
    ],
)
def test_a_corrupt_picture_is_an_error_and_not_a_grey_shelf(server, broken, message):
    server.broken = broken
    camera = open_camera(server.url("/still.jpg"), 0.01)
    with pytest.raises(CameraError, match=message) as caught:
        camera.read()
    assert caught.value.reason is CameraReason.NO_FRAMES
    camera.close()
