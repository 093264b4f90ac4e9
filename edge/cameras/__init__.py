"""Where pictures come from: one small file a kind, chosen by the scheme of the camera's URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.errors import UsageError
from edge.types import Image


class Camera(Protocol):
    """An opened source of pictures."""

    def read(self) -> Image:
        """Return the next picture, waiting for it: (height, width, 3) uint8, BGR.

        Raises CameraError when none comes, SourceEnded after the last picture of a recording.
        After either, the caller closes this camera and may open another.
        """
        ...

    def close(self) -> None: ...


Opener = Callable[[str, float], Camera]
"""(url, every_s) → Camera. every_s is how often a picture is wanted; a camera may skip the rest."""

OPENERS: dict[str, Opener] = {}
