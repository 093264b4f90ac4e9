"""Tiny trainings: eight drawn slots, a recipe that is over in a second, and processes to kill.

Processes are forked from a server that has loaded torch once, so that each takes no seconds to
begin; they are processes all the same: they get signals, and a kill -9 leaves them no last word.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import yaml

from trainer import drawn
from trainer.cli import main
from trainer.mixture import Mixture, open_mixture
from trainer.recipe import Recipe
from trainer.train import fit

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["trainer.cli", "edge.publisher", "edge.sinks", "edge.store"])
"""One server for all tests, also for those that kill what is about to publish."""
PATIENCE_S = 60

TINY = {
    "name": "tiny",
    "classes": ["empty", "stocked"],
    "input_size": 32,
    "net": {"arch": "resnet10", "width": 0.125, "blocks": [1, 1], "dropout": 0.2},
    "augment": "crop",
    "epochs": 20,
    "batch": 4,
    "lr": 0.05,
    "warmup": 0.1,
    "mixup": 0.2,
    "ema": 0.2,
    "precision": "fp32",
}
"""Everything that draws at random is on: it must come out the same again."""


def write_photos(folder: Path, count: int = 8, seed: int = 1) -> Path:
    """Write drawn slots as a data set with an index, every other one stocked; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,label,group"]
    for i in range(count):
        image = drawn.slot(np.random.default_rng((seed, i)), bool(i % 2))
        cv2.imwrite(str(folder / f"{i}.png"), image)
        lines.append(f"{i}.png,{'stocked' if i % 2 else 'empty'},g{i}")
    (folder / "index.csv").write_text("\n".join(lines))
    return folder


def tiny(photos: Path, **changes: object) -> Recipe:
    """Return the tiny recipe on these photos, with some keys changed."""
    return Recipe.model_validate(_keys(photos, changes), strict=False)


def write_recipe(path: Path, photos: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump(_keys(photos, changes)))
    return path


def _keys(photos: Path, changes: Mapping[str, object]) -> dict[str, object]:
    return {**TINY, "data": [{"data": str(photos)}], **changes}


def trained(recipe: Recipe, run: Path, save_every_s: float = 60) -> Mixture:
    """Train into the folder, saying nothing; return what the net was fed."""
    mixture = open_mixture(recipe)
    fit(mixture, run, lambda state, epoch_ends: None, mixture.held_out, save_every_s)
    return mixture


def killed_after(recipe: Recipe, run: Path, saves: int, then_s: float) -> None:
    """Train into the folder, saved at each step; end as a kill ends it, soon after some saves."""
    saved = itertools.count(1)
    kill = threading.Timer(then_s, os.kill, (os.getpid(), signal.SIGKILL))
    mixture = open_mixture(recipe)
    fit(mixture, run, lambda *_: next(saved) == saves and kill.start(), mixture.held_out, 0.0)


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def trainer(*arguments: object) -> Result:
    """The command, in this process. A bug raises."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            return Result(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("a command always says how it ended")


@contextlib.contextmanager
def running(
    what: Callable[..., object], *arguments: object, said: Path | str, env: Mapping[str, str] = {}
):
    """Do something in a process of its own whose stderr goes to `said`; end it afterwards."""
    process = SERVER.Process(target=_child, args=(what, arguments, str(said), dict(env)))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _child(what: Callable[..., object], arguments: Sequence[object], said: str, env: dict) -> None:
    os.environ.update(env)
    stderr = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(stderr, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    what(*arguments)


def command(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


def ended(process: BaseProcess) -> int:
    """Return the exit code of a process that ends by itself."""
    process.join(PATIENCE_S)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode


def wait_until(condition: Callable[[], object], process: BaseProcess | None = None) -> None:
    """Wait until something is true; not longer than the process lives that is to make it so."""
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert process is None or process.is_alive(), "the process ended"
        assert time.monotonic() < until_s, "it does not happen"
        time.sleep(0.002)
