"""Where pictures come from: one small file a kind, chosen by the scheme of the camera's URL."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Protocol

from edge.errors import UsageError
from edge.redact import register_url
from edge.types import Image


class Camera(Protocol):
    """An opened source of pictures."""

    def read(self) -> Image:
        """Return the next picture, waiting for it: (height, width, 3) uint8, BGR.

        Raises CameraError when none comes, SourceEndedError after the last picture of a recording.
        After either, the caller closes this camera and may open another.
        """
        ...

    def close(self) -> None: ...


Opener = Callable[[str, float], Camera]
"""(url, every_s) → Camera. every_s is how often a picture is wanted; a camera may skip the rest.

Raises CameraError, whose message never holds the address: it may hold a password.
"""


# Each kind is imported when it is first opened: a site with USB cameras loads no FFmpeg.
def _rtsp(url: str, every_s: float) -> Camera:
    from edge.cameras.rtsp import open_rtsp

    return open_rtsp(url, every_s)


def _usb(url: str, every_s: float) -> Camera:
    from edge.cameras.usb import open_usb

    return open_usb(url, every_s)


def _http(url: str, every_s: float) -> Camera:
    from edge.cameras.http import open_http

    return open_http(url, every_s)


def _file(url: str, every_s: float) -> Camera:
    from edge.cameras.file import open_file

    return open_file(url, every_s)


def _folder(url: str, every_s: float) -> Camera:
    from edge.cameras.folder import open_folder

    return open_folder(url, every_s)


def _demo(url: str, every_s: float) -> Camera:
    from edge.cameras.demo import open_demo

    return open_demo(url, every_s)


OPENERS: dict[str, Opener] = {
    "rtsp": _rtsp,
    "rtsps": _rtsp,
    "usb": _usb,
    "http": _http,
    "https": _http,
    "file": _file,
    "folder": _folder,
    "demo": _demo,
}


def scheme_of(url: str) -> str:
    """Return what stands before the first colon, in small letters: the kind of camera."""
    return url.partition(":")[0].lower()


def is_recording(url: str) -> bool:
    """Whether the source ends by itself, and may rightly show the same picture for long."""
    return scheme_of(url) in ("file", "folder")


def open_camera(url: str, every_s: float) -> Camera:
    """Return the opened camera.

    Raises CameraError if it cannot be opened now, UsageError if nothing opens such a URL.
    """
    scheme = scheme_of(url)
    if scheme not in OPENERS:
        near = difflib.get_close_matches(scheme, OPENERS, n=1)
        hint = f"did you mean {near[0]}:?" if near else f"use one of {', '.join(OPENERS)}"
        raise UsageError(f"unknown kind of camera {scheme[:20]!r}; {hint}")
    register_url(url)
    return OPENERS[scheme](url, every_s)
