"""Real uploads of another country, valid and broken: each is read or explained, row by row (``tests/data/imports``)."""

from datetime import date
from pathlib import Path

import pytest

from dabai.exchange.columns import RESIDENT_COLUMNS, RESULT_COLUMNS, Column, ColumnMap, match_columns, outcome_from_text
from dabai.exchange.tables import Row, open_table
from dabai.kernel.refusal import Refusal
from dabai.people.rules import DocumentKind, normalise_document, normalise_name, normalise_phone, sex_from_text

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "data" / "imports"
PEOPLE = tuple(
    c._replace(required=True) if c.key in {"family_name", "given_name", "sex"} else c for c in RESIDENT_COLUMNS
)


def roster(name: str) -> tuple[ColumnMap, list[Row]]:
    return columns_and_rows(FOLDER / "rosters" / f"{name}.csv", PEOPLE)


def columns_and_rows(path: Path, wanted: tuple[Column, ...]) -> tuple[ColumnMap, list[Row]]:
    with open_table(path) as table:
        return match_columns(table.header, wanted), list(table.rows)


def explained(found: ColumnMap, row: Row) -> list[str]:
    """What is wrong with a row for somebody who wants to reach a person: codes in the order of the columns."""
    try:
        cells = found.pick(row)
    except Refusal as no:
        return [no.code]
    wrong = []
    for read in (
        lambda: normalise_name(f"{cells['given_name']} {cells['family_name']}"),
        lambda: normalise_document(DocumentKind.NONE, cells["number"], today=date(2022, 3, 13)),
        lambda: normalise_phone("+1" + cells["phone"]),
    ):
        try:
            read()
        except Refusal as no:
            wrong.append(no.code)
    return wrong + ["sex"] * (sex_from_text(cells["sex"]) == 0)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("valid", [2]), ("validRequiredOnly", [2]), ("validEmptyOptionalValues", [2]), ("duplicatePatients", [2, 3]),
     ("missingOptionalFields", [2, 3]), ("missingRequiredFields", [2]), ("extraColumns", [2, 3]),
     ("slightlyLargeFile", list(range(2, 19)))],
)  # fmt: skip
def test_rosters_whose_people_can_be_reached(name: str, numbers: list[int]) -> None:
    found, rows = roster(name)
    found.check()
    assert [row.number for row in rows] == numbers
    assert [explained(found, row) for row in rows] == [[] for _ in rows]


def test_an_empty_row_is_passed_over() -> None:
    found, rows = roster("emptyRow")
    assert [row.number for row in rows] == [2, 3]
    assert [explained(found, row) for row in rows] == [[], []]


def test_a_column_too_many_is_named() -> None:
    found, _ = roster("extraColumns")
    assert "student_id" in found.unknown


def test_a_missing_header_is_explained_by_the_columns_that_are_missing() -> None:
    found, rows = roster("missingHeaders")
    with pytest.raises(Refusal) as caught:
        found.check()
    assert caught.value.params["keys"] == ["family_name", "given_name", "sex"]
    assert [row.number for row in rows] == [2]


def test_an_empty_file() -> None:
    with pytest.raises(Refusal, match=r"tables\.empty"):
        roster("empty")


def test_rows_of_uneven_width_are_read_as_far_as_they_go() -> None:
    """One row has four empty cells too many, two lack the last ones: nobody is lost by that."""
    found, rows = roster("malformed")
    assert len({len(row.cells) for row in rows}) == 1
    assert [explained(found, row) for row in rows] == [[] for _ in rows]
    assert [row.number for row in rows] == list(range(2, 2 + len(rows)))


def test_values_that_nobody_understands_are_explained() -> None:
    found, rows = roster("invalidValues")
    assert [explained(found, row) for row in rows] == [["sex"]]
    found, rows = roster("alternateValues")
    assert [explained(found, row) for row in rows] == [["sex"]]


def test_several_rows_with_missing_values() -> None:
    found, rows = roster("invalidValuesAndMissingFieldsInMultipleRows")
    assert [row.number for row in rows] == list(range(2, 2 + len(rows)))
    assert [explained(found, row) for row in rows] == [[] for _ in rows]


# --- Results --------------------------------------------------------------------------------------------------------


def results(name: str) -> tuple[ColumnMap, list[Row]]:
    return columns_and_rows(FOLDER / "results" / f"test-results-upload-{name}.csv", RESULT_COLUMNS)


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [("valid", ["positive"]), ("valid-required-only", ["positive", "negative"]),
     ("valid-dates-no-timezone", ["positive"]), ("valid-with-escaped-commas", ["positive"] * 2),
     ("invalid-specimen-name", ["positive"]), ("invalid-values", [None])],
)  # fmt: skip
def test_outcomes_of_uploads(name: str, outcomes: list[str | None]) -> None:
    found, rows = results(name)
    found.check()
    picked = [found.pick(row) for row in rows]
    assert [outcome_from_text(cells["outcome"]) for cells in picked] == outcomes
    assert all(cells["tube"] for cells in picked)


def test_every_outcome_that_this_upload_knows() -> None:
    found, rows = results("valid-different-results")
    said = {found.pick(row)["outcome"]: outcome_from_text(found.pick(row)["outcome"]) for row in rows}
    assert said.pop("Positive") == "positive"
    assert said.pop("Not Detected") == "negative"
    assert set(said.values()) <= {"negative", "positive", "suspect", "invalid", None}


def test_a_comma_inside_quotation_marks_shifts_nothing() -> None:
    found, rows = results("valid-with-escaped-commas")
    assert found.pick(rows[0])["laboratory"] == "My Testing Lab, Downtown Office"


def test_every_file_is_tested_here() -> None:
    """No upload of the collection goes unexplained."""
    source = Path(__file__).read_text("utf-8")
    for path in FOLDER.rglob("*.csv"):
        assert f'"{path.stem.removeprefix("test-results-upload-")}"' in source
