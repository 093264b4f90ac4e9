"""`edge demo`: the daemon on a rendered store, and its events as a subscriber sees them."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.board import Board
from edge.config import Config
from edge.monitor import serve, stop_on_signals
from edge.outlet import Outlet
from edge.plan import make_plan
from edge.planogram import Planogram
from edge.site import Site

NODE = "demo"
FIRST_PORT = 1883
EVERY_S, CONFIRM_S = 1.0, 3.0


def run_demo(seed: int, seconds: float | None) -> None:
    """Run until interrupted, or for so many seconds. Needs no file, camera or network."""
    stop = threading.Event()
    stop_on_signals(stop)
    if seconds is not None:
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
    with tempfile.TemporaryDirectory(prefix="shelf-edge-demo-") as state:
        plan = make_plan(_config(seed, Path(state)))
        print(f"{len(plan.slots)} slots of a rendered store are watched", flush=True)
        serve(plan, lambda: plan, SimpleQueue(), Board(), stop, on_open=_show_events)


def _config(seed: int, state: Path) -> Config:
    site = Site.model_validate(
        {
            "version": 1,
            "node": NODE,
            "cameras": ({"id": "shelf", "url": f"demo:?seed={seed}&pace=6", "every_s": EVERY_S},),
            "state": str(state),
            "decision": {"confirm_s": CONFIRM_S},
            "mqtt": {"url": "embedded", "listen": f"127.0.0.1:{_free_port()}"},
        }
    )
    return Config(site, Planogram(version=1, cameras={}))


def _free_port() -> int:
    """Return MQTT's own port, or the next one that is free."""
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0


def _show_events(outlet: Outlet) -> None:
    """Print what arrives at the broker: the demo listens like anybody else."""
    address = urlsplit(outlet.address)
    print(f"mqtt://{address.hostname}:{address.port}")
    print(
        f"  try: mosquitto_sub -h {address.hostname} -p {address.port} -t 'stock/#' -v", flush=True
    )
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe(f"stock/{NODE}/event", qos=1)
    client.on_message = lambda client, userdata, message: print(_line(message.payload), flush=True)
    client.connect_async(address.hostname or "127.0.0.1", address.port or FIRST_PORT)
    client.loop_start()


def _line(payload: bytes | bytearray) -> str:
    event = json.loads(payload)
    data = event["data"]
    what = event["type"].removeprefix("stock.").removesuffix(".v1")
    score = data.get("score")
    detail = f"{data['name']}, p(empty) {score:.2f}" if score is not None else ""
    return f"{event['time'][11:19]} {what:14} {event['subject']:16} {detail}"
