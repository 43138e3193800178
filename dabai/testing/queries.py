"""Readers of testing: rounds and their lives, counts for places without names, and every version of a result.

What happened to one tube, one person or one box is told by ``dabai.testing.timelines``, what waits for review and
release by ``dabai.testing.worklists``.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, Sum

from dabai.protocols.models import Operation, Profile
from dabai.protocols.queries import tube_pattern
from dabai.testing import rules
from dabai.testing.models import DecisionKind, Outcome, Round, RoundEstimate, RoundSite, RoundStep

# --- rounds ---------------------------------------------------------------------------------------------------


def rounds_of(operation: int) -> list[Round]:
    """The rounds of an operation, newest number first."""
    return list(Round.objects.filter(operation=operation).order_by("-number"))


def current_round(operation: int) -> Round | None:
    """The round that a board shows first: the newest that was approved, else the newest draft."""
    rounds = rounds_of(operation)
    return next((one for one in rounds if one.state != rules.FIRST), rounds[0] if rounds else None)


def steps_of(round_id: int) -> list[RoundStep]:
    """Everything that was done with a round, in order."""
    return list(RoundStep.objects.filter(round_id=round_id).order_by("at", "pk"))


def stations_of(round_id: int) -> dict[int, int]:
    """Points that serve a round, with their number of stations."""
    return dict(RoundSite.objects.filter(round_id=round_id).order_by("site").values_list("site", "stations"))


@dataclass(frozen=True, slots=True)
class RoundWindow:
    """A round as the door needs it: what it was at any moment (``state_at``), effective-dated."""

    id: int
    number: int
    pool_size: int
    profile: int
    approved_at: datetime | None
    closed_at: datetime | None
    history: tuple[rules.Window, ...]

    def state_at(self, moment: datetime) -> str:
        """The state as of ``moment``."""
        return rules.state_at(self.history, moment)


def round_windows(operation: int) -> dict[int, RoundWindow]:
    """Round id -> its life, for every round of an operation. Two statements."""
    history: dict[int, list[rules.Window]] = defaultdict(list)
    steps = RoundStep.objects.filter(round__operation=operation).order_by("at", "pk")
    for round_id, at, state in steps.values_list("round_id", "at", "state"):
        history[round_id].append(rules.Window(at, state))
    return {
        one.pk: RoundWindow(
            id=one.pk,
            number=one.number,
            pool_size=one.pool_size,
            profile=one.profile,
            approved_at=one.approved_at,
            closed_at=one.closed_at,
            history=tuple(history[one.pk]),
        )
        for one in Round.objects.filter(operation=operation)
    }


def tube_patterns(operation: int) -> list[str]:
    """The foreign barcodes that some profile of the operation accepts: its own and those of its rounds."""
    of_rounds = Round.objects.filter(operation=operation).values("profile")
    of_operation = Operation.objects.filter(pk=operation).values("profile")
    bodies = Profile.objects.filter(Q(pk__in=of_rounds) | Q(pk__in=of_operation)).values_list("body", flat=True)
    return sorted({pattern for body in bodies if (pattern := tube_pattern(body))})


def nameless_communities(round_id: int) -> list[str]:
    """Communities in a round's scope in which nobody is on the list of residents: they need a count. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT a.code FROM testing_round r
               JOIN places_area a ON a.level = 'community' AND a.active
                AND EXISTS (SELECT 1 FROM jsonb_array_elements_text(r.areas) s
                            WHERE starts_with(a.code, s) OR starts_with(s, a.code))
               WHERE r.id = %s AND NOT EXISTS (
                   SELECT 1 FROM people_person p WHERE p.district = r.district AND p.operation = r.operation
                    AND p.area LIKE a.code || '%%' AND NOT p.away AND NOT p.spot)
               ORDER BY a.code""",
            [round_id],
        )
        return [code for (code,) in cursor.fetchall()]


def estimates_left(round_id: int) -> dict[str, int]:
    """Area -> people still due without a name: the count given minus the names that came since. Two statements."""
    counts = dict(RoundEstimate.objects.filter(round_id=round_id).values_list("area", "people"))
    if not counts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT e.area, (SELECT count(*) FROM testing_roster_entry t
                               WHERE t.district = r.district AND t.round = r.id AND t.area LIKE e.area || '%%')
                            + (SELECT count(DISTINCT c.person) FROM testing_roster_change c
                               WHERE c.district = r.district AND c.round = r.id AND c.area LIKE e.area || '%%'
                                AND c.kind = 1 AND NOT EXISTS (SELECT 1 FROM journal_withdrawal w
                                                               WHERE w.district = c.district AND w.target = c.id))
               FROM testing_round_estimate e JOIN testing_round r ON r.id = e.round_id WHERE r.id = %s""",
            [round_id],
        )
        named = dict(cursor.fetchall())
    return {area: rules.estimate_left(people, named[area]) for area, people in sorted(counts.items())}


