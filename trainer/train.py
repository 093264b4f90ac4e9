"""Training: one function on one screen. tricks.py has what a step does, runs.py what stays."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge.errors import EdgeError
from trainer.data import Picture, check_labels
from trainer.lesson import Test, open_lesson
from trainer.logistic import solve
from trainer.mixture import Mixture, batches
from trainer.net import SlotNet, check_sizes, running_mean, settle
from trainer.recipe import Recipe
from trainer.runs import Row, State, begin, save
from trainer.teacher import open_teacher
from trainer.tricks import half_precision, loss_of, lr_at, make_optimizer, mixed, smoothed
from trainer.workers import Workers, workers

Say = Callable[[State, bool], None]
"""Told after each step; True after the last one of an epoch, when the curve has a new row."""


class DivergedError(EdgeError):
    """The loss is no number any more."""

    exit_code = 69


class StoppedError(EdgeError):
    """Somebody pressed Ctrl-C; what was learnt until then is saved."""

    exit_code = 130


def fit(
    mixture: Mixture,
    run: Path,
    say: Say,
    held_out: Sequence[Picture] = (),
    save_every_s: float = 60,
    teacher: Path | None = None,
) -> None:
    """Train until the recipe's last step, going on where the run folder stopped.

    teacher: the run or bundle that teaches, where it is not the one that the recipe names.

    Raises DivergedError, StoppedError, and what reading a picture raises.
    """
    recipe = mixture.recipe
    check_labels(held_out, recipe.classes)
    with workers(recipe.batch) as team, asked_to_stop() as stop:
        state = prepare(mixture, run, team)
        if recipe.optimizer == "logistic":
            finish(mixture, run, say, held_out, state, team)
            return
        lesson = open_lesson(mixture, held_out, state, team)
        model, half = team.share(lesson.learner), half_precision(recipe, team.device)
        ask_teacher = open_teacher(recipe, team.device, teacher)
        diary = Diary(mixture, lesson.test, save_every_s)
        for x, labels in lesson.batches:
            for group in state.optimizer.param_groups:
                group["lr"] = lr_at(state.step, state.steps, recipe)
            targets = smoothed(labels, len(recipe.classes), recipe).to(team.device)
            chance = np.random.default_rng((recipe.seed, state.step, 2))
            x, targets = mixed(x, targets, recipe, chance)
            with torch.autocast(team.device, half, enabled=half is not None):
                logits = model(x)
            loss = loss_of(logits.float(), targets, x, recipe, ask_teacher)
            diary.note(loss, state)
            state.optimizer.zero_grad()
            state.scaler.scale(loss).backward()
            state.scaler.step(state.optimizer)
            state.scaler.update()
            state.average.update_parameters(state.model)
            state.step += 1

            epoch_ends = diary.look(state)
            stopping = team.any_asks(stop())
            if team.leads and (stopping or state.is_worth_keeping or diary.save_is_due()):
                save(run, state)
            if team.leads:
                say(state, epoch_ends)
            if stopping and state.step < state.steps:
                raise StoppedError(
                    f"{run}: stopped at step {state.step} of {state.steps}; "
                    "the same command goes on"
                )


def finish(
    mixture: Mixture, run: Path, say: Say, held_out: Sequence[Picture], state: State, team: Workers
) -> None:
    """What is solved and not stepped towards has one step, the last."""
    if state.step == state.steps:
        return
    solve(mixture, held_out, state)
    if team.leads:
        save(run, state)
        say(state, True)


def prepare(mixture: Mixture, run: Path, team: Workers) -> State:
    """Return the state that training begins or goes on with."""
    recipe = mixture.recipe
    torch.manual_seed(recipe.seed)
    model = SlotNet(recipe.net, len(recipe.classes), recipe.zero_gamma).to(team.device)
    check_sizes(model, recipe)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    decay = 1 - 1 / max(1.0, recipe.ema * mixture.steps)
    average = running_mean(model, decay)
    fp16 = half_precision(recipe, team.device) is torch.float16
    scaler = torch.amp.GradScaler(team.device, enabled=fp16)
    state = State(model, make_optimizer(model, recipe), average, scaler, mixture.steps)
    begin(run, mixture, state, write=team.leads)
    if state.step == 0 and recipe.net.settle:
        few = islice(
            batches(mixture, 0, mixture.steps), math.ceil(recipe.net.settle / recipe.batch)
        )
        settle(model, [torch.from_numpy(images).to(team.device) for images, _ in few])
    model.train()
    return state


class Diary:
    """Losses and times between two looks, and when it is time for the next."""

    def __init__(self, mixture: Mixture, test: Test | None, save_every_s: float):
        self._recipe, self._epoch_steps = mixture.recipe, mixture.epoch_steps
        self._test, self._save_every_s = test, save_every_s
        self._losses: list[float] = []
        self._began_s = self._saved_s = time.monotonic()

    def note(self, loss: Tensor, state: State) -> None:
        """Remember a step's loss. Raises DivergedError where it is no number."""
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(_why_diverged(value, self._losses, state, self._recipe))
        self._losses.append(value)

    def look(self, state: State) -> bool:
        """Add a row to the curve where an epoch ends; return whether it does."""
        if state.step % self._epoch_steps and state.step != state.steps:
            return False
        count = len(self._losses)
        elapsed_s = time.monotonic() - self._began_s
        held_out = None
        if self._test is not None:
            net = state.average.module
            assert isinstance(net, SlotNet)
            held_out = self._test(net)
        state.curve.append(
            Row(
                step=state.step,
                epoch=round(state.step / self._epoch_steps, 2),
                lr=state.optimizer.param_groups[0]["lr"],
                loss=sum(self._losses) / count,
                held_out=held_out,
                ms_per_image=round(1e3 * elapsed_s / count / self._recipe.batch, 2),
            )
        )
        self._losses.clear()
        self._began_s = time.monotonic()
        return True

    def save_is_due(self) -> bool:
        if time.monotonic() - self._saved_s < self._save_every_s:
            return False
        self._saved_s = time.monotonic()
        return True


def _why_diverged(value: float, losses: Sequence[float], state: State, recipe: Recipe) -> str:
    lr = state.optimizer.param_groups[0]["lr"]
    said = f"the loss is {value} at step {state.step + 1} of {state.steps} (lr {lr:.4g}"
    said += f", loss before {losses[-1]:.4g})" if losses else ")"
    bad = [n for n, p in state.model.named_parameters() if not torch.isfinite(p).all()]
    if bad:
        said += f"; the weights of {bad[0]} are no numbers any more: lower lr, or lengthen warmup"
    elif recipe.precision == "fp16":
        said += "; the weights are fine, so 16 bits overflowed: precision: bf16 or fp32"
    else:
        said += "; lower lr, or lengthen warmup"
    return f"{said}. The last checkpoint is kept"


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C was pressed: a step that has begun is finished first.

    A second Ctrl-C ends the program at once. In a thread that is not the main one nobody asks.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
