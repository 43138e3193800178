"""What every screen of the desk has around it: rail, search, operation and round, the drill's banner, the language.

``show`` renders a page inside the shell. A page is for one operation and, where it makes sense, one round: the one in
the address (``?round=``) or the one looked at last, else the newest that was approved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from dabai.access.guard import Access, access_of
from dabai.access.queries import in_district
from dabai.access.rules import Permission, in_force, in_operation
from dabai.figures.queries import freshness
from dabai.journal import inbox
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import known, language_of, say
from dabai.protocols.models import Operation
from dabai.protocols.queries import operations_of
from dabai.testing.models import Round
from dabai.testing.queries import current_round, rounds_of

POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Place:
    """A work place on the rail: shown to whoever has one of the permissions. ``key`` is pressed after ``g``."""

    name: str
    key: str
    icon: str
    permissions: tuple[Permission, ...]


RAIL: dict[str, tuple[Place, ...]] = {
    "today": (
        Place("coverage", "c", "coverage", (Permission.SEE_FIGURES,)),
        Place("inbox", "i", "inbox", (Permission.SEE_INBOX,)),
    ),
    "sampling": (
        Place("rounds", "r", "rounds", (Permission.SEE_ROUNDS,)),
        Place("people", "p", "people", (Permission.SEARCH_PEOPLE,)),
        Place("tubes", "t", "tubes", (Permission.SEE_TUBES,)),
        Place("imports", "m", "import", (Permission.IMPORT_PEOPLE,)),
    ),
    "laboratory": (
        Place("results", "u", "upload", (Permission.UPLOAD_RESULTS,)),
        Place("review", "v", "review", (Permission.REVIEW_RESULTS,)),
        Place("release", "l", "release", (Permission.RELEASE_RESULTS,)),
    ),
    "reports": (
        Place("bulletins", "b", "bulletin", (Permission.SEE_FIGURES, Permission.PREPARE_BULLETIN)),
        Place("exports", "e", "export", (Permission.EXPORT_RESULTS,)),
    ),
    "administration": (
        Place("operations", "o", "operations", (Permission.MANAGE_OPERATIONS,)),
        Place("places", "s", "place", (Permission.MANAGE_PLACES,)),
        Place("accounts", "a", "accounts", (Permission.MANAGE_ACCOUNTS,)),
        Place("devices", "d", "devices", (Permission.SEE_DEVICES,)),
        Place("audit", "y", "audit", (Permission.SEE_AUDIT,)),
    ),
}


def show(request: HttpRequest, template: str, place: str = "", status: int = 200, **context: Any) -> HttpResponse:
    """A page inside the shell; ``place`` is where it stands on the rail."""
    lang = language_of(request)
    around = {"lang": lang, "place": place, "path": request.get_full_path()}
    if "access" in request.__dict__ and template != "alone.html":
        around |= shell_of(request)
    return guarded(render(request, f"desk/{template}", around | context, status=status))


def guarded(response: HttpResponse) -> HttpResponse:
    """The page with the headers that keep foreign scripts out and personal data off shared machines."""
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def shell_of(request: HttpRequest) -> dict[str, Any]:
    """What the shell says: the operation, its rounds, the rail, how much waits in the inbox."""
    access = access_of(request)
    rail = rail_of(access)
    around: dict[str, Any] = {"me": access.user, "access": access, "rail": rail, "now": clock.now()}
    if access.operation is None:
        return around
    operation = operation_of(request)
    around |= {
        "operation": operation,
        "operations": operations_reached(access),
        "rounds": rounds_of(operation.pk) if access.may(Permission.SEE_ROUNDS) else [],
        "round": current(request),
        "drill": operation.kind == "drill",
        "searches": access.may(Permission.SEARCH_PEOPLE) or access.may(Permission.SEE_TUBES),
    }
    if access.may(Permission.SEE_INBOX):
        counts = inbox.case_counts(
            district=operation.district, operation=operation.pk, areas=access.areas(Permission.SEE_INBOX)
        )
        around["inbox_count"] = sum(counts.values())
    return around


def rail_of(access: Access) -> list[tuple[str, list[tuple[Place, str]]]]:
    """The work places that the user may enter, by group, with their addresses."""
    found = []
    for group, places in RAIL.items():
        open_places = [
            (one, reverse(f"desk:{one.name}"))
            for one in places
            if any(access.may(permission) for permission in one.permissions)
        ]
        if open_places:
            found.append((group, open_places))
    return found


def operations_reached(access: Access) -> list[Operation]:
    """The operations in which the user has a role now, newest first."""
    held = [one for one in access.grants if in_force(one, access.at)]
    return [
        found
        for found in operations_of()
        if any(in_operation(one, found.pk) and in_district(one.area, found.district) for one in held)
    ]


def operation_of(request: HttpRequest) -> Operation:
    """The operation that the page is about. Http404 before there is any."""
    found = access_of(request).operation
    if found is None:
        raise Http404
    known = request.__dict__.get("_desk_operation")
    if known is None:
        known = request.__dict__["_desk_operation"] = Operation.objects.get(pk=found.id)
    return known  # type: ignore[no-any-return]


def current(request: HttpRequest) -> Round | None:
    """The round that the page is about: of the address, else the last one looked at, else the newest approved one."""
    if "_desk_round" not in request.__dict__:
        request.__dict__["_desk_round"] = find_round(request)
    return request.__dict__["_desk_round"]  # type: ignore[no-any-return]


def find_round(request: HttpRequest) -> Round | None:
    """``current``, from the database."""
    operation = operation_of(request).pk
    asked = request.GET.get("round", "")
    if asked:
        found = Round.objects.filter(operation=operation, pk=number_in(asked)).first()
        if found is None:
            raise Http404
        request.session["round"] = found.pk
        return found
    held = request.session.get("round")
    found = Round.objects.filter(operation=operation, pk=held).first() if isinstance(held, int) else None
    return found or current_round(operation)


def as_of(district: int) -> datetime | None:
    """Up to when everything that came in is in the figures of the district."""
    with connection.cursor() as cursor:
        return freshness(cursor, district)


def number_in(text: str) -> int:
    """A key from an address; 0, which none has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


