"""`http:` and `https:` cameras: a JPEG fetched each every_s, or an MJPEG stream."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edge.errors import CameraError
from edge.picture import decode
from edge.types import CameraReason, Image

TIMEOUT_S = 10.0
LARGEST = 32 * 2**20  # bytes; what sends more is no camera
LONGEST_LINE = 4096
AS_WRITTEN = "%/:?#[]@!$&'()*+,;="
"""Of a path and its query: signs with a meaning of their own. What else no URL may hold, blanks and
letters beyond ASCII, is encoded."""


def open_http(url: str, every_s: float, timeout_s: float = TIMEOUT_S) -> HttpCamera:
    """Return the opened camera; the kind of its first answer decides: still or stream.

    User and password of the URL are sent as the camera asks for them, basic or digest.
    Raises CameraError: connect_failed, auth_failed, or no_frames for an answer of another kind.
    """
    return HttpCamera(url, every_s, timeout_s)


class HttpCamera:
    """Hands out a picture each every_s; of a stream, what comes in between is thrown away."""

    def __init__(self, url: str, every_s: float, timeout_s: float):
        self._address, self._opener = _with_login(url)
        self._every_s, self._timeout_s = every_s, timeout_s
        self._due_s = time.monotonic()
        self._answer: http.client.HTTPResponse | None = self._ask()
        self._is_stream = self._answer.headers.get_content_maintype() == "multipart"
        if not self._is_stream and self._answer.headers.get_content_maintype() == "text":
            self.close()
            message = "the camera answers with text, not with a picture; check the path in the URL"
            raise CameraError(message, CameraReason.NO_FRAMES)

    def read(self) -> Image:
        try:
            data = self._newest_part() if self._is_stream else self._still()
        except (OSError, http.client.HTTPException) as error:
            message = f"the picture broke off: {_why(error)}"
            raise CameraError(message, CameraReason.NO_FRAMES) from None
        self._due_s = max(self._due_s + self._every_s, time.monotonic())
        return decode(data)

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _ask(self) -> http.client.HTTPResponse:
        try:
            answer: http.client.HTTPResponse = self._opener.open(
                self._address, None, self._timeout_s
            )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise _refused() from None
            hint = "; check the path in the URL" if error.code == 404 else ""
            raise CameraError(f"the camera answers {error.code} {error.reason}{hint}") from None
        except (OSError, http.client.HTTPException) as error:
            raise CameraError(_why(error)) from None
        except UnicodeError:
            message = "the host's name or the login cannot be sent as written; check the URL"
            raise CameraError(message) from None
        except ValueError:  # urllib knows neither the camera's way to log in nor its algorithm
            raise _refused() from None
        return answer

    def _still(self) -> bytes:
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        answer, self._answer = self._answer or self._ask(), None
        with answer:
            data = answer.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise CameraError("the picture is too large", CameraReason.NO_FRAMES)
        return data

    def _newest_part(self) -> bytes:
        while True:
            data = self._part()
            if time.monotonic() >= self._due_s:
                return data

    def _part(self) -> bytes:
        """Return the next part of a multipart answer."""
        size, in_header = -1, False
        while (line := self._line()) or not in_header:
            name, colon, value = line.partition(b":")
            in_header = in_header or bool(colon)
            if name.lower() == b"content-length" and value.strip().isdigit():
                size = int(value)
        if size > LARGEST:
            raise CameraError("the picture is too large", CameraReason.NO_FRAMES)
        return self._exactly(size) if size >= 0 else self._until_boundary()

    def _line(self) -> bytes:
        line = self._stream().readline(LONGEST_LINE)
        if not line:
            raise CameraError("the camera ended the stream", CameraReason.NO_FRAMES)
        return line.strip()

    def _exactly(self, size: int) -> bytes:
        data = self._stream().read(size)
        if len(data) < size:
            raise CameraError("the camera ended the stream", CameraReason.NO_FRAMES)
        return data

    def _until_boundary(self) -> bytes:
        """Return the part of a camera that does not say how long it is."""
        boundary = (self._stream().headers.get_boundary() or "").strip("-").encode()
        data = bytearray()
        while len(data) <= LARGEST:
            line = self._stream().readline(LARGEST + 1 - len(data))
            if not line:
                raise CameraError("the camera ended the stream", CameraReason.NO_FRAMES)
            # Cameras disagree whether the dashes belong to the boundary that they announce.
            if line.startswith(b"--") and line.strip().strip(b"-") == boundary:
                return bytes(data)
            data += line
        raise CameraError("the picture is too large", CameraReason.NO_FRAMES)

    def _stream(self) -> http.client.HTTPResponse:
        if self._answer is None:
            raise CameraError("the stream is closed", CameraReason.NO_FRAMES)
        return self._answer


def _with_login(url: str) -> tuple[str, urllib.request.OpenerDirector]:
    """Return the address without its login, and what opens it with the login."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:  # the parser's own words are not told: they quote parts of the password
        raise CameraError(
            "the URL is not valid; percent-encode special characters in user and password"
        )
    netloc = parts.netloc.rpartition("@")[2]
    path, query = (quote(part, safe=AS_WRITTEN) for part in (parts.path, parts.query))
    address = urlunsplit(parts._replace(netloc=netloc, path=path, query=query))
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if parts.username:
        logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        password = unquote(parts.password or "")
        logins.add_password(None, address, unquote(parts.username), password)
        handlers += [_Digest(logins), urllib.request.HTTPBasicAuthHandler(logins)]
    return address, urllib.request.build_opener(*handlers)


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Answers a challenge once: urllib tries a password six times, and cameras lock at five."""

    def http_error_auth_reqed(
        self, auth_header: str, host: str, req: urllib.request.Request, headers: Message
    ) -> Any:
        if req.has_header(self.auth_header):
            return None
        for challenge in headers.get_all(auth_header, []):
            kind, _, rest = challenge.partition(" ")
            known = "sha-" not in rest.lower()  # newer cameras offer SHA-256 first, MD5 after it
            if kind.lower() == "digest" and known:
                return self.retry_http_digest_auth(req, challenge)
        return None


def _refused() -> CameraError:
    message = "the camera refuses the login; check user and password"
    return CameraError(message, CameraReason.AUTH_FAILED)


def _why(error: Exception) -> str:
    """Return what went wrong, without the address, which may be in the error's own text."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return "no answer in time; check address, port and network"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not trusted: {reason.verify_message}; "
            "name the file that it can be checked by in the environment as SSL_CERT_FILE"
        )
    if isinstance(reason, OSError) and reason.strerror:
        return f"{reason.strerror}; check address, port and network"
    return f"the answer is not understood ({type(reason).__name__})"
