"""People whom hotels, firms and sites name, and who are on no roster. Other lists: dabai/figures/tests/test_queries."""

from typing import Any

import pytest

from dabai.people.models import ListedPerson
from dabai.testing.coverage import strangers
from dabai.testing.models import ChangeKind
from dabai.testkit.district import PreparedOperation
from dabai.testkit.rows import Rows, person

A, C = "34060200100501", "34060210220201"


@pytest.fixture
def rows(drill: PreparedOperation) -> Rows:
    return Rows(drill)


def listed(rows: Rows, number: int, *, batch: int = 1, area: str = A, **tokens: Any) -> None:
    sealed = {"key": 1, "name_enc": b"x", "name_token": b"name"}
    row = {"district": rows.drill.district, "operation": rows.drill.id, "batch": batch, "area": area}
    ListedPerson.objects.create(id=person(number), **row | sealed | tokens)


def found(rows: Rows, **more: Any) -> list[Any]:
    return [one.id for one in strangers(rows.round.pk, **more)]


def test_whoever_has_the_number_of_somebody_due_is_no_stranger(rows: Rows) -> None:
    rows.resident(1, A, number_token=b"one")
    rows.due(1, A)
    listed(rows, 101, number_token=b"one")
    listed(rows, 102, number_token=b"two")
    assert found(rows) == [person(102)]


def test_a_resident_who_is_not_due_is_a_stranger_to_the_round(rows: Rows) -> None:
    rows.resident(1, A, number_token=b"one")
    listed(rows, 101, number_token=b"one")
    assert found(rows) == [person(101)]
    rows.change(1, ChangeKind.ADDED, A)
    rows.covered(1, A)
    assert found(rows) == []


def test_another_id_of_the_same_person_counts(rows: Rows) -> None:
    rows.resident(1, A, number_token=b"old")
    rows.resident(2, A, number_token=b"new")
    rows.due(1, A)
    rows.same(1, 2)
    listed(rows, 101, number_token=b"new")
    assert found(rows) == []


def test_without_a_number_name_and_phone_tell(rows: Rows) -> None:
    rows.resident(1, A, phone_token=b"phone", name_token=b"name")
    rows.due(1, A)
    listed(rows, 101, phone_token=b"phone")
    listed(rows, 102, phone_token=b"other")
    assert found(rows) == [person(102)]


def test_one_list_or_one_area(rows: Rows) -> None:
    listed(rows, 101, number_token=b"a", batch=1)
    listed(rows, 102, number_token=b"b", batch=2, area=C)
    assert found(rows, batch=2) == [person(102)]
    assert found(rows, areas=[A[:9]]) == [person(101)]
