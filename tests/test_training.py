"""What was no empty slot becomes training data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from edge.training import Sample, TrainingFolder
from trainer.data import read_data

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
JPEG = bytes(cv2.imencode(".jpg", np.full((20, 10, 3), 9, np.uint8))[1])


def sample(number: int, slot_id: str = "a1", label: str = "stocked") -> Sample:
    return Sample(slot_id, label, NOON + timedelta(seconds=number), 0.93, JPEG)


def files(folder) -> int:
    return len(list(folder.glob("training/*/*.jpg")))


def test_the_trainer_reads_it_as_data(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.add(sample(1))
    folder.add(sample(2, "b1", "880"))
    pictures = read_data(str(tmp_path / "training"))
    assert [(one.label, one.group) for one in pictures] == [("stocked", "a1"), ("880", "b1")]
    assert all(one.file.exists() for one in pictures)


def test_what_is_taken_back_is_gone(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.add(sample(1))
    folder.add(sample(2))
    folder.remove("a1", sample(1).taken_at)
    assert [one.file.name for one in read_data(str(tmp_path / "training"))] == [
        "20261124T120002000000Z.jpg"
    ]
    assert files(tmp_path) == 1


def test_taking_back_what_was_never_kept_is_no_trouble(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.remove("a1", NOON)
    folder.add(sample(1))
    folder.remove("a1", NOON)
    assert files(tmp_path) == 1


def test_an_index_that_a_spreadsheet_has_saved_is_read(tmp_path):
    folder, index = TrainingFolder(tmp_path), tmp_path / "training" / "index.csv"
    folder.add(sample(1))
    index.write_text(index.read_text("utf-8"), "utf-8-sig")
    folder.add(sample(2))
    assert len(read_data(str(tmp_path / "training"))) == files(tmp_path) == 2


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "file,label,group,at,score\na1/x.jpg\n", "\udcb0"])
def test_an_index_that_is_none_of_ours_is_told_and_left_alone(tmp_path, text):
    folder, index = TrainingFolder(tmp_path), tmp_path / "training" / "index.csv"
    folder.add(sample(1))
    index.write_text(text, "utf-8", "surrogateescape")
    for change in (lambda: folder.add(sample(2)), lambda: folder.remove("a1", NOON)):
        with pytest.raises(OSError, match=r"index\.csv"):
            change()
    assert index.read_text("utf-8", "surrogateescape") == text
    assert files(tmp_path) == 1


@pytest.mark.parametrize(
    "spoil", [lambda index: index.write_bytes(b""), lambda index: index.unlink()]
)
def test_pictures_outlive_an_index_that_is_empty_or_gone(tmp_path, spoil):
    folder, index = TrainingFolder(tmp_path), tmp_path / "training" / "index.csv"
    for number in range(3):
        folder.add(sample(number))
    spoil(index)
    folder.add(sample(3))
    folder.remove("a1", sample(3).taken_at)
    assert files(tmp_path) == 3


def test_a_picture_elsewhere_that_an_index_names_is_left_alone(tmp_path):
    folder, index = TrainingFolder(tmp_path, max_files=1), tmp_path / "training" / "index.csv"
    folder.add(sample(1))
    (tmp_path / "mine.jpg").write_bytes(JPEG)
    index.write_text(index.read_text().replace("a1/20261124T120001000000Z.jpg", "../mine.jpg"))
    folder.add(sample(2))
    assert (tmp_path / "mine.jpg").exists()


def test_only_the_newest_are_kept(tmp_path):
    folder = TrainingFolder(tmp_path, max_files=3)
    for number in range(5):
        folder.add(sample(number, f"a{number}"))
    assert files(tmp_path) == 3
    kept = read_data(str(tmp_path / "training"))
    assert [one.group for one in kept] == ["a2", "a3", "a4"]
