"""Files that are there whole or not at all, also where the power fails in between."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edge.errors import UnavailableError


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Make this the file's content. A link stays one, and so does the owner where that is allowed.

    mode: its permissions. Raises UnavailableError where the folder cannot be written; then the
    file is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(handle, "wb") as new:
                new.write(data)
                new.flush()
                os.fchmod(new.fileno(), mode)
                _give_to_owner(new.fileno(), target)
                os.fsync(new.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from None


def _give_to_owner(handle: int, target: Path) -> None:
    """A file that root writes for the daemon stays the daemon's, or becomes its folder's owner's.

    Others may not give files away; under the unit's filter of system calls trying it is deadly.
    """
    if os.geteuid() == 0:
        before = target if target.exists() else target.parent
        owner = before.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, not only the bytes behind it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
