"""Facts about who somebody is: registered on the spot, corrected, merged with another, and not merged after all.

The swab has already been taken, so a registration is refused only for what can't be read at all. A number that does
not check is kept as document kind ``99``, which finds the person but never joins them to another; no number at all is
kind ``00``. The reason stays in ``doubt`` and becomes a case for the desk (``dabai.people.derive``). A desk's
correction has time to be right: there, a wrong number is refused.
"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Field, StringConstraints

from dabai.access.keys import KeyRing, ring
from dabai.journal.kinds import AreaCode, Body, Fact, Kind, Reason, Reference, Text
from dabai.journal.models import MarkKind
from dabai.journal.rows import Insert, accepted, place, place_about, uuids
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.people.rules import Document, DocumentKind, clean_number, normalise_document, normalise_name, normalise_phone

TABLE = "people_person"
COMMUNITY = 12

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Number = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Phone = Annotated[str, StringConstraints(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]
KindCode = Annotated[str, StringConstraints(pattern=r"^([0-9]{2})?$")]
Group = Annotated[str, StringConstraints(max_length=24, pattern=r"^[a-z_]*$")]


class DocumentBody(Body):
    """A document as typed or scanned. An empty ``kind`` means: guess it from the number."""

    kind: KindCode = ""
    number: Number = ""


class PersonRegistered(Body):
    """Somebody on no list, written down at a site. The id of this fact becomes the person's id."""

    site: Reference
    name: Name
    document: DocumentBody | None = None
    phone: Phone = ""
    area: AreaCode | None = None
    address: Text = ""
    group: Group = ""


class PersonCorrected(Body):
    """What a desk found to be right about a person; only the fields that are given change."""

    person: UUID
    name: Name | None = None
    document: DocumentBody | None = None
    phone: Phone | None = None
    reason: Reason


class PeopleMerged(Body):
    """Two ids are one person. ``facts`` are those that the decision was taken on."""

    one: UUID
    other: UUID
    reason: Reason
    facts: Annotated[list[UUID], Field(max_length=500)] = []


class PeopleUnmerged(Body):
    """A merge was wrong: both people are themselves again."""

    merge: UUID
    reason: Reason


# --- reading what was typed -----------------------------------------------------------------------------------


def read_name(raw: str) -> str:
    """The form of a name that is kept. One without any letter is kept as it was typed: there is a person behind it."""
    try:
        return normalise_name(raw)
    except Refusal as refusal:
        if refusal.code != "documents.name_characters":
            raise
        return " ".join(raw.split())


def read_document(body: DocumentBody | None, today: date) -> Document:
    """The document of a registration; whatever can't be verified becomes kind ``99`` with the reason as its doubt."""
    if body is None or not body.number:
        return Document(DocumentKind.NONE, "")
    try:
        return normalise_document(body.kind, body.number, today=today)
    except Refusal as refusal:
        if refusal.code == "documents.empty":
            return Document(DocumentKind.NONE, "")
        return Document(DocumentKind.OTHER, clean_number(body.number), refusal.code)


def read_phone(raw: str) -> str | None:
    """The one form of a phone, or what was typed where it has none: a clerk may still be able to dial it."""
    try:
        return normalise_phone(raw)
    except Refusal:
        return raw or None


def tail_of(document: Document, area: str) -> str | None:
    """What the token of the last four is made of: staff search by last four and community."""
    return f"{document.last_four}|{area[:COMMUNITY]}" if document.last_four else None


class Sealed(NamedTuple):
    """The personal columns of a row, encrypted, with their tokens, in the order of ``PERSONAL``."""

    key: int
    name_enc: bytes | None
    number_enc: bytes | None
    phone_enc: bytes | None
    name_token: bytes | None
    number_token: bytes | None
    tail_token: bytes | None
    phone_token: bytes | None


PERSONAL = {
    "key": "smallint",
    "name_enc": "bytea",
    "number_enc": "bytea",
    "phone_enc": "bytea",
    "name_token": "bytea",
    "number_token": "bytea",
    "tail_token": "bytea",
    "phone_token": "bytea",
}


def seal(
    keys: KeyRing, table: str, row: UUID, name: str | None, document: Document | None, phone: str | None, area: str
) -> Sealed:
    """Encrypt what is known for one row, and make its tokens. ``area`` goes into the token of the last four."""
    number = document.number or None if document else None
    return Sealed(
        keys.current,
        keys.seal(table, "name", row, name),
        keys.seal(table, "number", row, number),
        keys.seal(table, "phone", row, phone),
        keys.token("name", name),
        keys.token("number", document.key) if document else None,
        keys.token("tail", tail_of(document, area)) if document else None,
        keys.token("phone", phone),
    )


# --- registered on the spot -----------------------------------------------------------------------------------

PERSON = Insert(
    TABLE,
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "area": "text",
        "building": "text",
        "spot": "bool",
        "away": "bool",
        "document_kind": "text",
        "sex": "smallint",
        "birth_year": "smallint",
        "group": "text",
        "doubt": "text",
        "address_enc": "bytea",
        **PERSONAL,
    },
)


