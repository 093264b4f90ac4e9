"""What the calibration page asks of the server: over real HTTP, on real pictures, whoever asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from http_camera import HttpCamera
from pages import serve_pages
from test_classifier import metadata, write_bundle

from edge.classifier import open_classifier
from edge.drawing.bench import CalibrationBench, Setup
from edge.drawing.viewfinder import OwnCameras
from edge.geometry import cut
from edge.preprocess import resize
from edge.rendered.renderer import Renderer
from edge.rendered.scene import Scene
from edge.site import CameraConfig, Site
from edge.types import Slot
from edge.web.calibrate import routes

QUAD = [[0.1, 0.1], [0.3, 0.12], [0.3, 0.4], [0.1, 0.38]]
RIGHT = [[0.4, 0.1], [0.6, 0.1], [0.6, 0.4], [0.4, 0.4]]
SHELF = cv2.resize(
    np.random.default_rng(5).integers(0, 255, (18, 32, 3), np.uint8), (640, 360), interpolation=2
)


def slot(slot_id: str = "a1", name: str = "Milk", quad: Any = QUAD, **more: Any) -> dict[str, Any]:
    return {"id": slot_id, "name": name, "quad": quad, **more}


@dataclass
class Page:
    """The calibration page of one site, as a browser talks to it."""

    http: httpx.Client
    planogram: Path
    camera: HttpCamera
    tokens: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.post(f"/api/calibrate/{path}", json={} if body is None else body)

    def token(self, camera: str = "aisle") -> str:
        """Return a picture of the camera, taken when it is first asked for."""
        if camera not in self.tokens:
            self.tokens[camera] = self.post(f"{camera}/picture").json()["token"]
        return self.tokens[camera]

    def plan(self, camera: str = "aisle", **query: str) -> dict[str, Any]:
        return dict(self.http.get(f"/api/calibrate/{camera}/plan", params=query).json())

    def save(
        self, slots: Any, digest: str | None = None, token: str | None = None, camera: str = "aisle"
    ) -> httpx.Response:
        digest = self.plan(camera)["digest"] if digest is None else digest
        body = {"token": token or self.token(camera), "slots": slots}
        headers = {"If-Match": f'"{digest}"'}
        return self.http.put(f"/api/calibrate/{camera}", json=body, headers=headers)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Three cameras: one over HTTP, one of a folder, and one that is switched off."""
    with HttpCamera() as camera:
        still = bytes(cv2.imencode(".png", SHELF)[1])
        camera.next_picture = lambda: still
        (tmp_path / "pictures").mkdir()
        cv2.imwrite(str(tmp_path / "pictures" / "0.png"), SHELF)
        urls = {
            "aisle": camera.url("/still.jpg"),
            "fridge": f"folder:{tmp_path / 'pictures'}",
            "attic": "http://viewer:s3same@127.0.0.1:9/still.jpg",
        }
        cameras = [CameraConfig(id=one, url=url) for one, url in urls.items()]
        planogram = tmp_path / "planogram.yaml"
        setup = Setup(dict.fromkeys(urls, "http"), planogram, bundle=None)
        bench = CalibrationBench(lambda: setup, OwnCameras(cameras))
        try:
            with (
                serve_pages(tmp_path / "state", routes(bench)) as url,
                httpx.Client(base_url=url, headers={"X-Stock": "1"}, timeout=30) as http,
            ):
                yield Page(http, planogram, camera)
        finally:
            bench.close()


@pytest.fixture(scope="module")
def store() -> np.ndarray:
    """A picture of the rendered store: two shelves of twelve slots."""
    return Renderer(Scene(7)).picture(0.0)


def shows(page: Page, image: np.ndarray) -> None:
    """Let the camera aisle show this picture from now on."""
    sent = bytes(cv2.imencode(".png", image)[1])
    page.camera.next_picture = lambda: sent
    page.tokens.clear()


# What an installer does


