"""People are found by whole values within the reader's areas, shown masked, and revealed with a reason on record."""

from typing import Any
from uuid import UUID

import pytest
from django.test.utils import CaptureQueriesContext

from dabai.access.models import AuditEntry
from dabai.access.queries import who_looked_at
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.people import actions, imports, queries
from dabai.people.models import Household, Person
from dabai.people.tests.bringing import as_csv, bring, line, number, take, upload
from dabai.people.tests.reporting import hand_in, make_fact, withdraw
from dabai.testkit.cast import make_cast
from dabai.testkit.district import PreparedOperation

MAN, WOMAN = number(1), number(2)
PHONE = "13800000000"


@pytest.fixture
def residents(drill: PreparedOperation) -> PreparedOperation:
    """Two people behind one door in 高岳, a namesake in 和平."""
    home = {"phone": PHONE, "grid": "1", "estate": "示例小区", "building": "3号楼", "room": "301"}
    rows = [line("样本甲", MAN, **home), line("样本乙", WOMAN, **home)]
    take(bring(drill, [*rows, line("样本甲", number(3), community="三二五队社区", building="1号楼")]))
    return drill


def person(drill: PreparedOperation, document: str) -> UUID:
    return queries.find(drill.id, document, ["340602"]).people[0].id


def names(found: queries.Found) -> list[tuple[str, str]]:
    return [(one.name, one.area) for one in found.people]


def correct(drill: PreparedOperation, whom: UUID, **body: Any) -> UUID:
    fact = make_fact(drill, "corrected", person=whom, reason="核对", **body)
    assert hand_in([fact]) == [None]
    return fact.id


# --- search ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (MAN, 1),
        (f" {MAN[:6]} {MAN[6:]} ", 1),
        ("样本甲", 2),
        ("样 本 甲", 2),
        (PHONE, 2),
        ("138-0000-0000", 2),
        (MAN[-4:], 1),
        ("样本", 0),
        (MAN[:17], 0),
        ("", 0),
        ("9999", 0),
        ("x" * 300, 0),
    ],
)
def test_people_are_found_by_whole_values(residents: PreparedOperation, text: str, count: int) -> None:
    assert len(queries.find(residents.id, text, ["340602"]).people) == count


def test_nobody_is_found_outside_the_areas(residents: PreparedOperation) -> None:
    assert names(queries.find(residents.id, "样本甲", ["340602001005"])) == [("样*甲", "340602001005")]
    assert names(queries.find(residents.id, MAN, ["340602001005"])) == []
    assert names(queries.find(residents.id, MAN[-4:], ["340602001005"])) == []
    assert names(queries.find(residents.id, MAN, [])) == []
    assert names(queries.find(residents.id, MAN[-4:], ["34060200100701"])) == [("样*甲", "34060200100701")]


def test_a_long_answer_is_cut_and_says_so(residents: PreparedOperation) -> None:
    found = queries.find(residents.id, "样本甲", ["340602"], limit=1)
    assert (len(found.people), found.more) == (1, True)


def test_somebody_with_an_unverified_number_is_found_by_it(drill: PreparedOperation) -> None:
    wrong = MAN[:17] + ("0" if MAN[17] != "0" else "1")
    document = {"kind": "01", "number": wrong}
    hand_in([make_fact(drill, "person_registered", site=drill.points[0].pk, name="样本丁", document=document)])
    assert [one.doubt for one in queries.find(drill.id, wrong, ["340602"]).people] == ["documents.check_digit"]


def test_corrections_are_found_and_shown_until_withdrawn(residents: PreparedOperation) -> None:
    whom = person(residents, MAN)
    fact = correct(residents, whom, name="样本丁", document={"kind": "01", "number": number(9)}, phone="13900000009")
    for text in ("样本丁", number(9), "13900000009", number(9)[-4:], MAN):
        assert [one.id for one in queries.find(residents.id, text, ["340602"]).people] == [whom], text
    shown = queries.masked_people(residents.id, [whom])[whom]
    assert (shown.name, shown.phone) == ("样*丁", "139****0009")
    withdraw(residents, fact)
    assert queries.masked_people(residents.id, [whom])[whom].name == "样*甲"


