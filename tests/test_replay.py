"""A recording through the whole pipeline, judged against its truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import require_data
from http_camera import HttpCamera
from test_classifier import metadata, write_bundle

from edge.errors import CameraError, ConfigError, UsageError
from edge.recording import ReplayRequest
from edge.replay import replay

WIDTH, HEIGHT, FPS = 320, 180, 10
SLOTS = {"a": (40, 40, 110, 120), "b": (200, 40, 270, 120)}
CHANGES = {"a": [(0, "stocked"), (10, "empty"), (25, "stocked")], "b": [(0, "empty")]}


def state_of(slot: str, t: float) -> str:
    return [state for since, state in CHANGES[slot] if since <= t][-1]


def picture(t: float, person: bool = False) -> np.ndarray:
    """To the bundle used here bright is empty and dark is stocked."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for slot, (x0, y0, x1, y1) in SLOTS.items():
        image[y0:y1, x0:x1] = 250 if state_of(slot, t) == "empty" else 10
    if person:
        image[20:, 30:130] = 245
    return image


def quad(x0: int, y0: int, x1: int, y1: int) -> list[list[float]]:
    return [[x / WIDTH, y / HEIGHT] for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    slots = [{"id": name, "name": name, "quad": quad(*place)} for name, place in SLOTS.items()]
    planogram = {"version": 1, "cameras": {"cam": {"slots": slots}}}
    (tmp_path / "planogram.yaml").write_text(yaml.safe_dump(planogram))
    truth = {name: [{"t": t, "state": s} for t, s in one] for name, one in CHANGES.items()}
    (tmp_path / "truth.json").write_text(json.dumps({"camera": "cam", "truth": truth}))
    write_bundle(tmp_path / "model.onnx", metadata())
    site = {
        "version": 1, "node": "shop", "cameras": [{"id": "cam", "url": "folder:."}],
        "model": "model.onnx",
    }  # fmt: skip
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    return tmp_path


@pytest.fixture
def video(folder: Path) -> Path:
    """40 s; somebody stands still in front of slot a from 30 to 38 s."""
    path = folder / "shelf.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for number in range(40 * FPS):
        t = number / FPS
        writer.write(picture(t, person=30 <= t < 38))
    writer.release()
    return path


def run(folder: Path, source: object, **options) -> dict:
    defaults = {"planogram": folder / "planogram.yaml", "truth": folder / "truth.json"}
    request = ReplayRequest(str(source), config=folder / "site.yaml", **(defaults | options))
    return replay(request).as_json()


def test_a_video_is_judged_change_by_change(folder, video):
    found = run(folder, video, every_s=0.5, confirm_s=2.0)
    assert [(one["slot"], one["to"]) for one in found["changes"]] == [
        ("a", "empty"),
        ("a", "stocked"),
    ]
    assert (found["matched"], found["missed"], found["false"]) == (2, 0, 0)
    assert 2.0 <= found["delay_s"]["median"] <= 3.5
    assert (found["precision"], found["recall"]) == (1, 1)
    assert found["state_accuracy"] + found["unknown_share"] == pytest.approx(1)
    assert found["unknown_share"] < 0.1  # until the first state is confirmed
    assert (found["slots"], found["looks"]) == (2, 160)


def test_the_pace_is_that_of_the_camera_whether_it_was_named_or_found_out(folder, video):
    site = yaml.safe_load((folder / "site.yaml").read_text())
    site["cameras"][0]["every_s"] = 2.0
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    for camera in (None, "cam"):
        assert run(folder, video, camera=camera)["looks"] == 2 * 20


def test_what_needs_longer_to_confirm_is_stated_later(folder, video):
    quick = run(folder, video, every_s=0.5, confirm_s=1.0)["delay_s"]["median"]
    slow = run(folder, video, every_s=0.5, confirm_s=5.0)["delay_s"]["median"]
    assert slow == pytest.approx(quick + 4.0, abs=0.6)


def test_pictures_are_each_one_look_and_t_counts_them(folder):
    shots = folder / "shots"
    shots.mkdir()
    for number, t in enumerate((0, 12, 30, 31)):
        cv2.imwrite(str(shots / f"shot_{number}.png"), picture(t))
    (shots / "notes.txt").write_text("not a picture")
    truth = {"a": [{"t": 0, "state": "stocked"}, {"t": 1, "state": "empty"},
                   {"t": 2, "state": "stocked"}]}  # fmt: skip
    (folder / "truth.json").write_text(json.dumps({"camera": "cam", "truth": truth}))
    asked = [(one, None) for one in (shots, shots / "shot_*.png", f"folder:{shots}")]
    for source, camera in [*asked, (shots, "cam")]:  # whatever pace site.yaml gives the camera
        found = run(folder, source, confirm_s=0.0, camera=camera)
        assert [(one["t"], one["to"]) for one in found["changes"]] == [(1, "empty"), (2, "stocked")]
        assert (found["matched"], found["false"], found["seconds"]) == (2, 0, 4)
        assert found["state_accuracy"] == 1


@pytest.mark.parametrize("confirm_s", [0.0, 1.0], ids=["one by one", "as the daemon"])
def test_another_product_is_told_at_the_threshold_of_the_bundle_unless_site_yaml_has_one(
    folder, confirm_s
):
    """Dark is the slot's own product with p = 0.27 of what is not empty, whatever it is told at."""
    shots = folder / "shots"
    shots.mkdir()
    for number in range(16):
        cv2.imwrite(str(shots / f"{number}.png"), picture(10 if number < 8 else 0))
    site = yaml.safe_load((folder / "site.yaml").read_text())

    def stated_of_a(thresholds: dict, decision: dict) -> str:
        about = metadata(("empty", "a", "other"), thresholds={**thresholds, "chosen_for": "this"})
        write_bundle(folder / "model.onnx", about, (8.0, 0.0, -2.2))
        (folder / "site.yaml").write_text(yaml.safe_dump(site | {"decision": decision}))
        (change,) = run(folder, shots, confirm_s=confirm_s)["changes"]
        assert (change["slot"], change["from"]) == ("a", "empty")
        return change["to"]

    assert stated_of_a({}, {}) == "stocked"
    assert stated_of_a({"misplaced_below": 0.25}, {}) == "stocked"
    assert stated_of_a({"misplaced_below": 0.3}, {}) == "misplaced"
    assert stated_of_a({"misplaced_below": 0.3}, {"misplaced_below": 0.25}) == "stocked"
    assert stated_of_a({}, {"misplaced_below": 0.3}) == "misplaced"


def test_a_picture_judged_by_itself_is_drawn_as_seen_clearly(folder):
    cv2.imwrite(str(folder / "one.png"), picture(0))
    files = {"planogram": folder / "planogram.yaml", "config": folder / "site.yaml"}
    drawn = replay(ReplayRequest(str(folder / "one.png"), confirm_s=0.0, **files)).last
    assert drawn is not None
    x0, _, x1, y1 = SLOTS["a"]
    inside = drawn[y1 - 25 : y1 - 5, x0 + 5 : x1 - 5]
    assert inside.std(axis=(0, 1)).max() < 2  # a tint, no hatching


def test_a_night_is_no_change(folder):
    pictures = folder / "night"
    pictures.mkdir()
    for number in range(60):
        dark = 15 <= number < 45
        shelf = picture(2.0)  # a stocked, b empty
        cv2.imwrite(str(pictures / f"{number:02}.png"), shelf // 40 if dark else shelf)
    files = {"planogram": folder / "planogram.yaml", "config": folder / "site.yaml"}
    found = replay(ReplayRequest(str(pictures), every_s=1.0, confirm_s=3.0, **files)).as_json()
    assert found["changes"] == []


def test_pictures_on_which_the_daemon_would_find_no_slot_are_refused(folder, video, caplog):
    cv2.imwrite(str(folder / "reference.png"), np.zeros((180, 240, 3), np.uint8))
    planogram = yaml.safe_load((folder / "planogram.yaml").read_text())
    planogram["cameras"]["cam"]["reference"] = "reference.png"
    (folder / "planogram.yaml").write_text(yaml.safe_dump(planogram))
    files = {"planogram": folder / "planogram.yaml", "config": folder / "site.yaml"}
    mixed = folder / "mixed"
    mixed.mkdir()
    for number in range(12):  # one odd picture among those that fit is kept back
        shape = picture(2.0) if number == 7 else picture(2.0)[:, 40:280]
        cv2.imwrite(str(mixed / f"{number:02}.png"), shape)
    found = replay(ReplayRequest(str(mixed), every_s=1.0, confirm_s=3.0, **files)).as_json()
    assert found["seconds"] == 12.0
    alone = replay(ReplayRequest(str(video), confirm_s=0.0, until_s=1.0, **files)).as_json()
    assert alone["looks"] == 2
    assert "pictures of 320 x 180" in caplog.text
    with pytest.raises(UsageError, match=r"pictures of 320 x 180, .* of 240 x 180: another as"):
        run(folder, video)


def test_who_interrupts_a_replay_gets_what_was_seen_until_then(folder, video):
    files = {"planogram": folder / "planogram.yaml", "config": folder / "site.yaml"}

    def impatient(t: float) -> None:
        if t >= 20:
            raise KeyboardInterrupt

    request = ReplayRequest(str(video), every_s=0.5, confirm_s=2.0, **files)
    found = replay(request, impatient).as_json()
    assert [one["to"] for one in found["changes"]] == ["empty"]
    assert (found["seconds"], found["broken_off"]) == (20.0, True)


def test_a_live_camera_that_breaks_off_leaves_its_figures(folder, caplog):
    with HttpCamera() as server:
        url = server.url("/sized.mjpg")
        files = {"planogram": folder / "planogram.yaml", "config": folder / "site.yaml"}
        found = replay(ReplayRequest(url, every_s=0.01, confirm_s=0.0, **files)).as_json()
        assert found["looks"] >= 2 * 5
        assert found["broken_off"]
        assert "the camera ended the stream; what follows is of the first" in caplog.text
    with pytest.raises(CameraError):
        replay(ReplayRequest(url, every_s=0.01, **files))


def test_figures_are_printed_before_a_picture_that_cannot_be_written(folder, video):
    words = ["replay", str(video), "--planogram", "planogram.yaml", "-c", "site.yaml", "--json"]
    command = [sys.executable, "-m", "edge.cli", *words, "--picture", "nowhere/last.png"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 69, done.stderr
    assert json.loads(done.stdout)["slots"] == 2


def test_without_truth_the_changes_are_listed_all_the_same(folder, video):
    found = run(folder, video, every_s=0.5, confirm_s=1.0, truth=None, camera="cam")
    assert len(found["changes"]) == 2
    assert "matched" not in found


def test_the_rendered_store_brings_its_slots_and_its_truth(folder):
    request = ReplayRequest("demo:?seed=3&minutes=0.5", config=folder / "site.yaml")
    found = replay(request).as_json()
    assert (found["slots"], found["looks"]) == (24, 24 * 6)
    assert found["truth_changes"] == 0


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"planogram": None}, UsageError, "--planogram"),
        ({"camera": "cmа"}, UsageError, "it has: cam"),
        ({"truth": Path("none.json")}, ConfigError, "none.json"),
        ({"planogram": Path("none.yaml")}, ConfigError, "none.yaml"),
    ],
)
def test_what_is_missing_is_named(folder, video, changed, error, says):
    with pytest.raises(error, match=says):
        run(folder, video, **changed)


