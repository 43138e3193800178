"""Doors to knock at: who is outstanding in the rounds that run, as a phone's list for today shows it.

It is the due list of ``dabai.testing.coverage`` (the same people, by the same SQL) in the order in which one walks:
area, building, unit. *Tags* say why somebody should be visited rather than waited for:

- ``isolated``: of a group that stays where it is, or of a household that is sealed,
- ``elderly``: 75 or more by the year of birth,
- ``unable``: of the group of those who can't come,
- ``again``: somebody was there before and left without a sample,
- ``outstanding``: due and not swabbed, as everybody here.

While a round is in its first sampling, most of the list is on its way to a point by itself: unless ``everybody`` is
wanted, the list is then kept to those with one of the first four. Names are not in it; phones know them by the id
(``dabai.people.slice``).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from dabai.kernel import clock
from dabai.people.rules import KeyGroup
from dabai.testing.coverage import DUE
from dabai.testing.duties import duties
from dabai.testing.models import ChangeKind, Round, RoundState

KIND = "testing.home_sampling"
PAGE = 500
AREAS_AT_ONCE = 100
ELDERLY = 75
RUNNING = (RoundState.RUNNING, RoundState.MAKE_UP, RoundState.CLOSING)
ISOLATED = (
    KeyGroup.CLOSE_CONTACT,
    KeyGroup.SECONDARY_CONTACT,
    KeyGroup.QUARANTINE_RESIDENT,
    KeyGroup.HOME_QUARANTINE,
    KeyGroup.HOME_MONITORING,
)
UNABLE = (KeyGroup.REDUCED_MOBILITY,)
ATTEMPTS = (ChangeKind.REFUSED, ChangeKind.ABSENT, ChangeKind.MOVED)


class VisitKey(NamedTuple):
    """Where a page ended."""

    area: str = ""
    building: str = ""
    unit: str = ""
    person: UUID = UUID(int=0)
    round: int = 0


START = VisitKey()


@dataclass(frozen=True, slots=True)
class Visit:
    """One door, for one person in one round. ``person`` is the canonical id, by which phones know them."""

    key: VisitKey
    person: UUID
    estate: str
    tags: tuple[str, ...]
    attempts: int
    last_outcome: str | None
    last_at: datetime | None
    next_visit: datetime | None
    owner: str | None
    deadline: datetime | None


# The leaf areas of a scope with anybody on a roster: each one step in the index, however many people there are.
LEAVES = """
WITH RECURSIVE wanted AS (
    SELECT r.round, greatest(g.area, %(area)s) AS low, rpad(g.area, 15, '9') AS high
    FROM unnest(%(rounds)s::int[]) AS r(round) CROSS JOIN unnest(%(areas)s::text[]) AS g(area)
), leaf(round, area, high) AS (
    SELECT w.round, (SELECT min(e.area) FROM testing_roster_entry e WHERE e.district = %(district)s
                      AND e.round = w.round AND e.area BETWEEN w.low AND w.high), w.high FROM wanted w
    UNION ALL
    SELECT l.round, (SELECT min(e.area) FROM testing_roster_entry e WHERE e.district = %(district)s
                      AND e.round = l.round AND e.area > l.area AND e.area <= l.high), l.high
    FROM leaf l WHERE l.area IS NOT NULL
)
SELECT area FROM leaf WHERE area IS NOT NULL
UNION
SELECT x.area FROM wanted w JOIN testing_roster_change x ON x.district = %(district)s AND x.round = w.round
 AND x.area BETWEEN w.low AND w.high AND x.kind = 1
ORDER BY area LIMIT %(leaves)s
"""

VISITS = f"""
SELECT d.area, d.building, d.unit, d.person, d.round, d.canonical, d.estate, d."group", d.sealed, d.birth_year,
    coalesce(t.attempts, 0), t.kind, t.happened_at, t.next_visit
