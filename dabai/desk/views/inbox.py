"""The inbox: what waits, contradicts or was refused, and what a desk decides about it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from dabai.access.guard import access_of, needs
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, Tab, address, chosen, columns, paged
from dabai.desk.shell import case_words, detail_name, fact_name, in_operation_only, on_refusal, operation_of, show, text
from dabai.desk.views.decide import decide
from dabai.desk.views.timeline import shown_line
from dabai.journal import inbox
from dabai.journal.inbox import Case
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import known, language_of, say_refusal
from dabai.people.queries import masked_people
from dabai.testing.timelines import as_told, box_timeline, tube_timeline
from dabai.testing.worklists import Claim, claims_of

FAMILIES = ("open", "reopened", "tube", "result", "box", "people", "kept", "settled")
PREFIXES = {"tube": "tube.", "result": "result.", "box": "box.", "people": "pe*"}
PEOPLE = ("people.", "person.")
URGENT = ("tube.contested", "result.taken_back", "people.name_conflict")


def scope(request: HttpRequest) -> dict[str, Any]:
    """Whose cases: the operation, in the areas of the user's own inbox."""
    operation = operation_of(request)
    reach = access_of(request).areas(Permission.SEE_INBOX)
    return {"district": operation.district, "operation": operation.pk, "areas": reach}


@needs(Permission.SEE_INBOX)
@on_refusal
@in_operation_only
def inbox_list(request: HttpRequest) -> HttpResponse:
    """Cases and refused facts, by what they are about."""
    view = chosen(request, "view", FAMILIES)
    listing = kept_listing(request) if view == "kept" else case_listing(request, view)
    listing.tabs = family_tabs(request, view)
    return show(
        request,
        "list_page.html",
        "inbox",
        title=text(request, "desk.place.inbox"),
        lead=text(request, "desk.inbox.lead"),
        listing=listing,
    )


def family_tabs(request: HttpRequest, view: str) -> list[Tab]:
    """One tab a family, with how many are open."""
    counts = inbox.case_counts(**scope(request))
    kept = counts.pop("kept")
    of: dict[str, int | None] = {"open": sum(counts.values()), "kept": kept, "reopened": None, "settled": None}
    for family in ("tube", "result", "box", "people"):
        of[family] = sum(count for code, count in counts.items() if code.startswith(PREFIXES[family].rstrip("*")))
    return [
        Tab(
            text(request, f"desk.inbox.view.{one}"),
            address(request, view="" if one == "open" else one, after=""),
            one == view,
            of[one],
        )
        for one in FAMILIES
    ]


def case_listing(request: HttpRequest, view: str) -> Listing:
    """Cases of one view."""
    state = view if view in ("reopened", "settled") else "open"
    code = "" if view in ("open", "reopened", "settled") else PREFIXES[view]
    after = request.GET.get("after", "").replace("\0", "")[:160]
    found = inbox.cases(**scope(request), state=state, code=code, after=after, limit=PAGE + 1)
    page, following = paged(found, PAGE, lambda one: one.key, request)
    lang = language_of(request)
    rows = [
        Row(
            [
                Cell(
                    text(request, case_words(one.code)),
                    reverse("desk:case", args=[one.code, one.subject]),
                    sub=said_of(request, one),
                ),
                Cell(one.subject if not one.code.startswith(PEOPLE) else one.subject[:8], mono=True),
                state_cell(request, one),
                Cell(formats.when(one.happened_at, lang)),
                Cell(formats.number(len(one.facts))),
            ]
        )
        for one in page
    ]
    names = columns("case:wide", "subject:code", "state", "happened_at:time", "facts:number")
    return Listing(names, rows, "inbox", next=following)


def state_cell(request: HttpRequest, one: Case) -> Cell:
    """Open, reopened or settled; the ones that hold back somebody's result are red."""
    tone = {"settled": "done", "reopened": "late"}.get(one.state, "late" if one.code in URGENT else "soon")
    return Cell(text(request, f"desk.case_state.{one.state}"), tone=tone)


def said_of(request: HttpRequest, one: Case) -> str:
    """The numbers of a case in words; a yes is said by its name alone, a no not at all."""
    parts = []
    for key, value in sorted(one.detail.items()):
        if value is True:
            parts.append(detail_name(request, key))
        elif isinstance(value, int | str) and value not in ("", False):
            known_reason = key == "reason" and known(f"documents.refusal.{str(value).rpartition('.')[2]}")
            shown = say_refusal(Refusal(str(value)), language_of(request)) if known_reason else value
            parts.append(f"{detail_name(request, key)} {shown}")
    return " · ".join(parts)


