"""The page's geometry, run in a real browser, against the daemon's."""

from __future__ import annotations

import functools
import http.server
import itertools
import threading

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, require_program

from edge import geometry
from edge.drawing import goods_list
from edge.planogram import quad_problem

STATIC = REPOSITORY / "edge" / "web" / "static"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def page():
    """A blank page of an origin that has the modules."""
    program = require_program("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    handler = functools.partial(Quiet, directory=str(STATIC))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/icons.svg")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


def call(page, module, function, *arguments):
    """Return what a function of geom/ gives."""
    return page.evaluate(
        "async ([module, name, args]) => (await import(module))[name](...args)",
        [f"/geom/{module}.js", function, list(arguments)],
    )


def some_quads(count=60, seed=3):
    """Convex quads of a 1280 x 720 picture, some of them very oblique."""
    random = np.random.default_rng(seed)
    base = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    found = []
    while len(found) < count:
        quad = base + random.uniform(-0.1, 0.1, (4, 2)) * random.uniform(0, 3)
        if np.all((quad >= 0) & (quad <= 1)) and quad_problem(tuple(map(tuple, quad))) is None:
            found.append((quad * [1280, 720]).tolist())
    return found


def test_the_page_divides_a_shelf_as_the_daemon_does(page):
    us, rows = [0, 0.13, 0.4, 0.77, 1], [[0, 0.21], [0.27, 0.6], [0.66, 1]]
    for quad in some_quads():
        ours = np.array(call(page, "divide", "divide", quad, us, rows))
        theirs = np.array(geometry.divide(quad, us, rows)).reshape(ours.shape)
        assert np.abs(ours - theirs).max() < 1e-9 * 1280


def test_a_perspective_map_and_its_inverse_undo_each_other(page):
    points = np.random.default_rng(1).uniform(-0.2, 1.2, (20, 2))
    for quad in some_quads(10):
        matrix = call(page, "homography", "unitTo", quad)
        assert np.allclose(np.reshape(matrix, (3, 3)), geometry.unit_to(quad), rtol=0, atol=1e-9)
        inverse = call(page, "homography", "invert", matrix)
        for point in points.tolist():
            there = call(page, "homography", "apply", matrix, point)
            expected = geometry.project(geometry.unit_to(quad), np.array([point]))[0]
            assert np.allclose(there, expected, rtol=1e-12, atol=1e-9)
            assert np.allclose(
                call(page, "homography", "apply", inverse, there), point, rtol=0, atol=1e-9
            )


def test_a_map_of_fractions_becomes_one_of_pixels(page):
    rows = [[0.9, 0.05, 0.02], [-0.04, 1.1, 0.01], [0.03, -0.02, 1]]
    matrix = call(page, "homography", "inPixels", rows, 640, 480)
    got = call(page, "homography", "apply", matrix, [320, 120])
    expected = geometry.project(np.array(rows), np.array([[0.5, 0.25]]))[0] * [640, 480]
    assert np.allclose(got, expected, rtol=0, atol=1e-9)
    back = call(page, "homography", "inFractions", matrix, 640, 480)
    assert np.allclose(back, np.ravel(rows), rtol=0, atol=1e-12)


def test_how_far_a_map_moves_turns_and_enlarges_a_picture(page):
    matrix = cv2.getRotationMatrix2D((320, 240), -3.0, 1.1)  # OpenCV counts the other way round
    matrix[:, 2] += (24, -32)
    told = call(page, "homography", "movement", [*matrix.ravel(), 0, 0, 1], 640, 480)
    assert told == pytest.approx({"moved": 40 / 640, "turned": 3.0, "scale": 1.1})


def test_quads_the_planogram_refuses_are_refused_while_drawing(page):
    random = np.random.default_rng(8)
    judged = []
    for _ in range(300):
        quad = random.uniform(0, 1, (4, 2))
        allowed = quad_problem(tuple(map(tuple, quad.tolist()))) is None
        assert call(page, "quad", "isConvex", (quad * 1000).tolist()) == allowed
        judged.append(allowed)
    assert 10 < sum(judged) < 290


def test_four_taps_in_any_order_are_the_same_quad(page):
    for quad in some_quads(20):
        for order in ([0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0], [1, 3, 0, 2]):
            assert call(page, "quad", "ordered", [quad[i] for i in order]) == quad


