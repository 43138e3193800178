"""Derived state of tubes, boxes and coverage: a pure function of the set of facts, recomputed where marks point.

Whatever order facts came in, the rows written here are the same. A sample *lands* in a tube: the tube it was recorded
in, or the one it was moved to; then, when two teams had used that barcode, the one that a desk's settlement gave to
its claim (round, site, station). A tube in which two claims land is contested and has no result for anyone. Every
function takes the keys of a whole batch and runs a fixed number of statements.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from dabai.testing.models import BoxEventKind, ChangeKind, TubeEventKind, TubeState
from dabai.testing.readings import BEFORE_READING, READ_AND_RESULT, derive_results, resolve_readings
from dabai.testing.touched import Touched, in_force


def landed(keys: str, key: str, more: str = "") -> str:
    """Where samples land: those that have a key of the relation ``keys`` (``g.key``) in their column of that name.

    Every key is looked up by itself (LATERAL … OFFSET 0). The planner knows nothing of a round that has just begun and
    would rather read all of it again for each batch of facts.
    """
    return f"""
SELECT s.id, s.round, s.person, s.site, s.station, s.single, s.late, s.happened_at, s.operation,
       CASE WHEN d.id IS NULL THEN p.placed ELSE d.becomes END AS tube
FROM {keys} CROSS JOIN LATERAL (
  SELECT s.* FROM testing_sample s
  WHERE s.district = %(district)s AND s.operation = %(operation)s AND s.{key} = g.{key} {more} OFFSET 0) s
LEFT JOIN LATERAL (
  SELECT m.to_tube FROM testing_sample_move m
  WHERE m.district = s.district AND m.sample = s.id AND {in_force("m")}
  ORDER BY m.happened_at DESC, m.id DESC LIMIT 1) m ON true
CROSS JOIN LATERAL (SELECT COALESCE(m.to_tube, s.tube) AS placed) p
LEFT JOIN LATERAL (
  SELECT d.id, d.becomes FROM testing_claim_decision d
  WHERE d.district = s.district AND d.operation = s.operation AND d.tube = p.placed AND d.round = s.round
    AND d.site = s.site AND d.station = s.station AND {in_force("d")}
  ORDER BY d.happened_at DESC, d.id DESC LIMIT 1) d ON true
WHERE {in_force("s")}
"""


LANDED_OF_TUBES = landed("unnest(%(tubes)s::text[]) AS g(tube)", "tube")

RESOLVE = """
SELECT 'tube' AS what, tube AS key FROM testing_sample WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'tube', s.tube FROM testing_sample_move m
  JOIN testing_sample s ON s.district = m.district AND s.id = m.sample
  WHERE m.district = %(district)s AND m.id = ANY(%(facts)s)
UNION SELECT 'tube', to_tube FROM testing_sample_move WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'tube', tube FROM testing_tube_event WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'tube', tube FROM testing_claim_decision WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'tube', becomes FROM testing_claim_decision
  WHERE district = %(district)s AND id = ANY(%(facts)s) AND becomes IS NOT NULL
UNION SELECT 'result', tube FROM testing_result WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'result', r.tube FROM testing_result_decision d
  JOIN testing_result r ON r.district = d.district AND r.id = d.result
  WHERE d.district = %(district)s AND d.id = ANY(%(facts)s)
UNION SELECT 'result', item FROM testing_packing WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'box', container FROM testing_packing WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'box', box FROM testing_box_event WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'person', person::text FROM testing_roster_change WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'person', one::text FROM people_merge WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'person', other::text FROM people_merge WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT 'person', person::text FROM people_correction WHERE district = %(district)s AND id = ANY(%(facts)s)
UNION SELECT CASE split_part(code, '.', 1) WHEN 'box' THEN 'box' WHEN 'people' THEN 'person' WHEN 'person' THEN 'person'
               ELSE 'result' END, subject
  FROM journal_settlement WHERE district = %(district)s AND operation = %(operation)s AND id = ANY(%(facts)s)
