"""Leaf cells: the worker's second stage. Cells are recomputed whole from what the facts say, never incremented.

The first stage leaves a mark ``round/area`` or ``round/site`` for whatever it changed. ``recompute`` deletes marks
first and then, in a later snapshot, works out the cells they name from nothing else than rosters, coverage, tubes,
boxes and site events. A fact that commits in between leaves a mark of its own: nothing is missed or counted twice.
``rebuild`` runs the same statements over every place there is: rebuilt from nothing equals incremental.

The people of an area are counted by the tubes they share: those in the same tubes have the same outcome, so the rule
of ``dabai.testing.outcomes`` runs once for each tube and not once for each person.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from dabai.journal.models import CELL_MARKS, MarkKind
from dabai.testing.coverage import ADDED, IS_DOUBLE
from dabai.testing.outcomes import NAME_CONFLICT, OUTCOME, WITH_RESULT

AREA_MEASURES = (
    "frozen", "added", "removed", "excused", "sampled", "resulted", "negative", "pending", "positive",
    "unlisted", "unlisted_resulted", "unlisted_negative", "unlisted_pending", "unlisted_positive",
)  # fmt: skip
SITE_MEASURES = (
    "samples", "tubes", "sealed", "packed", "handed", "received", "on_time", "read", "released", "not_negative",
    "voided", "rejected", "contested", "open_minutes", "boxed", "boxed_counted", "delivered", "delivered_counted",
)  # fmt: skip
DURATIONS = ("sample_to_receipt", "receipt_to_result", "sample_to_result")
LONGEST = 7 * 24 * 3600

EPOCH = "timestamptz '1970-01-01 00:00:00+00'"
LOCK = "SELECT pg_advisory_xact_lock(hashtext('figures.cells')), set_config('work_mem', '64MB', true)"
TAKE = """
DELETE FROM journal_mark m USING (
    SELECT district, id FROM journal_mark WHERE kind = ANY(%(kinds)s) ORDER BY district, id LIMIT %(limit)s
) taken WHERE m.district = taken.district AND m.id = taken.id
RETURNING m.district, m.kind, m.key"""


def write_cells(table: str, key: str, measures: Sequence[str], fresh: str) -> str:
    """A statement that makes the cells of the touched places equal to ``fresh``, writing only what differs.

    ``touched`` has round, ``key``, operation and the profile's body; ``fresh`` round, ``key``, hour and the measures.
    """
    keys = ["round", key, "hour"]
    same = " AND ".join(f"f.{name} = x.{name}" for name in keys)
    kept = ", ".join(f"x.{name}" for name in measures)
    new = ", ".join(f"f.{name}" for name in measures)
    return f"""
