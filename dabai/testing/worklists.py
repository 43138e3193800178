"""What waits at the laboratory's desks: readings to review, and approved readings to release.

A reading waits for review until somebody other than its reader has approved or returned it, and for release until it is
released. Read from facts, so a list is right at the moment it is asked for, whatever the worker has still to do.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from dabai.testing.models import DecisionKind, Outcome

NIL = UUID(int=0)
LAST = UUID(int=2**128 - 1)
STATES = ("to_review", "to_release")

IN_FORCE = "NOT EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = {0}.district AND w.target = {0}.id)"

# A review that counts: by a known person, and not by the reader. The newest of them decides.
REVIEWS = f"""
    FROM testing_result_decision a
    WHERE a.district = r.district AND a.result = r.id AND a.actor IS NOT NULL AND a.actor IS DISTINCT FROM r.actor
     AND a.kind IN ({DecisionKind.APPROVED.value}, {DecisionKind.RETURNED.value}) AND {IN_FORCE.format("a")}"""
REVIEW = f"SELECT a.kind {REVIEWS} ORDER BY a.happened_at DESC, a.id DESC LIMIT 1"
NOT_REVIEWED = f"NOT EXISTS (SELECT 1 {REVIEWS} AND a.result > %(after)s AND a.result <= %(upto)s{{each}})"
NOT_RELEASED = f"""NOT EXISTS (
    SELECT 1 FROM testing_result_decision d
    WHERE d.district = r.district AND d.result = r.id AND d.result > %(after)s AND d.result <= %(upto)s
     AND d.kind = {DecisionKind.RELEASED.value} AND {IN_FORCE.format("d")}{{each}})"""  # noqa: S608 - constants only
# What is open of a result, and what must have been done to it before.
WAITS = {
    "to_review": (NOT_REVIEWED, "true"),
    "to_release": (NOT_RELEASED, f"({REVIEW}) = {DecisionKind.APPROVED.value}"),
}


@dataclass(frozen=True, slots=True)
class WaitingResult:
    """A reading on a worklist. ``people`` and ``single`` are the tube's, as far as the worker has them."""

    id: UUID
    tube: str
    outcome: str
    read_at: datetime
    run: str
    ct: dict[str, float | None] | None
    lab: int
    reader: int | None
    reader_name: str
    people: int
    single: bool
    contested: bool


COLUMNS = """r.id, r.tube, r.outcome, r.happened_at, r.run, r.ct::text, r.lab, r.actor, coalesce(u.display_name, ''),
 coalesce(t.people, 0), coalesce(t.single, false), coalesce(t.contested, false)"""
ASKED = f"""r.district = %(district)s AND r.operation = %(operation)s AND r.id > %(after)s AND r.id <= %(upto)s
 AND (%(lab)s::int IS NULL OR r.lab = %(lab)s) AND (%(outcome)s::int IS NULL OR r.outcome = %(outcome)s)
 AND {IN_FORCE.format("r")}"""


def waiting(state: str, *, each: bool) -> str:
    """The results of one state. What is open is a set difference; what was done before is asked of the rest.

    ``each``: look a result's decisions up by themselves (OFFSET 0), for a page. A set is quicker for all of them; but
    while a day's decisions come in the planner knows of none yet, and reads every one of them for each result.
    """
    is_open, is_done = WAITS[state]
    is_open = is_open.format(each=" OFFSET 0" if each else "")
    return f"""
SELECT r.* FROM (SELECT r.* FROM testing_result r WHERE {ASKED} AND {is_open} OFFSET 0) r
WHERE {is_done}"""  # noqa: S608 - constants only


def counted(state: str) -> str:
    """How many are on the list of one state."""
    return f"SELECT count(*) FROM ({waiting(state, each=False)}) r"  # noqa: S608 - constants only


