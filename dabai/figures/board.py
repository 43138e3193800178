"""The coverage board of a round: areas, hours and points from cells, and the list of people behind every number.

A board row is a sum over leaf cells, however deep one looks. The lists behind the numbers are read from facts; cells
only say in which leaf areas it is worth looking, so that a page costs the same in a grid and in the whole district.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import connection

from dabai.figures.cells import AREA_MEASURES, EPOCH
from dabai.figures.queries import Scope, estimates, freshness, round_scope
from dabai.kernel import areas
from dabai.places.queries import names
from dabai.testing import coverage as lists
from dabai.testing.coverage import PAGE, START, CoveredPerson, DuePerson, HouseholdCoverage, Key, Page
from dabai.testing.outcomes import DueRetest
from dabai.testing.outcomes import retests_due as retests


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One area of a round. Results are those of people who are due; ``unlisted`` are the others, by place of sampling.

    ``estimated`` people are due by a count without names; ``estimate_covered`` of them are covered by people swabbed
    there who are on no roster.
    """

    area: str
    name: str
    frozen: int
    added: int
    removed: int
    excused: int
    sampled: int
    resulted: int
    negative: int
    pending: int
    positive: int
    unlisted: int
    unlisted_resulted: int
    unlisted_negative: int
    unlisted_pending: int
    unlisted_positive: int
    estimated: int
    estimate_covered: int

    @property
    def due(self) -> int:
        """应检: frozen and estimated, and what was added and removed since."""
        return self.frozen + self.added - self.removed + self.estimated

    @property
    def covered(self) -> int:
        """Those of the due who were swabbed."""
        return self.sampled + self.estimate_covered

    @property
    def outstanding(self) -> int:
        """未检: neither swabbed nor excused."""
        return self.due - self.covered - self.excused

    @property
    def rate(self) -> float | None:
        """采样率, None where nobody is due."""
        return self.covered / self.due if self.due else None

    @property
    def leaf(self) -> bool:
        """Whether the next thing below is a list of households."""
        return areas.is_code(self.area) and areas.level(self.area) == "grid"


@dataclass(frozen=True, slots=True)
class CoverageTree:
    """An area of a round and the areas below it. ``as_of``: everything received until then is in the numbers."""

    total: CoverageRow
    rows: list[CoverageRow]
    as_of: datetime | None


TREE = f"""
SELECT c.child, coalesce(a.name, ''), {", ".join(AREA_MEASURES)}
FROM (
    SELECT left(c.area, %(length)s) AS child, {", ".join(f"sum(c.{name}) AS {name}" for name in AREA_MEASURES)}
    FROM figures_area_cell c
    WHERE c.district = %(district)s AND c.round = %(round)s AND c.area BETWEEN %(area)s AND %(area)s || 'z'
        AND c.hour < coalesce(%(upto)s::timestamptz, 'infinity')
    GROUP BY child
) c
LEFT JOIN places_area a ON a.code = c.child
ORDER BY c.child"""  # noqa: S608 - constants only


def coverage(round_id: int, prefix: str = "", depth: int = 1, *, upto: datetime | None = None) -> CoverageTree:
    """An area of a round, and its children ``depth`` levels down (1: the next level, 3 from a district: all grids).

    ``upto``: only people first swabbed before that hour. An area whose people belong to no area that deep stands for
    itself. Six statements.
    """
    scope = round_scope(round_id)
    top = prefix or str(scope.district)
    length = child_length(top, depth)
    where: dict[str, Any] = {"district": scope.district, "round": round_id, "area": top, "length": length, "upto": upto}
    with connection.cursor() as cursor:
        as_of = freshness(cursor, scope.district)
        left = estimates(cursor, scope, top)
        cursor.execute(TREE, where)
        rows = [row_of(area, name, counts, left) for area, name, *counts in cursor.fetchall()]
    bare = {area[:length] for area in left} - {row.area for row in rows}
    named = names([top, *bare])
    rows += [row_of(area, named.get(area, ""), [0] * len(AREA_MEASURES), left) for area in bare]
    rows.sort(key=lambda row: row.area)
    return CoverageTree(total_of(top, named.get(top, ""), rows), rows, as_of)


def child_length(prefix: str, depth: int) -> int:
    """How long the codes of the areas ``depth`` levels below ``prefix`` are, at most a grid's."""
    longer = [length for length in areas.LENGTHS if length > len(prefix)]
    return longer[min(depth, len(longer)) - 1] if longer and depth > 0 else len(prefix)


def row_of(area: str, name: str, counts: Sequence[int], left: dict[str, tuple[int, int]]) -> CoverageRow:
    """One row with what is due there by a count alone."""
    below = [pair for place, pair in left.items() if place.startswith(area)]
    estimated, covered = sum(due for due, _ in below), sum(done for _, done in below)
    measures = dict(zip(AREA_MEASURES, counts, strict=True))
    return CoverageRow(area, name, **measures, estimated=estimated, estimate_covered=covered)


def total_of(area: str, name: str, rows: Sequence[CoverageRow]) -> CoverageRow:
    """The sum of rows."""
    measures = attrgetter(*[one.name for one in fields(CoverageRow)[2:]])
    columns = zip(*map(measures, rows), strict=True) if rows else [()] * (len(fields(CoverageRow)) - 2)
    return CoverageRow(area, name, *map(sum, columns))


# --- by hour and by point ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HourRow:
    """How many people had their first sample of the round in an hour, by roster area (``unlisted``: by place)."""

    hour: datetime
    sampled: int
    unlisted: int