UNION SELECT 'site', round || '/' || site FROM testing_site_event WHERE district = %(district)s AND id = ANY(%(facts)s)
"""

CONTENTS = """
WITH inner_items AS (SELECT item FROM testing_packing
                     WHERE district = %(district)s AND operation = %(operation)s AND container = ANY(%(boxes)s))
SELECT 'tube' AS what, item AS key FROM inner_items
UNION SELECT 'box', item FROM inner_items
UNION SELECT 'tube', p.item FROM testing_packing p JOIN inner_items i ON p.container = i.item
  WHERE p.district = %(district)s AND p.operation = %(operation)s
UNION SELECT 'box', p.container FROM testing_packing p JOIN inner_items i ON p.item = i.item
  WHERE p.district = %(district)s AND p.operation = %(operation)s
UNION SELECT 'box', container FROM testing_packing
  WHERE district = %(district)s AND operation = %(operation)s AND item = ANY(%(boxes)s)
"""

# Every tube that shares a sample with another through a move or a settlement, in force or not: a superset that is safe.
CLOSURE = """
WITH RECURSIVE reach(tube) AS (
  SELECT unnest(%(tubes)s::text[])
  UNION
  SELECT l.tube FROM reach r CROSS JOIN LATERAL (
    SELECT m.to_tube AS tube FROM testing_sample s
      JOIN testing_sample_move m ON m.district = s.district AND m.sample = s.id
      WHERE s.district = %(district)s AND s.operation = %(operation)s AND s.tube = r.tube
    UNION ALL
    SELECT s.tube FROM testing_sample_move m JOIN testing_sample s ON s.district = m.district AND s.id = m.sample
      WHERE m.district = %(district)s AND m.operation = %(operation)s AND m.to_tube = r.tube
    UNION ALL
    SELECT becomes FROM testing_claim_decision
      WHERE district = %(district)s AND operation = %(operation)s AND tube = r.tube AND becomes IS NOT NULL
    UNION ALL
    SELECT tube FROM testing_claim_decision
      WHERE district = %(district)s AND operation = %(operation)s AND becomes = r.tube) l)
SELECT tube FROM reach
"""

TUBES = f"""
WITH t AS (SELECT DISTINCT unnest(%(tubes)s::text[]) AS tube),
landed AS MATERIALIZED ({LANDED_OF_TUBES}),
sealed AS MATERIALIZED (
  SELECT e.happened_at, e.id, e.round, e.site, e.station, e.count,
         CASE WHEN d.id IS NULL THEN e.tube ELSE d.becomes END AS tube
  FROM testing_tube_event e
  LEFT JOIN LATERAL (
    SELECT d.id, d.becomes FROM testing_claim_decision d
    WHERE d.district = e.district AND d.operation = e.operation AND d.tube = e.tube AND d.round = e.round
      AND d.site = e.site AND d.station = e.station AND {in_force("d")}
    ORDER BY d.happened_at DESC, d.id DESC LIMIT 1) d ON true
  WHERE e.district = %(district)s AND e.operation = %(operation)s AND e.tube = ANY(%(tubes)s)
    AND e.kind = {TubeEventKind.SEALED.value} AND {in_force("e")}),
claims AS (
  SELECT tube, count(*) AS claims, min(round) AS round FROM (
    SELECT tube, round, site, station FROM landed WHERE tube IS NOT NULL
    UNION SELECT tube, round, site, station FROM sealed WHERE tube IS NOT NULL) c GROUP BY tube),
agg AS (
  SELECT l.tube, count(*) AS samples, count(DISTINCT COALESCE(i.canonical, l.person)) AS people,
         bool_or(l.single) AS single, count(*) FILTER (WHERE l.late) AS late,
         min(l.happened_at) AS first_at, max(l.happened_at) AS last_at,
         (array_agg(l.site ORDER BY l.happened_at, l.id))[1] AS site,
         (array_agg(l.station ORDER BY l.happened_at, l.id))[1] AS station
  FROM landed l LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = l.person
  WHERE l.tube IS NOT NULL GROUP BY l.tube),
seal AS (
  SELECT DISTINCT ON (tube) tube, happened_at AS sealed_at, count AS sealed_count, site, station FROM sealed
  ORDER BY tube, happened_at DESC, id DESC),
