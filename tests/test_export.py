"""A run becomes a bundle: what it measures, promises, refuses and warns of."""

from __future__ import annotations

import errno
import json
import logging
import shutil
from collections import Counter
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
from onnx import numpy_helper
from test_trainer import refusal, trainer
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torchvision import models

from edge.classifier import EMPTY, Temperature, open_classifier
from edge.errors import UnavailableError
from edge.preprocess import to_batch
from trainer import drawn
from trainer.answering import softmax
from trainer.baselines import BASELINES, Baseline
from trainer.bundle import write_fp32
from trainer.data import read_pictures
from trainer.evaluate import open_model
from trainer.export import Compared, _better
from trainer.mixture import Mixture, open_mixture
from trainer.net import SlotNet
from trainer.parity import LabelledParts, parity, worst
from trainer.qat import RoundedActivation, RoundedWeight, fine_tune
from trainer.quantize import (
    Candidate,
    Histogram,
    Target,
    candidates,
    closest,
    entropy,
    histograms,
    minmax,
    percentile,
    quantize,
)
from trainer.recipe import Net, Recipe
from trainer.resnet import STD
from trainer.runs import load_run
from trainer.scaling import fold_scaling
from trainer.session import in_parts, logits_of, open_session
from trainer.temper import SUREST, VAGUEST, temper

RECIPE = """
name: tiny
classes: [{classes}]
input_size: 32
net: {{arch: resnet10, width: 0.125, b: true, c: true, d: true}}
data: [{{data: {data}}}]
augment: none
precision: fp32
steps: 30
batch: 8
lr: 0.05
"""
KOREAN = ("empty", "바나나우유", "콜라 제로")


def write_photos(folder, first: int, count: int, labels=("empty", "stocked")) -> None:
    """Drawn slots with an index; a class that is neither is a stocked slot in a tint of its own."""
    folder.mkdir()
    lines = ["file,label,group"]
    for i in range(first, first + count):
        label = labels[i % len(labels)]
        image = drawn.slot(np.random.default_rng((5, i)), label != EMPTY)
        if label in KOREAN[1:]:
            image[..., KOREAN.index(label)] = 250
        cv2.imwrite(str(folder / f"{i}.png"), image)
        lines.append(f"{i}.png,{label},g{i}")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")


