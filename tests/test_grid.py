"""A bay drawn by a script: `edge calibrate CAMERA --grid 4x9 --quad …`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from http_camera import HttpCamera
from test_cli import PLANOGRAM, SITE, edge, refused, site, write

from edge.config import load_planogram
from edge.drawing.grid import MOST, grid_slots, read_grid
from edge.errors import UsageError
from edge.types import Slot

BAY = "[[0.1, 0.2], [0.9, 0.1], [0.8, 0.9], [0.2, 0.8]]"
__all__ = ["site"]  # a fixture


def calibrate(site: Path, *more: object, camera: object = "aisle"):
    return edge("calibrate", camera, "-c", site, "--grid", "2x3", "--quad", BAY, *more)


def test_the_bay_of_a_camera_is_written_with_its_reference_picture(site):
    run = calibrate(site)
    assert run.returncode == 0, run.stderr
    assert "planogram.yaml: 6 slots of aisle, aisle-1-01 to aisle-2-03" in run.stdout
    assert "before: 1, kept as planogram.yaml.~1~" in run.stdout
    planogram = load_planogram(site.parent / "planogram.yaml")
    slots = planogram.slots_of("aisle")
    assert [slot.slot_id for slot in slots[2:4]] == ["aisle-1-03", "aisle-2-01"]
    assert slots[0].name == "aisle 1-01"
    assert slots[0].quad[0] == (0.1, 0.2)
    assert slots[-1].quad[2] == (0.8, 0.9)
    assert planogram.reference_size("aisle") == (64, 48)
    assert edge("check", "-c", site).returncode == 0


def test_drawn_again_names_stay_and_added_rows_are_numbered_on(site):
    assert calibrate(site).returncode == 0
    path = site.parent / "planogram.yaml"
    path.write_text(path.read_text().replace("aisle 1-02", "Juice"))
    moved = BAY.replace("0.9, 0.1", "0.9, 0.15")
    assert edge("calibrate", "aisle", "-c", site, "--grid", "1x3", "--quad", moved).returncode == 0
    assert [slot.name for slot in load_planogram(path).slots] == [
        "aisle 1-01",
        "Juice",
        "aisle 1-03",
    ]
    assert calibrate(site, "--add").returncode == 0
    ids = [slot.slot_id for slot in load_planogram(path).slots]
    assert ids[3:] == [f"aisle-{row}-0{column}" for row in (2, 3) for column in (1, 2, 3)]


def test_a_picture_needs_no_site(tmp_path):
    picture = tmp_path / "Aisle 7.png"
    cv2.imwrite(str(picture), np.full((48, 64, 3), 200, np.uint8))
    run = calibrate(tmp_path / "none.yaml", "--gap", 0.1, camera=picture)
    assert run.returncode == 0, run.stderr
    slots = load_planogram(tmp_path / "Aisle 7.planogram.yaml").slots_of("aisle-7")
    assert len(slots) == 6
    assert slots[0].quad[3][1] < slots[3].quad[0][1]  # the rail between the rows
    elsewhere = calibrate(tmp_path / "none.yaml", "-o", tmp_path / "other.yaml", camera=picture)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert load_planogram(tmp_path / "other.yaml").slots


def test_rows_with_a_rail_between_fill_the_bay():
    square = "[[0,0],[1,0],[1,1],[0,1]]"
    quads = read_grid("3x2", square, 0.05).quads()
    tops, bottoms = ([row[0][corner][1] for row in quads] for corner in (0, 3))
    assert tops == pytest.approx([0, 0.35, 0.7])
    assert bottoms == pytest.approx([0.3, 0.65, 1])
    assert max(x for row in quads for slot in row for x, _ in slot) == 1


def test_what_is_known_of_a_slot_stays_with_its_id():
    grid = read_grid("1x2", BAY, 0)
    old = Slot("a-1-02", "a", grid.quad, "Tea", "0880", 1)
    first, second = grid_slots("a", grid, [old], add=False)
    assert (first.name, first.sku) == ("a 1-01", None)
    assert (second.name, second.sku, second.priority) == ("Tea", "0880", 1)
    assert second.quad != old.quad


@pytest.mark.parametrize(
    ("size", "corners", "gap", "says"),
    [
        ("4", BAY, 0, "write rows x columns, such as 4x9"),
        ("0x9", BAY, 0, f"1 to {MOST} slots"),
        ("999x999", BAY, 0, f"1 to {MOST} slots"),
        ("4x9", BAY, 0.4, "no room for 4 rows"),
        ("4x9", "[1, 2", 0, "four corners as JSON"),
        ("4x9", "[[1, 2, 3]]", 0, "four corners as JSON"),
        ("4x9", "7", 0, "four corners as JSON"),
        ("4x9", '[["a", 1]]', 0, "four corners as JSON"),
        ("4x9", "[[0, 0], [640, 0], [640, 480], [0, 480]]", 0, "divide pixels"),
        ("4x9", "[[0,0],[0,1],[1,1],[1,0]]", 0, "is mirrored"),
    ],
)
def test_what_makes_no_bay_is_explained(size, corners, gap, says):
    with pytest.raises(UsageError, match=says):
        read_grid(size, corners, gap)


def test_each_way_to_go_wrong_has_its_exit_code(site):
    refused(edge("calibrate", "-c", site, "--grid", "2x3", "--quad", BAY), 2, "belong together")
    refused(edge("calibrate", "aisle", "-c", site, "--grid", "2x3"), 2, "belong together")
    refused(calibrate(site, camera="isle"), 2, "has no camera 'isle'; it has: aisle")
    refused(calibrate(site, "-o", "x.yaml"), 2, "-o is for a picture")
    refused(calibrate(site, camera=site.parent / "none.png"), 69, "none.png")
    write(site.parent, "planogram.yaml", "version: 1\ncameras: [")
    refused(calibrate(site), 78, "planogram.yaml:2: is no valid YAML")


class Colleague(HttpCamera):
    """Somebody who saves the planogram while a picture of the camera is taken."""

    def __init__(self, planogram: Path):
        super().__init__()
        self.planogram, self.still = planogram, super().next_picture()

    def next_picture(self) -> bytes:
        write(self.planogram.parent, self.planogram.name, self.planogram.read_text() + "# mine\n")
        return self.still


def test_a_planogram_that_somebody_saves_meanwhile_stays_theirs(site):
    planogram = site.parent / "planogram.yaml"
    with Colleague(planogram) as camera:
        cameras = [{"id": "aisle", "url": camera.url("/still.jpg")}]
        write(site.parent, "site.yaml", SITE | {"cameras": cameras, "model": "model.onnx"})
        refused(calibrate(site), 69, "planogram.yaml was changed by somebody else; load it again")
    assert "# mine" in planogram.read_text()
    assert yaml.safe_load(planogram.read_text()) == PLANOGRAM


def test_a_camera_without_a_picture_says_so_and_changes_nothing(site):
    for picture in (site.parent / "pictures").iterdir():
        picture.unlink()
    refused(calibrate(site), 69, "camera aisle: ", "holds no picture", "edge calibrate aisle.jpg")
    assert yaml.safe_load((site.parent / "planogram.yaml").read_text()) == PLANOGRAM


def test_a_site_that_names_no_planogram_is_told_the_line_it_lacks(site):
    text = site.read_text().replace("planogram: planogram.yaml\n", "")
    refused(calibrate(write(site.parent, "other.yaml", text)), 78, "planogram: planogram.yaml")
