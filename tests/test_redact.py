"""No password reaches any output, whoever prints it."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import textwrap
from urllib.parse import quote

import pytest

from edge.redact import install, redact, register_secret, register_url, without_login

SECRET = "p@ss:w/ö rd'1"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("open rtsp://viewer:sesame@10.0.0.2/s failed", "open rtsp://***@10.0.0.2/s failed"),
        ("Did you mean file:rtsp://viewer:sesame@h/s?", "Did you mean file:rtsp://***@h/s?"),
        ("'http://viewer:se@sa/me@h:80/x'", "'http://***@h:80/x'"),
        ("RTSP://viewer:sesame@h", "RTSP://***@h"),
        ("rtsp:/viewer:sesame@h/s", "rtsp:/***@h/s"),
        ("http://h/cgi?user=a&password=sesame&x=1", "http://h/cgi?user=a&password=***&x=1"),
        ("GET /?pwd=sesame HTTP/1.1", "GET /?pwd=*** HTTP/1.1"),
        ("Authorization: Basic c2VzYW1l", "Authorization: Basic ***"),
        ("mail me@example.org about http://h/x", "mail me@example.org about http://h/x"),
    ],
)
def test_logins_in_urls_are_hidden(text, hidden):
    assert redact(text) == hidden


@pytest.mark.parametrize(
    ("url", "another_password", "another_place"),
    [
        ("rtsp://viewer:one@h/s", "rtsp://viewer:two@h/s", "rtsp://viewer:one@h/t"),
        (
            "http://h/x?password=one&c=1",
            "http://h/x?password=two&c=1",
            "http://h/x?password=one&c=2",
        ),
        ("http://h/x?c=1&token=one", "http://h/x?c=1&token=two", "http://h/x?c=2&token=one"),
    ],
)
def test_another_password_makes_no_other_url(url, another_password, another_place):
    assert without_login(url) == without_login(another_password)
    assert without_login(url) != without_login(another_place)
    assert "one" not in without_login(url)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        json.dumps(SECRET),
        repr([SECRET]),
    ],
)
def test_a_registered_secret_is_hidden_in_every_form(form):
    register_secret(SECRET)
    assert re.fullmatch(r"it was \W*\*\*\*\W*", redact(f"it was {form}"))


def test_the_password_of_a_registered_url_is_hidden_without_the_url_around_it():
    register_url("rtsp://viewer:tr%C3%A8s%2Fsecret@10.0.0.2/stream")
    assert redact("nonnumeric port: 'très/secret'") == "nonnumeric port: '***'"
    register_url("http://viewer:slash/colon@10.0.0.3/")
    assert redact("no host colon, no slash/colon") == "no host colon, no ***"


def test_a_short_secret_does_not_tear_words_apart():
    register_secret("qx")
    assert redact("qx and qxylophone") == "*** and qxylophone"


def test_log_records_and_their_tracebacks_are_redacted_for_every_handler(caplog):
    make = logging.getLogRecordFactory()
    install()
    try:
        log = logging.getLogger("edge.tests")
        try:
            raise ValueError("bad rtsp://viewer:sesame@h/s")
        except ValueError:
            log.exception("camera %s of %s", "rtsp://viewer:sesame@h/s", "aisle")
        log.warning("%s")  # nothing to hide stays as it is
    finally:
        logging.setLogRecordFactory(make)
    assert "camera rtsp://***@h/s of aisle" in caplog.text
    assert "ValueError: bad rtsp://***@h/s" in caplog.text
    assert "sesame" not in caplog.text


def printed_by(code):
    """Return all that a process prints which runs this after install()."""
    begin = """
        import logging, sys, threading, warnings
        from edge import redact
        logging.basicConfig(level=logging.DEBUG)
        redact.install()
        URL = "rtsp://viewer:sesame@127.0.0.1:9/stream"
        """
    program = textwrap.dedent(begin) + textwrap.dedent(code)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    return run.stdout + run.stderr


def test_ffmpeg_prints_no_password_when_a_camera_cannot_be_opened():
    printed = printed_by(
        """
        import threading
        from edge.grabber import Grabber, Patience
        stop = threading.Event()
        grabber = Grabber("aisle", URL, 1.0, stop, Patience(first_retry_s=0.1))
        grabber.start()
        for _ in range(600):
            if grabber.condition() is not None:
                break
            stop.wait(0.05)
        stop.wait(1.0)
        stop.set()
        grabber.join()
        print(grabber.condition())
        """
    )
    assert "connect_failed" in printed
    assert "next try in" in printed
    assert "sesame" not in printed


def test_opencv_prints_no_password_when_it_opens_a_url():
    printed = printed_by(
        """
        import cv2
        for url in (URL, URL.replace("rtsp:", "http:"), "sesame://viewer:sesame@h", "rtspsesame"):
            print(cv2.VideoCapture(url, cv2.CAP_FFMPEG).isOpened())
            print(cv2.VideoCapture(url).isOpened())
        """
    )
    assert printed.split() == ["False"] * 8


def test_a_bug_keeps_its_traceback_and_loses_the_password():
    printed = printed_by(
        """
        def fail():
            raise RuntimeError("cannot open " + URL)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        warnings.warn("slow: " + URL)
        fail()
        """
    )
    assert printed.count("RuntimeError: cannot open rtsp://***@127.0.0.1:9/stream") == 2
    assert "slow: rtsp://***@" in printed
    assert "sesame" not in printed


def test_an_error_of_pyav_that_nobody_caught_shows_no_password():
    printed = printed_by("import av\nav.open(URL)")
    assert "ConnectionRefusedError" in printed
    assert "sesame" not in printed
