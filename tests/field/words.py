"""The app's own words, so that journeys find things by what people read, whatever the words become."""

import re
from functools import cache

from dabai.commands._folder import CHECKOUT

ENTRY = re.compile(r"""^\s*'([\w.]+)':\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`([^`]*)`)""", re.MULTILINE)
PLACE = re.compile(r"\{(\w+)(?:\|([^|{}]*)\|([^|{}]*))?\}")


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every text of the app in a language."""
    found = {}
    for path in sorted((CHECKOUT / "field" / "src" / "words" / language).glob("*.ts")):
        for key, *texts in ENTRY.findall(path.read_text(encoding="utf-8")):
            found[key] = next(filter(None, texts), "").replace("\\'", "'")
    return found


def t(key: str, language: str = "zh", **values: object) -> str:
    """A text with its places filled; those that are not given end it, for searching by its beginning."""

    def fill(place: re.Match[str]) -> str:
        if place[1] not in values:
            return place[0]
        value = values[place[1]]
        if place[2] is not None:
            return place[2] if value == 1 else place[3]
        return str(value)

    return PLACE.sub(fill, catalogue(language).get(key, key))


def like(key: str, language: str = "zh", **values: object) -> re.Pattern[str]:
    """A pattern that finds the text wherever its open places hold anything."""
    parts = re.split(r"\{[^}]*\}", t(key, language, **values))
    return re.compile(".*".join(re.escape(part) for part in parts))
