"""Asking an ONNX graph about pictures, in parts that a memory has room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.classifier import MAX_BATCH, session_options

Batch = NDArray[np.uint8]
Floats = NDArray[np.float32]

PART_PIXELS = 2 * 224 * 224
"""Of all pictures whose activations are in memory at once; a DenseNet's take 200 MB each."""


def open_session(model: bytes, threads: int = 1) -> ort.InferenceSession:
    """Return a session as the daemon has it."""
    return ort.InferenceSession(model, session_options(threads), ["CPUExecutionProvider"])


def logits_of(session: ort.InferenceSession, images: Batch) -> Floats:
    """Return (n, classes) for (n, size, size, 3), in parts of the size that a daemon asks about."""
    return np.concatenate([run(session, part)[0] for part in in_parts(images, MAX_BATCH)])


def run(session: ort.InferenceSession, images: Batch) -> Sequence[Floats]:
    """Return what the graph gives for (n, size, size, 3), output by output."""
    outputs: Sequence[Floats] = session.run(None, {session.get_inputs()[0].name: images})
    return outputs


def in_parts(images: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(images), size):
        yield images[start : start + size]


def in_memory(images: Batch) -> Iterator[Batch]:
    """Yield so few pictures at a time that all that a net makes of them can be kept."""
    yield from in_parts(images, max(1, PART_PIXELS // images.shape[1] ** 2))
