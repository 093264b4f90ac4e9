from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from edge.errors import ConfigError, UsageError
from trainer import augment, drawn
from trainer.data import LeaveOut, digest, prints, read_data, read_source
from trainer.drawn import backs
from trainer.mixture import Mixture, batches, open_mixture
from trainer.picture import Picture
from trainer.recipe import Recipe, changed, load_recipe

ROOT = Path(__file__).parent.parent


def recipe(**changes) -> Recipe:
    about = {
        "name": "r", "classes": ("empty", "stocked"), "input_size": 32, "balanced": True,
        "steps": 4, "batch": 6,
    }  # fmt: skip
    return Recipe(**about | {"drawn": 1} | changes)


def write_photos(folder: Path, labels: str) -> None:
    """One grey picture a letter: e empty, s stocked; group and brightness are its position."""
    lines = ["file,label,group,view"]
    for i, letter in enumerate(labels):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((40, 30, 3), 10 * i, np.uint8))
        lines.append(f"{i}.png,{'empty' if letter == 'e' else 'stocked'},g{i},{'AB'[i % 2]}")
    (folder / "index.csv").write_text("\n".join(lines))


def mixture(folder: Path, leave_out: LeaveOut | None = None, **changes) -> Mixture:
    whole = recipe(data=({"data": str(folder)},), **changes)
    photos = [read_source(source) for source in whole.data]
    return Mixture(whole, leave_out.kept(photos) if leave_out else photos)


def test_a_picture_depends_on_the_recipe_and_its_number_alone(tmp_path):
    write_photos(tmp_path, "es")
    first, second = (mixture(tmp_path, altered=1) for _ in range(2))
    second.image(3)
    for i in (0, 7, 7000):
        (image, label), (again, same) = first.image(i), second.image(i)
        assert label == same
        assert np.array_equal(image, again)
    other = mixture(tmp_path, altered=1, seed=1)
    assert any(not np.array_equal(first.image(i)[0], other.image(i)[0]) for i in range(3))


def test_batches_are_the_pictures_in_order_wherever_one_begins(tmp_path):
    write_photos(tmp_path, "es")
    whole = list(batches(mixture(tmp_path), 0, 4))
    rest = list(batches(mixture(tmp_path), 2, 4))
    assert len(whole) == 4
    assert whole[0][0].shape == (6, 32, 32, 3)
    for (images, labels), (same, alike) in zip(whole[2:], rest, strict=True):
        assert np.array_equal(images, same)
        assert np.array_equal(labels, alike)


def test_each_class_comes_as_often_as_any_other_though_the_photos_are_of_one(tmp_path):
    write_photos(tmp_path, "essssssssss")
    labels = [mixture(tmp_path).image(i, augmented=False)[1] for i in range(200)]
    assert 75 <= labels.count("empty") <= 125


def test_rows_that_are_left_out_are_never_seen(tmp_path):
    write_photos(tmp_path, "eesseess")
    kept = mixture(tmp_path, LeaveOut("view", "A"), drawn=0)
    seen = {int(kept.image(i, augmented=False)[0][0, 0, 0]) for i in range(100)}
    assert seen == {10, 30, 50, 70}  # the odd ones, which are of view B


def test_rows_that_are_left_out_are_not_measured_on_either(tmp_path):
    write_photos(tmp_path, "eess" * 6)
    about = {"data": ({"data": str(tmp_path)},), "hold_out": 0.3}
    views = [
        {picture.columns["view"] for picture in open_mixture(recipe(**about), left_out).held_out}
        for left_out in (None, LeaveOut("view", "A"))
    ]
    assert views == [{"A", "B"}, {"B"}]


def test_an_unnamed_photo_is_no_photo_that_others_were_cut_from(tmp_path):
    write_photos(tmp_path, "e" * 6)
    files = sorted(tmp_path.glob("*.png"))
    rows = [("A", ""), ("B", ""), ("A", "one"), ("B", "one"), ("B", "two"), ("B", None)]
    pictures = [
        Picture(file, "empty", file.name, {"view": view} | ({} if one is None else {"source": one}))
        for file, (view, one) in zip(files, rows, strict=True)
    ]
    (kept,) = LeaveOut("view", "A").kept([pictures])
    assert kept == [pictures[1], *pictures[4:]]


@pytest.mark.parametrize("balanced", [True, False])
def test_a_class_without_any_picture_is_refused(tmp_path, balanced):
    write_photos(tmp_path, "es")
    about = {"drawn": 0, "balanced": balanced, "classes": ("empty", "stocked", "third")}
    with pytest.raises(UsageError, match="no picture of the class 'third' to learn from"):
        mixture(tmp_path, **about)
    about["classes"] = ("empty", "stocked")
    assert mixture(tmp_path, **about).describe().endswith("empty 1, stocked 1")


def test_what_is_drawn_needs_no_picture(tmp_path):
    write_photos(tmp_path, "ss")
    assert mixture(tmp_path, drawn=1).describe().endswith("empty drawn, stocked 2")
    with pytest.raises(UsageError, match="no picture of the class 'empty' to learn from"):
        mixture(tmp_path, drawn=0)


