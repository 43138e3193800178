"""Who is the same person, derived from the set of facts: whatever their order, the same rows.

Two ids are one person when their numbers in force are equal (document kinds that identify: not ``00`` none, not ``99``
other), or when a desk merged them. A connected group of such ids is a person; its smallest id is canonical, whatever
arrived first. Nothing here updates a fact: a group that a correction or a withdrawal takes apart just loses its rows.

*In force*: a registration, correction or merge that no withdrawal names. A correction overrides field by field; the
newest by (time, id) wins. A withdrawn registration has no number and no name, so it joins nobody by itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dabai.kernel.ids import stamp_of

UNIDENTIFYING = ("00", "99")

# The ids of %(ids)s with what is in force of them; ids without a person row (not arrived yet) are left out.
EFFECTIVE = """
SELECT p.id, p.area, p.spot, p.doubt, c.document_kind IS NOT NULL AS corrected,
       coalesce(c.document_kind, p.document_kind) AS document_kind,
       CASE WHEN c.document_kind IS NULL THEN p.number_token ELSE c.number_token END AS number_token,
       coalesce((SELECT n.name_token FROM people_correction n
                 WHERE n.district = p.district AND n.person = p.id AND n.name_token IS NOT NULL
                   AND NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = n.district AND w.target = n.id)
                 ORDER BY n.happened_at DESC, n.id DESC LIMIT 1), p.name_token) AS name_token
FROM people_person p
LEFT JOIN LATERAL (
    SELECT d.document_kind, d.number_token FROM people_correction d
    WHERE d.district = p.district AND d.person = p.id AND d.document_kind <> ''
      AND NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = d.district AND w.target = d.id)
    ORDER BY d.happened_at DESC, d.id DESC LIMIT 1) c ON true
WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.id = ANY(%(ids)s::uuid[])
  AND NOT (p.spot AND EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = p.district AND w.target = p.id))
"""

MERGES = """
SELECT m.id, m.one, m.other FROM people_merge m
WHERE m.district = %(district)s AND m.operation = %(operation)s
  AND (m.one = ANY(%(ids)s::uuid[]) OR m.other = ANY(%(ids)s::uuid[]))
  AND NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = m.district AND w.target = m.id)
"""

# One step outwards: equal numbers (of registrations and of corrections, in force or not: too many is harmless here),
# merges, and the group that was derived before.
NEIGHBOURS = f"""
WITH seed AS MATERIALIZED ({EFFECTIVE}),
     number AS (SELECT DISTINCT number_token FROM seed
                WHERE number_token IS NOT NULL AND document_kind NOT IN ('00', '99'))
SELECT p.id FROM number JOIN people_person p
  ON p.district = %(district)s AND p.number_token = number.number_token AND p.operation = %(operation)s
UNION SELECT c.person FROM number JOIN people_correction c
  ON c.district = %(district)s AND c.number_token = number.number_token AND c.operation = %(operation)s
UNION SELECT unnest(ARRAY[m.one, m.other]) FROM ({MERGES}) m
UNION SELECT mate.person FROM people_identity mine JOIN people_identity mate
  ON mate.district = mine.district AND mate.canonical = mine.canonical AND mate.operation = mine.operation
  WHERE mine.district = %(district)s AND mine.operation = %(operation)s AND mine.person = ANY(%(ids)s::uuid[])
