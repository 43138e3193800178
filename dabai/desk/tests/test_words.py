"""The catalogue is whole: the same keys in both languages, the same places in each text, and every key that the desk
and its interface use exists."""

import re
from pathlib import Path

from dabai.access.rules import Permission, Role
from dabai.desk.shell import RAIL
from dabai.desk.views import coverage, imports, inbox, people, tubes
from dabai.kernel.words import catalogue

ROOT = Path(__file__).resolve().parents[2]
PLACES = re.compile(r"\{(\w+)\}")
KEY = r"(?:desk|testing|people|documents|figures|access|places|operations|api)\.[a-z_0-9]+(?:\.[a-z_0-9]+)*"
REFUSAL = re.compile(r'Refusal\(\s*"([a-z]+\.[a-z_]+)"')


def test_both_languages_have_the_same_keys():
    chinese, english = catalogue("zh"), catalogue("en")
    assert set(chinese) == set(english)


def test_both_languages_fill_the_same_places():
    chinese, english = catalogue("zh"), catalogue("en")
    for key, text in chinese.items():
        assert set(PLACES.findall(text)) == set(PLACES.findall(english[key])), key


def sources(*suffixes: str) -> list[Path]:
    return [
        path
        for folder in ("desk", "api")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "tests" not in path.parts and "vendor" not in path.parts
    ]


def test_every_key_that_is_said_exists():
    known = catalogue("zh")
    for path in sources(".py", ".html"):
        source = path.read_text(encoding="utf-8")
        said = re.findall(rf'{{% say ["\']({KEY})["\']', source)
        said += re.findall(rf'text\(request, "({KEY})"', source)
        for key in said:
            assert key in known, (path.name, key)
        for code in REFUSAL.findall(source):
            domain, _, reason = code.partition(".")
            assert f"{domain}.refusal.{reason}" in known, (path.name, code)


def test_every_key_that_is_put_together_exists():
    known = catalogue("zh")
    wanted = {f"desk.place.{place.name}" for group in RAIL.values() for place in group}
    wanted |= {f"desk.rail.{group}" for group in RAIL}
    wanted |= {f"desk.list.{name}" for name in coverage.LISTS}
    wanted |= {f"desk.tube_tab.{name}" for name in tubes.STATES}
    wanted |= {f"desk.inbox.view.{name}" for name in inbox.FAMILIES}
    wanted |= {f"desk.person_do.{name}" for name in (*people.NEEDED, "unmerge")}
    wanted |= {f"desk.done.{name}" for name in people.DO}
    wanted |= {f"people.outcome.{name}" for name in imports.OUTCOMES[1:]}
    wanted |= {f"access.role.{role.value}" for role in Role} | {f"access.permission.{one.value}" for one in Permission}
    for path in sources(".py"):
        source = path.read_text(encoding="utf-8")
        for columns in re.findall(r"columns\(([^()]*)\)", source):
            wanted |= {f"desk.column.{name}" for name in re.findall(r'"([a-z_]+)(?::[a-z]+)?"', columns)}
        wanted |= {f"desk.help.{name}" for name in re.findall(r'help="([a-z_]+)"', source)}
        wanted |= {f"desk.do.{name}" for name in re.findall(r'submit="([a-z_]+)"', source)}
        for name, rest in re.findall(r'Field\("([a-z_]+)"([^\n]*)', source):
            if '"hidden"' not in rest and "label=" not in rest and "title=" not in rest:
                wanted.add(f"desk.field.{name}")
        wanted |= {f"desk.field.{name}" for name in re.findall(r'\blabel="([a-z_]+)"', source)}
        wanted |= {f"desk.empty.{name}" for name in re.findall(r'Listing\([^"\n]*rows, "([a-z_]+)"', source)}
    assert sorted(wanted - set(known)) == []
