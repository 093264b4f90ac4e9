"""Drawing slots while the shop goes on: what is saved on the page is what the daemon watches."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from daemon import HEIGHT, WIDTH, Daemon, StagedShelf, boxes, write_site
from mosquitto import Mosquitto, Subscriber, wait_for

from edge.statefile import hold

KILLED_AT_THE_RENAME = """
import os, signal, sys
from edge import cli
move = os.replace
def replace(source, target):
    if str(target).endswith("planogram.yaml"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)
os.replace = replace
sys.argv = ["edge", "calibrate", *sys.argv[1:]]
cli.main()
"""


def drawn(number: int, **more: Any) -> dict[str, Any]:
    """Return the slot of this number of the staged shelf, as the page would draw it."""
    left, top, right, bottom = boxes()[number]
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    quad = [[x / WIDTH, y / HEIGHT] for x, y in corners]
    return {"id": f"new-{number}", "name": f"Drawn {number}", "quad": quad, **more}


def save(http: httpx.Client, slots: list[dict[str, Any]], camera: str = "aisle") -> httpx.Response:
    token = http.post(f"/api/calibrate/{camera}/picture", json={}).json()["token"]
    digest = http.get(f"/api/calibrate/{camera}/plan").json()["digest"]
    body = {"token": token, "slots": slots}
    return http.put(f"/api/calibrate/{camera}", json=body, headers={"If-Match": f'"{digest}"'})


@contextlib.contextmanager
def browser(said: Any) -> Iterator[httpx.Client]:
    """Talk to the pages whose address stands somewhere in what said() returns."""
    found = wait_for(lambda: re.search(r"http://[\w.]+:\d+", said()), 30)
    with httpx.Client(base_url=found[0], headers={"X-Stock": "1"}, timeout=60) as http:
        yield http


@pytest.fixture
def site(tmp_path: Path, shelf: StagedShelf, broker: Mosquitto) -> Path:
    mqtt = {"url": f"mqtt://127.0.0.1:{broker.port}"}
    return write_site(tmp_path, shelf.url("/still.jpg"), mqtt, slots=2)


def test_slots_saved_on_the_page_are_watched_at_once_and_the_old_ones_gone(site, shelf, broker):
    shelf.empty = {5}
    with (
        Subscriber(broker.port) as listener,
        Daemon(site) as daemon,
        browser(daemon.log) as http,
    ):
        wait_for(lambda: listener.payloads("stock/shop/slot/slot-0/state"))
        assert http.get("/api/calibrate").json()["alone"] is False
        saved = save(http, [drawn(4), drawn(5, sku="0880")])
        assert saved.status_code == 200, saved.text
        assert saved.json()["reloaded"] is True
        state = "stock/shop/slot/new-5/state"
        wait_for(lambda: b'"empty"' in (listener.payloads(state) or [b""])[-1], 20)
        assert listener.payloads("stock/shop/slot/slot-0/state")[-1] == b""
        assert http.get("/api/calibrate").json()["cameras"][0]["slots"] == 2
        assert save(http, [drawn(4)]).status_code == 200  # and again, with the next picture
        wait_for(lambda: listener.payloads(state)[-1] == b"")
        assert daemon.end() == 0


def test_a_daemon_that_cannot_read_its_site_goes_on_and_says_so_to_whoever_saves(site, shelf):
    with Daemon(site) as daemon, browser(daemon.log) as http:
        written = yaml.safe_load(site.read_text())
        site.write_text(yaml.safe_dump(written | {"modell": "x"}))
        saved = save(http, [drawn(4)])
        assert saved.status_code == 200
        assert saved.json()["reloaded"] is False
        assert "did you mean model?" in saved.json()["message"]
        assert http.get("/api/calibrate/aisle/plan").json()["slots"][0]["id"] == "new-4"
        assert daemon.end() == 0


def test_a_camera_that_is_down_is_named_with_its_reason(site, shelf):
    with Daemon(site) as daemon, browser(daemon.log) as http:
        assert http.post("/api/calibrate/aisle/picture", json={}).status_code == 200
        shelf.broken = b"nothing"
        answer = wait_for(
            lambda: [
                one
                for one in [http.post("/api/calibrate/aisle/picture", json={})]
                if one.status_code == 503
            ],
            30,
        )[0]
        assert answer.json()["error"]["code"] == "no_frames"
        assert daemon.end() == 0


# edge calibrate


def calibrate(*words: object, code: str | None = None) -> subprocess.Popen[str]:
    """Begin the command, or its words with other code before them."""
    begin = ["-c", code] if code else ["-m", "edge.cli", "calibrate"]
    command = [sys.executable, *begin, *map(str, words)]
    clean = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    return subprocess.Popen(
        command, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def refusal(code: int, *words: object) -> str:
    """Run the command, which ends with the code; return its message."""
    process = calibrate(*words)
    said, message = process.communicate(timeout=60)
    assert process.returncode == code, message
    assert said == ""
    assert "Traceback" not in message
    return message


@contextlib.contextmanager
def calibrating(*words: object, code: str | None = None) -> Iterator[tuple[str, httpx.Client]]:
    """Run the command; give the line that it prints first, and a browser on its page.

    It ends at Ctrl-C, with other code by being killed.
    """
    process = calibrate(*words, code=code)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        with browser(lambda: line) as http:
            yield line, http
        if code is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == (0 if code is None else -signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()


def test_without_a_daemon_the_page_is_served_by_the_command(site):
    (site.parent / "planogram.yaml").unlink()
    with calibrating("aisle", "-c", site) as (line, http):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/calibrate\?camera=aisle", line)
        assert http.get("/calibrate?camera=aisle").status_code == 200
        saved = save(http, [drawn(4)])
        assert saved.json()["reloaded"] is False
        assert "no daemon runs" in saved.json()["message"]
    written = yaml.safe_load((site.parent / "planogram.yaml").read_text())
    assert written["cameras"]["aisle"]["slots"][0]["name"] == "Drawn 4"
    assert (site.parent / written["cameras"]["aisle"]["reference"]).exists()
    assert not (site.parent / "state").exists()  # nothing of the daemon's was touched


def test_where_the_daemon_runs_the_command_says_where_its_page_is(site):
    written = yaml.safe_load(site.read_text())
    with Daemon(site) as daemon, browser(daemon.log) as http:
        port = http.base_url.port
        site.write_text(yaml.safe_dump(written | {"web": {"listen": f"127.0.0.1:{port}"}}))
        process = calibrate("-c", site)
        said, _ = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, f"http://127.0.0.1:{port}/calibrate\n")
        assert daemon.end() == 0


def test_a_daemon_whose_pages_do_not_answer_is_not_passed_by(site):
    written = yaml.safe_load(site.read_text())
    site.write_text(yaml.safe_dump(written | {"web": {"listen": "127.0.0.1:9"}}))
    with hold(site.parent / "state"):
        assert "its pages do not answer" in refusal(69, "-c", site)


def test_a_photo_needs_neither_camera_nor_site(site, shelf, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = folder / "Aisle 1 [left].jpg"
    photo.write_bytes(shelf.next_picture())
    with calibrating(photo) as (line, http):
        assert line.endswith("/calibrate?camera=aisle-1-left")
        assert save(http, [drawn(4)], "aisle-1-left").status_code == 200
    written = yaml.safe_load((folder / "Aisle 1 [left].planogram.yaml").read_text())
    assert list(written["cameras"]) == ["aisle-1-left"]
    assert photo.read_bytes() == shelf.next_picture()
    with calibrating(photo, "-o", tmp_path / "other.yaml") as (_, http):
        assert save(http, [drawn(4)], "aisle-1-left").status_code == 200
    assert (tmp_path / "other.yaml").exists()


def test_a_phone_is_let_in_by_a_pin_that_is_for_this_once(site):
    process = calibrate("aisle", "-c", site, "--no-browser", "--listen", "0.0.0.0:0")
    assert process.stdout is not None
    try:
        address, pin_line, *code = [process.stdout.readline().strip() for _ in range(12)]
        pin = re.fullmatch(r"PIN, for this once: (\d{6})", pin_line)[1]
        assert "camera=aisle" in address
        assert all(set(line) <= set("█▀▄ ") for line in code)
        with browser(lambda: address) as http:
            refused = http.get("/api/calibrate")
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "sign_in")
            assert http.post("/api/session", json={"pin": pin}).status_code == 200
            assert http.get("/api/calibrate").json()["alone"] is True
    finally:
        process.kill()
        process.communicate()
    assert not (site.parent / "state").exists()


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, ["aisel"], "it has: aisle"),
        (2, ["aisle", "-o", "x.yaml"], "-o is for a picture"),
        (2, ["aisle", "--listen", "here"], "must be an address and a port"),
        (69, ["nothing.jpg"], "nothing.jpg: cannot be read"),
        (69, ["site.yaml/x.png"], "cannot be read"),
    ],
)
def test_what_cannot_be_calibrated_is_said(site, monkeypatch, code, words, says):
    monkeypatch.chdir(site.parent)
    assert says in refusal(code, *words)


def test_a_site_that_names_no_planogram_is_told_which_line_to_add(site):
    written = yaml.safe_load(site.read_text())
    del written["planogram"]
    site.write_text(yaml.safe_dump(written))
    assert "add the line `planogram: planogram.yaml`" in refusal(78, "-c", site)


def test_who_is_killed_while_saving_leaves_the_planogram_as_it_was(site):
    before = (site.parent / "planogram.yaml").read_bytes()
    killed = calibrating("-c", site, code=KILLED_AT_THE_RENAME)
    with killed as (_, http), pytest.raises(httpx.TransportError):
        save(http, [drawn(4)])
    assert (site.parent / "planogram.yaml").read_bytes() == before
    with calibrating("-c", site) as (_, http):
        assert len(http.get("/api/calibrate/aisle/plan").json()["slots"]) == 2
        assert save(http, [drawn(4)]).status_code == 200
        assert len(http.get("/api/calibrate/aisle/plan").json()["slots"]) == 1


def test_the_demo_goes_on_with_the_slots_that_were_drawn_over_its_own():
    command = [sys.executable, "-m", "edge.cli", "demo", "--seconds", "90"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("24 slots of a rendered store are watched")
        with browser(lambda: line) as http:
            own = http.get("/api/calibrate/shelf/plan").json()["slots"]
            assert len(own) == 24
            fewer = [own[0] | {"name": "초코우유"}, own[1]]
            saved = wait_for(
                lambda: [one for one in [save(http, fewer, "shelf")] if one.status_code != 423], 60
            )[0]
            assert saved.status_code == 200, saved.text
            assert saved.json()["reloaded"] is True
            assert http.get("/api/calibrate").json()["cameras"][0]["slots"] == 2
            assert http.post("/api/calibrate/shelf/picture", json={}).status_code == 200
    finally:
        process.kill()
        process.communicate()
