"""Keeps PostgreSQL's planner informed while tables grow from nothing.

Autovacuum looks once a minute. Until then a new table has no statistics: any condition on it seems to leave one row,
and a join of ten thousand rows is planned as if of one, which takes minutes where a blink would do. So tables are
analysed as soon as they have outgrown what the planner knows of them, and work begins with little at a time.
"""

import time
from collections.abc import Sequence

from django.db import connection

FIRST = 100
TIMES = 4
EVERY = 0.5

# Tables and partitions that are several times as large as when they were last looked at, and parents of partitions that
# never were with anything in them. Sizes are in pages.
OUTGROWN = """
SELECT c.oid::regclass::text
FROM unnest(%(tables)s::text[]) AS t(name) LEFT JOIN LATERAL pg_partition_tree(t.name::regclass) AS p ON true
JOIN pg_class c ON c.oid = coalesce(p.relid, t.name::regclass)
CROSS JOIN LATERAL (
    SELECT sum(pg_relation_size(l.relid)) / current_setting('block_size')::int AS pages
    FROM (SELECT c.oid AS relid UNION SELECT relid FROM pg_partition_tree(c.oid)) l) size
WHERE size.pages > 4 AND CASE WHEN c.relkind = 'p' THEN c.reltuples <= 0
    ELSE size.pages > 4 + (%(times)s - 1) * greatest(c.relpages, 0) END
ORDER BY c.relkind = 'p'"""


class Growth:
    """What the planner knows of some tables. The first of them says how much work it is ready for."""

    def __init__(self, tables: Sequence[str]) -> None:
        self.tables = tables
        self.looked_at = -EVERY
        self.known = 0

    def limit(self, most: int) -> int:
        """How much work may be taken at once, the planner having been told what is there. Outside any transaction."""
        if time.monotonic() - self.looked_at > EVERY:
            self.tell()
            self.looked_at = time.monotonic()
        return min(most, max(FIRST, TIMES * self.known))

    def tell(self) -> None:
        """Analyse what has outgrown the planner's idea of it: one statement when nothing has."""
        with connection.cursor() as cursor:
            cursor.execute(OUTGROWN, {"tables": list(self.tables), "times": TIMES})
            if names := [name for (name,) in cursor.fetchall()]:
                cursor.execute(f"ANALYZE {', '.join(names)}")
            cursor.execute(
                "SELECT greatest(reltuples, 0)::int FROM pg_class WHERE oid = %s::regclass", [self.tables[0]]
            )
            self.known = cursor.fetchone()[0]
