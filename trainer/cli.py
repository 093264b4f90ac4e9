"""The trainer's commands. Each reads its arguments, calls one function and prints the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.errors import EdgeError, UsageError
from trainer.data import LeaveOut, read_source
from trainer.evaluate import coarse_classes, read_pictures
from trainer.evaluate import evaluate as evaluate_model
from trainer.export import export as export_run
from trainer.export import held_out_pictures
from trainer.mixture import open_mixture
from trainer.recipe import Data, Recipe, load_recipe
from trainer.runs import State, load_run
from trainer.temper import temper as fit_temper
from trainer.train import Say
from trainer.train import fit as fit_run

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data", help="An index.csv, a folder of class folders, or either =label; repeat"
    ),
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE instead of the recipe's; repeat.")
]
Unfinished = Annotated[bool, typer.Option(help="Also a run that was stopped, with what it has.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def fit(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe's YAML file.")],
    out: Annotated[Path, typer.Option(help="The run's folder; a stopped run goes on.")],
    data: DataOption = None,
    leave_out: Annotated[
        str | None, typer.Option(help="COLUMN=VALUE: rows that are kept back, for a later look.")
    ] = None,
    changes: Changes = None,
) -> None:
    """Train one recipe."""
    recipe = read_recipe(recipe_file, data, changes)
    mixture = open_mixture(recipe, _column_and_value(leave_out))
    held_out = [picture for source in recipe.held_out for picture in read_source(source)]
    with progress() as say:
        fit_run(mixture, out, say, held_out)
    typer.echo(out)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run's folder or a bundle.")],
    data: DataOption = None,
    only: Annotated[str | None, typer.Option(help="COLUMN=VALUE: only rows with it.")] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(help="DATA of products of which the model does not know some: are they told?"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Measure a run or a bundle on pictures."""
    if not data:
        raise UsageError("trainer evaluate: name the pictures with --data")
    strangers = read_pictures(unknown or [], None)
    kinds = coarse_classes([*read_pictures(data, None), *strangers])
    pictures = read_pictures(data, only)
    _print(evaluate_model(model, pictures, threads, strangers, kinds), as_json)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    out: Annotated[Path, typer.Option(help="The bundle to write, *.onnx.")],
    data: DataOption = None,
    unfinished: Unfinished = False,
    as_json: Json = False,
) -> None:
    """Write a run as an INT8 bundle, and report what quantization changed."""
    held_out = held_out_pictures(load_run(run, unfinished=unfinished).recipe, data or [])
    _print(export_run(run, out, held_out, unfinished), as_json)


@app.command()
def temper(
    asked: Annotated[
        list[str],
        typer.Argument(metavar="RUN:COLUMN=VALUE…", help="Runs, and what each has not seen."),
    ],
    data: DataOption = None,
    as_json: Json = False,
) -> None:
    """Fit temperature and shift, for a recipe, on pictures that runs have not seen."""
    if not data:
        raise UsageError("trainer temper: name the pictures with --data")
    pairs = [one.rpartition(":")[::2] for one in asked]
    found = fit_temper([(Path(run), read_pictures(data, only)) for run, only in pairs])
    _print(found.model_dump(), as_json)


def _column_and_value(text: str | None) -> LeaveOut | None:
    if text is None:
        return None
    column, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--leave-out {text}: write COLUMN=VALUE, for example view=A")
    return LeaveOut(column, value)


def read_recipe(file: Path, data: list[str] | None, changes: list[str] | None) -> Recipe:
    """Return the recipe as the command line changes it."""
    recipe = load_recipe(file, changes or ())
    if not data:
        return recipe
    return recipe.model_copy(update={"data": tuple(Data(data=text) for text in data)})


@contextmanager
def progress() -> Iterator[Say]:
    """One line an epoch; on a terminal also a bar."""
    with typer.progressbar(length=1000, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def say(state: State, epoch_ends: bool) -> None:
            bar.update(1000 * state.step // state.steps - bar.pos)
            if epoch_ends:
                row = state.curve[-1]
                held_out = "" if row.held_out is None else f"  held out {row.held_out:.4f}"
                text = f"step {row.step}/{state.steps}  loss {row.loss:.4f}{held_out}"
                end = "\n" if not sys.stderr.isatty() else "\x1b[K\n"
                print(f"\r{text}  {row.ms_per_image} ms a picture", end=end, file=sys.stderr)

        yield say


def _print(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                typer.echo(
                    f"{name:>18} {key}: " + ", ".join(f"{k} {_say(v)}" for k, v in inner.items())
                )
        else:
            typer.echo(f"{name:>18} {_say(value)}")


def _say(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_say(inner) for inner in value)
    return f"{value:.4f}" if isinstance(value, float) else "-" if value is None else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    try:
        app(arguments)
    except EdgeError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
