"""``GET /forms``: how phones ask for kinds of fact that have no screen of their own.

A form is made of the body of its kind (``Kind.form``): its JSON schema, what fields and choices are called, and which
of them the phone fills in by itself. A new kind with ``form=True`` and words in ``dabai/words/*/fields.toml`` can be
reported at once, without a new app.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from dabai.access.guard import device_auth
from dabai.access.rules import roles_that_report
from dabai.journal.kinds import Kind
from dabai.kernel.words import LANGUAGES, known, say
from dabai.registry import kinds

router = Router(tags=["devices"])

# Fields that the phone knows, or has a way of its own to ask for: the place that it works at, somebody from the slice,
# a barcode to be scanned.
FILLED = {
    "round": "round",
    "site": "site",
    "lab": "site",
    "station": "station",
    "by": "login",
    "person": "person",
    "tube": "tube",
    "box": "box",
}
# Where the choices of a field have their names, by the enumeration.
CHOICES = {"NotSampledOutcome": "testing.change", "RejectionReason": "testing.rejected"}


class Said(Schema):
    """One text in both languages."""

    zh: str
    en: str


class FormField(Schema):
    """A field as the phone asks for it."""

    label: Said
    hint: Said | None
    options: dict[str, Said] | None
    fill: str | None = Field(description="round, site, station, login, person, tube or box; null: ask")


class Form(Schema):
    """A kind of fact as a form."""

    kind: str
    level: int
    title: Said
    roles: list[str] = Field(description="Who may report it.")
    schema_: dict[str, Any] = Field(alias="schema", description="JSON schema of the body.")
    fields: dict[str, FormField]


@router.get("/forms", auth=device_auth, response=list[Form], by_alias=True)
def get_forms(request: HttpRequest) -> HttpResponse:
    """The kinds of fact that phones report through the general form, in the order of their numbers."""
    return HttpResponse(orjson.dumps(forms()), content_type="application/json")


@cache
def forms() -> list[dict[str, Any]]:
    """Every form. Kinds and words don't change while the server runs."""
    shown = sorted((kind for kind in kinds().values() if kind.form), key=lambda kind: kind.number)
    return [form(kind) for kind in shown]


def form(kind: Kind) -> dict[str, Any]:
    """One kind as a form."""
    schema = kind.body.model_json_schema()
    return {
        "kind": kind.name,
        "level": kind.level,
        "title": said(title_key(kind)),
        "roles": sorted(roles_that_report(kind.name)),
        "schema": schema,
        "fields": {name: form_field(kind, name, schema) for name in schema.get("properties", {})},
    }


def title_key(kind: Kind) -> str:
    """Where the name of a kind stands in the catalogue."""
    return f"testing.kind.{kind.name.partition('.')[2]}"


def form_field(kind: Kind, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One field of a form."""
    own, hint = f"fields.kind.{kind.name}.{name}", f"fields.hint.{kind.name}.{name}"
    return {
        "label": said(own if known(own) else f"fields.label.{name}"),
        "hint": said(hint) if known(hint) else None,
        "options": options(schema, schema["properties"][name]),
        "fill": FILLED.get(name),
    }


def options(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, dict[str, str]] | None:
    """The choices of a field with their names; None where there is no choice."""
    for name in referred(field):
        if values := schema["$defs"][name].get("enum"):
            return {value: said(f"{CHOICES[name]}.{value}") for value in values}
    return None


def referred(field: dict[str, Any]) -> Iterator[str]:
    """The names of the definitions that a field's form mentions."""
    for one in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in one:
            yield one["$ref"].rpartition("/")[2]


def said(key: str) -> dict[str, str]:
    """A text in every language."""
    return {language: say(key, language) for language in LANGUAGES}
