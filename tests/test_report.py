"""The report as its reader gets it: one file, asking nobody for anything, saying what is so."""

from __future__ import annotations

import html
import json
import re
import shutil
import signal
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer is an extra: pip install -e .[trainer]")

from fitting import tiny, trained, trainer, write_photos

from trainer.data import read_data
from trainer.evaluate import evaluate
from trainer.lineage import LEARNT
from trainer.mixture import open_mixture
from trainer.report.answers import Answers
from trainer.report.certainty import alerts, of_100
from trainer.report.mistakes import per_class
from trainer.report.speed import Point, Timing, pareto
from trainer.report.svg import axis, percent, places_beside, shortened, width_of
from trainer.train import StoppedError, fit

HOSTILE = '<script>alert("1")</script>'
KOREAN = "바나나우유 240 ml"


class Page(HTMLParser):
    """What a browser would make of the file: tags with their attributes, figures, texts."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self._inside: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag == "h3":
            self.titles.append("")

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        data = data.replace("\u00a0", " ")  # which keeps a number with its unit
        if "h3" in self._inside:
            self.titles[-1] += data
        if "style" not in self._inside:
            self.words += data + " "

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(out: Path, *arguments: object) -> Page:
    result = trainer("report", *arguments, "--out", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(out)
    return Page(out.read_text(encoding="utf-8"))


def relabelled(photos: Path, folder: Path, names: dict[str, str]) -> Path:
    """Write the photos as class folders of other names."""
    for picture in read_data(str(photos)):
        target = folder / names[picture.label] / picture.file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture.file.read_bytes())
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "all", 12)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "learnt", 12, seed=2)


@pytest.fixture(scope="module")
def run(learnt, photos, tmp_path_factory):
    """A run too short to be right about everything, with pictures held out."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    trained(tiny(learnt, epochs=3, lr=0.01, held_out=[{"data": str(photos)}]), folder)
    return folder


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return report(tmp_path_factory.mktemp("out") / "report.html", run)


def test_every_figure_of_a_run_is_there(page):
    for words in (
        "Precision and recall", "Reliability diagram", "Risk-coverage curve", "a row is what is",
        "mistakes it was surest of", "Pareto front", "held-out accuracy", "data: digest",
        "resizing from 32 px included",
    ):  # fmt: skip
        assert words.lower() in page.words.lower(), words
    for alt in ("precision against recall", "reliability", "risk-coverage", "milliseconds", "loss",
                "learning rate"):  # fmt: skip
        assert any(alt in svg["aria-label"] for svg in page.of("svg")), alt
    assert len(page.titles) == len(page.of("figure")) == len(page.of("figcaption"))


def test_the_titles_say_what_evaluate_measures(page, run, photos):
    found = evaluate(run, read_data(str(photos)))
    right = round(found["top1"] * 12)
    assert 0 < right < 12, "the run must err for its mistakes to be shown"
    assert f"names {right} right: {percent(right / 12)}" in page.words
    assert f"ECE {found['ece']:.3f}" in page.words
    assert f"short {found['aurc']:.4f}" in page.words
    assert f"average precision {found['average_precision']:.4f}" in page.words
    assert any(title.startswith(f"Of {12 - right} mistake") for title in page.titles)


def test_the_file_asks_nobody_for_anything(page):
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base"), tag
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("data:image/jpeg;base64,", "#"))
        assert not any(name.startswith("on") for name in attributes)
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(meta for meta in page.of("meta") if meta.get("http-equiv"))
    assert "default-src 'none'" in policy["content"]


