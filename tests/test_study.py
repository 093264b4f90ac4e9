"""Many fits, one table: who learns from what, what the figures are worth, and how it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
import yaml
from fitting import (
    PATIENCE_S,
    command,
    ended,
    running,
    trainer,
    wait_until,
    write_photos,
    write_recipe,
)
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from edge.classifier import Temperature
from edge.errors import UnavailableError, UsageError
from trainer.ablation import OFF, WITHOUT_STEPS, ablate_rows, kfold_rows
from trainer.checkpoint import CurveRow
from trainer.data import read_data
from trainer.folds import groups_of, seen_of, split, subset
from trainer.jobs import Pool, _train_s, claimed_job, make_job
from trainer.layout import Plan
from trainer.net import SlotNet
from trainer.picture import Picture
from trainer.recipe import SEEDS, STEPS_ONLY, Recipe, changed, load_recipe
from trainer.report.studies import open_study, out_of_fold, study_figures
from trainer.runs import load_run
from trainer.statistics import (
    interval_of_auroc,
    interval_of_mean,
    interval_of_share,
    paired_difference,
    resamples,
    weighted_auroc,
    wilson,
)
from trainer.study import _can_be_stopped, run_study
from trainer.tables import as_markdown
from trainer.train import StoppedError

QUICK = {"epochs": 2, "net": {"arch": "resnet10", "width": 0.125, "blocks": [1]}}
TEACHER = (
    "name: teacher\ninput_size: 32\nepochs: 1\nbatch: 8\nnet: {arch: resnet10, width: 0.125}\n"
)


@pytest.fixture
def pictures(tmp_path):
    numbers = count()

    def made(*rows: str, folder: str = "data") -> list[Picture]:
        """Return a picture for each `label group photo`, whose files all differ."""
        found = []
        (tmp_path / folder).mkdir(exist_ok=True)
        for row in rows:
            label, group, photo = row.split()
            file = tmp_path / folder / f"{next(numbers)}.png"
            file.write_text(str(file))
            about = {"source": photo}
            found.append(Picture(file, label, group, about, data_set=str(tmp_path / folder)))
        return found

    return made


def parted(found: list[Picture], folds: int, seed: int = 0):
    labels = [picture.label for picture in found]
    return split(labels, groups_of(found), folds, seed)


# -- folds ----------------------------------------------------------------------------------------


def test_pictures_of_one_group_or_one_photo_are_never_on_both_sides(pictures):
    found = pictures(*(f"{'es'[i % 2]} g{i // 3} p{i // 5}" for i in range(60)))
    found += pictures(*(f"{'es'[i % 2]} h{i} q{i}" for i in range(20)))
    for seed in range(5):
        for learns, asked in parted(found, 4, seed):
            for name in (lambda p: p.group, lambda p: p.columns["source"]):
                assert not {name(found[i]) for i in learns} & {name(found[i]) for i in asked}


def test_what_two_data_sets_cut_from_one_photo_is_one_group_and_equal_names_alone_are_not(pictures):
    first = pictures("e g0 photo", "e g1 other")
    second = pictures("s g0 elsewhere", "s g9 photo", folder="b")
    assert groups_of(first + second).tolist() == [0, 1, 2, 0]
    again = [replace(picture, data_set=first[0].data_set) for picture in second]
    assert groups_of(first + again).tolist() == [0, 1, 0, 0]


def test_one_data_set_is_itself_however_it_is_spelled(tmp_path, monkeypatch):
    for name in ("data", "other"):
        write_photos(tmp_path / name, seed=len(name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HERE", str(tmp_path))
    (tmp_path / "link").symlink_to(tmp_path / "data")
    learnt, others = read_data(str(tmp_path / "data"))[:4], read_data("other")
    for same in ("data", "data/", "./data/index.csv", "$HERE/data", "link", "link=empty"):
        picture, *rest = read_data(same)
        other = replace(others[0], data_set=picture.data_set)  # of the first one's group
        assert seen_of(learnt, [picture, other, *rest]).tolist() == [True] * 5 + [False] * 4, same
    assert not seen_of(learnt, others).any()


def test_indexes_in_one_folder_are_of_one_data_set(tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    first, *rows = (photos / "index.csv").read_text().split()
    rows[3] = rows[3].replace("g3", "g0")
    for name, own in (("train.csv", rows[:3]), ("val.csv", rows[3:])):
        (photos / name).write_text("\n".join([first, *own]))
    learnt, asked = (read_data(str(photos / name)) for name in ("train.csv", "val.csv"))
    assert seen_of(learnt, asked).tolist() == [True, False, False]


def test_a_copy_of_a_picture_is_that_picture(pictures, tmp_path):
    (first, other) = pictures("e g0 photo", "e g1 other")
    copy = tmp_path / "renamed.png"
    copy.write_bytes(first.file.read_bytes())
    again = Picture(copy, "e", "renamed", {})
    assert groups_of([first, other, again]).tolist() == [0, 1, 0]


def test_photos_with_white_margins_are_two_pictures_also_without_compression(tmp_path):
    shades = np.full((2, 300, 200, 3), 255, np.uint8)
    shades[0, 140:160, 90:110] = 0
    for number, pixels in enumerate(shades):
        cv2.imwrite(str(tmp_path / f"{number}.bmp"), pixels)
    copy = tmp_path / "copy.bmp"
    copy.write_bytes((tmp_path / "0.bmp").read_bytes())
    files = [tmp_path / "0.bmp", tmp_path / "1.bmp", copy]
    found = [Picture(file, "e", file.name, {}) for file in files]
    assert groups_of(found).tolist() == [0, 1, 0]


def test_every_picture_is_asked_about_once_and_every_fold_has_its_share_of_each_class(pictures):
    found = pictures(*(f"{'essss'[i % 5]} g{i} p{i}" for i in range(100)))
    folds = parted(found, 5)
    assert sorted(i for _, asked in folds for i in asked) == list(range(100))
    for learns, asked in folds:
        assert sorted(learns + asked) == list(range(100))
        assert [found[i].label for i in asked].count("e") == 4
    assert folds == parted(found, 5)
    assert folds != parted(found, 5, seed=1)


def test_a_subset_takes_whole_groups_and_part_of_one_at_most(pictures):
    found = pictures(*(f"{'es'[i % 2]} g{i // 6} p{i // 6}" for i in range(120)))
    labels, groups = [p.label for p in found], groups_of(found)
    chosen = subset({"s": 20, "e": 7}, labels, groups, seed=3)
    assert [labels[i] for i in chosen].count("s") == 20
    assert [labels[i] for i in chosen].count("e") == 7
    for label in "es":
        own = [groups[i] for i in chosen if labels[i] == label]
        assert sum(own.count(group) < 3 for group in set(own)) == 1
    assert chosen == subset({"s": 20, "e": 7}, labels, groups, seed=3)
    assert chosen != subset({"s": 20, "e": 7}, labels, groups, seed=4)


# -- figures --------------------------------------------------------------------------------------


def test_a_paired_difference_by_hand_on_four_pictures():
    right = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    reference = np.array([[1, 0, 0, 1], [1, 0, 0, 0]], bool)
    folds = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    found = paired_difference(right, reference, folds, np.arange(4))
    assert found["points"] == 25  # one of four in either repeat
    assert found["std_repeats"] == 0
    assert found["std_folds"] == pytest.approx(np.std([50, 0, 0, 50], ddof=1))
    assert (found["only_this_right"], found["only_reference_right"]) == (3, 1)
    low, high = found["interval"]
    assert low < 0 < 25 < high


def test_pictures_that_are_right_or_wrong_together_make_a_wider_interval():
    right = np.repeat(np.arange(40) % 2 == 0, 10)[None]
    never, fold = np.zeros((1, 400), bool), np.zeros((1, 400), np.int64)
    spans = []
    for groups in (np.arange(400), np.repeat(np.arange(40), 10)):
        low, high = paired_difference(right, never, fold, groups)["interval"]
        spans.append(high - low)
    assert spans[1] > 2.5 * spans[0]


def test_an_interval_of_a_share_is_wilsons_where_each_picture_stands_alone_and_wider_elsewhere():
    right = (np.arange(400) % 10 < 8).astype(float)
    assert interval_of_share(right, np.arange(400)) == pytest.approx(wilson(0.8, 400))
    together = np.repeat(np.arange(40) % 10 < 8, 10).astype(float)
    tens = np.repeat(np.arange(40), 10)
    of_40 = float(t.ppf(0.975, 39))
    assert interval_of_share(together, tens) == pytest.approx(wilson(0.8, 40, of_40), abs=0.005)
    assert interval_of_share(right, tens) == wilson(0.8, 400, of_40), "groups that are all alike"
    assert interval_of_share(np.ones(400), tens) == wilson(1, 40), "a group is right or wrong"
    assert interval_of_share(right, np.full(400, 7)) == wilson(0.8, 1), "one shelf, one picture"


@pytest.mark.parametrize(("groups", "each"), [(3, 50), (5, 30), (20, 20)])
def test_an_interval_over_few_groups_holds_the_truth_about_as_often_as_it_says(groups, each):
    rng = np.random.default_rng(0)
    shelves = rng.beta(0.9 * 7 / 3, 0.1 * 7 / 3, (1000, groups))  # 0.9 right, alike by 0.3
    numbers = np.repeat(np.arange(groups), each)
    held = 0
    for shelf in shelves:
        low, high = interval_of_share(rng.random(groups * each) < shelf[numbers], numbers)
        held += low <= 0.9 <= high
    assert held >= 880


@pytest.mark.parametrize(("groups", "each"), [(3, 50), (5, 30), (20, 20)])
def test_the_interval_of_a_difference_holds_the_truth_about_as_often_as_it_says(groups, each):
    rng = np.random.default_rng(0)
    numbers, fold = np.repeat(np.arange(groups), each), np.zeros((1, groups * each), np.int64)
    held = 0
    for shelves in rng.beta(2, 2, (1000, groups, 1)):  # how often the first is right where
        alike = shelves[numbers, 0]
        first, second = (rng.random(groups * each) < share for share in (alike, 0.4 + 0.2 * alike))
        low, high = paired_difference(first[None], second[None], fold, numbers)["interval"]
        held += low <= 0 <= high  # both are right in half of all cases
    assert held >= 920  # of 950 that it says; resampling holds 810 of them over three groups


def test_where_two_are_right_about_the_same_nothing_is_certain_of_few_groups():
    right, fold = np.ones((1, 40), bool), np.zeros((1, 40), np.int64)
    for groups in (np.zeros(40, np.int64), np.arange(40) // 10, np.arange(40)):
        found = paired_difference(right, right, fold, groups)
        low, high = found["interval"]
        assert found["points"] == 0
        assert high == -low == pytest.approx(100 * wilson(0, len(set(groups)))[1])
    one_more = right.copy()
    one_more[0, ::10] = False  # in each of four groups alike
    low, high = paired_difference(right, one_more, fold, np.arange(40) // 10)["interval"]
    half = 100 * wilson(0, 4)[1]
    assert (low, high) == pytest.approx((10 - half, 10 + half))
    never = np.zeros((1, 40), bool)
    assert paired_difference(right, never, fold, np.arange(40))["interval"][1] == 100


def test_the_interval_of_a_mean_is_students_where_each_stands_alone():
    values = np.random.default_rng(0).normal(3, 2, 12)
    expected = t.interval(0.95, 11, values.mean(), values.std(ddof=1) / 12**0.5)
    assert interval_of_mean(values, np.arange(12)) == pytest.approx(expected)


def test_the_interval_of_a_share_holds_what_resampled_groups_say():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(120), rng.integers(1, 9, 120))
    right = (rng.random(len(groups)) < rng.beta(4, 1, 120)[groups]).astype(float)
    weights = resamples(groups)
    drawn = np.percentile(weights @ right / weights.sum(axis=1), [2.5, 97.5])
    assert interval_of_share(right, groups) == pytest.approx(drawn, abs=0.01)


def test_wilsons_interval_of_eight_in_ten_and_at_the_ends():
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1), abs=1e-4)
    assert wilson(0.0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert all(wilson(1, n)[1] == 1 and wilson(0, n)[0] == 0 for n in range(1, 400))


def test_an_area_in_which_pictures_count_several_times_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 6, 50) / 6, rng.random(50) < 0.4  # with many ties
    weights = rng.integers(0, 4, (3, 50)).astype(float)
    expected = [roc_auc_score(positive, scores, sample_weight=row) for row in weights]
    assert weighted_auroc(scores, positive, weights) == pytest.approx(expected)


def test_an_area_of_one_is_as_sure_as_there_are_groups_of_the_rarer_kind():
    positive = np.arange(60) < 20
    groups = np.arange(60) // 2
    apart = np.where(positive, 0.9, 0.1)[None]
    low, high = interval_of_auroc(apart, positive, resamples(groups), groups)
    assert (low, high) == (pytest.approx(wilson(1, 10)[0]), 1.0)
    blurred = apart + np.random.default_rng(0).normal(0, 0.4, 60)
    assert interval_of_auroc(blurred, positive, resamples(groups), groups)[1] < 1


# -- rows -----------------------------------------------------------------------------------------


def fields(recipe: Recipe) -> dict[str, object]:
    about = recipe.model_dump()
    return about | {f"net.{key}": value for key, value in about.pop("net").items()}


def differing(one: Recipe, other: Recipe) -> set[str]:
    first, second = fields(one), fields(other)
    return {key for key in first if first[key] != second[key]}


@pytest.fixture(scope="module")
def full() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "full", "input_size": 64, "epochs": 3, "linear_scaling": True, "lr": 0.1,
            "net": {"arch": "resnet14", "c": True, "d": True}, "warmup": 0.1, "zero_gamma": True,
            "label_smoothing": 0.1, "mixup": 0.2, "augment": "trivial", "ema": 0.1,
            "distill": {"teacher": "teacher.yaml"}, "precision": "bf16",
        }
    )  # fmt: skip


def test_each_row_differs_from_the_one_it_is_compared_with_in_exactly_one_field(full):
    rows = {row.name: row for row in ablate_rows(full)}
    tricks = set(OFF) - {"lr", "cutmix", "balanced", "train_sizes"}
    assert {name for name in rows if "full-" in name} == {f"full-{key}" for key in tricks}
    for name, row in rows.items():
        if name not in ("full", "plain"):
            key = name.removeprefix("full-").removeprefix("plain+")
            assert differing(row.recipe, rows[row.compared_with].recipe) == {key}


def test_plain_is_the_papers_and_linear_scaling_adds_nothing_to_it(full):
    rows = {row.name: row.recipe for row in ablate_rows(full)}
    plain = rows["plain"]
    assert (plain.lr, plain.linear_scaling, plain.schedule) == (0.1, True, "steps")
    assert (plain.precision, plain.augment, plain.epochs) == ("fp32", "crop", full.epochs)
    assert (plain.net.b, plain.net.c, plain.net.d) == (False, False, False)
    assert (plain.no_bias_decay, plain.distill) == (False, None)
    assert "plain+linear_scaling" not in rows
    assert rows["full-linear_scaling"].lr == 0.1


def test_a_learning_rate_that_is_not_scaled_is_compared_as_what_it_comes_to(full):
    def highest(recipe: Recipe) -> float:
        return recipe.lr * (recipe.batch / 256 if recipe.linear_scaling else 1)

    unscaled = full.model_copy(update={"lr": 0.05, "linear_scaling": False, "batch": 32})
    found = {row.name: highest(row.recipe) for row in ablate_rows(unscaled)}
    of_the_paper = 0.1 * 32 / 256
    assert (found["full"], found["full-lr"]) == pytest.approx((0.05, of_the_paper))
    assert (found["plain"], found["plain+lr"]) == pytest.approx((of_the_paper, 0.05))


def test_a_learning_rate_that_comes_to_the_papers_is_not_scaled_a_second_time(full):
    papers = full.model_copy(update={"lr": 0.1 * 32 / 256, "linear_scaling": False, "batch": 32})
    plain = {row.name: row.recipe for row in ablate_rows(papers)}["plain"]
    assert (plain.lr, plain.linear_scaling, plain.batch) == (0.1, True, 32)


@pytest.mark.parametrize(
    ("optimizer", "unread"), [("rmsprop", {"lr"}), ("logistic", set(WITHOUT_STEPS))]
)
def test_what_the_optimizer_does_not_read_has_no_row(full, optimizer, unread):
    without_steps = {key: Recipe.model_fields[key].default for key in STEPS_ONLY}
    changes = without_steps | {"lr": 0.05, "optimizer": optimizer}
    rows = {row.name: row.recipe for row in ablate_rows(full.model_copy(update=changes))}
    assert not set(rows) & {f"full-{key}" for key in unread}
    assert "full-net.d" in rows
    plain = rows["plain"]
    assert (plain.optimizer, plain.schedule, plain.precision) == ("sgd", "steps", "fp32")
    assert (plain.warmup, plain.zero_gamma, plain.no_bias_decay) == (0, False, False)


def test_a_trick_that_the_recipe_does_not_use_has_no_row(full):
    basic = full.model_copy(update={"net": full.net.model_copy(update={"arch": "resnet10"})})
    names = {row.name for row in ablate_rows(basic)}
    assert "full-net.b" not in names  # a basic block has no bottleneck to move a stride in
    assert "full-cutmix" not in names


def test_a_value_too_small_for_a_dot_is_still_a_number_in_a_row(full):
    little = full.model_copy(update={"lr": 2e-05})  # JSON writes it so
    rows = {row.name: row.recipe for row in ablate_rows(little)}
    assert rows["plain+lr"].lr == 2e-05


def test_rows_are_chosen_by_name_and_bring_what_they_are_compared_with(full):
    assert [row.name for row in ablate_rows(full, ["full-mixup"])] == ["full", "full-mixup"]
    alone = ablate_rows(full, ["plain+mixup"])
    assert [(row.name, row.compared_with) for row in alone] == [
        ("plain", None), ("plain+mixup", "plain")
    ]  # fmt: skip
    both = ablate_rows(full, ["plain", "plain+mixup"])
    assert [row.compared_with for row in both] == [None, "full", "plain"]
    with pytest.raises(UsageError, match="no such row; this recipe has full, plain"):
        ablate_rows(full, ["full-mixup", "full-luck"])


# -- whole studies --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 16)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, photos) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe") / "tiny.yaml", photos, **QUICK)


def study(kind: str, recipe: Path, out: Path, *more: object) -> dict:
    result = trainer(kind, recipe, "--out", out, "--json", *more)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads((out / "study.json").read_text())
    return found


def figures(found: dict) -> list:
    """What may not differ between two studies of one plan: all but the times."""
    return [
        {key: row[key] for key in row if key not in ("seconds_per_fit", "ms_per_image")}
        for row in found["rows"]
    ]


@pytest.fixture(scope="module")
def twofold(recipe, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("study") / "twofold"
    return out, study("kfold", recipe, out, "--folds", 2, "--repeats", 2)


def test_a_study_keeps_what_was_said_of_each_picture_by_nets_that_had_not_seen_it(twofold):
    out, found = twofold
    (row,) = found["rows"]
    with np.load(out / row["oof"]) as oof:
        assert oof["probabilities"].shape == (2, 16, 2)
        assert [sorted(np.bincount(fold)) for fold in oof["fold"]] == [[8, 8], [8, 8]]
        assert len(set(oof["picture"])) == 16
        right = oof["probabilities"].argmax(axis=2) == oof["truth"]
        assert (oof["fold"][0] != oof["fold"][1]).any()  # a repeat has a partition of its own
    assert row["top1_per_repeat"] == right.mean(axis=1).tolist()
    assert row["figures"]["top1"]["mean"] == right.mean()
    assert row["figures"]["top1"]["std"] == pytest.approx(right.mean(axis=1).std(ddof=1))
    assert found["majority"] == 0.5
    assert not list(out.glob("jobs/*/run")), "runs are large and done with"


def test_the_same_study_gives_the_same_numbers_however_many_processes_do_it(
    twofold, recipe, tmp_path, capfd
):
    result = study("kfold", recipe, tmp_path, "--folds", 2, "--repeats", 2, "--workers", 2)
    assert figures(result) == figures(twofold[1])
    # A process may also say that it waits for the other.
    lines = capfd.readouterr().err.splitlines()
    said = [line.split("] ")[1].split(":")[0] for line in lines if line.startswith("[")]
    assert len(said) == len(set(said)) == 4, "each fit is done once"


def test_no_more_processes_are_started_than_there_are_fits(recipe, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(
        "trainer.study._work_together", lambda plan, folder, workers, keep: started.append(workers)
    )
    for asked in (64, 2):
        study("kfold", recipe, tmp_path, "--folds", 2, "--repeats", 2, "--workers", asked)
    assert started == [4, 2]


def test_a_study_that_was_killed_goes_on_to_the_same_numbers(twofold, recipe, tmp_path):
    arguments = ("kfold", recipe, "--folds", 2, "--repeats", 2, "--out", tmp_path / "study")
    with running(command, *arguments, said=tmp_path / "said") as process:
        wait_until(lambda: list(tmp_path.glob("study/jobs/*/result.json")), process)
        process.kill()
    done = {file: file.stat().st_mtime_ns for file in tmp_path.glob("study/jobs/*/result.json")}
    found = study("kfold", recipe, tmp_path / "study", "--folds", 2, "--repeats", 2)
    assert figures(found) == figures(twofold[1])
    assert all(file.stat().st_mtime_ns == at for file, at in done.items()), "done once is done"


def test_processes_that_work_along_end_with_the_one_that_began_them(recipe, tmp_path):
    arguments = ("kfold", recipe, "--folds", 2, "--repeats", 1, "--out", tmp_path / "study")
    more = ("--set", "epochs=20000")
    with running(command, *arguments, *more, "--workers", 2, said=tmp_path / "said") as process:
        wait_until(lambda: len(claims(tmp_path)) == 2, process)
        workers = claims(tmp_path)
        said = tmp_path / "second"  # who comes now finds nothing to do, and says so
        said.touch()
        with running(command, *arguments, *more, said=said) as second:
            wait_until(lambda: "waiting for them" in said.read_text(), second)
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not any(is_working(pid) for pid in workers))
    assert list(tmp_path.glob("study/jobs/*/run/last.pt")), "with what they have"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_study_stops_those_that_work_along_and_they_keep_what_they_have(
    recipe, tmp_path, number
):
    arguments = ("kfold", recipe, "--folds", 2, "--repeats", 1, "--out", tmp_path / "study")
    more = ("--set", "epochs=20000", "--workers", 2)
    with running(command, *arguments, *more, said=tmp_path / "said") as process:
        wait_until(lambda: len(claims(tmp_path)) == 2, process)
        workers = claims(tmp_path)
        os.kill(process.pid, number)  # it alone, as a service manager does
        assert ended(process) == 128 + number
    assert (tmp_path / "said").read_text().endswith("stopped; the same command goes on\n")
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert len(list(tmp_path.glob("study/jobs/*/run/last.pt"))) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_is_stopped_between_two_fits_as_well(tmp_path, number, ctrl_c):
    before = signal.getsignal(number)
    again = pytest.raises(StoppedError, match="the same command goes on")
    with again as stopped, _can_be_stopped(tmp_path):
        signal.raise_signal(number)
    assert stopped.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.slow
def test_ctrl_c_while_the_workers_begin_is_heard_once(recipe, tmp_path):
    arguments = ("kfold", recipe, "--folds", 2, "--repeats", 1, "--out", tmp_path / "study")
    program = [sys.executable, "-m", "trainer", *map(str, arguments), "--workers", "2"]
    with subprocess.Popen(
        program, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: len(children.read_text().split()) == 3)  # and the one that tidies up
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert said.splitlines()[-1].endswith("study: stopped; the same command goes on")
    assert "Traceback" not in said


def test_a_study_folder_that_takes_no_file_is_told(recipe, tmp_path):
    arguments = ("--folds", 2, "--repeats", 1, "--out", tmp_path / "study")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "jobs").touch()
    refused = trainer("kfold", recipe, *arguments)
    assert refused.returncode == 69
    assert "jobs" in refused.stderr
    assert refused.stderr.splitlines()[-1].endswith("cannot be made: Not a directory")
    (tmp_path / "job" / "claim").mkdir(parents=True)
    with (
        pytest.raises(UnavailableError, match="cannot be written to: Is a directory"),
        claimed_job(tmp_path / "job"),
    ):
        pass


def test_another_temperature_is_another_job_for_it_is_in_the_probabilities(recipe):
    loaded = load_recipe(recipe)
    tempered = loaded.model_copy(update={"temperature": Temperature(value=2, fitted_on="them")})
    one, other = (make_job("job", each, Pool(loaded), (0, 1), (2,)) for each in (loaded, tempered))
    assert one.digest != other.digest


def test_after_the_last_seed_comes_the_first_for_a_run_must_take_it(recipe):
    last = changed(load_recipe(recipe), [f"seed={SEEDS - 1}"])
    plan = Plan("kfold", last, tuple(kfold_rows(last, 2, ensemble=True)), 2, 2)
    seeds = [plan.seed(repeat, fold, member) for repeat, fold, member in np.ndindex(2, 2, 3)]
    assert len(set(seeds)) == 12
    for seed in seeds:
        assert changed(last, [f"seed={seed}"]).seed == seed


def test_what_takes_no_steps_took_the_time_of_the_pictures_it_was_shown(recipe):
    solved = load_recipe(recipe).model_copy(update={"optimizer": "logistic", "epochs": 3})
    job = make_job("job", solved, Pool(solved), range(10))
    row = CurveRow(step=48, epoch=3, lr=0, loss=0, held_out=None, ms_per_image=20)
    assert _train_s([row], job) == pytest.approx(0.6)  # thirty pictures


def is_working(pid: int) -> bool:
    """Return whether a process is there and has not ended: not every system buries orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def claims(folder: Path) -> set[int]:
    """Return which processes are training."""
    claims = folder.glob("study/jobs/*/claim")
    working = [claim for claim in claims if (claim.parent / "run" / "run.json").exists()]
    return {int(words[1]) for claim in working if (words := claim.read_text().split())}


