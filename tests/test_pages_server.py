"""The pages' server beside the daemon: its port, its certificate, its reloads, and its manners."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import yaml
from conftest import require_program
from daemon import Daemon, write_site
from pages import serve_pages, site_of
from test_grabber import wait_for

from edge.board import Board, Notice
from edge.config import load_site
from edge.doctor import diagnose
from edge.errors import ConfigError, UnavailableError
from edge.health import LEAST_FREE_BYTES
from edge.pin import set_pin
from edge.plan import read_plan
from edge.types import Moment
from edge.web import guard, open_web, server
from edge.web.health import health_json

PIN = "246813"
WRITE = {"X-Stock": "1"}
FLOOD_CONNECTIONS, FLOOD_EACH = 200, 50


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate and its key, as an operator makes them."""
    folder = tmp_path_factory.mktemp("tls")
    make = [require_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    make += ["-days", "2", "-subj", "/CN=shop.example"]
    make += ["-addext", "subjectAltName=DNS:localhost,DNS:shop.example,IP:127.0.0.1"]
    make += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(make, check=True, capture_output=True)
    return folder


def tls_of(folder):
    return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


# The port.


def test_a_port_in_use_is_told_with_the_way_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UnavailableError, match=rf"127\.0\.0\.1:{port}: the port is in use; set"),
            serve_pages(tmp_path, listen=f"127.0.0.1:{port}"),
        ):
            pytest.fail("it was opened")


def test_the_daemon_ends_with_69_where_the_port_of_the_pages_is_in_use(tmp_path, shelf):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
        change(site, web={"listen": listen})
        with Daemon(site) as daemon:
            assert daemon.wait() == UnavailableError.exit_code == 69
            assert f"{listen}: the port is in use" in daemon.log()
            assert "Traceback" not in daemon.log()


def test_a_closed_server_leaves_its_port_and_its_thread(tmp_path):
    with serve_pages(tmp_path) as url:
        assert "pages" in {thread.name for thread in threading.enumerate()}
        listen = url.removeprefix("http://").rstrip("/")
    assert "pages" not in {thread.name for thread in threading.enumerate()}
    with serve_pages(tmp_path, listen=listen) as again:
        assert again == url


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has its own priority on Linux alone")
def test_the_pages_give_way_to_the_cameras(tmp_path):
    with serve_pages(tmp_path):
        (thread,) = (one for one in threading.enumerate() if one.name == "pages")
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == server.NICENESS
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < server.NICENESS


def test_the_pages_are_served_on_ipv6_and_on_both_at_once(tmp_path):
    with serve_pages(tmp_path, listen="[::1]:0") as url:
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}api/session").status_code == 200
    with serve_pages(tmp_path, listen="[::]:0") as url:
        port = httpx.URL(url).port
        for host in ("[::1]", "127.0.0.1"):
            assert httpx.get(f"http://{host}:{port}/api/session").json()["pin"]


# TLS.


def test_with_a_certificate_everything_is_encrypted_from_end_to_end(tmp_path, certificate):
    set_pin(tmp_path / "pin", PIN)
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with (
        serve_pages(tmp_path, tls=tls_of(certificate), names=("localhost",)) as url,
        httpx.Client(base_url=url, verify=trusted) as client,
    ):
        assert url.startswith("https://localhost:")
        shown = client.get("/api/session").json()
        assert (shown["tls"], shown["signed_in"]) == (True, False)
        headers = {**WRITE, "Origin": url.rstrip("/")}
        signed = client.post("/api/session", json={"pin": PIN}, headers=headers)
        cookie = signed.headers["set-cookie"]
        assert cookie.startswith("__Host-stock_sid=")
        assert "; Secure" in cookie
        assert "; Path=/;" in cookie
        assert client.get("/").status_code == 200
        assert "strict-transport-security" not in signed.headers, "it would lock people out"
        plain = url.replace("https:", "http:")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{plain}api/session")
        insecure = client.post("/api/session", json={}, headers={**WRITE, "Origin": plain[:-1]})
        assert insecure.status_code == 403


def test_old_tls_is_not_spoken(tmp_path, certificate):
    with serve_pages(tmp_path, tls=tls_of(certificate)) as url:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        address = httpx.URL(url)
        with (
            socket.create_connection((address.host, address.port), 20) as plain,
            pytest.raises(ssl.SSLError),
        ):
            old.wrap_socket(plain).close()


