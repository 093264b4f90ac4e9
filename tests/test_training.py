"""What was no empty slot becomes training data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np

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


def test_only_the_newest_are_kept(tmp_path):
    folder = TrainingFolder(tmp_path, max_files=3)
    for number in range(5):
        folder.add(sample(number, f"a{number}"))
    assert files(tmp_path) == 3
    kept = read_data(str(tmp_path / "training"))
    assert [one.group for one in kept] == ["a2", "a3", "a4"]
