"""The nets: the paper's counts, torchvision's weights, and what does not fit together."""

from __future__ import annotations

import copy
import socket
import time
import urllib.request

import cv2
import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

import torch
from conftest import require_data
from fitting import tiny, trained, write_photos
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from edge.errors import ConfigError, UnavailableError, UsageError
from edge.preprocess import to_batch
from trainer import weights
from trainer.bundle import to_onnx
from trainer.data import read_data
from trainer.evaluate import evaluate
from trainer.lesson import features_stay
from trainer.logistic import STRENGTHS
from trainer.mixture import open_mixture
from trainer.net import SlotNet, check_sizes, open_body, settle
from trainer.recipe import Net, Recipe
from trainer.resnet import DEPTHS, ResNet
from trainer.runs import load_run
from trainer.train import fit

TINY = {"arch": "resnet10", "width": 0.125}
PUBLISHED = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def pictures(n: int = 2, side: int = 64) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def random_weights(arch: str, **options) -> dict[str, Tensor]:
    """A torchvision state_dict in which no two tensors and no statistics are alike."""
    torch.manual_seed(0)
    net = models.get_model(arch, weights=None, **options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.state_dict()


def map_of(arch: str, state: dict[str, Tensor], images: Tensor, **options) -> Tensor:
    """What torchvision's own net gives its last pooling."""
    net = models.get_model(arch, weights=None, **options)
    net.load_state_dict(state)
    seen: list[Tensor] = []
    net.avgpool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        net.eval()(images)
    return seen[0]


@pytest.fixture
def file(tmp_path):
    """Writes a state_dict to a file and returns its name."""

    def write(state: dict[str, Tensor]) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pt"
        torch.save(state, path)
        return str(path)

    return write


# -- the paper's counts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tweaks", "giga"),
    [
        ({"b": False}, 3.8),
        ({"b": True}, 4.08),  # 4.1 in the paper
        ({"b": True, "c": True}, 4.3),
        ({"b": True, "c": True, "d": True}, 4.3),
    ],
    ids=["plain", "B", "B C", "B C D"],
)
def test_a_resnet50_has_the_parameters_and_operations_of_the_paper(tweaks, giga):
    with torch.device("meta"):
        net = SlotNet(Net(**tweaks), classes=1000)
        images = torch.zeros(1, 224, 224, 3, dtype=torch.uint8)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(25.6, abs=0.05)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(images)
    # The paper counts a multiplication and its addition as one, and leaves further digits out.
    assert giga <= counter.get_total_flops() / 2 / 1e9 < giga + 0.1


@pytest.mark.parametrize("arch", DEPTHS)
def test_a_resnet_of_any_depth_and_width_has_its_tweaks_and_ends_where_it_is_cut(arch):
    for tweaks in ({}, {"b": False}, {"c": True}, {"d": True}):
        net = open_body(Net(arch=arch, width=0.125, **tweaks)).eval()
        with torch.no_grad():
            assert net(pictures(side=64)).shape == (2, net.features, 2, 2)
    cut = open_body(Net(arch=arch, width=0.125, blocks=(1, 1))).eval()
    assert len(cut.parts) == 3
    assert cut(pictures(side=64)).shape == (2, cut.features, 8, 8)


def test_the_depth_counts_what_has_weights_on_the_longest_way():
    for arch in DEPTHS:
        net = ResNet(Net(arch=arch, width=0.125))
        layers = [name for name, m in net.named_modules() if isinstance(m, nn.Conv2d)]
        on_the_way = [name for name in layers if "downsample" not in name]
        assert f"resnet{len(on_the_way) + 1}" == arch  # and the head