def test_overlap_is_the_common_share_of_the_smaller_slot(page):
    big = [[0, 0], [100, 0], [100, 100], [0, 100]]
    small = [[90, 40], [110, 40], [110, 60], [90, 60]]
    assert call(page, "quad", "overlap", big, small) == pytest.approx(0.5)
    assert call(page, "quad", "overlap", small, big) == pytest.approx(0.5)
    apart = [[200, 0], [300, 0], [300, 100], [200, 100]]
    assert call(page, "quad", "overlap", big, apart) == 0
    assert call(page, "quad", "overlapping", [big, apart, small]) == [[0, 2]]


def test_the_share_of_a_slot_in_others_is_what_the_daemon_counts(page):
    quads = some_quads(8)
    for quad, one, other in zip(quads, quads[1:], quads[2:], strict=False):
        halves = [(np.array(one) * [0.5, 1]).tolist(), (np.array(other) * [1, 0.4]).tolist()]
        fractions = [tuple(map(tuple, np.array(one) / [1280, 720])) for one in (quad, *halves)]
        counted = geometry.share_inside(fractions[0], fractions[1:])
        assert 0.2 < counted < 0.9
        found = call(page, "quad", "shareInside", quad, halves)
        assert found == pytest.approx(counted, abs=0.003)
    big = [[0, 0], [100, 0], [100, 100], [0, 100]]
    quarter = [[50, 50], [150, 50], [150, 150], [50, 150]]
    assert call(page, "quad", "shareInside", big, [quarter]) == 0.25
    assert call(page, "quad", "shareInside", big, [quarter, quarter]) == 0.25
    assert call(page, "quad", "shareInside", big, []) == 0


def test_a_slot_is_warned_of_by_its_shape(page):
    picture = {"width": 640, "height": 480}

    def warnings(*quad):
        return call(page, "quad", "shapeWarnings", quad, picture)

    assert warnings([10, 10], [90, 10], [90, 90], [10, 90]) == []
    assert warnings([10, 10], [30, 10], [30, 90], [10, 90]) == ["small"]
    assert warnings([-5, 10], [90, 10], [90, 90], [10, 90]) == ["outside"]
    assert warnings([10, 10], [90, 45], [90, 70], [10, 110]) == ["oblique"]
    assert warnings([10, 10], [90, 90], [90, 10], [10, 90]) == ["twisted"]


def dividers(page, cells):
    return call(page, "divide", "equalDividers", cells)


def test_a_dragged_divider_is_pinned_and_the_others_share_the_room(page):
    row = {"v": [0, 1], "trim": 1, "dividers": dividers(page, 5)}
    moved = call(page, "divide", "moveDivider", row, 1, 0.6, 0.02)
    assert [d["u"] for d in moved] == pytest.approx([0.3, 0.6, 0.6 + 0.4 / 3, 0.6 + 0.8 / 3])
    assert [d["pinned"] for d in moved] == [False, True, False, False]
    crowded = call(page, "divide", "moveDivider", {**row, "dividers": moved}, 2, 0.1, 0.02)
    assert [d["u"] for d in crowded][:3] == pytest.approx([0.3, 0.6, 0.62])


def test_a_trim_moves_one_divider_where_it_is_wanted_and_keeps_the_ends(page):
    for u, wanted in ((0.2, 0.3), (0.5, 0.42), (0.9, 0.95)):
        trim = call(page, "divide", "trimFor", u, wanted)
        assert call(page, "divide", "trimmed", u, trim) == pytest.approx(wanted, abs=1e-12)
        assert call(page, "divide", "untrimmed", wanted, trim) == pytest.approx(u, abs=1e-12)
        assert call(page, "divide", "trimmed", 0, trim) == 0
        assert call(page, "divide", "trimmed", 1, trim) == 1


def test_rows_leave_room_for_price_rails(page):
    spans = call(page, "divide", "rowSpans", 4, 0.06)
    assert spans[0][0] == 0
    assert spans[-1][1] == 1
    gaps = [below[0] - above[1] for above, below in itertools.pairwise(spans)]
    assert gaps == pytest.approx([0.06] * 3)
    heights = [bottom - top for top, bottom in spans]
    assert heights == pytest.approx([heights[0]] * 4)


