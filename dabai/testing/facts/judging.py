"""What the handlers of a round share: is this a tube's code, a bag's, a box's; is this a laboratory."""

from functools import lru_cache
from typing import Annotated

from pydantic import Field

from dabai.journal.kinds import Fact
from dabai.journal.reference import round_of
from dabai.journal.rows import place
from dabai.kernel.codes import DEFAULT_PATTERN, check_code
from dabai.kernel.codes import Kind as CodeKind
from dabai.kernel.refusal import Refusal

Station = Annotated[int, Field(ge=0, le=999)]


@lru_cache(50_000)
def code_refusal(kind: CodeKind, text: str, pattern: str | None) -> str | None:
    """The code of the refusal of a tube, bag or box code, None if it is good. Remembered: ten people share a tube."""
    try:
        check_code(kind, text, pattern)
    except Refusal as refusal:
        return refusal.code
    return None


def check_tube(fact: Fact, tube: str, field: str = "body.tube") -> Refusal | None:
    """Refuse a code that can't be a tube under the pattern of the fact's round."""
    number = getattr(fact.body, "round", None)
    code = code_refusal("tube", tube, tube_pattern(fact, number))
    return Refusal(code, field) if code else None


def check_container(kind: CodeKind, text: str, field: str) -> Refusal | None:
    """Refuse a code that can't be a bag or a box."""
    code = code_refusal(kind, text, None)
    return Refusal(code, field) if code else None


def tube_pattern(fact: Fact, number: int | None) -> str:
    """The barcode pattern of a round."""
    known = round_of(fact.operation, number) if number else None
    return (known.tube_pattern if known else None) or DEFAULT_PATTERN


def at_lab(fact: Fact) -> Refusal | None:
    """The place of a laboratory's fact."""
    return place(fact, fact.body.lab, kind="laboratory", field="body.lab")
