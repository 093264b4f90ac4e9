"""Lists of goods as shops have them: out of spreadsheets, in two languages, with their faults."""

from __future__ import annotations

import pytest

from edge.drawing.goods_list import MOST_PROBLEMS, MOST_ROWS, Goods, decode, read_goods


@pytest.mark.parametrize("between", ["\t", ",", ";"])
@pytest.mark.parametrize(
    "header",
    [
        ("name", "sku", "row", "column"),
        ("상품명", "바코드", "단", "칸"),
        ("품명", "EAN-13", "행", "열"),
    ],
)
def test_columns_are_found_by_their_names_in_both_languages(between, header):
    lines = [header, ("초코우유 240 ml", "8801104940016", "1단", "3"), ("물", "", "2", "1")]
    found = read_goods("\r\n".join(between.join(line) for line in lines))
    assert found.problems == ()
    assert found.rows == (
        Goods("초코우유 240 ml", "8801104940016", None, 1, 3),
        Goods("물", None, None, 2, 1),
    )


def test_columns_may_stand_in_any_order_and_others_are_passed_over():
    found = read_goods("price,Slot ID,Bar Code,Product name\n1200,a1-03,88011,Milk")
    assert found.rows == (Goods("Milk", "88011", "a1-03"),)


def test_a_column_of_names_alone_is_a_list():
    found = read_goods("초코우유\n\n딸기우유, 큰 것\n")
    assert [one.name for one in found.rows] == ["초코우유", "딸기우유, 큰 것"]
    assert read_goods("딸기우유, 큰 것\n초코우유").rows == found.rows[::-1]


@pytest.mark.parametrize(
    "text", ["Milk\t8801104940016\nTea\t8801104940023", "8801104940016\tMilk\n8801104940023\tTea"]
)
def test_of_two_columns_without_names_the_barcodes_are_the_sku(text):
    rows = read_goods(text).rows
    assert rows == (Goods("Milk", "8801104940016"), Goods("Tea", "8801104940023"))


def test_three_columns_need_names():
    found = read_goods("a,b,c\nd,e,f")
    assert found.rows == ()
    assert "the first line must name the columns" in found.problems[0]


def test_facings_become_slots_side_by_side_in_the_planograms_order():
    text = "shelf,position,product,facings\n1,2,Tea,1\n1,1,Milk,2\n2,1,Water,3"
    rows = read_goods(text).rows
    assert [(one.row, one.column) for one in rows] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
    ]
    assert [one.name for one in rows] == ["Milk", "Milk", "Tea", "Water", "Water", "Water"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Milk,8.80E+12,1,1", "line 2: the spreadsheet has rounded the barcode to 8.80E+12"),
        ("Milk,,first,1", "line 2: row: 'first' is no whole number"),
        ("Milk,,0,1", "line 2: row: '0' is no whole number from 1 on"),
        (",,1,1", "line 2: has no name"),
        ("x" * 201 + ",,1,1", "line 2: the name has more than 200 letters"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line_and_left_out(line, problem):
    found = read_goods(f"name,sku,row,column\n{line}\nTea,,1,2")
    assert found.problems[0].startswith(problem)
    assert [one.name for one in found.rows] == ["Tea"]


def test_ids_are_unique_and_of_small_letters():
    found = read_goods("id,name\na1,Milk\na1,Tea\nA 2,Water")
    assert [problem.partition(":")[0] for problem in found.problems] == ["line 4", "id a1"]


def test_a_spreadsheets_own_ways_of_writing_are_undone():
    found = read_goods(
        'name,sku\n"Milk\n240 ml","=""0880110"""\nCafe\u0301,1.0\nTea,8801104940023.0\n'
    )
    assert found.rows == (
        Goods("Milk 240 ml", "0880110"),
        Goods("Café", "1.0"),
        Goods("Tea", "8801104940023"),
    )


def test_a_name_with_html_is_only_a_name():
    assert read_goods("<img src=x onerror=alert(1)>").rows[0].name == "<img src=x onerror=alert(1)>"


def test_more_than_the_most_rows_are_cut_off_and_said():
    found = read_goods("\n".join(f"Product {number}" for number in range(MOST_ROWS + 1)))
    assert len(found.rows) == MOST_ROWS
    assert found.problems == (f"has {MOST_ROWS + 1} rows; the first {MOST_ROWS} are taken",)


def test_facings_cannot_make_a_list_endless():
    rows = read_goods("name,facings\n" + "Milk,50\n" * MOST_ROWS).rows
    assert len(rows) == MOST_ROWS


def test_not_every_problem_is_repeated():
    found = read_goods("name,row\n" + "Milk,x\n" * 500)
    assert len(found.problems) == MOST_PROBLEMS + 1
    assert found.problems[-1] == "and 450 more"


@pytest.mark.parametrize("text", ["", "\n\n", "\x00", '"', "a" * 300_000, ',"' * 1000])
def test_what_is_no_list_does_no_harm(text):
    found = read_goods(text)
    assert all(len(one.name) <= 200 for one in found.rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_files_of_every_spreadsheet_are_read(encoding):
    assert decode("상품명\n초코우유".encode(encoding)) == "상품명\n초코우유"


def test_a_file_that_is_no_text_is_refused():
    with pytest.raises(ValueError, match="save it as CSV"):
        decode(b"PK\x03\x04\xff\xff\xff\xfe\x80")
