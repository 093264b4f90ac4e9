"""The bundles here are small but real: brightness decides, in a graph that ONNX Runtime runs."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.classifier import (
    FORMAT,
    MAX_BATCH,
    METADATA_KEY,
    SHIPPED,
    Thresholds,
    open_classifier,
)
from edge.errors import ModelError
from edge.geometry import cut
from edge.plan import merge_rule
from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene
from edge.site import Decision
from edge.types import Slot, SlotCrop

SIZE = 8
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def metadata(classes=("empty", "stocked"), **changes) -> dict:
    return {
        "format": FORMAT,
        "name": "brightness",
        "classes": list(classes),
        "input_size": SIZE,
        "resize": "area-then-linear",
        "thresholds": {"empty_above": 0.8, "stocked_below": 0.4, "chosen_for": "this test"},
        "temperature": {"value": 1.0, "fitted_on": "nothing"},
        "recipe": {"name": "brightness"},
        "recipe_hash": "0",
        "data_digest": "0",
        "accuracy": {},
        "quantization": "none",
        "sources": [],
        **changes,
    }


def write_bundle(path, about, weights=(8.0, -8.0), dtype=TensorProto.UINT8, batch="N", size=SIZE,
                 last="Softmax", column=("Unsqueeze", (1,))):  # fmt: skip
    """A graph in which each class's logit is its weight times (mean brightness - 0.5)."""
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["unit"]),
        helper.make_node("Sub", ["unit", "half"], ["centred"]),
        helper.make_node(column[0], ["centred", "shape"], ["column"]),
        helper.make_node("Mul", ["column", "weights"], ["logits"]),
        helper.make_node(
            last,
            ["logits"] * (2 if last == "Concat" else 1),
            ["probabilities"],
            **({"axis": 0} if last == "Concat" else {}),
        ),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "white": np.float32(255),
        "half": np.float32(0.5),
        "shape": np.array(column[1], np.int64),
        "weights": np.array([weights], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", dtype, [batch, size, size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, len(weights)])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if about is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, json.dumps(about)
    onnx.save(model, path)
    return path


def grey(value: int) -> np.ndarray:
    return np.full((20, 11, 3), value, np.uint8)


def slot(name="Cola", sku=None) -> Slot:
    return Slot("a1", "cam", WHOLE, name, sku)


def test_a_bundle_tells_empty_from_stocked_in_the_order_of_the_crops(tmp_path):
    classifier = open_classifier(write_bundle(tmp_path / "m.onnx", metadata()))
    scores = classifier.score([SlotCrop(slot(), grey(255)), SlotCrop(slot(), grey(0))])
    assert scores[0].p_empty > 0.99
    assert scores[1].p_empty < 0.01
    assert [score.p_present for score in scores] == [None, None]


def test_more_crops_than_one_batch_come_back_in_order(tmp_path):
    classifier = open_classifier(write_bundle(tmp_path / "m.onnx", metadata()))
    values = np.linspace(0, 255, 2 * MAX_BATCH + 3).astype(int)
    probabilities = classifier.probabilities([grey(value) for value in values])
    assert probabilities.shape == (len(values), 2)
    assert probabilities.dtype == np.float32
    assert (np.diff(probabilities[:, 0]) > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_no_crop_gives_no_score(tmp_path):
    classifier = open_classifier(write_bundle(tmp_path / "m.onnx", metadata()))
    assert classifier.score([]) == []
    assert classifier.probabilities([]).shape == (0, 2)


def test_with_product_names_p_present_is_that_of_the_slots_own_product(tmp_path):
    about = metadata(("cola", "empty", "8801"))
    classifier = open_classifier(write_bundle(tmp_path / "m.onnx", about, (6.0, -6.0, 0.0)))
    slots = [slot(sku="8801"), slot(name="cola"), slot(name="cola", sku="8801"), slot(name="tea")]
    scores = classifier.score([SlotCrop(each, grey(255)) for each in slots])
    row = classifier.probabilities([grey(255)])[0]
    assert [score.p_present for score in scores] == pytest.approx([row[2], row[0], row[2], None])
    assert scores[0].p_empty == pytest.approx(row[1])


def test_a_product_that_calls_itself_empty_is_not_present_in_an_empty_slot(tmp_path):
    about = metadata(("cola", "empty"))
    classifier = open_classifier(write_bundle(tmp_path / "m.onnx", about))
    assert classifier.score([SlotCrop(slot(name="empty"), grey(0))])[0].p_present is None


def test_the_info_names_the_file_it_came_from_by_its_digest(tmp_path):
    path = write_bundle(tmp_path / "m.onnx", metadata())
    info = open_classifier(path).info
    assert info.classes == ("empty", "stocked")
    assert info.thresholds.empty_above == 0.8
    assert len(info.digest) == 64
    assert info.digest == open_classifier(path, threads=2).info.digest


def test_a_bundle_from_before_misplaced_had_a_threshold_leaves_it_to_the_general_value(tmp_path):
    info = open_classifier(write_bundle(tmp_path / "m.onnx", metadata(format=1))).info
    assert info.thresholds.misplaced_below is None
    assert merge_rule(Decision(), info.thresholds).misplaced_below == 0.2


def test_only_a_bundle_that_says_more_than_older_daemons_know_asks_for_a_newer_one():
    plain = Thresholds(chosen_for="this test")
    assert (plain.format, "misplaced_below" in plain.model_dump()) == (1, False)
    chosen = Thresholds(misplaced_below=0.1, chosen_for="this test")
    assert (chosen.format, chosen.model_dump()["misplaced_below"]) == (2, 0.1)


def refusal(path) -> str:
    with pytest.raises(ModelError) as caught:
        open_classifier(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_missing_file_is_refused_with_the_way_out(tmp_path):
    message = refusal(tmp_path / "gone.onnx")
    assert "No such file" in message
    assert "model: default" in message


def test_a_folder_is_no_model(tmp_path):
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)], ids=["empty", "text", "0"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    assert "not an ONNX model" in refusal(tmp_path / "m.onnx")


def test_half_a_file_is_refused(tmp_path):
    path = write_bundle(tmp_path / "m.onnx", metadata())
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(path)


def test_text_that_is_no_text_is_refused(tmp_path):
    path = write_bundle(tmp_path / "m.onnx", metadata())
    path.write_bytes(path.read_bytes().replace(b'"empty"', b'"emp\xffy"'))
    assert "not an ONNX model" in refusal(path)


def test_an_onnx_without_our_metadata_is_refused(tmp_path):
    assert "no bundle" in refusal(write_bundle(tmp_path / "m.onnx", None))


def test_a_newer_format_is_refused_even_if_all_else_about_it_is_unknown(tmp_path):
    path = write_bundle(tmp_path / "m.onnx", {"format": FORMAT + 1, "surprise": True})
    assert "update shelf-edge" in refusal(path)


def test_damaged_metadata_names_its_key(tmp_path):
    about = metadata()
    del about["temperature"]
    assert "temperature: Field required" in refusal(write_bundle(tmp_path / "m.onnx", about))


@pytest.mark.parametrize("value", [0, 1, -0.2, "low"])
def test_a_threshold_of_misplaced_that_nothing_could_pass_is_refused(tmp_path, value):
    about = metadata(thresholds={"misplaced_below": value, "chosen_for": "this test"})
    message = refusal(write_bundle(tmp_path / "m.onnx", about))
    assert "thresholds.misplaced_below: Input should be" in message


def test_a_bundle_without_a_class_called_empty_is_refused(tmp_path):
    path = write_bundle(tmp_path / "m.onnx", metadata(("cola", "tea")))
    assert "no class is called 'empty' (it has cola, tea)" in refusal(path)


def test_another_resize_rule_is_refused(tmp_path):
    path = write_bundle(tmp_path / "m.onnx", metadata(resize="letterbox"))
    assert "letterbox" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"dtype": TensorProto.FLOAT}, "input"),
        ({"size": 2 * SIZE}, "input"),
        ({"batch": 1}, "input"),
        ({"weights": (1.0, 2.0, 3.0)}, "output"),
    ],
    ids=["float input", "other size", "fixed batch", "one class too many"],
)
def test_a_graph_that_does_not_fit_its_metadata_is_refused(tmp_path, changes, word):
    path = write_bundle(tmp_path / "m.onnx", metadata(), **changes)
    assert f"the {word} must be one tensor" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": (np.nan, 1.0)}, "answers with no probabilities: nan, nan"),
        ({"last": "Identity"}, "answers with no probabilities"),
        ({"last": "Concat", "weights": (128.0, 127.0)}, "answers with no probabilities"),
        ({"column": ("Reshape", (-1, 2))}, "the model cannot be run"),
    ],
    ids=["no numbers", "no softmax", "two answers", "does not run"],
)
def test_a_bundle_that_does_not_answer_with_probabilities_is_refused(tmp_path, changes, words):
    path = write_bundle(tmp_path / "m.onnx", metadata(), **changes)
    assert words in refusal(path)


