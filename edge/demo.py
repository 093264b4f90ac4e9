"""`edge demo`: the daemon on a rendered store, and its events as a subscriber sees them."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.address import free_port
from edge.board import Board
from edge.config import Config
from edge.drawing.planogram_file import read_planogram_file
from edge.monitor import Requests, serve
from edge.outlet import Outlet
from edge.plan import Plan, make_plan
from edge.planogram import Planogram
from edge.signals import stop_on_signals
from edge.site import Site
from edge.web import open_web
from edge.web.routes import daemon_routes

NODE = "demo"
HOST, MQTT_PORT, WEB_PORT = "127.0.0.1", 1883, 8080
EVERY_S, CONFIRM_S = 1.0, 3.0


def run_demo(seed: int, seconds: float | None) -> None:
    """Run until interrupted, or for so many seconds. Needs no file, camera or network."""
    stop = threading.Event()
    stop_on_signals(stop)
    if seconds is not None:
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
    board, requests = Board(), Requests()
    with tempfile.TemporaryDirectory(prefix="shelf-edge-demo-") as state:
        site = _site(seed, Path(state))
        plan = _plan(site)
        with open_web(site, daemon_routes(plan, board, requests.ask)) as pages:
            print(f"{len(plan.slots)} slots of a rendered store are watched: {pages.address}")
            print(f"  draw them anew: {pages.address}calibrate", flush=True)
            serve(plan, lambda: _plan(site), requests, board, stop, on_open=_show_events)


def _plan(site: Site) -> Plan:
    """Return what is watched now: the store brings its slots, until others were drawn."""
    planogram = read_planogram_file(site.planogram)[0] if site.planogram else None
    return make_plan(Config(site, planogram or Planogram(version=1, cameras={})))


def _site(seed: int, state: Path) -> Site:
    return Site.model_validate(
        {
            "version": 1,
            "node": NODE,
            "cameras": ({"id": "shelf", "url": f"demo:?seed={seed}&pace=6", "every_s": EVERY_S},),
            "planogram": str(state / "planogram.yaml"),
            "state": str(state),
            "decision": {"confirm_s": CONFIRM_S},
            "mqtt": {"url": "embedded", "listen": f"{HOST}:{free_port(HOST, MQTT_PORT)}"},
            "web": {"listen": f"{HOST}:{free_port(HOST, WEB_PORT)}"},
        }
    )


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
    client.connect_async(address.hostname or "127.0.0.1", address.port or MQTT_PORT)
    client.loop_start()


def _line(payload: bytes | bytearray) -> str:
    event = json.loads(payload)
    data = event["data"]
    what = event["type"].removeprefix("stock.").removesuffix(".v1")
    score = data.get("score")
    detail = f"{data['name']}, p(empty) {score:.2f}" if score is not None else ""
    return f"{event['time'][11:19]} {what:14} {event['subject']:16} {detail}"
