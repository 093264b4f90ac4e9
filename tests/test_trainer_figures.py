from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from scipy.stats import t

from edge.classifier import Temperature, Thresholds
from edge.errors import ConfigError
from trainer.answering import tempered
from trainer.figures import (
    coarse_figures,
    expected_calibration_error,
    figures,
    presence_figures,
)
from trainer.parity import parity
from trainer.recipe import Costs, Recipe
from trainer.statistics import wilson
from trainer.temper import fit_temperature
from trainer.thresholds import aurc, risk_coverage, thresholds_for, thresholds_from, with_prior


def rows(*p_empty: float) -> np.ndarray:
    p = np.array(p_empty, np.float32)
    return np.stack([p, 1 - p], axis=1)


CLASSES = ("empty", "stocked")
PLAIN = Temperature(value=1, fitted_on="nothing")


def alone(p, truth, classes) -> dict:
    """Return the figures of pictures that have nothing to do with each other."""
    return figures(p, truth, classes, np.arange(len(truth)))


def test_figures_of_four_pictures_by_hand():
    found = alone(rows(0.9, 0.6, 0.7, 0.2), np.array([0, 0, 1, 1]), CLASSES)
    assert found["top1"] == 0.75
    assert found["macro_recall"] == 0.75
    assert found["per_class"]["empty"] == {"precision": 2 / 3, "recall": 1.0, "support": 2}
    assert found["nll"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean(), abs=1e-6)
    assert found["brier"] == pytest.approx(2 * (0.01 + 0.16 + 0.49 + 0.04) / 4, abs=1e-6)
    assert found["auroc"] == 0.75


def test_where_nothing_is_known_the_figure_is_null_and_never_nan():
    found = alone(rows(0.1, 0.2), np.array([1, 1]), CLASSES)
    assert found["auroc"] is None
    assert found["per_class"]["empty"] == {"precision": None, "recall": None, "support": 0}


def test_top5_needs_the_true_class_among_the_five_likeliest():
    p = np.tile(np.linspace(1, 7, 7, dtype=np.float32), (2, 1))
    found = alone(p / p.sum(axis=1, keepdims=True), np.array([1, 2]), tuple("abcdefg"))
    assert found["top5"] == 0.5


def test_the_calibration_error_of_one_who_is_right_as_often_as_he_says_is_zero():
    confidence = np.full(100, 0.8)
    right = np.arange(100) % 5 != 0
    for order in (np.arange(100), np.argsort(right)):  # data often comes sorted
        assert expected_calibration_error(confidence, right[order]) == pytest.approx(0)
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


@pytest.mark.parametrize("scale", [10, 20])
def test_a_far_threshold_of_large_logits_is_found_too(scale):
    rng = np.random.default_rng(2)
    for _ in range(10):
        x = rng.normal(0, scale, (200, 2)).astype(np.float32)
        odds = (x[:, 1] - x[:, 0]) / (0.45 * scale)
        truth = (rng.random(200) < 1 / (1 + np.exp(-odds))).astype(np.int64)
        x[:, 0] -= 2 * scale
        value, shift = fit_temperature(x, truth, shift_of=0)
        assert shift == pytest.approx(2 * scale, rel=0.15)
        assert value == pytest.approx(0.45 * scale, rel=0.5)


def test_a_net_that_knows_how_rare_a_class_is_keeps_its_temperature():
    """Two kinds of evidence, wrong in one of ten; a fifth is of class 0, and the net knows it."""
    truth = np.repeat([0, 1], [2000, 8000])
    evidence = np.where(np.arange(10000) % 10 == 0, 1 - truth, truth)
    for_0 = np.log(0.2 / 0.8) + np.where(evidence == 0, 1, -1) * np.log(9)
    logits = np.stack([for_0, np.zeros(10000)], axis=1).astype(np.float32)
    value, _ = fit_temperature(logits, truth, shift_of=None, equally=False)
    assert value == pytest.approx(1, rel=0.01)
    value, _ = fit_temperature(logits, truth, shift_of=None)
    assert value == pytest.approx(1.18, rel=0.02)  # for classes that are equally frequent


