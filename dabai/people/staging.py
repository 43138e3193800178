"""The working part of an import: rows are read, matched with the residents, encrypted and written as staged rows.

A chunk of rows is one transaction: two look-ups at most, and one COPY. It runs in the importing process, or in
processes of its own (``dabai.people.processes``), because reading and encrypting is what an import of a million rows
spends its time on. Ciphertexts are bound to the row that they will become, so that a commit moves them as they are.

Who is known already: a resident with the same number; without a number that identifies, one with the same name, door,
community and year of birth. Somebody registered on the spot is not changed by a list: the list adds a resident, and
the equal number joins the two (``dabai.people.derive``).
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from dabai.access.keys import KeyRing
from dabai.exchange.tables import Row
from dabai.people.derive import UNIDENTIFYING
from dabai.people.facts import tail_of
from dabai.people.rows import COMMUNITY, AreaBook, Cells, Read, RowReader, as_reason, household_id

RESIDENTS = "residents"
CROSS_LIST = "cross_list"
TABLE_OF = {RESIDENTS: "people_person", CROSS_LIST: "people_listed"}

COLUMNS = {
    "district": "int4",
    "batch": "int4",
    "number": "int4",
    "outcome": "text",
    "reason": "jsonb",
    "person": "uuid",
    "existing": "uuid",
    "household": "uuid",
    "area": "text",
    "estate": "text",
    "building": "text",
    "unit": "text",
    "document_kind": "text",
    "sex": "int2",
    "birth_year": "int2",
    "group": "text",
    "doubt": "text",
    "collective": "bool",
    "key": "int2",
    "name_enc": "bytea",
    "number_enc": "bytea",
    "phone_enc": "bytea",
    "address_enc": "bytea",
    "name_token": "bytea",
    "number_token": "bytea",
    "tail_token": "bytea",
    "phone_token": "bytea",
    "address_token": "bytea",
}
COPY = "COPY people_staged_row ({}) FROM STDIN (FORMAT BINARY)".format(", ".join(f'"{name}"' for name in COLUMNS))
# In a binary COPY the server knows the type of each field: ids go as the 16 bytes that they are.
TYPES = ["bytea" if kind == "uuid" else kind for kind in COLUMNS.values()]
CELL, LINE = "\x1f", "\x1e"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a list on their way to whoever stages them: their numbers, their cells in one text (as a
    million lists of small texts they would cost more to hand over than to read), and what is wrong with whole rows."""

    numbers: list[int]
    text: str
    problems: dict[int, dict[str, Any]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Chunk":
        """Pack rows of equal width."""
        text = LINE.join([CELL.join(row.cells) for row in rows])
        width = len(rows[0].cells)
        if text.count(CELL) != (width - 1) * len(rows) or text.count(LINE) != len(rows) - 1:
            text = LINE.join([CELL.join([without_marks(cell) for cell in row.cells]) for row in rows])
        problems = {row.number: as_reason(row.problem) for row in rows if row.problem}
        return cls([row.number for row in rows], text, problems)

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self) -> Iterator[tuple[int, list[str], dict[str, Any] | None]]:
        """(row number, cells, what is wrong with the row as a whole)."""
        problem = self.problems.get
        for number, line in zip(self.numbers, self.text.split(LINE), strict=True):
            yield number, line.split(CELL), problem(number)


def without_marks(cell: str) -> str:
    """A cell without the two control characters that part cells and rows here."""
    return cell.replace(CELL, " ").replace(LINE, " ")


@dataclass(frozen=True, slots=True)
class ListSpec:
    """What reading the rows of one import needs; plain values, so that it can go to another process.

    ``places`` says in which cell each field of ``Cells`` stands, -1 for nowhere. ``look_up``: there are people already.
    """

    batch: int
    district: int
    operation: int
    purpose: str
    places: tuple[int, ...]
    areas: tuple[tuple[str, str], ...]
    within: str
    today: date
    groups: Mapping[str, str]
    look_up: bool


# --- who is known already -------------------------------------------------------------------------------------

KNOWN = """p.id, p.household, p.area, p.building, p.birth_year, p."group", p.away, p.key, p.phone_enc, p.phone_token,
  ARRAY(SELECT p.name_token UNION SELECT n.name_token FROM people_correction n
        WHERE n.district = p.district AND n.person = p.id AND n.name_token IS NOT NULL)"""
BY_NUMBER = f"""
SELECT DISTINCT ON (token) token, {KNOWN} FROM (
  SELECT p.number_token AS token, p.id FROM people_person p
  WHERE p.district = %(district)s AND p.number_token = ANY(%(tokens)s::bytea[])
  UNION ALL
  SELECT c.number_token, c.person FROM people_correction c
  WHERE c.district = %(district)s AND c.number_token = ANY(%(tokens)s::bytea[])
) found JOIN people_person p ON p.district = %(district)s AND p.id = found.id
WHERE p.operation = %(operation)s AND (%(spot)s OR NOT p.spot) ORDER BY token, p.id
"""  # noqa: S608 - constants only
BY_NAME = f"""
SELECT p.name_token, coalesce(p.number_token, ''), {KNOWN} FROM people_person p
WHERE p.district = %(district)s AND p.name_token = ANY(%(tokens)s::bytea[]) AND p.operation = %(operation)s
  AND NOT p.spot AND p.document_kind IN ('00', '99') ORDER BY p.id DESC
"""  # noqa: S608 - constants only


