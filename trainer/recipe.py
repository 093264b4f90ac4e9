"""A recipe: everything that decides how a model comes out, in one YAML file.

One file is one row of a results table. A key that nobody reads would be a setting that does not
exist, so unknown keys are refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edge.classifier import EMPTY, Source, Temperature, Thresholds
from edge.errors import ConfigError
from edge.section import Section, validate
from edge.yamlfile import read_yaml


class Net(Section):
    """A ResNet, cut after some stage. Names and letters as in arXiv:1812.01187, section 4."""

    arch: Literal["resnet18", "resnet34", "resnet50"] = "resnet50"
    blocks: tuple[int, ...] = Field(default=(3, 4, 6, 3), min_length=1, max_length=4)
    """How many residual blocks of each stage are kept; fewer numbers leave whole stages out."""
    stride_on: Literal["1x1", "3x3"] = "3x3"
    """Where a bottleneck halves the picture: 1x1 is He's original, 3x3 the variant B."""
    weights: str | None = None
    """A state_dict to start from, $NAME expanded; its surplus stages and its head are left out."""
    freeze: int = Field(default=0, ge=0, le=4)
    """So many leading parts stay as they are: 1 the stem, 2 the first stage too, ..."""
    freeze_norm: bool = False
    """Keep the BatchNorm statistics of the weights: those of drawn pictures are no photo's."""


class Data(Section):
    """Photos to learn from."""

    data: str
    share: float = Field(default=1, gt=0)
    """How often, relative to the other sources of a class, one of them is picked."""
    may_crop: float = Field(default=0.1, ge=0, lt=0.5)
    """How much of each side a varied copy may lose."""
    widen: float = Field(default=0, ge=0, le=0.5)
    """By how much of its side a box of a photo may be shown larger."""
    split: str | None = None
    """Only rows whose column `split` says this."""


class Recipe(Section):
    name: str
    classes: tuple[str, ...] = Field(min_length=2)
    input_size: int = Field(gt=0, multiple_of=16)
    net: Net = Net()

    data: tuple[Data, ...] = ()
    drawn: float = Field(default=0, ge=0)
    """Share of drawn slots."""
    altered: float = Field(default=0, ge=0)
    """Share of photos of empty slots with drawn neighbours and, half of them, drawn products."""
    augment: bool = True

    steps: int = Field(gt=0)
    batch: int = Field(default=64, gt=0)
    lr: float = Field(default=0.02, gt=0)
    """At its highest."""
    warmup_steps: int = Field(default=0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    """On matrices only: biases and norm scales have one dimension and are left alone."""
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    average_steps: int = Field(default=0, ge=0)
    """The model kept is a running mean of about so many last steps; 0: the last step's."""
    seed: int = 0

    held_out: tuple[Data, ...] = ()
    """Photos the export measures on, and fits the temperature on where none is written."""
    temperature: Temperature | None = None
    thresholds: Thresholds = Thresholds(chosen_for="nothing: the general values hold")
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if EMPTY not in self.classes:
            raise ValueError(f"classes: one must be called '{EMPTY}'")
        if self.drawn + self.altered and set(self.classes) != {EMPTY, "stocked"}:
            raise ValueError(f"drawn and altered slots are only '{EMPTY}' or 'stocked'")
        return self

    def digest(self, training_only: bool = False) -> str:
        """Return sixteen hex digits that differ wherever two recipes do.

        training_only: what comes after training may differ; a run need not be made anew for it.
        """
        after = {"held_out", "temperature", "thresholds", "sources"} if training_only else set()
        text = self.model_dump_json(exclude=after)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_recipe(path: Path) -> Recipe:
    """Return the recipe in a YAML file. Raises ConfigError with every problem of it."""
    file = read_yaml(path, "configs/recipes/ holds examples")
    recipe = validate(file, Recipe)
    if recipe is None:
        raise ConfigError([str(problem) for problem in file.problems])
    return recipe
