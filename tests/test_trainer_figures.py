from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from edge.classifier import Temperature
from trainer.evaluate import expected_calibration_error, figures, tempered
from trainer.export import parity
from trainer.temper import fit_temperature


def rows(*p_empty: float) -> np.ndarray:
    p = np.array(p_empty, np.float32)
    return np.stack([p, 1 - p], axis=1)


CLASSES = ("empty", "stocked")
PLAIN = Temperature(value=1, fitted_on="nothing")


def test_figures_of_four_pictures_by_hand():
    found = figures(rows(0.9, 0.6, 0.7, 0.2), np.array([0, 0, 1, 1]), CLASSES)
    assert found["top1"] == 0.75
    assert found["macro_recall"] == 0.75
    assert found["per_class"]["empty"] == {"precision": 2 / 3, "recall": 1.0, "support": 2}
    assert found["nll"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean(), abs=1e-6)
    assert found["brier"] == pytest.approx(2 * (0.01 + 0.16 + 0.49 + 0.04) / 4, abs=1e-6)
    assert found["auroc"] == 0.75


def test_where_nothing_is_known_the_figure_is_null_and_never_nan():
    found = figures(rows(0.1, 0.2), np.array([1, 1]), CLASSES)
    assert found["auroc"] is None
    assert found["per_class"]["empty"] == {"precision": None, "recall": None, "support": 0}


def test_top5_needs_the_true_class_among_the_five_likeliest():
    p = np.tile(np.linspace(1, 7, 7, dtype=np.float32), (2, 1))
    found = figures(p / p.sum(axis=1, keepdims=True), np.array([1, 2]), tuple("abcdefg"))
    assert found["top5"] == 0.5


def test_the_calibration_error_of_one_who_is_right_as_often_as_he_says_is_nought():
    confidence = np.full(100, 0.8)
    right = np.arange(100) % 5 != 0
    assert expected_calibration_error(confidence, right, bins=1) == pytest.approx(0)
    assert expected_calibration_error(confidence, np.ones(100, bool)) == pytest.approx(0.2)


def test_the_temperature_that_made_logits_too_sure_is_found_again():
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20000, 2)).astype(np.float32)
    p = np.exp(honest[:, 1]) / np.exp(honest).sum(axis=1)
    truth = (rng.random(20000) < p).astype(np.int64)
    value, shift = fit_temperature(honest * 3, truth, shift_of=None)
    assert (value, shift) == (pytest.approx(3, rel=0.05), 0)


def test_the_threshold_that_moved_in_another_shop_is_found_again():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20000, 2)).astype(np.float32)
    p = np.exp(honest[:, 1]) / np.exp(honest).sum(axis=1)
    truth = (rng.random(20000) < p).astype(np.int64)
    moved = honest - np.array([1.5, 0], np.float32)
    value, shift = fit_temperature(moved, truth, shift_of=0)
    assert (value, shift) == (pytest.approx(1, rel=0.05), pytest.approx(1.5, abs=0.1))


def test_a_shift_makes_empty_likelier_and_no_temperature_leaves_softmax():
    logits = np.array([[0, 0.5]], np.float32)
    plain = tempered(logits, None, CLASSES)
    shifted = tempered(logits, Temperature(value=1, shift=1, fitted_on="here"), CLASSES)
    assert shifted[0, 0] > 0.5 > plain[0, 0]


def test_a_quantization_that_changes_nothing_agrees_and_diverges_by_nought():
    logits = np.array([[2, -1], [0, 1]], np.float32)
    report = parity(logits, logits, np.array([0, 0]), PLAIN, CLASSES)
    assert (report["agreement"], report["kl"]) == (1.0, 0.0)
    assert report["top1_fp32"] == report["top1_int8"] == 0.5
