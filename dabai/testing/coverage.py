"""Due lists of a round: everything due is a set difference. 应检尽检, 不落一户不漏一人.

*Due* is the frozen roster plus logged additions minus removals (moved, died, a double of somebody else).
*Outstanding* is who is due, not swabbed and not excused; each with an owner (the grid worker of the place), a deadline
(the end of the round) and the last attempt. People swabbed who are not due stand in a list of their own, at the place
of sampling. Re-tests, the urgent due items, are in ``dabai.testing.outcomes``.

Lists are read from facts, not from figures, page by page: a page knows the key after which the next one begins. Rows
hold ids, codes and clear columns only; masked names are for ``dabai.people.queries``.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from dabai.people.models import ListedPerson, Person
from dabai.people.queries import listed_outside
from dabai.testing.duties import Owner, duties
from dabai.testing.models import ChangeKind, Coverage, RosterEntry, Round
from dabai.testing.outcomes import NAME_CONFLICT, OUTCOME, OUTCOMES

PAGE = 100
FIRST_ID = UUID(int=0)


class Key(NamedTuple):
    """Where a page ended: lists are ordered by area, building and id."""

    area: str
    building: str
    person: UUID


Row = TypeVar("Row")
START = Key("", "", FIRST_ID)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last time somebody came and left without a sample: refused, absent or moved, with the reason given."""

    kind: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DuePerson:
    """Somebody who is due in a round. ``person`` is the id on the roster (or the canonical one of an added person)."""

    area: str
    building: str
    person: UUID
    household: UUID | None
    group: str
    added: bool
    attempt: Attempt | None
    owner: Owner | None
    deadline: datetime | None

    @property
    def key(self) -> Key:
        """Where this row stands in its list."""
        return Key(self.area, self.building, self.person)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, and the key after which the next page begins; None at the end."""

    rows: list[Row]
    after: Key | None


# --- who is due -----------------------------------------------------------------------------------------------

# Of a person's several rows on the roster (merged since) the smallest id stays due; the others are doubles. ``e`` is
# the row in question.
IS_DOUBLE = """EXISTS (
    SELECT 1 FROM people_identity i
    JOIN people_identity o ON o.district = i.district AND o.canonical = i.canonical AND o.person < i.person
    JOIN testing_roster_entry f ON f.district = i.district AND f.round = e.round AND f.person = o.person
    WHERE i.district = e.district AND i.person = e.person AND i.canonical <> i.person)"""

# People of area ``a.area`` whom a logged addition put on the roster, and of whom no row of the frozen roster speaks.
ADDED = """
SELECT DISTINCT c.person, c.removed, c.excused, c.samples, c.attempt, c.tubes,
    coalesce(i.name_conflict, false) AS name_conflict
FROM (
    SELECT x.person FROM testing_roster_change x
    WHERE x.district = %(district)s AND x.round = a.round AND x.area = a.area AND x.kind = 1
    OFFSET 0
) x
LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = x.person
JOIN testing_coverage c ON c.district = %(district)s AND c.round = a.round
    AND c.person = coalesce(i.canonical, x.person) AND c.area = a.area AND c.rostered
WHERE NOT EXISTS (
    SELECT 1 FROM (SELECT c.person UNION ALL SELECT o.person FROM people_identity o
                   WHERE o.district = %(district)s AND o.canonical = c.person) o
    JOIN testing_roster_entry e ON e.district = %(district)s AND e.round = a.round AND e.person = o.person)"""

# Everybody who is due in area ``a.area`` of round ``a.round``, with what is known of them.
DUE = f"""
SELECT e.building, e.person, e.household, e."group", false AS added, c.attempt, coalesce(c.samples, 0) AS samples,
    c.excused, coalesce(c.tubes, '{{}}') AS tubes, coalesce(i.name_conflict, false) AS name_conflict
FROM testing_roster_entry e
LEFT JOIN people_identity i ON i.district = e.district AND i.person = e.person
LEFT JOIN testing_coverage c ON c.district = e.district AND c.round = e.round
    AND c.person = coalesce(i.canonical, e.person)