event AS (
  SELECT e.tube, bool_or(e.kind = {TubeEventKind.VOIDED.value}) AS voided,
         bool_or(e.kind = {TubeEventKind.REJECTED.value}) AS rejected,
         min(e.happened_at) FILTER (WHERE e.kind = {TubeEventKind.RUN_STARTED.value}) AS run_at
  FROM testing_tube_event e
  WHERE e.district = %(district)s AND e.operation = %(operation)s AND e.tube = ANY(%(tubes)s)
    AND e.kind <> {TubeEventKind.SEALED.value} AND {in_force("e")} GROUP BY e.tube),
packed AS (
  SELECT t.tube, p.happened_at AS packed_at, COALESCE(q.container, p.container) AS box FROM t
  CROSS JOIN LATERAL (
    SELECT p.container, p.happened_at FROM testing_packing p
    WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.item = t.tube AND {in_force("p")}
    ORDER BY p.happened_at DESC, p.id DESC LIMIT 1) p
  LEFT JOIN LATERAL (
    SELECT q.container FROM testing_packing q
    WHERE q.district = %(district)s AND q.operation = %(operation)s AND q.item = p.container AND {in_force("q")}
    ORDER BY q.happened_at DESC, q.id DESC LIMIT 1) q ON true),
carried AS (
  SELECT b.box, min(b.happened_at) FILTER (WHERE b.kind = {BoxEventKind.HANDED_OVER.value}) AS handed_at,
         min(b.happened_at) FILTER (WHERE b.kind = {BoxEventKind.RECEIVED.value}) AS received_at,
         min(b.site) FILTER (WHERE b.kind = {BoxEventKind.RECEIVED.value}) AS lab
  FROM testing_box_event b
  WHERE b.district = %(district)s AND b.operation = %(operation)s AND b.box IN (SELECT box FROM packed)
    AND {in_force("b")} GROUP BY b.box),
{READ_AND_RESULT},
whole AS (
  SELECT t.tube, c.round, COALESCE(a.site, s.site) AS site, COALESCE(a.station, s.station) AS station,
         COALESCE(c.claims, 0) AS claims, COALESCE(c.claims, 0) > 1 AS contested,
         COALESCE(e.voided, false) AS voided, COALESCE(e.rejected, false) AS rejected,
         COALESCE(a.samples, 0) AS samples, COALESCE(a.people, 0) AS people, COALESCE(a.single, false) AS single,
         COALESCE(a.late, 0) AS late, a.first_at, a.last_at,
         date_trunc('hour', COALESCE(a.first_at, s.sealed_at), 'UTC') AS hour,
         s.sealed_at, s.sealed_count, p.box, p.packed_at, k.handed_at, k.received_at,
         COALESCE(k.lab, r.lab) AS lab, e.run_at, r.read_at, f.id AS result, f.outcome, f.released_at
  FROM t LEFT JOIN claims c USING (tube) LEFT JOIN agg a USING (tube) LEFT JOIN seal s USING (tube)
  LEFT JOIN event e USING (tube) LEFT JOIN packed p USING (tube) LEFT JOIN carried k ON k.box = p.box
  LEFT JOIN read r USING (tube) LEFT JOIN result f USING (tube)
  WHERE a.tube IS NOT NULL OR s.tube IS NOT NULL OR e.tube IS NOT NULL OR r.tube IS NOT NULL),
gone AS (
  DELETE FROM testing_tube x USING t
  WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.tube = t.tube
    AND NOT EXISTS (SELECT 1 FROM whole w WHERE w.tube = t.tube))
INSERT INTO testing_tube (district, operation, tube, round, site, station, area, state, claims, contested, samples,
people,
  single, late, first_at, last_at, hour, sealed_at, sealed_count, box, packed_at, handed_at, received_at, lab, run_at,
  read_at, released_at, result, outcome)