def test_a_table_has_as_many_cells_in_each_row(twofold):
    _, found = twofold
    (row,) = found["rows"]
    missing = row | {"repeats": 0, "diverged": None}
    lines = as_markdown(found | {"rows": [row, missing]}).splitlines()
    assert lines[3].split("|")[10].strip() == "0"
    assert {line.count("|") for line in lines} == {13}


def test_where_pictures_say_a_kind_the_table_has_how_often_that_is_right(twofold, tmp_path):
    photos = write_photos(tmp_path / "photos")
    first, *rows = (photos / "index.csv").read_text().split()
    (photos / "index.csv").write_text("\n".join([f"{first},coarse", *(f"{r},slot" for r in rows)]))
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1)
    (row,) = study("kfold", recipe, tmp_path / "study", "--folds", 2, "--repeats", 1)["rows"]
    assert row["figures"]["coarse_top1"]["mean"] == 1  # both classes are of one kind
    pictures = out_of_fold(open_study(tmp_path / "study")).pictures  # who has the study alone
    assert {picture.columns["coarse"] for picture in pictures} == {"slot"}
    head, _, line = (tmp_path / "study" / "table.md").read_text().splitlines()
    assert (head.split("|")[-2].strip(), line.split("|")[-2].strip()) == ("coarse %", "100.00")
    assert "coarse" not in (twofold[0] / "table.md").read_text()


