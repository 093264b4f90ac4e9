"""The calibration bench: take a picture, draw slots on it, see how they score, save them.

What the page does and what it needs for that, without a word of HTTP. Everything here may take
its time and is called from the page's worker threads, never from the daemon's main loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import cv2

from edge.decide import Rule
from edge.drawing.align import Alignment, align
from edge.drawing.jury import Jury
from edge.drawing.planogram_file import (
    Version,
    read_planogram_file,
    read_version,
    save_slots,
    versions,
    why_not_writable,
)
from edge.drawing.stills import Still, StillGoneError, Stills
from edge.drawing.subject import NAMES_NO_PLANOGRAM
from edge.drawing.suggest import Rows, Suggestion, suggest_boundaries, suggest_rows
from edge.drawing.viewfinder import Capture, Viewfinder
from edge.errors import ConfigError, EdgeError
from edge.geometry import cut, divide
from edge.picture import encode_jpeg, read_picture
from edge.plan import brought_slots, merge_rule
from edge.planogram import Planogram, quad_problem
from edge.preprocess import resize
from edge.site import Decision, Site
from edge.types import Frame, Image, Quad, Slot

CROP_QUALITY = 92


class NoCameraError(EdgeError):
    """There is no such camera in the configuration."""


class NoVersionError(EdgeError):
    """There is no such earlier planogram."""


class NotWritableError(EdgeError):
    """The planogram cannot be saved, whatever it holds."""


class MovingError(EdgeError):
    """Something moved in the picture: it shows a person where products belong."""


@dataclass(frozen=True)
class Setup:
    """What there is to calibrate by the configuration as it is now."""

    cameras: tuple[str, ...]
    """Their ids."""
    planogram: Path | None
    """The file that is written; None where the configuration names none."""
    bundle: Path | None
    """The model; None is the one that ships."""
    brought: Callable[[str], Sequence[Slot]] = lambda camera_id: ()
    """The slots a camera has where the planogram does not name it: those of a rendered store."""
    blackout: Mapping[str, Sequence[Quad]] = field(default_factory=dict)
    """By camera, what of its pictures is black."""
    decision: Decision = field(default_factory=Decision)
    """What the configuration says of how scores are judged; the rest is the model's."""

    @classmethod
    def of(cls, site: Site) -> Setup:
        cameras = {camera.id: camera for camera in site.cameras}
        return cls(
            cameras=tuple(cameras),
            planogram=site.planogram,
            bundle=site.bundle,
            brought=lambda camera_id: brought_slots(cameras[camera_id]),
            blackout={camera.id: camera.blackout for camera in site.cameras},
            decision=site.decision,
        )


@dataclass(frozen=True)
class Drawn:
    """A camera's slots in the planogram, and what else the page needs to go on drawing them."""

    digest: str
    slots: Sequence[Slot]
    other_ids: Sequence[str]
    """Ids that other cameras' slots have: ids are unique in the node."""
    reference: Path | None
    versions: Sequence[Version]
    blackout: Sequence[Quad]


@dataclass(frozen=True)
class Reloaded:
    """What became of a saved planogram in the running daemon."""

    done: bool
    message: str


NO_DAEMON = Reloaded(False, "saved; no daemon runs that would watch these slots")


@dataclass(frozen=True)
class SlotScore:
    """One slot as the model sees it, or why it cannot be one."""

    key: str
    problem: str | None = None
    p_empty: float = 0.0
    crop: bytes = b""
    """JPEG of the pixels that the model gets: squeezed into its square."""
    size: tuple[int, int] = (0, 0)
    """(width, height) of the slot in the picture's pixels: the shape to show the crop in."""
    sharpness: float = 0.0
    """Laplacian variance of what the model gets: crops of different sizes are to be compared."""


