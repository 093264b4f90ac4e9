"""Prints what MQTT would carry, one message a line: topic, space, payload."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.errors import SinkError
from edge.sinks.sink import Destination, Message, OnRequest


class StdoutSink:
    """For trial and for pipes. It hears no requests."""

    def __init__(self, destination: Destination) -> None:
        self._root = f"stock/{destination.node}"

    @property
    def lost(self) -> str | None:
        return None

    def open(self, on_request: OnRequest, on_lost: Callable[[], None]) -> None:
        pass  # always there

    def send(self, messages: Sequence[Message]) -> None:
        try:
            for message in messages:
                print(f"{self._root}/{message.topic} {_text(message.payload)}", flush=True)
        except (OSError, ValueError) as error:  # the reader of the pipe is gone
            raise SinkError(f"standard output: {error}") from error

    def close(self) -> None:
        pass

    def drop(self) -> None:
        pass


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return f"({len(payload)} bytes)"