def test_a_file_that_is_no_video_is_named(folder):
    (folder / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(CameraError, match=r"broken\.mp4"):
        run(folder, folder / "broken.mp4")


# --- the model that ships, on recordings of real shelves ---------------------------------------


def recorded(name: str, source: str, **options) -> dict:
    folder = require_data(f"sequences/{name}")
    return replay(
        ReplayRequest(
            str(folder / source), folder / "planogram.yaml", truth=folder / "truth.json", **options
        )
    ).as_json()


def test_bottles_taken_and_put_back_are_all_stated_and_nothing_else():
    found = recorded("bottles", "bottle-detection.mp4", every_s=0.5, confirm_s=1.0)
    assert (found["missed"], found["false"]) == (0, 0)
    assert found["matched"] == found["truth_changes"] >= 7
    assert found["delay_s"]["median"] <= 2.5


def test_shoppers_before_full_shelves_are_no_change():
    found = recorded("aisle", "aisle.mp4", every_s=0.5, confirm_s=1.0)
    assert found["changes"] == []
    assert found["state_accuracy"] >= 0.8
    assert found["unknown_share"] <= 0.2


def test_photos_of_a_shelf_filling_up_are_judged_one_by_one():
    found = recorded("thai-shelf", "frame_*.jpg", confirm_s=0.0)
    assert found["state_accuracy"] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7])
def test_half_an_hour_of_the_rendered_store(seed):
    found = replay(ReplayRequest(f"demo:?seed={seed}&minutes=30")).as_json()
    assert found["truth_changes"] >= 30
    assert found["precision"] >= 0.98
    assert found["recall"] >= 0.98
