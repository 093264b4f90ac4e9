"""Each trick by numbers that can be checked by hand. Sections are those of arXiv:1812.01187."""

from __future__ import annotations

import copy
import logging
import math
import re
from collections import Counter

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
from conftest import REPOSITORY
from fitting import tiny, trained, trainer, write_photos, write_recipe
from pydantic import ValidationError
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torchvision.models.resnet import BasicBlock

from edge.classifier import Temperature, open_classifier
from edge.errors import ConfigError
from edge.preprocess import to_batch
from trainer import train, tricks
from trainer.answering import logits_behind, tempered
from trainer.checkpoint import LAST
from trainer.mixture import Mixture, batches, open_mixture
from trainer.net import SlotNet
from trainer.recipe import Net, Recipe
from trainer.runs import load_run
from trainer.teacher import open_teacher, teacher_recipe
from trainer.train import chance_of, descend, prepare, say_once
from trainer.tricks import (
    half_precision,
    loss_of,
    lr_at,
    make_optimizer,
    mixed,
    resized,
    running_mean,
    smoothed,
)
from trainer.workers import Workers

SHIPPED = REPOSITORY / "edge" / "models" / "slots.onnx"


def recipe(**changes) -> Recipe:
    about = {"name": "t", "classes": ("a", "b", "c", "d"), "input_size": 32, "steps": 100}
    return Recipe.model_validate(about | {"lr": 0.1} | changes, strict=False)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    trained(tiny(photos, epochs=2), folder)
    return folder


# -- § 3.1 and § 5.1: the learning rate -----------------------------------------------------------


def rates(*steps: int, **changes) -> list[float]:
    return [lr_at(step, 100, recipe(schedule="constant", **changes)) for step in steps]


def test_the_learning_rate_grows_with_the_batch():
    assert rates(0, lr=0.1, batch=64, linear_scaling=True) == pytest.approx([0.025])
    assert rates(0, lr=0.1, batch=1024, linear_scaling=True) == pytest.approx([0.4])
    assert rates(0, lr=0.1, batch=64) == [0.1]


def test_warming_up_is_a_straight_line_to_the_height():
    assert rates(0, 1, 4, 5, 99, warmup=0.05) == pytest.approx([0.02, 0.04, 0.1, 0.1, 0.1])


def test_a_cosine_goes_from_the_height_to_nothing():
    half = math.sqrt(2) / 2
    curve = [lr_at(step, 100, recipe()) for step in (0, 25, 50, 75)]
    assert curve == pytest.approx([0.1, 0.05 * (1 + half), 0.05, 0.05 * (1 - half)])
    assert 0 < lr_at(99, 100, recipe()) < 3e-5


def test_after_warming_up_the_cosine_has_the_rest_of_the_steps():
    warm = recipe(warmup=0.2)
    assert [lr_at(step, 100, warm) for step in (19, 20, 60)] == pytest.approx([0.1, 0.1, 0.05])


def test_steps_fall_to_a_tenth_at_half_and_again_at_three_quarters():
    stepped = recipe(schedule="steps", warmup=0.05)
    found = [lr_at(step, 100, stepped) for step in (49, 50, 74, 75, 99)]
    assert found == pytest.approx([0.1, 0.01, 0.01, 0.001, 0.001])


# -- § 3.1: what begins as nothing, and what does not decay ---------------------------------------


def test_with_zero_gamma_a_residual_block_begins_as_the_identity():
    net = SlotNet(Net(arch="resnet18", width=0.125), 2, zero_gamma=True).eval()
    x = torch.rand(2, net.body.layer1[0].conv1.in_channels, 8, 8)
    assert torch.equal(net.body.layer1(x), x)
    usual = SlotNet(Net(arch="resnet18", width=0.125), 2).eval()
    assert not torch.equal(usual.body.layer1(x), x)


