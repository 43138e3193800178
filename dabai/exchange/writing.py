"""Spreadsheets out, so that Excel neither runs a formula that somebody typed as a name nor eats a number.

CSV carries a byte order mark, or Excel reads Chinese as noise. A text that begins like a formula gets an apostrophe in
front in CSV, where Excel would run it, and is typed as text in a workbook, where that is enough. Our own reader takes
the apostrophe off again, so a file that we wrote reads back as it was.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from io import TextIOWrapper
from itertools import chain
from typing import BinaryIO

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from dabai.kernel.refusal import Refusal

Cell = str | int | float | bool | date | datetime | None

WORKBOOK_ROWS = 1_048_576
_FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r\n]")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def safe_text(value: Cell) -> str:
    """The text of a cell in CSV. Numbers stay numbers, minus sign included; only text can be a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return _plain(value)
    text = _UNWRITABLE.sub("", value)
    return f"'{text}" if _FORMULA.match(text) else text


def _plain(value: int | float | date | datetime) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return value.isoformat() if isinstance(value, date) else str(value)


def write_csv(
    target: BinaryIO, header: Sequence[str], rows: Iterable[Sequence[Cell]], *, watermark: str | None = None
) -> int:
    """Write UTF-8 CSV with a byte order mark, row by row; how many rows were written. ``target`` stays open.

    ``watermark`` (who took this file, when, why) becomes a first row above the header.
    """
    text = TextIOWrapper(target, "utf-8-sig", newline="")
    try:
        writer = csv.writer(text)
        if watermark:
            writer.writerow([safe_text(watermark)])
        writer.writerow([safe_text(name) for name in header])
        written = 0
        for row in rows:
            writer.writerow([safe_text(value) for value in row])
            written += 1
        return written
    finally:
        text.detach()


def write_xlsx(
    target: BinaryIO,
    header: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    title: str = "Sheet1",
    watermark: str | None = None,
) -> int:
    """Write a workbook of one sheet, streaming; how many rows were written.

    All text stays text, so a number of 18 digits keeps them. More rows than Excel can show: ``tables.too_many_rows``.
    """
    book = Workbook(write_only=True)
    sheet = book.create_sheet(re.sub(r"[\\/*?:\[\]]", " ", title)[:31])
    head: list[Sequence[Cell]] = [[watermark], header] if watermark else [header]
    written = -len(head)
    try:
        for row in chain(head, rows):
            written += 1
            if written + len(head) > WORKBOOK_ROWS:
                raise Refusal("tables.too_many_rows", limit=WORKBOOK_ROWS)
            sheet.append([_typed(sheet, value) for value in row])
    except BaseException:
        sheet.close()
        sheet._writer.cleanup()  # names and numbers must not stay behind in a temporary file
        raise
    book.save(target)
    return written


def _typed(sheet: object, value: Cell) -> object:
    if not isinstance(value, str):
        return value
    text = _UNWRITABLE.sub("", value)
    if not _FORMULA.match(text):
        return text
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    return cell
