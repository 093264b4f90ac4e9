"""Is the product that a slot expects what stands in it? A tiny net learns drawn goods, and says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from goods import GOODS, OTHERS, goods_recipe, write_photos
from test_trainer import refusal, trainer

from trainer.answering import predict, true_columns
from trainer.data import coarse_classes, read_data
from trainer.evaluate import open_model
from trainer.figures import presence_figures
from trainer.temper import fit_temperature, temper

COSTS = "costs: {false_alert: 1, missed_alert: 3, empty_share: 0.05, misplaced_share: 0.02}\n"
SHOWN, STRANGE = list(OTHERS)[::2], list(OTHERS)[1::4]
"""Goods that training shows as `other`, and goods that it never shows."""


def mislabelled(photos: Path) -> None:
    """Give each fifth picture of a data set the label of another product."""
    head, *rows = [row.split(",") for row in (photos / "index.csv").read_text().splitlines()]
    labels = [row[1] for row in rows]
    for number in range(0, len(rows), 5):
        rows[number][1] = labels[number - 12]  # there are twelve of each
    (photos / "index.csv").write_text("\n".join(map(",".join, [head, *rows])))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders: to learn from, with goods that are none of the products, to be asked about."""
    folder = tmp_path_factory.mktemp("goods")
    write_photos(folder / "train", [*GOODS, None], each=24, seed=0)
    write_photos(folder / "shown", SHOWN, each=4, seed=1)
    write_photos(folder / "new", [*GOODS, None], each=12, seed=2)
    write_photos(folder / "strange", STRANGE, each=4, seed=3)
    mislabelled(write_photos(folder / "doubtful", [*GOODS, None], each=12, seed=4))
    return folder


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Two runs: one that knows only its products, and one that knows other goods for others."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "goods.yaml").write_text(goods_recipe(steps=160) + COSTS)
    for name, more in (("closed", []), ("open", ["--data", f"{data}/shown=other"])):
        learnt = ["--data", data / "train", *more]
        told = trainer("fit", folder / "goods.yaml", *learnt, "--out", folder / name)
        assert told.returncode == 0, told.stderr
    return folder


def evaluated(model, photos, *more) -> dict:
    told = trainer("evaluate", model, "--data", photos, *more, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout, parse_constant=pytest.fail)  # NaN is no JSON


@pytest.fixture(scope="module")
def asked(runs, data) -> dict[str, dict]:
    """What both runs say of new pictures of their products, and of goods they never met."""
    return {
        name: evaluated(runs / name, data / "new", "--unknown", data / "strange")
        for name in ("closed", "open")
    }


