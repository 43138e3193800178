"""Tubes and boxes: lists, the record of each, and its line."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.lists import PAGE, Cell, Listing, Row, chosen, columns, paged, tabs
from dabai.desk.shell import current, in_operation_only, on_refusal, operation_of, show, text
from dabai.desk.views.timeline import shown_line
from dabai.journal import inbox
from dabai.kernel.codes import own_kind
from dabai.kernel.words import language_of
from dabai.people.models import Identity
from dabai.people.queries import masked_people
from dabai.places.models import Site
from dabai.places.queries import in_any
from dabai.testing.models import Box, Coverage, Outcome, Sample, SampleMove, Tube, TubeState
from dabai.testing.queries import result_versions
from dabai.testing.timelines import as_told, box_contents, box_timeline, tube_timeline

STATES = ("all", "contested", "not_negative", "opened", "on_the_road", "at_lab", "voided")
TONES = {"reported": "done", "contested": "late", "voided": "excused", "rejected": "late", "read": "soon"}
RESULT_TONES = {"negative": "done", "positive": "retest", "suspect": "retest", "invalid": "soon"}


def condition(state: str) -> dict[str, Any]:
    """What a tab shows."""
    return {
        "contested": {"contested": True},
        "not_negative": {"outcome__in": [Outcome.POSITIVE, Outcome.SUSPECT], "released_at__isnull": False},
        "opened": {"state": TubeState.OPENED},
        "on_the_road": {"state": TubeState.HANDED_OVER},
        "at_lab": {"state__in": [TubeState.RECEIVED, TubeState.RUNNING, TubeState.READ]},
        "voided": {"state__in": [TubeState.VOIDED, TubeState.REJECTED]},
    }.get(state, {})


def in_reach(request: HttpRequest) -> Any:
    """Rows whose place lies in the user's areas; those of no place belong to the whole district."""
    reach = access_of(request).areas(Permission.SEE_TUBES)
    where = in_any(reach, "area")
    if any(access_of(request).district.startswith(area) for area in reach):
        where |= in_any([""], "area")
    return where


@needs(Permission.SEE_TUBES)
@on_refusal
@in_operation_only
def tube_list(request: HttpRequest) -> HttpResponse:
    """The tubes of the round, page by page."""
    operation, found, lang = operation_of(request), current(request), language_of(request)
    state = chosen(request, "state", STATES)
    rows: list[Tube] = []
    if found is not None:
        tubes = Tube.objects.filter(
            in_reach(request), district=operation.district, operation=operation.pk, round=found.pk
        )
        tubes = tubes.filter(tube__gt=request.GET.get("after", "").replace("\0", ""), **condition(state))
        rows = list(tubes.order_by("tube")[: PAGE + 1])
    page, following = paged(rows, PAGE, lambda one: one.tube, request)
    sites = dict(Site.objects.filter(pk__in={one.site for one in page}).values_list("pk", "name"))
    names = columns("tube:code", "state", "result", "site:wide", "people:number", "first_at:time", "box:code")
    cells = [Row(tube_cells(request, one, sites.get(one.site, ""), lang)) for one in page]
    listing = Listing(names, cells, "tubes", tabs(request, "state", STATES, "desk.tube_tab"), next=following)
    return show(request, "list_page.html", "tubes", title=text(request, "desk.place.tubes"), listing=listing)


def tube_cells(request: HttpRequest, one: Tube, site: str, lang: str) -> list[Cell]:
    """A tube's row."""
    state = TubeState(one.state).name.lower()
    return [
        Cell(one.tube, reverse("desk:tube", args=[one.tube]), mono=True),
        Cell(text(request, f"testing.tube.{state}"), tone=TONES.get(state, "")),
        result_cell(request, one),
        Cell(site or formats.UNKNOWN, sub=text(request, "desk.station", number=one.station) if one.station else ""),
        Cell(formats.number(one.people), sub=text(request, "desk.single") if one.single else ""),
        Cell(formats.when(one.first_at, lang)),
        Cell(one.box, reverse("desk:box", args=[one.box]), mono=True) if one.box else Cell(formats.UNKNOWN),
    ]


def result_cell(request: HttpRequest, one: Tube) -> Cell:
    """A released result of a tube. A pool that is not negative reads 待复核."""
    if one.released_at is None or one.outcome is None:
        return Cell(formats.UNKNOWN)
    outcome = Outcome(one.outcome).name.lower()
    if outcome == "positive" and one.single:
        return Cell(text(request, "testing.outcome.positive"), tone="late")
    word = "pending_retest" if outcome in ("positive", "suspect") and not one.single else outcome
    return Cell(text(request, f"testing.outcome.{word}"), tone=RESULT_TONES[outcome])


