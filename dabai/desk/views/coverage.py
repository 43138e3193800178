"""A round's coverage: district, street, community, grid, household; and the list of people behind every number."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.lists import PAGE, Cell, Listing, Row, Tab, columns, paged_key
from dabai.desk.shell import current, in_operation_only, on_refusal, show, text
from dabai.figures import board
from dabai.figures.board import CoverageRow
from dabai.kernel import areas, clock
from dabai.kernel.words import language_of
from dabai.people.queries import masked_people
from dabai.places.queries import path_to
from dabai.testing import coverage as due
from dabai.testing.models import Round

LISTS = ("outstanding", "retests", "pending", "positive", "excused", "unlisted", "removed", "invalid", "withheld")
MOST = 2_000
OUTCOME_TONES = {"negative": "done", "pending": "retest", "positive": "late", "invalid": "soon", "withheld": "soon"}


@needs(Permission.SEE_FIGURES)
@on_refusal
@in_operation_only
def start(request: HttpRequest) -> HttpResponse:
    """The widest area that the user may see."""
    reach = access_of(request).areas(Permission.SEE_FIGURES)
    return redirect("desk:coverage_area", area=reach[0])


@needs(Permission.SEE_FIGURES)
@on_refusal
def area_page(request: HttpRequest, area: str) -> HttpResponse:
    """One area: its figures, and the areas (or in a grid the households) right below."""
    found = current(request)
    if found is None:
        return show(request, "coverage_none.html", "coverage")
    tree = board.coverage(found.pk, area)
    here, below = tree.total, [row for row in tree.rows if row.area != area]
    return show(
        request,
        "coverage.html",
        "coverage",
        here=here,
        crumbs=crumbs(request, area, found),
        title=here.name or area,
        listing=below_listing(request, tree.rows, here, found) if below else households(request, found, area),
        by_household=not below,
        bar=Cell(bar=bar_of(here)),
        lists=access_of(request).may(Permission.SEE_PEOPLE_MASKED, area),
        as_of=tree.as_of,
        round_shown=found,
    )


def crumbs(request: HttpRequest, area: str, found: Round, *, itself: bool = False) -> list[tuple[str, str]]:
    """The way down to an area, as far up as the user may see."""
    reach = access_of(request).areas(Permission.SEE_FIGURES)
    steps = [one for one in path_to(area) if areas.within(one.code, reach) and (itself or one.code != area)]
    return [(one.name, href(found, one.code)) for one in steps]


def href(found: Round, area: str, what: str = "") -> str:
    """The address of an area's page, or of a list in it."""
    name = reverse("desk:coverage_list", args=[area, what]) if what else reverse("desk:coverage_area", args=[area])
    return f"{name}?round={found.pk}"


def bar_of(row: CoverageRow) -> list[tuple[str, float]]:
    """Done, waiting for a re-test, excused; what is left of the bar is outstanding."""
    waiting = min(row.pending, row.covered)
    parts = (("done", row.covered - waiting), ("retest", waiting), ("excused", row.excused))
    return [(kind, formats.share(count, row.due)) for kind, count in parts]


def below_listing(request: HttpRequest, below: list[CoverageRow], here: CoverageRow, found: Round) -> Listing:
    """One row an area, the one with most people outstanding first, and their sum."""
    names = columns(
        "area:wide",
        "progress:bar",
        "due:number",
        "sampled:number",
        "outstanding:number",
        "excused:number",
        "pending:number",
        "resulted:number",
        "unlisted:number",
    )
    worst = sorted(below, key=lambda row: (-row.outstanding, row.area))
    rows = [Row(area_cells(row, found, area_name(request, row, here, found))) for row in worst]
    total = area_cells(here, found, Cell(text(request, "desk.sum")))
    return Listing(columns=names, rows=rows, empty="areas", total=total)


