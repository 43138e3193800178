"""Lists become staged change sets, each row with its reason; what is taken is there at once, the rest is nowhere."""

import logging
import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection
from openpyxl import Workbook

from dabai.access.keys import make_key, ring
from dabai.journal.models import Mark, MarkKind
from dabai.kernel.refusal import Refusal
from dabai.people import actions, imports, processes, queries
from dabai.people.derive import derive_identities
from dabai.people.models import Household, Identity, Import, ListedPerson, Person, StagedRow
from dabai.people.staging import Stager
from dabai.people.tests.bringing import HEADER, as_csv, bring, line, number, only_person, outcomes, take, upload
from dabai.people.tests.reporting import hand_in, make_fact
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.residents import resident_rows

ROSTERS = Path(__file__).resolve().parents[3] / "tests" / "data" / "imports" / "rosters"
MAN, WOMAN = number(1), number(2)


# --- what becomes of a row ------------------------------------------------------------------------------------


def test_nobody_sees_a_list_before_its_commit(drill: PreparedOperation) -> None:
    found = bring(drill, [line(document=MAN, grid="1", building="3号楼", room="301")])
    assert (found.state, found.rows_done, found.rows_total) == ("staged", 1, 1)
    assert found.counts == {"added": 1, "changed": 0, "same": 0, "doubled": 0, "refused": 0, "reasons": {}}
    assert not Person.objects.exists()
    take(found)
    assert found.state == "committed"
    person = only_person()
    assert (person.area, person.building, person.sex, person.birth_year) == ("34060200100701", "3号楼", 2 - 1, 1900)
    assert not person.spot
    assert not StagedRow.objects.exists()


def test_what_was_staged_opens_as_the_persons_own(drill: PreparedOperation) -> None:
    take(bring(drill, [line(document=MAN, phone="138 0000 0000", estate="示例小区", building="3号楼", room="301")]))
    person = only_person()
    known = queries.open_people(drill.id, [person.id])[person.id]
    assert (known.name, known.number, known.phone) == ("样本甲", MAN, "13800000000")
    assert known.address == "示例小区 3号楼 301"
    assert bytes(person.number_token) == ring(drill.id).token("number", f"01:{MAN}")
    assert bytes(person.tail_token or b"") == ring(drill.id).token("tail", f"{MAN[-4:]}|340602001007")


def test_people_behind_one_door_are_a_household(drill: PreparedOperation) -> None:
    home = {"building": "3号楼", "unit": "1单元", "room": "301室"}
    rows = [line("样本甲", MAN, **home), line("样本乙", WOMAN, building="3栋", unit="1", room="301")]
    take(bring(drill, [*rows, line("样本丙", number(3), building="3栋", unit="1", room="302")]))
    homes = dict(Person.objects.values_list("birth_year", "household"))
    assert Household.objects.count() == 2
    assert Person.objects.values("household").distinct().count() == 2
    assert set(homes.values()) <= set(Household.objects.values_list("id", flat=True))


def test_the_same_list_again_changes_nothing(drill: PreparedOperation) -> None:
    rows = [line("样本甲", MAN, room="1"), line("样本乙", room="2"), line("样本丙", phone="13800000000")]
    take(bring(drill, rows))
    before = list(Person.objects.order_by("id").values())
    again = bring(drill, rows)
    assert [outcome for _, outcome, _ in outcomes(again)] == ["same", "same", "same"]
    assert not StagedRow.objects.filter(name_enc__isnull=False).exists()
    take(again)
    assert list(Person.objects.order_by("id").values()) == before