@needs(Permission.SEE_TUBES)
@on_refusal
@in_operation_only
def tube_page(request: HttpRequest, tube: str) -> HttpResponse:
    """A tube: its state, its people (masked), its results with their versions, its line."""
    operation = operation_of(request)
    found = Tube.objects.filter(
        in_reach(request), district=operation.district, operation=operation.pk, tube=tube
    ).first()
    if found is None:
        raise Http404
    at_the_bench = access_of(request).may(Permission.UPLOAD_RESULTS)
    line = [one if at_the_bench else as_told(one) for one in tube_timeline(operation.pk, tube)]
    may_see = access_of(request).may(Permission.SEE_PEOPLE_MASKED, found.area or None)
    return show(
        request,
        "tube.html",
        "tubes",
        title=tube,
        tube=found,
        state=TubeState(found.state).name.lower(),
        tone=TONES.get(TubeState(found.state).name.lower(), ""),
        result=result_cell(request, found),
        site=Site.objects.filter(pk=found.site).first(),
        lab=Site.objects.filter(pk=found.lab).first(),
        people=people_of(found) if may_see and not found.contested else None,
        may_correct=access_of(request).may(Permission.CORRECT_RESULTS),
        versions=result_versions(operation.pk, tube) if at_the_bench else [],
        cases=inbox.cases(district=operation.district, operation=operation.pk, areas=[""], subject=tube, code="tube."),
        line=shown_line(request, line),
    )


def people_of(found: Tube) -> list[Any]:
    """Whose valid samples lie in the tube, masked."""
    where = {"district": found.district, "round": found.round, "tubes__contains": [found.tube]}
    ids = list(Coverage.objects.filter(person__in=holders(found), **where).values_list("person", flat=True)[:50])
    return list(masked_people(found.operation, ids).values())


def holders(found: Tube) -> list[Any]:
    """Everybody who was ever reported in the tube, by canonical id."""
    moved = SampleMove.objects.filter(district=found.district, operation=found.operation, to_tube=found.tube)
    own = Sample.objects.filter(district=found.district, operation=found.operation, tube=found.tube)
    came = Sample.objects.filter(district=found.district, id__in=moved.values("sample"))
    ids = {*own.values_list("person", flat=True)[:500], *came.values_list("person", flat=True)[:500]}
    same = Identity.objects.filter(district=found.district, person__in=ids).values_list("canonical", flat=True)
    return [*ids, *same]


@needs(Permission.SEE_TUBES)
@on_refusal
@in_operation_only
def box_page(request: HttpRequest, box: str) -> HttpResponse:
    """A box: its counts as each party saw them, what lies in it, its line."""
    operation, lang = operation_of(request), language_of(request)
    found = Box.objects.filter(in_reach(request), district=operation.district, operation=operation.pk, box=box).first()
    if found is None:
        raise Http404
    rows = [
        Row(
            [
                Cell(one.tube, reverse("desk:tube", args=[one.tube]), mono=True),
                Cell(
                    text(request, f"testing.tube.{TubeState(one.state).name.lower()}"),
                    tone=TONES.get(TubeState(one.state).name.lower(), ""),
                )
                if one.state
                else Cell(text(request, "desk.tube_unknown"), tone="soon"),
                Cell(formats.number(one.people)),
                Cell(formats.when(one.received_at, lang)),
            ]
        )
        for one in box_contents(operation.pk, box)
    ]
    return show(
        request,
        "box.html",
        "tubes",
        title=box,
        box=found,
        site=Site.objects.filter(pk=found.site).first(),
        lab=Site.objects.filter(pk=found.lab).first(),
        listing=Listing(
            columns("tube:code", "state", "people:number", "received_at:time"), rows, "box", count=len(rows)
        ),
        line=shown_line(request, box_timeline(operation.pk, box)),
        differs=len(
            {
                count
                for count in (found.tubes, found.sealed_count, found.handed_count, found.received_count)
                if count is not None
            }
        )
        > 1,
    )


@needs(Permission.SEE_TUBES)
@on_refusal
@in_operation_only
def code_page(request: HttpRequest, code: str) -> HttpResponse:
    """A code in a line: the page of the box or the tube that it is."""
    operation = operation_of(request)
    boxes = Box.objects.filter(district=operation.district, operation=operation.pk, box=code)
    if own_kind(code) == "box" or boxes.exists():
        return redirect("desk:box", box=code)
    if own_kind(code) == "bag":
        raise Http404
    return redirect("desk:tube", tube=code)


urlpatterns = [
    path("tubes/", tube_list, name="tubes"),
    path("tubes/<str:tube>/", tube_page, name="tube"),
    path("boxes/<str:box>/", box_page, name="box"),
    path("codes/<str:code>/", code_page, name="code"),
]
