"""Pictures by boxes in whole shelf photos."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.classifier import OCCUPANCY
from edge.errors import ConfigError
from trainer.picture import Picture
from trainer.walk import on_disk
from trainer.wording import NAME_AT_MOST

log = logging.getLogger(__name__)


def from_boxes(path: Path) -> list[Picture]:
    """Return the boxes of whole shelf photos, each described by a JSON file beside it."""
    pictures = []
    remarks: Counter[str] = Counter()
    for file in sorted(path.glob("*.json")):
        scene = _scene(file)
        if scene is not None:
            photo = on_disk(path, scene["image"]) or path / scene["image"]
            about = {"source": str(scene.get("source_image") or "")}
            pictures += [
                Picture(photo, label, file.stem, about, box)
                for label, box in _boxes(file, scene["boxes"], remarks)
            ]
    if remarks:
        named = ", ".join(
            f"'{label}' {count}" for label, count in remarks.most_common(NAME_AT_MOST)
        )
        log.warning(
            "%s: %d boxes are neither empty nor stocked and are left out: %s%s",
            path, remarks.total(), named, " …" if len(remarks) > NAME_AT_MOST else "",
        )  # fmt: skip
    return pictures


def _scene(file: Path) -> dict[str, Any] | None:
    """Return what a file says of a photo and its boxes; None where it is about something else."""
    try:
        scene = json.loads(file.read_bytes()) if file.is_file() else None
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested too deeply
        return None
    if not isinstance(scene, dict) or not isinstance(scene.get("image"), str):
        return None
    return scene if isinstance(scene.get("boxes"), list) else None


def _boxes(
    file: Path, boxes: Sequence[Any], remarks: Counter[str]
) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Return label and sides of each box that is learnt from; count the labels of the others.

    Those are remarks of the one who drew them.
    """
    found = []
    for number, box in enumerate(boxes, 1):
        try:
            if not isinstance(label := box["label"], str):
                raise TypeError
            label = label.strip()
            if label.casefold() in OCCUPANCY:  # `Empty` is refused as in an index
                found.append((label, sides := _sides(box)))
                if min(sides[2:]) < 1:
                    raise ConfigError([f"{file}: box {number} is less than a pixel wide or high"])
            else:
                remarks[label] += 1
        except (ValueError, KeyError, TypeError, OverflowError):
            raise ConfigError(
                [f"{file}: not a description of boxes: box {number} needs a label and the numbers "
                 "x, y, w, h"]
            ) from None  # fmt: skip
    return found


def _sides(box: Mapping[str, Any]) -> tuple[int, int, int, int]:
    x, y, wide, high = (int(box[side]) for side in "xywh")
    return x, y, wide, high