SELECT %(district)s, %(operation)s, w.tube, w.round, w.site, w.station, COALESCE(z.area, ''),
  CASE WHEN w.contested THEN {TubeState.CONTESTED.value} WHEN w.voided THEN {TubeState.VOIDED.value}
       WHEN w.rejected THEN {TubeState.REJECTED.value} WHEN w.result IS NOT NULL THEN {TubeState.REPORTED.value}
       WHEN w.read_at IS NOT NULL THEN {TubeState.READ.value} ELSE {BEFORE_READING.format(row="w")} END,
  w.claims, w.contested, w.samples, w.people, w.single, w.late, w.first_at, w.last_at, w.hour, w.sealed_at,
  w.sealed_count, COALESCE(w.box, ''), w.packed_at, w.handed_at, w.received_at, w.lab, w.run_at, w.read_at,
  CASE WHEN w.contested OR w.voided OR w.rejected THEN NULL ELSE w.released_at END,
  CASE WHEN w.contested OR w.voided OR w.rejected THEN NULL ELSE w.result END,
  CASE WHEN w.contested OR w.voided OR w.rejected THEN NULL ELSE w.outcome END
FROM whole w LEFT JOIN places_site z ON z.id = w.site
ON CONFLICT (district, operation, tube) DO UPDATE SET
  (round, site, station, area, state, claims, contested, samples, people, single, late, first_at, last_at, hour,
   sealed_at, sealed_count, box, packed_at, handed_at, received_at, lab, run_at, read_at, released_at, result, outcome)
  = (EXCLUDED.round, EXCLUDED.site, EXCLUDED.station, EXCLUDED.area, EXCLUDED.state, EXCLUDED.claims,
     EXCLUDED.contested, EXCLUDED.samples, EXCLUDED.people, EXCLUDED.single, EXCLUDED.late, EXCLUDED.first_at,
     EXCLUDED.last_at, EXCLUDED.hour, EXCLUDED.sealed_at, EXCLUDED.sealed_count, EXCLUDED.box, EXCLUDED.packed_at,
     EXCLUDED.handed_at, EXCLUDED.received_at, EXCLUDED.lab, EXCLUDED.run_at, EXCLUDED.read_at, EXCLUDED.released_at,
     EXCLUDED.result, EXCLUDED.outcome)
WHERE (testing_tube.*) IS DISTINCT FROM (EXCLUDED.*)
"""

TUBE_KEYS = """
SELECT tube, round, site, box, outcome, contested, state IN (%(voided)s, %(rejected)s) FROM testing_tube
WHERE district = %(district)s AND operation = %(operation)s AND tube = ANY(%(tubes)s)
"""

BOXES = f"""
WITH t AS (SELECT DISTINCT unnest(%(boxes)s::text[]) AS box),
inner_items AS (
  SELECT t.box, p.item FROM t JOIN testing_packing p
    ON p.district = %(district)s AND p.operation = %(operation)s AND p.container = t.box
  WHERE {in_force("p")} AND p.id = (
    SELECT q.id FROM testing_packing q
    WHERE q.district = p.district AND q.operation = p.operation AND q.item = p.item AND {in_force("q")}
    ORDER BY q.happened_at DESC, q.id DESC LIMIT 1)),
content AS (
  SELECT i.box, count(DISTINCT COALESCE(p.item, i.item)) AS tubes FROM inner_items i
  LEFT JOIN testing_packing p ON p.district = %(district)s AND p.operation = %(operation)s AND p.container = i.item
    AND {in_force("p")} AND p.id = (
      SELECT q.id FROM testing_packing q
      WHERE q.district = p.district AND q.operation = p.operation AND q.item = p.item AND {in_force("q")}
      ORDER BY q.happened_at DESC, q.id DESC LIMIT 1)
  GROUP BY i.box),
