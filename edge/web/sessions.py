"""Who is signed in. Kept in the state folder, as fingerprints: a restart signs nobody out."""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from edge.atomicfile import write_atomically
from edge.errors import EdgeError

log = logging.getLogger(__name__)

LASTS_S = 30 * 86400.0  # without being used
NOTED_EACH_S = 3600.0  # the last use is written no more often
MOST = 200


class Session(BaseModel):
    name: Annotated[str, Field(max_length=60)]
    """What the device calls itself."""
    used_s: float
    """Seconds of the epoch."""


class _Kept(BaseModel):
    """The file. pin: the name of the PIN that they began with; a new PIN ends them all."""

    pin: str
    sessions: dict[str, Session]


class Sessions:
    """The signed-in devices. Use from the pages' event loop only."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ):
        """steady is believed where it says that less time has passed: clocks are set."""
        self._path, self._clock, self._steady = path, clock, steady
        self._pin = ""
        self._sessions: dict[str, Session] = {}
        self._used: dict[str, float] = {}  # since the daemon runs, by the steady clock
        self._read()

    def begin(self, pin: str, name: str) -> str:
        """Return the token of a new session: only its fingerprint is kept here."""
        self._only_of(pin)
        token, now_s = secrets.token_urlsafe(32), self._clock()
        key = _fingerprint(token)
        self._sessions[key] = Session(name=name, used_s=now_s)
        self._used[key] = self._steady()
        while len(self._sessions) > MOST:
            least = min(self._sessions, key=self._last_use)
            del self._sessions[least]
            self._used.pop(least, None)
        self._write()
        return token

    def knows(self, pin: str, token: str) -> bool:
        """Whether the token belongs to a session begun with this PIN; asking counts as a use."""
        self._only_of(pin)
        key, now_s, steady_s = _fingerprint(token), self._clock(), self._steady()
        session = self._sessions.get(key)
        if session is None:
            return False
        unused_s = min(now_s - session.used_s, steady_s - self._used.get(key, -math.inf))
        if unused_s > LASTS_S:
            return False
        self._used[key] = steady_s
        if not 0 <= now_s - session.used_s < NOTED_EACH_S:
            session.used_s = now_s
            self._write()
        return True

    def end(self, token: str) -> None:
        if self._sessions.pop(_fingerprint(token), None) is not None:
            self._used.pop(_fingerprint(token), None)
            self._write()

    def _last_use(self, key: str) -> tuple[float, float]:
        """Return what orders sessions by their last use: the steady clock is never wrong."""
        return self._used.get(key, -math.inf), self._sessions[key].used_s

    def _only_of(self, pin: str) -> None:
        if pin != self._pin:
            self._pin, self._sessions, self._used = pin, {}, {}

    def _read(self) -> None:
        try:
            kept = _Kept.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError):
            log.warning("%s cannot be read: everybody has to sign in again", self._path)
            return
        self._pin, self._sessions = kept.pin, kept.sessions

    def _write(self) -> None:
        kept = _Kept(pin=self._pin, sessions=self._sessions)
        try:
            write_atomically(self._path, kept.model_dump_json().encode(), 0o600)
        except EdgeError as error:  # such as a full disk: they are signed out at the next restart
            log.warning("who is signed in is not kept: %s", error)


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
