"""Training: one function on one screen. tricks.py has what a step does, runs.py what stays."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edge.errors import UnavailableError, UsageError
from trainer.checkpoint import CurveRow, State, measure_on, resume, save
from trainer.data import check_labels, digest, prints
from trainer.lesson import Measure, open_lesson
from trainer.logistic import solve
from trainer.memory import keep_memory
from trainer.mixture import Mixture, batches, size_at
from trainer.net import SlotNet, check_sizes, settle
from trainer.picture import Picture
from trainer.recipe import Recipe
from trainer.runs import claimed_run
from trainer.teacher import net_at_first, open_teacher
from trainer.tricks import (
    half_precision,
    loss_of,
    lr_at,
    make_optimizer,
    mixed,
    resized,
    running_mean,
    smoothed,
)
from trainer.workers import AgreedError, Workers, workers

log = logging.getLogger(__name__)

NO_NUMBERS = "holds no numbers any more: lower lr, or lengthen warmup"

Say = Callable[[State, bool], None]
"""Told after each step; True after the last one of an epoch, when the curve has a new row."""


class DivergedError(AgreedError):
    """The loss, or a weight, is no number any more.

    why: the cause and what to change, without the sentence on the checkpoint: a study shows no
    run's folder.
    """

    exit_code = UnavailableError.exit_code

    def __init__(self, why: str):
        super().__init__(why)  # pickled, it is made from this alone
        self.why = why

    def __str__(self) -> str:
        return f"{self.why}. If a checkpoint was saved before, it is kept"


class StoppedError(AgreedError):
    """Somebody pressed Ctrl-C; what was learnt until then is saved."""

    def __init__(self, message: str, asked_by: int = signal.SIGINT):
        super().__init__(message)
        self.exit_code = 128 + asked_by  # as shells count what a signal ended


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

    Raises DivergedError, StoppedError, and what claiming the folder, saving there, and reading a
    picture raise.
    """
    recipe = mixture.recipe
    check_labels(held_out, recipe.classes)
    with (
        workers(recipe.batch) as team,
        asked_to_stop() as asked,
        claimed_run(run, mixture, team.leads),
    ):
        state = prepare(mixture, run, team, teacher)
        if held_out:
            measure_on(run, state, digest(prints(held_out)), team.leads)
        if recipe.optimizer == "logistic":
            fit_head(mixture, run, say, held_out, state, team)
            stop_if(asked(), run, state)
            return
        lesson = open_lesson(mixture, held_out, state, team)
        model, half = team.share(lesson.learner), half_precision(recipe, team.device)
        ask_teacher = open_teacher(recipe, team.device, teacher)
        clock = Clock(state, save_every_s)
        for x, labels in lesson.batches:
            chance = chance_of(state.step, recipe, team)
            for group in state.optimizer.param_groups:
                group["lr"] = lr_at(state.step, state.steps, recipe)
            targets = smoothed(labels, len(recipe.classes), recipe).to(team.device)
            x, targets = mixed(x, targets, recipe, chance)
            with torch.autocast(team.device, half, enabled=half is not None):
                logits = model(lesson.shown(x, state.step / state.steps))
            loss = loss_of(logits.float(), targets, x, recipe, ask_teacher)
            state.losses.append(checked(team.mean(loss.item()), state))
            descend(loss, state, recipe)

            epoch_ends = state.step % mixture.epoch_steps == 0 or state.step == state.steps
            if epoch_ends:
                state.curve.append(measure_row(state, mixture, lesson.test, clock))
                state.losses.clear()
            is_kept = team.leads and (state.is_worth_keeping or clock.save_is_due())
            asked_by, keeps = map(int, team.highest(asked(), is_kept))
            if asked_by or keeps:
                check_weights(state)  # in each process, so that all of them end
                if team.leads:
                    save(run, state)
            if team.leads:
                say(state, epoch_ends)
            stop_if(asked_by, run, state)
        (asked_by,) = map(int, team.highest(asked()))
        stop_if(asked_by, run, state)


def stop_if(asked_by: int, run: Path, state: State) -> None:
    """Raise StoppedError where somebody asked to, also after the last step: more may follow."""
    if asked_by:
        raise StoppedError(
            f"{run}: stopped at step {state.step} of {state.steps}; the same command goes on",
            asked_by,
        )


def fit_head(
    mixture: Mixture, run: Path, say: Say, held_out: Sequence[Picture], state: State, team: Workers
) -> None:
    """Fit a logistic head by a solver, not by descent; such a run has one step."""
    if state.step == state.steps:
        return
    solve(mixture, held_out, state)
    if team.leads:
        save(run, state)
        say(state, True)


