"""No password in any output: log lines, tracebacks, and what FFmpeg and OpenCV would print."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
SHORT = 4  # a secret of fewer letters is hidden only where it stands alone, else words break

# Up to the last @: an operator who forgets to percent-encode a password may have one in it.
LOGIN = re.compile(r"(?<![\w.+-])([a-z][a-z0-9+.-]*:/{1,3})[^\s\"'<>]*@", re.IGNORECASE)
QUERY = re.compile(r"([?&;](?:\w*pass\w*|pwd|\w*token|secret|auth)=)[^&;#\s\"'<>]+", re.IGNORECASE)
HEADER = re.compile(r"(authorization:\s*\w+\s+)[^\r\n]+", re.IGNORECASE)

_lock = threading.Lock()
_secrets: set[str] = set()
_registered: re.Pattern[str] | None = None


def register_secret(value: str) -> None:
    """Hide this value from now on, also where it stands percent-encoded, in JSON or in a repr."""
    global _registered
    with _lock:
        if not value.strip() or value in _secrets:
            return
        plain = {value, unquote(value)}
        for secret in plain:
            _secrets.update({secret, quote(secret), quote(secret, safe=""), quote_plus(secret)})
            _secrets.update({json.dumps(secret)[1:-1], repr(secret)[1:-1]})
        # The longest first: a secret may be the beginning of another.
        ordered = sorted(_secrets, key=lambda secret: (-len(secret), secret))
        _registered = re.compile("|".join(_anywhere_or_alone(secret) for secret in ordered), re.I)


def _anywhere_or_alone(secret: str) -> str:
    escaped = re.escape(secret)
    return escaped if len(secret) >= SHORT else rf"(?<!\w){escaped}(?!\w)"


def read_secret(path: Path) -> str:
    """Return the password that a file holds, without the line's end. Raises ValueError.

    It is hidden in all output from now on.
    """
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"cannot be read: {reason}") from None
    if not secret:
        raise ValueError("is an empty file; it must hold the password")
    register_secret(secret)
    return secret


def register_url(url: str) -> None:
    """Hide the password of this URL wherever it turns up, also without the URL around it."""
    rest = url.partition("://")[2]
    host = rest.partition("/")[0]
    # Without an @ before the first slash, the slash may stand in a password nobody encoded.
    login = (host if "@" in host else rest).rpartition("@")[0]
    register_secret(login.partition(":")[2])


def without_login(url: str) -> str:
    """Return the URL without its login and secrets, for comparing only.

    Another password makes no other URL, whether it stands in the login or in the query.
    """
    return QUERY.sub(r"\1", LOGIN.sub(r"\1", url))


def redact(text: str) -> str:
    """Return the text without logins in URLs and without registered secrets."""
    text = LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = QUERY.sub(rf"\1{HIDDEN}", text)
    text = HEADER.sub(rf"\1{HIDDEN}", text)
    return _registered.sub(HIDDEN, text) if _registered else text


def install() -> None:
    """Redact all that this process logs, warns and raises; silence FFmpeg and OpenCV.

    Call once at the start, before OpenCV is imported: it reads the environment then. PyAV keeps
    its FFmpeg silent by itself, OpenCV's own copy prints addresses with their passwords.
    """
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Redacting):
        logging.setLogRecordFactory(_Redacting(make))
    logging.captureWarnings(True)
    sys.excepthook = _show
    threading.excepthook = lambda bug: _show(bug.exc_type, bug.exc_value, bug.exc_traceback)


class _Redacting:
    """Makes log records that are redacted before any handler, of whoever's making, sees them."""

    def __init__(self, make: Callable[..., logging.LogRecord]):
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # logging itself would print the arguments
            record.msg, record.args = f"{record.msg} {record.args}", None
            message = ""
        hidden = redact(message or record.msg)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info))).rstrip()
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return record


def _show(
    kind: type[BaseException], bug: BaseException | None, trace: TracebackType | None
) -> None:
    if not issubclass(kind, SystemExit):  # which ends a thread quietly
        print(redact("".join(traceback.format_exception(kind, bug, trace))), file=sys.stderr)
