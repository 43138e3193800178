"""A row of a list says who, where and behind which door, in the many ways in which people write that."""

from datetime import date
from typing import Any

import pytest

from dabai.people.rows import AreaBook, Cells, RowReader, birth_year, door_of, household_id
from dabai.people.tests.bringing import number

KNOWN = [
    ("340602", "杜集区"),
    ("340602001", "高岳街道"),
    ("340602001007", "高岳社区居委会"),
    ("34060200100701", "第1网格"),
    ("34060200100702", "高岳二网格"),
    ("340602002", "矿山集街道"),
    ("340602002001", "和平社区居委会"),
    ("340602100", "朔里镇"),
    ("340602100201", "和平村委会"),
    ("340602100202", "葛塘村委会"),
]
TODAY = date(2022, 3, 13)


def find(area: str = "", street: str = "", community: str = "", grid: str = "", within: str = "340602") -> Any:
    found = AreaBook(KNOWN, within).find(area, street, community, grid)
    return found if isinstance(found, str) else found["code"]


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"area": "340602001007"}, "340602001007"),
        ({"area": "34060200100702"}, "34060200100702"),
        ({"area": "340602001007", "grid": "2"}, "34060200100702"),
        ({"area": "340602001007", "grid": "第1网格"}, "34060200100701"),
        ({"community": "高岳社区居委会", "grid": "01"}, "34060200100701"),
        ({"street": "高岳", "community": "高岳", "grid": "高岳二网格"}, "34060200100702"),
        ({"area": "杜集区高岳街道高岳社区居委会"}, "340602001007"),
        ({"area": "杜集区/高岳街道/高岳社区"}, "340602001007"),
        ({"area": "高岳街道 高岳社区 高岳二网格"}, "34060200100702"),
        ({"area": "高岳"}, "340602001007"),
        ({"community": "葛塘"}, "340602100202"),
        ({"street": "朔里镇", "community": "和平"}, "340602100201"),
        ({"community": "和平社区"}, "people.area_ambiguous"),
        ({"community": "和平村委会"}, "340602100201"),
        ({"area": "340602001"}, "people.area_wide"),
        ({"area": "340602001000"}, "people.area_wide"),
        ({"street": "高岳街道"}, "people.area_wide"),
        ({"area": "370105001001"}, "people.area_outside"),
        ({"area": "340602999999"}, "people.area_unknown"),
        ({"community": "高岳社区居委会", "grid": "9"}, "people.area_unknown"),
        ({"street": "矿山集街道", "community": "高岳社区居委会"}, "people.area_outside"),
        ({"area": "那边"}, "people.area_unknown"),
        ({}, "people.area_missing"),
    ],
)
def test_places_are_named_by_code_name_or_number(cells: dict[str, str], code: str) -> None:
    assert find(**cells) == code


def test_a_list_of_a_community_lies_there() -> None:
    assert find(within="340602001007") == "340602001007"
    assert find(grid="2", within="340602001007") == "34060200100702"
    assert find(community="和平村委会", within="340602001007") == "people.area_outside"


def test_a_cross_list_may_stay_wide() -> None:
    assert AreaBook(KNOWN, "340602", anywhere=True).find("", "", "", "") == "340602"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"building": "3号楼", "unit": "1单元", "room": "301室"}, {"building": "3", "unit": "1", "room": "301"}, True),
        ({"building": "3栋", "room": "301"}, {"building": "３号楼", "room": "301"}, True),
        ({"building": "3", "unit": "1", "room": "301"}, {"building": "3", "unit": "2", "room": "301"}, False),
        ({"estate": "甲苑", "room": "1"}, {"estate": "乙苑", "room": "1"}, False),
        ({"address": "示例路 1 号"}, {"address": "示例路1号"}, True),
        ({"household": "H-7", "room": "1"}, {"household": "h7", "room": "2"}, True),
    ],
)
def test_doors_are_compared_not_spellings(one: dict[str, str], other: dict[str, str], same: bool) -> None:
    doors = {door_of(Cells(**cells), "34060200100701") for cells in (one, other)}
    assert (len(doors) == 1) is same


def test_a_building_alone_is_no_door_and_a_grid_does_not_part_a_household() -> None:
    assert door_of(Cells(building="3"), "340602001007") == ""
    assert door_of(Cells(room="3"), "34060200100701") == door_of(Cells(room="3"), "340602001007")


def test_a_household_id_is_a_uuid_of_its_own_kind() -> None:
    from uuid import UUID

    made = UUID(bytes=household_id(bytes(range(16))))
    assert (made.version, made.variant) == (8, "specified in RFC 4122")
    assert household_id(bytes(range(16))) != household_id(bytes(range(1, 17)))


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("1958-03-21", 1958),
        ("1958/3/21", 1958),
        ("19580321", 1958),
        ("1958年3月21日", 1958),
        ("1958.3", 1958),
        ("1958", 1958),
        ("3/21/1958", 1958),
        ("1958-03-21 00:00:00", 1958),
        ("1958年", 1958),
    ],
)
def test_birthdays_in_many_forms(text: str, year: int) -> None:
    assert birth_year(text, TODAY) == year


@pytest.mark.parametrize("text", ["3/21/58", "2058-01-01", "58", "不详", "11/3/8", "19583212345"])
def test_unreadable_birthdays_are_remarked(text: str) -> None:
    read = RowReader(AreaBook(KNOWN, "340602001007"), TODAY, {}).read(Cells(name="样本甲", birth_date=text))
    assert not read.refused
    assert [reason["code"] for reason in read.reasons] == ["people.birth_unreadable"]


def test_the_document_goes_before_the_list() -> None:
    cells = Cells(name="样本甲", number=number(1), sex="女", birth_date="1958-03-21", group="学生")
    read = RowReader(AreaBook(KNOWN, "340602001007"), TODAY, {"学生": "student"}).read(cells)
    assert (read.sex, read.birth_year, read.group, read.reasons) == (1, 1900, "student", [])


def test_two_columns_make_a_name_and_a_kind_without_number_is_nobodys_fault() -> None:
    cells = Cells(family_name="Doe", given_name="Jane", document_kind="身份证")
    read = RowReader(AreaBook(KNOWN, "340602001007"), TODAY, {}).read(cells)
    assert (read.name, read.document.kind, read.refused) == ("JANE DOE", "00", False)


def test_an_unknown_kind_is_guessed_and_remarked() -> None:
    cells = Cells(name="样本甲", number="H12345678", document_kind="某证")
    read = RowReader(AreaBook(KNOWN, "340602001007"), TODAY, {}).read(cells)
    assert (read.document.kind, [reason["code"] for reason in read.reasons]) == ("06", ["documents.kind_unknown"])


def test_collective_households_are_told_apart() -> None:
    reader = RowReader(AreaBook(KNOWN, "340602001007"), TODAY, {})
    kinds = ["集体户", "家庭户", ""]
    assert [reader.read(Cells(name="样本甲", household_kind=kind)).collective for kind in kinds] == [True, False, False]


def test_no_reason_repeats_a_cell() -> None:
    cells = Cells(**dict.fromkeys(Cells._fields, "秘密内容" * 30))
    read = RowReader(AreaBook(KNOWN, "340602"), TODAY, {}).read(cells)
    assert read.refused
    assert "秘密" not in str(read.reasons)
