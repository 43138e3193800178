"""One row of a list of people, read: what it says, where that lies, and everything that is wrong with it.

Pure: cells in, a ``Read`` out. A row is refused only where nobody could be put on a roster by it: no name, no place, a
document that can't be right. Everything else that can't be read (a phone, a birthday, a key group) is left out with a
remark, because a resident without a phone must still be tested.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from dabai.kernel import areas
from dabai.kernel.refusal import Refusal
from dabai.people.rules import (
    Document,
    DocumentKind,
    kind_from_text,
    normalise_document,
    normalise_name,
    normalise_phone,
    sex_from_text,
)

COMMUNITY = 12
LIMITS = {"estate": 60, "building": 30, "unit": 20, "address": 160}
NOBODY = Document(DocumentKind.NONE, "")


class Cells(NamedTuple):
    """The cells of a row by field, each a trimmed text, empty where the list has no such column."""

    name: str = ""
    family_name: str = ""
    given_name: str = ""
    number: str = ""
    document_kind: str = ""
    phone: str = ""
    area: str = ""
    street: str = ""
    community: str = ""
    grid: str = ""
    estate: str = ""
    building: str = ""
    unit: str = ""
    room: str = ""
    address: str = ""
    household: str = ""
    household_kind: str = ""
    sex: str = ""
    birth_date: str = ""
    group: str = ""


HOME = slice(Cells._fields.index("estate"), Cells._fields.index("household") + 1)


class Read(NamedTuple):
    """A row as it was understood. ``door`` is the normal form of the address, by which households are grouped.

    ``reasons`` are refusals as plain dicts; ``refused`` says that the row can't be used, otherwise they are remarks.
    """

    name: str
    document: Document
    phone: str | None
    area: str
    estate: str
    building: str
    unit: str
    address: str | None
    door: str
    collective: bool
    sex: int
    birth_year: int | None
    group: str
    reasons: list[dict[str, Any]]
    refused: bool


def as_reason(refusal: Refusal, field_name: str | None = None) -> dict[str, Any]:
    """A refusal as a review keeps it; it holds no cell of the row."""
    reason: dict[str, Any] = {"code": refusal.code, "field": field_name or refusal.field}
    return reason | ({"params": refusal.params} if refusal.params else {})


# --- where: codes and names of areas --------------------------------------------------------------------------

SUFFIX = re.compile(
    "(社区居民委员会|村民委员会|社区居委会|居民委员会|村委会|居委会|街道办事处|社区|街道|网格|村|镇|乡)$"
)
BETWEEN = re.compile(r"[\s/\\>|,，、·-]+")
NUMBERED = re.compile(r"(?:第|NO\.?)?([0-9]{1,2})(?:号|#)?(?:网格)?")


def plain(text: str) -> str:
    """A name of a place without the marks that people put between its parts."""
    if text.isascii() and text.isalnum():
        return text.upper()
    return BETWEEN.sub("", unicodedata.normalize("NFKC", text)).upper()


def stem(text: str) -> str:
    """The name, part by part, without the words for what kind of place it is."""
    return "".join(SUFFIX.sub("", part) for part in BETWEEN.split(unicodedata.normalize("NFKC", text))).upper()


class AreaBook:
    """The areas that a list may name, by code, by name, and by the names of the way down to them.

    ``within`` is the area that the importer may fill; a row that names no place lies there, if that is a community.
    """

    def __init__(self, known: Iterable[tuple[str, str]], within: str, *, anywhere: bool = False) -> None:
        self.names = {code: plain(name) for code, name in known}
        self.within = within
        self.deep_enough = 6 if anywhere else COMMUNITY
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.cache: dict[tuple[str, ...], str | dict[str, Any]] = {}
        for code in sorted(self.names):
            way = [self.names[above] for above in [*areas.ancestors(code), code] if above in self.names]
            for start in range(len(way)):
                whole, above = way[start:], "".join(way[start:-1])
                self.by_name["".join(whole)].append(code)
                for form in {above + stem(whole[-1]), "".join(map(stem, whole))}:
                    self.by_stem[form].append(code)

    def find(self, *cells: str) -> str | dict[str, Any]:
        """The code that ``area``, ``street``, ``community`` and ``grid`` mean together, or the reason why none."""
        found = self.cache.get(cells)
        if found is None:
            try:
                found = self.search(*cells)
            except Refusal as refusal:
                found = as_reason(refusal)
            if len(self.cache) < 100_000:
                self.cache[cells] = found
        return found

    def search(self, area: str, street: str, community: str, grid: str) -> str:
        """Narrow down from the importer's area, cell by cell. Refusals ``people.area_…``."""
        candidates = self.narrow([self.within], area, "area", areas.LENGTHS) if area else [self.within]
        for cell, name, length in ((street, "street", 9), (community, "community", 12), (grid, "grid", 14)):
            if cell:
                candidates = self.narrow(candidates, cell, name, (length,))
        if len(candidates) > 1:
            candidates = [code for code in candidates if len(code) >= self.deep_enough] or candidates
        if len(candidates) > 1:
            raise Refusal("people.area_ambiguous", "area", count=len(candidates))
        if not (area or street or community or grid) and len(self.within) < self.deep_enough:
            raise Refusal("people.area_missing", "area")
        if len(candidates[0]) < self.deep_enough:
            raise Refusal("people.area_wide", "area")
        return candidates[0]

    def narrow(self, above: Sequence[str], cell: str, name: str, lengths: Sequence[int]) -> list[str]:
        """The areas of these lengths that a cell means below the candidates so far."""
        text = plain(cell)
        found = self.meant(above, text, lengths) or self.nearly(cell, lengths)
        inside = [code for code in found if code.startswith(tuple(above))]
        if inside:
            return inside
        outside = areas.is_code(text) and not text.startswith(self.within)
        raise Refusal("people.area_outside" if found or outside else "people.area_unknown", name)

    def meant(self, above: Sequence[str], text: str, lengths: Sequence[int]) -> list[str]:
        """Every area that a text names: by its code, a grid by its number, or by its full name."""
        code = text[:9] if len(text) == COMMUNITY and text.endswith("000") else text
        if code in self.names and len(code) in lengths:
            return [code]
        if lengths == (14,) and (number := NUMBERED.fullmatch(text)):
            return [code for code in (f"{one}{int(number[1]):02}" for one in above) if code in self.names]
        return [code for code in self.by_name.get(text, ()) if len(code) in lengths]

    def nearly(self, cell: str, lengths: Sequence[int]) -> list[str]:
        """The areas whose name is written with another word for its kind, or with none."""
        forms = {stem(cell), SUFFIX.sub("", plain(cell))}
        return sorted({code for form in forms for code in self.by_stem.get(form, ()) if len(code) in lengths})


