"""The same rows by a bare driver: what PostgreSQL itself takes, on the same tables, indexes and number of connections.

For each batch, in a transaction of its own with fsync on: look up the ids, write the typed rows, the marks and the
journal, commit. Everything that we work out while the clock runs (decoding, rules, encryption, tokens, digests) is
worked out beforehand. Two ways of writing, the faster of which counts: COPY, and INSERT … SELECT unnest.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from dabai.journal.rows import Insert
from tests.load.reports import Batch
from tests.load.sender import FORK, in_parts
from tests.load.world import DISTRICT

LOOK_UP = "SELECT id, digest, verdict FROM journal_entry WHERE district = %s AND id = ANY(%s::uuid[])"
Write = Callable[[Any, Insert, list[tuple[Any, ...]]], None]


def copy(cursor: Any, insert: Insert, rows: list[tuple[Any, ...]]) -> None:
    """One COPY."""
    with cursor.copy(insert.statement()) as made:
        for row in rows:
            made.write_row(row)


def unnest(cursor: Any, insert: Insert, rows: list[tuple[Any, ...]]) -> None:
    """One INSERT … SELECT unnest."""
    names = ", ".join(f'"{name}"' for name in insert.columns)
    arrays = ", ".join(f"%s::{kind}[]" for kind in insert.columns.values())
    columns = [list(column) for column in zip(*rows, strict=True)]
    cursor.execute(f"INSERT INTO {insert.table} ({names}) SELECT * FROM unnest({arrays})", columns)


WAYS: dict[str, Write] = {"copy": copy, "unnest": unnest}


def work(there: Any, url: str, batches: Sequence[Batch], way: str) -> None:
    """In a process of its own: wait for the sign, write everything, say when it began and ended."""
    write = WAYS[way]
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        connection.prepare_threshold = 1
        there.send("ready")
        there.recv()
        began = time.perf_counter()
        for batch in batches:
            with connection.transaction():
                cursor.execute(LOOK_UP, [DISTRICT, batch.ids])
                cursor.fetchall()
                for insert, rows in batch.rows:
                    write(cursor, insert, rows)
        there.send((began, time.perf_counter()))


def run(url: str, batches: Sequence[Batch], *, way: str, connections: int) -> float:
    """Samples a second that ``connections`` processes with one connection each write."""
    pipes, processes = [], []
    for part in in_parts(batches, connections):
        here, there = FORK.Pipe()
        process = FORK.Process(target=work, args=(there, url, part, way))
        process.start()
        pipes.append(here)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    spans = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    seconds = max(end for _, end in spans) - min(began for began, _ in spans)
    return sum(batch.samples for batch in batches) / seconds