def test_more_repeats_are_added_to_those_that_are_there(twofold, recipe, tmp_path):
    before = study("kfold", recipe, tmp_path, "--folds", 2, "--repeats", 1)
    after = study("kfold", recipe, tmp_path, "--folds", 2, "--repeats", 2)
    assert before["rows"][0]["figures"]["top1"]["std"] is None
    assert figures(after) == figures(twofold[1])


def test_an_ablation_does_the_first_repeat_of_all_rows_first(recipe, tmp_path):
    rows = ("--rows", "full-mixup,plain", "--folds", 2, "--repeats", 2)
    result = trainer("ablate", recipe, "--out", tmp_path, *rows)
    assert result.returncode == 0, result.stderr
    said = [line.split("] ")[1].split(", fold")[0] for line in result.stderr.splitlines()]
    assert list(dict.fromkeys(said)) == [
        f"{row}, repeat {repeat}" for repeat in (1, 2) for row in ("full", "plain", "full-mixup")
    ]
    found = json.loads((tmp_path / "study.json").read_text())
    for row in found["rows"][1:]:
        assert row["compared_with"] == "full"
        gain = np.subtract(row["top1_per_repeat"], found["rows"][0]["top1_per_repeat"])
        assert row["difference"]["points"] == pytest.approx(100 * gain.mean())
    assert result.stdout == (tmp_path / "table.md").read_text()
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 4


