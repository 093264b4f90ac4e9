"""The PIN of the pages: only its scrypt fingerprint is kept, in a file that its owner may read.

A PIN is short, so the fingerprint protects it for a while and not for good: the file must not get
out. What keeps strangers away is that the pages let few wrong ones pass.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import itertools
import logging
import os
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from edge.atomicfile import write_atomically
from edge.errors import UnavailableError, UsageError

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 6, 64
N, R, P = 2**15, 8, 1  # about 0.1 s and 32 MiB a try
MEMORY = 2**26


@dataclass(frozen=True, slots=True)
class PinMark:
    """What is kept of a PIN."""

    salt: bytes
    key: bytes

    @classmethod
    def of(cls, pin: str) -> PinMark:
        salt = secrets.token_bytes(16)
        return cls(salt, _stretched(pin, salt))

    def fits(self, pin: str) -> bool:
        """Whether this is the PIN; takes as long for a wrong one.

        Slow by design: call it outside the event loop.
        """
        return hmac.compare_digest(_stretched(pin, self.salt), self.key)

    @property
    def name(self) -> str:
        """Another one for each PIN that was ever set; says nothing about it."""
        return hashlib.sha256(self.salt).hexdigest()[:16]

    def __str__(self) -> str:
        return f"scrypt {N} {R} {P} {self.salt.hex()} {self.key.hex()}\n"

    @classmethod
    def parse(cls, text: str) -> PinMark:
        """Read what str() wrote. Raises ValueError."""
        match = re.fullmatch(rf"scrypt {N} {R} {P} ([0-9a-f]{{32}}) ([0-9a-f]{{64}})\n?", text)
        if match is None:
            raise ValueError("holds no PIN that this version has set")
        return cls(bytes.fromhex(match[1]), bytes.fromhex(match[2]))


class PinFile:
    """The file as it is now: `edge pin` may change it while the daemon runs."""

    def __init__(self, path: Path):
        self._path = path
        self._read: tuple[tuple[int, ...] | None, PinMark | None] = (None, None)

    @property
    def exists(self) -> bool:
        """True also if the file cannot be examined: refuse rather than let in."""
        try:
            os.stat(self._path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def mark(self) -> PinMark | None:
        """Return the PIN's mark; None where there is none, or none that can be read."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._read[0] != stamp:
            self._read = (stamp, self._parsed())
        return self._read[1]

    def _parsed(self) -> PinMark | None:
        try:
            return read_pin(self._path)
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        except ValueError as error:
            why = str(error)
        log.error("%s: %s; nobody can sign in until `edge pin` sets one", self._path, why)
        return None


def read_pin(path: Path) -> PinMark | None:
    """Return the mark that a PIN file holds; None where there is no such file.

    Raises OSError where it cannot be read, ValueError where it holds something else.
    """
    try:
        return PinMark.parse(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ValueError("holds no PIN that this version has set") from None


def ask_pin() -> str:
    """Return the PIN that somebody types twice, or the first line of what is piped in."""
    if sys.stdin is None:  # closed by whoever started this
        return ""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    pin = getpass.getpass(f"PIN ({SHORTEST} digits or more): ")
    if problem := pin_problem(pin):
        raise UsageError(problem)
    if getpass.getpass("once more: ") != pin:
        raise UsageError("these were two different PINs; nothing was changed")
    return pin


def set_pin(path: Path, pin: str) -> None:
    """Make this the PIN. Raises UsageError for one that is no good, UnavailableError."""
    problem = pin_problem(pin)
    if problem:
        raise UsageError(problem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(f"{path.parent}: cannot be made: {error.strerror}") from None
    write_atomically(path, str(PinMark.of(pin)).encode(), 0o600)


def pin_problem(pin: str) -> str | None:
    """Return why a PIN is refused, or None."""
    if not re.fullmatch(rf"[0-9]{{{SHORTEST},{LONGEST}}}", pin):
        return f"a PIN is {SHORTEST} to {LONGEST} digits"
    steps = {int(after) - int(before) for before, after in itertools.pairwise(pin)}
    if len(steps) == 1 and abs(steps.pop()) <= 1:
        return "this PIN is the first that anybody would try; choose another"
    return None


def _stretched(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=N, r=R, p=P, maxmem=MEMORY, dklen=32)
