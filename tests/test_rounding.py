"""Which way the weights of a bundle are rounded."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
import torch.nn.functional as F
from fitting import write_photos
from onnx import numpy_helper
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from trainer.answering import small_reader, softmax
from trainer.bundle import write_fp32
from trainer.data import read_data
from trainer.net import SlotNet
from trainer.quantize import (
    Target,
    candidates,
    divergence,
    histograms,
    minmax,
    percentile,
    quantize,
)
from trainer.recipe import Net, Recipe
from trainer.rounding import (
    PLACES,
    Layer,
    Moments,
    Window,
    measure,
    round_weights,
    rounded,
    rounded_layer,
)
from trainer.scaling import values_of
from trainer.session import logits_of, open_session

SIZE = 32
RNG = np.random.default_rng


def lost(integers, w, step, covariance):
    """Return how far what a layer says is off, squared, on the mean."""
    wrong = integers * step[:, None] - w
    return np.einsum("fd,de,fe->", wrong, covariance, wrong)


def test_weights_whose_inputs_go_together_make_up_for_each_other():
    w, mixed = RNG(0).normal(size=(8, 70)), RNG(1).normal(size=(5, 70))
    covariance = mixed.T @ mixed + 0.01 * np.eye(70)
    step = np.abs(w).max(axis=1) / 64
    found, nearest = rounded(w, step, covariance, 64), np.round(w / step[:, None])
    assert lost(found, w, step, covariance) < 0.1 * lost(nearest, w, step, covariance)
    assert np.abs(found).max() == 64
    np.testing.assert_array_equal(found, np.round(found))


def test_weights_whose_inputs_have_nothing_in_common_go_to_the_nearest():
    w, step = RNG(0).normal(size=(8, 70)), np.full(8, 0.05)
    variance = np.diag(RNG(1).uniform(0.5, 2, 70))
    np.testing.assert_array_equal(rounded(w, step, variance, 127), np.round(w / 0.05))
    np.testing.assert_array_equal(
        rounded(w, step, np.zeros((70, 70)), 127), np.round(w / 0.05), "what never varies"
    )


def test_activations_whose_squares_are_no_numbers_leave_it_at_the_nearest():
    w, step = RNG(0).normal(size=(2, 3)), np.full(2, 0.05)
    covariance = np.full((3, 3), np.inf)
    np.testing.assert_array_equal(rounded(w, step, covariance, 127), np.round(w / 0.05))


def test_no_weight_leaves_the_range_and_the_others_make_up_for_what_is_cut_off():
    w, step = np.array([[1.3, 0.2]]), np.array([0.01])
    together = np.array([[1.0, 1.0], [1.0, 1.0]])
    found = rounded(w, step, together, 127)
    assert found.max() == 127
    assert found.sum() == pytest.approx(150, abs=1)


@pytest.mark.parametrize(
    ("groups", "strides", "padding"),
    [(1, (1, 1), (0, 0)), (1, (2, 2), (1, 1)), (2, (2, 1), (0, 1)), (6, (1, 2), (2, 0))],
)
def test_what_filters_are_multiplied_with_gives_what_the_convolution_gives(
    groups, strides, padding
):
    x = RNG(0).normal(size=(3, 6, 9, 8)).astype(np.float32)
    w = RNG(1).normal(size=(12, 6 // groups, 3, 2)).astype(np.float32)
    given = F.conv2d(torch.from_numpy(x), torch.from_numpy(w), None, strides, padding, 1, groups)
    filters = w.reshape(groups, 12 // groups, -1)
    window = Window((3, 2), strides, padding * 2)
    met = Layer("x", "w", None, filters, window).met_in(x)
    places = given.shape[2] * given.shape[3]
    some = np.linspace(0, places - 1, min(PLACES, places)).round().astype(int)
    expected = given.flatten(2)[:, :, some].permute(1, 0, 2).reshape(groups, 12 // groups, -1)
    np.testing.assert_allclose(np.einsum("gfd,gnd->gfn", filters, met), expected, atol=1e-4)


def test_moments_are_of_all_that_was_added_and_a_large_mean_drowns_nothing():
    x = RNG(0).normal(scale=[[1.0], [0.01]], loc=[[0.0], [300.0]], size=(500, 2, 1)).swapaxes(0, 1)
    x = np.concatenate([x, 2 * x - x.mean(axis=1, keepdims=True)], axis=2).astype(np.float32)
    moments = Moments(x[:, :7])
    for part in (x[:, :7], x[:, 7:400], x[:, 400:]):
        moments.add(part)
    for group in (0, 1):
        exact = x[group].astype(np.float64)
        np.testing.assert_allclose(moments.mean[group], exact.mean(axis=0), rtol=1e-5, atol=1e-6)
        expected = np.cov(exact.T, bias=True)
        np.testing.assert_allclose(moments.covariance[group], expected, rtol=1e-2)


@pytest.mark.parametrize("last_bit", [False, True])
@pytest.mark.parametrize("part", [2, 24, 98])
def test_what_varies_in_its_last_bit_at_most_leaves_it_at_the_nearest(part, last_bit):
    met = RNG(0).uniform(-3, 3, (1, 1, 32)).astype(np.float32).repeat(part * 64, axis=1)
    if last_bit:  # of all inputs at once: they seem to go together
        met[:, ::2] = np.nextafter(met[:, ::2], np.inf)
    moments = Moments(met)
    for _ in range(200 // part):
        moments.add(met)
    w = RNG(1).normal(size=(1, 8, 32))
    found = rounded_layer(Layer("x", "w", "b", w, None), moments, np.full((1, 8), 0.05), 127)
    np.testing.assert_array_equal(found, np.round(w / 0.05))


@pytest.fixture(scope="module")
def slots(tmp_path_factory):
    """Drawn slots, (n, SIZE, SIZE, 3) RGB."""
    photos = write_photos(tmp_path_factory.mktemp("photos") / "slots", 96)
    read = small_reader(SIZE)
    crops = [read(picture)[:SIZE, :SIZE, ::-1] for picture in read_data(str(photos))]
    return np.stack([np.resize(crop, (SIZE, SIZE, 3)) for crop in crops])


class Grouped(nn.Sequential):
    """A body with groups, and with a convolution that has no bias and gets none."""

    features, parts = 16, ()

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=4), nn.ReLU(),
            nn.Conv2d(16, 16, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(16),
        )  # fmt: skip


@pytest.fixture(scope="module", params=["resnet10", "grouped"])
def net(request, slots, tmp_path_factory):
    """An untrained FP32 graph whose statistics are those of the pictures."""
    torch.manual_seed(0)
    net = SlotNet(Net(arch="resnet10", width=0.25), 8)
    if request.param == "grouped":
        net.body, net.head = Grouped(), nn.Linear(16, 8)
    net.train()
    with torch.no_grad():
        for _ in range(20):
            net(torch.from_numpy(slots))
    path = tmp_path_factory.mktemp("net") / "plain.onnx"
    write_fp32(net.eval(), recipe_of(SIZE), path, slots)
    return path


def recipe_of(size):
    return Recipe.model_validate({"name": "t", "input_size": size, "steps": 1}, strict=False)


def test_a_bundle_is_closer_to_its_net_than_with_each_weight_at_the_nearest(net, slots):
    seen, unseen = slots[:64], slots[64:]
    expected = logits_of(open_session(net.read_bytes()), unseen)
    ours = candidates(net, Target.X86, seen, unseen, expected)[0]
    assert ours.rule == "MinMax", "which clips nothing: only rounding is left"
    nearest = quantize(net, Target.X86, ranges_of(net, seen)[0])
    logits = logits_of(open_session(nearest.SerializeToString()), unseen)
    p, q = (softmax(each.astype(np.float64)) for each in (expected, logits))
    assert ours.kl < 0.8 * divergence(p, q).mean()


def test_the_bias_takes_what_is_left_on_the_mean_and_where_there_is_none_weights_make_up(
    net, slots
):
    graph = quantize(net, Target.X86, ranges_of(net, slots)[0])
    measured, before = measure(net, slots), numbers(graph)
    round_weights([graph], measured, Target.X86.top)
    after = numbers(graph)
    for layer, moments in measured:
        old, new = (off_on_the_mean(layer, moments, known) for known in (before, after))
        if layer.bias is None:
            assert np.square(new).mean() < 0.1 * np.square(old).mean()
        else:
            bias, step = f"{layer.bias}_quantized", after[f"{layer.bias}_quantized_scale"]
            taken = (after[bias] - before[bias]) * step
            np.testing.assert_allclose((taken + new) / step, 0, atol=0.51)
    without = sum(layer.bias is None for layer, _ in measured)
    assert (len(measured), without) in {(4, 1), (13, 0)}


def numbers(graph):
    return {tensor.name: values_of(tensor) for tensor in graph.graph.initializer}


def off_on_the_mean(layer, moments, known):
    """Return how far what the filters say is off (filters,)."""
    integers = known[f"{layer.weight}_quantized"].reshape(layer.filters.shape)
    steps = np.broadcast_to(known[f"{layer.weight}_scale"], integers[..., 0].size)
    wrong = integers * steps.reshape(integers.shape[:2])[..., None] - layer.filters
    return np.einsum("god,gd->go", wrong, moments.mean).ravel()


def test_weights_that_are_whole_steps_stay():
    """Fine-tuning leaves such, and has learnt to live with them."""
    integers = RNG(0).integers(-64, 65, (8, 70)).astype(np.float64)
    integers[:, 3] = 64
    mixed = RNG(1).normal(size=(5, 70))
    weight = (integers * 0.013).astype(np.float32)
    step = (weight.max(axis=1) / 64).astype(np.float64)
    np.testing.assert_array_equal(rounded(weight, step, mixed.T @ mixed, 64), integers)


@pytest.mark.parametrize("target", list(Target))
def test_rounding_keeps_all_but_integers(net, slots, target):
    graphs = [quantize(net, target, ranges) for ranges in ranges_of(net, slots)]
    before = [{t.name: numpy_helper.to_array(t) for t in g.graph.initializer} for g in graphs]
    nodes = [nodes_of(graph) for graph in graphs]
    round_weights(graphs, measure(net, slots), target.top)
    for graph, old, same in zip(graphs, before, nodes, strict=True):
        assert nodes_of(graph) == same
        changed = set()
        for tensor in graph.graph.initializer:
            now, then = numpy_helper.to_array(tensor), old[tensor.name]
            assert (now.dtype, now.shape) == (then.dtype, then.shape)
            if not np.array_equal(now, then):
                changed.add(tensor.name)
        assert changed
        assert all(name.endswith("_quantized") for name in changed)


def test_what_a_convolution_meets_has_the_border_of_a_bundle(net, slots):
    """Pictures in the border's own colour are the same everywhere."""
    mean = np.array([0.485, 0.456, 0.406]) * 255  # of ImageNet
    images = np.broadcast_to(mean.round().astype(np.uint8), slots[:4].shape)
    first = measure(net, images)[0].moments
    variance = np.diagonal(first.covariance, axis1=1, axis2=2)
    assert variance.max() < 1e-6


