"""From a laboratory's file to a released and then corrected result, through the real door."""

import re
from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest

from dabai.access.models import User
from dabai.journal import door, reference
from dabai.journal.intake import commit
from dabai.journal.models import Entry
from dabai.kernel.codes import make_tube_codes
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.registry import settle_down
from dabai.testing import laboratory, resultfiles, worklists
from dabai.testing.models import ColumnMapping, Result, ResultDecision, ResultFile, Tube, TubeState
from dabai.testing.queries import result_versions
from dabai.testing.resultfiles import Choices
from dabai.testing.worklists import waiting_results
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.district import PreparedOperation

TUBES = make_tube_codes("DJ", "001", 0, 1200)
READ = "2022-03-13 20:15:00"


def refused(code: str) -> Any:
    return pytest.raises(Refusal, match=f"^{re.escape(code)}$")


@pytest.fixture(autouse=True)
def _same_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door commits in the test's own transaction: its writer thread is tested where that matters."""
    monkeypatch.setattr(door, "submit", commit)
    reference.forget()


@pytest.fixture
def cast(drill: PreparedOperation) -> Cast:
    return make_cast(drill.id, str(drill.district), since=datetime.fromisoformat("2022-01-01T00:00:00+08:00"))


def upload(
    drill: PreparedOperation, by: User, *rows: str, header: str = "试管编号,检测结果,检测时间", **more: Any
) -> ResultFile:
    content = BytesIO("\n".join([header, *rows]).encode())
    given = {"operation": drill.id, "lab": drill.laboratory.pk, "file_name": "结果.csv"}
    return resultfiles.upload(by=by, source=content, **given | more)


def row(number: int, word: str = "阴性") -> str:
    return f"{TUBES[number]},{word},{READ}"


def waiting(drill: PreparedOperation, state: str) -> list[UUID]:
    found = waiting_results(district=drill.district, operation=drill.id, state=state, limit=5000)
    return [one.id for one in found]


def test_a_file_becomes_results_that_wait_for_review(drill, cast):
    technician = cast.lab_technician.user
    found = upload(drill, technician, row(0), row(1, "阳性"), row(2, "什么"), "x,阴性,昨天")
    assert (found.rows, found.accepted, found.by) == (4, 2, technician.pk)
    assert [(error["row"], error["field"], error["code"]) for error in found.errors] == [
        (4, "outcome", "testing.outcome_unknown"),
        (5, "tube", "codes.lower_case"),
        (5, "tested_at", "testing.time_form"),
    ]
    results = {one.tube: one for one in Result.objects.all()}
    assert {tube: one.outcome for tube, one in results.items()} == {TUBES[0]: 1, TUBES[1]: 2}
    assert {one.actor for one in results.values()} == {technician.pk}
    assert sorted(waiting(drill, "to_review")) == sorted(one.id for one in results.values())


def test_the_same_file_twice_is_harmless(drill, cast):
    rows = [row(number) for number in range(3)]
    first = upload(drill, cast.lab_technician.user, *rows)
    again = upload(drill, cast.lab_technician.user, *rows)
    by_another = upload(drill, cast.lab_reviewer.user, *rows)
    assert first.accepted == again.accepted == by_another.accepted == 3
    assert Result.objects.count() == Entry.objects.count() == 3
    assert set(Result.objects.values_list("actor", flat=True)) == {cast.lab_technician.user.pk}


def test_the_same_file_with_another_time_said_for_it_is_the_same_file(drill, cast):
    header, rows = "试管编号,检测结果", [f"{TUBES[0]},阴性"]
    noon = datetime.fromisoformat("2022-03-13T12:00:00+08:00")
    upload(drill, cast.lab_technician.user, *rows, header=header, read_at=noon)
    upload(drill, cast.lab_technician.user, *rows, header=header, read_at=noon.replace(hour=13))
    assert [one.happened_at for one in Result.objects.all()] == [noon]


def test_a_corrected_file_adds_what_it_corrects(drill, cast):
    upload(drill, cast.lab_technician.user, row(0), row(1))
    upload(drill, cast.lab_technician.user, row(0), f"{TUBES[1]},阳性,2022-03-13 21:00:00")
    settle(drill, cast)
    assert Result.objects.count() == 3
    assert {one.tube: one.outcome for one in Tube.objects.all()} == {TUBES[0]: 1, TUBES[1]: 2}


def settle(drill: PreparedOperation, cast: Cast) -> None:
    reviewer = cast.lab_reviewer.user
    laboratory.review(by=reviewer, operation=drill.id, results=waiting(drill, "to_review"))
    laboratory.release(by=reviewer, operation=drill.id, results=waiting(drill, "to_release"))
    settle_down()


def test_how_a_file_was_understood_is_remembered_for_its_laboratory(drill, cast):
    header = "瓶,判定,时刻"
    said = Choices(columns={"tube": "瓶", "outcome": "判定", "tested_at": "时刻"}, words={"-": "negative"})
    upload(drill, cast.lab_technician.user, row(0, "-"), header=header, choices=said)
    later = upload(drill, cast.lab_technician.user, row(1, "-"), header=header)
    assert later.accepted == 1
    assert ColumnMapping.objects.get().source == str(drill.laboratory.pk)
    with refused("tables.columns_missing"):
        upload(drill, cast.lab_technician.user, row(1), header="甲,乙,丙")


def test_more_rows_than_one_batch_carries(drill, cast):
    found = upload(drill, cast.lab_technician.user, *[row(number) for number in range(1200)])
    assert (found.accepted, found.errors) == (1200, [])
    settle(drill, cast)
    assert Tube.objects.filter(state=TubeState.REPORTED).count() == 1200
    assert ResultDecision.objects.count() == 2400
    assert Entry.objects.count() == 1200 + 3 + 3


