"""CSV as it comes: encodings, delimiters, quotation marks, broken bytes, widths; no bad row takes another with it."""

import csv
import gzip
import tracemalloc
from collections.abc import Iterator
from io import BytesIO, RawIOBase, StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabai.exchange.tables import Limits, Row, Table, open_table
from dabai.kernel.refusal import Refusal

ROSTER = "姓名,证件号码,住址\n张三,340602190001010002,幸福小区\n李四,34060219000101007X,和平里\n"


def read(text: str | bytes, encoding: str = "utf-8", **options) -> Table:
    data = text.encode(encoding) if isinstance(text, str) else text
    return open_table(BytesIO(data), **options)


def rows_of(table: Table) -> list[Row]:
    return list(table.rows)


def cells_of(text: str | bytes, **options) -> list[list[str]]:
    rows = rows_of(read(text, **options))
    assert [row.problem for row in rows] == [None] * len(rows)
    return [row.cells for row in rows]


def problems_of(text: str | bytes) -> dict[int, str]:
    return {row.number: row.problem.code for row in rows_of(read(text)) if row.problem}


def refused(text: str | bytes, **options) -> str:
    with pytest.raises(Refusal) as caught:
        rows_of(read(text, **options))
    return caught.value.code


# --- Encodings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "known_as"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("gb18030", "gb18030"), ("gbk", "gb18030"), ("utf-16", "utf-16-le"),
     ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be")],
)  # fmt: skip
def test_encodings_of_chinese_lists(written: str, known_as: str) -> None:
    table = read(ROSTER, written)
    assert table.encoding == known_as
    assert table.header == ["姓名", "证件号码", "住址"]
    assert rows_of(table) == [
        Row(2, ["张三", "340602190001010002", "幸福小区"]),
        Row(3, ["李四", "34060219000101007X", "和平里"]),
    ]


def test_an_encoding_that_shows_only_after_a_megabyte() -> None:
    plain = "name,code\n" + "".join(f"LI,{n:012}\n" for n in range(80_000))
    for encoding, known_as in (("utf-8", "utf-8"), ("gb18030", "gb18030")):
        table = read(plain + "联通,000000000001\n", encoding)
        assert table.encoding == known_as
        assert rows_of(table)[-1].cells == ["联通", "000000000001"]


def test_rare_characters_of_names_survive() -> None:
    for encoding in ("utf-8", "gb18030", "utf-16"):
        assert cells_of("姓名,村\n𠮷䶮㛃,砀山\n".encode(encoding)) == [["𠮷䶮㛃", "砀山"]]


def test_a_broken_byte_costs_its_own_row_only() -> None:
    data = ROSTER.encode().replace("李四".encode(), "李".encode() + b"\xe5\x9b") + "王五,1,东\n".encode()
    rows = rows_of(read(data))
    assert [(row.number, row.problem.code if row.problem else None) for row in rows] == [
        (2, None),
        (3, "tables.encoding"),
        (4, None),
    ]
    assert rows[1].problem.params == {"row": 3, "column": 1}
    assert rows[2].cells == ["王五", "1", "东"]


def test_a_broken_header_is_refused() -> None:
    data = "姓名,证件".encode() + b"\xff" + ",住址\n张三,1,东\n李四,2,西\n".encode()
    assert refused(data) == "tables.encoding"


def test_zero_bytes_are_dropped() -> None:
    assert cells_of(b"name,code\nLI\0,00\x0001\n\0\0\0\0,\n") == [["LI", "0001"]]


# --- Delimiters and quotation marks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "，"])
def test_delimiters(delimiter: str) -> None:
    table = read("姓名,号码,电话\n张三,1,2\n李四,3,4\n".replace(",", delimiter))
    assert table.delimiter == delimiter
    assert [row.cells for row in table.rows] == [["张三", "1", "2"], ["李四", "3", "4"]]


def test_semicolons_with_decimal_commas() -> None:
    assert cells_of("tube;ct;n\nA1;31,5;30,1\nA2;29,0;28,2\n") == [["A1", "31,5", "30,1"], ["A2", "29,0", "28,2"]]


def test_the_delimiter_that_excel_names_in_a_first_line() -> None:
    table = read("sep=;\r\na;b,c\r\n1;2,3\r\n")
    assert (table.delimiter, table.header) == (";", ["a", "b,c"])
    assert rows_of(table) == [Row(3, ["1", "2,3"])]


def test_quoted_cells_with_everything_in_them() -> None:
    text = 'name,place\n"LI, ""Leo""","line one\nline two"\nWU, "x, y"\nAN,b\n'
    assert rows_of(read(text)) == [
        Row(2, ['LI, "Leo"', "line one\nline two"]),
        Row(3, ["WU", "x, y"]),
        Row(4, ["AN", "b"]),
    ]


