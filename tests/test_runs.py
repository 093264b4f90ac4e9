"""What a training leaves behind, whatever ends it: a kill, Ctrl-C, a full disk, a loss of NaN."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
from disk import fill, mount, small_disk
from fitting import (
    command,
    ended,
    killed_after,
    running,
    tiny,
    trained,
    trainer,
    wait_until,
    write_photos,
    write_recipe,
)

from edge.errors import UnavailableError, UsageError
from trainer.checkpoint import LAST, State
from trainer.files import replace_file, write_json
from trainer.lineage import LEARNT, fed_to, inherited
from trainer.mixture import Mixture, open_mixture
from trainer.recipe import Recipe
from trainer.runs import asked_at, claimed_run, load_run
from trainer.train import (
    Clock,
    DivergedError,
    StoppedError,
    asked_to_stop,
    check_weights,
    descend,
    fit,
    measure_row,
    prepare,
    why_diverged,
)
from trainer.workers import Workers


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def recipe(photos):
    return tiny(photos, held_out=[{"data": str(photos)}])


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    """A training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    trained(recipe, folder)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """The same, to be spoilt."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def checkpoint(run: Path):
    return torch.load(run / LAST, weights_only=True)


def assert_the_same(one: Path, other: Path) -> None:
    """Weights, optimizer and curve are the same to the last bit; only time may differ."""
    first, second = checkpoint(one), checkpoint(other)
    for part in ("model", "average"):
        assert all(torch.equal(first[part][key], second[part][key]) for key in second[part])
    for kept, again in zip(momenta(first), momenta(second), strict=True):
        assert torch.equal(kept, again)
    assert timeless(one) == timeless(other)


def momenta(saved):
    return [state["momentum_buffer"] for state in saved["optimizer"]["state"].values()]


def timeless(run: Path):
    return [replace(row, ms_per_image=0) for row in load_run(run).curve]


# -- the same again -------------------------------------------------------------------------------


def test_the_same_recipe_gives_the_same_run(recipe, run, tmp_path):
    trained(recipe, tmp_path / "again")
    assert_the_same(run, tmp_path / "again")


def test_another_seed_gives_another_run(recipe, run, tmp_path):
    trained(recipe.model_copy(update={"seed": 1}), tmp_path / "other")
    with pytest.raises(AssertionError):
        assert_the_same(run, tmp_path / "other")


def test_a_run_that_is_killed_again_and_again_comes_out_the_same(recipe, run, tmp_path):
    killed, chance = tmp_path / "killed", random.Random(5)
    steps = []
    for _ in range(5):
        when = chance.randint(1, 4), chance.uniform(0, 0.03)
        with running(killed_after, recipe, killed, *when, said=tmp_path / "said") as process:
            assert ended(process) in (0, -signal.SIGKILL)
        steps.append(checkpoint(killed)["step"])
    assert any(0 < step < 40 for step in steps), steps
    trained(recipe, killed)
    assert_the_same(run, killed)
    assert not list(killed.glob("*.new"))


def test_measuring_on_held_out_pictures_changes_nothing_else(recipe, run, tmp_path):
    before = torch.get_num_threads()
    trained(recipe.model_copy(update={"held_out": ()}), tmp_path / "unmeasured")
    assert torch.get_num_threads() == before
    first, second = checkpoint(run)["model"], checkpoint(tmp_path / "unmeasured")["model"]
    assert all(torch.equal(first[key], second[key]) for key in first)


# -- what is written ------------------------------------------------------------------------------


def test_a_run_tells_what_it_was_made_from_and_how_it_went(recipe, run):
    about = json.loads((run / "run.json").read_text())
    assert about["recipe"] == recipe.digest(training_only=True)
    assert about["data"] == open_mixture(recipe).digest() == load_run(run).data_digest
    assert about["torch"] == torch.__version__
    assert about["seed"] == 0
    assert about["threads"] == torch.get_num_threads()
    assert about["cpu"]
    assert (about["processes"], about["precision"]) == (1, "float32")
    assert (about["gpu"] is None) == (not torch.cuda.is_available())
    assert load_run(run).recipe == recipe


def test_a_run_that_is_asked_for_once_more_elsewhere_was_trained_where_it_was(
    recipe, run, tmp_path
):
    moved = tmp_path / "run"
    shutil.copytree(run, moved)
    about = json.loads((moved / "run.json").read_text()) | {"cpu": "another", "threads": 64}
    (moved / "run.json").write_text(json.dumps(about))
    trained(recipe, moved)
    assert json.loads((moved / "run.json").read_text()) == about


def test_the_curve_has_the_loss_and_the_held_out_accuracy_of_each_epoch(run):
    curve = json.loads((run / "curve.json").read_text())
    assert [row["epoch"] for row in curve] == list(range(1, 21))
    assert [row["step"] for row in curve] == list(range(2, 41, 2))
    assert all(0 <= row["held_out"] <= 1 and row["loss"] > 0 for row in curve)
    assert set(curve[0]) == {"step", "epoch", "lr", "loss", "held_out", "ms_per_image"}


def test_an_epoch_is_over_when_all_was_seen_also_where_batches_do_not_go_into_it(recipe, tmp_path):
    trained(recipe.model_copy(update={"epochs": 3, "batch": 5}), tmp_path / "run")
    curve = load_run(tmp_path / "run").curve
    assert (curve[-1].step, curve[-1].epoch) == (5, 3.12)  # 25 looks at 8 pictures


def test_the_best_checkpoint_can_be_asked_for(run, photos):
    best = max(load_run(run).curve, key=lambda row: row.held_out)
    saved = torch.load(run / "best.pt", weights_only=True)
    assert saved["step"] == best.step
    asked = trainer("evaluate", run / "best.pt", "--data", photos, "--json")
    assert json.loads(asked.stdout)["top1"] == best.held_out


def test_a_run_can_be_asked_at_another_size(run, photos):
    def asked(size: int) -> object:
        return trainer("evaluate", run, "--data", photos, "--input-size", size, "--json")

    own = load_run(run).recipe.input_size
    usual = trainer("evaluate", run, "--data", photos, "--json")
    same, larger = json.loads(asked(own).stdout), json.loads(asked(2 * own).stdout)
    assert same["nll"] == json.loads(usual.stdout)["nll"] != larger["nll"]
    assert "error: --input-size 40: write a multiple of 16" in asked(40).stderr


def test_pictures_that_do_not_suit_the_net_of_a_run_are_told_before_it_is_asked(photos, tmp_path):
    net = {"arch": "resnet10", "width": 0.125, "d": True}
    trained(tiny(photos, net=net, input_size=64, epochs=1), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert asked_at(run, 96).recipe.input_size == 96
    with pytest.raises(UsageError, match="--input-size 48: with d the side must be even"):
        asked_at(run, 48)
    file = tmp_path / "run" / "recipe.json"
    file.write_text(file.read_text().replace('"input_size": 64', '"input_size": 48'))
    with pytest.raises(UnavailableError, match=r"recipe.json: input_size: 48; with d the side"):
        load_run(tmp_path / "run")


def test_each_epoch_is_one_line(photos, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", photos, epochs=3)
    said = trainer("fit", recipe, "--out", tmp_path / "run").stderr.splitlines()
    assert [line.split("  ")[0] for line in said if "loss" in line] == [
        "step 2/6", "step 4/6", "step 6/6"
    ]  # fmt: skip


def test_on_a_terminal_a_bar_shows_how_far_it_is(photos, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", photos, epochs=3)
    terminal, side = os.openpty()
    with running(command, "fit", recipe, "--out", tmp_path / "run", said=os.ttyname(side)) as child:
        assert ended(child) == 0
    os.set_blocking(terminal, False)
    shown = os.read(terminal, 1 << 16).decode()
    assert "6/6" in shown
    assert "100%" in shown or "[####" in shown
    assert "step 2/6  loss" in shown


# -- stopped --------------------------------------------------------------------------------------


def test_a_service_manager_that_asks_twice_waits_for_the_step_all_the_same(ctrl_c):
    with asked_to_stop() as asked:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            assert asked() == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_stops_a_training_keeps_what_it_has(photos, tmp_path, number):
    recipe = write_recipe(tmp_path / "r.yaml", photos, epochs=100_000)
    run, said = tmp_path / "run", tmp_path / "said"
    with running(command, "fit", recipe, "--out", run, said=said) as process:
        wait_until(lambda: "loss" in said.read_text() if said.exists() else False, process)
        os.kill(process.pid, number)
        assert ended(process) == 128 + number
    last = said.read_text().splitlines()[-1]
    step = checkpoint(run)["step"]
    assert last == (
        f"error: {run}: stopped at step {step} of 200000; the same command goes on"
    )  # fmt: skip
    refused = trainer("evaluate", run, "--data", photos)
    assert refused.returncode == 69
    assert "--unfinished" in refused.stderr
    found = trainer("evaluate", run, "--data", photos, "--unfinished", "--json")
    assert json.loads(found.stdout)["n"] == 8


def test_a_run_that_was_stopped_goes_on_to_the_same_result(recipe, run, tmp_path):
    stopped = tmp_path / "stopped"
    assert stop_at(recipe, stopped, step=17) == 130
    assert checkpoint(stopped)["step"] == 17
    trained(recipe, stopped)
    assert_the_same(run, stopped)


def stop_at(recipe: Recipe, run: Path, step: int) -> int:
    """Train until Ctrl-C, which is pressed in the middle of this step; return the exit code."""
    mixture = open_mixture(recipe)

    def ctrl_c(state: State, epoch_ends: bool) -> None:
        if state.step == step - 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError) as end:
        fit(mixture, run, ctrl_c, mixture.held_out)
    return end.value.exit_code


def test_a_run_does_not_go_on_while_its_pictures_have_other_names_and_so_another_order(tmp_path):
    photos, run = write_photos(tmp_path / "photos"), tmp_path / "run"
    (photos / "index.csv").unlink()
    for i in range(8):
        label = photos / ("stocked" if i % 2 else "empty")
        label.mkdir(exist_ok=True)
        (photos / f"{i}.png").rename(label / f"{i}.png")
    recipe = tiny(photos)
    stop_at(recipe, run, step=17)
    old, new = photos / "empty" / "0.png", photos / "empty" / "9.png"
    old.rename(new)
    with pytest.raises(
        UsageError, match="its pictures have another order than when it was stopped"
    ):
        trained(recipe, run)
    assert checkpoint(run)["step"] == 17
    new.rename(old)
    (photos / "stocked" / "7.png").rename(photos / "stocked" / "8.png")  # still the last
    trained(recipe, run)
    trained(recipe, tmp_path / "undisturbed")
    assert_the_same(tmp_path / "undisturbed", run)


def test_a_finished_run_may_have_its_pictures_in_another_order(tmp_path):
    photos = write_photos(tmp_path / "photos")
    recipe, run = tiny(photos, epochs=1), tmp_path / "run"
    trained(recipe, run)
    before = load_run(run).curve
    first, *rows = (photos / "index.csv").read_text().split()
    (photos / "index.csv").write_text("\n".join([first, *rows[::-1]]))
    trained(recipe, run)
    assert load_run(run).curve == before


def test_a_run_that_goes_on_with_other_held_out_pictures_measures_on_those_alone(
    photos, recipe, run, tmp_path, caplog
):
    stopped = tmp_path / "stopped"
    stop_at(recipe, stopped, step=17)
    assert checkpoint(stopped)["curve"][-1]["held_out"] is not None
    (stopped / "best.pt").write_text("the best on the first ones")
    others = write_photos(tmp_path / "others", 6, seed=3)
    stop_at(tiny(photos, held_out=[{"data": str(others)}]), stopped, step=19)
    assert caplog.text.count("its held-out pictures changed") == 1
    trained(tiny(photos, held_out=[{"data": str(others)}]), stopped)
    assert caplog.text.count("its held-out pictures changed") == 1

    curve = load_run(stopped).curve
    assert [row.held_out is None for row in curve] == [row.step < 18 for row in curve]
    kept = torch.load(stopped / "best.pt", weights_only=True)
    best = max(curve[8:], key=lambda row: row.held_out)
    assert kept["step"] == best.step
    asked = trainer("evaluate", stopped / "best.pt", "--data", others, "--json")
    assert json.loads(asked.stdout)["top1"] == best.held_out
    first, second = checkpoint(run)["average"], checkpoint(stopped)["average"]
    assert all(torch.equal(first[key], second[key]) for key in first)

    trained(recipe, stopped)  # which is at its end: nothing is measured any more
    assert load_run(stopped).curve == curve
    assert torch.load(stopped / "best.pt", weights_only=True)["step"] == best.step


class PlugPulledError(Exception):
    pass


def test_who_is_killed_as_its_held_out_pictures_change_has_one_yardstick_all_the_same(
    photos, recipe, tmp_path, monkeypatch
):
    stopped, others = tmp_path / "stopped", write_photos(tmp_path / "others", count=6, seed=9)
    stop_at(recipe, stopped, step=18)

    remove = Path.unlink

    def pulled(path: Path, **more: bool) -> None:
        if path.name == "best.pt":
            raise PlugPulledError
        remove(path, **more)

    monkeypatch.setattr(Path, "unlink", pulled)
    with pytest.raises(PlugPulledError):
        trained(tiny(photos, held_out=[{"data": str(others)}]), stopped)
    monkeypatch.undo()
    trained(recipe, stopped)  # back to the first ones
    curve = load_run(stopped).curve
    assert [row.held_out is None for row in curve] == [row.step <= 18 for row in curve]
    best = max((row for row in curve if row.held_out is not None), key=lambda row: row.held_out)
    assert torch.load(stopped / "best.pt", weights_only=True)["step"] == best.step


def test_who_measures_on_nothing_for_a_while_keeps_what_was_measured(photos, recipe, run, tmp_path):
    stopped = tmp_path / "stopped"
    stop_at(recipe, stopped, step=17)
    stop_at(tiny(photos), stopped, step=21)
    trained(recipe, stopped)
    before, after = (checkpoint(each)["curve"] for each in (run, stopped))
    measured = [row["held_out"] for row in after]
    assert measured == [None if row["step"] in (18, 20) else row["held_out"] for row in before]


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 1},
        {"epochs": 1, "optimizer": "logistic", "augment": "none", "mixup": 0.0, "ema": 0.0,
         "net": {"arch": "resnet10", "width": 0.125, "blocks": [1], "freeze": 2}},
    ],
    ids=["steps", "logistic"],
)  # fmt: skip
def test_who_stops_at_the_last_step_is_heard_for_more_may_follow(photos, tmp_path, changes):
    mixture = open_mixture(tiny(photos, **changes))

    def ctrl_c_at_the_end(state: State, epoch_ends: bool) -> None:
        if state.step == state.steps:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        fit(mixture, tmp_path / "run", ctrl_c_at_the_end)
    assert load_run(tmp_path / "run").net  # finished all the same


# -- a full disk ----------------------------------------------------------------------------------


def test_a_disk_that_lets_nobody_write_is_one_message(tmp_path):
    with small_disk(tmp_path) as disk:
        mount("-o", "remount,ro", str(disk))
        with pytest.raises(UnavailableError, match=r"a\.json: cannot be written: Read-only file"):
            write_json(disk / "a.json", {})


def test_a_full_disk_is_one_message_and_costs_nothing(recipe, run, tmp_path):
    with small_disk(tmp_path) as disk:
        full, mixture = disk / "run", open_mixture(recipe)

        def somebody_fills_it(state: State, epoch_ends: bool) -> None:
            if state.step == 10:
                fill(disk)

        with pytest.raises(UnavailableError, match=r"(last|best)\.pt: cannot be written: No space"):
            fit(mixture, full, somebody_fills_it, mixture.held_out, save_every_s=0)
        assert checkpoint(full)["step"] == 10
        assert not list(full.glob("*.new"))
        (disk / "ballast").unlink()
        trained(recipe, full)
        assert_the_same(run, full)


# -- no number any more ---------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_the_training_with_the_cause(photos, tmp_path):
    recipe, steps = tiny(photos, lr=1e6, warmup=0.5), []
    with pytest.raises(DivergedError) as end:
        fit(
            open_mixture(recipe),
            tmp_path / "run",
            lambda state, epoch_ends: steps.append(state.step),
            save_every_s=0,
        )
    assert end.value.exit_code == 69
    assert "lower lr, or lengthen warmup. If a checkpoint was saved before, it is kept" in str(
        end.value
    )
    assert str(pickle.loads(pickle.dumps(end.value))) == str(end.value)
    kept = load_run(tmp_path / "run", unfinished=True)
    assert all(torch.isfinite(value).all() for value in kept.net.state_dict().values())
    assert checkpoint(tmp_path / "run")["step"] == steps[-1] < 40


@pytest.fixture
def state(recipe, tmp_path):
    return prepare(open_mixture(recipe), tmp_path / "none", Workers(0, 1, "cpu"))


def step_length(photos, tmp_path, loss_of, scaled=False, **changes):
    """How far one step moves all weights together."""
    changed = tiny(photos, weight_decay=0, momentum=0, **changes)
    state = prepare(open_mixture(changed), tmp_path / "none", Workers(0, 1, "cpu"))
    state.scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    before = [weights.detach().clone() for weights in state.model.parameters()]
    state.model.eval()  # no dropout
    descend(loss_of(state.model(torch.linspace(0, 255, 3072).view(1, 32, 32, 3))), state, changed)
    assert state.step == 1
    moved = zip(before, state.model.parameters(), strict=True)
    return sum((now - was).square().sum().item() for was, now in moved) ** 0.5


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("times", [1e-6, 1, 1000])
def test_no_step_is_longer_than_its_gradient_may_be(recipe, photos, tmp_path, times, scaled):
    def loss(logits):
        return times * logits.square().sum()

    free = step_length(photos, tmp_path, loss)
    cut = step_length(photos, tmp_path, loss, scaled, clip_gradient=0.01)
    lr = recipe.lr
    assert cut == pytest.approx(min(free, 0.01 * lr), rel=0.01)
    assert free > 0.01 * lr or times < 1


def test_the_cause_may_be_that_sixteen_bits_overflow(state):
    state.scaler = torch.amp.GradScaler("cpu", enabled=True)
    assert "16 bits overflowed: precision: bf16 or fp32" in why_diverged(float("nan"), state)


def test_the_cause_may_be_weights_that_were_broken_before(state):
    with torch.no_grad():
        next(state.model.body.parameters())[0] = float("inf")
    said = why_diverged(float("nan"), state)
    assert "body.conv1.weight holds no numbers any more" in said


def test_weights_that_break_in_the_last_step_are_told_with_that_step(state):
    state.step, state.losses = state.steps, []
    check_weights(state)
    with torch.no_grad():
        next(state.model.body.parameters())[0] = float("inf")
    words = rf"after step {state.steps} of {state.steps} .*body.conv1.weight holds no numbers"
    with pytest.raises(DivergedError, match=words) as end:
        check_weights(state)
    assert "the loss is" not in str(end.value)


def test_the_time_of_testing_is_no_time_of_training(recipe, state):
    mixture, clock = open_mixture(recipe), Clock(state, 60)

    def test(net):
        time.sleep(1)
        return 0.5

    rows = []
    for state.step in (1, 2, 3):
        state.losses = [1.0]
        rows.append(measure_row(state, mixture, test, clock))
    assert all(one.ms_per_image * recipe.batch < 500 for one in rows)


def test_a_run_goes_on_where_it_needs_a_scaler_though_it_was_begun_without(state):
    saved = state.saved()
    assert saved["scaler"] == {}
    state.scaler = torch.amp.GradScaler("cpu", enabled=True)
    before = state.scaler.state_dict()
    state.restore(saved)
    assert state.scaler.state_dict() == before


# -- what is not ours --------------------------------------------------------------------------


def test_what_others_left_in_the_folder_stays(photos, tmp_path):
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1)
    for name, content in (("planogram.new", "mine"), ("run.json", '{"mine": 1}')):
        run = tmp_path / name.partition(".")[0]
        run.mkdir()
        (run / name).write_text(content)
        refused = trainer("fit", recipe, "--out", run)
        assert refused.returncode in (2, 69), refused.stderr
        assert (run / name).read_text() == content
        assert len(list(run.iterdir())) == 1
    left = tmp_path / "left"
    left.mkdir()
    (left / "last.pt.4711.new").write_text("half")
    assert trainer("fit", recipe, "--out", left).returncode == 0
    assert not list(left.glob("*.new"))


def test_whatever_goes_wrong_while_writing_no_half_file_stays(tmp_path):
    file = tmp_path / "last.pt"
    file.write_text("before")

    def half(path):
        path.write_text("ha")
        raise RuntimeError("unexpected pos")

    with pytest.raises(RuntimeError):
        replace_file(file, half)
    assert [one.name for one in tmp_path.iterdir()] == ["last.pt"]
    assert file.read_text() == "before"


def test_a_recipe_that_was_edited_is_told(run, tmp_path, caplog):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    load_run(other)
    assert "not the recipe" not in caplog.text
    recipe = json.loads((other / "recipe.json").read_text())
    recipe["classes"].reverse()
    (other / "recipe.json").write_text(json.dumps(recipe))
    load_run(other)
    assert "recipe.json: is not the recipe that was trained" in caplog.text


def test_a_bundle_and_a_study_are_no_runs(tmp_path):
    (tmp_path / "m.onnx").write_text("")
    with pytest.raises(UsageError, match=r"is a bundle, .*; 'trainer report --bundle' shows it"):
        load_run(tmp_path / "m.onnx")
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is a study.*report --study"):
        load_run(tmp_path)


# -- what a run knows ----------------------------------------------------------------------------


def test_the_run_of_a_teacher_knows_what_was_kept_back_from_it(photos, tmp_path):
    write_recipe(tmp_path / "teacher.yaml", photos, epochs=1, hold_out=0.5)
    taught = {"hold_out": 0.25, "distill": {"teacher": "teacher.yaml"}}
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1, **taught)
    done = trainer("fit", recipe, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    pupil, teacher = (fed_to(load_run(tmp_path / name)) for name in ("run", "run-teacher"))
    assert teacher.pictures == pupil.pictures
    assert teacher.held_out == pupil.held_out
    assert len(pupil.held_out) == 2


def test_what_a_checkpoint_away_from_its_run_has_learnt_is_told_to_be_unknown(
    run, tmp_path, caplog
):
    recipe = write_recipe(tmp_path / "recipe.yaml", write_photos(tmp_path / "photos"), epochs=1)
    copy = shutil.copy(run / "last.pt", tmp_path / "good.pt")
    out = tmp_path / "heir"
    fitted = trainer("fit", recipe, "--set", f"net.weights={copy}", "--out", out)
    assert fitted.returncode == 0, fitted.stderr
    assert trainer("evaluate", out, "--data", tmp_path / "photos").returncode == 0
    assert f"{copy}: a run's checkpoint away from its folder" in caplog.text


def test_group_mates_and_copies_of_what_is_left_out_are_left_out_too(tmp_path, caplog):
    photos = write_photos(tmp_path / "photos", 12)
    first, *rows = (photos / "index.csv").read_text().split()
    files = [row.split(",")[0] for row in rows]
    views = [f"{row},{'B' if i < 4 else 'A'}" for i, row in enumerate(rows)]
    mate = [*views[6].split(",")[:2], views[0].split(",")[2], "A"]
    shutil.copy(photos / files[1], photos / "copy.png")
    copy = ["copy.png", views[1].split(",")[1], "apart", "A"]
    rows = [*views[:6], ",".join(mate), *views[7:], ",".join(copy)]
    (photos / "index.csv").write_text("\n".join([f"{first},view", *rows]))
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1)
    done = trainer("fit", recipe, "--out", tmp_path / "run", "--leave-out", "view=B")
    assert done.returncode == 0, done.stderr
    assert "7 pictures of 2 classes" in done.stderr
    assert "2 more pictures are left out with view=B: they share a group" in caplog.text
    assert trainer("temper", f"{tmp_path / 'run'}:view=B", "--data", photos).returncode == 0


def test_tempering_leaves_out_what_the_recipe_skips(tmp_path, caplog):
    photos = write_photos(tmp_path / "photos", 12)
    first, *rows = (photos / "index.csv").read_text().split()
    views = [f"{row},{'AB'[i // 6]}" for i, row in enumerate(rows)]
    (photos / "index.csv").write_text("\n".join([f"{first},view", *views, "bad.png,empty,z,B"]))
    (photos / "bad.png").write_bytes(b"no picture")
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1, unreadable="skip")
    fitted = trainer("fit", recipe, "--out", tmp_path / "run", "--leave-out", "view=B")
    assert fitted.returncode == 0, fitted.stderr
    caplog.clear()
    asked = trainer("temper", f"{tmp_path / 'run'}:view=B", "--data", photos, "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["fitted_on"].startswith("FP32 logits of 6 pictures")
    assert "bad.png: left out" in caplog.text


def test_what_a_run_began_with_or_was_taught_by_may_have_seen_what_it_left_out(tmp_path, caplog):
    photos = write_photos(tmp_path / "photos", 24)
    first, *rows = (photos / "index.csv").read_text().split()
    views = [f"{row},{'AB'[i // 12]}" for i, row in enumerate(rows)]
    (photos / "index.csv").write_text("\n".join([f"{first},view", *views]))
    recipe = write_recipe(tmp_path / "recipe.yaml", photos, epochs=1)

    def fitted(name: str, *more: str) -> Path:
        done = trainer("fit", recipe, "--out", tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    whole = fitted("whole")
    heirs = {
        "heir": f"net.weights={whole}",
        "pupil": f"distill={{teacher: {whole}}}",
        "heir of a checkpoint": f"net.weights={whole / 'last.pt'}",
        "grandchild": f"net.weights={tmp_path / 'pupil'}",
        "checkpoint": f"distill={{teacher: {whole / 'last.pt'}}}",
    }
    for name, change in heirs.items():
        run = fitted(name, "--leave-out", "view=B", "--set", change)
        refused = trainer("temper", f"{run}:view=B", "--data", photos)
        assert refused.returncode == 2
        words = f"12 of the pictures show what was {LEARNT}"
        assert words in refused.stderr
        caplog.clear()
        assert trainer("evaluate", run, "--data", photos, "--only", "view=B").returncode == 0
        assert f"12 of the 12 pictures show what was {LEARNT}: they flatter it" in caplog.text
        out = tmp_path / "m.onnx"
        asked = ("--held-out", photos, "--only", "view=B", "--qat", "off", "--json")
        assert json.loads(trainer("export", run, "--out", out, *asked).stdout)["trained_on"] == 12
    alone = fitted("alone", "--leave-out", "view=B")
    assert trainer("temper", f"{alone}:view=B", "--data", photos).returncode == 0

    # Who adds pictures to the folder later still learns that the run has seen the others.
    new = write_photos(tmp_path / "new", 1, seed=7) / "0.png"
    (photos / "index.csv").write_text("\n".join([f"{first},view", *views, f"{new},empty,n,C"]))
    caplog.clear()
    assert trainer("evaluate", whole, "--data", photos).returncode == 0
    assert "25 of the 25 pictures show what was learnt" in caplog.text
    assert "pictures came, went or changed since, and all that are there now count" in caplog.text


def test_a_teacher_whose_pictures_are_gone_is_named(tmp_path, caplog):
    photos = [write_photos(tmp_path / name, 12, seed) for seed, name in enumerate("ab")]
    trained_on = [write_recipe(tmp_path / f"{own.name}.yaml", own, epochs=1) for own in photos]
    teacher, pupil = tmp_path / "teacher", tmp_path / "pupil"
    assert trainer("fit", trained_on[0], "--out", teacher).returncode == 0
    taught = ("--set", f"distill={{teacher: {teacher}}}")
    assert trainer("fit", trained_on[1], "--out", pupil, *taught).returncode == 0
    photos[0].rename(tmp_path / "elsewhere")
    assert trainer("evaluate", pupil, "--data", tmp_path / "elsewhere").returncode == 0
    assert f"{teacher}: what it has learnt from is not known" in caplog.text
    caplog.clear()
    (tmp_path / "elsewhere").rename(photos[0])
    teacher.rename(tmp_path / "moved")
    assert trainer("evaluate", pupil, "--data", photos[0]).returncode == 0
    assert f"{teacher}: what it has learnt from is not known" in caplog.text


def test_runs_that_begin_with_each_other_are_looked_into_once(run, tmp_path):
    both = [Path(shutil.copytree(run, tmp_path / name)) for name in "ab"]
    for own, other in (both, both[::-1]):
        about = json.loads((own / "recipe.json").read_text())
        about["net"]["weights"] = str(other)
        (own / "recipe.json").write_text(json.dumps(about))
    recipe = load_run(both[0]).recipe
    assert len(inherited(recipe)) == 2 * len(fed_to(load_run(run)).pictures)


# -- folders that are no run ----------------------------------------------------------------------


def test_only_one_process_trains_into_a_folder(recipe, tmp_path):
    mixture = open_mixture(recipe)
    with (
        claimed_run(tmp_path / "run", mixture),
        pytest.raises(UnavailableError, match="another process is training there"),
    ):
        trained(recipe, tmp_path / "run")
    trained(recipe, tmp_path / "run")


def test_other_peoples_files_are_not_overwritten(recipe, tmp_path):
    (tmp_path / "recipe.json").write_text("mine")
    with pytest.raises(UsageError, match="holds other things"):
        trained(recipe, tmp_path)
    assert (tmp_path / "recipe.json").read_text() == "mine"


def test_a_file_cannot_be_a_run_folder(recipe, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UnavailableError, match="cannot be the run's folder"):
        trained(recipe, tmp_path / "run")


def test_a_finished_run_takes_no_other_recipe_and_no_other_data(recipe, run, copy, tmp_path):
    with pytest.raises(UsageError, match=r"another recipe \(its lr differs \(0.05, now 0.01\)\)"):
        trained(recipe.model_copy(update={"lr": 0.01}), copy)
    about = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(about | {"recipe": "of another version"}))
    with pytest.raises(UsageError, match="other keys: another version made it"):
        trained(recipe, copy)
    (copy / "run.json").write_text(json.dumps(about))
    _, *others = open_mixture(recipe).photos[0]
    with pytest.raises(UsageError, match="another data"):
        fit(Mixture(recipe, [others]), copy, lambda state, epoch_ends: None)
    assert_the_same(run, copy)


def test_a_stopped_run_goes_on_where_its_pictures_have_moved(photos, run, tmp_path):
    shutil.copytree(photos, tmp_path / "there")
    before, stopped = tiny(tmp_path / "there"), tmp_path / "stopped"

    def stop(state: State, epoch_ends: bool) -> None:
        if state.step == 3:
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        fit(open_mixture(before), stopped, stop, save_every_s=0)
    assert checkpoint(stopped)["step"] in (2, 3)
    (tmp_path / "there").rename(tmp_path / "here")
    trained(tiny(f"{tmp_path}/./here"), stopped)
    first, second = checkpoint(run)["model"], checkpoint(stopped)["model"]
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert len(fed_to(load_run(stopped)).pictures) == 8, "the run knows where they are now"


def test_a_folder_in_which_nothing_was_learnt_yet_takes_any_recipe(recipe, tmp_path):
    with (
        pytest.raises(RuntimeError, match="kill"),
        claimed_run(tmp_path / "run", open_mixture(recipe)),
    ):
        raise RuntimeError("killed before the first checkpoint")
    trained(recipe.model_copy(update={"epochs": 1.0}), tmp_path / "run")
    assert load_run(tmp_path / "run").recipe.epochs == 1


def test_a_damaged_checkpoint_is_told_with_the_way_out(recipe, copy):
    whole = (copy / LAST).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint", whole[:-100] + bytes(100)):
        (copy / LAST).write_bytes(damaged)
        with pytest.raises(UnavailableError, match=r"last\.pt: is damaged or no checkpoint"):
            load_run(copy)
        with pytest.raises(UnavailableError, match="delete it to begin anew, or put best"):
            trained(recipe, copy)
        assert (copy / LAST).read_bytes() == damaged


@pytest.mark.parametrize("name", ["recipe.json", "run.json"])
@pytest.mark.parametrize("content", [None, b"{", b'{"name": "x"}', b"\xff"])
def test_a_damaged_description_is_told(copy, name, content):
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(UnavailableError, match=f"{name}: is missing"):
        load_run(copy)


def test_a_folder_without_a_checkpoint_is_no_run(tmp_path):
    with pytest.raises(UnavailableError, match="no finished run; train it with 'trainer fit'"):
        load_run(tmp_path)
    with pytest.raises(UnavailableError, match="no finished run"):
        load_run(tmp_path / "gone.pt")


def test_fp32_is_the_float_of_32_bits_on_a_gpu_too(photos, tmp_path, monkeypatch):
    """Whatever was trained before in the same process, as the fits of a study are."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    for precision, rounds in (("fp32", False), ("auto", True), ("fp32", False)):
        mixture = open_mixture(tiny(photos, precision=precision))
        prepare(mixture, tmp_path / "none", Workers(0, 1, "cpu"))
        assert torch.backends.cudnn.allow_tf32 is rounds
