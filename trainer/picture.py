"""One labelled picture: a file, or a box in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from edge.errors import ConfigError
from edge.types import Image
from trainer.decode import read_pixels


@dataclass(frozen=True)
class Picture:
    """One labelled file, or a box in it. group names what pictures of the same thing share in their
    data set; columns has the rest of its row; box is x, y, width, height in pixels; data_set is
    the folder where that lies, the same however its DATA is spelled: indexes in one folder, such as
    train.csv and val.csv, are of one data set."""

    file: Path
    label: str
    group: str
    columns: dict[str, str]
    box: tuple[int, int, int, int] | None = None
    data_set: str = ""

    def read(self) -> Image:
        """Return the picture, or its box. Raises UnavailableError where the file is no picture."""
        return self.cut(read_pixels(self.file))

    def is_beside(self, across: int, down: int) -> bool:
        """Return whether nothing of its box lies in a photo of that size in pixels."""
        x, y, wide, high = self.box or (0, 0, across, down)
        return min(x + wide, across) <= max(x, 0) or min(y + high, down) <= max(y, 0)

    def cut(self, pixels: Image, rng: Generator | None = None, widen: float = 0.0) -> Image:
        """Return its box out of its file's pixels, each side moved out by up to `widen` of it.

        People draw slots loosely: a box shows slivers of its neighbours, of rail and of tag.
        """
        if self.box is None:
            return pixels
        x, y, wide, high = self.box
        down, across = pixels.shape[:2]
        if self.is_beside(across, down):
            raise ConfigError([f"{self.file}: its box {self.box} lies beside the photo"])
        out = np.zeros(4) if rng is None else rng.uniform(-widen / 3, widen, 4)
        left, right = round(x - out[0] * wide), round(x + (1 + out[1]) * wide)
        top, bottom = round(y - out[2] * high), round(y + (1 + out[3]) * high)
        left, top = min(max(0, left), across - 1), min(max(0, top), down - 1)
        return pixels[top : max(top + 1, bottom), left : max(left + 1, right)]