def test_what_protects_text_from_excel_is_taken_off() -> None:
    text = 'a,b,c,d\n="0123","=""0456""",\'0789,\'-1\n'
    assert cells_of(text) == [["0123", "0456", "0789", "-1"]]
    assert cells_of("name,b\nO'Brien,'tis\n") == [["O'Brien", "'tis"]]


def test_spaces_behind_a_quoted_cell_do_no_harm() -> None:
    assert cells_of('a,b,c\n4,"five" ,6\n') == [["4", "five", "6"]]


def test_quotation_marks_nobody_doubled_are_a_problem_of_their_row() -> None:
    assert problems_of('a,b,c\n1,"say "hi" now",3\n4,5,6\n') == {2: "tables.quotes"}


def test_a_quotation_mark_left_open_costs_one_row() -> None:
    text = "a,b,c\n" + '1,"open,3\n' + "".join(f"{n},x,y\n" for n in range(2, 200))
    rows = rows_of(read(text))
    assert [row.number for row in rows] == list(range(2, 201))
    assert problems_of(text) == {2: "tables.quotes"}
    assert rows[1].cells == ["2", "x", "y"]
    assert rows[-1].cells == ["199", "x", "y"]


def test_two_stray_quotation_marks_do_not_join_two_people() -> None:
    text = 'a,b,c\n1,"Li,340\n2,"Wu,370\n3,An,371\n'
    rows = rows_of(read(text))
    assert [row.number for row in rows] == [2, 3, 4]
    assert [bool(row.problem) for row in rows] == [True, True, False]


def test_a_quotation_mark_left_open_in_the_last_row() -> None:
    assert problems_of('a,b\n1,2\n3,"4\n') == {3: "tables.quotes"}


@given(st.lists(st.sampled_from(['1,"x', "2,y", '"3",z', '4,"a""b"', '5,"c"d', "", "6,ok", '7,"m\nn"']), max_size=80))
@settings(max_examples=200)
def test_no_quotation_mark_hides_a_good_row(lines: list[str]) -> None:
    """Whatever surrounds it, a line without quotation marks comes out as it is, or within a row that has a problem."""
    text = "a,b\n" + "\n".join([*lines, "8,end"]) + "\n"
    rows = rows_of(read(text))
    good = [row.cells for row in rows if not row.problem]
    assert good.count(["6", "ok"]) == lines.count("6,ok")
    assert good.count(["2", "y"]) == lines.count("2,y")
    assert good[-1] == ["8", "end"]


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), min_size=3, max_size=3),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=200)
def test_well_formed_files_come_back(body: list[list[str]], encoding: str, line_end: str, quoting: int) -> None:
    kept = [[cell.replace("'", "").replace("=", "").replace("\ufffd", "") for cell in row] for row in body]
    out = StringIO()
    csv.writer(out, lineterminator=line_end, quoting=quoting).writerows([["first", "second", "third"], *kept])
    rows = rows_of(read(out.getvalue(), encoding, header_row=1))
    expected = {n: [cell.strip() for cell in row] for n, row in enumerate(kept, 2)}
    assert {row.number: row.cells for row in rows} == {n: row for n, row in expected.items() if any(row)}


# --- Rows and widths ------------------------------------------------------------------------------------------------


def test_blank_rows_are_counted_but_left_out() -> None:
    assert rows_of(read("a,b\n\n1,2\n , \n,\n3,4\n\n")) == [Row(3, ["1", "2"]), Row(6, ["3", "4"])]


def test_short_rows_are_filled_and_long_ones_named() -> None:
    rows = rows_of(read("a,b,c\n1\n1,2,3,,\n1,2,3,4\n1,2,3\n"))
    assert [row.cells for row in rows] == [["1", "", ""], ["1", "2", "3"], ["1", "2", "3"], ["1", "2", "3"]]
    assert rows[2].problem.code == "tables.row_too_long"
    assert rows[2].problem.params == {"row": 4, "column": 4, "columns": 3}


def test_empty_columns_behind_the_last_one_are_cut_off() -> None:
    table = read("a,b,,\n1,2,,\n3,4,5,\n")
    assert table.header == ["a", "b"]
    assert [row.cells for row in table.rows] == [["1", "2"], ["3", "4"]]


