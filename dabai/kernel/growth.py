"""Keeps PostgreSQL's planner informed while tables grow from nothing.

Autovacuum looks once a minute. Until then a new table has no statistics: any condition on it seems to leave one row,
and a join of ten thousand rows is planned as if of one, which takes minutes where a blink would do. So work begins
with little at a time, and the tables are looked at again whenever there is several times as much in them.
"""

from collections.abc import Sequence

from django.db import connection

FIRST = 100
TIMES = 4


class Growth:
    """How much has gone into some tables since the planner was last told; the first of them is counted."""

    def __init__(self, tables: Sequence[str]) -> None:
        self.tables = tables
        self.known: int | None = None
        self.since = 0

    def limit(self, most: int) -> int:
        """How much work may be taken at once for the planner to have an idea of it."""
        if self.known is None:
            self.known = self.rows()
        return min(most, max(FIRST, TIMES * self.known))

    def note(self, done: int) -> None:
        """So much work was done, outside any transaction now; tell the planner when that was a lot."""
        self.since += done
        if self.known is None or self.since < max(FIRST, (TIMES - 1) * self.known):
            return
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {', '.join(self.tables)}")
        self.known, self.since = self.known + self.since, 0

    def rows(self) -> int:
        """Rows that the planner believes to be in the first table."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", [self.tables[0]]
            )
            found: int = cursor.fetchone()[0]
            return found