def test_a_few_pictures_without_an_error_hardly_change_how_sure_a_net_is():
    for each, lowest in ((1, 0.9), (20, 0.5), (2000, 0.25)):
        truth = np.repeat([0, 1], each)
        logits = np.where(np.eye(2)[truth] > 0, 3, 0).astype(np.float32)
        value, _ = fit_temperature(logits, truth, shift_of=None)
        assert lowest <= value < 1


def test_a_shift_makes_empty_likelier_and_no_temperature_leaves_softmax():
    logits = np.array([[0, 0.5]], np.float32)
    plain = tempered(logits, None, CLASSES)
    shifted = tempered(logits, Temperature(value=1, shift=1, fitted_on="here"), CLASSES)
    assert shifted[0, 0] > 0.5 > plain[0, 0]


def test_a_quantization_that_changes_nothing_agrees_and_diverges_by_zero():
    logits = np.array([[2, -1], [0, 1]], np.float32)
    report = parity(logits, logits, np.array([0, 0]), PLAIN, CLASSES)
    assert (report["agreement"], report["kl"]) == (1.0, 0.0)
    assert report["top1_fp32"] == report["top1_int8"] == 0.5


# --- fine and coarse -----------------------------------------------------------------------------

FRUIT = ("banana", "gala", "pink", "empty")
KINDS = {"gala": "apple", "pink": "apple"}


def answers(*said: tuple[float, ...]) -> np.ndarray:
    return np.array(said, np.float32)


def test_two_fine_classes_that_share_a_picture_win_as_their_coarse_class():
    p = answers((0.4, 0.3, 0.3, 0), (0.5, 0.1, 0.1, 0.3), (0, 0.2, 0.7, 0.1), (0, 0.5, 0.4, 0.1))
    found = coarse_figures(p, np.array([1, 0, 1, 3]), FRUIT, KINDS)
    assert found["coarse_top1"] == 0.75
    assert found["per_coarse"]["apple"] == {"precision": 2 / 3, "recall": 1, "support": 2}
    assert found["per_coarse"]["empty"] == {"precision": None, "recall": 0, "support": 1}
    assert found["coarse_macro_recall"] == pytest.approx(2 / 3)
    assert found["coarse_confusion"] == {
        "apple": {"apple": 2}, "banana": {"banana": 1}, "empty": {"apple": 1},
    }  # fmt: skip


# --- is the expected product there? --------------------------------------------------------------


def test_each_picture_is_asked_about_its_own_product_and_about_all_others():
    p = answers((0.9, 0.1, 0, 0), (0, 0.15, 0.85, 0), (0.1, 0, 0, 0.9))
    found = presence_figures(p, ["banana", "gala", "empty"], FRUIT, KINDS)
    every, alike, other = (found[kind] for kind in ("all", "same_coarse", "other_coarse"))
    assert (every["questions"], alike["questions"], other["questions"]) == (9, 3, 6)
    assert every["called_misplaced"] == 0.5  # the Gala; the other of two own ones is seen
    assert every["taken_for_own"] == 0.25  # as Pink Lady; of four others' that are no empty slot
    assert every["brier"] == pytest.approx((0.01 + 0.01 + 0.7225 + 0.7225 + 0.01) / 9)
    assert alike["auroc"] == 0.5
    assert alike["taken_for_own"] == 1
    assert other["taken_for_own"] == 0
    assert other["auroc"] is None  # a product is always of its own kind


def test_what_is_sure_to_stand_in_a_slot_is_judged_without_the_chance_that_it_is_empty():
    p = answers((0.1, 0.1, 0.1, 0.7))  # a third of 0.3: more than 0.2 of what is not empty
    found = presence_figures(p, ["banana"], FRUIT, {})["all"]
    assert found["called_misplaced"] == 0


def test_what_counts_as_another_product_is_judged_by_the_threshold_given():
    p = answers((0.1, 0.1, 0.1, 0.7))
    found = presence_figures(p, ["banana"], FRUIT, {}, misplaced_below=0.4)["all"]
    assert (found["called_misplaced"], found["taken_for_own"]) == (1, 0)


