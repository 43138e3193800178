"""Accounts, roles and devices, the sheets that bring them, and the slips to print."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from dabai.access import actions as access_actions
from dabai.access import queries, slips
from dabai.access.guard import access_of, needs, signed_in
from dabai.access.models import Assignment, Device, User
from dabai.access.rules import Permission
from dabai.access.sheets import SheetResult, import_sheet
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, columns, paged
from dabai.desk.shell import (
    guarded,
    in_operation_only,
    on_refusal,
    operation_of,
    show,
    text,
)
from dabai.desk.views.places import refused_rows
from dabai.kernel import clock
from dabai.kernel.words import language_of
from dabai.places.queries import sites

SLIP_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
SLIPS = "dabai.desk.slips"
SLIP_SECONDS = 3600


@needs(Permission.MANAGE_ACCOUNTS)
@on_refusal
def account_list(request: HttpRequest) -> HttpResponse:
    """Accounts with their roles, and the spreadsheet that brings more."""
    lang, now = language_of(request), clock.now()
    asked = sheet_form("accounts_file")
    if request.method == "POST":
        result = take_sheet(request, asked)
        if result is not None:
            return show_slips(request, result, "accounts")
    after = request.GET.get("after", "").replace("\0", "")
    found = list(User.objects.filter(username__gt=after).order_by("username")[: PAGE + 1])
    page, following = paged(found, PAGE, lambda one: one.username, request)
    held: dict[int, list[Assignment]] = {}
    for one in Assignment.objects.filter(user__in=page).order_by("pk"):
        if one.valid_to is None or one.valid_to > now:
            held.setdefault(one.user_id, []).append(one)
    rows = [
        Row(
            [
                Cell(one.display_name, reverse("desk:account", args=[one.pk]), sub=one.username),
                Cell(one.organisation),
                Cell(
                    "; ".join(role_text(request, each) for each in held.get(one.pk, []))
                    or text(request, "desk.account.no_role")
                ),
                Cell(text(request, "desk.account.on"), tone="done")
                if one.is_active
                else Cell(text(request, "desk.account.off"), tone="excused"),
                Cell(formats.when(one.last_login, lang)),
            ]
        )
        for one in page
    ]
    names = columns("account:wide", "organisation", "roles:wide", "state", "last_login:time")
    return show(
        request,
        "list_page.html",
        "accounts",
        title=text(request, "desk.place.accounts"),
        listing=Listing(names, rows, "accounts", next=following),
        forms=[{"title": text(request, "desk.account.import"), "form": asked}],
        empty_icon="accounts",
    )


def role_text(request: HttpRequest, one: Assignment) -> str:
    """A role and where it holds."""
    return f"{text(request, f'access.role.{one.role}')} {one.area}".strip()


def sheet_form(hint: str) -> Form:
    """The spreadsheet of accounts or devices."""
    return form(Field("file", "file", required=True, accept=".csv,.xlsx", help=hint), submit="upload")


def take_sheet(request: HttpRequest, asked: Form) -> SheetResult | None:
    """Apply a spreadsheet; None where it could not be read."""
    if not asked.read(request.POST, request.FILES):
        return None
    access = access_of(request)
    with asked.refusals():
        return import_sheet(source=asked["file"], operation=access.operation_id, by=access.user)
    return None


def show_slips(request: HttpRequest, result: SheetResult, place: str) -> HttpResponse:
    """What a sheet made. Its slips hold one-time codes: shown once, in a page to be printed, and kept nowhere."""
    refused = [(row.number, row.reason) for row in result.rows if row.reason is not None]
    told = [
        (one.purpose, one.name, one.secret, one.expires_at.isoformat(), one.place, one.holder) for one in result.slips
    ]
    return show(
        request,
        "slips.html",
        place,
        title=text(request, "desk.slips.title"),
        created=result.count("created"),
        same=result.count("same"),
        refused=refused_rows(request, refused) if refused else None,
        slips=result.slips,
        printed=signing.dumps(told, salt=SLIPS, compress=True) if told else "",
    )


@signed_in
@require_POST
def print_slips(request: HttpRequest) -> HttpResponse:
    """The slips that the page before has shown, as a sheet to print. They come back signed: nothing is kept here."""
    try:
        told = signing.loads(request.POST.get("page", ""), salt=SLIPS, max_age=SLIP_SECONDS)
    except signing.BadSignature:
        raise Http404 from None
    made = [slips.Slip(one[0], one[1], one[2], datetime.fromisoformat(one[3]), one[4], one[5]) for one in told]
    base = f"{request.scheme}://{request.get_host()}"
    response = HttpResponse("".join(slips.page(made, base, language_of(request))))
    response["Content-Security-Policy"] = SLIP_POLICY
    return guarded(response)


@needs(Permission.MANAGE_ACCOUNTS)
@on_refusal
def account_page(request: HttpRequest, user_id: int) -> HttpResponse:
    """One account: its roles, a new link, a new PIN for phones, switching it off."""
    found = User.objects.filter(pk=user_id).first()
    if found is None:
        raise Http404
    forms = {name: account_form(request, name) for name in ("link", "pin", "role", "switch")}
    once = ""
    asked = forms.get(request.POST.get("do", ""))
    if request.method == "POST" and asked is not None and asked.read(request.POST):
        with asked.refusals():
            once = change_account(request, found, asked)
            if not once:
                messages.success(request, text(request, "desk.done.saved"))
                return redirect("desk:account", user_id=user_id)
    now = clock.now()
    held = [
        one
        for one in Assignment.objects.filter(user=found).order_by("-pk")
        if one.valid_to is None or one.valid_to > now
    ]
    return show(
        request,
        "account.html",
        "accounts",
        title=found.display_name,
        found=found,
        roles=held,
        made=asked["do"] if once and asked else "",
        once=f"{request.scheme}://{request.get_host()}{once}" if once.startswith("/") else once,
        forms=[{"title": text(request, f"desk.account.{name}"), "form": one} for name, one in forms.items()],
    )


def account_form(request: HttpRequest, name: str) -> Form:
    """One thing to do about an account."""
    do = Field("do", "hidden", value=name)
    if name == "link":
        purposes = [(one, text(request, f"desk.account.{one}")) for one in ("welcome", "password")]
        return form(
            do, Field("purpose", "select", value="password", options=purposes, required=True), submit="make_link"
        )
    if name == "role":
        roles = [(role.value, text(request, f"access.role.{role.value}")) for role in queries.Role]
        return form(
            do,
            Field("role", "select", options=roles, required=True),
            Field("area", required=True, help="role_area"),
            submit="assign",
        )
    if name == "pin":
        return form(do, submit="make_pin")
    return form(do, Field("reason", required=True), submit="switch", danger=True)


def change_account(request: HttpRequest, found: User, asked: Form) -> str:
    """Do it; a new link's path or a new PIN, or nothing."""
    by, what = access_of(request).user, asked["do"]
    if what == "link":
        return access_actions.one_time_link(user=found, purpose=asked["purpose"], by=by)
    if what == "pin":
        return access_actions.reset_pin(user=found, by=by)
    if what == "role":
        access_actions.assign_role(
            user=found, role=asked["role"], area=asked["area"], by=by, operation=access_of(request).operation_id
        )
    else:
        access_actions.switch_account(user=found, active=not found.is_active, by=by, reason=asked["reason"])
    return ""


