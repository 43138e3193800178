"""What happened to one tube, one box or one person, from the first fact to the last.

Each event says who reported what, where, when it happened (by the corrected clock of the phone) and when it came in.
Withdrawn facts stay on the line and say so. Names are masked; and on a person's line a pooled tube that is not
negative reads 待复核, because nobody is ever told that a pool was positive.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from dabai.people.facts import KINDS as PEOPLE_KINDS
from dabai.people.queries import masked_people
from dabai.testing import rules
from dabai.testing.facts import KINDS
from dabai.testing.models import ChangeKind, DecisionKind, Outcome


@dataclass(frozen=True, slots=True)
class Event:
    """One fact on a line. ``item`` is the tube, bag or box, or empty; ``who`` the masked name of ``person``.

    ``by`` is who was signed on and ``device`` what it was reported with, both as display names; ``detail`` holds what
    the kind of fact adds (station, count, reason, outcome …). ``received_at`` is None for what is no fact: being put
    on a roster when a round is approved.
    """

    fact: UUID | None
    kind: str
    happened_at: datetime
    received_at: datetime | None
    by: str
    device: str
    site: int | None
    place: str
    area: str
    item: str
    person: UUID | None
    who: str
    flags: int
    withdrawn: bool
    detail: dict[str, Any]


# Facts as (fact, table they come from, that table's own kind, item, person, what they add).
FACTS_OF_TUBES = """
WITH decided AS MATERIALIZED (
    SELECT * FROM testing_claim_decision
    WHERE district = %(district)s AND operation = %(operation)s AND (tube = ANY(%(tubes)s) OR becomes = ANY(%(tubes)s))
), moved_in AS MATERIALIZED (
    SELECT * FROM testing_sample_move
    WHERE district = %(district)s AND operation = %(operation)s AND to_tube = ANY(%(tubes)s)
), own AS MATERIALIZED (
    SELECT * FROM testing_sample WHERE district = %(district)s AND operation = %(operation)s AND tube = ANY(%(tubes)s)
    UNION
    SELECT s.* FROM decided d JOIN testing_sample s ON s.district = d.district AND s.operation = d.operation
     AND s.tube = d.tube AND s.round = d.round AND s.site = d.site AND s.station = d.station
    WHERE d.becomes = ANY(%(tubes)s)
    UNION
    SELECT s.* FROM moved_in m JOIN testing_sample s ON s.district = m.district AND s.id = m.sample
), packed AS MATERIALIZED (
    SELECT id, item, container FROM testing_packing
    WHERE district = %(district)s AND operation = %(operation)s AND item = ANY(%(tubes)s)
), boxed AS MATERIALIZED (
    SELECT id, item, container FROM testing_packing
    WHERE district = %(district)s AND operation = %(operation)s AND item IN (SELECT container FROM packed)
), results AS MATERIALIZED (
    SELECT * FROM testing_result WHERE district = %(district)s AND operation = %(operation)s AND tube = ANY(%(tubes)s)
), facts(id, kind, number, item, person, detail) AS (
    SELECT id, 'sample', late::int, tube, person,
           jsonb_build_object('station', station, 'single', single, 'round', round)
    FROM own WHERE %(people)s::uuid[] IS NULL OR person = ANY(%(people)s)
    UNION ALL
    SELECT m.id, 'move', 0, m.to_tube, s.person, jsonb_build_object('from', s.tube, 'to', m.to_tube, 'reason', m.reason)
    FROM testing_sample_move m JOIN own s ON s.district = m.district AND s.id = m.sample
    WHERE %(people)s::uuid[] IS NULL OR s.person = ANY(%(people)s)
    UNION ALL
    SELECT id, 'move', 0, to_tube, NULL, jsonb_build_object('to', to_tube, 'reason', reason)
    FROM moved_in WHERE sample NOT IN (SELECT id FROM own) AND %(people)s::uuid[] IS NULL
    UNION ALL
    SELECT id, 'claim', 0, tube, NULL, jsonb_build_object('reason', min(reason), 'claims', jsonb_agg(jsonb_build_object(
        'round', round, 'site', site, 'station', station, 'becomes', becomes) ORDER BY site, station))
    FROM testing_claim_decision WHERE district = %(district)s AND id IN (SELECT id FROM decided) GROUP BY id, tube
    UNION ALL
    SELECT id, 'tube', kind, tube, NULL,
           jsonb_build_object('station', station, 'count', count, 'run', run, 'reason', reason)
    FROM testing_tube_event
    WHERE district = %(district)s AND operation = %(operation)s AND tube = ANY(%(tubes)s)
    UNION ALL
    SELECT id, 'packing', 0, item, NULL, jsonb_build_object('into', container) FROM packed
    UNION ALL
    SELECT id, 'packing', 1, item, NULL, jsonb_build_object('into', container) FROM boxed
    UNION ALL
    SELECT id, 'box', kind, box, NULL, jsonb_build_object('count', count, 'given_by', given_by, 'taken_by', taken_by,
           'vehicle', vehicle, 'temperature', temperature, 'seal', seal, 'note', note)
    FROM testing_box_event WHERE district = %(district)s AND operation = %(operation)s
     AND box IN (SELECT container FROM packed UNION SELECT container FROM boxed)
    UNION ALL
    SELECT r.id, 'result', 0, r.tube, NULL,
           jsonb_build_object('outcome', r.outcome, 'run', r.run, 'ct', r.ct,
           'single', COALESCE(t.single AND t.people <= 1, false))
    FROM results r
    LEFT JOIN testing_tube t ON t.district = r.district AND t.operation = r.operation AND t.tube = r.tube
    UNION ALL
    SELECT d.id, 'decision', d.kind, r.tube, NULL, jsonb_build_object('result', d.result, 'outcome', d.outcome,
           'was', CASE WHEN d.kind = 4 THEN r.outcome END, 'reason', d.reason,
           'single', COALESCE(t.single AND t.people <= 1, false))
    FROM results r JOIN testing_result_decision d ON d.district = r.district AND d.result = r.id
    LEFT JOIN testing_tube t ON t.district = r.district AND t.operation = r.operation AND t.tube = r.tube
)
"""
FACTS_OF_BOX = """
WITH bags AS MATERIALIZED (
    SELECT id, item FROM testing_packing
    WHERE district = %(district)s AND operation = %(operation)s AND container = %(box)s
), facts(id, kind, number, item, person, detail) AS (
    SELECT id, 'packing', 1, %(box)s::text, NULL::uuid, jsonb_build_object('items', count(*)) FROM bags GROUP BY id
    UNION ALL
    SELECT id, 'packing', 0, container, NULL, jsonb_build_object('items', count(*)) FROM testing_packing
    WHERE district = %(district)s AND operation = %(operation)s AND container IN (SELECT item FROM bags)
    GROUP BY id, container
    UNION ALL
    SELECT id, 'box', kind, box, NULL, jsonb_build_object('count', count, 'given_by', given_by, 'taken_by', taken_by,
           'vehicle', vehicle, 'temperature', temperature, 'seal', seal, 'note', note)
    FROM testing_box_event WHERE district = %(district)s AND operation = %(operation)s AND box = %(box)s
)
"""
ABOUT_PERSON = """
, about AS (
    SELECT * FROM facts
    UNION ALL
    SELECT id, 'change', kind, '', person, jsonb_build_object('round', round, 'reason', reason, 'until', until,
           'next_visit', next_visit)
    FROM testing_roster_change
    WHERE district = %(district)s AND operation = %(operation)s AND person = ANY(%(people)s)
    UNION ALL
    SELECT id, 'person', 0, '', id, '{}' FROM people_person
    WHERE district = %(district)s AND operation = %(operation)s AND id = ANY(%(people)s) AND spot
    UNION ALL
    SELECT id, 'person', 1, '', person, jsonb_build_object('reason', reason) FROM people_correction
    WHERE district = %(district)s AND operation = %(operation)s AND person = ANY(%(people)s)
    UNION ALL
    SELECT id, 'person', 2, '', other, jsonb_build_object('one', one, 'other', other, 'reason', reason)
    FROM people_merge
    WHERE district = %(district)s AND operation = %(operation)s AND (one = ANY(%(people)s) OR other = ANY(%(people)s))
)
"""
TOLD = """
, told AS (
    SELECT * FROM {facts}
    UNION ALL
    SELECT w.id, 'withdrawal', 0, f.item, f.person,
           jsonb_build_object('target', w.target, 'reason', w.reason)
    FROM {facts} f JOIN journal_withdrawal w ON w.district = %(district)s AND w.target = f.id
)
SELECT f.id AS fact, e.kind, e.happened_at, e.received_at, COALESCE(u.display_name, '') AS by,
       COALESCE(v.name, '') AS device, e.site, COALESCE(s.name, '') AS place, e.area, f.item, f.person, e.flags,
       EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = %(district)s AND w.target = f.id) AS withdrawn,
       f.detail, f.kind AS source, f.number