event AS (
  SELECT b.box,
    min(b.happened_at) FILTER (WHERE b.kind = {BoxEventKind.SEALED.value}) AS sealed_at,
    min(b.happened_at) FILTER (WHERE b.kind = {BoxEventKind.HANDED_OVER.value}) AS handed_at,
    min(b.happened_at) FILTER (WHERE b.kind = {BoxEventKind.RECEIVED.value}) AS received_at,
    (array_agg(b.count ORDER BY b.happened_at DESC, b.id DESC)
      FILTER (WHERE b.kind = {BoxEventKind.SEALED.value}))[1] AS sealed_count,
    (array_agg(b.count ORDER BY b.happened_at DESC, b.id DESC)
      FILTER (WHERE b.kind = {BoxEventKind.HANDED_OVER.value}))[1] AS handed_count,
    (array_agg(b.count ORDER BY b.happened_at DESC, b.id DESC)
      FILTER (WHERE b.kind = {BoxEventKind.RECEIVED.value}))[1] AS received_count,
    min(b.site) FILTER (WHERE b.kind = {BoxEventKind.RECEIVED.value}) AS lab,
    min(b.site) FILTER (WHERE b.kind <> {BoxEventKind.RECEIVED.value}) AS site,
    max(b.seal) AS seal, max(b.note) AS note
  FROM testing_box_event b JOIN t USING (box)
  WHERE b.district = %(district)s AND b.operation = %(operation)s AND {in_force("b")} GROUP BY b.box),
whole AS (
  SELECT t.box, e.sealed_at, e.handed_at, e.received_at, e.sealed_count, e.handed_count, e.received_count, e.lab,
         e.site, COALESCE(e.seal, '') AS seal, COALESCE(e.note, '') AS note, COALESCE(c.tubes, 0) AS tubes
  FROM t LEFT JOIN event e USING (box) LEFT JOIN content c USING (box)
  WHERE e.box IS NOT NULL OR (c.box IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM testing_packing p
    WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.item = t.box AND {in_force("p")}))),
gone AS (
  DELETE FROM testing_box x USING t
  WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.box = t.box
    AND NOT EXISTS (SELECT 1 FROM whole w WHERE w.box = t.box))
INSERT INTO testing_box (district, operation, box, round, site, area, tubes, sealed_at, sealed_count, handed_at,
  handed_count, received_at, received_count, lab, seal, note)
SELECT %(district)s, %(operation)s, w.box,
  (SELECT min(x.round) FROM testing_tube x
   WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.box = w.box),
  w.site, COALESCE(z.area, ''), w.tubes, w.sealed_at, w.sealed_count, w.handed_at, w.handed_count, w.received_at,
  w.received_count, w.lab, w.seal, w.note
FROM whole w LEFT JOIN places_site z ON z.id = w.site
ON CONFLICT (district, operation, box) DO UPDATE SET
  (round, site, area, tubes, sealed_at, sealed_count, handed_at, handed_count, received_at, received_count, lab, seal,
   note)
  = (EXCLUDED.round, EXCLUDED.site, EXCLUDED.area, EXCLUDED.tubes, EXCLUDED.sealed_at, EXCLUDED.sealed_count,
     EXCLUDED.handed_at, EXCLUDED.handed_count, EXCLUDED.received_at, EXCLUDED.received_count, EXCLUDED.lab,
     EXCLUDED.seal, EXCLUDED.note)
WHERE (testing_box.*) IS DISTINCT FROM (EXCLUDED.*)
"""

BOX_POINTS = """
SELECT DISTINCT round, site FROM testing_box
WHERE district = %(district)s AND operation = %(operation)s AND box = ANY(%(boxes)s)
  AND round IS NOT NULL AND site IS NOT NULL
"""

# Whoever may have a row of coverage: each of the people in each of the rounds.
KEYS = "unnest(%(people)s::uuid[]) AS k(person) CROSS JOIN unnest(%(rounds)s::int[]) AS n(round)"

COVERED_CELLS = f"""
SELECT DISTINCT c.round, c.area FROM {KEYS} CROSS JOIN LATERAL (
  SELECT c.round, c.area FROM testing_coverage c
  WHERE c.district = %(district)s AND c.round = n.round AND c.person = k.person OFFSET 0) c
"""

COVERAGE = f"""
WITH canon AS (SELECT DISTINCT unnest(%(people)s::uuid[]) AS person),
member AS MATERIALIZED (
  SELECT person, person AS canonical FROM canon
  UNION SELECT i.person, i.canonical FROM canon c CROSS JOIN LATERAL (
    SELECT i.person, i.canonical FROM people_identity i
    WHERE i.district = %(district)s AND i.canonical = c.person OFFSET 0) i),
