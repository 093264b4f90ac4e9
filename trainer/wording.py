"""How messages name many things: a few of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

NAME_AT_MOST = 5


def some_of(names: Sequence[str], most: int = NAME_AT_MOST) -> str:
    """Return the first names, and how many more there are: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
