"""At the laboratory: rejected, run, read, reviewed by another, released, corrected."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from dabai.journal.kinds import Body, Code, Fact, Kind, Reason, Reference, Text
from dabai.journal.models import MarkKind
from dabai.journal.rows import Insert, accepted
from dabai.kernel.refusal import Refusal
from dabai.testing.facts.judging import at_lab
from dabai.testing.facts.samples import TUBE_EVENT, tube_row
from dabai.testing.models import DecisionKind, Outcome, TubeEventKind


class RejectionReason(StrEnum):
    """Why a laboratory does not take a tube (DOMAIN §11)."""

    LEAK = "leak"
    NO_LABEL = "no_label"
    EMPTY = "empty"
    TOO_LATE = "too_late"


class TubeRejected(Body):
    """The laboratory did not take a tube. Its people are due again."""

    lab: Reference
    tube: Code
    reason: RejectionReason


class RunStarted(Body):
    """The tubes of a laboratory run."""

    lab: Reference
    run: Code
    instrument: Text = ""
    tubes: Annotated[list[Code], Field(min_length=1, max_length=384)]


def reject_tubes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``tube_rejected``: one INSERT."""
    verdicts = [at_lab(fact) for fact in facts]
    good = accepted(facts, verdicts)
    TUBE_EVENT(cursor, [tube_row(f, TubeEventKind.REJECTED, f.body.tube, reason=f.body.reason.value) for f in good])
    return verdicts


def start_runs(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``run_started``: one INSERT of a row for each tube of each run."""
    verdicts = [at_lab(fact) for fact in facts]
    good = accepted(facts, verdicts)
    rows = [
        tube_row(f, TubeEventKind.RUN_STARTED, tube, run=f.body.run, reason=f.body.instrument)
        for f in good
        for tube in dict.fromkeys(f.body.tubes)
    ]
    TUBE_EVENT(cursor, rows)
    return verdicts


class OutcomeName(StrEnum):
    """What was read, by name."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    SUSPECT = "suspect"
    INVALID = "invalid"

    @property
    def number(self) -> int:
        """The number that is stored."""
        return Outcome[self.name].value


Target = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[^\x00-\x1f\x7f]+$")]
Cycle = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]


class ResultRead(Body):
    """What the laboratory read of a tube; each target's cycle where the instrument gives it (null: not detected)."""

    lab: Reference
    tube: Code
    run: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    outcome: OutcomeName
    ct: Annotated[dict[Target, Cycle | None], Field(max_length=12)] | None = None


class ReviewVerdict(StrEnum):
    """A second pair of eyes."""

    APPROVED = "approved"
    RETURNED = "returned"


Results = Annotated[list[UUID], Field(min_length=1, max_length=500)]


class ResultReviewed(Body):
    """A reviewer looked at results that somebody else read."""

    lab: Reference
    results: Results
    verdict: ReviewVerdict
    reason: Text = ""


class ResultReleased(Body):
    """Reviewed results may be told."""

    lab: Reference
    results: Results


class ResultCorrected(Body):
    """A released result was wrong. Both versions stay; everything derived follows the new one."""

    lab: Reference
    result: UUID
    outcome: OutcomeName
    reason: Reason


RESULT = Insert(
    "testing_result",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "tube": "text",
        "lab": "int",
        "run": "text",
        "outcome": "smallint",
        "ct": "jsonb",
        "actor": "int",
        "happened_at": "timestamptz",
    },
)
DECISION = Insert(
    "testing_result_decision",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "result": "uuid",
        "kind": "smallint",
        "outcome": "smallint",
        "actor": "int",
        "reason": "text",
        "happened_at": "timestamptz",
    },
)


def read_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_read``: one INSERT."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        body = fact.body
        fact.mark(MarkKind.READING, fact.text)
        ct = None if body.ct is None else json.dumps(body.ct)
        head = (fact.district, fact.id, fact.operation, body.tube, body.lab, body.run)
        rows.append((*head, body.outcome.number, ct, fact.actor, fact.happened_at))
    RESULT(cursor, rows)
    return verdicts


def decision_row(fact: Fact, kind: DecisionKind, result: UUID, outcome: int | None, reason: str) -> tuple[Any, ...]:
    """The typed row of one decision about one result; marks the result."""
    fact.mark(MarkKind.READING, str(result))
    head = (fact.district, fact.id, fact.operation, result, kind.value, outcome, fact.actor)
    return (*head, reason, fact.happened_at)


def review_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_reviewed``: one INSERT of a row for each result."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        kind = DecisionKind[fact.body.verdict.name]
        rows += [decision_row(fact, kind, one, None, fact.body.reason) for one in dict.fromkeys(fact.body.results)]
    DECISION(cursor, rows)
    return verdicts


def release_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_released``: one INSERT of a row for each result."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        rows += [decision_row(fact, DecisionKind.RELEASED, one, None, "") for one in dict.fromkeys(fact.body.results)]
    DECISION(cursor, rows)
    return verdicts


def correct_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_corrected``: one INSERT."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = [
        decision_row(f, DecisionKind.CORRECTED, f.body.result, f.body.outcome.number, f.body.reason)
        for f in accepted(facts, verdicts)
    ]
    DECISION(cursor, rows)
    return verdicts


KINDS = (
    Kind("testing.tube_rejected", 34, TubeRejected, reject_tubes, form=True),
    Kind("testing.run_started", 35, RunStarted, start_runs),
    Kind("testing.result_read", 36, ResultRead, read_results),
    Kind("testing.result_reviewed", 37, ResultReviewed, review_results),
    Kind("testing.result_released", 38, ResultReleased, release_results),
    Kind("testing.result_corrected", 39, ResultCorrected, correct_results, desk=True),
)