@pytest.mark.parametrize(("no_bias_decay", "left"), [(True, 1.0), (False, 0.999)])
def test_weights_decay_and_what_has_one_dimension_does_not(no_bias_decay, left):
    net = SlotNet(Net(arch="resnet18", width=0.125, d=True), 2)
    nn.init.ones_(net.head[-1].bias)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.ones_(norm.bias)
    before = copy.deepcopy(net)
    decays = recipe(weight_decay=0.01, momentum=0, no_bias_decay=no_bias_decay)
    optimizer = make_optimizer(net, decays)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for was, now in zip(before.parameters(), net.parameters(), strict=True):
        factor = 1 - 0.1 * 0.01 if was.ndim > 1 else left
        torch.testing.assert_close(now, factor * was)


def test_momentum_looks_ahead_as_nesterov_does():
    """Two steps of gradient 1: lr · (1 + 0.9), then the velocity is 1.9, so lr · (1 + 1.71)."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    optimizer = make_optimizer(net, recipe(weight_decay=0, momentum=0.9))
    net.weight.grad = torch.ones(1, 1)
    optimizer.step()
    assert net.weight.item() == pytest.approx(1 - 0.19)
    optimizer.step()
    assert net.weight.item() == pytest.approx(1 - 0.19 - 0.271)


def test_a_first_step_that_the_scaler_skips_leaves_no_trace():
    """Sixteen bits overflow at first, as the scaler means it to be."""
    moved = {}
    for losses in ((1.0,), (math.inf, 1.0)):
        net = nn.Linear(64, 64)
        nn.init.ones_(net.weight)
        optimizer = make_optimizer(net, recipe(weight_decay=0))
        assert not optimizer.state[net.weight]["momentum_buffer"].any()
        scaler = torch.amp.GradScaler("cpu")
        for loss in losses:
            optimizer.zero_grad()
            scaler.scale(loss * net.weight.mean()).backward()
            scaler.step(optimizer)
            scaler.update()
        moved[losses] = net.weight.detach()
    torch.testing.assert_close(*moved.values())
    assert not torch.equal(net.weight, torch.ones(64, 64))


def test_rmsprop_is_the_one_of_the_study():
    """Two steps of gradient 1, as Keras takes them: 0.1, then 0.19 is the mean of squares."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    optimizer = make_optimizer(net, recipe(optimizer="rmsprop", weight_decay=0, momentum=0))
    for mean in (0.1, 0.19):
        before = net.weight.item()
        net.weight.grad = torch.ones(1, 1)
        optimizer.step()
        assert before - net.weight.item() == pytest.approx(0.1 / mean**0.5, rel=1e-5)
    assert optimizer.defaults["eps"] == 1e-7


# -- § 3.2: precision -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : sse avx2 avx512f avx512_bf16 vnni", torch.bfloat16),
        ("flags : avx512f amx_bf16 amx_tile", torch.bfloat16),
        ("Features : fp asimd i8mm bf16", torch.bfloat16),
        ("flags : sse avx2 avx512f avx512_vnni", None),
    ],
)
def test_half_precision_is_for_processors_that_are_faster_with_it(
    flags, expected, tmp_path, monkeypatch
):
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(tricks, "CPU_FLAGS", tmp_path / "cpuinfo")
    assert half_precision(recipe(), "cpu") is expected
    assert half_precision(recipe(precision="bf16"), "cpu") is torch.bfloat16
    assert half_precision(recipe(precision="fp32"), "cpu") is None
    assert half_precision(recipe().model_copy(update={"optimizer": "logistic"}), "cpu") is None, (
        "solved with all digits"
    )


def test_a_gpu_that_only_emulates_bfloat16_takes_the_other_half(monkeypatch):
    def emulated(including_emulation: bool = True) -> bool:
        return including_emulation  # as torch answers of a T4

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", emulated)
    assert half_precision(recipe(), "cuda") is torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert half_precision(recipe(), "cuda") is torch.bfloat16


def test_without_such_a_processor_one_line_says_so(photos, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tricks, "CPU_FLAGS", tmp_path / "none")
    say_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        for name in "ab":
            trained(tiny(photos, epochs=1, precision="auto"), tmp_path / name)
    assert [record.message for record in caplog.records] == [
        "this processor does not multiply bfloat16: training in fp32"
    ]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_to_nearly_the_same_loss(photos, tmp_path, precision):
    losses = {}
    for each in ("fp32", precision):
        trained(tiny(photos, epochs=3, precision=each), tmp_path / each)
        losses[each] = [row.loss for row in load_run(tmp_path / each).curve]
    assert losses[precision] != losses["fp32"]
    assert losses[precision] == pytest.approx(losses["fp32"], abs=0.05)


