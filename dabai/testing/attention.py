"""What the desk should look at about tubes, people in tubes and boxes: findings derived from the same set of facts.

Each finding has a code, a subject, and the ids of the facts that it rests on. Nothing here blocks anything.
"""

from collections.abc import Sequence
from typing import Any

from dabai.testing.derive import LANDED_OF_TUBES, landed
from dabai.testing.models import DecisionKind, TubeEventKind, TubeState
from dabai.testing.touched import Touched, in_force

READINGS = f"""
results AS (
  SELECT r.tube, array_agg(r.id ORDER BY r.id) AS ids, max(r.happened_at) AS at,
         bool_or(EXISTS (SELECT 1 FROM testing_result_decision d
                         WHERE d.district = r.district AND d.result = r.id AND d.kind = {DecisionKind.RELEASED.value}
                           AND {in_force("d")})) AS released
  FROM testing_result r WHERE r.district = %(district)s AND r.operation = %(operation)s AND r.tube = ANY(%(tubes)s)
    AND {in_force("r")} GROUP BY r.tube)"""
OF_RESULTS = f"""
SELECT 'result.taken_back', t.tube, r.ids, '{{}}'::jsonb, t.area, t.site, t.round, r.at
  FROM t JOIN results r USING (tube) WHERE t.contested AND r.released
UNION ALL
SELECT 'result.not_reviewed', t.tube, r.ids, '{{}}'::jsonb, t.area, t.site, t.round, r.at
  FROM t JOIN results r USING (tube) WHERE r.released AND t.state = {TubeState.READ.value}"""

# Tubes of which nothing but results has changed: only those that are contested or not reported can be a case.
RESULT_FINDINGS = f"""
WITH t AS (SELECT x.* FROM testing_tube x
      WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.tube = ANY(%(tubes)s)
        AND (x.contested OR x.state = {TubeState.READ.value})),
{READINGS} {OF_RESULTS}
"""

FINDINGS = f"""
WITH landed AS MATERIALIZED ({LANDED_OF_TUBES}),
t AS (SELECT x.*, r.pool_size FROM testing_tube x LEFT JOIN testing_round r ON r.id = x.round
      WHERE x.district = %(district)s AND x.operation = %(operation)s AND x.tube = ANY(%(tubes)s)),
facts AS (
  SELECT tube, array_agg(id ORDER BY id) AS ids, max(happened_at) AS at FROM (
    SELECT tube, id, happened_at FROM landed
    UNION ALL SELECT e.tube, e.id, e.happened_at FROM testing_tube_event e
      WHERE e.district = %(district)s AND e.operation = %(operation)s AND e.tube = ANY(%(tubes)s)
        AND e.kind = {TubeEventKind.SEALED.value} AND {in_force("e")}) f GROUP BY tube),
{READINGS}
SELECT 'tube.contested' AS code, t.tube AS subject, f.ids,
       jsonb_build_object('claims', t.claims, 'decided_before', EXISTS (
         SELECT 1 FROM testing_claim_decision d WHERE d.district = %(district)s AND d.operation = %(operation)s
           AND d.tube = t.tube AND {in_force("d")})) AS detail, t.area, t.site, t.round, f.at
  FROM t JOIN facts f USING (tube) WHERE t.contested
UNION ALL {OF_RESULTS}
UNION ALL
SELECT 'tube.count_differs', t.tube, f.ids, jsonb_build_object('sealed', t.sealed_count, 'recorded', t.samples), t.area,
       t.site, t.round, f.at
  FROM t JOIN facts f USING (tube) WHERE NOT t.contested AND t.sealed_count IS NOT NULL AND t.sealed_count <> t.samples
    AND t.sealed_count <> t.samples - t.late
UNION ALL
SELECT 'tube.overfull', t.tube, f.ids, jsonb_build_object('people', t.people, 'limit', t.pool_size), t.area, t.site,
       t.round, f.at
  FROM t JOIN facts f USING (tube) WHERE NOT t.contested AND t.people > t.pool_size
UNION ALL
SELECT 'tube.single_shared', t.tube, f.ids, jsonb_build_object('people', t.people), t.area, t.site, t.round, f.at
  FROM t JOIN facts f USING (tube) WHERE NOT t.contested AND t.single AND t.people > 1
UNION ALL
SELECT 'tube.unregistered', t.tube, COALESCE(r.ids, f.ids), '{{}}', t.area, t.site, t.round, COALESCE(r.at, f.at)
  FROM t LEFT JOIN results r USING (tube) LEFT JOIN facts f USING (tube)
  WHERE t.samples = 0 AND (r.tube IS NOT NULL OR f.tube IS NOT NULL)
UNION ALL
SELECT 'tube.sample_after_seal', t.tube, array_agg(l.id ORDER BY l.id), '{{}}', min(t.area), min(t.site), min(t.round),
       max(l.happened_at)
  FROM t JOIN landed l USING (tube) WHERE NOT t.contested AND NOT l.late AND l.happened_at > t.sealed_at GROUP BY t.tube
UNION ALL
SELECT 'tube.person_unknown', l.tube, array_agg(l.id ORDER BY l.id), jsonb_build_object('people', count(*)),
min(t.area),
       min(t.site), min(t.round), max(l.happened_at)
  FROM landed l JOIN t USING (tube)
  WHERE NOT EXISTS (SELECT 1 FROM people_person p WHERE p.district = %(district)s AND p.id = l.person)
  GROUP BY l.tube
"""

