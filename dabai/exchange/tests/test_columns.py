"""Columns found by the names that people give them, remembered choices, and outcomes that laboratories write."""

import pytest

from dabai.exchange.columns import (
    RESIDENT_COLUMNS,
    RESULT_COLUMNS,
    Column,
    fold,
    match_columns,
    outcome_from_text,
)
from dabai.exchange.tables import Row
from dabai.kernel.refusal import Refusal

WANTED = (
    Column("name", ("姓名", "full name"), required=True),
    Column("number", ("证件号码", "身份证号"), required=True, identifier=True),
    Column("phone", ("电话",)),
)


@pytest.mark.parametrize(
    "header",
    [["姓名", "身份证号", "电话"], [" 姓 名 ", "身份证号（必填）", "电话:"], ["姓名*", "证件号码\n(18位)", "电话"],
     ["NAME", "Number", "ＰＨＯＮＥ"], ["Full_Name", "身份证号", "【选填】电话"]],
)  # fmt: skip
def test_names_of_columns(header: list[str]) -> None:
    found = match_columns(header, WANTED)
    assert found.places == {"name": 0, "number": 1, "phone": 2}
    assert found.missing == []


def test_what_is_missing_and_what_nobody_wanted() -> None:
    found = match_columns(["姓名", "备注", "", "户籍"], WANTED)
    assert (found.missing, found.unknown) == (["number"], ["备注", "户籍"])
    with pytest.raises(Refusal) as caught:
        found.check()
    assert (caught.value.code, caught.value.field) == ("tables.columns_missing", "number")
    assert caught.value.params == {"keys": ["number"], "names": "证件号码 (number)"}


def test_two_columns_of_one_name_are_for_a_person_to_choose() -> None:
    header = ["姓名", "证件号码", "证件号码", "电话"]
    found = match_columns(header, WANTED)
    assert found.ambiguous == {"number": [2, 3]}
    with pytest.raises(Refusal, match="columns_ambiguous"):
        found.check()
    chosen = match_columns(header, WANTED, remembered={"number": 3})
    assert chosen.places == {"name": 0, "number": 2, "phone": 3}
    assert chosen.remember() == {"name": "姓名", "number": 3, "phone": "电话"}
    assert match_columns(header, WANTED, remembered=chosen.remember()).places == chosen.places


def test_a_remembered_choice_wins_while_it_fits() -> None:
    header = ["姓名", "曾用名", "证件号码"]
    assert match_columns(header, WANTED, remembered={"name": "曾用名"}).places["name"] == 1
    assert match_columns(header, WANTED, remembered={"name": "化名", "number": 9}).places == {"name": 0, "number": 2}


def test_no_column_is_taken_twice() -> None:
    twice = (Column("one", ("姓名",)), Column("two", ("姓名",)))
    assert match_columns(["姓名"], twice).places == {"one": 0}


def test_rows_are_picked_by_key() -> None:
    found = match_columns(["姓名", "身份证号"], WANTED)
    assert found.pick(Row(2, ["张三", "01"])) == {"name": "张三", "number": "01", "phone": ""}


def test_a_number_that_excel_has_destroyed_is_refused_with_its_place() -> None:
    found = match_columns(["姓名", "身份证号"], WANTED)
    with pytest.raises(Refusal) as caught:
        found.pick(Row(7, ["张三", "3.40602E+17"]))
    assert (caught.value.code, caught.value.field) == ("tables.scientific", "number")
    assert caught.value.params == {"row": 7, "column": 2}
    assert found.pick(Row(8, ["+86", "A+1"]))["number"] == "A+1"


def test_a_row_with_a_problem_is_not_picked() -> None:
    problem = Refusal("tables.encoding", row=3, column=1)
    with pytest.raises(Refusal) as caught:
        match_columns(["姓名"], WANTED).pick(Row(3, ["?"], problem))
    assert caught.value is problem


def test_notes_alone_are_a_name() -> None:
    assert fold("（备注）") == "备注"
    assert fold("***") == ""


def test_every_alias_belongs_to_one_key() -> None:
    """A name that two keys claim would be read as whichever comes first."""
    for columns in (RESIDENT_COLUMNS, RESULT_COLUMNS):
        names = [fold(alias) for column in columns for alias in {fold(a) for a in (column.key, *column.aliases)}]
        assert len(names) == len(set(names))


def test_lists_that_communities_keep() -> None:
    header = [
        "序号",
        "姓名",
        "性别",
        "身份证号码",
        "联系电话",
        "现住址",
        "楼栋号",
        "单元",
        "房号",
        "与户主关系",
        "备注",
    ]
    found = match_columns(header, RESIDENT_COLUMNS)
    assert found.unknown == ["序号"]
    assert set(found.places) == {
        "name", "sex", "number", "phone", "address", "building", "unit", "room", "relation", "remark",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("阴性", "negative"), ("阴性(-)", None), ("(-)", "negative"), ("Not Detected", "negative"),
     ("NEGATIVE ", "negative"),
     ("阳性", "positive"), ("＋", "positive"), ("灰区", "suspect"), ("复检", None), ("无效", "invalid"), ("", None)],
)  # fmt: skip
def test_outcomes(text: str, outcome: str | None) -> None:
    assert outcome_from_text(text) == outcome
