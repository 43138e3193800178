"""Scenarios at sizes that tests can afford. Nothing here needs the database."""

from functools import cache
from pathlib import Path

import pytest

from dabai.testkit.replay import mishaps
from dabai.testkit.replay.field import RoundTruth, World, play_round
from dabai.testkit.replay.people import roster
from dabai.testkit.replay.scenario import Scenario, load

SCENARIOS = Path(__file__).resolve().parents[4] / "scenarios"


@cache
def scenario(name: str, scale: float) -> Scenario:
    return load(SCENARIOS / name, scale)


def world(name: str, scale: float) -> World:
    """A new world: playing its rounds changes it."""
    wanted = scenario(name, scale)
    return World(wanted, roster(wanted))


def truths(name: str, scale: float) -> list[RoundTruth]:
    """All rounds of a scenario, with everything that goes wrong."""
    place = world(name, scale)
    rounds = [play_round(place, plan) for plan in place.scenario.rounds]
    for truth in rounds:
        mishaps.go_wrong(truth, place.scenario.seed)
    return rounds


@pytest.fixture(scope="session")
def drill() -> Scenario:
    return scenario("duji-drill", 1.0)


@pytest.fixture(scope="session")
def drill_truth() -> RoundTruth:
    """The drill of 13 March at full size. Look, don't touch."""
    return truths("duji-drill", 1.0)[0]
