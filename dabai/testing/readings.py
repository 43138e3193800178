"""The result in force of tubes, and the short way of tubes of which nothing but results has changed.

A day's results are read, reviewed and released within an hour, each of the three for every tube. Who is in a tube, in
which box it came and who claims it is not touched by them, so it is not worked out again: what ``derive`` would make
of the tube is told from the row that it has, and a test holds the two together.
"""

from typing import Any

from dabai.testing.models import DecisionKind, TubeState
from dabai.testing.touched import Touched, in_force

# The state of a tube of which the laboratory has read nothing yet.
BEFORE_READING = f"""
    CASE WHEN {{row}}.run_at IS NOT NULL THEN {TubeState.RUNNING.value}
         WHEN {{row}}.received_at IS NOT NULL THEN {TubeState.RECEIVED.value}
         WHEN {{row}}.handed_at IS NOT NULL THEN {TubeState.HANDED_OVER.value}
         WHEN {{row}}.packed_at IS NOT NULL THEN {TubeState.PACKED.value}
         WHEN {{row}}.sealed_at IS NOT NULL THEN {TubeState.SEALED.value} ELSE {TubeState.OPENED.value} END"""

# When each of the tubes was read, and the result in force that it has (``rules.result_of_tube``).
READ_AND_RESULT = f"""
reading AS MATERIALIZED (
  SELECT r.tube, r.id, r.lab, r.outcome, r.actor, r.happened_at FROM testing_result r
  WHERE r.district = %(district)s AND r.operation = %(operation)s AND r.tube = ANY(%(tubes)s) AND {in_force("r")}),
read AS (SELECT tube, max(happened_at) AS read_at, min(lab) AS lab FROM reading GROUP BY tube),
result AS (
  SELECT DISTINCT ON (r.tube) r.tube, r.id, COALESCE(d.corrected, r.outcome) AS outcome, d.released_at
  FROM reading r CROSS JOIN LATERAL (
    SELECT (array_agg(d.kind ORDER BY d.happened_at DESC, d.id DESC)
             FILTER (WHERE d.kind IN ({DecisionKind.APPROVED.value}, {DecisionKind.RETURNED.value})
                       AND d.actor IS NOT NULL AND d.actor IS DISTINCT FROM r.actor))[1] AS review,
           min(d.happened_at) FILTER (WHERE d.kind = {DecisionKind.RELEASED.value}) AS released_at,
           (array_agg(d.outcome ORDER BY d.happened_at DESC, d.id DESC)
             FILTER (WHERE d.kind = {DecisionKind.CORRECTED.value}))[1] AS corrected
    FROM testing_result_decision d
    WHERE d.district = %(district)s AND d.result = r.id AND {in_force("d")}) d
  WHERE d.review = {DecisionKind.APPROVED.value} AND d.released_at IS NOT NULL
  ORDER BY r.tube, r.happened_at DESC, r.id DESC)"""  # noqa: S608 - constants only

# The tubes of readings, and whether a tube's row can be brought up to date from itself and its results alone.
TUBES_OF_READINGS = """
SELECT r.tube, COALESCE(x.samples > 0, false)
FROM (SELECT DISTINCT tube FROM testing_result
      WHERE district = %(district)s AND operation = %(operation)s AND id = ANY(%(readings)s)) r
LEFT JOIN testing_tube x ON x.district = %(district)s AND x.operation = %(operation)s AND x.tube = r.tube
"""

# What TUBES says of tubes of which nothing but results has changed, told from the rows that they have.
RESULTS = f"""
WITH {READ_AND_RESULT},
new AS MATERIALIZED (
  SELECT x.tube, (x.contested OR x.state IN ({TubeState.VOIDED.value}, {TubeState.REJECTED.value})) AS void, x.outcome,
         CASE WHEN x.received_at IS NULL THEN r.lab ELSE x.lab END AS lab, r.read_at, f.id AS result,
         f.outcome AS found, f.released_at
  FROM testing_tube x LEFT JOIN read r USING (tube) LEFT JOIN result f USING (tube)
  WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.tube = ANY(%(tubes)s))
UPDATE testing_tube x SET
  lab = n.lab, read_at = n.read_at,
  released_at = CASE WHEN NOT n.void THEN n.released_at END, result = CASE WHEN NOT n.void THEN n.result END,
  outcome = CASE WHEN NOT n.void THEN n.found END,
  state = CASE WHEN n.void THEN x.state WHEN n.result IS NOT NULL THEN {TubeState.REPORTED.value}
    WHEN n.read_at IS NOT NULL THEN {TubeState.READ.value} ELSE {BEFORE_READING.format(row="x")} END
FROM new n
WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.tube = n.tube
  AND ((x.lab, x.read_at) IS DISTINCT FROM (n.lab, n.read_at)
       OR NOT n.void AND (x.released_at, x.result, x.outcome) IS DISTINCT FROM (n.released_at, n.result, n.found))
RETURNING x.tube, x.round, x.site, x.outcome IS DISTINCT FROM n.outcome
"""  # noqa: S608 - constants only


def resolve_readings(cursor: Any, touched: Touched) -> None:
    """Add the tubes of marked readings: one statement. A tube that no sample is known of is derived as a whole."""
    if touched.readings:
        cursor.execute(TUBES_OF_READINGS, touched.parameters(readings=touched.readings))
        for tube, has_samples in cursor.fetchall():
            (touched.read if has_samples else touched.results).add(tube)


def derive_results(cursor: Any, touched: Touched) -> set[str]:
    """Bring the results of tubes up to date of which nothing else has changed. Returns those with another outcome.

    The rows that are derived as a whole must have been.
    """
    touched.read -= touched.results
    if not touched.read:
        return set()
    cursor.execute(RESULTS, touched.parameters(tubes=touched.read))
    rows = cursor.fetchall()
    touched.sites.update((number, site) for _, number, site, _ in rows if number is not None and site is not None)
    return {tube for tube, _, _, is_news in rows if is_news}
