"""Who writes to the database: ``facts`` and ``actions``, and a short list of modules that say why they do.

Read from the code: calls of Django's writing methods, and SQL that begins like a change. What is derived is written by
one module each, so that a figure can't come from two places.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dabai"
# The testkit plays phones and desks, and prepares what a test starts from.
LEFT_OUT = {"tests", "migrations", "testkit"}
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if not LEFT_OUT & set(path.parts)]

ALLOWED = {
    "access/keys.py": "makes data keys",
    "access/login.py": "issues and ends log-ins",
    "access/reseal.py": "seals rows with a new key, in batches that a crash may interrupt",
    "access/sheets.py": "accounts and devices of a sheet, thousands at once",
    "access/sunset.py": "destroys keys at the end of an operation",
    "figures/cells.py": "leaf cells, derived",
    "journal/attention.py": "cases of the inbox, derived",
    "journal/inbox.py": "what a desk did about a refused fact",
    "journal/intake.py": "the journal itself",
    "journal/rows.py": "the COPY by which handlers write",
    "people/derive.py": "identities, derived",
    "people/imports.py": "stages and commits lists of people",
    "people/staging.py": "rows of a staged list",
    "registry.py": "takes marks, and leaves them for the next stage",
    "testing/derive.py": "tubes, boxes and coverage, derived",
    "testing/readings.py": "results of tubes, derived",
    "testing/province.py": "what was reported to the province",
    "testing/resultfiles.py": "which result files came, and how their columns are called",
}
ALWAYS = {"create", "bulk_create", "bulk_update", "update_or_create", "get_or_create", "save"}
# Words of dicts and hashes too: they count at the end of a queryset.
OF_QUERYSETS = {"create", "update", "delete"}
QUERYSET = {"objects", "filter", "exclude", "all", "select_for_update"}
NOT_ROWS = {"authority.create", "book.save"}  # a certificate authority, a workbook
CHANGE = re.compile(
    r"\b(INSERT\s+INTO\s|UPDATE\s+\S+(\s+\w+)?\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s+\w|COPY\s+\S+\s*\()", re.IGNORECASE
)


def chain(node: ast.expr) -> list[str]:
    """The names of ``Round.objects.filter(…).update``, outermost last."""
    if isinstance(node, ast.Attribute):
        return [*chain(node.value), node.attr]
    if isinstance(node, ast.Call):
        return chain(node.func)
    return [node.id] if isinstance(node, ast.Name) else []


def is_write(call: ast.Call) -> bool:
    """Whether a call writes a row."""
    names = chain(call.func)
    if not isinstance(call.func, ast.Attribute) or ".".join(names) in NOT_ROWS:
        return False
    return names[-1] in ALWAYS - OF_QUERYSETS or (names[-1] in OF_QUERYSETS and bool(QUERYSET & set(names)))


def docstrings(tree: ast.AST) -> set[int]:
    """Strings that only tell."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef)
    firsts = [node.body[0] for node in ast.walk(tree) if isinstance(node, holders) and node.body]
    return {id(first.value) for first in firsts if isinstance(first, ast.Expr)}


def writes(source: str) -> Iterator[int]:
    """The lines of a module that write."""
    tree = ast.parse(source)
    told = docstrings(tree)
    for node in ast.walk(tree):
        if (isinstance(node, ast.Call) and is_write(node)) or (id(node) not in told and is_change(text_of(node))):
            yield node.lineno


def text_of(node: ast.AST) -> str:
    """A string as it is written, its places filled with anything; empty for what is no string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_change(text: str) -> bool:
    """Whether a text is SQL that changes rows."""
    return CHANGE.search(text) is not None


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def is_writer(path: Path) -> bool:
    """Facts and actions of a domain, in a module or a package of that name."""
    return path.stem in ("facts", "actions") or path.parent.name in ("facts", "actions")


def test_only_facts_and_actions_write_and_who_else_says_why() -> None:
    found = {place(path) for path in SOURCES if not is_writer(path) and any(writes(path.read_text("utf-8")))}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "Round.objects.filter(pk=1).update(state='x')",
        "rows.filter(pk=1).delete()",
        "found.save(update_fields=['state'])",
        "Round.objects.select_for_update().get_or_create(pk=1)",
        "cursor.execute('DELETE FROM testing_sample WHERE true')",
        "cursor.execute(f'INSERT INTO {table} VALUES (1)')",
        "SQL = 'update journal_entry e set seq = 1'",
        "copy('COPY people_person (id) FROM STDIN')",
    ],
)
def test_a_write_is_seen(line: str) -> None:
    assert list(writes(line))


@pytest.mark.parametrize("line", ["names.update(more)", "digest.update(b'')", "say('COPY this')", "book.save(file)"])
def test_what_only_looks_like_a_write_is_not(line: str) -> None:
    assert not list(writes(line))


def test_no_row_is_saved_as_a_whole() -> None:
    """A whole-row ``save()`` brings back what somebody else has changed meanwhile."""
    bare = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and is_write(node) and chain(node.func)[-1] == "save":
                named = {one.arg for one in node.keywords}
                bare += [] if named & {"update_fields", "force_insert"} else [(place(path), node.lineno)]
    assert bare == []


def test_no_model_saves_in_its_own_way_and_nothing_listens() -> None:
    """Rules live in ``rules``, ``facts`` and ``actions``: not in ``save()``, and not in signals."""
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        imports = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert "save" not in names or path.name != "models.py", place(path)
        assert not [one for one in imports if one.endswith("db.models.signals") or one == "django.dispatch"], place(
            path
        )


FORBIDDEN = {"utils.py", "helpers.py", "services.py", "managers.py", "signals.py", "misc.py", "common.py"}


def test_a_module_is_called_by_what_it_knows() -> None:
    assert [place(path) for path in SOURCES if path.name in FORBIDDEN] == []


LONGEST_FILE, LONGEST_FUNCTION = 600, 60


def lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Every function of a module with its lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield f"{place(path)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_nothing_grows_beyond_what_can_be_read() -> None:
    every = [path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts]
    files = {place(path): len(path.read_text("utf-8").splitlines()) for path in every}
    assert {name: lines for name, lines in files.items() if lines > LONGEST_FILE} == {}
    functions = dict(one for path in every for one in lengths(path))
    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}
    ordered = sorted(functions.values())
    assert ordered[len(ordered) // 2] <= 10
    assert ordered[len(ordered) * 9 // 10] <= 30
