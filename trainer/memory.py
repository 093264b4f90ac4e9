"""Memory: what training has once had is kept, and where there is too little that is told.

Kept, instead of being given back after every tensor: glibc maps each block of more than 32 MB from
the system anew, and the kernel fills all its pages with zeros: with batches of pictures that is a
tenth of a step.
"""

from __future__ import annotations

import ctypes

import cv2
import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_memory() -> None:
    """Let this process keep what it frees, to use it again. Without glibc it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that the computer, or its GPU, has not that much memory.

    numpy raises MemoryError, OpenCV an error of its own, torch for a GPU OutOfMemoryError and for
    the processor a RuntimeError that only its text tells from others.
    """
    if isinstance(error, cv2.error):
        return error.code == cv2.Error.STS_NO_MEM
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return on_cpu or isinstance(error, MemoryError | torch.OutOfMemoryError)
