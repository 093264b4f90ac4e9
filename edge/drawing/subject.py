"""What somebody draws on: a camera of site.yaml, or a picture file that stands for one."""

from __future__ import annotations

import glob
from pathlib import Path

from edge.config import find_camera, load_site
from edge.errors import ConfigError, UsageError
from edge.picture import read_picture
from edge.section import made_name
from edge.site import Site

PLANOGRAM = "planogram.yaml"
NAMES_NO_PLANOGRAM = f"names no planogram; add the line `planogram: {PLANOGRAM}`"


def is_picture(subject: str) -> bool:
    """Whether this names a file and no camera: an id has no dot and no slash."""
    return "." in subject or "/" in subject


def site_of_picture(picture: Path, planogram: Path | None) -> Site:
    """Return a site whose only camera shows this picture, and is called as its file.

    Where nothing else is said its planogram is a file of its own beside the picture: the shop's
    own would be refused with a camera that site.yaml lacks. Raises CameraError for what is no
    picture.
    """
    read_picture(picture)
    camera_id = made_name(picture.stem) or "picture"
    url = f"folder:{glob.escape(str(picture.absolute()))}"
    return Site.model_validate(
        {
            "version": 1,
            "node": camera_id,
            "cameras": ({"id": camera_id, "url": url},),
            "planogram": str((planogram or picture.with_suffix(f".{PLANOGRAM}")).absolute()),
        }
    )


def site_of_camera(site_path: Path, camera_id: str | None, planogram: Path | None) -> Site:
    """Return the site that has the camera. Raises UsageError or ConfigError where it has not."""
    if planogram is not None:
        raise UsageError("-o is for a picture; a site's planogram is the one that it names")
    site = load_site(site_path)
    if camera_id is not None:
        find_camera(site, camera_id, site_path)
    return site


def planogram_path(site: Site, site_path: Path) -> Path:
    """Return where the site's slots are written. Raises ConfigError where it does not say."""
    if site.planogram is None:
        raise ConfigError([f"{site_path} {NAMES_NO_PLANOGRAM}"])
    return site.planogram
