"""The pictures that somebody draws on: kept for a while, found by a name nobody can guess."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

from edge.drawing.viewfinder import Capture
from edge.errors import EdgeError
from edge.picture import encode_jpeg
from edge.types import Frame, Image

MOST = 8
MOST_BYTES = 128 * 2**20  # of pixels: five pictures in 4K, and never fewer than two
KEEP_S = 1800.0  # since it was last used
JPEG_QUALITY = 90


class StillGoneError(EdgeError):
    """The picture is no longer kept; another has to be taken."""


@dataclass(frozen=True, eq=False)
class Still:
    """A picture of one camera, and what is known of the slots drawn on it."""

    token: str
    frame: Frame
    moving: bool
    sharpness: dict[str, float] = field(default_factory=dict)
    """By the drawer's own key of a slot: the Laplacian variance of its crop."""

    @property
    def image(self) -> Image:
        return self.frame.image

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    @cached_property
    def jpeg(self) -> bytes:
        """The whole picture for the browser, compressed when it is first asked for."""
        return encode_jpeg(self.image, JPEG_QUALITY)


class Stills:
    """Keeps the newest few. Any thread may ask."""

    def __init__(self, keep_s: float = KEEP_S):
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Still, float]] = OrderedDict()
        self._forgetting: threading.Timer | None = None

    def keep(self, capture: Capture) -> Still:
        still = Still(secrets.token_urlsafe(16), capture.frame, capture.moving)
        with self._lock:
            self._kept[still.token] = still, time.monotonic()
            self._forget_old()
            self._forget_later()
        return still

    def find(self, token: str, camera_id: str | None = None) -> Still:
        """Return the picture, of that camera if one is named. Raises StillGoneError."""
        with self._lock:
            self._forget_old()
            still, _ = self._kept.get(token, (None, 0.0))
            if still is None or camera_id not in (None, still.frame.camera_id):
                raise StillGoneError("this picture is no longer kept; take a new one")
            self._kept[token] = still, time.monotonic()
            self._kept.move_to_end(token)
        return still

    def _forget_later(self) -> None:
        """Give the memory back also where nobody comes again."""
        if self._forgetting is None:
            self._forgetting = threading.Timer(self._keep_s, self._forget_now)
            self._forgetting.daemon = True
            self._forgetting.start()

    def _forget_now(self) -> None:
        with self._lock:
            self._forgetting = None
            self._forget_old()
            if self._kept:
                self._forget_later()

    def _forget_old(self) -> None:
        oldest_s = time.monotonic() - self._keep_s
        while self._kept:
            stills = [still for still, _ in self._kept.values()]
            _, used_s = next(iter(self._kept.values()))
            held = sum(still.image.nbytes for still in stills)
            crowded = len(stills) > MOST or (held > MOST_BYTES and len(stills) > 2)
            if used_s >= oldest_s and not crowded:
                return
            self._kept.popitem(last=False)
