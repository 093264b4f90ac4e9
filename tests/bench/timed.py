"""`edge run` that also says on stdout when it took each picture: `<camera> <monotonic seconds>`.

python timed.py SITE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edge import lookout, monitor
from edge.eye import Eye
from edge.types import Frame, Moment


class TimedEye(Eye):
    def take(self, now: Moment) -> Frame | None:
        frame = super().take(now)
        if frame is not None:
            print(self.camera_id, time.monotonic(), flush=True)
        return frame


if __name__ == "__main__":
    lookout.Eye = TimedEye  # type: ignore[misc]
    monitor.run(Path(sys.argv[1]))
