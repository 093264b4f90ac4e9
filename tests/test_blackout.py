"""What is blacked out is black whatever the camera, before anything else sees the picture."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest
import yaml
from conftest import require_gst_rtsp, require_program
from http_camera import HttpCamera
from rtsp_server import RtspServer, encode

from edge.cameras import open_camera
from edge.cameras.blackout import blacked_out
from edge.config import load_site
from edge.drawing.viewfinder import OwnCameras
from edge.errors import ConfigError
from edge.eye import Eye
from edge.geometry import contains, paint_over
from edge.recording import ReplayRequest
from edge.replay import replay
from edge.snapshot import take_snapshot
from edge.types import Moment

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
CORNER = ((0.7, 0.6), (1.0, 0.7), (1.0, 1.0), (0.8, 1.0))


def inside(quad, image):
    """Return which pixels' centres lie in the quad."""
    height, width = image.shape[:2]
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return contains(quad, np.stack([x, y], axis=-1))


def assert_hidden(image):
    hidden = inside(LEFT, image) | inside(CORNER, image)
    assert not image[hidden].any()
    near = cv2.dilate(hidden.astype(np.uint8), np.ones((5, 5))) > 0
    assert image[~near].any(axis=-1).mean() > 0.9, "the rest of the picture is there"


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (37, 53)])
def test_every_pixel_that_a_quad_touches_is_black_and_few_others(size):
    random = np.random.default_rng(1)
    for _ in range(20):
        corners = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
        corners += random.uniform(-0.2, 0.2, (4, 2))
        quad = tuple((float(x), float(y)) for x, y in corners)
        image = np.full((*size, 3), 255, np.uint8)
        paint_over(image, quad)
        hidden = inside(quad, image)
        assert not image[hidden].any()
        near = cv2.dilate(hidden.astype(np.uint8), np.ones((7, 7))) > 0
        assert (image[~near] == 255).all()


@pytest.fixture(params=["http still", "http stream", "folder", "file", "rtsp", "demo"])
def url(request, tmp_path):
    """A bright camera of each kind, real where it is a network's."""
    kind = request.param
    white = np.full((240, 320, 3), 200, np.uint8)
    if kind.startswith("http"):
        with HttpCamera() as server:
            yield server.url("/still.jpg" if kind == "http still" else "/sized.mjpg")
    elif kind == "folder":
        cv2.imwrite(str(tmp_path / "1.png"), white)
        yield f"folder:{tmp_path}"
    elif kind == "demo":
        yield "demo:?seed=7"
    else:
        require_program("ffmpeg")
        stream = encode(tmp_path / "bright.h264", filters="geq=lum=200:cb=128:cr=128", seconds=3)
        if kind == "rtsp":
            require_gst_rtsp()
            with RtspServer(stream) as server:
                yield server.url()
        else:
            yield f"file:{stream}"


def test_no_kind_of_camera_lets_it_through(url):
    camera = blacked_out([LEFT, CORNER])(url, 0.2)
    try:
        assert_hidden(camera.read())
    finally:
        camera.close()


def test_a_camera_without_blackout_is_opened_as_ever():
    assert blacked_out(()) is open_camera


def test_a_picture_that_others_hold_stays_as_it_is():
    shared = np.full((20, 20, 3), 200, np.uint8)
    shared.flags.writeable = False

    class Still:
        def read(self):
            return shared

        def close(self):
            """Nothing is open."""

    camera = blacked_out([LEFT], lambda url, every_s: Still())("test:", 1.0)
    assert not camera.read()[:, :9].any()
    assert (shared == 200).all()


@pytest.fixture
def site(tmp_path):
    """A camera on a white picture, parts of it blacked out, and its site.yaml."""
    cv2.imwrite(str(tmp_path / "1.png"), np.full((240, 320, 3), 200, np.uint8))
    camera = {"id": "aisle", "url": f"folder:{tmp_path}", "every_s": 0.1}
    camera["blackout"] = [[list(point) for point in quad] for quad in (LEFT, CORNER)]
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "node": "shop", "cameras": [camera]}))
    return path


def test_the_main_loop_never_sees_it(site):
    camera = load_site(site).cameras[0]
    stop = threading.Event()
    eye = Eye(camera.id, camera.url, camera.every_s, stop, None, camera.opener)
    eye.start()
    deadline_s = time.monotonic() + 10
    try:
        while (frame := eye.take(Moment.now())) is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
    finally:
        stop.set()
        eye.close(timeout_s=10)
    assert_hidden(frame.image)


def test_neither_calibration_nor_a_snapshot_sees_it(site, tmp_path):
    cameras = OwnCameras(load_site(site).cameras)
    try:
        assert_hidden(cameras.take("aisle").frame.image)
    finally:
        cameras.close()
    assert_hidden(cv2.imread(str(take_snapshot(site, "aisle", tmp_path / "shot.png"))))


def test_a_replay_with_the_site_sees_what_the_daemon_would(site, tmp_path):
    corners = [[0.6, 0.1], [0.9, 0.1], [0.9, 0.5], [0.6, 0.5]]
    slots = [{"id": "a", "name": "A", "quad": corners}]
    planogram = tmp_path / "planogram.yaml"
    planogram.write_text(yaml.safe_dump({"version": 1, "cameras": {"aisle": {"slots": slots}}}))
    source = str(tmp_path / "1.png")
    result = replay(ReplayRequest(source, planogram, site, camera="aisle", confirm_s=0))
    assert result.last is not None
    assert not result.last[:, :150].any()


@pytest.mark.parametrize(
    ("quad", "said"),
    [
        ([[0, 0], [1, 0], [1, 1]], "needs 4 points"),
        ([[0, 0], [640, 0], [640, 480], [0, 480]], "divide pixels"),
        ([[0, 0], [1, 1], [1, 0], [0, 1]], "twisted"),
    ],
)
def test_a_blackout_that_is_no_quad_is_a_problem_of_the_configuration(site, quad, said):
    data = yaml.safe_load(site.read_text())
    data["cameras"][0]["blackout"] = [quad]
    site.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=rf"cameras\[0\]\.blackout\[0\]: .*{said}"):
        load_site(site)
