"""Bulletins: propose, look at both languages, publish, correct; and the plain forms for those who pass them on."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.safestring import mark_safe

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, columns
from dabai.desk.shell import current, guarded, in_operation_only, number_in, on_refusal, operation_of, show, text
from dabai.figures import actions
from dabai.figures.content import numbers
from dabai.figures.models import Bulletin
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import LANGUAGES, language_of
from dabai.testing.queries import rounds_of

TONES = {"proposed": "soon", "published": "done"}


@needs(Permission.SEE_FIGURES, Permission.PREPARE_BULLETIN)
@on_refusal
@in_operation_only
def bulletin_list(request: HttpRequest) -> HttpResponse:
    """The issues of the operation, and the form for the next one."""
    operation, access, lang = operation_of(request), access_of(request), language_of(request)
    rounds = rounds_of(operation.pk)
    asked = propose_form(request, [one for one in rounds if one.state != "draft"])
    if request.method == "POST" and access.may(Permission.PREPARE_BULLETIN) and asked.read(request.POST):
        with asked.refusals():
            return redirect("desk:bulletin", bulletin_id=propose(request, asked).pk)
    named = {one.pk: one.name for one in rounds}
    rows = [
        Row(
            [
                Cell(
                    text(request, "desk.bulletin.issue", number=one.issue),
                    reverse("desk:bulletin", args=[one.pk]),
                    sub=text(request, "desk.bulletin.corrects") if one.corrects else "",
                ),
                Cell(named.get(one.round, text(request, "desk.bulletin.to_date"))),
                Cell(text(request, f"desk.bulletin.{one.state}"), tone=TONES[one.state]),
                Cell(formats.when(one.cut_off, lang)),
                Cell(formats.when(one.published_at, lang)),
            ]
        )
        for one in Bulletin.objects.filter(operation=operation.pk).order_by("-pk")[:PAGE]
    ]
    names = columns("issue:wide", "round", "state", "cut_off:time", "published_at:time")
    forms = [{"title": text(request, "desk.bulletin.propose"), "form": asked}]
    return show(
        request,
        "list_page.html",
        "bulletins",
        title=text(request, "desk.place.bulletins"),
        lead=text(request, "desk.bulletin.lead"),
        listing=Listing(names, rows, "bulletins"),
        forms=forms if access.may(Permission.PREPARE_BULLETIN, access.district) else [],
        empty_icon="bulletin",
    )


def propose_form(request: HttpRequest, rounds: list[Any]) -> Form:
    """Of which round, up to when, and what a person adds."""
    options: list[tuple[Any, str]] = [(one.pk, one.name) for one in rounds]
    now = current(request)
    return form(
        Field(
            "round",
            "select",
            value=now.pk if now else "",
            options=[("", text(request, "desk.bulletin.to_date")), *options],
        ),
        Field("cut_off", "datetime-local", help="cut_off"),
        Field("comment", "textarea", help="comment"),
        submit="propose",
    )


def propose(request: HttpRequest, asked: Form) -> Bulletin:
    """Make or refresh the proposed issue."""
    cut_off = formats.from_input(asked["cut_off"]) if asked["cut_off"] else None
    if asked["cut_off"] and cut_off is None:
        raise Refusal("desk.time_form", "cut_off")
    return actions.propose(
        by=access_of(request).user,
        operation=operation_of(request).pk,
        round_id=number_in(asked["round"]) or None,
        cut_off=cut_off,
        comment=asked["comment"],
    )


def find_bulletin(request: HttpRequest, bulletin_id: int) -> Bulletin:
    """An issue of the operation; Http404 for any other."""
    found = Bulletin.objects.filter(pk=bulletin_id, operation=operation_of(request).pk).first()
    if found is None:
        raise Http404
    return found


@needs(Permission.SEE_FIGURES, Permission.PREPARE_BULLETIN)
@on_refusal
@in_operation_only
def bulletin_page(request: HttpRequest, bulletin_id: int) -> HttpResponse:
    """One issue in both languages, and what can be done with it."""
    return show_bulletin(request, find_bulletin(request, bulletin_id))


def show_bulletin(request: HttpRequest, found: Bulletin, refusal: Refusal | None = None) -> HttpResponse:
    """The page of an issue. Its HTML was made and escaped by ``dabai.figures.bulletin``."""
    access, lang = access_of(request), language_of(request)
    pages = {one: mark_safe(getattr(found, f"html_{one}")) for one in LANGUAGES}  # noqa: S308 - our own, escaped
    here = access.district
    return show(
        request,
        "bulletin.html",
        "bulletins",
        title=text(request, "desk.bulletin.issue", number=found.issue),
        found=found,
        tone=TONES[found.state],
        first=pages[lang],
        other=pages["en" if lang == "zh" else "zh"],
        corrects=Bulletin.objects.filter(pk=found.corrects).first(),
        refusal=refusal,
        may_publish=found.state == "proposed" and access.may(Permission.PUBLISH_BULLETIN, here),
        may_prepare=access.may(Permission.PREPARE_BULLETIN, here),
        status=422 if refusal else 200,
    )


@needs(Permission.PREPARE_BULLETIN, Permission.PUBLISH_BULLETIN)
@on_refusal
@in_operation_only
def bulletin_do(request: HttpRequest, bulletin_id: int, what: str) -> HttpResponse:
    """Publish, correct, refresh or discard an issue."""
    found, user = find_bulletin(request, bulletin_id), access_of(request).user
    if request.method != "POST":
        return redirect("desk:bulletin", bulletin_id=bulletin_id)
    comment = request.POST.get("comment", "").replace("\r\n", "\n").replace("\0", "")
    try:
        if what == "publish":
            actions.publish(by=user, bulletin_id=bulletin_id, comment=comment or found.comment)
        elif what == "correct":
            found = actions.correct(by=user, bulletin_id=bulletin_id, comment=comment)
        elif what == "discard":
            actions.discard(by=user, bulletin_id=bulletin_id)
            messages.success(request, text(request, "desk.done.discarded"))
            return redirect("desk:bulletins")
    except Refusal as refusal:
        return show_bulletin(request, found, refusal)
    if what in ("publish", "correct"):
        messages.success(request, text(request, f"desk.done.bulletin_{what}"))
    return redirect("desk:bulletin", bulletin_id=found.pk)


@needs(Permission.SEE_FIGURES, Permission.PREPARE_BULLETIN)
@on_refusal
@in_operation_only
def bulletin_file(request: HttpRequest, bulletin_id: int, name: str) -> HttpResponse:
    """An issue as text or JSON, to pass on."""
    found = find_bulletin(request, bulletin_id)
    if name == "bulletin.json":
        body = {"issue": found.issue, "state": found.state, "cut_off": found.cut_off, "figures": numbers(found.figures)}
        return guarded(JsonResponse(body, json_dumps_params={"ensure_ascii": False}))
    if name not in ("bulletin.zh.txt", "bulletin.en.txt"):
        raise Http404
    body_text = found.text_zh if name == "bulletin.zh.txt" else found.text_en
    return guarded(HttpResponse(body_text, content_type="text/plain; charset=utf-8"))


urlpatterns = [
    path("bulletins/", bulletin_list, name="bulletins"),
    path("bulletins/<int:bulletin_id>/", bulletin_page, name="bulletin"),
    path("bulletins/<int:bulletin_id>/file/<str:name>", bulletin_file, name="bulletin_file"),
    path("bulletins/<int:bulletin_id>/<str:what>/", bulletin_do, name="bulletin_do"),
]
