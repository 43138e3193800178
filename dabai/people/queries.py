"""Readers of people: masked rows, search by blind tokens, lists of a grid or building, and imports under review.

Nothing here answers a readable name, number or phone but ``open_people``, which ``actions.reveal`` and files that go
out under a permission of their own use. What a desk corrected goes before what was registered.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, QuerySet

from dabai.access.keys import KeyRing, ring
from dabai.access.queries import operation_row
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.people.masks import mask_name, mask_number, mask_phone
from dabai.people.models import Identity, Import, ListedPerson, Person, StagedRow
from dabai.people.rules import (
    normalise_name,
    normalise_phone,
    possible_keys,
)
from dabai.people.staging import TABLE_OF
from dabai.places import queries as places

LAST_FOUR = re.compile(r"[0-9]{3}[0-9A-Za-z]")
PAGE = 200


@dataclass(frozen=True, slots=True)
class OpenPerson:
    """A person with readable fields: never for a list."""

    id: UUID
    area: str
    building: str
    household: UUID | None
    group: str
    sex: int
    birth_year: int | None
    spot: bool
    away: bool
    document_kind: str
    doubt: str
    name: str
    number: str | None
    phone: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class MaskedPerson:
    """A person as every list shows them. ``canonical`` is who speaks for them when several ids are one person."""

    id: UUID
    canonical: UUID
    name_conflict: bool
    area: str
    building: str
    household: UUID | None
    group: str
    sex: int
    birth_year: int | None
    spot: bool
    away: bool
    document_kind: str
    doubt: str
    name: str
    number: str
    phone: str


PEOPLE = """
SELECT p.id, p.area, p.building, p.household, p."group", p.sex, p.birth_year, p.spot, p.away, p.document_kind, p.doubt,
       p.key, p.name_enc, p.number_enc, p.phone_enc, p.address_enc, h.key, h.address_enc
FROM people_person p LEFT JOIN people_household h ON h.district = p.district AND h.id = p.household
WHERE p.operation = %(operation)s AND p.district = %(district)s AND p.id = ANY(%(ids)s::uuid[])
"""
CORRECTIONS = """
SELECT c.person, c.id, c.key, c.document_kind, c.name_enc, c.number_enc, c.phone_enc FROM people_correction c
WHERE c.district = %(district)s AND c.operation = %(operation)s AND c.person = ANY(%(ids)s::uuid[])
  AND NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = c.district AND w.target = c.id)
ORDER BY c.happened_at, c.id
"""


def district_of(operation: int) -> int:
    """The district that an operation belongs to. Refusal ``people.operation_unknown``."""
    row = operation_row(operation)
    if row is None:
        raise Refusal("people.operation_unknown", "operation")
    return row.district


def rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def open_people(operation: int, ids: Collection[UUID]) -> dict[UUID, OpenPerson]:
    """Readable people by id, corrections applied: three statements, whatever their number. Unknown ids are left out."""
    where = {"operation": operation, "district": district_of(operation), "ids": list(ids)}
    keys = ring(operation)
    people = {row[0]: opened(keys, row) for row in rows(PEOPLE, where)}
    for person, *correction in rows(CORRECTIONS, where):
        if person in people:
            people[person] |= corrected(keys, correction)
    return {person: OpenPerson(**fields) for person, fields in people.items()}


FIELDS = (
    "id", "area", "building", "household", "group", "sex", "birth_year", "spot", "away", "document_kind", "doubt",
)  # fmt: skip


def opened(keys: KeyRing, row: Sequence[Any]) -> dict[str, Any]:
    """The fields of one row of ``PEOPLE``. The address is the person's own, else that of the household."""
    person, key, name, number, phone, address, house_key, house_address = row[0], *row[11:]
    found = {
        column: keys.open(key, "people_person", column, person, sealed)
        for column, sealed in (("name", name), ("number", number), ("phone", phone), ("address", address))
    }
    if found["address"] is None and house_address is not None:
        found["address"] = keys.open(house_key, "people_household", "address", row[3], house_address)
    return dict(zip(FIELDS, row[:11], strict=True)) | found


