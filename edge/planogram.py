"""planogram.yaml: which camera sees which slot where."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo

from edge.payloads import Name
from edge.section import ExistingFile, Section
from edge.types import Quad, Slot

ORDER = "top left, top right, bottom right, bottom left"
MIN_AREA = 1e-5  # of the picture: about 2 x 2 pixels at 640 x 480


def quad_problem(quad: Quad) -> str | None:
    """Return what is wrong with a quad, or None: a convex, unmirrored part of the picture."""
    if len(quad) != 4:
        return f"needs 4 points ({ORDER}), has {len(quad)}"
    for number, (x, y) in enumerate(quad, start=1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            pixels = "; divide pixels by the picture's width and height" if max(x, y) > 2 else ""
            return f"point {number} ({x:g}, {y:g}) is outside the picture (0 to 1){pixels}"
    turns = [_turn(quad[i], quad[(i + 1) % 4], quad[(i + 2) % 4]) for i in range(4)]
    if _cross(quad[0], quad[1], quad[2], quad[3]) or _cross(quad[1], quad[2], quad[3], quad[0]):
        return f"is twisted: two of its edges cross; the order is {ORDER}"
    area = (_turn(*quad[:3]) + _turn(quad[0], *quad[2:])) / 2
    if abs(area) < MIN_AREA:
        return "has no area"
    if area < 0:
        return f"is mirrored: its points run anticlockwise; the order is {ORDER}"
    if min(turns) <= 0:
        return "is not convex: a corner points inwards or lies on the line between its neighbours"
    return None


Point = tuple[float, float]


def _turn(a: Point, b: Point, c: Point) -> float:
    """Return twice the area of a, b, c: above 0 where they turn clockwise on the picture."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Say whether the lines a-b and c-d cross between their ends."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _judged(quad: Quad) -> Quad:
    problem = quad_problem(quad)
    if problem:
        raise ValueError(problem)
    return quad


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) in pixels of a JPEG or PNG file. Raises ValueError if it is none."""
    data = np.fromfile(path, dtype=np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    except cv2.error:  # more pixels than OpenCV's own limit
        picture = None
    if picture is None:
        raise ValueError("is no picture that can be read")
    return picture.shape[1], picture.shape[0]


def _picture(path: Path, info: ValidationInfo) -> Path:
    picture_size(path)
    return path


Fraction = Annotated[float, Field(json_schema_extra={"minimum": 0, "maximum": 1})]
Corners = Annotated[
    tuple[tuple[Fraction, Fraction], ...],
    Field(json_schema_extra={"minItems": 4, "maxItems": 4}),
    AfterValidator(_judged),
]
"""A quad as it is written in a file."""


def _one_line(text: str) -> str:
    """Join the lines of a YAML block; refuse what a terminal obeys or a database cuts off."""
    joined = re.sub(r"[\t\n\r]+", " ", text.strip("\t\n\r"))
    if re.search(r"[\x00-\x1f\x7f-\x9f]", joined):
        raise ValueError("holds control characters; write it anew without them")
    if not joined:
        raise ValueError("must not be empty")
    return joined


Line = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
"""A line of text for people."""


class SlotEntry(Section):
    id: Name
    """Unique in the node; a word of an MQTT topic."""
    name: Line
    """What people call it."""
    sku: Line | None = None
    """Product identity in the shop's system; several slots may share it (facings)."""
    quad: Corners
    """Top left, top right, bottom right, bottom left of the facing, as fractions of the picture."""
    priority: int | None = Field(default=None, ge=1)
    """1 first."""


class CameraSlots(Section):
    reference: Annotated[ExistingFile, AfterValidator(_picture)] | None = None
    """The picture that the slots were drawn on, relative to this file."""
    slots: tuple[SlotEntry, ...] = ()


class Planogram(Section):
    """Which camera sees which slot where."""

    version: Literal[1]
    cameras: dict[Name, CameraSlots] = Field(json_schema_extra={"additionalProperties": False})

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slots of the node, in the file's order."""
        return tuple(slot for camera in self.cameras for slot in self.slots_of(camera))

    def slots_of(self, camera_id: str) -> tuple[Slot, ...]:
        """Return the camera's slots; none where the planogram does not name the camera."""
        if camera_id not in self.cameras:
            return ()
        return tuple(
            Slot(entry.id, camera_id, entry.quad, entry.name, entry.sku, entry.priority)
            for entry in self.cameras[camera_id].slots
        )

    def reference_size(self, camera_id: str) -> tuple[int, int] | None:
        """Return (width, height) of the picture the slots were drawn on, None where unknown."""
        return self._reference_sizes.get(camera_id)

    @cached_property
    def _reference_sizes(self) -> dict[str, tuple[int, int]]:
        """Read once, and soon after the file: pages ask again and again, pictures get removed."""
        references = {name: camera.reference for name, camera in self.cameras.items()}
        return {name: picture_size(path) for name, path in references.items() if path}
