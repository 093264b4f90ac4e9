"""What a replay plays: rendered, from files, or what a camera shows from now on."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.cameras import KINDS, Kind, open_camera, path_of, scheme_of
from edge.config import load_planogram
from edge.errors import CameraError, SourceEndedError, UsageError
from edge.picture import ENDINGS
from edge.site import Site
from edge.truth import Truth, read_truth
from edge.types import Image, Moment, Quad, Slot

VIDEO_EVERY_S = 5.0

Timed = Iterable[tuple[float, Image]]


class BrokenOffError(CameraError):
    """A live camera failed; what it has shown until then counts."""


@dataclass(frozen=True)
class ReplayRequest:
    """What `edge replay` was asked for; None: not said."""

    source: str
    planogram: Path | None = None
    config: Path | None = None
    camera: str | None = None
    truth: Path | None = None
    every_s: float | None = None
    confirm_s: float | None = None
    tolerance_s: float | None = None
    until_s: float | None = None


@dataclass(frozen=True)
class Recording:
    """What is played: pictures with their times, the slots on them and, if known, the truth."""

    frames: Timed
    slots: tuple[Slot, ...]
    every_s: float
    is_pictures: bool
    truth: Truth | None
    reference_size: tuple[int, int] | None = None
    """Of the picture that the slots were drawn on, width and height; None: not known."""
    blackout: Sequence[Quad] = ()


def open_recording(request: ReplayRequest, site: Site | None) -> Recording:
    """Find out what is to be played. Raises UsageError, ConfigError or CameraError.

    site: a video is looked at as often as it says of the camera, where the request says nothing.
    """
    kind = _kind(request.source)
    if kind is not None and kind.is_rendered:
        camera = request.camera or "demo"
        step_s = request.every_s or _every_s(site, camera)
        return _rendered(request.source, camera, step_s)
    if request.planogram is None:
        raise UsageError("a recording needs --planogram FILE: where the slots are on its pictures")
    planogram = load_planogram(request.planogram)
    truth = read_truth(request.truth) if request.truth else None
    camera = request.camera or (truth.camera if truth else None) or _only(list(planogram.cameras))
    slots = planogram.slots_of(camera)
    if not slots:
        known = ", ".join(planogram.cameras) or "none"
        raise UsageError(f"{request.planogram}: no slots of camera {camera!r}; it has: {known}")
    is_pictures = _is_pictures(request.source)
    usual_s = 1.0 if is_pictures else _every_s(site, camera)
    step_s = request.every_s or usual_s
    frames, size = _frames(request.source, step_s), planogram.reference_size(camera)
    return Recording(frames, slots, step_s, is_pictures, truth, size)


def _rendered(source: str, camera_id: str, every_s: float) -> Recording:
    from edge.cameras.demo import demo_recording

    frames, slots, truth = demo_recording(source, camera_id, every_s)
    return Recording(frames, slots, every_s, False, Truth.model_validate(truth))


def _kind(source: str) -> Kind | None:
    """Return the kind of camera of a URL, None for a path."""
    return KINDS.get(scheme_of(source))


def _is_pictures(source: str) -> bool:
    kind = _kind(source)
    if kind is not None:
        return kind.is_stills
    path = Path(source)
    if path.is_file():
        return path.suffix.lower() in ENDINGS
    return path.is_dir() or glob.has_magic(source)


def _frames(source: str, every_s: float) -> Timed:
    """Return the pictures of a path, a glob or a camera URL, with their times in seconds."""
    from edge.cameras import file, folder

    kind = _kind(source)
    if kind is not None and not kind.is_recording:
        return _live(source, every_s)
    path = Path(source) if kind is None else path_of(source)
    if _is_pictures(source):
        return folder.frames(source if kind is None else str(path), every_s)
    return file.frames(path, every_s)


def _live(url: str, every_s: float) -> Iterator[tuple[float, Image]]:
    """Yield what a camera shows from now on, until it ends or fails."""
    begun_s = Moment.now().clock_s
    camera = open_camera(url, every_s)
    try:
        while True:
            try:
                image = camera.read()
            except SourceEndedError:
                return
            except CameraError as error:
                raise BrokenOffError(str(error), error.reason) from None
            yield Moment.now().clock_s - begun_s, image
    finally:
        camera.close()


def _every_s(site: Site | None, camera_id: str) -> float:
    """Return how often a video is looked at: as site.yaml looks through that camera."""
    camera = site.camera(camera_id) if site else None
    return camera.every_s if camera else VIDEO_EVERY_S


def _only(cameras: Sequence[str]) -> str:
    if len(cameras) != 1:
        raise UsageError(f"which camera? --camera ID, one of: {', '.join(cameras) or 'none'}")
    return cameras[0]