def test_a_product_that_was_never_learned_is_nobodys_own():
    p = answers((0.1, 0.1, 0.8, 0), (1, 0, 0, 0))
    found = presence_figures(p, ["golden", "lemon"], FRUIT, KINDS | {"golden": "apple"})
    assert found["same_coarse"]["taken_for_own"] == 0.5
    assert found["other_coarse"]["taken_for_own"] == 0.25
    assert found["all"]["called_misplaced"] is None


def test_goods_shown_to_be_told_apart_from_products_are_no_product_that_a_slot_expects():
    p = answers((0.1, 0.8, 0.1))
    found = presence_figures(p, ["other"], ("cola", "other", "empty"), {})
    assert found["all"]["questions"] == 1
    assert found["all"]["taken_for_own"] == 0


# --- answering only when sure ---------------------------------------------------------------------


def test_the_risk_is_the_error_among_the_surest_answers():
    confidence, right = np.array([0.6, 0.9, 0.8, 0.7]), np.array([False, True, False, True])
    coverage, risk = risk_coverage(confidence, right)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert aurc(confidence, right) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_answers_that_are_equally_sure_cannot_be_told_apart_whatever_their_order():
    right = np.array([True, False, True])
    assert aurc(np.full(3, 0.5), right) == aurc(np.full(3, 0.5), right[::-1])
    assert aurc(np.array([0.5, 0.4, 0.5]), right) < aurc(np.full(3, 0.5), right)


def test_the_figures_show_the_curve_at_ten_points_up_to_all_pictures():
    p = rows(*np.linspace(0, 1, 40))
    found = alone(p, (np.arange(40) < 20).astype(np.int64), CLASSES)
    assert [coverage for coverage, _ in found["risk_coverage"]] == pytest.approx(
        np.linspace(0.1, 1, 10)
    )
    assert found["risk_coverage"][-1][1] == pytest.approx(1 - found["top1"])
    low, high = found["top1_interval"]
    assert low < found["top1"] <= high
    assert len(alone(rows(0.1, 0.9), np.array([1, 0]), CLASSES)["risk_coverage"]) == 2


def test_what_is_right_or_wrong_together_says_less():
    p, truth = rows(*np.repeat([0.9, 0.9, 0.9, 0.1], 10)), np.zeros(40, np.int64)
    fours = figures(p, truth, CLASSES, np.repeat(np.arange(4), 10))["top1_interval"]
    assert alone(p, truth, CLASSES)["top1_interval"] == pytest.approx(wilson(0.75, 40))
    of_4 = float(t.ppf(0.975, 3))
    assert fours == pytest.approx(wilson(0.75, 40 * (40 / 39) / (10 * 4 / 3), of_4))


# --- thresholds from costs ------------------------------------------------------------------------


