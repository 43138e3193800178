"""The journal's partitions are made ahead and never stand in intake's way."""

import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection, transaction

from dabai.journal.partitions import bound, make_ahead, month_after
from dabai.kernel.ids import uuid7


def test_bounds_are_those_of_uuid7() -> None:
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    at = int(moment.timestamp() * 1000)
    assert UUID(bound(moment)) < uuid7(at) < UUID(bound(month_after(moment)))
    assert month_after(datetime(2026, 12, 31, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.django_db
def test_two_months_ahead_are_made_once() -> None:
    now = datetime(2031, 11, 20, tzinfo=UTC)
    assert make_ahead(now) == ["journal_entry_2031_12", "journal_entry_2032_01"]
    assert make_ahead(now) == []


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
    assert make_ahead(datetime(2041, 1, 1, tzinfo=UTC)) in ([], ["journal_entry_2041_02", "journal_entry_2041_03"])
    done.set()
    thread.join(10)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS journal_entry_2041_02, journal_entry_2041_03")
