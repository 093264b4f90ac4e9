"""The words between the publisher and a sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ONLINE, OFFLINE = b"online", b"offline"
"""The two payloads of stock/<node>/status."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said. topic is relative to stock/<node>/."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sink leads, as the operator wrote it.

    ca, cert and key are PEM files; without ca the system's certificate authorities count.
    The password is read from its file at each connection, so that it may be changed there.
    """

    url: str
    node: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


OnRequest = Callable[[str, bytes], None]
"""(verb, payload) of a request. Called from a thread of the sink's own: only hand it on."""


class Sink(Protocol):
    """A way out of the daemon. One thread opens, sends and closes; any other may drop."""

    @property
    def lost(self) -> str | None:
        """Why there is no connection, None while there is one."""
        ...

    def open(self, on_request: OnRequest, on_lost: Callable[[], None]) -> None:
        """Connect and listen for requests, or raise SinkError.

        on_lost is called, from another thread, when the connection breaks later.
        """
        ...

    def send(self, messages: Sequence[Message]) -> None:
        """Return when the other side has all of them, in this order; else raise SinkError.

        Of those that are not counted as arrived it may have some. A sink never tries again by
        itself.
        """
        ...

    def close(self) -> None:
        """Say goodbye, if there is a connection. open() may follow."""
        ...

    def drop(self) -> None:
        """Break the connection off, so that the other side takes it for an accident."""
        ...
