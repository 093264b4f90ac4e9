"""The run folder: what a training left behind, and from where a stopped one goes on.

    recipe.json     the recipe, whole            run.json   data, versions, machine
    last.pt         the newest checkpoint        curve.json one row an epoch
    best.pt         the best on the held-out pictures, where there are some

A power cut at any moment leaves each of them whole (trainer/files.py).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torchvision
from pydantic import ValidationError
from torch.optim.swa_utils import AveragedModel

from edge import __version__
from edge.errors import UnavailableError, UsageError
from trainer.checkpoint import LAST, CurveRow, read_checkpoint
from trainer.data import LeaveOut
from trainer.files import refuse_strangers, remove_left, write_json
from trainer.mixture import Mixture
from trainer.net import SlotNet, why_unsuited
from trainer.recipe import Recipe
from trainer.recipe_difference import difference
from trainer.tricks import half_precision
from trainer.workers import count, device

log = logging.getLogger(__name__)

ABOUT, RECIPE = "run.json", "recipe.json"


@contextmanager
def claimed_run(run: Path, mixture: Mixture, write: bool = True) -> Iterator[None]:
    """Keep the folder for this process, its recipe and its data until the end.

    write: whether this process is the one of several that writes.

    Raises UsageError where the folder holds something else, or a checkpoint of another recipe or of
    other data; UnavailableError where it cannot be written, or another process is training there.
    """
    about = {"recipe": mixture.recipe.digest(training_only=True), "data": mixture.digest()}
    left_out = asdict(mixture.left_out) if mixture.left_out else None
    if not write:
        _check_is_same(run, mixture.recipe, about)
        yield
        return
    try:
        run.mkdir(parents=True, exist_ok=True)
        folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnavailableError(f"{run}: cannot be the run's folder: {error.strerror}") from None
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(
                f"{run}: another process is training there; wait for it, or give another --out"
            ) from None
        _check_is_same(run, mixture.recipe, about)
        _check_is_free(run)
        remove_left(run)
        begun = json.loads((run / ABOUT).read_bytes()) if (run / LAST).exists() else {}
        under = {key: begun.get(key, now) for key, now in _circumstances(mixture.recipe).items()}
        write_json(run / ABOUT, about | {"left_out": left_out} | under)
        write_json(run / RECIPE, mixture.recipe.model_dump(mode="json"))
        yield
    finally:
        os.close(folder)


def _check_is_same(run: Path, recipe: Recipe, about: dict[str, str]) -> None:
    if not (run / LAST).exists():
        return  # nothing was learnt yet that another recipe could spoil
    known = read_about(run)
    for word, value in about.items():
        if known[word] != value:
            why = ""
            if word == "recipe":
                why = f" ({difference(read_recipe(run).of_training(), recipe.of_training())})"
            raise UsageError(
                f"{run}: holds a run with another {word}{why}; give another folder as --out"
            )


def _check_is_free(run: Path) -> None:
    if (run / ABOUT).exists():
        read_about(run)  # raises where it is somebody else's
        return
    refuse_strangers(run)


def _circumstances(recipe: Recipe) -> dict[str, object]:
    """Return what a run is begun under. Who goes on with one, or sets its costs, elsewhere does not
    change what run.json says of that."""
    return {
        "shelf-edge": __version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": processor_name(),
        "gpu": torch.cuda.get_device_name() if device() == "cuda" else None,
        "precision": str(half_precision(recipe, device()) or torch.float32).removeprefix("torch."),
        "processes": count(),
        "threads": torch.get_num_threads(),
        "seed": recipe.seed,
    }


def processor_name() -> str:
    """Return the processor's name as Linux knows it, elsewhere the kind of machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@dataclass(frozen=True)
class Run:
    """What a training left: the recipe, the net in evaluation mode, the data, the curve.

    step: that of these weights, of so many steps.
    """

    recipe: Recipe
    net: SlotNet
    data_digest: str
    left_out: LeaveOut | None
    curve: tuple[CurveRow, ...]
    step: int
    steps: int


