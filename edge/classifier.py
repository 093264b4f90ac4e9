"""A model bundle, opened: slot crops in, calibrated probabilities out.

A bundle is one ONNX file that carries all that belongs to it: scaling, mean, std, the network and
the temperature in its graph; class names, thresholds, figures and licences in its metadata.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from edge.errors import ModelError
from edge.preprocess import RESIZE, to_batch
from edge.types import Image, Score, Slot, SlotCrop

SHIPPED = Path(__file__).parent / "models" / "slots.onnx"
FORMAT = 2
"""The newest that this version reads. 2 is 1 with `thresholds.misplaced_below`."""
METADATA_KEY = "shelf-edge"
EMPTY = "empty"
OTHER = "other"
"""The class of goods that are shown so that the model knows them for none of its products."""
OCCUPANCY = {EMPTY, "stocked"}

MAX_BATCH = 32
"""Crops in one run: ONNX Runtime keeps the memory of its largest batch for ever."""

NEAR_ONE = 1e-3
"""So far from one the sum of a picture's probabilities may be: it is a sum of rounded numbers."""

NOT_LOADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    UnicodeDecodeError,  # names and metadata are texts
)


class Thresholds(BaseModel):
    """From where on a probability speaks; None leaves it to the site's or the general value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    empty_above: float | None = Field(default=None, ge=0, le=1)
    stocked_below: float | None = Field(default=None, ge=0, le=1)
    misplaced_below: float | None = Field(default=None, gt=0, lt=1)
    """Of p(own product | not empty); only where classes are products."""
    chosen_for: str

    @property
    def format(self) -> int:
        """Of a bundle with these: the oldest that will do, for daemons that are not up to date."""
        return 1 if self.misplaced_below is None else 2

    @model_serializer(mode="wrap")
    def _without_what_older_ones_refuse(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        """Write misplaced_below only where it says something: format 1 knows no such key."""
        about: dict[str, Any] = serialize(self)
        if self.misplaced_below is None:
            about.pop("misplaced_below", None)
        return about


class Temperature(BaseModel):
    """How sure a model may be: logits are shifted for `empty`, then divided; all in the graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0)
    shift: float = 0.0
    """Added to the logit of `empty`: in a new shop the threshold moves more than the features."""
    fitted_on: str


class Source(BaseModel):
    """Something that a model was made from, and what its licence asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    attribution: str


class BundleInfo(BaseModel):
    """What a bundle says of itself: the JSON under METADATA_KEY in the ONNX file's metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str
    classes: tuple[str, ...] = Field(min_length=2)
    input_size: int = Field(gt=0)
    resize: str
    thresholds: Thresholds
    temperature: Temperature
    recipe: dict[str, JsonValue]
    recipe_hash: str
    data_digest: str
    accuracy: dict[str, JsonValue]
    quantization: str
    sources: tuple[Source, ...]
    digest: str = ""
    """sha256 of the file it was read from; not part of the file."""


