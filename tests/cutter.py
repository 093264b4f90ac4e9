"""A TCP line that breaks: at command, at random moments, or by going silent."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from typing import Self


class Cutter:
    """Forwards 127.0.0.1:port to 127.0.0.1:target. With every_s it cuts at random moments."""

    def __init__(self, target: int, *, every_s: float | None = None, seed: int = 0) -> None:
        self.cuts = 0
        self._target, self._every_s = target, every_s
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._stop, self._closed = threading.Event(), threading.Event()
        self._forth, self._back = threading.Event(), threading.Event()
        self.holds = threading.Event()
        """Something came since it was silenced, and is not let through."""
        self.resume()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        if every_s is not None:
            self._threads.append(threading.Thread(target=self._cut_now_and_then, daemon=True))
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """Break all connections, with whatever is on its way."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.cuts += 1
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def silence(self) -> None:
        """Let nothing through from now on, without closing anything: a dead router."""
        self.holds.clear()
        self._forth.clear()
        self._back.clear()

    def deafen(self) -> None:
        """Let through what the client says, but no answer."""
        self._back.clear()

    def resume(self) -> None:
        self._forth.set()
        self._back.set()

    def calm(self) -> None:
        """Cut no more by itself."""
        self._stop.set()

    def close(self) -> None:
        self._closed.set()
        self._stop.set()
        self.resume()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 2)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._pairs.append((near, far))
            for way in ((near, far, self._forth), (far, near, self._back)):
                threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, open_: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if not open_.is_set():
                    self.holds.set()
                open_.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut_now_and_then(self) -> None:
        assert self._every_s is not None
        while not self._stop.wait(self._random.expovariate(1 / self._every_s)):
            self.cut()