def test_a_column_of_a_spreadsheet_becomes_names_and_codes(page):
    def parsed(text):
        found = call(page, "naming", "parsePaste", text)
        assert found["rounded"] == []
        return [(line["name"], line["sku"]) for line in found["lines"]]

    assert parsed("Milk\r\nTea\r\n") == [("Milk", ""), ("Tea", "")]
    assert parsed("Milk\t8801104940016\nTea\t8801104940023") == [
        ("Milk", "8801104940016"),
        ("Tea", "8801104940023"),
    ]
    assert parsed("Milk\t8801104940016\nTea\nJam\nRice") == [
        ("Milk", "8801104940016"),
        *((name, "") for name in ("Tea", "Jam", "Rice")),
    ], "few lines have a code"
    dated = "Milk\t\t8801104940016\nTea\t20261130\t8801104940023\nJam\t\t8801104940030"
    assert [sku for _, sku in parsed(dated)] == ["8801104940016", "8801104940023", "8801104940030"]
    assert parsed("8801104940016\tMilk\n8801104940023\tTea")[1] == ("Tea", "8801104940023")
    assert parsed("Milk\t8801104940016.0\nTea 2.0\t88011049,00") == [
        ("Milk", "8801104940016"),
        ("Tea 2.0", "88011049"),
    ], "what a spreadsheet took for numbers"
    assert parsed('"Milk, ""cold"""\n\nTea') == [('Milk, "cold"', ""), ("", ""), ("Tea", "")]
    assert parsed('"Milk\r\n240 ml"\t88011049\r\n"Tea ""x""\n"\t88011050') == [
        ("Milk 240 ml", "88011049"),
        ('Tea "x"', "88011050"),
    ]
    assert parsed('"Milk\n6" pan\n"a" b\n"Tea"') == [
        ('"Milk', ""),
        ('6" pan', ""),
        ('"a" b', ""),
        ("Tea", ""),
    ], "quotes that are a name's own"


def test_a_barcode_that_was_rounded_is_no_code(page):
    found = call(page, "naming", "parsePaste", "Milk\t8.8011E+12\nTea\t8,80E+12\nJam\t88011050")
    assert [line["sku"] for line in found["lines"]] == ["", "", "88011050"]
    assert [line["name"] for line in found["lines"]] == ["Milk", "Tea", "Jam"]
    assert found["rounded"] == ["8.8011E+12", "8,80E+12"]


def test_a_heading_is_what_the_import_takes_for_one(page):
    for word, meaning in goods_list.COLUMNS.items():
        text = f"{word.upper()}\tx\nMilk\t3"
        assert call(page, "naming", "isHeading", text) is (meaning in ("name", "sku")), word
    assert call(page, "naming", "isHeading", "\n\n상품 코드\t단\n")
    assert not call(page, "naming", "isHeading", "Milk\t3")
    assert not call(page, "naming", "isHeading", "")


def test_ids_follow_the_pattern_and_never_collide(page):
    values = {"row": 1, "col": 3, "n": 13, "camera": "aisle-1"}
    assert call(page, "naming", "filled", "a{row}-{col:02}", values) == "a1-03"
    assert call(page, "naming", "filled", "{camera}-{n:03}", values) == "aisle-1-013"
    assert call(page, "naming", "defaultPattern", ["a1-01", "b2-07"]) == "c{row}-{col:02}"
    assert call(page, "naming", "slug", "초코 Milk 240 ml") == "milk-240-ml"


def test_numbers_run_as_people_walk(page):
    naming = {"firstRow": 1, "firstColumn": 1, "rightToLeft": False, "bottomUp": False}

    def numbers(row, column, **ways):
        place = {"row": row, "column": column, "rows": 3, "columns": 4}
        got = call(page, "naming", "numbered", place, {**naming, "zigzag": False, **ways})
        return got["row"], got["col"]

    assert numbers(0, 0) == (1, 1)
    assert numbers(0, 0, rightToLeft=True) == (1, 4)
    assert numbers(0, 0, bottomUp=True, firstRow=0) == (2, 1)
    assert numbers(1, 0, zigzag=True) == (2, 4)
    assert numbers(2, 0, zigzag=True) == (3, 1)


def test_loose_slots_are_read_row_by_row_even_where_the_shelf_slopes(page):
    shelf = [[40, 60], [600, 140], [600, 420], [40, 380]]
    quads = call(page, "divide", "divide", shelf, [0, 0.25, 0.5, 0.75, 1], [[0, 0.45], [0.55, 1]])
    order = np.random.default_rng(5).permutation(8)
    rows = call(page, "naming", "readingRows", [quads[i] for i in order])
    assert [[int(order[i]) for i in row] for row in rows] == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("rows", [1, 3])