def test_titles_above_the_header_are_kept_apart() -> None:
    table = read("杜集区某社区人员花名册,,,\n填表日期：2022-03-13,,,\n\n姓名,号码,电话,住址\n张三,1,2,3\n")
    assert table.header == ["姓名", "号码", "电话", "住址"]
    assert [row.number for row in table.preamble] == [1, 2]
    assert rows_of(table) == [Row(5, ["张三", "1", "2", "3"])]


def test_the_header_row_can_be_named() -> None:
    text = "x,y\n姓名,号码\n张三,1\n"
    assert read(text, header_row=2).header == ["姓名", "号码"]
    assert refused(text, header_row=9) == "tables.header_row"


def test_a_list_of_one_column() -> None:
    assert cells_of("号码\n340602190001010002\n\n370105190002280028\n") == [
        ["340602190001010002"],
        ["370105190002280028"],
    ]


def test_doubled_and_broken_header_names_are_kept_as_they_are() -> None:
    assert read('姓名,姓名,"证件\n号码"\n张三,李四,1\n').header == ["姓名", "姓名", "证件 号码"]


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
def test_line_ends(line_end: str) -> None:
    assert cells_of(f"a,b{line_end}1,2{line_end}3,4") == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("text", ["", "\n\n", ",,\n", " ,\u3000\n", "\ufeff"])
def test_nothing_in_it(text: str) -> None:
    assert refused(text) == "tables.empty"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<html><table><tr><td>1</td></tr></table></html>", "tables.web_page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "tables.web_page"),
        (b"%PDF-1.7 ...", "tables.not_a_table"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "tables.not_a_table"),
        (b"\x00" * 64, "tables.not_a_table"),
        (b'{"a": 1}', "tables.not_a_table"),
    ],
)
def test_what_is_no_table(data: bytes, code: str) -> None:
    assert refused(data) == code


# --- Limits ---------------------------------------------------------------------------------------------------------


def test_limits_are_named() -> None:
    assert refused("a,b\n1,2\n", limits=Limits(file_bytes=4)) == "tables.file_large"
    assert refused("a,b,c\n1,2,3\n", limits=Limits(columns=2)) == "tables.columns"
    assert refused("a,b\n" + "x" * 500_000, limits=Limits(line_characters=100_000)) == "tables.line_too_long"
    assert problems_of("a,b\n1," + "x" * 140_000 + "\n3,4\n") == {2: "tables.cell_too_long"}


def test_rows_up_to_the_limit_are_read() -> None:
    table = read("a,b\n" + "1,2\n" * 10, limits=Limits(rows=5))
    seen: list[int] = []
    with pytest.raises(Refusal, match="too_many_rows"):
        seen.extend(row.number for row in table.rows)
    assert seen == [2, 3, 4, 5]


class Endless(RawIOBase):
    """A file of ``rows`` rows that is made while it is read."""

    def __init__(self, rows: int) -> None:
        self.line = "张三,01,340602190001010002,13800000000,340602001001,幸福小区,3号楼,101室\n".encode()
        self.head = "姓名,证件类型,号码,电话,社区,小区,楼栋,房号\n".encode()
        self.size, self.place = len(self.head) + rows * len(self.line), 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = offset + (self.size if whence == 2 else 0)
        return self.place

    def tell(self) -> int:
        return self.place

    def readline(self, size: int = -1) -> bytes:
        return b""

    def read(self, size: int = -1) -> bytes:
        start = self.place - len(self.head)
        length = min(size, self.size - self.place)
        self.place += length
        if start < 0:
            return (self.head + self.line * (length // len(self.line) + 1))[start + len(self.head) :][:length]
        first = start % len(self.line)
        return (self.line * (length // len(self.line) + 2))[first : first + length]


def test_a_long_file_is_never_held_in_memory() -> None:
    tracemalloc.start()
    try:
        table = open_table(Endless(100_000))
        progress = [table.progress(row) for row in table.rows]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(progress) == 100_000
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert peak < 12 * 2**20


def test_files_opened_by_path_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(ROSTER, "utf-8")
    with open_table(path) as table:
        assert len(rows_of(table)) == 2
    path.write_bytes(b"%PDF")
    with pytest.raises(Refusal):
        open_table(str(path))


def test_uploads_stay_open() -> None:
    upload = BytesIO(ROSTER.encode())
    with open_table(upload) as table:
        next(table.rows)
    assert not upload.closed


def lines_of(rows: Iterator[Row]) -> Iterator[str]:
    return (" ".join(row.cells) for row in rows)


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        lines = list(lines_of(open_table(BytesIO(data)).rows))
    except Refusal as no:
        lines = [no.code]
    assert all(isinstance(line, str) for line in lines)
    assert all(c < "\ud800" or c > "\udfff" for line in lines for c in line)
