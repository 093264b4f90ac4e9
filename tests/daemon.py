"""The whole daemon as a process, on an HTTP camera whose slots turn bright and dark.

To the bundle used here bright is empty and dark is stocked.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import yaml
from http_camera import HttpCamera
from test_classifier import metadata, write_bundle

WIDTH, HEIGHT, COLUMNS, ROWS = 640, 480, 4, 3
SLOTS = COLUMNS * ROWS


class StagedShelf(HttpCamera):
    """Shows the slots whose numbers are in `empty` as empty, all others as stocked."""

    def __init__(self) -> None:
        super().__init__()
        self.empty: Collection[int] = ()

    def next_picture(self) -> bytes:
        self.pictures += 1
        image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        for number, (left, top, right, bottom) in enumerate(boxes()):
            image[top:bottom, left:right] = 250 if number in self.empty else 10
        return bytes(cv2.imencode(".jpg", image)[1])


def boxes() -> list[tuple[int, int, int, int]]:
    """Return the slots' left, top, right and bottom in pixels, well apart from each other."""
    wide, high = WIDTH // COLUMNS, HEIGHT // ROWS
    return [
        (wide * x + wide // 3, high * y + high // 3, wide * x + 2 * wide // 3, high * y + high // 2)
        for y in range(ROWS)
        for x in range(COLUMNS)
    ]


def write_site(
    folder: Path, camera_url: str, mqtt: Mapping[str, object], slots: int = SLOTS
) -> Path:
    """Write site.yaml, planogram and bundle; return the first. Slots are slot-0, slot-1, …"""
    write_bundle(folder / "model.onnx", metadata())
    drawn = [
        {
            "id": f"slot-{number}",
            "name": f"Product {number}",
            "quad": [
                [x / WIDTH, y / HEIGHT]
                for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
            ],
        }
        for number, (left, top, right, bottom) in enumerate(boxes()[:slots])
    ]
    planogram = {"version": 1, "cameras": {"aisle": {"slots": drawn}}}
    site = {
        "version": 1,
        "node": "shop",
        "cameras": [{"id": "aisle", "url": camera_url, "every_s": 0.1}],
        "planogram": "planogram.yaml",
        "model": "model.onnx",
        "state": "state/",
        "decision": {"empty_above": 0.8, "stocked_below": 0.4, "confirm_s": 0.1},
        "mqtt": dict(mqtt),
        "web": {"listen": "127.0.0.1:0"},
    }
    (folder / "planogram.yaml").write_text(yaml.safe_dump(planogram))
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    return folder / "site.yaml"


class Daemon:
    """`edge run`, begun and ended as often as wanted. Its messages go to daemon.log."""

    def __init__(self, site: Path) -> None:
        self._command = [sys.executable, "-m", "edge.cli", "run", "-c", str(site)]
        self._log = site.with_name("daemon.log")
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def send(self, number: int) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self.log()[-3000:]  # it has not ended by itself
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; return the exit code, negative if the signal killed it."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        code = self._process.wait(30)
        self._process = None
        return code

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