# --- behind which door ----------------------------------------------------------------------------------------

DOOR_WORDS = re.compile(r"(号楼|楼栋|单元|门牌|[栋幢座号室户楼#])+$")
COLLECTIVE = frozenset({"集体", "集体户", "集体家庭户", "COLLECTIVE"})


@lru_cache(8192)
def door_part(text: str) -> str:
    """``3号楼``, ``3栋`` and ``3`` are the same building."""
    return DOOR_WORDS.sub("", plain(text)) or plain(text)


def door_of(cells: Cells, area: str) -> str:
    """The normal form of an address: equal for people behind the same door, empty where the door is not known.

    A list's own household number says it best; then room with what stands above it; then the written address.
    """
    community = area[:COMMUNITY]
    if cells.household:
        return f"{community}|no|{plain(cells.household)}"
    if cells.room:
        parts = (cells.estate, cells.building, cells.unit, cells.room)
        return "|".join([community, *map(door_part, parts)])
    return f"{community}|at|{plain(cells.address)}" if cells.address else ""


def written_address(cells: Cells) -> str | None:
    """The address as a person reads it."""
    if cells.address:
        return cells.address
    return " ".join(part for part in (cells.estate, cells.building, cells.unit, cells.room) if part) or None


def household_id(token: bytes) -> bytes:
    """The 16 bytes of the id of the household behind a door, made of its blind token, so that the same door is the
    same household in every list (UUIDv8, RFC 9562)."""
    return token[:6] + bytes((token[6] & 0x0F | 0x80, token[7], token[8] & 0x3F | 0x80)) + token[9:16]


# --- when born ------------------------------------------------------------------------------------------------

YEAR_FIRST = re.compile(r"((?:18|19|20)[0-9]{2})(?:[年./-]?[0-9]{1,2}(?:[月./-]?[0-9]{1,2}日?)?)?年?月?(?:[ T].*)?")
YEAR_LAST = re.compile(r"[0-9]{1,2}[./-][0-9]{1,2}[./-]((?:18|19|20)[0-9]{2})")


