"""People: search, a person's page with their line, revealing with a reason, and decisions about who is who."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.queries import who_looked_at
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import Cell, Listing, Row, columns
from dabai.desk.shell import current, in_operation_only, number_in, on_refusal, operation_of, show, text
from dabai.desk.views.decide import decide
from dabai.desk.views.timeline import shown_line
from dabai.journal import inbox
from dabai.kernel.codes import own_kind
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import language_of
from dabai.people import actions, queries
from dabai.people.models import Identity, Person
from dabai.people.queries import MaskedPerson
from dabai.people.rules import DocumentKind
from dabai.testing.models import Box, Round, Tube
from dabai.testing.outcomes import outcomes_of, result_of_person
from dabai.testing.queries import rounds_of
from dabai.testing.timelines import person_timeline

TONES = {
    "negative": "done",
    "pending": "retest",
    "positive": "late",
    "invalid": "soon",
    "withheld": "soon",
    "awaiting": "soon",
}


# --- search -----------------------------------------------------------------------------------------------------


@needs(Permission.SEARCH_PEOPLE, Permission.SEE_TUBES)
@on_refusal
@in_operation_only
def search(request: HttpRequest) -> HttpResponse:
    """A tube, a box, or a person by the whole number, phone or name, or by the last four.

    Posted, so that no name and no number ever stands in an address.
    """
    said = request.POST.get("q", "").strip()[:80].replace("\0", "")
    code = said.upper()
    if said and access_of(request).may(Permission.SEE_TUBES):
        if own_kind(code) == "box" or exists(Box, request, box=code):
            return redirect("desk:box", box=code)
        if own_kind(code) == "tube" or exists(Tube, request, tube=code):
            return redirect("desk:tube", tube=code)
    access = access_of(request)
    if not access.may(Permission.SEARCH_PEOPLE):
        return show(request, "search.html", "tubes", said=said, listing=people_listing(request, []))
    found = queries.find(operation_of(request).pk, said, access.areas(Permission.SEARCH_PEOPLE)) if said else None
    people = found.people if found else []
    listing = people_listing(request, people)
    return show(request, "search.html", "people", said=said, listing=listing, more=found.more if found else False)


def exists(table: Any, request: HttpRequest, **key: str) -> bool:
    """Whether an operation knows this code."""
    operation = operation_of(request)
    return bool(table.objects.filter(district=operation.district, operation=operation.pk, **key).exists())


def people_listing(request: HttpRequest, people: list[MaskedPerson]) -> Listing:
    """People as lists show them, with what they may be told in the round that is looked at."""
    found, lang = current(request), language_of(request)
    outcomes: dict[UUID, str] = {}
    if found is not None and people:
        with connection.cursor() as cursor:
            outcomes = outcomes_of(cursor, found.district, found.pk, [one.id for one in people])
    rows = [
        Row(
            [
                Cell(
                    one.name, reverse("desk:person", args=[one.id]), sub=one.number or text(request, "desk.no_document")
                ),
                Cell(one.phone or formats.UNKNOWN),
                Cell(one.area, mono=True, sub=one.building),
                Cell(text(request, f"testing.told.{outcomes[one.id]}"), tone=TONES.get(outcomes[one.id], ""))
                if one.id in outcomes
                else Cell(formats.UNKNOWN),
                marks(one, lang, request),
            ]
        )
        for one in people
    ]
    return Listing(
        columns("person:wide", "phone", "area", "outcome", "remark"), rows, "people", count=len(rows) or None
    )


def marks(one: MaskedPerson, lang: str, request: HttpRequest) -> Cell:
    """What is special about a person."""
    if one.name_conflict:
        return Cell(text(request, "desk.person.name_conflict"), tone="late")
    if one.doubt:
        return Cell(text(request, "desk.person.doubt"), tone="soon")
    said = [name for name, so in (("spot", one.spot), ("away", one.away), ("merged", one.canonical != one.id)) if so]
    return Cell(" · ".join(text(request, f"desk.person.{name}") for name in said))


def household_listing(request: HttpRequest, found: Round, area: str, household: UUID) -> Listing:
    """Everybody behind one door."""
    people = Person.objects.filter(
        district=found.district, operation=found.operation, household=household, area__startswith=area
    )
    ids = list(people.order_by("id").values_list("id", flat=True)[:500])
    known = queries.masked_people(found.operation, ids)
    return people_listing(request, [known[one] for one in ids if one in known])


# --- one person -------------------------------------------------------------------------------------------------


def find_person(request: HttpRequest, person: UUID, *permissions: Permission) -> MaskedPerson:
    """Somebody in the user's area; Http404 for everybody else."""
    found = queries.masked_people(operation_of(request).pk, [person]).get(person)
    if found is None:
        raise Http404
    access_of(request).check(found.area, *permissions)
    return found


@needs(Permission.SEE_PEOPLE_MASKED)
@on_refusal
@in_operation_only
def person_page(request: HttpRequest, person: UUID) -> HttpResponse:
    """The masked head, what they may be told in each round, the line, and what a desk can do."""
    return show_person(request, find_person(request, person))


