"""Rounds of testing with a long past: rosters, samples, journal, results, and all that is derived from them, by SQL.

``past_round`` writes a whole round as it is when everybody was swabbed ten to a tube and every tube was negative; it
leaves the database as the facts and the worker would have (a test compares). ``new_round`` opens one to be loaded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import connection as django_connection

from dabai.figures import cells
from dabai.kernel import clock
from dabai.kernel.codes import make_tube_codes
from dabai.testing import rules
from dabai.testing.actions import make_partition
from dabai.testing.models import Round, RoundSite, RoundState, RoundStep
from tests.load.installation import Installation
from tests.load.world import DISTRICT, STATIONS, World

POOL = 10
BATCH = 100_000
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
DAY_HOURS = 8

ROSTER = """
INSERT INTO testing_roster_entry (district, round, person, area, building, household, "group")
SELECT district, %(round)s, id, area, building, household, "group" FROM people_person
WHERE district = %(district)s AND operation = %(operation)s AND NOT spot ORDER BY area, building, id
"""
# Tube k holds people 10k … 10k + 9; the tubes of a point follow each other through its day.
PLAN = """
CREATE UNLOGGED TABLE {plan} AS
SELECT t.k, t.code, s.id AS site, s.area, s.device, (t.k %% %(stations)s + 1)::smallint AS station,
       %(start)s::timestamptz + make_interval(secs => t.k * %(sites)s %% %(tubes)s * %(day)s / %(tubes)s) AS at
FROM {codes} t JOIN bench_site s ON s.number = t.k * %(sites)s / %(tubes)s
"""
SAMPLES = """
INSERT INTO testing_sample (district, id, round, operation, person, tube, site, station, single, late, happened_at)
SELECT %(district)s, bench_id(p.at + j * interval '20 s'), %(round)s, %(operation)s,
       bench_person(p.k * 10 + j), p.code, p.site, p.station, false, false, p.at + j * interval '20 s'
FROM {plan} p CROSS JOIN generate_series(0, 9) j WHERE p.k * 10 + j < %(people)s ORDER BY p.at, j
"""
SEALS = """
INSERT INTO testing_tube_event (district, id, operation, round, tube, kind, site, station, count, run, reason,
  happened_at)
SELECT %(district)s, bench_id(p.at + interval '4 min'), %(operation)s, %(round)s, p.code, 1, p.site,
       p.station, 10, '', '', p.at + interval '4 min'
FROM {plan} p ORDER BY p.at
"""
RESULTS = """
INSERT INTO testing_result (district, id, operation, tube, lab, run, outcome, ct, actor, happened_at)
SELECT %(district)s, bench_id(p.at + interval '6 h'), %(operation)s, p.code, %(lab)s, '', 1, NULL,
       %(technician)s, p.at + interval '6 h'
FROM {plan} p ORDER BY p.at
"""
DECISIONS = """
INSERT INTO testing_result_decision (district, id, operation, result, kind, outcome, actor, reason, happened_at)
SELECT %(district)s, g.id, %(operation)s, r.id, g.kind, NULL, %(reviewer)s, '', g.at
FROM (SELECT r.*, row_number() OVER (ORDER BY r.id) / 500 AS part FROM testing_result r JOIN {plan} p ON p.code = r.tube
      WHERE r.district = %(district)s) r
JOIN (SELECT part, kind, bench_id(now()) AS id,
             %(start)s::timestamptz + interval '15 h' + kind * interval '10 min' AS at
      FROM generate_series(0, %(tubes)s / 500) part, unnest(ARRAY[1, 3]) kind) g USING (part)
"""
ENTRIES = """
INSERT INTO journal_entry (district, id, operation, kind, verdict, flags, digest, device, device_seq, actor, site, area,
  happened_at, received_at)
SELECT %(district)s, f.id, %(operation)s, f.kind, 1, 0, uuid_send(f.id), f.device, row_number() OVER (), f.actor,
       f.site, f.area, f.happened_at, f.happened_at + interval '5 s'
FROM (
  SELECT s.id, 23 AS kind, b.device, NULL::int AS actor, s.site, b.area, s.happened_at
  FROM testing_sample s JOIN bench_site b ON b.id = s.site WHERE s.district = %(district)s AND s.round = %(round)s
  UNION ALL SELECT e.id, 25, b.device, NULL, e.site, b.area, e.happened_at
  FROM testing_tube_event e JOIN bench_site b ON b.id = e.site WHERE e.district = %(district)s AND e.round = %(round)s
  UNION ALL SELECT r.id, 36, NULL, r.actor, r.lab, %(district)s::text, r.happened_at
  FROM testing_result r JOIN {plan} p ON p.code = r.tube WHERE r.district = %(district)s
  UNION ALL SELECT DISTINCT d.id, CASE d.kind WHEN 1 THEN 37 ELSE 38 END, NULL::uuid, d.actor, %(lab)s,
         %(district)s::text, d.happened_at
  FROM testing_result_decision d JOIN testing_result r ON r.district = d.district AND r.id = d.result
  JOIN {plan} p ON p.code = r.tube WHERE d.district = %(district)s
) f ORDER BY f.id
"""
TUBES = """
INSERT INTO testing_tube (district, operation, tube, round, site, station, area, state, claims, contested, samples,
  people, single, late, first_at, last_at, hour, sealed_at, sealed_count, box, lab, read_at, released_at, result,
  outcome)
SELECT %(district)s, %(operation)s, p.code, %(round)s, p.site, p.station, p.area,
       CASE WHEN r.id IS NULL THEN 2 ELSE 8 END, 1, false, 10, 10, false, 0, p.at, p.at + interval '180 s',
       date_trunc('hour', p.at, 'UTC'), p.at + interval '4 min',
       10, '', r.lab, r.happened_at, d.happened_at, r.id, r.outcome
