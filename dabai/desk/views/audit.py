"""The audit log: who did or saw what, when and why."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.urls import path

from dabai.access import queries
from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, address, columns, paged
from dabai.desk.shell import (
    number_in,
    on_refusal,
    show,
    text,
)
from dabai.kernel import clock
from dabai.kernel.words import known, language_of


@needs(Permission.SEE_AUDIT)
@on_refusal
def audit_list(request: HttpRequest) -> HttpResponse:
    """Who did or saw what, when and why; newest first."""
    access, lang = access_of(request), language_of(request)
    action, subject = request.GET.get("did", "")[:40], request.GET.get("subject", "")[:80]
    rows_found = queries.audit_rows(
        areas=access.areas(Permission.SEE_AUDIT) or [""],
        action=action.replace("\0", ""),
        subject=subject.replace("\0", ""),
        before=number_in(request.GET.get("after", "")) or None,
        limit=PAGE + 1,
    )
    page, following = paged(rows_found, PAGE, lambda one: one[0], request)
    rows = [
        Row(
            [
                Cell(formats.when(one.at, lang, seconds=True)),
                Cell(one.actor or text(request, "desk.audit.system")),
                Cell(action_name(request, one.action), sub=one.action),
                Cell(one.subject, address(request, subject=one.subject, after=""), mono=True),
                Cell(one.area, mono=True),
                Cell(one.reason, sub=", ".join(f"{key}={value}" for key, value in one.detail.items())[:160]),
            ]
        )
        for _, one in page
    ]
    looks = queries.who_looked_most(access.operation_id, clock.now() - timedelta(days=7)) if access.operation_id else []
    filters = form(
        Field("subject", value=subject, label="audit_subject"), Field("did", value=action, label="audit_action")
    )
    return show(
        request,
        "audit.html",
        "audit",
        title=text(request, "desk.place.audit"),
        listing=Listing(
            columns("at:time", "by:time", "action:wide", "subject:code", "area:code", "reason:wide"),
            rows,
            "audit",
            filters=filters,
            next=following,
        ),
        looks=looks[:20],
    )


def action_name(request: HttpRequest, action: str) -> str:
    """What an action is called; its code where the catalogue has no words."""
    domain, _, name = action.partition(".")
    for key in (f"access.action.{action}", f"{domain}.audit.{name}", f"desk.action.{action}"):
        if known(key):
            return text(request, key)
    return action


urlpatterns = [
    path("audit/", audit_list, name="audit"),
]
