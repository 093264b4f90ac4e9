"""The calibration page over one photo: python tests/calibration.py PHOTO [PORT]

Nothing but the camera is replaced: the model, the planogram's file and the requests are real.
The planogram lies in /tmp/calibration.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from pages import serve_pages

from edge.drawing.bench import CalibrationBench, Setup
from edge.drawing.viewfinder import OwnCameras
from edge.site import CameraConfig


def photo_bench(photo: Path, planogram: Path) -> CalibrationBench:
    """Return a bench whose only camera shows the photo for ever."""
    setup = Setup({"aisle": "folder"}, planogram, None)
    cameras = OwnCameras([CameraConfig(id="aisle", url=f"folder:{photo}")])
    return CalibrationBench(lambda: setup, cameras)


if __name__ == "__main__":
    from edge.web.calibrate import routes

    folder = Path("/tmp/calibration")
    folder.mkdir(exist_ok=True)
    bench = photo_bench(Path(sys.argv[1]), folder / "planogram.yaml")
    port = sys.argv[2] if len(sys.argv) > 2 else 8090
    with serve_pages(folder, routes(bench), listen=f"127.0.0.1:{port}") as address:
        print(f"{address}calibrate", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
