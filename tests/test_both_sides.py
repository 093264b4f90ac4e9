"""What the daemon and its pages both have to know is the same on both sides."""

from __future__ import annotations

import ast
import re

import pytest
from conftest import REPOSITORY

from edge.drawing import goods_list
from edge.overlay import COLOURS
from edge.payloads import NAME
from edge.plan import MOST_HIDDEN
from edge.types import State
from edge.web import calibrate_bodies
from edge.web.shown import AGE_STEPS_MIN

STATIC = REPOSITORY / "edge" / "web" / "static"


def found(file: str, pattern: str) -> str:
    """Return what the pattern's group holds, which stands in the file exactly once."""
    text = (STATIC / file).read_text(encoding="utf-8")
    matches = re.findall(pattern, text, re.DOTALL | re.MULTILINE)
    assert len(matches) == 1, f"{file}: {pattern} stands there {len(matches)} times"
    return str(matches[0])


def number(file: str, name: str) -> float:
    return float(found(file, rf"\b{name} = ([\d.]+)[,;]"))


def test_the_headings_of_a_list_of_goods():
    joined = found("geom/naming.js", r"^const HEADINGS = new Set\(\((.*?)\)\.split")
    words = "".join(re.findall('"([^"]*)"', joined)).split()
    known = goods_list.COLUMNS.items()
    assert words == [word for word, column in known if column in ("name", "sku")]


def test_what_an_id_may_look_like():
    assert found("geom/naming.js", r"^export const ID = /(.*?)/;$") == f"^{NAME}$"


def test_how_many_digits_a_barcode_has():
    pattern = found("geom/naming.js", r"^const BARCODE = /(.*?)/;$")
    assert pattern == f"^{goods_list.BARCODE.pattern}$"


def test_a_barcode_that_a_spreadsheet_took_for_a_number():
    pattern = found("geom/naming.js", r"^const DECIMAL = /(.*?)/;$")
    assert pattern == f"^{goods_list.DECIMAL.pattern}$"


def test_a_barcode_that_a_spreadsheet_has_rounded():
    pattern = found("geom/naming.js", r"^const ROUNDED = /(.*?)/i;$")
    assert pattern == f"^{goods_list.ROUNDED.pattern}$"
    assert goods_list.ROUNDED.flags & re.IGNORECASE


def test_how_much_of_a_slot_may_be_blacked_out():
    assert number("calibrate/scores.js", "MOST_HIDDEN") == MOST_HIDDEN


def test_how_much_one_request_may_ask():
    assert number("calibrate/scores.js", "MOST") == calibrate_bodies.MOST_SCORED
    assert number("calibrate/actions.js", "MOST_ROWS") == calibrate_bodies.MOST_ROWS
    assert number("calibrate/actions.js", "MOST_COLUMNS") == calibrate_bodies.MOST_COLUMNS


@pytest.mark.parametrize("state", State)
def test_the_colour_of_each_state(state):
    light = found("css/tokens.css", r"^:root \{(.*?)^\}")
    written = re.findall(rf"^  --{state}: #(\w{{6}});$", light, re.MULTILINE)
    blue, green, red = COLOURS[state]
    assert written == [f"{red:02x}{green:02x}{blue:02x}"]


def test_when_an_incident_is_late():
    steps = found("staff/model.js", r"^  settings: \{ age_steps_min: (\[.*?\])")
    assert ast.literal_eval(steps) == list(AGE_STEPS_MIN)