def area_name(request: HttpRequest, row: CoverageRow, here: CoverageRow, found: Round) -> Cell:
    """An area's name; people who belong to no smaller area stand in a row of their own."""
    if row.area == here.area:
        return Cell(text(request, "desk.no_smaller_area"))
    return Cell(row.name or row.area, href(found, row.area))


def area_cells(row: CoverageRow, found: Round, name: Cell) -> list[Cell]:
    """The cells of an area's row."""
    share = formats.percent(row.covered, row.due)
    return [
        name,
        Cell(share, bar=bar_of(row)),
        Cell(formats.number(row.due), sub="≈" if row.estimated else ""),
        Cell(formats.number(row.covered)),
        Cell(formats.number(row.outstanding), href(found, row.area, "outstanding") if row.outstanding else ""),
        Cell(formats.number(row.excused)),
        Cell(formats.number(row.pending), href(found, row.area, "pending") if row.pending else ""),
        Cell(formats.number(row.resulted)),
        Cell(formats.number(row.unlisted)),
    ]


def households(request: HttpRequest, found: Round, area: str) -> Listing:
    """The doors of a grid, those with somebody outstanding first."""
    rows = board.households(found.pk, area)
    names = columns(
        "household:wide", "due:number", "sampled:number", "outstanding:number", "excused:number", "pending:number"
    )
    reach = access_of(request).may(Permission.SEE_PEOPLE_MASKED, area)
    return Listing(
        columns=names,
        rows=[
            Row(
                [
                    door(request, one, found, area, reach),
                    *(
                        Cell(formats.number(value))
                        for value in (one.due, one.sampled, one.outstanding, one.excused, one.pending)
                    ),
                ]
            )
            for one in sorted(rows, key=lambda one: (-one.outstanding, one.building))
        ],
        empty="households",
    )


def door(request: HttpRequest, one: due.HouseholdCoverage, found: Round, area: str, reach: bool) -> Cell:
    """A household by its building; the door itself is personal and stands on its people's pages."""
    name = one.building or text(request, "desk.no_building")
    if one.household is None or not reach:
        return Cell(name)
    return Cell(
        name, reverse("desk:household", args=[area, one.household]) + f"?round={found.pk}", sub=str(one.household)[:8]
    )


# --- the people behind a number ---------------------------------------------------------------------------------


@needs(Permission.SEE_PEOPLE_MASKED)
@on_refusal
def people_list(request: HttpRequest, area: str, what: str) -> HttpResponse:
    """The people behind one number of an area, masked."""
    found = current(request)
    if what not in LISTS or found is None:
        raise Http404
    makers = {"outstanding": outstanding, "retests": retests}
    listing = makers[what](request, found, area) if what in makers else covered(request, found, area, what)
    listing.tabs = list_tabs(request, found, area, what)
    return show(
        request,
        "list_page.html",
        "coverage",
        title=text(request, f"desk.list.{what}"),
        crumbs=crumbs(request, area, found, itself=True),
        listing=listing,
    )


def list_tabs(request: HttpRequest, found: Round, area: str, what: str) -> list[Tab]:
    """One tab a list, with its number where the board has one."""
    here = board.coverage(found.pk, area, 0).total
    return [
        Tab(text(request, f"desk.list.{one}"), href(found, area, one), one == what, getattr(here, one, None))
        for one in LISTS
    ]


def outstanding(request: HttpRequest, found: Round, area: str) -> Listing:
    """Who is due and neither swabbed nor excused: owner, deadline, last attempt."""
    page = board.outstanding(found.pk, area, after=read_key(request), limit=PAGE)
    known = masked_people(found.operation, [one.person for one in page.rows])
    lang = language_of(request)
    rows = []
    for one in page.rows:
        person = known.get(one.person)
        tried = one.attempt
        late = one.deadline is not None and one.deadline < clock.now()
        rows.append(
            Row(
                [
                    person_cell(request, one.person, person),
                    Cell(one.building or formats.UNKNOWN, sub=one.area),
                    Cell(text(request, f"documents.group.{one.group}") if one.group else ""),
                    Cell(
                        text(request, f"desk.attempt.{tried.kind}"),
                        sub=f"{formats.when(tried.at, lang)} {tried.reason}",
                        tone="soon",
                    )
                    if tried
                    else Cell(text(request, "desk.attempt.none")),
                    Cell(
                        one.owner.name if one.owner else text(request, "desk.no_owner"),
                        tone=None if one.owner else "soon",
                    ),
                    Cell(formats.when(one.deadline, lang), tone="late" if late else None),
                ]
            )
        )
    names = columns("person:wide", "building", "group", "attempt:wide", "owner", "deadline:time")
    return Listing(columns=names, rows=rows, empty="outstanding", next=paged_key(request, page.after))