def trained(folder, data, labels, *options) -> None:
    recipe = folder.with_suffix(".yaml")
    recipe.write_text(RECIPE.format(classes=", ".join(labels), data=data), encoding="utf-8")
    result = trainer("fit", recipe, "--out", folder, *options)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures learnt from, others that were not, and a run."""
    folder = tmp_path_factory.mktemp("place")
    write_photos(folder / "learnt", 0, 24)
    write_photos(folder / "new", 100, 40)
    trained(folder / "run", folder / "learnt", ("empty", "stocked"))
    return folder


@pytest.fixture(scope="module")
def exported(place):
    """The bundle, and the report file that was written beside it."""
    bundle, report = place / "tiny.onnx", place / "report.json"
    result = trainer(
        "export", place / "run", "--out", bundle, "--held-out", place / "new", "--qat", "off",
        "--report", report,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return bundle, json.loads(report.read_text())


@pytest.fixture
def met(monkeypatch):
    """The pictures, as bytes, that ranges are measured on and those they are judged on."""
    noted = []

    def note(path, target, measured_on, judged_on, expected):
        noted.extend([one.tobytes() for one in part] for part in (measured_on, judged_on))
        return candidates(path, target, measured_on, judged_on, expected)

    monkeypatch.setattr("trainer.export.candidates", note)
    return noted


def images_of(folder) -> list[np.ndarray]:
    return [cv2.imread(str(file)) for file in sorted(folder.glob("*.png"))]


def test_the_report_says_what_quantization_changed_and_what_it_cost(exported):
    _, report = exported
    assert report["n"] == report["accuracy"]["held_out"]["n"] == 40
    assert report["trained_on"] == 0
    assert report["ms_fp32"] > 0
    assert report["ms_int8"] > 0
    assert report["threads"] == 1
    lost = report["top1_fp32"] - report["top1_int8"]
    assert report["within_contract"] == (lost <= 0.003 and report["agreement"] >= 0.985)


def test_each_way_to_find_ranges_is_tried_and_the_closest_is_taken(exported):
    bundle, report = exported
    tried = report["candidates"]
    assert set(tried) == {"MinMax", "Entropy", "Percentile"}
    most = max(each["agreement"] for each in tried.values())
    alike = {k: v for k, v in tried.items() if v["agreement"] >= most - 0.01}
    assert report["rule"] == min(alike, key=lambda rule: alike[rule]["kl"])
    words = open_classifier(bundle).info.quantization
    assert words.startswith("U8S8 per channel, QDQ, reduce_range, GPTQ; ")
    assert all(rule in words for rule in tried)


def test_the_worst_pictures_are_named_with_both_answers_and_stay_out_of_the_bundle(exported, place):
    bundle, report = exported
    assert len(report["worst"]) == 10
    divergences = [each["kl"] for each in report["worst"]]
    assert divergences == sorted(divergences, reverse=True)
    assert report["worst"][0]["picture"].startswith(str(place / "new"))
    assert report["worst"][0]["fp32"]["class"] in ("empty", "stocked")
    told = open_classifier(bundle).info.model_dump_json()
    assert str(place / "new") not in told


def test_a_temperature_is_fitted_on_pictures_that_the_run_has_not_seen(exported):
    bundle, report = exported
    temperature = open_classifier(bundle).info.temperature
    assert temperature.fitted_on == "INT8 logits of 40 held-out pictures"
    assert temperature.value == report["temperature"] != 1


def test_every_temperature_is_fitted_on_what_the_int8_net_says(place, tmp_path, monkeypatch):
    fitted = []

    def note(logits, truth, shift_of, equally):
        fitted.append(logits)
        return 1.0, 0.0

    monkeypatch.setattr("trainer.export.fit_temperature", note)
    bundle = tmp_path / "m.onnx"
    asked = ("--out", bundle, "--held-out", place / "new", "--qat", "off")
    assert trainer("export", place / "run", *asked).returncode == 0
    images = images_of(place / "new")
    int8, fp32 = (open_model(one, 1)[0].probabilities(images) for one in (bundle, place / "run"))
    assert np.abs(int8 - fp32).max() > 1e-3
    np.testing.assert_allclose(softmax(fitted[0]), int8, atol=1e-6)
    known = {row.tobytes() for row in fitted[0]}
    assert all(row.tobytes() in known for logits in fitted for row in logits)


def test_how_sure_it_is_was_measured_with_temperatures_that_had_not_seen_the_group(
    place, tmp_path, monkeypatch
):
    """Two pictures a group: what shows the same thing is known with either of them."""
    fitted = []

    def note(logits, truth, shift_of, equally):
        fitted.append([row.tobytes() for row in logits])
        return float(len(fitted)), 0.0

    monkeypatch.setattr("trainer.export.fit_temperature", note)
    scored = []
    monkeypatch.setattr(
        "trainer.export.tempered",
        lambda x, own, classes: scored.append((x, own)) or softmax(x / own.value),
    )
    first, *rows = (place / "new" / "index.csv").read_text().split()
    pairs = [f"{place / 'new'}/{row.rpartition(',')[0]},p{i // 2}" for i, row in enumerate(rows)]
    index = tmp_path / "index.csv"
    index.write_text("\n".join([first, *pairs]))
    asked = ("--held-out", index, "--qat", "off")
    assert trainer("export", place / "run", "--out", tmp_path / "m.onnx", *asked).returncode == 0
    pair_of = {row: i // 2 for i, row in enumerate(fitted[0])}
    assert sum(len(x) for x, _ in scored) == len(pair_of) == 40
    for x, own in scored:
        known = {pair_of[row] for row in fitted[int(own.value) - 1]}
        assert not known & {pair_of[row.tobytes()] for row in x.astype(np.float32)}


def test_a_bundle_is_what_onnx_calls_valid(exported):
    onnx.checker.check_model(onnx.load(exported[0]), full_check=True)


def test_a_run_exported_twice_is_one_bundle_with_one_digest(exported, place, tmp_path):
    bundle, report = exported
    again = tmp_path / "again.onnx"
    asked = ("--out", again, "--held-out", place / "new", "--qat", "off")
    assert trainer("export", place / "run", *asked).returncode == 0
    found, before = (open_classifier(one).info for one in (again, bundle))
    assert found == before
    assert found.digest == sha256(bundle.read_bytes()).hexdigest()
    timed = {"ms_fp32", "ms_int8", "threads"}
    assert timed <= set(report)
    assert not timed & set(found.accuracy["parity"])


def test_ranges_are_measured_on_some_pictures_and_judged_on_others(place, tmp_path, met):
    asked = ("--out", tmp_path / "m.onnx", "--qat", "off")
    assert trainer("export", place / "run", *asked).returncode == 0
    measured_on, judged_on = met
    assert len(measured_on) == len(judged_on) == 12
    assert len({*measured_on, *judged_on}) == 24


def test_one_picture_is_enough_to_measure_ranges_on(place, tmp_path, met):
    alone = tmp_path / "alone.csv"
    for name in "ab":
        shutil.copy(place / "learnt" / "0.png", tmp_path / f"{name}.png")
    alone.write_text("file,label,group\na.png,empty,1\nb.png,stocked,2")
    asked = ("--data", alone, "--qat", "off", "--json")
    done = trainer("export", place / "run", "--out", tmp_path / "m.onnx", *asked)
    assert json.loads(done.stdout)["kl"] < 0.01
    measured_on, judged_on = met
    assert measured_on == judged_on
    assert len(judged_on) == 1


def test_the_best_checkpoint_is_said_to_have_been_chosen_on_what_is_measured(
    place, tmp_path, caplog
):
    held_out = f"held_out=[{{data: {place / 'new'}}}]"
    trained(tmp_path / "run", place / "learnt", ("empty", "stocked"), "--set", held_out)
    for name, warns in (("run", False), ("run/best.pt", True)):
        caplog.clear()
        done = trainer("export", tmp_path / name, "--out", tmp_path / "m.onnx", "--qat", "off")
        assert done.returncode == 0
        assert ("was chosen on the pictures" in caplog.text) is warns


def test_where_the_temporary_folder_is_full_one_message_says_so(place, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainer.export.write_fp32", full)
    done = trainer("export", place / "run", "--out", tmp_path / "m.onnx")
    assert done.returncode == 69
    assert done.stderr.splitlines()[-1].endswith(
        "No space left on device; make room there, or name another folder in TMPDIR"
    )


def test_a_file_that_was_damaged_by_a_full_temporary_folder_is_told_as_that(
    place, tmp_path, monkeypatch
):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def damaged(net, recipe, path, *_):
        path.write_bytes(b"\0")
        raise RuntimeError("Protobuf parsing failed.")

    def room(_):  # all that was written is given back once the folder is removed
        return SimpleNamespace(free=0 if any(temporary.iterdir()) else 1 << 40)

    monkeypatch.setattr("trainer.export.write_fp32", damaged)
    monkeypatch.setattr("trainer.bundle.shutil.disk_usage", room)
    done = trainer("export", place / "run", "--out", tmp_path / "m.onnx")
    assert done.returncode == 69
    assert f"{temporary}: No space left on device; make room there" in done.stderr


def test_a_bundle_of_another_name_and_a_report_in_a_new_folder(place, tmp_path):
    checkpoint = (place / "run" / "last.pt").read_bytes()
    assert "*.onnx" in refusal("export", place / "run", "--out", place / "run" / "last.pt")
    assert (place / "run" / "last.pt").read_bytes() == checkpoint
    report = tmp_path / "new" / "report.json"
    asked = ("--out", tmp_path / "m.onnx", "--qat", "off", "--report", report)
    assert trainer("export", place / "run", *asked).returncode == 0
    assert json.loads(report.read_text())["n"] == 12


def test_a_bundle_skips_what_its_run_skips(place, tmp_path):
    run, bundle = tmp_path / "run", tmp_path / "m.onnx"
    trained(run, place / "learnt", ("empty", "stocked"), "--set", "unreadable=skip")
    assert trainer("export", run, "--out", bundle, "--qat", "off").returncode == 0
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows = (place / "new" / "index.csv").read_text().split()
    whole = [f"{place / 'new'}/{row}" for row in rows[1:]]
    index = tmp_path / "index.csv"
    index.write_text("\n".join([rows[0], "broken.png,empty,g", *whole]))
    for model in (run, bundle):
        done = trainer("evaluate", model, "--data", index, "--json")
        assert json.loads(done.stdout)["n"] == 40, done.stderr


def test_answers_depend_neither_on_the_batch_nor_on_threads(exported, place):
    bundle, _ = exported
    images = images_of(place / "new")
    expected = open_classifier(bundle).probabilities(images)
    for threads in (1, 2, 3):
        classifier = open_classifier(bundle, threads)
        for size in (1, 3, 7, 32):
            parts = [images[i : i + size] for i in range(0, len(images), size)]
            found = np.concatenate([classifier.probabilities(part) for part in parts])
            assert np.array_equal(found, expected), (threads, size)


def test_pictures_that_the_run_knows_are_counted_and_give_no_temperature(place, tmp_path, caplog):
    both = ("--held-out", place / "learnt", "--held-out", place / "new")
    out = tmp_path / "m.onnx"
    with caplog.at_level(logging.WARNING):
        result = trainer("export", place / "run", "--out", out, *both, "--qat", "off", "--json")
    report = json.loads(result.stdout)
    assert report["trained_on"] == 24
    assert report["accuracy"]["held_out"]["n"] == 40
    assert "24 of the 64 pictures" in caplog.text
    assert "of 40 held-out" in open_classifier(out).info.temperature.fitted_on


def test_rows_that_a_run_left_out_are_measured_on_as_unseen(place, tmp_path):
    rows = (place / "learnt" / "index.csv").read_text().split()[1:]
    views = [f"{place / 'learnt'}/{row},{'AB'[i // 12]}" for i, row in enumerate(rows)]
    index = tmp_path / "index.csv"
    index.write_text("\n".join(["file,label,group,view", *views]))
    run, bundle = tmp_path / "run", tmp_path / "m.onnx"
    trained(run, index, ("empty", "stocked"), "--leave-out", "view=B")
    asked = ("export", run, "--out", bundle, "--held-out", tmp_path, "--qat", "off", "--json")
    report = json.loads(trainer(*asked, "--only", "view=B").stdout)
    assert (report["n"], report["trained_on"]) == (12, 0)
    assert open_classifier(bundle).info.temperature.fitted_on.startswith("INT8 logits of 12 ")
    found = json.loads(trainer("temper", f"{run}:view=B", "--data", tmp_path, "--json").stdout)
    assert found["fitted_on"] == "FP32 logits of 12 pictures that 1 models had not seen"
    message = refusal("temper", f"{run}:view=A", "--data", tmp_path)
    assert "12 of the pictures show what was learnt by the run, or by one that it began" in message


def test_a_folder_for_the_bundle_that_cannot_be_is_said_before_anything_else(place):
    message = refusal("export", place / "run", "--out", place / "run.yaml" / "m.onnx")
    assert "cannot be made" in message


def test_only_some_rows_of_what_is_held_out_can_be_measured_on(place, tmp_path):
    columns = "file,label,group,view"
    first, *rows = (place / "new" / "index.csv").read_text().split()
    assert columns.startswith(first)
    views = [f"{place / 'new'}/{row},{'B' if i < 12 else 'A'}" for i, row in enumerate(rows)]
    index = tmp_path / "index.csv"
    index.write_text("\n".join([columns, *views]))
    asked = ("export", place / "run", "--out", tmp_path / "m.onnx", "--qat", "off", "--json")
    result = trainer(*asked, "--held-out", index, "--held-out", place / "new", "--only", "view=B")
    assert json.loads(result.stdout)["n"] == 12, result.stderr
    assert "view=C" in refusal(*asked, "--held-out", index, "--only", "view=C")
    assert "--held-out" in refusal(*asked, "--only", "view=B")


def test_without_pictures_to_measure_on_parity_is_still_known_and_accuracy_is_not(
    place, tmp_path, caplog
):
    with caplog.at_level(logging.WARNING):
        result = trainer(
            "export", place / "run", "--out", tmp_path / "m.onnx", "--qat", "off", "--for", "arm",
            "--json",
        )  # fmt: skip
    report = json.loads(result.stdout)
    assert report["trained_on"] == report["n"] == 12
    assert report["temperature"] == 1
    assert report["accuracy"] == {}
    assert "its accuracy is not known" in caplog.text
    info = open_classifier(tmp_path / "m.onnx").info
    assert info.quantization.startswith("S8S8 per channel, QDQ, GPTQ; ")


def test_where_the_contract_is_missed_the_net_is_fine_tuned_and_the_command_says_so(
    place, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("trainer.parity.LEAST_AGREEMENT", 1.1)  # no net agrees that much
    monkeypatch.setattr("trainer.qat.STEPS", 4)
    out = tmp_path / "m.onnx"
    with caplog.at_level(logging.WARNING):
        result = trainer(
            "export", place / "run", "--out", out, "--held-out", place / "new", "--json"
        )
    assert result.returncode == 0
    report = json.loads(result.stdout)
    assert "costs more than it may" in caplog.text
    assert not report["within_contract"]
    assert set(report["qat"]) == {"before", "after"}
    assert len(report["candidates"]) == 6
    assert out.exists()


def test_a_taught_net_is_exported_without_its_teacher_and_at_its_own_size(
    place, tmp_path, monkeypatch
):
    """A teacher may be gone, and may have seen larger pictures than the net is asked about."""
    monkeypatch.setattr("trainer.qat.STEPS", 2)
    shutil.copytree(place / "run", tmp_path / "run")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["distill"] = {"teacher": ["gone"], "size": 64}
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    asked_about = set()

    def note(module, given):
        if given and isinstance(given[0], torch.Tensor) and given[0].dtype == torch.uint8:
            asked_about.add(given[0].shape[1])

    asked = ("export", tmp_path / "run", "--out", tmp_path / "m.onnx", "--held-out", place / "new")
    with register_module_forward_pre_hook(note):
        result = trainer(*asked, "--qat", "on")
    assert result.returncode == 0, result.stderr
    assert asked_about == {32}


def test_when_the_pictures_have_moved_one_message_says_so_and_data_names_them_anew(
    place, tmp_path, caplog
):
    for name in ("run", "learnt"):
        shutil.copytree(place / name, tmp_path / name)
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["data"][0]["data"] = str(tmp_path / "gone")
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    asked = ("export", tmp_path / "run", "--out", tmp_path / "m.onnx", "--held-out", place / "new")
    message = refusal(*asked)
    assert "no such file or folder" in message
    assert "--data" in message
    with caplog.at_level(logging.WARNING):
        result = trainer(*asked, "--data", tmp_path / "learnt", "--qat", "off")
    assert result.returncode == 0, result.stderr
    assert "not what it was trained on" not in caplog.text


def test_korean_product_names_survive_and_a_run_without_empty_is_refused(tmp_path):
    write_photos(tmp_path / "learnt", 0, 12, KOREAN)
    trained(tmp_path / "run", tmp_path / "learnt", KOREAN)
    result = trainer("export", tmp_path / "run", "--out", tmp_path / "m.onnx", "--qat", "off")
    assert result.returncode == 0, result.stderr
    assert open_classifier(tmp_path / "m.onnx").info.classes == KOREAN

    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["classes"] = ["차", *KOREAN[1:]]
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    message = refusal("export", tmp_path / "run", "--out", tmp_path / "m.onnx")
    assert "a bundle needs a class 'empty'" in message
    assert "바나나우유" in message


@pytest.mark.parametrize(
    "net",
    [
        Net(arch="resnet14", width=0.125, blocks=(1, 1), b=False, c=True, d=True),
        Net(arch="resnet18", width=0.125, blocks=(2, 2), d=True),
        Net(arch="simple_cnn", width=0.25),
        Net(arch="vgg16"),
    ],
    ids=lambda net: net.arch,
)
def test_every_kind_of_net_becomes_an_int8_graph_that_says_the_same(net, tmp_path):
    torch.manual_seed(0)
    recipe = Recipe(name="r", classes=("empty", "stocked"), input_size=32, steps=1, net=net)
    model = SlotNet(net, 64).eval()  # of two logits both may be small by chance
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    write_fp32(model, recipe, tmp_path / "fp32.onnx", images)
    ranges = {
        name: minmax(seen) for name, seen in histograms(tmp_path / "fp32.onnx", images).items()
    }
    int8 = quantize(tmp_path / "fp32.onnx", Target.X86, ranges)
    kinds = [node.op_type for node in int8.graph.node]
    assert kinds.count("QuantizeLinear") >= kinds.count("Conv") > 0
    found = logits_of(open_session(int8.SerializeToString()), images)
    expected = model(torch.from_numpy(images)).detach().numpy()
    spread = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=0.1 * spread)
    assert not {"Cast", "Mul"} & set(kinds), "the first convolution reads the bytes themselves"


@pytest.mark.parametrize(
    ("net", "size", "colour", "padded"),
    [
        (Net(arch="resnet10", width=0.25), 32, [123.675, 116.28, 103.53], True),  # ImageNet's mean
        (Net(arch="inception_v3"), 80, [127.5] * 3, False),  # it scales once more, on its own
    ],
    ids=lambda value: getattr(value, "arch", ""),
)
def test_a_folded_scaling_is_the_nets_own_up_to_the_border(net, size, colour, padded, tmp_path):
    """The first convolution over x - grey, compared with the one over the scaled picture.

    And in a bundle a picture all in the border's colour shows no border.
    """
    torch.manual_seed(0)
    recipe = Recipe(name="r", classes=("empty", "stocked"), input_size=size, steps=1, net=net)
    model = SlotNet(net, 2).eval()
    first = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    torch.nn.init.normal_(first.bias)
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_var.fill_(4)  # else what a net of random weights says overflows
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    write_fp32(model, recipe, tmp_path / "fp32.onnx", images)
    graph = onnx.load(tmp_path / "fp32.onnx")
    expected = first_convolution(graph, images)
    folded = fold_scaling(graph)
    np.testing.assert_allclose(folded.grey, np.mean(colour), atol=0.51)
    np.testing.assert_allclose(folded.colour, colour, atol=0.51)
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    found = first_convolution(graph, images)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-4)
    assert (np.abs(found - expected).max() > 1e-3) == padded, "the border is still grey"
    with pytest.raises(RuntimeError, match="not how a net begins: Transpose, Cast, Add"):
        fold_scaling(graph)
    plain = np.full((1, size, size, 3), folded.colour)
    seen = histograms(tmp_path / "fp32.onnx", images)
    ranges = {name: minmax(values) for name, values in seen.items()}
    for target in Target:
        bundled = quantize(tmp_path / "fp32.onnx", target, ranges)
        flat = first_convolution(bundled, plain)
        np.testing.assert_allclose(
            flat, np.broadcast_to(flat[..., 5:6, 5:6], flat.shape), atol=1e-4
        )


def as_written(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Return what a quantized graph says where nothing is fused: integers exact, as with VNNI."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return logits_of(session, images)


def first_convolution(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Return what the first convolution of a graph makes of pictures."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    conv = next(node for node in cut.graph.node if node.op_type == "Conv")
    cut.graph.output.append(onnx.helper.make_empty_tensor_value_info(conv.output[0]))
    return logits_of(open_session(cut.SerializeToString()), images)


@pytest.mark.parametrize("target", list(Target))
def test_a_filter_without_weights_keeps_its_bias(target, tmp_path):
    net = SlotNet(Net(arch="resnet10", width=0.125, blocks=(1,)), 2).eval()
    with torch.no_grad():
        net.body.conv1.weight[:] = 0
        net.body.bn1.bias[:] = 0.45
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    recipe = Recipe.model_validate({"name": "t", "input_size": 32, "steps": 1}, strict=False)
    plain = tmp_path / "plain.onnx"
    write_fp32(net, recipe, plain, images)
    expected = logits_of(open_session(plain.read_bytes()), images)
    best = closest(candidates(plain, target, images, images, expected))
    found = as_written(best.model, images)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_signed_or_not_the_first_convolution_of_a_bundle_reads_bytes(place, tmp_path):
    """On the mean: PCs without VNNI saturate where weights keep all their bits."""
    found = load_run(place / "run")
    images = to_batch(images_of(place / "new"), 32)
    write_fp32(found.net, found.recipe, tmp_path / "fp32.onnx", images)
    seen = histograms(tmp_path / "fp32.onnx", images)
    ranges = {name: minmax(values) for name, values in seen.items()}
    expected = logits_of(open_session((tmp_path / "fp32.onnx").read_bytes()), images)
    for target in Target:
        int8 = quantize(tmp_path / "fp32.onnx", target, ranges)
        answers = logits_of(open_session(int8.SerializeToString()), images)
        assert np.abs(answers - expected).mean() < 0.05 * np.abs(expected).max()
        kinds = [node.op_type for node in int8.graph.node]
        assert ("Cast" in kinds) == (target is Target.ARM)


def test_fine_tuning_leaves_weights_that_rounding_does_not_change():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    for target in (Target.X86, Target.ARM):
        rounded = RoundedWeight(target.top, torch.ones(()))(weight)
        assert torch.equal(RoundedWeight(target.top, torch.ones(()))(rounded), rounded)
        assert len(rounded[0].unique()) <= 2 * target.top + 1
        assert (rounded - weight).abs().max() <= weight.abs().max() / (2 * target.top) * 1.01


def test_fine_tuning_brings_coarse_weights_back_to_the_nets_own_answers(place, monkeypatch):
    """Two bits a weight: what is a fraction of a point in a real net shows in a tiny one."""
    monkeypatch.setattr("trainer.qat.RoundedWeight", TwoBits)
    monkeypatch.setattr("trainer.qat.LR", 3e-3)
    found = load_run(place / "run")
    mixture = open_mixture(found.recipe)
    crops = [mixture.image(i, augmented=False)[0] for i in range(24)]
    images = torch.from_numpy(to_batch(crops, 32))

    def divergence(steps: int) -> float:
        monkeypatch.setattr("trainer.qat.STEPS", steps)
        net = fine_tune(found.net, mixture, Target.X86.top, lambda step, steps: None)
        with torch.inference_mode():
            logits, expected = net(images).log_softmax(dim=1), found.net(images).softmax(dim=1)
        return float(torch.nn.functional.kl_div(logits, expected, reduction="batchmean"))

    after = divergence(steps=60)
    assert after == divergence(steps=60)  # the same answers each time
    assert after < divergence(steps=0) / 2


def small_densenet(net: Net) -> Baseline:
    """A DenseNet of two blocks of two; a BatchNorm that no Relu follows is its last layer."""
    layers = models.DenseNet(8, (2, 2), num_init_features=16, bn_size=2).features
    return Baseline([layers], layers.norm5.num_features, 32, None)


class Tuned(NamedTuple):
    """A net after fine-tuning, in how many places it rounded, its FP32 file and its INT8 graph."""

    net: nn.Module
    rounded: int
    path: Path
    graph: onnx.ModelProto


def fine_tuned(model: SlotNet, mixture: Mixture, path: Path, steps: int) -> Tuned:
    places = set()

    class Noting(RoundedActivation):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places.add(self)
            return super().forward(x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.qat.RoundedActivation", Noting)
        patch.setattr("trainer.qat.STEPS", steps)
        patch.setattr("trainer.qat.LOOKS", 1)
        net = fine_tune(model, mixture, Target.X86.top, lambda step, steps: None)
    crops = [mixture.image(i, augmented=False)[0] for i in range(4)]
    images = to_batch(crops, mixture.recipe.input_size)
    write_fp32(net, mixture.recipe, path, images)
    return Tuned(net, len(places), path, quantized(path, images))


def quantized(path: Path, images: np.ndarray) -> onnx.ModelProto:
    ranges = {name: minmax(values) for name, values in histograms(path, images).items()}
    return quantize(path, Target.X86, ranges)


def untrained(place, net: Net, size: int) -> tuple[SlotNet, Mixture]:
    """A net in which no two BatchNorms are alike, and what it would be fed."""
    torch.manual_seed(0)
    model = SlotNet(net, 2).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
            nn.init.normal_(norm.running_mean, std=0.1)
            norm.running_var.fill_(4)  # else what a net of random weights says overflows
    recipe = load_run(place / "run").recipe
    changes = {"net": net, "input_size": size, "batch": 2}
    return model, open_mixture(recipe.model_copy(update=changes))


@pytest.fixture(scope="module", params=["resnet10", "densenet201"])
def tuned(request, place, tmp_path_factory):
    """The trained net with all tweaks, and one that keeps BatchNorms, fine-tuned by two steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASELINES, "densenet201", small_densenet)
        if request.param == "densenet201":
            model, mixture = untrained(place, Net(arch="densenet201"), 32)
        else:
            found = load_run(place / "run")
            model, mixture = found.net, open_mixture(found.recipe)
        return fine_tuned(model, mixture, tmp_path_factory.mktemp("tuned") / "fp32.onnx", steps=2)


