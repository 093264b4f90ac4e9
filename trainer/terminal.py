"""What a terminal shows: a bar while there is work, a line an epoch, figures in the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import typer

from trainer.checkpoint import State
from trainer.export import Say as SayStep
from trainer.train import Say


@contextmanager
def progress() -> Iterator[Say]:
    """One line an epoch; on a terminal also a bar, of the steps that are left."""
    with _bar(show_pos=True) as advance:

        def say(state: State, epoch_ends: bool) -> None:
            is_shown = advance(state.steps - state.step + 1)
            if epoch_ends:
                clear = "\r\x1b[K" if is_shown else ""
                typer.echo(f"{clear}{_line(state)}", err=True)

        yield say


@contextmanager
def fine_tuning_bar() -> Iterator[SayStep]:
    """On a terminal a bar, if there is anything to do: most exports need no fine-tuning."""
    with _bar(label="fine-tuning") as advance:

        def say(step: int, steps: int) -> None:
            advance(steps)

        yield say


@contextmanager
def _bar(**look: Any) -> Iterator[Callable[[int], bool]]:
    """Yield what moves a bar on by one and returns whether there is one.

    It begins with the first step, which says how many there are; only a terminal has one.
    """
    with ExitStack() as stack:
        bars: list[Any] = []

        def advance(length: int) -> bool:
            if not (sys.stderr and sys.stderr.isatty()):
                return False
            if not bars:
                bar = typer.progressbar(length=length, file=sys.stderr, **look)
                bars.append(stack.enter_context(bar))
            bars[0].update(1)
            return True

        yield advance


def _line(state: State) -> str:
    row = state.curve[-1]
    held_out = "" if row.held_out is None else f"  held out {row.held_out:.4f}"
    said = f"step {row.step}/{state.steps}  loss {row.loss:.4f}{held_out}"
    return f"{said}  {row.ms_per_image} ms a picture"


def show(figures: dict[str, Any], as_json: bool) -> None:
    """Print figures, one a line, or as one JSON document."""
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                said = ", ".join(f"{k} {_text(v)}" for k, v in inner.items())
                typer.echo(f"{name:>18} {key}: {said}")
        else:
            typer.echo(f"{name:>18} {_text(value)}")


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_text(inner) for inner in value)
    return f"{value:.4f}" if isinstance(value, float) else "-" if value is None else str(value)
