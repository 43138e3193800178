"""CSV as people really send it: any of four encodings, five delimiters, stray quotes, broken bytes, one row at a time.

Text is read in blocks of whole lines. A block in which nothing unusual occurs goes through the C parser alone; one
with quotation marks remembers the lines of the record being parsed, so that a quotation mark that is never closed costs
its own row and not the rest of the file.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from io import StringIO
from itertools import chain, count
from typing import BinaryIO

from dabai.exchange.rows import Limits, Row, mend
from dabai.kernel.refusal import Refusal

BLOCK = 2**18
DELIMITERS = (",", "\t", ";", "|", "，")
RECORD_LINES = 50
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SPACES = " \t\u3000\xa0\v\f\x85\u2002\u2003\u2009"
_BROKEN = re.compile("[\udc80-\udcff\ufffd]")
_NAMED_DELIMITER = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_LONE_RETURN = re.compile(r"\r(?!\n)")


def read_delimited(stream: BinaryIO, limits: Limits) -> tuple[Iterator[Row], str, str]:
    """The rows of a CSV stream that can be rewound, its encoding and delimiter. Blank rows are counted but left out."""
    encoding, skip = detect_encoding(stream)
    stream.seek(skip)
    sample = _sample(stream, encoding)
    delimiter, width = detect_delimiter(sample)
    stream.seek(skip)
    rows = _Reader(_blocks(stream, encoding, limits, old_mac="\n" not in sample), delimiter, width).rows()
    if _NAMED_DELIMITER.match(sample):
        next(rows)
    return rows, encoding, delimiter


# --- What kind of text ----------------------------------------------------------------------------------------------


def detect_encoding(stream: BinaryIO) -> tuple[str, int]:
    """Encoding and length of the byte order mark. Without a mark: UTF-16 by its zero bytes, else UTF-8 or GB18030.

    Judged by the first block that holds anything but ASCII, wherever it comes; pure ASCII counts as UTF-8.
    """
    stream.seek(0)
    head = stream.read(4096)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, len(mark)
    if utf16 := _utf16_without_mark(head):
        return utf16, 0
    stream.seek(0)
    while block := stream.read(BLOCK) + stream.readline(BLOCK):
        if not block.isascii():
            return ("utf-8" if _reads_as_utf8(block) else "gb18030"), 0
    return "utf-8", 0


def _utf16_without_mark(head: bytes) -> str | None:
    """Every second byte of Latin letters and digits is zero in UTF-16; stray zero bytes are not so regular."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 8 * even and odd * 10 > len(head) // 2:
        return "utf-16-le"
    return "utf-16-be" if even > 8 * odd and even * 10 > len(head) // 2 else None


def _reads_as_utf8(block: bytes) -> bool:
    """UTF-8, perhaps with a few broken bytes: then it still has more whole Chinese characters than errors. GB18030 read
    as UTF-8 is nearly all errors."""
    text = block.decode("utf-8", "replace")
    errors = text.count("\ufffd")
    return errors == 0 or errors < len(re.findall("[\u2e80-\uff60\U00020000-\U000323af]", text))


def _sample(stream: BinaryIO, encoding: str) -> str:
    return stream.read(2**16).decode(encoding, "replace").replace("\0", "")


def detect_delimiter(sample: str) -> tuple[str, int]:
    """The delimiter that stands equally often in the most of the first lines, and the number of columns this makes."""
    if named := _NAMED_DELIMITER.match(sample):
        return named[1], 1 + _usual_count(sample.split("\n")[1:60], named[1])[1]
    lines = [line for line in re.split(r"\r\n|\n|\r", sample)[:60] if line.strip()]
    lines = lines[:-1] if len(lines) > 2 else lines  # the last one may be cut off
    best = max(DELIMITERS, key=lambda delimiter: _usual_count(lines, delimiter))
    return best, 1 + _usual_count(lines, best)[1]


def _usual_count(lines: list[str], delimiter: str) -> tuple[int, int]:
    """(In how many lines, how often) the delimiter stands outside quotation marks, by its most usual count above 0."""
    counts = Counter(re.sub('"[^"]*"', "", line).count(delimiter) for line in lines)
    del counts[0]
    often, in_lines = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    return in_lines, often


# --- Blocks of whole lines ------------------------------------------------------------------------------------------


def _blocks(stream: BinaryIO, encoding: str, limits: Limits, *, old_mac: bool) -> Iterator[tuple[str, int]]:
    """Texts of whole lines, and what their cells need: 0 nothing, 1 trimming, 2 a second look."""
    line_end = ("\r" if old_mac else "\n").encode(encoding)
    tail = b""
    while chunk := stream.read(BLOCK):
        data = tail + chunk
        cut = _last_line_end(data, line_end)
        if cut == 0 and len(data) > limits.line_characters:
            raise Refusal("tables.line_too_long", limit=limits.line_characters)
        text, tail = data[:cut], data[cut:]
        if text:
            yield _decoded(text, encoding)
    if tail:
        yield _decoded(tail, encoding)


def _last_line_end(data: bytes, line_end: bytes) -> int:
    """Where the last whole line ends. In UTF-16 the bytes of a line end may also be the halves of two characters."""
    step = len(line_end)
    found = data.rfind(line_end)
    while step == 2 and found > 0 and found % 2:
        found = data.rfind(line_end, 0, found + 1)
    return found + step if found >= 0 else 0