def listed(state: str) -> str:
    """A page of the list of one state, with what is known of the tubes: each is looked up by itself, because the
    planner, who takes nearly nothing for waiting, would read all tubes for each result on the page.
    """
    return f"""
SELECT {COLUMNS} FROM ({waiting(state, each=True)} ORDER BY r.id LIMIT %(limit)s) r
LEFT JOIN LATERAL (
 SELECT t.* FROM testing_tube t
 WHERE t.district = r.district AND t.operation = r.operation AND t.tube = r.tube OFFSET 0) t ON true
LEFT JOIN access_user u ON u.id = r.actor ORDER BY r.id"""  # noqa: S608 - constants only


# Most results of an operation have long been released, so a page is looked for in stretches of the results by id, each
# several times as long as the one before: as one, every page would go through all of them. The first is as long as the
# page, because where many wait they lie side by side.
TIMES = 8
END_OF_STRETCH = """
SELECT id FROM testing_result WHERE district = %(district)s AND id > %(after)s
ORDER BY id OFFSET %(stretch)s LIMIT 1"""


def waiting_results(
    *,
    district: int,
    operation: int,
    state: str,
    lab: int | None = None,
    outcome: str = "",
    after: UUID | None = None,
    limit: int = 100,
) -> list[WaitingResult]:
    """Readings that wait, by id (which begins with the time for results read one by one). Two statements for each
    stretch of results that has to be gone through.
    """
    values = given(district, operation, lab, outcome)
    start, stretch, found = after or NIL, max(1, limit), list[WaitingResult]()
    with connection.cursor() as cursor:
        while start < LAST and len(found) < limit:
            cursor.execute(END_OF_STRETCH, {"district": district, "after": start, "stretch": stretch})
            row = cursor.fetchone()
            upto = row[0] if row else LAST
            cursor.execute(listed(state), values | {"after": start, "upto": upto, "limit": limit - len(found)})
            found += [row_of(row) for row in cursor.fetchall()]
            start, stretch = upto, stretch * TIMES
    return found


def waiting_counts(*, district: int, operation: int, lab: int | None = None) -> dict[str, int]:
    """How many readings wait in each state. Two statements."""
    counts = {}
    with connection.cursor() as cursor:
        for state in STATES:
            cursor.execute(counted(state), given(district, operation, lab, "") | {"after": NIL, "upto": LAST})
            counts[state] = cursor.fetchone()[0]
    return counts


def given(district: int, operation: int, lab: int | None, outcome: str) -> dict[str, Any]:
    """What every list is asked with."""
    number = Outcome[outcome.upper()].value if outcome else None
    return {"district": district, "operation": operation, "lab": lab, "outcome": number}


def row_of(row: tuple[Any, ...]) -> WaitingResult:
    """One row, numbers as words."""
    key, tube, outcome, read_at, run, ct, *rest = row
    return WaitingResult(key, tube, Outcome(outcome).name.lower(), read_at, run, loaded(ct), *rest)


def loaded(text: str | None) -> dict[str, float | None] | None:
    """Cycles by target."""
    found = json.loads(text) if text else None
    return found if isinstance(found, dict) else None


# --- who claims a barcode ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """A station that has put people into a barcode in a round, with how many and when."""

    round: int
    site: int
    site_name: str
    station: int
    people: int
    first_at: datetime
    last_at: datetime


def claims_of(*, district: int, operation: int, tube: str) -> list[Claim]:
    """The stations that reported this barcode, by first swab: what a desk settles when there are several."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT s.round, s.site, coalesce(p.name, ''), s.station, count(DISTINCT s.person), min(s.happened_at),
                       max(s.happened_at)
                FROM testing_sample s LEFT JOIN places_site p ON p.id = s.site
                WHERE s.district = %s AND s.operation = %s AND s.tube = %s AND {IN_FORCE.format("s")}
                GROUP BY 1, 2, 3, 4 ORDER BY 6""",  # noqa: S608 - constants only
            [district, operation, tube],
        )
        return [Claim(*row) for row in cursor.fetchall()]
