"""A list of people as a staged change set: what it would add, change, double or refuse, row by row; then commit or not.

Reading → staged → committing → committed, or discarded. ``stage`` and ``commit`` run in the background and may be run
again after any crash: staging goes on behind the last chunk that was written, a commit is one transaction. Nobody who
looks at the people sees anything of a list before its commit. The desk polls ``Import.rows_done`` and ``rows_total``.
"""

import logging
import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from dabai.access.keys import carry_keys, ring
from dabai.exchange.columns import RESIDENT_COLUMNS, Column, ColumnMap, match_columns
from dabai.exchange.tables import Table, open_table
from dabai.journal.models import MarkKind
from dabai.kernel import areas, clock
from dabai.kernel.ids import natural_id
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import LANGUAGES, say
from dabai.people import processes, uploads
from dabai.people.models import Import, ImportState, Person, StagedRow
from dabai.people.rows import Cells, plain
from dabai.people.rules import KeyGroup
from dabai.people.staging import CROSS_LIST, RESIDENTS, Chunk, ListSpec, Stager
from dabai.places import queries as places

log = logging.getLogger(__name__)

CHUNK = 4_000
PROCESSES = 2
WORTH_PROCESSES = 20_000
IN_FLIGHT = 5
STAGE_LOCK = 7_348
COMMIT_LOCK = 7_347
HOUSEHOLD_KIND = Column("household_kind", ("户别", "家庭户类型", "户类型", "household type"))
COLUMNS = (*(one for one in RESIDENT_COLUMNS if one.key in Cells._fields), HOUSEHOLD_KIND)


def file_of(found: Import) -> Path:
    """Where the upload is kept, encrypted, until its rows are staged."""
    return Path(settings.DATA_FOLDER) / "uploads" / f"import-{found.pk}.sealed"


def file_row(found: Import) -> UUID:
    """What the blocks of the upload are bound to."""
    return natural_id("import", found.pk)


def keep_upload(found: Import, pieces: Iterable[bytes], size: int) -> uploads.Stored:
    """Keep the uploaded file."""
    return uploads.keep(file_of(found), pieces, size, ring(found.operation), file_row(found))


def drop_upload(found: Import) -> None:
    """Forget the uploaded file; its rows are staged, or nobody wants them."""
    file_of(found).unlink(missing_ok=True)


@contextmanager
def opened(found: Import) -> Iterator[Table]:
    """The kept list as a table. Refusals ``tables.…``, ``people.upload_missing``, ``people.upload_spoilt``."""
    if not file_of(found).is_file():
        raise Refusal("people.upload_missing", "file")
    with closing(uploads.open_kept(file_of(found), ring(found.operation), file_row(found))) as stream:
        yield open_table(stream, **found.mapping.get("table", {}))


def columns_of(table: Table, found: Import) -> ColumnMap:
    """Which column of the list is which: as chosen for this import, else by their names."""
    return match_columns(table.header, COLUMNS, remembered=found.mapping.get("columns"))


def check_columns(columns: ColumnMap, found: Import) -> None:
    """Refuse a list that names nobody, or no place where one is needed, at once and not row by row."""
    columns.check()
    if not {"name", "family_name", "given_name"} & set(columns.places):
        raise Refusal("people.column_missing", "name")
    somewhere = len(found.area) >= 12 or found.purpose == CROSS_LIST
    if not somewhere and not {"area", "street", "community", "grid"} & set(columns.places):
        raise Refusal("people.column_missing", "area")


# --- staging --------------------------------------------------------------------------------------------------


def stage(import_id: int, *, workers: int | None = None) -> None:
    """Read a list into staged rows, from where it stopped, and say of each row what would become of it.

    ``workers`` processes help with long lists (2 if not said otherwise, none for short ones). A file that can't be
    used, or an error of ours, ends in the state ``failed`` with its reason; staging it again goes on behind the last
    chunk. Does nothing for an import that another process is staging, or that is past staging.
    """
    with only_here(STAGE_LOCK, import_id) as mine:
        found = Import.objects.get(pk=import_id)
        if not mine or found.state not in (ImportState.READING, ImportState.FAILED):
            return
        try:
            Import.objects.filter(pk=import_id).update(state=ImportState.READING, error=None)
            read_rows(found, workers)
            settle(found)
        except Refusal as refusal:
            fail(found, refusal)
        except Exception as error:
            log.error("import %s stopped: %s", import_id, type(error).__name__)
            fail(found, Refusal("people.import_failed", "file"))


