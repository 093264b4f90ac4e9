"""Small pictures in the page itself, where showing them is allowed."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from edge.errors import UnavailableError
from trainer.picture import Picture
from trainer.report.svg import escape

SIDE = 96
NO_PICTURES = "NO_PICTURES"
"""A file of this name in a folder says that nothing in it may be shown."""


def may_show(picture: Picture) -> bool:
    """Return whether the picture is still there, and no folder that it lies in, also by a link,
    forbids to show it."""
    file = picture.file.absolute()
    folders = {*file.parents, *file.resolve().parents}
    return file.is_file() and not any((folder / NO_PICTURES).exists() for folder in folders)


def thumbnail(picture: Picture, alt: str) -> str:
    """Return the picture as HTML, at most SIDE pixels wide and high; where its file is no picture,
    or its box holds nothing, what says so in its place."""
    try:
        pixels = picture.read()
    except UnavailableError:
        return placeholder("cannot be read")
    if not pixels.size:
        return placeholder("cannot be read")
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(scale * side)) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    code = base64.b64encode(np.asarray(jpeg).tobytes()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{code}">'


def placeholder(why: str) -> str:
    """Return what stands where a picture would."""
    return f'<span class="gone">{escape(why)}</span>'
