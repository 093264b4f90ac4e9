"""The planogram as a file that pages and scripts write: whole, in one step, nothing lost.

A save replaces one camera's entry and leaves the rest of the text as the operator wrote it. What
was there before stays beside it as planogram.yaml.~1~, .~2~ … (the last KEPT), as do the reference
pictures as long as one of these files names them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from edge.atomicfile import write_atomically
from edge.config import DRAW_ONE, check_planogram, slot_ids
from edge.drawing.planogram_text import Entry, says_nothing, with_camera
from edge.errors import ChangedError, ConfigError, UnavailableError
from edge.picture import encode_jpeg
from edge.planogram import Planogram
from edge.section import nearest
from edge.types import Image, Slot
from edge.yamlfile import Data, Keys, Problem, key_path, parse_yaml, read_yaml

KEPT = 20
JPEG_QUALITY = 92
REFERENCE = re.compile(r"[a-z0-9][a-z0-9_-]*\.([0-9a-f]{8})\.jpg")
DECIMALS = 5  # of a fraction: a hundredth of a pixel of a 1080p picture


@dataclass(frozen=True, slots=True)
class Version:
    """An earlier planogram. slots: how many each camera had."""

    version_id: str
    saved_at: datetime
    slots: dict[str, int]


def read_planogram_file(path: Path) -> tuple[Planogram | None, str]:
    """Return the planogram, None where nothing is written yet, and its file's digest, "" for none.

    Raises ConfigError with every problem of the file.
    """
    raw = _read(path)
    if raw is None or says_nothing(raw):
        return None, _digest(raw)
    return check_planogram(parse_yaml(path, raw, DRAW_ONE)), _digest(raw)


def save_slots(
    path: Path, camera_id: str, slots: Sequence[Slot], picture: Image, expected_digest: str
) -> str:
    """Make these the camera's slots, drawn on this picture, and return the file's new digest.

    Raises ChangedError where the file is not what expected_digest says, ConfigError with every
    problem of the slots or of what else stands in the file, UnavailableError where nothing can be
    written. Then the file is as it was.
    """
    with _alone(path.parent):
        raw = _read(path)
        if expected_digest != _digest(raw):
            raise ChangedError(f"{path} was changed by somebody else; load it again")
        data = _data(path, raw)
        try:
            reference = _write_reference(path, camera_id, picture)
            text = with_camera(raw or b"", data, camera_id, _entry(slots, reference))
            _check(path, text, camera_id, slots)
            if raw is not None:
                _keep(path, raw)
            write_atomically(path, text, _mode_of(path))
        finally:
            _forget_unused(path)
    return _digest(text)


def versions(path: Path) -> tuple[Version, ...]:
    """Return the earlier planograms, the newest first."""
    return tuple(
        Version(str(number), _saved_at(kept), _count_slots(kept, kept.stat().st_mtime_ns))
        for number, kept in reversed(_kept(path))
    )


def read_version(path: Path, version_id: str) -> Planogram:
    """Return an earlier planogram. Raises ConfigError where there is none, or it is damaged."""
    known = {str(number): kept for number, kept in _kept(path)}
    if version_id not in known:
        raise ConfigError(
            [f"{path}: no earlier version {version_id}; {nearest(version_id, known)}"]
        )
    return check_planogram(read_yaml(known[version_id], DRAW_ONE))


def why_not_writable(path: Path) -> str | None:
    """Return why a planogram cannot be saved there, or None where nothing speaks against it."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"the folder {path.parent} may not be written by this program"
    return None


def _data(path: Path, raw: bytes | None) -> dict[str, Data]:
    """Return what the present file says. Raises ConfigError where it is no YAML."""
    if raw is None or says_nothing(raw):
        return {}
    file = parse_yaml(path, raw, DRAW_ONE)
    if file.data is None:
        raise ConfigError([str(problem) for problem in file.problems])
    return file.data


def _entry(slots: Sequence[Slot], reference: str) -> Entry:
    """Return a camera's section of the file as plain data, its keys in the file's order."""
    entries = []
    for slot in slots:
        entry: Entry = {"id": slot.slot_id, "name": slot.name, "sku": slot.sku}
        entry["quad"] = [[round(x, DECIMALS), round(y, DECIMALS)] for x, y in slot.quad]
        entry["priority"] = slot.priority
        entries.append({key: value for key, value in entry.items() if value is not None})
    return {"reference": reference, "slots": entries}


