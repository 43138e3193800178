"""What a phone may have to say, taken from the words catalogue: phones carry it along and say it without a network.

One file for each language, ``contract/words/<language>.json``. Sentences keep their places (``{limit}``) open; phones
fill them from the values of a refusal or a finding.
"""

import json
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from dabai.access.rules import Role
from dabai.commands._factspage import ANY_KIND, refusals_of
from dabai.journal.models import EntryFlag
from dabai.kernel.codes import check_code, read_hand_over_code, read_resident_code
from dabai.kernel.words import catalogue
from dabai.people.rules import DocumentKind, KeyGroup
from dabai.places.models import SiteKind
from dabai.registry import kinds
from dabai.testing.facts.roster import NotSampledOutcome

# Of these domains a phone may meet every reason that begins so; of the others only what the kinds it reports give.
MET = {
    "access": ("code_", "device_not", "key_destroyed", "operation_over", "pin_", "sign_", "token_"),
    "api": ("request_", "token_", "try_again"),
    "documents": ("",),
    "journal": ("",),
    "people": ("slice_",),
}
NOT_MET = ("journal.kept_",)
ENUMERATIONS: dict[str, tuple[type[Enum], str]] = {
    "documents": (DocumentKind, "documents.kind"),
    "groups": (KeyGroup, "documents.group"),
    "not_sampled": (NotSampledOutcome, "testing.change"),
    "roles": (Role, "access.role"),
    "sites": (SiteKind, "places.kind"),
}


def field_words(language: str) -> str:
    """The file of one language as text."""
    texts = catalogue(language)
    said: dict[str, dict[str, str]] = {
        "refusals": {code: texts[refusal_key(code)] for code in refusal_codes(texts)},
        "attention": dict(attention(texts)),
        "flags": {str(flag.value): texts[f"journal.flag.{flag.name.lower()}"] for flag in EntryFlag},
        "pools": below(texts, "protocols.pool."),
        "kinds": {name: texts[f"testing.kind.{name.partition('.')[2]}"] for name in kinds()},
    }
    for name, (members, prefix) in ENUMERATIONS.items():
        said[name] = {str(member.value): texts[f"{prefix}.{member.value}"] for member in members}
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def refusal_key(code: str) -> str:
    """Where the sentence of a refusal stands in the catalogue."""
    domain, _, reason = code.partition(".")
    return f"{domain}.refusal.{reason}"


def refusal_codes(texts: dict[str, str]) -> set[str]:
    """Every refusal that a phone may meet, or find by itself before it sends anything."""
    reading: list[Callable[..., Any]] = [check_code, read_resident_code, read_hand_over_code]
    reading += [kind.handle for kind in kinds().values() if not kind.desk]
    codes = {*ANY_KIND, *(code for function in reading for code in refusals_of(function))}
    for domain, beginnings in MET.items():
        reasons = below(texts, f"{domain}.refusal.")
        codes |= {f"{domain}.{reason}" for reason in reasons if reason.startswith(beginnings)}
    return {code for code in codes if not code.startswith(NOT_MET)}


def attention(texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The cases that the changes feed tells of: what is the matter, and under ``<code>_do`` what to do about it."""
    for domain in ("testing", "people"):
        for code, text in below(texts, f"{domain}.attention.").items():
            yield (code if domain == "testing" else f"{domain}.{code}"), text


def below(texts: dict[str, str], prefix: str) -> dict[str, str]:
    """The texts whose key begins so, by what follows."""
    return {key.removeprefix(prefix): text for key, text in texts.items() if key.startswith(prefix)}
