"""What a person is told about a round. The rule is written once, here, as SQL; cells, lists and look-ups all embed it.

A result belongs to a tube. A person's result is derived by joining the tubes that hold the person's valid samples
(``Coverage.tubes``); nothing is ever written per person. Nobody is shown the positive result of a pool: its people are
待复核 (``pending``) until a single sample, taken after the pool's, has a result (DOMAIN §2).

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

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

OUTCOMES = ("positive", "pending", "negative", "invalid", "awaiting", "withheld", "none")
WITH_RESULT = ("positive", "pending", "negative")

# ``c`` has district, operation, tubes and name_conflict; one row of ``o`` comes out for each of it. The numbers are those
# of testing.Outcome: 1 negative, 2 positive, 3 suspect, 4 invalid. A tube counts as single only while it holds one person.
OUTCOME = """
CROSS JOIN LATERAL (
    SELECT CASE
            WHEN cardinality(c.tubes) = 0 THEN 'none'
            WHEN c.name_conflict OR bool_or(t.contested) THEN 'withheld'
            WHEN bool_or(t.alone AND t.outcome = 2) THEN 'positive'
            WHEN bool_or(t.outcome IN (2, 3)) AND NOT coalesce(
                max(t.first_at) FILTER (WHERE t.alone AND t.outcome = 1)
                > max(t.first_at) FILTER (WHERE t.outcome IN (2, 3)), false) THEN 'pending'
            WHEN bool_or(t.outcome = 1) THEN 'negative'
            WHEN bool_or(t.outcome = 4) THEN 'invalid'
            ELSE 'awaiting'
        END AS outcome,
        max(t.released_at) AS released_at,
        max(t.released_at) FILTER (WHERE t.outcome IN (2, 3, 4)) AS alerted_at,
        max(t.first_at) FILTER (WHERE t.outcome IN (2, 3, 4)) AS alert_sampled_at,
        bool_or(t.alone AND t.outcome IS NULL) AS single_waits,
        max(t.first_at) FILTER (WHERE t.alone) AS last_single_at,
        max(t.first_at) AS last_at
    FROM (
        SELECT t.contested, t.first_at, t.released_at, t.single AND t.people <= 1 AS alone,
            CASE WHEN t.released_at IS NOT NULL THEN t.outcome END AS outcome
        FROM unnest(c.tubes) AS u(tube)
        JOIN testing_tube t ON t.district = c.district AND t.operation = c.operation AND t.tube = u.tube
    ) t
) o"""

# Whether a person's number stands under two names, told from the few rows that say so.
NAME_CONFLICT = """(c.person IN (
    SELECT i.canonical FROM people_identity i WHERE i.district = %(district)s AND i.name_conflict))"""
