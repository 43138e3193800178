"""The how-to pages say only what exists: options, commands and files are looked up; both languages name the same."""

import re
from pathlib import Path

import pytest

from dabai.commands import names, parser_for

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))


def words(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text))


def code(text: str) -> str:
    """What stands in code blocks and code spans."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def known_options() -> set[str]:
    found = {"--home-dir", "--system", "--now", "--schema-only"}
    for name in names():
        found |= words(_help_of(name), r"--[a-z][a-z-]+")
    return found


def _help_of(name: str) -> str:
    parser = parser_for([name])
    choices = parser._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    return "\n".join(choice.format_help() for choice in choices.values())  # type: ignore[union-attr]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_options_commands_and_files_exist(page: Path) -> None:
    text = code(page.read_text())
    assert words(text, r"(?<![\w-])--[a-z][a-z-]+") <= known_options()
    assert words(text, r"\bdabai ([a-z]+)") <= {*names(), "dabai"}
    for file in words(text, r"\b(?:deploy|docs)/[\w./-]+"):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in words(page.read_text(), r"\]\(([^):#]+)"):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("other", [page for page in PAGES if ".zh-CN" in page.name], ids=lambda path: path.name)
def test_both_languages_name_the_same_things(other: Path) -> None:
    page = other.with_name(other.name.replace(".zh-CN", ""))
    pattern = r"--[a-z][a-z-]+|DABAI_[A-Z]+|DATABASE_URL|deploy/[\w.-]+"
    assert words(page.read_text(), pattern) == words(other.read_text(), pattern)
