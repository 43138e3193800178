"""Readers of figures: what a screen, an endpoint or a bulletin shows, always with its counts and the time it holds for.

A *scope* is one round, the rounds of one operation to date, or those of every response of a district to date; a drill
never counts in the last. Sums over cells answer; nothing here looks at people, but for those to-date figures that count
each person once over several rounds.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from dabai.access.rules import Role
from dabai.figures.cells import DURATIONS, EPOCH
from dabai.figures.definitions import FIGURES, Figure, Read, Source, Value, evaluate, of_source, with_estimate
from dabai.kernel import clock
from dabai.protocols.models import Operation, OperationKind, Profile
from dabai.testing.models import Round, RoundState
from dabai.testing.outcomes import OUTCOME, SUSPECTS
from dabai.testing.rules import estimate_left

# --- scopes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """The rounds that figures are about. Drafts have none."""

    district: int
    operation: int | None
    rounds: tuple[Round, ...]
    drill: bool

    @property
    def ids(self) -> list[int]:
        """The rounds' ids."""
        return [one.pk for one in self.rounds]


def round_scope(round_id: int) -> Scope:
    """One round."""
    found = Round.objects.get(pk=round_id)
    drill = Operation.objects.filter(pk=found.operation, kind=OperationKind.DRILL).exists()
    return Scope(found.district, found.operation, (found,), drill)


def operation_scope(operation: int) -> Scope:
    """An operation to date, response or drill: all its approved rounds."""
    found = Operation.objects.get(pk=operation)
    return Scope(found.district, operation, rounds_of([operation]), found.kind == OperationKind.DRILL)


def district_scope(district: int) -> Scope:
    """A district to date: the rounds of its responses. What was only a drill never counts."""
    responses = Operation.objects.filter(district=district, kind=OperationKind.RESPONSE).values_list("pk", flat=True)
    return Scope(district, None, rounds_of(list(responses)), False)


def rounds_of(operations: list[int]) -> tuple[Round, ...]:
    """Approved rounds of these operations."""
    found = Round.objects.filter(operation__in=operations).exclude(state=RoundState.DRAFT)
    return tuple(found.order_by("operation", "number"))