def calibrated(share: float, n: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """p(empty) of a calibrated model and whether it is, where this share is empty."""
    rng = np.random.default_rng(3)
    empty = rng.random(n) < share
    seen = rng.normal(np.where(empty, 1, -1), 1)  # so the log likelihood ratio is 2 · seen
    return 1 / (1 + np.exp(-2 * seen - np.log(share / (1 - share)))), empty


def cost(p: np.ndarray, empty: np.ndarray, threshold: float, costs: Costs) -> float:
    false, missed = (p >= threshold) & ~empty, (p < threshold) & empty
    return costs.false_alert * false.mean() + costs.missed_alert * missed.mean()


@pytest.mark.parametrize(("false_alert", "missed_alert"), [(4, 1), (1, 1), (1, 9)])
def test_no_other_threshold_costs_less_on_average(false_alert, missed_alert):
    costs = Costs(false_alert=false_alert, missed_alert=missed_alert)
    found = thresholds_from(costs, trained_share=0.3)
    p, empty = calibrated(0.3)
    least = min(cost(p, empty, threshold, costs) for threshold in np.linspace(0.02, 0.98, 49))
    assert cost(p, empty, found.empty_above, costs) <= least * 1.01


def test_where_fewer_slots_are_empty_than_in_training_the_model_must_be_surer():
    costs = Costs(false_alert=1, missed_alert=2, empty_share=0.05)
    found = thresholds_from(costs, trained_share=0.5)
    assert found.empty_above == pytest.approx(0.5 / (0.5 + 0.05 / 0.95), abs=1e-5)
    p, empty = calibrated(0.05)
    said = with_prior(p, before=0.05, after=0.5)  # as the model trained on halves says it
    best = cost(said, empty, found.empty_above, costs)
    uncorrected = thresholds_from(costs.model_copy(update={"empty_share": None}), 0.5)
    assert best < 0.8 * cost(said, empty, uncorrected.empty_above, costs)
    assert "0.05 of all slots empty, 0.5 in training" in found.chosen_for


def test_four_to_one_gives_the_daemons_general_values():
    found = thresholds_from(Costs(false_alert=4, missed_alert=1), trained_share=0.5)
    assert (found.empty_above, found.stocked_below) == (0.8, 0.4)
    assert found.chosen_for.startswith("a false alert at 4 and a missed one at 1;")


@pytest.mark.parametrize(
    "written", [{"empty_above": 0.3, "stocked_below": 0.6}, {"empty_above": 0.35}]
)
def test_thresholds_that_the_daemon_would_refuse_are_refused_in_the_recipe(written):
    thresholds = Thresholds(chosen_for="nothing", **written)
    with pytest.raises(ValueError, match="not above stocked_below"):
        Recipe(name="r", input_size=32, steps=1, thresholds=thresholds)


def test_a_threshold_that_somebody_wrote_counts_more_than_costs():
    costs = Costs(false_alert=1, missed_alert=9)
    for key in ("empty_above", "stocked_below"):
        thresholds = Thresholds(chosen_for="what I saw", **{key: 0.5 if "empty" in key else 0.1})
        recipe = Recipe(name="r", input_size=32, steps=1, thresholds=thresholds, costs=costs)
        assert thresholds_for(recipe, PLAIN, None) == thresholds


@pytest.mark.parametrize("ratio", [1e-12, 1e12, 1e18])
def test_however_lopsided_the_costs_the_daemon_can_use_the_thresholds(ratio):
    costs = Costs(false_alert=ratio, missed_alert=1, empty_share=0.05, misplaced_share=0.01)
    found = thresholds_from(costs, trained_share=0.5, own_share=1e-4)
    assert 0 < found.stocked_below < found.empty_above < 1
    assert 0 < found.misplaced_below < 1


# --- when to say that another product stands there ------------------------------------------------

PRODUCTS = 6


def asked_in_the_store(misplaced_share: float, n: int = 400_000) -> tuple[np.ndarray, np.ndarray]:
    """What a calibrated model that learnt an empty slot and PRODUCTS products, each as often, says
    of slots that are not empty: p(own product | not empty), and whether that is what stands there.
    """
    rng = np.random.default_rng(4)
    own = rng.integers(PRODUCTS, size=n)
    is_own = rng.random(n) >= misplaced_share
    shown = np.where(is_own, own, (own + rng.integers(1, PRODUCTS, size=n)) % PRODUCTS)
    where = 1.7 * np.eye(PRODUCTS + 1)  # what pictures of each class look like, empty being last
    seen = where[shown] + rng.normal(size=(n, PRODUCTS + 1))
    logits = seen @ where.T  # of all classes the same length: what else there is divides out
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p[np.arange(n), own] / (1 - p[:, -1]), is_own


def cost_of_words(q: np.ndarray, is_own: np.ndarray, threshold: float, costs: Costs) -> float:
    false, missed = (q < threshold) & is_own, (q >= threshold) & ~is_own
    return costs.false_alert * false.mean() + costs.missed_alert * missed.mean()


@pytest.mark.parametrize("misplaced_share", [0.02, 0.3])
@pytest.mark.parametrize(("false_alert", "missed_alert"), [(4, 1), (1, 1), (1, 9)])
def test_at_no_other_threshold_do_words_of_another_product_cost_less(
    false_alert, missed_alert, misplaced_share
):
    costs = Costs(
        false_alert=false_alert, missed_alert=missed_alert, misplaced_share=misplaced_share
    )
    found = thresholds_from(costs, trained_share=None, own_share=1 / PRODUCTS)
    assert found.empty_above is None
    q, is_own = asked_in_the_store(misplaced_share)
    others = [1e-5, *1 / (1 + np.exp(-np.linspace(-9, 9, 73))), 1 - 1e-5]
    least = min(cost_of_words(q, is_own, threshold, costs) for threshold in others)
    assert cost_of_words(q, is_own, found.misplaced_below, costs) <= least * 1.01


def test_where_products_are_seldom_swapped_the_general_threshold_cries_wolf():
    costs = Costs(false_alert=1, missed_alert=2, misplaced_share=0.02)
    found = thresholds_from(costs, trained_share=0.5, own_share=1 / PRODUCTS)
    q, is_own = asked_in_the_store(0.02)
    best = cost_of_words(q, is_own, found.misplaced_below, costs)
    assert best < 0.5 * cost_of_words(q, is_own, 0.2, costs)
    assert "another product in 0.02 of the slots that are not empty, 0.833 in" in found.chosen_for


def test_four_to_one_gives_the_general_value_where_goods_are_mixed_as_in_training():
    costs = Costs(false_alert=4, missed_alert=1, misplaced_share=7 / 8)
    assert thresholds_from(costs, 0.5, own_share=1 / 8).misplaced_below == 0.2


SOLD = ("cola", "empty", "other", "tea")


def of_goods(**changes) -> Recipe:
    costs = Costs(false_alert=1, missed_alert=3, misplaced_share=0.05)
    about = {"name": "r", "classes": SOLD, "input_size": 32, "steps": 1, "costs": costs}
    return Recipe(**about | changes)


def misplaced_odds(recipe: Recipe, shares: dict[str, float] | None) -> float:
    found = thresholds_for(recipe, PLAIN, shares).misplaced_below
    return found / (1 - found)


def test_what_the_model_had_to_expect_in_a_slot_is_what_it_was_shown():
    """Goods of no slot's count too, how many were empty does not; a product's share is a mean."""
    store = 3 * (0.05 / 0.95)
    balanced = of_goods(balanced=True)
    assert misplaced_odds(balanced, None) == pytest.approx(store * (1 / 3) / (2 / 3), rel=1e-5)
    shares = {"cola": 0.3, "empty": 0.5, "other": 0.1, "tea": 0.1}
    assert misplaced_odds(of_goods(), shares) == pytest.approx(store * 0.4 / 0.6, rel=1e-5)
    assert thresholds_for(of_goods(), PLAIN, None).misplaced_below is None


def test_without_a_share_of_wrong_goods_costs_leave_misplaced_to_the_general_value():
    costs = Costs(false_alert=1, missed_alert=3)
    found = thresholds_for(of_goods(balanced=True, costs=costs), PLAIN, None)
    assert found.empty_above is not None
    assert found.misplaced_below is None


def test_each_threshold_that_somebody_wrote_is_kept_and_the_others_follow_from_costs():
    written = Thresholds(empty_above=0.7, chosen_for="what I saw")
    found = thresholds_for(of_goods(balanced=True, thresholds=written), PLAIN, None)
    assert (found.empty_above, found.stocked_below) == (0.7, None)
    assert 0 < found.misplaced_below < 0.2
    assert found.chosen_for.startswith("what I saw; the rest for a false alert at 1 and a missed")
    written = Thresholds(misplaced_below=0.1, chosen_for="what I saw")
    found = thresholds_for(of_goods(balanced=True, thresholds=written), PLAIN, None)
    assert found.misplaced_below == 0.1
    assert found.empty_above == pytest.approx(0.25)


@pytest.mark.parametrize("classes", [("empty", "stocked"), ("cola", "empty")])
def test_who_knows_one_product_cannot_be_told_how_often_another_one_stands_there(classes):
    said = "to see that another product stands in a slot takes a model of several; this one knows"
    with pytest.raises(ValueError, match=f"costs.misplaced_share: {said} {', '.join(classes)}"):
        of_goods(classes=classes)
    with pytest.raises(ConfigError, match=f"costs.misplaced_share: {said}"):
        of_goods(classes=()).with_classes(classes)
    written = Thresholds(misplaced_below=0.1, chosen_for="what I saw")
    with pytest.raises(ValueError, match=f"thresholds.misplaced_below: {said}"):
        of_goods(classes=classes, costs=None, thresholds=written)
