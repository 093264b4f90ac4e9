"""A real mosquitto on loopback that can be stopped and started again, and a subscriber to it."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from conftest import require_program
from paho.mqtt.enums import CallbackAPIVersion


def free_port() -> int:
    """Return one that no connection gets that asks for any: those are 32768 and above."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("a hundred ports are all in use")


def wait_for(
    there: Callable[[], Any], timeout_s: float = 10.0, what: Callable[[], str] | None = None
) -> Any:
    """Return what there() gives as soon as it is true; fail after timeout_s, saying what()."""
    deadline = time.monotonic() + timeout_s
    while not (found := there()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout_s} s: {what() if what else there}")
        time.sleep(0.01)
    return found


class Mosquitto:
    """One broker. It keeps sessions and retained messages over a restart if persistent."""

    def __init__(
        self,
        directory: Path,
        *,
        persistent: bool = True,
        users: Mapping[str, str] | None = None,
        tls: tuple[Path, Path, Path] | None = None,
        options: str = "",
    ) -> None:
        """tls: the files of CA, certificate and key; then only TLS is spoken."""
        self._program = require_program("mosquitto")
        self.port = free_port()
        self._config = directory / "mosquitto.conf"
        self._log = directory / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "user root",  # else it gives root away and may not read the files of the test
            f"allow_anonymous {'false' if users else 'true'}",
            "max_queued_messages 0",
            "log_type all",
        ]
        if persistent:
            lines += ["persistence true", f"persistence_location {directory}/"]
        if users:
            lines.append(f"password_file {self._passwords(directory, users)}")
        if tls:
            ca, cert, key = tls
            lines += [f"cafile {ca}", f"certfile {cert}", f"keyfile {key}"]
        self._config.write_text("\n".join([*lines, options, ""]))

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=log, stderr=log
            )
        wait_for(self._answers, what=self.log)
        return self

    def stop(self) -> None:
        """Stop it as an administrator would: it writes its database and says nothing."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _passwords(self, directory: Path, users: Mapping[str, str]) -> Path:
        file = directory / "passwords"
        file.touch(mode=0o600)
        for user, password in users.items():
            command = [require_program("mosquitto_passwd"), "-b", str(file), user, password]
            subprocess.run(command, check=True, capture_output=True)
        return file


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retained: bool
    at_s: float  # monotonic


class Subscriber:
    """Hears everything below stock/; with a name, its session outlives its connections."""

    def __init__(self, port: int, name: str = "listener", topic: str = "stock/#") -> None:
        self._lock = threading.Lock()
        self._heard: list[Heard] = []
        self._subscribed = threading.Event()
        self._topic = topic
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=not name
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._subscribe
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._hear
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(10)

    def heard(self, topic: str | None = None) -> list[Heard]:
        with self._lock:
            return [message for message in self._heard if topic in (None, message.topic)]

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.heard(topic)]

    def say(self, topic: str, payload: bytes | str = b"", *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _subscribe(self, client: paho.Client, userdata: Any, flags: Any, *_: Any) -> None:
        if not flags.session_present:  # else the broker would send what it holds once more
            client.subscribe(self._topic, qos=1)
        else:
            self._subscribed.set()

    def _hear(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        heard = Heard(message.topic, bytes(message.payload), bool(message.retain), time.monotonic())
        with self._lock:
            self._heard.append(heard)


def retained(port: int) -> dict[str, bytes]:
    """Return what the broker holds below stock/ for a newcomer."""
    with Subscriber(port, name="", topic="stock/#") as newcomer:
        newcomer.client.subscribe("marker", qos=1)
        newcomer.say("marker")  # comes after all that was held
        wait_for(lambda: newcomer.heard("marker"))
        return {message.topic: message.payload for message in newcomer.heard() if message.retained}
