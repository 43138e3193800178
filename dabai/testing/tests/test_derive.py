"""Tubes of which only results change are brought up to date without the rest of them: the same rows must come out."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dabai.access.rules import Role
from dabai.journal import reference
from dabai.journal.models import Attention, Mark, MarkKind
from dabai.kernel.codes import make_codes, make_tube_codes
from dabai.registry import derive_once, figures_once, settle_down
from dabai.testing.models import Outcome, Round, Tube, TubeState
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import AnyPhone, deliver, derived_state, desk, fact
from dabai.testkit.story import everything_goes_wrong, open_round

pytestmark = pytest.mark.django_db

CODES = make_tube_codes("DJ", "0DR", 0, 8)
BAG = make_codes("bag", "DJ", "0DR", 1, 1)[0]
BOX = make_codes("box", "DJ", "0DR", 1, 1)[0]
NAMES = [outcome.name.lower() for outcome in Outcome]
HAPPENS = ("moved", "sealed", "voided", "rejected", "received", "started", "withdrawn", "two teams", "settled")
DECIDED = ("approved", "returned", "released", "corrected", "withdrawn", "taken back")


@dataclass
class Tubes:
    """What is told of some tubes, and by whom. ``told`` is a set of facts: its order means nothing."""

    drill: PreparedOperation
    round: Round
    told: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def phone(self, kind: str, body: dict[str, Any], hour: int) -> str:
        """A phone's fact; its id."""
        return self.tell(AnyPhone(self.drill.district, self.drill.id), kind, body, hour)

    def lab(self, by: int, kind: str, body: dict[str, Any], hour: int) -> str:
        """A fact of somebody at the laboratory; its id."""
        reporter = desk(self.drill.district, self.drill.id, by, Role.LAB_REVIEWER)
        return self.tell(reporter, kind, {"lab": self.drill.laboratory.pk, **body}, hour)

    def tell(self, reporter: Any, kind: str, body: dict[str, Any], hour: int) -> str:
        one = fact(kind, body, at=timedelta(hours=hour))
        self.told.append((reporter, one))
        return str(one["id"])

    def place(self, point: int = 0) -> dict[str, Any]:
        return {"round": self.round.pk, "site": self.drill.points[point].pk}

    def swab(self, tube: str, point: int = 0) -> str:
        body = {**self.place(point), "station": 1, "tube": tube, "person": str(uuid4())}
        return self.phone("testing.sample_taken", body, 1)

    def withdraw(self, target: str) -> None:
        manager = desk(self.drill.district, self.drill.id, 3, Role.ROUND_MANAGER)
        self.tell(manager, "journal.fact_withdrawn", {"target": target, "reason": "x"}, 9)

    def happens(self, tube: str, what: str, sample: str) -> None:
        """Something that changes more of a tube than its result."""
        if what == "moved":
            body = {**self.place(), "sample": sample, "to_tube": CODES[-1], "reason": "x"}
            self.phone("testing.sample_moved", body, 2)
        elif what == "sealed":
            self.phone("testing.tube_sealed", {**self.place(), "station": 1, "tube": tube, "people": 1}, 2)
        elif what == "voided":
            self.phone("testing.tube_voided", {**self.place(), "tube": tube, "reason": "x"}, 2)
        elif what == "rejected":
            self.lab(1, "testing.tube_rejected", {"tube": tube, "reason": "leak"}, 4)
        elif what == "received":
            site, parties = {"site": self.drill.points[0].pk}, {"given_by": "a", "taken_by": "b"}
            self.phone("testing.tubes_bagged", {**site, "bag": BAG, "tubes": [tube], "rack": 1}, 3)
            self.phone("testing.box_packed", {**site, "box": BOX, "bags": [BAG]}, 3)
            self.lab(1, "testing.box_received", {"box": BOX, "tubes": 1, **parties}, 4)
        elif what == "started":
            self.lab(1, "testing.run_started", {"run": "R", "tubes": [tube]}, 5)
        elif what == "withdrawn":
            self.withdraw(sample)
        elif what == "two teams":
            self.swab(tube, point=1)
        else:
            manager = desk(self.drill.district, self.drill.id, 3, Role.ROUND_MANAGER)
            claims = [{**self.place(), "station": 1, "becomes": CODES[-2]}]
            self.tell(manager, "testing.claim_settled", {"tube": tube, "claims": claims, "reason": "x"}, 7)

    def read(self, tube: str, outcome: str, decided: list[tuple[str, int, str]]) -> None:
        """A reading and what is decided about it, by (what, who, another outcome)."""
        reading = self.lab(1, "testing.result_read", {"tube": tube, "outcome": outcome}, 6)
        last = reading
        for hour, (what, by, other) in enumerate(decided, 7):
            if what in ("withdrawn", "taken back"):
                self.withdraw(reading if what == "withdrawn" else last)
            elif what == "corrected":
                body = {"result": reading, "outcome": other, "reason": "x"}
                last = self.lab(by, "testing.result_corrected", body, hour)
            elif what == "released":
                last = self.lab(by, "testing.result_released", {"results": [reading]}, hour)
            else:
                last = self.lab(by, "testing.result_reviewed", {"results": [reading], "verdict": what}, hour)


