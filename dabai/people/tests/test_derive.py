"""Who is the same person: any order, split and repetition of the same facts ends in the same rows as a plain oracle."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabai.journal.kinds import Fact
from dabai.journal.models import MarkKind
from dabai.kernel.ids import uuid7
from dabai.people.derive import derive_identities, identity_findings, people_of_facts
from dabai.people.models import Identity
from dabai.people.rules import check_digit
from dabai.people.tests.reporting import hand_in, make_fact, withdraw
from dabai.testkit.district import PreparedOperation

NUMBERS = [first + check_digit(first) for first in (f"34060219000101{order:03}" for order in (11, 12, 13, 14))]
WRONG = NUMBERS[0][:17] + ("0" if NUMBERS[0][17] != "0" else "1")
NAMES = ["样本甲", "样本乙", "样本丙"]


class Undo(Exception):
    """Takes an example's rows back."""


@contextmanager
def undone() -> Iterator[None]:
    """A transaction that leaves nothing behind."""
    try:
        with transaction.atomic():
            yield
            raise Undo
    except Undo:
        pass


# --- the oracle -----------------------------------------------------------------------------------------------


@dataclass
class Story:
    """A set of facts in plain values: numbers and names by index, None where a fact says nothing about them."""

    people: dict[UUID, tuple[int | None, int]]
    corrections: dict[UUID, tuple[UUID, int, int | None, int | None]] = field(default_factory=dict)
    merges: dict[UUID, tuple[UUID, UUID]] = field(default_factory=dict)
    withdrawn: set[UUID] = field(default_factory=set)


def in_force(story: Story, person: UUID) -> tuple[int | None, int | None]:
    """Number and name of a person after the newest corrections."""
    if person in story.withdrawn or person not in story.people:
        return None, None
    number: int | None
    number, name = story.people[person]
    for fact, (whom, _, new_number, new_name) in sorted(story.corrections.items(), key=lambda c: (c[1][1], c[0])):
        if whom == person and fact not in story.withdrawn:
            number = number if new_number is None else new_number
            name = name if new_name is None else new_name
    return number, name


def expected(story: Story) -> set[tuple[UUID, UUID, bool]]:
    """The identity rows of a story, by joining sets until nothing changes."""
    merges = [pair for fact, pair in story.merges.items() if fact not in story.withdrawn]
    ids = set(story.people).union(*merges)
    facts = {person: in_force(story, person) for person in ids}
    equal = [(a, b) for a in ids for b in ids if facts[a][0] not in (None, len(NUMBERS)) and facts[a][0] == facts[b][0]]
    rows = set()
    for group in join(ids, merges + equal):
        parts = [{facts[i][1] for i in part} - {None} for part in join(group, merges)]
        conflict = any(a and b and not a & b for a in parts for b in parts)
        rows |= {(member, min(group), conflict) for member in group if len(group) > 1}
    return rows


def join(ids: set[UUID], pairs: list[tuple[UUID, UUID]]) -> list[set[UUID]]:
    """Sets of ids connected by pairs."""
    sets = [{i} for i in ids]
    for pair in pairs:
        touched = [s for s in sets if s & set(pair)]
        sets = [s for s in sets if s not in touched] + [set().union(*touched)] if touched else sets
    return sets


