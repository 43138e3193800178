"""Spreadsheets in: one door for CSV and Excel files of whoever sends them, however broken.

    with open_table(upload) as table:
        columns = match_columns(table.header, RESIDENT_COLUMNS)
        for row in table.rows:
            if row.problem: …        # this row alone; the next one is read all the same
            name, number = columns.pick(row)

A file that can't be read at all raises ``Refusal("tables.…")`` with a reason and advice. Nothing is guessed about
content here: a cell stays the text that the sender saw, trimmed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from dabai.exchange.delimited import read_delimited
from dabai.exchange.rows import Limits as Limits
from dabai.exchange.rows import Row as Row
from dabai.exchange.rows import fitted, take_header
from dabai.exchange.workbooks import read_workbook
from dabai.kernel.refusal import Refusal

Kind = Literal["csv", "xlsx", "xls"]
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FOREIGN = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"GIF8", b"BZh", b"\xfd7zXZ")


@dataclass
class Table:
    """An opened spreadsheet. ``rows`` can be walked once; ``close`` (or ``with``) gives the file back."""

    header: list[str]
    rows: Iterator[Row]
    kind: Kind
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    other_sheets: list[str] = field(default_factory=list)
    preamble: list[Row] = field(default_factory=list)
    _stream: BinaryIO | None = None
    _size: int = 0
    _height: int = 0
    _owned: bool = False

    def progress(self, row: Row) -> float:
        """How much has been read by the time of ``row``, from 0 to 1: bytes of a CSV file, rows of a sheet."""
        if self._height:
            return min(1.0, row.number / self._height)
        return self._stream.tell() / self._size if self._stream and self._size else 1.0

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned and self._stream:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_table(
    source: str | PathLike[str] | BinaryIO,
    *,
    limits: Limits | None = None,
    sheet: str | None = None,
    header_row: int | None = None,
) -> Table:
    """Open a CSV, XLSX, XLSM or XLS file, given by path or as a binary file that can be rewound (an upload).

    Known by its content, never by its name. ``sheet`` names one of a workbook, ``header_row`` the row with the column
    names where the guess is wrong. Raises ``Refusal("tables.…")``; later, while reading, only when a limit is passed.
    """
    owned = isinstance(source, str | PathLike)
    stream: BinaryIO = Path(source).open("rb") if isinstance(source, str | PathLike) else source  # noqa: SIM115 (Table closes it)
    try:
        table = _open(stream, limits or Limits(), sheet, header_row)
    except BaseException:
        if owned:
            stream.close()
        raise
    table._stream, table._owned = stream, owned
    return table


def _open(stream: BinaryIO, limits: Limits, sheet: str | None, header_row: int | None) -> Table:
    size = stream.seek(0, 2)
    stream.seek(0)
    kind = detect_kind(stream.read(4096))
    if size == 0:
        raise Refusal("tables.empty")
    if size > (limits.file_bytes if kind == "csv" else limits.workbook_bytes):
        largest = limits.file_bytes if kind == "csv" else limits.workbook_bytes
        raise Refusal("tables.file_large" if kind == "csv" else "tables.workbook_large", limit_mb=largest // 2**20)
    table = Table([], iter(()), kind, _size=size)
    if kind == "csv":
        rows, table.encoding, table.delimiter = read_delimited(stream, limits)
    else:
        book = read_workbook(stream, limits, zipped=kind == "xlsx", sheet=sheet)
        rows, table.sheet, table.other_sheets, table._height = book
    header, table.preamble, rows = take_header(rows, limits, header_row)
    width = max(i for i, name in enumerate(header, 1) if name)
    table.header = header[:width]
    table.rows = fitted(rows, width=width, full_width=len(header), limit=limits.rows)
    return table


def detect_kind(head: bytes) -> Kind:
    """What a file is, from its first bytes. Web pages that call themselves .xls are common, and told apart."""
    if head.startswith(b"PK\x03\x04"):
        return "xlsx"
    if head.startswith(_OLE):
        return "xls"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<html", b"<!doctype html", b"<table", b"<meta", b"<?xml")):
        raise Refusal("tables.web_page")
    if head.startswith(_FOREIGN) or b"\0" * 16 in head or start.startswith((b"{", b"[{")):
        raise Refusal("tables.not_a_table")
    return "csv"