# --- figures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """Part of a scope: an area, a point, hours (of the first sample of a person or tube) from ``since`` to ``upto``."""

    area: str = ""
    site: int | None = None
    since: datetime | None = None
    upto: datetime | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Every figure of a scope. ``as_of``: everything received until then is in them."""

    scope: Scope
    asked: Asked
    as_of: datetime | None
    values: Mapping[str, Value] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def numbers(self) -> dict[str, int | float | None]:
        """Plain numbers by figure, for files and scripts."""
        return {name: plain(value) for name, value in self.values.items()}


def plain(value: Value) -> int | float | None:
    """A figure as a JSON number."""
    return value.value if value.value is None or isinstance(value.value, int) else float(value.value)


def figures_of(
    scope: Scope,
    area: str = "",
    *,
    site: int | None = None,
    since: datetime | None = None,
    upto: datetime | None = None,
    distinct: bool = False,
) -> Figures:
    """Every figure of a scope, or of an area, a point or hours of it. A fixed number of statements over cells.

    With several rounds, figures that would count a person again have no value; ``distinct`` counts each person once
    where that is asked of facts (swabbed, pending, positive), in two statements whose cost grows with the samples.
    """
    asked = Asked(area, site, since, upto)
    with connection.cursor() as cursor:
        as_of = freshness(cursor, scope.district)
        counts = one_row(cursor, POINTS, scope, asked) | one_row(cursor, SET_UP, scope, asked)
        counts |= one_row(cursor, PEOPLE, scope, asked)
        left = estimates(cursor, scope, area)
        counts = with_estimate(counts, sum(due for due, _ in left.values()), sum(done for _, done in left.values()))
        found = minutes_of(cursor, scope, asked)
        once = people_once(cursor, scope) if distinct and len(scope.rounds) > 1 and asked == Asked() else {}
    bodies = dict(Profile.objects.filter(pk__in={one.profile for one in scope.rounds}).values_list("pk", "body"))
    reasons = {figure.id: reason for figure in of_people() if (reason := why_not(figure, scope, asked))}
    reasons = {name: reason for name, reason in reasons.items() if name not in once} | unknown(bodies, counts)
    return Figures(scope, asked, as_of, evaluate(Read(counts | once, found, reasons, usual_pace(bodies))))


def of_people() -> list[Figure]:
    """The figures that count people, or are worked out of those."""
    return [figure for figure in FIGURES.values() if figure.each_round]


def why_not(figure: Figure, scope: Scope, asked: Asked) -> str:
    """Why a figure of people has no value in this part of the scope."""
    if asked.site is not None:
        return "not_by_point"
    return "each_round" if figure.each_round and len(scope.rounds) > 1 else ""


def unknown(bodies: Mapping[int, Any], counts: Mapping[str, int | None]) -> dict[str, str]:
    """Figures that nobody can know here: no limit in the profile, nobody assigned, no station reported open."""
    reasons = {}
    if not all(body.get("transport", {}).get("swab_to_lab_minutes") for body in bodies.values()):
        reasons["tubes_on_time"] = reasons["on_time_rate"] = "no_limit"
    if not counts.get("staff"):
        reasons["staff"] = "nobody_assigned"
    if not counts.get("station_minutes"):
        reasons["station_minutes"] = reasons["per_station_hour"] = "no_station_opened"
    return reasons


def usual_pace(bodies: Mapping[int, Any]) -> tuple[float, float] | None:
    """Between which paces per open station-hour nobody need wonder; None where profiles say nothing or differ."""
    paces = {
        tuple(sorted(body.get("organisation", {}).get("pace_per_station_hour", {}).items())) for body in bodies.values()
    }
    found = dict(next(iter(paces))) if len(paces) == 1 else {}
    return (found["low"], found["high"]) if found else None


def freshness(cursor: Any, district: int) -> datetime | None:
    """Up to when everything received is in the cells; None while the worker has not said so yet."""
    now = clock.now()
    cursor.execute(
        """SELECT EXISTS (SELECT 1 FROM journal_mark WHERE district = %(district)s),
                  (SELECT as_of FROM figures_freshness WHERE district = %(district)s)""",
        {"district": district},
    )
    behind, as_of = cursor.fetchone()
    return as_of if behind else now


# --- sums over cells ------------------------------------------------------------------------------------------

HOURS = f"""(c.hour = {EPOCH} OR (c.hour >= coalesce(%(since)s::timestamptz, '-infinity')
    AND c.hour < coalesce(%(upto)s::timestamptz, 'infinity')))"""
HERE = "(%(area)s = '' OR c.site IN (SELECT s.id FROM places_site s WHERE starts_with(s.area, %(area)s)))"
AT_POINTS = f"""c.district = %(district)s AND c.round = ANY(%(rounds)s) AND {HOURS} AND {HERE}
    AND (%(site)s::int IS NULL OR c.site = %(site)s)"""


def sums(source: Source) -> str:
    """The expressions of all figures of a source."""
    return ", ".join(f"coalesce({figure.sql}, 0) AS {figure.id}" for figure in of_source(source))


PEOPLE = f"""
SELECT {sums(Source.PEOPLE)} FROM figures_area_cell c
WHERE c.district = %(district)s AND c.round = ANY(%(rounds)s) AND c.area BETWEEN %(area)s AND %(area)s || 'z'
    AND {HOURS}"""  # noqa: S608 - constants only
POINTS = f"SELECT {sums(Source.POINTS)} FROM figures_site_cell c WHERE {AT_POINTS}"  # noqa: S608
MINUTES = f"""
SELECT d.measure, d.minute, count(*) FROM (
    {
    " UNION ALL ".join(
        f"SELECT '{name}' AS measure, unnest(c.{name}) AS minute FROM figures_duration_cell c WHERE {AT_POINTS}"
        for name in DURATIONS
    )
}
) d GROUP BY d.measure, d.minute"""  # noqa: S608
# Points are the sites that a round was given and those that took samples in it; a team that goes from door to door is
# none. A station counts once, however many rounds it serves.
SET_UP = f"""
SELECT (SELECT count(*) FROM unnest(%(rounds)s::int[])) AS rounds,
    (SELECT count(DISTINCT left(c.area, 9)) FROM (
        SELECT c.area FROM figures_area_cell c
        WHERE c.district = %(district)s AND c.round = ANY(%(rounds)s) AND c.hour = {EPOCH} AND c.frozen + c.added > 0
        UNION ALL SELECT e.area FROM testing_round_estimate e WHERE e.round_id = ANY(%(rounds)s)
     ) c WHERE starts_with(c.area, %(area)s)) AS areas,
    count(*) AS points, coalesce(sum(c.stations), 0) AS stations,
    (SELECT count(DISTINCT a.user_id) FROM access_assignment a
     WHERE (a.operation IS NULL OR a.operation = ANY(%(operations)s)) AND a.role = ANY(%(field_roles)s)
        AND starts_with(a.area, %(within)s) AND a.valid_from <= %(now)s
        AND coalesce(a.valid_to > (SELECT min(r.starts_at) FROM testing_round r WHERE r.id = ANY(%(rounds)s)), true)
    ) AS staff