def test_a_trick_on_the_plain_recipe_needs_no_full_one(recipe, tmp_path):
    more = ("--rows", "plain+mixup", "--folds", 2, "--repeats", 1)
    plain, mixup = study("ablate", recipe, tmp_path, *more)["rows"]
    assert (plain["name"], plain["compared_with"], plain["difference"]) == ("plain", None, None)
    gain = mixup["top1_per_repeat"][0] - plain["top1_per_repeat"][0]
    assert mixup["difference"]["points"] == pytest.approx(100 * gain)
    assert [line.split("|")[5].strip() for line in (tmp_path / "table.md").open()] == [
        "against", "---", "-", "plain"
    ]  # fmt: skip
    trick, *_, table = study_figures(open_study(tmp_path))
    assert "of 1 trick clearly helps the plain recipe" in trick.title
    assert "2 rows measured" in table.title


def test_an_ensemble_is_the_mean_of_models_of_inner_folds(recipe, tmp_path):
    more = ("--folds", 2, "--repeats", 1, "--ensemble", "--subset", "stocked=6,empty=6")
    found = study("kfold", recipe, tmp_path, *more)
    single, ensemble = found["rows"]
    assert (found["n"], single["fits"], ensemble["fits"]) == (12, 2, 4)
    said = [np.load(file)["probabilities"] for file in tmp_path.glob("jobs/*/oof.npz")]
    with np.load(tmp_path / ensemble["oof"]) as oof:
        answers = oof["probabilities"][0][oof["fold"][0] == 0]
    means = [(a + b) / 2 for i, a in enumerate(said) for b in said[:i] if a.shape == b.shape]
    assert any(np.allclose(answers, mean) for mean in means if mean.shape == answers.shape)
    assert ensemble["compared_with"] == "single"