class CalibrationBench:
    """One for the life of the process; the configuration under it may change."""

    def __init__(
        self,
        setup: Callable[[], Setup],
        viewfinder: Viewfinder,
        reload: Callable[[], Reloaded] | None = None,
    ):
        """reload has the daemon take up what was saved; None: the bench stands alone."""
        self._setup, self._viewfinder, self._reload = setup, viewfinder, reload
        self.is_alone = reload is None
        self._stills = Stills()
        self._jury = Jury()

    @property
    def setup(self) -> Setup:
        return self._setup()

    def slot_counts(self) -> dict[str, int]:
        """Return how many slots each camera has."""
        planogram, _ = self._read()
        return {camera: len(self._slots(planogram, camera)) for camera in self.setup.cameras}

    def why_not_writable(self) -> str | None:
        path = self.setup.planogram
        return f"site.yaml {NAMES_NO_PLANOGRAM}" if path is None else why_not_writable(path)

    def take(self, camera_id: str) -> Still:
        """Take a picture and keep it. Raises NoCameraError or CameraError."""
        return self._stills.keep(self._viewfinder.take(self._known(camera_id)))

    def take_reference(self, camera_id: str) -> Still:
        """Keep the picture that the camera's slots were drawn on, to change them without it.

        Raises NoCameraError, StillGoneError where there is none.
        """
        path = self.reference(camera_id)
        image = read_picture(path)
        drawn_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        frame = Frame(camera_id, image, drawn_at, time.monotonic())
        return self._stills.keep(Capture(frame, moving=False))

    def still(self, token: str, camera_id: str | None = None) -> Still:
        """Return a kept picture, of that camera if one is named. Raises StillGoneError."""
        return self._stills.find(token, camera_id)

    def reference(self, camera_id: str) -> Path:
        """Return the file of the picture that the camera's slots were drawn on."""
        path = self.drawn(camera_id).reference
        if path is None:
            raise StillGoneError("the planogram has no picture of this camera")
        return path

    def drawn(self, camera_id: str, version: str | None = None) -> Drawn:
        """Return what the planogram, or an earlier version of it, holds of the camera.

        Raises NoCameraError, NoVersionError, or ConfigError for a file that is damaged.
        """
        self._known(camera_id)
        path = self.setup.planogram
        planogram, digest = self._read()
        kept = versions(path) if path else ()
        if path is not None and version is not None:
            if version not in {one.version_id for one in kept}:
                raise NoVersionError("there is no such earlier planogram")
            planogram = read_version(path, version)
        others = {} if planogram is None else planogram.cameras
        entry = others.get(camera_id)
        return Drawn(
            digest=digest,
            slots=self._slots(planogram, camera_id),
            other_ids=[
                slot.id for camera in others if camera != camera_id for slot in others[camera].slots
            ],
            reference=entry.reference if entry else None,
            versions=kept,
            blackout=self.setup.blackout.get(camera_id, ()),
        )

    def suggest(
        self, still: Still, bay: Quad, rows: int | None, columns: Sequence[int | None]
    ) -> tuple[Rows, list[Suggestion]]:
        """Return where the bay's rows and, in each, the facings' boundaries are on the picture.

        rows: how many, None finds that out. columns: of each row, the last for all further ones.

        Raises ConfigError for a bay that cannot be one.
        """
        problem = quad_problem(bay)
        if problem:
            raise ConfigError([f"the shelf {problem}"])
        found = suggest_rows(still.image, bay, rows)
        quads = [divide(bay, (0.0, 1.0), [row])[0][0] for row in found.rows]
        counts = [columns[min(number, len(columns) - 1)] for number in range(len(quads))]
        return found, [
            suggest_boundaries(still.image, quad, count)
            for quad, count in zip(quads, counts, strict=True)
        ]

    def align(self, camera_id: str, still: Still) -> Alignment:
        """Return how the camera moved since the slots were drawn.

        Raises AlignmentError where that cannot be told, StillGoneError without a reference.
        """
        return align(read_picture(self.reference(camera_id)), still.image)

    def save(
        self, camera_id: str, slots: Sequence[Slot], still: Still, digest: str
    ) -> tuple[str, Reloaded]:
        """Write the camera's slots and the picture they were drawn on; have the daemon reload.

        Returns the file's new digest and what became of it in the daemon. Raises NoCameraError,
        NotWritableError, MovingError, ChangedError where the file's digest is another by now,
        ConfigError with every problem of the slots, UnavailableError where writing fails.
        """
        self._known(camera_id)
        path = self.setup.planogram
        if path is None:
            raise NotWritableError(f"site.yaml {NAMES_NO_PLANOGRAM}")
        if still.moving:
            raise MovingError("something moved in the picture; take one of the shelf alone")
        digest = save_slots(path, camera_id, slots, still.image, digest)
        return digest, self._reload() if self._reload else NO_DAEMON

    def score(self, still: Still, quads: Sequence[tuple[str, Quad]]) -> list[SlotScore]:
        """Return what the model says of each (key, quad) on the picture, in their order."""
        side = self._jury.info(self.setup.bundle).input_size
        crops = [None if quad_problem(quad) else cut(still.image, quad) for _, quad in quads]
        found = self._jury.p_empty(self.setup.bundle, [crop for crop in crops if crop is not None])
        p_empty = iter(found)
        return [
            SlotScore(key, quad_problem(quad))
            if crop is None
            else _scored(still, key, crop, side, next(p_empty))
            for (key, quad), crop in zip(quads, crops, strict=True)
        ]

    def rule(self) -> Rule:
        """Return the rule by which the daemon judges such scores.

        Raises ModelError, ConfigError where the configuration and the model contradict each other.
        """
        setup = self.setup
        return merge_rule(setup.decision, self._jury.info(setup.bundle).thresholds)

    def median_sharpness(self, still: Still) -> float | None:
        """Return the median of all slots that were scored on the picture so far."""
        known = list(still.sharpness.values())
        return median(known) if known else None

    def close(self) -> None:
        self._viewfinder.close()

    def _known(self, camera_id: str) -> str:
        known = self.setup.cameras
        if camera_id not in known:
            raise NoCameraError(f"there is no such camera; there are: {', '.join(known)}")
        return camera_id

    def _read(self) -> tuple[Planogram | None, str]:
        path = self.setup.planogram
        return read_planogram_file(path) if path else (None, "")

    def _slots(self, planogram: Planogram | None, camera_id: str) -> Sequence[Slot]:
        if planogram is not None and camera_id in planogram.cameras:
            return planogram.slots_of(camera_id)
        return self.setup.brought(camera_id)


def _scored(still: Still, key: str, crop: Image, side: int, p_empty: float) -> SlotScore:
    seen = resize(crop, side)
    grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    still.sharpness[key] = sharpness
    jpeg = encode_jpeg(seen, CROP_QUALITY, full_colour=True)
    return SlotScore(key, None, p_empty, jpeg, (crop.shape[1], crop.shape[0]), sharpness)
