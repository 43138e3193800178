"""The whole contract in one document: what Django Ninja knows of the paths, and besides every kind of fact and the one
form of a refusal. It is what ``/api/v1/openapi.json`` answers and what ``dabai contract`` writes down.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, Field

from dabai.access.rules import roles_that_report
from dabai.journal.kinds import Kind
from dabai.registry import kinds

REFERENCE = "#/components/schemas/"
DESCRIPTION = """\
What phones, laboratories and scripts use. A device sends `Authorization: Device <token>`, a script
`Authorization: Bearer <token>`, a browser its session and, to change anything, the CSRF token.

`POST /api/v1/facts` takes facts one by one: the body of kind `K` is the schema `facts.K`; `x-kinds` lists all kinds.
A request that is turned away as a whole has the form of `Refused`; a refused fact has a receipt that says so."""


class Refused(BaseModel):
    """Why a request was turned away as a whole. The code is stable; the sentence is for people."""

    code: str = Field(examples=["api.request_invalid"])
    field: str | None = Field(description="Path of the field that is wrong; never its value.")
    params: dict[str, Any] = Field(description="Values of the sentence; never personal data.")
    message: str = Field(description="Chinese or English, by `Accept-Language`.")


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of Ninja's document (parts of it belong to the code) with what it can't know."""
    document = deepcopy(document)
    components = document["components"]["schemas"]
    document["info"]["description"] = DESCRIPTION
    document["x-kinds"] = {name: about(kind) for name, kind in sorted(kinds().items())}
    components["Refused"] = Refused.model_json_schema()
    for kind in kinds().values():
        components.update(schemas_of(kind))
    for operation in operations(document):
        lift_definitions(operation, components)
        operation["responses"].update(refusals())
    return document


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation of every path."""
    for methods in document["paths"].values():
        yield from methods.values()


def about(kind: Kind) -> dict[str, Any]:
    """What a client must know of a kind besides its body."""
    return {
        "number": kind.number,
        "level": kind.level,
        "desk": kind.desk,
        "roles": sorted(roles_that_report(kind.name)),
        "body": {"$ref": f"{REFERENCE}facts.{kind.name}"},
    }


def schemas_of(kind: Kind) -> dict[str, Any]:
    """The schema of the kind's body, and those of its parts under names of their own."""
    name = f"facts.{kind.name}"
    schema = kind.body.model_json_schema(ref_template=f"{REFERENCE}{name}.{{model}}")
    parts = schema.pop("$defs", {})
    return {name: schema, **{f"{name}.{part}": found for part, found in parts.items()}}


def lift_definitions(operation: dict[str, Any], components: dict[str, Any]) -> None:
    """Put definitions that stand inside a request's schema where every schema stands."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        components.update(media["schema"].pop("$defs", {}))


def refusals() -> dict[str, Any]:
    """The answers that any operation may give: a client's error, or nothing stored because the database is away."""
    content = {"application/json": {"schema": {"$ref": f"{REFERENCE}Refused"}}}
    return {
        "4XX": {"description": "Turned away as a whole; nothing was stored.", "content": content},
        "503": {"description": "Nothing was stored; send the same again later.", "content": content},
    }
