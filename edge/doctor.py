"""What this PC can carry, and what is wrong with it or with the site."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edge.address import family_of
from edge.classifier import Classifier, open_classifier
from edge.errors import CameraError, EdgeError, UnavailableError
from edge.gate import Gate
from edge.health import is_room_enough, memory_bytes
from edge.plan import Plan, read_plan
from edge.sinks.mqtt import PORTS
from edge.site import CameraConfig, Site
from edge.snapshot import take_picture
from edge.statefile import is_held
from edge.types import Frame, Slot
from edge.view import View, is_another_aspect
from edge.web.reach import answers
from edge.web.server import listen

CROPS, ROUNDS = 32, 5
SPARE_CORE = 0.25  # of one core is what the daemon may take
CHANGING = 0.2  # of the slots are looked at in a busy minute's average frame
DECODE_MS = 15.0  # a 1080p key frame, decoded and converted
EARLIEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
CONNECT_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ok None: it could not be told."""

    what: str
    ok: bool | None
    says: str


def diagnose(site_path: Path | None) -> dict[str, Any]:
    """Measure this PC and, with a site.yaml, try its cameras and its broker."""
    findings = [_clock()]
    plan: Plan | None = None
    if site_path is not None:
        try:
            plan = read_plan(site_path)
            findings.append(Finding("configuration", True, f"{len(plan.slots)} slots"))
            findings += [Finding("blackout", False, warning) for warning in plan.warnings()]
        except EdgeError as error:
            findings.append(Finding("configuration", False, str(error)))
    findings.append(_disk(plan.config.site.state if plan else Path.cwd()))
    if plan is not None:
        size = plan.config.planogram.reference_size
        findings += [_camera(one, size(one.id)) for one in plan.config.site.cameras]
        findings += [_broker(plan.config.site), _pages(plan.config.site)]
    measured = _measure(plan.classifier if plan else open_classifier())
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "findings": [asdict(finding) for finding in findings],
        "measured": measured,
        "advice": _advice(measured),
    }


def report(found: dict[str, Any]) -> str:
    """Return the diagnosis for people."""
    signs = {True: "ok  ", False: "BAD ", None: "?   "}
    lines = [found["machine"]]
    lines += [f"{signs[one['ok']]}{one['what']}: {one['says']}" for one in found["findings"]]
    lines += [f"{name}: {value}" for name, value in found["measured"].items()]
    return "\n".join([*lines, found["advice"]])


def _measure(classifier: Classifier) -> dict[str, float]:
    """Time the model and the gate on this PC, alone, in milliseconds."""
    noise = np.random.default_rng(0)
    crops = [noise.integers(0, 255, (150, 90, 3), np.uint8) for _ in range(CROPS)]
    picture = noise.integers(0, 255, (1080, 1920, 3), np.uint8)
    gate = Gate([_slot(number) for number in range(40)])
    clock = iter(range(10_000))

    def sort() -> None:
        number = next(clock)
        gate.sort(Frame("doctor", picture, datetime.now(UTC), 5.0 * number))

    return {
        "model_ms_per_crop": round(_best_ms(lambda: classifier.probabilities(crops)) / CROPS, 3),
        "gate_ms_per_frame_of_40_slots": _best_ms(sort),
        "memory_mb": round(memory_bytes() / 1e6),  # as on the health page
    }


def _best_ms(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(ROUNDS):
        begun_s = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun_s))
    return round(median(times), 2)


def _advice(measured: dict[str, float]) -> str:
    """Say how many cameras fit into a quarter of one core; the sum is in the text."""
    look_ms = 40 * CHANGING * measured["model_ms_per_crop"]
    frame_ms = DECODE_MS + measured["gate_ms_per_frame_of_40_slots"] + look_ms
    cameras = int(SPARE_CORE * 5000 / frame_ms)
    return (
        f"a quarter of one core carries about {cameras} cameras of 40 slots at a look each 5 s: "
        f"{frame_ms:.0f} ms a frame (decode {DECODE_MS:.0f}, gate "
        f"{measured['gate_ms_per_frame_of_40_slots']:.0f}, looks {look_ms:.0f})"
    )


