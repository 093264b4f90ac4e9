"""A recipe: everything that decides how a model comes out, in one YAML file.

One file is one row of a results table. Each trick is one field; switched off it has its neutral
value, so that an ablation is the recipe with one field changed. Sections (§) are those of He et al.
2019, arXiv:1812.01187. A key that nobody reads would be a setting that does not exist, so unknown
keys are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from unicodedata import normalize

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from edge.classifier import EMPTY, OCCUPANCY, Source, Temperature, Thresholds
from edge.decide import Rule
from edge.errors import ConfigError, UsageError
from edge.section import Section, names_in, nearest, validate
from edge.yamlfile import Loader, read_yaml

Arch = Literal[
    "resnet10", "resnet14", "resnet18", "resnet26", "resnet34",
    "resnet50", "resnet101", "resnet152",
    "simple_cnn", "vgg16", "vgg19", "inception_v3", "resnext50_32x4d", "densenet201",
]  # fmt: skip
Augment = Literal["none", "crop", "paper", "keras", "trivial", "camera"]

Share = Annotated[float, Field(gt=0, le=1)]

SEEDS = 2**31
"""So many seeds there are; scikit-learn takes none of 2**32 or more, numpy none below 0."""

AFTERWARDS = {"name", "held_out", "unreadable", "temperature", "thresholds", "costs", "sources"}
"""What does not change the weights: a run need not be made anew for it."""
STEPS_ONLY = (
    "steps", "balanced", "label_smoothing", "mixup", "cutmix", "distill", "ema", "train_sizes",
    "clip_gradient",
)  # fmt: skip
"""What only a training in steps can do."""


class Net(Section):
    """The network. A ResNet may be tweaked, narrowed and cut after some block."""

    arch: Arch = "resnet50"
    b: bool = True
    """§ 4.2: a bottleneck halves the picture in its 3x3 convolution, not in the first 1x1."""
    c: bool = False
    """§ 4.2: three 3x3 convolutions instead of the first 7x7."""
    d: bool = False
    """§ 4.2: a shortcut that halves the picture averages before its 1x1 convolution."""
    width: float = Field(default=1, gt=0, le=4)
    """Channels of every stage, relative to the published net."""
    blocks: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=4)
    """How many residual blocks of each stage are kept; fewer numbers leave whole stages out."""
    weights: str | None = None
    """What training starts from: a file with a state_dict ($NAME expanded), a run of the same kind
    of net or one of its checkpoints, or `imagenet` for torchvision's, downloaded. Surplus blocks,
    stages and the head are left out."""
    settle: int = Field(default=0, ge=0)
    """Over so many pictures, varied and of the first size as in training, and up to a batch more,
    BatchNorm statistics are taken anew before it: b and d change the net that weights were made
    for."""
    freeze: int = Field(default=0, ge=0)
    """So many leading parts stay as they are: 1 the stem, 2 the first stage too, ..."""
    freeze_norm: bool = False
    """Keep the BatchNorm statistics of the weights: those of drawn pictures are no photo's."""
    dropout: float = Field(default=0, ge=0, lt=1)
    """Before the last layer."""

    @property
    def is_resnet(self) -> bool:
        return re.fullmatch(r"resnet\d+", self.arch) is not None

    @model_validator(mode="after")
    def _only_what_it_has(self) -> Net:
        if self.is_resnet:
            return self
        useless = [key for key in ("c", "d", "blocks") if getattr(self, key)]
        useless += ["width"] if self.width != 1 and self.arch != "simple_cnn" else []
        if useless:
            raise ValueError(f"{useless[0]}: a setting of ResNets; {self.arch} has none")
        return self


