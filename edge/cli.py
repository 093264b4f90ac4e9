"""The commands. Each reads its arguments, calls one function and prints its result."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edge import redact
from edge.errors import EdgeError, UsageError

app = typer.Typer(
    help="Watches shop shelves and says over MQTT which slots are empty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SiteFile = Annotated[
    Path, typer.Option("-c", "--config", metavar="FILE", help="What the operator wrote.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
SITE = Path("site.yaml")
BROKEN_OFF = 130
"""Exit code of a replay that was interrupted; it has printed what was seen until then."""


# Each command imports what it needs: `edge version` waits for no OpenCV and no ONNX Runtime.


@app.command()
def run(config: SiteFile = SITE) -> None:
    """Watch the shelves until told to stop."""
    from edge.monitor import run

    run(config)


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another day in the shop.")] = 7,
) -> None:
    """Watch a rendered store: needs no file, no camera and no network."""
    from edge.demo import run_demo

    run_demo(seed, seconds)


@app.command()
def check(config: SiteFile = SITE, as_json: Json = False) -> None:
    """Check the configuration and the model without starting anything."""
    from edge.pin import PinFile
    from edge.plan import read_plan

    plan = read_plan(config)
    site = plan.config.site
    found = {
        "file": str(config),
        "node": site.node,
        "cameras": {one.id: len(plan.slots_of(one.id)) for one in site.cameras},
        "slots": len(plan.slots),
        "model": plan.classifier.info.name,
        "pages": {
            "listen": site.web.listen,
            "pin": PinFile(site.pin_file).exists,
            "tls": site.web.tls is not None,
        },
        "warnings": plan.warnings(),
    }
    _show(found, as_json, _check_text)


@app.command()
def calibrate(
    camera: Annotated[
        str | None, typer.Argument(metavar="[CAMERA | PICTURE]", help="A camera's id, or a file.")
    ] = None,
    config: SiteFile = SITE,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A picture's planogram.")
    ] = None,
    browser: Annotated[
        bool, typer.Option(help="Open it here; else on a phone, by a QR code.")
    ] = True,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve the page there.")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(metavar="ROWSxCOLUMNS", help="No page: a bay of so many slots.")
    ] = None,
    quad: Annotated[
        str | None, typer.Option(metavar="JSON", help="--grid: the bay's corners, in fractions.")
    ] = None,
    gap: Annotated[
        float, typer.Option(min=0, max=1, help="--grid: between two rows, as a share of the bay.")
    ] = 0.0,
    add: Annotated[bool, typer.Option("--add", help="--grid: keep the camera's slots.")] = False,
) -> None:
    """Draw the slots on a page in the browser and write the planogram."""
    if grid is None and quad is None:
        from edge.calibrate import open_page

        open_page(camera, config, output, browser, listen)
        return
    from edge.drawing.grid import EXAMPLE, draw_grid, read_grid

    if camera is None or grid is None or quad is None:
        raise UsageError(f"a camera or a picture, --grid and --quad belong together: {EXAMPLE}")
    typer.echo(draw_grid(camera, read_grid(grid, quad, gap), config, output, add))


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="A video, a folder, a quoted glob, a camera URL.")],
    planogram: Annotated[Path | None, typer.Option(help="Where the slots are.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", help="Its model, decision, blackout and, for a video, pace."
        ),
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Whose slots to take.")] = None,
    truth: Annotated[Path | None, typer.Option(help="What really happened.")] = None,
    every_s: Annotated[float | None, typer.Option(min=0.01, help="Seconds between looks.")] = None,
    confirm_s: Annotated[
        float | None, typer.Option(min=0, help="0: judge each look by itself.")
    ] = None,
    tolerance_s: Annotated[
        float | None, typer.Option(min=0, help="How late a change may be stated.")
    ] = None,
    until_s: Annotated[float | None, typer.Option(min=0, help="End there.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write the last picture, slots coloured by state.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a recording through the whole pipeline and say what would have been stated."""
    from edge.overlay import write_picture
    from edge.recording import ReplayRequest
    from edge.replay import replay

    request = ReplayRequest(
        source, planogram, config, camera, truth, every_s, confirm_s, tolerance_s, until_s
    )
    result = replay(request, progress=_progress(as_json))
    _show(result.as_json(), as_json, _replay_text)
    if picture is not None and result.last is not None:
        write_picture(picture, result.last)
    if result.broken_off:
        raise typer.Exit(BROKEN_OFF)


@app.command()
def snapshot(
    camera: Annotated[str, typer.Argument(help="A camera's id in site.yaml.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to; else CAMERA.jpg."),
    ] = None,
    config: SiteFile = SITE,
) -> None:
    """Take one picture from a camera."""
    from edge.snapshot import take_snapshot

    typer.echo(take_snapshot(config, camera, output or Path(f"{camera}.jpg")))


@app.command()
def pin(config: SiteFile = SITE) -> None:
    """Set the PIN of the pages; asked twice, or read from standard input. Signs everybody out."""
    from edge.config import load_site
    from edge.pin import ask_pin, set_pin

    file = load_site(config).pin_file
    set_pin(file, ask_pin())
    typer.echo(f"the PIN is set ({file}); everybody has to sign in with it")


@app.command()
def doctor(
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", metavar="FILE", help="A site.yaml; without, only the PC is tried."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure what this PC can carry, and find what is wrong with it."""
    from edge.doctor import diagnose, report

    _show(diagnose(config), as_json, report)


@app.command()
def status(config: SiteFile = SITE, as_json: Json = False) -> None:
    """Say what the running daemon sees."""
    from edge.status import read_status, report

    _show(read_status(config), as_json, report)


@app.command()
def version(as_json: Json = False) -> None:
    """Print the versions."""
    from edge.versions import versions

    _show(versions(), as_json, _lines)


def main() -> None:
    """The console script: explainable failures end in one message, bugs keep their traceback."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    redact.install()
    try:
        app()
    except EdgeError as error:
        typer.echo(f"error: {redact.redact(str(error))}", err=True)
        raise SystemExit(error.exit_code) from None
    finally:
        redact.install()  # again: Typer has put its own printer of tracebacks in place


def _show(found: dict[str, Any], as_json: bool, text: Callable[[dict[str, Any]], str]) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else text(found))


def _lines(found: dict[str, Any]) -> str:
    return "\n".join(f"{key} {value}" for key, value in found.items())


def _check_text(found: dict[str, Any]) -> str:
    cameras = ", ".join(f"{camera} ({slots} slots)" for camera, slots in found["cameras"].items())
    pages = found["pages"]
    kept = "with a PIN" if pages["pin"] else "for this PC only"
    coded = ", encrypted" if pages["tls"] else ", not encrypted" if pages["pin"] else ""
    summary = (
        f"{found['file']}: ok. node {found['node']}, model {found['model']}, cameras: {cameras}, "
        f"pages on {pages['listen']} {kept}{coded}"
    )
    return "\n".join([summary, *(f"warning: {one}" for one in found["warnings"])])


def _replay_text(found: dict[str, Any]) -> str:
    lines = [
        f"{change['t']:10.1f} s  {change['slot']:12} {change['from']} → {change['to']}"
        for change in found["changes"]
    ]
    hidden = ("changes", "missed_changes", "false_changes")
    lines += [f"{key:20} {value}" for key, value in found.items() if key not in hidden]
    return "\n".join(lines)


def _progress(as_json: bool) -> Callable[[float], None]:
    """Return what shows how far a replay is; nothing where nobody looks."""
    if as_json or not sys.stderr.isatty():
        return lambda t: None
    return lambda t: print(f"\r{t:8.1f} s", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