landed AS MATERIALIZED ({landed("member g", "person", "AND s.round = ANY(%(rounds)s)")}),
sampled AS (
  SELECT l.round, m.canonical AS person, count(*) AS samples, min(l.happened_at) AS first_at,
         array_agg(DISTINCT l.tube ORDER BY l.tube) AS tubes,
         (array_agg(l.site ORDER BY l.happened_at, l.id))[1] AS site
  FROM landed l JOIN member m USING (person)
  JOIN testing_tube t ON t.district = %(district)s AND t.operation = %(operation)s AND t.tube = l.tube
  WHERE t.state NOT IN ({TubeState.VOIDED.value}, {TubeState.REJECTED.value})
  GROUP BY l.round, m.canonical),
roster AS (
  SELECT DISTINCT ON (e.round, m.canonical) e.round, m.canonical AS person, e.area
  FROM member m CROSS JOIN unnest(%(rounds)s::int[]) AS n(round) CROSS JOIN LATERAL (
    SELECT e.round, e.person, e.area FROM testing_roster_entry e
    WHERE e.district = %(district)s AND e.round = n.round AND e.person = m.person OFFSET 0) e
  ORDER BY e.round, m.canonical, e.person),
change AS (
  SELECT x.round, m.canonical AS person, x.kind, x.area, x.happened_at, x.id
  FROM member m CROSS JOIN LATERAL (
    SELECT x.* FROM testing_roster_change x WHERE x.district = %(district)s AND x.person = m.person OFFSET 0) x
  WHERE x.round = ANY(%(rounds)s) AND {in_force("x")}),
changed AS (
  SELECT round, person,
    (array_agg(kind ORDER BY happened_at DESC, id DESC)
      FILTER (WHERE kind IN ({ChangeKind.ADDED.value}, {ChangeKind.REMOVED.value})))[1] AS listed,
    (array_agg(area ORDER BY happened_at DESC, id DESC) FILTER (WHERE kind = {ChangeKind.ADDED.value}))[1] AS area,
    (array_agg(kind ORDER BY happened_at DESC, id DESC)
      FILTER (WHERE kind IN ({ChangeKind.EXCUSED.value}, {ChangeKind.EXEMPT.value})))[1] AS excused,
    (array_agg(kind ORDER BY happened_at DESC, id DESC)
      FILTER (WHERE kind IN ({ChangeKind.REFUSED.value}, {ChangeKind.ABSENT.value}, {ChangeKind.MOVED.value})))[1]
      AS attempt,
    (array_agg(area ORDER BY happened_at, id))[1] AS spoken_of
  FROM change GROUP BY round, person),
whole AS (
  SELECT round, person, s.samples, s.first_at, s.tubes, s.site, r.area AS roster_area, c.area AS added_area, c.listed,
         c.excused, c.attempt, c.spoken_of
  FROM sampled s FULL JOIN changed c USING (round, person) LEFT JOIN roster r USING (round, person)),
gone AS (
  DELETE FROM testing_coverage x USING (
    SELECT n.round, c.person FROM canon c CROSS JOIN unnest(%(rounds)s::int[]) AS n(round)
    EXCEPT SELECT round, person FROM whole
    UNION SELECT n.round, m.person FROM member m CROSS JOIN unnest(%(rounds)s::int[]) AS n(round)
      WHERE m.person <> m.canonical) k
  WHERE x.district = %(district)s AND x.round = k.round AND x.person = k.person)
INSERT INTO testing_coverage (district, round, person, area, rostered, removed, excused, attempt, samples, hour,
  first_at, site, tubes)
SELECT %(district)s, w.round, w.person,
  COALESCE(w.roster_area, w.added_area, z.area, w.spoken_of),
  w.roster_area IS NOT NULL OR COALESCE(w.listed = {ChangeKind.ADDED.value}, false),
  COALESCE(w.listed = {ChangeKind.REMOVED.value}, false),
  w.excused, w.attempt, COALESCE(w.samples, 0), date_trunc('hour', w.first_at, 'UTC'), w.first_at, w.site,
  COALESCE(w.tubes, '{{}}')
