"""In what two recipes differ, for whoever is told that a folder holds another one's work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SHOWN = 40
"""Characters of a value that are still read at a glance."""


def difference(known: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return in words in what two recipes, as JSON has them, differ first."""
    key, before, now = _first_difference(known, own)
    if not key:
        return "its recipe has other keys: another version made it"
    values = [json.dumps(value, ensure_ascii=False) for value in (before, now)]
    short = all(len(value) <= SHOWN for value in values)
    return f"its {key} differs" + (f" ({values[0]}, now {values[1]})" if short else "")


def _first_difference(known: Any, own: Any, key: str = "") -> tuple[str, Any, Any]:
    """Return where two values that JSON holds differ first, and what is there in each.

    Where not even their keys are the same, no place is named: another version wrote one of them.
    """
    if isinstance(known, list) and isinstance(own, list) and len(known) == len(own):
        known, own = (dict(enumerate(value)) for value in (known, own))
    if isinstance(known, dict) and isinstance(own, dict):
        if known.keys() != own.keys():
            return "", known, own
        if (first := next((each for each in own if known[each] != own[each]), None)) is not None:
            inner = f"{key}.{first}" if key else str(first)
            return _first_difference(known[first], own[first], inner)
    return key, known, own
