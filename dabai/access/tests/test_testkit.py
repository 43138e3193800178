"""The test district itself: what everybody else's tests stand on."""

import os

import pytest
from django.db import connection

from dabai.access.keys import ring
from dabai.testkit.district import make_operation

pytestmark = pytest.mark.django_db


def test_an_operation_stands_ready():
    made = make_operation()
    assert made.district == 340602
    assert len(made.streets) == 6
    assert len(made.grids) == 2 * len(made.communities) == 112
    assert [p.stations.count() for p in made.points] == [2, 2]
    assert ring(made.id).current == 1


def test_two_operations_share_the_areas_and_not_the_keys():
    one, other = make_operation(), make_operation("response")
    assert one.areas == other.areas
    assert ring(one.id).token("phone", "1") != ring(other.id).token("phone", "1")


def test_the_database_is_a_test_database_of_its_own():
    assert connection.settings_dict["NAME"].startswith(os.environ.get("DABAI_TEST_DB", "test_"))
