"""One fit by two processes that share every batch: torchrun's way out of one machine, over gloo."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
from conftest import REPOSITORY
from fitting import (
    PATIENCE_S,
    command,
    ended,
    running,
    tiny,
    trained,
    trainer,
    wait_until,
    write_photos,
    write_recipe,
)

from edge.errors import UsageError
from trainer.checkpoint import LAST, State
from trainer.mixture import open_mixture
from trainer.recipe import Recipe
from trainer.runs import load_run
from trainer.train import StoppedError, fit
from trainer.workers import joined, leads, workers

PLAIN = {"mixup": 0, "net": {"arch": "resnet10", "width": 0.125, "blocks": [1, 1]}}
"""Nothing in it depends on how a batch is shared, but BatchNorm."""
FROZEN = PLAIN | {"net": PLAIN["net"] | {"freeze_norm": True}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@contextlib.contextmanager
def two(what, *arguments: object, folder: Path) -> Iterator[list]:
    """Yield two processes that do the same, told who they are as torchrun would tell them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    env |= {"GLOO_SOCKET_IFNAME": "lo"}  # else a machine whose name leads nowhere is told of
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                running(what, *arguments, said=folder / f"said{n}", env=env | {"RANK": str(n)})
            )
            for n in range(2)
        ]


def said_by(folder: Path) -> list[str]:
    return [(folder / f"said{n}").read_text() for n in range(2)]


def state_dict(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run).net.state_dict()


def assert_close(one: Path, other: Path, tolerance: float) -> None:
    first, second = state_dict(one), state_dict(other)
    for key in first:
        torch.testing.assert_close(first[key], second[key], atol=tolerance, rtol=tolerance)


def test_torchrun_gives_what_one_process_gives_where_no_norm_depends_on_the_share(photos, tmp_path):
    held_out = [{"data": str(write_photos(tmp_path / "five", 5))}]
    write_recipe(tmp_path / "better.yaml", photos, **FROZEN)
    distill = {"teacher": "better.yaml", "temperature": 1}
    # Two losses make longer steps: at the teacher's rate rounding grew tenfold with each of them.
    taught = FROZEN | {"held_out": held_out, "distill": distill, "lr": 0.01}
    recipe = write_recipe(tmp_path / "r.yaml", photos, **taught)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "trainer.cli", "fit", str(recipe), "--out", str(tmp_path / "two")],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=2 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert trainer("fit", recipe, "--out", tmp_path / "one").returncode == 0
    assert_close(tmp_path / "one-teacher", tmp_path / "two-teacher", 1e-5)
    assert_close(tmp_path / "one", tmp_path / "two", 1e-5)

    one, both = (load_run(tmp_path / name).curve for name in ("one", "two"))
    assert [row.step for row in both] == [row.step for row in one]
    assert [row.loss for row in both] == pytest.approx([row.loss for row in one], abs=1e-5)
    # Five pictures, no divisor of two: a padded test would count one of them twice.
    assert [row.held_out for row in both] == [row.held_out for row in one]
    assert done.stdout == f"{tmp_path / 'two'}\n"
    assert len(re.findall(r"^step .*loss", done.stderr, re.MULTILINE)) == 2 * len(both)


