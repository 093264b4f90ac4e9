"""Saving a planogram: one step, nothing of the others' lost, nobody's work overwritten."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.config import load_planogram
from edge.drawing.planogram_file import (
    KEPT,
    read_planogram_file,
    read_version,
    save_slots,
    versions,
    why_not_writable,
)
from edge.errors import ChangedError, ConfigError, UnavailableError
from edge.types import Slot

QUAD = ((0.1, 0.1), (0.3, 0.1), (0.3, 0.4), (0.1, 0.4))
WRITTEN = """\
# 구멍가게 🏪 shelves.
version: 1
cameras:
  # Drawn in May.
  aisle-1:
    slots:
      - {id: a1, name: Tea, quad: [[0.1, 0.1], [0.3, 0.1], [0.3, 0.4], [0.1, 0.4]]}

  # The fridge hangs rotated.
  fridge:      # bought used
    slots:
      - id: f1
        name: "Milk"   # the tall one
        sku: "0880"
        quad: [[0.10, 0.10], [0.30, 0.10], [0.30, 0.40], [0.10, 0.40]]
# The end.
"""


def slot(slot_id: str = "a1", name: str = "Tea", quad=QUAD, **more) -> Slot:
    return Slot(slot_id, "aisle-1", quad, name, **more)


def picture(grey: int = 128) -> np.ndarray:
    return np.full((48, 64, 3), grey, np.uint8)


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "planogram.yaml"
    path.write_text(WRITTEN)
    return path


def save(path: Path, *slots: Slot, camera="aisle-1", grey=128) -> str:
    digest = read_planogram_file(path)[1]
    return save_slots(path, camera, slots or (slot(),), picture(grey), digest)


def references(path: Path) -> set[str]:
    return {one.name for one in path.parent.glob("*.jpg")}


def test_a_first_save_creates_the_file_with_its_picture(tmp_path):
    path = tmp_path / "planogram.yaml"
    assert read_planogram_file(path) == (None, "")
    full = slot("a1-03", "Banana milk", sku="0880", priority=2)
    digest = save(path, full, slot("a1-04", "Tea"))
    found, now = read_planogram_file(path)
    assert now == digest
    assert found.slots == (full, slot("a1-04", "Tea"))
    assert found.reference_size("aisle-1") == (64, 48)
    assert versions(path) == ()


@pytest.mark.parametrize("blank", ["", " \n\n"])
def test_an_empty_file_is_a_planogram_of_nothing_yet(tmp_path, blank):
    path = tmp_path / "planogram.yaml"
    path.write_text(blank)
    assert read_planogram_file(path)[0] is None
    save(path)
    assert load_planogram(path).slots == (slot(),)


def test_what_the_operator_wrote_for_other_cameras_stays_to_the_letter(path):
    save(path, slot("a2", "Juice"))
    text = path.read_text()
    assert text.startswith("# 구멍가게 🏪 shelves.\nversion: 1\ncameras:\n  # Drawn in May.\n")
    rest = WRITTEN[WRITTEN.index("\n  # The fridge") :]
    assert text.endswith(rest)
    assert [one.slot_id for one in load_planogram(path).slots] == ["a2", "f1"]


def test_a_new_camera_comes_behind_the_others(path):
    save(path, slot("e1"), camera="end-cap")
    assert list(load_planogram(path).cameras) == ["aisle-1", "fridge", "end-cap"]
    assert path.read_text().startswith(WRITTEN.removesuffix("# The end.\n"))


@pytest.mark.parametrize(
    "text",
    [
        "{version: 1, cameras: {fridge: {slots: []}}}",
        "version: 1\ncameras: {}\n",
        "version: 1\ncameras:\n  fridge: {slots: []}",
        "\ufeffversion: 1\r\ncameras:\r\n   aisle-1:\r\n     slots: []\r\n   fridge: {}\r\n",
        "cameras:\n  aisle-1: {slots: []}\n  fridge: {slots: []}\nversion: 1\n",
        "version: 1\ncameras:\n  ? aisle-1\n  : slots: []\n  fridge: {slots: []}\n",
    ],
)
def test_every_way_to_write_the_file_is_understood(tmp_path, text):
    path = tmp_path / "planogram.yaml"
    path.write_bytes(text.encode())
    before = list(load_planogram(path).cameras)
    save(path)
    found = load_planogram(path)
    assert found.slots == (slot(),)
    assert list(found.cameras) == list(dict.fromkeys([*before, "aisle-1"]))


@example("1e-3")
@example("0123")
@example("on")
@example("2026-11-24")
@example("Tea\tgreen")
@example("Tea\x1b[2J")
@settings(max_examples=60, deadline=None)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_comes_back_as_it_was_on_one_line_or_is_refused(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("names") / "planogram.yaml"
    line = " ".join(re.split(r"[\t\n\r]+", name.strip("\t\n\r")))
    if not line or any(category(letter) == "Cc" for letter in line):
        with pytest.raises(ConfigError, match="control characters" if line else "not be empty"):
            save_slots(path, "aisle-1", [slot("a1", name, sku=name)], picture(), "")
        assert not path.exists()
        return
    save_slots(path, "aisle-1", [slot("a1", name, sku=name)], picture(), "")
    save(path, slot("f1", name), camera="fridge")
    assert load_planogram(path).slots_of("aisle-1") == (slot("a1", line, sku=line),)


@pytest.mark.parametrize(
    "written",
    [
        "# Our shelves.\n",
        "# Our shelves.\n---\n",
        "# Our shelves.\nversion: 1\ncameras: {}\n# Ask Mina.\n",
        "# Our shelves.\ncameras:   {}   # none yet\nversion: 1\n",
    ],
)
def test_the_first_slots_of_a_file_leave_its_comments(tmp_path, written):
    path = tmp_path / "planogram.yaml"
    path.write_text(written)
    save(path)
    text = path.read_text()
    assert all(line[line.index("#") :] in text for line in written.splitlines() if "#" in line)
    assert load_planogram(path).slots == (slot(),)


@pytest.mark.parametrize("fold", ["|", ">", "|-"])
def test_comments_behind_a_block_of_text_stay(tmp_path, fold):
    path = tmp_path / "planogram.yaml"
    path.write_text(f"""\