def prepare(mixture: Mixture, run: Path, team: Workers, teacher: Path | None = None) -> State:
    """Return the state that training begins or goes on with."""
    keep_memory()
    recipe, half = mixture.recipe, half_precision(mixture.recipe, team.device)
    steps = recipe.optimizer != "logistic"
    if recipe.precision == "auto" and half is None and team.leads and steps:
        say_once("this processor does not multiply bfloat16: training in fp32")
    torch.backends.cudnn.allow_tf32 = recipe.precision != "fp32"  # it rounds to 10 bits
    torch.manual_seed(recipe.seed)
    net = net_at_first(recipe, teacher)
    model = SlotNet(net, len(recipe.classes), recipe.zero_gamma).to(team.device)
    check_sizes(model, recipe, team.count)
    model.channels_last = recipe.channels_last
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    average = running_mean(model, recipe.ema * mixture.steps)
    scaler = torch.amp.GradScaler(team.device, enabled=half is torch.float16)
    state = State(model, make_optimizer(model, recipe), average, scaler, mixture.steps)
    resume(run, state, mixture.order_digest())
    (furthest,) = team.highest(state.step)
    if state.step < furthest:
        raise UsageError(f"{run}: process {team.rank} sees an older run; all need the same folder")
    if state.step == 0 and recipe.net.settle:
        few = batches(mixture, 0, math.ceil(recipe.net.settle / recipe.batch))
        shown = (torch.from_numpy(images).to(team.device) for images, _ in few)
        settle(model, [resized(images, size_at(recipe, 0)) for images in shown])
    model.train()
    return state


@cache
def say_once(message: str) -> None:
    """A study trains a hundred times in one process."""
    log.warning(message)


def descend(loss: torch.Tensor, state: State, recipe: Recipe) -> None:
    """Take one step down the loss, and one of the running mean behind it."""
    state.optimizer.zero_grad()
    state.scaler.scale(loss).backward()
    if recipe.clip_gradient:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip_gradient)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.average.update_parameters(state.model)
    state.step += 1


def chance_of(step: int, recipe: Recipe, team: Workers) -> np.random.Generator:
    """Return what a step draws from, the same in all processes, and seed torch's dropout anew.

    Both follow from the step, so that a run which goes on draws what it would have drawn.
    """
    chance = np.random.default_rng((recipe.seed, step, 2))
    torch.manual_seed(int(chance.integers(2**62)) + team.rank)
    return chance


def measure_row(state: State, mixture: Mixture, test: Measure | None, clock: Clock) -> CurveRow:
    """Return the curve's next row. Accuracy is that on held-out pictures: on mixed ones it would
    mean nothing."""
    ms_per_image = clock.ms_per_image(state, mixture.recipe.batch)
    net = state.average.module
    assert isinstance(net, SlotNet)
    with clock.stopped():
        held_out = test(net) if test else None
    return CurveRow(
        step=state.step,
        epoch=round(mixture.epochs_after(state.step), 2),
        lr=state.optimizer.param_groups[0]["lr"],
        loss=sum(state.losses) / len(state.losses),
        held_out=held_out,
        ms_per_image=round(ms_per_image, 2),
    )


class Clock:
    """How long pictures take, testing not counted, and when the next save is due."""

    def __init__(self, state: State, save_every_s: float):
        self._save_every_s = save_every_s
        self._step, self._began_s = state.step, time.monotonic()
        self._saved_s = self._began_s

    def ms_per_image(self, state: State, batch: int) -> float:
        """Return the mean since the last time that somebody asked."""
        now_s = time.monotonic()
        mean = 1e3 * (now_s - self._began_s) / (state.step - self._step) / batch
        self._step, self._began_s = state.step, now_s
        return mean

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done within is no training."""
        began_s = time.monotonic()
        yield
        self._began_s += time.monotonic() - began_s

    def save_is_due(self) -> bool:
        if time.monotonic() - self._saved_s < self._save_every_s:
            return False
        self._saved_s = time.monotonic()
        return True


def checked(loss: float, state: State) -> float:
    """Return the loss. Raises DivergedError, with the cause, where it is no number."""
    if not math.isfinite(loss):
        raise DivergedError(why_diverged(loss, state))
    return loss


def check_weights(state: State) -> None:
    """Raise DivergedError before weights are saved with which nobody could go on."""
    if name := first_not_finite(state.model):
        lr = state.optimizer.param_groups[0]["lr"]
        raise DivergedError(
            f"after step {state.step} of {state.steps} (lr {lr:.4g}) {name} {NO_NUMBERS}"
        )


def first_not_finite(model: nn.Module) -> str | None:
    """Return the name of the first weight or BatchNorm statistic that is no number."""
    values = model.state_dict().items()
    return next((name for name, value in values if not torch.isfinite(value).all()), None)


def why_diverged(loss: float, state: State) -> str:
    """Return what happened, why, and what to change."""
    lr = state.optimizer.param_groups[0]["lr"]
    said = f"the loss is {loss} at step {state.step + 1} of {state.steps} (lr {lr:.4g}"
    said += f", loss before {state.losses[-1]:.4g})" if state.losses else ")"
    weights = first_not_finite(state.model)
    if weights:
        said += f"; {weights} {NO_NUMBERS}"
    elif state.scaler.is_enabled():
        said += "; the weights are fine, so 16 bits overflowed: precision: bf16 or fp32"
    else:
        said += "; lower lr, or lengthen warmup"
    return said


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], int]]:
    """Yield what tells which signal asked to stop, Ctrl-C's or a service manager's, 0 for none.

    A step that has begun is finished first. A second Ctrl-C ends the program at once; a service
    manager may ask several times, and has another signal for that. In a thread that is not the main
    one nobody asks.
    """
    asked: list[int] = []

    def note(signal_number: int, frame: object) -> None:
        asked.append(signal_number)
        if signal_number == signal.SIGINT:
            restore()

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        yield lambda: 0
        return
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        restore()
