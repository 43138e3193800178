"""Every reason that a pure rule gives can be said in both languages, with the values that it carries."""

import re
import string
from pathlib import Path

import pytest

from dabai.kernel.words import LANGUAGES, catalogue

ROOT = Path(__file__).resolve().parents[2] / "dabai"
SOURCES = [
    ROOT / "kernel" / "codes.py",
    ROOT / "people" / "rules.py",
    ROOT / "protocols" / "schema.py",
    *sorted((ROOT / "exchange").glob("*.py")),
]
DOMAINS = ("codes", "documents", "tables", "protocols")
CODES = sorted(
    {
        code
        for path in SOURCES
        for code in re.findall(rf'"((?:{"|".join(DOMAINS)})\.[a-z_0-9]+)"', path.read_text("utf-8"))
    }
)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", CODES)
def test_a_reason_can_be_said_in_both_languages(code: str) -> None:
    domain, _, reason = code.partition(".")
    said = [catalogue(language).get(f"{domain}.refusal.{reason}") for language in LANGUAGES]
    assert all(said)
    assert len({frozenset(places(text)) for text in said if text}) == 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_reason_is_left_that_nobody_gives(domain: str) -> None:
    written = {key for key in catalogue("zh") if key.startswith(f"{domain}.refusal.")}
    assert written == {f"{domain}.refusal.{code.partition('.')[2]}" for code in CODES if code.startswith(f"{domain}.")}
