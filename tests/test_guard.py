"""What hostile or broken requests meet at the pages' server: one clear error, and nothing else."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import anyio
import httpx
import pytest
from mosquitto import wait_for
from pages import serve_pages
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from edge.web.answer import POLICY
from edge.web.refusal import read_body
from edge.web.static import imports_of, read_files

WRITE = {"X-Stock": "1"}
WRITES = ("POST", "PUT", "DELETE")
release = threading.Event()


class Body(BaseModel):
    slot: str
    minutes: int


async def echo(request: Request) -> JSONResponse:
    body = await read_body(request, Body)
    return JSONResponse(body.model_dump())


async def anything(request: Request) -> JSONResponse:
    return JSONResponse({"size": len(await request.body())})


async def fail(request: Request) -> JSONResponse:
    raise RuntimeError("the secret of the daemon")


async def wait(request: Request) -> JSONResponse:
    while not release.is_set():
        await anyio.sleep(0.01)
    return JSONResponse({})


async def events(request: Request) -> StreamingResponse:
    async def ticks() -> Iterator[bytes]:
        while True:
            yield b"event: beat\ndata: {}\n\n"
            await anyio.sleep(0.05)

    return StreamingResponse(ticks(), media_type="text/event-stream")


ROUTES = [
    Route("/api/echo", echo, methods=["POST"]),
    Route("/api/anything", anything, methods=["GET", *WRITES]),
    Route("/api/calibrate/aisle", anything, methods=["PUT"]),
    Route("/api/fail", fail),
    Route("/api/wait", wait),
    Route("/api/events", events),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with serve_pages(tmp_path_factory.mktemp("state"), ROUTES, names=("shop.example",)) as address:
        yield address


@pytest.fixture
def client(url):
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


def code(response):
    """Return the status and the code of an error, which is JSON with a sentence for people."""
    error = response.json()["error"]
    assert error["message"]
    assert response.headers["content-type"] == "application/json"
    return response.status_code, error["code"]


def raw(url, request):
    """Send bytes as they are; return all that comes back until the server closes."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port), 20) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


# Names and origins.


@pytest.mark.parametrize("path", ["/", "/login", "/api/session", "/static/css/tokens.css"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_a_request_to_another_name_is_refused_whatever_it_asks(client, path, method):
    headers = {"Host": "attacker.example", **WRITE}
    assert client.request(method, path, headers=headers).status_code == 421


@pytest.mark.parametrize(
    "host",
    [
        *("", "a b", "shop.example@attacker.example", "localhost.attacker.example", "[::1"),
        *(
            "127.0.0.1.example",
            "localhost:99999999",
            "localhost/",
            "xn--ls8h",
            "127.0.0.1,x.example",
        ),
    ],
)
def test_a_name_that_only_looks_like_ours_is_refused(client, host):
    assert code(client.get("/api/session", headers={"Host": host})) == (421, "wrong_host")


def test_a_request_with_two_names_or_none_is_refused(url):
    twice = raw(url, b"GET /api/session HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    none = raw(url, b"GET /api/session HTTP/1.0\r\n\r\n")
    assert twice.split()[1] == b"400"
    assert none.split()[1] == b"421"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "192.0.2.7:80", "[2001:db8::1]:8080", "shop.example."]
)
def test_addresses_and_known_names_are_ours(client, host):
    assert client.get("/api/session", headers={"Host": host}).status_code == 200


def test_this_pcs_own_name_is_ours(client):
    for name in (socket.gethostname(), f"{socket.gethostname().partition('.')[0]}.local"):
        assert client.get("/api/session", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(
    "origin",
    ["http://attacker.example", "null", "http://127.0.0.1:1", "http://localhost", "file://", ""],
)
def test_what_another_site_makes_a_browser_send_is_refused(client, method, origin):
    headers = {"Origin": origin, **WRITE}
    answer = client.request(method, "/api/anything", headers=headers)
    assert code(answer) == (403, "wrong_origin")
    assert client.get("/api/events", headers={"Origin": origin}).status_code == 403


def test_our_own_origin_may_write(client, url):
    headers = {"Origin": url.rstrip("/"), **WRITE}
    assert client.post("/api/anything", json={}, headers=headers).json() == {"size": 2}


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("mark", [None, "0", "true", ""])
def test_a_write_without_our_mark_is_refused(client, method, mark):
    headers = {} if mark is None else {"X-Stock": mark}
    assert code(client.request(method, "/api/anything", headers=headers))[1] == "not_from_the_page"


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""],
)
def test_what_a_form_could_send_is_refused(client, kind):
    headers = {"Content-Type": kind, **WRITE}
    assert code(client.post("/api/anything", content=b"{}", headers=headers)) == (415, "not_json")