def stored_places(graph: onnx.ModelProto) -> int:
    """Return behind how many nodes a bundle rounds what is not rounded yet.

    A MaxPool answers with what it reads, which is rounded already, and once more as it is stored.
    """
    kinds = Counter(node.op_type for node in graph.graph.node)
    return kinds["QuantizeLinear"] - kinds["MaxPool"]


def test_fine_tuning_rounds_just_what_a_bundle_stores_and_not_the_bytes_it_reads(tuned):
    kinds = {node.op_type for node in tuned.graph.graph.node}
    assert "AveragePool" in kinds  # which has a range of its own
    assert tuned.rounded == stored_places(tuned.graph)


@pytest.mark.parametrize(
    ("net", "size"),
    [
        (Net(arch="resnet18", width=0.125), 32),
        (Net(arch="resnet14", width=0.125, c=True, d=True), 32),
        (Net(arch="vgg16"), 32),
        (Net(arch="simple_cnn", width=0.25), 16),
        (Net(arch="inception_v3"), 80),
    ],
    ids=lambda value: getattr(value, "arch", ""),
)
def test_fine_tuning_rounds_just_what_a_bundle_stores_of_every_kind_of_net(
    net, size, place, tmp_path
):
    model, mixture = untrained(place, net, size)
    found = fine_tuned(model, mixture, tmp_path / "fp32.onnx", steps=0)
    assert found.rounded == stored_places(found.graph)