def _slot(number: int) -> Slot:
    left, top = 0.02 + 0.096 * (number % 10), 0.02 + 0.24 * (number // 10)
    right, bottom = left + 0.08, top + 0.18
    quad = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Slot(f"s{number}", "doctor", quad, f"slot {number}")


def _clock() -> Finding:
    now = datetime.now(UTC)
    right = now >= EARLIEST_CLOCK
    says = f"{now:%Y-%m-%d %H:%M} UTC" + ("" if right else "; set it, events carry its time")
    return Finding("clock", right, says)


def _disk(folder: Path) -> Finding:
    try:
        while not folder.exists():  # the daemon makes it
            folder = folder.parent
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("disk", None, f"{folder}: {error.strerror}")
    return Finding("disk", is_room_enough(free), f"{free / 2**30:.1f} GiB free")


def _camera(camera: CameraConfig, drawn_on: tuple[int, int] | None) -> Finding:
    """Say whether a camera gives a picture that the daemon would judge slots by.

    drawn_on: width and height of the picture that its slots were drawn on, None: not known.
    """
    what, begun_s = f"camera {camera.id}", time.monotonic()
    try:
        image = take_picture(camera)
    except CameraError as error:
        return Finding(what, False, f"{error.reason.value}: {error}")
    height, width = image.shape[:2]
    says = f"{width} x {height} after {time.monotonic() - begun_s:.1f} s"
    if drawn_on is not None and is_another_aspect(image, drawn_on):
        drawn = f"{drawn_on[0]} x {drawn_on[1]}"
        return Finding(what, False, f"{says}, but its slots were drawn on {drawn}: another aspect")
    frame = Frame(camera.id, image, datetime.now(UTC), begun_s)
    if View(blackout=camera.blackout).trouble(frame):
        return Finding(what, False, f"{says}, but too dark to tell anything")
    return Finding(what, True, says)


def _pages(site: Site) -> Finding:
    """Say who can reach the pages, and whether their port can be had."""
    if site.web.is_local:
        says = f"on {site.web.listen}, for this PC only"
    elif site.web.tls:
        says = f"on {site.web.listen}, encrypted, with a PIN"
    else:
        says = f"on {site.web.listen}, with a PIN, not encrypted: trust this network or set web.tls"
    try:
        listen(site).close()
    except UnavailableError as error:
        if not answers(site):
            return Finding("pages", False, str(error))
        says += "; served now"
    return Finding("pages", True, says)


def _broker(site: Site) -> Finding:
    """Try whether the broker's port answers; its login is tried by the daemon."""
    if site.mqtt.embedded:
        return _embedded(site)
    url = urlsplit(site.mqtt.url)
    if url.scheme == "stdout":
        return Finding("broker", True, "standard output")
    if url.scheme not in PORTS:
        return Finding("broker", None, f"{url.scheme}: is no broker; the daemon tries it")
    port = url.port or PORTS[url.scheme]
    try:
        socket.create_connection((url.hostname or "", port), CONNECT_S).close()
    except OSError as error:
        return Finding("broker", False, f"{url.hostname}:{port}: {error.strerror or error}")
    return Finding("broker", True, f"{url.hostname}:{port} answers")


def _embedded(site: Site) -> Finding:
    """Try whether the daemon could serve its own broker."""
    says = f"embedded, on {site.mqtt.listen}"
    host, port = site.mqtt.listen_address
    try:
        socket.create_server((host, port), family=family_of(host)).close()
    except OSError as error:
        if not (is_held(site.state) or answers(site)):  # the state may be another user's
            return Finding("broker", False, f"{says}: {error.strerror or error}; set mqtt.listen")
        says += "; served now"
    return Finding("broker", True, says)