def test_a_preflight_allows_nothing(client):
    headers = {"Origin": "http://attacker.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/api/anything", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


# Headers.


@pytest.mark.parametrize(
    "path", ["/api/session", "/api/none", "/api/fail", "/static/css/tokens.css", "/static/none"]
)
def test_every_answer_tells_the_browser_to_be_strict(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in headers["permissions-policy"]
    wanted = "no-cache" if path == "/static/css/tokens.css" else "no-store"
    assert headers["cache-control"] == wanted
    assert "server" not in headers
    assert "cross-origin-opener-policy" not in headers, "browsers complain of it over http"


def test_the_policy_allows_no_script_or_style_but_our_files():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in POLICY


# Paths.


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py",
        "/static/%2e%2e/guard.py",
        "/static/..%2fguard.py",
        "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/static/....//guard.py",
        "/static/..\\guard.py",
        "/static/%5c..%5cguard.py",
        "/static//etc/passwd",
        "/static/css/tokens.css%00.html",
        "/static/css/../css/tokens.css",
        "/static/%252e%252e/guard.py",
        "/static/",
        "/static/css",
        "//etc/passwd",
        "/..%c0%af..%c0%afetc/passwd",
        "/static/css/tokens.css/",
    ],
)
def test_no_path_leads_out_of_the_table_of_files(url, path):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(url, request.encode())
    assert answer.split()[1] == b"404", answer
    assert b"import" not in answer
    assert b"root:" not in answer


def test_a_path_of_the_api_is_guarded_in_every_spelling(tmp_path):
    from edge.pin import set_pin

    set_pin(tmp_path / "pin", "246813")
    with serve_pages(tmp_path, ROUTES) as address:
        for path in (
            "/api/fail",
            "/API/fail",
            "//api/fail",
            "/api//fail",
            "/api/fail/",
            "/x/../api",
        ):
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            assert raw(address, request.encode()).split()[1] == b"401"


# Bodies.


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 60_000, b'{"slot": "a"}', b"{}" * 9),
        *(b'{"slot": 1, "minutes": 2}', b'{"slot": "a", "minutes": "x"}', b'{"slot": "\\ud800"}'),
        *(b'{"slot": "a", "minutes": NaN}', b'{"slot": "a", "minutes": 1e999}'),
    ],
)
def test_a_body_that_is_not_what_was_asked_is_one_error(client, body):
    headers = {"Content-Type": "application/json", **WRITE}
    answer = client.post("/api/echo", content=body, headers=headers)
    assert code(answer) == (400, "bad_request")
    assert len(answer.content) < 500


def test_html_in_an_error_stays_text(client):
    headers = {"Content-Type": "application/json", **WRITE}
    answer = client.post("/api/echo", content=b'{"<script>": 1}', headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert "<script>" not in answer.text


@pytest.mark.parametrize(("path", "most"), [("anything", 65536), ("calibrate/aisle", 2 * 2**20)])
def test_a_body_may_be_so_large_and_no_larger(client, path, most):
    headers = {"Content-Type": "application/json", **WRITE}
    fits = client.put(f"/api/{path}", content=b" " * most, headers=headers)
    assert fits.json() == {"size": most}
    over = client.put(f"/api/{path}", content=b" " * (most + 1), headers=headers)
    assert code(over) == (413, "too_large")


def test_a_body_of_untold_size_is_counted_as_it_comes(client):
    headers = {"Content-Type": "application/json", **WRITE}
    endless = (b" " * 4096 for _ in range(1000))
    answer = client.post("/api/anything", content=endless, headers=headers)
    assert code(answer) == (413, "too_large")


@pytest.mark.parametrize("length", ["-1", "1e9", "99999999999999999999", "0x10", "１"])
def test_a_wrong_length_is_refused(url, length):
    request = "POST /api/anything HTTP/1.1\r\nHost: localhost\r\nX-Stock: 1\r\n"
    request += f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{{}}"
    assert raw(url, request.encode()).split()[1] in (b"400", b"413")


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 2000, b"GET\r\n\r\n", b"\x16\x03\x01" * 50, b"\r\n\r\n x"]
)
def test_what_is_no_request_is_hung_up_on(url, garbage):
    assert raw(url, garbage)[:12] in (b"HTTP/1.1 400", b"")