def test_a_shelf_is_photographed_drawn_judged_saved_and_loaded_again(page, tmp_path):
    overview = page.http.get("/api/calibrate").json()
    assert [(one["id"], one["slots"]) for one in overview["cameras"]] == [
        ("aisle", 0), ("fridge", 0), ("attic", 0),
    ]  # fmt: skip
    assert (overview["writable"], overview["why_not"], overview["alone"]) == (True, None, True)

    shot = page.post("aisle/picture").json()
    assert (shot["width"], shot["height"]) == (640, 360)
    seen = page.http.get(f"/api/calibrate/pictures/{shot['token']}.jpg")
    assert seen.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(seen.content, np.uint8), 1).shape == (360, 640, 3)

    assert page.plan() == {
        "digest": "", "slots": [], "other_ids": [], "reference": None, "blackout": [],
        "versions": [],
    }  # fmt: skip
    slots = [slot(sku="0880"), slot("a2", "<b>Tea & 차</b>", RIGHT, priority=1)]
    saved = page.save(slots, "", shot["token"])
    assert saved.status_code == 200, saved.text
    assert saved.json()["reloaded"] is False
    assert "no daemon runs" in saved.json()["message"]

    plan = page.plan()
    assert plan["digest"] == saved.json()["digest"]
    assert plan["slots"] == [{"sku": None, "priority": None} | one for one in slots]
    reference = page.http.get(plan["reference"]["url"])
    assert cv2.imdecode(np.frombuffer(reference.content, np.uint8), 1).shape == (360, 640, 3)
    assert page.plan("fridge")["other_ids"] == ["a1", "a2"]


def test_a_slot_is_judged_as_the_daemon_will_see_it(page):
    token = page.token()
    body = {"token": token, "slots": [{"key": "k1", "quad": QUAD}, {"key": "k2", "quad": RIGHT}]}
    found = page.post("aisle/score", body).json()
    classifier = open_classifier()
    side = classifier.info.input_size
    for one, quad in zip(found["slots"], (QUAD, RIGHT), strict=True):
        crop = cut(SHELF, tuple(map(tuple, quad)))
        wanted = classifier.probabilities([crop])[0][classifier.info.classes.index("empty")]
        assert one["p_empty"] == pytest.approx(wanted, abs=1e-4)
        assert (one["width"], one["height"]) == (crop.shape[1], crop.shape[0])
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(one["crop"]), np.uint8), 1)
        assert shown.shape == (side, side, 3)
        assert np.abs(shown.astype(float) - resize(crop, side)).mean() < 3  # but for the JPEG


def test_scores_come_with_the_rule_of_site_yaml_or_else_of_the_bundle(tmp_path):
    about = metadata(thresholds={"empty_above": 0.9, "stocked_below": 0.2, "chosen_for": "a test"})
    write_bundle(tmp_path / "model.onnx", about)
    cv2.imwrite(str(tmp_path / "0.png"), SHELF)
    written = {
        "version": 1,
        "node": "shop",
        "cameras": ({"id": "aisle", "url": f"folder:{tmp_path}"},),
        "model": str(tmp_path / "model.onnx"),
    }
    sites = []
    cameras = [CameraConfig(id="aisle", url=f"folder:{tmp_path}")]
    bench = CalibrationBench(lambda: Setup.of(sites[-1]), OwnCameras(cameras))
    with (
        serve_pages(tmp_path / "state", routes(bench)) as url,
        httpx.Client(base_url=f"{url}api/calibrate/", headers={"X-Stock": "1"}) as http,
    ):

        def score(**decision: float) -> httpx.Response:
            sites.append(Site.model_validate(written | {"decision": decision}))
            token = http.post("aisle/picture", json={}).json()["token"]
            slots = [{"key": "k", "quad": QUAD}]
            return http.post("aisle/score", json={"token": token, "slots": slots})

        def rule(**decision: float) -> list[float]:
            found = score(**decision).json()
            return [found["empty_above"], found["stocked_below"]]

        assert rule() == [0.9, 0.2]
        assert rule(empty_above=0.7) == [0.7, 0.2]
        assert rule(empty_above=0.7, stocked_below=0.5) == [0.7, 0.5]
        refused = score(empty_above=0.15)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid")
        assert "empty_above (0.15) must be above" in refused.json()["error"]["message"]
    bench.close()


