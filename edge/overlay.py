"""A picture with its slots coloured by what is stated of them, for people to look at.

Blue instead of green for "fine": it stays apart from red for colour-blind eyes. What cannot be
seen keeps its colour under hatching.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UnavailableError, UsageError
from edge.geometry import to_pixels
from edge.picture import encode
from edge.types import Image, Slot, SlotState, State, Visibility

COLOURS: dict[State, tuple[int, int, int]] = {  # BGR
    State.EMPTY: (30, 38, 179),
    State.MISPLACED: (50, 182, 242),
    State.STOCKED: (173, 92, 11),
    State.UNKNOWN: (104, 99, 95),
}
TINT = {State.EMPTY: 0.45, State.STOCKED: 0.12}
HATCH_PX = 14


def draw_slots(image: Image, slots: Iterable[Slot], states: Mapping[str, SlotState]) -> Image:
    """Return a copy of the picture with every slot framed, tinted and labelled."""
    drawn = image.copy()
    height, width = image.shape[:2]
    line = max(2, width // 500)
    for slot in slots:
        state = states.get(slot.slot_id, SlotState(slot.slot_id))
        corners = np.rint(to_pixels(slot.quad, width, height)).astype(np.int32)
        colour = COLOURS[state.state]
        _tint(drawn, corners, colour, TINT.get(state.state, 0.3))
        if state.visibility is not Visibility.CLEAR:
            _hatch(drawn, corners, colour, line)
        cv2.polylines(drawn, [corners], True, colour, line, cv2.LINE_AA)
        _label(drawn, corners, _says(state), colour, width / 1600)
    return drawn


def write_picture(path: Path, image: Image) -> Path:
    """Write a JPEG or PNG, by the path's ending. Raises UsageError or UnavailableError."""
    try:
        data = encode(image, path.suffix or ".jpg")
    except ValueError:
        raise UsageError(f"{path}: write the picture as .jpg or .png") from None
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def _says(state: SlotState) -> str:
    if state.visibility is Visibility.BLOCKED:
        return f"{state.state}, blocked"
    return state.state if state.score is None else f"{state.state} {state.score:.2f}"


def _tint(
    drawn: Image, corners: NDArray[np.int32], colour: tuple[int, int, int], share: float
) -> None:
    left, top, wide, high = cv2.boundingRect(corners)
    part = drawn[max(0, top) : top + high, max(0, left) : left + wide]
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, corners - (max(0, left), max(0, top)), 255)
    flat = np.full_like(part, colour)
    np.copyto(part, cv2.addWeighted(part, 1 - share, flat, share, 0), where=mask[..., None] > 0)


def _hatch(
    drawn: Image, corners: NDArray[np.int32], colour: tuple[int, int, int], line: int
) -> None:
    left, top, wide, high = cv2.boundingRect(corners)
    lines = np.zeros(drawn.shape[:2], np.uint8)
    for start in range(-high, wide, HATCH_PX):
        cv2.line(lines, (left + start, top + high), (left + start + high, top), 255, line)
    mask = np.zeros_like(lines)
    cv2.fillConvexPoly(mask, corners, 255)
    drawn[(lines & mask) > 0] = colour


def _label(
    drawn: Image,
    corners: NDArray[np.int32],
    text: str,
    colour: tuple[int, int, int],
    scale: float,
) -> None:
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.4 * scale))
    (wide, high), base = cv2.getTextSize(text, font, 0.55 * scale, thick)
    x, y = int(corners[:, 0].min()), int(corners[:, 1].min())
    cv2.rectangle(drawn, (x, y), (x + wide + 6, y + high + base + 4), colour, -1)
    at = (x + 3, y + high + 3)
    cv2.putText(drawn, text, at, font, 0.55 * scale, (255, 255, 255), thick, cv2.LINE_AA)