def corrected(keys: KeyRing, correction: Sequence[Any]) -> dict[str, Any]:
    """What a correction changes."""
    fact, key, kind, name, number, phone = correction
    table = "people_correction"
    changes: dict[str, Any] = {
        column: keys.open(key, table, column, fact, sealed)
        for column, sealed in (("name", name), ("phone", phone))
        if sealed is not None
    }
    if kind:
        changes |= {"document_kind": kind, "number": keys.open(key, table, "number", fact, number), "doubt": ""}
    return changes


def masked_people(operation: int, ids: Collection[UUID]) -> dict[UUID, MaskedPerson]:
    """People as lists show them, by id: four statements, whatever their number. Unknown ids are left out."""
    people = open_people(operation, ids)
    found = Identity.objects.filter(operation=operation, person__in=list(people))
    same = {person: (canonical, conflict) for person, canonical, conflict in found.values_list(
        "person", "canonical", "name_conflict"
    )}  # fmt: skip
    return {person: masked(one, *same.get(person, (person, False))) for person, one in people.items()}


def masked(person: OpenPerson, canonical: UUID, conflict: bool) -> MaskedPerson:
    """One person with name, number and phone hidden as far as lists hide them."""
    clear = {name: getattr(person, name) for name in FIELDS if name != "id"}
    return MaskedPerson(
        id=person.id,
        canonical=canonical,
        name_conflict=conflict,
        name=mask_name(person.name),
        number=mask_number(person.number) if person.number else "",
        phone=mask_phone(person.phone) if person.phone else "",
        **clear,
    )


# --- search ---------------------------------------------------------------------------------------------------

FIND = """
WITH found AS (
  SELECT id FROM people_person WHERE district = %(district)s AND number_token = ANY(%(number)s::bytea[])
  UNION SELECT id FROM people_person WHERE district = %(district)s AND name_token = ANY(%(name)s::bytea[])
  UNION SELECT id FROM people_person WHERE district = %(district)s AND phone_token = ANY(%(phone)s::bytea[])
  UNION SELECT id FROM people_person WHERE district = %(district)s AND tail_token = ANY(%(tail)s::bytea[])
  UNION SELECT person FROM people_correction WHERE district = %(district)s AND operation = %(operation)s
    AND (number_token = ANY(%(number)s::bytea[]) OR name_token = ANY(%(name)s::bytea[])
         OR phone_token = ANY(%(phone)s::bytea[]) OR tail_token = ANY(%(tail)s::bytea[]))
)
SELECT p.id FROM found JOIN people_person p ON p.district = %(district)s AND p.id = found.id
WHERE p.operation = %(operation)s AND p.area LIKE ANY(%(areas)s) ORDER BY p.area, p.id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search or a page of a list answers. ``after`` goes into the call for the next page; None: no more."""

    people: list[MaskedPerson]
    more: bool
    after: str | None = None


def find(operation: int, text: str, areas: Collection[str], *, limit: int = PAGE) -> Found:
    """People in these areas whom a text means: a whole number, phone or name, or the last four of a number.

    Nothing is found by a part of a name or number: the tokens are blind. Names that are common have many bearers;
    ``more`` says that the list was cut at ``limit``.
    """
    district = district_of(operation)
    where = tokens_meant(ring(operation), text.strip(), district, areas)
    where |= {"district": district, "operation": operation, "areas": [f"{area}%" for area in areas], "limit": limit + 1}
    ids = [row[0] for row in rows(FIND, where)]
    people = masked_people(operation, ids[:limit])
    return Found([people[person] for person in ids[:limit]], len(ids) > limit)