def test_b_moves_the_stride_c_replaces_the_stem_d_averages_on_the_short_way():
    plain, b = ResNet(Net(b=False, width=0.125)), ResNet(Net(b=True, width=0.125))
    strides = [(x.layer2[0].conv1.stride, x.layer2[0].conv2.stride) for x in (plain, b)]
    assert strides == [((2, 2), (1, 1)), ((1, 1), (2, 2))]
    c, d = ResNet(Net(c=True, width=0.125)), ResNet(Net(d=True, width=0.125))
    assert [m.kernel_size for m in c.conv1 if isinstance(m, nn.Conv2d)] == [(3, 3)] * 3
    pool, convolution, _ = d.layer2[0].downsample
    assert isinstance(pool, nn.AvgPool2d)
    assert convolution.stride == (1, 1)


def test_more_blocks_than_a_depth_has_are_refused():
    with pytest.raises(ConfigError, match=r"net.blocks: resnet18 has no 3 of 2 blocks"):
        open_body(Net(arch="resnet18", blocks=(2, 3)))


# -- weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", PUBLISHED)
def test_torchvisions_weights_load_as_they_are_and_give_what_torchvision_gives(arch, file):
    state = random_weights(arch)
    ours = open_body(Net(arch=arch, weights=file(state))).eval()
    with torch.no_grad():
        found = ours(pictures())
    torch.testing.assert_close(found, map_of(arch, state, pictures()), rtol=1e-4, atol=1e-4)


def test_without_b_the_net_is_torchvisions_with_its_strides_swapped(file):
    state = random_weights("resnet50")
    theirs = models.resnet50(weights=None)
    theirs.load_state_dict(state)
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    theirs.avgpool = theirs.fc = nn.Identity()
    ours = open_body(Net(arch="resnet50", b=False, weights=file(state))).eval()
    with torch.no_grad():
        expected = theirs.eval()(pictures()).view(2, 2048, 2, 2)
        torch.testing.assert_close(ours(pictures()), expected, rtol=1e-4, atol=1e-4)


def test_a_cut_net_takes_the_leading_blocks_of_the_weights(file):
    state = random_weights("resnet18")
    cut = open_body(Net(arch="resnet18", blocks=(2, 1), weights=file(state)))
    whole = open_body(Net(arch="resnet18", weights=file(state)))
    torch.testing.assert_close(
        cut.state_dict()["layer2.0.conv2.weight"], state["layer2.0.conv2.weight"]
    )
    assert len(cut.state_dict()) < len(whole.state_dict())


def test_with_d_the_weights_find_their_place_behind_the_average_also_out_of_a_run(file):
    state = random_weights("resnet18")
    net = open_body(Net(arch="resnet18", d=True, weights=file(state)))
    own = net.state_dict()
    torch.testing.assert_close(
        own["layer2.0.downsample.1.weight"], state["layer2.0.downsample.0.weight"]
    )
    again = open_body(Net(arch="resnet18", d=True, weights=file(own))).state_dict()
    assert all(torch.equal(own[key], again[key]) for key in own)
    without = open_body(Net(arch="resnet18", weights=file(own))).state_dict()
    assert all(
        torch.equal(without[key], state[key])
        for key in without
        if not key.endswith(weights.COUNTER)
    )


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_zero_gamma_makes_new_blocks_the_identity_and_never_touches_loaded_weights(arch, file):
    state = random_weights(arch)
    last = "layer1.0.bn3.weight" if arch == "resnet50" else "layer1.0.bn2.weight"
    fresh = open_body(Net(arch=arch), zero_gamma=True).state_dict()
    assert not fresh[last].any()
    loaded = open_body(Net(arch=arch, weights=file(state)), zero_gamma=True).state_dict()
    assert torch.equal(loaded[last], state[last])


