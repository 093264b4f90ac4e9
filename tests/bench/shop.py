"""A shop of four cameras with 40 slots each: camera servers, a real broker, and its site.yaml."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from mosquitto import Mosquitto, Subscriber, wait_for
from rtsp_server import RtspServer
from streams import CAMERAS, Recording, planogram, serve

from edge.classifier import SHIPPED

NODE, EVERY_S = "bench", 5.0
ONLINE_S = 60.0  # so long may a start take on a machine that is in use
EDGE = (sys.executable, "-m", "edge.cli")


@dataclass(frozen=True)
class Shop:
    folder: Path
    servers: dict[str, RtspServer]
    listener: Subscriber
    model: Path

    @property
    def site(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    def wait_until_online(self, daemon: psutil.Popen) -> None:
        """Wait for the broker to say that the daemon and all its cameras are online."""

        def is_online() -> bool:
            if daemon.poll() is not None:
                raise SystemExit(f"the daemon ended by itself:\n{self.log.read_text()[-2000:]}")
            return self.heard("status")[-1:] == [b"online"] and all(
                document[-1:] and document[-1]["status"] == "online"
                for document in (self.documents(f"camera/{one}/status") for one in self.servers)
            )

        wait_for(is_online, ONLINE_S, "the daemon and its cameras online")

    def heard(self, topic: str) -> list[bytes]:
        return self.listener.payloads(f"stock/{NODE}/{topic}")

    def documents(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.heard(topic)]


@contextlib.contextmanager
def open_shop(recording: Recording, model: Path | None) -> Iterator[Shop]:
    """Start all that the daemon needs; it is not started itself."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="shelf-edge-bench-")))
        broker = stack.enter_context(Mosquitto(folder, persistent=False))
        servers = serve(recording, stack)
        # As JSON, which is YAML too: PyYAML would write what the cameras share as aliases.
        (folder / "planogram.yaml").write_text(json.dumps(planogram(recording), indent=1))
        site = {
            "version": 1,
            "node": NODE,
            "cameras": [
                {"id": camera, "url": servers[camera].url(), "every_s": EVERY_S}
                for camera in CAMERAS
            ],
            "planogram": "planogram.yaml",
            "model": str(model.resolve()) if model else "default",
            "mqtt": {"url": f"mqtt://127.0.0.1:{broker.port}"},
            "web": {"listen": "127.0.0.1:0"},
        }
        (folder / "site.yaml").write_text(json.dumps(site, indent=1))
        listener = stack.enter_context(Subscriber(broker.port, name=""))
        yield Shop(folder, servers, listener, model or SHIPPED)
