"""What everybody is measured on: a shelf of 40 slots, idle and busy, as a 1080p camera sends it.

Rendering takes minutes, so the streams are kept in bench-data/ at the root of the repository.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rtsp_server import RtspServer, encoder

from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene
from edge.types import Image

VERSION = 3  # a higher number has everything rendered anew
FOLDER = Path(__file__).resolve().parents[2] / "bench-data"
ROWS, COLUMNS = 4, 10
SIZE, FPS, KEY_S = (1920, 1080), 15, 2.0
CAMERAS = ("aisle-1", "aisle-2", "aisle-3", "aisle-4")


@dataclass(frozen=True)
class Clip:
    """A piece of a rendered day, repeated for ever, in which so many slots change."""

    name: str
    seed: int
    pace: float
    seconds: int
    changes: int

    def scene(self) -> Scene:
        return Scene(self.seed, ROWS, COLUMNS, self.pace)


IDLE = Clip("idle", seed=11, pace=0.1, seconds=60, changes=0)  # nobody comes for ten minutes
BUSY = Clip("busy", seed=11, pace=3.0, seconds=120, changes=8)  # a tenth of the slots a minute


@dataclass(frozen=True)
class Recording:
    """A rendered clip, and what was true of it: the renderer may have changed since."""

    name: str
    video: Path
    seconds: int
    changes_a_minute: float
    slots: list[dict[str, Any]]


def rendered(clip: Clip) -> Recording:
    """Return the clip as a file; rendered first where it is not there yet."""
    video = FOLDER / f"{clip.name}-v{VERSION}.h264"
    truth = video.with_suffix(".json")
    if not truth.exists():
        FOLDER.mkdir(exist_ok=True)
        scene = clip.scene()
        from_s, changes = _piece(scene, clip)
        _encode(clip, from_s, video)
        slots = [
            {"id": slot.slot_id, "name": slot.name, "sku": slot.sku, "quad": slot.quad}
            for slot in scene.slots()
        ]
        about = {"changes_a_minute": changes * 60 / clip.seconds, "slots": slots}
        truth.write_text(json.dumps(about))
    return Recording(clip.name, video, clip.seconds, **json.loads(truth.read_text()))


def _piece(scene: Scene, clip: Clip) -> tuple[float, int]:
    """Return where a piece of the scene with the wanted changes begins, and how many it has.

    The seam, where the piece begins again, changes slots too.
    """
    for from_s in range(0, 3600, 10):
        times = [from_s + number / FPS for number in range(clip.seconds * FPS)]
        seen = [[count == 0 for count in scene.stock(t)] for t in times]
        pairs = zip(seen, [*seen[1:], seen[0]], strict=True)
        changes = sum(a != b for now, after in pairs for a, b in zip(now, after, strict=True))
        if changes == clip.changes:
            return from_s, changes
    raise SystemExit(f"no piece of {clip.name} has {clip.changes} changes; try another pace")


def _encode(clip: Clip, from_s: float, video: Path) -> None:
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24"]
    command += ["-video_size", "{}x{}".format(*SIZE), "-framerate", str(FPS), "-i", "-"]
    command += ["-vf", "format=yuv420p", *encoder(FPS, KEY_S), str(video)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        for picture in _pictures(clip, from_s):
            ffmpeg.stdin.write(picture)
    if ffmpeg.returncode:
        raise SystemExit(f"ffmpeg could not encode {video.name}")


def _pictures(clip: Clip, from_s: float) -> Iterator[bytes]:
    """Yield every frame as raw BGR, drawn by all cores."""
    times = [from_s + number / FPS for number in range(clip.seconds * FPS)]
    with multiprocessing.Pool(initializer=_begin_drawing, initargs=(clip,)) as pool:
        yield from pool.imap(_draw, times, chunksize=FPS)


def _begin_drawing(clip: Clip) -> None:
    global _renderer
    os.nice(10)
    cv2.setNumThreads(1)
    _renderer = Renderer(clip.scene(), SIZE)


def _draw(t: float) -> bytes:
    return _renderer.picture(t).tobytes()


_renderer: Renderer


def first_picture(recording: Recording) -> Image:
    """Return the first frame, as a camera's decoder gives it."""
    capture = cv2.VideoCapture(str(recording.video))
    got, image = capture.read()
    capture.release()
    if not got:
        raise SystemExit(f"{recording.video} cannot be decoded; delete the folder it lies in")
    return np.asarray(image, np.uint8)


def planogram(recording: Recording) -> dict[str, Any]:
    """Return the planogram document: every camera sees the same shelf, with slots of its own."""
    return {
        "version": 1,
        "cameras": {
            camera: {
                "slots": [{**slot, "id": f"{camera}-{slot['id']}"} for slot in recording.slots]
            }
            for camera in CAMERAS
        },
    }


def serve(recording: Recording, stack: ExitStack) -> dict[str, RtspServer]:
    """Start one RTSP server a camera; they show the recording from different moments on."""
    apart_s = recording.seconds / len(CAMERAS) // KEY_S * KEY_S
    return {
        camera: stack.enter_context(RtspServer(recording.video, fps=FPS, start_s=number * apart_s))
        for number, camera in enumerate(CAMERAS)
    }