@pytest.mark.parametrize(
    ("net", "of"),
    [
        ({"arch": "resnet50", "c": True}, "resnet50"),
        ({"arch": "resnet50", "width": 0.5}, "resnet50"),
        ({"arch": "resnet50"}, "resnet101"),
        ({"arch": "resnet26"}, "resnet50"),
        ({"arch": "resnet34"}, "resnet18"),
        ({"arch": "resnet18"}, "resnet34"),
        ({"arch": "resnet50"}, "resnet34"),
        ({"arch": "vgg16"}, "resnet18"),
        ({"arch": "vgg19"}, "vgg16"),
        ({"arch": "vgg16"}, "vgg19"),
        ({"arch": "simple_cnn"}, "resnet18"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_weights_of_another_net_are_refused(net, of, file):
    with torch.device("meta"):
        state = models.get_model(of, weights=None).state_dict()
    state = {key: torch.zeros((), dtype=v.dtype).expand(v.shape) for key, v in state.items()}
    with pytest.raises(ConfigError, match=r"net.weights .*: weights of another net: '.*' does not"):
        open_body(Net(**net, weights=file(state)))


@pytest.mark.parametrize("d", [True, False])
def test_weights_with_names_of_their_own_are_refused(file, d):
    state = {"layers.1.downsample.reduction.weight": torch.zeros(3)}
    with pytest.raises(ConfigError, match="weights of another net"):
        open_body(Net(arch="resnet18", d=d, weights=file(state)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the weights: No such file"),
        (b"\x00 no archive", "no torch state_dict"),
        (b"", "no torch state_dict"),
        ([1, 2], "no torch state_dict"),
        ({"epoch": 3}, "no torch state_dict"),
        (b"these are words", "no torch state_dict"),
        (b"a: 1", "no torch state_dict"),
    ],
    ids=["missing", "another file", "empty", "a list", "no tensors", "a text", "a short text"],
)
def test_a_file_without_weights_is_refused_and_says_how_to_get_them(tmp_path, content, words):
    path = tmp_path / "w.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UnavailableError) as caught:
        open_body(Net(arch="resnet18", weights=str(path)))
    assert words in str(caught.value)
    assert "https://download.pytorch.org/models/" in str(caught.value)


def refused_download(arch: str) -> str:
    with pytest.raises(UnavailableError) as caught:
        open_body(Net(arch=arch, weights="imagenet"))
    return str(caught.value)


@pytest.fixture
def behind_proxy(tmp_path, monkeypatch):
    """Sends what is downloaded from now on to a port of this machine."""

    def switch(port: int) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxy before

    return switch


def test_without_a_network_the_way_to_the_weights_is_told_at_once(behind_proxy):
    behind_proxy(9)  # nobody listens there
    began_s = time.monotonic()
    for arch in ("resnet50", "vgg16", "inception_v3"):
        assert "write `weights: FILE`" in refused_download(arch)
    assert time.monotonic() - began_s < 10


def test_a_network_that_swallows_everything_is_not_waited_for(behind_proxy, monkeypatch):
    monkeypatch.setattr(weights, "PATIENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        behind_proxy(silent.getsockname()[1])
        assert "timed out" in refused_download("resnet18")
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04"])
def test_a_damaged_file_of_an_earlier_download_is_named(behind_proxy, tmp_path, content):
    behind_proxy(9)
    kept = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    assert refused_download("resnet18") == f"{kept}: is damaged; delete it, and try again"


@pytest.mark.parametrize(
    "arch", ["resnet50", "vgg16", "vgg19", "inception_v3", "resnext50_32x4d", "densenet201"]
)
def test_of_torchvisions_weights_those_are_meant_that_the_papers_began_from(arch, monkeypatch):
    asked = []

    class Published(Exception):
        pass

    def note(weights, **_):
        asked.append(str(weights))
        raise Published

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", note)
    with pytest.raises(Published):
        open_body(Net(arch=arch, weights="imagenet"))
    assert [each.partition(".")[2] for each in asked] == ["IMAGENET1K_V1"]


@pytest.mark.parametrize(
    ("net", "key"),
    [
        ({"arch": "vgg16", "width": 0.5}, "width"),
        ({"arch": "simple_cnn", "blocks": (1, 1)}, "blocks"),
        ({"arch": "densenet201", "c": True}, "c"),
        ({"arch": "resnext50_32x4d", "d": True}, "d"),
    ],
)
def test_a_setting_that_a_net_does_not_have_is_refused(net, key):
    with pytest.raises(ValidationError, match=f"{key}: a setting of ResNets; {net['arch']} has no"):
        Net(**net)


def test_depths_that_nobody_published_have_no_weights_to_download():
    assert "no weights for resnet26" in refused_download("resnet26")


# -- statistics taken anew -------------------------------------------------------------------------


def test_settled_statistics_are_those_of_the_pictures():
    torch.manual_seed(0)
    net = SlotNet(Net(**TINY, d=True), classes=2)
    images = torch.randint(0, 256, (64, 64, 64, 3), dtype=torch.uint8)
    before = [m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    settle(net, [images])
    with torch.no_grad():
        as_in_training = net.train()(images)
        settled = net.eval()(images)
    torch.testing.assert_close(settled, as_in_training, rtol=0.03, atol=0.03)
    assert [m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)] == before


@pytest.mark.parametrize("tweaks", [{"b": True}, {"b": True, "d": True}], ids=["B", "B D"])
def test_the_pretrained_resnet50_keeps_its_weights_and_takes_new_statistics_in_other_bodies(tweaks):
    folder = require_data("slots")
    file = require_data("../weights/resnet50-v1-imagenet1k-fp16.pt")
    crops = [picture.read() for picture in read_data(str(folder))[::8][:32]]
    images = torch.from_numpy(to_batch(crops, 64))
    net = SlotNet(Net(**tweaks, blocks=(3, 4, 6), weights=str(file)), classes=2)
    before = copy.deepcopy(net)
    settle(net, [images])
    with torch.no_grad():
        settled = net.eval().features(images)
        torch.testing.assert_close(settled, net.train().features(images), rtol=0.1, atol=0.1)
        assert (settled - before.eval().features(images)).abs().mean() > 0.05
    pairs = zip(net.parameters(), before.parameters(), strict=True)
    assert all(torch.equal(mine, loaded) for mine, loaded in pairs)


# -- baselines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "features", "parts", "million"),
    [
        ("vgg16", 512, 5, 14.7),
        ("vgg19", 512, 5, 20.0),
        ("inception_v3", 2048, 4, 21.8),
        ("resnext50_32x4d", 2048, 5, 23.0),
        ("densenet201", 1920, 5, 18.1),
        ("simple_cnn", 128, 4, 0.24),
    ],
)
def test_a_baseline_is_the_published_net_without_its_classifier(arch, features, parts, million):
    net = open_body(Net(arch=arch))
    assert (net.features, len(net.parts)) == (features, parts)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(million, abs=0.05)
    assert [id(p) for part in net.parts for p in part.parameters()] == [
        id(p) for p in net.parameters()
    ]


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("vgg16", {}),
        ("inception_v3", {"transform_input": True, "init_weights": False}),
        ("resnext50_32x4d", {}),
    ],
)
def test_a_baseline_with_torchvisions_weights_gives_what_torchvision_gives(arch, options, file):
    state = random_weights(arch, **options)
    net = open_body(Net(arch=arch, weights=file(state))).eval()
    images = pictures(1, 96)
    with torch.no_grad():
        found = net(images)
    torch.testing.assert_close(found, map_of(arch, state, images, **options), rtol=1e-3, atol=1e-3)
    again = copy.deepcopy(net)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert not {p.data_ptr() for p in net.parameters()} & {p.data_ptr() for p in again.parameters()}


def test_densenets_file_of_2017_with_its_old_names_loads(file):
    state = random_weights("densenet201")
    old = {key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.")
           .replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): state[key]
           for key in state}  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    net = open_body(Net(arch="densenet201", weights=file(old))).eval()
    theirs = models.densenet201(weights=None)
    theirs.load_state_dict(state)
    with torch.no_grad():
        expected = theirs.eval().features(pictures(1)).relu()
        torch.testing.assert_close(net(pictures(1)), expected, rtol=1e-3, atol=1e-3)


