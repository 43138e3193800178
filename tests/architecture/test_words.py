"""Every text that a person reads exists in Chinese and in English, under the same key, with the same places in it."""

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path

import pytest

from dabai.kernel.words import FOLDER, LANGUAGES, catalogue, flatten

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dabai"
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if not {"tests", "migrations"} & set(path.parts)]
TEMPLATES = sorted(PACKAGE.rglob("*.html"))
SAYS = {"say", "say_words"}
SWITCHES = {"desk.other_language", "ops.trust.other_language"}  # each language is called by its own name
KEY = re.compile(r"[a-z_0-9]+(\.[a-z_0-9]+)+")
TAG = re.compile(r"""{%\s*say\s+["']([^"']+)["']""")
HEAD = re.compile(r"""{%\s*say_or\s+["']([^"']+)["']""")

# Where the names of each enumeration stand in the catalogue; None for those that no screen shows, with the reason.
SHOWN: dict[str, str | None] = {
    "dabai.access.rules.Permission": "access.permission",
    "dabai.access.rules.Role": "access.role",
    "dabai.figures.definitions.Kind": "figures.kind",
    "dabai.figures.definitions.Source": None,  # which table a figure's SQL reads
    "dabai.figures.models.BulletinState": "desk.bulletin",
    "dabai.journal.models.EntryFlag": "journal.flag",
    "dabai.journal.models.KeptState": "desk.kept_state",
    "dabai.journal.models.MarkKind": None,  # between intake and worker
    "dabai.journal.models.Verdict": None,  # of a receipt; a refusal is shown by its own sentence
    "dabai.people.models.ImportState": "people.import",
    "dabai.people.rules.DocumentKind": "documents.kind",
    "dabai.people.rules.KeyGroup": "documents.group",
    "dabai.places.models.SiteKind": "places.kind",
    "dabai.protocols.models.OperationKind": "operations.kind",
    "dabai.testing.facts.results.OutcomeName": "testing.outcome",
    "dabai.testing.facts.results.RejectionReason": "testing.rejected",
    "dabai.testing.facts.results.ReviewVerdict": "testing.verdict",
    "dabai.testing.facts.roster.NotSampledOutcome": "testing.change",
    "dabai.testing.models.BoxEventKind": None,  # shown as the kind of fact
    "dabai.testing.models.ChangeKind": "testing.change",
    "dabai.testing.models.DecisionKind": None,  # shown as the kind of fact
    "dabai.testing.models.Outcome": "testing.outcome",
    "dabai.testing.models.RoundState": "testing.state",
    "dabai.testing.models.SiteEventKind": None,  # shown as the kind of fact
    "dabai.testing.models.TubeEventKind": None,  # shown as the kind of fact
    "dabai.testing.models.TubeState": "testing.tube",
}


def places(text: str) -> set[str]:
    """The names of the places that a text leaves open."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_keys() -> None:
    chinese, english = (set(catalogue(language)) for language in LANGUAGES)
    assert chinese - english == set()
    assert english - chinese == set()


def test_both_languages_leave_the_same_places_open() -> None:
    chinese, english = (catalogue(language) for language in LANGUAGES)
    assert {key for key in chinese if places(chinese[key]) != places(english[key])} == set()


def test_no_text_is_empty() -> None:
    assert [(lang, key) for lang in LANGUAGES for key, text in catalogue(lang).items() if not text.strip()] == []


def test_english_is_english() -> None:
    han = re.compile("[\u4e00-\u9fff]")
    assert {key for key, text in catalogue("en").items() if han.search(text)} == SWITCHES


def test_no_key_is_said_twice_over() -> None:
    for language in LANGUAGES:
        for path in sorted((FOLDER / language).glob("*.toml")):
            found = tomllib.loads(path.read_text("utf-8"))  # a key twice in one file does not load
            assert all(key.startswith(f"{path.stem}.") for key in flatten(found, path.stem))


# ---- keys that are used


def keys_said(path: Path) -> Iterator[tuple[str, int]]:
    """Every key that a module says in so many words: the first argument of ``say``; an f-string by its fixed head."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and name_of(node.func) in SAYS and node.args:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and KEY.fullmatch(part.value):
                    yield part.value, node.lineno


def name_of(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def heads_said(path: Path) -> Iterator[tuple[str, int]]:
    """The fixed beginnings of keys that are put together: ``testing.kind.`` of ``f"testing.kind.{name}"``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and name_of(node.func) in SAYS and node.args:
            first = node.args[0]
            if isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                yield str(first.values[0].value), node.lineno


def test_every_key_that_code_says_exists() -> None:
    known = catalogue("zh")
    unknown = [(path.name, line, key) for path in SOURCES for key, line in keys_said(path) if key not in known]
    assert unknown == []
    heads = {(path.name, line, head) for path in SOURCES for head, line in heads_said(path)}
    assert [one for one in heads if not any(key.startswith(one[2]) for key in known)] == []


def test_every_key_that_a_page_says_exists() -> None:
    known = catalogue("zh")
    for path in TEMPLATES:
        text = path.read_text("utf-8")
        assert [key for key in TAG.findall(text) if key not in known] == [], path.name
        assert [h for h in HEAD.findall(text) if not any(key.startswith(f"{h}.") for key in known)] == [], path.name


def test_a_page_holds_no_words_of_its_own() -> None:
    for path in TEMPLATES:
        text = re.sub(r"{#.*?#}|{% comment %}.*?{% endcomment %}", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert set(re.findall("[\u4e00-\u9fff]+", text)) <= {"中文"}, path.name


# ---- what has a name


def enumerations() -> dict[str, type[Enum]]:
    """Every enumeration of the product, by its full name."""
    found: dict[str, type[Enum]] = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and is_enumeration(node)]
        if names and not {"commands", "testkit"} & set(path.parts):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found |= {f"{module}.{name}": getattr(import_module(module), name) for name in names}
    return found


def is_enumeration(node: ast.ClassDef) -> bool:
    bases = {name_of(base) for base in node.bases}
    return bool(bases & {"TextChoices", "IntegerChoices", "StrEnum", "IntEnum", "Enum", "IntFlag"})


def test_every_enumeration_is_known() -> None:
    assert set(enumerations()) == set(SHOWN)


@pytest.mark.parametrize("name", [name for name, table in SHOWN.items() if table])
def test_every_state_and_flag_has_words(name: str) -> None:
    found, table = enumerations()[name], SHOWN[name]
    keys = {str(one.value) if isinstance(one.value, str) else one.name.lower() for one in found}
    for language in LANGUAGES:
        assert {key for key in keys if f"{table}.{key}" not in catalogue(language)} == set()
