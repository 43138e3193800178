"""Facts of a desk (every decision, review and release), and the inbox that they answer."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth, read_uuid
from dabai.api.desk.forms import Text
from dabai.journal import inbox
from dabai.journal.door import submit_desk
from dabai.journal.kinds import Moment

router = Router(tags=["desk: facts"], auth=desk_auth)
MOST_FACTS = 500


class DeskFact(Schema):
    """A decision. Without ``id`` it gets one here, without ``happened_at`` it happens now."""

    model_config = ConfigDict(extra="forbid")

    id: UUID | None = None
    kind: Annotated[str, Field(max_length=60, pattern=r"^[a-z_.]+$")]
    level: Annotated[int, Field(ge=1, le=10_000)] = 1
    happened_at: Moment | None = None
    body: dict[str, Any]


class DeskFacts(Schema):
    """Up to 500 decisions; each gets its own receipt."""

    facts: Annotated[list[DeskFact], Field(max_length=MOST_FACTS)]


class Receipt(Schema):
    """What was stored for a fact. It never changes."""

    id: UUID
    verdict: str
    code: str | None = None
    field: str | None = None


class Receipts(Schema):
    """Receipts in the order sent."""

    receipts: list[Receipt]


class CaseOut(Schema):
    """A derived case and the facts it rests on."""

    code: str
    subject: str
    state: str
    facts: list[UUID]
    detail: dict[str, Any]
    area: str
    site: int | None
    round: int | None


class KeptOut(Schema):
    """A refused fact, without its body."""

    id: UUID
    kind: str
    code: str
    field: str
    state: str


class Inbox(Schema):
    """A page of cases, then of kept facts; ``next`` continues both."""

    cases: list[CaseOut]
    kept: list[KeptOut]
    next: str | None


class InboxQuery(Schema):
    """Which page of which cases."""

    state: Literal["open", "reopened", "settled", "gone"] = "open"
    code: Annotated[str, Field(max_length=40, pattern=r"^[a-z_.]*$")] = ""
    after: Annotated[str, Field(max_length=160, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    limit: Annotated[int, Field(ge=1, le=5000)] = 500


class KeptDecision(Schema):
    """What a desk did about a refused fact."""

    state: Literal["attached", "dismissed"]
    reason: Text


class KeptState(Schema):
    """The new state of a refused fact."""

    id: UUID
    state: str


WRITERS = (
    Permission.ENTER_FACTS,
    Permission.DECIDE_INBOX,
    Permission.UPLOAD_RESULTS,
    Permission.REVIEW_RESULTS,
    Permission.SEE_TUBES,
)


@router.post("/operations/{operation}/facts", response=Receipts, exclude_none=True)
@asks(*WRITERS)
def post_facts(request: HttpRequest, operation: int, body: DeskFacts) -> dict[str, Any]:
    """Report decisions. Which kinds, and where, each of the user's roles says; others are refused in their receipt."""
    facts = [one.dict(exclude_none=True) for one in body.facts]
    receipts = submit_desk(user=access_of(request).user, operation=operation, facts=facts)
    return {"receipts": [one.as_dict() for one in receipts]}


@router.get("/operations/{operation}/inbox", response=Inbox)
@asks(Permission.SEE_INBOX)
def list_inbox(request: HttpRequest, operation: int, query: Query[InboxQuery]) -> dict[str, Any]:
    """Cases by code and subject, and after the last of them the refused facts by id."""
    access = access_of(request)
    scope = {"district": access.district, "operation": operation, "areas": access.where(Permission.SEE_INBOX)}
    in_kept = query.after.startswith("kept|")
    found = [] if in_kept else inbox.cases(
        **scope, state=query.state, code=query.code, after=query.after, limit=query.limit + 1
    )  # fmt: skip
    if len(found) > query.limit:
        return {"cases": found[: query.limit], "kept": [], "next": found[query.limit - 1].key}
    room = query.limit - len(found)
    wants_kept = query.state == "open" and (not query.code or query.code == "kept")
    after = read_uuid(query.after.removeprefix("kept|") if in_kept else "", "after")
    kept = inbox.kept_facts(**scope, after=after, limit=room + 1) if wants_kept else []
    following = None
    if len(kept) > room:
        following = f"kept|{kept[room - 1].id if room else UUID(int=0)}"
    return {"cases": found, "kept": kept[:room], "next": following}


@router.post("/operations/{operation}/kept/{fact}", response=KeptState)
@asks(Permission.DECIDE_INBOX)
def settle_kept(request: HttpRequest, operation: int, fact: UUID, body: KeptDecision) -> dict[str, Any]:
    """Close a refused fact: what it meant was reported rightly (attached), or it meant nothing (dismissed)."""
    access = access_of(request)
    row = inbox.settle_kept(
        by=access.user, district=access.district, operation=operation, fact=fact, state=body.state, reason=body.reason
    )
    return {"id": row.id, "state": row.state}
