"""Excel files: typed cells as text, rows as Excel numbers them, and all that must be refused before it is loaded."""

import zipfile
from datetime import date, datetime, time, timedelta
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from dabai.exchange.tables import Limits, Row, Table, open_table
from dabai.exchange.workbooks import cell_text
from dabai.kernel.refusal import Refusal

DAY = datetime.fromisoformat("2022-03-13")
SHEET = "xl/worksheets/sheet1.xml"


def workbook(*rows: list, title: str = "名单", more: tuple[str, ...] = ()) -> BytesIO:
    book = Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    for name in more:
        book.create_sheet(name)["A1"] = "x"
    out = BytesIO()
    book.save(out)
    return out


def rebuilt(source: BytesIO, **parts: bytes) -> BytesIO:
    """The same workbook with parts replaced: ``sheet=…`` is the first sheet."""
    out = BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts["sheet"] if name == SHEET and "sheet" in parts else old.read(name))
    return out


def sheet_xml(cells: str) -> bytes:
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    return f"{head}{cells}</sheetData></worksheet>".encode()


def refused(source: BytesIO, **options) -> str:
    with pytest.raises(Refusal) as caught:
        list(open_table(source, **options).rows)
    return caught.value.code


def read(source: BytesIO, **options) -> Table:
    return open_table(source, **options)


def test_typed_cells_become_the_text_that_was_seen() -> None:
    table = read(
        workbook(
            ["文本", "数字", "日期", "时刻", "其他"],
            [" 张三 ", 13800000000, DAY, DAY + timedelta(hours=8, minutes=5), 12.5],
            ["'0123", 340602190001010002, date(2022, 3, 13), time(8, 5), True],
        )
    )
    assert (table.kind, table.sheet) == ("xlsx", "名单")
    assert list(table.rows) == [
        Row(2, ["张三", "13800000000", "2022-03-13", "2022-03-13 08:05:00", "12.5"]),
        Row(3, ["0123", "3.40602E+17", "2022-03-13", "08:05:00", "TRUE"]),
    ]


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_whole_numbers_keep_every_digit_that_excel_keeps(number: int) -> None:
    assert cell_text(float(number)) == str(number)
    assert cell_text(number) == str(number)


def test_other_types() -> None:
    assert cell_text(timedelta(hours=30, minutes=5)) == "30:05:00"
    assert cell_text(False) == "FALSE"
    assert cell_text(0.1) == "0.1"


def test_rows_are_numbered_as_excel_numbers_them() -> None:
    book = Workbook()
    for place, value in {"C4": "姓名", "D4": "号码", "C6": "张三", "D6": "1", "C9": "李四", "D9": "2"}.items():
        book.active[place] = value
    out = BytesIO()
    book.save(out)
    table = read(out)
    assert table.header == ["", "", "姓名", "号码"]
    rows = list(table.rows)
    assert rows == [Row(6, ["", "", "张三", "1"]), Row(9, ["", "", "李四", "2"])]
    assert table.progress(rows[-1]) == 1.0


def test_titles_and_other_sheets() -> None:
    source = workbook(["某社区花名册"], [], ["姓名", "号码", "电话"], ["张三", "1", "2"], more=("说明",))
    table = read(source)
    assert (table.header, table.other_sheets) == (["姓名", "号码", "电话"], ["说明"])
    assert [row.number for row in table.preamble] == [1]
    assert read(source, sheet="说明").header == ["x"]
    assert refused(source, sheet="没有") == "tables.sheet_missing"


def test_hidden_and_empty_sheets_are_passed_over() -> None:
    book = Workbook()
    book.active.title = "空"
    book.create_sheet("隐藏")["A1"] = "secret"
    book["隐藏"].sheet_state = "hidden"
    book.create_sheet("名单").append(["姓名"])
    out = BytesIO()
    book.save(out)
    assert read(out).sheet == "名单"


def test_an_empty_workbook() -> None:
    assert refused(workbook()) == "tables.empty"


# --- What would not fit ---------------------------------------------------------------------------------------------