WITH touched AS MATERIALIZED (
    SELECT t.round, t.{key},
        (SELECT r.operation FROM testing_round r WHERE r.id = t.round) AS operation,
        (SELECT p.body FROM testing_round r JOIN protocols_profile p ON p.id = r.profile WHERE r.id = t.round) AS body
    FROM unnest(%(rounds)s::int[], %(places)s::{PLACE[key]}[]) AS t(round, {key})
), {fresh}, gone AS (
    DELETE FROM {table} x USING touched t
    WHERE x.district = %(district)s AND x.round = t.round AND x.{key} = t.{key}
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE {same})
)
INSERT INTO {table} AS x (district, {", ".join(keys)}, {", ".join(measures)})
SELECT %(district)s, {", ".join(f"f.{name}" for name in keys)}, {new}
FROM fresh f LEFT JOIN {table} x ON x.district = %(district)s AND {same}
WHERE x.round IS NULL OR ({kept}) IS DISTINCT FROM ({new})
ON CONFLICT (district, {", ".join(keys)}) DO UPDATE
SET {", ".join(f"{name} = EXCLUDED.{name}" for name in measures)}"""  # noqa: S608 - constants only


PLACE = {"area": "text", "site": "int"}

# --- people by area -------------------------------------------------------------------------------------------

# Everything about an area is read through LATERAL … OFFSET 0: one index range for each marked area, however many rows
# the round has, whatever the planner believes about them.
PEOPLE = f"""
SELECT c.round, c.area, c.due, c.removed, c.excused, c.hour, c.people, o.outcome
FROM (
    SELECT t.round, t.area, %(district)s AS district, t.operation, g.*
    FROM touched t CROSS JOIN LATERAL (
        SELECT c.rostered AND NOT c.removed AS due, c.rostered AND c.removed AS removed,
            c.excused IS NOT NULL AS excused, c.hour, c.tubes, {NAME_CONFLICT} AS name_conflict, count(*) AS people
        FROM testing_coverage c
        WHERE c.district = %(district)s AND c.round = t.round AND c.area = t.area
        GROUP BY c.tubes, c.hour, 1, 2, 3, 6
        OFFSET 0
    ) g
) c {OUTCOME}"""  # noqa: S608

# Told from the few rows of people who are several ids: nobody else can be a double.
MERGED = """e.person IN (
        SELECT i.person FROM people_identity i WHERE i.district = %(district)s AND i.canonical <> i.person)"""
ROSTER = f"""
SELECT a.round, a.area, n.entries, n.doubles
FROM touched a CROSS JOIN LATERAL (
    SELECT count(*) AS entries, count(*) FILTER (WHERE {MERGED} AND {IS_DOUBLE}) AS doubles
    FROM testing_roster_entry e
    WHERE e.district = %(district)s AND e.round = a.round AND e.area = a.area
) n"""  # noqa: S608
ADDITIONS = f"""
SELECT a.round, a.area, n.people
FROM touched a CROSS JOIN LATERAL (SELECT count(*) AS people FROM ({ADDED}) c) n"""  # noqa: S608


def people_sum(condition: str, name: str) -> str:
    """One measure of an area cell: the people of the parts that meet the condition."""
    return f"coalesce(sum(people) FILTER (WHERE {condition}), 0) AS {name}"


def outcome_sums(what: str, prefix: str) -> list[str]:
    """People with a result, and by result. ``pending`` is a result that nobody is told as positive."""
    with_result = ", ".join(f"'{outcome}'" for outcome in WITH_RESULT)
    return [people_sum(f"what = '{what}' AND outcome IN ({with_result})", f"{prefix}resulted")] + [
        people_sum(f"what = '{what}' AND outcome = '{outcome}'", f"{prefix}{outcome}")
        for outcome in ("negative", "pending", "positive")
    ]


AREA_SUMS = ", ".join(
    [
        people_sum("what = 'frozen'", "frozen"),
        people_sum("what = 'added'", "added"),
        people_sum("what = 'removed'", "removed"),
        people_sum("what = 'excused'", "excused"),
        people_sum("what = 'due'", "sampled"),
        *outcome_sums("due", ""),
        people_sum("what = 'unlisted'", "unlisted"),
        *outcome_sums("unlisted", "unlisted_"),
    ]
)
AREA_FRESH = f"""people AS MATERIALIZED ({PEOPLE}
), roster AS MATERIALIZED ({ROSTER}
), part AS (
    SELECT round, area, {EPOCH} AS hour, 'frozen' AS what, '' AS outcome, entries AS people FROM roster
    UNION ALL SELECT round, area, {EPOCH}, 'removed', '', doubles FROM roster
    UNION ALL SELECT round, area, {EPOCH}, 'added', '', people FROM ({ADDITIONS}) additions
    UNION ALL SELECT round, area, {EPOCH}, 'removed', '', people FROM people WHERE removed
    UNION ALL SELECT round, area, {EPOCH}, 'excused', '', people FROM people
        WHERE due AND excused AND outcome = 'none'
    UNION ALL SELECT round, area, coalesce(hour, {EPOCH}), CASE WHEN due THEN 'due' ELSE 'unlisted' END, outcome, people
        FROM people WHERE outcome <> 'none'
), fresh AS (
    SELECT round, area, hour, {AREA_SUMS} FROM part WHERE people > 0 GROUP BY round, area, hour
)"""  # noqa: S608
AREA_CELLS = write_cells("figures_area_cell", "area", AREA_MEASURES, AREA_FRESH)

# --- tubes and stations by point ------------------------------------------------------------------------------

# States 9 and 10 of testing.TubeState are voided and rejected. Tubes of which no sample is known count as nothing yet.
VALID = "x.samples > 0 AND x.state NOT IN (9, 10)"
NOT_VOIDED = "x.state <> 9"
TRANSPORT_LIMIT = "make_interval(mins => (t.body #>> '{transport,swab_to_lab_minutes}')::int)"
TUBES = f"""
SELECT t.round, t.site, coalesce(x.hour, {EPOCH}) AS hour,
    coalesce(sum(x.samples) FILTER (WHERE {VALID}), 0) AS samples,
    count(*) FILTER (WHERE {VALID}) AS tubes,
    count(x.sealed_at) FILTER (WHERE {NOT_VOIDED}) AS sealed,
    count(x.packed_at) FILTER (WHERE {NOT_VOIDED}) AS packed,
    count(x.handed_at) FILTER (WHERE {NOT_VOIDED}) AS handed,
    count(x.received_at) FILTER (WHERE {NOT_VOIDED}) AS received,
    count(*) FILTER (WHERE {NOT_VOIDED} AND x.received_at <= x.first_at + {TRANSPORT_LIMIT}) AS on_time,
    count(x.read_at) FILTER (WHERE {NOT_VOIDED}) AS read,
    count(x.released_at) FILTER (WHERE {VALID}) AS released,
    count(x.released_at) FILTER (WHERE {VALID} AND x.outcome IN (2, 3)) AS not_negative,
    count(*) FILTER (WHERE x.state = 9) AS voided,
    count(*) FILTER (WHERE x.state = 10) AS rejected,
    count(*) FILTER (WHERE x.contested) AS contested