def register_people(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``person_registered``: one INSERT. Refused only for an unknown site, one out of scope, or no name at all."""
    verdicts: list[Refusal | None] = []
    rows = []
    for fact in facts:
        refusal = place(fact, fact.body.site)
        try:
            name = "" if refusal else read_name(fact.body.name)
        except Refusal as unreadable:
            refusal = Refusal(unreadable.code, "body.name")
        verdicts.append(refusal)
        if refusal is None:
            rows.append(person_row(fact, name))
            fact.mark(MarkKind.PERSON, str(fact.id))
    PERSON(cursor, rows)
    return verdicts


def person_row(fact: Fact, name: str) -> tuple[Any, ...]:
    """The typed row: the place of registration stands in for an unknown area."""
    body: PersonRegistered = fact.body
    area = body.area or fact.area
    document = read_document(body.document, clock.business_day(fact.happened_at))
    born = document.birth_date
    keys = ring(fact.operation)
    head = (fact.district, fact.id, fact.operation, area, "", True, False, document.kind.value, document.sex)
    address = keys.seal(TABLE, "address", fact.id, body.address or None)
    sealed = seal(keys, TABLE, fact.id, name, document, read_phone(body.phone), area)
    return (*head, born.year if born else None, body.group, document.doubt or "", address, *sealed)


# --- corrected ------------------------------------------------------------------------------------------------

CORRECTION = Insert(
    "people_correction",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "person": "uuid",
        "document_kind": "text",
        **PERSONAL,
        "reason": "text",
        "happened_at": "timestamptz",
    },
)


def correct_people(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``corrected``: one INSERT. A desk's correction must be right itself: a number that does not check is refused."""
    homes = homes_of(cursor, facts, [fact.body.person for fact in facts])
    verdicts: list[Refusal | None] = []
    rows = []
    for fact in facts:
        try:
            row = correction_row(fact)
        except Refusal as refusal:
            verdicts.append(refusal)
            continue
        verdicts.append(place_about(fact, homes.get(fact.body.person)))
        if verdicts[-1] is None:
            fact.mark(MarkKind.PERSON, str(fact.body.person))
            rows.append(row)
    CORRECTION(cursor, rows)
    return verdicts


def homes_of(cursor: Any, facts: Sequence[Fact], people: Sequence[UUID]) -> dict[UUID, str]:
    """The areas of residents on lists: one statement. People known by a fact only are left out, so that no refusal
    depends on which facts have come."""
    cursor.execute(
        "SELECT id, area FROM people_person WHERE district = %s AND id = ANY(%s::uuid[]) AND NOT spot",
        [facts[0].district, uuids(people)],
    )
    return dict(cursor.fetchall())


def correction_row(fact: Fact) -> tuple[Any, ...]:
    """The typed row, its values bound to the correction's own id; ``Refusal`` for what can't be right.

    The last four are found in the whole district: where the person lives is no part of this fact.
    """
    body: PersonCorrected = fact.body
    if body.name is None and body.document is None and body.phone is None:
        raise Refusal("people.correction_empty", "body")
    document = checked_document(body.document, clock.business_day(fact.happened_at))
    try:
        name = None if body.name is None else normalise_name(body.name)
        phone = None if body.phone is None else normalise_phone(body.phone)
    except Refusal as refusal:
        raise Refusal(refusal.code, f"body.{refusal.field}", **refusal.params) from None
    sealed = seal(ring(fact.operation), "people_correction", fact.id, name, document, phone, str(fact.district))
    head = (fact.district, fact.id, fact.operation, body.person, document.kind.value if document else "")
    return (*head, *sealed, body.reason, fact.happened_at)


def checked_document(body: DocumentBody | None, today: date) -> Document | None:
    """The document of a correction, None where the correction is about something else."""
    if body is None:
        return None
    try:
        return normalise_document(body.kind, body.number, today=today)
    except Refusal as refusal:
        raise Refusal(refusal.code, f"body.document.{refusal.field}", **refusal.params) from None


# --- merged and unmerged --------------------------------------------------------------------------------------

MERGE = Insert(
    "people_merge",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "one": "uuid",
        "other": "uuid",
        "facts": "uuid[]",
        "reason": "text",
        "happened_at": "timestamptz",
    },
)
WITHDRAWAL = Insert(
    "journal_withdrawal",
    {"district": "int", "id": "uuid", "target": "uuid", "reason": "text", "happened_at": "timestamptz"},
)


def merge_people(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``merged``: one INSERT; what was reported for either follows by derivation."""
    homes = homes_of(cursor, facts, [one for fact in facts for one in (fact.body.one, fact.body.other)])
    verdicts = [judge_merge(fact, homes) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        body: PeopleMerged = fact.body
        fact.mark(MarkKind.PERSON, str(body.one))
        fact.mark(MarkKind.PERSON, str(body.other))
        head = (fact.district, fact.id, fact.operation, body.one, body.other)
        rows.append((*head, uuids(body.facts), body.reason, fact.happened_at))
    MERGE(cursor, rows)
    return verdicts


def judge_merge(fact: Fact, homes: dict[UUID, str]) -> Refusal | None:
    """Nobody is merged with themselves; who merges two people must reach both."""
    if fact.body.one == fact.body.other:
        return Refusal("people.merge_self", "body.other")
    return place_about(fact, homes.get(fact.body.one), homes.get(fact.body.other))


def unmerge_people(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``unmerged``: a withdrawal of the merge; it may arrive before the merge does."""
    verdicts = [place_about(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        fact.mark(MarkKind.FACT, str(fact.body.merge))
        rows.append((fact.district, fact.id, fact.body.merge, fact.body.reason, fact.happened_at))
    WITHDRAWAL(cursor, rows)
    return verdicts


KINDS = (
    Kind("people.person_registered", 10, PersonRegistered, register_people),
    Kind("people.corrected", 11, PersonCorrected, correct_people, desk=True),
    Kind("people.merged", 12, PeopleMerged, merge_people, desk=True),
    Kind("people.unmerged", 13, PeopleUnmerged, unmerge_people, desk=True),
)