def _decoded(data: bytes, encoding: str) -> tuple[str, int]:
    try:
        text, broken = data.decode(encoding), False
    except UnicodeDecodeError:
        wrong = "replace" if encoding.startswith("utf-16") else "surrogateescape"
        text, broken = data.decode(encoding, wrong), True
    if "\0" in text:
        text = text.replace("\0", "")
    if text.count("\r") != text.count("\r\n"):
        text = _LONE_RETURN.sub("\n", text)
    if broken or '="' in text or "'" in text or "\ufffd" in text:
        return text, 2
    return text, 1 if any(space in text for space in _SPACES) else 0


# --- Records --------------------------------------------------------------------------------------------------------


class _Runaway(Exception):
    """A record has swallowed more lines than any cell has."""


class _Watched:
    """Lines on their way to the parser, noted in ``pending``. Unlike a generator it survives what it raises."""

    def __init__(self, take: Callable[[], str], pending: list[str]) -> None:
        self.take, self.pending = take, pending

    def __iter__(self) -> "_Watched":
        return self

    def __next__(self) -> str:
        line = self.take()
        self.pending.append(line)
        if len(self.pending) > RECORD_LINES:
            raise _Runaway
        return line


class _Reader:
    """Turns blocks of lines into rows. ``pending`` holds the lines of the record that the parser is in, ``returned``
    those that a broken record had swallowed and that are to be read again."""

    def __init__(self, blocks: Iterator[tuple[str, int]], delimiter: str, width: int) -> None:
        self.delimiter, self.width = delimiter, width
        self.pending: list[str] = []
        self.returned: deque[str] = deque()
        self.care = 0
        self.blocks = blocks
        self.lines: Iterator[str] = chain.from_iterable(self._sources())

    def _sources(self) -> Iterator[Iterator[str]]:
        """One source of lines a block: plain where no quotation mark can be open, watched otherwise."""
        care_before = 0
        for text, care in self.blocks:
            self.care, care_before = max(care, care_before), care
            lines = StringIO(text, newline="\n")
            yield _Watched(lines.__next__, self.pending) if self.pending or '"' in text else lines

    def _take_returned(self) -> str:
        if not self.returned:
            raise StopIteration
        return self.returned.popleft()

    def _parser(self) -> Callable[[], list[str]]:
        lines = chain(_Watched(self._take_returned, self.pending), self.lines)
        return csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True).__next__

    def rows(self) -> Iterator[Row]:
        """All rows with content. Row numbers count records, as a spreadsheet does."""
        following, pending, new = self._parser(), self.pending, tuple.__new__
        for number in count(1):
            try:
                cells = following()
            except StopIteration:
                return
            except (csv.Error, _Runaway):
                yield self._recover(number)
                following = self._parser()
                continue
            if pending:
                if len(pending) > 1 and self._swallowed_rows(cells):
                    yield self._recover(number)
                    following = self._parser()
                    continue
                pending.clear()
            if self.care == 1:
                cells = [cell.strip() for cell in cells]
            elif self.care == 2:
                if any(map(str.strip, cells)):
                    yield _second_look(number, cells)
                continue
            if any(cells):
                yield new(Row, (number, cells, None))

    def _swallowed_rows(self, cells: list[str]) -> bool:
        """Whether a record of several lines is really several rows that a stray quotation mark has joined."""
        return len(cells) != self.width and any(self._complete(line) for line in self.pending[1:])

    def _complete(self, line: str) -> bool:
        return line.count(self.delimiter) == self.width - 1

    def _recover(self, number: int) -> Row:
        """Make the best of a record that is not well-formed.

        Spaces behind a quoted cell, or line ends in one, are read leniently if that gives a row of the right width.
        Otherwise the first line is a row of its own, with a problem, and the lines after it are read again.
        """
        lines = list(self.pending)
        self.pending.clear()
        if not lines:
            return Row(number, [], Refusal("tables.cell_too_long", row=number))
        together = self._lenient(lines)
        if self._well_read(lines, together):
            return _second_look(number, together)
        self.returned.extendleft(reversed(lines[1:]))
        row = _second_look(number, self._lenient(lines[:1]))
        return row._replace(problem=Refusal("tables.quotes", row=number))

    def _well_read(self, lines: list[str], cells: list[str]) -> bool:
        """Whether lines that broke the rules still say one row: right width, marks in pairs and none left in a cell."""
        if len(cells) != self.width or sum(line.count('"') for line in lines) % 2 or any('"' in cell for cell in cells):
            return False
        return len(lines) == 1 or not any(map(self._complete, lines))

    def _lenient(self, lines: list[str]) -> list[str]:
        try:
            return next(csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True), [])
        except csv.Error:  # a cell longer than the parser takes
            return []


def _second_look(number: int, cells: list[str]) -> Row:
    """Undo what protects text from Excel, and find the cell with bytes that are no text in the file's encoding."""
    for column, cell in enumerate(cells, 1):
        if not cell.isascii() and _BROKEN.search(cell):
            shown = [_BROKEN.sub("\ufffd", each).strip() for each in cells]
            return Row(number, shown, Refusal("tables.encoding", row=number, column=column))
    return Row(number, [mend(cell) for cell in cells])
