"""The laboratory's desk: result files in, and the worklists of review, release and correction."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, Tab, address, chosen, columns, paged
from dabai.desk.shell import in_operation_only, number_in, on_refusal, operation_of, show, text
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import language_of, say_refusal
from dabai.places.models import SiteKind
from dabai.places.queries import sites
from dabai.testing import laboratory, resultfiles
from dabai.testing.models import ResultFile
from dabai.testing.worklists import WaitingResult, waiting_counts, waiting_results

MAPPED = ("tube", "outcome", "tested_at", "run", "ct_orf1ab", "ct_n")
TONES = {"negative": "done", "positive": "late", "suspect": "retest", "invalid": "soon"}
OUTCOMES = ("all", "positive", "suspect", "invalid", "negative")
MOST_ERRORS = 1_000


def labs_of(request: HttpRequest, permission: Permission) -> list[tuple[int, str]]:
    """The laboratories where the user has a permission."""
    reach = access_of(request).areas(permission)
    return [(one.id, one.name) for one in sites(operation_of(request).pk, reach, [SiteKind.LABORATORY])]


# --- files ------------------------------------------------------------------------------------------------------


@needs(Permission.UPLOAD_RESULTS)
@on_refusal
@in_operation_only
def file_list(request: HttpRequest) -> HttpResponse:
    """The files that came, and the form for the next one."""
    operation, lang = operation_of(request), language_of(request)
    labs = labs_of(request, Permission.UPLOAD_RESULTS)
    asked = file_form(labs)
    if request.method == "POST" and asked.read(request.POST, request.FILES):
        with asked.refusals():
            return redirect("desk:result_file", file_id=upload(request, asked).pk)
    named = dict(labs)
    found = ResultFile.objects.filter(operation=operation.pk, lab__in=list(named)).order_by("-pk")[:PAGE]
    rows = [
        Row(
            [
                Cell(one.file_name, reverse("desk:result_file", args=[one.pk])),
                Cell(named[one.lab]),
                Cell(formats.number(one.rows)),
                Cell(formats.number(one.accepted)),
                Cell(formats.number(len(one.errors)), tone="late") if one.errors else Cell("0", tone="done"),
                Cell(formats.when(one.created_at, lang)),
            ]
        )
        for one in found
    ]
    names = columns("file:wide", "lab", "rows:number", "accepted:number", "errors:number", "created_at:time")
    return show(
        request,
        "list_page.html",
        "results",
        title=text(request, "desk.place.results"),
        lead=text(request, "desk.results.lead"),
        listing=Listing(names, rows, "result_files"),
        forms=[{"title": text(request, "desk.results.upload"), "form": asked}],
        empty_icon="upload",
    )


def file_form(labs: list[tuple[int, str]]) -> Form:
    """Laboratory and file; the columns are guessed or remembered, unless they are named."""
    return form(
        Field("lab", "select", options=labs, required=True),
        Field("file", "file", required=True, accept=".csv,.xlsx,.xls,.txt", help="result_file"),
        Field("read_at", "datetime-local", help="read_at"),
        *(Field(f"c_{name}", label=f"column_{name}", help="column" if name == "tube" else "") for name in MAPPED),
        submit="upload",
    )


def upload(request: HttpRequest, asked: Form) -> ResultFile:
    """Hand the file in."""
    said: dict[str, str | int] = {
        one.name.removeprefix("c_"): one.value for one in asked.fields if one.name.startswith("c_") and one.value
    }
    return resultfiles.upload(
        by=access_of(request).user,
        operation=operation_of(request).pk,
        lab=number_in(asked["lab"]),
        source=asked["file"],
        file_name=asked["file"].name or "",
        choices=resultfiles.Choices(columns=said) if said else None,
        read_at=formats.from_input(asked["read_at"]) if asked["read_at"] else None,
    )


@needs(Permission.UPLOAD_RESULTS)
@on_refusal
@in_operation_only
def file_page(request: HttpRequest, file_id: int) -> HttpResponse:
    """What became of a file: how its columns were understood, and each row that was not taken, with the reason."""
    labs = dict(labs_of(request, Permission.UPLOAD_RESULTS))
    found = ResultFile.objects.filter(pk=file_id, operation=operation_of(request).pk, lab__in=list(labs)).first()
    if found is None:
        raise Refusal("desk.file_not_found")
    lang = language_of(request)
    rows = [
        Row(
            [
                Cell(formats.number(one["row"])),
                Cell(text(request, f"testing.field.{one['field']}") if one["field"] in MAPPED else one["field"]),
                Cell(say_refusal(Refusal(one["code"], None, **one.get("params", {})), lang), sub=one["code"]),
            ]
        )
        for one in found.errors[:MOST_ERRORS]
    ]
    understood = [
        (text(request, f"testing.field.{key}"), value) for key, value in found.mapping.get("columns", {}).items()
    ]
    return show(
        request,
        "result_file.html",
        "results",
        title=found.file_name,
        found=found,
        lab=labs[found.lab],
        understood=understood,
        listing=Listing(columns("row:number", "field", "why:wide"), rows, "result_errors", count=len(found.errors)),
    )


# --- worklists --------------------------------------------------------------------------------------------------


@needs(Permission.REVIEW_RESULTS)
@on_refusal
@in_operation_only
def review(request: HttpRequest) -> HttpResponse:
    """Readings that somebody else has read: approve the picked ones, or return them."""
    asked = form(Field("reason", label="return_reason"), submit="approve", action=request.get_full_path())
    if request.method == "POST":
        asked.read(request.POST)
        with asked.refusals():
            verdict = "returned" if request.POST.get("second") else "approved"
            picked = picked_results(request)
            laboratory.review(
                by=access_of(request).user,
                operation=operation_of(request).pk,
                results=picked,
                verdict=verdict,
                reason=asked["reason"],
            )
            messages.success(request, text(request, f"desk.done.{verdict}", number=len(picked)))
            return redirect(request.get_full_path())
    return worklist(request, "to_review", asked)


@needs(Permission.RELEASE_RESULTS)
@on_refusal
@in_operation_only
def release(request: HttpRequest) -> HttpResponse:
    """Approved readings: let the picked ones be told."""
    asked = form(submit="release", action=request.get_full_path())
    if request.method == "POST":
        with asked.refusals():
            picked = picked_results(request)
            laboratory.release(by=access_of(request).user, operation=operation_of(request).pk, results=picked)
            messages.success(request, text(request, "desk.done.released", number=len(picked)))
            return redirect(request.get_full_path())
    return worklist(request, "to_release", asked)


def picked_results(request: HttpRequest) -> list[UUID]:
    """The picked readings. Refusal ``desk.nothing_picked``."""
    try:
        found = [UUID(one) for one in request.POST.getlist("pick")]
    except ValueError:
        raise Refusal("desk.field_wrong", "pick") from None
    if not found:
        raise Refusal("desk.nothing_picked", "pick")
    return found


def worklist(request: HttpRequest, state: str, asked: Form) -> HttpResponse:
    """One worklist, those that are not negative in a tab of their own."""
    operation, lang = operation_of(request), language_of(request)
    permission = Permission.REVIEW_RESULTS if state == "to_review" else Permission.RELEASE_RESULTS
    labs = labs_of(request, permission)
    lab = lab_asked(request, labs)
    outcome = chosen(request, "outcome", OUTCOMES)
    found: list[WaitingResult] = []
    if lab is not None:
        found = waiting_results(
            district=operation.district,
            operation=operation.pk,
            state=state,
            lab=lab,
            outcome="" if outcome == "all" else outcome,
            after=key_in(request.GET.get("after", "")),
            limit=PAGE * 2 + 1,
        )
    page, following = paged(found, PAGE * 2, lambda one: one.id, request)
    mine = access_of(request).user.pk
    rows = [Row(result_cells(request, one, mine, lang), pick=str(one.id)) for one in page]
    names = columns("tube:code", "result", "people:number", "ct", "run:code", "reader", "read_at:time")
    tabs = [
        Tab(
            text(request, "desk.all" if one == "all" else f"testing.outcome.{one}"),
            address(request, outcome="" if one == "all" else one, after=""),
            one == outcome,
        )
        for one in OUTCOMES
    ]
    counts = waiting_counts(district=operation.district, operation=operation.pk, lab=lab) if lab else {}
    name = "review" if state == "to_review" else "release"
    filters = form(Field("lab", "select", value=lab or "", options=labs)) if len(labs) > 1 else None
    return show(
        request,
        "list_page.html",
        name,
        title=text(request, f"desk.place.{name}"),
        lead=text(request, f"desk.results.{name}"),
        listing=Listing(names, rows, name, tabs, filters, following, bulk=asked, count=counts.get(state)),
        second_submit="return" if state == "to_review" else "",
        status=422 if asked.errors else 200,
    )


def lab_asked(request: HttpRequest, labs: list[tuple[int, str]]) -> int | None:
    """The laboratory of the address if it is the user's, else their first."""
    asked = number_in(request.GET.get("lab", ""))
    known = [number for number, _ in labs]
    return asked if asked in known else known[0] if known else None