View = Callable[..., HttpResponse]


def in_operation_only(view: View) -> View:
    """For pages that need an operation: before there is any, a page says so and what comes first."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if access_of(request).operation is None:
            return show(request, "no_operation.html")
        return view(request, *args, **kwargs)

    return checked


def on_refusal(view: View) -> View:
    """A refusal that no form has taken becomes a page: what happened, what is safe, what to do next.

    No address of ours holds a NUL, which the database takes nowhere: such a page is not found.
    """

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if any("\0" in str(value) for value in (*kwargs.values(), *request.GET.values())):
            raise Http404
        try:
            return view(request, *args, **kwargs)
        except Refusal as found:
            return refused(request, found)

    return checked


def refused(request: HttpRequest, found: Refusal) -> HttpResponse:
    """The page of a refusal."""
    reason = found.code.rpartition(".")[2]
    status = 404 if reason.endswith("not_found") else 403 if reason.endswith("not_allowed") else 422
    return show(request, "refused.html", status=status, refusal=found, back=request.headers.get("Referer", ""))


def text(request: HttpRequest, key: str, **params: Any) -> str:
    """The text of ``key`` in the reader's language."""
    return say(key, language_of(request), **params)


def fact_name(request: HttpRequest, kind: str) -> str:
    """What a kind of fact is called, unknown ones by their code."""
    key = f"testing.kind.{kind.rpartition('.')[2]}"
    return text(request, key) if known(key) else kind or text(request, "desk.fact_unknown")


def detail_name(request: HttpRequest, key: str) -> str:
    """What a detail of a fact or a case is called."""
    words = f"testing.detail.{key}"
    return text(request, words if known(words) else f"desk.detail.{key}")


def case_words(code: str) -> str:
    """The key of what a case is called; what to do about it is the same with ``_do``."""
    family, _, name = code.partition(".")
    return f"people.attention.{name}" if family == "people" else f"testing.attention.{family}.{name}"


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Nothing is here, or nothing that this user may see."""
    return alone(request, "not_found", 404)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The user's role does not do this."""
    return alone(request, "forbidden", 403)


def broken(request: HttpRequest) -> HttpResponse:
    """An error of ours: what was stored before stays stored."""
    return alone(request, "broken", 500)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The page was too old to be sent."""
    return alone(request, "too_old", 403)


def alone(request: HttpRequest, what: str, status: int) -> HttpResponse:
    """A page without the shell: what happened, what is safe, what to do next."""
    title, lead = text(request, f"desk.error.{what}"), text(request, f"desk.error.{what}_do")
    href, name = "/", text(request, "desk.home")
    return show(request, "alone.html", title=title, lead=lead, href=href, href_text=name, status=status)