def test_a_blurred_slot_is_less_sharp_than_the_cameras_median(page):
    sharp = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
    sharp = cv2.resize(sharp, (640, 360), interpolation=cv2.INTER_NEAREST)
    sharp[:, 380:] = cv2.GaussianBlur(sharp, (0, 0), 4)[:, 380:]
    shows(page, sharp)
    far = [[x + 0.3, y] for x, y in RIGHT]
    quads = [QUAD, [[x, y + 0.4] for x, y in QUAD], far]
    slots = [{"key": f"k{n}", "quad": quad} for n, quad in enumerate(quads)]
    found = page.post("aisle/score", {"token": page.token(), "slots": slots}).json()
    sharpness = [one["sharpness"] for one in found["slots"]]
    assert sharpness[2] < found["median_sharpness"] / 4
    assert found["median_sharpness"] == sorted(sharpness)[1]


def test_what_cannot_be_a_slot_is_said_beside_the_others_scores(page):
    mirrored = {"key": "bad", "quad": QUAD[::-1]}
    body = {"token": page.token(), "slots": [mirrored, {"key": "good", "quad": QUAD}]}
    bad, good = page.post("aisle/score", body).json()["slots"]
    assert bad["key"] == "bad"
    assert "mirrored" in bad["problem"]
    assert good["p_empty"] >= 0


def test_names_are_changed_on_the_reference_while_the_camera_is_down(page):
    assert page.save([slot()]).status_code == 200
    page.camera.broken = b"nothing"
    assert page.post("aisle/picture").status_code == 503
    shot = page.post("aisle/picture", {"of": "reference"}).json()
    assert page.save([slot(name="Tea")], token=shot["token"]).status_code == 200
    assert page.plan()["slots"][0]["name"] == "Tea"


def test_earlier_versions_are_listed_and_can_be_taken_up_again(page):
    for name in ("Milk", "Tea", "Water"):
        assert page.save([slot(name=name)]).status_code == 200
    newest, oldest = page.plan()["versions"]
    assert [newest["slots"], oldest["slots"]] == [1, 1]
    before = page.plan(version=oldest["id"])
    assert before["slots"][0]["name"] == "Milk"
    assert before["digest"] == page.plan()["digest"]  # it is saved over what is there now
    assert page.save(before["slots"]).status_code == 200
    assert page.plan()["slots"][0]["name"] == "Milk"


def test_a_shelf_is_divided_where_its_picture_shows_it(page, store):
    shows(page, store)
    bay = [[0.03, 0.32], [0.97, 0.32], [0.97, 0.95], [0.03, 0.95]]
    body = {"token": page.token(), "quad": bay}
    for asked in ({"rows": 2, "columns": 12}, {"rows": 2, "columns": [12, 12]}, {}):
        found = page.post("aisle/suggest", body | asked).json()
        for row in found["rows"]:
            assert 0 <= row["v"][0] < row["v"][1] <= 1
            assert row["u"] == sorted(row["u"])
            assert (row["u"][0], row["u"][-1]) == (0, 1)
            assert len(row["found"]) == len(row["u"]) - 2
        if asked:
            assert [len(row["u"]) for row in found["rows"]] == [13, 13]
    three = page.post("aisle/suggest", body | {"rows": 3, "columns": [4, 5]}).json()
    assert [len(row["u"]) for row in three["rows"]] == [5, 6, 6]
    twisted = page.post("aisle/suggest", body | {"quad": bay[::-1]})
    assert (twisted.status_code, twisted.json()["error"]["code"]) == (422, "invalid")


def test_a_camera_that_was_moved_is_found_again(page, store):
    shows(page, store)
    assert page.save([slot()]).status_code == 200
    height, width = store.shape[:2]
    moved = cv2.getRotationMatrix2D((width / 2, height / 2), 2.0, 1.03)
    moved[:, 2] += (0.04 * width, -0.03 * height)
    shows(page, cv2.warpAffine(store, moved, (width, height)))
    now = page.post("aisle/picture").json()["token"]
    found = page.post("aisle/align", {"token": now}).json()
    assert found["accepted"] is True
    corner = np.array(found["homography"]) @ (0.2, 0.7, 1)
    wanted = moved @ (0.2 * width, 0.7 * height, 1) / (width, height)
    assert corner[:2] / corner[2] == pytest.approx(wanted, abs=0.005)
    pixels = np.diag([width, height, 1.0])
    found_there = pixels @ np.array(found["homography"]) @ np.linalg.inv(pixels)
    found_there /= found_there[2, 2]
    assert np.sqrt(np.linalg.det(found_there[:2, :2])) == pytest.approx(1.03, abs=0.01)
    assert found["inliers"] >= 40


