"""Too little memory: told as such, in one line, whoever asks for it."""

from __future__ import annotations

import resource
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
        (lambda: np.empty(2 * MORE, np.uint8), MemoryError),
        (lambda: torch.empty(2 * MORE, dtype=torch.uint8), RuntimeError),
        (lambda: bytearray(2 * MORE), MemoryError),
        (lambda: cv2.resize(np.zeros((2, 2), np.uint8), (1 << 16, 1 << 15)), cv2.error),
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
    large = ("--set", "batch=2000", "--set", "input_size=512")
    with limited():
        refused = trainer(kind, recipe, *more, *large, "--out", tmp_path / "run")
    assert refused.returncode == 69
    (line,) = (line for line in refused.stderr.splitlines() if "memory" in line)
    assert line.startswith("error: there is not enough memory; take less at once: a smaller batch")