def test_what_fine_tuning_rounds_the_bundle_does_not_move(tuned):
    """The first convolution too, whose weights hold the scaling of the picture in the bundle."""
    graph = tuned.graph.graph
    kept = [m for m in tuned.net.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    tuned_weights = [module.weight.detach().numpy() for module in kept]
    known = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    readers = [n for n in graph.node if n.op_type in ("Conv", "BatchNormalization")]
    assert len(readers) == len(kept)
    for number, reader in enumerate(readers):
        integers, steps, _ = (known[name] for name in made_by[reader.input[1]].input)
        stored = integers * steps.reshape(-1, *[1] * (integers.ndim - 1))
        if number == 0:
            stored *= 255 * np.reshape(STD, (1, 3, 1, 1))
        alike = [weights for weights in tuned_weights if weights.shape == stored.shape]
        assert (
            min(np.abs(weights - stored).max() for weights in alike) < 1e-5 * np.abs(stored).max()
        )


def test_what_the_quantizer_cannot_do_by_channel_is_no_news_to_who_exports(tuned, caplog):
    """It says so of each BatchNorm: a hundred lines for a DenseNet."""
    quantized(tuned.path, np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8))
    assert caplog.text == ""


class TwoBits(RoundedWeight):
    def __init__(self, top: int, scale: torch.Tensor):
        super().__init__(top, scale)
        self.top = 2


