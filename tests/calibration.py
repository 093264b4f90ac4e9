"""A calibration bench over one photo, and the page on it: python tests/calibration.py PHOTO [PORT]

Nothing but the camera is replaced: the model, the planogram's file and the requests are real.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from edge.bench import CalibrationBench, Reloaded, Setup
from edge.cameras.folder import read_picture
from edge.types import Frame
from edge.viewfinder import Photo


def photo_bench(photo: Path, planogram: Path, camera_id: str = "shelf") -> CalibrationBench:
    """Return a bench whose only camera shows the photo for ever."""
    frame = Frame(camera_id, read_picture(photo), datetime.now(UTC), time.monotonic())
    setup = Setup({camera_id: "photo"}, planogram, None)
    return CalibrationBench(lambda: setup, Photo(frame), lambda: Reloaded(False, "no daemon runs"))


if __name__ == "__main__":
    import uvicorn
    from starlette.applications import Starlette

    from edge.web.calibrate import routes

    folder = Path("/tmp/calibration")
    folder.mkdir(exist_ok=True)
    bench = photo_bench(Path(sys.argv[1]), folder / "planogram.yaml")
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8090
    uvicorn.run(Starlette(routes=routes(bench)), host="127.0.0.1", port=port)