def by_hour(round_id: int, prefix: str = "") -> list[HourRow]:
    """The progress of a round in an area: one statement."""
    scope = round_scope(round_id)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT hour, sum(sampled), sum(unlisted) FROM figures_area_cell
                WHERE district = %(district)s AND round = %(round)s AND hour > {EPOCH}
                    AND area BETWEEN %(area)s AND %(area)s || 'z'
                GROUP BY hour HAVING sum(sampled + unlisted) > 0 ORDER BY hour""",  # noqa: S608 - constants only
            {"district": scope.district, "round": round_id, "area": prefix},
        )
        return [HourRow(hour, int(sampled), int(unlisted)) for hour, sampled, unlisted in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class PointRow:
    """One point of a round: its tubes on their way, and its pace."""

    site: int
    code: str
    name: str
    area: str
    stations: int
    person_times: int
    tubes: int
    sealed: int
    packed: int
    handed: int
    received: int
    released: int
    not_negative: int
    open_minutes: int

    @property
    def per_station_hour(self) -> float | None:
        """Swabs per open station-hour; None where no station reported that it was open."""
        return self.person_times * 60 / self.open_minutes if self.open_minutes else None


POINTS = """
SELECT s.id, s.code, s.name, s.area, coalesce(max(r.stations), 0), coalesce(sum(c.samples), 0),
    coalesce(sum(c.tubes), 0), coalesce(sum(c.sealed), 0), coalesce(sum(c.packed), 0), coalesce(sum(c.handed), 0),
    coalesce(sum(c.received), 0), coalesce(sum(c.released), 0), coalesce(sum(c.not_negative), 0),
    coalesce(sum(c.open_minutes), 0)
FROM places_site s
LEFT JOIN testing_round_site r ON r.site = s.id AND r.round_id = %(round)s
LEFT JOIN figures_site_cell c ON c.district = %(district)s AND c.round = %(round)s AND c.site = s.id
WHERE s.operation = %(operation)s AND s.kind <> 'laboratory' AND starts_with(s.area, %(area)s)
    AND (r.site IS NOT NULL OR c.site IS NOT NULL)
GROUP BY s.id ORDER BY s.code"""


def by_point(round_id: int, prefix: str = "") -> list[PointRow]:
    """Every point that serves the round in an area, or took samples in it: one statement."""
    scope = round_scope(round_id)
    where = {"district": scope.district, "operation": scope.operation, "round": round_id, "area": prefix}
    with connection.cursor() as cursor:
        cursor.execute(POINTS, where)
        return [PointRow(*row[:5], *map(int, row[5:])) for row in cursor.fetchall()]


# --- the people behind a number -----------------------------------------------------------------------------------

TESTED = "sampled + unlisted - resulted - unlisted_resulted"
BEHIND = {
    "outstanding": "frozen + added - removed - sampled - excused",
    "sampled": "sampled",
    "excused": "excused",
    "removed": "removed",
    "unlisted": "unlisted",
    "negative": "negative + unlisted_negative",
    "pending": "pending + unlisted_pending",
    "positive": "positive + unlisted_positive",
    "awaiting": TESTED,
    "invalid": TESTED,
    "withheld": TESTED,
}
LEAVES = """
SELECT area, sum({people}) FROM figures_area_cell
WHERE district = %(district)s AND round = %(round)s AND area BETWEEN %(low)s AND %(high)s
GROUP BY area HAVING sum({people}) > 0 ORDER BY area"""


def worth_looking(cursor: Any, scope: Scope, prefix: str, what: str, after: Key, limit: int) -> list[str]:
    """The leaf areas that the next page can come from, by what the cells say; a grid is looked at in any case."""
    if len(prefix) == areas.LENGTHS[-1]:
        return [prefix]
    where = {"district": scope.district, "round": scope.ids[0], "high": prefix + "z", "low": max(prefix, after.area)}
    cursor.execute(LEAVES.format(people=BEHIND[what]), where)
    found, people = [], 0
    for area, count in cursor.fetchall():
        found.append(area)
        people += 0 if area == after.area else int(count)
        if people > limit and what not in ("awaiting", "invalid", "withheld"):
            break
    return found


def outstanding(round_id: int, prefix: str, *, after: Key = START, limit: int = PAGE) -> Page[DuePerson]:
    """Who of an area is due and neither swabbed nor excused, with owner, deadline and last attempt. A page."""
    scope = round_scope(round_id)
    with connection.cursor() as cursor:
        leaves = worth_looking(cursor, scope, prefix, "outstanding", after, limit)
        return lists.outstanding(cursor, scope.district, round_id, leaves, after=after, limit=limit)


def people_behind(
    round_id: int, prefix: str, what: str, *, after: Key = START, limit: int = PAGE
) -> Page[CoveredPerson]:
    """The people behind any other number of a board row; ``what`` is a key of ``BEHIND``. A page."""
    scope = round_scope(round_id)
    with connection.cursor() as cursor:
        leaves = worth_looking(cursor, scope, prefix, what, after, limit)
        return lists.people_in(cursor, scope.district, round_id, leaves, what, after=after, limit=limit)


def households(round_id: int, grid: str) -> list[HouseholdCoverage]:
    """The doors of a grid with who is due behind them."""
    scope = round_scope(round_id)
    with connection.cursor() as cursor:
        return lists.households(cursor, scope.district, round_id, grid)


def retests_due(round_id: int, prefix: str = "") -> list[DueRetest]:
    """The urgent due single samples of an area."""
    scope = round_scope(round_id)
    with connection.cursor() as cursor:
        return retests(cursor, scope.district, round_id, prefix)