def test_a_teacher_is_trained_on_its_pupils_own_pictures(photos, tmp_path):
    (tmp_path / "teacher.yaml").write_text(TEACHER)
    pupil = write_recipe(
        tmp_path / "r.yaml", photos, **QUICK, distill={"teacher": "teacher.yaml"}
    )  # fmt: skip
    found = study("kfold", pupil, tmp_path / "s", "--folds", 2, "--repeats", 1, "--keep-runs")
    runs = [json.loads(file.read_text()) for file in tmp_path.glob("s/jobs/*/run/run.json")]
    assert len(runs) == 4  # two pupils, two teachers
    assert len({run["data"] for run in runs}) == 2
    assert found["rows"][0]["fits"] == 2

    fitted = trainer("fit", pupil, "--out", tmp_path / "run")
    assert fitted.returncode == 0, fitted.stderr
    own, teachers = (
        json.loads((tmp_path / name / "run.json").read_text()) for name in ("run", "run-teacher")
    )
    assert own["data"] == teachers["data"]


def test_a_pupil_begins_with_the_body_of_its_own_folds_teacher(photos, tmp_path):
    (tmp_path / "teacher.yaml").write_text(TEACHER)
    still = {"lr": 1e-12, "distill": {"teacher": "teacher.yaml", "body": True}}
    pupil = write_recipe(tmp_path / "r.yaml", photos, **QUICK | still)
    study("kfold", pupil, tmp_path / "s", "--folds", 2, "--repeats", 1, "--keep-runs")
    stems: dict[str, list[torch.Tensor]] = {}
    for run in tmp_path.glob("s/jobs/*/run"):
        found = load_run(run)
        stems.setdefault(found.data_digest, []).append(found.net.body.conv1.weight)
    (one, other), (third, fourth) = stems.values()
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(third, fourth)
    assert not torch.allclose(one, third)


