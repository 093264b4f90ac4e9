"""A study on a Ray cluster of two workers on this machine: the same numbers as without."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from conftest import REPOSITORY, missing
from fitting import trainer, wait_until, write_photos, write_recipe

from edge.errors import UnavailableError
from trainer.cluster import TRIES, _carry_out, _connect, _pool, _received
from trainer.jobs import Pool, make_job
from trainer.recipe import changed, load_recipe

TEACHER = (
    "name: teacher\ninput_size: 32\nepochs: 1\nbatch: 8\nnet: {arch: resnet10, width: 0.125}\n"
)
STUDY = ("--folds", 2, "--repeats", 1)


def free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    with contextlib.closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[str]:
    """The address of a cluster with two processors; its processes are a group of their own."""
    try:
        import ray  # noqa: F401
    except ImportError:
        missing("Ray is not installed: pip install -e .[trainer,cluster]")
    port, folder = free_port(), tmp_path_factory.mktemp("ray")
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus=2"]
    options = {
        "node-ip-address": "127.0.0.1", "port": free_port(), "ray-client-server-port": port,
        "include-dashboard": "false", "temp-dir": folder, "object-store-memory": 80_000_000,
    }  # fmt: skip
    command += [f"--{key}={value}" for key, value in options.items()]
    env = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(REPOSITORY)}
    with (folder / "said").open("w") as said:
        head = subprocess.Popen(command, stdout=said, stderr=said, env=env, start_new_session=True)
    try:
        wait_until(lambda: answers(port) or head.poll() is not None)
        assert head.poll() is None, (folder / "said").read_text()
        yield f"ray://127.0.0.1:{port}"
    finally:
        os.killpg(head.pid, signal.SIGKILL)  # asked politely, it drains for half a minute
        head.wait()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    photos = write_photos(folder / "photos", 12)
    (folder / "teacher.yaml").write_text(TEACHER)
    return write_recipe(
        folder / "tiny.yaml", photos, epochs=2, distill={"teacher": "teacher.yaml"}
    )  # fmt: skip


@pytest.mark.slow
def test_a_study_on_a_cluster_gives_the_same_numbers_as_here(cluster, recipe, tmp_path):
    for name, where in (("here", ()), ("there", ("--on", cluster))):
        result = trainer("kfold", recipe, *STUDY, "--out", tmp_path / name, *where)
        assert result.returncode == 0, result.stderr
    here, there = (np.load(tmp_path / name / "oof" / "single.npz") for name in ("here", "there"))
    assert all(np.array_equal(here[key], there[key]) for key in here.files)
    assert sorted(file.name for file in (tmp_path / "here" / "jobs").iterdir()) == sorted(
        file.name for file in (tmp_path / "there" / "jobs").iterdir()
    )
    done = [*(tmp_path / "there").glob("jobs/*/result.json")]
    before = [file.stat().st_mtime_ns for file in done]
    again = trainer("kfold", recipe, *STUDY, "--out", tmp_path / "there", "--on", cluster, "--json")
    assert json.loads(again.stdout)["rows"][0]["fits"] == 2
    assert [file.stat().st_mtime_ns for file in done] == before, "what is done is not done again"


@pytest.mark.slow
def test_runs_are_kept_there_as_here_the_teachers_too(cluster, recipe, tmp_path):
    kept = []
    for name, where in (("here", ()), ("there", ("--on", cluster))):
        result = trainer("kfold", recipe, *STUDY, "--keep-runs", "--out", tmp_path / name, *where)
        assert result.returncode == 0, result.stderr
        runs = (tmp_path / name / "jobs").glob("*/run/last.pt")
        kept.append(sorted(file.parent.parent.name for file in runs))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 4


@pytest.mark.slow
def test_what_went_wrong_there_is_said_here(cluster, recipe, tmp_path):
    pupil = tmp_path / "tiny.yaml"
    pupil.write_text(recipe.read_text())
    diverging = TEACHER.replace("epochs: 1", "epochs: 9")
    (tmp_path / "teacher.yaml").write_text(f"{diverging}lr: 1.0e+12\n")
    result = trainer("kfold", pupil, *STUDY, "--out", tmp_path / "s", "--on", cluster)
    assert result.returncode == 69
    assert result.stderr.startswith("error: the loss is ")
    assert result.stderr.rstrip().endswith("lower lr, or lengthen warmup")


@pytest.mark.slow
def test_a_bug_there_is_a_bug_here_and_no_loss(cluster):
    ray = _connect(cluster)
    try:
        with pytest.raises(ZeroDivisionError):
            _received(ray, [ray.remote(lambda: 1 // 0).remote()])
    finally:
        ray.shutdown()


@pytest.mark.parametrize(("dying", "said"), [(TRIES - 1, None), (TRIES, "Initialization failure")])
def test_a_server_of_rays_that_dies_when_it_is_forked_is_asked_for_again(monkeypatch, dying, said):
    begun = []

    def init(**_):
        begun.append(1)
        if len(begun) <= dying:
            raise ConnectionAbortedError("Initialization failure from server:")

    fake = SimpleNamespace(init=init, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", fake)
    if said is None:
        assert _connect("auto") is fake
    else:
        with pytest.raises(UnavailableError, match=said):
            _connect("auto")
    assert len(begun) == TRIES


@pytest.mark.parametrize("call", ["wait", "get"])
def test_a_head_that_is_lost_is_one_message(call):
    def lost(_):
        raise ConnectionError(
            "Request can't be sent because the Ray client has already been closed"
        )

    fake = SimpleNamespace(
        wait=lambda tasks: (tasks, []),
        get=lambda task: task,
        exceptions=SimpleNamespace(RayError=RuntimeError, RayTaskError=KeyError),
    )
    setattr(fake, call, lost)
    with pytest.raises(UnavailableError, match=r"a task was lost .*; the same command goes on"):
        _received(fake, ["task"])


class TaskFailed(RuntimeError):
    """As Ray's: `cause` is what was raised on the other machine."""

    def __init__(self, cause: Exception):
        super().__init__(str(cause))
        self.cause = cause


