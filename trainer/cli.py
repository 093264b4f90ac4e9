"""The trainer's commands. Each reads its arguments, calls one function and prints the result."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.errors import EdgeError, UnavailableError, UsageError
from trainer.ablation import ablate_rows, kfold_rows
from trainer.data import LeaveOut, coarse_classes, column_and_value, read_pictures, those_with
from trainer.evaluate import evaluate as evaluate_model
from trainer.export import Qat
from trainer.export import export as export_run
from trainer.files import make_folder, write_json
from trainer.hold_out import warn_of_learnt, warn_of_unmeasured
from trainer.layout import Plan
from trainer.memory import is_exhausted
from trainer.mixture import Mixture, open_mixture
from trainer.quantize import Target
from trainer.recipe import Data, Recipe, load_recipe
from trainer.report import write_report
from trainer.study import run_study
from trainer.tables import as_markdown
from trainer.teacher import teacher_recipe
from trainer.temper import temper as fit_temper
from trainer.terminal import fine_tuning_bar, progress, show
from trainer.train import fit as fit_run
from trainer.walk import is_garbled
from trainer.workers import joined, leads

app = typer.Typer(
    help="Make the model that `edge` runs: from pictures to an INT8 bundle, and how good it is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

PICTURES = (
    "a folder of class folders, an index.csv, or shelf photos with boxes; PATH=label gives all of "
    "them one label; repeat."
)
DataOption = Annotated[
    list[str] | None, typer.Option("--data", help=f"Instead of the recipe's pictures: {PICTURES}")
]
AskedOption = Annotated[
    list[str] | None, typer.Option("--data", help=f"Pictures to ask about: {PICTURES}")
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE instead of the recipe's; repeat.")
]
Unfinished = Annotated[bool, typer.Option(help="Also a run that was stopped, with what it has.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
StudyFolder = Annotated[
    Path, typer.Option("--out", help="The study's folder; a stopped study goes on.")
]
Folds = Annotated[int, typer.Option(min=2, max=99, help="Parts; each is asked about once.")]
Repeats = Annotated[int, typer.Option(min=1, help="Partitions, each with seeds of its own.")]
Subset = Annotated[
    str | None, typer.Option(help="LABEL=N,…: so many pictures of these classes, no others.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Processes, of one thread each.")
]
On = Annotated[
    str | None, typer.Option(help="Ray cluster to work on: ray://HOST:10001, auto or local.")
]
KeepRuns = Annotated[bool, typer.Option(help="Keep the folder of every run.")]

EXHAUSTED = (
    "there is not enough memory; take less at once: a smaller batch, smaller pictures (input_size, "
    "train_sizes) or fewer --workers"
)


@app.command()
def fit(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe's YAML file.")],
    out: Annotated[Path, typer.Option(help="The run's folder; a stopped run goes on.")],
    data: DataOption = None,
    leave_out: Annotated[
        str | None,
        typer.Option(help="COLUMN=VALUE: rows to keep back, with their groups, for a later look."),
    ] = None,
    changes: Changes = None,
) -> None:
    """Train one recipe; first its teacher, in RUN-teacher, where a recipe is named for it."""
    recipe = read_recipe(recipe_file, data, changes)
    left_out = (
        LeaveOut(*column_and_value("--leave-out", leave_out)) if leave_out is not None else None
    )
    mixture = open_mixture(recipe, left_out)
    teacher, taught_by = teacher_recipe(mixture.recipe, recipe_file.parent), None
    if leads():
        typer.echo(mixture.describe(), err=True)
    if recipe.held_out:
        warn_of_learnt(mixture.pictures, mixture.held_out)
    if recipe.hold_out:
        warn_of_unmeasured(mixture.pictures, mixture.held_out)
    with joined(recipe.batch):  # told before hours of the teacher's training
        if teacher is not None:
            taught_by = Path(f"{out.absolute()}-teacher")
            taught = Mixture(teacher, mixture.photos, left_out=mixture.left_out)
            with progress() as say:
                fit_run(taught, taught_by, say, mixture.held_out)
        with progress() as say:
            fit_run(mixture, out, say, mixture.held_out, teacher=taught_by)
    if leads():
        typer.echo(out)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run's folder or a bundle.")],
    data: AskedOption = None,
    only: Annotated[str | None, typer.Option(help="COLUMN=VALUE: only rows with it.")] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(
            help="Pictures, as for --data, of products of which the model does not know some: "
            "does it reject them?"
        ),
    ] = None,
    input_size: Annotated[
        int | None, typer.Option(help="Ask a run at this size, not at its recipe's.", min=16)
    ] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    unfinished: Unfinished = False,
    as_json: Json = False,
) -> None:
    """Measure a run (or its checkpoint, RUN/best.pt) or a bundle on pictures."""
    if not data:
        raise UsageError("trainer evaluate: name the pictures with --data")
    strangers = read_pictures(unknown or [])
    everything = read_pictures(data)
    pictures = everything if only is None else those_with(only, everything)
    kinds = coarse_classes([*everything, *strangers])
    found = evaluate_model(model, pictures, threads, strangers, kinds, unfinished, input_size)
    show(found, as_json)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    out: Annotated[Path, typer.Option(help="The bundle to write, *.onnx.", dir_okay=False)],
    held_out: Annotated[
        list[str] | None,
        typer.Option(help=f"To measure on, instead of what the run kept back: {PICTURES}"),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="COLUMN=VALUE: of --held-out only rows with it.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Where the pictures of the training are now, if they moved; repeat."),
    ] = None,
    target: Annotated[
        Target,
        typer.Option(
            "--for",
            help="The shop's PC: x86 (any), x86-vnni (weights with one bit more; wrong answers on "
            "PCs without VNNI) or arm.",
        ),
    ] = Target.X86,
    qat: Annotated[
        Qat, typer.Option(help="Fine-tune for the quantization; auto: where it loses too much.")
    ] = Qat.AUTO,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Write what is printed with --json to this file.", dir_okay=False
        ),
    ] = None,
    unfinished: Unfinished = False,
    as_json: Json = False,
) -> None:
    """Write a run as an INT8 bundle, and report what quantization changed."""
    if only is not None and not held_out:
        raise UsageError("--only chooses from what is measured on: name it with --held-out")
    if report_file:
        make_folder(report_file.parent)
    with fine_tuning_bar() as say:
        found = export_run(
            run, out, held_out=held_out or (), only=only, data=data or (), unfinished=unfinished,
            target=target, qat=qat, threads=threads, say=say,
        )  # fmt: skip
    if report_file:
        write_json(report_file, found)
    show(found if as_json else {k: v for k, v in found.items() if k != "worst"}, as_json)


@app.command()
def temper(
    asked: Annotated[
        list[str],
        typer.Argument(metavar="RUN:COLUMN=VALUE…", help="Runs, and what each has not seen."),
    ],
    data: AskedOption = None,
    as_json: Json = False,
) -> None:
    """Fit temperature and shift, for a recipe, on pictures that runs have not seen."""
    if not data:
        raise UsageError("trainer temper: name the pictures with --data")
    pairs = [one.rpartition(":")[::2] for one in asked]
    for one, (run, only) in zip(asked, pairs, strict=True):
        if not run or "=" not in only:
            raise UsageError(f"trainer temper {one}: write RUN:COLUMN=VALUE, as runs/a:view=A")
    found = fit_temper([(Path(run), read_pictures(data, only)) for run, only in pairs])
    show(found.model_dump(), as_json)


@app.command()
def kfold(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe's YAML file.")],
    out: StudyFolder,
    data: DataOption = None,
    folds: Folds = 5,
    repeats: Repeats = 3,
    subset: Subset = None,
    ensemble: Annotated[
        bool, typer.Option(help="Also average models of inner folds, as many as there are folds.")
    ] = False,
    changes: Changes = None,
    workers: WorkersOption = 1,
    on: On = None,
    keep_runs: KeepRuns = False,
    as_json: Json = False,
) -> None:
    """Measure a recipe on few pictures: nets are asked about groups they have not seen."""
    recipe = read_recipe(recipe_file, data, changes)
    rows = tuple(kfold_rows(recipe, folds, ensemble))
    teacher = teacher_recipe(recipe, recipe_file.parent)
    plan = Plan("kfold", recipe, rows, folds, repeats, teacher, _counts(subset))
    _print_study(run_study(plan, out, workers, on, keep_runs), as_json)


@app.command()
def ablate(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe's YAML file.")],
    out: StudyFolder,
    data: DataOption = None,
    folds: Folds = 3,
    repeats: Repeats = 3,
    subset: Subset = None,
    rows: Annotated[
        str | None, typer.Option(help="NAME,…: only these, for example full-mixup,plain+mixup.")
    ] = None,
    changes: Changes = None,
    workers: WorkersOption = 1,
    on: On = None,
    keep_runs: KeepRuns = False,
    as_json: Json = False,
) -> None:
    """Measure what each trick of a recipe brings: without it, and it alone on a plain recipe."""
    recipe = read_recipe(recipe_file, data, changes)
    chosen = tuple(ablate_rows(recipe, [name.strip() for name in rows.split(",")] if rows else ()))
    teacher = teacher_recipe(recipe, recipe_file.parent)
    for row in chosen:
        if row.recipe.distill and row.recipe.distill.body:  # told before hours of training
            teacher_recipe(row.recipe, recipe_file.parent)
    plan = Plan("ablate", recipe, chosen, folds, repeats, teacher, _counts(subset))
    _print_study(run_study(plan, out, workers, on, keep_runs), as_json)


def _counts(subset: str | None) -> tuple[tuple[str, int], ...]:
    parts = [each.partition("=") for each in subset.split(",")] if subset else []
    pairs = [(label.strip(), count.strip()) for label, _, count in parts]
    wrong = [label for label, count in pairs if not count.isdecimal() or int(count) == 0]
    if wrong:
        raise UsageError(f"--subset {subset}: write LABEL=N,…, for example stocked=132,empty=42")
    counts = {label: int(count) for label, count in pairs}
    if len(counts) < len(pairs) or len(counts) == 1:
        raise UsageError(f"--subset {subset}: name two labels at least, each once")
    return tuple(counts.items())


def _print_study(study: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(study, indent=1) if as_json else as_markdown(study), nl=as_json)


@app.command()
def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN…", help="Runs' folders; the first in detail."),
    ] = None,
    data: DataOption = None,
    bundles: Annotated[
        list[Path] | None, typer.Option("--bundle", help="A bundle to show beside them; repeat.")
    ] = None,
    studies: Annotated[
        list[Path] | None, typer.Option("--study", help="A study's folder; repeat.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The HTML file to write.", dir_okay=False)] = Path(
        "report.html"
    ),
    threads: Annotated[int, typer.Option(min=1)] = 1,
    pictures: Annotated[
        bool, typer.Option(help="Show pictures of the data, or figures only.")
    ] = True,
) -> None:
    """Write what was learnt as one HTML file to look at.

    Measured is on --data, else on each run's held-out pictures. Pictures from a folder that holds a
    file NO_PICTURES are never shown.
    """
    write_report(
        out, runs or [], data=data or [], bundles=bundles or [], studies=studies or [],
        threads=threads, pictures=pictures,
    )  # fmt: skip
    typer.echo(out)


def read_recipe(file: Path, data: list[str] | None, changes: list[str] | None) -> Recipe:
    """Return the recipe as the command line changes it."""
    recipe = load_recipe(file, changes or ())
    if not data:
        return recipe
    strange = [text for text in data if is_garbled(text)]
    if strange:
        raise UsageError(f"--data {strange[0]!a}: the name is no UTF-8; rename the folder")
    return recipe.model_copy(update={"data": tuple(Data(data=text) for text in data)})


def main(arguments: Sequence[str] | None = None) -> None:
    if not leads():
        logging.disable(logging.WARNING)  # of several processes one warns for all
    try:
        app(arguments)
    except EdgeError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        if not is_exhausted(error):
            raise
        typer.echo(f"error: {EXHAUSTED}", err=True)
        raise SystemExit(UnavailableError.exit_code) from None


if __name__ == "__main__":
    main()