FROM touched t JOIN testing_tube x ON x.district = %(district)s AND x.round = t.round AND x.site = t.site
GROUP BY 1, 2, 3"""  # noqa: S608

# A station is open from an opening to whatever is reported of it next; the last opening lasts until its last sample.
# A clock gone wild must not open a station for years: an opening counts a month at most.
OPENINGS = """
SELECT e.round, e.site, e.happened_at AS since, least(e.happened_at + interval '31 days', coalesce(e.next_at, (
        SELECT max(x.last_at) FROM testing_tube x
        WHERE x.district = %(district)s AND x.round = e.round AND x.site = e.site AND x.station = e.station),
    e.happened_at)) AS until
FROM (
    SELECT t.round, t.site, s.station, s.kind, s.happened_at,
        lead(s.happened_at) OVER (PARTITION BY t.round, t.site, s.station ORDER BY s.happened_at, s.id) AS next_at
    FROM touched t
    JOIN testing_site_event s ON s.district = %(district)s AND s.round = t.round AND s.site = t.site
    WHERE s.kind IN (1, 2) AND NOT EXISTS (
        SELECT 1 FROM journal_withdrawal w WHERE w.district = %(district)s AND w.target = s.id)
) e
WHERE e.kind = 1"""
OPEN_HOURS = f"""
SELECT o.round, o.site, h.hour,
    round(sum(extract(epoch FROM least(o.until, h.hour + interval '1 hour') - greatest(o.since, h.hour))) / 60)
        AS minutes
