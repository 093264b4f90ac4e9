"""The cameras that are open. Reading the configuration anew closes only those that it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.cameras import kind_of
from edge.eye import Eye
from edge.redact import without_login
from edge.site import CameraConfig

CLOSE_S = 1.0


@dataclass(frozen=True)
class _Open:
    camera: CameraConfig
    eye: Eye
    stop: threading.Event


class Lookout:
    """Use from the main loop's thread only."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def look(
        self,
        cameras: Sequence[CameraConfig],
        reference_size: Callable[[str], tuple[int, int] | None],
    ) -> list[Eye]:
        """Return an eye for each camera, in their order; those that stay the same stay open."""
        wanted = {camera.id: camera for camera in cameras}
        leaving = [one for one in self._open.values() if wanted.get(one.camera.id) != one.camera]
        self._close(leaving)
        before = {_device(one.camera): one.eye for one in leaving}
        for camera in cameras:
            size = reference_size(camera.id)
            if camera.id in self._open:
                self._open[camera.id].eye.begin_anew(size)
            else:
                self._open[camera.id] = _begun(camera, size, before.get(_device(camera)))
        return [self._open[camera.id].eye for camera in cameras]

    def close(self) -> None:
        self._close(list(self._open.values()))

    def _close(self, leaving: Sequence[_Open]) -> None:
        """Wait for all of them together: a thread may sleep or hang, and the main loop stands."""
        for one in leaving:
            one.stop.set()
        deadline_s = time.monotonic() + CLOSE_S
        for one in leaving:
            one.eye.close(max(0.0, deadline_s - time.monotonic()))
            del self._open[one.camera.id]


def _begun(
    camera: CameraConfig, reference_size: tuple[int, int] | None, before: Eye | None
) -> _Open:
    stop = threading.Event()
    eye = Eye(
        camera.id,
        camera.url,
        camera.every_s,
        stop,
        reference_size,
        camera.opener,
        blackout=camera.blackout,
        after=before if kind_of(camera.url).stays_open else None,
    )
    eye.start()
    return _Open(camera, eye, stop)


def _device(camera: CameraConfig) -> str:
    """Return what is looked through, whoever asks and whatever for."""
    return without_login(camera.url).partition("?")[0]
