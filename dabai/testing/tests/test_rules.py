"""The round's state machine and the folding of results, without a database."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dabai.kernel.refusal import Refusal
from dabai.testing import rules
from dabai.testing.models import RoundState
from dabai.testing.outcomes import OUTCOMES
from dabai.testing.rules import Decision, Reading, TubeOfPerson, Window

T0 = datetime(2022, 3, 13, tzinfo=UTC)
STEPS = sorted({step for steps in rules.ROUND.values() for step in steps})


def refused(code: str) -> Any:
    return pytest.raises(Refusal, match=f"^{re.escape(code)}$")


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


# --- the round


def test_the_states_are_those_of_the_model():
    assert list(rules.ROUND) == RoundState.values
    assert {state for steps in rules.ROUND.values() for state in steps.values()} <= set(RoundState.values)


class RoundLife(RuleBasedStateMachine):
    """Whatever is tried: only listed steps work, approval comes first and once, and nothing follows the end."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Window] = []

    @property
    def state(self) -> str:
        return self.history[-1].state if self.history else rules.FIRST

    @rule(step=st.sampled_from(STEPS))
    def attempt(self, step: str) -> None:
        if step in rules.steps_from(self.state):
            after = rules.next_state(self.state, step)
            self.history.append(Window(at(len(self.history)), after))
            return
        with refused("testing.step_impossible"):
            rules.next_state(self.state, step)

    @invariant()
    def is_in_order(self) -> None:
        states = [window.state for window in self.history]
        assert states.count("approved") == (1 if states else 0)
        assert states[:1] in ([], ["approved"])
        assert "closed" not in states[:-1]

    @invariant()
    def history_tells_every_moment(self) -> None:
        assert rules.state_at(self.history, at(-1)) == "draft"
        for index, window in enumerate(self.history):
            assert rules.state_at(self.history, at(index + 0.5)) == window.state
        assert rules.state_at(self.history, at(10_000)) == self.state


TestRoundLife = RoundLife.TestCase


def test_only_a_draft_can_be_changed():
    rules.check_editable("draft")
    for state in list(rules.ROUND)[1:]:
        with refused("testing.round_frozen"):
            rules.check_editable(state)


def test_only_a_closed_round_is_over():
    for state in list(rules.ROUND)[:-1]:
        rules.check_not_over(state)
    with refused("testing.round_over"):
        rules.check_not_over("closed")


def test_scope_keeps_the_widest_prefixes():
    given_areas = ["340602001001", "340602001", "34060200100101", "340602002003"]
    assert rules.normalise_scope(given_areas, 340602) == ["340602001", "340602002003"]


@pytest.mark.parametrize(
    ("areas", "code"),
    [
        ([], "testing.scope_empty"),
        (["3406"], "testing.area_form"),
        (["340602x01"], "testing.area_form"),
        (["340603001"], "testing.area_elsewhere"),
    ],
)
def test_a_scope_that_is_none(areas, code):
    with pytest.raises(Refusal) as caught:
        rules.normalise_scope(areas, 340602)
    assert (caught.value.code, caught.value.field) == (code, "areas")


def test_a_round_ends_after_it_starts():
    rules.check_times(T0, None)
    rules.check_times(T0, at(1))
    with refused("testing.times_reversed"):
        rules.check_times(T0, T0)


def test_names_replace_a_count():
    assert [rules.estimate_left(100, named) for named in (0, 40, 100, 130)] == [100, 60, 0, 0]


def test_every_silent_device_is_explained():
    rules.check_explained([], {})
    rules.check_explained(["a"], {"a": "lost in the river"})
    with pytest.raises(Refusal) as caught:
        rules.check_explained(["a", "b"], {"a": "broken", "b": "  "})
    assert caught.value.code == "testing.device_unexplained"
    assert caught.value.field == "reasons.b"


# --- results of a tube


def reading(number: int, outcome: str = "negative", by: int | None = 1, minutes: float = 0) -> Reading:
    return Reading(UUID(int=number), "T1", outcome, by, at(minutes))


def decision(
    number: int, result: int, kind: str, by: int | None = 2, minutes: float = 0, outcome: str | None = None
) -> Decision:
    return Decision(UUID(int=number), UUID(int=result), kind, by, at(minutes), outcome)


APPROVED = decision(10, 1, "approved", minutes=1)
RELEASED = decision(11, 1, "released", minutes=2)


def test_read_approved_and_released_is_in_force():
    found = rules.result_of_tube([reading(1)], [APPROVED, RELEASED])
    assert found == (UUID(int=1), "negative", at(2), False)


@pytest.mark.parametrize(
    "decisions",
    [
        [],
        [APPROVED],
        [RELEASED],
        [decision(10, 1, "approved", by=1), RELEASED],
        [decision(10, 1, "approved", by=None), RELEASED],
        [APPROVED, RELEASED, decision(12, 1, "returned", minutes=3)],
        [decision(10, 2, "approved"), decision(11, 2, "released")],
    ],
    ids=["read", "not released", "not approved", "own eyes", "nobody's eyes", "returned later", "another's"],
)
def test_not_in_force(decisions):
    assert rules.result_of_tube([reading(1)], decisions) is None


def test_a_reader_cannot_return_what_another_approved():
    own = decision(12, 1, "returned", by=1, minutes=3)
    assert rules.result_of_tube([reading(1)], [APPROVED, RELEASED, own]) is not None


def test_what_an_instrument_read_needs_one_person():
    assert rules.result_of_tube([reading(1, by=None)], [APPROVED, RELEASED]) is not None