class Classifier:
    """An opened bundle. Not for use by two threads at once."""

    def __init__(self, info: BundleInfo, session: ort.InferenceSession):
        self.info = info
        self._session = session
        self._input_name = session.get_inputs()[0].name
        self._column = {name: column for column, name in enumerate(info.classes)}

    @property
    def input_size(self) -> int:
        """Side in pixels of what the net itself is shown."""
        return self.info.input_size

    def probabilities(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """Return (n, classes) float32, each row summing to 1; crops are BGR, of any size."""
        rows = [np.empty((0, len(self.info.classes)), np.float32)]
        for start in range(0, len(crops), MAX_BATCH):
            batch = to_batch(crops[start : start + MAX_BATCH], self.info.input_size)
            rows.append(self.probabilities_of(batch))
        return np.concatenate(rows)

    def probabilities_of(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, classes) for what `to_batch` made, at most MAX_BATCH crops."""
        rows: NDArray[np.float32] = self._session.run(None, {self._input_name: batch})[0]
        return rows

    def score(self, crops: Sequence[SlotCrop]) -> list[Score]:
        """Return what the model says of each crop, in their order."""
        rows = self.probabilities([crop.image for crop in crops])
        return [self._score(crop.slot, row) for crop, row in zip(crops, rows, strict=True)]

    def _score(self, slot: Slot, row: NDArray[np.float32]) -> Score:
        product = product_of(slot, self.info.classes)
        return Score(
            p_empty=float(row[self._column[EMPTY]]),
            p_present=None if product is None else float(row[self._column[product]]),
        )


def product_of(slot: Slot, classes: Collection[str]) -> str | None:
    """Return the class that is the slot's own product; None where the model does not know it."""
    if set(classes) == OCCUPANCY:
        return None
    return next((name for name in (slot.sku, slot.name) if name in classes and name != EMPTY), None)


def open_classifier(path: Path | None = None, threads: int = 1) -> Classifier:
    """Open a bundle, None being the one that ships. threads is how many cores one batch may use.

    Raises ModelError, naming the file and the way out, where it cannot be used.
    """
    path = path or SHIPPED
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the model: {error.strerror}; write 'model: default' to use the "
            "one that ships, or the path of a file that 'trainer export' wrote"
        ) from None
    try:
        session = ort.InferenceSession(content, session_options(threads), ["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
    except NOT_LOADABLE as error:
        raise ModelError(
            f"{path}: not an ONNX model that this version can load ({_first_line(error)}); "
            "copy the file again, or write it anew with 'trainer export'"
        ) from None
    info = _read_info(path, metadata)
    _check_graph(path, session, info)
    digest = hashlib.sha256(content).hexdigest()
    classifier = Classifier(info.model_copy(update={"digest": digest}), session)
    _check_answers(path, classifier)
    return classifier


def _check_answers(path: Path, classifier: Classifier) -> None:
    """Raise ModelError where a bundle does not answer a grey picture with probabilities.

    A number that is none would be neither above a threshold nor below it: it would read as stocked.
    """
    size = classifier.info.input_size
    try:
        rows = classifier.probabilities_of(np.full((1, size, size, 3), 128, np.uint8))
    except NOT_LOADABLE as error:
        raise ModelError(
            f"{path}: the model cannot be run ({_first_line(error)}); copy the file again, or "
            "write it anew with 'trainer export'"
        ) from None
    as_many = rows.shape == (1, len(classifier.info.classes))
    if not (as_many and rows.min() >= 0 and abs(rows.sum() - 1) <= NEAR_ONE):
        said = ", ".join(map(str, rows.ravel()[:3]))
        raise ModelError(
            f"{path}: the model answers with no probabilities: {said}; copy the file again, or "
            "write it anew with 'trainer export'"
        )


def session_options(threads: int) -> ort.SessionOptions:
    """Return how a graph is run here, and in the trainer where it asks how good and fast it is."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # A spinning worker burns a core between two looks: 58 ms of CPU for 11 ms of work at 5 Hz.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _read_info(path: Path, metadata: dict[str, str]) -> BundleInfo:
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{path}: an ONNX model, but no bundle: it carries no '{METADATA_KEY}' metadata; "
            "write it with 'trainer export'"
        )
    newer = _format_of(metadata[METADATA_KEY]) > FORMAT
    if newer:
        raise ModelError(
            f"{path}: the bundle's format is newer than the {FORMAT} that this version reads; "
            "update shelf-edge, or export the model with the trainer of this version"
        )
    try:
        info = BundleInfo.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "it"
        raise ModelError(
            f"{path}: the bundle's metadata is damaged: {key}: {first['msg']}; "
            "write it anew with 'trainer export'"
        ) from None
    if EMPTY not in info.classes:
        raise ModelError(
            f"{path}: no class is called '{EMPTY}' (it has {', '.join(info.classes)}); "
            "train it on data in which empty slots have that label"
        )
    if info.resize != RESIZE:
        raise ModelError(
            f"{path}: made for the resize rule '{info.resize}', this version has '{RESIZE}'; "
            "export the model with the trainer of this version"
        )
    return info


class _Format(BaseModel):
    """The one key that every format, also a future one, has."""

    format: int = 0


def _format_of(text: str) -> int:
    try:
        return _Format.model_validate_json(text).format
    except ValidationError:
        return 0


def _check_graph(path: Path, session: ort.InferenceSession, info: BundleInfo) -> None:
    """Refuse a graph that does not take our batch or does not answer with our classes."""
    size, classes = info.input_size, len(info.classes)
    for word, found, dtype, shape in (
        ("input", session.get_inputs(), "uint8", [size, size, 3]),
        ("output", session.get_outputs(), "float", [classes]),
    ):
        wanted = f"N x {' x '.join(map(str, shape))} {dtype}"
        fits = (
            len(found) == 1
            and found[0].type == f"tensor({dtype})"
            and found[0].shape[1:] == shape
            and not isinstance(found[0].shape[0], int)
        )
        if not fits:
            seen = ", ".join(f"{arg.shape} {arg.type}" for arg in found)
            raise ModelError(
                f"{path}: the {word} must be one tensor {wanted} with N free, not {seen}; "
                "write the model with 'trainer export'"
            )


def _first_line(error: Exception) -> str:
    """ONNX Runtime's own words without the part that repeats the code."""
    return str(error).splitlines()[0].rpartition(" : ")[2][:160]
