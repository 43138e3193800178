"""Bulletins: proposed from live figures, looked at by a person, published and then frozen for ever.

There is at most one proposed issue of a round, and of the operation to date; proposing again refreshes it. An issue
that was cut off after its round was closed is *final*: when a late fact moves the figures afterwards, a correction is
proposed, a new issue that says what changed. The published one stays as it was: the database refuses to change it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from dabai.access.actions import record, require
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.figures import bulletin, content
from dabai.figures.models import Bulletin, BulletinState
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.protocols.models import Operation
from dabai.testing.models import Round, RoundState

COMMENT_LIMIT = 2000
TEXTS = ("text_zh", "text_en", "html_zh", "html_en")
CONTENT = ("figures", "cut_off", "corrects", "changes", "comment", "made_at", *TEXTS)
LOCK = "SELECT pg_advisory_xact_lock(hashtext('figures.bulletin'), %s)"


def propose(
    *, by: User | None, operation: int, round_id: int | None = None, cut_off: datetime | None = None, comment: str = ""
) -> Bulletin:
    """The proposed issue of a round, or (no ``round_id``) of the operation to date, made anew from live figures.

    Without ``cut_off``: everything received so far. With one, a full hour: people and tubes first sampled before it,
    with the results known by now. Refusals: ``figures.round_unknown``, ``figures.cut_off_future``,
    ``figures.cut_off_hour``, ``figures.comment_long``, ``access.not_allowed``.
    """
    check_comment(comment)
    check_cut_off(cut_off)
    check_round(operation, round_id)
    allow(by, Permission.PREPARE_BULLETIN, operation)
    found = content.of(operation, round_id, cut_off)
    with transaction.atomic():
        lock(operation)
        last = last_published(operation, round_id)
        corrected = last if last and is_final(last) and bulletin.changes_between(last.figures, found) else None
        issue = renew(operation, round_id, found, corrected, comment)
        noted(by, "figures.bulletin_proposed", issue)
    return issue


def correct(*, by: User | None, bulletin_id: int, comment: str = "") -> Bulletin:
    """Propose a new issue in place of a published one; it states every figure that differs.

    Refusals: ``figures.bulletin_unknown``, ``figures.not_published``, ``figures.nothing_changed`` when neither a figure
    nor the comment differs, ``figures.comment_long``, ``access.not_allowed``.
    """
    check_comment(comment)
    published = existing(bulletin_id)
    allow(by, Permission.PREPARE_BULLETIN, published.operation)
    if published.state != BulletinState.PUBLISHED:
        raise Refusal("figures.not_published")
    found = content.of(published.operation, published.round, content.hour_asked(published.figures))
    if comment == published.comment and not bulletin.changes_between(published.figures, found):
        raise Refusal("figures.nothing_changed")
    with transaction.atomic():
        lock(published.operation)
        issue = renew(published.operation, published.round, found, published, comment)
        noted(by, "figures.bulletin_proposed", issue)
    return issue


def publish(*, by: User | None, bulletin_id: int, comment: str | None = None) -> Bulletin:
    """Freeze a proposed issue as it stands, with a last word from whoever publishes it.

    Refusals: ``figures.bulletin_unknown``, ``figures.not_proposed``, ``figures.comment_long``, ``access.not_allowed``.
    """
    check_comment(comment or "")
    issue = existing(bulletin_id)
    allow(by, Permission.PUBLISH_BULLETIN, issue.operation)
    with transaction.atomic():
        issue = proposed(issue)
        if comment is not None:
            issue.comment = comment
        write(issue)
        issue.state, issue.published_at, issue.published_by = (
            BulletinState.PUBLISHED,
            clock.now(),
            by.pk if by else None,
        )
        issue.save(update_fields=[*WRITTEN, "comment", "state", "published_at", "published_by"])
        noted(by, "figures.bulletin_published", issue)
    return issue


def discard(*, by: User | None, bulletin_id: int) -> None:
    """Throw a proposed issue away.

    Refusals: ``figures.bulletin_unknown``, ``figures.not_proposed``, ``access.not_allowed``.
    """
    issue = existing(bulletin_id)
    allow(by, Permission.PREPARE_BULLETIN, issue.operation)
    with transaction.atomic():
        issue = proposed(issue)
        noted(by, "figures.bulletin_discarded", issue)
        issue.delete()


def propose_corrections(round_id: int) -> Bulletin | None:
    """Propose a correction when the figures of a closed round differ from its final issue; None when they do not.

    For the worker, after facts of the round came late. A proposed correction that no longer differs is withdrawn.
    """
    operation = Round.objects.values_list("operation", flat=True).get(pk=round_id)
    last = last_published(operation, round_id)
    if last is None or not is_final(last):
        return None
    found = content.of(operation, round_id, content.hour_asked(last.figures))
    with transaction.atomic():
        lock(operation)
        waiting = Bulletin.objects.filter(operation=operation, round=round_id, state=BulletinState.PROPOSED)
        if not bulletin.changes_between(last.figures, found):
            waiting.filter(corrects=last.pk, comment="").delete()
            return None
        return renew(operation, round_id, found, last, waiting.values_list("comment", flat=True).first() or "")


# --- how an issue comes about -------------------------------------------------------------------------------------

WRITTEN = ("text_zh", "text_en", "html_zh", "html_en")


def renew(
    operation: int, round_id: int | None, found: Mapping[str, Any], corrected: Bulletin | None, comment: str
) -> Bulletin:
    """The one proposed issue of its kind with this content, made if there is none."""
    every = Bulletin.objects.filter(operation=operation, round=round_id)
    issue = every.filter(state=BulletinState.PROPOSED).first()
    if issue is None:
        number = (every.aggregate(last=Max("issue"))["last"] or 0) + 1
        issue = Bulletin(operation=operation, round=round_id, issue=number)
    issue.figures, issue.cut_off = dict(found), datetime.fromisoformat(found["cut_off"])
    issue.corrects = corrected.pk if corrected else None
    issue.changes = bulletin.changes_between(corrected.figures, found) if corrected else []
    issue.comment, issue.made_at = comment, clock.now()
    write(issue)
    issue.save(update_fields=None if issue.pk is None else CONTENT)
    return issue


def write(issue: Bulletin) -> None:
    """Put the content into words, in both languages."""
    corrected = None if issue.corrects is None else Bulletin.objects.get(pk=issue.corrects).issue
    heading = bulletin.Heading(issue.issue, corrected, issue.comment)
    zh, en = (bulletin.render(issue.figures, heading, issue.changes, lang) for lang in ("zh", "en"))
    issue.text_zh, issue.text_en = bulletin.as_text(zh), bulletin.as_text(en)
    issue.html_zh, issue.html_en = bulletin.as_html(zh), bulletin.as_html(en)


def is_final(issue: Bulletin) -> bool:
    """Whether an issue was to be the last word: of a round, and cut off after that was closed."""
    if issue.round is None:
        return False
    closed = Round.objects.filter(pk=issue.round, state=RoundState.CLOSED).values_list("closed_at", flat=True).first()
    return closed is not None and issue.cut_off >= closed


def last_published(operation: int, round_id: int | None) -> Bulletin | None:
    """The newest published issue of a round, or of the operation to date."""
    found = Bulletin.objects.filter(operation=operation, round=round_id, state=BulletinState.PUBLISHED)
    return found.order_by("-issue").first()


def existing(bulletin_id: int) -> Bulletin:
    """An issue. Refusal ``figures.bulletin_unknown``."""
    found = Bulletin.objects.filter(pk=bulletin_id).first()
    if found is None:
        raise Refusal("figures.bulletin_unknown", "bulletin")
    return found


def proposed(issue: Bulletin) -> Bulletin:
    """The issue again, locked, if it is still proposed. Refusal ``figures.not_proposed``."""
    lock(issue.operation)
    found = Bulletin.objects.select_for_update().filter(pk=issue.pk, state=BulletinState.PROPOSED).first()
    if found is None:
        raise Refusal("figures.not_proposed", "bulletin")
    return found


def lock(operation: int) -> None:
    """One writer of an operation's bulletins at a time."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [operation])