WHERE e.district = %(district)s AND e.round = a.round AND e.area = a.area AND NOT coalesce(c.removed, false)
    AND NOT {IS_DOUBLE}
UNION ALL
SELECT coalesce(p.building, ''), c.person, p.household, coalesce(p."group", ''), true, c.attempt, c.samples, c.excused,
    c.tubes, c.name_conflict
FROM ({ADDED}) c
LEFT JOIN people_person p ON p.district = %(district)s AND p.id = c.person
WHERE NOT c.removed"""  # noqa: S608 - constants only

OUTSTANDING = f"""
SELECT d.area, d.building, d.person, d.household, d."group", d.added, t.kind, t.reason, t.happened_at
FROM (
    SELECT a.area, a.round, d.* FROM (
        SELECT %(round)s AS round, area FROM unnest(%(areas)s::text[]) AS g(area)
    ) a CROSS JOIN LATERAL (
        SELECT d.* FROM ({DUE} OFFSET 0) d
        WHERE d.samples = 0 AND d.excused IS NULL
            AND (a.area, d.building, d.person) > (%(area)s, %(building)s, %(person)s::uuid)
        ORDER BY d.building, d.person LIMIT %(limit)s
    ) d
    ORDER BY a.area, d.building, d.person LIMIT %(limit)s
) d
LEFT JOIN LATERAL (
    SELECT x.kind, x.reason, x.happened_at FROM testing_roster_change x
    WHERE x.district = %(district)s AND x.round = d.round AND x.kind IN (4, 5, 7)
        AND x.person IN (SELECT d.person UNION ALL SELECT o.person FROM people_identity i
                         JOIN people_identity o ON o.district = i.district AND o.canonical = i.canonical
                         WHERE i.district = %(district)s AND i.person = d.person)
        AND NOT EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = x.district AND w.target = x.id)
    ORDER BY x.happened_at DESC, x.id DESC LIMIT 1
) t ON d.attempt IS NOT NULL
ORDER BY d.area, d.building, d.person"""  # noqa: S608 - constants only


def outstanding(
    cursor: Any, district: int, round_id: int, areas: Collection[str], *, after: Key = START, limit: int = PAGE
) -> Page[DuePerson]:
    """Who is due in these areas (leaves: codes as they stand on the roster) and neither swabbed nor excused.

    Two statements for a page. ``after`` is the key of the page before.
    """
    wanted = sorted(area for area in areas if area >= after.area)
    where = {"district": district, "round": round_id, "areas": wanted, "limit": limit + 1, **after._asdict()}
    cursor.execute(OUTSTANDING, where)
    rows = [due_person(*row) for row in cursor.fetchall()]
    owners, deadline = duties(cursor, district, round_id, {row.area for row in rows})
    rows = [replace(row, owner=owners.get(row.area), deadline=deadline) for row in rows]
    return page(rows, limit)


def due_person(
    area: str, building: str, person: UUID, household: UUID | None, group: str, added: bool, *attempt: Any
) -> DuePerson:
    """One row of the list, not yet with its owner."""
    kind, reason, at = attempt
    tried = None if kind is None else Attempt(ChangeKind(kind).name.lower(), reason, at)
    return DuePerson(area, building, person, household, group, added, tried, None, None)


def page(rows: list[Any], limit: int) -> Page[Any]:
    """A page out of up to ``limit`` + 1 rows."""
    return Page(rows[:limit], rows[limit - 1].key if len(rows) > limit else None)


# --- households -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HouseholdCoverage:
    """One door of a grid: how many are due behind it, and what became of them."""

    household: UUID | None
    building: str
    due: int
    sampled: int
    excused: int
    pending: int

    @property
    def outstanding(self) -> int:
        """Neither swabbed nor excused."""
        return self.due - self.sampled - self.excused


HOUSEHOLDS = f"""
SELECT c.household, c.building, count(*), count(*) FILTER (WHERE c.samples > 0),
    count(*) FILTER (WHERE c.samples = 0 AND c.excused IS NOT NULL), count(*) FILTER (WHERE o.outcome = 'pending')
