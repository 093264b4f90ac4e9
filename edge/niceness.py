"""Which thread has to wait where the processor is wanted by several."""

from __future__ import annotations

import os
import sys
import threading


def give_way(niceness: int) -> None:
    """Let others go before the thread that calls this: 0 none, 19 everybody.

    One that gives way more already stays as it is: only root may take that back.
    """
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        thread = threading.get_native_id()
        lower = max(niceness, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, lower)
