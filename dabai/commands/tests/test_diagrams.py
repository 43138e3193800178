"""Drawings of state machines are made from the rules, and a stale one is noticed."""

from argparse import Namespace

import pytest

from dabai.commands import diagrams
from dabai.testing import rules


def test_the_drawings_in_docs_agree_with_the_rules():
    assert diagrams.run(Namespace(check=True)) == 0


def test_a_stale_drawing_is_noticed_and_mended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(diagrams, "FOLDER", tmp_path / "docs" / "domain")
    assert diagrams.run(Namespace(check=True)) == 1
    assert "docs/domain/round.md is out of date" in capsys.readouterr().err
    assert diagrams.run(Namespace(check=False)) == 0
    assert diagrams.run(Namespace(check=True)) == 0
    (tmp_path / "docs" / "domain" / "round.dot").write_text("digraph {}", "utf-8")
    assert diagrams.run(Namespace(check=True)) == 1


@pytest.mark.parametrize("name", ["round.md", "round.dot"])
def test_every_state_and_step_is_drawn(name):
    text = {path.name: text for path, text in diagrams.drawings()}[name]
    for state, steps in rules.ROUND.items():
        assert state in text
        assert all(f"{state} {'-->' if name.endswith('md') else '->'} {after}" in text for after in steps.values())
