"""Where it is told: one small file a kind, chosen by the scheme of the operator's URL."""

from __future__ import annotations

from collections.abc import Callable

from edge.errors import UsageError
from edge.sinks.mqtt import MqttSink
from edge.sinks.sink import Destination, Sink
from edge.sinks.stdout import StdoutSink

__all__ = ["OPENERS", "Destination", "Sink", "open_sink"]

OPENERS: dict[str, Callable[[Destination], Sink]] = {
    "mqtt": MqttSink,
    "mqtts": MqttSink,
    "stdout": StdoutSink,
}


def open_sink(destination: Destination) -> Sink:
    """Return the sink the URL's scheme asks for; it connects when the publisher opens it."""
    scheme = destination.url.partition(":")[0]
    if scheme not in OPENERS:
        raise UsageError(f"unknown scheme {scheme!r}; use one of {', '.join(OPENERS)}")
    return OPENERS[scheme](destination)
