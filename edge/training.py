"""Pictures of alarms that were wrong, kept for the trainer: a folder with an index.csv.

The trainer reads it as DATA. Of a slot that was not empty the crop is kept as the model saw it,
with its label and the score that was wrong.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FIELDS = ("file", "label", "group", "at", "score")
MAX_FILES = 2000  # the newest; some 20 MB
STOCKED = "stocked"


@dataclass(frozen=True, slots=True)
class Sample:
    """One crop; group is the slot, whose pictures must not stand on both sides of a split."""

    slot_id: str
    label: str
    taken_at: datetime
    score: float | None
    jpeg: bytes

    @property
    def file(self) -> str:
        return f"{self.slot_id}/{self.taken_at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}.jpg"


class TrainingFolder:
    """Only the main loop's thread writes here. Every method raises OSError."""

    def __init__(self, state: Path, max_files: int = MAX_FILES):
        self._folder, self._max_files = state / "training", max_files

    def add(self, sample: Sample) -> None:
        """Keep the sample; the oldest goes where there are too many."""
        before = [one for one in self._rows() if one["file"] != sample.file]
        file = self._folder / sample.file
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(sample.jpeg)
        score = "" if sample.score is None else f"{sample.score:.4f}"
        at = sample.taken_at.astimezone(UTC).isoformat(timespec="milliseconds")
        row = dict(zip(FIELDS, (sample.file, sample.label, sample.slot_id, at, score), strict=True))
        rows = [*before, row]
        dropped = [one["file"] for one in rows[: -self._max_files]]
        self._write(rows[-self._max_files :], dropped)

    def remove(self, slot_id: str, taken_at: datetime) -> None:
        """Take a sample back, if there is one: the slot was empty after all."""
        file = Sample(slot_id, STOCKED, taken_at, None, b"").file
        rows = self._rows()
        kept = [row for row in rows if row["file"] != file]
        if len(kept) < len(rows):
            self._write(kept, [file])

    def _rows(self) -> list[dict[str, str]]:
        """Return the index, which a spreadsheet may have saved: then it may begin with a mark."""
        try:
            text = (self._folder / "index.csv").read_text(encoding="utf-8-sig")
            rows = list(csv.DictReader(io.StringIO(text)))
        except FileNotFoundError:
            return []
        except (UnicodeDecodeError, csv.Error):
            raise OSError(errno.EINVAL, "index.csv is no CSV in UTF-8") from None
        if any(row.keys() != set(FIELDS) or None in row.values() for row in rows):
            raise OSError(errno.EINVAL, f"index.csv has other columns than {','.join(FIELDS)}")
        return rows

    def _write(self, rows: list[dict[str, str]], dropped: list[str]) -> None:
        """Write the index anew and remove the pictures that it had and has no more.

        No others: an index that a power cut has emptied, or somebody moved, would take all of them.
        """
        text = io.StringIO()
        lines = csv.DictWriter(text, FIELDS, lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
        beside = self._folder / "index.new"
        with beside.open("w", encoding="utf-8") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._folder / "index.csv")
        gone = {self._folder / name for name in dropped}
        for path in self._folder.glob("*/*.jpg"):  # what an index names may lie anywhere
            if path in gone:
                path.unlink()