@pytest.mark.parametrize("cause", [RuntimeError("its worker died"), OSError("No space left")])
def test_a_pupil_whose_teacher_was_lost_is_a_loss_and_no_bug(cause):
    def lost(_):
        raise TaskFailed(cause)

    errors = SimpleNamespace(RayError=RuntimeError, RayTaskError=TaskFailed)
    fake = SimpleNamespace(wait=lambda tasks: (tasks, []), get=lost, exceptions=errors)
    with pytest.raises(UnavailableError, match=r"a task was lost .*; the same command goes on"):
        _received(fake, ["task"])


def test_a_machine_with_other_weights_or_none_is_told(recipe, tmp_path):
    weights = tmp_path / "w.pt"
    weights.write_text("as here")
    begun = changed(load_recipe(recipe), [f"net.weights={weights}"])
    job = make_job("job", begun, Pool(begun), (0, 1, 2, 3), (4, 5))
    weights.write_text("as there")
    sent = _carry_out(job, begun, None, keep_run=False)
    assert (sent.files, sent.exit_code) == ({}, 69)
    assert f"net.weights: {weights}: holds other weights there" in str(sent.message)

    weights.unlink()
    _pool.cache_clear()  # a task there begins in a process of its own
    sent = _carry_out(job, begun, None, keep_run=False)
    assert f"{platform.node()}: {weights}: cannot read the weights" in str(sent.message)


def test_a_cluster_that_is_not_there_is_one_message(recipe, tmp_path):
    pytest.importorskip("ray", reason="without Ray the message is another one")
    address = f"ray://127.0.0.1:{free_port()}"
    result = trainer("kfold", recipe, *STUDY, "--out", tmp_path, "--on", address)
    assert result.returncode == 69
    assert len(result.stderr.splitlines()) == 1
    assert f"--on {address}: no Ray cluster answers there" in result.stderr


def test_where_ray_is_not_installed_it_is_said_how_to_get_it(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = trainer("kfold", recipe, *STUDY, "--out", tmp_path, "--on", "auto")
    assert result.returncode == 69
    assert "pip install -e '.[trainer,cluster]'" in result.stderr