def test_a_change_keeps_the_person_and_what_the_list_leaves_out(drill: PreparedOperation) -> None:
    take(bring(drill, [line(document=MAN, phone="13800000000", grid="1", room="301")]))
    before = only_person()
    make_key(drill.id)
    found = bring(drill, [line(document=MAN, grid="2", group="学生")])
    assert [outcome for _, outcome, _ in outcomes(found)] == ["changed"]
    take(found)
    after = only_person()
    known = queries.open_people(drill.id, [after.id])[after.id]
    assert (after.id, after.household, after.area, after.group) == (
        before.id,
        before.household,
        "34060200100702",
        "student",
    )
    assert (known.phone, known.name, known.number) == ("13800000000", "样本甲", MAN)
    assert after.key != before.key


@pytest.mark.parametrize(
    "change",
    [{"phone": "13900000000"}, {"building": "9"}, {"room": "9"}, {"community": "三二五队社区"}, {"group": "学生"}],
)
def test_anything_new_is_a_change(drill: PreparedOperation, change: dict[str, str]) -> None:
    take(bring(drill, [line(document=MAN)]))
    assert [outcome for _, outcome, _ in outcomes(bring(drill, [line(document=MAN, **change)]))] == ["changed"]


def test_a_community_says_nothing_new_of_somebody_in_its_grid(drill: PreparedOperation) -> None:
    take(bring(drill, [line(document=MAN, grid="1")]))
    assert [outcome for _, outcome, _ in outcomes(bring(drill, [line(document=MAN)]))] == ["same"]


def test_somebody_back_on_a_list_is_no_longer_away(drill: PreparedOperation) -> None:
    take(bring(drill, [line(document=MAN)]))
    actions.set_away(by=None, operation=drill.id, person=only_person().id, away=True, reason="迁出")
    take(bring(drill, [line(document=MAN)]))
    assert not only_person().away


def test_doubles_within_a_list_name_the_first_row(drill: PreparedOperation) -> None:
    found = bring(drill, [line(document=MAN), line(document=MAN), line("样本乙", MAN), line("样本丙", WOMAN)])
    assert outcomes(found) == [
        (2, "added", []),
        (3, "doubled", ["people.double_in_file"]),
        (4, "doubled", ["people.double_other_name"]),
        (5, "added", []),
    ]
    assert StagedRow.objects.get(number=4).reason[0]["params"] == {"row": 2}
    take(found)
    assert Person.objects.count() == 2
    assert [outcome for _, outcome, _ in outcomes(found)] == ["doubled", "doubled"]


def test_a_line_without_a_number_is_doubled_only_where_more_than_the_name_agrees(drill: PreparedOperation) -> None:
    rows = [
        line("样本甲"),
        line("样本甲"),
        line("样本乙", room="1"),
        line("样本乙", room="1"),
        line("样本乙", room="2"),
    ]
    found = bring(drill, rows)
    assert [outcome for _, outcome, _ in outcomes(found)] == ["added", "added", "added", "doubled", "added"]


