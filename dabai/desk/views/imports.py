"""Lists of people: upload, progress, a review row by row, and the decision. Also the doubles that a list brought."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, Tab, address, chosen, columns, paged
from dabai.desk.shell import current, in_operation_only, number_in, on_refusal, operation_of, show, text
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import language_of, say_refusal
from dabai.people import actions, background, queries
from dabai.people.duplicates import probable_doubles
from dabai.people.models import Import
from dabai.places.queries import area as area_row
from dabai.testing.coverage import strangers as strangers_of

OUTCOMES = ("all", "refused", "doubled", "remarked", "changed", "added", "same")
TONES = {"added": "done", "changed": "soon", "same": "", "doubled": "retest", "refused": "late"}
STATE_TONES = {
    "staged": "soon",
    "committed": "done",
    "discarded": "excused",
    "failed": "late",
    "reading": "action",
    "committing": "action",
}
MOST_DOUBLES = 200


@needs(Permission.IMPORT_PEOPLE)
@on_refusal
@in_operation_only
def import_list(request: HttpRequest) -> HttpResponse:
    """The lists of the operation, and the form for the next one."""
    operation, access, lang = operation_of(request), access_of(request), language_of(request)
    reach = access.areas(Permission.IMPORT_PEOPLE)
    asked = upload_form(request, reach)
    if request.method == "POST" and asked.read(request.POST, request.FILES):
        with asked.refusals():
            return redirect("desk:import", import_id=upload(request, asked).pk)
    rows = [
        Row(
            [
                Cell(one.label, reverse("desk:import", args=[one.pk]), sub=one.file_name),
                Cell(text(request, f"people.import.{one.purpose}")),
                Cell(text(request, f"people.import.{one.state}"), tone=STATE_TONES[one.state]),
                Cell(formats.number(one.rows_total)),
                *(Cell(formats.number(one.counts.get(name))) for name in ("added", "changed", "doubled", "refused")),
                Cell(formats.when(one.created_at, lang)),
            ]
        )
        for one in queries.imports_of(operation.pk, reach, limit=PAGE)
    ]
    names = columns(
        "list:wide",
        "purpose",
        "state",
        "rows:number",
        "added:number",
        "changed:number",
        "doubled:number",
        "refused:number",
        "created_at:time",
    )
    return show(
        request,
        "list_page.html",
        "imports",
        title=text(request, "desk.place.imports"),
        lead=text(request, "desk.imports.lead"),
        listing=Listing(names, rows, "imports"),
        actions=[(text(request, "desk.imports.doubles"), reverse("desk:doubles"), False)],
        forms=[{"title": text(request, "desk.imports.upload"), "form": asked}],
        empty_icon="import",
    )


def upload_form(request: HttpRequest, reach: list[str]) -> Form:
    """What a list is for, and where its people live."""
    purposes = [(one, text(request, f"people.import.{one}")) for one in ("residents", "cross_list")]
    return form(
        Field("purpose", "select", value="residents", options=purposes, required=True),
        Field("label", required=True, label="list_label"),
        Field("area", required=True, value=reach[0] if reach else "", help="list_area"),
        Field("file", "file", required=True, accept=".csv,.xlsx,.xls,.txt", help="list_file"),
        submit="upload",
    )


def upload(request: HttpRequest, asked: Form) -> Import:
    """Keep the file and begin to read it."""
    operation, file = operation_of(request), asked["file"]
    found = actions.upload_list(
        by=access_of(request).user,
        operation=operation.pk,
        district=operation.district,
        purpose=asked["purpose"],
        label=asked["label"],
        area=asked["area"],
        file_name=file.name or "",
        pieces=file.chunks(),
        size=file.size or 0,
    )
    background.keep_going(found)
    return found


def find_import(request: HttpRequest, import_id: int) -> Import:
    """A list of this operation in the user's area."""
    found = Import.objects.filter(pk=import_id, operation=operation_of(request).pk).first()
    if found is None:
        raise Http404
    access_of(request).check(found.area, Permission.IMPORT_PEOPLE)
    return found


