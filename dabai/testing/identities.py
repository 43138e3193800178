"""Who the people of a list are: names and documents opened a page at a time, with what desks found to be right.

Lists show them masked. Open values leave this package only in an export to the province, which asks for a permission
and a reason and is logged.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from dabai.access.keys import KeyRing, ring
from dabai.people.rules import mask_name


@dataclass(slots=True)
class Identity:
    """A person in clear: handle with care, never log."""

    name: str
    document_kind: str
    number: str
    phone: str


PEOPLE = """
SELECT id, key, name_enc, document_kind, number_enc, phone_enc FROM people_person
WHERE district = %(district)s AND operation = %(operation)s AND id = ANY(%(people)s)
"""
# Oldest first, so that the newest correction in force is the last to be written over, field by field.
CORRECTIONS = """
SELECT c.person, c.id, c.key, c.name_enc, c.document_kind, c.number_enc, c.phone_enc FROM people_correction c
WHERE c.district = %(district)s AND c.operation = %(operation)s AND c.person = ANY(%(people)s)
 AND NOT EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = c.district AND w.target = c.id)
ORDER BY c.happened_at, c.id
"""


def open_people(
    district: int, operation: int, people: Collection[UUID], *, names_only: bool = False
) -> dict[UUID, Identity]:
    """Names and documents of these people, those known at all. Two statements. Refusal ``access.key_destroyed``."""
    if not people:
        return {}
    keys = ring(operation)
    values = {"district": district, "operation": operation, "people": list(people)}
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, values)
        found = {row[0]: opened(keys, row, names_only) for row in cursor.fetchall()}
        cursor.execute(CORRECTIONS, values)
        for row in cursor.fetchall():
            if row[0] in found:
                correct(keys, found[row[0]], row[1:], names_only)
    return found


def opened(keys: KeyRing, row: tuple[Any, ...], names_only: bool) -> Identity:
    """One row of the list in clear."""
    person, key, name, kind, number, phone = row
    table = "people_person"
    return Identity(
        name=keys.open(key, table, "name", person, name) or "",
        document_kind=kind,
        number="" if names_only else keys.open(key, table, "number", person, number) or "",
        phone="" if names_only else keys.open(key, table, "phone", person, phone) or "",
    )


def correct(keys: KeyRing, identity: Identity, row: tuple[Any, ...], names_only: bool) -> None:
    """Write what a desk found to be right over what the list said."""
    fact, key, name, kind, number, phone = row
    table = "people_correction"
    identity.name = keys.open(key, table, "name", fact, name) or identity.name
    if names_only:
        return
    if kind:
        identity.document_kind = kind
        identity.number = keys.open(key, table, "number", fact, number) or ""
    identity.phone = keys.open(key, table, "phone", fact, phone) or identity.phone


def masked_names(district: int, operation: int, people: Collection[UUID]) -> dict[UUID, str]:
    """Names as lists show them: 张*三."""
    found = open_people(district, operation, people, names_only=True)
    return {person: mask_name(identity.name) for person, identity in found.items()}
