"""`edge calibrate CAMERA --grid`: a whole bay drawn by a script, without a page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.drawing.planogram_file import read_planogram_file, save_slots, versions
from edge.drawing.subject import is_picture, planogram_path, site_of_camera, site_of_picture
from edge.drawing.viewfinder import OwnCameras
from edge.errors import CameraError, UnavailableError, UsageError
from edge.geometry import divide
from edge.planogram import quad_problem
from edge.statefile import is_held
from edge.types import Image, Quad, Slot

MOST = 2000  # slots of one bay
EXAMPLE = "--grid 4x9 --quad '[[0.1,0.1],[0.9,0.1],[0.9,0.9],[0.1,0.9]]'"


@dataclass(frozen=True, slots=True)
class Grid:
    """A bay: rows × columns slots of one size in its own perspective.

    gap is what lies between two rows, such as a price rail, as a share of the bay's height.
    """

    rows: int
    columns: int
    quad: Quad
    gap: float = 0.0

    def quads(self) -> tuple[tuple[Quad, ...], ...]:
        """Return the slots' quads, row by row."""
        high = (1 - (self.rows - 1) * self.gap) / self.rows
        tops = [row * (high + self.gap) for row in range(self.rows)]
        us = np.linspace(0, 1, self.columns + 1).tolist()
        return divide(self.quad, us, [(top, min(top + high, 1.0)) for top in tops])


def read_grid(size: str, corners: str, gap: float) -> Grid:
    """Return the grid that the command line says, as in EXAMPLE. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,4})[xX×](\d{1,4})", size)
    if found is None:
        raise UsageError(f"--grid {size}: write rows x columns, such as 4x9")
    rows, columns = int(found[1]), int(found[2])
    if not 1 <= rows * columns <= MOST:
        raise UsageError(f"--grid {size}: a bay has 1 to {MOST} slots")
    if not (rows - 1) * gap < 1:
        raise UsageError(f"--gap {gap:g}: leaves no room for {rows} rows; it is a share of the bay")
    quad = _read_quad(corners)
    problem = quad_problem(quad)
    if problem:
        raise UsageError(f"--quad: {problem}")
    return Grid(rows, columns, quad, gap)


def _read_quad(corners: str) -> Quad:
    try:
        return tuple((float(x), float(y)) for x, y in json.loads(corners))
    except (ValueError, TypeError):
        raise UsageError(f"--quad: write four corners as JSON, as in {EXAMPLE}") from None


def draw_grid(
    subject: str, grid: Grid, site_path: Path, output: Path | None = None, add: bool = False
) -> str:
    """Make the grid's slots those of the camera and return what was done, for people.

    Slots whose id stays keep name, SKU and priority.

    Args:
        subject: a camera's id, or the path of a picture, for which no site.yaml is needed.
        output: where the planogram of a picture is written; else beside it.
        add: keep the camera's slots and number the rows on from theirs.

    Raises UsageError for what is neither, CameraError without a picture, ConfigError,
    UnavailableError where something moves in the picture or nothing can be written.
    """
    if is_picture(subject):
        site = site_of_picture(Path(subject), output)
        camera_id = site.cameras[0].id
    else:
        site, camera_id = site_of_camera(site_path, subject, output), subject
    path = planogram_path(site, site_path)
    planogram, digest = read_planogram_file(path)
    before = planogram.slots_of(camera_id) if planogram else ()
    slots = grid_slots(camera_id, grid, before, add)
    save_slots(path, camera_id, slots, _picture(OwnCameras(site.cameras), camera_id), digest)
    done = f"{path}: {len(slots)} slots of {camera_id}, {slots[0].slot_id} to {slots[-1].slot_id}"
    if before:
        done += f"; before: {len(before)}, kept as {path.name}.~{versions(path)[0].version_id}~"
    if is_held(site.state):
        done += "\nthe daemon takes them with `systemctl reload shelf-edge`, or a SIGHUP"
    return done


def grid_slots(camera_id: str, grid: Grid, before: Sequence[Slot], add: bool) -> tuple[Slot, ...]:
    """Return the camera's slots: camera-1-01 from the top left, behind those of before if added."""
    form = re.compile(re.escape(camera_id) + r"-(\d+)-\d+")
    rows = [int(match[1]) for slot in before if (match := form.fullmatch(slot.slot_id))]
    first = 1 + max(rows, default=0) if add else 1
    known = {slot.slot_id: slot for slot in before}
    drawn = []
    for row, quads in enumerate(grid.quads(), start=first):
        for column, quad in enumerate(quads, start=1):
            slot_id = f"{camera_id}-{row}-{column:02}"
            old = known.get(
                slot_id, Slot(slot_id, camera_id, quad, f"{camera_id} {row}-{column:02}")
            )
            drawn.append(Slot(slot_id, camera_id, quad, old.name, old.sku, old.priority))
    return (*before, *drawn) if add else tuple(drawn)


def _picture(cameras: OwnCameras, camera_id: str) -> Image:
    """Return a picture in which nothing moves. Raises CameraError or UnavailableError."""
    try:
        capture = cameras.take(camera_id)
    except CameraError as error:
        way_out = f"or draw on a picture of it: edge calibrate {camera_id}.jpg -o PLANOGRAM"
        raise CameraError(f"camera {camera_id}: {error}; {way_out}", error.reason) from None
    finally:
        cameras.close()
    if capture.moving:
        raise UnavailableError(
            f"camera {camera_id}: something moves in its picture; try again when nobody is there"
        )
    return capture.frame.image