def test_a_row_that_diverges_is_told_and_the_others_are_measured(recipe, tmp_path):
    changes = ("--set", "lr=1.0e+12", "--set", "warmup=0")
    found = study(
        "ablate", recipe, tmp_path, "--folds", 2, "--repeats", 1, "--rows", "plain", *changes
    )
    full, plain = found["rows"]
    assert "lower lr" in full["diverged"]
    assert "checkpoint" not in full["diverged"], "its run is not kept"
    assert full["figures"] is None
    assert plain["figures"]["top1"]["mean"] > 0
    assert plain["difference"] is None
    assert "diverged" in (tmp_path / "table.md").read_text()


# -- what is refused ------------------------------------------------------------------------------


def refusal(*arguments: object) -> str:
    result = trainer(*arguments)
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def test_too_few_groups_and_pictures_are_refused_with_what_to_do(recipe, tmp_path):
    out = ("--out", tmp_path / "s")
    assert "fewer folds" in refusal("kfold", recipe, "--folds", 17, *out)
    message = refusal("kfold", recipe, "--folds", 9, *out)
    assert "no class has more than 8 pictures" in message
    assert "only 8 pictures" in refusal("kfold", recipe, "--subset", "stocked=9,empty=2", *out)
    spaced = "stocked=9, empty=2"
    assert "8 pictures of 'stocked'" in refusal("kfold", recipe, "--subset", spaced, *out)
    spaced = "stocked=8, empty=9"
    assert "8 pictures of 'empty'" in refusal("kfold", recipe, "--subset", spaced, *out)
    assert "write LABEL=N" in refusal("kfold", recipe, "--subset", "stocked", *out)
    for wrong in ("stocked=8", "stocked=8,stocked=4,empty=4"):
        assert "two labels at least" in refusal("kfold", recipe, "--subset", wrong, *out)
    message = refusal("kfold", recipe, "--subset", "stocked=8,empty=1", "--folds", 2, *out)
    assert "class 'empty' has 1 picture in one group" in message
    assert not (tmp_path / "s").exists()


def test_too_few_pictures_for_the_inner_folds_are_told_as_those(recipe, tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    more = ("--data", photos, "--folds", 3, "--repeats", 1, "--out", tmp_path / "s")
    message = refusal("kfold", recipe, *more, "--ensemble")
    assert (
        "too few pictures are left for the inner folds of --ensemble: --folds 3: no cl" in message
    )
    assert message.strip().endswith("take fewer folds, or more pictures; or leave --ensemble out")
    assert not (tmp_path / "s").exists()
    assert trainer("kfold", recipe, *more).returncode == 0, "each class has three pictures"


@pytest.mark.parametrize("kind", ["kfold", "ablate"])
def test_a_picture_under_two_labels_is_told_once_by_a_study(recipe, tmp_path, caplog, kind):
    photos = write_photos(tmp_path / "photos", 8)
    shutil.copy(photos / "0.png", photos / "copy.png")
    with (photos / "index.csv").open("a") as index:
        index.write("\ncopy.png,stocked,other")
    more = ("--rows", "plain") if kind == "ablate" else ("--workers", 2)
    study(kind, recipe, tmp_path / "s", "--data", photos, "--folds", 2, "--repeats", 1, *more)
    assert caplog.text.count("one picture, two labels") == 1
    assert "0.png ('empty')" in caplog.text
    assert "copy.png ('stocked')" in caplog.text


def test_pictures_that_are_given_twice_are_told_by_a_study(recipe, tmp_path, caplog):
    photos = write_photos(tmp_path / "photos", 8)
    twice = ("--data", photos, "--data", photos)
    study("kfold", recipe, tmp_path / "s", *twice, "--folds", 2, "--repeats", 1)
    assert caplog.text.count("8 pictures are given once more, and count as often") == 1


def test_a_label_that_is_no_class_is_refused_before_there_is_a_folder(recipe, photos, tmp_path):
    more = ("--data", f"{photos}=cola", "--folds", 2, "--out", tmp_path / "s")
    refused = trainer("kfold", recipe, *more)
    assert refused.returncode == 78
    assert "label 'cola' is none of the classes empty, stocked" in refused.stderr
    assert not (tmp_path / "s").exists()


TEMPERED = ("--set", "temperature={value: 2, fitted_on: them}")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--set", "lr=0.04"), "its lr differs (0.05, now 0.04)"),
        (("--set", "net.width=0.25"), "its net.width differs (0.125, now 0.25)"),
        (("--set", "name=other"), "its recipe is called tiny, not other"),
        (TEMPERED, "its temperature differs"),
        (("--subset", "stocked=6,empty=6"), "its --subset differs"),
        (("--folds", 4), "it has 2 folds, not 4"),
    ],
)
def test_a_folder_with_another_study_is_refused_and_told_what_differs(twofold, recipe, asked, said):
    out, _ = twofold
    before = (out / "study.json").read_bytes()
    message = refusal("kfold", recipe, "--out", out, "--folds", 2, "--repeats", 2, *asked)
    assert f"{out}: holds another study: {said}" in message
    assert "give another folder as --out" in message
    assert (out / "study.json").read_bytes() == before


