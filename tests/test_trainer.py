"""The whole of it, small: pictures to a run, a run to a bundle, a bundle to figures."""

from __future__ import annotations

import json
from contextlib import closing

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from fitting import trainer

from edge.cameras import open_camera
from edge.classifier import open_classifier
from edge.geometry import cut
from edge.types import Slot, SlotCrop
from trainer import drawn
from trainer.answering import predict
from trainer.data import read_data
from trainer.evaluate import open_model

RECIPE = """
name: tiny
classes: [empty, stocked]
input_size: 32
net: {arch: resnet18, blocks: [1, 1]}
balanced: true
augment: none
steps: 40
batch: 8
lr: 0.05
warmup: 0.1
ema: 0.1
"""


def refusal(*arguments) -> str:
    result = trainer(*arguments)
    assert result.returncode not in (0, 1), result.stderr
    assert result.stdout == ""
    return result.stderr


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight drawn slots as a data set with an index, in two views."""
    folder = tmp_path_factory.mktemp("photos")
    lines = ["file,label,group,view"]
    for i in range(8):
        stocked = bool(i % 2)
        image = drawn.slot(np.random.default_rng((1, i)), stocked)
        cv2.imwrite(str(folder / f"{i}.png"), image)
        lines.append(f"{i}.png,{'stocked' if stocked else 'empty'},g{i},{'A' if i < 4 else 'B'}")
    (folder / "index.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def run(recipe, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = trainer("fit", recipe, "--data", photos, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def bundle(run, photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "tiny.onnx"
    result = trainer("export", run, "--out", path, "--held-out", photos, "--json")
    assert result.returncode == 0, result.stderr
    return path, json.loads(result.stdout)


def test_a_tiny_net_learns_eight_pictures_by_heart(run, photos):
    figures = json.loads(trainer("evaluate", run, "--data", photos, "--json").stdout)
    assert figures["n"] == 8
    assert figures["top1"] == 1.0
    assert figures["nll"] < 0.1


def test_the_bundle_is_the_run_in_int8(bundle, photos):
    path, report = bundle
    assert report["top1_fp32"] == report["top1_int8"] == report["agreement"] == 1.0
    assert 0 <= report["kl"] < 0.05
    figures = json.loads(trainer("evaluate", path, "--data", photos, "--json").stdout)
    assert figures["top1"] == figures["top5"] == figures["macro_recall"] == figures["auroc"] == 1.0
    assert figures["threads"] == 1
    assert figures["ms_per_image"] > 0


def test_the_bundle_says_what_it_was_made_from(bundle):
    path, report = bundle
    info = open_classifier(path).info
    assert info.name == "tiny"
    assert info.recipe["lr"] == 0.05
    assert info.temperature.value == pytest.approx(report["temperature"])
    assert "nothing" in info.temperature.fitted_on  # it knows all eight by heart
    assert "held_out" not in info.accuracy
    assert info.accuracy["parity"]["n"] == 8


def test_the_daemon_says_of_what_a_camera_shows_just_what_the_trainer_measures(bundle, photos):
    """The daemon's way, camera and quad, against the trainer's, file and index; bit for bit."""
    path, _ = bundle
    whole = Slot("s", "cam", ((0, 0), (1, 0), (1, 1), (0, 1)), "shelf")
    daemon = open_classifier(path, threads=1)
    with closing(open_camera(f"folder:{photos}", every_s=1)) as camera:
        shown = [camera.read() for _ in range(8)]
    crops = [SlotCrop(whole, cut(image, whole.quad)) for image in shown]
    evaluated, _ = predict(open_model(path, threads=1)[0], read_data(str(photos)))
    assert [score.p_empty for score in daemon.score(crops)] == evaluated[:, 0].tolist()
    np.testing.assert_allclose(evaluated.sum(axis=1), 1, atol=1e-6)


def test_a_stopped_run_goes_on_to_the_very_same_weights(recipe, photos, run, tmp_path):
    import torch

    from trainer.mixture import open_mixture
    from trainer.recipe import Data, load_recipe
    from trainer.runs import load_run
    from trainer.train import fit

    whole = load_recipe(recipe).model_copy(update={"data": (Data(data=str(photos)),)})

    class PowerCutError(Exception):
        pass

    def say(state, epoch_ends: bool) -> None:
        if state.step == 17:
            raise PowerCutError

    mixture = open_mixture(whole)
    with pytest.raises(PowerCutError):
        fit(mixture, tmp_path / "run", say, save_every_s=0)
    fit(mixture, tmp_path / "run", lambda state, epoch_ends: None)
    state, expected = (load_run(each).net.state_dict() for each in (tmp_path / "run", run))
    assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_evaluating_on_some_threads_leaves_training_its_own_number(run):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        model, _ = open_model(run, threads=1)
        model.probabilities([np.zeros((32, 32, 3), np.uint8)])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_run_folder_takes_no_other_recipe_and_no_other_data(recipe, photos, run, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE.replace("lr: 0.05", "lr: 0.04"))
    assert "another recipe" in refusal("fit", other, "--data", photos, "--out", run)
    message = refusal(
        "fit", recipe, "--data", photos, "--leave-out", "view=A", "--out", run
    )  # fmt: skip
    assert "another data" in message


def test_an_unfinished_run_is_not_exported(recipe, photos, tmp_path):
    message = refusal("export", tmp_path, "--out", tmp_path / "m.onnx", "--data", photos)
    assert "no finished run" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("index.csv", "file,label\na.png,empty\n", "no column group"),
        ("index.csv", "file,label,group\na.png,empty,g\n", "index.csv:2: no such picture"),
        ("index.csv", "file,label,group\n,,\n", "index.csv:2: a row needs"),
        ("index.csv", b"\xff\xfe\x00", "not a CSV text"),
        ("cola/a.txt", "no picture", "no picture"),
        ("cola/a.png", "no picture", "cola/a.png: label 'cola' is none of the classes empty, sto"),
        ("empty/a.png", "no picture", "cannot be read as a picture"),
    ],
)
def test_bad_data_is_refused_with_its_file_and_line(bundle, tmp_path, name, content, words):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in refusal("evaluate", bundle[0], "--data", tmp_path)


def test_missing_data_and_missing_models_are_refused(bundle, photos, tmp_path):
    assert "no such file or folder" in refusal("evaluate", bundle[0], "--data", tmp_path / "gone")
    assert "is not set" in refusal("evaluate", bundle[0], "--data", "$NO_SUCH_VARIABLE/slots")
    assert "No such file" in refusal("evaluate", tmp_path / "m.onnx", "--data", photos)
    assert "--data" in refusal("evaluate", bundle[0])


def test_all_of_a_data_sets_pictures_can_be_given_one_label(bundle, photos):
    result = trainer("evaluate", bundle[0], "--data", f"{photos}=stocked", "--json")
    figures = json.loads(result.stdout)
    assert figures["top1"] == 0.5
    assert figures["auroc"] is None
    assert figures["per_class"]["empty"]["recall"] is None


def test_an_interval_knows_which_pictures_show_the_same(bundle, photos, tmp_path):
    rows = [line.split(",")[:2] for line in (photos / "index.csv").read_text().split()[1:]]
    labels = ["empty" if i < 4 else label for i, (_, label) in enumerate(rows)]  # two are wrong
    spans = []
    for groups in (range(8), [0, 0, 0, 0, 1, 1, 2, 2]):
        lines = [f"{photos}/{rows[i][0]},{labels[i]},g{group}" for i, group in enumerate(groups)]
        (tmp_path / "index.csv").write_text("\n".join(["file,label,group", *lines]))
        found = trainer("evaluate", bundle[0], "--data", tmp_path, "--json")
        low, high = json.loads(found.stdout)["top1_interval"]
        spans.append(high - low)
    assert spans[0] < spans[1]


def test_only_some_rows_can_be_looked_at(bundle, photos):
    result = trainer("evaluate", bundle[0], "--data", photos, "--only", "view=A", "--json")
    assert json.loads(result.stdout)["n"] == 4
    assert "view=C" in refusal("evaluate", bundle[0], "--data", photos, "--only", "view=C")
    assert "COLUMN=VALUE" in refusal("evaluate", bundle[0], "--data", photos, "--only", "view")
