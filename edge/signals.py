"""How a command that runs on and on is ended from outside."""

from __future__ import annotations

import signal
import threading


def stop_on_signals(stop: threading.Event) -> None:
    """Set stop at SIGTERM and SIGINT. Call it in the main thread: only there signals are heard."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