def test_lists_show_no_whole_value(residents: PreparedOperation) -> None:
    people = queries.find(residents.id, PHONE, ["340602"]).people
    text = str(people)
    assert not [secret for secret in (MAN, WOMAN, PHONE, "样本甲", "301") if secret in text]
    assert {(one.number, one.phone) for one in people} == {
        (f"{MAN[:4]}**********{MAN[-4:]}", "138****0000"),
        (f"{WOMAN[:4]}**********{WOMAN[-4:]}", "138****0000"),
    }


def test_the_number_of_statements_does_not_grow_with_the_list(drill: PreparedOperation) -> None:
    from django.db import connection

    take(bring(drill, [line("样本甲", number(order)) for order in range(1, 40)]))
    ids = list(Person.objects.values_list("id", flat=True))
    for some in (ids[:1], ids):
        with CaptureQueriesContext(connection) as captured:
            assert len(queries.masked_people(drill.id, some)) == len(some)
        assert len(captured) == 4


def test_unknown_people_and_operations(residents: PreparedOperation) -> None:
    assert queries.masked_people(residents.id, [uuid7()]) == {}
    with pytest.raises(Refusal) as refused:
        queries.find(2**30, MAN, ["340602"])
    assert refused.value.code == "people.operation_unknown"


# --- pages ----------------------------------------------------------------------------------------------------


def test_the_people_of_an_area_come_page_by_page(residents: PreparedOperation) -> None:
    seen, after = [], None
    while True:
        page = queries.residents(residents.id, "340602001", after=after, limit=2)
        seen += [one.id for one in page.people]
        after = page.after
        if not page.more:
            break
    assert seen == list(Person.objects.order_by("area", "id").values_list("id", flat=True))
    assert len(queries.residents(residents.id, "34060200100701", building="3号楼").people) == 2
    assert queries.residents(residents.id, "34060200100702").people == []
    with pytest.raises(Refusal) as refused:
        queries.residents(residents.id, "340602", after="nonsense")
    assert refused.value.code == "people.page_unknown"


def test_buildings_and_counts(residents: PreparedOperation) -> None:
    assert queries.buildings(residents.id, "340602") == [("1号楼", 1), ("3号楼", 2)]
    assert queries.people_count(residents.id, "340602001005") == 1


def test_a_review_pages_through_the_rows(residents: PreparedOperation) -> None:
    found = bring(residents, [line("样本甲", MAN, grid="1"), line("样本戊", number(5), phone="1"), line("", WOMAN)])
    lines = queries.import_lines(found)
    assert [(one.number, one.outcome, one.name) for one in lines] == [
        (2, "same", "样*甲"),
        (3, "added", "样*戊"),
        (4, "refused", ""),
    ]
    assert MAN not in str(lines)
    assert [one.number for one in queries.import_lines(found, outcome="remarked")] == [3, 4]
    assert [one.number for one in queries.import_lines(found, outcome="refused")] == [4]
    assert [one.number for one in queries.import_lines(found, after=2, limit=1)] == [3]
    assert queries.imports_of(residents.id, ["340602"])[0].pk == found.pk
    assert queries.imports_of(residents.id, ["370105"]) == []


# --- who may do what ------------------------------------------------------------------------------------------


