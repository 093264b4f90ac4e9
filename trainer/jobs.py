"""One fit of a study: a recipe learns from some pictures and is asked about others.

    STUDY/jobs/<digest>/result.json   what came out; written last: with it the job is done
                        oof.npz       the probabilities of the pictures that were asked about
                        claim         locked by the process that works on it, as long as it lives
                        run/          the run folder, until the job is done

Any number of processes may work through the same jobs in the same folder. The kernel lets go of a
lock when its process ends, however that ends, so nobody has to guess whether a claim is stale.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edge.errors import EdgeError, UnavailableError
from trainer.answering import RunModel, predict, true_columns
from trainer.checkpoint import CurveRow
from trainer.data import prints, read_source
from trainer.files import DAMAGED_NPZ, expanded, make_folder, replace_file, write_json
from trainer.folds import Indices
from trainer.mixture import Mixture
from trainer.picture import Picture
from trainer.recipe import Recipe
from trainer.runs import load_run
from trainer.series import in_series
from trainer.train import DivergedError, fit
from trainer.weights import HOW_TO_GET

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.5
"""How long to wait for jobs that another process works on."""


class ElsewhereError(EdgeError):
    """What a fit in another process, or on another machine, had to say; its exit code is kept."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


class Pool:
    """All pictures of a study, in the order of its recipe's sources."""

    def __init__(self, recipe: Recipe):
        sources = [read_source(each, recipe.unreadable) for each in recipe.data]
        if recipe.series:
            sources = in_series(sources)
        self.pictures = [picture for own in sources for picture in own]
        self.labels = [picture.label for picture in self.pictures]
        self._sources = len(sources)
        self._source_of = [number for number, own in enumerate(sources) for _ in own]
        self._weights: dict[str, str] = {}

    def of_sources(self, indices: Indices) -> list[list[Picture]]:
        """Return the pictures with these numbers, a list for each source."""
        chosen: list[list[Picture]] = [[] for _ in range(self._sources)]
        for index in indices:
            chosen[self._source_of[index]].append(self.pictures[index])
        return chosen

    @cached_property
    def prints(self) -> list[str]:
        """Label, box and content of each picture: what a job's digest is made of."""
        return prints(self.pictures)

    def weights_of(self, recipe: Recipe) -> str | None:
        """Return sixteen hex digits of what is in the file that net.weights names, read once.

        None: the net begins with none, or with published ones, which their name is enough for.
        Raises UnavailableError where the file cannot be read.
        """
        named = recipe.net.weights
        if named is None or named == "imagenet":
            return None
        if named not in self._weights:
            self._weights[named] = _digest_of_file(expanded(named))
        return self._weights[named]