FROM ({OPENINGS}) o
CROSS JOIN LATERAL generate_series(date_trunc('hour', o.since, 'UTC'), o.until, interval '1 hour') AS h(hour)
GROUP BY 1, 2, 3"""  # noqa: S608
BOXES = """
SELECT t.round, t.site,
    coalesce(sum(b.tubes) FILTER (WHERE b.sealed_count IS NOT NULL), 0) AS boxed,
    coalesce(sum(b.sealed_count), 0) AS boxed_counted,
    coalesce(sum(b.tubes) FILTER (WHERE b.received_count IS NOT NULL), 0) AS delivered,
    coalesce(sum(b.received_count), 0) AS delivered_counted
FROM touched t
JOIN testing_box b ON b.district = %(district)s AND b.operation = t.operation AND b.round = t.round AND b.site = t.site
GROUP BY 1, 2"""

FROM_TUBES = SITE_MEASURES[:13]
FROM_BOXES = SITE_MEASURES[14:]
SITE_FRESH = f"""part AS (
    SELECT round, site, hour, {", ".join(FROM_TUBES)}, 0 AS open_minutes, {", ".join(f"0 AS {n}" for n in FROM_BOXES)}
    FROM ({TUBES}) tubes
    UNION ALL SELECT round, site, hour, {", ".join("0" for _ in FROM_TUBES)}, minutes, 0, 0, 0, 0
    FROM ({OPEN_HOURS}) openings WHERE minutes > 0
    UNION ALL SELECT round, site, {EPOCH}, {", ".join("0" for _ in FROM_TUBES)}, 0, {", ".join(FROM_BOXES)}
    FROM ({BOXES}) boxes
), fresh AS (
    SELECT round, site, hour, {", ".join(f"sum({name}) AS {name}" for name in SITE_MEASURES)}
    FROM part GROUP BY round, site, hour
)"""  # noqa: S608
SITE_CELLS = write_cells("figures_site_cell", "site", SITE_MEASURES, SITE_FRESH)


def minutes(since: str, until: str) -> str:
    """Whole minutes between two moments. Two clocks may differ by half an hour (then 0); what would be longer than a
    week, or further in the past, is a wrong clock and no duration: NULL, counted nowhere.
    """
    seconds = f"extract(epoch FROM x.{until})::bigint - extract(epoch FROM x.{since})::bigint"
    return f"CASE WHEN {seconds} BETWEEN -1800 AND {LONGEST} THEN greatest(({seconds}) / 60, 0)::smallint END"


def written_out(name: str) -> str:
    """The minutes of every tube that has this duration, sorted."""
    return f"coalesce(array_agg({name} ORDER BY {name}) FILTER (WHERE {name} IS NOT NULL), '{{}}') AS {name}"


DURATION_FRESH = f"""taken AS (
    SELECT t.round, t.site, x.hour,
        CASE WHEN x.received_at IS NOT NULL THEN {minutes("first_at", "received_at")} END AS sample_to_receipt,
        CASE WHEN x.released_at IS NOT NULL THEN {minutes("received_at", "released_at")} END AS receipt_to_result,
        CASE WHEN x.released_at IS NOT NULL THEN {minutes("first_at", "released_at")} END AS sample_to_result
    FROM touched t JOIN testing_tube x ON x.district = %(district)s AND x.round = t.round AND x.site = t.site
    WHERE {VALID} AND (x.received_at IS NOT NULL OR x.released_at IS NOT NULL)
), fresh AS (
    SELECT round, site, hour, {", ".join(written_out(name) for name in DURATIONS)}
    FROM taken GROUP BY round, site, hour
)"""  # noqa: S608
DURATION_CELLS = write_cells("figures_duration_cell", "site", DURATIONS, DURATION_FRESH)

# --- the worker's door ----------------------------------------------------------------------------------------


def recompute(cursor: Any, limit: int = 2000, as_of: datetime | None = None) -> int:
    """Take up to ``limit`` marks and recompute the cells they name; how many marks were taken.

    Two statements, and three for each district that has marks, whatever their number. Must run inside a transaction at
    READ COMMITTED: the marks come back if it fails, and each statement sees what was committed before it began.
    ``as_of``: up to when the first stage has taken everything in; noted once no mark is left to be taken here.
    """
    cursor.execute(LOCK)
    cursor.execute(TAKE, {"kinds": list(CELL_MARKS), "limit": limit})
    marks = cursor.fetchall()
    for district in sorted({mark[0] for mark in marks}):
        own = {(kind, *split(key)) for found, kind, key in marks if found == district}
        recompute_areas(cursor, district, sorted((n, area) for kind, n, area in own if kind == MarkKind.AREA_CELL))
        recompute_sites(cursor, district, sorted((n, int(site)) for kind, n, site in own if kind == MarkKind.SITE_CELL))
        if as_of is not None and len(marks) < limit:
            note_as_of(cursor, district, as_of)
    return len(marks)


def split(key: str) -> tuple[int, str]:
    """Round and place of a mark's key."""
    number, _, place = key.partition("/")
    return int(number), place


