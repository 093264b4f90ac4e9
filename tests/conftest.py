"""The real parts that tests talk to: other people's programs, and recordings of real shelves.

Use them as `from conftest import require_program`. A part that is missing skips the test and says
why. Under CI=true a missing program fails it: there, nothing may pass because it was not tried.
Recordings are not part of the project and may be missing anywhere.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from witness import Witness

if TYPE_CHECKING:
    from daemon import StagedShelf
    from drawing import Calibration
    from mosquitto import Mosquitto, Subscriber
    from visits import Visit

REPOSITORY = Path(__file__).resolve().parents[1]
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's own: the only one that has Debian's python3-gi

GST_RTSP_CHECK = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
missing = [name for name in ("x264enc", "rtph264pay") if not Gst.ElementFactory.find(name)]
raise SystemExit(f"no GStreamer element {', '.join(missing)}" if missing else 0)
"""


def missing(reason: str) -> NoReturn:
    """Skip the test; under CI=true fail it."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason} (CI is set: nothing is skipped)", pytrace=False)
    pytest.skip(reason)


def require_program(name: str) -> str:
    """Return the program's path. Skip, or fail in CI, where it is not installed."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
    program = shutil.which(name, path=search)  # daemons such as mosquitto lie in sbin
    if program is None:
        missing(f"the program {name} is not installed (deploy/system-packages.sh tests)")
    return program


def require_gst_rtsp() -> str:
    """Return the Python interpreter that can run GStreamer's RTSP server with an H.264 encoder."""
    trouble = _gst_rtsp_trouble()
    if trouble:
        missing(f"no GStreamer RTSP server: {trouble} (deploy/system-packages.sh tests)")
    return SYSTEM_PYTHON


@functools.cache
def _gst_rtsp_trouble() -> str:
    if not Path(SYSTEM_PYTHON).exists():
        return f"there is no {SYSTEM_PYTHON}"
    command = [SYSTEM_PYTHON, "-c", GST_RTSP_CHECK]
    check = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if check.returncode == 0:
        return ""
    lines = check.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {check.returncode}"


def require_data(name: str) -> Path:
    """Return the path of a recording or data set below $SHELF_DATA; skip where it is absent."""
    root = Path(os.environ.get("SHELF_DATA") or REPOSITORY.parent / "shared" / "data")
    path = root / name
    if not path.exists():
        pytest.skip(f"no {name}: recordings are not part of the project; set SHELF_DATA")
    return path


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Wait for no thread that a test left behind: it may never end, and neither would CI."""
    left = [each for each in threading.enumerate() if not each.daemon]
    left.remove(threading.main_thread())
    session = config.pluginmanager.get_plugin("session")
    if left and session is not None:
        sys.stdout.flush()
        print("left behind by a test:", *left, file=sys.stderr, flush=True)
        os._exit(session.exitstatus)


# What a running daemon has around it. Imported where they are used: most tests need no broker, and
# no browser.


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Hear Ctrl-C as Python does; what a shell runs in the background is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def asked_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the test's own thread asked to sleep; how much longer it did is the machine's
    affair."""
    asked, me, sleep = list[float](), threading.get_ident(), time.sleep

    def noted(wait_s: float) -> None:
        if threading.get_ident() == me:
            asked.append(wait_s)
        sleep(wait_s)

    monkeypatch.setattr(time, "sleep", noted)
    return asked


@pytest.fixture
def witness() -> Iterator[Witness]:
    with Witness() as watching:
        yield watching


@pytest.fixture
def shelf() -> Iterator[StagedShelf]:
    """The camera of a shop whose slots turn bright and dark."""
    from daemon import StagedShelf

    with StagedShelf() as camera:
        yield camera


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    from mosquitto import Mosquitto

    with Mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Subscriber]:
    """Hears all that the broker is told."""
    from mosquitto import Subscriber

    with Subscriber(broker.port) as subscriber:
        yield subscriber


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Calibration]:
    """The calibration page before a rendered shelf."""
    require_program("chromium")
    from drawing import calibration, rendered_shelf

    with calibration(tmp_path, rendered_shelf()) as bench:
        yield bench


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser that the tests of a file share: it takes a second to start."""
    from browser import start_chromium

    with start_chromium() as running:
        yield running


@pytest.fixture
def visit(tmp_path: Path, chromium: Any) -> Iterator[Visit]:
    """Opens the staff page of a shop, see visits.py."""
    from visits import visits

    with visits(chromium, tmp_path) as visit:
        yield visit