def test_slots_above_or_beside_each_other_become_one_however_the_camera_hangs(page, quarters, rows):
    shelf = [[340, 90], [800, 70], [830, 640], [310, 600]]
    parts = [i / 3 for i in range(4)] if rows == 1 else [0, 1]
    spans = [[i / rows, (i + 1) / rows] for i in range(rows)]
    quads = call(page, "divide", "divide", turned(shelf, quarters), parts, spans)
    for order in itertools.permutations(range(3)):
        loose = [
            {"key": str(i), "id": f"s{i}", "name": f"S{i}", "sku": None, "quad": quads[i]}
            for i in order
        ]
        state = {"bays": [], "loose": loose}
        (one,) = call(page, "../calibrate/edits", "merge", state, loose)["loose"]
        assert np.abs(np.array(one["quad"]) - turned(shelf, quarters)).max() < 1e-6
        assert one["id"] == f"s{order[0]}"


@pytest.mark.parametrize("quarters", range(4))
def test_narrow_slots_of_a_slanted_shelf_become_what_both_cover(page, quarters):
    left = [[500, 313], [560, 300], [560, 600], [500, 605]]
    right = [[560, 300], [620, 287], [620, 595], [560, 600]]
    loose = [{"key": k, "quad": turned(q, quarters)} for k, q in (("a", left), ("b", right))]
    (one,) = call(page, "../calibrate/edits", "merge", {"bays": [], "loose": loose}, loose)["loose"]
    assert one["quad"] == turned([[500, 313], [620, 287], [620, 595], [500, 605]], quarters)


def test_a_copy_may_rise_over_the_edge_a_little_but_stays_beside_its_slot(page):
    picture = {"width": 1280, "height": 720}
    for quad, moved in (
        ([[0, 500], [200, 505], [200, 720], [0, 715]], 200),
        ([[0, 10], [200, 0], [200, 150], [0, 160]], 200),
        ([[300, 500], [500, 505], [500, 720], [300, 715]], 200),
        ([[1080, 500], [1280, 505], [1280, 720], [1080, 715]], -200),
    ):
        slot = {"key": "a", "sku": None, "name": "A", "quad": quad}
        made = call(
            page, "../calibrate/edits", "duplicate", {"bays": [], "loose": [slot]}, [slot], picture
        )
        assert made["state"]["loose"][1]["quad"][0][0] == quad[0][0] + moved


@pytest.mark.parametrize("quarters", range(4))
def test_a_slot_that_joins_one_with_another_top_is_turned_like_it(page, quarters):
    shelf = [[340, 90], [800, 70], [830, 640], [310, 600]]
    left, right = call(page, "divide", "divide", shelf, [0, 0.5, 1], [[0, 1]])
    loose = [{"key": "a", "quad": left}, {"key": "b", "quad": turned(right, quarters)}]
    (one,) = call(page, "../calibrate/edits", "merge", {"bays": [], "loose": loose}, loose)["loose"]
    assert np.abs(np.array(one["quad"]) - shelf).max() < 1e-6


@pytest.mark.parametrize("quarters", range(4))
def test_a_copy_lies_beside_its_slot_and_in_the_picture(page, quarters):
    for left, size, fits in ((400, 1000, True), (100, 200, quarters > 1), (0, 1000, quarters < 2)):
        right = left + 100
        quad = turned([[left, left], [right, left], [right, right], [left, right]], quarters)
        slot = {"key": "a", "sku": None, "name": "A", "quad": quad}
        state, picture = {"bays": [], "loose": [slot]}, {"width": size, "height": size}
        made = call(page, "../calibrate/edits", "duplicate", state, [slot], picture)
        aside = np.subtract(quad[1], quad[0]) * (1 if fits else -1)
        assert np.array(made["state"]["loose"][1]["quad"]).tolist() == (quad + aside).tolist()


SIZE = np.array([1280, 720])
SLACK = 3e-5 * 1280


def in_the_file(quads):
    """Return quads in pixels as a planogram's five decimals give them back."""
    return (np.round(np.array(quads) / SIZE, 5) * SIZE).tolist()


def row(top, bottom, cells, trim=1.0, moved=(), lean=0.0):
    """Return a row of equal cells, some of whose dividers a person has moved or leant."""
    dividers = [
        {"u": (i + 1) / cells, "lean": 0, "pinned": False, "guessed": False}
        for i in range(cells - 1)
    ]
    for i in moved:
        dividers[i] |= {"u": dividers[i]["u"] + 0.2 / cells, "lean": lean, "pinned": True}
    return {"v": [top, bottom], "dividers": dividers, "trim": trim}