def test_the_bundle_that_ships_is_what_onnx_calls_valid():
    onnx.checker.check_model(onnx.load(SHIPPED), full_check=True)


def test_the_bundle_that_ships_fits_its_promise_and_names_what_it_was_made_from():
    assert SHIPPED.stat().st_size <= 10e6
    info = open_classifier().info
    assert info.classes == ("empty", "stocked")
    assert info.quantization.startswith("U8S8 per channel")
    assert {source.licence for source in info.sources} <= {"MIT", "CC BY 4.0"}
    assert "ImageNet" in " ".join(source.attribution for source in info.sources)


def test_the_bundle_that_ships_tells_full_from_empty_slots_of_the_rendered_store():
    scene = Scene(seed=3)
    stock = scene.stock(0.0)
    image = Renderer(scene).picture(0.0)
    slots = scene.slots()
    crops = [SlotCrop(slot, cut(image, slot.quad)) for slot in slots]
    scores = open_classifier().score(crops)
    assert {bool(count) for count in stock} == {True, False}  # it shows both
    for count, score in zip(stock, scores, strict=True):
        assert score.p_empty < 0.4 if count else score.p_empty > 0.8


def test_the_bundle_that_ships_calls_a_bare_wall_over_a_board_empty():
    wall = np.full((120, 90, 3), 150, np.uint8)
    wall[80:] = 215
    assert open_classifier().score([SlotCrop(slot(), wall)])[0].p_empty > 0.8
