"""Partitions of the journal: one a month of its UUIDv7 ids, made ahead of time; what fits none goes to the DEFAULT one.

Ids of natural things (uuid5) and ids with a wrong clock lie in the DEFAULT partition for ever, which is right:
nothing is looked up by partition. Phones' facts had better not lie there too: their rows are longer than those of
results, and each of a file's results would be written into the gap that is left in another old page. Intake never
waits for this: it gives up at once where it can't have its lock.
"""

from datetime import UTC, datetime

from django.db import Error, connection, transaction

MONTHS_AHEAD = 2
PATIENCE = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '3s'"


def month_after(moment: datetime) -> datetime:
    """The first instant of the next month, UTC."""
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return datetime(year, month, 1, tzinfo=UTC)


def bound(moment: datetime) -> str:
    """The smallest UUIDv7 of a moment."""
    stamp = f"{int(moment.timestamp() * 1000):012x}"
    return f"{stamp[:8]}-{stamp[8:]}-0000-0000-000000000000"


def make_ahead(now: datetime) -> list[str]:
    """Make the partitions of the coming months that are missing; names of those made. The running month gets one only
    before the first fact: later some of its facts lie in the DEFAULT partition."""
    made = []
    running = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start, last = running if is_empty() else month_after(running), running
    for _ in range(MONTHS_AHEAD):
        last = month_after(last)
    while start <= last:
        end = month_after(start)
        name = f"journal_entry_{start:%Y_%m}"
        if make(name, start, end):
            made.append(name)
        start = end
    return made


def is_empty() -> bool:
    """Whether no fact has come yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT EXISTS (SELECT FROM journal_entry)")
        return bool(cursor.fetchone()[0])


def make(name: str, start: datetime, end: datetime) -> bool:
    """Make one partition; False when it is there, or could not be made now and will be tried again."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is not None:
                return False
            cursor.execute(PATIENCE)
            cursor.execute(
                f"CREATE TABLE {name} PARTITION OF journal_entry FOR VALUES FROM (%s) TO (%s)",
                [bound(start), bound(end)],
            )
    except Error:
        return False
    return True