def test_a_folder_with_an_ablation_takes_no_kfold(recipe, tmp_path):
    study("ablate", recipe, tmp_path, "--folds", 2, "--repeats", 1, "--rows", "full")
    message = refusal("kfold", recipe, "--out", tmp_path, "--folds", 2, "--repeats", 1)
    assert "'trainer ablate' made it" in message


def test_pictures_that_moved_came_or_are_grouped_otherwise_are_told_apart(recipe, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "aa")
    index, out = tmp_path / "aa" / "index.csv", tmp_path / "s"
    asked = ("--folds", 2, "--repeats", 1, "--out", out)
    measured = study("kfold", recipe, out, "--data", tmp_path / "aa", *asked)
    before, rows = (out / "study.json").read_bytes(), index.read_text()

    index.write_text(rows.replace(",g1\n", ",g0\n"))
    message = refusal("kfold", recipe, "--data", tmp_path / "aa", *asked)
    assert "its pictures are grouped otherwise" in message
    index.write_text("\n".join(rows.splitlines()[:-1]))
    message = refusal("kfold", recipe, "--data", tmp_path / "aa", *asked)
    assert "its pictures differ: some came, went or changed" in message

    index.write_text(rows)
    (tmp_path / "aa").rename(tmp_path / "ab")
    (tmp_path / "ab" / "index.csv").write_text("\n".join(rows.splitlines()[:-1]))
    message = refusal("kfold", recipe, "--data", tmp_path / "ab", *asked)
    assert f"its pictures are those of {tmp_path / 'aa'}, not of {tmp_path / 'ab'}" in message
    assert (out / "study.json").read_bytes() == before

    (tmp_path / "ab" / "index.csv").write_text(rows)
    fits = {file: file.stat().st_mtime_ns for file in out.glob("jobs/*/result.json")}
    again = study("kfold", recipe, out, "--data", tmp_path / "ab", *asked)
    assert again == measured | {"places": [str(tmp_path / "ab")]}
    assert {file: file.stat().st_mtime_ns for file in out.glob("jobs/*/result.json")} == fits
    (oof,) = out.glob("oof/*.npz")
    assert all(Path(file).exists() for file in np.load(oof)["picture"])


def test_groups_of_the_same_number_with_other_pictures_in_them_are_another_study(
    recipe, photos, tmp_path
):
    shutil.copytree(photos, tmp_path / "data")
    index, out = tmp_path / "data" / "index.csv", tmp_path / "s"
    rows = index.read_text()
    asked = ("--data", tmp_path / "data", "--folds", 2, "--repeats", 1)
    index.write_text(rows.replace(",g1\n", ",g0\n"))
    study("kfold", recipe, out, *asked)
    index.write_text(rows.replace(",g3\n", ",g2\n"))
    message = refusal("kfold", recipe, *asked, "--out", out)
    assert "its pictures are grouped otherwise" in message


def test_measured_repeats_are_not_lost_because_fewer_are_asked_for(twofold, recipe):
    out, _ = twofold
    before = (out / "study.json").read_bytes()
    message = refusal("kfold", recipe, "--out", out, "--folds", 2, "--repeats", 1)
    assert "its table would lose 1 of 2 repeats of single; to keep both, ask for" in message
    assert (out / "study.json").read_bytes() == before


def test_rows_may_be_added_to_a_study_and_are_not_lost_because_they_are_not_asked_for(
    recipe, tmp_path
):
    asked = ("--folds", 2, "--repeats", 1)
    (alone,) = figures(study("kfold", recipe, tmp_path, *asked))
    stale = tmp_path / "oof" / "stale.npz"
    stale.touch()
    with_more = study("kfold", recipe, tmp_path, *asked, "--ensemble")
    assert figures(with_more)[0] == alone
    assert {file.name for file in stale.parent.iterdir()} == {"single.npz", "ensemble.npz"}
    message = refusal("kfold", recipe, "--out", tmp_path, *asked)
    assert "its table would lose the row ensemble; to keep both, ask for the same rows" in message
    assert json.loads((tmp_path / "study.json").read_text()) == with_more


def test_a_study_that_an_older_version_has_begun_goes_on_or_is_told_that_its_fits_are_others(
    twofold, recipe, tmp_path
):
    old = tmp_path / "s"
    shutil.copytree(twofold[0], old)
    about = json.loads((old / "study.json").read_text())
    asked = ("--folds", 2, "--repeats", 2)
    del about["asked"]["temperature"]  # absent is no value that a key may have
    (old / "study.json").write_text(json.dumps(about))
    assert "its recipe has other keys" in refusal("kfold", recipe, *asked, "--out", old)
    for word in ("asked", "weights", "grouping"):
        del about[word]
    (old / "study.json").write_text(json.dumps(about))
    assert open_study(old).measured, "a report shows it"
    assert "no fit of its row single is one of" in refusal(
        "kfold", recipe, *asked, *TEMPERED, "--out", old
    )
    assert "its recipe differs" in refusal(
        "kfold", recipe, *asked, "--set", "lr=0.04", "--out", old
    )
    done = {file: file.stat().st_mtime_ns for file in old.glob("jobs/*/result.json")}
    assert study("kfold", recipe, old, *asked)["rows"] == about["rows"]
    assert {file: file.stat().st_mtime_ns for file in old.glob("jobs/*/result.json")} == done