def show_person(
    request: HttpRequest, found: MaskedPerson, revealed: dict[str, str] | None = None, wrong: Form | None = None
) -> HttpResponse:
    """The page of a person; ``wrong`` is the form that was just refused."""
    operation = operation_of(request)
    with connection.cursor() as cursor:
        results = result_of_person(cursor, operation.district, operation.pk, found.id)
    area = operation.district
    cases = inbox.cases(district=area, operation=operation.pk, areas=[""], subject=str(found.canonical))
    others = Identity.objects.filter(operation=operation.pk, canonical=found.canonical).exclude(person=found.id)
    same = queries.masked_people(operation.pk, list(others.values_list("person", flat=True)[:50]))
    return show(
        request,
        "person.html",
        "people",
        title=found.name,
        person=found,
        revealed=revealed or {},
        results=results,
        tones=TONES,
        cases=cases,
        same=list(same.values()),
        line=shown_line(request, person_timeline(operation.pk, found.id)),
        forms=person_forms(request, found, wrong),
        looked=who_looked_at(found.id, 20) if access_of(request).may(Permission.SEE_AUDIT) else None,
    )


def person_forms(request: HttpRequest, found: MaskedPerson, wrong: Form | None) -> list[dict[str, Any]]:
    """What the user may do here, each form with its title."""
    access = access_of(request)
    makers = (
        ("reveal", Permission.REVEAL_PERSON, reveal_form),
        ("correct", Permission.CORRECT_PEOPLE, correct_form),
        ("merge", Permission.MERGE_PEOPLE, merge_form),
        ("excuse", Permission.EXCUSE_PEOPLE, excuse_form),
        ("roster", Permission.EXCUSE_PEOPLE, roster_form),
        ("away", Permission.CORRECT_PEOPLE, away_form),
    )
    shown = []
    for name, permission, make in makers:
        if not access.may(permission, found.area):
            continue
        made = make(request, found)
        action = reverse("desk:person_do", args=[found.id, name])
        made = wrong if wrong is not None and wrong.action == action else made
        made.action = action
        shown.append({"name": name, "title": text(request, f"desk.person_do.{name}"), "form": made})
    return shown


def reveal_form(request: HttpRequest, found: MaskedPerson) -> Form:
    """Which fields, and why."""
    options = [(name, text(request, f"desk.revealed.{name}")) for name in actions.REVEALABLE]
    return form(
        Field("what", "checks", value=["name", "phone"], options=options, required=True),
        Field("reason", required=True, help="reveal"),
        submit="reveal",
    )


def correct_form(request: HttpRequest, found: MaskedPerson) -> Form:
    """What was found to be right; an empty field stays as it is."""
    kinds = [("", text(request, "desk.unchanged"))]
    kinds += [(kind.value, text(request, f"documents.kind.{kind.value}")) for kind in DocumentKind]
    return form(
        Field("name", label="new_name", help="unchanged"),
        Field("document_kind", "select", options=kinds),
        Field("number", label="new_number", help="unchanged"),
        Field("phone", label="new_phone", help="unchanged"),
        Field("reason", required=True),
        submit="correct",
    )


def merge_form(request: HttpRequest, found: MaskedPerson) -> Form:
    """The other id that is the same person."""
    return form(Field("other", required=True, help="other"), Field("reason", required=True), submit="merge")


def excuse_form(request: HttpRequest, found: MaskedPerson) -> Form:
    """Why somebody need not be swabbed in a round."""
    until = Field("until", "datetime-local", help="until")
    return form(round_field(request), Field("reason", required=True), until, submit="excuse")


def roster_form(request: HttpRequest, found: MaskedPerson) -> Form:
    """On the roster of a round, or off it."""
    options = [(name, text(request, f"desk.roster.{name}")) for name in ("added", "removed")]
    change = Field("change", "select", value="removed", options=options, required=True)
    return form(round_field(request), change, Field("reason", required=True), submit="change_roster")


def away_form(request: HttpRequest, found: MaskedPerson) -> Form:
    """Moved away or died; or back."""
    name = "back" if found.away else "away"
    return form(Field("away", "hidden", value="" if found.away else "yes"), Field("reason", required=True), submit=name)


def round_field(request: HttpRequest) -> Field:
    """A round of the operation that was approved."""
    rounds = [one for one in rounds_of(operation_of(request).pk) if one.state != "draft"]
    now = current(request)
    return Field(
        "round", "select", value=now.pk if now else "", options=[(one.pk, one.name) for one in rounds], required=True
    )


NEEDED = {
    "reveal": (Permission.REVEAL_PERSON, reveal_form),
    "correct": (Permission.CORRECT_PEOPLE, correct_form),
    "merge": (Permission.MERGE_PEOPLE, merge_form),
    "excuse": (Permission.EXCUSE_PEOPLE, excuse_form),
    "roster": (Permission.EXCUSE_PEOPLE, roster_form),
    "away": (Permission.CORRECT_PEOPLE, away_form),
}