def test_the_simple_cnn_is_as_narrow_as_the_recipe_says():
    assert open_body(Net(arch="simple_cnn", width=0.25)).features == 32


# -- what suits what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "size", "words"),
    [
        ({**TINY, "d": True}, 80, "a multiple of 32"),
        ({**TINY, "d": True, "blocks": (1, 1, 1)}, 80, None),
        (TINY, 80, None),
        ({"arch": "vgg16"}, 16, "needs 32 pixels"),
        ({"arch": "inception_v3"}, 64, "needs 80 pixels"),
        ({"arch": "inception_v3"}, 80, None),
        ({"arch": "resnext50_32x4d"}, 16, "needs 32 pixels"),
        ({"arch": "densenet201"}, 32, None),
        ({"arch": "simple_cnn"}, 16, None),
        (TINY, 16, "needs 32 pixels"),
        (TINY, 32, None),
        ({**TINY, "blocks": (1, 1, 1)}, 16, None),
    ],
    ids=str,
)
def test_pictures_too_small_or_odd_on_the_way_are_refused_and_all_others_pass(net, size, words):
    model = SlotNet(Net(**net), classes=2).eval()
    recipe = Recipe(name="r", classes=("a", "b"), input_size=size, net=Net(**net), epochs=1)
    if words is None:
        check_sizes(model, recipe)
        model(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    else:
        with pytest.raises(ConfigError, match=words):
            check_sizes(model, recipe)


def test_a_size_on_the_way_of_progressive_resizing_must_suit_too():
    net = Net(**TINY, d=True)
    recipe = Recipe(
        name="r", classes=("a", "b"), input_size=96, train_sizes=((0, 48), (0.5, 64)), net=net,
        epochs=1,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="train_sizes: 48"):
        check_sizes(SlotNet(net, classes=2), recipe)


@pytest.mark.parametrize(
    ("net", "size", "batch", "processes", "refused"),
    [
        (TINY, 32, 1, 1, True),
        (TINY, 32, 2, 2, True),
        (TINY, 32, 2, 1, False),
        (TINY, 64, 1, 1, False),
        (TINY | {"freeze": 5}, 32, 1, 1, False),
        ({"arch": "simple_cnn"}, 16, 1, 1, False),
    ],
    ids=str,
)
def test_one_picture_of_which_one_value_is_left_is_refused(net, size, batch, processes, refused):
    recipe = Recipe(
        name="r", classes=("a", "b"), input_size=size, net=Net(**net), batch=batch, epochs=1
    )
    model = SlotNet(Net(**net), classes=2).train()
    if refused:
        with pytest.raises(ConfigError, match=r"batch: one picture of 32 pixels"):
            check_sizes(model, recipe, processes)
    else:
        check_sizes(model, recipe, processes)
        model(torch.zeros(batch // processes, size, size, 3, dtype=torch.uint8))


def test_no_more_parts_can_be_frozen_than_there_are():
    with pytest.raises(ConfigError, match=r"net.freeze: 6, but resnet10 has 5 parts"):
        open_body(Net(**TINY, freeze=6))


def test_onnx_gives_what_torch_gives_with_every_tweak(tmp_path):
    torch.manual_seed(0)
    net = Net(arch="resnet14", width=0.125, b=True, c=True, d=True)
    model = SlotNet(net, classes=3).eval()
    settle(model, [torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8)])
    recipe = Recipe(name="r", classes=("a", "b", "c"), input_size=32, net=net, epochs=1)
    to_onnx(model.eval(), recipe, tmp_path / "d.onnx")
    session = ort.InferenceSession(tmp_path / "d.onnx", providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


# -- a body that stands still ----------------------------------------------------------------------

FROZEN = {"net": {**TINY, "freeze": 5}, "augment": "none", "mixup": 0.0, "epochs": 10}
"""Nothing varies and only the head learns. Without dropout: its chance comes to other places."""


class PlugPulledError(Exception):
    pass


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), count=12)


def head_of(run) -> Tensor:
    return load_run(run).net.head[1].weight


def test_learning_from_features_computed_once_is_learning_from_the_pictures(photos, tmp_path):
    recipe = tiny(photos, **FROZEN)
    loose = tiny(photos, **FROZEN, train_sizes=[[0, 32]])  # the same size, but it may have changed
    assert features_stay(SlotNet(recipe.net, 2), recipe)
    assert not features_stay(SlotNet(loose.net, 2), loose)
    trained(recipe, tmp_path / "once")
    trained(loose, tmp_path / "each")
    once, each = head_of(tmp_path / "once"), head_of(tmp_path / "each")
    torch.testing.assert_close(once, each, rtol=1e-3, atol=1e-4)
    start = SlotNet(recipe.net, 2).head[1].weight
    assert (once - start).abs().max() > 0.01


@pytest.mark.parametrize(
    ("changes", "stay"),
    [
        ({}, True),
        ({"augment": "crop"}, False),
        ({"balanced": True}, False),
        ({"cutmix": 0.5}, False),
        ({"mixup": 0.5}, False),
        ({"train_sizes": [[0, 32]]}, False),
        ({"distill": {"teacher": "run"}}, False),
        ({"data": [{"data": "x", "widen": 0.1}]}, False),
        ({"net": {**FROZEN["net"], "freeze": 2}}, False),
    ],
)
def test_features_are_computed_once_only_where_no_picture_is_ever_varied(photos, changes, stay):
    recipe = tiny(photos, **FROZEN | changes)
    assert features_stay(SlotNet(recipe.net, 2), recipe) == stay


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_new_convolutions_keep_the_size_of_what_goes_back_through_them(arch):
    torch.manual_seed(0)
    for layer in open_body(Net(arch=arch)).modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 20_000:
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            expected = (2 / fan_out) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)


