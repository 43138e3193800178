"""The planner is told while tables grow from nothing."""

from typing import Any

import pytest
from django.db import connection

from dabai.kernel.growth import FIRST, TIMES, Growth

pytestmark = pytest.mark.django_db
PLAIN, PARENT, LEAF = "growth_plain", "growth_parent", "growth_leaf"


@pytest.fixture
def growth(db: None) -> Growth:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {PLAIN} (district int)")
        cursor.execute(f"CREATE TABLE {PARENT} (district int) PARTITION BY LIST (district)")
        cursor.execute(f"CREATE TABLE {LEAF} PARTITION OF {PARENT} DEFAULT")
    return Growth([PLAIN, PARENT])


def fill(table: str, rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} SELECT 340602 FROM generate_series(1, %s)", [rows])


def known(table: str) -> Any:
    """How many districts the planner believes there are; None while it has no idea."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_distinct FROM pg_stats WHERE tablename = %s", [table])
        found = cursor.fetchone()
        return found and found[0]


def test_work_begins_small_and_grows_as_the_planner_learns(growth: Growth) -> None:
    assert growth.limit(60_000) == FIRST
    fill(PLAIN, 3_000)
    assert growth.limit(60_000) == FIRST  # just looked
    growth.tell()
    assert known(PLAIN) == 1
    assert growth.limit(60_000) == TIMES * 3_000
    assert growth.limit(600) == 600


def test_a_table_is_looked_at_again_when_it_is_several_times_as_large(growth: Growth) -> None:
    fill(PLAIN, 3_000)
    growth.tell()
    fill(PLAIN, 3_000)
    growth.tell()
    assert growth.known == 3_000
    fill(PLAIN, 60_000)
    growth.tell()
    assert growth.known == 66_000


def test_partitions_are_looked_at_one_by_one_and_their_parent_once(growth: Growth) -> None:
    growth.tell()
    fill(PARENT, 3_000)
    growth.tell()
    assert known(LEAF) == known(PARENT) == 1
