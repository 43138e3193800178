"""What the benchmark writes by SQL is what intake and the worker would have left."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import connection

from dabai.journal.models import Entry, MarkKind
from dabai.testing.models import Sample, Tube, TubeState
from dabai.testkit.field import derived_state
from tests.load.rounds import new_round, past_round
from tests.load.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 60


@dataclass(frozen=True)
class TestsOwnDatabase:
    """The test's database in the place of an installation."""

    __test__ = False

    def connect(self) -> psycopg.Connection[Any]:
        given = {name: value for name, value in connection.get_connection_params().items() if name in ARGUMENTS}
        return psycopg.connect(**given, autocommit=True)


ARGUMENTS = ("dbname", "user", "password", "host", "port")


@pytest.fixture
def place() -> Iterator[Any]:
    yield TestsOwnDatabase()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_grid, bench_site; DROP FUNCTION bench_person, bench_household, bench_id")


@pytest.fixture
def world(place: Any) -> World:
    return make_world(place, PEOPLE, findable=5)


def mark_everything() -> None:
    """Ask the worker to look at every tube and everybody."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO journal_mark (district, operation, kind, key)
               SELECT district, operation, %s, tube FROM testing_tube
               UNION ALL SELECT district, operation, %s, id::text FROM people_person""",
            [MarkKind.TUBE.value, MarkKind.PERSON.value],
        )


@pytest.mark.parametrize("resulted", [True, False])
def test_a_past_round_is_as_the_worker_would_have_it(place: Any, world: World, resulted: bool) -> None:
    planned = past_round(place, world, days_ago=3, resulted=resulted)
    assert Sample.objects.count() == PEOPLE
    assert Tube.objects.filter(state=TubeState.REPORTED).count() == (len(planned.tubes) if resulted else 0)
    before = derived_state()
    mark_everything()
    after = derived_state()
    for table, rows in before.items():
        assert after[table] == rows, table
    ids = set(Entry.objects.values_list("id", flat=True))
    assert set(Sample.objects.values_list("id", flat=True)) <= ids


def test_a_new_round_has_everybody_on_its_roster_and_its_figures(place: Any, world: World) -> None:
    row = new_round(place, world)
    before = derived_state()
    assert len(before["figures_area_cell"]) == len(world.grids)
    mark_everything()
    assert derived_state() == before
    assert row.roster_size == PEOPLE


def test_whoever_can_be_looked_up_is_found(place: Any, world: World) -> None:
    from dabai.access.keys import ring
    from dabai.people.queries import names_meant, numbers_meant

    keys = ring(world.operation)
    with connection.cursor() as cursor:
        for index, (number, name) in enumerate(world.findable):
            tokens = [[keys.token("number", one) for one in numbers_meant(number)]]
            tokens += [[keys.token("name", one) for one in names_meant(name)]]
            cursor.execute("SELECT id FROM people_person WHERE number_token = ANY(%s) AND name_token = ANY(%s)", tokens)
            assert [str(row[0]) for row in cursor.fetchall()] == [world.person(index)]
