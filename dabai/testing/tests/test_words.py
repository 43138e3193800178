"""Whatever testing refuses, shows or asks about can be said in both languages."""

import re
from pathlib import Path

import pytest

from dabai.kernel.words import LANGUAGES, catalogue
from dabai.testing import attention, rules
from dabai.testing.facts import KINDS
from dabai.testing.models import ChangeKind, Outcome, RoundState, TubeState
from dabai.testing.outcomes import OUTCOMES
from dabai.testing.resultfiles import WANTED

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "\n".join(path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py")) if "tests" not in path.parts)
SHOWN = {
    "state": RoundState.values,
    "step": [step for steps in rules.ROUND.values() for step in steps],
    "tube": [state.name.lower() for state in TubeState],
    "outcome": [*(outcome.name.lower() for outcome in Outcome), "pending_retest"],
    "told": OUTCOMES,
    "change": [kind.name.lower() for kind in ChangeKind],
    "kind": [kind.name.partition(".")[2] for kind in KINDS],
    "field": [column.key for column in WANTED],
}


@pytest.mark.parametrize("domain", ["testing", "operations"])
def test_every_refusal_has_a_sentence_and_every_sentence_a_refusal(domain):
    calls = re.findall(r"(?:Refusal|RowError)\(([^()]*)", SOURCES)
    given = {code for call in calls for code in re.findall(rf'"{domain}\.([a-z_]+)"', call)}
    for language in LANGUAGES:
        prefix = f"{domain}.refusal."
        told = {key.removeprefix(prefix) for key in catalogue(language) if key.startswith(prefix)}
        assert told >= given
        assert {code for code in told if f'"{domain}.{code}"' not in SOURCES} == set()


@pytest.mark.parametrize("table", sorted(SHOWN))
def test_what_is_shown_has_words(table):
    for language in LANGUAGES:
        missing = {key for key in SHOWN[table] if f"testing.{table}.{key}" not in catalogue(language)}
        assert not missing


def test_every_case_of_testing_says_what_it_is_and_what_to_do():
    source = Path(attention.__file__).read_text("utf-8")
    for code in re.findall(r"SELECT '([a-z]+\.[a-z_]+)'", source):
        for language in LANGUAGES:
            assert {f"testing.attention.{code}", f"testing.attention.{code}_do"} <= set(catalogue(language))


def test_both_languages_say_the_same_things():
    def own(language: str) -> dict[str, set[str]]:
        texts = catalogue(language).items()
        return {k: set(re.findall(r"{(\w+)}", t)) for k, t in texts if k.startswith(("testing.", "operations."))}

    assert own("zh") == own("en")
