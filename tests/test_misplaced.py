"""A bundle that knows products, through the whole pipeline: swapped, sold out, put right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import yaml
from conftest import require_data

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from goods import (
    GOODS,
    HIGH,
    MIXED_UP,
    PUT_RIGHT,
    WIDE,
    goods_recipe,
    slot,
    write_photos,
    write_recording,
)
from test_trainer import trainer

from trainer.data import read_data

HAPPENED = [
    (MIXED_UP, "s0", "stocked", "misplaced"),
    (MIXED_UP, "s1", "stocked", "misplaced"),
    (MIXED_UP, "s3", "stocked", "empty"),
    (PUT_RIGHT, "s0", "misplaced", "stocked"),
    (PUT_RIGHT, "s1", "misplaced", "stocked"),
    (PUT_RIGHT, "s3", "empty", "stocked"),
]


def make_bundle(folder: Path, recipe: str, held_out: Path, *options: str) -> Path:
    """Train the recipe, whose data is named in it, with options of `fit`, and export it."""
    (folder / "recipe.yaml").write_text(recipe)
    for command in (
        ("fit", folder / "recipe.yaml", "--out", folder / "run", *options),
        ("export", folder / "run", "--out", folder / "goods.onnx", "--held-out", held_out),
    ):
        told = trainer(*command)
        assert told.returncode == 0, told.stderr
    return folder / "goods.onnx"


def edge(*words: object) -> str:
    command = [sys.executable, "-m", "edge.cli", *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def replayed(folder: Path, *options: object) -> dict:
    files = ("--planogram", folder / "planogram.yaml", "--truth", folder / "truth.json")
    text = edge(
        "replay", folder / "pictures", *files, "-c", folder / "site.yaml", *options, "--json"
    )
    return json.loads(text)


def stated(found: dict) -> list[tuple[str, str, str]]:
    return sorted((one["slot"], one["from"], one["to"]) for one in found["changes"])


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Five slots of drawn goods, and a tiny bundle that has learnt all six products."""
    folder = tmp_path_factory.mktemp("goods")
    photos = write_photos(folder / "photos", [*GOODS, None], each=24, seed=0)
    held_out = write_photos(folder / "held-out", [*GOODS, None], each=6, seed=1)
    bundle = make_bundle(
        folder, f"{goods_recipe(steps=120)}data:\n  - {{data: {photos}}}\n", held_out
    )
    rng = np.random.default_rng(4)
    names = ["cola", "milk", "tea", "juice"]
    crops = {name: slot(name, rng) for name in names} | {"empty": slot(None, rng)}
    return write_recording(folder / "recording", crops, bundle)


def test_swapped_products_and_a_sold_out_one_are_stated_as_they_happened_and_put_right(recording):
    found = replayed(recording, "--confirm-s", 2, "--tolerance-s", 5)
    assert stated(found) == sorted(change[1:] for change in HAPPENED)
    assert (found["matched"], found["missed"], found["false"]) == (6, 0, 0)
    assert found["delay_s"]["p95"] <= 4


def test_each_picture_by_itself_shows_the_same(recording):
    found = replayed(recording, "--confirm-s", 0)
    assert [(one["t"], one["slot"], one["from"], one["to"]) for one in found["changes"]] == HAPPENED
    assert found["state_accuracy"] == 1


def test_the_daemon_says_how_likely_the_slots_own_product_is_there(recording):
    """As its messages go out: p_present beside score, misplaced in an incident's event."""
    lines = [line.partition(" ") for line in edge("run", "-c", recording / "site.yaml").split("\n")]
    told = [(topic, json.loads(text)) for topic, _, text in lines if text.startswith("{")]
    states = [payload for topic, payload in told if topic.endswith("/slot/s0/state")]
    when_stated = {one["state"]: one["p_present"] for one in reversed(states)}
    assert when_stated["misplaced"] < 0.2
    assert when_stated["stocked"] > 0.5
    opened = {
        payload["subject"]: payload["data"]["state"]
        for topic, payload in told
        if topic.endswith("/event") and payload["type"] == "stock.slot.opened.v1"
    }
    assert opened == dict.fromkeys(("slot/s0", "slot/s1"), "misplaced") | dict.fromkeys(
        ("slot/s3", "slot/s4"), "empty"
    )


