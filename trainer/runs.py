"""The run folder: what a training left behind, and from where a stopped one goes on.

    recipe.json     the recipe, whole            run.json   data, versions, machine
    last.pt         the newest checkpoint        curve.json one row an epoch
    best.pt         the best on the held-out pictures, where there are some

Every file is written beside the old one and then takes its place, so that a kill at any moment
leaves one of both, whole.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.optim.swa_utils import AveragedModel

from edge import __version__
from edge.errors import UnavailableError, UsageError
from trainer.mixture import Mixture
from trainer.net import SlotNet
from trainer.recipe import Recipe

LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True)
class Row:
    """How far training was after an epoch. held_out: top-1 there, where there are pictures."""

    step: int
    epoch: float
    lr: float
    loss: float
    held_out: float | None
    ms_per_image: float


@dataclass
class State:
    """Everything that a step changes."""

    model: SlotNet
    optimizer: torch.optim.Optimizer
    average: AveragedModel
    scaler: torch.amp.GradScaler
    steps: int
    step: int = 0
    curve: list[Row] = field(default_factory=list)

    def saved(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "steps": self.steps,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
            "curve": [asdict(row) for row in self.curve],
        }

    @property
    def is_best(self) -> bool:
        """Whether the newest look at the held-out pictures was the best, and it is this state."""
        seen = [row for row in self.curve if row.held_out is not None]
        best = max(seen, key=lambda row: row.held_out or 0, default=None)
        return best is not None and best.step == self.step

    @property
    def is_worth_keeping(self) -> bool:
        """Whether this state is the last, or the best so far: others are kept once a while."""
        return self.step == self.steps or self.is_best

    def restore(self, saved: dict[str, Any]) -> None:
        self.step = saved["step"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average.load_state_dict(saved["average"])
        self.scaler.load_state_dict(saved["scaler"])
        torch.set_rng_state(saved["random"])
        self.curve = [Row(**row) for row in saved["curve"]]


def begin(run: Path, mixture: Mixture, state: State, write: bool = True) -> None:
    """Claim the folder for this recipe and data, and load its last checkpoint if it has one.

    write: whether this process is the one of several that writes.

    Raises UsageError where the folder holds a run of another recipe or of other data.
    """
    recipe = mixture.recipe
    about = {"recipe": recipe.digest(training_only=True), "data": mixture.digest()}
    known = json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else about
    for word, value in about.items():
        if known[word] != value:
            raise UsageError(
                f"{run}: holds a run with another {word}; give another folder as --out"
            )
    if write:
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "run.json", about | _circumstances(recipe))
        write_json(run / "recipe.json", recipe.model_dump(mode="json"))
    if (run / LAST).exists():
        state.restore(torch.load(run / LAST, weights_only=True))


def _circumstances(recipe: Recipe) -> dict[str, object]:
    return {
        "shelf-edge": __version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "seed": recipe.seed,
    }


def save(run: Path, state: State) -> None:
    """Write the checkpoint, also as the best if it is, and the curve for whoever looks on."""
    if state.is_best:
        replace_file(run / BEST, lambda path: torch.save(state.saved(), path))
    replace_file(run / LAST, lambda path: torch.save(state.saved(), path))
    write_json(run / "curve.json", [asdict(row) for row in state.curve])


def write_json(path: Path, content: object) -> None:
    replace_file(path, lambda new: new.write_text(json.dumps(content, indent=1)))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside the old one, then let it take its place."""
    new = path.with_suffix(f".{os.getpid()}.new")
    write(new)
    os.replace(new, path)


@dataclass(frozen=True)
class Run:
    """What a training left: the recipe, the net in evaluation mode, the data, the curve."""

    recipe: Recipe
    net: SlotNet
    data_digest: str
    curve: tuple[Row, ...]


def load_run(run: Path, checkpoint: str = LAST, unfinished: bool = False) -> Run:
    """Open a run's folder. Raises UnavailableError where it is none, or not at its end.

    unfinished: also one that was stopped, with what it has.
    """
    if not (run / checkpoint).exists():
        raise UnavailableError(f"{run}: no finished run; train it with 'trainer fit'")
    recipe = Recipe.model_validate_json((run / "recipe.json").read_text())
    saved = torch.load(run / checkpoint, weights_only=True, map_location="cpu")
    if saved["step"] < saved["steps"] and checkpoint == LAST and not unfinished:
        raise UnavailableError(
            f"{run}: stopped at step {saved['step']} of {saved['steps']}; go on with 'trainer fit'"
            ", or add --unfinished"
        )
    bare = recipe.net.model_copy(update={"weights": None})
    model = SlotNet(bare, len(recipe.classes)).to(memory_format=torch.channels_last)
    average = AveragedModel(model, use_buffers=True)
    average.load_state_dict(saved["average"])
    model.load_state_dict(average.module.state_dict())
    data = json.loads((run / "run.json").read_text())["data"]
    return Run(recipe, model.eval(), data, tuple(Row(**row) for row in saved["curve"]))
