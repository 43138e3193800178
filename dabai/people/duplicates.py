"""People who are probably one person under two ids: found by blind tokens, scored by rules, shown for a desk to decide.

Equal numbers join by themselves (``dabai.people.derive``); this is about the rest: a mistyped number, none at all, a
child registered twice. Nothing is merged here; a merge is a fact (``people.merged``), and so is taking it back.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dabai.people.models import Identity
from dabai.people.queries import MaskedPerson, OpenPerson, district_of, masked_people, open_people, rows
from dabai.people.rules import Likeness, Traits, duplicate_score, number_slip

MOST_PAIRS = 500

# Pairs that share more than a common name: name with phone, door or year and community; or phone with year and sex.
PAIRS = """
WITH mine AS (
  SELECT p.id, p.area, p.household, p.birth_year, p.sex, p.name_token, p.phone_token FROM people_person p
  WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.area LIKE %(area)s AND NOT p.away
), pairs AS (
  SELECT a.id AS one, b.id AS other FROM mine a JOIN people_person b ON b.district = %(district)s
    AND b.name_token = a.name_token AND b.operation = %(operation)s AND b.id <> a.id AND NOT b.away
  WHERE b.phone_token = a.phone_token OR b.household = a.household
    OR (b.birth_year = a.birth_year AND left(b.area, 12) = left(a.area, 12))
  UNION
  SELECT a.id, b.id FROM mine a JOIN people_person b ON b.district = %(district)s
    AND b.phone_token = a.phone_token AND b.operation = %(operation)s AND b.id <> a.id AND NOT b.away
  WHERE b.birth_year = a.birth_year AND b.sex = a.sex AND a.sex <> 0
)
SELECT DISTINCT least(one, other), greatest(one, other) FROM pairs
WHERE NOT EXISTS (SELECT FROM people_identity i JOIN people_identity j
                    ON j.district = i.district AND j.canonical = i.canonical AND j.person = pairs.other
                  WHERE i.district = %(district)s AND i.person = pairs.one)
  AND NOT EXISTS (SELECT FROM people_merge m JOIN journal_withdrawal w ON w.district = m.district AND w.target = m.id
                  WHERE m.district = %(district)s AND m.operation = %(operation)s
                    AND least(m.one, m.other) = least(pairs.one, pairs.other)
                    AND greatest(m.one, m.other) = greatest(pairs.one, pairs.other))
ORDER BY 1, 2 LIMIT %(limit)s
"""
TRAITS = """
SELECT p.id, p.name_token, p.birth_year, p.sex, p.phone_token, p.household::text, p.area, p.number_token,
       p.document_kind IN ('01', '11', '12') AND p.doubt = ''
FROM people_person p WHERE p.district = %(district)s AND p.id = ANY(%(ids)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class ProbableDouble:
    """Two people who are likely one, as a list shows them: ``level`` and ``reasons`` as in ``rules.Likeness``."""

    one: MaskedPerson
    other: MaskedPerson
    level: str
    reasons: tuple[str, ...]


def probable_doubles(operation: int, area: str, *, limit: int = 100) -> list[ProbableDouble]:
    """The pairs with somebody in ``area`` who are probably one person, likely ones first; ten statements.

    Somebody of the same identity already, or whom a desk has merged and parted again, is not asked about. Numbers are
    opened in memory to see whether one slip of the finger explains that they differ; they are not shown.
    """
    where = {"district": district_of(operation), "operation": operation, "area": f"{area}%", "limit": MOST_PAIRS}
    pairs = rows(PAIRS, where)
    scored = scores(operation, where, pairs)[:limit]
    shown = masked_people(operation, {person for one, other, _ in scored for person in (one, other)})
    return [ProbableDouble(shown[one], shown[other], like.level, like.reasons) for one, other, like in scored]


def scores(
    operation: int, where: dict[str, Any], pairs: Iterable[tuple[UUID, UUID]]
) -> list[tuple[UUID, UUID, Likeness]]:
    """The pairs that the rules accept, likely before possible."""
    pairs = list(pairs)
    ids = {person for pair in pairs for person in pair}
    traits = {row[0]: traits_of(row) for row in rows(TRAITS, where | {"ids": list(ids)})}
    people = open_people(operation, ids)
    judged = (
        (one, other, duplicate_score(traits[one], traits[other], slip=slip(people[one], people[other])))
        for one, other in pairs
    )
    found = [(one, other, like) for one, other, like in judged if like is not None]
    return sorted(found, key=lambda pair: (pair[2].level != "likely", pair[0], pair[1]))


def traits_of(row: Any) -> Traits:
    """What the rules compare, from a row of ``TRAITS``."""
    name, year, sex, phone, household, area, number, certain = row[1:]
    tokens = [None if token is None else bytes(token) for token in (name, phone, number)]
    return Traits(tokens[0], year, sex, tokens[1], household, area, tokens[2], certain)


def slip(one: OpenPerson, other: OpenPerson) -> str | None:
    """How the two numbers differ, if one slip explains it."""
    return number_slip(one.number or "", other.number or "")


# --- before a merge -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MergePreview:
    """What merging two people would make: everybody who would then be one person, who would speak for them, and in
    which fields they differ."""

    people: tuple[MaskedPerson, ...]
    canonical: UUID
    already: bool
    differing: tuple[str, ...]


COMPARED = ("name", "number", "phone", "address", "area", "birth_year", "sex", "group", "household")


def merge_preview(operation: int, one: UUID, other: UUID) -> MergePreview:
    """What ``people.merged`` of these two would join. What was reported for any of them follows the canonical id."""
    members = members_of(operation, {one, other})
    people = open_people(operation, members)
    shown = masked_people(operation, members)
    values = {name: {getattr(person, name) for person in people.values()} - {None, "", 0} for name in COMPARED}
    return MergePreview(
        tuple(shown[person] for person in sorted(shown)),
        min(members),
        one in shown and other in shown and shown[one].canonical == shown[other].canonical,
        tuple(name for name in COMPARED if len(values[name]) > 1),
    )


def members_of(operation: int, ids: Collection[UUID]) -> set[UUID]:
    """Everybody who is the same person as one of these, themselves included."""
    found = Identity.objects.filter(operation=operation)
    canonicals = found.filter(person__in=ids).values("canonical")
    return set(ids) | set(found.filter(canonical__in=canonicals).values_list("person", flat=True))