def test_too_many_rows_are_refused_before_loading() -> None:
    source = workbook(["a", "b"], *[["x", str(n)] for n in range(50)])
    assert refused(source, limits=Limits(workbook_rows=40)) == "tables.workbook_rows"
    assert refused(source, limits=Limits(workbook_cells=80)) == "tables.workbook_cells"
    assert refused(source, limits=Limits(workbook_bytes=1000)) == "tables.workbook_large"
    assert refused(source, limits=Limits(workbook_unpacked_bytes=2000)) == "tables.workbook_large"


@pytest.mark.parametrize(
    "cell",
    ['<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
     "<row><c s='1' r = 'XFD99999' ><v>1</v></c></row>", '<row r="9"><x:c\nr="AAA199999"/></row>'],
)  # fmt: skip
def test_one_far_cell_is_no_sheet_of_millions(cell: str) -> None:
    assert refused(rebuilt(workbook(["a"]), sheet=sheet_xml(cell))) in {"tables.workbook_rows", "tables.workbook_cells"}


def test_rows_across_pieces_are_counted_once() -> None:
    many = "".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in range(1, 60_001))
    source = rebuilt(workbook(["a"]), sheet=sheet_xml(many))
    assert len(list(open_table(source, limits=Limits(workbook_rows=60_000, workbook_cells=60_000)).rows)) == 59_999
    assert refused(source, limits=Limits(workbook_rows=59_999)) == "tables.workbook_rows"


def test_a_cell_that_lies_across_two_pieces_is_seen() -> None:
    for shift in range(0, 80, 7):
        padding = "<!--" + "x" * (2**20 - 150 + shift) + "-->"
        source = rebuilt(workbook(["a"]), sheet=sheet_xml(f'{padding}<row r="2"><c r="XFD190000"/></row>'))
        assert refused(source) == "tables.workbook_cells"


def test_a_zip_bomb_is_refused_by_its_directory() -> None:
    source = rebuilt(workbook(["a"]), sheet=sheet_xml(" " * 40_000_000))
    assert len(source.getvalue()) < 100_000
    assert refused(source, limits=Limits(workbook_unpacked_bytes=2**24)) == "tables.workbook_large"


def test_a_zip_bomb_that_lies_in_its_directory_is_refused_by_its_content() -> None:
    source = rebuilt(workbook(["a"]), sheet=sheet_xml(" " * 40_000_000))
    data = source.getvalue()
    true_size = len(sheet_xml(" " * 40_000_000)).to_bytes(4, "little")
    assert data.count(true_size) == 2
    lying = data.replace(true_size, (2000).to_bytes(4, "little"))
    assert refused(BytesIO(lying), limits=Limits(workbook_unpacked_bytes=2**24)) == "tables.workbook_bomb"


def test_parts_that_lie_upon_one_another_are_refused() -> None:
    data = workbook(["a"], *[["x"]] * 200).getvalue()
    with zipfile.ZipFile(BytesIO(data)) as book:
        size = book.getinfo(SHEET).compress_size
    lying = data.replace(size.to_bytes(4, "little"), (len(data)).to_bytes(4, "little"))
    assert refused(BytesIO(lying)) == "tables.broken_workbook"


# --- What is no workbook --------------------------------------------------------------------------------------------


def test_a_zip_of_something_else() -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as other:
        other.writestr("word/document.xml", "<w/>")
    assert refused(out) == "tables.not_a_table"


def test_damaged_files_are_refused() -> None:
    data = workbook(["姓名"], ["张三"]).getvalue()
    assert refused(BytesIO(data[: len(data) // 2])) == "tables.broken_workbook"
    assert refused(rebuilt(BytesIO(data), sheet=b"<worksheet><sheetData><row")) in {
        "tables.broken_workbook",
        "tables.empty",
    }
    assert refused(BytesIO(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)) == "tables.broken_workbook"


WHOLE = workbook(["姓名", "号码"], ["张三", 1]).getvalue()


@given(st.data())
def test_no_damage_breaks_it(data: st.DataObject) -> None:
    """Any bytes of a workbook changed: it reads, or says a code; it never crashes."""
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 12))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        outcome = [row.number for row in open_table(BytesIO(bytes(whole))).rows]
    except Refusal as no:
        outcome = [no.code]
    assert isinstance(outcome, list)
