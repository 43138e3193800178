"""The sentences that phones carry along: complete, in both languages, and only what a phone may meet."""

import json
from pathlib import Path
from typing import Any

import pytest

from dabai.commands._factspage import refusals_of
from dabai.journal.models import EntryFlag
from dabai.kernel.words import LANGUAGES
from dabai.registry import kinds

FOLDER = Path(__file__).resolve().parents[2] / "contract"
WORDS: dict[str, dict[str, dict[str, str]]] = {
    language: json.loads((FOLDER / "words" / f"{language}.json").read_text("utf-8")) for language in LANGUAGES
}


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "vectors" / f"{name}.json").read_text("utf-8"))["cases"]
    return found


def test_both_languages_say_the_same_things() -> None:
    chinese, english = (WORDS[language] for language in LANGUAGES)
    assert {part: set(texts) for part, texts in chinese.items()} == {part: set(t) for part, t in english.items()}
    assert all(text for part in chinese.values() for text in part.values())


def test_every_reason_for_which_a_phones_fact_is_refused_can_be_said() -> None:
    given = {code for kind in kinds().values() if not kind.desk for code in refusals_of(kind.handle)}
    assert given <= set(WORDS["zh"]["refusals"])
    assert {"journal.out_of_scope", "codes.wrong_kind", "access.device_not_allowed"} <= set(WORDS["zh"]["refusals"])


@pytest.mark.parametrize("name", ["id_numbers", "documents", "names", "phones", "codes", "resident_codes"])
def test_every_reason_in_the_examples_can_be_said(name: str) -> None:
    expected = [case["expected"] for case in vectors(name)]
    codes = {one.get("refused") or one.get("reason") for one in expected if isinstance(one, dict)} - {None}
    assert codes
    assert codes <= set(WORDS["zh"]["refusals"])


def test_every_finding_about_a_pool_and_every_flag_can_be_said() -> None:
    assert {code for case in vectors("pools") for code in case["expected"]} <= set(WORDS["zh"]["pools"])
    assert set(WORDS["zh"]["flags"]) == {str(flag.value) for flag in EntryFlag}


def test_a_case_says_what_to_do_about_it() -> None:
    cases = WORDS["zh"]["attention"]
    assert {f"{code}_do" for code in cases if not code.endswith("_do")} <= set(cases)
    assert {"tube.contested", "people.number_unverified", "box.count_differs"} <= set(cases)


def test_what_only_offices_meet_stays_at_home() -> None:
    assert not [code for code in WORDS["zh"]["refusals"] if code.startswith(("tables.", "journal.kept_"))]
    assert "access.link_expired" not in WORDS["zh"]["refusals"]