def test_a_picture_of_something_else_is_not_aligned(page, store):
    shows(page, store)
    assert page.save([slot()]).status_code == 200
    shows(page, SHELF)
    now = page.post("aisle/picture").json()["token"]
    found = page.post("aisle/align", {"token": now}).json()
    assert found["accepted"] is False
    assert found["reason"]
    assert "shelf" in found["message"]


def test_without_a_reference_there_is_nothing_to_align_to(page):
    assert page.post("aisle/align", {"token": page.token()}).status_code == 410


def test_a_list_of_goods_is_read_as_text_and_as_a_file(page):
    text = "상품명,바코드,단\n초코우유,8801104940016,1\n물,x,두번째\n"
    file = base64.b64encode(text.encode("cp949")).decode()
    for body in ({"csv": text}, {"file": file}):
        found = page.post("import", body).json()
        assert found["rows"] == [
            {"name": "초코우유", "sku": "8801104940016", "id": None, "row": 1, "column": None}
        ]
        assert found["problems"] == ["line 3: row: '두번째' is no whole number from 1 on"]
    nothing = page.post("import", {"file": base64.b64encode(b"\xff\xd8\xff\xe0").decode()})
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (400, "no_text")


# What goes wrong


def test_a_camera_without_a_picture_says_why_and_no_password(page):
    answer = page.post("attic/picture")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "connect_failed"
    assert "check address" in answer.json()["error"]["message"]
    assert "s3same" not in answer.text


def test_a_planogram_that_changed_meanwhile_is_not_overwritten(page):
    loaded = page.plan()["digest"]
    assert page.save([slot()], loaded).status_code == 200
    answer = page.save([slot(name="Tea")], loaded)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "changed")
    theirs = answer.json()
    assert theirs["slots"][0]["name"] == "Milk"
    assert page.save([slot(name="Tea")], theirs["digest"]).status_code == 200


def test_of_many_who_save_at_once_one_succeeds(page):
    assert page.save([slot()]).status_code == 200
    digest, token = page.plan()["digest"], page.token()
    with ThreadPoolExecutor(8) as pool:
        names = [f"Tea {number}" for number in range(8)]
        answers = list(pool.map(lambda name: page.save([slot(name=name)], digest, token), names))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [409] * 7
    winner = names[[answer.status_code for answer in answers].index(200)]
    assert page.plan()["slots"][0]["name"] == winner


def test_every_problem_of_the_slots_is_told_at_once(page):
    slots = [slot("A 1"), slot("a2", ""), slot("a2", quad=QUAD[::-1]), slot("a4", quad=QUAD[:3])]
    answer = page.save(slots)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    problems = "\n".join(answer.json()["error"]["problems"])
    for part in (
        "slot A 1: id",
        "another slot has this id too",
        "a2: name",
        "mirrored",
        "4 points",
    ):
        assert part in problems
    assert not page.planogram.exists()


def test_an_id_of_another_camera_is_refused(page):
    assert page.save([slot()]).status_code == 200
    answer = page.save([slot()], camera="fridge")
    assert answer.status_code == 422
    assert "a slot of camera aisle has this id too" in answer.json()["error"]["problems"][0]