def check_comment(comment: str) -> None:
    """Refusal ``figures.comment_long``."""
    if len(comment) > COMMENT_LIMIT:
        raise Refusal("figures.comment_long", "comment", limit=COMMENT_LIMIT)


def check_cut_off(cut_off: datetime | None) -> None:
    """A full hour that is past. Refusals ``figures.cut_off_future``, ``figures.cut_off_hour``."""
    if cut_off is not None and cut_off > clock.now():
        raise Refusal("figures.cut_off_future", "cut_off")
    if cut_off is not None and cut_off != clock.hour_of(cut_off):
        raise Refusal("figures.cut_off_hour", "cut_off")


def check_round(operation: int, round_id: int | None) -> None:
    """An approved round of this operation. Refusal ``figures.round_unknown``."""
    approved = Round.objects.filter(operation=operation).exclude(state=RoundState.DRAFT)
    if round_id is not None and not approved.filter(pk=round_id).exists():
        raise Refusal("figures.round_unknown", "round")


def allow(by: User | None, permission: Permission, operation: int) -> None:
    """Refusal ``access.not_allowed``: a bulletin speaks for the whole district."""
    district = Operation.objects.values_list("district", flat=True).get(pk=operation)
    require(by, permission, area=str(district), operation=operation, at=clock.now())


def noted(by: User | None, action: str, issue: Bulletin) -> None:
    """The audit row."""
    subject = f"bulletin/{issue.pk}"
    record(by=by, action=action, subject=subject, operation=issue.operation, detail={"issue": issue.issue})
