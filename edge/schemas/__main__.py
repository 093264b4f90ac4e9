"""`python -m edge.schemas`: write the schemas' files anew from the models."""

from __future__ import annotations

from edge.schemas import write

print(f"wrote {len(write())} schemas")
