"""The journal's partitions are made ahead and never stand in intake's way."""

import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection, transaction

from dabai.journal.models import Entry, Verdict
from dabai.journal.partitions import bound, make_ahead, month_after
from dabai.kernel.ids import uuid7


def test_bounds_are_those_of_uuid7() -> None:
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    at = int(moment.timestamp() * 1000)
    assert UUID(bound(moment)) < uuid7(at) < UUID(bound(month_after(moment)))
    assert month_after(datetime(2026, 12, 31, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


def enter(moment: datetime) -> None:
    """A fact of that moment in the journal."""
    key = uuid7(int(moment.timestamp() * 1000))
    told = {"happened_at": moment, "received_at": moment, "digest": b"", "area": "340602"}
    Entry.objects.create(district=340602, id=key, seq=1, operation=1, kind=23, verdict=Verdict.ACCEPTED, **told)


@pytest.mark.django_db
def test_two_months_ahead_are_made_once() -> None:
    now = datetime(2031, 11, 20, tzinfo=UTC)
    enter(now)
    assert make_ahead(now) == ["journal_entry_2031_12", "journal_entry_2032_01"]
    assert make_ahead(now) == []


@pytest.mark.django_db
def test_before_the_first_fact_the_running_month_gets_a_partition_too() -> None:
    now = datetime(2031, 11, 20, tzinfo=UTC)
    assert make_ahead(now) == ["journal_entry_2031_11", "journal_entry_2031_12", "journal_entry_2032_01"]
    enter(now)
    assert make_ahead(now) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM journal_entry_2031_11")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db(transaction=True)
def test_a_running_intake_is_not_waited_for() -> None:
    held, done = threading.Event(), threading.Event()

    def intake() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE journal_entry IN ROW EXCLUSIVE MODE")
            held.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=intake)
    thread.start()
    held.wait(10)
    names = [f"journal_entry_2041_{month:02}" for month in (1, 2, 3)]
    assert make_ahead(datetime(2041, 1, 1, tzinfo=UTC)) in ([], names)
    done.set()
    thread.join(10)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(names)}")