def covered(request: HttpRequest, found: Round, area: str, what: str) -> Listing:
    """Everybody in one class, with the outcome."""
    page = board.people_behind(found.pk, area, what, after=read_key(request), limit=PAGE)
    known = masked_people(found.operation, [one.person for one in page.rows])
    rows = [
        Row(
            [
                person_cell(request, one.person, known.get(one.person)),
                Cell(one.area, mono=True),
                Cell(text(request, f"testing.told.{one.outcome}"), tone=OUTCOME_TONES.get(one.outcome, "")),
                Cell(formats.when(one.sampled_at, language_of(request))),
                Cell(formats.number(one.person_times)),
            ]
        )
        for one in page.rows
    ]
    names = columns("person:wide", "area:code", "outcome", "sampled_at:time", "person_times:number")
    return Listing(columns=names, rows=rows, empty=what, next=paged_key(request, page.after))


def retests(request: HttpRequest, found: Round, area: str) -> Listing:
    """Who needs an urgent single sample, the longest waiting first."""
    waiting = board.retests_due(found.pk, area)[:MOST]
    known = masked_people(found.operation, [one.person for one in waiting])
    lang = language_of(request)
    rows = [
        Row(
            [
                person_cell(request, one.person, known.get(one.person)),
                Cell(one.area, mono=True),
                Cell(formats.when(one.alerted_at, lang)),
                Cell(
                    formats.when(one.deadline, lang),
                    tone="late" if one.deadline and one.deadline < clock.now() else None,
                ),
                Cell(text(request, f"desk.retest.{'single' if one.single else 'again'}"), tone="retest"),
            ]
        )
        for one in waiting
    ]
    return Listing(columns("person:wide", "area:code", "alerted_at:time", "deadline:time", "needed"), rows, "retests")


def person_cell(request: HttpRequest, key: UUID, person: Any) -> Cell:
    """A person's masked name and number, opening their page."""
    href = reverse("desk:person", args=[key])
    if person is None:
        return Cell(text(request, "desk.person_unknown"), href, sub=str(key)[:8])
    return Cell(person.name, href, sub=person.number or text(request, "desk.no_document"))


def read_key(request: HttpRequest) -> due.Key:
    """Where the page begins: ``area|building|id``; the beginning for anything else."""
    area, _, rest = request.GET.get("after", "").partition("|")
    building, _, person = rest.rpartition("|")
    try:
        return due.Key(area, building, UUID(person))
    except ValueError:
        return due.START


@needs(Permission.SEE_PEOPLE_MASKED)
@on_refusal
def household(request: HttpRequest, area: str, household: UUID) -> HttpResponse:
    """Everybody behind one door."""
    from dabai.desk.views.people import household_listing

    found = current(request)
    if found is None:
        raise Http404
    return show(
        request,
        "list_page.html",
        "coverage",
        title=text(request, "desk.list.household"),
        crumbs=crumbs(request, area, found, itself=True),
        listing=household_listing(request, found, area, household),
    )


urlpatterns = [
    path("coverage/", start, name="coverage"),
    path("coverage/<str:area>/", area_page, name="coverage_area"),
    path("coverage/<str:area>/household/<uuid:household>/", household, name="household"),
    path("coverage/<str:area>/<str:what>/", people_list, name="coverage_list"),
]