@needs(
    Permission.REVEAL_PERSON,
    Permission.CORRECT_PEOPLE,
    Permission.MERGE_PEOPLE,
    Permission.EXCUSE_PEOPLE,
)
@on_refusal
@in_operation_only
def person_do(request: HttpRequest, person: UUID, what: str) -> HttpResponse:
    """Do one thing about a person, or show its form again with what is wrong."""
    if what not in NEEDED or request.method != "POST":
        return redirect("desk:person", person=person)
    permission, make = NEEDED[what]
    found = find_person(request, person, permission)
    asked = make(request, found)
    asked.action = reverse("desk:person_do", args=[person, what])
    if asked.read(request.POST):
        with asked.refusals():
            if what == "reveal":
                return show_person(request, found, revealed(request, found, asked))
            DO[what](request, found, asked)
            messages.success(request, text(request, f"desk.done.{what}"))
            return redirect("desk:person", person=person)
    return show_person(request, found, wrong=asked)


def revealed(request: HttpRequest, found: MaskedPerson, asked: Form) -> dict[str, str]:
    """The fields, readable; logged before they are shown."""
    user = access_of(request).user
    operation = operation_of(request).pk
    return actions.reveal(by=user, operation=operation, person=found.id, fields=asked["what"], reason=asked["reason"])


def do_correct(request: HttpRequest, found: MaskedPerson, asked: Form) -> None:
    """``people.corrected``, with the fields that were filled in."""
    body: dict[str, Any] = {"person": str(found.id), "reason": asked["reason"]}
    body |= {name: asked[name] for name in ("name", "phone") if asked[name]}
    if asked["number"] or asked["document_kind"]:
        body["document"] = {"kind": asked["document_kind"], "number": asked["number"]}
    if len(body) == 2:
        raise Refusal("desk.nothing_changed")
    decide(request, "people.corrected", body)


def do_merge(request: HttpRequest, found: MaskedPerson, asked: Form) -> None:
    """``people.merged`` with somebody else whom the user may see."""
    try:
        other = UUID(asked["other"].rstrip("/").rpartition("/")[2])
    except ValueError:
        raise Refusal("desk.person_id", "other") from None
    known = queries.masked_people(operation_of(request).pk, [other]).get(other)
    if known is None or known.id == found.id or not access_of(request).may(Permission.MERGE_PEOPLE, known.area):
        raise Refusal("desk.person_id", "other")
    decide(request, "people.merged", {"one": str(found.id), "other": str(other), "reason": asked["reason"]})


def do_excuse(request: HttpRequest, found: MaskedPerson, asked: Form) -> None:
    """``testing.excused``."""
    until = formats.from_input(asked["until"]) if asked["until"] else None
    body = {"round": number_in(asked["round"]), "person": str(found.canonical), "reason": asked["reason"]}
    decide(request, "testing.excused", body | ({"until": until.isoformat()} if until else {}))


def do_roster(request: HttpRequest, found: MaskedPerson, asked: Form) -> None:
    """``testing.roster_added`` or ``testing.roster_removed``."""
    body = {"round": number_in(asked["round"]), "person": str(found.canonical), "reason": asked["reason"]}
    if asked["change"] == "added":
        body["area"] = found.area
    decide(request, f"testing.roster_{asked['change']}", body)


def do_away(request: HttpRequest, found: MaskedPerson, asked: Form) -> None:
    """Moved away or died, or back."""
    actions.set_away(
        by=access_of(request).user,
        operation=operation_of(request).pk,
        person=found.id,
        away=asked["away"] == "yes",
        reason=asked["reason"],
    )


DO = {"correct": do_correct, "merge": do_merge, "excuse": do_excuse, "roster": do_roster, "away": do_away}


@needs(Permission.MERGE_PEOPLE)
@on_refusal
@in_operation_only
def unmerge(request: HttpRequest, person: UUID, merge: UUID) -> HttpResponse:
    """Take a merge back: both people are themselves again."""
    found = find_person(request, person, Permission.MERGE_PEOPLE)
    asked = form(Field("reason", required=True), submit="unmerge")
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            decide(request, "people.unmerged", {"merge": str(merge), "reason": asked["reason"]})
            messages.success(request, text(request, "desk.done.unmerge"))
            return redirect("desk:person", person=person)
    crumbs = [(found.name, reverse("desk:person", args=[person]))]
    return show(
        request, "form_page.html", "people", title=text(request, "desk.person_do.unmerge"), form=asked, crumbs=crumbs
    )


urlpatterns = [
    path("search/", search, name="search"),
    path("people/", search, name="people"),
    path("people/<uuid:person>/", person_page, name="person"),
    path("people/<uuid:person>/do/<str:what>/", person_do, name="person_do"),
    path("people/<uuid:person>/unmerge/<uuid:merge>/", unmerge, name="unmerge"),
]
