"""What training once had of the system's memory it keeps."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