def test_a_reveal_needs_a_reason_and_leaves_a_line(residents: PreparedOperation) -> None:
    cast, whom = make_cast(residents.id, "340602"), person(residents, MAN)
    reveal = {"by": cast.round_manager.user, "operation": residents.id, "person": whom}
    shown = actions.reveal(**reveal, fields=["name", "phone", "address"], reason="电话无人接听")
    assert shown == {"name": "样本甲", "phone": PHONE, "address": "示例小区 3号楼 301"}
    [row] = who_looked_at(whom)
    assert (row.actor, row.reason, row.detail) == (
        "round_manager",
        "电话无人接听",
        {"fields": ["name", "phone", "address"]},
    )
    for wrong, code in (
        ({"fields": ["name"], "reason": " "}, "access.reason_missing"),
        ({"fields": ["shoe"], "reason": "x"}, "people.field_unknown"),
        ({"fields": [], "reason": "x"}, "people.field_unknown"),
        ({"fields": ["name"], "reason": "x", "person": uuid7()}, "people.person_unknown"),
        ({"fields": ["name"], "reason": "x", "by": cast.outsider.user}, "access.not_allowed"),
        ({"fields": ["name"], "reason": "x", "by": cast.administrator.user}, "access.not_allowed"),
        ({"fields": ["name"], "reason": "x", "by": cast.courier.user}, "access.not_allowed"),
    ):
        with pytest.raises(Refusal) as refused:
            actions.reveal(**(reveal | wrong))
        assert refused.value.code == code
    assert len(who_looked_at(whom)) == 1


def test_lists_are_for_those_who_may_import_them_there(residents: PreparedOperation) -> None:
    cast = make_cast(residents.id, "340602001")
    content = as_csv([line("样本己", number(6))])
    for member, area, allowed in (
        (cast.round_manager, "340602001", True),
        (cast.round_manager, "340602", False),
        (cast.outsider, "340602001", False),
        (cast.commander, "340602001", False),
        (cast.administrator, "340602001", False),
    ):
        if allowed:
            found = upload(residents, content, by=member.user, area=area)
            continue
        with pytest.raises(Refusal) as refused:
            upload(residents, content, by=member.user, area=area)
        assert refused.value.code == "access.not_allowed"
    imports.stage(found.pk, workers=0)
    with pytest.raises(Refusal):
        actions.accept_import(by=cast.outsider.user, import_id=found.pk)
    with pytest.raises(Refusal) as refused:
        actions.accept_import(by=cast.round_manager.user, import_id=2**30)
    assert refused.value.code == "people.import_unknown"
    actions.accept_import(by=cast.round_manager.user, import_id=found.pk)
    logged = AuditEntry.objects.filter(subject=f"import/{found.pk}").order_by("pk")
    assert [row.action for row in logged] == ["people.list_uploaded", "people.list_accepted"]
    assert "样本" not in str(list(logged.values()))


def test_moving_away_needs_a_reason(residents: PreparedOperation) -> None:
    cast, whom = make_cast(residents.id, "340602"), person(residents, MAN)
    move = {"operation": residents.id, "person": whom, "away": True}
    with pytest.raises(Refusal) as refused:
        actions.set_away(by=cast.round_manager.user, reason="", **move)
    assert refused.value.code == "people.reason_missing"
    with pytest.raises(Refusal):
        actions.set_away(by=cast.courier.user, reason="迁出", **move)
    actions.set_away(by=cast.round_manager.user, reason="迁出", **move)
    assert queries.people_count(residents.id) == 2


def test_households_are_sealed_by_building(residents: PreparedOperation) -> None:
    cast = make_cast(residents.id, "340602")
    seal = {"operation": residents.id, "district": residents.district, "building": "3号楼", "reason": "密接"}
    done = actions.seal_households(by=cast.round_manager.user, area="340602001007", sealed=True, **seal)
    assert (done, Household.objects.filter(sealed=True).count()) == (1, 1)
    with pytest.raises(Refusal):
        actions.seal_households(by=cast.outsider.user, area="340602001007", sealed=False, **seal)
    with pytest.raises(Refusal) as refused:
        actions.seal_households(by=None, area="x", sealed=False, **seal)
    assert refused.value.code == "people.area_code"
