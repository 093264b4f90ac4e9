"""Memory that training has once had is kept, instead of being given back after every tensor.

glibc maps each block of more than 32 MB from the system anew, and the kernel fills all its pages
with zeros: with batches of pictures that is a tenth of a step.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_memory() -> None:
    """Let this process keep what it frees, to use it again. Without glibc it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
