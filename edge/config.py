"""The door to the operator's files: all that is wrong with both of them, at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError, UsageError
from edge.pin import read_pin
from edge.planogram import Planogram
from edge.section import filled, nearest, validate
from edge.site import RESERVED, CameraConfig, Site
from edge.yamlfile import Data, Keys, Problem, YamlFile, read_yaml

NO_SITE = "write one (README: your own camera), or try `edge demo`, which needs none"
DRAW_ONE = "draw one with `edge calibrate`"


@dataclass(frozen=True, slots=True)
class Config:
    """Both files of a node. Without a planogram there are no slots but those of demo: cameras."""

    site: Site
    planogram: Planogram


def load(site_path: Path) -> Config:
    """Return site.yaml and the planogram that it names.

    Raises ConfigError with every problem of both files.
    """
    site_file, site = _read_site(site_path)
    if site is not None:
        site_file.problems += _open_doors(site_file, site)
    planogram_file = _planogram_of(site_file)
    if planogram_file is None:
        planogram: Planogram | None = Planogram(version=1, cameras={})
        problems = site_file.problems
    else:
        planogram = _valid_planogram(planogram_file)
        problems = [
            *site_file.problems,
            *planogram_file.problems,
            *_foreign_cameras(site_file, planogram_file),
        ]
    if site is None or planogram is None or problems:
        raise _error(problems)
    return Config(site, planogram)


def load_site(path: Path) -> Site:
    """Return site.yaml alone. Raises ConfigError with every problem of it."""
    file, site = _read_site(path)
    if site is None:
        raise _error(file.problems)
    return site


def find_camera(site: Site, camera_id: str, site_path: Path) -> CameraConfig:
    """Return the camera that somebody asked for. Raises UsageError, which names those there are."""
    camera = site.camera(camera_id)
    if camera is None:
        known = ", ".join(camera.id for camera in site.cameras)
        raise UsageError(f"{site_path} has no camera {camera_id!r}; it has: {known}")
    return camera


def load_planogram(path: Path) -> Planogram:
    """Return a planogram alone. Raises ConfigError with every problem of it."""
    return check_planogram(read_yaml(path, DRAW_ONE))


def check_planogram(file: YamlFile) -> Planogram:
    """Return the file as a planogram. Raises ConfigError with every problem of it."""
    planogram = _valid_planogram(file)
    if planogram is None:
        raise _error(file.problems)
    return planogram


def _read_site(path: Path) -> tuple[YamlFile, Site | None]:
    file = read_yaml(path, NO_SITE)
    if file.data is not None:
        for key in RESERVED:
            if key in file.data:
                del file.data[key]
                message = "is reserved for a later version of shelf-edge; remove it"
                file.problems.append(file.problem((key,), message))
        file.problems += _given_twice(file, _ids(file.data.get("cameras"), ("cameras",)))
    return file, validate(file, Site)


def _open_doors(file: YamlFile, site: Site) -> Iterator[Problem]:
    """Yield a problem where the pages would stand open to strangers.

    Not a rule of the site's own: `edge pin` has to read one that still lacks its PIN.
    """
    # By hand `edge pin` would look in another state folder than the service has.
    in_service = "STATE_DIRECTORY" in os.environ
    way_out = f"set one with `{'shelf pin' if in_service else f'edge pin -c {file.path}'}`"
    way_out += " (deploy/README.md)" if in_service else ""
    try:
        mark = read_pin(site.pin_file)
    except OSError as error:  # no way out: there may be a good PIN, which another one would replace
        message = f"{site.pin_file} cannot be read: {error.strerror}"
        yield file.problem(("web", "pin_file"), message)
        return
    except ValueError as error:
        yield file.problem(("web", "pin_file"), f"{site.pin_file} {error}; {way_out}")
        return
    if mark is None and not site.web.is_local:
        message = f"is reachable from outside, which needs a PIN: {way_out}"
        yield file.problem(("web", "listen"), message)
    elif mark is None and site.web.pin_file is not None:
        yield file.problem(("web", "pin_file"), f"there is no PIN yet: {way_out}")


def _planogram_of(site_file: YamlFile) -> YamlFile | None:
    """Return the planogram that site.yaml names, also where site.yaml has problems."""
    name = (site_file.data or {}).get("planogram")
    if not isinstance(name, str):
        return None
    try:
        path = site_file.path.parent / filled(Path(name))
    except ValueError:  # which the site's own problems say
        return None
    if not os.path.exists(path):  # unlike Path.exists, also False for an impossible name
        message = f"there is no such file; {DRAW_ONE}"
        site_file.problems.append(site_file.problem(("planogram",), message))
        return None
    return read_yaml(path, DRAW_ONE)


def _valid_planogram(file: YamlFile) -> Planogram | None:
    file.problems += _given_twice(file, slot_ids(file))
    return validate(file, Planogram)


def slot_ids(file: YamlFile) -> list[tuple[Keys, str]]:
    """Return the ids of all slots of a planogram that may be wrong, each with its way."""
    return [
        found
        for camera, section in _mapping((file.data or {}).get("cameras")).items()
        for found in _ids(_mapping(section).get("slots"), ("cameras", camera, "slots"))
    ]


def _given_twice(file: YamlFile, ids: Sequence[tuple[Keys, str]]) -> Iterator[Problem]:
    """Yield a problem for each id that stands in the file before."""
    first: dict[str, Keys] = {}
    for keys, given in ids:
        if given in first:
            line = file.line(first[given])
            yield file.problem(keys, f"the same id stands on line {line}; ids are unique")
        else:
            first[given] = keys


def _foreign_cameras(site_file: YamlFile, planogram_file: YamlFile) -> Iterator[Problem]:
    """Yield a problem for each camera of the planogram that site.yaml lacks."""
    known = {given for _, given in _ids((site_file.data or {}).get("cameras"), ("cameras",))}
    for camera in _mapping((planogram_file.data or {}).get("cameras")):
        if known and camera not in known:
            message = f"{site_file.path} has no such camera; {nearest(camera, known)}"
            yield planogram_file.problem(("cameras", camera), message)


# What follows reads data that may be of any shape: both files are compared though one is wrong.


def _ids(entries: Data, keys: Keys) -> list[tuple[Keys, str]]:
    """Return the ids in a list of mappings, each with its way."""
    ids = []
    for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
        given = _mapping(entry).get("id")
        if isinstance(given, str):
            ids.append(((*keys, index, "id"), given))
    return ids


def _mapping(data: Data) -> dict[str, Data]:
    return data if isinstance(data, dict) else {}


def _error(problems: list[Problem]) -> ConfigError:
    paths = list(dict.fromkeys(problem.path for problem in problems))
    order = sorted(problems, key=lambda problem: (paths.index(problem.path), problem.line or 0))
    return ConfigError([str(problem) for problem in order])
