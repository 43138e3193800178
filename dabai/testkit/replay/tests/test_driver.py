"""The whole driver against a small server in memory: it finds agreement where there is some, and every sabotage."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dabai.testkit.replay.drive import SABOTAGES, Replay
from dabai.testkit.replay.scenario import Scenario
from dabai.testkit.replay.senders import Sabotage
from dabai.testkit.replay.tests.conftest import scenario
from dabai.testkit.replay.tests.fake import FakeServer
from dabai.testkit.replay.verdict import Verdict

HERE = Path(__file__).resolve().parents[1]
FAST = 40_000.0


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


def replay(wanted: Scenario, server: FakeServer, *sabotages: str) -> Verdict:
    return Replay(wanted, server, lambda *_: None, Sabotage(*sabotages)).run()


@pytest.fixture
def drill_in_small() -> Scenario:
    return replace(scenario("duji-drill", 0.03), rate=FAST)


def test_the_drill_agrees(server: FakeServer, drill_in_small: Scenario) -> None:
    verdict = replay(drill_in_small, server)
    assert verdict.ok, verdict.as_dict()
    assert verdict.people["compared"] == 369
    assert {name: figure["actual"] for name, figure in verdict.figures.items()} == {
        "A2.areas": 6,
        "A2.points": 12,
        "A2.stations": 18,
        "A5.due": 369,
        "A5.sampled": 369,
        "A5.person_times": 369,
        "A5.negative": 369,
    }


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_every_sabotage_is_found(server: FakeServer, drill_in_small: Scenario, sabotage: str) -> None:
    verdict = replay(drill_in_small, server, sabotage)
    assert not verdict.ok
    assert verdict.people["different"] > 0
    assert verdict.sabotage == {sabotage: True}
    assert not verdict.problems


def test_several_sabotages_are_found_each(server: FakeServer, drill_in_small: Scenario) -> None:
    verdict = replay(drill_in_small, server, *SABOTAGES)
    assert not verdict.ok
    assert verdict.sabotage == dict.fromkeys(SABOTAGES, True)
    assert not verdict.problems


def test_six_rounds_agree_and_some_still_wait(server: FakeServer) -> None:
    verdict = replay(replace(scenario("duji-2022-03", 0.01), rate=6 * FAST), server)
    assert verdict.ok, verdict.as_dict()
    assert verdict.figures["A10.points"]["actual"] == 158
    assert verdict.figures["A10.person_times"]["actual"] == 1354
    assert verdict.counts["still_waiting"] > 0


def test_the_driver_imports_nothing_of_the_server() -> None:
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] != "django", path
                assert not name.startswith("dabai") or name.startswith("dabai.testkit.replay"), path
