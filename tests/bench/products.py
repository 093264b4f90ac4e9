"""The product nets: INT8 of the small recipe beside FP32 of the large one, each at its own size.

What the small one gives up in accuracy buys this. Weights are random and pictures are noise: they
decide nothing about speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import Row
from models import compared, onnx_session, untrained

from trainer.bundle import INPUT, write_fp32
from trainer.quantize import Batch, Target, histograms, minmax, quantize
from trainer.recipe import Recipe, load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "configs" / "recipes"
PRODUCTS = tuple(f"product {number}" for number in range(82))
"""As many classes as the grocery photos have, with `empty`."""
BATCH, THREADS = 16, 2


def measure_products(rounds: int) -> Iterator[Row]:
    """Yield milliseconds a picture of both nets."""
    large, small = (
        load_recipe(RECIPES / f"{name}.yaml").model_copy(update={"classes": PRODUCTS})
        for name in ("grocery-resnet50d", "grocery-small")
    )
    with TemporaryDirectory() as folder:
        nets = {
            f"{small.name}, INT8, {small.input_size} px": (int8_of(small, Path(folder)), small),
            f"{large.name}, FP32, {large.input_size} px": (fp32_of(large, Path(folder)), large),
        }
        runners = {name: runner(path, recipe) for name, (path, recipe) in nets.items()}
        yield from compared(runners, f"Products, {THREADS} threads", BATCH, rounds)


def runner(path: Path, recipe: Recipe) -> Callable[[], object]:
    session, images = onnx_session(path, THREADS), noise(BATCH, recipe)
    return lambda: session.run(None, {INPUT: images})


def fp32_of(recipe: Recipe, folder: Path) -> Path:
    """Return the untrained net as a graph, BatchNorm folded into its convolutions."""
    path = folder / f"{recipe.name}.onnx"
    write_fp32(untrained(recipe), recipe, path, noise(8, recipe))
    return path


def int8_of(recipe: Recipe, folder: Path) -> Path:
    plain, path = fp32_of(recipe, folder), folder / f"{recipe.name}.int8.onnx"
    ranges = {name: minmax(seen) for name, seen in histograms(plain, noise(8, recipe)).items()}
    path.write_bytes(quantize(plain, Target.X86, ranges).SerializeToString())
    return path


def noise(count: int, recipe: Recipe) -> Batch:
    size = recipe.input_size
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