def test_a_known_number_under_another_name_waits_for_the_reviewer(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本甲", MAN)]))
    found = bring(drill, [line("样本乙", MAN)])
    assert outcomes(found) == [(2, "doubled", ["people.double_other_name"])]
    actions.keep_as_own_person(by=None, import_id=found.pk, number=2)
    found.refresh_from_db()
    assert (found.counts["added"], found.counts["doubled"]) == (1, 0)
    take(found)
    kept = Person.objects.get(document_kind="00")
    assert queries.open_people(drill.id, [kept.id])[kept.id].name == "样本乙"
    assert kept.number_token is None


def test_a_repeated_resident_cannot_be_kept_as_somebody_else(drill: PreparedOperation) -> None:
    take(bring(drill, [line(document=MAN)]))
    found = bring(drill, [line(document=MAN), line(document=MAN)])
    assert [outcome for _, outcome, _ in outcomes(found)] == ["same", "doubled"]
    with pytest.raises(Refusal) as refused:
        actions.keep_as_own_person(by=None, import_id=found.pk, number=3)
    assert refused.value.code == "people.row_not_doubled"


@pytest.mark.parametrize("body", [{"name": "样本乙"}, {"document": {"kind": "01", "number": WOMAN}}])
def test_a_list_finds_whom_a_desk_has_corrected(drill: PreparedOperation, body: dict[str, Any]) -> None:
    take(bring(drill, [line("样本甲", MAN)]))
    hand_in([make_fact(drill, "corrected", person=only_person().id, reason="核对", **body)])
    old, new = line("样本甲", MAN), line(body.get("name", "样本甲"), body.get("document", {}).get("number", MAN))
    for one in (old, new):
        assert [outcome for _, outcome, _ in outcomes(bring(drill, [one]))] == ["same"]


def test_somebody_registered_on_the_spot_is_joined_not_changed(drill: PreparedOperation) -> None:
    document = {"kind": "01", "number": MAN}
    fact = make_fact(drill, "person_registered", site=drill.points[0].pk, name="样本甲", document=document)
    hand_in([fact])
    found = bring(drill, [line(document=MAN), line("样本乙", WOMAN)])
    assert [outcome for _, outcome, _ in outcomes(found)] == ["added", "added"]
    take(found)
    [mark] = Mark.objects.all()
    resident = Person.objects.get(spot=False, number_token=ring(drill.id).token("number", f"01:{MAN}"))
    assert (mark.kind, mark.key) == (MarkKind.PERSON, str(resident.id))
    with connection.cursor() as cursor:
        derive_identities(cursor, drill.district, drill.id, [UUID(mark.key)])
    assert set(Identity.objects.values_list("person", flat=True)) == {fact.id, resident.id}


def test_two_lists_under_review_add_nobody_twice(drill: PreparedOperation) -> None:
    first, second = bring(drill, [line(document=MAN)]), bring(drill, [line(document=MAN), line("样本乙", WOMAN)])
    take(first)
    take(second)
    assert Person.objects.count() == 2
    assert outcomes(second) == [(2, "doubled", ["people.double_meanwhile"])]


# --- bad input ------------------------------------------------------------------------------------------------


def test_a_bad_row_takes_no_neighbour_with_it(drill: PreparedOperation) -> None:
    rows = [
        line("样本甲", MAN),
        line("", WOMAN),
        line("样本乙", MAN[:17] + ("0" if MAN[17] != "0" else "1")),
        line("样本丙", number(3), community="无此社区"),
        line("样本丁", number(4), phone="12", group="某类"),
        line("样本戊"),
    ]
    found = bring(drill, rows)
    assert outcomes(found) == [
        (2, "added", []),
        (3, "refused", ["documents.name_empty"]),
        (4, "refused", ["documents.check_digit"]),
        (5, "refused", ["people.area_unknown"]),
        (6, "added", ["documents.phone_form", "people.group_unknown"]),
        (7, "added", []),
    ]
    assert found.counts["reasons"]["documents.check_digit"] == 1
    take(found)
    assert Person.objects.count() == 3


def test_a_row_that_the_file_has_spoilt_says_so(drill: PreparedOperation) -> None:
    found = bring(drill, [[*line(document=MAN), "多出的"], line("样本乙", WOMAN)])
    assert outcomes(found) == [(2, "refused", ["tables.row_too_long"]), (3, "added", [])]


def test_every_reason_has_its_sentence_in_both_languages(drill: PreparedOperation) -> None:
    from dabai.kernel.words import LANGUAGES, say_refusal

    rows = [
        line("", "12", community=""),
        line("x" * 200, MAN, community="高岳街道"),
        line(building="9" * 40, document=MAN),
    ]
    bring(drill, [*rows, line("样本乙", MAN)])
    for row in StagedRow.objects.all():
        for reason in row.reason or []:
            refusal = Refusal(reason["code"], reason["field"], **reason.get("params", {}))
            for language in LANGUAGES:
                assert "refusal" not in say_refusal(refusal, language), reason["code"]


@pytest.mark.parametrize(
    ("name", "rows", "reasons"),
    [
        ("valid.csv", 1, {"people.area_unknown"}),
        ("duplicatePatients.csv", 2, {"people.area_unknown"}),
        ("emptyRow.csv", 2, {"people.area_unknown"}),
        ("extraColumns.csv", 2, {"people.area_unknown"}),
        ("invalidValues.csv", 1, {"people.area_unknown", "people.birth_unreadable", "people.sex_unknown"}),
        ("malformed.csv", 4, {"people.area_unknown"}),
        ("missingRequiredFields.csv", 1, {"people.area_unknown"}),
    ],
)
def test_lists_of_another_country_are_explained_row_by_row(
    drill: PreparedOperation, name: str, rows: int, reasons: set[str]
) -> None:
    found = bring(drill, (ROSTERS / name).read_bytes())
    explained = outcomes(found)
    assert [outcome for _, outcome, _ in explained] == ["refused"] * rows
    assert reasons <= {code for _, _, codes in explained for code in codes}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ((ROSTERS / "empty.csv").read_bytes(), "tables.empty"),
        ((ROSTERS / "missingHeaders.csv").read_bytes(), "people.column_missing"),
        (as_csv([["样本甲", MAN]], ["姓名", "证件号码"]), "people.column_missing"),
        (b"%PDF-1.7 ...", "tables.not_a_table"),
    ],
)
def test_a_file_that_is_no_list_says_why(drill: PreparedOperation, content: bytes, code: str) -> None:
    found = bring(drill, content)
    assert (found.state, found.error["code"]) == ("failed", code)
    assert not StagedRow.objects.exists()


