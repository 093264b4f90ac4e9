"""A disk's ways to fail: full and read-only, on a real file system of one megabyte, which takes
root; and a state file that is garbage from one call to the next."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.store import Store


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "none", str(disk))
    try:
        yield disk
    finally:
        unmount(disk)


def mount(*options: str) -> None:
    """Call mount; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


def unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk to the last byte; return the file to be deleted again."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096) == 4096:
            pass
        while file.write(b"x"):
            pass
    return ballast


def spoil(store: Store) -> None:
    """Make the state file garbage while it is in use: the next call moves it aside."""
    with store._lock:
        store._drop_connection()
        for path in store.path.parent.glob("state.db*"):
            path.write_bytes(b"no database at all" * 1000)