def seen(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in np.array_split(values.astype(np.float32), 7):
        histogram.add(part)
    return histogram


def test_a_histogram_fed_in_parts_counts_every_value_in_its_bin():
    values = np.random.default_rng(0).normal(0, 3, 70_000).astype(np.float32)
    histogram = seen(np.sort(values))  # the edge has to grow again and again
    assert histogram.counts.sum() == len(values)
    assert (histogram.low, histogram.high) == (values.min(), values.max())
    half = histogram.counts[: histogram.bin_of(1.0)].sum() / len(values)
    assert half == pytest.approx((values < 1).mean(), abs=0.001)


@pytest.mark.parametrize("value", [1, 2.0**-10, 3.5, 1e-30, -1])
def test_a_value_just_below_the_edge_has_its_bin(value):
    histogram = seen(np.full(7, np.nextafter(np.float32(value), np.float32(0))))
    assert histogram.counts.sum() == 7


def test_activations_may_be_as_large_as_floats_are():
    assert seen(np.array([2e38, -1, 0, 1] * 4)).counts.sum() == 16


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_activations_that_are_no_numbers_are_told(value):
    with pytest.raises(UnavailableError, match="overflow"):
        seen(np.array([1, value] * 4))


def test_ranges_without_outliers_are_narrower_and_all_contain_zero():
    values = np.abs(np.random.default_rng(0).normal(0, 1, 100_000))
    values[:50_000] = 0  # as a Relu leaves it
    values[-3:] = 60
    found = seen(values)
    assert minmax(found) == (0, 60)
    low, high = percentile(found)
    assert low == 0
    assert 3 < high < 6
    assert 3 < entropy(found)[1] < 60
    above = seen(np.random.default_rng(0).uniform(5, 6, 1000))
    assert percentile(above)[0] == 0, "padding has its level, whatever the others are"
    dead = seen(np.zeros(70))
    assert minmax(dead) == entropy(dead) == (0, 0)


def test_of_candidates_that_agree_alike_the_one_that_diverges_least_is_closest():
    a, b, c = (Candidate(str(i), None, *f) for i, f in enumerate([(1, 3), (0.995, 1), (0.9, 0)]))
    assert closest([a, b, c]) is b


def test_parity_finds_the_picture_on_which_both_nets_differ():
    fp32 = np.array([[2, 0], [2, 0], [0, 2]], np.float32)
    int8 = np.array([[2, 0], [-2, 0], [0, 2]], np.float32)
    truth, plain = np.array([0, 0, 1]), Temperature(value=1, fitted_on="nothing")
    report = parity(fp32, int8, truth, plain, ("empty", "stocked"))
    assert report["agreement"] == report["top1_int8"] == pytest.approx(2 / 3)
    assert not report["within_contract"]
    asked = LabelledParts(
        ["a", "b", "c"], truth, lambda: in_parts(np.zeros((3, 1, 1, 3), np.uint8), 32)
    )
    first = worst(fp32, int8, asked, plain, ("empty", "stocked"))[0]
    assert (first["picture"], first["fp32"]["class"], first["int8"]["class"]) == (
        "b", "empty", "stocked",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "apart", "within"), [(3, 0, True), (4, 0, False), (0, 15, True), (0, 16, False)]
)
def test_three_pictures_of_a_thousand_may_be_lost_and_fifteen_be_called_otherwise(
    lost, apart, within
):
    """lost: FP32 alone was right. apart: both were wrong, each in its own way."""
    fp32, int8, truth = (np.zeros(1000, np.int64) for _ in range(3))
    int8[: lost + apart] = 1
    truth[lost : lost + apart] = 2
    logits = [5 * np.eye(3, dtype=np.float32)[said] for said in (fp32, int8)]
    plain = Temperature(value=1, fitted_on="nothing")
    report = parity(*logits, truth, plain, ("empty", "stocked", "콜라 제로"))
    assert report["top1_fp32"] - report["top1_int8"] == pytest.approx(lost / 1000)
    assert report["agreement"] == pytest.approx(1 - (lost + apart) / 1000)
    assert report["within_contract"] is within