def test_columns_can_be_chosen_after_a_list_failed(drill: PreparedOperation) -> None:
    found = bring(drill, as_csv([["样本甲", MAN, "高岳社区"]], ["谁", "哪个号", "哪里"]))
    assert found.error["code"] == "people.column_missing"
    chosen = {"name": "谁", "number": 2, "community": "哪里"}
    actions.choose_columns(by=None, import_id=found.pk, columns=chosen)
    imports.stage(found.pk, workers=0)
    assert outcomes(found) == [(2, "added", [])]
    with pytest.raises(Refusal) as refused:
        actions.choose_columns(by=None, import_id=found.pk, columns={"colour": "谁"})
    assert refused.value.code in ("people.column_unknown", "people.import_state")


def test_a_list_of_one_community_need_not_name_it(drill: PreparedOperation) -> None:
    found = bring(drill, as_csv([["样本甲", MAN]], ["姓名", "证件号码"]), area="340602001007")
    take(found)
    assert only_person().area == "340602001007"


def test_a_list_fills_only_its_area(drill: PreparedOperation) -> None:
    found = bring(drill, [line(document=MAN, community="340602002001")], area="340602001")
    assert outcomes(found) == [(2, "refused", ["people.area_outside"])]


def test_a_workbook_is_a_list_too(drill: PreparedOperation, tmp_path: Path) -> None:
    book = Workbook()
    for row in (HEADER, line(document=MAN), line("样本乙", WOMAN)):
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    found = bring(drill, (tmp_path / "list.xlsx").read_bytes(), file_name="list.xlsx")
    assert found.counts["added"] == 2


def test_control_marks_in_a_cell_do_no_harm(drill: PreparedOperation) -> None:
    found = bring(drill, [line("样本\x1e甲", MAN), line("样本\x1f乙", WOMAN)])
    assert [outcome for _, outcome, _ in outcomes(found)] == ["added", "added"]


# --- crashes --------------------------------------------------------------------------------------------------


