"""What everybody is measured on: a shelf of 40 slots, idle and busy, as a 1080p camera sends it.

Rendering takes minutes, so the streams are kept in bench-data/ at the root of the repository.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from rtsp_server import RtspServer, encoder

from edge.render import Renderer
from edge.scene import Scene
from edge.types import Image

VERSION = 1  # write 2 when what is rendered changes: the old files are then left aside
FOLDER = Path(__file__).resolve().parents[2] / "bench-data"
ROWS, COLUMNS = 4, 10
SIZE, FPS, KEY_S = (1920, 1080), 15, 2.0
CAMERAS = ("aisle-1", "aisle-2", "aisle-3", "aisle-4")


@dataclass(frozen=True)
class Clip:
    """A piece of a rendered day, repeated for ever. The seam counts as changes too."""

    name: str
    seed: int
    pace: float
    from_s: float
    seconds: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}-v{VERSION}.h264"

    def scene(self) -> Scene:
        return Scene(self.seed, ROWS, COLUMNS, self.pace)

    def changes_a_minute(self) -> float:
        """Return how many slots become empty or stocked in a minute, from the scene's own truth."""
        scene = self.scene()
        seen = [
            [count == 0 for count in scene.stock(self.from_s + number / FPS)]
            for number in range(self.seconds * FPS)
        ]
        changes = sum(
            before != after
            for here, there in zip(seen, [*seen[1:], seen[0]], strict=True)
            for before, after in zip(here, there, strict=True)
        )
        return changes * 60 / self.seconds


IDLE = Clip("idle", seed=11, pace=0.1, from_s=0.0, seconds=60)  # nobody comes
BUSY = Clip("busy", seed=11, pace=3.0, from_s=120.0, seconds=120)  # a tenth of the slots a minute


def rendered(clip: Clip) -> Path:
    """Return the clip's file; rendered first where it is not there yet."""
    if clip.path.exists():
        return clip.path
    FOLDER.mkdir(exist_ok=True)
    unfinished = clip.path.with_suffix(".part")
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24"]
    command += ["-video_size", "{}x{}".format(*SIZE), "-framerate", str(FPS), "-i", "-"]
    command += ["-vf", "format=yuv420p", *encoder(FPS, KEY_S), str(unfinished)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        for picture in _pictures(clip):
            ffmpeg.stdin.write(picture)
    if ffmpeg.returncode:
        raise SystemExit(f"ffmpeg could not encode {clip.path.name}")
    os.replace(unfinished, clip.path)
    return clip.path


def _pictures(clip: Clip) -> Iterator[bytes]:
    """Yield every frame as raw BGR, drawn by all cores."""
    times = [clip.from_s + number / FPS for number in range(clip.seconds * FPS)]
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


def first_picture(clip: Clip) -> Image:
    """Return the clip's first frame, as a camera's decoder gives it."""
    capture = cv2.VideoCapture(str(rendered(clip)))
    got, image = capture.read()
    capture.release()
    if not got:
        raise SystemExit(f"{clip.path} cannot be decoded; delete it")
    return image


def planogram(clip: Clip, cameras: Sequence[str] = CAMERAS) -> dict[str, Any]:
    """Return the planogram document: every camera sees the same shelf, with slots of its own."""
    scene = clip.scene()
    return {
        "version": 1,
        "cameras": {
            camera: {
                "slots": [
                    {
                        "id": f"{camera}-{slot.slot_id}",
                        "name": slot.name,
                        "sku": slot.sku,
                        "quad": [list(corner) for corner in slot.quad],
                    }
                    for slot in scene.slots(camera)
                ]
            }
            for camera in cameras
        },
    }


def serve(clip: Clip, stack: ExitStack, cameras: Sequence[str] = CAMERAS) -> dict[str, RtspServer]:
    """Start one RTSP server a camera; they show the clip from different moments on."""
    path = rendered(clip)
    between_s = clip.seconds / len(cameras) // KEY_S * KEY_S
    return {
        camera: stack.enter_context(RtspServer(path, fps=FPS, start_s=number * between_s))
        for number, camera in enumerate(cameras)
    }