FROM (
    SELECT a.area, a.round, d.* FROM (
        SELECT g.area, r.round FROM unnest(%(leaves)s::text[]) AS g(area)
        CROSS JOIN unnest(%(rounds)s::int[]) AS r(round)
        ORDER BY g.area -- so that the nested loop ends with the page
    ) a CROSS JOIN LATERAL (
        SELECT d.building, coalesce(h.unit, '') AS unit, d.person, coalesce(i.canonical, d.person) AS canonical,
            coalesce(h.estate, '') AS estate, coalesce(p."group", d."group") AS "group",
            coalesce(h.sealed, false) AS sealed, p.birth_year
        FROM ({DUE} OFFSET 0) d
        LEFT JOIN people_person p ON p.district = %(district)s AND p.id = d.person
        LEFT JOIN people_household h ON h.district = %(district)s AND h.id = d.household
        LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = d.person
        WHERE d.samples = 0 AND d.excused IS NULL
            AND (a.area, d.building, coalesce(h.unit, ''), d.person, a.round)
                > (%(area)s, %(building)s, %(unit)s, %(person)s::uuid, %(round)s)
            AND (NOT a.round = ANY(%(narrow)s::int[]) OR d.attempt IS NOT NULL OR coalesce(h.sealed, false)
                 OR coalesce(p."group", d."group") = ANY(%(groups)s) OR p.birth_year <= %(born)s)
        ORDER BY d.building, unit, d.person LIMIT %(limit)s
    ) d
    ORDER BY a.area, d.building, d.unit, d.person, a.round LIMIT %(limit)s
) d
LEFT JOIN LATERAL (
    SELECT count(*) OVER () AS attempts, x.kind, x.happened_at, x.next_visit FROM testing_roster_change x
    WHERE x.district = %(district)s AND x.round = d.round AND x.kind = ANY(%(kinds)s::int[])
        AND x.person IN (SELECT d.person UNION ALL SELECT o.person FROM people_identity o
                         WHERE o.district = %(district)s AND o.canonical = d.canonical)
        AND NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = x.district AND w.target = x.id)
    ORDER BY x.happened_at DESC, x.id DESC LIMIT 1
) t ON true
ORDER BY d.area, d.building, d.unit, d.person, d.round"""  # noqa: S608 - constants only


def running_rounds(operation: int) -> list[Round]:
    """The rounds in which people are sampled now."""
    return list(Round.objects.filter(operation=operation, state__in=RUNNING).order_by("pk"))


def visits(
    rounds: Sequence[Round], areas: Collection[str], *, everybody: bool, after: VisitKey = START, limit: int = PAGE
) -> tuple[list[Visit], VisitKey | None]:
    """A page of the list in these areas (prefixes), and the key after which the next one begins: three statements.

    Without ``everybody``, of a round in its first sampling only who should be visited. A page may be short, even empty,
    before the end: it looks through a bounded number of grids.
    """
    if not rounds or not areas:
        return [], None
    ids, district = [one.pk for one in rounds], rounds[0].district
    where: dict[str, Any] = {"district": district, "rounds": ids, "areas": list(areas), **after._asdict()}
    with connection.cursor() as cursor:
        cursor.execute(LEAVES, where | {"leaves": AREAS_AT_ONCE + 1})
        leaves = [area for (area,) in cursor.fetchall()]
        cursor.execute(VISITS, where | narrowing(rounds, everybody) | {
            "leaves": leaves[:AREAS_AT_ONCE], "limit": limit + 1, "kinds": [kind.value for kind in ATTEMPTS],
        })  # fmt: skip
        found = cursor.fetchall()
        owners, _ = duties(cursor, district, ids[0], {row[0] for row in found})
    deadlines = {one.pk: one.ends_at for one in rounds}
    shown = [
        visit(row, owner.name if (owner := owners.get(row[0])) else None, deadlines[row[4]]) for row in found[:limit]
    ]
    if len(found) > limit:
        return shown, shown[-1].key
    return shown, VisitKey(area=leaves[AREAS_AT_ONCE]) if len(leaves) > AREAS_AT_ONCE else None


def narrowing(rounds: Sequence[Round], everybody: bool) -> dict[str, Any]:
    """Of which rounds only those who should be visited are wanted, and who they are."""
    narrow = [one.pk for one in rounds if not everybody and one.state == RoundState.RUNNING]
    return {"narrow": narrow, "groups": [*ISOLATED, *UNABLE], "born": this_year() - ELDERLY}


def this_year() -> int:
    """The year of the business day."""
    return clock.business_day(clock.now()).year


def visit(row: tuple[Any, ...], owner: str | None, deadline: datetime | None) -> Visit:
    """One row of the list."""
    canonical, estate, group, sealed, birth_year, attempts, kind, last_at, next_visit = row[5:]
    outcome = None if kind is None else ChangeKind(kind).name.lower()
    tags = tags_of(group, sealed, birth_year, attempts)
    return Visit(VisitKey(*row[:5]), canonical, estate, tags, attempts, outcome, last_at, next_visit, owner, deadline)


def tags_of(group: str, sealed: bool, birth_year: int | None, attempts: int) -> tuple[str, ...]:
    """Why somebody stands on the list, the most urgent reason first."""
    said = {
        "isolated": sealed or group in ISOLATED,
        "elderly": birth_year is not None and birth_year <= this_year() - ELDERLY,
        "unable": group in UNABLE,
        "again": attempts > 0,
        "outstanding": True,
    }
    return tuple(tag for tag, holds in said.items() if holds)