def tokens_meant(keys: KeyRing, text: str, district: int, areas: Collection[str]) -> dict[str, Any]:
    """The blind tokens of everything that a text may be, by field."""
    tails = [f"{text.upper()}|{code}" for code in tail_areas(district, areas)] if LAST_FOUR.fullmatch(text) else []
    values = {"number": numbers_meant(text), "name": names_meant(text), "phone": phones_meant(text), "tail": tails}
    return {field: [keys.token(field, value) for value in meant if value] for field, meant in values.items()}


def numbers_meant(text: str) -> list[str]:
    """The document keys that a number may be stored under: its kind is not known, nor whether it was verified."""
    return possible_keys(text, today=clock.business_day(clock.now()))


def names_meant(text: str) -> list[str]:
    """The normal form of a name, if the text can be one."""
    try:
        return [normalise_name(text)]
    except Refusal:
        return []


def phones_meant(text: str) -> list[str]:
    """The normal form of a phone, if the text can be one."""
    try:
        return [normalise_phone(text)]
    except Refusal:
        return []


def tail_areas(district: int, areas: Collection[str]) -> list[str]:
    """The communities (and what lies above them) in which the last four are looked for."""
    communities = {row.code for row in places.areas_in(areas, ("street", "community"))}
    return sorted({*communities, *(area[:12] for area in areas if area), str(district)})


# --- lists ----------------------------------------------------------------------------------------------------

RESIDENTS = """
SELECT p.area, p.id FROM people_person p
WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.area LIKE %(area)s
  AND (%(building)s = '' OR p.building = %(building)s) AND (p.area, p.id) > (%(after_area)s, %(after_id)s::uuid)
ORDER BY p.area, p.id LIMIT %(limit)s
"""
FIRST = "/00000000-0000-0000-0000-000000000000"


def residents(operation: int, area: str, *, building: str = "", after: str | None = None, limit: int = PAGE) -> Found:
    """The people of a grid, community or building, page by page in the order of area and id."""
    after_area, _, after_id = (after or FIRST).partition("/")
    try:
        place = {"after_area": after_area, "after_id": UUID(after_id)}
    except ValueError:
        raise Refusal("people.page_unknown", "after") from None
    where = {"district": district_of(operation), "operation": operation, "area": f"{area}%", "building": building}
    found = rows(RESIDENTS, where | place | {"limit": limit + 1})
    people = masked_people(operation, [person for _, person in found[:limit]])
    more = len(found) > limit
    last = f"{found[limit - 1][0]}/{found[limit - 1][1]}" if more else None
    return Found([people[person] for _, person in found[:limit]], more, last)


def buildings(operation: int, area: str) -> list[tuple[str, int]]:
    """The buildings of a grid or community and how many people live in each; "" where none is known."""
    found = Person.objects.filter(operation=operation, district=district_of(operation), area__startswith=area)
    counted = found.filter(away=False).values_list("building").annotate(people=Count("id"))
    return sorted((building, people) for building, people in counted)


def people_count(operation: int, area: str = "") -> int:
    """Residents of an area who have not moved away, those registered on the spot not counted."""
    found = Person.objects.filter(operation=operation, district=district_of(operation), spot=False, away=False)
    return found.filter(area__startswith=area).count()


# --- lists of hotels, firms and sites -------------------------------------------------------------------------


def listed_outside(
    operation: int, on_roster: "QuerySet[Any]", *, batch: int | None = None, areas: Iterable[str] = ("",)
) -> "QuerySet[ListedPerson]":
    """People whom a hotel, firm or site has named and who are on no roster.

    ``on_roster`` is a queryset of the ids of the people on it (a round's, from the domain that knows rounds). Somebody
    is on it when a resident or somebody registered has the same number, or the same name and phone where the list has
    no number, and they, or whoever they are the same person as, are on the roster.
    """
    district = district_of(operation)
    found = ListedPerson.objects.filter(places.in_any(list(areas), "area"), district=district, operation=operation)
    found = found.filter(batch=batch) if batch is not None else found
    here = Person.objects.filter(district=district, operation=operation)
    groups = Identity.objects.filter(district=district, person=OuterRef("id"))
    mates = Identity.objects.filter(district=district, person__in=on_roster, canonical=OuterRef("canonical"))
    on_it = here.filter(id__in=on_roster) | here.filter(Exists(groups.filter(Exists(mates))))
    by_number = on_it.filter(number_token=OuterRef("number_token"))
    by_phone = on_it.filter(name_token=OuterRef("name_token"), phone_token=OuterRef("phone_token"))
    return found.exclude(Exists(by_number)).exclude(Exists(by_phone), number_token=None).order_by("area", "id")


