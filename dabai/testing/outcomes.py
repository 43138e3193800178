"""What a person is told about a round. The rule is written once, here, as SQL; cells, lists and look-ups all embed it.

A result belongs to a tube. A person's result is derived by joining the tubes that hold the person's valid samples
(``Coverage.tubes``); nothing is ever written per person. Nobody is shown the positive result of a pool: its people
are 待复核 (``pending``) until a single sample, taken after the pool's, has a result (DOMAIN §2).
``rules.outcome_of_person`` says the same in Python, and a test holds the two together.

===========  ====================================================================================================
positive     a single tube with a released positive result
pending      a released tube that is not negative (a pool, or a single tube in the grey zone), and no single sample
             taken after it has a released result yet
negative     a released negative result, and none of the above
invalid      only invalid results: to be swabbed again
awaiting     swabbed, nothing released yet
withheld     swabbed, but a tube is claimed by two teams, or the person's number stands under two names: a desk decides
none         no valid sample in the round
===========  ====================================================================================================
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dabai.testing.duties import Owner, duties

OUTCOMES = ("positive", "pending", "negative", "invalid", "awaiting", "withheld", "none")
WITH_RESULT = ("positive", "pending", "negative")

# ``c`` has district, operation, tubes and name_conflict; one row of ``o`` comes out for each of it. The numbers are
# those of testing.Outcome: 1 negative, 2 positive, 3 suspect, 4 invalid. A tube counts as single only while it holds
# one person; ``unclear`` is one that is not negative. The times are what a due re-test is reckoned from.
OUTCOME = """
CROSS JOIN LATERAL (
    SELECT CASE
            WHEN cardinality(c.tubes) = 0 THEN 'none'
            WHEN c.name_conflict OR bool_or(t.contested) THEN 'withheld'
            WHEN bool_or(t.alone AND t.outcome = 2) THEN 'positive'
            WHEN bool_or(t.unclear) AND NOT coalesce(
                max(t.first_at) FILTER (WHERE t.alone AND t.outcome = 1)
                > max(t.first_at) FILTER (WHERE t.unclear), false) THEN 'pending'
            WHEN bool_or(t.outcome = 1) THEN 'negative'
            WHEN bool_or(t.outcome = 4) THEN 'invalid'
            ELSE 'awaiting'
        END AS outcome,
        max(t.released_at) AS released_at,
        max(t.released_at) FILTER (WHERE t.unclear) AS alerted_at,
        max(t.first_at) FILTER (WHERE t.unclear) AS unclear_at,
        max(t.first_at) FILTER (WHERE t.outcome = 4) AS invalid_at,
        max(t.first_at) FILTER (WHERE t.alone AND t.outcome IS NULL) AS single_waits_at,
        max(t.first_at) FILTER (WHERE t.outcome IS NULL) AS waits_at
    FROM (
        SELECT t.contested, t.first_at, t.alone, t.outcome, t.outcome IN (2, 3) AS unclear,
            CASE WHEN t.outcome IS NOT NULL THEN t.released_at END AS released_at
        FROM (
            SELECT t.contested, t.first_at, t.released_at, t.single AND t.people <= 1 AS alone,
                CASE WHEN t.released_at IS NOT NULL THEN t.outcome END AS outcome
            FROM unnest(c.tubes) AS u(tube)
            JOIN testing_tube t ON t.district = c.district AND t.operation = c.operation AND t.tube = u.tube
        ) t
    ) t
) o"""

# Whether a person's number stands under two names, told from the few rows that say so.
NAME_CONFLICT = """(c.person IN (
    SELECT i.canonical FROM people_identity i WHERE i.district = %(district)s AND i.name_conflict))"""

OF_PEOPLE = f"""
SELECT c.asked, o.outcome
FROM (
    SELECT g.person AS asked, %(district)s AS district, r.operation, coalesce(x.tubes, '{{}}') AS tubes,
        coalesce(i.name_conflict, false) AS name_conflict
    FROM unnest(%(people)s::uuid[]) AS g(person)
    JOIN testing_round r ON r.id = %(round)s AND r.district = %(district)s
    LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = g.person
    LEFT JOIN testing_coverage x ON x.district = %(district)s AND x.round = r.id
        AND x.person = coalesce(i.canonical, g.person)
) c {OUTCOME}"""  # noqa: S608 - constants only

# What each of ``own(asked, person)`` may be told about each round in which they were swabbed, newest first.
IN_ROUNDS = f"""SELECT c.asked, c.round, c.number, c.name, o.outcome, c.first_at,
    CASE WHEN o.outcome NOT IN ('withheld', 'awaiting') THEN o.released_at END