FROM told f
JOIN journal_entry e ON e.district = %(district)s AND e.id = f.id
LEFT JOIN access_user u ON u.id = e.actor
LEFT JOIN access_device v ON v.id = e.device
LEFT JOIN places_site s ON s.id = e.site
ORDER BY e.happened_at, e.received_at, f.id, f.item
"""
TUBE_LINE = FACTS_OF_TUBES + TOLD.format(facts="facts")
BOX_LINE = FACTS_OF_BOX + TOLD.format(facts="facts")
PERSON_LINE = FACTS_OF_TUBES + ABOUT_PERSON + TOLD.format(facts="about")

NAMES = {kind.number: kind.name for kind in (*PEOPLE_KINDS, *KINDS)}


# --- the three lines ------------------------------------------------------------------------------------------


def tube_timeline(operation: int, tube: str) -> list[Event]:
    """Everything known about a barcode: its people, its way, its results. Seven statements."""
    values = {"tubes": [tube], "people": None}
    return with_names(operation, line(operation, TUBE_LINE, values))


def box_timeline(operation: int, box: str) -> list[Event]:
    """Everything known about a transfer box and the bags in it. Two statements."""
    return line(operation, BOX_LINE, {"box": box})


def person_timeline(operation: int, person: UUID) -> list[Event]:
    """Everything known about somebody, under any of their ids: lists, swabs, tubes, results. Ten statements.

    Other people of the same tube do not appear, and a pool that is not negative reads ``pending_retest``.
    """
    ids, tubes = traces_of(operation, person)
    events = [as_told(event) for event in line(operation, PERSON_LINE, {"tubes": tubes, "people": ids})]
    events += rostered(operation, ids)
    return with_names(operation, sorted(events, key=lambda event: event.happened_at))


def line(operation: int, statement: str, values: dict[str, Any]) -> list[Event]:
    """The events of one line, in order."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {"district": district_of(cursor, operation), "operation": operation, **values})
        names = [column.name for column in cursor.description]
        return [event_of(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def event_of(row: dict[str, Any]) -> Event:
    """One row of the statement as an event; numbers of outcomes and decisions become words."""
    number, source = row.pop("number"), row.pop("source")
    detail = {name: value for name, value in json.loads(row.pop("detail")).items() if value not in (None, "")}
    for name in ("outcome", "was"):
        if name in detail:
            detail[name] = Outcome(detail[name]).name.lower()
    detail |= ADDED.get((source, number), {})
    return Event(who="", detail=detail, **row | {"kind": NAMES.get(row["kind"], "journal.fact_withdrawn")})


# What the number of a row adds to the name of its kind.
ADDED = {
    ("decision", DecisionKind.APPROVED.value): {"verdict": "approved"},
    ("decision", DecisionKind.RETURNED.value): {"verdict": "returned"},
    ("change", ChangeKind.REFUSED.value): {"outcome": "refused"},
    ("change", ChangeKind.ABSENT.value): {"outcome": "absent"},
    ("change", ChangeKind.EXEMPT.value): {"outcome": "exempt"},
    ("change", ChangeKind.MOVED.value): {"outcome": "moved"},
}


def as_told(event: Event) -> Event:
    """A result on a person's line: of a pooled tube only ``negative`` and ``invalid`` may be read off it."""
    if event.kind not in RESULT_KINDS or event.detail.get("single"):
        return event
    detail = {name: value for name, value in event.detail.items() if name != "ct"}
    for name in ("outcome", "was"):
        if detail.get(name) in rules.NOT_NEGATIVE:
            detail[name] = "pending_retest"
    return replace(event, detail=detail)


RESULT_KINDS = ("testing.result_read", "testing.result_corrected")

# All ids of somebody, and every tube that any fact puts one of their samples into.
TRACES = """
WITH ids AS MATERIALIZED (
    SELECT %(person)s::uuid AS id
    UNION
    SELECT other.person FROM people_identity one
    JOIN people_identity other ON other.district = one.district AND other.canonical = one.canonical
    WHERE one.district = %(district)s AND one.person = %(person)s
), samples AS MATERIALIZED (
    SELECT * FROM testing_sample
    WHERE district = %(district)s AND operation = %(operation)s AND person IN (SELECT id FROM ids)
)
SELECT (SELECT array_agg(id) FROM ids), ARRAY(
    SELECT tube FROM samples
    UNION SELECT m.to_tube FROM samples s JOIN testing_sample_move m ON m.district = s.district AND m.sample = s.id
    UNION SELECT d.becomes FROM samples s JOIN testing_claim_decision d ON d.district = s.district AND d.tube = s.tube
     AND d.round = s.round AND d.site = s.site AND d.station = s.station WHERE d.becomes IS NOT NULL)
"""


def traces_of(operation: int, person: UUID) -> tuple[list[UUID], list[str]]:
    """The ids under which somebody is known, and their tubes. Two statements."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"district": district_of(cursor, operation), "operation": operation, "person": person}
        cursor.execute(TRACES, values)
        ids, tubes = cursor.fetchone()
        return list(ids), list(tubes)


def rostered(operation: int, ids: list[UUID]) -> list[Event]:
    """When somebody was put on the roster of a round: at its approval, which is no fact of the field."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT t.person, t.area, r.number, r.id, r.approved_at, COALESCE(u.display_name, '')
               FROM testing_round r
               JOIN testing_roster_entry t ON t.district = r.district AND t.round = r.id AND t.person = ANY(%s)
               LEFT JOIN testing_round_step s ON s.round_id = r.id AND s.state = 'approved' AND s.at = r.approved_at
               LEFT JOIN access_user u ON u.id = s.by
               WHERE r.operation = %s""",
            [ids, operation],
        )
        return [
            Event(
                fact=None, kind="testing.round_approved", happened_at=at, received_at=None, by=by, device="", site=None,
                place="", area=area, item="", person=person, who="", flags=0, withdrawn=False,
                detail={"round": round_id, "number": number},
            )
            for person, area, number, round_id, at, by in cursor.fetchall()
        ]  # fmt: skip


def with_names(operation: int, events: list[Event]) -> list[Event]:
    """The same events with masked names of the people in them."""
    people = masked_people(operation, {event.person for event in events if event.person})
    names = {person: masked.name for person, masked in people.items()}
    return [replace(event, who=names.get(event.person, "")) if event.person else event for event in events]


def district_of(cursor: Any, operation: int) -> int:
    """The district of an operation; rows of large tables are found by it."""
    cursor.execute("SELECT district FROM protocols_operation WHERE id = %s", [operation])
    return int(cursor.fetchone()[0])


# --- what lies in a box ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BoxItem:
    """A tube that was packed into a box, with its state (``TubeState``), None while nobody has reported the tube."""

    tube: str
    state: int | None
    people: int
    received_at: datetime | None


def box_contents(operation: int, box: str) -> list[BoxItem]:
    """The tubes of a box, those in its bags included, by code. Withdrawn packings do not count. Two statements."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"district": district_of(cursor, operation), "operation": operation, "box": box}
        cursor.execute(CONTENTS, values)
        return [BoxItem(*row) for row in cursor.fetchall()]


CONTENTS = """
WITH packing AS (
    SELECT p.* FROM testing_packing p WHERE p.district = %(district)s AND p.operation = %(operation)s
     AND NOT EXISTS (SELECT 1 FROM journal_withdrawal w WHERE w.district = p.district AND w.target = p.id)
), direct AS MATERIALIZED (SELECT DISTINCT item FROM packing WHERE container = %(box)s),
items AS (
    SELECT item FROM direct WHERE NOT EXISTS (SELECT 1 FROM packing p WHERE p.container = direct.item)
    UNION
    SELECT item FROM packing WHERE container IN (SELECT item FROM direct)
)
SELECT i.item, t.state, COALESCE(t.people, 0), t.received_at
FROM items i
LEFT JOIN testing_tube t ON t.district = %(district)s AND t.operation = %(operation)s AND t.tube = i.item
ORDER BY i.item
"""
