"""A compressed picture → pixels, for the cameras that send or keep single pictures."""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import CameraError
from edge.types import CameraReason, Image

JPEG = b"\xff\xd8\xff"
SCAN, END = 0xDA, b"\xff\xd9"


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


def _has_end(data: bytes) -> bool:
    """Whether the scan of a JPEG is ended by its marker. An embedded thumbnail's does not count."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == SCAN:
            return data.find(END, at) >= 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
