"""A compressed picture → pixels, and back: for cameras, files and pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.errors import CameraError
from edge.types import CameraReason, Image

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
"""Of files that hold a picture, in small letters."""
JPEG = b"\xff\xd8\xff"
SCAN, END = 0xDA, b"\xff\xd9"


def read_picture(path: Path) -> Image:
    """Return the picture as BGR. Raises CameraError, with the file's name, if it cannot be."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except CameraError as error:
        message = str(error)
    raise CameraError(f"{path}: {message}", CameraReason.NO_FRAMES)


def decode(data: bytes) -> Image:
    """Return the picture as (height, width, 3) BGR, upright where the file says how it was held.

    data is a whole JPEG, PNG or what else OpenCV reads. Raises CameraError (no_frames) for
    anything else, also for a JPEG that is cut short: OpenCV would fill up the rest with grey.
    """
    if not data:
        raise CameraError("the picture is empty", CameraReason.NO_FRAMES)
    if data.startswith(JPEG) and not _has_end(data):
        raise CameraError("the JPEG is cut short", CameraReason.NO_FRAMES)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # more pixels than OpenCV's own limit
        image = None
    if image is None:
        raise CameraError("this is no picture that can be decoded", CameraReason.NO_FRAMES)
    return np.asarray(image, np.uint8)


def encode_jpeg(image: Image, quality: int, full_colour: bool = False) -> bytes:
    """Return a BGR picture as JPEG, quality 1 to 100: milliseconds for a whole picture.

    full_colour: colours as fine as brightness, else of two by two pixels at once.
    """
    sampling = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        if full_colour
        else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    )
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    return encode(image, ".jpg", options)


def encode(image: Image, ending: str, options: Sequence[int] = ()) -> bytes:
    """Return a BGR picture as what a file's ending says. Raises ValueError: nobody writes such."""
    try:
        done, data = cv2.imencode(ending, image, options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"no picture is written as {ending}")
    return data.tobytes()


def _has_end(data: bytes) -> bool:
    """Whether the scan of a JPEG is ended by its marker. An embedded thumbnail's does not count."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == SCAN:
            return data.find(END, at) >= 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