@needs(Permission.IMPORT_PEOPLE)
@on_refusal
@in_operation_only
def import_page(request: HttpRequest, import_id: int) -> HttpResponse:
    """A list: how far it is, what would become of each row, and the decision."""
    found = find_import(request, import_id)
    background.keep_going(found)
    busy = found.state in ("reading", "committing")
    template = "import.html"
    return show(
        request,
        template,
        "imports",
        title=found.label,
        found=found,
        tone=STATE_TONES[found.state],
        busy=busy,
        error=Refusal(found.error["code"], None, **found.error.get("params", {})) if found.error else None,
        area=area_row(found.area),
        counts=[(one, found.counts.get(one), TONES[one]) for one in TONES],
        listing=None if busy else lines(request, found),
        columns_form=column_form(found) if found.state == "failed" else None,
        discard=form(Field("reason"), submit="discard", danger=True),
    )


def lines(request: HttpRequest, found: Import) -> Listing:
    """The rows of one outcome, masked, with their reasons."""
    outcome = chosen(request, "outcome", OUTCOMES)
    after = number_in(request.GET.get("after", ""))
    page = queries.import_lines(found, outcome="" if outcome == "all" else outcome, after=after, limit=PAGE + 1)
    shown, following = paged(page, PAGE, lambda one: one.number, request)
    rows = [
        Row(
            [
                Cell(formats.number(one.number)),
                Cell(text(request, f"people.outcome.{one.outcome}"), tone=TONES[one.outcome]),
                Cell(one.name or formats.UNKNOWN, person_href(one), sub=one.document),
                Cell(one.phone),
                Cell(one.area, mono=True, sub=one.building),
                Cell("; ".join(reasons(request, one)), sub=", ".join(reason["code"] for reason in one.reasons)),
            ],
            pick=str(one.number),
        )
        for one in shown
    ]
    names = columns("row:number", "outcome", "person:wide", "phone", "area:code", "why:wide")
    counts = {name: found.counts.get(name) for name in OUTCOMES}
    tabs = [
        Tab(
            text(request, "desk.all" if one == "all" else f"people.outcome.{one}"),
            address(request, outcome="" if one == "all" else one, after=""),
            one == outcome,
            counts[one],
        )
        for one in OUTCOMES
    ]
    keep = reverse("desk:import_do", args=[found.pk, "keep"])
    bulk = form(submit="keep_own", action=keep) if found.state == "staged" and outcome == "doubled" else None
    return Listing(names, rows, "import_rows", tabs, next=following, bulk=bulk)


def person_href(one: Any) -> str:
    """The resident whom a row is about."""
    return reverse("desk:person", args=[one.existing]) if one.existing and one.outcome in ("changed", "same") else ""


def reasons(request: HttpRequest, one: Any) -> list[str]:
    """The sentences of a row's reasons."""
    lang = language_of(request)
    return [say_refusal(Refusal(reason["code"], None, **reason.get("params", {})), lang) for reason in one.reasons]


def column_form(found: Import) -> Form:
    """For a list whose columns have other names: which heading is which."""
    chosen_before = found.mapping.get("columns", {})
    names = ("name", "number", "phone", "area", "community", "grid")
    return form(
        *(Field(f"c_{name}", value=chosen_before.get(name, ""), label=f"column_{name}") for name in names),
        submit="read_again",
    )


@needs(Permission.IMPORT_PEOPLE)
@on_refusal
@in_operation_only
def import_do(request: HttpRequest, import_id: int, what: str) -> HttpResponse:
    """Commit, discard, or read again with other columns."""
    found = find_import(request, import_id)
    if request.method != "POST" or what not in ("commit", "discard", "columns", "keep"):
        return redirect("desk:import", import_id=import_id)
    user = access_of(request).user
    if what == "commit":
        actions.accept_import(by=user, import_id=import_id)
    elif what == "discard":
        actions.discard_import(by=user, import_id=import_id, reason=request.POST.get("reason", "")[:200])
        messages.success(request, text(request, "desk.done.discarded"))
    elif what == "keep":
        for number in request.POST.getlist("pick"):
            actions.keep_as_own_person(by=user, import_id=import_id, number=number_in(number))
    else:
        asked = column_form(found)
        asked.read(request.POST)
        said = {one.name.removeprefix("c_"): one.value for one in asked.fields if one.value}
        actions.choose_columns(by=user, import_id=import_id, columns=said)
    background.keep_going(Import.objects.get(pk=import_id))
    return redirect("desk:import", import_id=import_id)