@pytest.mark.parametrize(("much", "most"), [(np.nan, None), (np.inf, None), (1e30, 2**31 - 1)])
def test_a_mean_that_32_bits_do_not_hold_leaves_the_bias_or_its_sign(net, slots, much, most):
    graph = quantize(net, Target.X86, ranges_of(net, slots)[0])
    measured, before = measure(net, slots), numbers(graph)
    for _, moments in measured:
        moments.once = np.full_like(moments.once, much, dtype=np.float64)
    round_weights([graph], measured, Target.X86.top)
    after = numbers(graph)
    for layer, moments in measured:
        if layer.bias is None:
            continue
        bias, off = f"{layer.bias}_quantized", off_on_the_mean(layer, moments, after)
        if most is None:
            np.testing.assert_array_equal(after[bias], before[bias])
        else:
            assert (np.sign(after[bias]) == -np.sign(off)).all()
            assert np.abs(after[bias]).min() >= most


def nodes_of(graph):
    return [node.SerializeToString() for node in graph.graph.node]


def test_equal_weights_are_rounded_each_by_what_its_own_layer_meets(slots, tmp_path):
    """The exporter writes equal ones once."""
    torch.manual_seed(0)
    net = SlotNet(Net(arch="resnet10", width=0.25), 8)
    net.body, net.head = Grouped(), nn.Linear(16, 8)
    net.body.insert(5, nn.ReLU())
    net.body.insert(5, nn.Conv2d(16, 16, 3, groups=4))
    with torch.no_grad():
        net.body[5].weight[:] = net.body[2].weight
        for number in (2, 5):
            net.body[number].bias[:] = 0.1
    write_fp32(net.eval(), recipe_of(SIZE), tmp_path / "equal.onnx", slots)
    graph = quantize(
        tmp_path / "equal.onnx", Target.X86, ranges_of(tmp_path / "equal.onnx", slots)[0]
    )
    measured, before = measure(tmp_path / "equal.onnx", slots), numbers(graph)
    round_weights([graph], measured, Target.X86.top)
    after = numbers(graph)
    assert len({layer.weight for layer, _ in measured}) == len(measured) == 5
    biases = [f"{layer.bias}_quantized" for layer, _ in measured if layer.bias]
    assert len(set(biases)) == 4
    assert all((after[bias] != before[bias]).any() for bias in biases)


def test_sums_are_of_one_thread_for_of_several_they_and_the_file_are_others(
    net, slots, monkeypatch
):
    """Large nets show it, at length."""
    expected, pools = logits_of(open_session(net.read_bytes()), slots), []
    monkeypatch.setattr(
        "trainer.quantize.round_weights", lambda *_: pools.extend(threadpool_info())
    )
    with threadpool_limits(2):
        candidates(net, Target.X86, slots, slots, expected)
    assert {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"} == {1}


def ranges_of(net, slots):
    seen = histograms(net, slots)
    return [{name: rule(each) for name, each in seen.items()} for rule in (minmax, percentile)]
