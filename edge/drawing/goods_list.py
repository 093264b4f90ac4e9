"""A shop's own list of goods, as a spreadsheet or a planogram program gives it → one row a slot.

Nothing is guessed that a person would have to find out later: what cannot be read is said, line
by line, and left out.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.payloads import NAME

MOST_ROWS = 2000
MOST_PROBLEMS = 50
LONGEST = 200  # letters of a name
MOST_FACINGS = 50

WORDS = """
name     name product productname item itemname 품명 상품명 제품명 상품 제품 품목 품목명 이름
sku      sku barcode ean ean13 gtin upc jan code itemcode 바코드 상품코드 제품코드 코드 품번
row      row shelf tier level 단 행 선반 단번호
column   column col position pos 칸 열 위치 순서 칸번호
facings  facings facing faces 페이싱 페이싱수 면수 진열면수
id       id slot slotid 슬롯 아이디
"""
"""How a first line may call each column, without spaces and signs."""
COLUMNS = {word: line.split()[0] for line in WORDS.splitlines() for word in line.split()}
KNOWN = "name (품명, 상품명), sku (바코드), row (단), column (칸), facings (페이싱), id"

ID = re.compile(NAME)
BARCODE = re.compile(r"\d{6,14}")
DECIMAL = re.compile(r"(\d{6,14})[.,]0+")
ROUNDED = re.compile(r"\d([.,]\d+)?E\+?\d+", re.IGNORECASE)
"""What spreadsheets make of a barcode that they take for a number: DECIMAL has all its digits."""


@dataclass(frozen=True, slots=True)
class Goods:
    """What one line says. row and column count from 1."""

    name: str
    sku: str | None = None
    slot_id: str | None = None
    row: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class GoodsList:
    rows: tuple[Goods, ...]
    problems: tuple[str, ...]
    """Of what was left out or looks wrong, each with its line."""


def decode(data: bytes) -> str:
    """Return the text of a file: UTF-8, UTF-16 with its mark, or CP949 as Korean Excel writes it.

    Raises ValueError.
    """
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp949"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError("is no text in UTF-8 or CP949; save it as CSV (UTF-8)")


def read_goods(text: str) -> GoodsList:
    """Read a list with commas, semicolons or tabs; its first line may name the columns."""
    problems: list[str] = []
    lines = list(_lines(text, _delimiter(text), problems))
    header = _header(lines[0][1]) if lines else {}
    if not header and len({len(cells) for _, cells in lines}) > 1 and "\t" not in text:
        lines = list(_lines(text, "\t", problems))  # names with commas, one a line
    if header:
        lines = lines[1:]
    elif lines and max(len(cells) for _, cells in lines) > 2:
        return GoodsList((), (f"the first line must name the columns: {KNOWN}",))
    if len(lines) > MOST_ROWS:
        problems.append(f"has {len(lines)} rows; the first {MOST_ROWS} are taken")
        lines = lines[:MOST_ROWS]
    header = header or _unnamed([cells for _, cells in lines])
    found = [
        goods for number, cells in lines for goods in _read_line(number, cells, header, problems)
    ]
    if "facings" in header.values():
        found = _numbered(found)
    twice = [one for one, count in Counter(goods.slot_id for goods in found).items() if count > 1]
    problems += [f"id {one}: stands here more than once; ids are unique" for one in twice if one]
    surplus = len(problems) - MOST_PROBLEMS
    said = problems[:MOST_PROBLEMS] + ([f"and {surplus} more"] if surplus > 0 else [])
    return GoodsList(tuple(found[:MOST_ROWS]), tuple(said))


def _lines(text: str, delimiter: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of each line that says something."""
    text = text.removeprefix("\ufeff").replace("\0", "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            tidy = [_tidy(cell) for cell in cells]
            if any(tidy):
                yield reader.line_num, tidy
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}; what follows was left out")