def birth_year(text: str, today: date) -> int:
    """The year in a birthday, whatever its form; two digits of a year say nothing. ``people.birth_unreadable``."""
    found = YEAR_FIRST.fullmatch(text) or YEAR_LAST.fullmatch(text)
    year = int(found[1]) if found else 0
    if not 1850 <= year <= today.year:
        raise Refusal("people.birth_unreadable", "birth_date")
    return year


kind_named = lru_cache(1024)(kind_from_text)


# --- the row --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class RowReader:
    """Reads the rows of one list. ``groups`` maps words to codes of key groups.

    People of a household stand one below the other, so the last door is remembered with the cells that made it.
    """

    book: AreaBook
    today: date
    groups: Mapping[str, str]
    remarks: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    last_home: tuple[str, ...] = ()
    last_door: str = ""

    def read(self, cells: Cells) -> Read:
        """Understand one row; nothing that it raises inside takes the row or its neighbours with it."""
        self.remarks, self.faults = [], []
        name, document, area = self.name(cells), self.document(cells), self.area(cells)
        phone = self.phone(cells.phone) if cells.phone else None
        estate, building, unit = cells.estate, cells.building, cells.unit
        if len(estate) + len(building) + len(unit) > LIMITS["unit"]:
            estate, building, unit = (self.short(cells, part) for part in ("estate", "building", "unit"))
        sex, year, group = self.traits(cells, document)
        address, door = written_address(cells), self.door(cells, area)
        collective = cells.household_kind != "" and plain(cells.household_kind) in COLLECTIVE
        reasons, refused = self.faults + self.remarks, bool(self.faults)
        home = (area, estate, building, unit, address, door, collective)
        return Read(name, document, phone, *home, sex, year, group, reasons, refused)

    def door(self, cells: Cells, area: str) -> str:
        """The normal form of the address; none for a row that is refused."""
        if self.faults:
            return ""
        home = (area, *cells[HOME])
        if home != self.last_home:
            self.last_home, self.last_door = home, door_of(cells, area)
        return self.last_door

    def name(self, cells: Cells) -> str:
        """The name, from one column or two."""
        try:
            return normalise_name(cells.name or f"{cells.given_name} {cells.family_name}".strip())
        except Refusal as refusal:
            self.faults.append(as_reason(refusal))
            return ""

    def document(self, cells: Cells) -> Document:
        """The document. No number is a person without one yet; a number that can't be right refuses the row."""
        kind = ""
        if cells.document_kind:
            known = kind_named(cells.document_kind)
            kind = known.value if known else ""
            if known is None:
                self.remarks.append({"code": "documents.kind_unknown", "field": "document_kind"})
        if not cells.number:
            return NOBODY
        try:
            return normalise_document(kind, cells.number, today=self.today)
        except Refusal as refusal:
            if refusal.code != "documents.empty":
                self.faults.append(as_reason(refusal))
            return NOBODY

    def area(self, cells: Cells) -> str:
        """The code of the grid or community."""
        found = self.book.find(cells.area, cells.street, cells.community, cells.grid)
        if isinstance(found, str):
            return found
        self.faults.append(found)
        return ""

    def phone(self, text: str) -> str | None:
        """The phone, or a remark."""
        try:
            return normalise_phone(text)
        except Refusal as refusal:
            if refusal.code != "documents.phone_empty":
                self.remarks.append(as_reason(refusal))
            return None

    def short(self, cells: Cells, part: str) -> str:
        """A clear column, cut to what the table takes."""
        text: str = getattr(cells, part)
        if len(text) > LIMITS[part]:
            self.remarks.append({"code": "people.text_long", "field": part, "params": {"limit": LIMITS[part]}})
        return text[: LIMITS[part]]

    def traits(self, cells: Cells, document: Document) -> tuple[int, int | None, str]:
        """Sex, year of birth and key group; what the document says goes before what the list says."""
        born = document.birth_date
        year = born.year if born else None
        if born is None and cells.birth_date:
            try:
                year = birth_year(cells.birth_date, self.today)
            except Refusal as refusal:
                self.remarks.append(as_reason(refusal))
        sex = document.sex or (sex_from_text(cells.sex) if cells.sex else 0)
        if cells.sex and not sex:
            self.remarks.append({"code": "people.sex_unknown", "field": "sex"})
        group = self.groups.get(plain(cells.group), "") if cells.group else ""
        if cells.group and not group:
            self.remarks.append({"code": "people.group_unknown", "field": "group"})
        return sex, year, group