READINGS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.lists(st.tuples(st.sampled_from(DECIDED), st.integers(1, 2), st.sampled_from(NAMES)), max_size=3).map(
            lambda more: [("approved", 2, ""), ("released", 2, ""), *more]
        ),
    ),
    max_size=2,
)
TUBES = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.sampled_from(HAPPENS), max_size=3, unique=True), READINGS),
    min_size=1,
    max_size=4,
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def tubes_of(drill: PreparedOperation, drawn: list[Any]) -> Tubes:
    """The drawn tubes as facts."""
    tubes = Tubes(drill, open_round(drill, 2)[0])
    for code, (people, happens, readings) in zip(CODES, drawn, strict=False):
        samples = [tubes.swab(code) for _ in range(people)]
        for what in happens:
            tubes.happens(code, what, samples[0] if samples else str(uuid4()))
        for reading in readings:
            tubes.read(code, *reading)
    return tubes


def state_of(told: list[tuple[Any, dict[str, Any]]], *, step_by_step: bool) -> dict[str, list[Any]]:
    """The derived state after a telling, undone afterwards; the worker looks after every fact, or once at the end."""
    with transaction.atomic():
        for reporter, one in told:
            assert [receipt.verdict for receipt in deliver(reporter, [one])] == ["accepted"], one
            if step_by_step:
                derive_once()
                figures_once()
        state = derived_state()
        transaction.set_rollback(True)
    return state


@settings(max_examples=12, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=TUBES, random=st.randoms(use_true_random=False))
def test_a_worker_that_looks_after_every_fact_ends_where_one_does_that_looks_once(
    drill: PreparedOperation, drawn: list[Any], random: Random
) -> None:
    reference.forget()
    with transaction.atomic():
        told = tubes_of(drill, drawn).told
        expected = state_of(told, step_by_step=False)
        in_order = state_of(told, step_by_step=True)
        random.shuffle(told)
        shuffled = state_of(told, step_by_step=True)
        transaction.set_rollback(True)
    assert in_order == expected
    assert shuffled == expected


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_the_whole_story_looked_at_after_every_fact_is_the_story_looked_at_once(
    drill: PreparedOperation, seed: int | None
) -> None:
    told = everything_goes_wrong(drill).told
    expected = state_of(told, step_by_step=False)
    if seed is not None:
        Random(seed).shuffle(told)
    assert state_of(told, step_by_step=True) == expected


# --- what is looked at, and what is not -----------------------------------------------------------------------


@pytest.fixture
def tubes(drill: PreparedOperation) -> Tubes:
    """A tube with somebody in it, as the worker has seen it."""
    found = Tubes(drill, open_round(drill, 1)[0])
    found.swab(CODES[0])
    send(found)
    return found


def send(tubes: Tubes) -> None:
    """Deliver what was told, and let the worker finish."""
    for reporter, one in tubes.told:
        assert [receipt.verdict for receipt in deliver(reporter, [one])] == ["accepted"]
    tubes.told.clear()
    settle_down()


def derives_tubes_whole(tubes: Tubes) -> bool:
    """Whether the worker goes through everything about the tubes of what was told."""
    for reporter, one in tubes.told:
        deliver(reporter, [one])
    tubes.told.clear()
    with CaptureQueriesContext(connection) as queries:
        derive_once()
    return any("INSERT INTO testing_tube" in query["sql"] for query in queries)


def test_of_a_tube_with_a_result_only_the_result_is_looked_at(tubes: Tubes) -> None:
    tubes.read(CODES[0], "negative", [("approved", 2, ""), ("released", 2, "")])
    assert not derives_tubes_whole(tubes)
    tube = Tube.objects.get(tube=CODES[0])
    assert (tube.state, tube.outcome, tube.lab) == (TubeState.REPORTED, 1, tubes.drill.laboratory.pk)


def test_a_tube_that_nobody_is_known_to_be_in_is_looked_at_as_a_whole(tubes: Tubes) -> None:
    tubes.read(CODES[1], "negative", [])
    assert derives_tubes_whole(tubes)
    assert Attention.objects.filter(code="tube.unregistered", subject=CODES[1], state="open").exists()


def test_a_withdrawn_reading_is_looked_at_as_a_whole(tubes: Tubes) -> None:
    tubes.read(CODES[0], "negative", [])
    reading = tubes.told[-1][1]["id"]
    send(tubes)
    tubes.withdraw(reading)
    assert derives_tubes_whole(tubes)
    assert Tube.objects.get(tube=CODES[0]).state == TubeState.OPENED


def test_people_are_counted_again_when_what_they_are_told_changes_and_not_before(tubes: Tubes) -> None:
    moved = []
    tubes.read(CODES[0], "negative", [("approved", 2, ""), ("released", 2, "")])
    for reporter, one in list(tubes.told):
        deliver(reporter, [one])
        derive_once()
        moved.append(sorted({MarkKind(kind).name for kind in Mark.objects.values_list("kind", flat=True)}))
        settle_down()
    assert moved == [["SITE_CELL"], [], ["AREA_CELL", "SITE_CELL"]]