def test_a_correction_counts_and_keeps_the_first_release():
    correction = decision(12, 1, "corrected", outcome="positive", minutes=5)
    found = rules.result_of_tube([reading(1)], [APPROVED, RELEASED, correction])
    assert found == (UUID(int=1), "positive", at(2), True)
    assert rules.result_of_tube([reading(1)], [APPROVED, RELEASED, correction], {UUID(int=12)}).outcome == "negative"


def test_a_newer_reading_wins_only_when_released():
    again = reading(2, "positive", minutes=9)
    assert rules.result_of_tube([reading(1), again], [APPROVED, RELEASED]).outcome == "negative"
    both = [APPROVED, RELEASED, decision(20, 2, "approved"), decision(21, 2, "released")]
    assert rules.result_of_tube([reading(1), again], both).outcome == "positive"
    assert rules.result_of_tube([reading(1), again], both, {UUID(int=2)}).outcome == "negative"


def test_four_eyes():
    rules.check_four_eyes(1, 2)
    rules.check_four_eyes(None, 2)
    for reader, reviewer in ((1, 1), (1, None), (None, None)):
        with refused("testing.four_eyes"):
            rules.check_four_eyes(reader, reviewer)


RESULTS = st.integers(1, 3)
DECISIONS = st.builds(
    Decision,
    id=st.integers(100, 999).map(lambda n: UUID(int=n)),
    result=RESULTS.map(lambda n: UUID(int=n)),
    kind=st.sampled_from(["approved", "returned", "released", "corrected"]),
    by=st.sampled_from([None, 1, 2]),
    happened_at=st.integers(0, 5).map(at),
    outcome=st.sampled_from([None, "negative", "positive"]),
)
READINGS = st.builds(
    Reading,
    id=RESULTS.map(lambda n: UUID(int=n)),
    tube=st.just("T1"),
    outcome=st.sampled_from(["negative", "positive", "suspect", "invalid"]),
    by=st.sampled_from([None, 1, 2]),
    happened_at=st.integers(0, 3).map(at),
)


@given(
    st.lists(READINGS, unique_by=lambda r: r.id),
    st.lists(DECISIONS, max_size=12, unique_by=lambda d: d.id),
    st.randoms(use_true_random=False),
)
def test_the_order_of_facts_does_not_matter(readings, decisions, random):
    expected = rules.result_of_tube(readings, decisions)
    random.shuffle(readings)
    random.shuffle(decisions)
    assert rules.result_of_tube(readings, decisions) == expected
    if expected:
        reader = next(r.by for r in readings if r.id == expected.result)
        assert any(d.kind == "approved" and d.result == expected.result and d.by != reader for d in decisions)


@given(st.lists(READINGS, unique_by=lambda r: r.id), st.lists(DECISIONS, max_size=12, unique_by=lambda d: d.id))
def test_withdrawing_everything_leaves_nothing(readings, decisions):
    assert rules.result_of_tube(readings, decisions, {d.id for d in decisions}) is None
    assert rules.result_of_tube(readings, decisions, {r.id for r in readings}) is None


# --- results of a person


POOL, SINGLE = False, True


def tube(single: bool, outcome: str | None, minutes: float = 0, contested: bool = False) -> TubeOfPerson:
    return TubeOfPerson(single, outcome, at(minutes), contested)


@pytest.mark.parametrize(
    ("tubes", "expected"),
    [
        ([], "none"),
        ([tube(POOL, None)], "awaiting"),
        ([tube(POOL, "negative")], "negative"),
        ([tube(POOL, "positive")], "pending"),
        ([tube(POOL, "suspect")], "pending"),
        ([tube(SINGLE, "suspect")], "pending"),
        ([tube(SINGLE, "positive")], "positive"),
        ([tube(POOL, "invalid")], "invalid"),
        ([tube(POOL, "invalid"), tube(POOL, "negative", 5)], "negative"),
        ([tube(POOL, "positive"), tube(SINGLE, None, 5)], "pending"),
        ([tube(POOL, "positive"), tube(SINGLE, "negative", 5)], "negative"),
        ([tube(POOL, "positive"), tube(SINGLE, "positive", 5)], "positive"),
        ([tube(POOL, "positive"), tube(SINGLE, "invalid", 5)], "pending"),
        ([tube(POOL, "positive", 9), tube(SINGLE, "negative", 5)], "pending"),
        ([tube(POOL, "positive"), tube(POOL, "negative", 5)], "pending"),
        ([tube(POOL, "negative", contested=True)], "withheld"),
    ],
)
def test_what_a_person_is_told(tubes, expected):
    assert rules.outcome_of_person(tubes) == expected
    if tubes:
        assert rules.outcome_of_person(tubes, name_conflict=True) == "withheld"


TUBES = st.builds(
    TubeOfPerson,
    single=st.booleans(),
    outcome=st.sampled_from([None, "negative", "positive", "suspect", "invalid"]),
    first_at=st.integers(0, 4).map(at),
    contested=st.booleans(),
)


@given(st.lists(TUBES, max_size=5), st.booleans(), st.randoms(use_true_random=False))
def test_nobody_is_shown_a_pooled_positive(tubes, conflict, random):
    told = rules.outcome_of_person(tubes, name_conflict=conflict)
    assert told in OUTCOMES
    random.shuffle(tubes)
    assert rules.outcome_of_person(tubes, name_conflict=conflict) == told
    pools = [one._replace(single=False) for one in tubes]
    assert rules.outcome_of_person(pools) != "positive"
