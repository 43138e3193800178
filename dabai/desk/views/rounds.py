"""Rounds: drafts, approval, start, make-up, closing with its silent devices, and what stands behind each step."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.models import User
from dabai.access.queries import devices_to_ask_about
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import Cell, Listing, Row, columns
from dabai.desk.shell import in_operation_only, on_refusal, operation_of, show, text
from dabai.figures.queries import figures_of, round_scope
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import language_of
from dabai.people.rules import KeyGroup
from dabai.places.models import SiteKind
from dabai.places.queries import names as area_names
from dabai.places.queries import sites
from dabai.protocols.queries import pool_sizes
from dabai.testing import actions, rules
from dabai.testing.models import Round
from dabai.testing.queries import estimates_left, nameless_communities, rounds_of, stations_of, steps_of

TONES = {"draft": "", "approved": "soon", "running": "action", "make_up": "retest", "closing": "soon", "closed": "done"}
STEPS = {"approve": "main", "start": "main", "begin_make_up": "", "begin_closing": "", "close": "main"}
FIGURES = (
    "due",
    "people_sampled",
    "person_times",
    "tubes",
    "mean_pool",
    "return_rate",
    "on_time_rate",
    "sample_to_result_p50",
    "sample_to_result_p90",
    "per_station_hour",
    "tube_difference_packing",
    "tube_difference_lab",
)


@needs(Permission.SEE_ROUNDS)
@on_refusal
@in_operation_only
def round_list(request: HttpRequest) -> HttpResponse:
    """The rounds of the operation, newest first."""
    operation, lang = operation_of(request), language_of(request)
    rows = [
        Row(
            [
                Cell(
                    one.name,
                    reverse("desk:round", args=[one.pk]),
                    sub=text(request, "desk.round.number", number=one.number),
                ),
                Cell(text(request, f"testing.state.{one.state}"), tone=TONES[one.state]),
                Cell(formats.when(one.starts_at, lang)),
                Cell(formats.when(one.ends_at, lang)),
                Cell(text(request, "desk.round.pool", number=one.pool_size)),
                Cell(formats.number(one.roster_size) if one.state != "draft" else formats.UNKNOWN),
            ]
        )
        for one in rounds_of(operation.pk)
    ]
    may_plan = access_of(request).may(Permission.PLAN_ROUNDS)
    new = reverse("desk:new_round")
    return show(
        request,
        "list_page.html",
        "rounds",
        title=text(request, "desk.place.rounds"),
        listing=Listing(
            columns("round:wide", "state", "starts_at:time", "ends_at:time", "pool", "roster:number"),
            rows,
            "rounds",
            empty_href=new if may_plan else "",
        ),
        actions=[(text(request, "desk.round.new"), new, True)] if may_plan else [],
        empty_icon="rounds",
    )


# --- drafts -----------------------------------------------------------------------------------------------------


def plan_form(request: HttpRequest, found: Round | None) -> Form:
    """What a draft says."""
    operation, reach = operation_of(request), access_of(request).areas(Permission.PLAN_ROUNDS)
    sizes, usual = pool_sizes(operation.profile.body)
    points = sites(operation.pk, reach, [SiteKind.SAMPLING_POINT, SiteKind.DOOR_TEAM, SiteKind.CHECKPOINT])
    assigned = stations_of(found.pk) if found else {one.id: 1 for one in points}
    number = max((one.number for one in rounds_of(operation.pk)), default=0) + 1
    groups = [(one.value, text(request, f"documents.group.{one.value}")) for one in KeyGroup]
    return form(
        Field(
            "name",
            value=found.name if found else text(request, "desk.round.number", number=number),
            required=True,
            label="round_name",
        ),
        Field("areas", "textarea", value="\n".join(found.areas if found else reach), required=True, help="areas"),
        Field(
            "starts_at",
            "datetime-local",
            value=formats.for_input(found.starts_at if found else clock.now()),
            required=True,
        ),
        Field("ends_at", "datetime-local", value=formats.for_input(found.ends_at) if found else ""),
        Field(
            "pool_size",
            "select",
            value=found.pool_size if found else usual,
            options=[(size, text(request, "desk.round.pool", number=size)) for size in sizes],
        ),
        Field("groups", "checks", value=list(found.groups) if found else [], options=groups, help="groups"),
        Field(
            "sites",
            "checks",
            value=[str(one) for one in assigned],
            options=[(str(one.id), one.name) for one in points],
            label="round_sites",
        ),
        Field("estimates", "textarea", value=estimates_text(found), help="estimates"),
        submit="save_draft",
    )


def estimates_text(found: Round | None) -> str:
    """The counts of communities without names, a line each."""
    return "\n".join(f"{one.area} {one.people}" for one in found.estimates.order_by("area")) if found else ""


def read_plan(asked: Form) -> actions.Plan:
    """A plan out of a form. Refusal ``desk.time_form``."""
    starts_at = formats.from_input(asked["starts_at"])
    ends_at = formats.from_input(asked["ends_at"]) if asked["ends_at"] else None
    if starts_at is None:
        raise Refusal("desk.time_form", "starts_at")
    if asked["ends_at"] and ends_at is None:
        raise Refusal("desk.time_form", "ends_at")
    size = int(asked["pool_size"]) if asked["pool_size"] else None
    return actions.Plan(
        name=asked["name"],
        areas=asked["areas"].replace(",", " ").replace("，", " ").split(),
        starts_at=starts_at,
        ends_at=ends_at,
        groups=asked["groups"],
        pool_size=size,
    )


def read_estimates(asked: Form) -> dict[str, int]:
    """``area people`` a line. Refusal ``desk.estimate_form`` with the line."""
    found = {}
    for number, line in enumerate(asked["estimates"].splitlines(), 1):
        parts = line.replace(",", " ").replace("，", " ").split()
        if not parts:
            continue
        if len(parts) != 2 or not parts[1].isascii() or not parts[1].isdigit() or len(parts[1]) > 7:
            raise Refusal("desk.estimate_form", "estimates", line=number)
        found[parts[0]] = int(parts[1])
    return found


def save(request: HttpRequest, asked: Form, found: Round | None) -> Round:
    """Write a draft with its points and counts, all or nothing."""
    user, plan, people = access_of(request).user, read_plan(asked), read_estimates(asked)
    known = {one.id: sum(s.active for s in one.stations) or 1 for one in sites(operation_of(request).pk)}
    with transaction.atomic():
        if found is None:
            made = actions.draft(by=user, operation=operation_of(request).pk, plan=plan)
        else:
            made = actions.revise(by=user, round_id=found.pk, plan=plan)
        stations = {int(one): known.get(int(one), 1) for one in asked["sites"]}
        actions.assign_sites(by=user, round_id=made.pk, stations=stations)
        before = {one.area: 0 for one in made.estimates.all()}
        if before or people:
            actions.estimate(by=user, round_id=made.pk, people=before | people)
    return made


@needs(Permission.PLAN_ROUNDS)
@on_refusal
@in_operation_only
def new_round(request: HttpRequest) -> HttpResponse:
    """Draft a round."""
    return plan_page(request, None)


@needs(Permission.PLAN_ROUNDS)
@on_refusal
@in_operation_only
def revise(request: HttpRequest, round_id: int) -> HttpResponse:
    """Change a draft."""
    return plan_page(request, find_round(request, round_id))


def plan_page(request: HttpRequest, found: Round | None) -> HttpResponse:
    """The form of a draft."""
    asked = plan_form(request, found)
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            made = save(request, asked, found)
            messages.success(request, text(request, "desk.done.saved"))
            return redirect("desk:round", round_id=made.pk)
    title = text(request, "desk.round.new") if found is None else found.name
    crumbs = [(text(request, "desk.place.rounds"), reverse("desk:rounds"))]
    return show(
        request, "form_page.html", "rounds", title=title, form=asked, crumbs=crumbs, status=422 if asked.errors else 200
    )


# --- one round --------------------------------------------------------------------------------------------------


def find_round(request: HttpRequest, round_id: int) -> Round:
    """A round of the operation; Http404 for any other."""
    found = Round.objects.filter(pk=round_id if round_id < 2**31 else 0, operation=operation_of(request).pk).first()
    if found is None:
        raise Http404
    return found


@needs(Permission.SEE_ROUNDS)
@on_refusal
@in_operation_only
def round_page(request: HttpRequest, round_id: int) -> HttpResponse:
    """A round: its rules, its figures, what can be done next, and the steps so far."""
    return show_round(request, find_round(request, round_id))


def show_round(
    request: HttpRequest, found: Round, refusal: Refusal | None = None, said: dict[str, str] | None = None
) -> HttpResponse:
    """The page of a round; ``refusal`` is why the last step was not taken."""
    access, lang = access_of(request), language_of(request)
    closing = found.state == "closing"
    devices = devices_to_ask_about(found.operation) if closing and access.may(Permission.SEE_DEVICES) else []
    live = figures_of(round_scope(found.pk)) if found.state != "draft" and access.may(Permission.SEE_FIGURES) else None
    stations = stations_of(found.pk)
    named = area_names(found.areas)
    return show(
        request,
        "round.html",
        "rounds",
        title=found.name,
        found=found,
        tone=TONES[found.state],
        areas=[(area, named.get(area, area)) for area in found.areas],
        points=len(stations),
        stations=sum(stations.values()),
        estimates=estimates_left(found.pk),
        nameless=nameless_communities(found.pk) if found.state == "draft" else [],
        steps=step_rows(request, found),
        buttons=buttons(access, found),
        devices=[(one, (said or {}).get(str(one.id), "")) for one in devices],
        figures=[figure(live[name], lang) for name in FIGURES] if live else [],
        as_of=live.as_of if live else None,
        refusal=refusal,
        may_plan=found.state == "draft" and all(access.may(Permission.PLAN_ROUNDS, area) for area in found.areas),
        status=422 if refusal else 200,
    )


def figure(value: Any, lang: str) -> dict[str, Any]:
    """A figure as the page shows it: its number, or why there is none; a share or a difference with its two counts."""
    known = value.value is not None
    shown, words, parts = formats.number(float(value.value) if known else None), False, ""
    if known and value.figure.endswith(("_p50", "_p90", "_max")):
        shown, words = formats.duration(float(value.value), lang), True
    elif known and value.figure.endswith("_rate"):
        shown = formats.percent(value.top, value.bottom)
    if value.figure.endswith(("_rate", "_packing", "_lab", "_pool")) and value.bottom is not None:
        parts = f"{formats.number(value.top)} / {formats.number(value.bottom)}"
    return {
        "name": f"figures.name.{value.figure}",
        "meaning": f"figures.meaning.{value.figure}",
        "shown": shown,
        "words": words,
        "parts": parts,
        "reason": "" if known or not value.reason else f"figures.reason.{value.reason}",
    }


def step_rows(request: HttpRequest, found: Round) -> list[dict[str, Any]]:
    """The steps so far, with the names of who took them."""
    steps = list(steps_of(found.pk))
    users = dict(User.objects.filter(pk__in={one.by for one in steps if one.by}).values_list("pk", "display_name"))
    return [{"step": one, "by": users.get(one.by, "")} for one in reversed(steps)]


def buttons(access: Any, found: Round) -> list[tuple[str, str]]:
    """The next steps that the user may take."""
    permission = {"approve": Permission.APPROVE_ROUND}
    return [
        (name, STEPS[name])
        for name in rules.steps_from(found.state)
        if all(access.may(permission.get(name, Permission.RUN_ROUND), area) for area in found.areas)
    ]


@needs(Permission.RUN_ROUND, Permission.APPROVE_ROUND, Permission.PLAN_ROUNDS)
@on_refusal
@in_operation_only
def round_do(request: HttpRequest, round_id: int, what: str) -> HttpResponse:
    """Take a step; a refused one is explained on the round's page."""
    found, user = find_round(request, round_id), access_of(request).user
    if request.method != "POST":
        return redirect("desk:round", round_id=round_id)
    reason = request.POST.get("reason", "").strip()[:200]
    said = {
        key.removeprefix("silent-"): value[:200] for key, value in request.POST.items() if key.startswith("silent-")
    }
    try:
        if what == "discard":
            actions.discard(by=user, round_id=round_id)
            messages.success(request, text(request, "desk.done.discarded"))
            return redirect("desk:rounds")
        take(what, user, round_id, reason, said)
    except Refusal as refusal:
        return show_round(request, found, refusal, said)
    messages.success(request, text(request, f"desk.done.step.{what}"))
    return redirect("desk:round", round_id=round_id)


def take(what: str, user: Any, round_id: int, reason: str, said: dict[str, str]) -> None:
    """One step by its name."""
    if what == "approve":
        actions.approve(by=user, round_id=round_id)
    elif what == "begin_closing":
        actions.begin_closing(by=user, round_id=round_id, reason=reason)
    elif what == "close":
        actions.close(by=user, round_id=round_id, reasons=said, reason=reason)
    elif what in ("start", "begin_make_up"):
        actions.step(by=user, round_id=round_id, name=what, reason=reason)
    else:
        raise Refusal("testing.step_impossible", "step")


urlpatterns = [
    path("rounds/", round_list, name="rounds"),
    path("rounds/new/", new_round, name="new_round"),
    path("rounds/<int:round_id>/", round_page, name="round"),
    path("rounds/<int:round_id>/plan/", revise, name="revise_round"),
    path("rounds/<int:round_id>/<str:what>/", round_do, name="round_do"),
]
