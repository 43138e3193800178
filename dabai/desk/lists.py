"""One list mechanism: a title, tabs, filters in the address, columns, rows, the next page by its key, and what to do
with a selection. Every list of the desk is a ``Listing``; ``list.html`` shows it.

The next page is an ordinary address (``?after=…``), so a list works without scripts; with them rows are added below.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from dabai.desk.forms import Form
from dabai.desk.shell import text

PAGE = 50
TONES = ("done", "soon", "late", "retest", "excused", "action", "")


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one cell. ``tone`` makes it a chip (its colour and its icon mean the same); ``sub`` is a second
    line; ``bar`` are parts of a bar as (kind, share from 0 to 100)."""

    text: str = ""
    href: str = ""
    sub: str = ""
    tone: str | None = None
    bar: Sequence[tuple[str, float]] | None = None
    mono: bool = False

    @property
    def rects(self) -> list[tuple[str, str, str]]:
        """The bar's parts as (kind, start, width) in per cent, one after another."""
        parts, start = [], 0.0
        for kind, width in self.bar or ():
            parts.append((kind, f"{start:.2f}%", f"{width:.2f}%"))
            start += width
        return parts


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its words are ``desk.column.<name>``; ``kind`` aligns it (text, number, time, code, bar, wide)."""

    name: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns. ``pick`` is the value of its box where rows can be selected."""

    cells: list[Cell]
    pick: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    """A saved view."""

    label: str
    href: str
    current: bool = False
    count: int | None = None


@dataclass(slots=True)
class Listing:
    """A list, ready to be shown. ``empty`` names the words of its empty state (``desk.empty.<empty>``)."""

    columns: list[Column]
    rows: list[Row]
    empty: str
    tabs: list[Tab] = field(default_factory=list)
    filters: Form | None = None
    next: str = ""
    total: list[Cell] = field(default_factory=list)
    bulk: Form | None = None
    empty_href: str = ""
    count: int | None = None

    @property
    def width(self) -> int:
        """Columns with the boxes."""
        return len(self.columns) + bool(self.bulk)


def columns(*names: str) -> list[Column]:
    """Columns by name, with the kind after a colon: ``"due:number"``."""
    return [Column(*name.split(":")) for name in names]


def address(request: HttpRequest, **changes: Any) -> str:
    """This page's address with some of its query changed; None and "" take a part away."""
    query = request.GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value not in (None, ""):
            query[name] = str(value)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def tabs(
    request: HttpRequest, name: str, options: Iterable[str], words: str, counts: dict[str, int] | None = None
) -> list[Tab]:
    """One tab for each value of a part of the query; the first is the usual one."""
    values = list(options)
    now = chosen(request, name, values)
    return [
        Tab(
            label=text(request, f"{words}.{value}"),
            href=address(request, **{name: "" if value == values[0] else value, "after": ""}),
            current=value == now,
            count=(counts or {}).get(value),
        )
        for value in values
    ]


def chosen(request: HttpRequest, name: str, options: Sequence[str]) -> str:
    """The value of a part of the query if it is one of the options, else the first."""
    asked = request.GET.get(name, "")
    return asked if asked in options else options[0]


def paged(rows: Sequence[Any], size: int, key: Callable[[Any], Any], request: HttpRequest) -> tuple[list[Any], str]:
    """The first ``size`` of up to ``size`` + 1 rows, and the address of the next page."""
    shown = list(rows[:size])
    return shown, address(request, after=key(shown[-1])) if len(rows) > size and shown else ""


def paged_key(request: HttpRequest, key: Sequence[Any] | None) -> str:
    """The address of the next page of a list whose key has several parts; "" at the end."""
    return address(request, after="|".join(str(part) for part in key)) if key else ""
