"""Registrations are never lost; a desk's corrections must be right; merges name two people; statements are fixed."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import ValidationError

from dabai.access.keys import ring
from dabai.journal.models import MarkKind
from dabai.kernel.ids import uuid7
from dabai.people.models import Correction, Merge, Person
from dabai.people.tests.reporting import hand_in, hand_in_one, make_fact
from dabai.testkit.district import PreparedOperation

MAN = "340602190001010010"
WRONG_CHECK = "340602190001010003"


def register(drill: PreparedOperation, **body: Any) -> Any:
    return make_fact(drill, "person_registered", **{"site": drill.points[0].pk, "name": "样本甲"} | body)


def test_registered_person_is_found_by_the_id_of_the_fact(drill: PreparedOperation) -> None:
    fact = register(drill, document={"kind": "01", "number": MAN}, phone="13800000000", address="示例路1号")
    assert hand_in_one(fact) is None
    person = Person.objects.get(id=fact.id)
    assert (person.spot, person.sex, person.birth_year, person.document_kind) == (True, 1, 1900, "01")
    assert person.area == drill.points[0].area
    assert fact.marks == [(MarkKind.PERSON, str(fact.id))]


def test_what_was_written_opens_for_its_own_row_only(drill: PreparedOperation) -> None:
    fact = register(drill, document={"kind": "", "number": MAN}, address="示例路1号")
    hand_in_one(fact)
    person, keys = Person.objects.get(id=fact.id), ring(drill.id)
    assert keys.open(person.key, "people_person", "name", fact.id, person.name_enc) == "样本甲"
    assert keys.open(person.key, "people_person", "number", fact.id, person.number_enc) == MAN
    assert keys.open(person.key, "people_person", "address", fact.id, person.address_enc) == "示例路1号"
    assert bytes(person.number_token) == keys.token("number", f"01:{MAN}")
    assert bytes(person.tail_token) == keys.token("tail", f"0010|{drill.points[0].area}")


@pytest.mark.parametrize(
    ("document", "kind", "doubt", "has_number"),
    [
        (None, "00", "", False),
        ({"kind": "01", "number": ""}, "00", "", False),
        ({"kind": "01", "number": "无"}, "00", "", False),
        ({"kind": "01", "number": WRONG_CHECK}, "99", "documents.check_digit", True),
        ({"kind": "01", "number": "3406*****0003"}, "99", "documents.masked", True),
        ({"kind": "77", "number": "A1"}, "99", "documents.kind_unknown", True),
        ({"kind": "01", "number": "370105190002290031"}, "01", "documents.date_not_real", True),
    ],
)
def test_a_document_that_does_not_check_loses_nobody(
    drill: PreparedOperation, document: Any, kind: str, doubt: str, has_number: bool
) -> None:
    fact = register(drill, document=document)
    assert hand_in_one(fact) is None
    person = Person.objects.get(id=fact.id)
    assert (person.document_kind, person.doubt, person.number_enc is not None) == (kind, doubt, has_number)


@pytest.mark.parametrize("name", ["???", "123", "·"])
def test_a_name_without_letters_is_kept_as_typed(drill: PreparedOperation, name: str) -> None:
    fact = register(drill, name=name)
    assert hand_in_one(fact) is None
    person = Person.objects.get(id=fact.id)
    assert ring(drill.id).open(person.key, "people_person", "name", fact.id, person.name_enc) == name


def test_no_name_at_all_is_refused_and_leaves_no_row(drill: PreparedOperation) -> None:
    refusal = hand_in_one(register(drill, name="\u200b"))
    assert refusal is not None
    assert (refusal.code, refusal.field) == ("documents.name_empty", "body.name")
    assert not Person.objects.exists()


def test_unknown_site_and_foreign_scope_are_refused(drill: PreparedOperation) -> None:
    verdicts = hand_in([register(drill, site=2**31 - 1), register(drill, everywhere=False), register(drill)])
    assert [verdict and verdict.code for verdict in verdicts] == [
        "journal.site_unknown",
        "journal.out_of_scope",
        None,
    ]
    assert Person.objects.count() == 1


@pytest.mark.parametrize(
    "extra", [{"colour": 1}, {"name": ""}, {"name": "甲" * 101}, {"area": "34"}, {"phone": "1\n2"}]
)
def test_bodies_have_a_fixed_form(drill: PreparedOperation, extra: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        register(drill, **extra)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "people.correction_empty", "body"),
        ({"document": {"kind": "01", "number": WRONG_CHECK}}, "documents.check_digit", "body.document.number"),
        ({"phone": "12"}, "documents.phone_form", "body.phone"),
        ({"name": "123"}, "documents.name_characters", "body.name"),
    ],
)
def test_a_correction_must_be_right(drill: PreparedOperation, body: Any, code: str, field: str) -> None:
    refusal = hand_in_one(make_fact(drill, "corrected", person=uuid7(), reason="核对", **body))
    assert refusal is not None
    assert (refusal.code, refusal.field) == (code, field)


def test_a_correction_keeps_only_what_it_speaks_of(drill: PreparedOperation) -> None:
    person = uuid7()
    fact = make_fact(drill, "corrected", person=person, document={"kind": "01", "number": MAN}, reason="核对")
    assert hand_in_one(fact) is None
    row = Correction.objects.get(id=fact.id)
    assert (row.person, row.document_kind, row.name_enc, row.phone_enc) == (person, "01", None, None)
    assert ring(drill.id).open(row.key, "people_correction", "number", fact.id, row.number_enc) == MAN
    assert fact.marks == [(MarkKind.PERSON, str(person))]


def test_a_merge_keeps_what_it_rests_on(drill: PreparedOperation) -> None:
    one, other, basis = uuid7(), uuid7(), uuid7()
    merged = make_fact(drill, "merged", one=one, other=other, reason="同一人", facts=[basis])
    bare = make_fact(drill, "merged", one=one, other=other, reason="同一人")
    assert hand_in([merged, bare]) == [None, None]
    assert Merge.objects.get(id=merged.id).facts == [basis]
    assert Merge.objects.get(id=bare.id).facts == []
    myself = make_fact(drill, "merged", one=one, other=one, reason="同一人")
    refusal = hand_in_one(myself)
    assert refusal is not None
    assert refusal.code == "people.merge_self"


def test_unmerging_marks_the_merge(drill: PreparedOperation) -> None:
    merge = uuid7()
    fact = make_fact(drill, "unmerged", merge=merge, reason="两个人")
    assert hand_in_one(fact) is None
    assert fact.marks == [(MarkKind.FACT, str(merge))]


@pytest.mark.parametrize("kind", ["person_registered", "corrected", "merged", "unmerged"])
def test_the_number_of_statements_does_not_grow_with_the_batch(drill: PreparedOperation, kind: str) -> None:
    def one() -> Any:
        bodies: dict[str, dict[str, Any]] = {
            "person_registered": {"site": drill.points[0].pk, "name": "样本甲", "phone": "13800000000"},
            "corrected": {"person": uuid7(), "name": "样本乙", "reason": "核对"},
            "merged": {"one": uuid7(), "other": uuid7(), "reason": "同一人"},
            "unmerged": {"merge": uuid7(), "reason": "两个人"},
        }
        return make_fact(drill, kind, **bodies[kind])

    hand_in_one(one())
    counts = []
    for size in (1, 40):
        batch = [one() for _ in range(size)]
        with CaptureQueriesContext(connection) as captured:
            hand_in(batch)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 2