@dataclass(frozen=True, slots=True)
class MaskedListed:
    """Somebody on a cross list as lists show them."""

    id: UUID
    area: str
    label: str
    name: str
    number: str
    phone: str


def masked_listed(operation: int, found: Iterable[ListedPerson]) -> list[MaskedListed]:
    """These people of cross lists, masked, with the label of the list that names them: one statement more."""
    keys, people = ring(operation), list(found)
    labels = dict(Import.objects.filter(pk__in={one.batch for one in people}).values_list("pk", "label"))
    return [masked_one(keys, one, labels.get(one.batch, "")) for one in people]


def masked_one(keys: KeyRing, listed: ListedPerson, label: str) -> MaskedListed:
    """One of them."""

    def shown(column: str, sealed: Any) -> str:
        return keys.open(listed.key, "people_listed", column, listed.id, sealed) or ""

    name, number, phone = (shown(c, getattr(listed, f"{c}_enc")) for c in ("name", "number", "phone"))
    masks = mask_name(name), mask_number(number) if number else "", mask_phone(phone) if phone else ""
    return MaskedListed(listed.id, listed.area, label, *masks)


# --- a list under review --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StagedLine:
    """One row of a staged list as a reviewer sees it. ``existing``: the resident, or the first twin, it is about."""

    number: int
    outcome: str
    reasons: list[dict[str, Any]]
    area: str
    building: str
    document_kind: str
    group: str
    existing: UUID | None
    name: str
    document: str
    phone: str


def import_lines(found: Import, *, outcome: str = "", after: int = 0, limit: int = PAGE) -> list[StagedLine]:
    """The next rows of a list in the order of the file, masked; of one ``outcome`` (``remarked``: with any reason).

    Two statements: a row that is the same as a resident has no name of its own and shows the resident's.
    """
    staged = StagedRow.objects.filter(district=found.district, batch=found.pk, number__gt=after)
    if outcome == "remarked":
        staged = staged.filter(reason__isnull=False)
    elif outcome:
        staged = staged.filter(outcome=outcome)
    page = list(staged.order_by("number")[:limit])
    bare = [row.existing for row in page if row.name_enc is None and row.existing]
    known = open_people(found.operation, bare) if bare else {}
    return [staged_line(found, row, known) for row in page]


def staged_line(found: Import, row: StagedRow, known: dict[UUID, OpenPerson]) -> StagedLine:
    """One row, its values hidden as far as lists hide them."""
    keys, table, resident = (
        ring(found.operation),
        TABLE_OF[found.purpose],
        known.get(row.existing) if row.existing else None,
    )
    name, number, phone = (
        keys.open(row.key, table, column, row.person, getattr(row, f"{column}_enc"))
        for column in ("name", "number", "phone")
    )
    if row.name_enc is None and resident is not None:
        name, number, phone = resident.name, resident.number, resident.phone
    return StagedLine(
        row.number,
        row.outcome,
        row.reason or [],
        row.area,
        row.building,
        row.document_kind,
        row.group,
        row.existing,
        mask_name(name) if name else "",
        mask_number(number) if number else "",
        mask_phone(phone) if phone else "",
    )


def imports_of(operation: int, areas: Collection[str], *, limit: int = PAGE) -> list[Import]:
    """The lists of an operation that fill these areas, newest first."""
    found = Import.objects.filter(places.in_any(areas, "area"), operation=operation)
    return list(found.order_by("-pk")[:limit])
