"""Many fits, one table: repeated grouped k-fold of one recipe, or of a recipe and its tricks.

Every picture is asked about once in each repeat, by a net that has not seen its group; figures are
taken over all pictures of a repeat together. A repeat has its own partition, a fit its own seed,
both the same for every row: rows differ by what their recipes differ in and by nothing else.

STUDY/study.json, written anew after every fit, holds

    kind             kfold or ablate
    recipe, digest   name and digest of the recipe that was asked for
    teacher          digest of the recipe that its teacher is trained by, or null
    asked            the keys of both that a probability depends on, the teacher's as `teacher`
    weights          by the name of each file of weights that nets begin with, a digest of it
    data, n          digest and number of pictures
    groups, grouping           number of their groups; digest of who is in which
    folds, repeats, subset     how they were parted
    majority         what always naming the commonest class gets right
    rows             list of
      name, changes, digest      which row; KEY=VALUE against the row it is compared with, of plain
                                 against the recipe, also where full takes no part
      compared_with              name of that row, or null
      fits, diverged             how many fits are done; why the first of those that diverged did
      repeats                    how many are complete. Without one, all that follows is null
      top1_per_repeat, top1_per_fold     shares; a list, a list of lists
      figures                    top1, coarse_top1, top5, macro_recall, nll, brier, ece, auroc,
                                 average_precision: {mean, std over repeats}, where they are known
      intervals                  of top1 (Wilson), nll (Student's t) and auroc (groups resampled):
                                 [low, high]
      difference                 to compared_with in points of top1: {points, std_repeats,
                                 std_folds, interval, only_this_right, only_reference_right}
      seconds_per_fit            {mean, std} of training on one thread, its teacher not counted
      ms_per_image               {mean, std} of asking the finished net, one thread, FP32
      oof                        path below STUDY: an npz with probabilities (repeats, n, classes),
                                 truth (n,), fold (repeats, n), group, picture, box, coarse, classes

and beside it the same as table.csv and table.md.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from edge.errors import EdgeError, UnavailableError, UsageError
from trainer import cluster
from trainer.begun import check_goes_on
from trainer.data import warn_of_doubles
from trainer.files import make_folder, refuse_strangers, replace_file, write_json
from trainer.findings import Findings
from trainer.jobs import LOOK_AGAIN_S, ElsewhereError, Job, is_done, read_result, tidy, work
from trainer.layout import Layout, Plan
from trainer.tables import as_csv, as_markdown
from trainer.train import StoppedError, asked_to_stop
from trainer.workers import count

OURS = ("jobs", "oof", "table.csv", "table.md")
STOPPING = {signal.SIGINT, signal.SIGTERM}


class Study:
    """A laid-out plan and its folder."""

    def __init__(self, plan: Plan, folder: Path, keep_runs: bool):
        self.layout, self.folder, self._keep_runs = Layout(plan), folder, keep_runs

    def check_folder(self) -> None:
        """Raise UsageError where the folder holds another study, or more of this one than is asked
        for: its table would be lost."""
        if (self.folder / "study.json").exists():
            check_goes_on(self.folder, self.layout)
        elif self.folder.is_dir():
            begun = (self.folder / "jobs").exists()  # who has lost study.json keeps the fits
            refuse_strangers(self.folder, OURS if begun else ())

    def work(self) -> None:
        """Do what no other process does. One that shares the folder may do some."""
        work(self.folder, self.layout.all_jobs, self.layout.pool, self._keep_runs, self.report)

    def work_on(self, address: str) -> None:
        """Do everything as tasks of a Ray cluster."""
        layout = self.layout
        cluster.work(
            address, self.folder, layout.all_jobs, layout.plan.recipe, self._keep_runs, self.report
        )

    def report(self, job: Job) -> None:
        """Say what a fit brought, and write the table anew."""
        self.write()
        done = [each for each in self.layout.all_jobs if is_done(self.folder, each)]
        result = read_result(self.folder, job)
        said = result.diverged or f"{result.train_s:.0f} s"
        if result.top1 is not None:
            said += f", top-1 {result.top1:.4f}"
        print(f"[{len(done)}/{len(self.layout.all_jobs)}] {job.name}: {said}", file=sys.stderr)

    def write(self, oof: bool = False) -> dict[str, Any]:
        """Write the table as far as the study is; return what study.json holds.

        oof: also the out-of-fold probabilities of each row, which may be large.
        """
        findings = Findings(self.layout, self.folder)
        if oof:
            findings.write_oof()
        found = self.layout.about() | {"rows": findings.rows()}
        write_json(self.folder / "study.json", found)
        replace_file(
            self.folder / "table.csv", lambda path: path.write_text(as_csv(found), "utf-8")
        )
        replace_file(
            self.folder / "table.md", lambda path: path.write_text(as_markdown(found), "utf-8")
        )
        return found

    def tidy(self) -> None:
        if not self._keep_runs:
            tidy(self.folder, self.layout.all_jobs)


def run_study(
    plan: Plan, folder: Path, workers: int = 1, on: str | None = None, keep_runs: bool = False
) -> dict[str, Any]:
    """Do all fits of a plan that are not done yet; return what study.json then holds.

    workers: processes of one thread each. on: a Ray cluster's address, instead of them. Neither
    changes a result. Raises StoppedError when somebody asked to stop, and what a fit raises.
    """
    if count() > 1:
        raise UsageError("under torchrun a study would mix its fits: use --workers, or --on")
    study = Study(plan, folder, keep_runs)
    study.check_folder()
    warn_of_doubles([study.layout.pool.pictures[i] for i in study.layout.chosen])
    make_folder(folder)
    try:
        with _can_be_stopped(folder):
            if on is not None:
                study.work_on(on)
            elif workers == 1:
                study.work()
            else:
                _work_together(plan, folder, min(workers, len(study.layout.all_jobs)), keep_runs)
    finally:
        found = study.write(oof=True)
    study.tidy()
    return found


@contextmanager
def _can_be_stopped(folder: Path) -> Iterator[None]:
    """Raise StoppedError on Ctrl-C and SIGTERM, also between two fits; a fit has its own way."""

    def stop(number: int, frame: object) -> None:
        raise _stopped(folder, number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: only Ctrl-C, and that elsewhere
        yield
        return
    try:
        yield
    except KeyboardInterrupt:
        raise _stopped(folder, signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(folder: Path, number: int) -> StoppedError:
    return StoppedError(f"{folder}: stopped; the same command goes on", number)


def _work_together(plan: Plan, folder: Path, workers: int, keep_runs: bool) -> None:
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with asked_to_stop() as asked, ProcessPoolExecutor(workers, context) as pool:
        own = os.getpid()
        with _deaf():
            working = [pool.submit(_worker, plan, folder, keep_runs, own) for _ in range(workers)]
        while wait(working, LOOK_AGAIN_S).not_done:
            if asked():
                for process in multiprocessing.active_children():
                    process.terminate()
                break
    if number := asked():
        raise _stopped(folder, number)
    try:
        for failure in [each.result() for each in working]:
            if failure is not None:
                raise ElsewhereError(*failure)
    except BrokenProcessPool:
        raise UnavailableError(
            f"{folder}: a worker was killed, perhaps for want of memory; the same command goes on"
        ) from None


@contextmanager
def _deaf() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM, also for processes that begin here, until they listen."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """Let this process end, as on Ctrl-C, when its parent is gone, however that was ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_AGAIN_S)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def _worker(plan: Plan, folder: Path, keep_runs: bool, parent: int) -> tuple[str, int] | None:
    os.setpgrp()  # Ctrl-C is for the parent alone, which hands it on
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    failure = None
    try:
        with _can_be_stopped(folder):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            _end_with(parent)
            Study(plan, folder, keep_runs).work()
    except EdgeError as error:
        failure = str(error), error.exit_code
    if os.getppid() != parent:
        os._exit(1)  # nobody is left who would hear it, or say that it is over
    return failure
