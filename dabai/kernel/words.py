"""Every text that a person reads, from one catalogue per language: ``dabai/words/<language>/*.toml``.

A file is a domain, its tables and keys join to a dotted key: ``[inbox] title = "…"`` in ``desk.toml`` is
``desk.inbox.title``. Chinese comes first; a key must exist in both languages (a test compares them).
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from dabai.kernel.refusal import Refusal

FOLDER = Path(__file__).resolve().parent.parent / "words"
LANGUAGES = ("zh", "en")


def flatten(table: dict[str, Any], prefix: str) -> dict[str, str]:
    """Join nested tables to dotted keys."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        name = f"{prefix}.{key}"
        flat.update(flatten(value, name) if isinstance(value, dict) else {name: str(value)})
    return flat


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of one language by dotted key."""
    texts: dict[str, str] = {}
    for path in sorted((FOLDER / language).glob("*.toml")):
        texts.update(flatten(tomllib.loads(path.read_text(encoding="utf-8")), path.stem))
    return texts


def known(key: str) -> bool:
    """Whether the catalogue has this key."""
    return key in catalogue("zh")


def say(key: str, lang: str = "zh", **params: Any) -> str:
    """The text of ``key`` in ``lang`` with ``{name}`` places filled; a missing key shows itself, so that it is seen."""
    text = catalogue(lang if lang in LANGUAGES else "zh").get(key, key)
    return text.format(**params) if params else text


def say_refusal(refusal: Refusal, lang: str = "zh") -> str:
    """The sentence of a refusal: ``people.number_check`` is ``people.refusal.number_check`` in the catalogue."""
    domain, _, reason = refusal.code.partition(".")
    return say(f"{domain}.refusal.{reason}", lang, **refusal.params)


def language_of(request: Any) -> str:
    """The reader's language: what they chose, else what their browser asks for first, else Chinese."""
    chosen = request.COOKIES.get("lang") or request.headers.get("Accept-Language", "")
    return "en" if chosen.lower().startswith("en") else "zh"
