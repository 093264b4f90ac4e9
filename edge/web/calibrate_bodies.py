"""What the calibration page sends and gets, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from edge.decide import Rule
from edge.drawing.align import Alignment
from edge.drawing.bench import Drawn, SlotScore
from edge.drawing.goods_list import GoodsList
from edge.drawing.stills import Still
from edge.drawing.suggest import Rows, Suggestion
from edge.payloads import rfc3339
from edge.planogram import picture_size
from edge.types import Quad, Slot

MOST_SCORED = 64
MOST_SLOTS = 2000
MOST_ROWS, MOST_COLUMNS = 40, 200

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Corners = Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=4, max_length=4)]
Token = Annotated[str, Field(max_length=64)]
Columns = Annotated[int, Field(ge=1, le=MOST_COLUMNS)]


class Body(BaseModel):
    """A request: unknown keys are refused, text is not taken for a number."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class PictureBody(Body):
    of: Literal["now", "reference"] = "now"
    """What the camera shows now, or the picture that its slots were drawn on."""


class ScoredSlot(Body):
    key: Annotated[str, Field(max_length=64)]
    quad: Corners


class ScoreBody(Body):
    token: Token
    slots: Annotated[tuple[ScoredSlot, ...], Field(max_length=MOST_SCORED)]


class SuggestBody(Body):
    token: Token
    quad: Corners
    rows: Annotated[int, Field(ge=1, le=MOST_ROWS)] | None = None
    columns: Columns | Annotated[tuple[Columns, ...], Field(max_length=MOST_ROWS)] | None = None

    def counts(self) -> tuple[int | None, ...]:
        """Return each row's columns, the last for all further rows."""
        return self.columns or (None,) if isinstance(self.columns, tuple) else (self.columns,)


class TokenBody(Body):
    token: Token


class ImportBody(Body):
    """A list of goods: as text that was pasted, or a file's bytes as they are, in base64."""

    csv: str = ""
    file: Base64Bytes = b""


class SavedSlot(Body):
    """A slot as it is to stand in the planogram; the contract's rules are checked on saving."""

    id: str
    name: str
    sku: str | None = None
    priority: int | None = None
    quad: Annotated[tuple[tuple[float, float], ...], Field(max_length=8)]


class SaveBody(Body):
    token: Token
    slots: Annotated[tuple[SavedSlot, ...], Field(max_length=MOST_SLOTS)]

    def slots_of(self, camera_id: str) -> list[Slot]:
        return [
            Slot(slot.id, camera_id, slot.quad, slot.name, slot.sku, slot.priority)
            for slot in self.slots
        ]


def still_json(still: Still) -> dict[str, Any]:
    width, height = still.size
    return {"token": still.token, "width": width, "height": height}


def slot_json(slot: Slot) -> dict[str, Any]:
    return {
        "id": slot.slot_id,
        "name": slot.name,
        "sku": slot.sku,
        "priority": slot.priority,
        "quad": quad_json(slot.quad),
    }


def quad_json(quad: Quad) -> list[list[float]]:
    return [[x, y] for x, y in quad]


def suggestion_json(found: Rows, rows: Sequence[Suggestion]) -> dict[str, Any]:
    return {
        "rows": [
            {"v": list(band), "u": list(row.u), "found": list(row.found)}
            for band, row in zip(found.rows, rows, strict=True)
        ]
    }


def alignment_json(alignment: Alignment) -> dict[str, Any]:
    return {
        "accepted": True,
        "homography": alignment.homography.tolist(),
        "inliers": alignment.inliers,
    }


def goods_json(found: GoodsList) -> dict[str, Any]:
    rows = [
        {
            "name": goods.name,
            "sku": goods.sku,
            "id": goods.slot_id,
            "row": goods.row,
            "column": goods.column,
        }
        for goods in found.rows
    ]
    return {"rows": rows, "problems": list(found.problems)}


def drawn_json(drawn: Drawn, camera_id: str) -> dict[str, Any]:
    reference = None
    if drawn.reference is not None:
        width, height = picture_size(drawn.reference)
        # The name changes with the picture: the browser never shows an older one.
        url = f"/api/calibrate/{camera_id}/reference.jpg?v={drawn.reference.name}"
        reference = {"url": url, "width": width, "height": height}
    return {
        "digest": drawn.digest,
        "slots": [slot_json(slot) for slot in drawn.slots],
        "other_ids": list(drawn.other_ids),
        "reference": reference,
        "blackout": [quad_json(quad) for quad in drawn.blackout],
        "versions": [
            {
                "id": version.version_id,
                "saved_at": rfc3339(version.saved_at),
                "slots": version.slots.get(camera_id, 0),
            }
            for version in drawn.versions
        ],
    }


def scores_json(scores: Sequence[SlotScore], median: float | None, rule: Rule) -> dict[str, Any]:
    return {
        "slots": [_score_json(score) for score in scores],
        "median_sharpness": None if median is None else round(median, 1),
        "empty_above": rule.empty_above,
        "stocked_below": rule.stocked_below,
    }


def _score_json(score: SlotScore) -> dict[str, Any]:
    if score.problem is not None:
        return {"key": score.key, "problem": score.problem}
    return {
        "key": score.key,
        "p_empty": round(score.p_empty, 4),
        "crop": base64.b64encode(score.crop).decode(),
        "width": score.size[0],
        "height": score.size[1],
        "sharpness": round(score.sharpness, 1),
    }