def recompute_areas(cursor: Any, district: int, keys: Sequence[tuple[int, str]]) -> None:
    """Make the area cells of these (round, area) what the facts say: one statement."""
    if keys:
        cursor.execute(AREA_CELLS, parameters(district, keys))


def recompute_sites(cursor: Any, district: int, keys: Sequence[tuple[int, int]]) -> None:
    """Make the cells of these (round, site) what the facts say: two statements."""
    if keys:
        cursor.execute(SITE_CELLS, parameters(district, keys))
        cursor.execute(DURATION_CELLS, parameters(district, keys))


def parameters(district: int, keys: Sequence[tuple[int, Any]]) -> dict[str, Any]:
    """The places as two arrays."""
    return {"district": district, "rounds": [key[0] for key in keys], "places": [key[1] for key in keys]}


# --- from nothing ---------------------------------------------------------------------------------------------

EVERY_AREA = """
SELECT round, area FROM testing_roster_entry WHERE district = %(district)s AND round = ANY(%(rounds)s) GROUP BY 1, 2
UNION
SELECT round, area FROM testing_coverage WHERE district = %(district)s AND round = ANY(%(rounds)s) GROUP BY 1, 2"""
EVERY_SITE = """
SELECT round, site FROM testing_tube WHERE district = %(district)s AND round = ANY(%(rounds)s) AND site IS NOT NULL
UNION SELECT round, site FROM testing_site_event WHERE district = %(district)s AND round = ANY(%(rounds)s)
UNION SELECT round, site FROM testing_box
    WHERE district = %(district)s AND round = ANY(%(rounds)s) AND site IS NOT NULL"""
TABLES = ("figures_area_cell", "figures_site_cell", "figures_duration_cell")


def rebuild(district: int, round_id: int | None = None) -> None:
    """Throw the cells of a round (or of all rounds of the district) away and work them out from nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK)
        cursor.execute("SELECT id FROM testing_round WHERE district = %s ORDER BY id", [district])
        rounds = [row[0] for row in cursor.fetchall() if round_id in (None, row[0])]
        for table in TABLES:
            cursor.execute(
                f"DELETE FROM {table} WHERE district = %s AND (round = ANY(%s) OR %s)",  # noqa: S608 - constants only
                [district, rounds, round_id is None],
            )
        cursor.execute(EVERY_AREA, {"district": district, "rounds": rounds})
        recompute_areas(cursor, district, cursor.fetchall())
        cursor.execute(EVERY_SITE, {"district": district, "rounds": rounds})
        recompute_sites(cursor, district, cursor.fetchall())


# --- up to when the cells are true -----------------------------------------------------------------------------


def note_as_of(cursor: Any, district: int, at: datetime) -> None:
    """The worker says: everything that was committed before ``at`` is in the cells. One small row a district."""
    cursor.execute(
        """INSERT INTO figures_freshness AS f (district, as_of) VALUES (%s, %s)
           ON CONFLICT (district) DO UPDATE SET as_of = EXCLUDED.as_of WHERE f.as_of <> EXCLUDED.as_of""",
        [district, at],
    )
