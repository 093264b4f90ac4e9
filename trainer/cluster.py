"""A study's fits as tasks of a Ray cluster that is there already.

Each machine needs the same Python, Ray and shelf-edge, and the pictures and weights where the
recipe says they are; no folder is shared. Where the cluster has GPUs when a study begins, each task
takes one, and machines without a GPU take none. A task works in a folder of its own and sends its
files back, and only the one that asked writes them into the study: so a machine that is lost costs
a fit, no more.
"""

from __future__ import annotations

import logging
import platform
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.errors import EdgeError, UnavailableError
from trainer.files import replace_file
from trainer.jobs import (
    ElsewhereError,
    Job,
    Pool,
    carry_out,
    folder_of,
    is_done,
    make_job,
    one_thread,
)
from trainer.recipe import Recipe
from trainer.train import DivergedError

log = logging.getLogger(__name__)

CLIENT_PORT, KNOCK_S = 10001, 5
TRIES = 4  # to get a server of Ray's
HOW_TO_GET = "pip install -e '.[trainer,cluster]' in the checkout, also on each of its machines"


@dataclass(frozen=True)
class Sent:
    """What a task sends back: its files by name, or why there are none."""

    files: dict[str, bytes]
    message: str | None = None
    exit_code: int = 0


def work(
    address: str,
    study: Path,
    jobs: Sequence[Job],
    recipe: Recipe,
    keep_runs: bool,
    done: Callable[[Job], None],
) -> None:
    """Do the jobs that are not done on the cluster at an address: ray://HOST:10001, auto, local.

    recipe: whose data is the pool that the jobs' numbers mean. Raises UnavailableError where there
    is no Ray or no such cluster, ElsewhereError with what a fit raised.
    """
    ray = _connect(address)
    try:
        gpus = min(1, int(ray.cluster_resources().get("GPU", 0)))  # else all would share the first
        task = ray.remote(num_cpus=1, num_gpus=gpus)(_carry_out)
        teachers: dict[str, Any] = {}
        asked: dict[Any, Job] = {}
        for job in jobs:
            if is_done(study, job):
                continue
            teacher = None
            if job.teacher is not None:
                digest = job.teacher.digest
                if digest not in teachers:
                    teachers[digest] = task.remote(job.teacher, recipe, None, True)
                    if keep_runs:
                        asked[teachers[digest]] = job.teacher
                teacher = teachers[digest]
            asked[task.remote(job, recipe, teacher, keep_runs)] = job
        while asked:
            first, sent = _received(ray, list(asked))
            job = asked.pop(first)
            _write(folder_of(study, job), sent)
            done(job)
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    """Return Ray, connected."""
    try:
        import ray
    except ImportError:
        raise UnavailableError(f"--on {address}: Ray is not installed: {HOW_TO_GET}") from None
    try:
        _knock(address)
        _init(ray, address)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UnavailableError(
            f"--on {address}: no Ray cluster answers there ({first}); start one with 'ray start "
            "--head', or work here with --workers"
        ) from None
    return ray


def _init(ray: Any, address: str) -> None:
    """Join the cluster. Raises what Ray does, OSError where its server cannot be had for long.

    Ray forks a server for each client, beside gRPC's threads; now and then that one dies at once
    (github.com/ray-project/ray/issues/63202), and the next one lives.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionAbortedError as error:
            ray.shutdown()
            if not tries_left:
                raise
            log.warning("%s: Ray's server for us did not start; once more (%s)", address, error)
        else:
            return


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for half a minute."""
    _, found, place = address.partition("://")
    if found:
        parts = urlsplit(f"//{place}")
        socket.create_connection((parts.hostname or "", parts.port or CLIENT_PORT), KNOCK_S).close()


def _received(ray: Any, references: Sequence[Any]) -> tuple[Any, Sent]:
    """Wait for the first task that ends; return its reference and what it sends."""
    try:
        (first, *_), _ = ray.wait(references)
        sent: Sent = ray.get(first)
    except (ray.exceptions.RayError, ConnectionError) as error:
        lost = ray.exceptions.RayError | OSError  # its teacher, or room on a disk
        if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error.cause, lost):
            raise  # a bug, which the same command would meet again
        first = str(error).strip().partition("\n")[0]
        raise UnavailableError(
            f"a task was lost ({first}); the same command goes on with what is left"
        ) from None
    if sent.message is not None:
        raise ElsewhereError(str(sent.message), sent.exit_code)
    return first, sent


def _write(folder: Path, sent: Sent) -> None:
    """Write the files of a job; its result comes last, for with it the job is done."""
    for name in sorted(sent.files, key=lambda name: name == "result.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        replace_file(folder / name, partial(Path.write_bytes, data=sent.files[name]))


def _carry_out(job: Job, recipe: Recipe, teacher: Sent | None, keep_run: bool) -> Sent:
    """Do a job on whichever machine this is. Explainable failures travel as what they say."""
    if teacher is not None and teacher.message is not None:
        return teacher
    try:
        pool = _pool(recipe)
        _check_same(job, pool)
        with tempfile.TemporaryDirectory() as name, one_thread():
            folder, teachers = Path(name, "job"), Path(name, "teacher")
            folder.mkdir()
            if teacher is not None:
                _write(teachers, teacher)
            carry_out(job, folder, pool, teachers / "run" if teacher is not None else None)
            files = [file for file in folder.rglob("*") if file.is_file()]
            content = {str(file.relative_to(folder)): file.read_bytes() for file in files}
    except DivergedError as error:
        return Sent({}, error.why, error.exit_code)  # its checkpoint goes with this folder
    except EdgeError as error:
        return Sent({}, str(error), error.exit_code)
    return Sent({n: c for n, c in content.items() if keep_run or not n.startswith("run/")})


@lru_cache(1)
def _pool(recipe: Recipe) -> Pool:
    return Pool(recipe)


def _check_same(job: Job, pool: Pool) -> None:
    """Raise UnavailableError where this machine has other pictures, or weights to begin with, than
    the one that asks."""
    _check_same_weights(job, pool)
    last = max(job.learns + job.asked)
    if last < len(pool.pictures):
        here = make_job(job.name, job.recipe, pool, job.learns, job.asked, job.teacher)
        if here.digest == job.digest:
            return
    raise UnavailableError(
        f"{platform.node()}: the pictures of the recipe's data are others there; each machine of "
        "the cluster needs the same ones at the same place"
    )


def _check_same_weights(job: Job, pool: Pool) -> None:
    try:
        weights = pool.weights_of(job.recipe)
    except UnavailableError as error:
        raise UnavailableError(f"{platform.node()}: {error}") from None
    if weights != job.weights:
        raise UnavailableError(
            f"{platform.node()}: net.weights: {job.recipe.net.weights}: holds other weights there; "
            "each machine of the cluster needs the same ones at the same place"
        )
