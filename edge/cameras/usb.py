"""A camera of this PC, by OpenCV and V4L2.

`usb:0`, `usb:0?size=1920x1080`, `usb:/dev/video0` (or, as URLs are written, `usb:///dev/video0`).
"""

from __future__ import annotations

import glob
import os
import time
from pathlib import Path
from urllib.parse import parse_qs

import cv2
import numpy as np

from edge.errors import CameraError
from edge.types import CameraReason, Image

WARM_UP_S = 1.0  # the exposure of the first frames is a guess


def open_usb(url: str, every_s: float) -> UsbCamera:
    """Return the opened camera. Raises CameraError if it is not there or not ours to read."""
    try:
        device, (width, height) = parse_usb_url(url)
    except ValueError as error:
        raise CameraError(str(error)) from None
    if not device.exists():
        there = ", ".join(sorted(glob.glob("/dev/video*"))) or "none"
        raise CameraError(f"there is no {device}; cameras of this PC: {there}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(f"{device} may not be read; add this user to the group 'video'")
    capture = cv2.VideoCapture(os.path.realpath(device), cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        raise CameraError(f"{device} is no camera, or another program uses it")
    # Compressed: raw video of 1080p does not fit through USB 2. What a camera cannot do it ignores.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return UsbCamera(capture, every_s)


def parse_usb_url(url: str) -> tuple[Path, tuple[int, int]]:
    """Return the device and the wanted (width, height) in pixels, 1920 x 1080 if none is named.

    Raises ValueError.
    """
    name, _, query = url.partition(":")[2].partition("?")
    if name.startswith("//"):  # as URLs have it
        name = "/" + name.lstrip("/")
    if not (name.isdecimal() or name.startswith("/dev/")):
        raise ValueError("which camera? write usb:0 or usb:/dev/video0")
    options = parse_qs(query, keep_blank_values=True)
    width, _, height = options.pop("size", ["1920x1080"])[-1].partition("x")
    if options or not (width.isdecimal() and height.isdecimal()):
        raise ValueError("only a size may follow; write usb:0?size=1280x720")
    return Path(f"/dev/video{name}" if name.isdecimal() else name), (int(width), int(height))


class UsbCamera:
    """Hands out a picture each every_s. In between frames are taken in, so that none is old."""

    def __init__(self, capture: cv2.VideoCapture, every_s: float):
        self._capture = capture
        self._every_s = every_s
        self._due_s = time.monotonic() + WARM_UP_S

    def read(self) -> Image:
        while self._capture.grab():
            now_s = time.monotonic()
            if now_s < self._due_s:
                continue
            good, image = self._capture.retrieve()  # only now the JPEG is decoded
            if good:
                self._due_s = max(self._due_s + self._every_s, now_s)
                return np.asarray(image, np.uint8)
        raise CameraError("the camera sends no picture; is it unplugged?", CameraReason.NO_FRAMES)

    def close(self) -> None:
        self._capture.release()