def test_a_frozen_body_is_asked_about_each_photo_once_however_many_epochs_there_are(
    photos, tmp_path, monkeypatch
):
    seen: list[int] = []
    features = SlotNet.features
    monkeypatch.setattr(SlotNet, "features", lambda net, x: seen.append(len(x)) or features(net, x))
    trained(tiny(photos, **FROZEN), tmp_path / "run")
    assert sum(seen) == 12


def test_a_head_on_features_goes_on_to_the_very_same_weights(photos, tmp_path):
    recipe = tiny(photos, **FROZEN)
    trained(recipe, tmp_path / "whole")

    def say(state, epoch_ends: bool) -> None:
        if state.step == 13:
            raise PlugPulledError

    with pytest.raises(PlugPulledError):
        fit(open_mixture(recipe), tmp_path / "run", say, save_every_s=0)
    trained(recipe, tmp_path / "run")
    assert torch.equal(head_of(tmp_path / "run"), head_of(tmp_path / "whole"))


def test_the_held_out_pictures_are_told_as_evaluate_tells_them(photos, tmp_path):
    recipe = tiny(photos, **FROZEN)
    held_out = read_data(str(photos))
    fit(open_mixture(recipe), tmp_path / "run", lambda state, ends: None, held_out)
    told = load_run(tmp_path / "run").curve[-1].held_out
    assert told == evaluate(tmp_path / "run", held_out)["top1"]


