"""The inbox's derived cases: kept equal to what derivation finds, settled by facts, reopened by new ones.

A case is settled when a settlement in force names every fact that it rests on. Each change gets a ``seq`` under the
same
lock as the journal, so that the changes feed carries it to phones.
"""

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from dabai.journal.intake import SEQ_LOCK

SETTLEMENTS = """
SELECT s.code, s.subject, s.facts FROM journal_settlement s
WHERE s.district = %s AND s.operation = %s AND s.subject = ANY(%s)
  AND NOT EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = s.district AND w.target = s.id)
"""

UPSERT = """
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(%s, %s))
INSERT INTO journal_attention (district, operation, code, subject, facts, detail, area, site, round, happened_at,
state, seq)
SELECT f.*, nextval('journal_seq') FROM locked,
  unnest(%s::int[], %s::int[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[], %s::text[], %s::int[], %s::int[],
         %s::timestamptz[], %s::text[]) AS f(district, operation, code, subject, facts, detail, area, site, round,
                                             happened_at, state)
ON CONFLICT (district, operation, code, subject) DO UPDATE SET
  (facts, detail, area, site, round, happened_at, state, seq) =
  (EXCLUDED.facts, EXCLUDED.detail, EXCLUDED.area, EXCLUDED.site, EXCLUDED.round, EXCLUDED.happened_at, EXCLUDED.state,
   EXCLUDED.seq)
"""


def renew(
    cursor: Any, district: int, operation: int, looked_at: Mapping[str, Set[str]], found: list[dict[str, Any]]
) -> None:
    """Make cases equal to ``found``: new ones open, unchanged ones stay, gone ones close.

    ``looked_at`` names the subjects that were examined by what they are (the first word of a code: ``tube``,
    ``person``); cases about others are left alone. Must be the last statements before COMMIT: the district's ``seq``
    lock is held afterwards.
    """
    subjects = sorted(set().union(*looked_at.values()))
    if not subjects:
        return
    settled = settlements(cursor, district, operation, subjects)
    wanted = {(one["code"], one["subject"]): with_state(one, settled) for one in found}
    cursor.execute(
        "SELECT code, subject, facts, detail, state, area, site, round, happened_at FROM journal_attention"
        " WHERE district = %s AND operation = %s AND subject = ANY(%s)",
        [district, operation, list(subjects)],
    )
    rows = []
    for code, subject, facts, detail, state, area, site, number, at in cursor.fetchall():
        if subject not in looked_at.get(code.partition(".")[0], ()):
            continue
        case = wanted.pop((code, subject), None)
        old = {"facts": loaded(facts), "detail": loaded(detail), "state": state, "area": area, "site": site}
        old |= {"round": number, "happened_at": at}
        if case is None and state != "gone":
            rows.append({**old, "code": code, "subject": subject, "state": "gone"})
        elif case is not None and any(case.get(key) != value for key, value in old.items()):
            rows.append(case)
    rows += wanted.values()
    if rows:
        cursor.execute(UPSERT, [SEQ_LOCK, district, *columns(district, operation, rows)])


def loaded(value: Any) -> Any:
    """A jsonb value, whichever way the driver hands it over."""
    return json.loads(value) if isinstance(value, str) else value


def settlements(
    cursor: Any, district: int, operation: int, subjects: Sequence[str]
) -> dict[tuple[str, str], list[set[str]]]:
    """The sets of facts that settlements in force name, by case."""
    cursor.execute(SETTLEMENTS, [district, operation, list(subjects)])
    named: dict[tuple[str, str], list[set[str]]] = {}
    for code, subject, facts in cursor.fetchall():
        named.setdefault((code, subject), []).append(set(loaded(facts)))
    return named


def with_state(case: dict[str, Any], settled: dict[tuple[str, str], list[set[str]]]) -> dict[str, Any]:
    """The case with ``state``: settled if one settlement names all of its facts, else open, or reopened if one named
    some.
    """
    case = {**case, "facts": sorted(map(str, case["facts"])), "detail": loaded(case["detail"])}
    case["area"] = case["area"] or ""
    named = settled.get((case["code"], case["subject"]), [])
    if any(set(case["facts"]) <= one for one in named):
        return {**case, "state": "settled"}
    again = named or case["detail"].get("decided_before")
    return {**case, "state": "reopened" if again else "open"}


def columns(district: int, operation: int, rows: list[dict[str, Any]]) -> list[list[Any]]:
    """The rows as one array a column."""
    return [
        [district] * len(rows),
        [operation] * len(rows),
        [row["code"] for row in rows],
        [row["subject"] for row in rows],
        [json.dumps(row["facts"]) for row in rows],
        [json.dumps(row["detail"]) for row in rows],
        [row["area"] for row in rows],
        [row.get("site") for row in rows],
        [row.get("round") for row in rows],
        [row["happened_at"] for row in rows],
        [row["state"] for row in rows],
    ]
