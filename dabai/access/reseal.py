"""Rotating the data key of an operation: new values under a new key at once, old ones sealed again batch by batch.

::

    rotate_key ──> both keys open; the new one seals
    reseal     ──> walks every table that holds sealed columns; may be stopped and run again at any time
    retire     ──> destroys keys that seal nothing any more and were replaced at least an hour ago

Which columns are sealed is not listed by hand: every ``…_enc`` column of every model is one, sealed as its table, its
name without the ending, and the row's id. The few that differ stand in ``EXCEPTIONS``. Blind tokens stay: their keys
come from the index root, which a rotation carries over.

A rotation also makes a new sealing key for the phones' outboxes. The one before opens for two months more: a phone that
lay in a drawer must not have written for nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection, models, transaction

from dabai.access.actions import record, require_somewhere
from dabai.access.keys import KeyRing, forget_rings, make_key, make_sealing_key, ring
from dabai.access.models import DataKey, SealingKey, User
from dabai.access.rules import Permission
from dabai.kernel import clock

BATCH = 1000
# A process may still seal under a key that it opened before the rotation; it forgets it within half a minute, and an
# import that carries keys along is given an hour.
REST = timedelta(hours=1)
# How long phones may still hand in what they sealed to a replaced sealing key: as long as a fact's time is believed.
SEALING_REST = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Label:
    """What a sealed column is bound to: table and column as they were named, and the column that holds the row's id."""

    table: str
    column: str
    row: str


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with sealed columns. ``within`` narrows it to one operation (one parameter); ``order`` is its key."""

    table: str
    order: tuple[str, ...]
    labels: dict[str, Label]
    within: str = "operation = %s"

    @property
    def rows(self) -> list[str]:
        """The columns that hold ids of rows, each once."""
        return sorted({label.row for label in self.labels.values()})


def of_import(purpose: str, table: str) -> SealedTable:
    """Staged rows are sealed for the rows that they will become."""
    person = {f"{name}_enc": Label(table, name, "person") for name in ("name", "number", "phone")}
    labels = person | {"address_enc": Label("people_household", "address", "household")}
    imports = f"SELECT id FROM people_import WHERE operation = %s AND purpose = '{purpose}'"  # noqa: S608 - a constant
    return SealedTable("people_staged_row", ("district", "batch", "number"), labels, f"batch IN ({imports})")


EXCEPTIONS = {
    "people_staged_row": [of_import("residents", "people_person"), of_import("cross_list", "people_listed")],
}


@cache
def sealed_tables() -> list[SealedTable]:
    """Every table that holds sealed columns, found from the models."""
    found = []
    for model in apps.get_models():
        names = [field.attname for field in model._meta.local_fields if field.attname.endswith("_enc")]
        table = model._meta.db_table
        if table in EXCEPTIONS:
            found += EXCEPTIONS[table]
        elif names:
            labels = {name: Label(table, name.removesuffix("_enc"), "id") for name in names}
            found.append(SealedTable(table, key_of(model), labels))
    return found


def key_of(model: type[models.Model]) -> tuple[str, ...]:
    """The columns of a model's primary key."""
    return tuple(field.attname for field in model._meta.pk_fields)


# ---- rotating


@transaction.atomic
def rotate_key(*, operation: int, by: User | None, reason: str = "") -> DataKey:
    """Make a new key, and a new sealing key; the earlier ones still open. Refusals ``access.key_destroyed``, …"""
    require_somewhere(by, Permission.MANAGE_KEYS, at=clock.now())
    for kind in (DataKey, SealingKey):
        kind._default_manager.filter(operation=operation, retired_at=None).update(retired_at=datetime.now(UTC))
    made = make_key(operation)
    make_sealing_key(operation)
    record(by=by, action="key.rotated", subject=f"key/{made.number}", operation=operation, reason=reason)
    return made


def reseal(
    *, operation: int, by: User | None, on_batch: Callable[[int], None] | None = None, stop: Callable[[], bool] = bool
) -> int:
    """Seal everything of the operation under its current key; returns how many rows were sealed again.

    Each batch is a transaction of its own; ``on_batch`` hears the rows done so far, ``stop`` ends the walk early. Run
    it again to go on.
    """
    require_somewhere(by, Permission.MANAGE_KEYS, at=clock.now())
    forget_rings()
    done = 0
    for table in sealed_tables():
        for count in reseal_rows(table, operation):
            done += count
            if on_batch:
                on_batch(done)
            if stop():
                return done
    if done:
        record(by=by, action="key.resealed", operation=operation, detail={"rows": done})
    return done


def reseal_rows(table: SealedTable, operation: int) -> Iterator[int]:
    """Walk one table in the order of its key; yields how many rows each batch has sealed again."""
    keys = ring(operation)
    after: tuple[Any, ...] | None = None
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            rows = old_rows(cursor, table, operation, keys.current, after)
            if not rows:
                return
            write_rows(cursor, table, keys, rows)
            after = rows[-1][: len(table.order)]
        yield len(rows)


