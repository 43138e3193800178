"""From a swab to a released result, through the intake and the worker."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from dabai.access.rules import Role
from dabai.journal.models import Attention
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.registry import settle_down
from dabai.testing.models import Coverage, Round, RoundState, Tube, TubeState
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import AnyPhone, deliver, desk, fact
from dabai.testkit.story import BAG

TUBE = "340602000017"


@pytest.fixture
def running(drill: PreparedOperation) -> Round:
    now = clock.now()
    return Round.objects.create(
        district=drill.district,
        operation=drill.id,
        number=1,
        name="第1轮",
        profile=drill.operation.profile_id,
        state=RoundState.RUNNING,
        starts_at=now,
        approved_at=now,
    )


@pytest.fixture
def phone(drill: PreparedOperation) -> AnyPhone:
    return AnyPhone(drill.district, drill.id)


def swab(drill: PreparedOperation, running: Round, person: Any, tube: str = TUBE, minute: int = 0, **more: Any) -> Any:
    place = {"round": running.pk, "site": drill.points[0].pk, "station": 1}
    return fact(
        "testing.sample_taken", {**place, "tube": tube, "person": str(person), **more}, at=timedelta(minutes=minute)
    )


def seal(drill: PreparedOperation, running: Round, people: int, tube: str = TUBE, minute: int = 20) -> Any:
    place = {"round": running.pk, "site": drill.points[0].pk, "station": 1}
    return fact("testing.tube_sealed", {**place, "tube": tube, "people": people}, at=timedelta(minutes=minute))


def release(drill: PreparedOperation, outcome: str, tube: str = TUBE) -> list[Any]:
    lab = drill.laboratory.pk
    read = fact("testing.result_read", {"lab": lab, "tube": tube, "outcome": outcome}, at=timedelta(hours=5))
    results = {"lab": lab, "results": [read["id"]]}
    return [
        (1, read),
        (2, fact("testing.result_reviewed", {**results, "verdict": "approved"}, at=timedelta(hours=6))),
        (2, fact("testing.result_released", results, at=timedelta(hours=6))),
    ]


def lab_sends(drill: PreparedOperation, facts: list[Any]) -> None:
    for user, one in facts:
        receipts = deliver(desk(drill.district, drill.id, user, Role.LAB_REVIEWER), [one])
        assert [receipt.verdict for receipt in receipts] == ["accepted"]


def test_ten_people_in_a_tube_get_their_negative_result(
    drill: PreparedOperation, running: Round, phone: AnyPhone
) -> None:
    people = [uuid4() for _ in range(10)]
    swabs = [swab(drill, running, person, minute=n) for n, person in enumerate(people)]
    receipts = deliver(phone, [*swabs, seal(drill, running, 10)])
    assert {(r.verdict, r.code, r.field) for r in receipts} == {("accepted", None, None)}
    settle_down()
    tube = Tube.objects.get(tube=TUBE)
    assert (tube.state, tube.samples, tube.people, tube.sealed_count) == (TubeState.SEALED, 10, 10, 10)
    assert Coverage.objects.filter(round=running.pk, samples=1).count() == 10

    lab_sends(drill, release(drill, "negative"))
    settle_down()
    tube = Tube.objects.get(tube=TUBE)
    assert (tube.state, tube.outcome) == (TubeState.REPORTED, 1)


def test_a_result_that_its_own_reader_releases_is_not_in_force(
    drill: PreparedOperation, running: Round, phone: AnyPhone
) -> None:
    deliver(phone, [swab(drill, running, uuid4())])
    lab_sends(drill, [(1, one) for _, one in release(drill, "negative")])
    settle_down()
    assert Tube.objects.get(tube=TUBE).state == TubeState.READ
    assert Attention.objects.filter(code="result.not_reviewed", subject=TUBE, state="open").exists()


def test_a_tube_of_two_teams_has_no_result_until_a_desk_has_settled_it(
    drill: PreparedOperation, running: Round, phone: AnyPhone
) -> None:
    mine, other = uuid4(), uuid4()
    deliver(phone, [swab(drill, running, mine)])
    lab_sends(drill, release(drill, "negative"))
    second = swab(drill, running, other)
    second["body"]["site"] = drill.points[1].pk
    deliver(phone, [second])
    settle_down()
    tube = Tube.objects.get(tube=TUBE)
    assert (tube.state, tube.outcome, tube.claims) == (TubeState.CONTESTED, None, 2)
    codes = set(Attention.objects.filter(subject=TUBE, state="open").values_list("code", flat=True))
    assert {"tube.contested", "result.taken_back"} <= codes

    manager = desk(drill.district, drill.id, 9, Role.ROUND_MANAGER)
    claims = [
        {"round": running.pk, "site": drill.points[0].pk, "station": 1, "becomes": TUBE},
        {"round": running.pk, "site": drill.points[1].pk, "station": 1, "becomes": "340602000025"},
    ]
    receipts = deliver(manager, [fact("testing.claim_settled", {"tube": TUBE, "claims": claims, "reason": "标签重贴"})])
    assert receipts[0].verdict == "accepted"
    settle_down()
    assert Tube.objects.get(tube=TUBE).outcome == 1
    assert Tube.objects.get(tube="340602000025").state == TubeState.OPENED
    assert Coverage.objects.get(person=other).tubes == ["340602000025"]


def test_a_withdrawn_sample_does_not_count_whichever_came_first(
    drill: PreparedOperation, running: Round, phone: AnyPhone
) -> None:
    one = swab(drill, running, uuid7())
    gone = fact("journal.fact_withdrawn", {"target": one["id"], "reason": "扫错人"})
    deliver(phone, [gone])
    settle_down()
    deliver(phone, [one])
    settle_down()
    assert not Tube.objects.filter(tube=TUBE).exists()
    assert not Coverage.objects.exists()


def test_a_third_claim_reopens_what_a_desk_had_settled(
    drill: PreparedOperation, running: Round, phone: AnyPhone
) -> None:
    second, third = swab(drill, running, uuid4()), swab(drill, running, uuid4())
    second["body"]["site"] = drill.points[1].pk
    third["body"]["station"] = 2
    deliver(phone, [swab(drill, running, uuid4()), second])
    claims = [
        {"round": running.pk, "site": drill.points[0].pk, "station": 1, "becomes": TUBE},
        {"round": running.pk, "site": drill.points[1].pk, "station": 1, "becomes": "340602000025"},
    ]
    settled = fact("testing.claim_settled", {"tube": TUBE, "claims": claims, "reason": "标签重贴"})
    deliver(desk(drill.district, drill.id, 9, Role.ROUND_MANAGER), [settled])
    settle_down()
    assert not Attention.objects.filter(code="tube.contested", subject=TUBE).exclude(state="gone").exists()
    deliver(phone, [third])
    settle_down()
    assert Attention.objects.get(code="tube.contested", subject=TUBE).state == "reopened"


def test_a_bag_with_another_count_on_the_rack_is_a_case(
    drill: PreparedOperation, running: Round, phone: AnyPhone
) -> None:
    bag = {"site": drill.points[0].pk, "bag": BAG, "tubes": [TUBE], "rack": 2}
    deliver(phone, [swab(drill, running, uuid4()), fact("testing.tubes_bagged", bag)])
    settle_down()
    case = Attention.objects.get(code="box.rack_differs", subject=BAG)
    assert (case.state, case.detail) == ("open", {"rack": 2, "recorded": 1})


@pytest.mark.parametrize("withdrawn_first", [False, True])
def test_a_case_whose_settlement_is_withdrawn_is_open_again(
    drill: PreparedOperation, running: Round, phone: AnyPhone, withdrawn_first: bool
) -> None:
    bag = fact("testing.tubes_bagged", {"site": drill.points[0].pk, "bag": BAG, "tubes": [TUBE], "rack": 2})
    about = {"code": "box.rack_differs", "subject": BAG, "facts": [bag["id"]], "reason": "已重新清点"}
    settled = fact("journal.attention_settled", about)
    gone = fact("journal.fact_withdrawn", {"target": settled["id"], "reason": "点错"})
    manager = desk(drill.district, drill.id, 9, Role.ROUND_MANAGER)
    deliver(phone, [bag])
    if withdrawn_first:
        deliver(manager, [gone])
    deliver(manager, [settled])
    settle_down()
    assert Attention.objects.get(subject=BAG).state == ("open" if withdrawn_first else "settled")
    deliver(manager, [gone])
    settle_down()
    assert Attention.objects.get(subject=BAG).state == "open"