FROM whole w LEFT JOIN places_site z ON z.id = w.site
ON CONFLICT (district, round, person) DO UPDATE SET
  (area, rostered, removed, excused, attempt, samples, hour, first_at, site, tubes)
  = (EXCLUDED.area, EXCLUDED.rostered, EXCLUDED.removed, EXCLUDED.excused, EXCLUDED.attempt, EXCLUDED.samples,
     EXCLUDED.hour, EXCLUDED.first_at, EXCLUDED.site, EXCLUDED.tubes)
WHERE (testing_coverage.*) IS DISTINCT FROM (EXCLUDED.*)
"""

TUBES_OF_PEOPLE = """
SELECT DISTINCT tube FROM testing_sample
WHERE district = %(district)s AND operation = %(operation)s AND person = ANY(%(people)s)
"""

PEOPLE_OF_TUBES = """
SELECT DISTINCT s.round, COALESCE(i.canonical, s.person) FROM testing_sample s
LEFT JOIN people_identity i ON i.district = s.district AND i.person = s.person
WHERE s.district = %(district)s AND s.operation = %(operation)s AND s.tube = ANY(%(tubes)s)
"""

AREAS_OF_TUBES = """
SELECT DISTINCT c.round, c.area FROM testing_sample s
LEFT JOIN people_identity i ON i.district = s.district AND i.person = s.person
CROSS JOIN LATERAL (
  SELECT c.round, c.area FROM testing_coverage c
  WHERE c.district = s.district AND c.round = s.round AND c.person = COALESCE(i.canonical, s.person) OFFSET 0) c
WHERE s.district = %(district)s AND s.operation = %(operation)s AND s.tube = ANY(%(tubes)s)
"""

ROSTER_CELLS = f"""
SELECT DISTINCT e.round, e.area FROM {KEYS} CROSS JOIN LATERAL (
  SELECT e.round, e.area FROM testing_roster_entry e
  WHERE e.district = %(district)s AND e.round = n.round AND e.person = k.person OFFSET 0) e
