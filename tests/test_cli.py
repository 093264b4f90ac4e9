"""What a person at the terminal meets: one clear message, the right exit code, no password."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY
from test_classifier import metadata, write_bundle

from edge import errors
from edge.doctor import diagnose
from edge.site import CameraConfig
from edge.snapshot import take_picture

SITE = {
    "version": 1,
    "node": "shop",
    "cameras": [{"id": "aisle", "url": "folder:pictures"}],
    "planogram": "planogram.yaml",
    "mqtt": {"url": "stdout:"},
    "web": {"listen": "127.0.0.1:0"},
}
QUAD = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.9], [0.1, 0.9]]
PLANOGRAM = {
    "version": 1,
    "cameras": {"aisle": {"slots": [{"id": "a1", "name": "Cola", "quad": QUAD}]}},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site whose camera is a folder of three pictures: bright, which is empty, to its bundle."""
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"pictures/{number}.png"), np.full((48, 64, 3), 250, np.uint8))
    write_bundle(tmp_path / "model.onnx", metadata())
    write(tmp_path, "planogram.yaml", PLANOGRAM)
    return write(tmp_path, "site.yaml", SITE | {"model": "model.onnx"})


def write(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder / name


def edge(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )


def refused(run: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """The command ended with the code and one message that holds these parts."""
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    for part in parts:
        assert part in run.stderr


def test_what_can_be_explained_never_ends_like_a_bug():
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    kinds = [kind for kind in kinds if issubclass(kind, errors.EdgeError)]
    assert errors.ChangedError in kinds
    assert {kind.exit_code for kind in kinds} == {2, 69, 78}


def test_check_of_a_right_site_says_what_it_found(site):
    run = edge("check", "-c", site)
    assert run.returncode == 0, run.stderr
    assert "aisle (1 slots)" in run.stdout


def test_json_is_one_document_and_nothing_else(site):
    found = json.loads(edge("check", "-c", site, "--json").stdout)
    assert (found["node"], found["slots"], found["model"]) == ("shop", 1, metadata()["name"])


def test_all_problems_of_both_files_come_at_once_with_their_lines(site):
    write(site.parent, "site.yaml", SITE | {"modell": "x", "node": "Shop 1"})
    slot = "{id: a1, name: Cola, quad: [[0.1, 0.1], [0.4, 0.1], [0.4, 0.9], [0.1, 0.9]]}"
    twice = f"version: 1\ncameras:\n  aisel:\n    slots:\n    - {slot}\n    - {slot}\n"
    write(site.parent, "planogram.yaml", twice)
    refused(
        edge("check", "-c", site), 78,
        "did you mean model?", "node", "the same id stands on line 5", "did you mean aisle?",
    )  # fmt: skip


def test_no_file_says_how_to_get_one(tmp_path):
    refused(edge("run", "-c", tmp_path / "site.yaml"), 78, "site.yaml", "edge demo")


def test_a_model_that_is_none_ends_the_daemon_with_69(site):
    (site.parent / "model.onnx").write_bytes(b"no model")
    refused(edge("run", "-c", site), 69, "model.onnx", "trainer export")


def test_a_bundle_of_a_newer_format_is_refused_with_69(site):
    write_bundle(site.parent / "model.onnx", metadata() | {"format": 99})
    refused(edge("check", "-c", site), 69, "newer", "update shelf-edge")


def test_thresholds_that_leave_no_room_are_found_also_if_one_is_the_models(site):
    write(site.parent, "site.yaml", SITE | {
        "decision": {"empty_above": 0.1}, "model": "model.onnx"
    })  # fmt: skip
    refused(edge("check", "-c", site), 78, "decision", "empty_above (0.1)")


def test_a_port_in_use_ends_the_daemon_with_69(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mqtt = {"url": "embedded", "listen": f"127.0.0.1:{port}"}
        write(site.parent, "site.yaml", SITE | {"mqtt": mqtt, "model": "model.onnx"})
        refused(edge("run", "-c", site), 69, str(port), "in use")


def test_the_daemon_ends_with_0_when_its_recordings_have_ended(site):
    bright = site.parent / "pictures" / "0.png"
    for number in range(3, 12):  # three looks confirm; a slow machine does not make them all
        shutil.copy(bright, bright.with_name(f"{number:02}.png"))
    quick = {"id": "aisle", "url": "folder:pictures", "every_s": 0.2}
    rule = {"confirm_s": 0.1}
    write(site.parent, "site.yaml", SITE | {
        "model": "model.onnx", "cameras": [quick], "decision": rule
    })  # fmt: skip
    run = edge("run", "-c", site)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("every recording has ended: nothing is left to watch") == 1
    said = [line.partition(" ")[::2] for line in run.stdout.splitlines()]
    topics = [topic.removeprefix("stock/shop/") for topic, _ in said]
    events = [json.loads(text)["type"] for topic, text in said if topic == "stock/shop/event"]
    assert events[0] == "stock.node.started.v1"
    assert "stock.slot.opened.v1" in events
    assert said[-1] == ("stock/shop/status", "offline")
    assert topics.index("info") < topics.index("slot/a1/state") < topics.index("status")


def test_a_password_in_a_camera_url_is_never_shown(site):
    camera = {"id": "aisle", "url": "rtsp://viewer:${SECRET}@127.0.0.1:1/x"}
    write(site.parent, "site.yaml", SITE | {"cameras": [camera], "model": "model.onnx"})
    for words in (("check", "-c", site), ("snapshot", "aisle", "-c", site), ("doctor", "-c", site)):
        run = edge(*words, SECRET="hunter 2&more")
        for leak in ("hunter", "hunter%202%26more"):
            assert leak not in run.stdout + run.stderr


def test_a_camera_that_is_not_there_makes_snapshot_end_with_69(site):
    camera = {"id": "aisle", "url": "rtsp://127.0.0.1:1/x"}
    write(site.parent, "site.yaml", SITE | {"cameras": [camera]})
    refused(edge("snapshot", "aisle", "-c", site), 69, "camera aisle")


def test_a_camera_that_sends_a_byte_now_and_then_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        over = threading.Event()

        def drip():
            connection = stack.enter_context(server.accept()[0])
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")
            with contextlib.suppress(OSError):
                while not over.wait(0.1):
                    connection.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/still.jpg"
        try:
            with pytest.raises(errors.CameraError, match="no whole picture within 1 s"):
                take_picture(CameraConfig(id="aisle", url=url), timeout_s=1.0)
        finally:
            over.set()
            dripping.join()


def test_snapshot_writes_one_picture(site):
    run = edge("snapshot", "aisle", "-c", site, "-o", site.parent / "now.png")
    assert run.returncode == 0, run.stderr
    assert cv2.imread(run.stdout.strip()).shape == (48, 64, 3)


def test_snapshot_does_not_replace_the_picture_that_the_slots_were_drawn_on(site):
    reference = site.parent / "aisle.jpg"
    cv2.imwrite(str(reference), cv2.imread(str(next((site.parent / "pictures").iterdir()))))
    planogram = yaml.safe_load((site.parent / "planogram.yaml").read_text())
    planogram["cameras"]["aisle"]["reference"] = "aisle.jpg"
    write(site.parent, "planogram.yaml", planogram)
    before = reference.read_bytes()
    refused(edge("snapshot", "aisle", "-c", site, "-o", reference), 2, "were drawn on", "-o")
    assert reference.read_bytes() == before
    assert edge("snapshot", "aisle", "-c", site, "-o", site.parent / "a.jpg").returncode == 0


def test_doctor_names_a_camera_by_which_no_slot_would_be_judged(site):
    cv2.imwrite(str(site.parent / "wide.png"), np.zeros((100, 400, 3), np.uint8))
    planogram = yaml.safe_load((site.parent / "planogram.yaml").read_text())
    good = edge("doctor", "-c", site, "--json")
    planogram["cameras"]["aisle"]["reference"] = "wide.png"
    write(site.parent, "planogram.yaml", planogram)
    wide = edge("doctor", "-c", site, "--json")
    for picture in (site.parent / "pictures").iterdir():
        cv2.imwrite(str(picture), np.zeros((100, 400, 3), np.uint8))
    dark = edge("doctor", "-c", site, "--json")
    said = [
        next((one["ok"], one["says"]) for one in json.loads(run.stdout)["findings"]
             if one["what"] == "camera aisle")
        for run in (good, wide, dark)
    ]  # fmt: skip
    assert [ok for ok, _ in said] == [True, False, False]
    assert "its slots were drawn on 400 x 100: another aspect" in said[1][1]
    assert "too dark to tell anything" in said[2][1]


def test_snapshot_of_an_unknown_camera_names_those_there_are(site):
    refused(edge("snapshot", "aisel", "-c", site), 2, "aisel", "it has: aisle")


def test_status_without_a_daemon_says_so_and_after_one_what_it_saw(site):
    refused(edge("status", "-c", site), 69, "edge run")
    assert edge("run", "-c", site).returncode == 0
    found = json.loads(edge("status", "-c", site, "--json").stdout)
    assert found["slots"]["a1"]["name"] == "Cola"
    assert found["cameras"]["aisle"]["reason"] == "ended"
    assert found["running"] is False
    said = edge("status", "-c", site).stdout
    assert said.startswith("no daemon is running: this is what the last one saw\n")
    assert "camera aisle" in said


def test_status_reads_a_folder_of_any_name_and_leaves_nothing_there(site):
    moved = site.parent.with_name("shop #2 100%25?mode=rwc")
    site.parent.rename(moved)
    before = set(moved.parent.iterdir())
    refused(edge("status", "-c", moved / site.name), 69, "edge run")
    assert edge("run", "-c", moved / site.name).returncode == 0
    found = json.loads(edge("status", "-c", moved / site.name, "--json").stdout)
    assert found["slots"]["a1"]["name"] == "Cola"
    assert set(moved.parent.iterdir()) == before


def test_doctor_measures_this_pc_and_tries_the_cameras(site):
    found = json.loads(edge("doctor", "-c", site, "--json").stdout)
    assert found["measured"]["model_ms_per_crop"] > 0
    assert {one["what"]: one["ok"] for one in found["findings"]}["camera aisle"] is True
    (broker,) = [one for one in found["findings"] if one["what"] == "broker"]
    assert (broker["ok"], broker["says"]) == (True, "standard output")


def test_doctor_counts_memory_as_the_health_page_does_and_rounds(monkeypatch):
    monkeypatch.setattr("edge.doctor.memory_bytes", lambda: 512_345_678)
    measured = diagnose(None)["measured"]
    assert measured["memory_mb"] == 512
    assert all(value == round(value, 3) for value in measured.values())


def test_slots_that_a_blackout_hides_are_warned_of(site):
    left = [[0, 0], [0.2, 0], [0.2, 1], [0, 1]]  # a third of the slot
    camera = SITE["cameras"][0] | {"blackout": [left]}
    write(site.parent, "site.yaml", SITE | {"model": "model.onnx", "cameras": [camera]})
    run = edge("check", "-c", site)
    assert run.returncode == 0, run.stderr
    line = "camera aisle: its blackout hides what these slots are judged by: a1 (34%)"
    assert f"warning: {line}; " in run.stdout
    found = json.loads(edge("doctor", "-c", site, "--json").stdout)["findings"]
    hidden = [one for one in found if one["what"] == "blackout"]
    assert [(one["ok"], line in one["says"]) for one in hidden] == [(False, True)]
    thin = [[0, 0], [0.125, 0], [0.125, 1], [0, 1]]  # an eleventh of it
    camera["blackout"] = [thin]
    write(site.parent, "site.yaml", SITE | {"model": "model.onnx", "cameras": [camera]})
    assert json.loads(edge("check", "-c", site, "--json").stdout)["warnings"] == []


def test_an_unknown_option_is_wrong_usage():
    assert edge("run", "--confg", "x").returncode == 2


def test_the_version_is_told():
    assert json.loads(edge("version", "--json").stdout)["shelf-edge"]


@pytest.mark.parametrize("missing", ["torch", "torchvision", "onnx"])
def test_where_training_is_not_installed_one_message_says_how_to_get_it(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from trainer.__main__ import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert told.returncode == 69
    assert told.stdout == ""
    lines = told.stderr.splitlines()
    assert len(lines) == 1
    assert "is not installed" in lines[0]
    assert "pip install -e '.[trainer]'" in lines[0]


@pytest.mark.parametrize("package", ["edge.classifier", "trainer.session"])
def test_nothing_is_reported_to_anybody(tmp_path, package):
    if package.startswith("trainer"):
        pytest.importorskip("torch")
    quiet = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "ORT_DISABLE_TELEMETRY")
    }
    code = f"import {package}, onnxruntime; print(onnxruntime.__version__)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**quiet, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout
    assert not list(tmp_path.rglob("*onnxruntime*")), "ONNX Runtime's telemetry keeps its id here"


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has its own priority on Linux alone")
def test_who_gives_way_already_keeps_to_it():
    code = "from edge.niceness import give_way; import os; give_way(10); print(os.nice(0))"
    told = subprocess.run(
        ["nice", "-n", "15", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) == min(19, os.nice(0) + 15), "only root may take a niceness back"