def load_run(run: Path, unfinished: bool = False) -> Run:
    """Open a run's folder, or one of its checkpoints (RUN/best.pt).

    unfinished: also one that was stopped, with what it has.

    Raises UnavailableError where it is none, is damaged, or is not at its end, UsageError where it
    is a bundle or a study.
    """
    folder, checkpoint = (run, run / LAST) if run.is_dir() else (run.parent, run)
    if run.suffix == ".onnx" and not run.is_dir():
        raise UsageError(
            f"{run}: is a bundle, and no run's folder; 'trainer report --bundle' shows it"
        )
    if (run / "study.json").exists():
        raise UsageError(
            f"{run}: is a study, and no run's folder; 'trainer report --study' shows it"
        )
    if not checkpoint.exists():
        raise UnavailableError(f"{run}: no finished run; train it with 'trainer fit'")
    saved = read_checkpoint(checkpoint, "train it anew with 'trainer fit'")
    recipe, about = read_recipe(folder), read_about(folder)
    if recipe.digest(training_only=True) != about["recipe"]:
        log.warning(
            "%s: is not the recipe that was trained, or another version wrote it", folder / RECIPE
        )
    if saved["step"] < saved["steps"] and checkpoint.name == LAST and not unfinished:
        raise UnavailableError(
            f"{run}: stopped at step {saved['step']} of {saved['steps']}; go on with 'trainer fit'"
            ", or add --unfinished"
        )
    bare = recipe.net.model_copy(update={"weights": None})
    model = SlotNet(bare, len(recipe.classes)).to(memory_format=torch.channels_last)
    average = AveragedModel(model, use_buffers=True)
    try:
        average.load_state_dict(saved["average"])
    except RuntimeError:
        raise UnavailableError(f"{checkpoint}: is of another net than {folder / RECIPE}") from None
    model.load_state_dict(average.module.state_dict())
    if why := why_unsuited(model, recipe.net.arch, recipe.input_size):
        raise UnavailableError(f"{folder / RECIPE}: input_size: {recipe.input_size}; {why}")
    curve = tuple(CurveRow(**row) for row in saved["curve"])
    model.eval()
    return Run(
        recipe, model, about["data"], left_out_of(about), curve, saved["step"], saved["steps"]
    )


def asked_at(run: Run, input_size: int) -> Run:
    """Return the run, to be asked at another size: larger than it learnt at is often better.

    Raises UsageError where pictures of that size do not suit its net.
    """
    why = why_unsuited(run.net, run.recipe.net.arch, input_size)
    if input_size % 16:
        why = "write a multiple of 16"
    if why:
        raise UsageError(f"--input-size {input_size}: {why}")
    return replace(run, recipe=run.recipe.model_copy(update={"input_size": input_size}))


def is_run(path: Path) -> bool:
    """Whether a model's path means a run or its checkpoint, and not a bundle."""
    return path.is_dir() or path.suffix == ".pt"


def left_out_of(about: Mapping[str, Any]) -> LeaveOut | None:
    return LeaveOut(**about["left_out"]) if about["left_out"] else None


def read_recipe(run: Path) -> Recipe:
    try:
        return Recipe.model_validate_json((run / RECIPE).read_bytes())
    except (OSError, ValidationError) as error:
        why = ""
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            why = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        raise UnavailableError(
            f"{run / RECIPE}: is missing, damaged or of another version{why}; "
            "train the run anew with 'trainer fit'"
        ) from None


def read_about(run: Path) -> dict[str, Any]:
    """Return the digests of the run's recipe and data, and which rows of the data it left out."""
    try:
        known = json.loads((run / ABOUT).read_bytes())
        return {word: known[word] for word in ("recipe", "data")} | {
            "left_out": known.get("left_out")
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UnavailableError(
            f"{run / ABOUT}: is missing or damaged; nobody knows what the run was made from"
        ) from None
