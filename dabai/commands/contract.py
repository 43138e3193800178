"""`dabai contract`: write down what clients rely on, or say whether it has changed (``--check``).

``contract/openapi.json`` is the interface, from which clients make their types; ``contract/words`` holds the sentences
that phones carry along; ``docs/domain/facts.md`` lists every kind of fact for people, ``docs/domain/figures.md`` every
figure. All are generated, committed and compared, so that nothing changes unseen.
"""

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django

from dabai.kernel.words import LANGUAGES

HELP = "write contract/openapi.json, contract/words, docs/domain/facts.md and figures.md (--check: only compare)"
ROOT = Path(__file__).resolve().parents[2]
SHOWN = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and show what differs")


def run(args: argparse.Namespace) -> int:
    """Write every file, or compare it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dabai.settings")
    django.setup()
    stale = [(path, text) for path, text in files() if not path.is_file() or path.read_text("utf-8") != text]
    for path, text in stale:
        if args.check:
            show_difference(path, text)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    return 1 if args.check and stale else 0


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it must hold."""
    from dabai.commands._factspage import facts_page
    from dabai.commands._fieldwords import field_words
    from dabai.commands._figurespage import figures_page

    yield ROOT / "contract" / "openapi.json", openapi()
    for language in LANGUAGES:
        yield ROOT / "contract" / "words" / f"{language}.json", field_words(language)
    yield ROOT / "docs" / "domain" / "facts.md", facts_page()
    yield ROOT / "docs" / "domain" / "figures.md", figures_page()


def openapi() -> str:
    """The contract as text, in an order that does not depend on the order of the code."""
    import dabai.urls  # noqa: F401 - the routers join the interface there
    from dabai.api.app import api

    document = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def show_difference(path: Path, wanted: str) -> None:
    """Say on standard error which lines differ: the first ones, with how to bring the file up to date."""
    name = path.relative_to(ROOT)
    found = path.read_text("utf-8") if path.is_file() else ""
    lines = list(difflib.unified_diff(found.splitlines(), wanted.splitlines(), str(name), "as the code has it", n=1))
    print(*lines[:SHOWN], sep="\n", file=sys.stderr)
    if len(lines) > SHOWN:
        print(f"… and {len(lines) - SHOWN} lines more", file=sys.stderr)
    print(f"{name} is out of date: run `dabai contract`", file=sys.stderr)