@contextmanager
def only_here(space: int, number: int) -> Iterator[bool]:
    """Hold an advisory lock of this connection, or learn that somebody else holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [space, number])
        mine = bool(cursor.fetchone()[0])
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [space, number])


def fail(found: Import, refusal: Refusal) -> None:
    """Stop an import with a reason that a person can act on."""
    now = clock.now()
    Import.objects.filter(pk=found.pk).update(state=ImportState.FAILED, error=refusal.as_dict(), finished_at=now)


def read_rows(found: Import, workers: int | None) -> None:
    """Stage every row that is not staged yet, and keep count."""
    with opened(found) as table:
        columns = columns_of(table, found)
        check_columns(columns, found)
        forget_beyond(found, table)
        chunks = in_chunks(table, found)
        if workers is None:
            workers = PROCESSES if found.rows_total >= WORTH_PROCESSES else 0
        spec = spec_of(found, columns)
        for done, total in stage_with(workers, spec, chunks) if workers else stage_here(spec, chunks):
            found.rows_done += done
            found.rows_total = max(total, found.rows_done)
            Import.objects.filter(pk=found.pk).update(rows_done=found.rows_done, rows_total=found.rows_total)


def forget_beyond(found: Import, table: Table) -> None:
    """Skip the rows that are staged already, and take back chunks behind them that a crash has left."""
    last = 0
    for row in islice(table.rows, found.rows_done):
        last = row.number
    StagedRow.objects.filter(district=found.district, batch=found.pk, number__gt=last).delete()


def in_chunks(table: Table, found: Import) -> Iterator[tuple[Chunk, int]]:
    """The remaining rows in chunks, each with the number of rows that the list seems to have in all."""
    done = found.rows_done
    while rows := list(islice(table.rows, CHUNK)):
        done += len(rows)
        yield Chunk.of(rows), max(done, int(done / max(table.progress(rows[-1]), 1e-9)))


def spec_of(found: Import, columns: ColumnMap) -> ListSpec:
    """Everything that reading the rows needs."""
    in_reach = [*areas.ancestors(found.area), *(one.code for one in places.areas_in([found.area]))]
    return ListSpec(
        batch=found.pk,
        district=found.district,
        operation=found.operation,
        purpose=found.purpose,
        places=tuple(columns.places.get(key, -1) for key in Cells._fields),
        areas=tuple(places.names(in_reach).items()),
        within=found.area,
        today=clock.business_day(clock.now()),
        groups=group_words(),
        look_up=Person.objects.filter(district=found.district, operation=found.operation).exists(),
    )


def group_words() -> dict[str, str]:
    """What lists call the key groups, in both languages, and their codes."""
    said = ((group, say(f"documents.group.{group}", language)) for group in KeyGroup for language in LANGUAGES)
    words = {plain(word): group.value for group, word in said}
    return words | {plain(group): group.value for group in KeyGroup}


def stage_here(spec: ListSpec, chunks: Iterable[tuple[Chunk, int]]) -> Iterator[tuple[int, int]]:
    """Stage chunk by chunk in this process: (rows of the chunk, rows that the list seems to have)."""
    stager = Stager(spec, ring(spec.operation))
    for chunk, total in chunks:
        with transaction.atomic(), connection.cursor() as cursor:
            stager.stage(cursor, chunk)
        yield len(chunk), total


def stage_with(workers: int, spec: ListSpec, chunks: Iterable[tuple[Chunk, int]]) -> Iterator[tuple[int, int]]:
    """The same with helping processes, reported in the order of the list; only some chunks are under way at a time."""
    packed = pickle.dumps((spec, carry_keys(spec.operation), database()))
    with ProcessPoolExecutor(workers, get_context("spawn"), processes.begin, (packed,)) as pool:
        under_way: deque[tuple[Future[int], int]] = deque()
        for chunk, total in chunks:
            under_way.append((pool.submit(processes.work, chunk), total))
            if len(under_way) >= IN_FLIGHT:
                first, seemed = under_way.popleft()
                yield first.result(), seemed
        for first, seemed in under_way:
            yield first.result(), seemed


def database() -> dict[str, Any]:
    """How to reach the database that this process uses."""
    parameters = connection.get_connection_params()
    return {name: value for name, value in parameters.items() if isinstance(value, str | int) and value != ""}


# --- what would become of each row ----------------------------------------------------------------------------

BATCH = "s.district = %(district)s AND s.batch = %(batch)s"
DOUBLES_BY_NUMBER = f"""
WITH twice AS MATERIALIZED (
  SELECT s.number_token, min(s.number) AS number FROM people_staged_row s
  WHERE {BATCH} AND s.outcome IN ('added', 'changed', 'same') AND s.number_token IS NOT NULL
    AND s.document_kind NOT IN ('00', '99')
  GROUP BY s.number_token HAVING count(*) > 1)
UPDATE people_staged_row s SET outcome = 'doubled', existing = first.person,
  reason = coalesce(s.reason, '[]') || jsonb_build_array(jsonb_build_object(
    'code', CASE WHEN s.name_token = first.name_token THEN 'people.double_in_file' ELSE 'people.double_other_name' END,
    'field', 'number', 'params', jsonb_build_object('row', first.number)))