FROM {plan} p
LEFT JOIN testing_result r ON r.district = %(district)s AND r.tube = p.code
LEFT JOIN testing_result_decision d ON d.district = %(district)s AND d.result = r.id AND d.kind = 3
ORDER BY p.code
"""
COVERED = """
INSERT INTO testing_coverage (district, round, person, area, rostered, removed, samples, hour, first_at, site, tubes)
SELECT %(district)s, %(round)s, bench_person(p.k * 10 + j), g.code, true, false, 1,
       date_trunc('hour', p.at + j * interval '20 s', 'UTC'), p.at + j * interval '20 s', p.site, ARRAY[p.code]
FROM {plan} p CROSS JOIN generate_series(0, 9) j
JOIN bench_grid g ON g.number = (p.k * 10 + j) * %(grids)s / %(people)s
WHERE p.k * 10 + j < %(people)s ORDER BY p.k, j
"""
FACTS = ("testing_sample", "testing_tube_event", "testing_result", "testing_result_decision", "journal_entry")
DERIVED = ("testing_tube", "testing_coverage", "testing_roster_entry")


@dataclass(frozen=True, slots=True)
class Planned:
    """A round to be written: its row, when its day began, and the tubes that it used."""

    row: Round
    start: datetime
    tubes: list[str]


def tube_codes(world: World, count: int) -> list[str]:
    """Barcodes that no round has used yet: whole batches of printed strips."""
    codes: list[str] = []
    while len(codes) < count:
        batch = f"{world.batches % 10}{LETTERS[world.batches // 10 % 23]}{LETTERS[world.batches // 230]}"
        codes += make_tube_codes("DJ", batch, 0, min(BATCH, count - len(codes)))
        world.batches += 1
    return codes


def open_round(world: World, *, start: datetime, state: RoundState) -> Round:
    """A round's row with its points, its life so far, and a partition for its samples as approval makes it."""
    world.rounds += 1
    row = Round.objects.create(
        district=DISTRICT,
        operation=world.operation,
        number=world.rounds,
        name=f"第{world.rounds}轮",
        profile=world.profile,
        pool_size=POOL,
        areas=[str(DISTRICT)],
        state=state,
        starts_at=start,
        ends_at=start + timedelta(hours=24),
        approved_at=start,
        closed_at=start + timedelta(hours=40) if state == RoundState.CLOSED else None,
        roster_size=world.people,
    )
    RoundSite.objects.bulk_create(RoundSite(round=row, site=one.pk, stations=STATIONS) for one in world.sites)
    steps = [(rules.FIRST, start - timedelta(hours=2)), (RoundState.APPROVED, start - timedelta(hours=1))]
    RoundStep.objects.bulk_create(RoundStep(round=row, state=name, at=at) for name, at in [*steps, (state, start)])
    if not make_partition(row.pk):
        raise SystemExit("the round's samples got no partition")
    return row


def new_round(place: Installation, world: World) -> Round:
    """A running round with everybody on its roster, nobody swabbed yet, and its figures in place."""
    row = open_round(world, start=clock.now() - timedelta(hours=1), state=RoundState.RUNNING)
    with place.connect() as connection:
        connection.execute(ROSTER, world.names | {"round": row.pk})
        connection.execute("ANALYZE testing_roster_entry")
    cells.rebuild(DISTRICT, row.pk)
    return row


def past_round(place: Installation, world: World, *, days_ago: int, resulted: bool = True) -> Planned:
    """A round in which everybody was swabbed; ``resulted``: and every tube was found negative, and released."""
    start = clock.hour_of(clock.now()) - timedelta(days=days_ago)
    tubes = tube_codes(world, -(-world.people // POOL))
    row = open_round(world, start=start, state=RoundState.CLOSED if resulted else RoundState.RUNNING)
    with place.connect() as connection:
        write_round(connection, world, Planned(row, start, tubes), resulted=resulted)
    cells.rebuild(DISTRICT, row.pk)
    world.samples += world.people
    return Planned(row, start, tubes)


def write_round(connection: psycopg.Connection[Any], world: World, planned: Planned, *, resulted: bool) -> None:
    """The facts of a round and what is derived from them."""
    number = planned.row.pk
    names = world.names | {
        "round": number, "start": planned.start, "day": DAY_HOURS * 3600, "tubes": len(planned.tubes),
        "stations": STATIONS,
    }  # fmt: skip
    codes, plan = f"bench_codes_{number}", f"bench_plan_{number}"
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET work_mem = '256MB'")
    connection.execute("SET enable_nestloop = off")  # the tables have no statistics yet
    connection.execute(f"CREATE UNLOGGED TABLE {codes} (k bigint, code text)")
    with connection.cursor().copy(f"COPY {codes} FROM STDIN") as copy:
        copy.write("".join(f"{k}\t{code}\n" for k, code in enumerate(planned.tubes)))
    connection.execute(PLAN.format(plan=plan, codes=codes), names)
    connection.execute(f"ANALYZE {plan}")
    steps = [ROSTER, SAMPLES, SEALS, *([RESULTS, DECISIONS] if resulted else []), ENTRIES, TUBES, COVERED]
    for statement in steps:
        connection.execute(statement.format(plan=plan), names)
    connection.execute(f"DROP TABLE {codes}, {plan}")
    connection.execute(f"ANALYZE {', '.join((*FACTS, *DERIVED))}")


def analyse(place: Installation) -> None:
    """Tell the planner what there is, and let nothing be vacuumed for the first time while we measure."""
    with place.connect() as connection:
        for table in (*FACTS, *DERIVED):
            connection.execute(f"VACUUM (ANALYZE, PARALLEL 2) {table}")
    django_connection.close()
