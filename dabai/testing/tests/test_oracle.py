"""The SQL that the worker and the readers use against the pure rules: the same answer for any set of facts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabai.access.rules import Role
from dabai.journal import reference
from dabai.kernel.codes import make_tube_codes
from dabai.kernel.ids import uuid7
from dabai.registry import settle_down
from dabai.testing import rules
from dabai.testing.models import Coverage, Outcome, Round, Tube, TubeState
from dabai.testing.outcomes import outcomes_of
from dabai.testing.rules import Decision, Reading, TubeOfPerson
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import START, deliver, desk, fact

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CODES = make_tube_codes("DJ", "0RA", 0, 25)
NAMES = [outcome.name.lower() for outcome in Outcome]
USERS = (1, 2)


@contextmanager
def undone() -> Iterator[None]:
    """One example in a transaction that is rolled back."""
    reference.forget()
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# --- results of tubes

ACTS = st.tuples(
    st.sampled_from(["approved", "returned", "released", "released", "approved", "corrected", "withdraw"]),
    st.integers(0, 2),
    st.sampled_from(USERS),
    st.integers(1, 6),
    st.sampled_from(NAMES),
)
HISTORY = st.tuples(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(USERS), st.integers(0, 3)), min_size=1, max_size=3),
    st.lists(ACTS, max_size=8),
)


class Told:
    """One tube's history as facts and as the values that the rules take."""

    def __init__(self, drill: PreparedOperation, tube: str) -> None:
        self.drill, self.tube = drill, tube
        self.readings: list[Reading] = []
        self.decisions: list[Decision] = []
        self.withdrawn: set[UUID] = set()
        self.facts: list[tuple[int, dict[str, Any]]] = []

    def tell(self, kind: str, body: dict[str, Any], by: int, hour: int) -> UUID:
        one = fact(kind, body, at=timedelta(hours=hour))
        self.facts.append((by, one))
        return UUID(one["id"])

    def read(self, outcome: str, by: int, hour: int) -> None:
        body = {"lab": self.drill.laboratory.pk, "tube": self.tube, "outcome": outcome}
        key = self.tell("testing.result_read", body, by, hour)
        self.readings.append(Reading(key, self.tube, outcome, by, START + timedelta(hours=hour)))

    def act(self, what: str, which: int, by: int, hour: int, outcome: str) -> None:
        of = self.readings[which % len(self.readings)].id
        if what == "withdraw":
            targets = [*self.readings, *self.decisions]
            target = targets[which * 3 % len(targets)].id
            self.withdrawn.add(target)
            self.tell("journal.fact_withdrawn", {"target": str(target), "reason": "x"}, by, hour)
            return
        body: dict[str, Any] = {"lab": self.drill.laboratory.pk}
        if what == "corrected":
            body |= {"result": str(of), "outcome": outcome, "reason": "x"}
        else:
            body |= {"results": [str(of)]} | ({} if what == "released" else {"verdict": what})
        kind = {"released": "released", "corrected": "corrected"}.get(what, "reviewed")
        key = self.tell(f"testing.result_{kind}", body, by, hour)
        said = outcome if what == "corrected" else None
        self.decisions.append(Decision(key, of, what, by, START + timedelta(hours=hour), said))


@pytest.mark.django_db
@FEW
@given(histories=st.lists(HISTORY, min_size=8, max_size=len(CODES)), random=st.randoms(use_true_random=False))
def test_the_worker_folds_results_as_the_rules_say(drill, histories, random):
    with undone():
        tubes = [Told(drill, code) for code in CODES[: len(histories)]]
        for one, (readings, acts) in zip(tubes, histories, strict=True):
            for reading in readings:
                one.read(*reading)
            for act in acts:
                one.act(*act)
        facts = [fact for one in tubes for fact in one.facts]
        random.shuffle(facts)
        for by, raw in facts:
            reporter = desk(drill.district, drill.id, by, Role.LAB_REVIEWER)
            assert [receipt.verdict for receipt in deliver(reporter, [raw])] == ["accepted"]
        settle_down()
        derived = {row.tube: row for row in Tube.objects.filter(operation=drill.id)}
        for one in tubes:
            expected = rules.result_of_tube(one.readings, one.decisions, one.withdrawn)
            assert told_by(derived.get(one.tube)) == (expected and expected[:3])


def told_by(tube: Tube | None) -> tuple[UUID, str, Any] | None:
    """What the derived row says, in the words of the rules."""
    if tube is None or tube.result is None or tube.outcome is None:
        return None
    return tube.result, Outcome(tube.outcome).name.lower(), tube.released_at


# --- results of people

TUBES = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(1, 2),
        st.sampled_from([None, *NAMES]),
        st.integers(0, 4),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=4,
)


@pytest.mark.django_db
@FEW
@given(people=st.lists(TUBES, min_size=20, max_size=60))
def test_people_are_told_what_the_rules_say(drill, people):
    with undone():
        row = {"district": drill.district, "operation": drill.id, "number": 1, "name": "x", "starts_at": START}
        running = Round.objects.create(**row, profile=drill.operation.profile_id, approved_at=START)
        expected = {uuid4(): tubes for tubes in people}
        place(drill, running, expected)
        with connection.cursor() as cursor:
            found = outcomes_of(cursor, drill.district, running.pk, list(expected))
        for person, tubes in expected.items():
            views = [
                TubeOfPerson(single and count == 1, outcome, START + timedelta(hours=hour), bool(contested))
                for single, count, outcome, hour, contested in tubes
            ]
            assert found[person] == rules.outcome_of_person(views)


def place(drill: PreparedOperation, running: Round, people: dict[UUID, Any]) -> None:
    """Derived rows as the worker would leave them."""
    key = {"district": drill.district, "operation": drill.id, "state": TubeState.REPORTED}
    coverage = []
    for person, tubes in people.items():
        codes = [uuid7().hex.upper() for _ in tubes]
        for code, (single, count, outcome, hour, contested) in zip(codes, tubes, strict=True):
            number = None if outcome is None else Outcome[outcome.upper()].value
            moment = START + timedelta(hours=hour)
            result = {"outcome": number, "released_at": None if number is None else moment, "first_at": moment}
            held = {"single": single, "people": count, "contested": bool(contested)}
            Tube.objects.create(**key, tube=code, round=running.pk, **held, **result)
        row = {"district": drill.district, "round": running.pk, "person": person, "area": drill.grids[0]}
        coverage.append(Coverage(**row, rostered=True, samples=len(codes), tubes=codes))
    Coverage.objects.bulk_create(coverage)