"""


def resolve(cursor: Any, touched: Touched, facts: Iterable[UUID]) -> None:
    """Add what marked facts (withdrawn ones, moved samples, decided results) are about: one statement."""
    ids = list(facts)
    if not ids:
        return
    cursor.execute(RESOLVE, touched.parameters(facts=ids))
    for what, key in cursor.fetchall():
        add(touched, what, key)
    touched.people.update(ids)  # the id of a registration is the id of the person


def add(touched: Touched, what: str, key: str) -> None:
    """Add one resolved key."""
    if what == "tube":
        touched.tubes.add(key)
    elif what == "result":
        touched.results.add(key)
    elif what == "box":
        touched.boxes.add(key)
    elif what == "person":
        touched.people.add(UUID(key))
    else:
        number, _, site = key.partition("/")
        touched.sites.add((int(number), int(site)))


def open_boxes(cursor: Any, touched: Touched) -> None:
    """A box event is about every tube in the box: one statement."""
    if touched.boxes:
        cursor.execute(CONTENTS, touched.parameters(boxes=touched.boxes))
        for what, key in cursor.fetchall():
            (touched.results if what == "tube" else touched.boxes).add(key)


def closure(cursor: Any, touched: Touched, tubes: set[str]) -> set[str]:
    """The tubes and all that share a sample with them."""
    if not tubes:
        return set()
    cursor.execute(CLOSURE, touched.parameters(tubes=tubes))
    return {row[0] for row in cursor.fetchall()}


def tube_keys(cursor: Any, touched: Touched, tubes: set[str]) -> dict[str, tuple[Any, ...]]:
    """What figures by person and by point depend on, by tube."""
    cursor.execute(
        TUBE_KEYS,
        touched.parameters(tubes=tubes, voided=TubeState.VOIDED.value, rejected=TubeState.REJECTED.value),
    )
    return {row[0]: row[1:] for row in cursor.fetchall()}


def derive_tubes(cursor: Any, touched: Touched) -> tuple[set[str], set[str]]:
    """Recompute tube rows. Returns the tubes whose people must be looked at and those whose result (or validity)
    changed.
    """
    full = closure(cursor, touched, touched.tubes)
    every = full | closure(cursor, touched, touched.results - full)
    if not every:
        return set(), set()
    before = tube_keys(cursor, touched, every)
    cursor.execute(TUBES, touched.parameters(tubes=every))
    after = tube_keys(cursor, touched, every)
    changed = {tube for tube in every if (before.get(tube) or ())[3:] != (after.get(tube) or ())[3:]}
    for row in [*before.values(), *after.values()]:
        if row[0] is not None and row[1] is not None:
            touched.sites.add((row[0], row[1]))
        if row[2]:
            touched.boxes.add(row[2])
    touched.results |= every
    return full, changed


def derive_boxes(cursor: Any, touched: Touched) -> None:
    """Recompute box rows; notes the points whose boxes they are, before and after."""
    if touched.boxes:
        parameters = touched.parameters(boxes=touched.boxes)
        for statement in (BOX_POINTS, BOXES, BOX_POINTS):
            cursor.execute(statement, parameters)
            if statement is BOX_POINTS:
                touched.sites.update(cursor.fetchall())


def derive_coverage(cursor: Any, touched: Touched, people: Sequence[UUID], rounds: Sequence[int]) -> None:
    """Recompute the coverage of these people (any ids of theirs) in these rounds; notes the areas before and after."""
    if not people or not rounds:
        return
    canonical, members = groups(cursor, touched, people)
    cells = touched.parameters(rounds=list(rounds), people=canonical | members)
    cursor.execute(COVERED_CELLS, cells)
    touched.areas.update(cursor.fetchall())
    touched.covered |= canonical | members
    cursor.execute(COVERAGE, touched.parameters(rounds=list(rounds), people=canonical))
    cursor.execute(COVERED_CELLS, cells)
    touched.areas.update(cursor.fetchall())


def groups(cursor: Any, touched: Touched, people: Sequence[UUID]) -> tuple[set[UUID], set[UUID]]:
    """The canonical ids of these people, and every id that belongs to one of them: one statement."""
    cursor.execute(
        """WITH given AS (SELECT DISTINCT unnest(%(people)s::uuid[]) AS person),
           canon AS (SELECT COALESCE(i.canonical, g.person) AS canonical FROM given g
                     LEFT JOIN people_identity i ON i.district = %(district)s AND i.person = g.person)
           SELECT canonical, canonical FROM canon
           UNION SELECT i.canonical, i.person FROM people_identity i JOIN canon USING (canonical)
                 WHERE i.district = %(district)s""",
        touched.parameters(people=list(people)),
    )
    rows = cursor.fetchall()
    return {row[0] for row in rows}, {row[1] for row in rows}


def derive(cursor: Any, touched: Touched, rounds: Sequence[int]) -> None:
    """Recompute everything that the touched keys name. ``rounds`` are those of the operation.

    Identities must be up to date, and ``touched.people`` must hold every id whose group changed.
    """
    open_boxes(cursor, touched)
    if touched.people:
        cursor.execute(TUBES_OF_PEOPLE, touched.parameters(people=touched.people))
        touched.results.update(row[0] for row in cursor.fetchall())
    resolve_readings(cursor, touched)
    full, changed = derive_tubes(cursor, touched)
    changed |= derive_results(cursor, touched)
    if full:
        cursor.execute(PEOPLE_OF_TUBES, touched.parameters(tubes=full))
        pairs = cursor.fetchall()
        derive_coverage(cursor, touched, [person for _, person in pairs], sorted({number for number, _ in pairs}))
    if touched.people:
        derive_coverage(cursor, touched, sorted(touched.people), rounds)
        cursor.execute(ROSTER_CELLS, touched.parameters(people=touched.people, rounds=list(rounds)))
        touched.areas.update(cursor.fetchall())
    if changed - full:
        sources = closure(cursor, touched, changed - full)  # a sample may have been recorded in another tube
        cursor.execute(AREAS_OF_TUBES, touched.parameters(tubes=sources))
        touched.areas.update(cursor.fetchall())
    derive_boxes(cursor, touched)