# --- stories and how they arrive ------------------------------------------------------------------------------


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Up to six people, with corrections, merges and withdrawals of anything; number index 4 does not check."""
    size = draw(st.integers(2, 6))
    ids = [uuid7() for _ in range(size)]
    number, name = st.none() | st.integers(0, len(NUMBERS)), st.integers(0, len(NAMES) - 1)
    story = Story({person: (draw(number), draw(name)) for person in ids})
    whom = st.sampled_from([*ids, uuid7()])
    for _ in range(draw(st.integers(0, 4))):
        new_number = draw(st.none() | st.integers(0, len(NUMBERS) - 1))
        new_name = draw(name if new_number is None else st.none() | name)
        story.corrections[uuid7()] = (draw(whom), draw(st.integers(0, 2)), new_number, new_name)
    for _ in range(draw(st.integers(0, 4))):
        one, other = draw(whom), draw(whom)
        if one != other:
            story.merges[uuid7()] = (one, other)
    everything = [*ids, *story.corrections, *story.merges]
    story.withdrawn = set(draw(st.lists(st.sampled_from(everything), max_size=4)))
    return story


def facts_of(drill: PreparedOperation, story: Story) -> list[Any]:
    """The story as facts; a withdrawal is the id that it names."""
    facts: list[Any] = [*story.withdrawn]
    for person, (number, name) in story.people.items():
        document = None if number is None else {"kind": "01", "number": [*NUMBERS, WRONG][number]}
        body = {"site": drill.points[0].pk, "name": NAMES[name], "document": document}
        facts.append(make_fact(drill, "person_registered", id=person, **body))
    for fact, (whom, minutes, new_number, new_name) in story.corrections.items():
        fields: dict[str, Any] = {} if new_name is None else {"name": NAMES[new_name]}
        if new_number is not None:
            fields["document"] = {"kind": "01", "number": NUMBERS[new_number]}
        facts.append(make_fact(drill, "corrected", id=fact, minutes=minutes, person=whom, reason="核对", **fields))
    for fact, (one, other) in story.merges.items():
        facts.append(make_fact(drill, "merged", id=fact, one=one, other=other, reason="同一人"))
    return facts


def deliver(drill: PreparedOperation, batch: list[Any]) -> None:
    """Store a batch and derive what its marks ask for, and nothing else."""
    people: set[UUID] = set()
    targets: set[UUID] = set()
    for item in batch:
        if isinstance(item, UUID):
            withdraw(drill, item)
            targets.add(item)
    facts = [item for item in batch if isinstance(item, Fact)]
    assert hand_in(facts) == [None] * len(facts)
    for fact in facts:
        people |= {UUID(key) for kind, key in fact.marks if kind == MarkKind.PERSON}
        targets |= {UUID(key) for kind, key in fact.marks if kind == MarkKind.FACT}
    with connection.cursor() as cursor:
        people |= people_of_facts(cursor, drill.district, targets)
        derive_identities(cursor, drill.district, drill.id, people)


def rows() -> set[tuple[UUID, UUID, bool]]:
    return set(Identity.objects.values_list("person", "canonical", "name_conflict"))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=stories(), data=st.data())
def test_any_order_and_split_ends_in_the_rows_of_the_oracle(
    drill: PreparedOperation, story: Story, data: st.DataObject
) -> None:
    with undone():
        order = data.draw(st.permutations(facts_of(drill, story)))
        while order:
            size = data.draw(st.integers(1, len(order)))
            deliver(drill, order[:size])
            order = order[size:]
        assert rows() == expected(story)
        again = data.draw(st.sampled_from(sorted(story.people)))
        with connection.cursor() as cursor:
            derive_identities(cursor, drill.district, drill.id, [again])
        assert rows() == expected(story)


# --- single cases ---------------------------------------------------------------------------------------------


def register(drill: PreparedOperation, *, number: str | None = None, name: str = NAMES[0]) -> UUID:
    document = {"kind": "01", "number": number} if number else None
    fact = make_fact(drill, "person_registered", site=drill.points[0].pk, name=name, document=document)
    deliver(drill, [fact])
    return fact.id


def decide(drill: PreparedOperation, kind: str, **body: Any) -> UUID:
    fact = make_fact(drill, kind, reason="核对", **body)
    deliver(drill, [fact])
    return fact.id


def findings(drill: PreparedOperation, *people: UUID) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        return identity_findings(cursor, drill.district, drill.id, people)


def test_numbers_that_do_not_check_join_nobody(drill: PreparedOperation) -> None:
    register(drill, number=WRONG)
    register(drill, number=WRONG)
    assert rows() == set()


def test_everybody_whose_group_may_have_changed_is_named(drill: PreparedOperation) -> None:
    first, second = register(drill, number=NUMBERS[0]), register(drill, number=NUMBERS[0])
    assert rows() == {(first, first, False), (second, first, False)}
    fact = make_fact(
        drill, "corrected", person=second, document={"kind": "01", "number": NUMBERS[1]}, reason="录入错误"
    )
    hand_in([fact])
    with connection.cursor() as cursor:
        assert derive_identities(cursor, drill.district, drill.id, [second]) == {first, second}
    assert rows() == set()


def test_another_operation_is_another_world(drill: PreparedOperation, django_assert_num_queries: Any) -> None:
    first = register(drill, number=NUMBERS[0])
    with django_assert_num_queries(5), connection.cursor() as cursor:
        assert derive_identities(cursor, drill.district, drill.id + 1, [first]) == {first}
    with django_assert_num_queries(0), connection.cursor() as cursor:
        assert derive_identities(cursor, drill.district, drill.id, []) == set()


@pytest.mark.parametrize("size", [2, 60])
def test_statements_follow_the_longest_chain_not_the_batch(drill: PreparedOperation, size: int) -> None:
    people = [make_fact(drill, "person_registered", site=drill.points[0].pk, name=NAMES[0]) for _ in range(size * 2)]
    ids = [fact.id for fact in people]
    pairs = zip(ids[:size], ids[size:], strict=True)
    hand_in([*people, *(make_fact(drill, "merged", one=a, other=b, reason="同一人") for a, b in pairs)])
    with CaptureQueriesContext(connection) as captured, connection.cursor() as cursor:
        assert derive_identities(cursor, drill.district, drill.id, ids[:size]) == set(ids)
    assert len(captured) == 6
    assert len(rows()) == size * 2


def test_a_name_conflict_is_a_case_until_a_desk_has_merged(drill: PreparedOperation) -> None:
    first = register(drill, number=NUMBERS[0], name=NAMES[0])
    second = register(drill, number=NUMBERS[0], name=NAMES[1])
    [case] = findings(drill, second)
    assert (case["code"], case["subject"]) == ("people.name_conflict", str(first))
    assert case["facts"] == sorted([str(first), str(second)])
    assert case["area"] == drill.points[0].area
    merge = decide(drill, "merged", one=first, other=second)
    assert findings(drill, first, second) == []
    decide(drill, "unmerged", merge=merge)
    assert len(findings(drill, first, second)) == 1


def test_an_unsure_number_is_a_case_until_it_is_corrected(drill: PreparedOperation) -> None:
    person = register(drill, number=WRONG)
    [case] = findings(drill, person)
    assert (case["code"], case["facts"]) == ("people.number_unverified", [str(person)])
    assert case["detail"] == {"reason": "documents.check_digit"}
    decide(drill, "corrected", person=person, document={"kind": "01", "number": NUMBERS[0]})
    assert findings(drill, person) == []


def test_findings_take_three_statements(drill: PreparedOperation, django_assert_num_queries: Any) -> None:
    people = [register(drill, number=NUMBERS[i % 4], name=NAMES[i % 3]) for i in range(12)]
    with django_assert_num_queries(3), connection.cursor() as cursor:
        found = identity_findings(cursor, drill.district, drill.id, people)
    assert [case["code"] for case in found] == ["people.name_conflict"] * 4