def test_endless_headers_are_cut_off(url):
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 200_000
    with contextlib.suppress(ConnectionError):  # hung up on while still talking
        assert raw(url, request).split()[1] == b"400"


# Trouble.


def test_a_bug_is_answered_without_a_word_of_it_and_logged(client, caplog):
    assert code(client.get("/api/fail")) == (500, "failed")
    assert "secret" not in client.get("/api/fail").text
    assert "the secret of the daemon" in caplog.text
    assert "'/api/fail' from 127.0.0.1" in caplog.text
    assert client.get("/api/session").status_code == 200


def test_what_is_not_there_and_what_is_asked_wrongly_say_so(client):
    assert code(client.get("/api/nothing")) == (404, "not_found")
    assert code(client.get("/api/echo")) == (405, "not_this_way")
    assert code(client.delete("/", headers=WRITE)) == (405, "not_this_way")


# The files.


def test_files_are_sent_packed_and_only_when_they_have_changed(client):
    first = client.get("/static/css/tokens.css")
    assert first.headers["content-encoding"] == "gzip"
    assert first.content == read_files()["css/tokens.css"]
    again = client.get("/static/css/tokens.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get("/static/css/tokens.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content


def test_a_page_names_the_scripts_it_will_import():
    files = {
        "a/main.js": b'import { x } from "../lib/x.js";\nimport "./y.js";\n',
        "a/y.js": b'import {\n  z,\n} from "../lib/z.js";\nexport { q } from "../lib/x.js";\n',
        "lib/x.js": b'const text = "./no.js";\n',
        "lib/z.js": b'import "../a/main.js"; // a circle\nimport x from "./gone.js";\n',
    }
    assert imports_of("a/main.js", files) == ["a/main.js", "lib/x.js", "a/y.js", "lib/z.js"]


@pytest.mark.parametrize("page", ["/", "/login", "/calibrate"])
def test_every_page_is_there_and_holds_nothing_that_the_policy_forbids(client, page):
    html = client.get(page).text
    assert html.startswith("<!doctype html>")
    assert 'rel="modulepreload"' in html
    for forbidden in (
        " style=",
        " onclick=",
        " onload=",
        "<style",
        "javascript:",
        "http://",
        "https://",
    ):
        assert forbidden not in html
    assert "<script>" not in html


# Many at once.


def test_a_request_too_many_is_asked_to_come_again(url):
    release.clear()
    with httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_connections=100)) as client:
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.get("/api/wait")))
            for _ in range(80)
        ]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: len(answers) >= 16, 30)
            assert httpx.get(f"{url}static/lib/dom.js").status_code == 200, (
                "pages load all the same"
            )
        finally:
            release.set()
        for thread in threads:
            thread.join()
    busy = [answer for answer in answers if answer.status_code == 503]
    assert len(busy) == 16
    assert code(busy[0]) == (503, "busy")
    assert int(busy[0].headers["retry-after"]) >= 1
    assert httpx.get(f"{url}api/session").status_code == 200


def test_a_hundred_pages_may_be_open_and_no_more(tmp_path):
    with serve_pages(tmp_path, ROUTES) as url:
        host, port = httpx.URL(url).host, httpx.URL(url).port
        ask = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        lines = []
        for _ in range(100):
            line = socket.create_connection((host, port), 20)
            line.sendall(ask)
            assert line.recv(100).split()[1] == b"200"
            lines.append(line)
        refused = httpx.get(f"{url}api/events")
        assert code(refused) == (503, "busy")
        assert httpx.get(f"{url}api/session").status_code == 200, "the rest goes on"
        lines.pop().close()
        deadline = threading.Event()
        for _ in range(100):
            line = socket.create_connection((host, port), 20)
            line.sendall(ask)
            status = line.recv(100).split()[1]
            lines.append(line)
            if status == b"200":
                break
            deadline.wait(0.1)
        assert status == b"200", "whoever leaves makes room"
        for line in lines:
            line.close()


def test_streams_end_as_wholes_when_the_server_stops(tmp_path):
    with serve_pages(tmp_path, ROUTES) as url:
        host, port = httpx.URL(url).host, httpx.URL(url).port
        line = socket.create_connection((host, port), 20)
        line.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        line.recv(10)
    parts = []
    while part := line.recv(65536):
        parts.append(part)
    line.close()
    assert b"".join(parts).endswith(b"0\r\n\r\n")


def test_errors_have_the_shape_that_the_pages_read(client):
    error = json.loads(client.get("/api/none").content)
    assert set(error) == {"error"}
    assert set(error["error"]) == {"code", "message"}