def _delimiter(text: str) -> str:
    """Return what parts the cells of the first line that says something."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    outside = re.sub(r'"[^"]*"', "", first)
    return max("\t;,", key=outside.count)


def _tidy(cell: str) -> str:
    """Return a cell as people mean it: composed letters, plain spaces, no ="…", no barcode.0."""
    cell = unicodedata.normalize("NFC", cell)
    cell = "".join(letter if letter.isprintable() else " " for letter in cell)
    cell = " ".join(cell.split())
    meant = re.fullmatch(r'="([^"]*)"', cell) or DECIMAL.fullmatch(cell)
    return meant[1] if meant else cell


def _header(cells: Sequence[str]) -> dict[int, str]:
    """Return which column means what; empty where the line names none, and so is data itself."""
    header: dict[int, str] = {}
    for index, cell in enumerate(cells):
        meaning = COLUMNS.get(re.sub(r"[\W_]", "", cell.casefold()))
        if meaning is not None and meaning not in header.values():
            header[index] = meaning
    return header if {"name", "sku"} & set(header.values()) else {}


def _unnamed(lines: Sequence[Sequence[str]]) -> dict[int, str]:
    """Return the meaning of one or two columns without names: names, and perhaps barcodes."""
    barcodes = [
        all(BARCODE.fullmatch(cells[index]) for cells in lines if len(cells) > index)
        for index in range(2)
    ]
    return {0: "sku", 1: "name"} if barcodes == [True, False] else {0: "name", 1: "sku"}


def _read_line(
    number: int, cells: Sequence[str], header: Mapping[int, str], problems: list[str]
) -> Iterator[Goods]:
    """Yield the line's goods, once for each facing; what is wrong is added to problems."""
    said = {header[index]: cell for index, cell in enumerate(cells) if cell and index in header}
    wrong = list(_wrong(said))
    problems += [f"line {number}: {problem}" for problem in wrong]
    name = said.get("name") or said.get("sku")
    if wrong or name is None:
        if name is None and said:
            problems.append(f"line {number}: has no name")
        return
    whole = {key: _whole(said.get(key)) for key in ("row", "column", "facings")}
    goods = Goods(name, said.get("sku"), said.get("id"), whole["row"], whole["column"])
    facings = whole["facings"] or 1
    yield from [goods if facings == 1 else replace(goods, slot_id=None)] * facings


def _wrong(said: Mapping[str, str]) -> Iterator[str]:
    if len(said.get("name", "")) > LONGEST:
        yield f"the name has more than {LONGEST} letters"
    sku = said.get("sku", "")
    if ROUNDED.fullmatch(sku):
        yield f"the spreadsheet has rounded the barcode to {sku}; format that column as text"
    elif len(sku) > LONGEST:
        yield f"the sku has more than {LONGEST} letters"
    for key in ("row", "column", "facings"):
        if key in said and _whole(said[key]) is None:
            yield f"{key}: {said[key][:20]!r} is no whole number from 1 on"
    if (_whole(said.get("facings")) or 1) > MOST_FACINGS:
        yield f"facings: more than {MOST_FACINGS}"
    if "id" in said and not ID.fullmatch(said["id"]):
        yield f"id {said['id'][:40]!r}: must be small letters, digits, - and _"


def _whole(cell: str | None) -> int | None:
    """Return the number of "3", "3단", "3.0" or "Shelf 3"."""
    match = re.fullmatch(r"\D{0,10}?(\d{1,4})(?:[.,]0+)?\D{0,5}", cell or "")
    return int(match[1]) or None if match else None


def _numbered(goods: Sequence[Goods]) -> list[Goods]:
    """Return the goods with the columns that their facings take, row by row.

    Where goods have facings, their position is their order in the row and no column.
    """
    last = max((one.column or 0 for one in goods), default=0) + 1
    ordered = sorted(goods, key=lambda one: (one.row or 0, one.column or last))
    columns: Counter[int | None] = Counter()
    numbered = []
    for one in ordered:
        columns[one.row] += 1
        numbered.append(replace(one, column=columns[one.row]))
    return numbered
