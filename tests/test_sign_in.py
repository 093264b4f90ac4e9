"""The door: a PIN that cannot be guessed, sessions that last and end, and what is kept of both."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from http.cookies import SimpleCookie
from pathlib import Path

import anyio
import httpx
import pytest
import yaml
from pages import serve_pages, site_of
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from edge.config import load
from edge.errors import ConfigError, UsageError
from edge.pin import PinFile, PinMark, set_pin
from edge.web.auth import Door
from edge.web.limiter import ALL_TRIES, FREE_TRIES, Limiter, network_of
from edge.web.sessions import LASTS_S, MOST, Sessions

PIN, OTHER = "246813", "975310"
WRITE = {"X-Stock": "1"}


async def secret(request):
    return JSONResponse({"failures": request.app.state.door.failures})


async def events(request):
    async def ticks():
        while True:
            yield b"event: beat\ndata: {}\n\n"
            await anyio.sleep(0.05)

    return StreamingResponse(ticks(), media_type="text/event-stream")


ROUTES = [Route("/api/secret", secret), Route("/api/events", events)]


@pytest.fixture
def url(tmp_path):
    set_pin(tmp_path / "pin", PIN)
    with serve_pages(tmp_path, ROUTES) as address:
        yield address


@pytest.fixture
def client(url):
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


def sign_in(client, pin=PIN):
    return client.post("/api/session", json={"pin": pin, "name": "till"}, headers=WRITE)


def run_edge(*words, **more):
    command = [sys.executable, "-m", "edge.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **more)


# The session.


def test_nothing_but_the_login_page_is_to_be_had_without_the_pin(client):
    assert client.get("/api/secret").json()["error"]["code"] == "sign_in"
    assert client.get("/api/secret").status_code == 401
    assert client.get("/api/events").status_code == 401
    assert client.get("/api/no-such-thing").status_code == 401
    for path, then in (
        ("/", "%2F"),
        ("/calibrate?camera=a&x=//b", "%2Fcalibrate%3Fcamera%3Da%26x%3D%2F%2Fb"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={then}")
    assert client.get("/login").status_code == 200
    assert client.get("/api/session").json() == {
        "signed_in": False,
        "pin": True,
        "tls": False,
        "node": "shop",
        "version": client.get("/api/session").json()["version"],
    }


def test_with_the_pin_everything_is(client):
    assert sign_in(client).json() == {"signed_in": True}
    assert client.get("/api/secret").status_code == 200
    assert client.get("/").status_code == 200
    assert client.get("/api/session").json()["signed_in"]


def test_the_cookie_can_be_read_by_no_script_and_sent_by_no_other_site(client):
    cookie = SimpleCookie(sign_in(client).headers["set-cookie"])["stock_sid"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert not cookie["domain"]
    assert int(cookie["max-age"]) == LASTS_S == 30 * 86400
    assert len(cookie.value) >= 43, "256 bits"


def test_each_opened_page_gives_the_cookie_its_thirty_days_anew(client):
    assert "set-cookie" not in client.get("/api/session").headers, "given to a stranger"
    sign_in(client)
    token = client.cookies["stock_sid"]
    cookie = SimpleCookie(client.get("/api/session").headers["set-cookie"])["stock_sid"]
    assert (cookie.value, int(cookie["max-age"])) == (token, LASTS_S)


def test_signing_out_ends_the_session_for_everybody_who_has_its_token(client, url):
    sign_in(client)
    token = client.cookies["stock_sid"]
    assert not client.delete("/api/session", headers=WRITE).json()["signed_in"]
    assert "stock_sid" not in client.cookies
    assert httpx.get(f"{url}api/secret", cookies={"stock_sid": token}).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "é" * 43, "../../state", "null", "1; a=b"])
def test_a_token_that_was_never_given_opens_nothing(url, token):
    headers = {"Cookie": b"stock_sid=" + token.encode()}
    assert httpx.get(f"{url}api/secret", headers=headers).status_code == 401


def test_a_restart_signs_nobody_out(tmp_path):
    set_pin(tmp_path / "pin", PIN)
    with serve_pages(tmp_path, ROUTES) as first, httpx.Client(base_url=first) as client:
        sign_in(client)
        cookies = dict(client.cookies)
    with serve_pages(tmp_path, ROUTES) as second:
        assert httpx.get(f"{second}api/secret", cookies=cookies).status_code == 200


def test_another_pin_ends_all_sessions_and_open_streams_at_once(client, tmp_path):
    sign_in(client)
    lines = []
    with client.stream("GET", "/api/events") as stream:
        reading = stream.iter_lines()
        lines.append(next(reading))
        set_pin(tmp_path / "pin", OTHER)
        lines += list(reading)  # which ends
    assert lines[0] == "event: beat"
    assert client.get("/api/secret").status_code == 401
    assert sign_in(client, PIN).status_code == 401
    assert sign_in(client, OTHER).status_code == 200
    assert client.get("/api/secret").status_code == 200


def test_the_same_pin_set_again_ends_all_sessions_too(client, tmp_path):
    sign_in(client)
    set_pin(tmp_path / "pin", PIN)
    assert client.get("/api/secret").status_code == 401


def test_signing_out_elsewhere_ends_an_open_stream(client, url):
    sign_in(client)
    with client.stream("GET", "/api/events") as stream:
        reading = stream.iter_lines()
        next(reading)
        cookies = dict(client.cookies)
        httpx.delete(f"{url}api/session", headers=WRITE, cookies=cookies)
        assert len(list(reading)) < 1000


def test_where_no_pin_is_set_this_pc_needs_none(tmp_path):
    with serve_pages(tmp_path, ROUTES) as url:
        assert httpx.get(f"{url}api/secret").status_code == 200
        shown = httpx.get(f"{url}api/session").json()
        assert (shown["signed_in"], shown["pin"]) == (True, False)


def test_beyond_this_pc_a_pin_that_vanished_locks_everybody_out(tmp_path):
    """site.yaml with such an address is refused without a PIN; the file may go later."""
    with serve_pages(tmp_path, ROUTES, listen="0.0.0.0:0") as address:
        url = f"http://127.0.0.1:{httpx.URL(address).port}/"
        assert httpx.get(f"{url}api/secret").status_code == 401
        with httpx.Client(base_url=url) as client:
            assert sign_in(client).status_code == 401
        (tmp_path / "pin").write_text("nonsense\n")
        assert httpx.get(f"{url}api/secret").status_code == 401
        set_pin(tmp_path / "pin", PIN)
        with httpx.Client(base_url=url) as client:
            assert sign_in(client).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"pin": 246813}, {"pin": None}, {"pin": [PIN]}, {"pin": "1" * 100}),
        *({"pin": PIN, "name": "x" * 100}, {"pin": PIN, "admin": True}),
    ],
)
def test_a_form_of_another_shape_is_no_try(client, body):
    for _ in range(8):
        assert client.post("/api/session", json=body, headers=WRITE).status_code == 400
    assert sign_in(client).status_code == 200


# Guessing.


def test_after_five_wrong_pins_one_has_to_wait_even_with_the_right_one(client):
    for guess in range(FREE_TRIES):
        answer = sign_in(client, f"{guess:06}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "wrong_pin")
    refused = sign_in(client)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "wait"
    assert 25 <= error["seconds"] <= 30
    assert int(refused.headers["retry-after"]) == error["seconds"]


def test_many_guesses_at_once_are_five(client, url):
    answers = []

    def guess(number):
        with httpx.Client(base_url=url, timeout=30) as one:
            answers.append(sign_in(one, f"{number:06}").status_code)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(401) == FREE_TRIES
    assert set(answers) <= {401, 429, 503}


def test_guesses_are_judged_one_after_the_other_for_each_takes_memory(client, url, monkeypatch):
    judging, most, count = 0, 0, threading.Lock()

    def slowly(mark: PinMark, pin: str) -> bool:
        nonlocal judging, most
        with count:
            judging += 1
            most = max(most, judging)
        time.sleep(0.3)
        with count:
            judging -= 1
        return pin == PIN

    monkeypatch.setattr(PinMark, "fits", slowly)
    body = {"pin": OTHER}
    guesses = [
        threading.Thread(target=httpx.post, args=(f"{url}api/session",), kwargs=kwargs)
        for kwargs in [{"json": body, "headers": WRITE, "timeout": 20}] * 4
    ]
    for guess in guesses:
        guess.start()
    for guess in guesses:
        guess.join(20)
    assert most == 1


def test_wrong_pins_are_logged_with_the_address_and_counted(client, caplog):
    sign_in(client, OTHER)
    sign_in(client)
    assert "a wrong PIN from 127.0.0.1" in caplog.text
    assert client.get("/api/secret").json() == {"failures": 1}
    assert OTHER not in caplog.text
    assert PIN not in caplog.text


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_waits_double_up_to_a_quarter_of_an_hour():
    clock = Clock()
    limiter = Limiter(clock)
    assert [limiter.wait_s("192.0.2.1") for _ in range(FREE_TRIES)] == [0] * FREE_TRIES
    waits = []
    for _ in range(8):
        wait_s = limiter.wait_s("192.0.2.1")
        waits.append(wait_s)
        clock.now += wait_s
        assert limiter.wait_s("192.0.2.1") == 0
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_a_right_pin_is_no_try_and_forgives_the_wrong_ones_before():
    limiter = Limiter(Clock())
    for _ in range(200):
        for _ in range(FREE_TRIES - 1):
            assert limiter.wait_s("192.0.2.1") == 0
        limiter.was_right("192.0.2.1")
        limiter._all.clear()
    assert limiter.wait_s("192.0.2.1") == 0


def test_addresses_without_number_get_no_more_than_thirty_tries_an_hour():
    clock = Clock()
    limiter = Limiter(clock)
    let_in = 0
    for hour in range(3):
        clock.now = 10_000 + 3600.0 * hour
        for number in range(5000):
            let_in += limiter.wait_s(f"10.{hour}.{number // 250}.{number % 250}") == 0
    assert let_in == 3 * ALL_TRIES
    assert len(limiter._records) <= 3 * ALL_TRIES, "and no memory either"
    assert 3500 < limiter.wait_s("192.0.2.1") <= 3600


def test_six_digits_hold_for_years_against_the_fastest_guesser():
    years = 10**6 / ALL_TRIES / 24 / 365
    assert years > 3


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_addresses_that_one_person_can_change_between_are_one(address, who):
    assert network_of(address) == who


# What is kept.


def test_the_state_folder_holds_neither_pin_nor_token(client, tmp_path):
    sign_in(client)
    token = client.cookies["stock_sid"]
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert PIN not in text
        assert token not in text
        assert path.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"pin", "sessions.json"}


def test_a_session_ends_thirty_days_after_its_last_use(tmp_path):
    clock = Clock()
    sessions = Sessions(tmp_path / "sessions.json", clock, clock)
    token = sessions.begin("p", "till")
    for _ in range(4):
        clock.now += LASTS_S - 10
        assert sessions.knows("p", token)
    again = Sessions(tmp_path / "sessions.json", clock, clock)
    clock.now += LASTS_S + 10
    assert not sessions.knows("p", token)
    assert not again.knows("p", token)


@pytest.mark.parametrize("off_s", [-26 * 365 * 86400.0, 40 * 365 * 86400.0])
def test_a_clock_that_is_wrong_until_it_is_set_signs_nobody_out(tmp_path, off_s):
    clock, steady = Clock(), Clock()
    sessions = Sessions(tmp_path / "sessions.json", clock, steady)
    used, unused = (sessions.begin("p", name) for name in ("used", "unused"))
    clock.now += off_s  # the PC was off, and has no battery for its clock
    steady.now = 10.0
    again = Sessions(tmp_path / "sessions.json", clock, steady)
    again.knows("p", used)
    new = again.begin("p", "new")
    steady.now += 60
    clock.now += 60 - off_s  # the network tells the time
    assert [again.knows("p", token) for token in (used, unused, new)] == [True, True, True]
    later = Sessions(tmp_path / "sessions.json", clock, steady)
    assert [later.knows("p", token) for token in (used, unused, new)] == [True, True, True]


def test_of_very_many_sessions_the_least_used_end(tmp_path):
    clock = Clock()
    sessions = Sessions(tmp_path / "sessions.json", clock)
    first = sessions.begin("p", "first")
    for _ in range(MOST):
        clock.now += 1
        last = sessions.begin("p", "other")
    assert not sessions.knows("p", first)
    assert sessions.knows("p", last)


def test_a_sign_in_while_the_clock_is_not_set_yet_does_not_end_itself(tmp_path):
    clock, steady = Clock(), Clock()
    sessions = Sessions(tmp_path / "sessions.json", clock, steady)
    for _ in range(MOST):
        clock.now += 1
        sessions.begin("p", "other")
    clock.now -= 26 * 365 * 86400.0
    again = Sessions(tmp_path / "sessions.json", clock, steady)
    token = again.begin("p", "till")
    assert again.knows("p", token)
    steady.now += 1
    again.begin("p", "another")
    assert again.knows("p", token)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pin": 1}', "\x00", '{"sessions": {}}'])
def test_a_damaged_file_of_sessions_asks_for_the_pin_again(tmp_path, text, caplog):
    (tmp_path / "sessions.json").write_text(text)
    sessions = Sessions(tmp_path / "sessions.json")
    assert "sign in again" in caplog.text
    assert sessions.knows("p", sessions.begin("p", "till"))


def test_a_disk_that_cannot_be_written_signs_nobody_out(tmp_path, caplog):
    sessions = Sessions(tmp_path / "gone" / "sessions.json")
    assert sessions.knows("p", sessions.begin("p", "till"))
    assert "not kept" in caplog.text


def test_a_mark_is_read_back_and_fits_its_pin_alone():
    mark = PinMark.of(PIN)
    again = PinMark.parse(str(mark))
    assert again.fits(PIN)
    assert not again.fits(OTHER)
    assert again.name == mark.name != PinMark.of(PIN).name


# Setting it.


@pytest.mark.parametrize(
    "pin", ["", "12345", "12a456", "１２３４５６", "111111", "123456", "987654"]
)
def test_a_pin_that_is_no_good_is_refused(tmp_path, pin):
    with pytest.raises(UsageError):
        set_pin(tmp_path / "pin", pin)
    assert not (tmp_path / "pin").exists()


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.yaml"
    written = {
        "version": 1,
        "node": "shop",
        "cameras": [{"id": "a", "url": "demo:"}],
        "web": {"listen": "0.0.0.0:8080"},
    }
    path.write_text(yaml.safe_dump(written))
    return path


def test_pages_for_the_network_without_a_pin_are_a_problem_with_a_way_out(site):
    with pytest.raises(ConfigError) as caught:
        load(site)
    assert len(caught.value.problems) == 1
    assert "site.yaml:7: web.listen: is reachable from outside" in str(caught.value)
    assert f"edge pin -c {site}" in str(caught.value)
    refused = run_edge("run", "-c", site)
    assert refused.returncode == 78
    assert "edge pin" in refused.stderr


def test_the_way_out_works(site):
    piped = run_edge("pin", "-c", site, input=f"{PIN}\n")
    assert (piped.returncode, piped.stderr) == (0, "")
    assert PIN not in piped.stdout
    file = site.parent / "state" / "pin"
    assert file.stat().st_mode & 0o777 == 0o600
    assert PinFile(file).mark().fits(PIN)
    assert load(site).site.pin_file == file
    check = json.loads(run_edge("check", "-c", site, "--json").stdout)
    assert check["pages"] == {"listen": "0.0.0.0:8080", "pin": True, "tls": False}


def test_a_pin_that_is_piped_in_and_no_good_changes_nothing(site):
    run_edge("pin", "-c", site, input=f"{PIN}\n")
    refused = run_edge("pin", "-c", site, input="12\n")
    assert refused.returncode == 2
    assert refused.stderr == "error: a PIN is 6 to 64 digits\n"
    assert PinFile(site.parent / "state" / "pin").mark().fits(PIN)


@pytest.mark.parametrize(("twice", "code"), [((PIN, PIN), 0), ((PIN, OTHER), 2), (("12",), 2)])
def test_on_a_terminal_it_is_asked_twice_and_not_shown(site, twice, code):
    terminal, ours = pty.openpty()
    command = [sys.executable, "-m", "edge.cli", "pin", "-c", str(site)]
    process = subprocess.Popen(
        command, stdin=ours, stdout=ours, stderr=ours, start_new_session=True, close_fds=True
    )
    os.close(ours)
    shown, typed = b"", 0
    while select.select([terminal], [], [], 60)[0]:
        try:
            shown += os.read(terminal, 1000)
        except OSError:  # the other side has ended
            break
        if typed < min(shown.count(b": "), len(twice)):  # another prompt has come as a whole
            os.write(terminal, twice[typed].encode() + b"\n")
            typed += 1
    os.close(terminal)
    assert process.wait(20) == code, shown
    assert PIN.encode() not in shown
    assert (site.parent / "state" / "pin").exists() == (code == 0)


@pytest.mark.parametrize("text", ["246813\n", "scrypt 1 1 1 00 00\n", "\xff"])
def test_a_pin_file_of_another_making_is_a_problem(site, text):
    data = yaml.safe_load(site.read_text())
    data["web"]["pin_file"] = "kept/pin"
    site.write_text(yaml.safe_dump(data))
    (site.parent / "kept").mkdir()
    (site.parent / "kept" / "pin").write_text(text)
    with pytest.raises(ConfigError, match=r"web\.pin_file: .*holds no PIN that this version"):
        load(site)
    assert run_edge("pin", "-c", site, input=f"{PIN}\n").returncode == 0
    assert load(site).site.pin_file == site.parent / "kept" / "pin"


@pytest.fixture(params=["Too many levels of symbolic links", "File name too long"])
def unreadable(site, request):
    """A PIN file that even root cannot look at; gives the path and why."""
    (site.parent / "loop").symlink_to("loop")
    why = request.param
    return site.parent / ("loop/pin" if "links" in why else "x" * 300), why


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "127.0.0.1:8080"])
def test_a_pin_file_that_cannot_be_looked_at_is_one_problem(site, unreadable, listen):
    path, why = unreadable
    data = yaml.safe_load(site.read_text())
    data["web"] = {"listen": listen, "pin_file": path.relative_to(site.parent).as_posix()}
    site.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as caught:
        load(site)
    assert len(caught.value.problems) == 1
    assert f"web.pin_file: {path} cannot be read: {why}" in str(caught.value)


def test_a_check_that_may_not_look_at_the_pin_ends_with_78_and_one_message(site):
    data = yaml.safe_load(site.read_text())
    data["web"]["pin_file"] = "x" * 300
    site.write_text(yaml.safe_dump(data))
    refused = run_edge("check", "-c", site)
    assert refused.returncode == 78
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1


def test_where_nobody_can_tell_whether_there_is_a_pin_the_door_stays_shut(unreadable, tmp_path):
    path, _ = unreadable
    door = Door(site_of(tmp_path, pin_file=str(path)))
    assert door.is_locked
    assert not door.admits(HTTPConnection({"type": "http", "headers": []}))


def test_a_pin_that_was_asked_for_and_never_set_is_a_problem_on_this_pc_too(site):
    data = yaml.safe_load(site.read_text())
    data["web"] = {"pin_file": "pin"}
    site.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=r"web\.pin_file: there is no PIN yet: .*edge pin"):
        load(site)


def test_the_door_asks_the_disk_for_the_pin_each_time_and_reads_it_once(tmp_path, monkeypatch):
    set_pin(tmp_path / "pin", PIN)
    reads = []
    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda *a, **k: reads.append(a) or original(*a, **k))
    door = Door(site_of(tmp_path))
    scope = {"type": "http", "headers": [(b"cookie", b"stock_sid=abc")]}
    assert not any(door.admits(HTTPConnection(scope)) for _ in range(50))
    assert len(reads) == 1
