"""``POST /lookup``: somebody asks for their own results by document number and name.

Nobody learns here whether a number is known: a wrong name, an unknown number and a person without results get the same
answer, after the same statement. Nobody is told a pooled positive, or anything that a desk has still to settle: both
are ``pending_retest`` (待复核). Questions are limited by address and by number, counted in the memory of each web
process; every question counts, or else the limit would tell which numbers are known. Nothing is written and nothing is
logged.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from django.db import connection
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from dabai.access.guard import public
from dabai.access.limits import Failures, address_of
from dabai.api.packed import read_json
from dabai.journal.decode import first_field
from dabai.kernel.refusal import Refusal
from dabai.kernel.together import Together
from dabai.people.rules import clean_number
from dabai.protocols.models import Operation, OperationKind
from dabai.protocols.queries import operations_of
from dabai.testing.outcomes import PersonResult
from dabai.testing.own import Claim, own_results

# An address may be a whole village behind one provider's gateway; a number is one person's, who looks now and then.
BY_ADDRESS = Failures(limit=120, seconds=60, size=200_000)
BY_NUMBER = Failures(limit=10, seconds=600, size=200_000)
REMEMBER_SECONDS = 2.0
SHOWN = {"pending": "pending_retest", "withheld": "pending_retest"}

router = Router(tags=["residents"])


class Question(BaseModel):
    """Whose results: exactly as on the document."""

    number: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=100)]


validate: Callable[[Any], Question] = TypeAdapter(Question).validator.validate_python


class OwnResult(Schema):
    """What one may know of one's own sample in a round."""

    operation: str
    drill: bool
    round: str
    sampled_at: datetime
    outcome: Literal["negative", "pending_retest", "positive", "invalid", "awaiting"]
    released_at: datetime | None


class Answer(Schema):
    """Newest first. Empty as well when the number or the name is not known."""

    results: list[OwnResult]


@router.post(
    "/lookup",
    auth=None,
    response=Answer,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Question.model_json_schema()}}}
    },
)
@public
def lookup(request: HttpRequest) -> HttpResponse:
    """One's own results in the operations that are running. Refusal ``api.lookup_too_many`` (429)."""
    question = read_question(request)
    count(address_of(request), question.number)
    results = together.ask(Claim(question.number, question.name))
    return HttpResponse(
        orjson.dumps({"results": results}), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def read_question(request: HttpRequest) -> Question:
    """The question. Refusal ``api.request_invalid`` naming the field."""
    try:
        return validate(read_json(request))
    except ValidationError as error:
        raise Refusal("api.request_invalid", first_field(error)) from error


def count(address: str, number: str) -> None:
    """Count a question. Refusal ``api.lookup_too_many``. Of the number only a digest is remembered."""
    token = hashlib.sha256(clean_number(number).encode()).hexdigest()[:32]
    wait = max(BY_ADDRESS.wait(address), BY_NUMBER.wait(token))
    if wait:
        raise Refusal("api.lookup_too_many", seconds=wait)
    BY_ADDRESS.add(address)
    BY_NUMBER.add(token)


def answers(claims: Sequence[Claim]) -> list[list[dict[str, Any]]]:
    """What may be told to each claim: one statement for each running operation, whether anybody is known or not."""
    told_to: list[list[dict[str, Any]]] = [[] for _ in claims]
    with connection.cursor() as cursor:
        for operation in running():
            found = own_results(cursor, operation.district, operation.pk, claims)
            for results, more in zip(told_to, found, strict=True):
                results += [told(operation, one) for one in more]
    return told_to


together = Together("lookup", answers)


def told(operation: Operation, result: PersonResult) -> dict[str, Any]:
    """One result as its owner sees it."""
    return {
        "operation": operation.name,
        "drill": operation.kind == OperationKind.DRILL,
        "round": result.name,
        "sampled_at": result.sampled_at,
        "outcome": SHOWN.get(result.outcome, result.outcome),
        "released_at": None if result.outcome in SHOWN else result.released_at,
    }


_running: list[tuple[float, list[Operation]]] = []


def running() -> list[Operation]:
    """The operations that have not ended, newest first; remembered for two seconds."""
    if not _running or time.monotonic() - _running[0][0] > REMEMBER_SECONDS:
        _running[:] = [(time.monotonic(), operations_of(running=True))]
    return _running[0][1]


def forget() -> None:
    """Ask and count anew (between tests)."""
    _running.clear()
    for counted in (BY_ADDRESS, BY_NUMBER):
        counted.forget()