FROM twice JOIN people_staged_row first
  ON first.district = %(district)s AND first.batch = %(batch)s AND first.number = twice.number
WHERE {BATCH} AND s.number_token = twice.number_token AND s.number > twice.number
  AND s.outcome IN ('added', 'changed', 'same')
"""  # noqa: S608 - constants only
DOUBLES_BY_NAME = f"""
WITH first AS MATERIALIZED (
  SELECT s.number, s.person, first_value(s.number) OVER same AS first, first_value(s.person) OVER same AS first_person
  FROM people_staged_row s
  WHERE {BATCH} AND s.outcome IN ('added', 'changed', 'same') AND s.document_kind IN ('00', '99')
    AND (s.household IS NOT NULL OR s.birth_year IS NOT NULL OR s.phone_token IS NOT NULL)
  WINDOW same AS (PARTITION BY s.name_token, s.number_token, s.household, left(s.area, 12), s.birth_year, s.phone_token
                  ORDER BY s.number))
UPDATE people_staged_row s SET outcome = 'doubled', existing = first.first_person,
  reason = coalesce(s.reason, '[]') || jsonb_build_array(jsonb_build_object(
    'code', 'people.double_in_file', 'field', 'name', 'params', jsonb_build_object('row', first.first)))
FROM first WHERE {BATCH} AND s.number = first.number AND first.first < first.number
"""  # noqa: S608 - constants only
COUNTS = f"SELECT s.outcome, count(*) FROM people_staged_row s WHERE {BATCH} GROUP BY 1"  # noqa: S608
REASONS = f"""
SELECT one ->> 'code', count(*) FROM people_staged_row s, jsonb_array_elements(s.reason) one
WHERE {BATCH} AND s.reason IS NOT NULL GROUP BY 1
"""  # noqa: S608 - constants only
OUTCOMES = ("added", "changed", "same", "doubled", "refused")


def settle(found: Import) -> None:
    """Find doubles within the list, count, and offer the list for review."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute("ANALYZE people_staged_row")
        where = {"district": found.district, "batch": found.pk}
        cursor.execute(DOUBLES_BY_NUMBER, where)
        cursor.execute(DOUBLES_BY_NAME, where)
        counts = count(cursor, found)
        if sum(counts[outcome] for outcome in OUTCOMES) != found.rows_done:
            raise Refusal("people.import_failed", "file")
        Import.objects.filter(pk=found.pk).update(
            state=ImportState.STAGED, counts=counts, rows_total=found.rows_done, error=None
        )
    drop_upload(found)


def count(cursor: Any, found: Import) -> dict[str, Any]:
    """Rows by outcome, and how often each reason or remark was given."""
    where = {"district": found.district, "batch": found.pk}
    cursor.execute(COUNTS, where)
    counts: dict[str, Any] = dict.fromkeys(OUTCOMES, 0) | dict(cursor.fetchall())
    cursor.execute(REASONS, where)
    return counts | {"reasons": dict(cursor.fetchall())}


def recount(found: Import) -> None:
    """Count again after a reviewer has decided on a row."""
    with connection.cursor() as cursor:
        Import.objects.filter(pk=found.pk).update(counts=count(cursor, found))


# --- commit ---------------------------------------------------------------------------------------------------