def key_in(value: str) -> UUID | None:
    """A key of a page; None for anything else."""
    try:
        return UUID(value)
    except ValueError:
        return None


def result_cells(request: HttpRequest, one: WaitingResult, mine: int, lang: str) -> list[Cell]:
    """One reading; what the reviewer read themselves is marked, because they can't approve it."""
    cycles = ", ".join(f"{name} {'—' if value is None else value}" for name, value in (one.ct or {}).items())
    own = text(request, "desk.results.own") if one.reader == mine else ""
    return [
        Cell(
            one.tube,
            reverse("desk:tube", args=[one.tube]),
            mono=True,
            sub=text(request, "testing.tube.contested") if one.contested else "",
        ),
        Cell(text(request, f"testing.outcome.{one.outcome}"), tone=TONES[one.outcome]),
        Cell(formats.number(one.people), sub=text(request, "desk.single") if one.single else ""),
        Cell(cycles),
        Cell(one.run, mono=True),
        Cell(one.reader_name or text(request, "desk.instrument"), sub=own),
        Cell(formats.when(one.read_at, lang)),
    ]


@needs(Permission.CORRECT_RESULTS)
@on_refusal
@in_operation_only
def correct(request: HttpRequest, result: UUID) -> HttpResponse:
    """Say that a reading was wrong and what is right; both versions stay."""
    options: list[tuple[Any, str]] = [(one, text(request, f"testing.outcome.{one}")) for one in OUTCOMES[1:]]
    asked = form(
        Field("outcome", "select", options=options, required=True), Field("reason", required=True), submit="correct"
    )
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            receipt = laboratory.correct(
                by=access_of(request).user,
                operation=operation_of(request).pk,
                result=result,
                outcome=asked["outcome"],
                reason=asked["reason"],
            )
            if receipt.verdict != "accepted":
                raise Refusal(receipt.code or "journal.body_invalid", receipt.field)
            messages.success(request, text(request, "desk.done.result_corrected"))
            return redirect("desk:tubes")
    title = text(request, "desk.results.correct")
    return show(
        request, "form_page.html", "tubes", title=title, lead=text(request, "desk.results.correct_lead"), form=asked
    )


urlpatterns = [
    path("results/", file_list, name="results"),
    path("results/files/<int:file_id>/", file_page, name="result_file"),
    path("results/review/", review, name="review"),
    path("results/release/", release, name="release"),
    path("results/correct/<uuid:result>/", correct, name="correct_result"),
]