def _composed(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels as data's are: a Mac may write the parts of a Korean letter one by one."""
    return tuple(normalize("NFC", label) for label in labels)


Labels = Annotated[tuple[str, ...], AfterValidator(_composed)]


class Data(Section):
    """Photos to learn from, or to be measured on (held_out)."""

    data: str
    share: float = Field(default=1, gt=0)
    """How often, relative to the other sources of a class, one of them is picked (if balanced)."""
    may_crop: float = Field(default=0.1, ge=0, lt=0.5)
    """How much of each side a copy varied by `camera` may lose."""
    widen: float = Field(default=0, ge=0, le=0.5)
    """By how much of its side a box of a photo may be shown larger."""
    split: str | None = None
    """Only rows whose column `split` says this."""
    only: Labels = ()
    """Only pictures with one of these labels."""


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


class Distill(Section):
    """§ 5.3: learn also from what a better net says of the same varied pictures."""

    teacher: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
    """A run's folder or a bundle that knows the same classes ($NAME is expanded), or several, whose
    logits are averaged; or a recipe, *.yaml beside this one, that is trained first and on the same
    pictures."""
    body: bool = False
    """Begin with the body of the teacher, a run's, of several the first, instead of net.weights."""
    size: int | None = Field(default=None, gt=0)
    """Side in pixels of what a run is asked about, sharp also where its pupil is shown fewer;
    absent: its own input_size, enlarged from what the pupil is shown."""
    temperature: float = Field(default=20, gt=0)
    weight: float = Field(default=1, gt=0)


class Costs(Section):
    """What a mistake costs, in any unit: thresholds follow from it."""

    false_alert: float = Field(gt=0)
    missed_alert: float = Field(gt=0)
    empty_share: float | None = Field(default=None, gt=0, lt=1)
    """How many of a store's slots are empty at a time; absent: as many as in training."""
    misplaced_share: float | None = Field(default=None, gt=0, lt=1)
    """In how many of a store's slots that are not empty another product stands at a time; absent:
    misplaced_below does not follow from costs. Only where classes are products."""


class Recipe(Section):
    name: str
    classes: Labels = ()
    """Absent: the labels of the data, in alphabetical order, and `empty` where it is drawn."""
    input_size: int = Field(gt=0, multiple_of=16)
    """Side in pixels of what the finished model is asked about."""
    train_sizes: tuple[tuple[float, int], ...] = ()
    """Progressive resizing: from which share of the steps on pictures have which side. Absent:
    always input_size. A larger input_size than the last of these is the FixRes trick."""
    net: Net = Net()

    data: tuple[Data, ...] = ()
    drawn: float = Field(default=0, ge=0)
    """How often a drawn slot is picked, relative to the `share` of the sources of its class."""
    altered: float = Field(default=0, ge=0)
    """The same of photos of empty slots with drawn neighbours and, half of them, drawn products."""
    balanced: bool = False
    """Pick each class as often as any other, instead of each photo once an epoch."""
    augment: Augment = "camera"
    """none; crop: random part and mirrored; paper: § 2.1; keras: the ImageDataGenerator set of
    small studies; trivial: crop and TrivialAugment; camera: what cameras and hands do to slots."""
    crop_area: tuple[Share, Share] = (0.35, 1)
    """Share of the picture that a random part has (crop, paper, trivial)."""
    mirror: bool = True
    """Mirror every other picture (crop, paper, trivial)."""
    unreadable: Literal["refuse", "skip"] = "refuse"
    """What to do with a file that is no picture; skipped ones are named."""
    series: bool = False
    """Photos come in series, and the data does not say which: those of one class whose colours are
    alike, and which have no group, are of one. Folds, hold_out and --leave-out part none; pictures
    to measure on that are named apart from the data are not looked at."""
    hold_out: float = Field(default=0, ge=0, le=0.5)
    """Share of the data's groups that are kept back, of each class, to measure on like held_out."""

    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    """Length of training: one of both. Drawn slots have no end, so with them it is steps."""
    batch: int = Field(default=64, gt=0)
    optimizer: Literal["sgd", "rmsprop", "logistic"] = "sgd"
    """logistic: no steps; the head of a frozen body in one go, as scikit-learn's regression, from
    so many copies of each photo as there are epochs."""
    lr: float = Field(default=0.02, gt=0)
    """At its highest."""
    linear_scaling: bool = False
    """§ 3.1: lr is meant for 256 pictures a step, and taken as lr · batch / 256."""
    warmup: float = Field(default=0, ge=0, lt=1)
    """§ 3.1: share of the steps in which lr rises to its height."""
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    """§ 5.1: down half a cosine; or to a tenth after 50 % and again after 75 %."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    no_bias_decay: bool = True
    """§ 3.1: weight decay on matrices only; biases and norm scales have one dimension."""
    clip_gradient: float = Field(default=0, ge=0)
    """A step's gradient, all weights together, is cut to this length; 0: never. Nets that keep
    their BatchNorm statistics (freeze_norm) easily run away without it."""
    zero_gamma: bool = False
    """§ 3.1: a residual block begins as the identity. Loaded weights are never touched."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """§ 3.2; auto: half where the processor is faster with it."""
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    """§ 5.2"""
    mixup: float = Field(default=0, ge=0)
    """§ 5.4: α of the Beta distribution by which two pictures are mixed; 0: never."""
    cutmix: float = Field(default=0, ge=0)
    """The same with a rectangle of the other picture (arXiv:1905.04899)."""
    distill: Distill | None = None
    ema: float = Field(default=0, ge=0, le=1)
    """The model kept is a running mean over about this share of the steps; 0: the last one."""
    channels_last: bool = True
    seed: int = Field(default=0, ge=0, lt=SEEDS)

    held_out: tuple[Data, ...] = ()
    """Photos that each epoch and the export measure on; the temperature is fitted there where none
    is written."""
    temperature: Temperature | None = None
    thresholds: Thresholds = Thresholds(chosen_for="nothing: the general values hold")
    costs: Costs | None = None
    """Thresholds are chosen from them at the export where none are written."""
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("write either epochs or steps")
        if self.optimizer == "logistic":
            useless = [name for name in STEPS_ONLY if getattr(self, name)]
            if useless:
                raise ValueError(f"optimizer: logistic takes no steps, so leave out {useless[0]}")
        if self.zero_gamma and not self.net.is_resnet:
            raise ValueError(f"zero_gamma: a setting of ResNets; {self.net.arch} has none")
        if self.distill and self.distill.body and self.net.weights:
            raise ValueError("it begins either with net.weights or with distill.body")
        if self.drawn + self.altered:
            if not self.balanced:
                raise ValueError("drawn and altered slots need `balanced: true`")
            if self.steps is None:
                raise ValueError("drawn and altered slots have no end: write steps")
            if self.classes and EMPTY not in self.classes:
                raise ValueError(f"drawn and altered slots need a class '{EMPTY}'")
        if self.crop_area[0] > self.crop_area[1]:
            raise ValueError("crop_area: the smallest share of the picture, then the largest")
        _check_names(self.classes)
        if problem := self._misplaced_problem(self.classes):
            raise ValueError(problem)
        rule, written = Rule(), self.thresholds
        above = rule.empty_above if written.empty_above is None else written.empty_above
        below = rule.stocked_below if written.stocked_below is None else written.stocked_below
        if above <= below:
            raise ValueError(f"thresholds: empty_above ({above}) not above stocked_below ({below})")
        starts = [start for start, _ in self.train_sizes]
        if starts and (starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1):
            raise ValueError("train_sizes: shares begin with 0 and rise, all below 1")
        return self

    def with_classes(self, labels: Sequence[str]) -> Recipe:
        """Return the recipe, its classes taken from labels where it names none."""
        if self.classes:
            return self
        drawn = {EMPTY} if self.drawn else set()
        classes = tuple(sorted(drawn.union(labels)))
        if not labels:
            raise ConfigError(["there is nothing to learn from: name your pictures with --data"])
        check_choice(classes)
        if problem := self._misplaced_problem(classes):
            raise ConfigError([problem])
        try:
            _check_names(classes)
        except ValueError as error:
            raise ConfigError([f"{error}; rename its folder, or the label in index.csv"]) from None
        return self.model_copy(update={"classes": classes})

    def _misplaced_problem(self, classes: Sequence[str]) -> str:
        """Return what is wrong with settings of *misplaced*; empty: nothing.

        Who knows one product, or that something stands there, cannot tell that it is another one.
        """
        written = {
            "thresholds.misplaced_below": self.thresholds.misplaced_below,
            "costs.misplaced_share": self.costs.misplaced_share if self.costs else None,
        }
        useless = [key for key, value in written.items() if value is not None]
        if not useless or not classes or len(set(classes) - {EMPTY}) > 1:
            return ""
        return (
            f"{useless[0]}: to see that another product stands in a slot takes a model of several; "
            f"this one knows {', '.join(classes)}: leave it out"
        )

    @property
    def only_occupancy(self) -> bool:
        return set(self.classes) == OCCUPANCY

    def digest(self, training_only: bool = False) -> str:
        """Return sixteen hex digits that differ wherever two recipes do.

        training_only: what comes after training may differ; a run need not be made anew for it.
        """
        text = json.dumps(self.of_training()) if training_only else self.model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def of_training(self) -> dict[str, Any]:
        """Return the keys that change the weights, as JSON has them.

        Where pictures lie is not among them: what they show says whether they are the same.
        """
        about = self.model_dump(mode="json", exclude=AFTERWARDS)
        for source in about["data"]:
            del source["data"]
        return about


def check_choice(labels: Collection[str]) -> None:
    """Raise ConfigError where data has fewer than two classes: who knows one is always right."""
    if len(labels) < 2:
        raise ConfigError(
            [f"the data has only the class '{', '.join(labels)}'; a model tells at least two "
             "apart: a folder for each"]
        )  # fmt: skip


def _check_names(classes: Sequence[str]) -> None:
    """Raise ValueError where two classes are one in two spellings: each would learn half."""
    known = {name: name for name in OCCUPANCY}
    for name in classes:
        same = known.setdefault(name.strip().casefold(), name)
        if same != name:
            raise ValueError(f"the class '{name}' is called '{same}'")
    if len(set(classes)) < len(classes):
        raise ValueError("a class is named twice")


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file, with KEY=VALUE changes (net.width=0.5).

    Raises ConfigError with every problem of the file, UsageError for a change that is none.
    """
    file = read_yaml(path, "configs/recipes/ holds examples")
    recipe = validate(file, Recipe)
    if recipe is None:
        raise ConfigError([str(problem) for problem in file.problems])
    return changed(recipe, changes)


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Return the recipe with KEY=VALUE changes; a value is YAML, a key may be net.width."""
    about = recipe.model_dump(mode="json")
    for change in changes:
        key, equals, value = change.partition("=")
        *folders, last = key.split(".")
        if not equals:
            raise UsageError(f"--set {change}: write KEY=VALUE, for example lr=0.05, net.width=0.5")
        place = about
        for depth, folder in enumerate(folders):
            place = _within(place, folders[:depth], folder, change)
        try:
            place[last] = yaml.load(value, Loader)
        except yaml.YAMLError:
            raise UsageError(f"--set {change}: the value is no YAML") from None
    try:
        # By way of JSON lists become tuples, and a date is the text that somebody wrote.
        return Recipe.model_validate_json(json.dumps(about, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        keys = first["loc"]
        where = ".".join(map(str, keys)) or "the recipe"
        why = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            why = f"unknown key; {nearest(str(keys[-1]), names_in(Recipe, keys[:-1]))}"
        raise UsageError(f"--set: {where}: {why}") from None


def _within(section: dict[str, Any], above: list[str], key: str, change: str) -> dict[str, Any]:
    """Return a section of a section, for a change in it. Raises UsageError where there is none."""
    where = ".".join((*above, key))
    if key not in section:
        hint = nearest(key, names_in(Recipe, tuple(above)))
        raise UsageError(f"--set {change}: {where}: unknown key; {hint}")
    found = section[key]
    if isinstance(found, dict):
        return found
    rest, _, value = change.removeprefix(f"{where}.").partition("=")
    if found is None:
        raise UsageError(
            f"--set {change}: the recipe has no {where}; write it whole: "
            f"--set '{where}={{{rest}: {value}, …}}'"
        )
    raise UsageError(f"--set {change}: {where} has no keys; write it whole: --set '{where}=…'")
