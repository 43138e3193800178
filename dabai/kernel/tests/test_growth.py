"""The planner is told while tables grow from nothing."""

from typing import Any

import pytest
from django.db import connection

from dabai.kernel.growth import FIRST, TIMES, Growth

pytestmark = pytest.mark.django_db
TABLE = "growth_of_a_test"


@pytest.fixture
def table() -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE {TABLE} (district int)")
        cursor.execute(f"INSERT INTO {TABLE} SELECT 340602 FROM generate_series(1, 1000)")
    return TABLE


def known(table: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_distinct FROM pg_stats WHERE tablename = %s", [table])
        found = cursor.fetchone()
        return found and found[0]


def test_work_on_an_unknown_table_begins_small_and_grows_as_the_planner_learns(table: str) -> None:
    growth = Growth([table])
    assert growth.limit(6000) == FIRST
    growth.note(FIRST - 1)
    assert known(table) is None
    growth.note(1)
    assert known(table) == 1
    assert growth.limit(6000) == TIMES * FIRST
    growth.note(TIMES * FIRST)
    assert growth.limit(6000) == TIMES * (TIMES + 1) * FIRST
    assert growth.limit(600) == 600


def test_a_table_that_the_planner_knows_is_worked_on_at_once(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")
    growth = Growth([table])
    assert growth.limit(6000) == TIMES * 1000
    growth.note(2999)
    assert growth.since == 2999
    growth.note(1)
    assert growth.since == 0