@needs(Permission.IMPORT_PEOPLE)
@on_refusal
@in_operation_only
def doubles(request: HttpRequest) -> HttpResponse:
    """People of an area who are probably one: to be looked at, and merged on their pages."""
    operation, access = operation_of(request), access_of(request)
    area = request.GET.get("area", "") or access.areas(Permission.IMPORT_PEOPLE)[0]
    access.check(area, Permission.IMPORT_PEOPLE)
    pairs = probable_doubles(operation.pk, area, limit=MOST_DOUBLES)
    rows = [
        Row(
            [
                Cell(
                    pair.one.name, reverse("desk:person", args=[pair.one.id]), sub=f"{pair.one.number} {pair.one.phone}"
                ),
                Cell(
                    pair.other.name,
                    reverse("desk:person", args=[pair.other.id]),
                    sub=f"{pair.other.number} {pair.other.phone}",
                ),
                Cell(pair.one.area, mono=True, sub=pair.one.building),
                Cell(text(request, f"desk.likeness.{pair.level}"), tone="late" if pair.level == "likely" else "soon"),
                Cell(", ".join(text(request, f"documents.same.{one}") for one in pair.reasons)),
            ]
        )
        for pair in pairs
    ]
    asked = form(Field("area", value=area))
    return show(
        request,
        "list_page.html",
        "imports",
        title=text(request, "desk.imports.doubles"),
        crumbs=[(text(request, "desk.place.imports"), reverse("desk:imports"))],
        listing=Listing(
            columns("person:wide", "other:wide", "area:code", "likeness", "why:wide"), rows, "doubles", filters=asked
        ),
    )


@needs(Permission.IMPORT_PEOPLE)
@on_refusal
@in_operation_only
def strangers(request: HttpRequest, import_id: int) -> HttpResponse:
    """Whom a hotel, a firm or a site has named and who stands on no roster of the round: somebody to be found."""
    found, now = find_import(request, import_id), current(request)
    if now is None or found.purpose != "cross_list":
        raise Http404
    reach = access_of(request).areas(Permission.IMPORT_PEOPLE)
    listed = strangers_of(now.pk, batch=import_id, areas=reach)
    after = read_key(request.GET.get("after", ""))
    listed = listed.filter(Q(area__gt=after[0]) | Q(area=after[0], id__gt=after[1])) if after else listed
    people, following = paged(list(listed[: PAGE + 1]), PAGE, lambda one: f"{one.area}|{one.id}", request)
    rows = [
        Row(
            [
                Cell(one.name, sub=one.number or text(request, "desk.no_document")),
                Cell(one.phone),
                Cell(one.area, mono=True),
            ]
        )
        for one in queries.masked_listed(found.operation, people)
    ]
    return show(
        request,
        "list_page.html",
        "imports",
        title=text(request, "desk.imports.strangers"),
        lead=now.name,
        crumbs=[(found.label, reverse("desk:import", args=[import_id]))],
        listing=Listing(columns("person:wide", "phone", "area:code"), rows, "strangers", next=following),
    )


def read_key(value: str) -> tuple[str, UUID] | None:
    """Where a page of strangers begins; None for the first one."""
    area, _, key = value.partition("|")
    try:
        return area, UUID(key)
    except ValueError:
        return None


urlpatterns = [
    path("imports/", import_list, name="imports"),
    path("imports/doubles/", doubles, name="doubles"),
    path("imports/<int:import_id>/", import_page, name="import"),
    path("imports/<int:import_id>/strangers/", strangers, name="strangers"),
    path("imports/<int:import_id>/<str:what>/", import_do, name="import_do"),
]