def test_a_checkpoint_holds_a_frozen_body_once(photos, tmp_path):
    trained(tiny(photos, **FROZEN), tmp_path / "frozen")
    free = FROZEN | {"net": TINY}  # long enough for a mean of more than one step
    trained(tiny(photos, **free), tmp_path / "free")
    frozen, free_bytes = ((tmp_path / n / "last.pt").stat().st_size for n in ("frozen", "free"))
    assert frozen < 0.5 * free_bytes  # weights, mean, momentum


LOGISTIC = {"augment": "none", "mixup": 0.0, "ema": 0.0, "optimizer": "logistic", "epochs": 1,
            "net": {**TINY, "freeze": 5}}  # fmt: skip


def test_logistic_writes_into_the_head_what_scikit_learn_says(photos, tmp_path):
    recipe = tiny(photos, **LOGISTIC)
    trained(recipe, tmp_path / "run")
    run = load_run(tmp_path / "run")
    fed = [open_mixture(recipe).image(i) for i in range(12)]
    images = torch.from_numpy(to_batch([image for image, _ in fed], 32))
    truth = np.array([label == "stocked" for _, label in fed])
    with torch.no_grad():
        x = run.net.features(images).double().numpy()
        logits = run.net(images).double().numpy()
    z = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)
    margins = [LogisticRegression(C=c, max_iter=1000).fit(z, truth).decision_function(z)
               for c in STRENGTHS]  # fmt: skip
    ours = logits[:, 1] - logits[:, 0]
    assert min(np.abs(margin - ours).max() for margin in margins) < 1e-2
    assert ((ours > 0) == truth).mean() >= 0.75


