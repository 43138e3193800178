"""The harness itself, on a small scale: what it prints, and when a target is met."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.figure import at_most, paired

ROOT = Path(__file__).resolve().parents[2]
FIELDS = ["name", "value", "unit", "bare", "ratio", "target", "met"]


def bench(*words: str) -> tuple[int, list[dict[str, object]], str]:
    """`dabai bench`: exit code, its lines, and what it said meanwhile."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DABAI_", "DATABASE_"))}
    argv = [sys.executable, "-m", "dabai.commands", "bench", *words]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_figure_is_one_json_line() -> None:
    code, lines, said = bench("--quick", "intake_tube_of_ten")
    assert code == 0, said
    (line,) = lines
    assert list(line)[:7] == FIELDS
    assert (line["name"], line["unit"], line["target"], line["cores"] != 0) == (
        "intake_tube_of_ten",
        "samples/s",
        4000,
        True,
    )
    assert line["met"] == (line["ratio"] >= 0.5)  # type: ignore[operator]
    assert set(line["python"]) == {"version", "build"}  # type: ignore[call-overload]
    assert line["bare_way"] in ("copy", "unnest")


def test_the_board_shows_what_was_sent_under_load() -> None:
    code, (line,), said = bench("--quick", "fact_to_board")
    assert code == 0, said
    assert line["failed"] == 0
    assert line["value"] >= line["p50"] > 0  # type: ignore[operator]
    assert line["samples"] == 20_000


def test_an_unknown_figure_is_named_with_those_that_exist() -> None:
    code, lines, said = bench("--quick", "no_such_figure")
    assert (code, lines) == (2, [])
    assert "no_such_figure" in said
    assert "result_lookup" in said


def test_the_ratio_decides_where_two_are_compared() -> None:
    figure = paired("x", [40, 60, 50], [100, 100, 100], unit="1/s", target=45)
    assert (figure.value, figure.bare, figure.ratio, figure.met) == (50, 100, 0.5, True)
    assert figure.detail["goal_reached"] is True
    assert not paired("x", [49], [100], unit="1/s", target=1).met


@pytest.mark.parametrize(("value", "met"), [(2.9, True), (3.0, True), (3.1, False)])
def test_a_time_must_not_exceed_its_target(value: float, met: bool) -> None:
    assert json.loads(at_most("x", value, 3.0).line())["met"] is met