def _check(path: Path, text: bytes, camera_id: str, slots: Sequence[Slot]) -> None:
    """Raises ConfigError with the problems of what is about to be written.

    Those of the slots are said of the slots: the lines of a text that was never written help
    nobody.
    """
    file = parse_yaml(path, text, DRAW_ONE)
    ways: dict[str, list[Keys]] = {slot.slot_id: [] for slot in slots}
    for keys, slot_id in slot_ids(file):
        ways.get(slot_id, []).append(keys)
    problems = [
        f"slot {slot_id}: {_owner(found, camera_id)} has this id too; ids are unique in the node"
        for slot_id, found in ways.items()
        if len(found) > 1
    ]
    try:
        check_planogram(file)
    except ConfigError:
        told = {keys for found in ways.values() if len(found) > 1 for keys in found}
        problems += [
            _words(problem, camera_id, slots)
            for problem in file.problems
            if problem.keys not in told
        ]
    if problems:
        raise ConfigError(problems)


def _owner(ways: Sequence[Keys], camera_id: str) -> str:
    """Say who else has the id to which several ways lead."""
    others = [keys[1] for keys in ways if keys[1] != camera_id]
    return f"a slot of camera {others[0]}" if others else "another slot"


def _words(problem: Problem, camera_id: str, slots: Sequence[Slot]) -> str:
    way, number, rest = problem.keys[:3], problem.keys[3:4], problem.keys[4:]
    if way != ("cameras", camera_id, "slots") or not number:
        return str(problem)
    said = f"slot {slots[int(number[0])].slot_id}"
    return ": ".join([said, *([key_path(rest)] if rest else []), problem.message])


def _write_reference(path: Path, camera_id: str, picture: Image) -> str:
    """Write the picture beside the planogram and return its name.

    The name holds a digest: no save changes a picture that an earlier version names.
    """
    data = encode_jpeg(picture, JPEG_QUALITY)
    name = f"{camera_id}.{_reference_digest(data)}.jpg"
    write_atomically(path.with_name(name), data, _mode_of(path))
    return name


def _forget_unused(path: Path) -> None:
    """Remove surplus versions, and the reference pictures of ours that nothing here names.

    Another planogram in the same folder may name them too. What is saved is saved: a file that
    cannot be read or removed leaves the rest for the next time.
    """
    with contextlib.suppress(OSError):
        for _, old in _kept(path)[:-KEPT]:
            old.unlink()
        files = {path, *(kept for _, kept in _kept(path)), *path.parent.glob("*.y*ml*")}
        texts = [file.read_bytes() for file in files if file.is_file()]
        for picture in path.parent.glob("*.jpg"):
            named = any(picture.name.encode() in text for text in texts)
            if not named and _is_ours(picture):
                picture.unlink()


def _is_ours(picture: Path) -> bool:
    """Whether a save wrote this picture: a photo may be called by a date, which looks alike."""
    name = REFERENCE.fullmatch(picture.name)
    return name is not None and _reference_digest(picture.read_bytes()) == name[1]


def _keep(path: Path, raw: bytes) -> None:
    """Put the present text aside as the newest version, with the time at which it was saved."""
    number = max((number for number, _ in _kept(path)), default=0) + 1
    kept = path.with_name(f"{path.name}.~{number}~")
    write_atomically(kept, raw, _mode_of(path))
    saved_s = path.stat().st_mtime
    os.utime(kept, (saved_s, saved_s))


def _kept(path: Path) -> list[tuple[int, Path]]:
    """Return the earlier versions, (number, file), the oldest first."""
    form = re.compile(re.escape(path.name) + r"\.~(\d+)~")
    names = os.listdir(path.parent) if path.parent.is_dir() else []
    found = [(match, path.parent / name) for name in names if (match := form.fullmatch(name))]
    return sorted((int(match[1]), kept) for match, kept in found)


def _saved_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


@lru_cache(maxsize=4 * KEPT)
def _count_slots(path: Path, changed_at_ns: int) -> dict[str, int]:
    """Count a version's slots once: pages ask for all versions, and a file of 2,000 takes 0.3 s."""
    return dict(Counter(str(keys[1]) for keys, _ in slot_ids(read_yaml(path, DRAW_ONE))))


def _reference_digest(data: bytes) -> str:
    return _digest(data)[:8]


def _digest(raw: bytes | None) -> str:
    return "" if raw is None else hashlib.sha256(raw).hexdigest()


def _read(path: Path) -> bytes | None:
    """Return what the file holds, None where there is none. Raises ConfigError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None


def _mode_of(path: Path) -> int:
    """Return the permissions for what is written in a file's place or beside it."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o644  # who draws is often root, and the daemon is not; the folder may be closed


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder: a page and a script that save at once do so one after the other."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnavailableError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
