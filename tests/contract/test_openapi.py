"""The contract that clients rely on: written down, complete, and told apart from what the code now does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from dabai.api.app import api
from dabai.commands import contract
from dabai.commands._factspage import ANY_KIND, refusals_of
from dabai.commands.contract import openapi
from dabai.registry import kinds

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {"/api/v1/health", "/api/v1/devices/pair", "/api/v1/desk/first-admin", "/api/v1/desk/welcome"}
PUBLIC |= {"/api/v1/desk/log-in", "/api/v1/lookup"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(openapi())


def every_reference(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(every_reference, part.values()))
    return set().union(*map(every_reference, part)) if isinstance(part, list) else set()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]


def test_it_is_as_the_code_has_it() -> None:
    for path, text in contract.files():
        assert path.read_text("utf-8") == text, f"{path.relative_to(ROOT)} is out of date: run dabai contract"


def test_a_change_is_noticed_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "openapi.json"
    changed.write_text(openapi().replace('"facts.testing.sample_taken"', '"facts.testing.sample_lost"'), "utf-8")
    monkeypatch.setattr(contract, "ROOT", tmp_path)
    monkeypatch.setattr(contract, "files", lambda: iter([(changed, openapi())]))
    args = contract.argparse.Namespace(check=True)
    assert contract.run(args) == 1
    shown = capsys.readouterr().err
    assert "sample_lost" in shown
    assert "run `dabai contract`" in shown
    assert contract.run(contract.argparse.Namespace(check=False)) == 0
    assert contract.run(args) == 0


def test_its_order_is_its_own(document: dict[str, Any]) -> None:
    assert list(document["paths"]) == sorted(document["paths"])
    assert openapi() == openapi()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert every_reference(document) <= known


def test_every_kind_of_fact_is_in_it(document: dict[str, Any]) -> None:
    assert set(document["x-kinds"]) == set(kinds())
    for name, kind in kinds().items():
        schema = document["components"]["schemas"][f"facts.{name}"]
        assert set(schema["properties"]) == set(kind.body.model_fields)
        assert schema["additionalProperties"] is False


def test_every_operation_says_what_it_does_and_who_may(document: dict[str, Any]) -> None:
    for path, method, one in operations(document):
        assert one.get("description"), f"{method} {path} has no words"
        assert bool(one.get("security")) is (path not in PUBLIC), f"{method} {path}"
        assert {"4XX", "503"} < set(one["responses"])


def test_the_server_publishes_what_is_written_down(document: dict[str, Any]) -> None:
    assert json.loads(Client().get("/api/v1/openapi.json").content) == document
    assert api.openapi_url == "/openapi.json"


def test_the_page_of_facts_knows_why_each_may_be_refused() -> None:
    for name, kind in kinds().items():
        codes = set(refusals_of(kind.handle))
        assert codes, name
        assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", code) for code in (*codes, *ANY_KIND))
    assert {"codes.wrong_kind", "journal.round_unknown"} <= set(refusals_of(kinds()["testing.sample_taken"].handle))
    swallowed = set(refusals_of(kinds()["people.person_registered"].handle))
    assert "documents.check_digit" not in swallowed  # kept with a doubt, never refused
    assert "documents.check_digit" in set(refusals_of(kinds()["people.corrected"].handle))
