"""Result files of laboratories: whatever they look like, a good row becomes a fact and a bad one says why."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from dabai.kernel.codes import make_tube_codes
from dabai.kernel.ids import NAMESPACE
from dabai.kernel.refusal import Refusal
from dabai.testing.resultfiles import Choices, Reading, RowError, read_file, read_time

SAMPLES = Path(__file__).resolve().parents[3] / "tests" / "data" / "imports" / "results"
TUBES = make_tube_codes("DJ", "001", 0, 20)
NOW = datetime(2022, 3, 14, 4, 0, tzinfo=UTC)
READ = "2022-03-13 20:15:00"
READ_AT = datetime(2022, 3, 13, 12, 15, tzinfo=UTC)
HEADER = "试管编号,检测结果,检测时间"


def read(text: str, *, encoding: str = "utf-8", **more: Any) -> Reading:
    return read_file(BytesIO(text.encode(encoding)), now=NOW, **more)


def one_row(**cells: str) -> Reading:
    row = {"试管编号": TUBES[0], "检测结果": "阴性", "检测时间": READ} | cells
    return read(",".join(row) + "\n" + ",".join(row.values()) + "\n")


def codes(reading: Reading) -> list[tuple[int, str, str]]:
    return [(error.row, error.field, error.code) for error in reading.errors]


# --- what a row says


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("阴性", "negative"),
        ("（－）", "negative"),
        ("未检出", "negative"),
        ("NEG", "negative"),
        ("Not  Detected", "negative"),
        ("260415000", "negative"),
        ("阳性", "positive"),
        ("+", "positive"),
        ("（＋）", "positive"),
        ("Detected", "positive"),
        ("260373001", "positive"),
        ("可疑", "suspect"),
        ("灰区", "suspect"),
        ("单靶标阳性", "suspect"),
        ("无效", "invalid"),
        ("Invalid Result", "invalid"),
    ],
)
def test_words_for_outcomes(word, outcome):
    found = one_row(检测结果=word)
    assert [row.outcome for row in found.rows] == [outcome]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("", "testing.outcome_missing"),
        ("-", "testing.outcome_unclear"),
        ("0", "testing.outcome_unclear"),
        ("复检", "testing.outcome_unknown"),
        ("fake", "testing.outcome_unknown"),
    ],
)
def test_words_that_are_no_outcome(word, code):
    found = one_row(检测结果=word)
    assert (found.rows, codes(found)) == ([], [(2, "outcome", code)])


def test_what_a_laboratory_means_by_its_own_words_is_said_once():
    text = f"{HEADER}\n{TUBES[0]},-,{READ}\n{TUBES[1]},查无,{READ}\n"
    found = read(text, choices=Choices(words={"-": "negative", "查无": "negative"}))
    assert [row.outcome for row in found.rows] == ["negative", "negative"]


def test_cycles_by_target():
    found = one_row(检测结果="阳性", **{"ORF1ab": "28.31", "N(Ct值)": "27", "E基因": "NoCt", "内标": ""})
    assert found.rows[0].ct == {"ORF1ab": 28.31, "N": 27.0, "E": None}
    assert one_row().rows[0].ct is None
    assert one_row(ORF1ab="0").rows[0].ct == {"ORF1ab": None}


@pytest.mark.parametrize("text", ["61", "-3", "nan", "inf", "about 30"])
def test_a_cycle_that_is_none(text):
    assert codes(one_row(ORF1ab=text)) == [(2, "ct_orf1ab", "testing.cycle")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "codes.empty"),
        (TUBES[0].lower(), "codes.lower_case"),
        (TUBES[0][:-1] + ("A" if TUBES[0][-1] != "A" else "B"), "codes.check_character"),
        ("3.40602E+11", "tables.scientific"),
        ("X" + TUBES[0][1:], "codes.check_character"),
        ("123", "codes.not_ours"),
    ],
)
def test_a_tube_code_that_is_none(text, code):
    found = one_row(试管编号=text)
    assert [(error.row, error.field) for error in found.errors] == [(2, "tube")]
    assert found.errors[0].code in (code, "codes.not_ours")


def test_barcodes_that_a_profile_accepts():
    text = f"{HEADER}\n990000000001,阴性,{READ}\n{TUBES[0]},阴性,{READ}\nABC,阴性,{READ}\n"
    found = read(text, patterns=["[0-9]{12}", "Q[0-9]{9}"])
    assert [row.tube for row in found.rows] == ["990000000001", TUBES[0]]
    assert codes(found) == [(4, "tube", "codes.pattern")]


# --- times


@pytest.mark.parametrize(
    "text",
    [
        "2022-03-13 20:15:00",
        "2022-03-13T20:15",
        "2022/3/13 20:15",
        "2022.03.13 20:15:00.123",
        "2022年3月13日 20:15",
        "2022年3月13日 20时15分",
        "2022年3月13日 下午8:15",
        "2022-03-13 8:15 PM",
        "20220313201500",
        "202203132015",
        "2022-03-13T12:15:00Z",
        "2022-03-13 13:15:00+01:00",
        "13/3/2022 20:15",
    ],
)
def test_times_as_laboratories_write_them(text):
    assert read_time(text, "dmy") == READ_AT


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "testing.time_missing"),
        ("2022-03-13", "testing.time_of_day"),
        ("2022-02-30 10:00", "testing.time_form"),
        ("2022-03-13 25:00", "testing.time_form"),
        ("12/20/2021 4:00 PST", "testing.time_form"),
        ("03/04/2022 10:00", "testing.time_order"),
        ("x", "testing.time_form"),
    ],
)
def test_times_that_are_none(text, code):
    with pytest.raises(Refusal) as caught:
        read_time(text, "")
    assert (caught.value.code, caught.value.field) == (code, "tested_at")


def test_the_order_of_day_and_month_is_told_by_the_file():
    text = f"{HEADER}\n{TUBES[0]},阴性,03/04/2021 10:00\n{TUBES[1]},阴性,12/20/2021 10:00\n"
    found = read(text)
    assert found.rows[0].read_at.date().isoformat() == "2021-03-04"
    assert found.choices.date_order == "mdy"
    alone = f"{HEADER}\n{TUBES[0]},阴性,03/04/2021 10:00\n"
    assert codes(read(alone)) == [(2, "tested_at", "testing.time_order")]
    assert read(alone, choices=found.choices).rows[0].read_at == found.rows[0].read_at


def test_a_time_for_the_whole_file():
    text = f"试管编号,检测结果\n{TUBES[0]},阴性\n"
    assert codes(read(text)) == [(2, "tested_at", "testing.time_missing")]
    assert read(text, read_at=READ_AT).rows[0].read_at == READ_AT


def test_the_future_has_not_been_read_yet():
    assert codes(one_row(检测时间="2022-03-14 12:30:00")) == [(2, "tested_at", "testing.time_future")]


# --- what a file says


def test_rows_are_numbered_as_the_spreadsheet_shows_them():
    text = f"核酸检测结果汇总,,\n\n{HEADER}\n{TUBES[0]},阴性,{READ}\n,,\n{TUBES[1]},?,{READ}\n"
    found = read(text)
    assert [row.number for row in found.rows] == [4]
    assert codes(found) == [(6, "outcome", "testing.outcome_unknown")]
    assert found.seen == 2


def test_a_file_in_gb18030_with_semicolons():
    text = f"条码号;结论;报告时间\n{TUBES[0]};阳性;{READ}\n"
    assert [row.outcome for row in read(text, encoding="gb18030").rows] == ["positive"]


def test_the_same_row_twice_counts_once():
    row = f"{TUBES[0]},阴性,{READ}\n"
    found = read(f"{HEADER}\n{row}{row}{TUBES[1]},阴性,{READ}\n")
    assert ([one.number for one in found.rows], found.repeated, found.errors) == ([2, 4], 1, [])


def test_rows_that_contradict_each_other_are_held_back_both():
    text = f"{HEADER}\n{TUBES[0]},阴性,{READ}\n{TUBES[1]},阴性,{READ}\n{TUBES[0]},阳性,{READ}\n"
    found = read(text)
    assert [row.tube for row in found.rows] == [TUBES[1]]
    assert found.errors == [
        RowError(2, "tube", "testing.rows_contradict", {"other": 4}),
        RowError(4, "tube", "testing.rows_contradict", {"other": 2}),
    ]


def test_a_tube_read_again_in_another_run_is_no_contradiction():
    text = f"{HEADER},批次\n{TUBES[0]},可疑,{READ},R1\n{TUBES[0]},阳性,{READ},R2\n"
    assert [row.run for row in read(text).rows] == ["R1", "R2"]


def test_a_file_without_the_columns_that_matter_says_which():
    with pytest.raises(Refusal) as caught:
        read("姓名,年龄\n甲,3\n")
    assert (caught.value.code, caught.value.params["keys"]) == ("tables.columns_missing", ["tube", "outcome"])


def test_columns_are_remembered():
    text = f"瓶子,判定,时刻\n{TUBES[0]},阴性,{READ}\n"
    said = Choices(columns={"tube": "瓶子", "outcome": "判定", "tested_at": "时刻"})
    found = read(text, choices=said)
    assert len(found.rows) == 1
    assert found.choices.columns == said.columns


def test_a_workbook_with_typed_cells():
    book = Workbook()
    book.active.append(["试管编号", "检测结果", "检测时间", "ORF1ab Ct值", "N Ct值"])
    book.active.append([TUBES[0], "阳性", datetime.fromisoformat("2022-03-13T20:15"), 31.5, 30])
    content = BytesIO()
    book.save(content)
    found = read_file(content, now=NOW)
    assert (found.rows[0].read_at, found.rows[0].ct) == (READ_AT, {"ORF1ab": 31.5, "N": 30.0})


# --- facts


def test_the_fact_is_named_by_what_it_says():
    first, again = one_row(), read(f"检测时间,结果,管码\n2022/3/13 20:15,未检出,{TUBES[0]}\n")
    assert first.rows[0].fact(1, 7)["id"] == again.rows[0].fact(1, 7)["id"]
    others = [
        one_row(检测结果="阳性"),
        one_row(检测时间="2022-03-13 20:16:00"),
        one_row(批次="R1"),
        one_row(ORF1ab="40"),
    ]
    ids = {first.rows[0].fact(1, 7)["id"], first.rows[0].fact(1, 8)["id"], first.rows[0].fact(2, 7)["id"]}
    ids |= {other.rows[0].fact(1, 7)["id"] for other in others}
    assert len(ids) == 7
    assert {UUID(one).version for one in ids} == {5}
    assert NAMESPACE.version == 5


def test_the_same_moment_in_another_zone_is_the_same_fact():
    here, there = one_row(检测时间="2022-03-13 20:15:00"), one_row(检测时间="2022-03-13T12:15:00Z")
    assert here.rows[0].fact(1, 7) == there.rows[0].fact(1, 7)


# --- files that real senders sent


def sample(name: str, **more: Any) -> Reading:
    with (SAMPLES / f"test-results-upload-{name}.csv").open("rb") as file:
        return read_file(file, patterns=["[0-9a-f-]{3,36}"], **more)


@pytest.mark.parametrize("name", ["valid", "invalid-specimen-name"])
def test_a_valid_sample(name):
    found = sample(name)
    assert [(row.number, row.tube, row.outcome) for row in found.rows] == [(2, "123", "positive")]
    assert found.rows[0].read_at.astimezone(UTC).date().month == 12
    assert found.errors == []


def test_different_words_for_results():
    found = sample("valid-different-results")
    outcomes = ["positive", "negative", "positive", "negative", "invalid", "positive"]
    assert [row.outcome for row in found.rows] == outcomes
    assert found.errors == []


def test_commas_inside_quotes():
    found = sample("valid-with-escaped-commas")
    assert codes(found) == [(2, "tested_at", "testing.time_form"), (3, "tested_at", "testing.time_form")]


def test_dates_without_a_time_of_day():
    assert codes(sample("valid-dates-no-timezone")) == [(2, "tested_at", "testing.time_of_day")]


def test_only_the_columns_that_are_required():
    found = sample("valid-required-only")
    assert [row.outcome for row in found.rows] == ["positive"]
    assert codes(found) == [(3, "tube", "codes.lower_case")]


def test_values_that_mean_nothing():
    assert codes(sample("invalid-values")) == [
        (2, "tube", "codes.lower_case"),
        (2, "outcome", "testing.outcome_unknown"),
        (2, "tested_at", "testing.time_form"),
    ]


@given(st.lists(st.lists(st.text(max_size=8), max_size=5), max_size=8))
def test_no_cell_breaks_the_reading(rows: Sequence[Sequence[str]]):
    lines = "\n".join(",".join(cell.replace(",", " ") for cell in row) for row in rows)
    with suppress(Refusal):
        found = read(f"{HEADER},ORF1ab,批次\n{lines}\n{TUBES[0]},阴性,{READ},,\n", encoding="utf-8-sig")
        assert all(error.row > 1 for error in found.errors)


def test_the_past_is_read():
    assert one_row(检测时间=(NOW - timedelta(days=400)).strftime("%Y-%m-%d %H:%M")).errors == []