def test_logistic_tells_three_classes_apart_and_looks_at_varied_copies(tmp_path):
    lines = ["file,label,group"]
    for i in range(18):
        colour = [(0, 0, 200), (0, 200, 0), (200, 0, 0)][i % 3]
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((40, 40, 3), colour, np.uint8) + i)
        lines.append(f"{i}.png,{'abc'[i % 3]},g{i // 3}")
    (tmp_path / "index.csv").write_text("\n".join(lines))
    changes = LOGISTIC | {"classes": ["a", "b", "c"], "augment": "crop", "epochs": 3}
    trained(tiny(tmp_path, **changes), tmp_path / "run")
    assert evaluate(tmp_path / "run", read_data(str(tmp_path)))["top1"] == 1.0


def test_logistic_chooses_its_strength_though_a_fold_may_lack_a_class(tmp_path):
    """Two groups hold all that is empty: who learns from the third knows one class."""
    lines = ["file,label,group"]
    for i, stocked in enumerate([1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]):
        shade = 40 + 120 * stocked + i
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((40, 40, 3), shade, np.uint8))
        lines.append(f"{i}.png,{'stocked' if stocked else 'empty'},g{i // 4}")
    (tmp_path / "index.csv").write_text("\n".join(lines))
    for seed in range(4):
        trained(tiny(tmp_path, **LOGISTIC, seed=seed), tmp_path / f"run{seed}")
        assert evaluate(tmp_path / f"run{seed}", read_data(str(tmp_path)))["top1"] == 1.0


def test_a_logistic_run_is_finished_and_stays_as_it_is(photos, tmp_path):
    recipe = tiny(photos, **LOGISTIC)
    trained(recipe, tmp_path / "run")
    before = (tmp_path / "run" / "last.pt").read_bytes()
    trained(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_logistic_needs_a_frozen_body_and_every_class(photos, tmp_path):
    with pytest.raises(ConfigError, match=r"write net\.freeze: 5"):
        trained(tiny(photos, **LOGISTIC | {"net": TINY}), tmp_path / "run")
    classes = {"classes": ["empty", "stocked", "third"]}
    with pytest.raises(UsageError, match="no picture of the class 'third'"):
        trained(tiny(photos, **LOGISTIC | classes), tmp_path / "run")


def test_what_only_steps_can_do_is_refused_with_logistic(photos):
    with pytest.raises(ValueError, match="takes no steps, so leave out mixup"):
        tiny(photos, **LOGISTIC | {"mixup": 0.2})