MEANWHILE = f"""
UPDATE people_staged_row s SET outcome = 'doubled', existing = p.id,
  reason = coalesce(s.reason, '[]') || jsonb_build_array(jsonb_build_object(
    'code', 'people.double_meanwhile', 'field', 'number'))
FROM people_person p
WHERE {BATCH} AND s.outcome = 'added' AND s.document_kind NOT IN ('00', '99') AND p.district = s.district
  AND p.number_token = s.number_token AND p.operation = %(operation)s AND NOT p.spot
"""  # noqa: S608 - constants only
JOINED = f"""
INSERT INTO journal_mark (district, operation, kind, key)
SELECT %(district)s, %(operation)s, %(person_mark)s, person::text FROM (
  SELECT s.person FROM people_person p JOIN people_staged_row s ON s.number_token = p.number_token
  WHERE {BATCH} AND s.outcome = 'added' AND p.district = s.district AND p.operation = %(operation)s AND p.spot
  UNION
  SELECT s.person FROM people_correction c JOIN people_staged_row s ON s.number_token = c.number_token
  WHERE {BATCH} AND s.outcome = 'added' AND c.district = s.district AND c.operation = %(operation)s) joined
"""  # noqa: S608 - constants only
HOUSEHOLDS = f"""
INSERT INTO people_household (district, id, operation, area, estate, building, unit, collective, sealed, key,
                              address_enc, address_token)
SELECT DISTINCT ON (s.household) s.district, s.household, %(operation)s, s.area, s.estate, s.building, s.unit,
       s.collective, false, s.key, s.address_enc, s.address_token
FROM people_staged_row s WHERE {BATCH} AND s.address_token IS NOT NULL AND (s.outcome IN ('added', 'changed')
  OR s.outcome = 'doubled' AND s.household IN (
    SELECT s.household FROM people_staged_row s WHERE {BATCH} AND s.outcome IN ('added', 'changed')))
ORDER BY s.household, s.address_enc IS NULL, s.number
ON CONFLICT (district, id) DO NOTHING
"""  # noqa: S608 - constants only
PEOPLE = f"""
INSERT INTO people_person (district, id, operation, household, area, building, spot, away, document_kind, sex,
  birth_year, "group", doubt, key, name_enc, number_enc, phone_enc, name_token, number_token, tail_token, phone_token)
SELECT s.district, s.person, %(operation)s, s.household, s.area, s.building, false, false, s.document_kind, s.sex,
  s.birth_year, s."group", s.doubt, s.key, s.name_enc, s.number_enc, s.phone_enc, s.name_token, s.number_token,
  s.tail_token, s.phone_token
FROM people_staged_row s WHERE {BATCH} AND s.outcome = 'added'
"""  # noqa: S608 - constants only
CHANGES = f"""
UPDATE people_person p SET household = s.household, area = s.area, building = s.building, away = false,
  sex = coalesce(nullif(s.sex, 0), p.sex), birth_year = coalesce(s.birth_year, p.birth_year), "group" = s."group",
  document_kind = s.document_kind, doubt = s.doubt, key = s.key, name_enc = s.name_enc, number_enc = s.number_enc,
  phone_enc = s.phone_enc, name_token = s.name_token, number_token = s.number_token, tail_token = s.tail_token,
  phone_token = s.phone_token
FROM people_staged_row s WHERE {BATCH} AND s.outcome = 'changed' AND p.district = s.district AND p.id = s.existing
"""  # noqa: S608 - constants only
LISTED = f"""
INSERT INTO people_listed (district, id, operation, batch, area, key, name_enc, number_enc, phone_enc, name_token,
                           number_token, phone_token)
SELECT s.district, s.person, %(operation)s, s.batch, s.area, s.key, s.name_enc, s.number_enc, s.phone_enc, s.name_token,
       s.number_token, s.phone_token
FROM people_staged_row s WHERE {BATCH} AND s.outcome IN ('added', 'same')
"""  # noqa: S608 - constants only


def commit(import_id: int) -> None:
    """Make the staged rows people of the operation, all of them or none: one transaction, one commit at a time.

    Rows about somebody whom another list has added since this one was staged are doubled, not added. Does nothing for
    an import that is not waiting for its commit, so that running it twice is harmless.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        found = Import.objects.select_for_update().get(pk=import_id)
        if found.state != ImportState.COMMITTING:
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [COMMIT_LOCK, found.operation])
        (take_residents if found.purpose == RESIDENTS else take_listed)(cursor, found)
        counts, now = count(cursor, found), clock.now()
        Import.objects.filter(pk=import_id).update(state=ImportState.COMMITTED, counts=counts, finished_at=now)
    tidy(found)


def parameters(found: Import) -> dict[str, Any]:
    """What the statements of a commit ask for."""
    where = {"district": found.district, "batch": found.pk, "operation": found.operation}
    return where | {"person_mark": MarkKind.PERSON.value}


def take_residents(cursor: Any, found: Import) -> None:
    """Add and change residents, and let the worker join those who were registered on the spot before."""
    where = parameters(found)
    others = Import.objects.filter(operation=found.operation, purpose=RESIDENTS, state=ImportState.COMMITTED)
    if others.filter(finished_at__gte=found.created_at).exists():
        cursor.execute(MEANWHILE, where)
    for statement in (JOINED, HOUSEHOLDS, CHANGES, PEOPLE):
        cursor.execute(statement, where)


def take_listed(cursor: Any, found: Import) -> None:
    """Keep who is named by a hotel, a firm or a site; matching with rosters is a question asked later."""
    cursor.execute(LISTED, parameters(found))


def tidy(found: Import) -> None:
    """Drop the staged rows that have done their work; those that were not taken stay, with their reasons.

    A table that has grown by a million rows gets its statistics at once: whoever asks next must not plan for an empty
    one.
    """
    done = ("added", "changed", "same")
    StagedRow.objects.filter(district=found.district, batch=found.pk, outcome__in=done).delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE people_person, people_household, people_listed")


def discard(found: Import) -> None:
    """Forget a list and everything that was staged of it."""
    drop_upload(found)
    StagedRow.objects.filter(district=found.district, batch=found.pk).delete()
