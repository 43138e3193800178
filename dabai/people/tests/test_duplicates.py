"""Probable doubles are shown with their reasons until a desk has said whether they are one person."""

from uuid import UUID

from dabai.people.derive import derive_identities
from dabai.people.duplicates import merge_preview, probable_doubles
from dabai.people.models import Person
from dabai.people.tests.bringing import bring, line, number, take
from dabai.people.tests.reporting import hand_in, make_fact
from dabai.testkit.district import PreparedOperation

MAN = number(11)
PHONE = "13800000000"


def pairs(drill: PreparedOperation, area: str = "340602") -> list[tuple[str, frozenset[str]]]:
    return [(double.level, frozenset(double.reasons)) for double in probable_doubles(drill.id, area)]


def decide(drill: PreparedOperation, kind: str, **body: object) -> UUID:
    fact = make_fact(drill, kind, reason="核对", **body)
    assert hand_in([fact]) == [None]
    from django.db import connection

    with connection.cursor() as cursor:
        derive_identities(cursor, drill.district, drill.id, list(Person.objects.values_list("id", flat=True)))
    return fact.id


def test_the_same_name_and_phone_are_likely_one_person(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本甲", MAN, phone=PHONE), line("样本甲", phone=PHONE, community="三二五队社区")]))
    assert pairs(drill) == [("likely", frozenset({"name", "phone"}))]
    assert pairs(drill, "340602001005") == pairs(drill, "340602001007")
    assert pairs(drill, "340602100") == []


def test_people_with_two_sure_numbers_are_two(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本甲", MAN, phone=PHONE), line("样本甲", number(13), phone=PHONE)]))
    assert pairs(drill) == []


def test_namesakes_alone_are_no_doubles(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本甲", MAN), line("样本甲", community="三二五队社区")]))
    assert pairs(drill) == []


def test_what_was_merged_or_parted_is_not_asked_again(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本甲", MAN, phone=PHONE), line("样本甲", phone=PHONE, room="1")]))
    one, other = Person.objects.order_by("id").values_list("id", flat=True)
    preview = merge_preview(drill.id, other, one)
    assert (preview.canonical, preview.already, [person.id for person in preview.people]) == (one, False, [one, other])
    assert preview.differing == ()
    merge = decide(drill, "merged", one=one, other=other)
    assert pairs(drill) == []
    assert merge_preview(drill.id, one, other).already
    decide(drill, "unmerged", merge=merge)
    assert pairs(drill) == []


def test_a_preview_shows_everybody_who_would_be_one(drill: PreparedOperation) -> None:
    rows = [line("样本甲", MAN, phone=PHONE), line("样本乙", phone=PHONE, grid="1"), line("样本丙", number(15))]
    take(bring(drill, rows))
    people = list(Person.objects.order_by("id").values_list("id", flat=True))
    decide(drill, "merged", one=people[0], other=people[1])
    preview = merge_preview(drill.id, people[1], people[2])
    assert [person.id for person in preview.people] == people
    assert preview.differing == ("name", "number", "area")


def test_statements_do_not_grow_with_the_pairs(drill: PreparedOperation, django_assert_num_queries: object) -> None:
    rows = [line(f"样本{name}", room="1", phone=f"1380000{n:04}") for n, name in enumerate("甲乙丙丁戊己庚辛")]
    take(bring(drill, [*rows, *(line(row[0], phone=row[2], room="2") for row in rows)]))
    with django_assert_num_queries(10):  # type: ignore[operator]
        assert len(probable_doubles(drill.id, "340602")) == 8
