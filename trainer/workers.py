"""Several processes that share one run: what torchrun started, or just this one.

Each makes its own share of every batch; gradients are averaged, so that the step is the one that a
single process would take.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edge.errors import UsageError


@dataclass(frozen=True)
class Workers:
    rank: int
    count: int
    device: str

    @property
    def leads(self) -> bool:
        """Whether this process writes, measures and talks."""
        return self.rank == 0

    def share(self, model: nn.Module) -> nn.Module:
        """Return what to call for a step: the model, its gradients averaged over all processes."""
        return DistributedDataParallel(model) if self.count > 1 else model

    def any_asks(self, asked: bool) -> bool:
        """Return whether any process was asked to stop: then all do, after the same step."""
        if self.count == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag.item())

    def wait(self) -> None:
        if self.count > 1:
            distributed.barrier()


@contextmanager
def workers(batch: int) -> Iterator[Workers]:
    """Join the processes that torchrun started. Raises UsageError where a batch does not divide."""
    count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if batch % count:
        raise UsageError(f"batch: {batch} pictures cannot be shared by {count} processes evenly")
    if count == 1:
        yield Workers(0, 1, device)
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Workers(rank, count, device)
    finally:
        distributed.destroy_process_group()