def old_rows(
    cursor: Any, table: SealedTable, operation: int, current: int, after: tuple[Any, ...] | None
) -> list[tuple[Any, ...]]:
    """The next rows that an older key has sealed: their key, the key's number, ids of rows, sealed values; locked."""
    order = ", ".join(table.order)
    columns = ", ".join([*table.order, "key", *table.rows, *table.labels])
    further = f"AND ({order}) > ({', '.join(['%s'] * len(table.order))})" if after else ""
    cursor.execute(
        f"SELECT {columns} FROM {table.table} WHERE {table.within} AND key <> %s {further} "  # noqa: S608 - our own names
        f"ORDER BY {order} LIMIT {BATCH} FOR UPDATE",
        [operation, current, *(after or ())],
    )
    return list(cursor.fetchall())


def write_rows(cursor: Any, table: SealedTable, keys: KeyRing, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write a batch under the current key with one UPDATE."""
    width, ids = len(table.order), table.rows
    sealed = [resealed(table, keys, row[width], dict(zip(ids, row[width + 1 :], strict=False)), row) for row in rows]
    columns = [[row[place] for row in rows] for place in range(width)]
    columns += [list(values) for values in zip(*sealed, strict=True)]
    types = types_of(cursor, table)
    names = [*table.order, *table.labels]
    arrays = ", ".join(f"%s::{types[name]}[]" for name in names)
    changes = ", ".join(f"{name} = n.{name}" for name in table.labels)
    same = " AND ".join(f"t.{name} = n.{name}" for name in table.order)
    cursor.execute(
        f"UPDATE {table.table} t SET key = %s, {changes} FROM unnest({arrays}) AS n({', '.join(names)}) WHERE {same}",  # noqa: S608
        [keys.current, *columns],
    )


def resealed(
    table: SealedTable, keys: KeyRing, number: int, ids: dict[str, UUID], row: tuple[Any, ...]
) -> list[bytes | None]:
    """The sealed values of a row under the current key."""
    values = row[len(table.order) + 1 + len(table.rows) :]
    return [
        None
        if value is None
        else keys.seal(
            label.table,
            label.column,
            ids[label.row],
            keys.open(number, label.table, label.column, ids[label.row], value),
        )
        for label, value in zip(table.labels.values(), values, strict=True)
    ]


def types_of(cursor: Any, table: SealedTable) -> dict[str, str]:
    """Column to PostgreSQL type."""
    cursor.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
        [table.table],
    )
    return dict(cursor.fetchall())


# ---- retiring


def rows_under(operation: int, number: int) -> int:
    """How many rows a key still seals."""
    found = 0
    with connection.cursor() as cursor:
        for table in sealed_tables():
            cursor.execute(
                f"SELECT count(*) FROM {table.table} WHERE {table.within} AND key = %s",  # noqa: S608 - our own names
                [operation, number],
            )
            found += cursor.fetchone()[0]
    return found


def uploads_before(operation: int, moment: datetime | None) -> int:
    """How many uploaded lists may still lie on disk under a key that was replaced at ``moment``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM people_import WHERE operation = %s AND finished_at IS NULL AND created_at <= %s",
            [operation, moment],
        )
        return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Retired:
    """Keys that were destroyed, and replaced keys that have to wait: for how long, or because they still seal rows."""

    destroyed: list[int]
    waiting: list[int]
    wait: timedelta


def retire_keys(*, operation: int, by: User | None) -> Retired:
    """Destroy the replaced keys that seal nothing any more, an hour after they were replaced.

    Sealing keys go, without being counted here, two months after they were replaced. A data key also waits for every
    list that was uploaded before it was replaced to be committed or thrown away.
    """
    require_somewhere(by, Permission.MANAGE_KEYS, at=clock.now())
    now, destroyed, waiting, wait = datetime.now(UTC), [], [], timedelta(0)
    for row in DataKey.objects.filter(operation=operation, wrapped__isnull=False, retired_at__isnull=False):
        left = row.retired_at + REST - now if row.retired_at else REST
        busy = rows_under(operation, row.number) or uploads_before(operation, row.retired_at)
        if left > timedelta(0) or busy:
            waiting.append(row.number)
            wait = max(wait, left)
            continue
        with transaction.atomic():
            DataKey.objects.filter(pk=row.pk).update(wrapped=None, wrapped_index=None, destroyed_at=now)
            record(by=by, action="key.destroyed", subject=f"key/{row.number}", operation=operation)
        destroyed.append(row.number)
    retire_sealing_keys(operation, by, now)
    forget_rings()
    return Retired(destroyed, waiting, wait)


@transaction.atomic
def retire_sealing_keys(operation: int, by: User | None, now: datetime) -> None:
    """Destroy the sealing keys that were replaced long ago: what is still sealed to them can't be read any more."""
    old = SealingKey.objects.filter(operation=operation, retired_at__lte=now - SEALING_REST, destroyed_at=None)
    for row in old.order_by("number"):
        SealingKey.objects.filter(pk=row.pk).update(wrapped_private=None, destroyed_at=now)
        record(by=by, action="key.destroyed", subject=f"sealing_key/{row.number}", operation=operation)