def stop_at(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Make staging stop with an error of ours at a chunk."""
    real, seen = Stager.stage, []

    def stage(self: Stager, cursor: Any, rows: Any) -> None:
        seen.append(rows)
        if len(seen) == chunk:
            raise ValueError("样本甲 " + MAN)
        real(self, cursor, rows)

    monkeypatch.setattr(Stager, "stage", stage)


def test_staging_goes_on_behind_the_last_chunk(
    drill: PreparedOperation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(imports, "CHUNK", 4)
    rows = [line("样本甲", number(order)) for order in range(1, 19)]
    found = upload(drill, as_csv(rows))
    with monkeypatch.context() as broken, caplog.at_level(logging.INFO):
        stop_at(broken, 3)
        imports.stage(found.pk, workers=0)
    found.refresh_from_db()
    assert (found.state, found.rows_done, found.error["code"]) == ("failed", 8, "people.import_failed")
    assert "ValueError" in caplog.text
    assert "样本甲" not in caplog.text + str(found.error)
    first = dict(StagedRow.objects.values_list("number", "person"))
    StagedRow.objects.create(
        district=drill.district, batch=found.pk, number=10, outcome="added", person=found_id(), key=1
    )
    actions.retry_import(by=None, import_id=found.pk)
    imports.stage(found.pk, workers=0)
    found.refresh_from_db()
    assert (found.state, found.rows_done, found.counts["added"]) == ("staged", 18, 18)
    after = dict(StagedRow.objects.values_list("number", "person"))
    assert {row: after[row] for row in first} == first
    assert sorted(after) == list(range(2, 20))


def found_id() -> UUID:
    return UUID(int=7)


def test_an_error_of_the_commit_takes_nothing(drill: PreparedOperation, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bring(drill, [line(document=MAN)])
    actions.accept_import(by=None, import_id=found.pk)
    with monkeypatch.context() as broken:
        broken.setattr(imports, "count", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            imports.commit(found.pk)
    assert not Person.objects.exists()
    assert not Household.objects.exists()
    imports.commit(found.pk)
    imports.commit(found.pk)
    assert Person.objects.count() == 1


def test_the_upload_lies_encrypted_and_only_until_it_is_staged(drill: PreparedOperation) -> None:
    found = upload(drill, as_csv([line(document=MAN)]))
    kept = imports.file_of(found)
    assert kept.is_relative_to(settings.DATA_FOLDER)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "样本甲".encode() not in kept.read_bytes()
    assert MAN.encode() not in kept.read_bytes()
    imports.stage(found.pk, workers=0)
    assert not kept.exists()


def test_discarding_forgets_the_list(drill: PreparedOperation) -> None:
    waiting, staged = upload(drill, as_csv([line(document=MAN)])), bring(drill, [line(document=MAN)])
    for found in (waiting, staged):
        actions.discard_import(by=None, import_id=found.pk, reason="错文件")
    assert not StagedRow.objects.exists()
    assert not imports.file_of(waiting).exists()
    assert set(Import.objects.values_list("state", flat=True)) == {"discarded"}
    imports.stage(waiting.pk, workers=0)
    imports.commit(staged.pk)
    assert not Person.objects.exists()
    with pytest.raises(Refusal) as refused:
        actions.accept_import(by=None, import_id=staged.pk)
    assert refused.value.code == "people.import_state"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"purpose": "pets"}, "people.purpose_unknown"),
        ({"area": "370105"}, "people.area_code"),
        ({"area": "34"}, "people.area_code"),
        ({"label": " "}, "people.label_missing"),
        ({"size": 0}, "tables.empty"),
        ({"size": 2**30 + 1}, "people.upload_large"),
        ({"size": 5}, "people.upload_cut"),
    ],
)
def test_uploads_that_cannot_be(drill: PreparedOperation, wanted: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        upload(drill, as_csv([line()]), **wanted)
    assert refused.value.code == code


# --- with helping processes -----------------------------------------------------------------------------------


@pytest.fixture
def real_drill(transactional_db: None) -> PreparedOperation:
    """A drill whose rows other processes see."""
    return make_operation()


def long_list(drill: PreparedOperation, count: int = 900) -> bytes:
    from dabai.testkit.residents import HEADER as RESIDENT_HEADER

    return as_csv(list(resident_rows(count, drill.communities)), RESIDENT_HEADER)


def test_helping_processes_stage_the_same(real_drill: PreparedOperation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "CHUNK", 100)
    columns = (
        "number",
        "outcome",
        "area",
        "building",
        "household",
        "name_token",
        "number_token",
        "tail_token",
        "reason",
    )
    rows = []
    for workers in (0, 2):
        found = upload(real_drill, long_list(real_drill))
        imports.stage(found.pk, workers=workers)
        found.refresh_from_db()
        assert (found.state, found.counts["added"]) == ("staged", 900)
        rows.append(list(StagedRow.objects.filter(batch=found.pk).order_by("number").values_list(*columns)))
    assert rows[0] == rows[1]
    take(found)
    person = Person.objects.order_by("id")[0]
    assert queries.open_people(real_drill.id, [person.id])[person.id].number


def test_a_killed_helper_costs_its_chunks_and_nothing_else(
    real_drill: PreparedOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "CHUNK", 50)
    found = upload(real_drill, long_list(real_drill))
    real, seen = imports.stage_with, []

    def killing(workers: int, spec: Any, chunks: Any) -> Any:
        for step in real(workers, spec, chunks):
            seen.append(step)
            yield step
            if len(seen) == 3:
                for child in children():
                    os.kill(child, signal.SIGKILL)

    monkeypatch.setattr(imports, "stage_with", killing)
    imports.stage(found.pk, workers=2)
    found.refresh_from_db()
    assert (found.state, found.error["code"]) == ("failed", "people.import_failed")
    assert 150 <= found.rows_done < 900
    monkeypatch.setattr(imports, "stage_with", real)
    imports.stage(found.pk, workers=2)
    found.refresh_from_db()
    assert (found.state, found.counts["added"]) == ("staged", 900)


def children() -> list[int]:
    """The processes that this one has started to help."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def test_only_one_process_stages_a_list(real_drill: PreparedOperation) -> None:
    import psycopg

    found = upload(real_drill, as_csv([line(document=MAN)]))
    with psycopg.connect(**imports.database()) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [imports.STAGE_LOCK, found.pk])
        imports.stage(found.pk, workers=0)
        found.refresh_from_db()
        assert (found.state, found.rows_done) == ("reading", 0)
        other.execute("SELECT pg_advisory_unlock(%s, %s)", [imports.STAGE_LOCK, found.pk])
    imports.stage(found.pk, workers=0)
    found.refresh_from_db()
    assert found.state == "staged"


def test_helpers_need_no_more_apps_than_they_say() -> None:
    assert set(processes.NEEDED) <= set(settings.INSTALLED_APPS)


# --- lists of hotels, firms and sites -------------------------------------------------------------------------


def test_a_cross_list_says_who_is_on_no_roster(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本甲", MAN, phone="13800000000"), line("样本乙", WOMAN)]))
    on_list = Person.objects.get(number_token=ring(drill.id).token("number", f"01:{MAN}"))
    found = bring(
        drill,
        [line("样本甲", MAN), line("样本乙", WOMAN), line("样本丙", number(3)), line("样本甲", phone="13800000000")],
        purpose="cross_list",
        label="示例宾馆",
    )
    assert [outcome for _, outcome, _ in outcomes(found)] == ["same", "same", "added", "added"]
    take(found)
    assert ListedPerson.objects.count() == 4
    assert Person.objects.count() == 2
    roster = Person.objects.filter(id=on_list.id).values("id")
    outside = queries.listed_outside(drill.id, roster)
    shown = queries.masked_listed(drill.id, outside)
    assert sorted(one.name for one in shown) == ["样*丙", "样*乙"]
    assert {one.label for one in shown} == {"示例宾馆"}
    assert all("*" in one.number for one in shown)