def test_nothing_is_saved_while_something_moves_in_the_picture(page):
    passing = [bytes(cv2.imencode(".png", np.roll(SHELF, 90 * n, axis=1))[1]) for n in range(2)]
    page.camera.next_picture = lambda: passing[len(page.camera.requests) % 2]
    shot = page.post("aisle/picture").json()
    answer = page.save([slot()], token=shot["token"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (423, "moving")
    assert not page.planogram.exists()


def test_a_damaged_planogram_is_explained_and_left_alone(page):
    page.planogram.write_text("version: 1\ncameras: [oops]\n")
    answer = page.http.get("/api/calibrate/aisle/plan")
    assert answer.status_code == 422
    assert "planogram.yaml:2: cameras" in answer.json()["error"]["problems"][0]
    assert page.save([slot()], "").status_code == 422
    assert page.planogram.read_text() == "version: 1\ncameras: [oops]\n"


def test_a_folder_that_is_not_there_is_told_before_anybody_draws(tmp_path):
    setup = Setup({"aisle": "demo"}, tmp_path / "none" / "planogram.yaml", None)
    bench = CalibrationBench(lambda: setup, OwnCameras([]))
    with serve_pages(tmp_path, routes(bench)) as url, httpx.Client(base_url=url) as http:
        found = http.get("/api/calibrate").json()
    assert found["writable"] is False
    assert "there is no folder" in found["why_not"]


# Whoever asks


@pytest.mark.parametrize("camera", ["nobody", "..", "..%2f..%2fetc", "%00", "aisle.yaml", "에이"])
def test_only_configured_cameras_are_there(page, camera):
    for method, path in (("GET", "plan"), ("POST", "picture"), ("GET", "reference.jpg")):
        answer = page.http.request(method, f"/api/calibrate/{camera}/{path}", json={})
        assert answer.status_code in (404, 405)
        assert "error" in answer.json()
    body = {"token": page.token(), "slots": [slot()]}
    answer = page.http.put(f"/api/calibrate/{camera}", json=body, headers={"If-Match": ""})
    assert answer.status_code in (404, 405, 410)
    assert not page.planogram.exists()


@pytest.mark.parametrize("token", ["", "x", "..%2fplanogram", "%2e%2e%2fmodel.onnx", "a" * 64])
def test_a_picture_is_found_by_its_token_alone(page, token):
    answer = page.http.get(f"/api/calibrate/pictures/{token}.jpg")
    assert answer.status_code in (404, 410)
    assert answer.headers["content-type"] == "application/json"


def test_a_picture_of_one_camera_is_none_of_another(page):
    token = page.token("fridge")
    body = {"token": token, "slots": [{"key": "a", "quad": QUAD}]}
    assert page.post("aisle/score", body).json()["error"]["code"] == "picture_gone"
    assert page.save([slot()], token=token).status_code == 410


@pytest.mark.parametrize("version", ["..", "../../etc/passwd", "0", "-1", "1~", "", "x" * 4000])
def test_a_version_is_one_of_the_list(page, version):
    answer = page.http.get("/api/calibrate/aisle/plan", params={"version": version})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_version")


HOSTILE: list[Any] = [
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"token": NaN}', b"[" * 100_000,
    {"token": None}, {"token": 5, "slots": []}, {"token": "x" * 65, "slots": []},
    {"token": "x", "slots": {}}, {"token": "x", "slots": [None]}, {"token": "x", "slots": "all"},
    {"token": "x", "slots": [], "path": "/etc/passwd"},
    b'{"token": "x", "slots": [{"key": "a", "quad": [[NaN, 0], [0, 0], [0, 0], [0, 0]]}]}',
    b'{"token": "x", "slots": [{"key": "a", "quad": [[1e999, 0], [0, 0], [0, 0], [0, 0]]}]}',
    {"token": "x", "slots": [{"key": "a", "quad": [[0, 0]] * 3}]},
    {"token": "x", "slots": [{"key": "a", "quad": [[0, 0, 0]] * 4}]},
    {"token": "x", "slots": [{"key": "a", "quad": [["0", "0"]] * 4}]},
    {"token": "x", "slots": [{"key": "a", "quad": QUAD}] * 65},
]  # fmt: skip


@pytest.mark.parametrize("path", ["score", "suggest", "align", "import", "picture"])
def test_what_is_no_request_is_refused_in_one_sentence(page, path):
    headers = {"Content-Type": "application/json"}
    where = path if path == "import" else f"aisle/{path}"
    for body in HOSTILE:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = page.http.post(f"/api/calibrate/{where}", content=content, headers=headers)
        said = answer.json()["error"]
        assert (answer.status_code, said["code"]) == (400, "bad_request"), content[:60]
        assert len(said["message"]) < 200


NO_PLANOGRAM: list[Any] = [
    None, {}, [None], [[]], [{"id": "a1"}], [slot(quad=None)], [slot(quad=[[0, 0]] * 9)],
    [slot(priority="1")], [slot(sku=880)], [slot(owner="me")], [slot()] * 2001,
]  # fmt: skip


def test_what_is_no_planogram_is_refused_and_nothing_is_written(page):
    for slots in NO_PLANOGRAM:
        answer = page.save(slots)
        said = (answer.status_code, answer.json()["error"]["code"])
        assert said == (400, "bad_request"), str(slots)[:60]
    assert not page.planogram.exists()


def test_two_thousand_slots_are_saved(page):
    steps = np.linspace(0, 1, 51).round(4)
    slots = [
        slot(f"s{row}-{column}", f"Product {row}", [
            [steps[column], row / 40], [steps[column + 1], row / 40],
            [steps[column + 1], (row + 1) / 40], [steps[column], (row + 1) / 40],
        ])
        for row in range(40) for column in range(50)
    ]  # fmt: skip
    assert page.save(slots).status_code == 200
    assert len(page.plan()["slots"]) == 2000


def test_a_body_without_end_is_cut_off(page):
    answer = page.post("import", {"csv": "x" * (2 * 2**20)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("number", ["1e309", "-1e309", "1e-400", "123456789012345678901234567890"])
def test_numbers_of_any_size_do_no_harm(page, number):
    quad = f"[[{number}, 0.1], [0.3, 0.1], [0.3, 0.4], [0.1, 0.4]]"
    content = f'{{"token": "{page.token()}", "slots": [{{"key": "a", "quad": {quad}}}]}}'
    headers = {"Content-Type": "application/json"}
    answer = page.http.post("/api/calibrate/aisle/score", content=content, headers=headers)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert "problem" in answer.json()["slots"][0] or number == "1e-400"


def test_any_text_is_a_name_and_only_a_name(page):
    names = [
        "<script>alert(1)</script>",
        "{{7*7}}",
        "'; DROP TABLE slot;--",
        "a: b # c",
        "\u202eabc",
    ]
    slots = [slot(f"a{n}", name, RIGHT if n else QUAD) for n, name in enumerate(names)]
    assert page.save(slots).status_code == 200
    answer = page.http.get("/api/calibrate/aisle/plan")
    assert [one["name"] for one in answer.json()["slots"]] == names
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_only_a_few_pictures_are_kept(page):
    tokens = [page.post("fridge/picture").json()["token"] for _ in range(10)]
    codes = [page.http.get(f"/api/calibrate/pictures/{one}.jpg").status_code for one in tokens]
    assert codes == [410] * 2 + [200] * 8


def test_another_site_cannot_have_a_browser_save(page):
    answer = page.http.put("/api/calibrate/aisle", json={}, headers={"X-Stock": "0"})
    assert answer.status_code == 403
    answer = page.http.put("/api/calibrate/aisle", json={}, headers={"Origin": "http://evil.test"})
    assert answer.status_code == 403


def test_slots_a_camera_brings_along_are_the_ones_to_begin_with(tmp_path):
    brought = Slot("b1", "aisle", tuple(map(tuple, QUAD)), "Brought")
    setup = Setup(("aisle",), None, None, lambda camera_id: (brought,))
    bench = CalibrationBench(lambda: setup, OwnCameras([CameraConfig(id="aisle", url="demo:")]))
    with serve_pages(tmp_path, routes(bench)) as url, httpx.Client(base_url=url) as http:
        overview = http.get("/api/calibrate").json()
        assert overview["cameras"] == [{"id": "aisle", "slots": 1}]
        assert overview["writable"] is False
        assert "names no planogram" in overview["why_not"]
        assert http.get("/api/calibrate/aisle/plan").json()["slots"][0]["name"] == "Brought"
    bench.close()
