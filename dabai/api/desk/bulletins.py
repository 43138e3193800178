"""Bulletins: proposed from live figures, published and frozen, corrected by a new issue."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth
from dabai.api.desk.forms import Comment, Number
from dabai.figures import actions, content
from dabai.figures.models import Bulletin
from dabai.journal.kinds import Moment

router = Router(tags=["desk: bulletins"], auth=desk_auth)


class NewBulletin(Schema):
    """Of which round (none: to date), and up to which full hour (none: everything so far)."""

    round: Number | None = None
    cut_off: Moment | None = None
    comment: Comment = ""


class Word(Schema):
    """A last word from whoever publishes; none leaves the comment as it stands."""

    comment: Comment | None = None


class Correction(Schema):
    """What the new issue says about why it differs."""

    comment: Comment = ""


class BulletinOut(Schema):
    """An issue. A published one never changes."""

    id: int
    round: int | None
    issue: int
    corrects: int | None
    state: str
    cut_off: datetime
    figures: dict[str, int | float | None]
    comment: str
    text_zh: str
    text_en: str
    made_at: datetime
    published_at: datetime | None


class BulletinList(Schema):
    """Issues, newest first."""

    bulletins: list[BulletinOut]


class BulletinQuery(Schema):
    """Of one round, if given."""

    round: Number | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


def shown(found: Bulletin) -> dict[str, Any]:
    """An issue as the interface shows it."""
    same = [name for name in BulletinOut.model_fields if name not in ("id", "figures")]
    return {"id": found.pk, "figures": content.numbers(found.figures), **{name: getattr(found, name) for name in same}}


@router.get("/operations/{operation}/bulletins", response=BulletinList)
@asks(Permission.SEE_FIGURES)
def list_bulletins(request: HttpRequest, operation: int, query: Query[BulletinQuery]) -> dict[str, Any]:
    """The issues of an operation, newest first."""
    access_of(request).need(Permission.SEE_FIGURES)
    found = Bulletin.objects.filter(operation=operation).order_by("-pk")
    found = found.filter(round=query.round) if query.round else found
    return {"bulletins": [shown(one) for one in found[: query.limit]]}


@router.post("/operations/{operation}/bulletins", response={201: BulletinOut})
@asks(Permission.PREPARE_BULLETIN)
def propose(request: HttpRequest, operation: int, body: NewBulletin) -> Status[dict[str, Any]]:
    """Propose an issue from live figures; the one that is proposed already is made anew."""
    user = access_of(request).user
    found = actions.propose(
        by=user, operation=operation, round_id=body.round, cut_off=body.cut_off, comment=body.comment
    )
    return Status(201, shown(found))


@router.get("/bulletins/{bulletin_id}", response=BulletinOut)
@asks(Permission.SEE_FIGURES)
def one_bulletin(request: HttpRequest, bulletin_id: int) -> dict[str, Any]:
    """One issue."""
    access_of(request).need(Permission.SEE_FIGURES)
    return shown(Bulletin.objects.get(pk=bulletin_id))


@router.post("/bulletins/{bulletin_id}/publish", response=BulletinOut)
@asks(Permission.PUBLISH_BULLETIN)
def publish(request: HttpRequest, bulletin_id: int, body: Word | None = None) -> dict[str, Any]:
    """Freeze a proposed issue as it stands."""
    comment = body.comment if body else None
    return shown(actions.publish(by=access_of(request).user, bulletin_id=bulletin_id, comment=comment))


@router.post("/bulletins/{bulletin_id}/correct", response={201: BulletinOut})
@asks(Permission.PREPARE_BULLETIN)
def correct(request: HttpRequest, bulletin_id: int, body: Correction | None = None) -> Status[dict[str, Any]]:
    """Propose a new issue that says what differs from a published one."""
    comment = body.comment if body else ""
    return Status(201, shown(actions.correct(by=access_of(request).user, bulletin_id=bulletin_id, comment=comment)))
