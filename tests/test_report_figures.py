"""What single figures of the report say and draw, tried on answers made up for it: no training."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from test_report import Page, missing, row, write_study

from edge.classifier import Thresholds
from edge.errors import UsageError
from trainer.checkpoint import CurveRow
from trainer.picture import Picture
from trainer.report import _facts, _notes, _of_bundles, _once, write_report
from trainer.report.answers import (
    HELD_OUT,
    INT8,
    Answers,
    Contender,
    _ask,
    _of_run,
    same_pictures,
)
from trainer.report.certainty import alerts, of_100, reliability, risk_over_coverage
from trainer.report.curves import training_curves
from trainer.report.facts import circumstances
from trainer.report.mistakes import confusion, per_class, places, worst
from trainer.report.page import STYLE, Figure, count, page, table, words
from trainer.report.speed import (
    Point,
    Timing,
    _not_compared,
    _title,
    comparable,
    compared,
    pareto,
    said_of_two,
)
from trainer.report.studies import _rows_and_time, open_study, study_figures
from trainer.report.svg import (
    LETTER,
    Plot,
    axis,
    capped,
    dashed,
    escape,
    log_axis,
    tick_percent,
    width_of,
)

TWO = ("empty", "stocked")


def answers(p_empty: list[float], truth: list[int], name: str = "net", **more: object) -> Answers:
    """The answers of a model of two classes, every picture a group of its own."""
    p = np.array(p_empty)
    pictures = [Picture(Path(f"/pics/{i}.png"), TWO[k], str(i), {}) for i, k in enumerate(truth)]
    about = {"of": "asked", "groups": np.arange(len(truth))} | more
    return Answers(name, TWO, pictures, np.stack([p, 1 - p], axis=1), np.array(truth), **about)


def right_of(n: int, right: int, sure: float) -> Answers:
    """Answers to n pictures, half of each class, of which the first are right; all as sure."""
    truth = [i % 2 for i in range(n)]
    says = [k if i < right else 1 - k for i, k in enumerate(truth)]
    return answers([sure if k == 0 else 1 - sure for k in says], truth)


def contender(name: str, **about: object) -> Contender:
    return Contender(name, None, TWO, {}, Thresholds(chosen_for="all"), "FP32", {}, **about)


class Coin:
    """A model that is as sure of either class."""

    input_size = 8

    def probabilities(self, crops):
        return np.full((len(crops), 2), 0.5)


def words_of(figure: Figure) -> str:
    return Page(figure.html()).words


# -- numbers on axes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0.11), (0, 0.02), (0.976, 0.991), (0, 0.007), (0.9, 0.92), (0, 1)]
)
def test_a_tick_of_a_share_says_its_own_number(low, high):
    ticks = axis("right", [low, high], tick_percent, most=1).ticks
    said = [tick_percent(tick) for tick in ticks]
    assert len(set(said)) == len(ticks) >= 3
    for tick, text in zip(ticks, said, strict=True):
        assert float(text.removesuffix(" %")) / 100 == pytest.approx(tick, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("fastest", [0.11, 0.7, 1.0, 1.1, 2.6, 3.3, 4.9, 9.7, 33])
@pytest.mark.parametrize("times", [1, 1.3, 4, 20, 115, 130, 1000])
def test_an_axis_of_times_has_three_ticks_at_least(fastest, times):
    found = log_axis("ms", [fastest, fastest * times])
    assert len(found.ticks) >= 3
    assert all(found.low <= tick <= found.high for tick in found.ticks)
    plot = Plot(found, axis("right", [0, 1]))
    spans = [(plot.at(t, 0)[0], width_of(f"{t:g}") / 2) for t in found.ticks]
    for (left, half), (right, other) in pairwise(spans):
        assert right - left > half + other  # no number touches its neighbour


def test_a_number_below_one_is_never_written_as_one():
    assert [capped(v, 3) for v in (1, 0.99996, 0.9994, 0.5)] == ["1.000", "0.999", "0.999", "0.500"]
    assert capped(0.99999, 4) == "0.9999"
    almost = answers([0.9] * 199 + [0.3] + [0.2] * 199 + [0.31], [0] * 200 + [1] * 200)
    assert 0.99995 < almost.figures["auroc"] < 1
    said = alerts(almost).caption
    assert "(AUROC) 0.9999" in said
    assert "1.0000" not in said
    assert "0.999" in Page(page("", "", _facts(almost), [], "")).words


def test_a_number_stays_on_the_line_of_its_unit():
    assert words("81 % in 3 ms, of milk") == "81\u00a0% in 3\u00a0ms, of milk"
    [head] = re.findall("<dd>.*?</dd>", page("", "", [("right", "81 %")], [], ""))
    assert head == "<dd>81\u00a0%</dd>"
    shown = confusion(right_of(4, 3, 0.9), {}, lambda picture: False).html()
    assert "50\u00a0%</td>" in shown
    cells = re.findall(
        "<td>.*?</td>", table(("", "right", "name"), [("a", "82 %", "milk 3 % fat")])
    )
    assert cells == ["<td>82\u00a0%</td>", "<td>milk 3 % fat</td>"]
    assert escape("runs/7 ms") == "runs/7 ms"  # a path is copied as it is


def test_one_of_a_class_is_no_classes():
    assert [count(1, "class"), count(2, "class"), count(2, "run")] == [
        "1 class", "2 classes", "2 runs",
    ]  # fmt: skip


# -- how far it can be trusted --------------------------------------------------------------------


def test_a_title_scales_both_of_its_halves_or_none():
    assert of_100(97, 200, "alerts", "are right", scaled=False) == "Of 200 alerts 97 are right"
    few = answers([0.9] * 79 + [0.9] * 41 + [0.1] * 60, [0] * 79 + [1] * 101)
    assert alerts(few).title == (
        "Of 120 alerts 79 are right at the general threshold; of 79 empty slots 79 are found"
    )
    many = answers([0.9] * 110 + [0.1] * 110, [0] * 110 + [1] * 110)
    assert alerts(many).title.startswith("Of 100 alerts 100 are right")
    chosen = replace(many, thresholds=Thresholds(empty_above=0.5, chosen_for="costs"))
    assert "at the chosen threshold" in alerts(chosen).title


def test_of_pictures_of_a_single_class_no_precision_is_drawn():
    assert alerts(answers([0.9, 0.8], [0, 0])) is None
    assert alerts(answers([0.9, 0.8], [0, 1])) is not None


def test_the_averaged_curve_counts_a_name_that_is_said_of_nothing_as_its_dot_does():
    p = np.eye(3)[[0, 0, 1, 2]]
    three = Answers("net", ("a", "b", "gone"), [None] * 4, p, np.array([0, 0, 1, 1]), np.arange(4),
                    "asked")  # fmt: skip
    curve = re.search(r'<polyline class="main" points="([^"]*)"', alerts(three).body)[1]
    highest = min(float(point.split(",")[1]) for point in curve.split())
    dot = float(re.search(r'class="main" cx="[\d.]+" cy="([\d.]+)"', alerts(three).body)[1])
    assert highest == pytest.approx(dot, abs=0.1)  # precision 2/3: two of three names


@pytest.mark.parametrize(
    ("n", "right", "sure", "said"),
    [
        (
            40,
            36,
            0.96,
            "As far as 40 pictures can tell, on average it is as sure as it should be: 96 %",
        ),
        (4000, 3600, 0.96, "It is surer than it should be: 96 % on average, 90 % right"),
        (4000, 3600, 0.85, "It is less sure than it should be: 85 % on average, 90 % right"),
        (100000, 98000, 0.984, "It is surer than it should be: 98.4 % on average, 98.0 % right"),
    ],
)
def test_how_sure_it_should_be_is_judged_by_what_so_many_pictures_can_tell(n, right, sure, said):
    assert reliability(right_of(n, right, sure)).title.startswith(said)


@pytest.mark.parametrize(("n", "bins"), [(1, 1), (12, 1), (40, 4), (5000, 15)])
def test_a_bin_has_ten_pictures_at_least(n, bins):
    drawn = reliability(right_of(n, max(1, n * 9 // 10), 0.9))
    assert drawn.body.count("<circle") == bins
    assert f"{count(bins, 'bin')} of equally many of {count(n, 'picture')}" in drawn.caption


@pytest.mark.parametrize("n", [3, 4, 7, 1013])
def test_the_dot_of_80_percent_lies_on_the_curve(n):
    one = right_of(n, n - n // 3, 0.9)
    one = replace(one, p=np.linspace(0.6, 0.9, n)[:, None] * one.p / one.p.max(axis=1)[:, None])
    body = risk_over_coverage(one).body
    curve = re.search(r'<polyline class="main" points="([^"]*)"', body)[1].split()
    for x, y in re.findall(r'class="main" cx="([\d.]+)" cy="([\d.]+)"', body):
        assert f"{x},{y}" in curve


def test_a_bundle_that_was_fitted_on_the_pictures_it_is_asked_says_so(tmp_path):
    kept = tuple(Picture(tmp_path / f"{i}.png", TWO[i % 2], str(i), {}) for i in range(4))
    for picture in kept:
        cv2.imwrite(str(picture.file), np.full((8, 8, 3), 90, np.uint8))
    run = replace(contender("run"), known=(), recipe={"seed": 1}, about={"data": "d1"},
                  held_out=kept)  # fmt: skip
    bundle = replace(run, name="own.onnx", known=None, held_out=(), runs_as=INT8, model=Coin(),
                     fitted_on="INT8 logits of 4 held-out pictures")  # fmt: skip
    own = _of_run(bundle, [run])
    assert own.known == ()
    assert _of_run(replace(bundle, about={"data": "d2"}), [run]).known is None
    others = [replace(picture, group="other") for picture in kept]
    assert _ask(own, kept, HELD_OUT).answers.fitted_here
    assert not _ask(own, others, "given").answers.fitted_here
    assert not _ask(bundle, kept, HELD_OUT).answers.fitted_here
    less = replace(bundle, fitted_on="INT8 logits of 3 held-out pictures")
    assert not _ask(_of_run(less, [run]), kept, HELD_OUT).answers.fitted_here


def test_a_diagram_of_what_the_temperature_was_fitted_on_is_no_proof():
    fitted = reliability(replace(right_of(40, 36, 0.9), fitted_here=True))
    assert fitted.title.endswith("; its temperature was fitted to be so here")
    assert "fitted on these same pictures" in fitted.caption
    off = reliability(replace(right_of(4000, 3600, 0.96), fitted_here=True))
    assert off.title.endswith("90 % right, though its temperature was fitted here")
    assert "fitted" not in reliability(right_of(40, 36, 0.9)).html()


def test_a_class_that_is_never_said_is_counted_and_told():
    p = np.eye(3)[[0, 0, 1, 1]]
    three = Answers("net", ("a", "b", "c"), [None] * 4, p, np.array([0, 0, 1, 2]), np.arange(4),
                    "asked")  # fmt: skip
    assert alerts(three).title == (
        "Averaged over the classes, a name that it says is right in 50 % of cases (1 class it "
        "never says counted as never right), and 67 % of a product's pictures get its name"
    )


def test_where_nothing_alerts_the_title_says_so():
    quiet = answers([0.3] * 3 + [0.1] * 3, [0] * 3 + [1] * 3)
    assert alerts(quiet).title == (
        "There is no alert at the general threshold of 0.8; of 3 empty slots 0 are found"
    )
    assert "<circle" not in alerts(quiet).body


def test_beside_a_run_what_its_bundle_does_in_the_shop_is_shown():
    net = replace(right_of(40, 36, 0.9), name="own")
    shipped = replace(net, name="own.onnx")
    asked = [replace(contender("own"), answers=net),
             replace(contender("own.onnx"), runs_as=INT8, answers=shipped)]  # fmt: skip
    [section] = _of_bundles(asked, net)
    assert section.title == "In the shop: own.onnx"
    assert section.note.startswith("Of 40 pictures asked, own.onnx names 36 right: 90 %")
    assert [figure.title for figure in section.figures] == [
        alerts(shipped).title, reliability(shipped).title,
    ]  # fmt: skip
    assert _of_bundles(asked, shipped) == []  # then it is what the whole page talks about
    elsewhere = replace(asked[1], answers=replace(shipped, pictures=shipped.pictures[:1]))
    assert _of_bundles([asked[0], elsewhere], net) == []


# -- who is compared ------------------------------------------------------------------------------


def point(name: str, found: Answers, ms: float, spread: float = 0.01) -> Point:
    return Point(name, replace(found, name=name), Timing(ms, ms - spread, ms + spread), "")


def test_who_has_learnt_the_answers_is_not_on_the_front():
    honest, knows = right_of(100, 80, 0.9), replace(right_of(100, 100, 0.9), learnt=100)
    points = [point("honest", honest, 1), point("knows", knows, 2)]
    assert [one.name for one in pareto(comparable(points))] == ["honest"]
    assert [one.name for one in comparable(points[1:])] == ["knows"]
    unknown = replace(knows, learnt=None)
    assert [one.name for one in comparable([points[0], point("x", unknown, 2)])] == ["honest"]


def test_a_difference_that_is_chance_is_no_title():
    best, chance, worse = (right_of(200, n, 0.9) for n in (180, 179, 120))
    assert compared(point("a", best, 2), point("b", chance, 1)) == (
        "There is no clear difference in accuracy between a and b; b is 2.0 times as fast"
    )
    assert compared(point("a", best, 1.005), point("b", chance, 1)) == (
        "There is no clear difference in accuracy between a and b, and they are about as fast"
    )
    assert compared(point("a", best, 2), point("b", worse, 1)) == (
        "a is right 30.0 points more often than b and takes 2.0 times as long"
    )
    assert compared(point("a", best, 1.005), point("b", worse, 1)).endswith("and about as fast")
    assert said_of_two("a", "b", 0.04, 2).startswith("a is right 0.04 points more often than b")
    assert compared(point("a", best, 1), point("b", worse, 2)).endswith("and 2.0 times as fast")
    alone = replace(best, groups=np.zeros(200, int))
    assert "no clear difference" in compared(point("a", alone, 1), point("b", worse, 2))


def test_who_is_drawn_and_not_compared_is_named():
    honest = point("a", right_of(4, 3, 0.9), 1)
    knows = point("b", replace(right_of(4, 3, 0.9), learnt=1), 1)
    assert _not_compared([honest, knows], [honest]) == (
        " Drawn but not compared, as not known to have learnt none of them: b."
    )
    assert _not_compared([honest], [honest]) == ""


def test_pictures_are_the_same_however_their_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = replace(answers([0.9], [0]), pictures=[Picture(Path("a.png"), "empty", "0", {})])
    there = replace(here, pictures=[Picture(tmp_path / "sub" / ".." / "a.png", "empty", "0", {})])
    (tmp_path / "sub").mkdir()
    assert same_pictures(here, there)
    assert not same_pictures(here, replace(there, pictures=[replace(here.pictures[0], label="x")]))


def test_a_run_that_knows_none_of_the_labels_says_so_in_short():
    classes = tuple(f"product-{i}" for i in range(80))
    labels = ("cola", "tea", "milk")
    pictures = [Picture(Path(f"{name}.png"), name, name, {}) for name in labels]
    why = _ask(replace(contender("run"), classes=classes), pictures, HELD_OUT).why
    assert why == "it knows no 'cola' and 2 other labels of these pictures"


def test_the_curves_title_speaks_of_the_run_that_the_page_is_about():
    rows = {
        name: (CurveRow(1, 1.0, 0.1, 0.5, end, 1.0),) for name, end in (("own", 0.8), ("x", 0.9))
    }
    runs = [replace(contender(name), curve=curve, measured_on=name) for name, curve in rows.items()]
    [figure] = training_curves(runs, "own")
    assert figure.title.startswith("own ends at 80 % right")
    assert "Other held-out pictures than those of own, or not known: x." in figure.caption
    alike = [replace(run, measured_on="same") for run in runs]
    assert "Other held-out" not in training_curves(alike, "own")[0].caption


def test_losses_that_mean_something_else_are_not_drawn_on_one_axis():
    curve = (CurveRow(1, 1.0, 0.1, 0.5, 0.8, 1.0), CurveRow(2, 2.0, 0.1, 0.4, 0.8, 1.0))
    own, same, pupil = (
        replace(contender(name), curve=curve, recipe={"epochs": number, "distill": teacher})
        for name, number, teacher in (("own", 1, None), ("same", 2, None), ("pupil", 1, {"T": 4}))
    )
    [figure] = training_curves([own, same, pupil], "own")
    _, loss, held_out, _ = figure.body.split("<svg ")
    assert [drawn.count("<polyline") for drawn in (loss, held_out)] == [2, 3]
    assert "Of another loss, and not drawn in the first: pupil." in figure.caption
    wider = replace(same, classes=("empty", "stocked", "tea"))
    assert "not drawn in the first: same." in training_curves([own, wider], "own")[0].caption
    assert "another loss" not in training_curves([own, same], "own")[0].caption


def test_where_the_page_is_about_no_run_the_first_stands_out_in_the_curves():
    curve = (CurveRow(1, 1.0, 0.1, 0.5, 0.8, 1.0), CurveRow(2, 2.0, 0.1, 0.4, 0.8, 1.0))
    runs = [replace(contender(name), curve=curve) for name in ("a", "b")]
    [figure] = training_curves(runs, "bundle.onnx")
    assert figure.title.startswith("a ends at")
    assert figure.body.count('<polyline class="main"') == 3


def test_lines_that_are_not_talked_about_are_told_apart_by_their_dashes():
    others = [replace(right_of(40, n, 0.9), name=f"run {n}") for n in (20, 30)]
    body = risk_over_coverage(right_of(40, 36, 0.9), others).body
    for number in range(2):
        assert f'<polyline class="{dashed(number)}"' in body
        assert f"svg polyline.dash-{number} {{ stroke-dasharray" in STYLE


def test_the_name_of_a_line_that_ends_early_stands_beside_its_end_and_over_no_line():
    plot = Plot(axis("step", [0, 100]), axis("loss", [0, 1]), room=60)
    plot.line([0, 100], [1, 0.2])
    plot.line([0, 40], [1, 0.1])
    plot.ends([("long", "main", 100, 0.2), ("short", "other", 40, 0.1)])
    drawn = plot.svg("loss")
    left = float(re.search(r'<text class="other" x="([\d.]+)"', drawn)[1])
    assert abs(left - plot.at(40, 0.1)[0]) < 70


def test_names_of_lines_that_end_together_stand_apart_each_with_a_stroke_to_its_own():
    plot = Plot(axis("step", [0, 100]), axis("right", [0, 1]), room=60)
    plot.ends([("a", "main", 100, 0.5), ("b", "other", 100, 0.5), ("c", "other", 100, 0.1)])
    drawn = plot.svg("right")
    bases = {
        name: float(base)
        for base, name in re.findall(
            r'<text class="(?:main|other)" x="[\d.]+" y="([\d.]+)"[^>]*>(\w)<', drawn
        )
    }
    assert abs(bases["a"] - bases["b"]) >= LETTER
    strokes = re.findall(r'<line class="leader" x1="[\d.]+" y1="([\d.]+)"', drawn)
    wished = f"{plot.at(100, 0.5)[1]:.1f}"
    assert strokes == [wished]  # one of both moved; the third has its own place


def test_a_run_has_the_same_dashes_in_every_plot():
    loss_only = CurveRow(1, 1.0, 0.1, 0.5, None, 1.0), CurveRow(2, 2.0, 0.1, 0.4, None, 1.0)
    both = tuple(replace(each, held_out=0.5) for each in loss_only)
    runs = [replace(contender(name), curve=curve)
            for name, curve in (("own", both), ("blind", loss_only), ("third", both))]  # fmt: skip
    _, loss, held_out, _ = training_curves(runs, "own")[0].body.split("<svg ")
    assert f'<polyline class="{dashed(1)}"' in loss
    assert f'<polyline class="{dashed(1)}"' in held_out
    assert f'<polyline class="{dashed(0)}"' not in held_out


def test_where_all_have_learnt_the_answers_the_title_says_so():
    points = [point(name, replace(right_of(100, n, 0.9), learnt=n), ms)
              for name, n, ms in (("a", 99, 2), ("b", 60, 1))]  # fmt: skip
    assert _title(points, pareto(points)).endswith("learnt some of these pictures, or may have")
    honest = [replace(one, answers=replace(one.answers, learnt=0)) for one in points]
    assert _title(honest, pareto(honest)).endswith("times as long")


def test_the_header_names_who_else_has_learnt_the_pictures():
    own = right_of(4, 3, 0.9)
    others = [replace(own, name=name, learnt=n) for name, n in (("a", 4), ("b", None), ("c", 0))]
    assert _notes(own, others, []) == [
        "a has learnt from 4 of them. Whether b has learnt from them is not known."
    ]


# -- mistakes -------------------------------------------------------------------------------------


def test_mistakes_are_named_by_their_place_below_the_nearest_common_folder():
    files = ("/d/a/shelf.jpg", "/d/b/shelf.jpg", "/d/b/shelf.jpg")
    boxes = (None, (1, 2, 3, 4), (5, 6, 7, 8))
    pictures = [Picture(Path(f), "x", "0", {}, b) for f, b in zip(files, boxes, strict=True)]
    assert places(pictures) == [
        "a/shelf.jpg", "b/shelf.jpg at 1, 2, 3, 4", "b/shelf.jpg at 5, 6, 7, 8",
    ]  # fmt: skip
    assert places(pictures[:1]) == ["shelf.jpg"]


def test_a_picture_that_cannot_be_read_does_not_stop_the_page_and_a_missing_one_is_said(tmp_path):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    cv2.imwrite(str(good), np.full((8, 8, 3), 90, np.uint8))
    broken.write_text("no picture")
    two = answers([0.9, 0.9], [0, 1])
    pictures = [Picture(broken, "empty", "0", {}), Picture(good, "stocked", "1", {})]
    two = replace(two, pictures=pictures)
    shown = confusion(two, {}, lambda picture: True).html()
    assert "no other picture" in shown  # of what was taken for empty there is none else
    assert "cannot be read" in shown
    assert shown.count("<img") == 1
    assert "cannot be read" in worst(replace(two, p=two.p[:, ::-1]), lambda picture: True)[0].html()


def test_in_the_place_of_a_picture_that_must_not_be_shown_stands_that(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        cv2.imwrite(str(file), np.full((8, 8, 3), 90, np.uint8))
    three = answers([0.9, 0.9, 0.9], [0, 0, 1])
    pictures = [replace(p, file=f) for p, f in zip(three.pictures, files, strict=True)]
    three = replace(three, pictures=pictures)
    shown = confusion(three, {}, lambda picture: picture.label == "stocked").html()
    assert shown.count("<img") == 1  # what was taken for empty; not the empty one beside it
    assert "not shown" in shown
    assert "<img" not in confusion(three, {}, lambda picture: False).html()


def test_few_classes_are_named_above_their_columns_and_the_rest_is_no_class():
    few = confusion(answers([0.9, 0.9], [0, 1]), {}, lambda picture: False).html()
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', few)
    assert heads == ["there ↓ says →", "<bdi>empty</bdi>", "<bdi>stocked</bdi>", "found"]
    classes = tuple("other" if i == 3 else f"class {i}" for i in range(13))
    truth = np.arange(13)
    many = Answers("net", classes, [None] * 13, np.eye(13), truth, truth, "asked")
    shown = words_of(confusion(many, {}, lambda picture: False))
    assert "the rest" in shown
    assert "'other' is" not in shown
    assert "1 more class" in words_of(per_class(many))
    [row_names] = re.findall(r"table.matrix tbody th \{(.*?)\}", STYLE, re.DOTALL)
    assert "position: sticky" in row_names
    assert "min-width: 7rem" in row_names  # or a phone breaks them after every other letter


# -- studies --------------------------------------------------------------------------------------


def test_the_trick_that_brings_most_is_one_that_clearly_helps(tmp_path):
    rows = [row("full", None, 0, 0, 0), row("full-mixup", "full", -3, -7, 1),
            row("full-ema", "full", -1, -1.5, -0.5)]  # fmt: skip
    figure = study_figures(open_study(write_study(tmp_path / "s", "ablate", rows)))[0]
    assert figure.title == (
        "1 of 2 tricks clearly helps the full recipe; ema brings most, 1.0 points"
    )


def test_a_study_that_was_stopped_says_how_far_it_is(tmp_path):
    one = row("single", None, 0, 0, 0) | {"repeats": 1}
    study = write_study(tmp_path / "s", "kfold", [one, missing("ensemble")])
    about = json.loads((study / "study.json").read_text()) | {"repeats": 5}
    (study / "study.json").write_text(json.dumps(about))
    assert open_study(study).note == "1 of 5 repeats so far. Not measured yet: ensemble."


def test_a_study_shows_accuracy_against_milliseconds(tmp_path):
    slow = row("ensemble", "single", 4, 1, 7) | {"ms_per_image": {"mean": 5.0, "std": 0.1}}
    slow |= {"figures": {"top1": {"mean": 0.85, "std": 0.01}}}
    study = open_study(write_study(tmp_path / "s", "kfold", [row("single", None, 0, 0, 0), slow]))
    [figure] = _rows_and_time(study)
    assert figure.title == (
        "ensemble is right 4.0 points more often than single and takes 5.0 times as long"
    )
    chance = open_study(write_study(tmp_path / "c", "kfold", [
        row("single", None, 0, 0, 0), slow | {"compared_with": None, "difference": None},
    ]))  # fmt: skip
    assert _rows_and_time(chance)[0].title == (
        "There is no clear difference in accuracy between ensemble and single; single is 5.0 times "
        "as fast"
    )
    loose = slow | {"difference": slow["difference"] | {"std_folds": 9.0}}  # over 6 fits: 9.4
    restless = open_study(
        write_study(tmp_path / "r", "kfold", [row("single", None, 0, 0, 0), loose])
    )
    assert _rows_and_time(restless)[0].title == _rows_and_time(chance)[0].title
    alike = slow | {"ms_per_image": {"mean": 1.1, "std": 0.1}}
    tie = open_study(write_study(tmp_path / "t", "kfold", [row("single", None, 0, 0, 0), alike]))
    assert _rows_and_time(tie)[0].title == (
        "ensemble is right 4.0 points more often than single and about as fast"
    )
    once = [row("single", None, 0, 0, 0), slow]
    for each, ms in zip(once, (1.0, 1.003), strict=True):  # of one repeat there is no spread
        each["ms_per_image"] = {"mean": ms, "std": None}
    short = open_study(write_study(tmp_path / "n", "kfold", once))
    assert _rows_and_time(short)[0].title == _rows_and_time(tie)[0].title
    slow["ms_per_image"] = {"mean": 5.0, "std": 0.1}
    turned = row("single", "ensemble", -4, -7, -1), slow | {"compared_with": None}
    other = open_study(write_study(tmp_path / "o", "kfold", list(turned)))
    assert _rows_and_time(other)[0].title == figure.title
    assert study_figures(study)[-2:-1] == [figure]  # the table comes last
    lone = write_study(tmp_path / "l", "kfold", [row("single", None, 0, 0, 0)])
    assert _rows_and_time(open_study(lone)) == []


def test_a_dot_at_100_percent_does_not_touch_its_number(tmp_path):
    whole = row("single", None, 0, 0, 0) | {
        "top1_per_repeat": [1.0], "figures": {"top1": {"mean": 1.0, "std": 0}},
        "intervals": {"top1": [0.9, 1.0]},
    }  # fmt: skip
    body = study_figures(open_study(write_study(tmp_path / "s", "kfold", [whole])))[0].body
    dot = float(re.search(r'<circle class="main" cx="([\d.]+)"', body)[1])
    assert 360 - width_of("100 %") - dot > 4 + 6


def test_a_page_of_a_study_alone_leads_with_what_the_study_found(tmp_path):
    study = write_study(tmp_path / "s", "kfold", [row("single", None, 0, 0, 0)])
    write_report(tmp_path / "r.html", [], studies=[study])
    shown = Page((tmp_path / "r.html").read_text()).words
    assert "single names 81 % of unseen pictures right." in shown
    assert "--data names some" not in shown
    with pytest.raises(UsageError, match="name the run or the --bundle to ask"):
        write_report(tmp_path / "r.html", [], data=["pictures"], studies=[study])


def test_a_trick_whose_gain_hangs_on_the_fit_does_not_clearly_help(tmp_path):
    """Of 6 fits that spread by 1 point the mean is known within 1.05."""
    rows = [row("full", None, 0, 0, 0)]
    for name, points, std in (("ema", -1, 1.0), ("mixup", -1.1, 1.0), ("warmup", 1, 1.0)):
        trick = row(f"full-{name}", "full", points, points - 0.1, points + 0.1)
        trick["difference"]["std_folds"] = std
        rows.append(trick)
    figure = study_figures(open_study(write_study(tmp_path / "s", "ablate", rows)))[0]
    assert figure.title == (
        "1 of 3 tricks clearly helps the full recipe; mixup brings most, 1.1 points"
    )


def test_a_page_of_several_studies_leads_with_what_each_found(tmp_path):
    folds = write_study(tmp_path / "f", "kfold", [row("single", None, 0, 0, 0)])
    tricks = write_study(tmp_path / "t", "ablate", [
        row("full", None, 0, 0, 0), row("full-mixup", "full", -2, -3, -1),
    ])  # fmt: skip
    write_report(tmp_path / "r.html", [], studies=[folds, tricks])
    shown = Page((tmp_path / "r.html").read_text()).words
    assert (
        "Cross-validation: tricks: single names 81 % of unseen pictures right. The tricks one by "
        "one: tricks: 1 of 1 trick clearly helps the full recipe; mixup brings most, 2.0 points."
    ) in shown


def test_what_is_named_twice_is_shown_once(tmp_path):
    study = write_study(tmp_path / "s", "kfold", [row("single", None, 0, 0, 0)])
    write_report(tmp_path / "r.html", [], studies=[study, tmp_path / "s" / ".." / "s"])
    assert (tmp_path / "r.html").read_text().count('<section id="study-') == 1
    named = [Path("b"), Path("a"), Path("x/../b")]
    assert _once(named) == [Path("b"), Path("a")]


# -- access ---------------------------------------------------------------------------------------


def test_who_cannot_see_is_told_findings_and_what_scrolls():
    figure = reliability(right_of(40, 36, 0.9))
    [drawing] = Page(figure.html()).of("svg")
    assert drawing["aria-label"].replace("\u00a0", " ").endswith(figure.title)
    frames = [a for a in Page(figure.html()).of("div") if a.get("class") == "scroll"]
    assert frames
    assert all(frame["role"] == "region" and frame["aria-label"] for frame in frames)
    assert "min-height: 44px" in STYLE


def test_a_name_written_from_right_to_left_does_not_turn_the_numbers_around_it():
    assert words("Most often مرحبا is taken") == "Most often <bdi>مرحبا</bdi> is taken"
    assert words("milk & tea") == "milk &amp; tea"


def test_a_printed_page_does_not_part_titles_from_figures():
    printed = STYLE[STYLE.rindex("@media print") :]
    for rule in ("h2, h3 { break-after: avoid }", "break-inside: avoid", "overflow: visible"):
        assert rule in printed


def test_a_single_model_is_not_made_from_the_same_data_as_itself():
    one = replace(contender("own"), about={"data": "d1"})
    assert circumstances([one])[0].title == "What own was made from and with"
    assert circumstances([one, one])[0].title == "2 models, made from the same data"