class Known(NamedTuple):
    """A resident as far as a list may change them."""

    id: UUID
    household: UUID | None
    area: str
    building: str
    birth_year: int | None
    group: str
    away: bool
    key: int
    phone_enc: bytes | None
    phone_token: bytes | None
    names: list[bytes]


class Tokens(NamedTuple):
    """The blind tokens of a row, and the id of the household that its address makes."""

    name: bytes | None
    number: bytes | None
    tail: bytes | None
    phone: bytes | None
    address: bytes | None
    household: bytes | None


NO_TOKENS = Tokens(None, None, None, None, None, None)


def identifies(read: Read) -> bool:
    """Whether the row's document says who it is."""
    return read.document.kind not in UNIDENTIFYING


def likeness(read: Read, tokens: Tokens) -> tuple[Any, ...]:
    """What must be equal for two rows without a number that identifies to be the same person."""
    return tokens.name, tokens.number or b"", tokens.household, read.area[:COMMUNITY], read.birth_year


# Some thousand keys are looked up in perhaps a million rows: always by index, whatever the statistics of a table that
# was filled a moment ago say. (Without this, a second import right after the first took hours.)
BY_INDEX = "SELECT set_config(name, 'off', true) FROM unnest(%s::text[]) AS name"
PLANS = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"]


class Directory:
    """The residents that the rows of a chunk may be about: three statements."""

    def __init__(self, cursor: Any, spec: ListSpec, rows: Sequence[tuple[Read, Tokens]]) -> None:
        self.numbers: dict[bytes, Known] = {}
        self.people: dict[tuple[Any, ...], Known] = {}
        if not spec.look_up:
            return
        cursor.execute(BY_INDEX, [PLANS])
        where = {"district": spec.district, "operation": spec.operation, "spot": spec.purpose == CROSS_LIST}
        numbers = [tokens.number for read, tokens in rows if tokens.number and identifies(read)]
        for token, *known in self.ask(cursor, BY_NUMBER, where, numbers):
            self.numbers[bytes(token)] = Known(*known)
        names = [tokens.name for read, tokens in rows if tokens.name and not identifies(read)]
        for name, number, *rest in self.ask(cursor, BY_NAME, where, names):
            known = Known(*rest)
            home = known.household.bytes if known.household else None
            self.people[bytes(name), bytes(number), home, known.area[:COMMUNITY], known.birth_year] = known

    def ask(self, cursor: Any, statement: str, where: dict[str, Any], tokens: list[bytes]) -> Iterable[Any]:
        """The rows for these tokens; no statement for none."""
        if not tokens:
            return ()
        cursor.execute(statement, where | {"tokens": tokens})
        return cursor.fetchall()  # type: ignore[no-any-return]

    def find(self, read: Read, tokens: Tokens) -> Known | None:
        """The resident whom a row is about."""
        if tokens.number and identifies(read):
            return self.numbers.get(tokens.number)
        return self.people.get(likeness(read, tokens))


# --- from a row to a staged row -------------------------------------------------------------------------------


def new_ids(count: int) -> Iterator[bytes]:
    """UUIDv7 of this moment as their 16 bytes, made together: one by one they cost as much as a cipher."""
    stamp = int(time.time() * 1000).to_bytes(6)
    noise = os.urandom(count * 10)
    for start in range(0, count * 10, 10):
        part = noise[start : start + 10]
        yield stamp + bytes((part[0] & 0x0F | 0x70, part[1], part[2] & 0x3F | 0x80)) + part[3:]


