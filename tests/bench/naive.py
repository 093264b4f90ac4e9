"""The loop that people write: every frame decoded, every slot classified by itself.

    python naive.py URL MODEL PLANOGRAM CAMERA EVERY_S

Nothing of shelf-edge is in it but the model, so that what differs is the pipeline alone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import yaml


def main(url: str, model: str, planogram: str, camera: str, every_s: float) -> None:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    slots = yaml.safe_load(Path(planogram).read_text())["cameras"][camera]["slots"]
    capture = cv2.VideoCapture(url)
    due_s = 0.0
    while True:
        got, frame = capture.read()
        if not got:
            sys.exit("the stream broke off")
        if time.monotonic() < due_s:
            continue
        due_s = time.monotonic() + every_s
        for slot in slots:
            left, top, right, bottom = box(slot["quad"], frame.shape[1], frame.shape[0])
            crop = cv2.resize(frame[top:bottom, left:right], (source.shape[2], source.shape[1]))
            image = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
            session.run(None, {source.name: image[np.newaxis]})


def box(quad: list[list[float]], width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in pixels."""
    x, y = [int(p[0] * width) for p in quad], [int(p[1] * height) for p in quad]
    return min(x), min(y), max(x), max(y)


if __name__ == "__main__":
    main(*sys.argv[1:5], every_s=float(sys.argv[5]))
