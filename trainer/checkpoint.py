"""The state of a training, and the checkpoints from which a stopped one goes on."""

from __future__ import annotations

import io
import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from edge.errors import UnavailableError, UsageError
from trainer.files import replace_file, write_json
from trainer.net import SlotNet
from trainer.weights import DAMAGED

log = logging.getLogger(__name__)

LAST, BEST, CURVE = "last.pt", "best.pt", "curve.json"


@dataclass(frozen=True)
class CurveRow:
    """How far training was after an epoch. held_out: top-1 there, where there are pictures."""

    step: int
    epoch: float
    lr: float
    loss: float
    held_out: float | None
    ms_per_image: float


@dataclass
class State:
    """Everything that a step changes. losses: of the steps since the curve's newest row.

    held_out: digest of the pictures that the curve's accuracy is of, None where that is not known;
    order: that of the pictures that are learnt from, as they are numbered.
    """

    model: SlotNet
    optimizer: torch.optim.Optimizer
    average: AveragedModel
    scaler: torch.amp.GradScaler
    steps: int
    step: int = 0
    losses: list[float] = field(default_factory=list)
    curve: list[CurveRow] = field(default_factory=list)
    held_out: str | None = None
    order: str | None = None

    def saved(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "steps": self.steps,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "scaler": self.scaler.state_dict(),
            "losses": self.losses,
            "curve": [asdict(row) for row in self.curve],
            "held_out": self.held_out,
            "order": self.order,
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
        if saved["scaler"]:  # empty where the run was begun without one, on another machine
            self.scaler.load_state_dict(saved["scaler"])
        self.losses = saved["losses"]
        self.curve = [CurveRow(**row) for row in saved["curve"]]
        self.held_out = saved.get("held_out")


def resume(run: Path, state: State, order: str) -> None:
    """Give the state what the folder's last checkpoint holds, if there is one.

    order: digest of the pictures to learn from, as they are numbered.

    Raises UnavailableError where it cannot be read, UsageError where it was stopped when they were
    numbered otherwise: it would see some of them again too soon and others not.
    """
    state.order = order
    if not (run / LAST).exists():
        return
    way_out = f"delete it to begin anew, or put {BEST} in its place"
    saved = read_checkpoint(run / LAST, way_out)
    if saved.get("order", order) != order and saved["step"] < saved["steps"]:
        raise UsageError(
            f"{run}: its pictures have another order than when it was stopped, and it would come "
            "to another result: some were renamed, or moved in their index; undo that, or give "
            "another folder as --out"
        )
    state.restore(saved)


def measure_on(run: Path, state: State, held_out: str, leads: bool) -> None:
    """Let what is measured from here on be of the held-out pictures with this digest.

    What was measured on others is forgotten, and which state was the best there: a curve has one
    yardstick. A run that is at its end stays as it is. leads: whether this process writes.

    Raises what saving does.
    """
    if state.step == state.steps:
        return
    if state.held_out not in (None, held_out):
        log.warning(
            "%s: its held-out pictures changed; what was measured on the others is forgotten, and "
            "%s begins anew", run, BEST,
        )  # fmt: skip
        state.curve = [replace(row, held_out=None) for row in state.curve]
        state.held_out = held_out
        if leads:
            save(run, state)  # first: after a kill between the two no curve names a best of others
            (run / BEST).unlink(missing_ok=True)
    state.held_out = held_out


def read_checkpoint(path: Path, way_out: str) -> dict[str, Any]:
    """Return what a checkpoint holds; way_out ends the message where it is damaged.

    Raises UnavailableError where it cannot be read.
    """
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        _ = [saved[key] for key in ("step", "steps", "model", "optimizer", "average", "losses")]
        _ = [CurveRow(**row) for row in saved["curve"]]
    except PermissionError as error:
        raise UnavailableError(f"{path}: cannot be read: {error.strerror}") from None
    except (OSError, *DAMAGED):
        raise UnavailableError(f"{path}: is damaged or no checkpoint; {way_out}") from None
    return saved


def save(run: Path, state: State) -> None:
    """Write the checkpoint, also as the best if it is, and the curve for whoever looks on.

    Raises UnavailableError where that cannot be written; the old files stay.
    """
    if state.is_best:  # first: after a kill between the two, this state comes once more
        replace_file(run / BEST, lambda path: _write_checkpoint(path, state))
    replace_file(run / LAST, lambda path: _write_checkpoint(path, state))
    write_json(run / CURVE, [asdict(row) for row in state.curve])


def _write_checkpoint(path: Path, state: State) -> None:
    content = io.BytesIO()  # given a file on a full disk, torch hides what the disk said
    torch.save(state.saved(), content)
    path.write_bytes(content.getbuffer())