def write_weights(file: Path, recipe: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    torch.save(SlotNet(load_recipe(recipe).net, 2).body.state_dict(), file)
    return file


def test_nets_that_begin_with_other_weights_do_not_share_a_table(recipe, tmp_path):
    weights, out = write_weights(tmp_path / "w.pt", recipe, seed=0), tmp_path / "s"
    asked = ("--folds", 2, "--set", f"net.weights={weights}")
    (first,) = figures(study("kfold", recipe, out, *asked, "--repeats", 1))
    before, kept = (out / "study.json").read_bytes(), weights.read_bytes()
    write_weights(weights, recipe, seed=1)
    message = refusal("kfold", recipe, *asked, "--repeats", 2, "--out", out)
    assert f"holds another study: other weights are in {weights} now" in message
    assert (out / "study.json").read_bytes() == before
    weights.write_bytes(kept)
    (second,) = figures(study("kfold", recipe, out, *asked, "--repeats", 2))
    assert second["top1_per_repeat"][:1] == first["top1_per_repeat"]


def test_a_job_is_another_one_if_its_teacher_begins_with_other_weights(recipe, tmp_path):
    weights = write_weights(tmp_path / "w.pt", recipe, seed=0)
    pupil = load_recipe(recipe)
    begun = changed(pupil, [f"net.weights={weights}"])

    def digest() -> str:
        pool = Pool(begun)
        return make_job(
            "pupil", pupil, pool, (0, 1), (2,), make_job("t", begun, pool, (0, 1))
        ).digest

    first = digest()
    assert digest() == first
    write_weights(weights, recipe, seed=1)
    assert digest() != first


def test_weights_that_are_not_there_are_told_before_there_is_a_folder(recipe, tmp_path):
    weights = ("--set", f"net.weights={tmp_path / 'gone.pt'}")
    refused = trainer("kfold", recipe, *weights, "--folds", 2, "--out", tmp_path / "s")
    assert refused.returncode == 69
    assert f"{tmp_path / 'gone.pt'}: cannot read the weights: No such file" in refused.stderr
    assert not (tmp_path / "s").exists()


def test_a_folder_with_other_things_is_no_place_for_a_study(recipe, tmp_path):
    (tmp_path / "table.csv").write_text("mine")
    message = refusal("kfold", recipe, "--out", tmp_path, "--folds", 2)
    assert "holds other things (table.csv)" in message
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_study_under_torchrun_is_refused(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--workers"):
        run_study(Plan("kfold", load_recipe(recipe), (), 2, 1), tmp_path / "s")


def test_a_study_that_lost_its_table_goes_on(twofold, recipe, tmp_path):
    again = tmp_path / "s"
    shutil.copytree(twofold[0], again)
    before = json.loads((again / "study.json").read_text())
    (again / "study.json").unlink()
    assert study("kfold", recipe, again, "--folds", 2, "--repeats", 2)["rows"] == before["rows"]


def changed_within(content: bytes) -> bytes:
    """Return an npz with another number in it: only reading all of it tells."""
    at = content.index(b"\n") + 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("result.json", lambda content: b""),
        ("result.json", lambda content: b"{}x"),
        ("result.json", lambda content: b'{"other": 1}'),
        ("oof.npz", None),
        ("oof.npz", lambda content: b""),
        ("oof.npz", lambda content: content[:100]),
        ("oof.npz", lambda content: content[:-1]),
        ("oof.npz", changed_within),
    ],
    ids=["empty", "broken", "other", "gone", "empty-npz", "cut-npz", "short-npz", "changed-npz"],
)
def test_a_result_that_is_damaged_is_made_again(twofold, recipe, tmp_path, name, damage):
    out, before = twofold
    again = tmp_path / "s"
    shutil.copytree(out, again)
    file = next(again.glob(f"jobs/*/{name}"))
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    found = study("kfold", recipe, again, "--folds", 2, "--repeats", 2)
    assert figures(found) == figures(before)


def test_answers_of_a_study_in_which_a_bit_has_changed_are_told_by_the_report(twofold, tmp_path):
    folder = shutil.copytree(twofold[0], tmp_path / "study")
    file = folder / twofold[1]["rows"][0]["oof"]
    whole, told = file.read_bytes(), []
    for place in range(0, len(whole), len(whole) // 40):
        file.write_bytes(bytes([*whole[:place], whole[place] ^ 0xFF, *whole[place + 1 :]]))
        with contextlib.suppress(UnavailableError):
            out_of_fold(open_study(folder))  # a bit of a date changes nothing
            continue
        told.append(place)
    assert len(told) > 20


def test_a_class_that_no_picture_shows_is_told_before_there_is_a_folder(tmp_path):
    photos = write_photos(tmp_path / "photos")
    recipe = write_recipe(
        tmp_path / "r.yaml", photos, classes=["empty", "stocked", "tea"], epochs=1
    )
    result = trainer("kfold", recipe, "--out", tmp_path / "study", "--folds", 2, "--repeats", 1)
    assert result.returncode == 2
    assert "there is no picture of the class 'tea' to learn from" in result.stderr
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("content", ["", "{}"])
def test_a_folder_whose_study_is_damaged_is_refused(recipe, tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    result = trainer("kfold", recipe, "--out", tmp_path, "--folds", 2)
    assert result.returncode == 78
    assert "not what 'trainer kfold'" in result.stderr


def test_a_net_that_may_know_the_answers_is_refused(photos, tmp_path):
    taught = write_recipe(tmp_path / "a.yaml", photos, distill={"teacher": "runs/teacher"})
    assert "name a recipe" in refusal("kfold", taught, "--out", tmp_path / "s")
    begun = tmp_path / "b.yaml"
    begun.write_text(yaml.safe_dump(yaml.safe_load(taught.read_text()) | {"distill": None}))
    refused = refusal("kfold", begun, "--set", f"net.weights={tmp_path}", "--out", tmp_path / "s")
    assert "a run may have seen" in refused
    (tmp_path / "recipe.json").write_text("{}")  # as beside a run's checkpoint
    refused = refusal(
        "kfold", begun, "--set", f"net.weights={tmp_path / 'best.pt'}", "--out", tmp_path / "s"
    )
    assert "a run may have seen" in refused
    kept = tmp_path / "elsewhere" / "good.pt"  # a copy of one
    kept.parent.mkdir()
    torch.save({"average": {}}, kept)
    refused = refusal("kfold", begun, "--set", f"net.weights={kept}", "--out", tmp_path / "s")
    assert "a run may have seen" in refused
    teacher = yaml.safe_load(TEACHER)
    teacher["net"]["weights"] = str(tmp_path)
    (tmp_path / "teacher.yaml").write_text(yaml.safe_dump(teacher))
    taught = write_recipe(tmp_path / "c.yaml", photos, distill={"teacher": "teacher.yaml"})
    assert "a run may have seen" in refusal("kfold", taught, "--out", tmp_path / "s")