def estimated_people(round_id: int) -> int:
    """The sum of the counts given for areas without names, as they were given."""
    return RoundEstimate.objects.filter(round_id=round_id).aggregate(total=Sum("people"))["total"] or 0


# --- what phones hint by --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SampleSeen:
    """Who was swabbed into which tube, where and when. ``person`` is the canonical id, as far as it is derived yet."""

    id: UUID
    person: UUID
    tube: str
    round: int
    site: int
    at: datetime


SEEN = """
SELECT s.id, coalesce(i.canonical, s.person), s.tube, s.round, s.site, s.happened_at
FROM testing_sample s LEFT JOIN people_identity i ON i.district = s.district AND i.person = s.person
WHERE s.district = %(district)s AND s.id = ANY(%(samples)s::uuid[])
UNION ALL
SELECT w.id, w.target, '', 0, 0, w.happened_at FROM journal_withdrawal w
WHERE w.district = %(district)s AND w.id = ANY(%(withdrawals)s::uuid[])
"""


def samples_seen(
    district: int, samples: Collection[UUID], withdrawals: Collection[UUID]
) -> tuple[dict[UUID, SampleSeen], dict[UUID, UUID]]:
    """The samples of these facts, and what these withdrawals withdraw, each by the fact's id: one statement."""
    if not samples and not withdrawals:
        return {}, {}
    with connection.cursor() as cursor:
        cursor.execute(SEEN, {"district": district, "samples": [*samples], "withdrawals": [*withdrawals]})
        found = [SampleSeen(*row) for row in cursor.fetchall()]
    return {one.id: one for one in found if one.round}, {one.id: one.person for one in found if not one.round}


# --- results --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResultVersion:
    """A result of a tube as it stood from one moment on: as read, then after each correction.

    ``of`` is the reading; ``fact`` the reading or correction that says this; ``in_force`` marks the one that counts.
    """

    of: UUID
    fact: UUID
    tube: str
    lab: int
    outcome: str
    by: int | None
    by_name: str
    reason: str
    happened_at: datetime
    released_at: datetime | None
    withdrawn: bool
    in_force: bool


VERSIONS = """
WITH read AS MATERIALIZED (
    SELECT * FROM testing_result WHERE district = %(district)s AND operation = %(operation)s AND tube = %(tube)s
), versions AS (
    SELECT id AS of, id AS fact, lab, outcome, actor, '' AS reason, happened_at FROM read
    UNION ALL
    SELECT r.id, d.id, r.lab, d.outcome, d.actor, d.reason, d.happened_at
    FROM read r JOIN testing_result_decision d ON d.district = r.district AND d.result = r.id AND d.kind = %(corrected)s
)
SELECT v.of, v.fact, %(tube)s, v.lab, v.outcome, v.actor, COALESCE(u.display_name, ''), v.reason, v.happened_at,
       (SELECT min(d.happened_at) FROM testing_result_decision d
        WHERE d.district = %(district)s AND d.result = v.of AND d.kind = %(released)s AND NOT EXISTS (
            SELECT 1 FROM journal_withdrawal w WHERE w.district = d.district AND w.target = d.id)),
       EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = %(district)s AND w.target IN (v.of, v.fact)),
       COALESCE(t.result = v.of, false)
FROM versions v
LEFT JOIN access_user u ON u.id = v.actor
LEFT JOIN testing_tube t ON t.district = %(district)s AND t.operation = %(operation)s AND t.tube = %(tube)s
ORDER BY v.happened_at, v.fact
"""


def result_versions(operation: int, tube: str) -> list[ResultVersion]:
    """Everything ever read or corrected about a tube, oldest first: nothing is overwritten. Two statements."""
    values = {"operation": operation, "tube": tube, "district": district_of(operation)}
    values |= {"corrected": DecisionKind.CORRECTED.value, "released": DecisionKind.RELEASED.value}
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS, values)
        rows = [ResultVersion(*row) for row in cursor.fetchall()]
    last = {row.of: row.fact for row in rows if not row.withdrawn}
    return [
        replace(row, outcome=Outcome(row.outcome).name.lower(), in_force=row.in_force and last.get(row.of) == row.fact)
        for row in rows
    ]


def district_of(operation: int) -> int:
    """The district of an operation; rows of large tables are found by it."""
    return int(Operation.objects.values_list("district", flat=True).get(pk=operation))