class Stager:
    """Turns the raw rows of one import into staged rows."""

    def __init__(self, spec: ListSpec, ring: KeyRing) -> None:
        self.spec, self.ring, self.table = spec, ring, TABLE_OF[spec.purpose]
        book = AreaBook(spec.areas, spec.within, anywhere=spec.purpose == CROSS_LIST)
        self.reader = RowReader(book, spec.today, spec.groups)
        self.pick: Callable[[list[str]], tuple[str, ...]] = itemgetter(*spec.places)
        self.last_door = ("", b"", b"")
        nobody = UUID(int=0)
        self.bound = {name: ring.bound(self.table, name, nobody)[:-16] for name in ("name", "number", "phone")}

    def stage(self, cursor: Any, chunk: Chunk) -> None:
        """Write a chunk; the caller's transaction makes it one."""
        reads = [self.read(cells, problem) for _, cells, problem in chunk.rows()]
        both = [(read, self.tokens(read)) for read in reads]
        directory = Directory(cursor, self.spec, both)
        doors: set[bytes] = set()
        with cursor.copy(COPY) as copy:
            copy.set_types(TYPES)
            for number, (read, tokens), person in zip(chunk.numbers, both, new_ids(len(both)), strict=True):
                copy.write_row(self.staged(number, read, tokens, person, directory, doors))

    def read(self, cells: list[str], problem: dict[str, Any] | None) -> Read:
        """What a row says; one that the file itself has spoilt says only that."""
        if problem:
            return self.reader.read(Cells())._replace(reasons=[problem], refused=True)
        cells.append("")
        return self.reader.read(Cells._make(self.pick(cells)))

    def tokens(self, read: Read) -> Tokens:
        """The blind tokens of a row. A refused one has none: nobody is to be found by it."""
        if read.refused:
            return NO_TOKENS
        token = self.ring.token
        if read.door != self.last_door[0]:
            address = token("address", read.door) or b""
            self.last_door = (read.door, address, household_id(address) if address else b"")
        return Tokens(
            token("name", read.name),
            token("number", read.document.key),
            token("tail", tail_of(read.document, read.area)),
            token("phone", read.phone),
            self.last_door[1] or None,
            self.last_door[2] or None,
        )

    def staged(
        self, number: int, read: Read, tokens: Tokens, person: bytes, directory: Directory, doors: set[bytes]
    ) -> tuple[Any, ...]:
        """The staged row. The first row of a door carries the address for its household."""
        known = None if read.refused else directory.find(read, tokens)
        outcome, reasons = judge(self.spec.purpose, read, tokens, known)
        about = read if known is None else merged(read, tokens, known)
        household = tokens.household
        if known is not None and self.spec.purpose == RESIDENTS and outcome != "doubled":
            person = known.id.bytes
            household = household or (known.household.bytes if known.household else None)
        bare = outcome == "same" and self.spec.purpose == RESIDENTS
        sealed = (None, None, None) if bare else self.seal(person, about, known if outcome == "changed" else None)
        document = about.document
        return (
            self.spec.district,
            self.spec.batch,
            number,
            outcome,
            reasons or None,
            person,
            known.id.bytes if known else None,
            household,
            about.area,
            about.estate,
            about.building,
            about.unit,
            document.kind,
            about.sex,
            about.birth_year,
            about.group,
            document.doubt or "",
            about.collective,
            self.ring.current,
            *sealed,
            self.seal_address(about, tokens, doors) if tokens.household else None,
            tokens.name,
            tokens.number,
            tokens.tail,
            tokens.phone or (known.phone_token if known and outcome == "changed" else None),
            tokens.address,
        )

    def seal_address(self, read: Read, tokens: Tokens, doors: set[bytes]) -> bytes | None:
        """The address for the household, once for each door of a chunk."""
        if tokens.household in doors or tokens.household is None:
            return None
        doors.add(tokens.household)
        return self.ring.seal("people_household", "address", UUID(bytes=tokens.household), read.address)

    def seal(self, person: bytes, read: Read, known: Known | None) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Name, number and phone for the row of ``person``; what the list leaves out stays as it was known."""
        phone = read.phone
        if phone is None and known is not None:
            phone = self.ring.open(known.key, self.table, "phone", known.id, known.phone_enc)
        sealed, bound = self.ring.sealed, self.bound
        return (
            sealed(bound["name"] + person, read.name) if read.name else None,
            sealed(bound["number"] + person, read.document.number) if read.document.number else None,
            sealed(bound["phone"] + person, phone) if phone else None,
        )


def judge(purpose: str, read: Read, tokens: Tokens, known: Known | None) -> tuple[str, list[dict[str, Any]]]:
    """What would become of the row, and why. Doubles within the file are found at the end, by one statement."""
    if read.refused:
        return "refused", read.reasons
    if known is None:
        return "added", read.reasons
    if purpose == CROSS_LIST:
        return "same", read.reasons
    if tokens.name not in known.names:
        return "doubled", [*read.reasons, {"code": "people.double_other_name", "field": "name"}]
    return ("changed" if differs(read, tokens, known) else "same"), read.reasons


def merged(read: Read, tokens: Tokens, known: Known) -> Read:
    """What a row says about a known resident, with what is known where it says nothing."""
    return read._replace(
        area=known.area if known.area.startswith(read.area) else read.area,
        building=read.building or ("" if tokens.household else known.building),
        group=read.group or known.group,
    )


def differs(read: Read, tokens: Tokens, known: Known) -> bool:
    """Whether a list says something new of a resident. An empty cell says nothing, nor does a community of its grid."""
    home = known.household.bytes if known.household else None
    return (
        known.away
        or not known.area.startswith(read.area)
        or (tokens.household is not None and tokens.household != home)
        or (bool(read.building) and read.building != known.building)
        or (tokens.phone is not None and tokens.phone != known.phone_token)
        or (bool(read.group) and read.group != known.group)
    )
