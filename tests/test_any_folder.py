"""Whatever folder of pictures a user brings: it is learnt from, or one message says why not."""

from __future__ import annotations

import gc
import io
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import threading
import weakref
import zlib
from collections.abc import Callable
from errno import EACCES, ENOSPC
from pathlib import Path
from types import SimpleNamespace
from unicodedata import normalize

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from conftest import REPOSITORY
from fitting import trainer, write_photos
from PIL import Image

from edge.classifier import SHIPPED, open_classifier
from edge.errors import ConfigError, UnavailableError
from trainer.answering import predict, small_reader
from trainer.data import check_labels, read_data, read_pictures, usable
from trainer.decode import (
    BLOCK,
    THREADS,
    UnreadableError,
    check_ends,
    of_each,
    read_pixels,
    size_of,
)
from trainer.folds import subset
from trainer.hold_out import hold_out, warn_of_unmeasured
from trainer.mixture import batches, open_mixture
from trainer.picture import Picture
from trainer.pixels import STEP, Pixels, Room, spare_memory
from trainer.recipe import Data, Recipe, changed, load_recipe

RECIPE = """
name: tiny
input_size: 32
net: {arch: resnet10, width: 0.125, blocks: [1]}
balanced: true
augment: none
precision: fp32
steps: 2
batch: 4
"""
ORANGE = (50, 100, 200)  # BGR
WHITE = (255, 255, 255)
OWN = REPOSITORY / "configs" / "recipes" / "own.yaml"
BOX = '{"label": "empty", "x": 1, "y": 1, "w": 9, "h": 9}'
LITTLE = ("--set", "net.width=0.125", "--set", "input_size=32", "--set", "batch=8")

picture = Image.new("RGB", (60, 40), ORANGE[::-1])
upright = Image.fromarray(np.repeat([[[200, 100, 50]] * 40 + [[0, 0, 0]] * 20], 40, 0).astype("u1"))


def coded(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def rotated(kind: str = "JPEG", mode: str = "RGB") -> bytes:
    """A photo whose camera was held upright: the orange left part belongs on top."""
    about = Image.Exif()
    about[0x0112] = 6
    return coded(upright.convert(mode), kind, exif=about)


def animated() -> bytes:
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    return coded(picture, "WEBP", save_all=True, append_images=frames)


def of_sixteen_bits(*colour: int) -> bytes:
    return cv2.imencode(".png", np.full((40, 60, len(colour)), colour, np.uint16))[1].tobytes()


def noise(high: int = 200, wide: int = 300) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (high, wide, 3), dtype=np.uint8))


def with_exif_that_breaks_off(kind: str) -> bytes:
    return coded(Image.new("RGBA", (60, 40)), kind, exif=b"Exif\0\0II*\0")


def sixteen_bit_grey(transparent: int) -> bytes:
    """A PNG of one grey, 124 of 255, of which one grey of 65,535 counts as transparent."""
    plain = of_sixteen_bits(124 * 257)
    kind = b"tRNS" + transparent.to_bytes(2, "big")
    chunk = (2).to_bytes(4, "big") + kind + zlib.crc32(kind).to_bytes(4, "big")
    place = plain.index(b"IDAT") - 4
    return plain[:place] + chunk + plain[place:]


def with_thumbnail() -> bytes:
    """A long JPEG whose header holds another, whole one."""
    about = Image.Exif()
    about[0x010E] = "thumbnail \xff\xd9".encode("latin-1")
    return coded(noise(), "JPEG", exif=about)


READABLE: dict[str, tuple[str, Callable[[], bytes], tuple[int, ...]]] = {
    "JPEG": ("a.jpg", lambda: coded(picture, "JPEG"), ORANGE),
    "progressive JPEG": ("a.jpeg", lambda: coded(picture, "JPEG", progressive=True), ORANGE),
    "CMYK JPEG": ("a.jpg", lambda: coded(picture.convert("CMYK"), "JPEG"), ORANGE),
    "grey JPEG": ("a.jpg", lambda: coded(picture.convert("L"), "JPEG"), (124, 124, 124)),
    "EXIF-rotated JPEG": ("a.jpg", rotated, ORANGE),
    "JPEG with a film behind it": (
        "a.jpg", lambda: coded(noise(), "JPEG") + b"film" * 40_000, None),
    "PNG": ("a.png", lambda: coded(picture, "PNG"), ORANGE),
    "palette PNG": ("a.png", lambda: coded(picture.quantize(), "PNG"), ORANGE),
    "black and white PNG": ("a.png", lambda: coded(Image.new("1", (60, 40), 1), "PNG"), WHITE),
    "16-bit PNG": ("a.png", lambda: of_sixteen_bits(50 * 257, 100 * 257, 200 * 257), ORANGE),
    "16-bit grey PNG": ("a.png", lambda: of_sixteen_bits(124 * 257), (124, 124, 124)),
    "16-bit transparent PNG": ("a.png", lambda: of_sixteen_bits(0, 0, 0, 0), WHITE),
    "transparent PNG": ("a.png", lambda: coded(Image.new("RGBA", (60, 40)), "PNG"), WHITE),
    "opaque PNG with alpha": ("a.png", lambda: coded(picture.convert("RGBA"), "PNG"), ORANGE),
    "transparent palette": (
        "a.png", lambda: coded(picture.quantize(), "PNG", transparency=0), WHITE),
    "WebP": ("a.webp", lambda: coded(picture, "WEBP"), ORANGE),
    "transparent WebP": ("a.webp", lambda: coded(Image.new("RGBA", (60, 40)), "WEBP"), WHITE),
    "BMP": ("a.bmp", lambda: coded(picture, "BMP"), ORANGE),
    "PNG that is called JPEG": ("a.jpg", lambda: coded(picture, "PNG"), ORANGE),
    "1 x 1 pixel": ("a.png", lambda: coded(picture.crop((0, 0, 1, 1)), "PNG"), ORANGE),
    "1 x 900 pixels": ("a.png", lambda: coded(picture.resize((1, 900)), "PNG"), ORANGE),
    "Korean name with a space": ("새우깡 90g.jpg", lambda: coded(picture, "JPEG"), ORANGE),
    "upper-case ending": ("A.JPG", lambda: coded(picture, "JPEG"), ORANGE),
    "JPEG called .jfif": ("a.jfif", lambda: coded(picture, "JPEG"), ORANGE),
    "grey with a transparent grey": (
        "a.png", lambda: coded(picture.convert("L"), "PNG", transparency=124), WHITE),
    "16-bit grey with a transparent grey": (
        "a.png", lambda: sixteen_bit_grey(transparent=7), (124, 124, 124)),
    "16-bit transparent grey": (
        "a.png", lambda: sixteen_bit_grey(transparent=124 * 257), WHITE),
    "rotated PNG without alpha": ("a.png", lambda: rotated("PNG"), ORANGE),
    "rotated WebP without alpha": ("a.webp", lambda: rotated("WEBP"), ORANGE),
    "rotated CMYK JPEG": ("a.jpg", lambda: rotated("JPEG", "CMYK"), ORANGE),
    "animated WebP, its first frame": ("a.webp", animated, ORANGE),
    "rotated PNG with alpha": ("a.png", lambda: rotated("PNG", "RGBA"), ORANGE),
    "rotated WebP with alpha": ("a.webp", lambda: rotated("WEBP", "RGBA"), ORANGE),
    "nested folders": ("shelf 2/left/a.jpg", lambda: coded(picture, "JPEG"), ORANGE),
}  # fmt: skip