def test_a_certificate_and_another_key_are_a_problem(tmp_path, certificate, shelf):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    made = {"cert": str(certificate / "cert.pem"), "key": str(certificate / "cert.pem")}
    change(site, web={"tls": made})
    with pytest.raises(ConfigError, match=r"web\.tls\.cert: cert and key must be a pair of PEM"):
        load_site(site)
    change(site, web={"tls": {"cert": made["cert"]}})
    with pytest.raises(ConfigError, match=r"web\.tls\.key: is missing"):
        load_site(site)


@pytest.mark.parametrize("name", ["https://shop.example", "shop.example:8080", "a b", "", "*"])
def test_a_name_that_is_none_is_a_problem(tmp_path, shelf, name):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    change(site, web={"names": [name]})
    with pytest.raises(ConfigError, match=r"web\.names\[0\]: must be a host's name alone"):
        load_site(site)


# Reloads.


def change(site, **keys):
    site.write_text(yaml.safe_dump(yaml.safe_load(site.read_text()) | keys))


def address_in(daemon):
    return daemon.log().rpartition("the pages are served at ")[2].split()[0]


def test_a_reload_leaves_the_pages_alone_or_serves_them_as_they_are_wanted_now(tmp_path, shelf):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    with Daemon(site) as daemon:
        wait_for(lambda: "the pages are served" in daemon.log(), 30)
        url = address_in(daemon)
        port = httpx.URL(url).port
        # Kept open however long the reload takes.
        with httpx.Client(base_url=url, limits=httpx.Limits(keepalive_expiry=60)) as client:
            local = client.get("/api/session").extensions["network_stream"]
            ours = local.get_extra_info("client_addr")
            change(site, decision={"confirm_s": 0.2})
            reload(daemon, 1)
            same = client.get("/api/session").extensions["network_stream"]
            assert same.get_extra_info("client_addr") == ours, "the connection outlived it"
        assert daemon.log().count("the pages are served") == 1

        set_pin(tmp_path / "state" / "pin", PIN)
        change(site, web={"listen": f"127.0.0.1:{port}", "names": ["shop.example"]})
        reload(daemon, 2)
        wait_for(lambda: daemon.log().count("the pages are served") == 2, 20)
        named = {"Host": "shop.example"}
        wait_for(lambda: httpx.get(f"{url}api/session", headers=named).status_code == 200, 20)

        with socket.create_server(("127.0.0.1", 0)) as taken:
            change(site, web={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
            reload(daemon, 3)
            wait_for(lambda: "the pages stay as they were" in daemon.log(), 20)
        assert httpx.get(f"{url}api/session").json()["node"] == "shop"

        change(site, web={"listen": f"0.0.0.0:{port}"})  # the same port, now for the network too
        reload(daemon, 4)
        wait_for(lambda: daemon.log().count("the pages are served") == 3, 20)
        assert httpx.get(f"{url}api/session").json()["pin"]
        other = url.replace("127.0.0.1", "127.0.0.2")
        assert httpx.get(f"{other}api/session").status_code == 200
        assert "Traceback" not in daemon.log()
        assert daemon.end() == 0


def reload(daemon, nth):
    daemon.send(signal.SIGHUP)
    wait_for(lambda: daemon.log().count("has been read anew") == nth, 20)


def test_a_renewed_certificate_is_shown_after_a_reload(tmp_path, certificate):
    site = site_of(tmp_path, tls=tls_of(certificate))
    with open_web(site, []) as pages:
        first = pages.address
        pages.follow(site)
        assert pages.address == first
        before = pages._running
        os.utime(certificate / "cert.pem")
        pages.follow(site)
        assert pages._running is not before
        assert httpx.get(f"{first}api/session", verify=False).status_code == 200


def test_open_pages_come_again_after_a_change_and_do_not_hold_up_the_end(tmp_path, shelf):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    with Daemon(site) as daemon:
        wait_for(lambda: "the pages are served" in daemon.log(), 30)
        url = address_in(daemon)
        with httpx.stream("GET", f"{url}api/events", timeout=30) as stream:
            reading = stream.iter_lines()
            assert "event: hello" in reading
            listen = f"127.0.0.1:{httpx.URL(url).port}"
            change(site, web={"listen": listen, "names": ["shop.example"]})
            reload(daemon, 1)
            assert "event: hello" not in list(reading), "it ends, whole"
        with httpx.stream("GET", f"{url}api/events", timeout=30) as stream:
            reading = stream.iter_lines()
            assert "event: hello" in reading
            daemon.send(signal.SIGTERM)
            begun_s = time.monotonic()
            list(reading)  # ends, and raises nothing
            assert daemon.wait() == 0
            assert time.monotonic() - begun_s < 8
        assert "Traceback" not in daemon.log()


# Hostile company.


def test_connections_that_ask_nothing_are_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_HEAD_S", 0.5)
    with serve_pages(tmp_path) as url:
        address = httpx.URL(url)
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET /"):
            with socket.create_connection((address.host, address.port), 20) as line:
                line.sendall(sent)
                assert line.recv(1000) == b"", "hung up on"
        asked = b"GET /api/session HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with socket.create_connection((address.host, address.port), 20) as line:
            line.sendall(asked)
            assert line.recv(20).startswith(b"HTTP/1.1 200")


def test_a_body_that_never_comes_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "BODY_S", 0.5)
    with serve_pages(tmp_path) as url:
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port), 20) as line:
            head = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nX-Stock: 1\r\n"
            begun_s = time.monotonic()
            line.sendall(head + b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{")
            assert line.recv(1000).startswith(b"HTTP/1.1 408")
            assert 0.3 < time.monotonic() - begun_s < 8


def test_more_connections_than_are_served_do_not_use_up_the_daemons_files(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 40)
    with serve_pages(tmp_path) as url:
        address = httpx.URL(url)
        lines = [socket.create_connection((address.host, address.port), 20) for _ in range(60)]
        refused = lines[-1].recv(1000)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"Retry-After" in refused
        for line in lines:
            line.close()
        wait_for(lambda: httpx.get(f"{url}api/session").status_code == 200, 20)


def test_ten_thousand_requests_at_once_do_not_keep_the_daemon_from_looking(tmp_path, shelf):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    every_s = 0.5
    camera = {"id": "aisle", "url": shelf.url("/still.jpg"), "every_s": every_s}
    change(site, cameras=[camera])
    with Daemon(site) as daemon:
        wait_for(lambda: "the pages are served" in daemon.log(), 30)
        url = address_in(daemon)
        wait_for(lambda: looks(url) >= 4, 30)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:  # none of
            # their work is in the way of the camera, whose server is a thread of this process
            before, begun_s = others.submit(looks, url).result(), time.monotonic()
            answers = others.submit(flooded, url).result()
            took_s = time.monotonic() - begun_s
            made = looks(url) - before
        assert sum(answers.values()) == FLOOD_CONNECTIONS * FLOOD_EACH
        assert set(answers) <= {200, 304, 400, 401, 403, 404, 405, 413, 421, 503}, answers
        assert made >= 0.8 * took_s / every_s - 1, f"{made} looks in {took_s:.1f} s, {answers}"
        assert "Traceback" not in daemon.log()
        assert daemon.log().count("refused") < 20, "the log is not flooded"
        assert daemon.end() == 0


def looks(url):
    """Return how many pictures the main loop has looked at."""
    answer = httpx.get(f"{url}api/health", timeout=20)
    return answer.json()["cameras"][0]["frames"] if answer.status_code == 200 else 0


def flooded(url):
    return asyncio.run(flood(url))


async def flood(url):
    """Ask everything that one can, well and badly, on many connections; return how each went."""
    address = httpx.URL(url)
    asked = [
        b"GET /api/session HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /static/lib/dom.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /static/%2e%2e/guard.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
        b"POST /api/act HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        b"POST /api/act HTTP/1.1\r\nHost: localhost\r\nX-Stock: 1\r\n"
        b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{[[[[[[",
    ]
    codes: Counter[int] = Counter()

    async def one(number):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        for turn in range(FLOOD_EACH):
            writer.write(asked[(number + turn) % len(asked)])
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            codes[int(head.split()[1])] += 1
            length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
        writer.close()

    await asyncio.gather(*(one(number) for number in range(FLOOD_CONNECTIONS)))
    return codes


@pytest.mark.slow
def test_a_page_that_fails_leaves_the_daemon_alone(tmp_path, shelf):
    """Whatever is sent to every path that there is, nothing is a bug and nothing ends."""
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    paths = [
        "session",
        "act",
        "snapshot",
        "health",
        "report",
        "report.csv",
        "calibrate",
        "events/x",
    ]
    paths += ["slots/slot-0/now.jpg", "slots/%2e%2e/now.jpg", "cameras/none.jpg", "report?days=x"]
    paths += ["report?days=99999999999", "calibrate/none/plan", "calibrate/aisle/plan?version=.."]
    paths += ["calibrate/aisle/score", "calibrate/aisle/suggest", "calibrate/aisle/align"]
    paths += ["calibrate/aisle", "calibrate/import", "calibrate/aisle/reference.jpg"]
    bodies = [b"", b"{}", b"[]", b"null", b'"x"', b"1e400", b"[" * 30_000, b'{"a":' * 5000]
    bodies += [json.dumps({"token": "x", "slots": [], "quad": "x", "csv": 1, "verb": []}).encode()]
    headers = {**WRITE, "Content-Type": "application/json", "If-Match": '"\xff"'.encode("latin-1")}
    with Daemon(site) as daemon:
        wait_for(lambda: "the pages are served" in daemon.log(), 30)
        url = address_in(daemon)
        with httpx.Client(base_url=url, timeout=30) as client:
            for path in paths:
                assert client.get(f"/api/{path}").status_code < 500, path
                for method in ("POST", "PUT", "DELETE"):
                    for body in bodies:
                        answer = client.request(
                            method, f"/api/{path}", content=body, headers=headers
                        )
                        assert answer.status_code < 500, (method, path, body[:20], answer.text)
        assert "Traceback" not in daemon.log()
        assert daemon.end() == 0


def test_doctor_knows_the_daemons_pages_from_anybody_elses_server(tmp_path, shelf):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        change(site, web={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        told = pages_in(diagnose(site))
        assert (told["ok"], "the port is in use" in told["says"]) == (False, True)
    told = pages_in(diagnose(site))
    assert (told["ok"], told["says"].endswith("for this PC only")) == (True, True)
    with Daemon(site) as daemon:
        wait_for(lambda: "the pages are served" in daemon.log(), 30)
        told = pages_in(diagnose(site))
        assert (told["ok"], told["says"].endswith("served now")) == (True, True)
        assert daemon.end() == 0


def test_doctor_tries_the_place_of_the_daemons_own_broker(tmp_path, shelf):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "embedded", "listen": address})
        told = broker_in(diagnose(site))
        assert told["ok"] is False
        assert f"embedded, on {address}: Address already in use" in told["says"]
    assert broker_in(diagnose(site))["ok"] is True
    with Daemon(site) as daemon:
        wait_for(lambda: "the pages are served" in daemon.log(), 30)
        told = broker_in(diagnose(site))
        assert (told["ok"], told["says"].endswith("served now")) == (True, True)
        assert daemon.end() == 0


def test_doctor_looks_at_the_disk_on_which_the_state_will_lie(tmp_path, shelf, monkeypatch):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    change(site, state=str(tmp_path / "not" / "there-yet"))
    measured, measure = [], shutil.disk_usage

    def noted(folder):
        measured.append(Path(folder))
        return measure(folder)

    monkeypatch.setattr(shutil, "disk_usage", noted)
    assert disk_in(diagnose(site))["ok"] is True
    assert measured == [tmp_path]
    set_pin(tmp_path / "pin", "204816")
    long = tmp_path / ("x" * 300)  # no system lets anybody look there
    change(site, state=str(long), web={"listen": "127.0.0.1:0", "pin_file": str(tmp_path / "pin")})
    told = disk_in(diagnose(site))
    assert (told["ok"], told["says"]) == (None, f"{long}: File name too long")


@pytest.mark.parametrize(("missing", "enough"), [(0, True), (1, False)])
def test_doctor_and_the_page_agree_on_what_is_too_little_room(
    tmp_path, shelf, monkeypatch, missing, enough
):
    site = write_site(tmp_path, shelf.url("/still.jpg"), {"url": "stdout:"})
    found = SimpleNamespace(free=LEAST_FREE_BYTES - missing)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: found)
    assert disk_in(diagnose(site))["ok"] is enough
    notice = Notice(read_plan(site), SimpleNamespace(health=b""), Moment.now())
    told = health_json(Board(), notice, datetime.now(UTC))
    assert told["disk"] == {"free_bytes": found.free, "enough": enough}


def disk_in(diagnosis):
    return next(one for one in diagnosis["findings"] if one["what"] == "disk")


def pages_in(diagnosis):
    return next(one for one in diagnosis["findings"] if one["what"] == "pages")


def broker_in(diagnosis):
    return next(one for one in diagnosis["findings"] if one["what"] == "broker")