"""  # noqa: S608 - constants only

STORE = """
INSERT INTO people_identity (district, person, operation, canonical, name_conflict)
SELECT %(district)s, person, %(operation)s, canonical, conflict
FROM unnest(%(people)s::uuid[], %(canonicals)s::uuid[], %(conflicts)s::bool[]) AS g(person, canonical, conflict)
ON CONFLICT (district, person) DO UPDATE
SET canonical = excluded.canonical, name_conflict = excluded.name_conflict, operation = excluded.operation
WHERE (people_identity.canonical, people_identity.name_conflict) IS DISTINCT FROM
      (excluded.canonical, excluded.name_conflict)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What is in force of one id."""

    id: UUID
    area: str
    spot: bool
    doubt: str
    corrected: bool
    document_kind: str
    number_token: bytes | None
    name_token: bytes | None

    @property
    def number(self) -> bytes | None:
        """The token that joins this id to others; None for a number that does not identify."""
        return None if self.document_kind in UNIDENTIFYING else self.number_token


@dataclass(frozen=True, slots=True)
class Group:
    """Ids that are one person, at least two."""

    members: tuple[UUID, ...]
    name_conflict: bool

    @property
    def canonical(self) -> UUID:
        """The smallest id speaks for the group."""
        return self.members[0]


def derive_identities(cursor: Any, district: int, operation: int, person_ids: Collection[UUID]) -> set[UUID]:
    """Recompute ``people_identity`` for every group that these ids belong to now or belonged to before.

    Answers all ids whose group may have changed, the given ones among them. Statements: one for each step of the
    longest chain that joins them (one for people of no group), and four more, however many ids there are.
    """
    where = {"district": district, "operation": operation}
    ids = closure(cursor, where, set(person_ids))
    if ids:
        groups = connected_groups(ids, known_people(cursor, where, ids), merged_pairs(cursor, where, ids))
        write(cursor, where, ids, groups)
    return ids


def closure(cursor: Any, where: dict[str, Any], seeds: set[UUID]) -> set[UUID]:
    """Everybody whom numbers, merges or an earlier group connect with the seeds."""
    found, frontier = set(seeds), set(seeds)
    while frontier:
        cursor.execute(NEIGHBOURS, where | {"ids": list(frontier)})
        frontier = {row[0] for row in cursor.fetchall()} - found
        found |= frontier
    return found


def known_people(cursor: Any, where: dict[str, Any], ids: Iterable[UUID]) -> dict[UUID, Known]:
    """What is in force of these ids."""
    cursor.execute(EFFECTIVE, where | {"ids": list(ids)})
    rows = [(*row[:6], as_bytes(row[6]), as_bytes(row[7])) for row in cursor.fetchall()]
    return {row[0]: Known(*row) for row in rows}


def as_bytes(value: Any) -> bytes | None:
    """A token as the driver gives it, made comparable."""
    return None if value is None else bytes(value)


def merged_pairs(cursor: Any, where: dict[str, Any], ids: Iterable[UUID]) -> list[tuple[UUID, UUID]]:
    """The merges in force that touch these ids."""
    cursor.execute(MERGES, where | {"ids": list(ids)})
    return [(one, other) for _, one, other in cursor.fetchall()]


def write(cursor: Any, where: dict[str, Any], ids: set[UUID], groups: Iterable[Group]) -> None:
    """Replace the rows of these ids by those of their groups; what stays the same is not written."""
    rows = [(member, group.canonical, group.name_conflict) for group in groups for member in group.members]
    people, canonicals, conflicts = ([row[i] for row in rows] for i in range(3))
    cursor.execute(
        "DELETE FROM people_identity WHERE district = %(district)s AND operation = %(operation)s"
        " AND person = ANY(%(gone)s::uuid[])",
        where | {"gone": list(ids.difference(people))},
    )
    cursor.execute(STORE, where | {"people": people, "canonicals": canonicals, "conflicts": conflicts})


# --- groups, without a database -------------------------------------------------------------------------------


class Joined:
    """Union-find: which ids have been joined so far."""

    def __init__(self) -> None:
        self.above: dict[UUID, UUID] = {}

    def root(self, item: UUID) -> UUID:
        """The representative of an item's group."""
        while (above := self.above.get(item, item)) != item:
            self.above[item] = self.above.get(above, above)
            item = above
        return item

    def join(self, one: UUID, other: UUID) -> None:
        """Make two groups one."""
        self.above[self.root(one)] = self.root(other)

    def groups(self, items: Iterable[UUID]) -> list[list[UUID]]:
        """The items by group."""
        by_root: dict[UUID, list[UUID]] = defaultdict(list)
        for item in items:
            by_root[self.root(item)].append(item)
        return list(by_root.values())


def connected_groups(
    ids: Collection[UUID], people: Mapping[UUID, Known], merges: Collection[tuple[UUID, UUID]]
) -> list[Group]:
    """The groups of two or more among ``ids``, joined by equal numbers in force and by merges."""
    joined, settled = Joined(), Joined()
    for one, other in merges:
        joined.join(one, other)
        settled.join(one, other)
    first: dict[bytes, UUID] = {}
    for person in people.values():
        if person.number is not None:
            joined.join(person.id, first.setdefault(person.number, person.id))
    groups = [tuple(sorted(group)) for group in joined.groups(ids) if len(group) > 1]
    return [Group(members, has_conflict(settled.groups(members), people)) for members in groups]


def has_conflict(parts: Collection[Collection[UUID]], people: Mapping[UUID, Known]) -> bool:
    """Whether a group holds names that nobody has said to be one person's.

    ``parts`` are the members as merges join them: what a desk merged may bear several names. Two parts agree when
    they share a name; a part without a name agrees with all.
    """
    sets = {frozenset(people[i].name_token for i in part if i in people) - {None} for part in parts} - {frozenset()}
    names = sorted(sets, key=len)
    return any(a.isdisjoint(b) for index, a in enumerate(names) for b in names[index + 1 :])


# --- what a desk should look at -------------------------------------------------------------------------------

