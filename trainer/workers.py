"""Several processes that share one run: what torchrun started, or just this one.

Each makes its own share of every batch; gradients are averaged, so that the step is the one that a
single process would take. Three things differ from it: BatchNorm normalises over a process's own
share, mixup and cutmix take the partner out of it (λ is the same for all), and dropout draws other
masks. Running statistics are those of process 0: DistributedDataParallel hands its buffers to the
others before each step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edge.errors import EdgeError, UnavailableError, UsageError

PATIENCE = timedelta(hours=6)
"""How long the others wait while process 0 measures on what is held out; NCCL's own are 10 minutes.

A process that ends is noticed at once, by its connection and by torchrun."""


def leads() -> bool:
    """Return whether this process is the one of a run that writes, measures and talks."""
    return _rank() == 0


class AgreedError(EdgeError):
    """What all processes raise after the same step; only the leading one says it."""


@dataclass(frozen=True)
class Workers:
    rank: int
    count: int
    device: str

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, model: nn.Module) -> nn.Module:
        """Return what to call for a step: the model, its gradients averaged over all processes."""
        return DistributedDataParallel(model) if self.count > 1 else model

    def mean(self, value: float) -> float:
        """Return the mean over all processes. Like `highest`, each of them must ask."""
        (whole,) = self._over_all([value], distributed.ReduceOp.SUM)
        return whole / self.count

    def highest(self, *values: float) -> list[float]:
        """Return of each value the highest that any process has."""
        return self._over_all(values, distributed.ReduceOp.MAX)

    def _over_all(
        self, values: Sequence[float], operation: distributed.ReduceOp.RedOpType
    ) -> list[float]:
        if self.count == 1:
            return list(values)
        whole = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(whole, operation)
        return [float(value) for value in whole]


@contextmanager
def workers(batch: int) -> Iterator[Workers]:
    """Join the processes that torchrun started.

    Raises UsageError where a batch does not divide, UnavailableError where another process ends.
    """
    team = Workers(_rank(), count(), device())
    with joined(batch):
        try:
            yield team
        except AgreedError as error:
            if not team.leads:
                raise SystemExit(error.exit_code) from None
            raise
        except RuntimeError as error:
            if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
                raise
            raise UnavailableError(
                f"process {team.rank}: another process of this training ended, its message has the "
                "cause; the same command goes on"
            ) from None


@contextmanager
def joined(batch: int) -> Iterator[None]:
    """Stay with the processes that torchrun started until the end, however much is trained.

    A process that has left cannot join again: torchrun's store still has the addresses of the first
    time.

    Raises UsageError where the batch does not divide, or there are more processes than GPUs.
    """
    if batch % count():
        raise UsageError(f"batch: {batch} pictures cannot be shared by {count()} processes evenly")
    if count() == 1 or distributed.is_initialized():
        yield
        return
    if device() == "cuda":
        torch.cuda.set_device(_own_gpu())
    backend = "nccl" if device() == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _rank() -> int:
    """A process on its own always leads, whatever RANK is left in the environment."""
    return int(os.environ.get("RANK", 0)) if count() > 1 else 0


def _own_gpu() -> int:
    """Return the number of this process's GPU. Raises UsageError where there is none for it."""
    number, gpus = os.environ.get("LOCAL_RANK"), torch.cuda.device_count()
    if number is None:
        raise UsageError("WORLD_SIZE is set but not LOCAL_RANK: start the processes with torchrun")
    if int(number) >= gpus:
        raise UsageError(
            f"process {number} has no GPU of its own, this machine has {gpus}: start torchrun with "
            f"--nproc-per-node {gpus}"
        )
    return int(number)


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def device() -> str:
    """Return what torch calls the kind of device that is trained on here."""
    return "cuda" if torch.cuda.is_available() else "cpu"