version: 1
cameras:
  aisle-1:
    slots:
      - quad: [[0.1, 0.1], [0.3, 0.1], [0.3, 0.4], [0.1, 0.4]]
        id: a1
        name: {fold}
          Tea
  # The fridge hangs rotated.
  fridge:
    slots: []
# The end.
""")
    save(path)
    assert "  # The fridge hangs rotated.\n  fridge:\n    slots: []\n# The end." in path.read_text()


def test_a_file_that_changed_underneath_is_not_overwritten(path):
    digest = read_planogram_file(path)[1]
    path.write_text(WRITTEN.replace("Tea", "Mate"))
    with pytest.raises(ChangedError, match="changed by somebody else"):
        save_slots(path, "aisle-1", [slot()], picture(), digest)
    assert "Mate" in path.read_text()
    assert references(path) == set()


def test_of_two_who_save_at_once_one_is_told(path):
    digest = read_planogram_file(path)[1]
    begin, ends = threading.Barrier(8, timeout=20), []

    def write(number: int) -> None:
        begin.wait()
        try:
            ends.append(save_slots(path, "aisle-1", [slot(f"a{number}")], picture(number), digest))
        except ChangedError:
            ends.append("changed")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert ends.count("changed") == 7
    assert read_planogram_file(path)[1] in ends
    assert len(references(path)) == 1


def test_every_problem_is_said_of_its_slot_and_nothing_is_written(path):
    mirrored = tuple(reversed(QUAD))
    wrong = [slot("A!"), slot("b", ""), slot("c", quad=mirrored), slot("f1"), slot("d"), slot("d")]
    with pytest.raises(ConfigError) as caught:
        save(path, *wrong)
    text = str(caught.value)
    assert "slot A!: id: " in text
    assert "slot b: name: " in text
    assert "slot c: quad: is mirrored" in text
    assert "slot f1: a slot of camera fridge has this id too; ids are unique in the node" in text
    assert "slot d: another slot has this id too" in text
    assert len(caught.value.problems) == 5
    assert path.read_text() == WRITTEN
    assert os.listdir(path.parent) == [path.name]


def test_earlier_versions_are_kept_with_their_pictures_and_the_oldest_go(path):
    for number in range(KEPT + 3):
        save(path, slot(f"a{number}"), grey=10 * number)
    found = versions(path)
    assert [one.version_id for one in found] == [str(n) for n in range(KEPT + 3, 3, -1)]
    assert found[0].slots == {"aisle-1": 1, "fridge": 1}
    newest = read_version(path, found[0].version_id)
    assert newest.slots[0].slot_id == f"a{KEPT + 1}"
    assert newest.reference_size("aisle-1") == (64, 48)
    assert len(references(path)) == KEPT + 1  # one a version, and the newest's
    with pytest.raises(ConfigError, match="no earlier version 1;"):
        read_version(path, "1")


def test_a_version_tells_when_it_was_saved_not_when_it_was_replaced(path):
    os.utime(path, (1_700_000_000, 1_700_000_000))
    save(path)
    assert versions(path)[0].saved_at.timestamp() == 1_700_000_000


def test_pictures_that_are_not_ours_and_those_of_other_planograms_stay(path):
    save(path)
    named = next(iter(references(path)))
    (path.parent / "other.yaml").write_text(path.read_text())
    (path.parent / "holiday.jpg").write_bytes(b"x")
    (path.parent / "shelf.20261124.jpg").write_bytes(b"a photo, called by its day")
    left = b"left by a power cut"
    ours = f"aisle-1.{hashlib.sha256(left).hexdigest()[:8]}.jpg"
    (path.parent / ours).write_bytes(left)
    for number in range(KEPT + 2):
        save(path, grey=number)
    assert {named, "holiday.jpg", "shelf.20261124.jpg"} <= references(path)
    assert ours not in references(path)


def test_a_neighbour_that_cannot_be_read_does_no_harm(path):
    (path.parent / "locked.yaml").symlink_to("/proc/self/mem")  # not even root reads this
    save(path)
    digest = save(path, slot("a2"), grey=1)
    assert read_planogram_file(path)[1] == digest
    assert len(references(path)) == 2


def test_permissions_and_links_stay(path):
    path.chmod(0o604)
    link = path.parent / "link.yaml"
    link.symlink_to(path)
    save(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o604
    assert load_planogram(path) == load_planogram(link)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_draws_belongs_to_who_has_the_folder(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 4242, 4242)
    for grey in (1, 2):
        save(folder / "planogram.yaml", grey=grey)
    assert {one.stat().st_uid for one in folder.iterdir()} == {4242}
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o644}


def test_a_broken_file_is_explained_and_left_alone(path):
    path.write_text("version: 1\ncameras: [")
    with pytest.raises(ConfigError, match=r"planogram\.yaml:2: is no valid YAML"):
        read_planogram_file(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match="is no valid YAML"):
        save_slots(path, "aisle-1", [slot()], picture(), digest)
    assert path.read_text() == "version: 1\ncameras: ["


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "missing/planogram.yaml"
    assert "missing" in why_not_writable(path)
    assert why_not_writable(tmp_path / "planogram.yaml") is None
    with pytest.raises(UnavailableError, match="missing"):
        save_slots(path, "aisle-1", [slot()], picture(), "")