def kept_listing(request: HttpRequest) -> Listing:
    """Facts that were refused when they came."""
    after = read_uuid(request.GET.get("after", ""))
    found = inbox.kept_facts(**scope(request), after=after, limit=PAGE + 1)
    page, following = paged(found, PAGE, lambda one: one.id, request)
    lang = language_of(request)
    rows = [
        Row(
            [
                Cell(fact_name(request, one.kind), reverse("desk:kept", args=[one.id])),
                Cell(say_refusal(Refusal(one.code), lang), sub=one.code),
                Cell(one.field, mono=True),
                Cell(one.area, mono=True),
                Cell(formats.when(one.received_at, lang)),
            ]
        )
        for one in page
    ]
    names = columns("fact:wide", "refused:wide", "field", "area:code", "received_at:time")
    return Listing(names, rows, "kept", next=following)


def read_uuid(value: str) -> UUID | None:
    """A key of a page; None for anything else."""
    try:
        return UUID(value)
    except ValueError:
        return None


# --- one case ---------------------------------------------------------------------------------------------------


def find_case(request: HttpRequest, code: str, subject: str) -> Case:
    """A case that the user reaches, in whatever state."""
    for state in ("open", "settled", "gone"):
        found = inbox.cases(**scope(request), state=state, code=code, subject=subject, limit=1)
        if found:
            return found[0]
    raise Http404


@needs(Permission.SEE_INBOX)
@on_refusal
@in_operation_only
def case_page(request: HttpRequest, code: str, subject: str) -> HttpResponse:
    """What a case is, what it rests on, and what can be done about it."""
    found = find_case(request, code, subject)
    asked, claims = None, claims_at(request, found)
    if (
        access_of(request).may(Permission.DECIDE_INBOX, found.area or access_of(request).district)
        and found.state in inbox.OPEN_STATES
    ):
        asked = claim_form(request, found, claims) if claims else settle_form()
        if request.method == "POST" and asked.read(request.POST):
            with asked.refusals():
                settle(request, found, asked, claims)
                messages.success(request, text(request, "desk.done.case"))
                return redirect("desk:inbox")
    return show(
        request,
        "case.html",
        "inbox",
        title=text(request, case_words(code)),
        case=found,
        tone=state_cell(request, found).tone,
        how=f"{case_words(code)}_do",
        said=said_of(request, found),
        people=people_of(request, found),
        line=line_of(request, found),
        claims=claims,
        form=asked,
        status=422 if asked and asked.errors else 200,
    )


def claims_at(request: HttpRequest, found: Case) -> list[Claim]:
    """The claims to settle of a contested tube."""
    if found.code != "tube.contested":
        return []
    operation = operation_of(request)
    return claims_of(district=operation.district, operation=operation.pk, tube=found.subject)


def settle_form() -> Form:
    """Why a case may be closed."""
    return form(Field("reason", "textarea", required=True, help="settle"), submit="settle")


def claim_form(request: HttpRequest, found: Case, claims: list[Claim]) -> Form:
    """What becomes of each station's tube: this code, another one, or void."""
    options = [(name, text(request, f"desk.claim.{name}")) for name in ("keep", "other", "void")]
    fields = []
    for n, one in enumerate(claims):
        where = f"{one.site_name} · {text(request, 'desk.station', number=one.station)}"
        fields.append(Field(f"claim{n}", "select", value="keep" if not n else "other", options=options, title=where))
        fields.append(Field(f"code{n}", label="other_code", help="other_code"))
    return form(*fields, Field("reason", "textarea", required=True), submit="settle_claims")


def settle(request: HttpRequest, found: Case, asked: Form, claims: list[Claim]) -> None:
    """Report the decision, resting on the facts that were shown."""
    if not claims:
        body = {"code": found.code, "subject": found.subject, "facts": found.facts, "reason": asked["reason"]}
        decide(request, "journal.attention_settled", body)
        return
    becomes = [settled_code(asked, n, found.subject) for n in range(len(claims))]
    if sum(code == found.subject for code in becomes) > 1:
        raise Refusal("desk.claims_still_two", "claim0")
    told = [
        {"round": one.round, "site": one.site, "station": one.station, "becomes": code}
        for one, code in zip(claims, becomes, strict=True)
    ]
    body = {"tube": found.subject, "claims": told, "facts": found.facts, "reason": asked["reason"]}
    decide(request, "testing.claim_settled", body)