def _digest_of_file(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UnavailableError(
            f"{file}: cannot read the weights: {error.strerror}; {HOW_TO_GET}"
        ) from None


@dataclass(frozen=True)
class Job:
    """learns, asked: numbers of the pool's pictures. recipe has the seed of just this fit.

    teacher: the job whose run this one learns from; it learns from the same pictures. weights: what
    `Pool.weights_of` says of those it begins with.
    """

    name: str
    recipe: Recipe
    learns: Indices
    asked: Indices
    digest: str
    teacher: Job | None = None
    weights: str | None = None


def make_job(
    name: str,
    recipe: Recipe,
    pool: Pool,
    learns: Indices,
    asked: Indices = (),
    teacher: Job | None = None,
) -> Job:
    """Return the job; its digest covers recipe, pictures, teacher and weights."""
    seen = [[pool.prints[i] for i in indices] for indices in (learns, asked)]
    about: list[object] = [recipe.digest(training_only=True), seen, teacher and teacher.digest]
    if recipe.temperature:  # not trained, but in the probabilities
        about.append(recipe.temperature.model_dump())
    weights = pool.weights_of(recipe)
    if weights:  # in the recipe is but the name of their file
        about.append(weights)
    return Job(name, recipe, learns, asked, digest_of(about), teacher, weights)


def digest_of(content: object) -> str:
    """Return sixteen hex digits of what JSON can hold."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Result:
    """What a job left, beside its probabilities.

    top1: of the pictures that were asked about. train_s: seconds of training, however often it was
    stopped. ms_per_image: of the finished net, one thread. diverged: why there is none of this.
    """

    top1: float | None = None
    train_s: float | None = None
    ms_per_image: float | None = None
    diverged: str | None = None


def folder_of(study: Path, job: Job) -> Path:
    return study / "jobs" / job.digest


def is_done(study: Path, job: Job) -> bool:
    """Return whether there is all that a job leaves; without it, or if some is damaged, it is done
    again."""
    try:
        result = read_result(study, job)
    except (OSError, ValueError, TypeError):
        return False
    if not job.asked or result.diverged is not None:
        return True
    try:  # all of it is read: its directory alone tells of no changed bit
        return len(read_probabilities(study, job)) == len(job.asked)
    except DAMAGED_NPZ:
        return False


def read_result(study: Path, job: Job) -> Result:
    return Result(**json.loads((folder_of(study, job) / "result.json").read_text()))


def read_probabilities(study: Path, job: Job) -> NDArray[np.float32]:
    """Return the probabilities (asked, classes) of a job that came to its end."""
    with np.load(folder_of(study, job) / "oof.npz") as found:
        return np.asarray(found["probabilities"], np.float32)


def work(
    study: Path, jobs: Sequence[Job], pool: Pool, keep_runs: bool, done: Callable[[Job], None]
) -> None:
    """Do the jobs, in order, that no other process does; return when all are done.

    Raises what a fit raises; what was done until then stays.
    """
    idle, waiting = True, list(jobs)
    with one_thread():
        while waiting := [job for job in waiting if not is_done(study, job)]:
            if any(_try(study, job, pool, keep_runs, done) for job in waiting):
                idle = False
                continue
            if idle:
                log.warning("%s: other processes do all that is left; waiting for them", study)
                idle = False
            time.sleep(LOOK_AGAIN_S)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in another order are other sums: a result may not hang on the processor's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # scikit-learn's sums
            yield
    finally:
        torch.set_num_threads(before)


def _try(
    study: Path, job: Job, pool: Pool, keep_runs: bool, done: Callable[[Job], None]
) -> bool:  # fmt: skip
    """Do the job, or first its teacher's; return whether there was something to do."""
    if job.teacher is not None and not is_done(study, job.teacher):
        return _try(study, job.teacher, pool, keep_runs, done)
    folder = folder_of(study, job)
    with claimed_job(folder) as ours:
        if not ours or is_done(study, job):
            return False
        teacher = None if job.teacher is None else folder_of(study, job.teacher) / "run"
        carry_out(job, folder, pool, teacher)
        if job.asked and not keep_runs:
            shutil.rmtree(folder / "run", ignore_errors=True)  # another process tidies up, too
    done(job)
    return True


@contextmanager
def claimed_job(folder: Path) -> Iterator[bool]:
    """Yield whether the job is ours for now; whoever looks into the claim sees whose it is.

    Raises UnavailableError where the folder cannot be written to.
    """
    make_folder(folder)
    try:
        claim = (folder / "claim").open("a+")
    except OSError as error:
        raise _unwritable(folder, error) from None
    with claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            claim.truncate(0)
            print(platform.node(), os.getpid(), file=claim, flush=True)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise _unwritable(folder, error) from None
        yield True


def _unwritable(folder: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"{folder}: cannot be written to: {error.strerror}")


def carry_out(job: Job, folder: Path, pool: Pool, teacher: Path | None) -> None:
    """Train and ask, and write what came out; a run that was stopped goes on."""
    mixture = Mixture(job.recipe, pool.of_sources(job.learns))
    try:
        fit(mixture, folder / "run", lambda state, epoch_ends: None, teacher=teacher)
    except DivergedError as error:
        if not job.asked:
            raise  # without its teacher no pupil can go on
        result = Result(diverged=error.why)
    else:
        result = _asked(job, folder, pool)
    write_json(folder / "result.json", asdict(result))


def _asked(job: Job, folder: Path, pool: Pool) -> Result:
    run = load_run(folder / "run")
    train_s = _train_s(run.curve, job)
    if not job.asked:
        return Result(train_s=train_s)
    pictures = [pool.pictures[i] for i in job.asked]
    probabilities, elapsed_s = predict(RunModel(run.net, run.recipe, threads=1), pictures)
    content = io.BytesIO()
    np.savez(content, probabilities=probabilities, picture=np.array(job.asked))
    replace_file(folder / "oof.npz", lambda path: path.write_bytes(content.getvalue()))
    truth = true_columns(pictures, run.recipe.classes)
    return Result(
        top1=float((probabilities.argmax(axis=1) == truth).mean()),
        train_s=train_s,
        ms_per_image=1e3 * elapsed_s / len(pictures),
    )


def _train_s(curve: Sequence[CurveRow], job: Job) -> float:
    if job.recipe.optimizer == "logistic":  # without steps
        shown = np.array([round(len(job.learns) * (job.recipe.epochs or 1))])
    else:
        shown = np.diff([0, *(row.step for row in curve)]) * job.recipe.batch
    return float(sum(shown * [row.ms_per_image for row in curve]) / 1e3)


def tidy(study: Path, jobs: Sequence[Job]) -> None:
    """Remove the runs of jobs that are done, also the teachers', which nobody waits for now."""
    for job in jobs:
        shutil.rmtree(folder_of(study, job) / "run", ignore_errors=True)
        if job.teacher is not None:
            # Its result first: a teacher whose run is gone is not done.
            (folder_of(study, job.teacher) / "result.json").unlink(missing_ok=True)
            shutil.rmtree(folder_of(study, job.teacher), ignore_errors=True)
