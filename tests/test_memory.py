"""What training once had of the system's memory it keeps; where there is too little, it says so."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
from fitting import trainer, write_photos, write_recipe

from trainer.memory import is_exhausted

MORE = 1 << 30
BLOCK, PAGE, TIMES = 64 << 20, os.sysconf("SC_PAGE_SIZE"), 40
PROGRAM = f"""
import ctypes
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: huge pages are few to count
import resource, torch
from trainer.memory import keep_memory
{{keeping}}
torch.ones({BLOCK} // 4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TIMES}):
    torch.ones({BLOCK} // 4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keeping: str) -> int:
    """How many pages the kernel fills while a block is allocated and freed again and again."""
    program = PROGRAM.format(keeping=keeping)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_block_that_was_freed_is_used_again():
    every_time = TIMES * BLOCK // PAGE
    assert faults("keep_memory()") < every_time / 2  # the heap first grows to what is needed
    assert faults("") >= every_time, "the system does so by itself: keep_memory is not needed"


@contextmanager
def limited() -> Iterator[None]:
    """Within, this process gets a gigabyte of addresses more than it has, as a small PC would."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + MORE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("ask", "raises"),
    [
        (lambda: np.empty(8 * MORE, np.uint8), MemoryError),
        (lambda: torch.empty(8 * MORE, dtype=torch.uint8), RuntimeError),
        (lambda: bytearray(8 * MORE), MemoryError),
        (lambda: cv2.resize(np.zeros((2, 2), np.uint8), (1 << 17, 1 << 16)), cv2.error),
    ],
    ids=["numpy", "torch", "python", "opencv"],
)
def test_who_gets_no_memory_says_so(ask, raises):
    with limited(), pytest.raises(raises) as caught:
        ask()
    assert is_exhausted(caught.value)


@pytest.mark.parametrize(
    ("ask", "raises"),
    [
        (lambda: torch.zeros(2) @ torch.zeros(3), RuntimeError),
        (lambda: cv2.resize(np.zeros((0, 0), np.uint8), (2, 2)), cv2.error),
        (lambda: np.zeros(2) @ np.zeros(3), ValueError),
    ],
    ids=["torch", "opencv", "numpy"],
)
def test_other_errors_keep_their_traceback(ask, raises):
    with pytest.raises(raises) as caught:
        ask()
    assert not is_exhausted(caught.value)


@pytest.mark.parametrize("asked", [("fit",), ("kfold", "--folds", 2, "--repeats", 1)])
def test_a_batch_too_large_for_the_memory_ends_in_one_line(asked, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", write_photos(tmp_path / "photos"))
    kind, *more = asked
    large = ("--set", "batch=12000", "--set", "input_size=512")
    with limited():
        refused = trainer(kind, recipe, *more, *large, "--out", tmp_path / "run")
    assert refused.returncode == 69
    (line,) = (line for line in refused.stderr.splitlines() if "memory" in line)
    assert line.startswith("error: there is not enough memory; take less at once: a smaller batch")
