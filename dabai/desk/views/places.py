"""Operations, areas and sites: what stands before the first round."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import Cell, Listing, Row, columns
from dabai.desk.shell import (
    in_operation_only,
    number_in,
    on_refusal,
    operation_of,
    operations_reached,
    show,
    text,
)
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import language_of, say_refusal
from dabai.places import actions as places
from dabai.places.queries import areas_in, sites
from dabai.protocols import actions as protocols
from dabai.protocols.schema import shipped_profiles

KINDS = ("drill", "response")


@needs(Permission.MANAGE_OPERATIONS)
@on_refusal
def operation_list(request: HttpRequest) -> HttpResponse:
    """The operations that the user reaches, and the form for a new one."""
    access, lang = access_of(request), language_of(request)
    reached = operations_reached(access)
    asked = operation_form(request, access.areas(Permission.MANAGE_OPERATIONS))
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            made = protocols.create_operation(
                by=access.user,
                district=number_in(asked["district"]),
                name=asked["name"],
                kind=asked["kind"],
                profile=asked["profile"],
            )
            request.session["operation"] = made.pk
            return redirect("desk:operations")
    rows = [
        Row(
            [
                Cell(one.name),
                Cell(text(request, f"operations.kind.{one.kind}"), tone="retest" if one.kind == "drill" else "action"),
                Cell(str(one.district), mono=True),
                Cell(f"{one.profile.slug} v{one.profile.version}", mono=True),
                Cell(formats.when(one.started_at, lang)),
                Cell(formats.when(one.ended_at, lang)),
            ]
        )
        for one in reached
    ]
    names = columns("operation:wide", "kind", "district:code", "profile:code", "started_at:time", "ended_at:time")
    return show(
        request,
        "list_page.html",
        "operations",
        title=text(request, "desk.place.operations"),
        listing=Listing(names, rows, "operations"),
        forms=[{"title": text(request, "desk.operation.new"), "form": asked}],
        empty_icon="operations",
    )


def operation_form(request: HttpRequest, reach: list[str]) -> Form:
    """A drill or a response, and by which profile."""
    kinds = [(one, text(request, f"operations.kind.{one}")) for one in KINDS]
    profiles = [(slug, f"{one.name} ({slug})") for slug, one in sorted(shipped_profiles().items())]
    return form(
        Field("name", required=True, label="operation_name"),
        Field("kind", "select", value="drill", options=kinds, required=True),
        Field("district", required=True, value=reach[0][:6] if reach else ""),
        Field("profile", "select", value="covid19-cn-9", options=profiles, required=True),
        submit="create",
    )


@needs(Permission.MANAGE_PLACES)
@on_refusal
@in_operation_only
def place_list(request: HttpRequest) -> HttpResponse:
    """The sites of the operation, and the files that bring areas and sites."""
    operation, access = operation_of(request), access_of(request)
    reach = access.areas(Permission.MANAGE_PLACES)
    area_form = form(Field("areas", "file", required=True, accept=".csv,.xlsx", help="areas_file"), submit="upload")
    site_form = form(Field("sites", "file", required=True, accept=".csv,.xlsx", help="sites_file"), submit="upload")
    report = None
    if request.method == "POST":
        report = take_places(request, area_form if "areas" in request.FILES else site_form)
    rows = [
        Row(
            [
                Cell(one.code, mono=True),
                Cell(one.name, sub=one.address),
                Cell(text(request, f"places.kind.{one.kind}")),
                Cell(one.area, mono=True),
                Cell(formats.number(sum(s.active for s in one.stations))),
            ]
        )
        for one in sites(operation.pk, reach)
    ]
    counted = len(areas_in(reach))
    return show(
        request,
        "places.html",
        "places",
        title=text(request, "desk.place.places"),
        lead=text(request, "desk.places.areas", number=formats.number(counted)),
        listing=Listing(
            columns("code:code", "site:wide", "kind", "area:code", "stations:number"), rows, "sites", count=len(rows)
        ),
        forms=[
            {"title": text(request, "desk.places.import_sites"), "form": site_form},
            {"title": text(request, "desk.places.import_areas"), "form": area_form},
        ],
        report=report,
        refused=refused_rows(request, [(number, refusal) for number, refusal in report.refused]) if report else None,
    )


def take_places(request: HttpRequest, asked: Form) -> places.FileReport | None:
    """Take a file of areas or of sites; None where it could not be read at all."""
    if not asked.read(request.POST, request.FILES):
        return None
    user, name = access_of(request).user, asked.fields[0].name
    with asked.refusals():
        if name == "areas":
            return places.import_areas(by=user, source=asked[name])
        return places.import_sites(by=user, operation=operation_of(request).pk, source=asked[name])
    return None


def refused_rows(request: HttpRequest, refused: list[tuple[int, Refusal]]) -> Listing:
    """The rows of a file that were not taken, with the reason."""
    lang = language_of(request)
    rows = [
        Row([Cell(formats.number(number)), Cell(one.field or ""), Cell(say_refusal(one, lang), sub=one.code)])
        for number, one in refused[:500]
    ]
    return Listing(columns("row:number", "field", "why:wide"), rows, "refused_rows", count=len(refused))


urlpatterns = [
    path("operations/", operation_list, name="operations"),
    path("places/", place_list, name="places"),
]