def test_divergence_is_counted_from_what_fp32_says():
    """KL(1/2, 1/2 | 4/5, 1/5) is the logarithm of 5/4; the other way round it would be less."""
    fp32, int8 = np.log([[[0.5, 0.5]], [[0.8, 0.2]]]).astype(np.float32)
    truth, plain = np.array([0]), Temperature(value=1, fitted_on="nothing")
    asked = LabelledParts(["a"], truth, lambda: in_parts(np.zeros((1, 1, 1, 3), np.uint8), 32))
    classes = ("empty", "stocked")
    assert parity(fp32, int8, truth, plain, classes)["kl"] == pytest.approx(np.log(5 / 4))
    assert worst(fp32, int8, asked, plain, classes)[0]["kl"] == pytest.approx(np.log(5 / 4))


@pytest.mark.parametrize(
    ("within", "closer", "best"),
    [
        ((True, False), "after", "before"),
        ((False, True), "before", "after"),
        ((True, True), "before", "before"),
        ((True, True), "after", "after"),
        ((False, False), "before", "before"),
        ((False, False), "after", "after"),
    ],
)
def test_what_keeps_the_contract_wins_and_else_what_stays_closer_to_fp32(within, closer, best):
    plain = Temperature(value=1, fitted_on="nothing")
    both = [
        Compared(
            Candidate(name, None, agreement=1.0 if name == closer else 0.9, kl=0.0),
            plain,
            {"top1_int8": 0.9, "agreement": 0.98, "kl": 0.01, "within_contract": kept},
        )
        for name, kept in zip(("before", "after"), within, strict=True)
    ]
    found = _better(*both)
    assert found.candidate.rule == best
    assert tuple(each["within_contract"] for each in found.report["qat"].values()) == within
    assert found.report["within_contract"] is any(within)


