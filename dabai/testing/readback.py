"""Reading a round back whole, page by page: everybody it speaks of, and every tube. No names: a copy harms nobody.

For a district's own scripts, and for whoever checks our figures against a ledger of their own. Keyset pages: ``after``
is the last key of the page before. Each page is one statement whose cost depends on the page, not on the round.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from dabai.testing.models import ChangeKind, Outcome, TubeState
from dabai.testing.outcomes import OUTCOME

NIL = UUID(int=0)

# The smallest keys after %(after)s of three ordered sources: the frozen roster, ids that were merged away from it, and
# whom facts speak of. A person is named by the canonical id only.
PEOPLE = f"""
WITH page AS MATERIALIZED (
    SELECT person FROM (
        (SELECT e.person FROM testing_roster_entry e
         WHERE e.district = %(district)s AND e.round = %(round)s AND e.person > %(after)s AND e.area LIKE ANY(%(areas)s)
          AND NOT EXISTS (SELECT 1 FROM people_identity i WHERE i.district = %(district)s AND i.person = e.person
                           AND i.canonical <> i.person)
         ORDER BY e.person LIMIT %(limit)s)
        UNION
        (SELECT DISTINCT i.canonical FROM people_identity i
         JOIN testing_roster_entry e ON e.district = i.district AND e.round = %(round)s AND e.person = i.person
         WHERE i.district = %(district)s AND i.operation = %(operation)s AND i.canonical > %(after)s
          AND e.area LIKE ANY(%(areas)s)
         ORDER BY i.canonical LIMIT %(limit)s)
        UNION
        (SELECT c.person FROM testing_coverage c
         WHERE c.district = %(district)s AND c.round = %(round)s AND c.person > %(after)s AND c.area LIKE ANY(%(areas)s)
         ORDER BY c.person LIMIT %(limit)s)
    ) keys ORDER BY person LIMIT %(limit)s
), whole AS (
    SELECT p.person, %(district)s AS district, %(operation)s AS operation, coalesce(x.tubes, '{{}}') AS tubes,
        coalesce(i.name_conflict, false) AS name_conflict, coalesce(x.area, r.area, '') AS area,
        coalesce(x.rostered, false) OR r.area IS NOT NULL AS rostered, coalesce(x.removed, false) AS removed,
        x.excused, x.attempt, coalesce(x.samples, 0) AS samples
    FROM page p
    LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = p.person
    LEFT JOIN testing_coverage x ON x.district = %(district)s AND x.round = %(round)s AND x.person = p.person
    LEFT JOIN LATERAL (
        SELECT e.area FROM (SELECT p.person UNION SELECT o.person FROM people_identity o
                            WHERE o.district = %(district)s AND o.canonical = p.person) ids
        JOIN testing_roster_entry e ON e.district = %(district)s AND e.round = %(round)s AND e.person = ids.person
        ORDER BY e.person LIMIT 1) r ON true
)
SELECT c.person, c.area, c.rostered, c.removed, c.excused, c.attempt, c.samples, c.tubes, o.outcome
FROM whole c {OUTCOME}
ORDER BY c.person"""  # noqa: S608 - constants only

TUBES = """
SELECT tube, site, station, state, samples, people, late, box, contested, outcome, released_at
FROM testing_tube
WHERE district = %(district)s AND operation = %(operation)s AND round = %(round)s AND tube > %(after)s
 AND (area LIKE ANY(%(areas)s) OR (area = '' AND %(everywhere)s))
ORDER BY tube LIMIT %(limit)s"""


def people_of_round(
    *, district: int, operation: int, round_id: int, areas: Sequence[str], after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Everybody on the roster and everybody of whom a fact of the round speaks, by canonical id; one statement.

    ``outcome`` is one of ``dabai.testing.outcomes``, but ``excused`` or ``outstanding`` instead of ``none``.
    """
    values = given(district, operation, round_id, areas, limit) | {"after": after or NIL}
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, values)
        return [person_row(row) for row in cursor.fetchall()]


def person_row(row: tuple[Any, ...]) -> dict[str, Any]:
    """One person of a round, numbers as words."""
    person, area, rostered, removed, excused, attempt, samples, tubes, outcome = row
    if outcome == "none":
        outcome = "outstanding" if excused is None else "excused"
    told = ChangeKind.EXEMPT if excused == ChangeKind.EXEMPT else attempt
    return {
        "person": person,
        "area": area,
        "rostered": rostered,
        "removed": removed,
        "excused": excused is not None,
        "attempt": ChangeKind(told).name.lower() if told else None,
        "samples": samples,
        "tubes": sorted(tubes),
        "outcome": outcome,
    }


def tubes_of_round(
    *, district: int, operation: int, round_id: int, areas: Sequence[str], after: str, limit: int
) -> list[dict[str, Any]]:
    """The tubes of a round by code; one statement. ``outcome`` is of a released result only."""
    with connection.cursor() as cursor:
        values = given(district, operation, round_id, areas, limit)
        values |= {"after": after, "everywhere": any(str(district).startswith(area) for area in areas)}
        cursor.execute(TUBES, values)
        return [tube_row(*row) for row in cursor.fetchall()]


def tube_row(
    tube: str,
    site: int | None,
    station: int | None,
    state: int,
    samples: int,
    people: int,
    late: int,
    box: str,
    contested: bool,
    outcome: int | None,
    released_at: datetime | None,
) -> dict[str, Any]:
    """One tube, numbers as words."""
    released = released_at is not None
    return {
        "tube": tube,
        "site": site,
        "station": station,
        "state": TubeState(state).name.lower(),
        "samples": samples,
        "people": people,
        "late": late,
        "box": box,
        "contested": contested,
        "outcome": Outcome(outcome).name.lower() if outcome and released else None,
        "released": released,
    }


def given(district: int, operation: int, round_id: int, areas: Sequence[str], limit: int) -> dict[str, Any]:
    """What every page is asked with."""
    patterns = [f"{area}%" for area in areas]
    return {"district": district, "operation": operation, "round": round_id, "areas": patterns, "limit": limit}
