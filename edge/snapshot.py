"""`edge snapshot`: one picture of a camera, as a file."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge.config import find_camera, load_planogram, load_site
from edge.errors import CameraError, ConfigError, UsageError
from edge.overlay import write_picture
from edge.site import CameraConfig, Site
from edge.types import Image


def take_snapshot(site_path: Path, camera_id: str, output: Path) -> Path:
    """Write one picture of a camera as JPEG or PNG and return its path.

    Raises UsageError for an unknown camera or file type, and for a picture that slots were drawn
    on: nobody could tell any more whether their camera was moved. CameraError when none comes.
    """
    site = load_site(site_path)
    camera = find_camera(site, camera_id, site_path)
    for known_id, drawn_on in _references(site).items():
        if output.resolve() == drawn_on.resolve():
            raise UsageError(
                f"{output} is the picture that the slots of {known_id} were drawn on; choose "
                "another name with -o"
            )
    try:
        image = take_picture(camera)
    except CameraError as error:
        raise CameraError(f"camera {camera_id}: {error}", error.reason) from None
    return write_picture(output, image)


def _references(site: Site) -> dict[str, Path]:
    """Return the picture that each camera's slots were drawn on, where the planogram names one."""
    try:
        known = load_planogram(site.planogram).cameras if site.planogram else {}
    except ConfigError:
        return {}  # `edge check` tells what is wrong with it
    return {camera_id: own.reference for camera_id, own in known.items() if own.reference}


def take_picture(camera: CameraConfig) -> Image:
    """Take one picture. Raises CameraError."""
    with contextlib.closing(camera.opener(camera.url, camera.every_s)) as opened:
        return opened.read()