def test_there_must_be_an_empty_slot_to_alter(tmp_path):
    write_photos(tmp_path, "ss")
    with pytest.raises(ConfigError, match="altered: there is no photo of an empty slot"):
        mixture(tmp_path, altered=1)


def test_folders_of_classes_are_data_too_and_every_file_is_its_own_group(tmp_path):
    for name in ("empty/a.png", "stocked/deep/b.PNG", "stocked/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    pictures = read_data(str(tmp_path))
    assert [(p.label, p.group) for p in pictures] == [
        ("empty", "empty/a.png"),
        ("stocked", "stocked/deep/b.PNG"),
    ]


def test_the_digest_follows_labels_and_contents_and_not_the_order(tmp_path):
    write_photos(tmp_path, "es")
    pictures = read_data(str(tmp_path))
    before = digest(prints(pictures))
    assert digest(prints(pictures[::-1])) == before
    assert digest(prints(read_data(f"{tmp_path}=stocked"))) != before
    cv2.imwrite(str(tmp_path / "0.png"), np.full((40, 30, 3), 99, np.uint8))
    assert digest(prints(pictures)) != before


@pytest.mark.parametrize("stocked", [True, False], ids=["stocked", "empty"])
def test_whatever_the_seed_a_drawn_slot_is_a_picture(stocked):
    photo = drawn.slot(np.random.default_rng(0), True)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        image = drawn.slot(rng, stocked, photo if seed % 2 else None)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert min(image.shape[:2]) >= 40
        varied = augment.camera(image, rng, 0.4)
        assert varied.dtype == np.uint8
        assert min(varied.shape[:2]) >= 8


@pytest.mark.parametrize("back", backs.BACKS, ids=lambda back: back.__name__.strip("_"))
def test_every_back_can_be_drawn_with_a_photo_and_without(back):
    photo = drawn.slot(np.random.default_rng(0), True)
    for seed in range(12):
        canvas = np.full((90, 40 + 10 * seed, 3), np.nan, np.float32)
        back(canvas, np.random.default_rng(seed), photo if seed % 2 else None)
        assert np.isfinite(canvas).all()  # no pixel was left out


def test_a_photo_of_an_empty_slot_can_be_altered_however_small_it_is():
    photo = np.full((30, 12, 3), 90, np.uint8)
    for seed in range(40):
        image = drawn.alter(photo, np.random.default_rng(seed), stocked=True)
        assert image.std() > 1  # something stands there
    assert (photo == 90).all()


def test_every_recipe_of_the_project_can_be_read():
    files = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))
    assert files
    for file in files:
        assert load_recipe(file).name == file.stem


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stepps: 3", ":5: stepps: unknown key; did you mean steps?"),
        ("net: {arch: resnet5}", ":5: net.arch: must be"),
        ("temperature: {value: 1, fitted: x}", "temperature.fitted: unknown key"),
        ("lr: 0", ":5: lr: 0 must be above 0"),
        ("lr: .nan", ":5: lr: must be a finite number"),
        ("mixup: .inf", ":5: mixup: must be a finite number"),
        (
            "costs: {false_alert: .inf, missed_alert: 1, empty_share: 0.1}",
            ":5: costs.false_alert: must be a finite number",
        ),
        ("steps: 2", "stands here twice"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_line(tmp_path, line, words):
    path = tmp_path / "r.yaml"
    path.write_text(f"name: r\nclasses: [empty, stocked]\ninput_size: 32\nsteps: 3\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("lr", "write KEY=VALUE"),
        ("nett.width=1", "nett: unknown key; did you mean net?"),
        ("net.wide.x=1", "net.wide: unknown key; did you mean width?"),
        ("net.wide=1", "--set: net.wide: unknown key; did you mean width?"),
        (
            "costs.false_alert=2",
            "the recipe has no costs; write it whole: --set 'costs={false_alert: 2, …}'",
        ),
        ("data.0.split=val", "data has no keys; write it whole: --set 'data=…'"),
        ("lr.x=1", "lr has no keys"),
    ],
)
def test_a_change_that_is_none_is_told_what_it_lacks(change, words):
    recipe = Recipe(name="r", input_size=32, steps=3)
    with pytest.raises(UsageError) as caught:
        changed(recipe, [change])
    assert words in str(caught.value)


def test_a_number_may_have_an_exponent_and_no_dot(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: r\ninput_size: 32\nsteps: 3\nlr: 2E-3\nweight_decay: 5.e-4\n")
    found = load_recipe(path, ["net.width=25e-2", "name=1e-3x", "warmup=1e-05"])
    assert (found.lr, found.weight_decay, found.net.width) == (2e-3, 5e-4, 0.25)
    assert (found.name, found.warmup) == ("1e-3x", 1e-5)
    assert changed(found, ["name='1e-3'"]).name == "1e-3"


def test_slots_can_only_be_drawn_for_a_recipe_that_knows_empty():
    with pytest.raises(ValueError, match="need a class 'empty'"):
        recipe(classes=("cola", "tea"))
