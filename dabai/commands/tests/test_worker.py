"""How the worker divides its time between taking facts in and figures."""

import pytest

from dabai.commands import worker
from dabai.commands.worker import BUSY_CELLS, Cells, most_marks


@pytest.mark.parametrize(
    ("most", "taken", "seconds", "expected"),
    [
        (6000, 6000, 6.0, 1000),  # too long: a second's worth next time
        (1000, 1000, 0.25, 4000),
        (1000, 1000, 0.1, 6000),  # never more than the ceiling
        (6000, 6000, 60.0, 1000),  # nor so few that the turn itself costs most
        (1000, 20, 0.03, 1000),  # a small turn tells nothing of a large one
    ],
)
def test_a_turn_takes_a_second(most: int, taken: int, seconds: float, expected: int) -> None:
    assert most_marks(6000, most, taken, seconds) == expected


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until it is set."""
    moment = [100.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: moment[0])
    return moment


def after(now: list[float], took: float, waited: float) -> Cells:
    """Figures that took so long, so long ago."""
    cells = Cells()
    with cells.timed():
        now[0] += took
    now[0] += waited
    return cells


def test_figures_never_brought_up_to_date_are_due() -> None:
    assert Cells().are_due(busy=True)


def test_while_facts_come_figures_follow_every_second(now: list[float]) -> None:
    assert not after(now, took=0.1, waited=BUSY_CELLS / 2).are_due(busy=True)
    assert after(now, took=0.1, waited=BUSY_CELLS).are_due(busy=True)


def test_figures_take_a_quarter_of_the_time_at_most(now: list[float]) -> None:
    assert not after(now, took=3.0, waited=8.9).are_due(busy=True)
    assert after(now, took=3.0, waited=9.0).are_due(busy=True)


def test_with_nothing_else_to_do_figures_are_due_soon(now: list[float]) -> None:
    assert after(now, took=0.02, waited=0.05).are_due(busy=False)
    assert not after(now, took=0.5, waited=0.5).are_due(busy=False)
    assert after(now, took=9.0, waited=BUSY_CELLS).are_due(busy=False)