FROM (
    SELECT own.asked, r.id AS round, r.number, r.name, x.first_at, x.district, r.operation, x.tubes,
        coalesce(i.name_conflict, false) AS name_conflict
    FROM own
    LEFT JOIN LATERAL (
        SELECT i.canonical, i.name_conflict FROM people_identity i
        WHERE i.district = %(district)s AND i.person = own.person OFFSET 0) i ON true
    JOIN testing_round r ON r.operation = %(operation)s AND r.district = %(district)s
    CROSS JOIN LATERAL (
        SELECT x.* FROM testing_coverage x
        WHERE x.district = %(district)s AND x.round = r.id AND x.person = coalesce(i.canonical, own.person)
            AND x.samples > 0 OFFSET 0) x
) c {OUTCOME}
ORDER BY c.asked, c.number DESC"""  # noqa: S608 - constants only
OF_ROUNDS = f"WITH own AS (SELECT 0 AS asked, %(person)s::uuid AS person) {IN_ROUNDS}"

# A tube is alarming when its released result is not negative. Its people are found through samples taken into it, moved
# to it, or given to it by a settlement: more than those who are really in it, and their coverage tells.
SUSPECTS = """alarm AS MATERIALIZED (
    SELECT t.tube FROM testing_tube t
    WHERE t.district = %(district)s AND t.round = ANY(%(rounds)s) AND t.released_at IS NOT NULL
        AND t.outcome IN (2, 3, 4)
), origin AS (
    SELECT tube FROM alarm
    UNION SELECT d.tube FROM testing_claim_decision d JOIN alarm a ON d.district = %(district)s AND d.becomes = a.tube
), candidate AS (
    SELECT s.person FROM origin a JOIN testing_sample s ON s.district = %(district)s AND s.tube = a.tube
    UNION
    SELECT s.person FROM origin a
    JOIN testing_sample_move m ON m.district = %(district)s AND m.to_tube = a.tube
    JOIN testing_sample s ON s.district = m.district AND s.id = m.sample
), suspect AS (
    SELECT DISTINCT coalesce(i.canonical, k.person) AS person, coalesce(i.name_conflict, false) AS name_conflict
    FROM candidate k LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = k.person
)"""

RETESTS = f"""
WITH {SUSPECTS}
SELECT c.person, c.area, c.rostered, c.site, o.outcome, coalesce(o.alerted_at, o.released_at), c.body
FROM (
    SELECT x.*, s.name_conflict, r.operation, p.body
    FROM suspect s
    JOIN testing_round r ON r.id = ANY(%(rounds)s)
    JOIN protocols_profile p ON p.id = r.profile
    JOIN testing_coverage x ON x.district = %(district)s AND x.round = r.id AND x.person = s.person
        AND x.area BETWEEN %(prefix)s AND %(prefix)s || 'z'
) c {OUTCOME}
WHERE (o.outcome = 'pending' AND NOT coalesce(o.single_waits_at > o.unclear_at, false))
   OR (o.outcome = 'invalid' AND NOT coalesce(o.waits_at > o.invalid_at, false))
ORDER BY 6, c.area, c.person"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class PersonResult:
    """What one person may be told about one round. ``released_at`` is None as long as there is nothing to tell."""

    round: int
    number: int
    name: str
    outcome: str
    sampled_at: datetime
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueRetest:
    """An urgent due item: a single sample of somebody pending (``single``), or a new one after an invalid result."""

    person: UUID
    area: str
    rostered: bool
    site: int | None
    single: bool
    alerted_at: datetime
    deadline: datetime | None
    owner: Owner | None


def outcomes_of(cursor: Any, district: int, round_id: int, people: Collection[UUID]) -> dict[UUID, str]:
    """Each of these ids with the person's outcome in the round, one of ``OUTCOMES``: one statement.

    An id that was merged into another answers for the whole person. An unknown round answers nothing.
    """
    cursor.execute(OF_PEOPLE, {"district": district, "round": round_id, "people": list(people)})
    return dict(cursor.fetchall())


def result_of_person(cursor: Any, district: int, operation: int, person: UUID) -> list[PersonResult]:
    """What a person may be told about each round in which they were swabbed, newest first: one statement."""
    cursor.execute(OF_ROUNDS, {"district": district, "operation": operation, "person": person})
    return [PersonResult(*row) for _, *row in cursor.fetchall()]


def retests_due(cursor: Any, district: int, round_id: int, prefix: str = "") -> list[DueRetest]:
    """Who must be swabbed again and has not been, the longest waiting first: two statements.

    Pending people owe a single sample taken after the tube that was not negative; it is off the list when it is taken,
    and back when it turns out invalid. The deadline is that of the round's profile, the owner that of the area.
    """
    cursor.execute(RETESTS, {"district": district, "rounds": [round_id], "prefix": prefix})
    rows = cursor.fetchall()
    owners, _ = duties(cursor, district, round_id, {row[1] for row in rows})
    return [
        DueRetest(
            person, area, rostered, site, outcome == "pending", alerted_at, retest_deadline(body, alerted_at),
            owners.get(area),
        )
        for person, area, rostered, site, outcome, alerted_at, body in rows
    ]  # fmt: skip


def retest_deadline(body: Any, alerted_at: datetime) -> datetime | None:
    """Until when a re-test must be taken, by a profile; None where it sets no limit."""
    profile = json.loads(body) if isinstance(body, str) else body
    minutes = profile.get("results", {}).get("retest_within_minutes")
    return None if minutes is None else alerted_at + timedelta(minutes=minutes)