def test_a_rank_that_somebody_left_in_the_environment_makes_nobody_follow(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert leads()
    with workers(5) as alone:
        assert (alone.rank, alone.count, alone.leads) == (0, 1, True)


def test_with_batch_norm_two_processes_differ_by_no_more_than_two_seeds(photos, tmp_path):
    changes = PLAIN | {"epochs": 10, "batch": 8, "lr": 0.02}
    recipe = write_recipe(tmp_path / "r.yaml", photos, **changes)
    with two(command, "fit", recipe, "--out", tmp_path / "two", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [0, 0]
    for seed in range(4):
        trained(tiny(photos, seed=seed, **changes), tmp_path / str(seed))
    one, *others = (last_loss(tmp_path / str(seed)) for seed in range(4))
    noise = max(abs(one - other) for other in others)
    assert 0 < abs(last_loss(tmp_path / "two") - one) <= noise


def last_loss(run: Path) -> float:
    return load_run(run).curve[-1].loss


def test_what_two_processes_began_they_go_on_with(photos, tmp_path):
    recipe = tiny(photos, **FROZEN)
    with two(fit_and_stop, recipe, tmp_path / "run", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [130, 130]
    assert torch.load(tmp_path / "run" / LAST, weights_only=True)["step"] == 9
    with two(trained, recipe, tmp_path / "run", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [0, 0]
    trained(recipe, tmp_path / "one")
    assert_close(tmp_path / "one", tmp_path / "run", 1e-5)


def fit_and_stop(recipe: Recipe, run: Path) -> None:
    def ctrl_c(state: State, epoch_ends: bool) -> None:
        if state.step == 8:
            signal.raise_signal(signal.SIGINT)

    try:
        fit(open_mixture(recipe), run, ctrl_c)
    except StoppedError as stopped:
        raise SystemExit(stopped.exit_code) from None


def test_a_signal_to_one_of_them_stops_both_and_one_says_so(photos, tmp_path):
    recipe, run = write_recipe(tmp_path / "r.yaml", photos, epochs=100_000), tmp_path / "run"
    with two(command, "fit", recipe, "--out", run, folder=tmp_path) as processes:
        leading = tmp_path / "said0"
        wait_until(lambda: leading.exists() and "loss" in leading.read_text(), processes[0])
        os.kill(processes[1].pid, signal.SIGTERM)
        assert [ended(process) for process in processes] == [143, 143]
    first, second = said_by(tmp_path)
    assert re.search(
        r"^error: .*/run: stopped at step \d+ of 200000; the same command", first, re.M
    )
    assert second == ""
    assert load_run(run, unfinished=True)


def test_a_batch_that_cannot_be_shared_is_refused_before_a_teacher_is_trained(photos, tmp_path):
    write_recipe(tmp_path / "better.yaml", photos, batch=4)
    distill = {"teacher": "better.yaml", "temperature": 1}
    recipe = write_recipe(tmp_path / "r.yaml", photos, batch=5, distill=distill)
    with two(command, "fit", recipe, "--out", tmp_path / "run", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [2, 2]
    assert "batch: 5 pictures cannot be shared by 2 processes evenly" in said_by(tmp_path)[0]
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "run-teacher").exists()


def test_an_error_in_one_of_them_ends_both(photos, tmp_path):
    recipe, run = write_recipe(tmp_path / "r.yaml", photos, epochs=100_000), tmp_path / "run"
    with two(command, "fit", recipe, "--out", run, folder=tmp_path) as processes:
        leading = tmp_path / "said0"
        wait_until(lambda: leading.exists() and "loss" in leading.read_text(), processes[0])
        os.kill(processes[1].pid, signal.SIGKILL)
        assert ended(processes[0]) == 69
    last = said_by(tmp_path)[0].splitlines()[-1]
    assert last.startswith("error: process 0: another process of this training ended")


def test_a_loss_without_a_number_in_one_share_ends_both_after_the_same_step(photos, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", photos, lr=1e6)
    with two(command, "fit", recipe, "--out", tmp_path / "run", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [69, 69]
    first, second = said_by(tmp_path)
    assert "lower lr" in first
    assert second == ""


def test_weights_without_a_number_end_both_and_one_says_so(photos, tmp_path):
    """The loss of the only step is a number; what is made of it is none."""
    recipe = write_recipe(tmp_path / "r.yaml", photos, epochs=None, steps=1, lr=1e42, warmup=0.0)
    with two(command, "fit", recipe, "--out", tmp_path / "run", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [69, 69]
    first, second = said_by(tmp_path)
    assert "holds no numbers any more" in first
    assert second == ""


def test_both_must_see_the_same_run(photos, tmp_path):
    recipe = tiny(photos, **FROZEN)
    with two(fit_and_stop, recipe, tmp_path / "run", folder=tmp_path) as processes:
        assert [ended(process) for process in processes] == [130, 130]
    with two(fit_elsewhere, recipe, tmp_path / "run", folder=tmp_path) as processes:
        assert ended(processes[1]) != 0
    assert "process 1 sees an older run; all need the same folder" in said_by(tmp_path)[1]


def fit_elsewhere(recipe: Recipe, run: Path) -> None:
    """As on two machines that do not share a disk."""
    trained(recipe, run if os.environ["RANK"] == "0" else run.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("local_rank", "said"),
    [
        (None, "WORLD_SIZE is set but not LOCAL_RANK: start the processes with torchrun"),
        ("2", "process 2 has no GPU of its own, this machine has 2: start torchrun with "
              "--nproc-per-node 2"),
    ],
)  # fmt: skip
def test_more_processes_than_gpus_are_refused(monkeypatch, local_rank, said):
    """Played: here is no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    if local_rank is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    with pytest.raises(UsageError) as raised, joined(batch=4):
        pytest.fail("it joined")
    assert str(raised.value) == said
