"""The bundle that ships beside the same net in FP32, by ONNX Runtime and by torch eager.

All three get the same crops and the same preprocessing. The rivals' weights are random: they
decide nothing about speed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort
import torch
from figures import Row, Spread
from streams import IDLE, first_picture, rendered

from edge.classifier import BundleInfo, open_classifier
from edge.geometry import cut
from edge.preprocess import to_batch
from edge.types import Image
from trainer.bundle import INPUT, to_onnx
from trainer.net import SlotNet
from trainer.recipe import Net, Recipe

BATCHES, THREADS = (1, 16, 64), (1, 2)
LEAST_S = 0.25  # so long is each measured at a time

Runner = Callable[[Sequence[Image]], object]


def measure_models(model: Path | None, rounds: int) -> Iterator[Row]:
    """Yield milliseconds a crop of each runner for each batch size and number of threads."""
    info = open_classifier(model).info
    recipe = recipe_of(info)
    net = untrained(recipe)
    crops = slot_crops(max(BATCHES))
    with TemporaryDirectory() as folder:
        fp32 = Path(folder, "fp32.onnx")
        to_onnx(net, recipe, fp32)
        for threads in THREADS:
            runners = {
                f"bundle {info.name}, INT8": open_classifier(model, threads).probabilities,
                "ONNX Runtime FP32": onnx_runner(fp32, info, threads),
                "torch eager FP32": torch_runner(net, info),
            }
            torch.set_num_threads(threads)
            part = f"Model, {threads} thread{'s' * (threads > 1)}"
            for batch in BATCHES:
                asked = {name: partial(run, crops[:batch]) for name, run in runners.items()}
                yield from compared(asked, part, batch, rounds)


def recipe_of(info: BundleInfo) -> Recipe:
    """Return what decides about speed; the bundle's trainer may have known other keys."""
    known = {key: value for key, value in info.recipe["net"].items() if key in Net.model_fields}
    net = Net.model_validate_json(json.dumps(known))
    return Recipe(
        name=info.name, classes=info.classes, input_size=info.input_size, net=net, steps=1
    )


def untrained(recipe: Recipe) -> SlotNet:
    """Return the recipe's net without its weights, ready to answer."""
    net = recipe.net.model_copy(update={"weights": None})
    return SlotNet(net, len(recipe.classes)).eval()


def slot_crops(count: int) -> list[Image]:
    """Return crops of real size: the slots of a 1080p picture, again and again."""
    recording = rendered(IDLE)
    picture = first_picture(recording)
    slots = [cut(picture, slot["quad"]) for slot in recording.slots]
    return list(islice(cycle(slots), count))


def onnx_runner(path: Path, info: BundleInfo, threads: int) -> Runner:
    session = onnx_session(path, threads)
    return lambda crops: session.run(None, {INPUT: to_batch(crops, info.input_size)})


def onnx_session(path: Path, threads: int) -> ort.InferenceSession:
    """ONNX Runtime with its defaults, but for the number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def torch_runner(net: SlotNet, info: BundleInfo) -> Runner:
    def run(crops: Sequence[Image]) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(to_batch(crops, info.input_size))
            return net(batch).softmax(dim=1).numpy()

    return run


def compared(
    runners: dict[str, Callable[[], object]], part: str, batch: int, rounds: int
) -> Iterator[Row]:
    """Measure by turns what each takes for so many pictures; the first one is ours."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for run in runners.values():
        run()
    for _ in range(rounds):
        for name, run in runners.items():
            times[name].append(_ms_a_crop(run, batch))
    ours = next(iter(times.values()))
    for name, found in times.items():
        ratios = [one / base for one, base in zip(found, ours, strict=True)]
        yield Row(
            part=part,
            what=f"{name}, batch {batch}",
            unit="ms a crop",
            value=Spread.around_median(found),
            ratio=None if found is ours else Spread.around_median(ratios),
        )


def _ms_a_crop(run: Callable[[], object], batch: int) -> float:
    begun_s, done = time.perf_counter(), 0
    while (took_s := time.perf_counter() - begun_s) < LEAST_S:
        run()
        done += batch
    return 1000 * took_s / done