FROM (
    SELECT c.site, max(c.stations) AS stations FROM (
        SELECT s.site, s.stations FROM testing_round_site s WHERE s.round_id = ANY(%(rounds)s)
        UNION ALL SELECT c.site, 0 FROM figures_site_cell c
        WHERE c.district = %(district)s AND c.round = ANY(%(rounds)s) AND c.samples > 0
    ) c GROUP BY c.site
) c
JOIN places_site s ON s.id = c.site AND s.kind NOT IN ('door_team', 'laboratory')
WHERE {HERE} AND (%(site)s::int IS NULL OR c.site = %(site)s)"""  # noqa: S608
FIELD_ROLES = [
    Role.ROUND_MANAGER, Role.REGISTRAR, Role.PACKER, Role.COURIER, Role.LAB_TECHNICIAN, Role.LAB_REVIEWER,
    Role.GRID_WORKER,
]  # fmt: skip


def where(scope: Scope, asked: Asked) -> dict[str, Any]:
    """The parameters of every statement."""
    return {
        "district": scope.district,
        "rounds": scope.ids,
        "operations": sorted({one.operation for one in scope.rounds}),
        "field_roles": [str(role) for role in FIELD_ROLES],
        "now": clock.now(),
        "within": asked.area or str(scope.district),
        "area": asked.area,
        "site": asked.site,
        "since": asked.since,
        "upto": asked.upto,
    }


def one_row(cursor: Any, statement: str, scope: Scope, asked: Asked) -> dict[str, int | None]:
    """The only row of a statement, by column."""
    cursor.execute(statement, where(scope, asked))
    names = [column.name for column in cursor.description]
    return {name: int(value) for name, value in zip(names, cursor.fetchone(), strict=True)}


def minutes_of(cursor: Any, scope: Scope, asked: Asked) -> dict[str, dict[int, int]]:
    """How many tubes took how many minutes, by measure."""
    cursor.execute(MINUTES, where(scope, asked))
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for measure, minute, tubes in cursor.fetchall():
        found[measure][minute] = tubes
    return found


# --- people by a count, and people once over several rounds ------------------------------------------------------

ESTIMATES = """
SELECT e.area, e.people, coalesce(sum(c.frozen + c.added), 0), coalesce(sum(c.unlisted), 0)
FROM testing_round_estimate e
LEFT JOIN figures_area_cell c ON c.district = %(district)s AND c.round = e.round_id
    AND c.area BETWEEN e.area AND e.area || 'z'
WHERE e.round_id = ANY(%(rounds)s) AND starts_with(e.area, %(area)s)
GROUP BY e.area, e.people"""


def estimates(cursor: Any, scope: Scope, area: str) -> dict[str, tuple[int, int]]:
    """By area that has a count instead of names: people still due without a name, and those of them who are covered."""
    if len(scope.rounds) != 1:
        return {}
    cursor.execute(ESTIMATES, {"district": scope.district, "rounds": scope.ids, "area": area})
    left = [(at, estimate_left(people, int(named)), int(unlisted)) for at, people, named, unlisted in cursor.fetchall()]
    return {at: (remaining, min(unlisted, remaining)) for at, remaining, unlisted in left}


# Grouped rather than counted distinct: a hash of people instead of a sort of samples.
ONCE = """
SELECT count(*) FROM (
    SELECT person FROM testing_coverage WHERE district = %s AND round = ANY(%s) AND samples > 0 GROUP BY person
) once"""
ALARMED = f"""
WITH {SUSPECTS}
SELECT count(DISTINCT c.person) FILTER (WHERE o.outcome = 'pending'),
    count(DISTINCT c.person) FILTER (WHERE o.outcome = 'positive')
FROM (
    SELECT x.*, s.name_conflict, r.operation FROM suspect s
    JOIN testing_round r ON r.id = ANY(%(rounds)s)
    JOIN testing_coverage x ON x.district = %(district)s AND x.round = r.id AND x.person = s.person
) c {OUTCOME}"""  # noqa: S608


def people_once(cursor: Any, scope: Scope) -> dict[str, int | None]:
    """Swabbed, pending and positive people over several rounds, each once. From facts: its cost grows with samples."""
    cursor.execute(ONCE, [scope.district, scope.ids])
    tested = cursor.fetchone()[0]
    cursor.execute(ALARMED, {"district": scope.district, "rounds": scope.ids})
    pending, positive = cursor.fetchone()
    return {"people_tested": tested, "pending_people": pending, "positive_people": positive}
