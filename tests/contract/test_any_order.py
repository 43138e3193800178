"""The truth is a set of facts, not their order: any order, repetition, split and interleaving gives one state."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dabai.registry import derive_once, figures_once
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import deliver, derived_state
from dabai.testkit.story import everything_goes_wrong

pytestmark = pytest.mark.django_db


def tell(told: list[tuple[Any, dict[str, Any]]], cuts: set[int]) -> None:
    """Deliver one by one; at a cut the worker runs a turn, so that it sees the set half-way."""
    for number, (reporter, one) in enumerate(told):
        receipts = deliver(reporter, [one])
        assert receipts[0].verdict == "accepted", (one["kind"], receipts[0])
        if number in cuts:
            derive_once()
            figures_once()


def state_of(told: list[tuple[Any, dict[str, Any]]], cuts: set[int]) -> dict[str, list[Any]]:
    """The derived state after a telling, undone afterwards."""
    with transaction.atomic():
        tell(told, cuts)
        state = derived_state()
        transaction.set_rollback(True)
    return state


def differences(found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> dict[str, Any]:
    """Rows that are in one state only, by table."""
    pairs = {table: (set(found[table]), set(expected[table])) for table in expected}
    return {
        table: [("got ", row) for row in one - other] + [("want", row) for row in other - one]
        for table, (one, other) in pairs.items()
        if one != other
    }


# Finding out that an order matters is enough; shrinking permutations of fifty facts takes longer than reading one.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=30, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_repetition_and_split_end_in_the_same_state(drill: PreparedOperation, data: st.DataObject) -> None:
    with transaction.atomic():
        told = everything_goes_wrong(drill).told
        expected = state_of(told, set())
        assert expected["testing_tube"]
        assert expected["figures_area_cell"]
        order = data.draw(st.permutations(told))
        repeated = data.draw(st.lists(st.sampled_from(told), max_size=10))
        cuts = data.draw(st.sets(st.integers(0, len(told) - 1), max_size=8))
        found = state_of([*order, *repeated], cuts)
        wrong = differences(found, expected)
        assert not wrong, "\n".join(f"{table}: {row}" for table, rows in wrong.items() for row in rows)
        transaction.set_rollback(True)