@pytest.fixture(scope="module")
def bundle(runs, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "goods.onnx"
    told = trainer("export", runs / "open", "--out", path, "--held-out", data / "doubtful")
    assert told.returncode == 0, told.stderr
    return path


def test_products_are_reported_by_fine_and_coarse_class(asked):
    found = asked["closed"]
    assert set(found["per_coarse"]) == {"bottle", "can", "carton", "empty"}
    assert found["per_coarse"]["can"]["support"] == 24
    assert found["coarse_top1"] >= found["top1"] >= 0.95
    assert sum(sum(row.values()) for row in found["coarse_confusion"].values()) == found["n"] == 84
    assert found["risk_coverage"][-1] == [1, pytest.approx(1 - found["top1"])]


def test_a_products_own_pictures_read_as_it_and_its_neighbours_do_not(asked):
    presence = asked["open"]["presence"]
    assert presence["all"]["questions"] == 84 * len(GOODS)
    assert presence["all"]["auroc"] > 0.99
    assert presence["all"]["called_misplaced"] < 0.05
    assert presence["same_coarse"]["taken_for_own"] < 0.05


def test_goods_that_were_never_learned_hardly_read_as_the_product_that_a_slot_expects(asked):
    of_another_kind = asked["open"]["unknown"]["other_coarse"]["taken_for_own"]
    assert of_another_kind < 0.1


def test_a_model_that_was_shown_other_goods_takes_strange_ones_for_its_own_less_often(asked):
    closed, open_ = (asked[name]["unknown"]["all"]["taken_for_own"] for name in ("closed", "open"))
    assert open_ < closed


def test_thresholds_of_the_bundle_follow_from_the_costs_of_the_recipe(bundle):
    from edge.classifier import open_classifier

    thresholds = open_classifier(bundle).info.thresholds
    # Training drew each of 8 classes as often as any other; in the store one slot in 20 is empty.
    odds = (1 / 3) * (1 / 7) / (1 / 19)
    assert thresholds.empty_above == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert thresholds.stocked_below < thresholds.empty_above
    assert "a false alert at 1 and a missed one at 3" in thresholds.chosen_for


def test_the_costs_also_choose_when_another_product_is_told_and_evaluate_asks_as_the_daemon_would(
    asked, bundle, data
):
    from edge.classifier import open_classifier

    info = open_classifier(bundle).info
    # It learnt to expect any of 7 goods; in the store one slot in 50 holds wrong ones.
    odds = 3 * (1 / 6) / (0.98 / 0.02)
    assert info.thresholds.misplaced_below == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert info.format == 2
    found = evaluated(bundle, data / "doubtful", "--unknown", data / "strange")
    assert found["misplaced_below"] == info.thresholds.misplaced_below
    assert asked["open"]["misplaced_below"] == 0.2, "of a run nothing is chosen yet"
    pictures = read_data(str(data / "doubtful"))
    p, _ = predict(open_classifier(bundle), pictures)
    labels, kinds = [picture.label for picture in pictures], coarse_classes(pictures)
    kinds |= coarse_classes(read_data(str(data / "strange")))
    chosen, general = (
        presence_figures(p, labels, info.classes, kinds, below)
        for below in (info.thresholds.misplaced_below, 0.2)
    )
    assert found["presence"] == chosen
    assert chosen["all"]["called_misplaced"] < general["all"]["called_misplaced"]
    assert chosen["all"]["taken_for_own"] > general["all"]["taken_for_own"]


def test_the_exported_bundle_is_better_calibrated_than_the_run(runs, bundle, data):
    """One in five of the pictures that the temperature is fitted on has a wrong label."""
    before, after = (evaluated(model, data / "doubtful") for model in (runs / "open", bundle))
    assert before["ece"] > 0.1
    assert after["ece"] < before["ece"]
    assert after["nll"] < 0.7 * before["nll"]
    assert after["top1"] == pytest.approx(before["top1"], abs=0.02)


def test_unknown_goods_are_asked_about_only_where_there_are_some(runs, data):
    message = refusal(
        "evaluate", runs / "open", "--data", data / "new", "--unknown", data / "train"
    )  # fmt: skip
    assert "--unknown needs a model of products" in message


def test_classes_count_equally_in_a_temperature_where_the_net_was_shown_them_so(
    runs, data, tmp_path
):
    head, *rows = (data / "doubtful" / "index.csv").read_text().splitlines()
    # Of two products many and none mislabelled; of the others few, and every other one.
    lopsided = [row for i, row in enumerate(rows) if (i % 5 if i < 24 else i % 10 < 2)]
    index = tmp_path / "index.csv"
    index.write_text("\n".join([head, *(f"{data / 'doubtful'}/{row}" for row in lopsided)]))
    shutil.copytree(runs / "closed", tmp_path / "as-they-are")
    recipe = json.loads((runs / "closed" / "recipe.json").read_text())
    (tmp_path / "as-they-are" / "recipe.json").write_text(json.dumps(recipe | {"balanced": False}))
    pictures = read_data(str(index))
    model, classes = open_model(runs / "closed", 1)
    logits = model.logits([picture.read() for picture in pictures])
    truth = true_columns(pictures, classes)
    equally, as_they_are = (fit_temperature(logits, truth, None, how)[0] for how in (True, False))
    assert equally > 1.05 * as_they_are
    found = [temper([(runs / "closed", pictures)]), temper([(tmp_path / "as-they-are", pictures)])]
    assert [one.value for one in found] == pytest.approx([equally, as_they_are], abs=0.001)
