"""Our training loop beside the one of torchvision's references/classification/train.py.

Same net, pictures, batch, augmentation, threads, and as many cores as threads, on which decoding
has to find its place too (OMP_NUM_THREADS=1: all on one core). The reference loop is restated from
what it does by default: each picture decoded by Pillow every time, in worker processes; a random
part of 128 pixels, mirrored, normalised; ResNet-18 in FP32, channels first; SGD; top-1 and top-5 of
every batch. Only its 16 workers are as many as the cores: more are slower.

Our pictures are decoded once and kept, so both sides see each picture once before the clock runs.
The reference loop has a process of its own: ours tells malloc to keep what it frees.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
import torch
from conftest import require_data
from figures import Row, Spread
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models
from torchvision.transforms import v2

from trainer import drawn
from trainer.answering import true_columns
from trainer.checkpoint import State
from trainer.data import read_data
from trainer.mixture import Mixture
from trainer.picture import Picture
from trainer.recipe import Data, Net, Recipe
from trainer.train import fit
from trainer.tricks import half_precision

SIDE, BATCH = 128, 32
DRAWN_SIDE = 348  # pixels, as those of the grocery photos

Loop = Callable[[int], float]
"""Takes so many steps; returns the milliseconds that a picture took."""


def measure_training(rounds: int, steps: int) -> Iterator[Row]:
    """Yield milliseconds a picture of both loops, by turns; a round is so many steps of each."""
    with TemporaryDirectory() as folder, cores(torch.get_num_threads()):
        photos, shown = photos_for(steps, Path(folder))
        classes = tuple(sorted({photo.label for photo in photos}))
        loops: dict[str, Loop] = {
            "reference": in_its_own_process(reference_loop, photos, classes),
            "fp32": our_loop(photos, classes, "fp32"),
        }
        if half_precision(Recipe(name="any", input_size=SIDE, steps=1), "cpu") is not None:
            loops["bf16"] = our_loop(photos, classes, "bf16")
        for loop in loops.values():
            loop(steps)
        found: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(rounds):
            for name, loop in loops.items():
                found[name].append(loop(steps))
    theirs = found.pop("reference")
    for precision, ours in found.items():
        yield from _compared(precision, ours, theirs, shown)


@contextlib.contextmanager
def cores(count: int) -> Iterator[None]:
    """Keep this process, and those that it begins, on so many cores."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def _compared(
    precision: str, ours: Sequence[float], theirs: Sequence[float], shown: str
) -> Iterator[Row]:
    threads = torch.get_num_threads()
    part = f"Training in {precision}: ResNet-18, {SIDE} px, batch {BATCH}, threads {threads}"
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    name, unit = "torchvision's reference loop, fp32", "ms a picture"
    yield Row(part, f"trainer fit, {precision}", unit, Spread.around_median(ours), note=shown)
    yield Row(part, name, unit, Spread.around_median(theirs), Spread.around_median(ratios))


def photos_for(steps: int, folder: Path) -> tuple[list[Picture], str]:
    """Return a photo for each place in so many batches, and what they show."""
    count = steps * BATCH
    try:
        grocery = read_data(str(require_data("grocery")), split="train")
    except pytest.skip.Exception:
        return _drawn(count, folder), "drawn pictures"
    order = np.random.default_rng(0).permutation(len(grocery))
    return [grocery[i] for i in order[:count]], "grocery photos"


def _drawn(count: int, folder: Path) -> list[Picture]:
    photos = []
    for i in range(count):
        label = "stocked" if i % 2 else "empty"
        image = drawn.slot(np.random.default_rng((0, i)), stocked=bool(i % 2))
        file = folder / f"{i}.jpg"
        cv2.imwrite(str(file), cv2.resize(image, (DRAWN_SIDE, DRAWN_SIDE)))
        photos.append(Picture(file, label, file.name, {}))
    return photos


def our_loop(photos: Sequence[Picture], classes: tuple[str, ...], precision: str) -> Loop:
    """`trainer fit` itself, between its first step and the last but one."""
    recipe = Recipe(
        name=precision,
        classes=classes,
        input_size=SIDE,
        net=Net(arch="resnet18"),
        data=(Data(data="photos"),),
        augment="crop",
        crop_area=(0.08, 1),
        steps=1,
        batch=BATCH,
        precision=precision,
    )
    kept = Mixture(recipe, [photos])

    def run(steps: int) -> float:
        times_s: list[float] = []

        def note(state: State, epoch_ends: bool) -> None:
            times_s.append(time.perf_counter())

        # Of one mixture, so that the pictures stay decoded: as in every epoch but the first.
        kept.recipe = kept.recipe.model_copy(update={"steps": steps + 2})
        with TemporaryDirectory() as folder:
            fit(kept, Path(folder), note, save_every_s=3600)
        return 1e3 * (times_s[steps] - times_s[0]) / (steps * BATCH)

    return run


class Photos(Dataset):
    """What torchvision's ImageFolder gives with the reference's training preset."""

    def __init__(self, photos: Sequence[Picture], classes: Sequence[str]):
        self._files = [photo.file for photo in photos]
        self._columns = true_columns(photos, classes).tolist()
        self._vary = v2.Compose(
            [
                v2.RandomResizedCrop(SIDE, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        with self._files[i].open("rb") as file:
            return self._vary(Image.open(file).convert("RGB")), self._columns[i]


def in_its_own_process(
    make: Callable[[Sequence[Picture], Sequence[str]], Loop],
    photos: Sequence[Picture],
    classes: Sequence[str],
) -> Loop:
    """Return a loop that is made and run elsewhere; its process ends with this one."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), _make, (make, photos, classes))
    return lambda steps: pool.submit(_run_made, steps).result()


def _make(make: Callable[..., Loop], photos: Sequence[Picture], classes: Sequence[str]) -> None:
    _made.append(make(photos, classes))


def _run_made(steps: int) -> float:
    return _made[-1](steps)


_made: list[Loop] = []
"""In the other process: its loop."""


def reference_loop(photos: Sequence[Picture], classes: Sequence[str]) -> Loop:
    loader = DataLoader(
        Photos(photos, classes),
        BATCH,
        shuffle=True,
        num_workers=len(os.sched_getaffinity(0)),
        persistent_workers=True,
    )
    net = models.resnet18(num_classes=len(classes)).train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    meters: dict[str, list[float]] = {"loss": [], "top1": [], "top5": []}

    def one_step(images: torch.Tensor, columns: torch.Tensor) -> None:
        output = net(images)
        loss = criterion(output, columns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.inference_mode():
            likeliest = output.topk(min(5, len(classes)), dim=1).indices
            right = likeliest == columns[:, None]
        meters["top1"].append(right[:, 0].float().mean().item())
        meters["top5"].append(right.any(dim=1).float().mean().item())
        meters["loss"].append(loss.item())

    def run(steps: int) -> float:
        """An epoch is as many steps; the clock runs from the end of its first one, as ours does."""
        times_s = []
        for images, columns in loader:
            one_step(images, columns)
            times_s.append(time.perf_counter())
        assert len(times_s) == steps
        return 1e3 * (times_s[-1] - times_s[0]) / ((steps - 1) * BATCH)

    return run
