"""`edge calibrate`: the page on which slots are drawn, also where no daemon and no site.yaml is."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import segno

from edge.address import free_port, is_loopback, parse_address
from edge.drawing.bench import CalibrationBench, Setup
from edge.drawing.subject import is_picture, planogram_path, site_of_camera, site_of_picture
from edge.drawing.viewfinder import OwnCameras
from edge.errors import UnavailableError, UsageError
from edge.pin import pin_problem, set_pin
from edge.signals import stop_on_signals
from edge.site import Site
from edge.statefile import is_held
from edge.web import calibrate, open_web
from edge.web.reach import address_of, answers

FOR_A_PHONE = (
    "this address is for this PC alone; for a phone set `web: {listen: 0.0.0.0:%d}` in "
    "site.yaml and a PIN with `edge pin`"
)
ANYWHERE = "0.0.0.0"
PIN_DIGITS = 6


def open_page(
    subject: str | None,
    site_path: Path,
    output: Path | None = None,
    browser: bool = True,
    listen: str | None = None,
) -> None:
    """Show the page until interrupted; where the daemon runs, say where it shows it.

    Args:
        subject: a camera's id, or the path of a picture, for which no site.yaml is needed.
        output: where the planogram of a picture is written; else beside it.
        browser: open it here; else it is for a phone: reachable from outside, with a PIN for
            this once, and its address as a QR code.
        listen: host:port to serve it on instead.

    Raises UsageError for what is neither, ConfigError, UnavailableError.
    """
    running: str | None = None
    camera_id = subject
    if subject is not None and is_picture(subject):
        site = site_of_picture(Path(subject), output)
        camera_id = site.cameras[0].id
    else:
        site = site_of_camera(site_path, camera_id, output)
        running = _running(site)
    page = f"calibrate?{urlencode({'camera': camera_id})}" if camera_id else "calibrate"
    if running is not None:
        _show(f"{running}{page}", browser, pin=None)
        return
    planogram_path(site, site_path)  # before anybody draws: without one nothing could be saved
    stop = threading.Event()
    stop_on_signals(stop)
    with _own_page(site, browser, listen) as (address, pin):
        _show(f"{address}{page}", browser, pin)
        print("Ctrl-C ends it", file=sys.stderr, flush=True)
        stop.wait()


def _running(site: Site) -> str | None:
    """Return the address of the daemon's pages; None where no daemon of this site runs.

    Raises UnavailableError where one runs and its pages cannot be reached.
    """
    address = address_of(site, site.web.listen_address[1])
    if answers(site):
        return address
    if is_held(site.state):
        raise UnavailableError(
            f"the daemon of this site runs, but its pages do not answer at {address}; "
            "its log says why"
        )
    return None


@contextlib.contextmanager
def _own_page(site: Site, browser: bool, listen: str | None) -> Iterator[tuple[str, str | None]]:
    """Serve the page from here; gives its address and the PIN, if it needs one."""
    with tempfile.TemporaryDirectory(prefix="shelf-edge-calibrate-") as folder:
        site = _served_here(site, Path(folder), browser, listen)
        pin = None if site.web.is_local else _new_pin(site.pin_file)
        bench = CalibrationBench(lambda: Setup.of(site), OwnCameras(site.cameras))
        try:
            with open_web(site, calibrate.routes(bench)) as pages:
                yield pages.address, pin
        finally:
            bench.close()


def _served_here(site: Site, folder: Path, browser: bool, listen: str | None) -> Site:
    """Return the site with pages of its own: here only, or for a phone on any address.

    Their sessions and their PIN lie in the folder and end with it.
    """
    if listen is None:
        host = "127.0.0.1" if browser else ANYWHERE
        listen = f"{host}:{free_port(host, site.web.listen_address[1])}"
    try:
        host, _ = parse_address(listen)
    except ValueError as error:
        raise UsageError(f"--listen {listen}: {error}") from None
    names = () if is_loopback(host) else site.web.names  # no certificate's name leads here
    web = site.web.model_copy(update={"listen": listen, "pin_file": folder / "pin", "names": names})
    return site.model_copy(update={"web": web, "state": folder})


def _new_pin(path: Path) -> str:
    pin = "".join(secrets.choice("0123456789") for _ in range(PIN_DIGITS))
    while pin_problem(pin):
        pin = "".join(secrets.choice("0123456789") for _ in range(PIN_DIGITS))
    set_pin(path, pin)
    return pin


def _show(address: str, browser: bool, pin: str | None) -> None:
    """Print the address, and open it here or show it to a phone's camera."""
    print(address)
    if pin is not None:
        print(f"PIN, for this once: {pin}")
    if browser:
        has_screen = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
        if not (has_screen and webbrowser.open(address)):
            print("open it in a browser; for a phone add --no-browser", file=sys.stderr)
    elif is_loopback(urlsplit(address).hostname or ""):
        print(FOR_A_PHONE % (urlsplit(address).port or 80), file=sys.stderr)
    else:
        # The part behind # stays in the phone: it fills in the PIN and is sent to nobody.
        link = f"{address}#pin={pin}" if pin else address
        segno.make(link, error="l").terminal(border=2, compact=True)
    sys.stdout.flush()
