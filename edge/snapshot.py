"""`edge snapshot`: one picture of a camera, as a file."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

from edge.config import find_camera, load_planogram, load_site
from edge.errors import CameraError, ConfigError, UsageError
from edge.grabber import PATIENCE
from edge.overlay import write_picture
from edge.site import CameraConfig, Site
from edge.types import CameraReason, Image


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


def take_picture(camera: CameraConfig, timeout_s: float = PATIENCE.hang_s) -> Image:
    """Take one picture. One that hangs is left to itself. Raises CameraError."""
    taken: SimpleQueue[Image | Exception] = SimpleQueue()

    def take() -> None:
        try:
            with contextlib.closing(camera.opener(camera.url, camera.every_s)) as opened:
                taken.put(opened.read())
        except Exception as error:  # raised below, in the thread that asked
            taken.put(error)

    threading.Thread(target=take, name=f"{camera.id} picture", daemon=True).start()
    try:
        found = taken.get(timeout=timeout_s)
    except Empty:
        message = f"no whole picture within {timeout_s:.0f} s"
        raise CameraError(message, CameraReason.NO_FRAMES) from None
    if isinstance(found, Exception):
        raise found
    return found