def test_temper_asks_a_bundle_what_it_said_before_its_own_temperature(tmp_path):
    """Dark or bright, which any net learns; with some labels wrong, the fit has one answer."""
    rng = np.random.default_rng(0)
    learnt, asked = [["file,label,group"] for _ in range(2)]
    for i in range(80):
        shade = rng.uniform(140, 220) if i % 2 else rng.uniform(30, 100)
        picture = rng.normal(shade, 20, (40, 40, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        if i < 40:
            learnt.append(f"{i}.png,{('empty', 'stocked')[i % 2]},g{i}")
        else:
            asked.append(f"{i}.png,{('empty', 'stocked')[(i + (i % 7 == 0)) % 2]},g{i}")
    (tmp_path / "index.csv").write_text("\n".join(learnt), encoding="utf-8")
    (tmp_path / "asked.csv").write_text("\n".join(asked), encoding="utf-8")
    run, bundle = tmp_path / "run", tmp_path / "m.onnx"
    trained(run, tmp_path, ("empty", "stocked"), "--set", "steps=120")
    own = Temperature(value=2.5, shift=3.0, fitted_on="nothing")
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"temperature": own.model_dump()}))
    result = trainer("export", run, "--out", bundle, "--qat", "off")
    assert result.returncode == 0, result.stderr
    assert open_classifier(bundle).info.temperature == own

    pictures = read_pictures([str(tmp_path / "asked.csv")], None)
    of_bundle, of_run = temper([(bundle, pictures)]), temper([(run, pictures)])
    assert 2 * SUREST < of_run.value < 0.9 * VAGUEST  # at either end all would be alike
    assert of_bundle.value == pytest.approx(of_run.value, rel=0.1, abs=0.05)
    assert of_bundle.shift == pytest.approx(of_run.shift, abs=0.3)
    assert of_bundle.fitted_on == "INT8 logits of 40 pictures"  # who knows what it learnt from