TWICE = """
SELECT c.person FROM testing_coverage c
WHERE c.district = %(district)s AND c.person = ANY(%(people)s) AND c.samples > 1 AND cardinality(c.tubes) > 1
  AND NOT EXISTS (
    SELECT 1 FROM testing_tube o WHERE o.district = %(district)s AND o.operation = %(operation)s
      AND o.tube = ANY(c.tubes) AND o.single)
"""

TWICE_FINDINGS = f"""
WITH member AS (
  SELECT unnest(%(people)s::uuid[]) AS person, unnest(%(people)s::uuid[]) AS canonical
  UNION SELECT i.person, i.canonical FROM people_identity i
    WHERE i.district = %(district)s AND i.canonical = ANY(%(people)s)),
landed AS MATERIALIZED ({landed("(SELECT DISTINCT person FROM member) g", "person")})
SELECT 'person.sampled_twice', c.person::text, array_agg(l.id ORDER BY l.id),
       jsonb_build_object('tubes', cardinality(c.tubes)), c.area, c.site, c.round, max(l.happened_at)
FROM testing_coverage c JOIN member m ON m.canonical = c.person
JOIN landed l ON l.person = m.person AND l.round = c.round
WHERE c.district = %(district)s AND c.person = ANY(%(people)s) AND c.samples > 1 AND cardinality(c.tubes) > 1
  AND l.tube = ANY(c.tubes) AND NOT EXISTS (
    SELECT 1 FROM testing_tube o WHERE o.district = %(district)s AND o.operation = %(operation)s
      AND o.tube = ANY(c.tubes) AND o.single)
GROUP BY c.person, c.tubes, c.area, c.site, c.round
"""

BOX_FINDINGS = f"""
SELECT 'box.count_differs', b.box, array_agg(e.id ORDER BY e.id),
       jsonb_build_object('packed', b.tubes, 'sealed', b.sealed_count, 'handed', b.handed_count,
                          'received', b.received_count),
       b.area, b.site, b.round, max(e.happened_at)
FROM testing_box b JOIN testing_box_event e
  ON e.district = b.district AND e.operation = b.operation AND e.box = b.box AND {in_force("e")}
WHERE b.district = %(district)s AND b.operation = %(operation)s AND b.box = ANY(%(boxes)s)
  AND (b.tubes <> COALESCE(b.sealed_count, b.tubes) OR b.tubes <> COALESCE(b.handed_count, b.tubes)
       OR b.tubes <> COALESCE(b.received_count, b.tubes))
GROUP BY b.district, b.operation, b.box, b.tubes, b.sealed_count, b.handed_count, b.received_count, b.area, b.site,
         b.round
UNION ALL
SELECT 'box.rack_differs', p.container, array_agg(p.id ORDER BY p.id),
       jsonb_build_object('recorded', sum(p.items), 'rack', sum(p.rack)), min(e.area), min(e.site), NULL,
       max(p.happened_at)
FROM (SELECT p.id, p.container, p.happened_at, p.rack, count(*) AS items FROM testing_packing p
      WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.container = ANY(%(boxes)s)
        AND p.rack IS NOT NULL AND {in_force("p")}
      GROUP BY p.id, p.container, p.happened_at, p.rack HAVING count(*) <> p.rack) p
JOIN journal_entry e ON e.district = %(district)s AND e.id = p.id
GROUP BY p.container
"""

COLUMNS = ("code", "subject", "facts", "detail", "area", "site", "round", "happened_at")


def findings(cursor: Any, touched: Touched) -> list[dict[str, Any]]:
    """Every finding about the touched tubes, boxes and people: at most five statements."""
    found: list[dict[str, Any]] = []
    if touched.results:
        found += read(cursor, FINDINGS, touched.parameters(tubes=touched.results))
    if touched.read:
        found += read(cursor, RESULT_FINDINGS, touched.parameters(tubes=touched.read))
    if touched.boxes:
        found += read(cursor, BOX_FINDINGS, touched.parameters(boxes=touched.boxes))
    found += sampled_twice(cursor, touched)
    return found


def sampled_twice(cursor: Any, touched: Touched) -> list[dict[str, Any]]:
    """People with valid samples in two pools of a round: nearly always there are none, and one statement says so."""
    if not touched.covered:
        return []
    cursor.execute(TWICE, touched.parameters(people=touched.covered))
    people = {row[0] for row in cursor.fetchall()}
    return latest_round(read(cursor, TWICE_FINDINGS, touched.parameters(people=people))) if people else []


def latest_round(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One case a person: of their newest round."""
    return list({one["subject"]: one for one in sorted(found, key=lambda one: one["round"])}.values())


def read(cursor: Any, statement: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows as dictionaries; fact ids as sorted texts."""
    cursor.execute(statement, parameters)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        row["facts"] = sorted(str(one) for one in row["facts"])
    return rows


def looked_at(touched: Touched) -> dict[str, set[str]]:
    """The subjects that ``findings`` examined, by the first word of the codes that it can raise about them."""
    people = {str(one) for one in touched.covered}
    return {"tube": touched.results, "result": touched.results | touched.read, "box": touched.boxes, "person": people}


def open_codes() -> Sequence[str]:
    """The codes that this module can raise."""
    return (
        "tube.contested",
        "result.taken_back",
        "result.not_reviewed",
        "tube.count_differs",
        "tube.overfull",
        "tube.single_shared",
        "tube.unregistered",
        "tube.sample_after_seal",
        "tube.person_unknown",
        "person.sampled_twice",
        "box.count_differs",
        "box.rack_differs",
    )