UNREADABLE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "half a JPEG": ("a.jpg", lambda: coded(noise(), "JPEG")[:9000], "breaks off"),
    "JPEG without its last bytes": ("a.jpg", lambda: coded(noise(), "JPEG")[:-2], "breaks off"),
    "half a JPEG with a whole thumbnail": ("a.jpg", lambda: with_thumbnail()[:9000], "breaks off"),
    "half a long JPEG": ("a.jpg", lambda: coded(noise(900), "JPEG")[:99_000], "breaks off"),
    "half a PNG": ("a.png", lambda: coded(noise(), "PNG")[:9000], "breaks off"),
    "half a WebP": ("a.webp", lambda: coded(noise(), "WEBP")[:9000], "breaks off"),
    "half a BMP": ("a.bmp", lambda: coded(noise(), "BMP")[:9000], "breaks off"),
    "damaged PNG": (
        "a.png", lambda: coded(noise(), "PNG").replace(b"IDAT", b"IDAT\0\0\0\0"), "damaged"),
    "PNG with alpha and half an EXIF": (
        "a.png", lambda: with_exif_that_breaks_off("PNG"), "damaged"),
    "WebP with alpha and half an EXIF": (
        "a.webp", lambda: with_exif_that_breaks_off("WEBP"), "damaged"),
    "PNG of a head and an end": (
        "a.png", lambda: b"\x89PNG\r\n\x1a\nIEND\xae\x42\x60\x82", "damaged"),
    "WebP of a head": ("a.webp", lambda: b"RIFF\4\0\0\0WEBP", "damaged"),
    "nothing": ("a.jpg", lambda: b"", "is empty"),
    "text": ("a.jpg", lambda: b"shelf 2, the left one", "no JPEG"),
    "HEIC": ("a.heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC; convert"),
    "HEIC that is called JPEG": ("a.jpg", lambda: b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC; convert"),
    "GIF": ("a.gif", lambda: coded(picture, "GIF"), "GIF; convert"),
    "TIFF": ("a.tif", lambda: coded(picture, "TIFF"), "TIFF; convert"),
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two pictures of empty slots and one of a stocked one, all different."""
    for shade, name in enumerate(("empty/1.png", "empty/2.png", "stocked/3.png")):
        write(tmp_path / "data" / name, coded(Image.new("L", (40, 50), 80 * shade), "PNG"))
    return tmp_path / "data"


def fit(recipe: Path, folder: Path, *more: str) -> str:
    """Train, and return what was said on the way."""
    result = trainer("fit", recipe, "--data", folder, "--out", folder.parent / "run", *more)
    assert result.returncode == 0, result.stderr
    return result.stderr


def count(model: Path, folder: Path) -> int:
    """Return how many pictures are evaluated."""
    result = trainer("evaluate", model, "--data", folder, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["n"]


def refusal(code: int, *arguments: object) -> str:
    result = trainer(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.count("error:") == 1
    return result.stderr


# -- pictures of every kind ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READABLE)
def test_a_picture_of_any_usual_kind_is_learnt_from_and_evaluated(recipe, folder, kind):
    name, content, colour = READABLE[kind]
    file = write(folder / "stocked" / name, content())
    fit(recipe, folder)
    assert count(folder.parent / "run", folder) == 4
    for near in (None, 16):
        pixels = read_pixels(file, near)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        if colour is not None:
            top = pixels[pixels.shape[0] // 4, pixels.shape[1] // 2]
            np.testing.assert_allclose(top, colour, atol=3)


def test_a_photo_that_was_taken_upright_is_read_upright_however_it_is_decoded(tmp_path):
    file = write(tmp_path / "a.jpg", rotated())
    assert read_pixels(file).shape == (60, 40, 3)
    for near in (20, 10, 5):  # decoded at a half, a quarter and an eighth
        pixels = read_pixels(file, near)
        assert pixels.shape == (round(near * 3 / 2), near, 3)
        assert pixels[0].mean() > 80 > pixels[-1].mean()


def test_fifty_megapixels_are_decoded_at_the_size_that_is_needed(recipe, folder):
    image = np.full((6250, 8000, 3), ORANGE, np.uint8)
    cv2.imwrite(str(folder / "stocked" / "large.jpg"), image)
    fit(recipe, folder)
    assert count(folder.parent / "run", folder) == 4
    small = read_pixels(folder / "stocked" / "large.jpg", near=64)
    assert small.shape == (64, 82, 3)
    np.testing.assert_allclose(small[9, 9], ORANGE, atol=3)


def test_what_the_system_put_there_is_no_picture(recipe, folder):
    for name in (
        "stocked/.hidden.jpg", "stocked/._3.jpg", ".trash/a.jpg", "__MACOSX/stocked/3.jpg",
        "stocked/Thumbs.db", "stocked/.DS_Store", "stocked/notes.txt", "desktop.ini",
    ):  # fmt: skip
        write(folder / name, b"no picture")
    said = fit(recipe, folder).splitlines()
    assert [line for line in said if not line.startswith("step")] == said[:1]
    assert count(folder.parent / "run", folder) == 3


@pytest.mark.parametrize(
    "name",
    [
        "empty/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "@Recycle/1.png", "#recycle/1.png",
        "$RECYCLE.BIN/1.png", "$Recycle.Bin/1.png", "System Volume Information/1.png",
        "lost+found/1.png", "stocked/@1.png",
    ],
)  # fmt: skip
def test_what_a_network_storage_keeps_beside_the_pictures_is_none_of_them(folder, caplog, name):
    write(folder / name, coded(picture, "PNG"))
    assert len(read_data(str(folder))) == 3
    assert not caplog.text


def test_a_pipe_is_no_picture_and_no_index(folder, caplog):
    os.mkfifo(folder / "empty" / "3.jpg")
    os.mkfifo(folder / "index.csv")
    assert len(read_data(str(folder))) == 3
    assert f"{folder / 'empty' / '3.jpg'}: a pipe or device, no picture; left out" in caplog.text
    with pytest.raises(UnavailableError, match="neither a file nor a folder"):
        read_data(str(folder / "index.csv"))
    os.mkfifo(folder / "photo.jpg")
    write(folder / "photo.json", f'{{"image": "photo.jpg", "boxes": [{BOX}]}}'.encode())
    for read in (check_ends, read_pixels):
        with pytest.raises(UnreadableError, match="it is a pipe or a device"):
            read(read_data(str(folder))[0].file)


def test_links_to_pictures_and_to_folders_are_followed_but_not_in_circles(recipe, folder, tmp_path):
    elsewhere = write(tmp_path / "elsewhere" / "4.png", coded(picture, "PNG"))
    (folder / "stocked" / "linked.png").symlink_to(elsewhere)
    (folder / "cola").symlink_to(elsewhere.parent)
    (folder / "stocked" / "again").symlink_to(folder)
    assert "5 pictures of 3 classes: cola 1, empty 2, stocked 2" in fit(recipe, folder)


# -- what is no picture ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_picture_is_refused_by_its_name_or_named_and_skipped(
    recipe, folder, caplog, kind
):
    name, content, why = UNREADABLE[kind]
    file = write(folder / "stocked" / name, content())
    run = folder.parent / "run"
    for message in (
        refusal(69, "fit", recipe, "--data", folder, "--out", run, "--set", "steps=20"),
        refusal(69, "evaluate", SHIPPED, "--data", folder),
    ):
        assert message.count(str(file)) == 1
        assert why in message
        assert "unreadable: skip" in message
    shutil.rmtree(run, ignore_errors=True)
    caplog.clear()
    fit(recipe, folder, "--set", "unreadable=skip")
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert [str(file) in each and why in each for each in warnings] == [True]
    assert count(run, folder) == 3


def test_a_link_to_nowhere_is_named(recipe, folder):
    (folder / "stocked" / "gone.jpg").symlink_to(folder / "nowhere")
    message = refusal(69, "fit", recipe, "--data", folder, "--out", folder.parent / "run")
    assert "gone.jpg: cannot be read as a picture: No such file" in message


def test_many_unreadable_files_are_one_message_that_names_a_few(recipe, folder):
    for i in range(9):
        write(folder / "stocked" / f"{i}.heic", b"\0\0\0\x18ftypheic")
    message = refusal(69, "fit", recipe, "--data", folder, "--out", folder.parent / "run")
    assert "9 files cannot be read" in message
    assert message.count(".heic") == 5
    assert "and 4 more" in message


def test_skipping_leaves_something_to_learn_from_or_says_that_it_does_not(recipe, tmp_path):
    write(tmp_path / "data" / "empty" / "a.jpg", b"no picture")
    message = refusal(
        69, "fit", recipe, "--data", tmp_path / "data", "--out", tmp_path / "run",
        "--set", "unreadable=skip",
    )  # fmt: skip
    assert "a.jpg" in message


def test_a_run_that_skips_is_the_run_of_the_other_pictures(recipe, folder):
    import torch

    weights = []
    for broken in (True, False):
        file = write(folder / "stocked" / "4.png", UNREADABLE["damaged PNG"][1]())
        if not broken:
            file.unlink()
        fit(recipe, folder, "--set", "unreadable=skip")
        weights.append(torch.load(folder.parent / "run" / "last.pt", weights_only=True)["model"])
        shutil.rmtree(folder.parent / "run")
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_no_long_photo_is_decoded_to_see_whether_it_can_be_read(folder, monkeypatch):
    for name in ("large.jpg", "grey.jpg"):
        image = noise(900, 900).convert("L" if name == "grey.jpg" else "RGB")
        write(folder / "stocked" / name, coded(image, "JPEG"))
    pictures, decode = read_data(str(folder)), cv2.imdecode
    sizes = []
    monkeypatch.setattr(cv2, "imdecode", lambda *of: sizes.append(len(of[0])) or decode(*of))
    assert usable(pictures, "skip") == pictures
    assert len(sizes) == 3, "the short ones"
    assert max(sizes) < 64 << 10


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_what_is_not_left_out_can_be_decoded_whatever_is_damaged_in_its_header(tmp_path, mode):
    whole = coded(noise(400, 400).convert(mode), "JPEG", quality=90)
    header, chance = whole.index(b"\xff\xda") + 14, random.Random(mode)
    known = {True: 0, False: 0}
    for i in range(300):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            content[chance.randrange(3, header)] = chance.choice((0, 255, chance.randrange(256)))
        file = write(tmp_path / f"{i}.jpg", content)
        pictured = Picture(file, "empty", "g", {})
        try:
            usable([pictured], "skip")
        except UnavailableError:
            known[False] += 1
        else:
            known[True] += 1
            assert pictured.read().shape[2] == 3
        file.unlink()
    assert min(known.values()) > 20


@pytest.mark.parametrize("damaged", [False, True])
def test_whoever_evaluates_a_run_decodes_no_more_than_what_is_asked_about(
    recipe, folder, tmp_path, monkeypatch, caplog, damaged
):
    if damaged:
        write(folder / "stocked" / "4.png", UNREADABLE["damaged PNG"][1]())
    fit(recipe, folder, "--set", "unreadable=skip")
    other = write(tmp_path / "other" / "empty" / "1.png", coded(noise(), "PNG")).parent.parent
    decode, decoded = cv2.imdecode, []
    monkeypatch.setattr(cv2, "imdecode", lambda *of: decoded.append(of) or decode(*of))
    caplog.clear()
    assert count(folder.parent / "run", other) == 1
    asked = 2  # whether it can be read, and of what class it is
    assert len(decoded) == asked + 4 * damaged, "only of what was left out a look does not tell"
    assert count(folder.parent / "run", folder) == 3
    assert "3 of the 3 pictures show what was learnt" in caplog.text
    assert "came, went or changed" not in caplog.text


def test_it_is_said_what_takes_long_before_a_training(folder, monkeypatch, caplog):
    pictures = read_data(str(folder))
    usable(pictures, "skip")
    assert not caplog.messages
    monkeypatch.setattr("trainer.data.PATIENCE_S", -1)
    usable(pictures, "skip")
    assert caplog.messages == ["checking 3 files: whether they can be read as pictures"]


@pytest.mark.parametrize("wait_s", [0, 0.002])
def test_several_threads_look_at_files_where_there_is_something_to_wait_for(wait_s, monkeypatch):
    files, waits_s = [Path(str(i)) for i in range(40 * BLOCK)], list[float]()

    def told(file: Path) -> tuple[Path, bool]:
        by_main = threading.current_thread() is threading.main_thread()
        waits_s.append(wait_s if by_main else wait_s / THREADS)  # several wait at the same time
        return file, by_main

    if wait_s:  # each way is tried on one block only: there the time is what was waited for
        clock = SimpleNamespace(monotonic=lambda: sum(waits_s))
        monkeypatch.setattr("trainer.decode.time", clock)
    said = list(of_each(told, files))
    alone = sum(by_main for _, by_main in said) / len(files)
    assert [file for file, _ in said] == files
    assert 0 < alone < 0.2 if wait_s else 0.5 < alone < 1


# -- folders, classes and labels -------------------------------------------------------------------


def test_a_class_may_have_one_picture_and_an_empty_class_folder_is_told(recipe, folder, caplog):
    (folder / "cola").mkdir()
    said = fit(recipe, folder, "--set", "hold_out=0.3")
    assert "2 pictures of 2 classes, 1 more held out: empty 1, stocked 1" in said
    assert f"{folder / 'cola'}: no picture in it" in caplog.text


def test_product_photos_in_nested_folders_have_the_class_of_their_own_folder(recipe, tmp_path):
    root = tmp_path / "data" / "1.Training"
    products = ("8801019606557_오리온초코파이", "8801043014816_새우깡")
    for product in (*products, "empty"):
        for i in range(2):
            content = coded(noise(20 + i, 30 + len(product)), "JPEG")
            write(root / "원천데이터" / "과자" / product / f"{product}_{i}.jpg", content)
            write(root / "라벨링데이터" / "과자" / product / f"{product}_{i}.json", b"{}")
    said = fit(recipe, root.parent)
    assert f"6 pictures of 3 classes: {products[0]} 2, {products[1]} 2, empty 2" in said
    assert count(root.parent.parent / "run", root.parent) == 6


def test_archives_are_to_be_unpacked_first(folder, tmp_path):
    first = write(tmp_path / "hub" / "1.Training" / "[원천]과자.zip", b"PK")
    unpack = "unpack first (for Korean names: unzip -O cp949 FILE), and give the folder"
    for text, words in (
        (tmp_path / "hub", "no picture, but 1 zip archive"),
        (f"{tmp_path / 'hub'}=cola", "no picture, but 1 zip archive"),
        (first, "a zip archive"),
    ):
        with pytest.raises(UnavailableError) as caught:
            read_data(str(text))
        assert str(caught.value) == f"{str(text).removesuffix('=cola')}: {words}: {unpack}"
    write(tmp_path / "hub" / "2.ZIP", b"PK")
    with pytest.raises(UnavailableError, match="2 zip archives: unpack first"):
        read_data(str(tmp_path / "hub"))
    write(folder / "whole.zip", b"PK")
    assert len(read_data(str(folder))) == 3


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("snacks/8801_A/1", "snacks/8802_B/2", "drinks/8803_C/3", "empty/4"),
         ["class 'snacks' joins the folders 8801_A, 8802_B; if these are products move them one "
          "level up"]),
        (("1.Training/preview", "2.Validation/snacks/8801_A/1", "2.Validation/snacks/8802_B/2"),
         ["class '2.Validation' joins the folders snacks/8801_A, snacks/8802_B; if these are "
          "products move them up into {}"]),
        (("empty/left/1", "empty/right/2", "stocked/cola/1", "stocked/tea/2", "tea/1", "tea/a/2"),
         []),
        (("hub/cover", "hub/8801_A/1", "hub/8802_B/2"),
         ["class 'hub' joins the folders 8801_A, 8802_B; if these are products move them one level "
          "up"]),
        (("snacks/8801_A/1", "snacks/8802_B/2"), []),  # two classes, as they are meant
        (("hub/snacks/cover", "hub/snacks/8801_A/1", "hub/snacks/8802_B/2"),
         ["class 'snacks' is what lies beside the folders of other classes in {}/hub/snacks: "
          "cover.png; take out what is no picture of one"]),
        (("hub/s/8801/old/1", *(f"hub/s/8801/{i}" for i in range(7))),
         ["class '8801' is what lies beside the folders of other classes in {}/hub/s/8801: "
          "0.png, 1.png, 2.png, 3.png, 4.png and 2 more; take out what is no picture of one"]),
    ],
)  # fmt: skip
def test_folders_that_are_joined_to_one_class_are_told(tmp_path, caplog, names, words):
    for name in names:
        write(tmp_path / f"{name}.png", coded(picture, "PNG"))
    assert len(read_data(str(tmp_path))) == len(names)
    assert caplog.messages == [each.format(tmp_path) for each in words]


def test_a_data_set_that_is_parted_already_is_told_how_to_keep_its_parts_apart(tmp_path, caplog):
    parts = [tmp_path / "상품 사진" / name for name in ("1.Training", "2.Validation")]
    for shade, part in enumerate(parts):
        for i, name in enumerate(("과자/8801_A", "과자/8802_B", "음료/8803_C")[: 3 - shade]):
            content = coded(Image.new("L", (9, 9), 50 * i + shade), "PNG")
            write(part / "[원천]" / name / "1.png", content)
    assert len(read_data(str(tmp_path))) == 5
    (message,) = caplog.messages
    told, options = message.split("to keep them apart: ")
    assert told == (
        "folders to learn from and folders to measure on are joined, class by class, as '8801_A' "
        "(2 in all); "
    )
    data, learn, set_, held_out = shlex.split(options)
    assert (data, learn, set_) == ("--data", str(parts[0]), "--set")
    caplog.clear()
    about = {"name": "r", "input_size": 32, "steps": 1, "data": ({"data": str(parts[0])},)}
    mixture = open_mixture(changed(Recipe(**about), [held_out]))
    assert (len(mixture.pictures), len(mixture.held_out)) == (3, 2)
    assert not caplog.messages


@pytest.mark.parametrize(
    "names",
    [
        ("Training/snacks/8801_A/1", "Validation/snacks/8802_B/2"),  # no class is in both
        ("shop 1/snacks/8801_A/1", "shop 2/snacks/8801_A/2"),
        ("trains/red/8801_A/1", "valley/red/8801_A/2"),
    ],
)
def test_other_folders_that_hold_the_same_classes_are_meant_to_be_joined(tmp_path, caplog, names):
    for name in names:
        write(tmp_path / f"{name}.png", coded(picture, "PNG"))
    assert len(read_data(str(tmp_path))) == len(names)
    assert not caplog.messages


def test_empty_is_a_class_however_deep_its_pictures_lie(recipe, tmp_path):
    for shade, name in enumerate(("empty/camera 1/a.png", "stocked/camera 1/a.png")):
        write(tmp_path / "data" / name, coded(Image.new("L", (9, 9), shade), "PNG"))
    assert "2 pictures of 2 classes: empty 1, stocked 1" in fit(recipe, tmp_path / "data")


def test_pictures_in_no_class_folder_need_a_label(recipe, tmp_path):
    data = write(tmp_path / "loose=ly" / "a.png", coded(picture, "PNG")).parent
    message = refusal(69, "fit", recipe, "--data", data, "--out", tmp_path / "run")
    assert "lie in no class folder" in message
    assert f"{data}=label" in message
    assert count(SHIPPED, f"{data}=stocked") == 1


def test_what_cannot_be_read_is_one_message(recipe, folder, monkeypatch):
    locked = folder / "stocked"
    look = os.scandir

    def scandir(path):
        if Path(path) == locked:
            raise PermissionError(EACCES, "Permission denied", str(path))
        return look(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        message = refusal(69, "fit", recipe, "--data", folder, "--out", folder.parent / "run")
    assert f"{locked}: cannot be read: Permission denied" in message
    write(folder / "index.csv", f"file,label,group\n{'a' * 300}.png,empty,g\n".encode())
    message = refusal(69, "fit", recipe, "--data", folder, "--out", folder.parent / "run")
    assert "File name too long" in message


def test_a_dollar_in_a_folders_name_is_a_dollar(recipe, folder):
    folder.rename(folder.parent / "pri$e")
    assert "3 pictures of 2 classes" in fit(recipe, folder.parent / "pri$e")


def test_leaving_out_what_is_not_there_is_refused(recipe, folder):
    message = refusal(
        2, "fit", recipe, "--data", folder, "--out", folder.parent / "run", "--leave-out", "veiw=A"
    )
    assert "no picture has 'A' in its column 'veiw'" in message


@pytest.mark.parametrize(
    "change",
    [
        "crop_area=[-1, 1]",
        "crop_area=[3, 1]",
        "crop_area=[0.5, 0.2]",
        "name=2024-01-01",
        "seed=-1",
        "seed=2147483648",
        "lr=.nan",
        "mixup=.inf",
        "costs={false_alert: .inf, missed_alert: 1, empty_share: 0.1}",
    ],
)
def test_a_value_that_no_step_could_use_is_refused_at_once(recipe, folder, change):
    out = ("--out", folder.parent / "run")
    result = trainer("fit", recipe, "--data", folder, *out, "--set", change)
    if change.startswith("name"):
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 2
        assert change.split("=")[0] in result.stderr
        assert "Value error" not in result.stderr


def test_one_folder_is_no_choice(recipe, tmp_path):
    write(tmp_path / "data" / "cola" / "a.png", coded(picture, "PNG"))
    message = refusal(78, "fit", recipe, "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert "only the class 'cola'" in message


@pytest.mark.parametrize("command", ["fit", "kfold"])
def test_one_class_is_no_choice_for_a_recipe_that_names_two(tmp_path, command):
    data = write_slots(tmp_path / "data", "empty") / "empty"
    simple = OWN.parent / "few-simple.yaml"
    out = ("--data", f"{data}=empty", "--out", tmp_path / "out")
    message = refusal(78, command, simple, *out)
    assert "the data has only the class 'empty'; a model tells at least two apart" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("Empty", "stocked"), "the class 'Empty' is called 'empty'; rename its folder"),
        (("empty", "Stocked"), "the class 'Stocked' is called 'stocked'"),
        (("Cola", "cola", "empty"), "the class 'cola' is called 'Cola'"),
    ],
)
def test_one_class_in_two_spellings_is_refused(recipe, tmp_path, labels, words):
    for shade, label in enumerate(labels):
        content = coded(Image.new("L", (9, 9), shade), "PNG")
        write(tmp_path / "data" / label / f"{shade}.png", content)
    message = refusal(78, "fit", recipe, "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert words in message


def test_a_folder_unpacked_with_the_wrong_letters_is_refused(recipe, folder):
    bad = os.path.join(os.fsencode(folder), "과자".encode("cp949"))
    os.mkdir(bad)
    shutil.copy(folder / "empty" / "1.png", os.path.join(bad, b"a.png"))
    message = refusal(78, "fit", recipe, "--data", folder, "--out", folder.parent / "run")
    assert "unzip -O cp949" in message


def test_file_names_in_wrong_letters_are_but_names(tmp_path):
    folder = write_slots(tmp_path / "data", "empty", "stocked")
    for old in (folder / "stocked").iterdir():
        os.rename(old, os.fsencode(old.parent) + "/과자".encode("cp949") + os.fsencode(old.name))
    said = fit(OWN, folder, *LITTLE, "--set", "steps=2")
    assert "10 pictures of 2 classes, 2 more held out: empty 5, stocked 5" in said


def test_data_in_a_place_that_no_recipe_can_name_is_refused(recipe, folder):
    bad = os.fsdecode(os.fsencode(folder.parent) + b"/" + "과자".encode("cp949"))
    os.rename(folder, bad)
    message = refusal(2, "fit", recipe, "--data", bad, "--out", folder.parent / "run")
    assert "the name is no UTF-8; rename the folder" in message


def test_the_same_picture_under_two_labels_is_told_and_in_an_index_refused(recipe, folder, caplog):
    shutil.copy(folder / "empty" / "1.png", folder / "stocked" / "copy.png")
    fit(recipe, folder)
    assert "one picture, two labels" in caplog.text
    assert "empty/1.png ('empty')" in caplog.text
    assert "stocked/copy.png ('stocked')" in caplog.text
    rows = "file,label,group\nempty/1.png,empty,a\nempty/1.png,stocked,b\n"
    write(folder / "index.csv", rows.encode())
    message = refusal(78, "fit", recipe, "--data", folder, "--out", folder.parent / "other")
    assert "index.csv:3:" in message
    assert "has the label 'empty' already" in message


def test_a_picture_that_an_index_names_twice_counts_once(recipe, folder, caplog):
    rows = "file,label,group\nempty/1.png,empty,a\n./empty/1.png,empty,b\nstocked/3.png,stocked,c"
    write(folder / "index.csv", rows.encode())
    assert "2 pictures of 2 classes" in fit(recipe, folder)
    assert "1 rows name a picture once more" in caplog.text


def test_an_index_that_excel_wrote_is_read(recipe, folder):
    rows = "file,label,group\nempty/1.png,빈칸,a\nstocked/3.png,새우깡,b\n"
    write(folder / "index.csv", b"\xef\xbb\xbf" + rows.encode())
    assert "2 pictures of 2 classes: 빈칸 1, 새우깡 1" in fit(recipe, folder)
    write(folder / "index.csv", rows.encode("cp949"))
    message = refusal(78, "fit", recipe, "--data", folder, "--out", folder.parent / "other")
    assert "CSV UTF-8" in message


DECOMPOSED = normalize("NFD", "새우깡")


def test_a_korean_label_is_the_same_however_it_is_typed(recipe, folder, tmp_path):
    (folder / "stocked").rename(folder / "새우깡")
    (labelled,) = {p.label for p in read_data(f"{folder}={DECOMPOSED}")}
    assert labelled == "새우깡" != DECOMPOSED
    assert [p.label for p in read_data(str(folder), only=[DECOMPOSED])] == ["새우깡"]
    about = {"data": str(folder), "only": (DECOMPOSED,)}
    assert Data(**about).only == ("새우깡",)
    file = write(tmp_path / "r.yaml", f"{RECIPE}classes: [{DECOMPOSED}, empty]".encode())
    assert load_recipe(file).classes == ("새우깡", "empty")
    fit(file, folder)
    assert subset({DECOMPOSED: 1}, ["새우깡"], np.array([0]), 0) == (0,)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_file_is_found_in_both_normal_forms_of_its_name(tmp_path, forms):
    written, on_disk = (normalize(form, "과자/새우깡.png") for form in forms)
    file = write(tmp_path / on_disk, coded(picture, "PNG"))
    index = write(tmp_path / "index.csv", f"file,label,group\n{written},a,b".encode())
    assert [p.file for p in read_data(str(tmp_path))] == [file]
    index.unlink()
    write(tmp_path / "a.json", f'{{"image": "{written}", "boxes": [{BOX}]}}'.encode())
    assert [p.file for p in read_data(str(tmp_path))] == [file]


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_is_no_folder(recipe, folder, tmp_path, monkeypatch, text):
    monkeypatch.chdir(folder)
    message = refusal(2, "fit", recipe, "--data", text, "--out", tmp_path / "run")
    assert "the data is named by an empty text; is a variable in it not set?" in message


@pytest.mark.parametrize(("letter", "called"), [(";", "';'"), ("\t", "tabs")])
def test_an_index_that_is_not_separated_by_commas_is_refused_in_words(folder, letter, called):
    rows = "file,label,group\nempty/1.png,empty,a\n".replace(",", letter)
    index = write(folder / "index.csv", rows.encode())
    with pytest.raises(ConfigError) as caught:
        read_data(str(folder))
    assert f"{index}:1: its columns are separated by {called}; save it separated by commas" in str(
        caught.value
    )


def test_headings_may_be_in_capitals_and_lines_of_commas_are_none(folder):
    rows = "File, LABEL,Group,View,Split\n,,,,\nempty/1.png,empty,a,A,val\n,,,,,,\n\n,\n"
    write(folder / "index.csv", rows.encode())
    (found,) = read_data(str(folder), split="val")
    assert (found.label, found.group, found.columns["View"]) == ("empty", "a", "A")
    assert found.columns["Split"] == "val", "as whoever wrote it asks for it"


def test_a_column_of_ones_own_in_capitals_is_not_the_label(folder):
    rows = "file,label,group,Label,Group\nempty/1.png,empty,a,Cola 500 ml,shop\n"
    write(folder / "index.csv", rows.encode())
    (found,) = read_data(str(folder))
    assert (found.label, found.group, found.columns["Label"]) == ("empty", "a", "Cola 500 ml")


def test_spaces_around_the_cells_of_an_index_are_no_part_of_them(folder):
    write(folder / " 4.png", coded(picture, "PNG"))
    rows = "file, label, group, split\nempty/1.png , empty, g1, val\n 4.png,\tempty ,g1,val\n"
    write(folder / "index.csv", rows.encode())
    found = read_data(str(folder), split="val")
    assert [(p.label, p.group) for p in found] == [("empty", "g1")] * 2
    assert [p.file for p in found] == [folder / "empty" / "1.png", folder / " 4.png"]


def test_an_index_that_was_written_on_windows_finds_its_files(folder):
    write(folder / "a\\b.png", coded(picture, "PNG"))
    rows = "file,label,group\nempty\\1.png,empty,a\na\\b.png,empty,b\nempty\\9.png,empty,c"
    index = write(folder / "index.csv", rows.encode())
    with pytest.raises(ConfigError, match=r"index.csv:4: no such picture: .*empty.9\.png"):
        read_data(str(folder))
    index.write_text(rows.rpartition("\n")[0])
    found = [picture.file for picture in read_data(str(folder))]
    assert found == [folder / "empty" / "1.png", folder / "a\\b.png"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",empty,a", "this one has no file"),
        ("empty/1.png,,a", "this one has no label"),
        ("empty/1.png", "this one has no label and no group"),
        (" ,empty, ", "this one has no file and no group"),
    ],
)
def test_a_row_that_lacks_something_is_told_what(folder, row, words):
    index = write(folder / "index.csv", f"file,label,group\n{row}\n".encode())
    with pytest.raises(ConfigError) as caught:
        read_data(str(folder))
    assert str(caught.value) == f"{index}:2: a row needs file, label and group; {words}"


def test_a_comma_that_is_no_end_of_a_cell_is_told(folder):
    rows = "file,label,group\nempty/1.png,empty,a,,\nempty/2.png,tea, green,b\n"
    index = write(folder / "index.csv", rows.encode())
    with pytest.raises(ConfigError) as caught:
        read_data(str(folder))
    assert str(caught.value) == (
        f"{index}:3: more cells than the first line has columns; put a cell that has a comma in it "
        "between quotation marks"
    )
    index.write_text(rows.replace("tea, green", '"tea, green"'))
    assert [picture.label for picture in read_data(str(folder))] == ["empty", "tea, green"]


def test_two_columns_of_one_name_are_refused(folder):
    rows = "file,label,group,label,,\nempty/1.png,empty,a,stocked,,\n"
    write(folder / "index.csv", rows.encode())
    with pytest.raises(ConfigError, match=r"index.csv:1: two columns are called 'label'"):
        read_data(str(folder))


@pytest.mark.parametrize("asked", ["runs/a", "runs/a:view", "view=A"])
def test_a_run_to_temper_needs_what_it_has_not_seen(folder, asked):
    message = refusal(2, "temper", asked, "--data", folder)
    assert f"trainer temper {asked}: write RUN:COLUMN=VALUE" in message


@pytest.mark.parametrize("side", ["1e999", "NaN", '"wide"', "[]"])
def test_a_box_whose_side_is_no_number_is_refused(recipe, tmp_path, side):
    box = f'{{"label": "empty", "x": 0, "y": 0, "w": {side}, "h": 9}}'
    text = f'{{"image": "a.png", "boxes": [{box}]}}'
    data = write(tmp_path / "data" / "a.json", text.encode()).parent
    message = refusal(78, "fit", recipe, "--data", data, "--out", tmp_path / "run")
    assert "a.json: not a description of boxes" in message


@pytest.mark.parametrize(
    "text",
    [
        b"", b"no JSON", b"[1]", "과자".encode("cp949"), b"[" * 100_000,
        b'{"image": {"id": 1}}', b'{"image": {"id": 1}, "boxes": []}', b'{"image": "a.jpg"}',
        b'{"image": "a.jpg", "boxes": {"id": 1}}', b'{"images": [], "annotations": []}',
    ],
)  # fmt: skip
def test_a_json_file_that_describes_no_boxes_is_none_of_the_data(folder, text):
    write(folder / "notes.json", text)
    (folder / "dir.json").mkdir()
    assert len(read_data(str(folder))) == 3


@pytest.mark.parametrize("box", ["7", "[]", "{}", '{"label": "empty"}', '{"label": []}'])
def test_a_box_that_lacks_something_is_told_in_words(tmp_path, box):
    text = f'{{"image": "a.png", "boxes": [{BOX}, {box}]}}'
    data = write(tmp_path / "data" / "a.json", text.encode()).parent
    with pytest.raises(ConfigError) as caught:
        read_data(str(data))
    assert str(caught.value) == (
        f"{data / 'a.json'}: not a description of boxes: box 2 needs a label and the numbers "
        "x, y, w, h"
    )


def test_boxes_that_are_not_learnt_from_are_counted_and_misspelled_ones_refused(tmp_path, caplog):
    others = [BOX.replace('"empty"', f'"{label}"') for label in ("half empty", "half empty", "tag")]
    text = f'{{"image": "a.png", "source_image": null, "boxes": [{", ".join([BOX, *others])}]}}'
    data = write(tmp_path / "data" / "a.json", text.encode()).parent
    (found,) = read_data(str(data))
    assert (found.label, found.columns["source"]) == ("empty", "")
    assert "3 boxes are neither empty nor stocked and are left out: 'half empty' 2" in caplog.text
    write(data / "a.json", text.replace('"empty"', '" Empty"').encode())
    (found,) = read_data(str(data))
    with pytest.raises(ConfigError, match="label 'Empty' is none of the classes empty, stocked"):
        check_labels([found], ("empty", "stocked"))


def test_boxes_beside_their_photo_are_told_before_anything_is_learnt(tmp_path, caplog):
    data = tmp_path / "data"
    boxes = [BOX, *(f'{{"label": "empty", "x": {x}, "y": 0, "w": 9, "h": 9}}' for x in (30, 50))]
    text = f'{{"image": "a.jpg", "boxes": [{", ".join(boxes)}]}}'
    write(data / "a.json", text.encode())
    write(data / "a.jpg", rotated())
    assert read_pixels(data / "a.jpg").shape == (60, 40, 3)
    found = read_data(str(data))
    named = f"boxes that lie beside their photo: {data / 'a.jpg'} (50, 0, 9, 9)"
    with pytest.raises(ConfigError) as caught:
        usable(found, "refuse")
    assert str(caught.value) == named
    assert [picture.box[0] for picture in usable(found, "skip")] == [found[0].box[0], 30]
    assert named in caplog.text
    with pytest.raises(ConfigError, match="beside their photo"):
        usable(found[2:], "skip")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_header_tells_how_large_a_picture_is_that_is_upright(tmp_path, kind, orientation):
    about = Image.Exif()
    about[0x0112] = orientation
    file = write(tmp_path / "a", coded(upright, kind, exif=about))
    assert size_of(file) == read_pixels(file).shape[1::-1]


def test_an_orientation_that_no_decoder_believes_turns_no_box(tmp_path):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description tiff:Orientation="6" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    file = write(tmp_path / "a.jpg", coded(upright, "JPEG", xmp=xmp))
    assert Image.open(file).getexif().get(0x0112) == 6
    assert size_of(file) == read_pixels(file).shape[1::-1]


@pytest.mark.parametrize("side", ["0", "-3", "0.5"])
def test_a_box_without_pixels_is_refused_with_its_number(tmp_path, side):
    empty = f'{{"label": "empty", "x": 5, "y": 5, "w": 9, "h": {side}}}'
    text = f'{{"image": "a.png", "boxes": [{BOX}, {empty}]}}'
    data = write(tmp_path / "data" / "a.json", text.encode()).parent
    with pytest.raises(ConfigError, match=r"a.json: box 2 is less than a pixel wide or high"):
        read_data(str(data))


def test_class_folders_beside_photos_with_boxes_are_told(folder, caplog):
    write(folder / "a.json", f'{{"image": "a.png", "boxes": [{BOX}]}}'.encode())
    assert len(read_data(str(folder))) == 1
    assert "3 pictures in folders within are left out" in caplog.text


def test_photos_in_folders_that_boxes_are_drawn_on_are_not_called_left_out(folder, caplog):
    photo = next(folder.glob("*/*.png")).relative_to(folder)
    write(folder / "a.json", f'{{"image": "{photo}", "boxes": [{BOX}]}}'.encode())
    assert len(read_data(str(folder))) == 1
    assert "2 pictures in folders within are left out" in caplog.text


def test_what_is_given_twice_counts_once_where_it_is_measured(recipe, folder, caplog):
    said = fit(recipe, folder, "--data", folder)
    assert "6 pictures of 2 classes" in said
    assert "3 pictures are given once more, and count as often" in caplog.text
    asked = ("--data", folder, "--data", f"{folder / 'empty'}=empty", "--json")
    found = json.loads(trainer("evaluate", folder.parent / "run", *asked).stdout)
    assert found["n"] == 3
    assert "2 pictures are given once more, and count once" in caplog.text


def test_a_picture_that_is_given_twice_is_asked_for_by_either_ones_columns(folder):
    for name, split in (("index.csv", "train"), ("more.csv", "val")):
        rows = f"empty/1.png,empty,a,{split}\nstocked/3.png,stocked,b,val\n"
        write(folder / name, f"file,label,group,split\n{rows}".encode())
    given = [str(folder / name) for name in ("index.csv", "more.csv")]
    assert len(read_pictures(given, "split=val")) == 2
    assert len(read_pictures(given)) == 2


def test_who_leaves_out_what_shares_all_groups_is_told_so(recipe, folder):
    rows = "empty/1.png,empty,a,A\nempty/2.png,empty,b,B\nstocked/3.png,stocked,a,B\n"
    rows += "empty/1.png,empty,a,A\nempty/2.png,empty,b,A\n"
    index = rows.replace("empty/2.png,empty,b,B", "empty/2.png,empty,a,B")
    write(folder / "index.csv", f"file,label,group,view\n{index}".encode())
    out = ("--out", folder.parent / "run")
    message = refusal(2, "fit", recipe, "--data", folder, *out, "--leave-out", " view = A")
    assert "--leave-out view=A: none is left to learn from; all others share a group" in message


@pytest.mark.parametrize(
    "rows", ['a.png,"12 inch,g\nb.png,"14 inch,h\nc.png,tea,i\n', 'a.png,"Pepero" choco,g\n']
)
def test_a_stray_quotation_mark_in_an_index_swallows_no_rows(tmp_path, rows):
    for name in "abc":
        write(tmp_path / f"{name}.png", b"")
    write(tmp_path / "index.csv", f"file,label,group\n{rows}".encode())
    with pytest.raises(ConfigError, match=r"index.csv:[23]: a quotation mark"):
        read_data(str(tmp_path))


def test_blanks_around_quoted_cells_of_an_index_are_no_part_of_them(tmp_path):
    write(tmp_path / "a.png", b"")
    row = ' "a.png" , "tea, 12"" wide" ,"g" \n'
    write(tmp_path / "index.csv", f"file,label,group\n{row}".encode())
    (found,) = read_data(str(tmp_path))
    assert (found.label, found.group) == ('tea, 12" wide', "g")


def test_a_source_that_most_pictures_share_is_told(tmp_path, caplog):
    rows = "".join(f"{n}.png,tea,g{n},phone\n" for n in range(20))
    write(tmp_path / "index.csv", f"file,label,group,source\n{rows}".encode())
    for number in range(20):
        write(tmp_path / f"{number}.png", b"")
    read_data(str(tmp_path))
    assert "20 of 20 pictures have the source 'phone'" in caplog.text


@pytest.mark.parametrize(
    "box",
    [(-50, -50, 20, 20), (-50, 5, 20, 20), (5, -20, 20, 20), (60, 5, 9, 9), (5, 40, 9, 9),
     (0, 5, 0, 9), (5, 0, 9, -3)],
)  # fmt: skip
def test_a_box_of_which_nothing_lies_in_the_photo_is_refused(tmp_path, box):
    pictured = Picture(tmp_path / "a.png", "empty", "a", {}, box)
    for rng in (None, np.random.default_rng(0)):
        with pytest.raises(ConfigError) as caught:
            pictured.cut(np.zeros((40, 60, 3), np.uint8), rng, widen=0.5)
        assert str(caught.value) == f"{tmp_path / 'a.png'}: its box {box} lies beside the photo"


@pytest.mark.parametrize(
    "box", [(-19, 5, 20, 20), (59, 39, 20, 20), (5, -19, 20, 20), (5, 5, 1, 1)]
)
def test_a_box_of_which_a_pixel_lies_in_the_photo_is_cut_out_however_it_is_moved(tmp_path, box):
    pictured = Picture(tmp_path / "a.png", "empty", "a", {}, box)
    for seed in range(50):
        cut = pictured.cut(np.zeros((40, 60, 3), np.uint8), np.random.default_rng(seed), widen=0.5)
        assert min(cut.shape) >= 1


# -- what is kept back -----------------------------------------------------------------------------


def test_the_same_groups_are_held_out_whatever_the_seed_and_wherever_the_folder_lies(tmp_path):
    def held_out(folder: Path, seed: int) -> set[str]:
        about = {"name": "r", "input_size": 32, "steps": 1, "hold_out": 0.2, "seed": seed}
        mixture = open_mixture(Recipe(data=({"data": str(folder)},), **about))
        kept = {each.group for each in mixture.pictures}
        back = {each.group for each in mixture.held_out}
        assert not kept & back
        assert {each.label for each in mixture.pictures} == {"empty", "stocked", "rare"}
        return back

    for here in ("one", "two"):
        rows = ["file,label,group"]
        for i in range(41):  # each group is a photo with two slots
            label = "rare" if i == 40 else ("empty", "stocked")[i % 4 // 2]
            write(tmp_path / here / f"{i}.png", coded(Image.new("L", (9, 9), i), "PNG"))
            rows.append(f"{i}.png,{label},photo {i // 2}")
        write(tmp_path / here / "index.csv", "\n".join(rows).encode())
    back = held_out(tmp_path / "one", 0)
    assert len(back) == 4  # a fifth of the twenty groups, two of each class; the rare one has one
    assert back == held_out(tmp_path / "one", 7) == held_out(tmp_path / "two", 0)


UNMEASURED = "nothing measures the model"
IN_ONE_GROUP = "all pictures of a class are in one group, which is learnt from"


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"empty": "aaa", "stocked": "aaa"},
         f"no picture of 'empty', 'stocked', so {UNMEASURED}: {IN_ONE_GROUP}"),
        ({"empty": "a", "stocked": "b"},
         f"no picture of 'empty', 'stocked', so {UNMEASURED}: {IN_ONE_GROUP}"),
        ({"empty": "abcd", "stocked": "eee", "tea": "fgh"},
         f"no picture of 'stocked', so no figure says how well they are told: {IN_ONE_GROUP}"),
        ({"empty": "ab", "stocked": "a", "tea": "b"},
         f"{UNMEASURED}: no group can be spared"),
        ({"empty": "abc", "stocked": "de"}, ""),
    ],
)  # fmt: skip
def test_a_class_of_which_nothing_is_kept_back_is_told_once(tmp_path, caplog, groups, words):
    rows = ["file,label,group"]
    for label, letters in groups.items():
        for group in letters:
            name = f"{len(rows)}.png"
            write(tmp_path / name, coded(Image.new("L", (9, 9), len(rows)), "PNG"))
            rows.append(f"{name},{label},{group}")
    write(tmp_path / "index.csv", "\n".join(rows).encode())
    about = {"name": "r", "input_size": 32, "steps": 1, "hold_out": 0.15}
    mixture = open_mixture(Recipe(data=({"data": str(tmp_path)},), **about))
    assert not caplog.messages  # an export opens it as well, and may measure elsewhere
    warn_of_unmeasured(mixture.pictures, mixture.held_out)
    assert [words in each for each in caplog.messages] == ([True] if words else [])
    caplog.clear()
    warn_of_unmeasured(mixture.pictures, mixture.pictures)
    assert not caplog.messages, "all are measured"


def test_fit_tells_of_what_nothing_measures(tmp_path, caplog):
    photos = write_photos(tmp_path / "photos", 4)
    index = (photos / "index.csv").read_text()
    (photos / "index.csv").write_text(re.sub(r"g\d", "one", index))
    recipe = write(
        tmp_path / "r.yaml", f"{RECIPE}hold_out: 0.2\ndata: [{{data: {photos}}}]\n".encode()
    )
    fitted = trainer("fit", recipe, "--out", tmp_path / "run")
    assert fitted.returncode == 0, fitted.stderr
    assert caplog.text.count(f"so {UNMEASURED}: {IN_ONE_GROUP}") == 1


def test_fit_tells_that_what_is_held_out_is_learnt_as_well(tmp_path, caplog):
    photos = write_photos(tmp_path / "photos", 4)
    held_out = f"held_out: [{{data: {photos}}}]\ndata: [{{data: {photos}}}]\n"
    recipe = write(tmp_path / "r.yaml", f"{RECIPE}{held_out}".encode())
    fitted = trainer("fit", recipe, "--out", tmp_path / "run")
    assert fitted.returncode == 0, fitted.stderr
    assert caplog.text.count("4 of the 4 held-out pictures show what is learnt") == 1


def test_what_is_held_out_does_not_hang_on_the_order_of_data_sets_whose_names_are_alike(tmp_path):
    sets = []
    for letter in "ab":
        photos = write_photos(tmp_path / letter, 20, seed=ord(letter))
        sets.append(read_data(str(photos)))
    one, other = (hold_out(order, 0.3)[1] for order in (sets, sets[::-1]))
    assert {picture.file for picture in one} == {picture.file for picture in other}


CHOSEN = """
import random
import re
from pathlib import Path
from trainer.picture import Picture
from trainer.hold_out import _chosen

def group(number, labels):
    return [Picture(Path(f"{number}.png"), label, f"g{number}", {}) for label in labels]

chance, found = random.Random(0), []
for _ in range(400):
    labels = [chance.sample(["empty", *"abcd"], chance.randint(1, 5)) for _ in range(15)]
    found.append(sorted(_chosen({i: group(i, each) for i, each in enumerate(labels)}, 0.3)))
print(found)
"""


def test_what_is_kept_back_is_the_same_in_every_process():
    """Names hash differently in each, so that a set of them has another order."""
    found = {
        subprocess.run(
            [sys.executable, "-c", CHOSEN], env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True, check=True,
        ).stdout
        for seed in "0123"
    }  # fmt: skip
    assert len(found) == 1


# -- many and large ones ---------------------------------------------------------------------------

LOOK_AT_ALL = """
import resource, sys, time
from trainer.data import digest, prints, read_data, usable
from trainer.mixture import Mixture, batches
from trainer.recipe import Recipe

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before_mb, began_s = megabytes(), time.process_time()
pictures = read_data(sys.argv[1])
read_s = time.process_time() - began_s
began_s = time.process_time()
kept = usable(pictures, sys.argv[2])
check_s = time.process_time() - began_s
digest(prints(kept))
recipe = Recipe(name="r", input_size=32, steps=9, data=({"data": sys.argv[1]},))
list(batches(Mixture(recipe, [kept]), 0, 4))
print(len(kept), len({p.label for p in kept}), read_s, check_s, megabytes() - before_mb)
"""


@pytest.mark.parametrize(
    ("layout", "unreadable"), [("index", "refuse"), ("folders", "refuse"), ("folders", "skip")]
)
def test_twenty_thousand_photos_are_listed_in_two_seconds_and_not_loaded(
    tmp_path, layout, unreadable
):
    photos = [write(tmp_path / f"{i}.jpg", coded(noise(600 + i, 800), "JPEG")) for i in range(4)]
    data, rows = tmp_path / "data", ["file,label,group"]
    for product in range(100):
        label = f"88{product:03}_product"
        here = data / ("photos" if layout == "index" else "Training/snacks") / label
        here.mkdir(parents=True)
        for i in range(200):
            os.link(photos[i % 4], here / f"{i}.jpg")
            rows.append(f"photos/{label}/{i}.jpg,{label},{label}{i}")
    if layout == "index":
        (data / "index.csv").write_text("\n".join(rows))
    done = subprocess.run(
        [sys.executable, "-c", LOOK_AT_ALL, data, unreadable],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    pictures, classes, read_s, check_s, grown_mb = map(float, done.stdout.split())
    assert (pictures, classes) == (20_000, 100)
    assert read_s < 2
    assert check_s < 20, "to decode them all takes several times as long"
    assert grown_mb < 150


def test_large_photos_are_asked_about_one_by_one_and_decoded_once(tmp_path, monkeypatch):
    labelled = [Picture(Path(f"{i}.png"), "empty", str(i), {}) for i in range(40)]
    read: list[weakref.ref] = []
    alive = []

    def photo(self) -> np.ndarray:
        alive.append(sum(one() is not None for one in read))
        pixels = np.zeros((300, 200, 3), np.uint8)
        read.append(weakref.ref(pixels))
        return pixels

    monkeypatch.setattr(Picture, "read", photo)
    model = open_classifier()
    small = small_reader(model.input_size, room=1 << 20)
    first, _ = predict(model, labelled, small)
    assert len(read) == 40
    assert max(alive) <= 1
    assert np.array_equal(predict(model, labelled, small)[0], first)
    assert len(read) == 40
    few = small_reader(model.input_size, room=3 * small(labelled[0]).nbytes)
    assert np.array_equal(predict(model, labelled, few)[0], first)
    assert np.array_equal(predict(model, labelled)[0], first)


@pytest.mark.parametrize("balanced", [True, False])
def test_the_pixels_of_a_fit_are_gone_with_it(recipe, folder, balanced):
    about = load_recipe(recipe).model_copy(
        update={"data": (Data(data=str(folder)),), "balanced": balanced}
    )
    mixture = open_mixture(about)
    list(batches(mixture, 0, 2))
    known = weakref.ref(mixture)
    gc.disable()
    try:
        del mixture
        assert known() is None
    finally:
        gc.enable()


def test_what_is_kept_in_memory_has_a_limit_and_changes_nothing(tmp_path):
    files = [write(tmp_path / f"{i}.png", coded(noise(90 + i), "PNG")) for i in range(8)]
    one = read_pixels(files[0], near=64).nbytes
    few, all_, none = (Pixels(64, memory=kept, disk=0) for kept in (3 * one, 99 * one, 0))
    for _ in range(2):
        for file in files:
            pixels = [each.of(file) for each in (few, all_, none)]
            assert all(np.array_equal(pixels[0], each) for each in pixels)
    assert sum(few.of(file) is few.of(file) for file in files) <= 3
    assert all(all_.of(file) is all_.of(file) for file in files)
    with pytest.raises(ValueError, match="read-only"):
        all_.of(files[0])[0] = 0


def test_what_memory_does_not_hold_is_decoded_once_and_then_read_from_disk(tmp_path):
    files = [write(tmp_path / f"{i}.png", coded(noise(90 + i), "PNG")) for i in range(8)]
    fresh = [read_pixels(file, near=64) for file in files]
    one = fresh[0].nbytes
    kept, full = Pixels(64, memory=one, disk=99 * one), Pixels(64, memory=one, disk=3 * one)
    for each in (kept, full):
        assert [each.of(file).shape for file in files] == [pixels.shape for pixels in fresh]
    for file in files:
        file.unlink()
    again = [kept.of(file) for file in files]
    assert all(np.array_equal(*pair) for pair in zip(fresh, again, strict=True))
    with pytest.raises(ValueError, match="read-only"):
        again[-1][0] = 0
    assert full.of(files[2]).shape == fresh[2].shape
    with pytest.raises(UnreadableError):  # the disk's share was full by then
        full.of(files[7])


@pytest.mark.parametrize("starts_after", [0, 20])
def test_processes_of_one_machine_share_what_is_spare(starts_after):
    machine, picture, kept, rooms = {"spare": 2 << 30}, 8 << 20, 0, []
    for turn in range(400):
        if turn >= len(rooms) * starts_after and len(rooms) < 16:
            rooms.append(Room(2 << 30, lambda: machine["spare"]))
        for room in rooms:
            if room.take(picture):
                machine["spare"] -= picture
                kept += picture
    assert (2 << 30) * 0.9 < kept < (2 << 30) + len(rooms) * STEP


def test_one_process_takes_no_more_than_its_own_limit():
    room = Room(3 * STEP, lambda: 1 << 40)
    assert sum(room.take(STEP // 4) for _ in range(50)) == 12


def test_a_third_of_the_memory_stays_free(monkeypatch):
    said = {"/proc/meminfo": "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 8000 kB\n"}
    monkeypatch.setattr(Path, "read_text", lambda self: said[str(self)])
    said |= {"/sys/fs/cgroup/memory.max": "max\n"}
    assert spare_memory() == 5000 << 10
    group = {"max": f"{6000 << 10}\n", "current": f"{3000 << 10}\n", "stat": "anon 5\n"}
    said |= {f"/sys/fs/cgroup/memory.{name}": text for name, text in group.items()}
    assert spare_memory() == 1000 << 10
    said["/sys/fs/cgroup/memory.stat"] = f"anon 5\ninactive_file {500 << 10}\n"
    assert spare_memory() == 1500 << 10


def test_a_disk_that_is_full_meanwhile_costs_time_and_no_picture(tmp_path, monkeypatch, caplog):
    files = [write(tmp_path / f"{i}.png", coded(noise(90 + i), "PNG")) for i in range(2)]

    def full(*_):
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    pixels = Pixels(64, memory=0, disk=1 << 30)
    for file in [*files, *files]:
        assert np.array_equal(pixels.of(file), read_pixels(file, near=64))
    assert caplog.text.count("No space left on device") == 1


def test_where_no_file_can_be_made_pictures_are_decoded_again(tmp_path, monkeypatch, caplog):
    file = write(tmp_path / "0.png", coded(noise(90), "PNG"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    pixels = Pixels(64, memory=0)
    first, second = pixels.of(file), pixels.of(file)
    assert np.array_equal(first, second)
    assert caplog.text.count("not kept on disk") == 1


# -- the recipe for a folder of one's own ----------------------------------------------------------


def write_slots(folder: Path, *labels: str) -> Path:
    from trainer import drawn

    for number, label in enumerate(labels):
        for i in range(6):
            rng = np.random.default_rng((number, i))
            (folder / label).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / label / f"{i}.jpg"), drawn.slot(rng, label != "empty"))
    return folder


def test_a_folder_becomes_a_bundle_that_the_daemon_opens(tmp_path):
    folder = write_slots(tmp_path / "data", "empty", "8801_cola")
    said = fit(OWN, folder, *LITTLE, "--set", "steps=3")
    assert "10 pictures of 2 classes, 2 more held out: 8801_cola 5, empty 5" in said
    assert "held out" in said.splitlines()[-1]
    bundle = tmp_path / "own.onnx"
    result = trainer("export", tmp_path / "run", "--out", bundle, "--qat", "off", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["n"] == 2
    classifier = open_classifier(bundle)
    assert classifier.info.classes == ("8801_cola", "empty")
    slot = cv2.imread(str(folder / "empty" / "0.jpg"))
    assert classifier.probabilities([slot]).shape == (1, 2)


@pytest.mark.parametrize("sides", [(1, 1), (1, 900), (900, 1), (2, 3), (3, 2)])
def test_pictures_of_a_few_pixels_are_drawn_with_as_others_are(sides):
    from trainer.drawn import alter
    from trainer.drawn.looks import label

    photo = np.full((*sides, 3), ORANGE, np.uint8)
    prints = [label(np.random.default_rng(seed), photo) for seed in range(100)]
    assert {print_.shape for print_ in prints} == {(64, 64, 3)}
    assert sum((print_ == ORANGE).all() for print_ in prints) > 40
    for seed in range(100):
        assert min(alter(photo, np.random.default_rng(seed), True, photo).shape[:2]) == 16


def test_who_has_no_photo_of_an_empty_slot_gets_drawn_ones(tmp_path, caplog):
    folder = write_slots(tmp_path / "data", "cola", "tea")
    said = fit(OWN, folder, *LITTLE, "--set", "steps=2")
    assert "cola 5, empty drawn, tea 5" in said
    assert "no photo of an empty slot" in caplog.text
