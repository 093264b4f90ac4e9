"""Pictures by an index.csv: one row each, with file, label and group."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from edge.errors import ConfigError
from trainer.picture import Picture
from trainer.walk import on_disk
from trainer.wording import NAME_AT_MOST

log = logging.getLogger(__name__)

NEEDED_COLUMNS, MEANT_COLUMNS = ("file", "label", "group"), ("source", "split", "coarse")
QUOTED = re.compile(r'(?<![^,\r\n])[ \t]*("(?:[^"]|"")*")[ \t]*(?=[,\r\n]|\Z)')
"""A cell between quotation marks, and blanks around them, which CSV does not know."""
FEW_OF_A_PHOTO = 12
"""So many slots are cut from one photo of a small shelf."""


def from_index(path: Path) -> list[Picture]:
    """Return the pictures of an index. Raises ConfigError with its wrong lines."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            cells = QUOTED.sub(r"\1", text.read())
            rows = csv.DictReader(io.StringIO(cells, newline=""), strict=True)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            return _from_rows(path, rows, _capitals(path, rows.fieldnames))
    except csv.Error as error:
        if "expected after" not in str(error) and "unexpected end" not in str(error):
            raise _no_text(path) from None
        raise ConfigError(
            [f"{path}:{rows.line_num + 1}: a quotation mark that does not close its cell: write "
             'the cell between quotation marks, and those in it twice, as "12"" pizza"']
        ) from None  # fmt: skip
    except UnicodeDecodeError:
        raise _no_text(path) from None


def _no_text(path: Path) -> ConfigError:
    return ConfigError(
        [f"{path}: not a CSV text in UTF-8 (in Excel: save as 'CSV UTF-8'); give an index.csv "
         "or a folder"]
    )  # fmt: skip


def _capitals(path: Path, headings: Sequence[str]) -> dict[str, str]:
    """Return what is written otherwise than it is meant: Label for label, where no column is it.

    Raises ConfigError where a column is missing, or is there twice.
    """
    if twice := [name for name, count in Counter(headings).items() if name and count > 1]:
        raise ConfigError([f"{path}:1: two columns are called '{twice[0]}'; which one counts?"])
    written = {name.lower(): name for name in reversed(headings)}
    meant = (*NEEDED_COLUMNS, *MEANT_COLUMNS)
    capitals = {one: written[one] for one in meant if one in written and one not in headings}
    missing = [name for name in NEEDED_COLUMNS if name not in written]
    if not missing:
        return capitals
    for letter, called in ((";", "';'"), ("\t", "tabs")):
        if any(letter in name for name in headings):
            raise ConfigError(
                [f"{path}:1: its columns are separated by {called}; save it separated by commas "
                 "(in Excel: as 'CSV UTF-8'; or replace each in a text editor)"]
            )  # fmt: skip
    raise ConfigError(
        [f"{path}:1: no column {', '.join(sorted(missing))}; the first line must name "
         "file,label,group"]
    )  # fmt: skip


def _from_rows(path: Path, rows: csv.DictReader[str], capitals: Mapping[str, str]) -> list[Picture]:
    pictures: list[Picture] = []
    problems: list[str] = []
    again = 0
    bare_lines: list[str] = []  # of nothing but commas, as Excel writes them among others
    labels: dict[str, str] = {}
    folder = path.parent
    for row in rows:
        surplus = row.pop(None, None)  # type: ignore[call-overload]
        row |= {meant: row[written] for meant, written in capitals.items()}
        given = row["file"] or ""
        row |= {name: cell.strip() for name, cell in row.items() if isinstance(cell, str)}
        where = f"{path}:{rows.line_num}"
        missing = [name for name in NEEDED_COLUMNS if not row[name]]
        found = _found(folder, given)
        file = found or folder / given
        name = os.path.normpath(file)  # ./a.png is a.png
        label = normalize("NFC", row["label"] or "")
        if surplus and any(cell.strip() for cell in surplus):
            problems.append(
                f"{where}: more cells than the first line has columns; put a cell that has a comma "
                "in it between quotation marks"
            )
        elif missing:
            lacks = " and no ".join(missing)
            said = f"{where}: a row needs file, label and group; this one has no {lacks}"
            bare = not any("".join(cell or "").strip() for cell in row.values())
            (bare_lines if bare else problems).append(said)
        elif not found:
            problems.append(f"{where}: no such picture: {file}")
        elif labels.get(name, label) != label:
            problems.append(f"{where}: {file} has the label '{labels[name]}' already")
        elif name in labels:
            again += 1
        else:
            labels[name] = label
            pictures.append(Picture(file, label, row["group"], row))
    if again:
        log.warning("%s: %d rows name a picture once more, which counts once", path, again)
    problems = problems or ([] if pictures else bare_lines)
    if problems:
        left = len(problems) - NAME_AT_MOST
        more = [f"{path}: and {left} more"] if left > 0 else []
        raise ConfigError(problems[:NAME_AT_MOST] + more)
    _warn_of_source(path, pictures)
    return pictures


def _warn_of_source(path: Path, pictures: Sequence[Picture]) -> None:
    """Say what the column `source` does, where it seems to mean something else than one photo."""
    sources = Counter(source for one in pictures if (source := one.columns.get("source")))
    for source, count in sources.most_common(1):
        if count > max(FEW_OF_A_PHOTO, len(pictures) / 2):
            log.warning(
                "%s: %d of %d pictures have the source '%s', so they count as cut from one photo "
                "and are never parted; where that column means something else, rename it",
                path, count, len(pictures), source,
            )  # fmt: skip


def _found(folder: Path, given: str) -> Path | None:
    """Return a file by its name, where there is none so by what may have been meant: without the
    space around it, and the backslashes of Windows as slashes."""
    meant = given.strip()
    for name in (given, meant, meant.replace("\\", "/")):
        if file := on_disk(folder, name):
            return file
    return None