ROWS = {
    "a grid": [row(0, 0.45, 4), row(0.5, 1, 4)],
    "rows of their own": [row(0, 0.3, 5), row(0.34, 0.6, 3, moved=[1]), row(0.66, 1, 7)],
    "a thin row in wrong perspective": [row(0, 1, 6, trim=1.3)],
    "goods that lean": [row(0, 0.5, 4, moved=[1], lean=0.03), row(0.5, 1, 4)],
    "a wide pack above": [row(0, 0.3, 1), row(0.4, 1, 2)],
}


def turned(shelf, quarters):
    """Return the shelf of a camera that hangs on its side, or upside down."""
    return [*shelf[quarters:], *shelf[:quarters]]


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_bay_is_found_again_in_its_quads(page, rows, quarters):
    for upright in some_quads(12, seed=7):
        shelf = turned(upright, quarters)
        quads = in_the_file([q for r in rows for q in call(page, "divide", "cellQuads", shelf, r)])
        (bay,) = call(page, "regroup", "regrouped", quads, SLACK)
        assert np.abs(np.array(bay["quad"]) - shelf).max() < SLACK
        cells = itertools.count()
        for found, drawn in zip(bay["rows"], rows, strict=True):
            assert found["cells"] == [next(cells) for _ in range(len(drawn["dividers"]) + 1)]
            moved = any(divider["pinned"] for divider in drawn["dividers"])
            assert [d["pinned"] for d in found["dividers"]] == [moved] * len(drawn["dividers"])
            assert found["v"] == pytest.approx(drawn["v"], abs=2e-3)


@pytest.mark.parametrize("quarters", range(4))
def test_deleted_slots_are_holes_of_their_bay(page, quarters):
    shelf = turned([[140, 90], [1100, 60], [1180, 640], [90, 600]], quarters)
    quads = [
        q
        for r in (row(0, 0.3, 5), row(0.33, 0.63, 5), row(0.66, 1, 5))
        for q in call(page, "divide", "cellQuads", shelf, r)
    ]
    kept = [i for i in range(15) if i not in (2, 5, 9)]  # inside a row, and at both of its ends
    (bay,) = call(page, "regroup", "regrouped", in_the_file([quads[i] for i in kept]), SLACK)
    found = [[None if c is None else kept[c] for c in r["cells"]] for r in bay["rows"]]
    assert found == [[0, 1, None, 3, 4], [None, 6, 7, 8, None], [10, 11, 12, 13, 14]]


def test_what_is_not_one_shelf_is_not_made_one(page):
    apart = [
        [[x, y], [x + 80, y], [x + 80, y + 100], [x, y + 100]]
        for x in (50, 200, 350)
        for y in (100, 220)  # aligned to the pixel, and yet no columns of one shelf
    ]
    crooked = [[[500, 100], [600, 100], [600, 300], [500, 300]],
               [[600, 100], [700, 103], [700, 300], [600, 300]]]  # fmt: skip
    assert call(page, "regroup", "regrouped", apart + crooked, SLACK) == []
    left = [[20, 350], [400, 380], [400, 690], [20, 700]]
    right = [[500, 380], [1200, 350], [1220, 700], [500, 690]]
    both = [q for s in (left, right) for q in call(page, "divide", "cellQuads", s, row(0, 1, 3))]
    bays = call(page, "regroup", "regrouped", in_the_file(both + apart), SLACK)
    assert [bay["rows"][0]["cells"] for bay in bays] == [[0, 1, 2], [3, 4, 5]]


def test_a_large_plan_of_loose_slots_is_sorted_while_nobody_waits(page):
    chance = np.random.default_rng(2)
    corner = chance.uniform([0, 0], [1200, 640], (2000, 1, 2))
    box = np.array([[0, 0], [60, 0], [60, 60], [0, 60]]) + chance.uniform(-5, 5, (2000, 4, 2))
    took_ms = page.evaluate(
        """async (quads) => {
          const { regrouped } = await import("/geom/regroup.js");
          const began = performance.now();
          const bays = regrouped(quads, 0.04);
          return bays.length ? -1 : performance.now() - began;
        }""",
        in_the_file(corner + box),
    )
    assert 0 <= took_ms < 5000
