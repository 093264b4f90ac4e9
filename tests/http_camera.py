"""A real HTTP camera on loopback: a still and MJPEG streams, with basic or digest login."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import cv2
import numpy as np

REALM, NONCE = "camera", "f00d"


def jpeg(number: int = 0) -> bytes:
    """Return a grey JPEG whose brightness is 40 + number."""
    image = np.full((120, 160, 3), 40 + number, np.uint8)
    return bytes(cv2.imencode(".jpg", image)[1])


class HttpCamera(ThreadingHTTPServer):
    """Serves /still.jpg, /sized.mjpg and /unsized.mjpg (with and without Content-Length).

    Each picture is one brighter than the last; every request is counted. `broken` is sent
    instead of a still once it is set.
    """

    daemon_threads = True

    def __init__(
        self,
        *,
        scheme: str = "",
        user: str = "viewer",
        password: str = "sesame",
        certificate: Path | None = None,
    ):
        """scheme: basic or digest; certificate: key and certificate in one file, for https."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.certificate = certificate
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.scheme, self.user, self.password = scheme, user, password
        self.pictures = 0
        self.poured = 0  # MiB of an endless picture
        self.requests: list[tuple[str, int]] = []  # path and the code it was answered with
        self.broken: bytes | None = None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def url(self, path: str, password: str | None = None) -> str:
        login = ""
        if self.scheme:
            secret = quote(self.password if password is None else password, safe="")
            login = f"{quote(self.user, safe='')}:{secret}@"
        kind = "https" if self.certificate else "http"
        return f"{kind}://{login}127.0.0.1:{self.server_address[1]}{path}"

    def next_picture(self) -> bytes:
        self.pictures += 1
        return jpeg(self.pictures - 1)

    def __enter__(self) -> HttpCamera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HttpCamera

    def do_GET(self) -> None:
        path = unquote(self.path).partition("?")[0]
        if not self._may():
            return
        if path in ("/still.jpg", "/매대 사진.jpg"):
            self._send(200, "image/jpeg", self.server.broken or self.server.next_picture())
        elif path == "/page.html":
            self._send(200, "text/html", b"<html>login</html>")
        elif path == "/forbidden":
            self._send(403, "text/plain", b"no")
        elif path == "/silent":
            time.sleep(5)
        elif path == "/endless.mjpg":
            self._pour()
        elif path.endswith(".mjpg"):
            self._stream(path)
        else:
            self._send(404, "text/plain", b"nothing")

    def _stream(self, path: str) -> None:
        self.server.requests.append((self.path, 200))
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=--frame")
        self.end_headers()
        due_s = time.monotonic()
        for _ in range(20):
            data = self.server.next_picture()
            head = "----frame\r\nContent-Type: image/jpeg\r\n"
            if path == "/sized.mjpg":
                head += f"Content-Length: {len(data)}\r\n"
            try:
                self.wfile.write(head.encode() + b"\r\n" + data + b"\r\n")
            except OSError:  # the test has seen enough
                return
            due_s += 0.05  # whatever sending took: the pictures do not drift away
            time.sleep(max(0.0, due_s - time.monotonic()))
        self.wfile.write(b"----frame--\r\n")

    def _pour(self) -> None:
        """Send one part that neither says how long it is nor has a line's end."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n")
        for _ in range(200):
            try:
                self.wfile.write(bytes(1 << 20))
            except OSError:  # it was enough
                return
            self.server.poured += 1

    def _send(self, code: int, kind: str, body: bytes, **headers: str) -> None:
        self.server.requests.append((self.path, code))
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _may(self) -> bool:
        if not self.server.scheme:
            return True
        given = self.headers.get("Authorization", "")
        right = self._basic(given) if self.server.scheme == "basic" else self._digest(given)
        if right:
            return True
        wanted = f'Basic realm="{REALM}"'
        if self.server.scheme == "digest":
            wanted = f'Digest realm="{REALM}", qop="auth", nonce="{NONCE}", algorithm=MD5'
        self._send(401, "text/plain", b"who?", WWW_Authenticate=wanted)
        return False

    def _basic(self, given: str) -> bool:
        login = f"{self.server.user}:{self.server.password}".encode()
        return given == f"Basic {base64.b64encode(login).decode()}"

    def _digest(self, given: str) -> bool:
        said = dict(re.findall(r'(\w+)="?([^",]+)"?', given))
        login = _md5(f"{self.server.user}:{REALM}:{self.server.password}")
        asked = _md5(f"GET:{self.path}")
        parts = [login, NONCE, said.get("nc", ""), said.get("cnonce", ""), "auth", asked]
        return said.get("response") == _md5(":".join(parts))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests look at `requests`."""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
