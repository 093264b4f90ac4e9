"""Photos taken in one go stay together where the recipe says that they come in series."""

from __future__ import annotations

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from conftest import require_data
from fitting import tiny, trainer, write_photos, write_recipe
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier

from edge.errors import UsageError
from edge.preprocess import resize
from trainer import series
from trainer.ablation import kfold_rows
from trainer.data import LeaveOut, read_data
from trainer.folds import groups_of
from trainer.jobs import Pool
from trainer.layout import Layout, Plan
from trainer.mixture import open_mixture
from trainer.picture import Picture
from trainer.series import in_series, series_of

SCENES = {  # upper and lower half, BGR
    "a": ((30, 60, 200), (200, 200, 200)),
    "b": ((200, 90, 20), (40, 160, 60)),
    "c": ((90, 220, 230), (60, 30, 30)),
}


def write_series(folder: Path, *rows: str) -> Path:
    """Write a noisy photo for each `label scene`, of which some name a group, too; return the
    folder with its index."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    lines = ["file,label,group"]
    for i, row in enumerate(rows):
        label, scene, *group = row.split()
        photo = np.empty((90, 70, 3), np.float32)
        photo[:45], photo[45:] = SCENES[scene]
        photo += rng.normal(0, 5, photo.shape) + rng.normal(0, 4)
        cv2.imwrite(str(folder / f"{i}.png"), np.clip(photo, 0, 255).astype(np.uint8))
        lines.append(f"{i}.png,{label},{group[0] if group else f'photo {i}'}")
    (folder / "index.csv").write_text("\n".join(lines))
    return folder


def grouped(folder: Path) -> list[Picture]:
    (found,) = in_series([read_data(str(folder))])
    return found


def together(pictures: list[Picture]) -> set[frozenset[int]]:
    """Return the numbers of the pictures, those that stay together in one set."""
    numbers = groups_of(pictures)
    return {frozenset(np.flatnonzero(numbers == number).tolist()) for number in set(numbers)}


def test_photos_of_one_class_and_scene_stay_together(tmp_path):
    rows = [f"{label} {scene}" for label in ("empty", "stocked") for scene in "abcabc"]
    found = grouped(write_series(tmp_path / "data", *rows))
    assert together(found) == {frozenset((i, i + 3)) for i in (0, 1, 2, 6, 7, 8)}


def test_only_a_recipe_that_says_so_has_series(tmp_path):
    folder = write_series(tmp_path / "data", *["empty a", "stocked b"] * 4)
    photos = read_data(str(folder))
    for value in (False, True):
        recipe = tiny(folder, series=value, hold_out=0.25)
        mixture = open_mixture(recipe)
        opened = sorted([*mixture.pictures, *mixture.held_out], key=lambda one: one.file)
        for found in (Pool(recipe).pictures, opened):
            assert (found == sorted(photos, key=lambda one: one.file)) is not value


def test_what_the_data_says_of_groups_goes_before(tmp_path):
    rows = ["empty a x", "empty b x", "empty a y", "empty a", "empty b v", "empty b"]
    found = grouped(write_series(tmp_path / "data", *rows, "stocked c"))
    assert together(found) == {frozenset(own) for own in ((0, 1), (2, 3), (4, 5), (6,))}


def test_a_class_that_looks_alike_all_over_can_still_be_parted(tmp_path):
    for scenes in ("aaaaaaaaaa", "aaaaaaaabc"):
        found = grouped(write_series(tmp_path / scenes, *(f"empty {one}" for one in scenes)))
        assert max(len(own) for own in together(found)) <= 5


def test_equal_colours_everywhere_are_no_series():
    assert series_of(np.ones((6, 4)) / 2).tolist() == [0, 1, 2, 3, 4, 5]
    assert series_of(np.ones((1, 4)) / 2).tolist() == [0]


def test_series_do_not_hang_on_the_order_of_the_photos(tmp_path):
    folder = write_series(tmp_path / "data", *(f"empty {scene}" for scene in "aabcbacabc"))
    index = folder / "index.csv"
    before = {picture.file: picture.group for picture in grouped(folder)}
    first, *rest = index.read_text().splitlines()
    random.Random(1).shuffle(rest)
    index.write_text("\n".join([first, *rest]))
    assert {picture.file: picture.group for picture in grouped(folder)} == before


def test_a_photo_that_two_sources_name_is_still_of_its_series(tmp_path):
    folder = write_series(tmp_path / "data", *["empty a", "empty b"] * 2)
    pictures = [p for own in in_series([read_data(str(folder))] * 2) for p in own]
    assert together(pictures) == {frozenset((0, 2, 4, 6)), frozenset((1, 3, 5, 7))}


def test_two_data_sets_have_their_own_series(tmp_path):
    first = write_series(tmp_path / "x", *["empty a", "empty b"] * 2)
    second = write_series(tmp_path / "y", *["empty b", "empty a"] * 2)
    sources = [read_data(str(folder)) for folder in (first, second)]
    pictures = [picture for own in in_series(sources) for picture in own]
    assert together(pictures) == {frozenset((i, i + 2)) for i in (0, 1, 4, 5)}


def test_a_class_too_large_to_be_compared_is_refused_with_what_to_do(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "data", *["empty a"] * 4, "stocked b")
    monkeypatch.setattr(series, "MOST", 3)
    with pytest.raises(UsageError, match=r"'empty' has 4 pictures, and 3 .*index.csv"):
        grouped(folder)


def test_what_is_held_out_is_whole_series(tmp_path):
    rows = [f"{label} {scene}" for label in ("empty", "stocked") for scene in "abcabcabc"]
    folder = write_series(tmp_path / "data", *rows)
    mixture = open_mixture(tiny(folder, series=True, hold_out=0.3))
    assert len(mixture.held_out) == 6  # one scene of three photos, of each class
    assert not {p.group for p in mixture.held_out} & {p.group for p in mixture.pictures}


def test_what_is_left_out_is_whole_series_too(tmp_path):
    rows = [f"{label} {scene}" for label in ("empty", "stocked") for scene in "abcabcabc"]
    folder = write_series(tmp_path / "data", *rows)
    first, *lines = (folder / "index.csv").read_text().splitlines()
    views = [f"{line},{'B' if i in (0, 13) else 'A'}" for i, line in enumerate(lines)]
    (folder / "index.csv").write_text("\n".join([f"{first},view", *views]))
    recipe, left_out = tiny(folder, series=True), LeaveOut("view", "B")
    learnt = {int(picture.file.stem) for picture in open_mixture(recipe, left_out).pictures}
    assert learnt == set(range(18)) - {0, 3, 6} - {10, 13, 16}
    parted = open_mixture(recipe.model_copy(update={"series": False}), left_out)
    assert len(parted.pictures) == 16


def test_a_subset_takes_whole_series_and_part_of_one_at_most(tmp_path):
    rows = [f"{label} {scene}" for label in ("empty", "stocked") for scene in "abcabcabc"]
    folder = write_series(tmp_path / "data", *rows)
    recipe = tiny(folder, series=True)
    wanted = (("empty", 6), ("stocked", 7))
    layout = Layout(Plan("kfold", recipe, tuple(kfold_rows(recipe, 2, False)), 2, 1, None, wanted))
    sizes = sorted(np.bincount(layout.groups).tolist())
    assert sizes == [1, 3, 3, 3, 3]
    for learns, asked in layout.folds[0]:
        pictures = layout.pool.pictures
        assert not {pictures[i].group for i in learns} & {pictures[i].group for i in asked}


def test_a_study_parts_no_series(tmp_path):
    photos = write_photos(tmp_path / "photos", 4)
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1)
    rows = [f"{label} {scene}" for label in ("empty", "stocked") for scene in "abcabc"]
    folder = write_series(tmp_path / "data", *rows)
    groups = {}
    for value in ("true", "false"):
        out = tmp_path / value
        done = trainer(
            "kfold", recipe, "--data", folder, "--set", f"series={value}", "--folds", 2,
            "--repeats", 1, "--out", out,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        groups[value] = json.loads((out / "study.json").read_text())["groups"]
        with np.load(next(out.glob("oof*/*.npz"))) as oof:
            fold = oof["fold"][0].tolist()
        parted = [fold[i] != fold[i + 3] for i in (0, 1, 2, 6, 7, 8)]
        assert not any(parted) if value == "true" else any(parted)
    assert groups == {"true": 6, "false": 12}


def test_real_photos_that_resemble_each_other_are_one_series():
    """Who knows the rest of a series names a photo by its nearest; who does not, seldom does."""
    data = require_data("grocery")
    juices = [photo.label for photo in read_data(str(data)) if photo.columns["coarse"] == "Juice"]
    photos = read_data(str(data), only=sorted(set(juices)))
    (found,) = in_series([photos])
    labels = np.array([photo.label for photo in photos])
    pixels = np.array([resize(photo.read(), 16).ravel() for photo in photos], np.float32)

    def nearest(groups: np.ndarray) -> float:
        right = 0
        for learns, asked in StratifiedGroupKFold(5).split(pixels, labels, groups):
            known = KNeighborsClassifier(1).fit(pixels[learns], labels[learns])
            right += (known.predict(pixels[asked]) == labels[asked]).sum()
        return right / len(labels)

    parted, whole = nearest(groups_of(photos)), nearest(groups_of(found))
    assert whole < parted / 2
