"""Documents say what is so: links lead somewhere, names exist, and both languages of the front page tell the same."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dabai.commands import names

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dabai"
FRONT = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PACKAGES = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PAGES = sorted(
    {
        *FRONT,
        ROOT / "NEWS.md",
        *(ROOT / "docs").rglob("*.md"),
        *PACKAGE.rglob("README.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "scenarios").rglob("*.md"),
    }
)
AT_HOME = r"https?://(127\.0\.0\.1|localhost|\[::1\]|[\w.-]+\.(example|lan))\b"
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(?:#[^)]*)?\)")

every_page = pytest.mark.parametrize("paper", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Text and target of every link that stays in the project."""
    for text, target in LINK.findall(text_of(page)):
        if "://" not in target and not target.startswith("mailto:"):
            yield text, target


def code_in(page: Path) -> list[str]:
    """What stands in code spans and code blocks."""
    return re.findall(r"```.*?```|`[^`\n]+`", text_of(page), re.DOTALL)


@every_page
def test_every_link_leads_somewhere(paper: Path) -> None:
    assert [target for _, target in links(paper) if not (paper.parent / target).exists()] == []


@cache
def symbols(path: Path) -> frozenset[str]:
    """What a module defines at its top, and ``Class.attribute``."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for inner in node.body for name in defined(inner)}
        found |= set(defined(node))
    return frozenset(found)


def defined(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@every_page
def test_a_name_that_links_into_the_code_is_defined_there(paper: Path) -> None:
    for text, target in links(paper):
        if target.endswith(".py") and re.fullmatch(r"`[\w.]+`", text):
            assert text.strip("`") in symbols((paper.parent / target).resolve()), f"{text} in {target}"


def test_the_tour_goes_through_the_code() -> None:
    found = [target for _, target in links(ROOT / "docs" / "tour.md") if target.endswith(".py")]
    assert len(found) > 40
    assert {"journal", "people", "testing", "figures", "api", "access"} <= {Path(one).parts[2] for one in found}


@every_page
def test_files_that_are_named_exist(paper: Path) -> None:
    for span in code_in(paper):
        for file in re.findall(r"\b(?:dabai|docs|tests|deploy|contract|scenarios)/[\w./-]*\w", span):
            there = (ROOT / file).exists() or (paper.parent / file).exists()
            assert there or "…" in span, f"{file} in {paper.name}"


@every_page
def test_commands_and_targets_that_are_named_exist(paper: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(code_in(paper))
    assert set(re.findall(r"(?:^|[`\s])make ([a-z-]+)", code)) <= targets
    assert set(re.findall(r"(?:^|[`/\s])dabai ([a-z]+)\b", code)) <= {*names(), "dabai"}


@every_page
def test_nothing_outside_is_linked(paper: Path) -> None:
    """A district may have no Internet; and where a package is kept is its installer's business."""
    addresses = re.findall(r"https?://[^\s)`>\"…]+", text_of(paper))
    assert [one for one in addresses if not re.match(AT_HOME, one)] == []


def test_the_front_page_says_the_same_in_both_languages() -> None:
    english, chinese = ({target.replace(".zh-CN", "") for _, target in links(page)} for page in FRONT)
    assert english == chinese
    code = [{span for span in code_in(page) if re.search(r"make |dabai ", span)} for page in FRONT]
    commands = [{*re.findall(r"(?:make|dabai) [a-z]+", "\n".join(spans))} for spans in code]
    assert commands[0] == commands[1]


# ---- packages


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_says_what_it_is(package: Path) -> None:
    readme = package / "README.md"
    assert readme.is_file()
    assert 10 <= len(text_of(readme).splitlines()) <= 60
    assert re.search(r"go(es)? wrong", text_of(readme)), "what may go wrong?"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_names_the_modules_that_it_has(package: Path) -> None:
    text = text_of(package / "README.md")
    told = set(re.findall(r"`(\w+\.py)`", text))
    there = {path.name for path in package.glob("*.py")} | {path.name for path in package.rglob("*.py")}
    assert told - there == set()
    silent = {"__init__.py", "__main__.py", "apps.py", "models.py", "urls.py"}
    commands = {f"{name}.py" for name in names()} if package.name == "commands" else set()
    assert {path.name for path in package.glob("*.py")} - told - silent - commands == set()


# ---- decisions


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.name)
def test_a_decision_is_a_page_with_its_parts(adr: Path) -> None:
    text = text_of(adr)
    assert text.startswith(f"# {adr.name[:4]} ")
    assert re.search(r"^\*\*(Accepted|Superseded by \[\d{4}\]\(.+\))\.\*\* 20\d\d-\d\d", text, re.MULTILINE)
    assert len(text.splitlines()) <= 60
    if "## Context" in text:
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_and_listed() -> None:
    assert [int(adr.name[:4]) for adr in ADRS] == list(range(1, len(ADRS) + 1))
    listed = [target for _, target in links(ROOT / "docs" / "adr" / "README.md")]
    assert listed == [adr.name for adr in ADRS]


# ---- words


def glossary() -> list[list[str]]:
    """Rows of the glossary: Chinese, English, names in the code."""
    rows = re.findall(
        r"^\| (.+?) \| (.+?) \| (.+?) \|$", text_of(ROOT / "docs" / "domain" / "glossary.md"), re.MULTILINE
    )
    return [list(row) for row in rows if row[0] != "中文" and not row[0].startswith("---")]


def test_the_words_of_the_glossary_are_those_of_the_code() -> None:
    sources = [*PACKAGE.rglob("*.py"), *(PACKAGE / "protocols").rglob("*.toml")]
    code = "\n".join(path.read_text("utf-8") for path in sources if "tests" not in path.parts)
    known = set(re.findall(r"[A-Za-z_]+", code))
    for chinese, english, names_in_code in glossary():
        assert re.search("[\u4e00-\u9fff]", chinese), english
        named = re.findall(r"`([^`]+)`", names_in_code)
        assert named, english
        assert [name for name in named if name not in known] == [], english


def test_no_word_of_the_glossary_stands_twice() -> None:
    chinese = [row[0] for row in glossary()]
    assert len(chinese) == len(set(chinese))