def test_the_daemon_says_another_product_stands_there_from_the_bundles_threshold_on(
    recording, tmp_path
):
    """Here it must be so sure of it that it never is."""
    site = yaml.safe_load((recording / "site.yaml").read_text())
    model = onnx.load(site["model"])
    (entry,) = model.metadata_props
    about = json.loads(entry.value)
    assert "misplaced_below" not in about["thresholds"]
    about |= {"format": 2, "thresholds": about["thresholds"] | {"misplaced_below": 1e-30}}
    entry.value = json.dumps(about)
    onnx.save(model, tmp_path / "sure.onnx")
    here = {
        "model": str(tmp_path / "sure.onnx"),
        "planogram": str(recording / "planogram.yaml"),
        "cameras": [{**site["cameras"][0], "url": f"folder:{recording / 'pictures'}"}],
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site | here))
    lines = edge("run", "-c", tmp_path / "site.yaml").split("\n")
    states = [json.loads(line.partition(" ")[2]) for line in lines if "/state {" in line]
    assert {one["state"] for one in states} == {"unknown", "stocked", "empty"}
    assert min(one["p_present"] for one in states if one["state"] == "stocked") < 0.2


def test_a_slot_whose_product_the_model_does_not_know_is_only_told_empty_or_not(recording):
    planogram = yaml.safe_load((recording / "planogram.yaml").read_text())
    for one in planogram["cameras"]["cam"]["slots"]:
        one["sku"] = "8801104940016"
    (recording / "unknown.yaml").write_text(yaml.safe_dump(planogram))
    text = edge(
        "replay", recording / "pictures", "--planogram", recording / "unknown.yaml",
        "-c", recording / "site.yaml", "--confirm-s", 0, "--json",
    )  # fmt: skip
    assert stated(json.loads(text)) == [("s3", "empty", "stocked"), ("s3", "stocked", "empty")]


# --- photos of real products ---------------------------------------------------------------------

REAL = ["Banana", "Oatly-Oat-Milk", "Kiwi", "Bravo-Orange-Juice"]
FROZEN = """
name: real
input_size: 96
net:
  arch: resnet50
  b: false
  blocks: [3, 4, 6]
  weights: $SHELF_DATA/../weights/resnet50-v1-imagenet1k-fp16.pt
  freeze: 4
augment: none
epochs: 1
optimizer: logistic          # a head that is solved: no seed decides how sure it is of a photo
"""


@pytest.mark.slow
def test_photos_of_real_products_that_training_has_not_seen_are_told_apart(tmp_path, monkeypatch):
    data = require_data("grocery").parent
    require_data("../weights/resnet50-v1-imagenet1k-fp16.pt")
    monkeypatch.setenv("SHELF_DATA", str(data))
    held_out = [p for p in read_data("$SHELF_DATA/grocery", "val") if p.label in REAL]
    empties = [p for p in read_data("$SHELF_DATA/slots") if p.label == "empty"]
    held_out += [p for p in empties if p.columns["view"] == "C"]
    index = [f"{picture.file},{picture.label},{picture.group}" for picture in held_out]
    (tmp_path / "held-out.csv").write_text("\n".join(["file,label,group", *index]))
    recipe = yaml.safe_load(FROZEN) | {
        "data": [
            {"data": "$SHELF_DATA/grocery", "split": "train", "only": REAL},
            {"data": "$SHELF_DATA/slots", "only": ["empty"]},
        ]
    }
    bundle = make_bundle(
        tmp_path, yaml.safe_dump(recipe), tmp_path / "held-out.csv", "--leave-out", "view=C"
    )
    found = json.loads(
        trainer("evaluate", bundle, "--data", tmp_path / "held-out.csv", "--json").stdout
    )
    assert found["top1"] >= 0.95

    first = {name: next(p for p in held_out if p.label == name) for name in [*REAL, "empty"]}
    crops = {name: cv2.resize(p.read(), (WIDE, HIGH)) for name, p in first.items()}
    told = replayed(
        write_recording(tmp_path / "recording", crops, bundle), "--confirm-s", 2,
        "--tolerance-s", 5,
    )  # fmt: skip
    assert stated(told) == sorted(change[1:] for change in HAPPENED)
    assert (told["matched"], told["missed"], told["false"]) == (6, 0, 0)