@needs(Permission.MANAGE_ACCOUNTS)
@on_refusal
def end_role(request: HttpRequest, assignment_id: int) -> HttpResponse:
    """End a role now."""
    found = Assignment.objects.filter(pk=assignment_id).select_related("user").first()
    if found is None or request.method != "POST":
        raise Http404
    reason = request.POST.get("reason", "").strip() or text(request, "desk.account.ended")
    access_actions.end_assignment(assignment=found, by=access_of(request).user, reason=reason[:200])
    messages.success(request, text(request, "desk.done.saved"))
    return redirect("desk:account", user_id=found.user_id)


@needs(Permission.SEE_DEVICES)
@on_refusal
@in_operation_only
def device_list(request: HttpRequest) -> HttpResponse:
    """Devices with what they still hold and when they were last heard of; the spreadsheet that brings more."""
    operation, access, lang = operation_of(request), access_of(request), language_of(request)
    asked = sheet_form("devices_file")
    may_manage = access.may(Permission.MANAGE_DEVICES)
    if request.method == "POST" and may_manage:
        result = take_sheet(request, asked)
        if result is not None:
            return show_slips(request, result, "devices")
    reach = access.areas(Permission.SEE_DEVICES)
    named = {one.id: one.name for one in sites(operation.pk, reach)}
    rows = [
        Row(
            [
                Cell(one.name, reverse("desk:device", args=[one.id]) if may_manage else "", sub=one.app_version),
                Cell(", ".join(named.get(site, str(site)) for site in one.sites) or ", ".join(one.areas)),
                Cell(one.holder or ""),
                device_state(request, one),
                Cell(formats.number(one.missing), tone="late" if one.missing else None),
                Cell(formats.number(one.unsent), tone="soon" if one.unsent else None),
                Cell(formats.when(one.last_contact, lang)),
            ]
        )
        for one in queries.devices_of(operation.pk, reach)
    ]
    names = columns(
        "device:wide", "reports_for:wide", "holder", "state", "missing:number", "unsent:number", "last_contact:time"
    )
    return show(
        request,
        "list_page.html",
        "devices",
        title=text(request, "desk.place.devices"),
        listing=Listing(names, rows, "devices", count=len(rows)),
        forms=[{"title": text(request, "desk.device.import"), "form": asked}] if may_manage else [],
        empty_icon="devices",
    )


