"""Where pictures come from: one small file a kind, listed in KINDS by the scheme of its URL."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
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


@dataclass(frozen=True)
class Kind:
    """A kind of camera: what opens it, and what follows from its nature."""

    opener: str
    """module:function. It is imported when it is first opened: a site with USB cameras loads no
    FFmpeg."""
    is_remote: bool = False
    """Its URL names a host."""
    is_recording: bool = False
    """Its URL names a path. It ends by itself, and may rightly show the same picture for long."""
    is_stills: bool = False
    """Its pictures are days apart: that they differ says nothing of movement."""
    is_rendered: bool = False
    """It brings its own slots along."""
    parser: str = ""
    """module:function that reads its URL before it is opened. Raises ValueError or UsageError."""
    stays_open: bool = False
    """Between two pictures; many of them serve one at a time."""


_RTSP = Kind("edge.cameras.rtsp:open_rtsp", is_remote=True, stays_open=True)
_HTTP = Kind("edge.cameras.http:open_http", is_remote=True)
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "rtsp": _RTSP,
        "rtsps": _RTSP,
        "usb": Kind(
            "edge.cameras.usb:open_usb", parser="edge.cameras.usb:parse_usb_url", stays_open=True
        ),
        "http": _HTTP,
        "https": _HTTP,
        "file": Kind("edge.cameras.file:open_file", is_recording=True),
        "folder": Kind("edge.cameras.folder:open_folder", is_recording=True, is_stills=True),
        "demo": Kind(
            "edge.cameras.demo:open_demo",
            parser="edge.cameras.demo:parse_demo_url",
            is_rendered=True,
        ),
    }
)
"""All kinds of cameras, by the scheme of their URLs."""


def scheme_of(url: str) -> str:
    """Return what stands before the first colon, in small letters: the kind of camera."""
    return url.partition(":")[0].lower()


def kind_of(url: str) -> Kind:
    """Return what is known of the kind of camera. Raises UsageError where there is no such."""
    scheme = scheme_of(url)
    if scheme not in KINDS:
        near = difflib.get_close_matches(scheme, KINDS, n=1)
        hint = f"did you mean {near[0]}:?" if near else f"use one of {', '.join(KINDS)}"
        raise UsageError(f"unknown kind of camera {scheme[:20]!r}; {hint}")
    return KINDS[scheme]


def path_of(url: str) -> Path:
    """Return the path of a `file:` or `folder:` URL: what stands after the colon, as it is."""
    return Path(url.partition(":")[2].removeprefix("//"))


def open_camera(url: str, every_s: float) -> Camera:
    """Return the opened camera.

    Raises CameraError if it cannot be opened now, UsageError if nothing opens such a URL.
    """
    opener: Opener = pkgutil.resolve_name(kind_of(url).opener)
    register_url(url)
    return opener(url, every_s)
