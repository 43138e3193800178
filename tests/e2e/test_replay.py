"""The Duji drill in small against a real server: `dabai replay` as CI and a district run it, and every sabotage.

Each run has a server, a database and a data folder of its own, and a clock that lets the day pass in seconds.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from dabai.testkit.replay.drive import SABOTAGES

SCALE, RATE = "0.03", "4000"
SECONDS = 300


def replay(*words: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the JSON that was printed, and what went to standard error."""
    command = [
        sys.executable,
        "-m",
        "dabai.commands",
        "replay",
        "duji-drill",
        "--scale",
        SCALE,
        "--rate",
        RATE,
        "--json",
    ]
    env = {key: value for key, value in os.environ.items() if key not in ("DABAI_DATA", "DATABASE_URL")}
    done = subprocess.run([*command, *words], env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_the_drill_adds_up_to_what_was_published() -> None:
    status, said, errors = replay()
    assert said.get("ok"), (said, errors[-2000:])
    assert status == 0
    assert said["people"]["compared"] == 369
    assert said["people"]["different"] == 0
    places = {name: said["figures"][name]["actual"] for name in ("A2.areas", "A2.points", "A2.stations")}
    assert places == {"A2.areas": 6, "A2.points": 12, "A2.stations": 18}
    assert {said["figures"][f"A5.{name}"]["actual"] for name in ("due", "sampled", "person_times", "negative")} == {369}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_every_sabotage_makes_the_replay_fail(sabotage: str) -> None:
    status, said, errors = replay("--sabotage", sabotage)
    assert status == 1, errors[-2000:]
    assert not said["ok"]
    assert said["people"]["different"] > 0, said
    assert said["problems"] == []


def test_an_unknown_scenario_is_a_plain_sentence() -> None:
    command = [sys.executable, "-m", "dabai.commands", "replay", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "duji-drill" in done.stderr
    assert "Traceback" not in done.stderr