RELATED = """
SELECT c.person, c.id, c.happened_at FROM people_correction c
WHERE c.district = %(district)s AND c.operation = %(operation)s AND c.person = ANY(%(ids)s::uuid[])
  AND NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = c.district AND w.target = c.id)
UNION ALL
SELECT e.id, e.id, e.happened_at FROM journal_entry e
WHERE e.district = %(district)s AND e.id = ANY(%(ids)s::uuid[])
"""
CONFLICTS = """
SELECT canonical, array_agg(person ORDER BY person) FROM people_identity
WHERE district = %(district)s AND operation = %(operation)s AND name_conflict
  AND canonical IN (SELECT canonical FROM people_identity
                    WHERE district = %(district)s AND operation = %(operation)s AND person = ANY(%(ids)s::uuid[]))
GROUP BY canonical
"""


def identity_findings(cursor: Any, district: int, operation: int, person_ids: Collection[UUID]) -> list[dict[str, Any]]:
    """The open cases about these people, after ``derive_identities``: three statements, whatever their number.

    ``people.name_conflict``: one document under names that nobody has said to be one person's; subject is the
    canonical id, it rests on the ids of the group and the corrections of them. ``people.number_unverified``: somebody
    registered on the spot under a number that is not sure; subject is the person. Each a dict with ``code``,
    ``subject``, ``facts`` (ids as text, sorted), ``detail``, ``area``, ``happened_at``.
    """
    where = {"district": district, "operation": operation}
    cursor.execute(CONFLICTS, where | {"ids": list(person_ids)})
    conflicts = dict(cursor.fetchall())
    asked = set(person_ids)
    ids = asked.union(*conflicts.values())
    people = known_people(cursor, where, ids)
    related = related_facts(cursor, where, ids)
    unverified = [p for p in people.values() if p.id in asked and p.spot and p.doubt and not p.corrected]
    cases = [conflict_case(canonical, members, people, related) for canonical, members in conflicts.items()]
    cases += [
        case("people.number_unverified", person.id, [person.id], {"reason": person.doubt}, people, related)
        for person in unverified
    ]
    return sorted(cases, key=lambda found: (found["code"], found["subject"]))


@dataclass(frozen=True, slots=True)
class Related:
    """The corrections in force of each person, and when the facts about them happened."""

    corrections: dict[UUID, list[UUID]]
    times: dict[UUID, datetime]


def related_facts(cursor: Any, where: dict[str, Any], ids: Iterable[UUID]) -> Related:
    """Registrations and corrections of these people: one statement."""
    cursor.execute(RELATED, where | {"ids": list(ids)})
    related = Related(defaultdict(list), {})
    for person, fact, moment in cursor.fetchall():
        related.times[fact] = moment
        if fact != person:
            related.corrections[person].append(fact)
    return related


def conflict_case(
    canonical: UUID, members: list[UUID], people: Mapping[UUID, Known], related: Related
) -> dict[str, Any]:
    """The case of a group whose names contradict each other."""
    corrections = [fact for member in members for fact in related.corrections.get(member, ())]
    detail = {"people": [str(member) for member in members]}
    return case("people.name_conflict", canonical, [*members, *corrections], detail, people, related)


def case(
    code: str,
    subject: UUID,
    facts: list[UUID],
    detail: dict[str, Any],
    people: Mapping[UUID, Known],
    related: Related,
) -> dict[str, Any]:
    """One finding, dated by the latest of its facts."""
    area = next((people[i].area for i in [subject, *facts] if i in people), "")
    return {
        "code": code,
        "subject": str(subject),
        "facts": sorted(map(str, facts)),
        "detail": detail,
        "area": area,
        "happened_at": max(related.times.get(fact) or stamped(fact) for fact in facts),
    }


def stamped(fact: UUID) -> datetime:
    """When a resident's id was made, for those whom no fact speaks of (a list says only that they exist)."""
    return datetime.fromtimestamp((stamp_of(fact) or 0) / 1000, UTC)


OF_FACTS = """
SELECT one FROM people_merge WHERE district = %(district)s AND id = ANY(%(ids)s::uuid[])
UNION SELECT other FROM people_merge WHERE district = %(district)s AND id = ANY(%(ids)s::uuid[])
UNION SELECT person FROM people_correction WHERE district = %(district)s AND id = ANY(%(ids)s::uuid[])
UNION SELECT id FROM people_person WHERE district = %(district)s AND id = ANY(%(ids)s::uuid[]) AND spot
"""


def people_of_facts(cursor: Any, district: int, fact_ids: Collection[UUID]) -> set[UUID]:
    """The people whom these facts (registrations, corrections, merges) speak of: for marks that name a fact."""
    cursor.execute(OF_FACTS, {"district": district, "ids": list(fact_ids)})
    return {row[0] for row in cursor.fetchall()}
