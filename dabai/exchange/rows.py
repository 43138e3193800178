"""What a spreadsheet is once read: numbered rows of text, each with its own problem or none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from dabai.kernel.refusal import Refusal

LOOK_AHEAD = 60


class Row(NamedTuple):
    """``number`` as the spreadsheet shows it (first row = 1, blank rows counted), the cells as trimmed text, and why
    the row can't be used, if so. A problem carries ``row`` and, where it is one cell's, ``column`` (from 1)."""

    number: int
    cells: list[str]
    problem: Refusal | None = None


@dataclass(frozen=True)
class Limits:
    """How large an upload may be: a district of a million people as CSV; a workbook is held in memory, so less."""

    file_bytes: int = 2**30
    rows: int = 2_000_000
    columns: int = 512
    line_characters: int = 2**20
    workbook_bytes: int = 64 * 2**20
    workbook_unpacked_bytes: int = 512 * 2**20
    workbook_rows: int = 200_000
    workbook_cells: int = 4_000_000


def mend(cell: str) -> str:
    """A cell as it was meant: trimmed, and without what only tells Excel "this is text" (``="0123"``, ``'0123``)."""
    cell = cell.strip()
    if len(cell) > 2 and cell.startswith('="') and cell.endswith('"'):
        return cell[2:-1].strip()
    if len(cell) > 1 and cell[0] == "'" and cell[1] in "0123456789=+-@＝＋－＠\t":
        return cell[1:]
    return cell


def take_header(
    rows: Iterator[Row], limits: Limits, wanted_row: int | None
) -> tuple[list[str], list[Row], Iterator[Row]]:
    """Find the header: its cells, the rows above it (titles, instrument preambles), and the rows below it.

    The header is the first row at least half as wide as the widest of the first 60, because lists begin with a title
    in one merged cell. ``wanted_row`` overrides this with the number of a row. Raises ``tables.empty``,
    ``tables.columns``, ``tables.header_row``, and the problem of the header row itself.
    """
    first = list(islice(rows, LOOK_AHEAD if wanted_row is None else wanted_row))
    filled = [sum(map(bool, row.cells)) for row in first]
    if not any(filled):
        raise Refusal("tables.empty")
    found = _header_place(filled) if wanted_row is None else _row_place(first, wanted_row)
    if problem := first[found].problem:
        raise problem
    header = [" ".join(cell.strip("\ufeff").split()) for cell in first[found].cells]
    if not any(header):
        raise Refusal("tables.empty")
    if len(header) > limits.columns:
        raise Refusal("tables.columns", limit=limits.columns)
    return header, first[:found], chain(first[found + 1 :], rows)


def _header_place(filled: list[int]) -> int:
    widest = max(filled)
    return next(i for i, count in enumerate(filled) if count * 2 >= widest and count)


def _row_place(first: list[Row], wanted_row: int) -> int:
    for i, row in enumerate(first):
        if row.number == wanted_row:
            return i
    raise Refusal("tables.header_row", row=wanted_row)


def fitted(rows: Iterable[Row], *, width: int, full_width: int, limit: int) -> Iterator[Row]:
    """Rows of exactly ``width`` cells; more rows than ``limit`` end the reading with ``tables.too_many_rows``.

    Short rows are filled up. What a row holds beyond ``full_width``, the width of the header row, is a problem of that
    row: a comma too many has shifted its cells.
    """
    for row in rows:
        if row.number > limit:
            raise Refusal("tables.too_many_rows", limit=limit)
        if len(row.cells) == width:
            yield row
        elif len(row.cells) < width:
            yield row._replace(cells=row.cells + [""] * (width - len(row.cells)))
        else:
            yield _shortened(row, width, full_width)


def _shortened(row: Row, width: int, full_width: int) -> Row:
    cells, extra = row.cells[:width], row.cells[full_width:]
    if row.problem is None and any(extra):
        column = full_width + 1 + next(i for i, cell in enumerate(extra) if cell)
        return Row(row.number, cells, Refusal("tables.row_too_long", row=row.number, column=column, columns=width))
    return Row(row.number, cells, row.problem)