FROM (
    SELECT d.*, %(district)s AS district, a.operation
    FROM (SELECT r.id AS round, r.operation, %(area)s AS area FROM testing_round r WHERE r.id = %(round)s) a
    CROSS JOIN LATERAL ({DUE}) d
) c {OUTCOME}
GROUP BY c.household, c.building
ORDER BY c.building, c.household"""  # noqa: S608 - constants only


def households(cursor: Any, district: int, round_id: int, area: str) -> list[HouseholdCoverage]:
    """The households of a leaf area (a grid) with people due, by building: one statement.

    People without a household stand together, one row for each building.
    """
    cursor.execute(HOUSEHOLDS, {"district": district, "round": round_id, "area": area})
    return [HouseholdCoverage(*row) for row in cursor.fetchall()]


# --- everybody in a class --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CoveredPerson:
    """Somebody of whom facts of a round speak. ``area`` is that of the roster, else the place of sampling."""

    area: str
    person: UUID
    rostered: bool
    removed: bool
    outcome: str
    sampled_at: datetime | None
    site: int | None
    person_times: int

    @property
    def key(self) -> Key:
        """Where this row stands in its list."""
        return Key(self.area, "", self.person)


IS_DUE = "(c.rostered AND NOT c.removed)"
CLASSES = {
    "sampled": f"{IS_DUE} AND c.samples > 0",
    "excused": f"{IS_DUE} AND c.samples = 0 AND c.excused IS NOT NULL",
    "removed": "c.rostered AND c.removed",
    "unlisted": f"NOT {IS_DUE} AND c.samples > 0",
    **{outcome: "c.samples > 0" for outcome in OUTCOMES if outcome != "none"},
}
COVERED = f"""
SELECT d.* FROM unnest(%(areas)s::text[]) AS a(area) CROSS JOIN LATERAL (
    SELECT c.area, c.person, c.rostered, c.removed, o.outcome, c.first_at, c.site, c.samples
    FROM (
        SELECT c.*, r.operation, {NAME_CONFLICT} AS name_conflict
        FROM testing_coverage c JOIN testing_round r ON r.id = c.round
        WHERE c.district = %(district)s AND c.round = %(round)s AND c.area = a.area AND {{condition}}
            AND (c.area, c.person) > (%(area)s, %(person)s::uuid)
        OFFSET 0  -- else the planner walks the whole round in the order of ids
    ) c {OUTCOME}
    WHERE o.outcome = %(outcome)s OR %(outcome)s = ''
    ORDER BY c.person LIMIT %(limit)s
) d
ORDER BY d.area, d.person LIMIT %(limit)s"""  # noqa: S608 - constants only


def people_in(
    cursor: Any,
    district: int,
    round_id: int,
    areas: Collection[str],
    what: str,
    *,
    after: Key = START,
    limit: int = PAGE,
) -> Page[CoveredPerson]:
    """The people of these leaf areas behind a number: ``what`` is one of ``CLASSES``. One statement a page.

    A person with an outcome is in its list whether due or not; doubles on the roster are not in ``removed``.
    """
    where = {"district": district, "round": round_id, "area": after.area, "person": after.person, "limit": limit + 1}
    where["areas"] = sorted(area for area in areas if area >= after.area)
    where["outcome"] = what if what in OUTCOMES else ""
    cursor.execute(COVERED.format(condition=CLASSES[what]), where)
    return page([CoveredPerson(*row) for row in cursor.fetchall()], limit)


# --- people on other lists -------------------------------------------------------------------------------------


def strangers(round_id: int, *, batch: int | None = None, areas: Collection[str] = ("",)) -> QuerySet[ListedPerson]:
    """People whom a hotel, a firm or a site has named and who are not on the round's roster (added ones are on it)."""
    found = Round.objects.get(pk=round_id)
    here = {"district": found.district, "round": round_id, "person": OuterRef("id")}
    due = Exists(RosterEntry.objects.filter(**here)) | Exists(Coverage.objects.filter(**here, rostered=True))
    on_roster = Person.objects.filter(due, district=found.district, operation=found.operation).values("id")
    return listed_outside(found.operation, on_roster, batch=batch, areas=areas)