def device_state(request: HttpRequest, one: queries.DeviceRow) -> Cell:
    """In use, silent, revoked or lost."""
    state = "lost" if one.lost_at else "revoked" if one.revoked_at else "silent" if one.silent else "in_use"
    tones = {"lost": "late", "revoked": "excused", "silent": "soon", "in_use": "done"}
    return Cell(text(request, f"desk.device.{state}"), tone=tones[state])


@needs(Permission.MANAGE_DEVICES)
@on_refusal
@in_operation_only
def device_page(request: HttpRequest, device_id: Any) -> HttpResponse:
    """Move a device to another site or area, take it out of use, or report it lost: then it may still send what it
    holds, and nothing else."""
    found = Device.objects.filter(pk=device_id, operation=operation_of(request).pk).first()
    if found is None:
        raise Http404
    forms = {name: device_form(request, name) for name in ("move", "revoke")}
    asked = forms.get(request.POST.get("do", ""))
    if request.method == "POST" and asked is not None and asked.read(request.POST):
        with asked.refusals():
            change_device(request, found, asked)
            messages.success(request, text(request, "desk.done.saved"))
            return redirect("desk:devices")
    return show(
        request,
        "form_page.html",
        "devices",
        title=found.name,
        forms=[{"title": text(request, f"desk.device.{name}"), "form": one} for name, one in forms.items()],
        crumbs=[(text(request, "desk.place.devices"), reverse("desk:devices"))],
    )


def device_form(request: HttpRequest, name: str) -> Form:
    """One thing to do about a device."""
    do = Field("do", "hidden", value=name)
    if name == "move":
        reach = access_of(request).areas(Permission.MANAGE_DEVICES)
        places = [("", "—"), *((str(one.id), one.name) for one in sites(operation_of(request).pk, reach))]
        return form(do, Field("site", "select", options=places), Field("area", help="device_area"), submit="move")
    options = [(state, text(request, f"desk.device.{state}")) for state in ("revoked", "lost")]
    return form(
        do,
        Field("state", "select", options=options, required=True, help="device_revoke"),
        Field("reason", required=True),
        submit="revoke",
        danger=True,
    )


def change_device(request: HttpRequest, found: Device, asked: Form) -> None:
    """Do it."""
    by = access_of(request).user
    if asked["do"] == "move":
        site = int(asked["site"]) if asked["site"] else None
        access_actions.rescope_device(device=found, by=by, site=site, area=asked["area"])
    else:
        access_actions.revoke_device(device=found, by=by, reason=asked["reason"], lost=asked["state"] == "lost")


urlpatterns = [
    path("accounts/", account_list, name="accounts"),
    path("accounts/<int:user_id>/", account_page, name="account"),
    path("accounts/roles/<int:assignment_id>/end/", end_role, name="end_role"),
    path("slips/", print_slips, name="print_slips"),
    path("devices/", device_list, name="devices"),
    path("devices/<uuid:device_id>/", device_page, name="device"),
]