# -- § 5.2: label smoothing -----------------------------------------------------------------------


def test_smoothing_takes_a_little_of_the_true_class_and_gives_all_the_same():
    targets = smoothed(torch.tensor([2]), 4, recipe(label_smoothing=0.1))
    torch.testing.assert_close(targets, torch.tensor([[0.025, 0.025, 0.925, 0.025]]))


def test_the_loss_with_soft_targets_is_torchs_own():
    torch.manual_seed(0)
    logits, labels = torch.randn(16, 4), torch.randint(4, (16,))
    ours = recipe(label_smoothing=0.1)
    loss = loss_of(logits, smoothed(labels, 4, ours), logits, ours, None)
    theirs = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-6)


# -- § 5.4: mixup, and cutmix ---------------------------------------------------------------------


def telling(n: int = 6, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose first three channels say how much of classes a, b and c is in each pixel."""
    labels = torch.arange(n) % 3
    images = torch.zeros(n, side, side, 3, dtype=torch.uint8)
    images[torch.arange(n), ..., labels] = 255
    return images, smoothed(labels, 4, recipe())


def test_mixup_mixes_pictures_as_it_mixes_targets():
    images, targets = telling()
    x, soft = mixed(images, targets, recipe(mixup=0.2), chance())
    torch.testing.assert_close(x.mean(dim=(1, 2)) / 255, soft[:, :3])
    torch.testing.assert_close(x[:, 0, 0] / 255, soft[:, :3])
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(6))
    assert not torch.equal(soft, targets)


def test_mixups_share_is_drawn_from_a_beta_distribution():
    """Beta(0.2, 0.2) has mean 1/2 and variance 1 / (4 · (2 · 0.2 + 1)) = 0.1786."""
    one, other = torch.zeros(2, 1, 1, 3), torch.eye(2)
    rng, mixing = chance(), recipe(mixup=0.2)
    shares = np.array([mixed(one, other, mixing, rng)[1][0, 0].item() for _ in range(3000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(0.1786, abs=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_gives_the_partner_the_share_of_its_area(seed):
    images, targets = telling()
    x, soft = mixed(images, targets, recipe(cutmix=1), chance(seed))
    assert set(x.unique().tolist()) <= {0, 255}  # whole pixels of one or the other
    torch.testing.assert_close(x.float().mean(dim=(1, 2)) / 255, soft[:, :3])
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(6))
    assert (images == telling()[0]).all()  # what was handed in is left alone


def test_with_both_on_either_is_taken_half_of_the_time():
    images, targets = telling()
    both, rng = recipe(mixup=1, cutmix=1), chance()
    whole = [set(mixed(images, targets, both, rng)[0].unique().tolist()) <= {0, 255}
             for _ in range(400)]  # fmt: skip
    assert 150 < sum(whole) < 250


def test_without_either_the_pictures_stay_as_they_are():
    images, targets = telling()
    x, soft = mixed(images, targets, recipe(), chance())
    assert x is images
    assert soft is targets


# -- § 5.3: distillation --------------------------------------------------------------------------


def taught(temperature: float, weight: float = 1.0) -> Recipe:
    return recipe(distill={"teacher": "x", "temperature": temperature, "weight": weight})


def test_the_teachers_part_is_cross_entropy_at_a_temperature_times_its_square():
    """Student (0, 2 ln 3) at T = 2: ¼, ¾. Teacher (2 ln 3, 0) at T = 2: ¾, ¼."""
    logits = torch.tensor([[0.0, 2 * math.log(3)]])
    teacher = logits.flip(1)
    hard = -math.log(9 / 10)  # at T = 1 the student gives the second class 9/10
    soft = -(0.75 * math.log(0.25) + 0.25 * math.log(0.75))
    targets = torch.tensor([[0.0, 1.0]])
    loss = loss_of(logits, targets, logits, taught(2, weight=0.5), lambda images: teacher)
    assert loss.item() == pytest.approx(hard + 0.5 * 4 * soft, rel=1e-6)


def test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it():
    targets = torch.full((1, 3), 1 / 3)
    known = torch.tensor([[0.3, -1.2, 2.0]])

    def gradient(logits: torch.Tensor) -> torch.Tensor:
        student = logits.clone().requires_grad_()
        hard = loss_of(student, targets, student, recipe(), None)
        whole = loss_of(student, targets, student, taught(4), lambda images: known)
        (found,) = torch.autograd.grad(whole - hard, student)
        return found

    torch.testing.assert_close(gradient(known), torch.zeros(1, 3), atol=1e-6, rtol=0)
    assert gradient(known + torch.tensor([[1.0, 0, 0]])).abs().max() > 0.1


def test_at_high_temperatures_the_square_keeps_the_gradients_size():
    known, student = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2, requires_grad=True)
    sizes = []
    for temperature in (20, 200):
        loss = loss_of(
            student, torch.full((1, 2), 0.5), student, taught(temperature), lambda x: known
        )
        sizes.append(torch.autograd.grad(loss, student)[0].abs().max().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
    assert sizes[0] == pytest.approx(0.25, rel=0.01)  # T² · (½ + 1/4T - ½) / T


def test_a_run_teaches_with_its_logits(photos, run):
    student = tiny(photos, distill={"teacher": str(run)})
    images = torch.randint(256, (3, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = load_run(run).net(images)
    torch.testing.assert_close(open_teacher(student, "cpu")(images), expected)


def test_several_teachers_say_the_mean_of_their_logits(photos, run):
    images = torch.randint(256, (3, 32, 32, 3), dtype=torch.uint8)
    alone = [
        open_teacher(tiny(photos, distill={"teacher": one}), "cpu")(images)
        for one in (str(run), str(SHIPPED))
    ]
    both = tiny(photos, distill={"teacher": [str(run), str(SHIPPED)]})
    torch.testing.assert_close(open_teacher(both, "cpu")(images), (alone[0] + alone[1]) / 2)


def test_a_teacher_is_asked_at_its_own_size(photos, run):
    student = tiny(photos, distill={"teacher": str(run)})
    flat = torch.full((1, 48, 48, 3), 77, dtype=torch.uint8)
    ask = open_teacher(student, "cpu")
    torch.testing.assert_close(ask(flat), ask(flat[:, :32, :32]))


def test_a_teacher_may_be_shown_sharper_pictures_than_its_pupil(photos, run, tmp_path):
    shown: dict[str, set[int]] = {"pupil": set(), "teacher": set()}

    def note(net, given):
        if isinstance(net, SlotNet):
            shown["pupil" if net.training else "teacher"].add(given[0].shape[1])

    student = tiny(photos, epochs=1, distill={"teacher": str(run), "size": 64})
    with register_module_forward_pre_hook(note):
        trained(student, tmp_path / "student")
    assert shown == {"pupil": {32}, "teacher": {64}}
    ((images, _),) = batches(open_mixture(student), 0, 1)
    assert images.shape[1] == 64, "made small and enlarged: no sharper"


def test_what_a_pupil_is_shown_was_made_smaller_by_the_daemons_rule():
    crop = chance().integers(0, 256, (96, 96, 3), dtype=np.uint8)
    (large,), (small,) = to_batch([crop], 96), to_batch([crop], 32)
    shown = resized(torch.from_numpy(large)[None], 32)[0].numpy()
    assert abs(shown - small).max() <= 0.5 + 1e-3  # bytes were rounded


def test_a_bundle_teaches_with_what_its_probabilities_came_from(photos):
    student = tiny(photos, distill={"teacher": str(SHIPPED)})
    bundle = open_classifier(SHIPPED)
    size, temperature = bundle.info.input_size, bundle.info.temperature
    assert temperature.shift != 0
    images = torch.randint(256, (3, size, size, 3), dtype=torch.uint8)
    logits = open_teacher(student, "cpu")(images).numpy()
    expected = bundle.probabilities_of(images.numpy())
    again = tempered(logits, temperature, bundle.info.classes)
    np.testing.assert_allclose(again, expected, atol=1e-6)


def test_a_bundles_own_shift_is_no_part_of_what_it_teaches():
    said = np.array([[1.5, -1.5], [-0.5, 0.5]], np.float32)
    own = Temperature(value=1.5, shift=0.8, fitted_on="a test")
    classes = ("empty", "stocked")
    behind = logits_behind(tempered(said, own, classes), own, classes)
    np.testing.assert_allclose(np.diff(behind), np.diff(said), atol=1e-5)


def test_a_teacher_must_know_the_same_classes(photos, run):
    student = tiny(photos, classes=["empty", "full"], distill={"teacher": str(run)})
    with pytest.raises(ConfigError, match="knows other classes: full"):
        open_teacher(student, "cpu")


def test_a_size_that_does_not_suit_the_teacher_is_refused(photos, tmp_path):
    net = {"arch": "resnet10", "width": 0.125, "blocks": [1, 1], "d": True}
    trained(tiny(photos, epochs=1, net=net), tmp_path / "run")
    taught = tiny(photos, distill={"teacher": str(tmp_path / "run"), "size": 36})
    with pytest.raises(ConfigError, match=r"distill\.size: 36 .*run: .* a multiple of 8"):
        trained(taught, tmp_path / "pupil")
    small = tiny(photos, distill={"teacher": str(tmp_path / "run"), "size": 8})
    with pytest.raises(ConfigError, match=r"distill\.size: 8 .* needs 16 pixels"):
        open_teacher(small, "cpu")


@pytest.mark.parametrize(
    ("about", "of_teacher", "size", "words"),
    [
        ({"train_sizes": [[0, 36]]}, {}, None, r"error: train_sizes: 36; .* a multiple of 8"),
        ({}, {"train_sizes": [[0, 36]]}, None, r"better\.yaml: train_sizes: 36; .* multiple of 8"),
        ({}, {}, 36, r"distill\.size: 36 .*better\.yaml: .* a multiple of 8"),
    ],
)
def test_what_only_the_pupil_would_stumble_over_is_told_before_its_teacher_is_trained(
    photos, tmp_path, about, of_teacher, size, words
):
    net = {"arch": "resnet10", "width": 0.125, "blocks": [1, 1], "d": True}
    write_recipe(tmp_path / "better.yaml", photos, net=net, **of_teacher)
    distill = {"teacher": "better.yaml", "size": size}
    pupil = write_recipe(tmp_path / "pupil.yaml", photos, net=net, distill=distill, **about)
    for command in ("fit", "kfold"):
        result = trainer(command, pupil, "--out", tmp_path / command)
        assert result.returncode == 78
        assert re.search(words, result.stderr)
    assert not list(tmp_path.rglob("last.pt"))


def test_a_pupil_may_begin_with_its_teachers_body(photos, run, tmp_path):
    still = tiny(photos, epochs=1, lr=1e-12, distill={"teacher": str(run), "body": True})
    trained(still, tmp_path / "pupil")
    pupil, teacher = (
        dict(load_run(one).net.named_parameters()) for one in (tmp_path / "pupil", run)
    )
    torch.testing.assert_close(pupil["body.conv1.weight"], teacher["body.conv1.weight"])
    assert not torch.equal(pupil["head.1.weight"], teacher["head.1.weight"])


def test_what_is_no_body_to_begin_with_is_refused(photos, tmp_path):
    bundle = tiny(photos, distill={"teacher": str(SHIPPED), "body": True})
    with pytest.raises(ConfigError, match=r"distill\.body: .*: no run; only a run has a body"):
        trained(bundle, tmp_path / "run")
    with pytest.raises(ValidationError, match=r"either with net\.weights or with distill\.body"):
        tiny(photos, net={"weights": "w.pt"}, distill={"teacher": str(SHIPPED), "body": True})


def test_another_net_than_the_teachers_is_told_before_that_is_trained(photos, tmp_path):
    write_recipe(tmp_path / "better.yaml", photos, net={"arch": "resnet10", "width": 0.25})
    distill = {"teacher": "better.yaml", "body": True}
    pupil = write_recipe(tmp_path / "pupil.yaml", photos, distill=distill)
    result = trainer("fit", pupil, "--out", tmp_path / "fit")
    assert result.returncode == 78
    assert re.search(r"distill\.body: .*better\.yaml: weights of another net: ", result.stderr)
    deep = {"net": {"arch": "resnet10", "width": 0.125, "c": True}}
    write_recipe(tmp_path / "better.yaml", photos, **deep)
    pupil = write_recipe(tmp_path / "deep.yaml", photos, **deep, distill=distill)
    rows = ("--rows", "full-net.c", "--folds", 2, "--repeats", 1)
    result = trainer("ablate", pupil, "--out", tmp_path / "ablate", *rows)
    assert "distill.body: " in result.stderr, "the row's net is another one"
    assert not list(tmp_path.rglob("last.pt"))


def test_a_pupil_of_whom_each_process_sees_one_picture_is_refused_before_its_teacher(
    photos, tmp_path, monkeypatch
):
    net = {"arch": "resnet10", "width": 0.125}
    write_recipe(tmp_path / "better.yaml", photos, net=net)
    pupil = tiny(photos, net=net, batch=2, distill={"teacher": "better.yaml"})
    assert teacher_recipe(pupil, tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="batch: one picture of 32 pixels"):
        teacher_recipe(pupil, tmp_path)


def test_teachers_that_cannot_teach_are_named(photos, run, tmp_path):
    lost = tiny(photos, distill={"teacher": [str(run), "nowhere"]})
    with pytest.raises(ConfigError, match=r"distill\.teacher: nowhere: no such run or bundle"):
        open_teacher(lost, "cpu")
    begun = tiny(photos, distill={"teacher": "nowhere", "body": True})
    with pytest.raises(ConfigError, match=r"distill\.teacher: nowhere: no such run or bundle"):
        trained(begun, tmp_path / "run")
    mixture = tiny(photos, distill={"teacher": [str(run), "teacher.yaml"]})
    with pytest.raises(ConfigError, match=r"teacher\.yaml: a recipe is the only teacher"):
        teacher_recipe(mixture, tmp_path)


def test_a_student_learns_what_its_teacher_says_and_not_the_labels(photos, run, tmp_path):
    student = tiny(photos, distill={"teacher": str(run), "weight": 5, "temperature": 2})
    trained(student, tmp_path / "taught")
    trained(tiny(photos), tmp_path / "untaught")
    images, _ = next(batches(open_mixture(student), 0, 1))
    with torch.no_grad():
        said = {
            folder: load_run(folder).net(torch.from_numpy(images)).softmax(dim=1)
            for folder in (run, tmp_path / "taught", tmp_path / "untaught")
        }
    assert abs(said[tmp_path / "taught"] - said[run]).mean() < 0.5 * (
        abs(said[tmp_path / "untaught"] - said[run]).mean()
    )


# -- what came after ------------------------------------------------------------------------------


def means(values: list[float], window: float) -> list[float]:
    """What a running mean makes of a weight that takes these values, step by step."""
    net = SlotNet(Net(arch="resnet10", width=0.125, blocks=(1,)), 2)
    average = running_mean(net, window)
    found = []
    for value in values:
        nn.init.constant_(net.head[-1].bias, value)
        nn.init.constant_(net.body.bn1.running_mean, value)
        average.update_parameters(net)
        kept = average.module.head[-1].bias[0].item()
        assert average.module.body.bn1.running_mean[0].item() == pytest.approx(kept)
        found.append(kept)
    return found


def test_the_mean_of_weights_and_statistics_counts_later_ones_more():
    """Over two steps each counts half of the next: (1, 2) by ⅓ and ⅔, (1, 2, 3) by 1, 2, 4 / 7."""
    assert means([1, 2, 3], window=2) == pytest.approx([1, 5 / 3, 17 / 7])


def test_without_a_window_the_mean_is_the_last():
    assert means([1, 2, 3], window=0) == [1, 2, 3]


def test_a_short_trainings_mean_is_not_its_beginning():
    """A window as long as the training: the first of 50 steps counts less than the others."""
    (*_, last) = means([1.0] + 49 * [0.0], window=50)
    assert last < 1 / 50


def shared_with_the_mean(net: SlotNet, window: float) -> list[bool]:
    """Which weights are the very same tensors in the net and in the mean that follows it."""
    average = running_mean(net, window)
    pairs = zip(net.parameters(), average.module.parameters(), strict=True)
    return [mine.data_ptr() == theirs.data_ptr() for mine, theirs in pairs]


def test_frozen_weights_are_not_kept_twice():
    net = SlotNet(Net(arch="resnet10", width=0.125, freeze=2), 2)
    same = shared_with_the_mean(net, 10)
    trained_too = [parameter.requires_grad for parameter in net.parameters()]
    assert same == [not trains for trains in trained_too]
    assert any(same)
    assert not all(same)


def test_without_a_window_no_weight_is_kept_twice():
    assert all(shared_with_the_mean(SlotNet(Net(arch="resnet10", width=0.125), 2), 0))


def test_pictures_grow_in_the_course_of_training(photos):
    growing = tiny(photos, steps=10, epochs=None, train_sizes=[[0, 16], [0.5, 32], [0.8, 48]])
    sides = [images.shape[1] for images, _ in batches(open_mixture(growing), 0, 10)]
    assert sides == [16] * 5 + [32] * 3 + [48] * 2


def test_a_net_can_be_tested_at_a_larger_size_than_it_was_trained_at(tmp_path):
    lines = ["file,label,group"]
    for i in range(16):  # plain or with coarse stripes, of any brightness: no net is too small
        picture = np.full((64, 64, 3), 40 + 10 * i, np.uint8)
        if i % 2:
            picture[:, np.arange(64) % 16 < 8] //= 4
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        lines.append(f"{i}.png,{'stocked' if i % 2 else 'empty'},g{i}")
    (tmp_path / "index.csv").write_text("\n".join(lines))
    larger = tiny(
        tmp_path, train_sizes=[[0, 32]], input_size=48, held_out=[{"data": str(tmp_path)}]
    )
    sides = set()

    def note(net: nn.Module, images: tuple[torch.Tensor]) -> None:
        if isinstance(net, SlotNet):
            sides.add((net.training, images[0].shape[1]))

    with register_module_forward_pre_hook(note):
        trained(larger, tmp_path / "run")
    assert sides == {(True, 32), (False, 48)}
    assert load_run(tmp_path / "run").curve[-1].held_out >= 0.9


def test_rare_classes_are_seen_as_often_as_others_where_the_recipe_says_so(photos):
    (pictures,) = open_mixture(tiny(photos)).photos
    few = [p for p in pictures if p.label == "stocked"] + [
        p for p in pictures if p.label == "empty"
    ][:1]
    seen = {}
    for balanced in (True, False):
        mixture = Mixture(tiny(photos, balanced=balanced, augment="none"), [few])
        labels = np.concatenate([labels for _, labels in batches(mixture, 0, 50)])
        seen[balanced] = Counter(labels.tolist())
    assert seen[True][0] == pytest.approx(100, abs=30)  # of 200; ± 3 sigma would be 21
    assert seen[False][0] == 40


def test_the_order_of_channels_in_memory_changes_nothing_but_speed(photos, tmp_path):
    weights = []
    for last in (True, False):
        orders = set()

        def note(module: nn.Module, given: tuple, orders: set = orders) -> None:
            if isinstance(module, nn.Conv2d) and module.training:
                orders.add(given[0].is_contiguous(memory_format=torch.channels_last))

        with register_module_forward_pre_hook(note):
            trained(tiny(photos, epochs=3, channels_last=last), tmp_path / str(last))
        assert orders == {last}
        weights.append(load_run(tmp_path / str(last)).net.state_dict())
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], atol=1e-4, rtol=1e-3)


# -- all of them, in a training -------------------------------------------------------------------


ALONE = Workers(0, 1, "cpu")


def test_a_training_shows_what_its_recipe_mixes_and_asks_for_what_it_smooths(
    photos, tmp_path, monkeypatch
):
    seen = []

    def note(logits, targets, images, *others):
        seen.append((images, targets))
        return loss_of(logits, targets, images, *others)

    monkeypatch.setattr(train, "loss_of", note)
    varied = tiny(photos, mixup=0.5, cutmix=0.5, label_smoothing=0.1, epochs=4)
    mixture = trained(varied, tmp_path / "run")
    for step, (pictures, labels) in enumerate(batches(mixture, 0, mixture.steps)):
        targets = smoothed(torch.from_numpy(labels), 2, varied)
        rng = chance_of(step, varied, ALONE)
        expected = mixed(torch.from_numpy(pictures), targets, varied, rng)
        for mine, meant in zip(seen[step], expected, strict=True):
            torch.testing.assert_close(mine.float(), meant.float())
    assert len(seen) == mixture.steps


def test_in_a_training_every_weight_has_the_learning_rate_of_its_step(
    photos, tmp_path, monkeypatch
):
    rates = []

    def note(loss, state, of):
        rates.append([group["lr"] for group in state.optimizer.param_groups])
        descend(loss, state, of)

    monkeypatch.setattr(train, "descend", note)
    rising = tiny(photos, epochs=5, warmup=0.3)
    steps = trained(rising, tmp_path / "run").steps
    expected = [lr_at(step, steps, rising) for step in range(steps)]
    assert [rate[0] for rate in rates] == expected
    assert all(len(rate) == 2 and len(set(rate)) == 1 for rate in rates)


def test_a_training_begins_with_the_gammas_that_its_recipe_says(photos, tmp_path):
    for zero in (True, False):
        about = tiny(photos, zero_gamma=zero)
        net = prepare(open_mixture(about), tmp_path / "none", ALONE).model
        gammas = [block.bn2.weight for block in net.modules() if isinstance(block, BasicBlock)]
        assert gammas
        assert all(bool((gamma == 0).all()) == zero for gamma in gammas)


@pytest.mark.parametrize(("settle", "pictures"), [(0, 0), (3, 4), (12, 12)])
def test_a_training_takes_statistics_anew_over_as_many_pictures_as_its_recipe_says(
    photos, tmp_path, monkeypatch, settle, pictures
):
    shown = []
    features = SlotNet.features
    monkeypatch.setattr(
        SlotNet, "features", lambda net, x: shown.append(len(x)) or features(net, x)
    )
    net = {"arch": "resnet10", "width": 0.125, "blocks": [1, 1], "settle": settle}
    about = tiny(photos, net=net, epochs=None, steps=1)  # fewer steps than that takes
    state = prepare(open_mixture(about), tmp_path / "none", ALONE)
    assert sum(shown) == pictures
    moved = state.model.body.bn1.running_mean.any().item()
    assert moved == (settle > 0)


def test_a_training_keeps_the_mean_over_the_share_of_steps_that_its_recipe_says(
    photos, tmp_path, monkeypatch
):
    windows = []

    def note(model, window):
        windows.append(window)
        return running_mean(model, window)

    monkeypatch.setattr(train, "running_mean", note)
    prepare(open_mixture(tiny(photos, ema=0.25)), tmp_path / "none", ALONE)  # 40 steps
    assert windows == [10]


@pytest.mark.parametrize(("precision", "scales"), [("fp16", True), ("bf16", False)])
def test_in_16_bits_of_the_older_kind_the_scale_of_gradients_is_kept_and_gone_on_with(
    photos, tmp_path, precision, scales
):
    about = tiny(photos, epochs=2, precision=precision)
    assert prepare(open_mixture(about), tmp_path / "none", ALONE).scaler.is_enabled() == scales
    trained(about, tmp_path / "run")
    saved = torch.load(tmp_path / "run" / LAST, weights_only=True)["scaler"]
    assert bool(saved) == scales
    if scales:
        saved["scale"] = 8.0  # as if it had found that by trying
        state = prepare(open_mixture(about), tmp_path / "none", ALONE)
        state.restore(state.saved() | {"scaler": saved})
        assert state.scaler.get_scale() == 8


def test_processes_drop_other_features_and_mix_the_same_pictures():
    about = recipe()
    draws = []
    for rank in (0, 1):
        shares = chance_of(3, about, Workers(rank, 2, "cpu")).random(4).tolist()
        draws.append((shares, torch.rand(4).tolist()))
    (first, mask), (second, other) = draws
    assert first == second
    assert mask != other
