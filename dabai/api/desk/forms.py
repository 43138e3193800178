"""What requests and answers of the desk's interface are made of: bounded texts, and the pages of lists."""

from typing import Annotated, Any

from ninja import Schema
from pydantic import Field, StringConstraints

Plain = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=Plain)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=Plain)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Comment = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
AreaCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}([0-9]{3}([0-9]{3}([0-9]{2})?)?)?$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,14}$")]

MOST_ERRORS = 200


class RowError(Schema):
    """Why one row of a file was not taken (header = row 1)."""

    row: int
    code: str
    field: str | None = None


class Done(Schema):
    """Nothing more to say."""

    ok: bool = True


def page(rows: list[Any], limit: int, key: str, name: str) -> dict[str, Any]:
    """A keyset page of ``limit`` rows out of ``limit + 1`` that were read; ``next`` is the last key, or None."""
    shown = rows[:limit]
    last = shown[-1][key] if len(rows) > limit else None
    return {name: shown, "next": str(last) if last is not None else None}