def settled_code(asked: Form, n: int, tube: str) -> str | None:
    """The code that a claim becomes; None for void. Refusal ``desk.other_code_missing``."""
    choice, code = asked[f"claim{n}"], asked[f"code{n}"].upper()
    if choice == "other" and not code:
        raise Refusal("desk.other_code_missing", f"code{n}")
    return {"keep": tube, "other": code}.get(choice)


def people_of(request: HttpRequest, found: Case) -> list[Any]:
    """The people of a case about people, masked, for whoever may see them."""
    if not found.code.startswith(PEOPLE) or not access_of(request).may(
        Permission.SEE_PEOPLE_MASKED, found.area or None
    ):
        return []
    ids = {one for one in map(read_uuid, [found.subject, *found.detail.get("people", [])]) if one}
    return list(masked_people(operation_of(request).pk, ids).values())


def line_of(request: HttpRequest, found: Case) -> list[dict[str, Any]]:
    """The line of the tube or box that a case is about."""
    operation = operation_of(request).pk
    if found.code.startswith("box."):
        return shown_line(request, box_timeline(operation, found.subject))
    if found.code.startswith(PEOPLE):
        return []
    return shown_line(request, [as_told(one) for one in tube_timeline(operation, found.subject)])


# --- a refused fact ---------------------------------------------------------------------------------------------


@needs(Permission.SEE_INBOX)
@on_refusal
@in_operation_only
def kept_page(request: HttpRequest, fact: UUID) -> HttpResponse:
    """A refused fact: why, what was sent (revealed with a reason), and what became of it."""
    operation, access = operation_of(request), access_of(request)
    found = inbox.kept_fact(district=operation.district, operation=operation.pk, fact=fact)
    if found.area:
        access.check(found.area, Permission.SEE_INBOX)
    may_decide = access.may(Permission.DECIDE_INBOX, found.area or access.district)
    states = [(one, text(request, f"desk.kept.{one}")) for one in ("attached", "dismissed")]
    opened = form(Field("reason", required=True, help="reveal"), Field("do", "hidden", value="open"), submit="reveal")
    closed = form(
        Field("state", "select", options=states, required=True),
        Field("reason", "textarea", required=True, help="kept"),
        Field("do", "hidden", value="close"),
        submit="settle",
    )
    body: dict[str, Any] = {}
    asked = opened if request.POST.get("do") == "open" else closed
    if request.method == "POST" and may_decide and asked.read(request.POST):
        with asked.refusals():
            where = {"by": access.user, "district": operation.district, "operation": operation.pk, "fact": fact}
            if asked is opened:
                body = inbox.open_body(**where, reason=asked["reason"])
            else:
                inbox.settle_kept(**where, state=asked["state"], reason=asked["reason"])
                messages.success(request, text(request, "desk.done.case"))
                return redirect("desk:inbox")
    forms = [("open", opened), ("close", closed)] if may_decide and found.state == "open" else []
    return show(
        request,
        "kept.html",
        "inbox",
        title=fact_name(request, found.kind),
        kept=found,
        why=Refusal(found.code),
        body=[(key, value) for key, value in sorted(flat(body))],
        forms=[{"title": text(request, f"desk.kept.{name}"), "form": one} for name, one in forms],
    )


def flat(body: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A body as lines of dotted names and values."""
    lines: list[tuple[str, str]] = []
    for key, value in body.items():
        if isinstance(value, dict):
            lines += flat(value, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}"[:60], str(value)[:300]))
    return lines


# --- what was not so ----------------------------------------------------------------------------------------------


@needs(Permission.DECIDE_INBOX)
@on_refusal
@in_operation_only
def withdraw(request: HttpRequest, fact: UUID) -> HttpResponse:
    """Take a reported fact back because it was not so. It is final, and stays on the line, struck through."""
    asked = form(Field("reason", required=True, help="withdraw"), submit="withdraw", danger=True)
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            decide(request, "journal.fact_withdrawn", {"target": str(fact), "reason": asked["reason"]})
            messages.success(request, text(request, "desk.done.withdrawn"))
            return redirect("desk:inbox")
    title, lead = text(request, "desk.inbox.withdraw"), text(request, "desk.inbox.withdraw_lead")
    return show(request, "form_page.html", "inbox", title=title, lead=lead, form=asked)


urlpatterns = [
    path("facts/<uuid:fact>/withdraw/", withdraw, name="withdraw"),
    path("inbox/", inbox_list, name="inbox"),
    path("inbox/kept/<uuid:fact>/", kept_page, name="kept"),
    path("inbox/<str:code>/<str:subject>/", case_page, name="case"),
]