def test_it_can_be_read_without_seeing_and_on_any_screen(page):
    assert all(image["alt"] for image in page.of("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.of("svg"))
    assert all(head.get("scope") for head in page.of("th"))
    assert any(meta.get("name") == "viewport" for meta in page.of("meta"))
    assert "prefers-color-scheme: dark" in page.text
    assert "@media print" in page.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(page, scheme):
    first, second = re.findall(r":root \{(.*?)\}", page.text, re.DOTALL)[:2]
    colours = dict(
        re.findall(r"--([a-z-]+): #([0-9a-f]{3,6})", first if scheme == "light" else second)
    )
    for text, ground in (
        ("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("ink", "card"), ("soft", "card"),
    ):  # fmt: skip
        assert contrast(rgb(colours[text]), rgb(colours[ground])) >= 4.5, (text, ground)
    darkest = 0.48  # of a cell of the confusion matrix
    cell = darkest * rgb(colours["accent"]) + (1 - darkest) * rgb(colours["card"])
    assert contrast(rgb(colours["ink"]), cell) >= 4.5
    assert all(int(share) <= 100 * darkest for share in re.findall(r"--share:(\d+)", page.text))


def rgb(colour: str) -> np.ndarray:
    full = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    return np.array([int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)])


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    """The contrast of two sRGB colours as WCAG 2 defines it."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (a, b)]
    dark, light = sorted(float(one @ (0.2126, 0.7152, 0.0722)) for one in linear)
    return (light + 0.05) / (dark + 0.05)


def test_class_names_are_shown_and_never_obeyed(learnt, photos, tmp_path):
    names = [HOSTILE, KOREAN]
    for folder in (learnt, photos):
        lines = ["file,label,group"]
        for i, picture in enumerate(read_data(str(folder))):
            quoted = names[picture.label != "empty"].replace('"', '""')
            lines.append(f'{picture.file},"{quoted}",{i}')
        index = tmp_path / folder.name / "index.csv"
        index.parent.mkdir()
        index.write_text("\n".join(lines), encoding="utf-8")
    data, held_out = tmp_path / learnt.name, tmp_path / photos.name
    recipe = tiny(data, classes=names, epochs=2, lr=0.001, held_out=[{"data": str(held_out)}])
    trained(recipe, tmp_path / "run")
    page = report(tmp_path / "r.html", tmp_path / "run")
    assert "script" not in [tag for tag, _ in page.tags]
    assert html.escape(HOSTILE) in page.text
    assert KOREAN in page.words
    assert "of cases" in page.titles[0]  # without `empty`: averaged over the classes


def test_pictures_that_must_not_be_shown_are_not(run, photos, tmp_path):
    secret = tmp_path / "secret"
    relabelled(photos, secret, {"empty": "empty", "stocked": "stocked"})
    shown = report(tmp_path / "shown.html", run, "--data", secret)
    assert 0 < len(shown.of("img")) <= 60
    (secret / "NO_PICTURES").touch()
    hidden = report(tmp_path / "hidden.html", run, "--data", secret)
    assert hidden.of("img") == []
    assert hidden.titles[:3] == shown.titles[:3]
    (tmp_path / "link").symlink_to(secret)
    assert report(tmp_path / "l.html", run, "--data", tmp_path / "link").of("img") == []
    assert report(tmp_path / "n.html", run, "--no-pictures").of("img") == []


def test_a_run_without_held_out_pictures_shows_its_curves_and_says_what_is_missing(
    photos, tmp_path
):
    trained(tiny(photos, epochs=2), tmp_path / "run")
    page = report(tmp_path / "r.html", tmp_path / "run")
    assert "run was not asked: it has no held-out pictures" in page.words
    assert any("loss" in svg["aria-label"] for svg in page.of("svg"))
    assert not any("reliability" in svg["aria-label"] for svg in page.of("svg"))


def test_what_a_run_has_learnt_from_is_not_called_held_out(learnt, photos, tmp_path):
    both = [{"data": str(photos)}, {"data": str(learnt)}]
    trained(tiny(learnt, epochs=2, held_out=both), tmp_path / "run")
    assert "Of 12 pictures held out" in report(tmp_path / "r.html", tmp_path / "run").words
    trained(tiny(learnt, epochs=2, held_out=both[1:]), tmp_path / "knows")
    page = report(tmp_path / "r.html", tmp_path / "knows")
    assert "it has learnt from all of them" in page.words


def test_where_the_folder_has_grown_nobody_knows_what_was_held_out(tmp_path):
    folder = write_photos(tmp_path / "data", 16)
    trained(tiny(folder, epochs=1, hold_out=0.25), tmp_path / "run")
    assert "held out of training" in report(tmp_path / "r.html", tmp_path / "run").words
    write_photos(folder, 20)
    page = report(tmp_path / "r.html", tmp_path / "run")
    assert "held out of training" not in page.words
    assert "its data is not what it was trained on" in page.words


def test_a_file_that_is_no_picture_is_skipped_where_the_recipe_says_so(learnt, photos, tmp_path):
    trained(tiny(learnt, epochs=1, unreadable="skip"), tmp_path / "run")
    relabelled(photos, tmp_path / "asked", {"empty": "empty", "stocked": "stocked"})
    (tmp_path / "asked" / "empty" / "broken.png").write_text("no picture")
    page = report(tmp_path / "r.html", tmp_path / "run", "--data", tmp_path / "asked")
    assert "Of 12 pictures given" in page.words


def test_runs_stand_beside_each_other_with_what_differs_in_their_recipes(
    run, learnt, photos, tmp_path
):
    trained(tiny(learnt, epochs=4, lr=0.02, held_out=[{"data": str(photos)}]), tmp_path / "short")
    page = report(tmp_path / "r.html", run, tmp_path / "short")
    mine, other = f"{run.parent.name}/short", f"{tmp_path.name}/short"
    assert f"{mine} was" not in page.words
    for name in (mine, other):
        assert name[:20] in page.words
    assert "The recipes differ in 2 keys" in page.titles


def test_recipes_that_differ_only_far_behind_are_not_the_same(learnt, photos, tmp_path):
    far = ["x" * 90 + end for end in ("a", "b")]
    for name, only in zip("ab", far, strict=True):
        data = [{"data": str(learnt)}, {"data": str(learnt), "only": [only, "stocked"]}]
        trained(tiny(learnt, epochs=1, data=data), tmp_path / name)
    page = report(tmp_path / "r.html", tmp_path / "a", tmp_path / "b", "--data", photos)
    assert "The recipes differ in 1 key" in page.titles
    assert all(one in page.words for one in far)


def test_a_run_that_was_stopped_is_called_so_with_the_step_of_its_weights(learnt, photos, tmp_path):
    recipe = tiny(learnt, epochs=9)  # of three steps each

    def ctrl_c(state, epoch_ends):
        if state.step == 7:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        fit(open_mixture(recipe), tmp_path / "run", ctrl_c)
    page = report(tmp_path / "r.html", tmp_path / "run", "--data", photos)
    assert "run was stopped at step 8 of 27" in page.words
    assert "8 of 27" in page.words.split("How it was made")[-1]


def test_the_threshold_of_a_run_follows_from_its_costs_as_a_bundles_does(run, photos, tmp_path):
    costs = {"false_alert": 1, "missed_alert": 3, "empty_share": 0.5}
    shutil.copytree(run, tmp_path / "run")
    about = json.loads((run / "recipe.json").read_text())
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(about | {"costs": costs}))
    page = report(tmp_path / "r.html", tmp_path / "run", "--data", photos)
    assert "Threshold 0.25, chosen for a false alert at 1 and a missed one at 3" in page.words
    assert "Threshold 0.8, the general value" in report(tmp_path / "r.html", run).words


def test_who_asks_a_run_what_it_has_learnt_is_told_that_this_flatters_it(
    run, learnt, photos, caplog, tmp_path
):
    page = report(tmp_path / "r.html", run, "--data", learnt)
    assert f"12 of them show what was {LEARNT}, which flatters it" in page.words
    assert "was learnt by" not in report(tmp_path / "r.html", run, "--data", photos).words
    assert trainer("evaluate", run, "--data", photos).returncode == 0
    assert "flatter" not in caplog.text
    assert trainer("evaluate", run, "--data", learnt).returncode == 0
    words = "show what was learnt by the run, or by one that it began with or was taught by"
    assert f"12 of the 12 pictures {words}" in caplog.text


def test_who_asks_a_pupil_what_its_teacher_has_learnt_is_told_so(learnt, photos, tmp_path):
    taught = tiny(photos, epochs=1, distill={"teacher": str(tmp_path / "teacher")})
    trained(tiny(learnt, epochs=1), tmp_path / "teacher")
    trained(taught, tmp_path / "pupil")
    page = report(tmp_path / "r.html", tmp_path / "pupil", "--data", learnt)
    assert f"12 of them show what was {LEARNT}, which flatters it" in page.words


def test_a_name_that_is_said_where_none_such_stands_is_never_right():
    answers = Answers(
        "net", ("a", "b", "gone"), [None] * 4, np.eye(3)[[0, 0, 1, 2]], np.array([0, 0, 1, 1]),
        np.arange(4), "asked",
    )  # fmt: skip
    title = alerts(answers).title  # precision 1, 1 and 0; recall 1 and 1/2
    assert title.startswith("Averaged over the classes, a name that it says is right in 67 % of")
    assert "75 % of a product's pictures" in title


def test_titles_say_one_of_what_there_is_one_of_and_nothing_is_hardest_where_all_is_found():
    assert of_100(1, 1, "alerts", "are right") == "Of 1 alert 1 is right"
    assert of_100(0, 1, "alerts", "are right") == "Of 1 alert 0 are right"
    assert of_100(1, 3, "alerts", "are right") == "Of 3 alerts 1 is right"
    assert of_100(2, 3, "alerts", "are right") == "Of 3 alerts 2 are right"
    truth = np.array([0, 1])
    answers = Answers("net", ("a", "b"), [None] * 2, np.eye(2), truth, truth, "asked")
    assert per_class(answers).title == "Every class is found in each of its pictures"
    wrong = replace(answers, p=np.eye(2)[[0, 0]])
    assert per_class(wrong).title == "The hardest class is b: 0 % of its pictures found"


def test_a_folder_is_no_file_to_write_to_and_that_is_said_at_once(run, tmp_path):
    for words in (("report", run, "--out"), ("export", run, "--out", "a.onnx", "--report")):
        refused = trainer(*words, tmp_path)
        assert refused.returncode == 2
        assert "is a directory" in re.sub(r"[\s│]+", " ", refused.stderr)


def test_a_name_of_wide_letters_takes_no_more_room_than_another():
    assert shortened("바나나우유 240 ml") == "바나나우유 240 ml"
    assert shortened("한" * 40) == "한" * 10 + "…"
    assert shortened("a" * 22) == "a" * 22
    assert shortened("a" * 23) == "a" * 21 + "…"
    assert shortened("") == ""


def test_eighty_one_classes_of_which_most_are_never_said(tmp_path, learnt, photos):
    folders = []
    for source in (learnt, photos):
        folders.append(folder := tmp_path / source.name)
        folder.mkdir()
        pixels = [picture.file.read_bytes() for picture in read_data(str(source))]
        lines = ["file,label,group,coarse"]
        for i in range(81):
            (folder / f"{i}.png").write_bytes(pixels[i % 12])
            lines.append(f"{i}.png,product-{i:02d},{i},kind-{i % 9}")
        (folder / "index.csv").write_text("\n".join(lines))
    recipe = tiny(folders[0], classes=[], epochs=1, held_out=[{"data": str(folders[1])}])
    trained(recipe, tmp_path / "run")
    page = report(tmp_path / "r.html", tmp_path / "run")
    assert "The 12 most confused of 81 classes" in page.words
    assert "Never said:" in page.words
    assert "stay within the coarse class" in page.words
    assert 0 < len(page.of("img")) <= 60
    assert len(page.text) < 600_000


def row(name: str, against: str | None, points: float, low: float, high: float) -> dict:
    """One row of a study.json, as trainer.study describes it."""
    difference = {"points": points, "std_repeats": 0.5, "std_folds": 0.3, "interval": [low, high],
                  "only_this_right": 1, "only_reference_right": 2}  # fmt: skip
    return {
        "name": name, "changes": [], "digest": "0", "compared_with": against, "fits": 6,
        "diverged": None, "repeats": 2, "top1_per_repeat": [0.8, 0.82],
        "top1_per_fold": [[0.8, 0.8, 0.8], [0.82, 0.82, 0.82]],
        "figures": {"top1": {"mean": 0.81, "std": 0.014}}, "intervals": {"top1": [0.7, 0.9]},
        "difference": difference if against else None,
        "seconds_per_fit": {"mean": 60.0, "std": 1.0}, "ms_per_image": {"mean": 1.0, "std": 0.1},
        "oof": None,
    }  # fmt: skip


def write_study(folder: Path, kind: str, rows: list[dict]) -> Path:
    folder.mkdir()
    about = {"kind": kind, "recipe": "tricks", "n": 100, "folds": 3, "repeats": 2, "rows": rows}
    (folder / "study.json").write_text(json.dumps(about))
    return folder


def missing(name: str, diverged: str | None = None) -> dict:
    nothing = dict.fromkeys(row(name, None, 0, 0, 0))
    return nothing | {"name": name, "fits": 1, "repeats": 0, "diverged": diverged}


def test_an_unfinished_ablation_shows_what_each_trick_brings_and_names_the_rest(tmp_path):
    study = write_study(
        tmp_path / "study",
        "ablate",
        [
            row("full", None, 0, 0, 0),
            row("plain", "full", -4, -6, -2),
            row("full-mixup", "full", -1.94, -3, -1),
            row("full-ema", "full", 0.2, -1, 1),
            row("plain+mixup", "plain", -2, -3, -1),
            missing("plain+ema"),
            missing("full-warmup", "the loss is nan"),
        ],
    )
    page = report(tmp_path / "r.html", "--study", study)
    assert (
        "1 of 2 tricks clearly helps the full recipe; mixup brings most, 1.9 points" in page.titles
    )
    assert "None of 1 trick clearly helps the plain recipe; mixup clearly hurts" in page.titles
    assert "together bring 4.0 points of accuracy over the plain recipe (2.0 to 6.0" in page.words
    assert "Not measured yet: plain+ema." in page.words
    assert "Diverged: full-warmup." in page.words
    assert "+1.9" in page.words
    assert "−2" in page.words


def test_tricks_that_cost_accuracy_together_are_said_to_cost_it(tmp_path):
    rows = [row("full", None, 0, 0, 0), row("plain", "full", 3.94, 1, 6.6)]
    page = report(tmp_path / "r.html", "--study", write_study(tmp_path / "study", "ablate", rows))
    assert "together cost 3.9 points of the plain recipe's accuracy (1.0 to 6.6" in page.words
    assert "2 rows measured in 12 minutes" in page.titles[-1]


def test_of_two_fits_nothing_is_called_clear(tmp_path):
    few = {"repeats": 1, "top1_per_fold": [[0.7, 0.9]], "top1_per_repeat": [0.8]}
    rows = [row("full", None, 0, 0, 0), row("plain", "full", -4, -6, -2)]
    rows += [row("full-mixup", "full", -3, -4, -2)]
    for one in rows:
        one.update(few)
    for one in rows[1:]:
        one["difference"] |= {"std_folds": 57.0, "std_repeats": None}
    page = report(tmp_path / "r.html", "--study", write_study(tmp_path / "study", "ablate", rows))
    assert "None of 1 trick clearly helps the full recipe" in page.titles
    assert "together bring 4.0 points of accuracy over the plain recipe (2.0 to 6.0" in page.words
    assert page.words.count("With fewer than 4 fits a row nothing is called clear") == 3
    assert "95 % confidence" not in page.words
    assert "-3.00 against full" in page.words


def test_no_trick_brings_more_than_a_hundred_points(tmp_path):
    wild = row("plain", "full", -40, -60, -20)
    wild["difference"]["std_folds"] = 90.0
    rows = [row("full", None, 0, 0, 0), wild]
    page = report(tmp_path / "r.html", "--study", write_study(tmp_path / "study", "ablate", rows))
    assert "(-54.4 to 100.0 with 95 % confidence)" in page.words


def test_a_study_of_seconds_is_not_said_to_take_no_minute(tmp_path):
    quick = row("single", None, 0, 0, 0) | {"seconds_per_fit": {"mean": 4.0, "std": 1.0}}
    page = report(tmp_path / "r.html", "--study", write_study(tmp_path / "study", "kfold", [quick]))
    assert "1 row measured in 24 seconds" in page.titles[-1]


def test_a_study_that_has_not_finished_anything_is_a_page_too(tmp_path):
    study = write_study(tmp_path / "study", "kfold", [missing("tricks")])
    assert "Not measured yet: tricks." in report(tmp_path / "r.html", "--study", study).words


def test_out_of_fold_answers_are_judged_where_there_is_no_run(tmp_path, photos):
    files = [str(picture.file) for picture in read_data(str(photos))]
    truth = np.array([0, 1] * 6)
    p_empty = np.where(truth == 0, 0.9, 0.1)
    p_empty[:3] = 0.3
    one = row("tricks", None, 0, 0, 0) | {"oof": "oof.npz"}
    study = write_study(tmp_path / "study", "kfold", [one])
    np.savez(
        study / "oof.npz",
        probabilities=np.stack([p_empty, 1 - p_empty], axis=1)[None].astype(np.float32),
        truth=truth, fold=np.zeros((1, 12)), group=np.arange(12), picture=np.array(files),
        box=np.zeros((12, 4), int), classes=np.array(["empty", "stocked"]),
        coarse=np.full(12, "slot"),
    )  # fmt: skip
    page = report(tmp_path / "r.html", "--study", study)
    assert "Of 12 pictures that it had not learnt from, 10 are named right: 83 %" in page.words
    assert (
        "Of 4 alerts 4 are right at the general threshold; of 6 empty slots 4 are found"
        in page.titles
    )
    assert "Most often empty is taken for stocked: 2 of its 6 pictures" in page.titles
    assert "2 of 2 mistakes stay within the coarse class." in page.words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a run"),
        (["gone"], "no finished run"),
        (["--study", "gone"], "gone: no study"),
        (["--study", "gone", "--data", "pictures"], "name the run or the --bundle to ask"),
        (["--bundle", "gone.onnx"], "name the pictures for the bundles with --data"),
    ],
)
def test_what_cannot_be_reported_is_refused_with_one_message(
    tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    result = trainer("report", *arguments)
    assert result.returncode not in (0, 1)
    assert words in result.stderr
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("about", [{"rows": [{"name": "full"}]}, {"rows": {}}, []])
def test_a_file_that_is_no_study_is_refused(tmp_path, about):
    if about:
        about = dict.fromkeys(("kind", "recipe", "n", "folds"), 1) | about
    (tmp_path / "study.json").write_text(json.dumps(about))
    assert "not what 'trainer kfold'" in trainer("report", "--study", tmp_path).stderr


def test_an_axis_of_shares_does_not_go_below_zero():
    for values in ([0.0, 0.0], [0.0, 0.2], [0.01, 0.02]):
        assert min(axis("wrong", values, percent).ticks) >= 0
    assert min(axis("points", [-1.0, 2.0]).ticks) < 0


def test_a_percentage_never_rounds_to_a_perfection_that_is_not():
    assert [percent(share) for share in (1, 0.9999, 0.5, 0.0001, 0)] == [
        "100 %", "99.9 %", "50 %", "0.1 %", "0 %",
    ]  # fmt: skip


def test_labels_of_crowded_points_stand_clear_of_each_other():
    points = [(100.0 + i % 3, 100.0 + i // 3) for i in range(6)]
    texts = ["resnet50d", "resnet18d", KOREAN, "slots.onnx", "plain", "a"]
    places = places_beside(points, texts, (0, 0, 360, 250), [])
    boxes = []
    for (left, base, anchor, _), text in zip(places, texts, strict=True):
        start = left - {"start": 0, "middle": 0.5, "end": 1}[anchor] * width_of(text)
        boxes.append((start, base - 10, start + width_of(text), base + 2))
    for i, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[2] <= 360
        for b in boxes[:i]:
            assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def test_a_label_in_a_crowd_lies_where_it_covers_least():
    crowd = [
        (x - 2.0, y - 2.0, x + 2.0, y + 2.0)
        for x in range(0, 360, 8)
        for y in range(0, 250, 8)
        if not (230 < x < 320 and 150 < y < 180)
    ]
    inside, point = (0.0, 0.0, 360.0, 250.0), (180.0, 125.0)

    def covered(marks: list[tuple[float, float, float, float]]) -> int:
        ((left, base, anchor, _),) = places_beside([point], ["fast"], inside, marks)
        start = left - {"start": 0, "middle": 0.5, "end": 1}[anchor] * width_of("fast")
        box = (start, base - 10, start + width_of("fast"), base + 2)
        return sum(
            m[0] < box[2] and box[0] < m[2] and m[1] < box[3] and box[1] < m[3] for m in crowd
        )

    assert covered(crowd) < covered([])  # there: where nothing hinders


def test_the_pareto_front_holds_only_what_nothing_else_beats(monkeypatch):
    class Judged:
        def __init__(self, top1: float):
            self.top1 = top1

    points = [
        Point(name, Judged(top1), Timing(ms, ms, ms), "")
        for name, ms, top1 in (
            ("slow", 9, 0.9),
            ("best", 5, 0.95),
            ("fast", 1, 0.8),
            ("bad", 2, 0.7),
        )
    ]
    assert [point.name for point in pareto(points)] == ["fast", "best"]
