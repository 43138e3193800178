"""Excel workbooks, by calamine. It loads a whole sheet, so what a sheet would need is measured before it is loaded.

A workbook is a zip of XML: a file of 40 kB may unpack to gigabytes, its directory may lie about that, and one cell at
``XFD1048576`` makes a sheet of 17 thousand million cells. The guard unpacks every part once, piece by piece, keeping
nothing, and counts.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import BinaryIO, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetVisibleEnum

from dabai.exchange.rows import Limits, Row, mend
from dabai.kernel.refusal import Refusal

_PIECE = 2**20
_OVERLAP = 64
_LONGEST_TAG = 2**16
_REFERENCE = re.compile(rb"""\sr\s*=\s*["']([A-Z]{1,3})([0-9]{1,7})["']""")
_CELL = re.compile(rb"<(?:[A-Za-z0-9_]+:)?c[\s>/]")
_ROW = re.compile(rb"<(?:[A-Za-z0-9_]+:)?row[\s>/]")


class Sheet(NamedTuple):
    """What was opened: rows in order, the name of the sheet, of the others that hold something, and its last row."""

    rows: Iterator[Row]
    name: str
    others: list[str]
    height: int


def read_workbook(stream: BinaryIO, limits: Limits, *, zipped: bool, sheet: str | None = None) -> Sheet:
    """The rows of ``sheet``, or of the first visible sheet with content. Raises ``tables.…`` for anything unusable."""
    if zipped:
        guard(stream, limits)
    stream.seek(0)
    try:
        return _opened(stream, limits, sheet)
    except PasswordError:
        raise Refusal("tables.encrypted") from None
    except (CalamineError, OSError, ValueError) as wrong:
        raise Refusal("tables.broken_workbook") from wrong
    except BaseException as wrong:
        if type(wrong).__name__ == "PanicException":  # how a Rust library says that it met what it never expected
            raise Refusal("tables.broken_workbook") from None
        raise


def _opened(stream: BinaryIO, limits: Limits, wanted: str | None) -> Sheet:
    book = CalamineWorkbook.from_filelike(stream)
    visible = [s.name for s in book.sheets_metadata if s.visible is SheetVisibleEnum.Visible]
    if wanted is not None and wanted not in visible:
        raise Refusal("tables.sheet_missing")
    names = [wanted] if wanted is not None else visible
    for place, name in enumerate(names):
        loaded = book.get_sheet_by_name(name)
        if loaded.end is not None:
            height = loaded.end[0] + 1
            if height > limits.workbook_rows:
                raise Refusal("tables.workbook_rows", limit=limits.workbook_rows)
            return Sheet(_rows(loaded), name, names[place + 1 :], height)
    raise Refusal("tables.empty")


def _rows(sheet: CalamineSheet) -> Iterator[Row]:
    """Rows with content, numbered as Excel numbers them; cells from column A on, of which calamine skips empty ones."""
    blank = [""] * (sheet.start[1] if sheet.start else 0)
    for number, values in enumerate(sheet.iter_rows(), 1):
        cells = [mend(value) if type(value) is str else cell_text(value) for value in values]
        if any(cells):
            yield Row(number, blank + cells)


def cell_text(value: object) -> str:
    """The text of a typed cell. A number of 16 digits or more has lost its last ones in Excel: it is written as Excel
    shows it (``3.40602E+17``), so that whoever reads a document or a barcode there refuses it with that reason."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number_text(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return mend(str(value))


def _number_text(value: float) -> str:
    if abs(value) >= 10**15:
        return f"{value:.5E}"
    return str(int(value)) if value == int(value) else repr(value)


# --- The guard ------------------------------------------------------------------------------------------------------


def guard(stream: BinaryIO, limits: Limits) -> None:
    """Refuse a zipped workbook that would not fit, with advice, before anything of it is loaded."""
    size = stream.seek(0, 2)
    if size > limits.workbook_bytes:
        raise Refusal("tables.workbook_large", limit_mb=limits.workbook_bytes // 2**20)
    try:
        parts = ZipFile(stream).infolist()
    except (BadZipFile, ValueError, OSError, NotImplementedError):
        raise Refusal("tables.broken_workbook") from None
    if not any(part.filename == "xl/workbook.xml" for part in parts):
        raise Refusal("tables.not_a_table")
    if any(part.flag_bits & 1 for part in parts):
        raise Refusal("tables.encrypted")
    if sum(part.compress_size for part in parts) > size:
        raise Refusal("tables.broken_workbook")  # parts that lie upon one another: a bomb
    _measure_all(stream, [part for part in parts if part.filename.endswith((".xml", ".rels"))], limits)


def _measure_all(stream: BinaryIO, parts: list[ZipInfo], limits: Limits) -> None:
    unpacked = sum(part.file_size for part in parts)
    for part in parts if unpacked <= limits.workbook_unpacked_bytes else []:
        room = limits.workbook_unpacked_bytes - unpacked + part.file_size
        pieces = _unpack(stream, part, room)
        if part.filename.startswith("xl/worksheets/sheet"):
            _measure_sheet(pieces, limits)
        else:
            for _ in pieces:
                pass
    if unpacked > limits.workbook_unpacked_bytes:
        raise Refusal("tables.workbook_large", limit_mb=limits.workbook_unpacked_bytes // 2**20)


def _unpack(stream: BinaryIO, part: ZipInfo, room: int) -> Iterator[bytes]:
    """The true content of a part in pieces, whatever the directory says of its size; more than ``room`` is refused."""
    stream.seek(part.header_offset)
    header = stream.read(30)
    if len(header) < 30 or part.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise Refusal("tables.broken_workbook")
    stream.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    inflate = zlib.decompressobj(-15)
    left = part.compress_size
    while left > 0 and (packed := stream.read(min(left, 2**16))):
        left -= len(packed)
        for piece in [packed] if part.compress_type == ZIP_STORED else _inflated(inflate, packed):
            room -= len(piece)
            if room < 0:
                raise Refusal("tables.workbook_bomb")
            yield piece


def _inflated(inflate: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    try:
        while packed:
            yield inflate.decompress(packed, _PIECE)
            packed = inflate.unconsumed_tail
    except zlib.error:
        raise Refusal("tables.broken_workbook") from None


def _measure_sheet(pieces: Iterable[bytes], limits: Limits) -> None:
    """Count rows and cells of a sheet's XML, and the rectangle that they span: this is what will be held in memory."""
    rows = cells = last_row = last_column = 0
    for text in _whole_tags(pieces):
        rows, cells = rows + len(_ROW.findall(text)), cells + len(_CELL.findall(text))
        references = _REFERENCE.findall(text)
        last_row = max(last_row, max((int(row) for _, row in references), default=0))
        last_column = max(last_column, max(map(_column_number, {column for column, _ in references}), default=0))
        if max(rows, last_row) > limits.workbook_rows:
            raise Refusal("tables.workbook_rows", limit=limits.workbook_rows)
        if max(cells, last_row * last_column) > limits.workbook_cells:
            raise Refusal("tables.workbook_cells", limit=limits.workbook_cells)


def _whole_tags(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes cut before a ``<``, so that no tag is counted twice or missed.

    A tag longer than any real one is cut anyway, with an overlap, and may count twice.
    """
    seen = b""
    for piece in pieces:
        text = seen + piece
        cut = text.rfind(b"<")
        if cut < 0 or len(text) - cut > _LONGEST_TAG:
            yield text
            seen = text[-_OVERLAP:]
        else:
            yield text[:cut]
            seen = text[cut:]
    yield seen


def _column_number(letters: bytes) -> int:
    """A = 1, Z = 26, AA = 27, XFD = 16384."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