def test_only_a_laboratory_takes_results(drill, cast):
    with refused("testing.lab_unknown"):
        upload(drill, cast.lab_technician.user, row(0), lab=drill.points[0].pk)
    for member in (cast.packer, cast.outsider, cast.commander):
        with refused("access.not_allowed"):
            upload(drill, member.user, row(0))
    assert not Result.objects.exists()


# --- review and release


def test_four_eyes(drill, cast):
    reviewer, technician = cast.lab_reviewer.user, cast.lab_technician.user
    upload(drill, reviewer, row(0))
    mine = waiting(drill, "to_review")
    with refused("testing.four_eyes"):
        laboratory.review(by=reviewer, operation=drill.id, results=mine)
    with refused("access.not_allowed"):
        laboratory.review(by=technician, operation=drill.id, results=mine)
    assert waiting(drill, "to_review") == mine


def test_what_nobody_approved_is_not_released(drill, cast):
    upload(drill, cast.lab_technician.user, row(0), row(1))
    first, second = waiting(drill, "to_review")
    with refused("testing.not_approved"):
        laboratory.release(by=cast.lab_reviewer.user, operation=drill.id, results=[first])
    laboratory.review(by=cast.lab_reviewer.user, operation=drill.id, results=[first])
    assert waiting(drill, "to_release") == [first]
    with refused("testing.not_approved"):
        laboratory.release(by=cast.lab_reviewer.user, operation=drill.id, results=[first, second])
    laboratory.release(by=cast.lab_reviewer.user, operation=drill.id, results=[first])
    assert waiting(drill, "to_release") == []
    assert waiting(drill, "to_review") == [second]


def test_a_returned_result_has_a_reason_and_is_not_told(drill, cast):
    upload(drill, cast.lab_technician.user, row(0, "阳性"))
    results = waiting(drill, "to_review")
    with refused("testing.reason_missing"):
        laboratory.review(by=cast.lab_reviewer.user, operation=drill.id, results=results, verdict="returned")
    with refused("testing.verdict_unknown"):
        laboratory.review(by=cast.lab_reviewer.user, operation=drill.id, results=results, verdict="maybe")
    laboratory.review(
        by=cast.lab_reviewer.user, operation=drill.id, results=results, verdict="returned", reason="内标未起"
    )
    assert (waiting(drill, "to_review"), waiting(drill, "to_release")) == ([], [])
    settle_down()
    assert Tube.objects.get().state == TubeState.READ


def test_results_that_are_not_there(drill, cast):
    for results in ([], [uuid7()]):
        with refused("testing.result_unknown"):
            laboratory.review(by=cast.lab_reviewer.user, operation=drill.id, results=results)


# --- correction


def test_a_correction_keeps_both_versions_and_what_is_derived_follows(drill, cast):
    reviewer = cast.lab_reviewer.user
    upload(drill, cast.lab_technician.user, row(0))
    settle(drill, cast)
    result = Result.objects.get().id
    receipt = laboratory.correct(by=reviewer, operation=drill.id, result=result, outcome="positive", reason="贴错标签")
    assert receipt.verdict == "accepted"
    settle_down()
    assert Tube.objects.get().outcome == 2
    told = [(one.outcome, one.in_force, one.by, one.reason) for one in result_versions(drill.id, TUBES[0])]
    technician = cast.lab_technician.user
    assert told == [("negative", False, technician.pk, ""), ("positive", True, reviewer.pk, "贴错标签")]
    assert Result.objects.get().outcome == 1


def test_a_correction_needs_a_reason_an_outcome_and_another_person(drill, cast):
    upload(drill, cast.lab_technician.user, row(0))
    upload(drill, cast.lab_reviewer.user, row(1))
    given = {"operation": drill.id, "by": cast.lab_reviewer.user}
    others = Result.objects.get(tube=TUBES[0]).id
    mine = Result.objects.get(tube=TUBES[1]).id
    with refused("testing.reason_missing"):
        laboratory.correct(**given, result=others, outcome="positive", reason=" ")
    with refused("testing.outcome_unknown"):
        laboratory.correct(**given, result=others, outcome="fine", reason="x")
    with refused("testing.four_eyes"):
        laboratory.correct(**given, result=mine, outcome="positive", reason="x")
    with refused("testing.result_unknown"):
        laboratory.correct(**given, result=uuid7(), outcome="positive", reason="x")
    with refused("access.not_allowed"):
        laboratory.correct(
            operation=drill.id, by=cast.round_manager.user, result=others, outcome="positive", reason="x"
        )


def test_a_page_is_found_behind_any_number_of_results_that_do_not_wait(drill, cast, monkeypatch):
    monkeypatch.setattr(worklists, "TIMES", 1)
    upload(drill, cast.lab_technician.user, *(row(number) for number in range(12)))
    ids = waiting(drill, "to_review")
    assert ids == sorted(Result.objects.values_list("id", flat=True))
    reviewed = [*ids[:5], ids[7]]
    laboratory.review(by=cast.lab_reviewer.user, operation=drill.id, results=reviewed)
    asked = {"district": drill.district, "operation": drill.id, "limit": 2}
    found: dict[str, list[UUID]] = {state: [] for state in worklists.STATES}
    for state, listed in found.items():
        while page := waiting_results(**asked, state=state, after=listed[-1] if listed else None):
            listed += [one.id for one in page]
    assert found == {"to_review": [one for one in ids if one not in reviewed], "to_release": reviewed}
    assert worklists.waiting_counts(district=drill.district, operation=drill.id) == {"to_review": 6, "to_release": 6}
