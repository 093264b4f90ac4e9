"""The JSON Schemas that ship: both files of the operator and every MQTT payload.

The pydantic models are the source. `make schemas` writes the files anew; a test holds them
against the models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from edge import payloads
from edge.planogram import Planogram
from edge.site import Site

FOLDER = Path(__file__).parent
FILES: dict[str, type[BaseModel]] = {"site": Site, "planogram": Planogram}


def schemas() -> dict[str, dict[str, Any]]:
    """Return name → JSON Schema (2020-12); edge/schemas/<name>.schema.json holds it."""
    return {
        name: _schema(model, "validation" if _is_read(name) else "serialization")
        for name, model in {**FILES, **payloads.SCHEMAS}.items()
    }


def write() -> list[Path]:
    """Write every schema's file and remove those that no model has; return what is there now."""
    written = []
    for name, schema in schemas().items():
        path = FOLDER / f"{name}.schema.json"
        path.write_text(as_text(schema), encoding="utf-8")
        written.append(path)
    for path in set(FOLDER.glob("*.schema.json")) - set(written):
        path.unlink()
    return written


def as_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _is_read(name: str) -> bool:
    """Whether others write what we read: there, a key with a default may be left out."""
    return name in FILES or name.startswith("request_")


def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    schema = model.model_json_schema(mode=mode)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
