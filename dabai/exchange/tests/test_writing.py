"""Files we write: nothing in them runs, nothing is eaten, and they read back as they were."""

from datetime import UTC, date, datetime
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from dabai.exchange import writing
from dabai.exchange.tables import open_table
from dabai.exchange.writing import safe_text, write_csv, write_xlsx
from dabai.kernel.refusal import Refusal

DAY = datetime.fromisoformat("2022-03-13")
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=12)
formulas = st.sampled_from(["=", "+", "-", "@", "＝", "＋", "－", "＠"]).flatmap(
    lambda mark: texts.map(lambda t: mark + t)
)


@pytest.mark.parametrize("text", ["=1+1", "+86 138", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_text_that_excel_would_run_gets_an_apostrophe(text: str) -> None:
    assert safe_text(text) == f"'{text}"


def test_values_that_are_no_text() -> None:
    at = datetime(2022, 3, 13, 8, 5, tzinfo=UTC)
    assert [safe_text(v) for v in (None, -2, 1.5, True, date(2022, 3, 13), at)] == [
        "", "-2", "1.5", "TRUE", "2022-03-13", "2022-03-13 08:05:00+00:00",
    ]  # fmt: skip
    assert safe_text("a\x00\x07b\ud800") == "ab"


def test_csv_opens_in_excel() -> None:
    out = BytesIO()
    assert write_csv(out, ["姓名", "电话"], [["张三", "+8613800000000"], ["李,四", None]], watermark="王五 导出") == 2
    assert out.getvalue() == '\ufeff王五 导出\r\n姓名,电话\r\n张三,\'+8613800000000\r\n"李,四",\r\n'.encode()
    assert not out.closed


@given(st.lists(st.tuples(texts | formulas, texts | formulas), min_size=1, max_size=20), st.booleans())
def test_csv_reads_back_as_it_was(rows: list[tuple[str, str]], watermarked: bool) -> None:
    out = BytesIO()
    write_csv(out, ["first", "second"], rows, watermark="shared for a reason" if watermarked else None)
    table = open_table(out, header_row=2 if watermarked else 1)
    kept = [[cell.strip() for cell in row] for row in rows]
    read = [row.cells for row in table.rows]
    assert read == [[_as_read(cell) for cell in row] for row in kept if any(row)]


def _as_read(cell: str) -> str:
    """A text that looks like Excel's own protection is taken for it."""
    if len(cell) > 1 and cell[0] == "'" and cell[1] in "0123456789=+-@＝＋－＠":
        return cell[1:]
    return cell


def test_workbooks_hold_text_and_no_formula() -> None:
    out = BytesIO()
    rows = [["=1+1", "340602190001010002", 3], ["-2", "+86", None], ["bell\x07", "@x", date(2022, 3, 13)]]
    assert write_xlsx(out, ["姓名", "号码", "数"], rows, title="结果/批次:1", watermark="=王五") == 3
    sheet = load_workbook(out).active
    assert sheet.title == "结果 批次 1"
    cells = [cell for line in sheet.iter_rows() for cell in line]
    assert all(cell.data_type != "f" for cell in cells)
    assert [cell.value for cell in cells if cell.value is not None] == [
        "=王五", "姓名", "号码", "数", "=1+1", "340602190001010002", 3, "-2", "+86", "bell", "@x", DAY,
    ]  # fmt: skip
    table = open_table(out)
    assert table.header == ["姓名", "号码", "数"]
    assert next(table.rows).cells == ["=1+1", "340602190001010002", "3"]


def test_more_rows_than_excel_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WORKBOOK_ROWS", 3)
    with pytest.raises(Refusal, match="too_many_rows"):
        write_xlsx(BytesIO(), ["a"], [["1"], ["2"], ["3"]])
