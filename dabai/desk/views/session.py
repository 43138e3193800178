"""Coming and going: log-in, second factor, one-time links, language, the choice of operation and round."""

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import path
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_POST

from dabai.access import actions, queries
from dabai.access.guard import access_of, public, signed_in
from dabai.access.login import begin_second_factor, confirm_second_factor, revoke_tokens, second_factor_of, sign_in
from dabai.access.models import User
from dabai.access.slips import qr
from dabai.desk.forms import Field, Form, form
from dabai.desk.shell import RAIL, number_in, operations_reached, show, text
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import LANGUAGES
from dabai.testing.models import Round

BACKEND = "dabai.access.login.Backend"


def inner(request: HttpRequest, wanted: str) -> str:
    """An address of our own, whatever was asked for."""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe and wanted.startswith("/") else "/"


@public
def log_in(request: HttpRequest) -> HttpResponse:
    """Name and password; then where somebody wanted to go."""
    onwards = inner(request, request.POST.get("next") or request.GET.get("next", "/"))
    asked = form(
        Field("username", required=True, autocomplete="username"),
        Field("password", "password", required=True, autocomplete="current-password"),
        Field("next", "hidden", value=onwards),
        submit="log_in",
    )
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            user = sign_in(request, asked["username"], asked["password"])
            return redirect("desk:second_factor" if second_factor_of(user) != "none" else onwards)
    asked.at("next").value = onwards
    status = 422 if asked.errors else 200
    return show(request, "alone.html", title=text(request, "desk.log_in.title"), form=asked, status=status)


@signed_in
def second_factor(request: HttpRequest) -> HttpResponse:
    """Six digits of the authenticator app; the first time with a code to photograph."""
    user = access_of(request).user
    state = second_factor_of(user)
    if state == "none":
        return redirect("/")
    asked = form(Field("digits", required=True, autocomplete="one-time-code"), submit="log_in")
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            confirm_second_factor(request, asked["digits"])
            return redirect("/")
    picture = ""
    if state == "missing":
        address = request.session.get("second_factor") or begin_second_factor(user=user)
        request.session["second_factor"] = address
        picture = mark_safe(qr(address))  # noqa: S308 - made by our own code from our own address
    title, lead = text(request, "desk.second_factor.title"), text(request, f"desk.second_factor.{state}")
    return show(request, "alone.html", title=title, lead=lead, form=asked, picture=picture)


@signed_in
@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session, and the tokens of one's scripts."""
    revoke_tokens(user=access_of(request).user)
    logout(request)
    return redirect("desk:log_in")


@public
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link: the first administrator makes the account, everybody else sets a password."""
    title = text(request, "desk.welcome.title")
    try:
        link = queries.usable_link(token)
    except Refusal as refusal:
        return show(request, "alone.html", title=title, refusal=refusal, status=404)
    asked = password_form(first=link.user is None)
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            check_repeated(asked)
            user = use(token, asked, first=link.user is None)
            login(request, user, backend=BACKEND)
            return redirect("/")
    lead = (
        text(request, "desk.welcome.first")
        if link.user is None
        else text(request, "desk.welcome.lead", name=link.user.display_name, username=link.user.username)
    )
    return show(request, "alone.html", title=title, lead=lead, form=asked, status=422 if asked.errors else 200)


def password_form(*, first: bool) -> Form:
    """The questions of a one-time link."""
    who = [Field("username", required=True, help="username"), Field("display_name", required=True)] if first else []
    chosen = Field("password", "password", required=True, help="password", autocomplete="new-password")
    again = Field("repeated", "password", required=True, autocomplete="new-password")
    return form(*who, chosen, again, submit="set_password")


def check_repeated(asked: Form) -> None:
    """Refuse two passwords that differ."""
    if asked["password"] != asked["repeated"]:
        raise Refusal("desk.passwords_differ", "repeated")


def use(token: str, asked: Form, *, first: bool) -> User:
    """Use the link."""
    if not first:
        return actions.use_link(token=token, password=asked["password"])
    return actions.use_link(
        token=token, password=asked["password"], username=asked["username"], display_name=asked["display_name"]
    )


@public
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Chinese or English, kept in a cookie for a year."""
    response = HttpResponseRedirect(inner(request, request.POST.get("next", "/")))
    lang = request.POST.get("lang", "")
    if lang in LANGUAGES:
        response.set_cookie("lang", lang, max_age=365 * 24 * 3600, samesite="Lax", secure=request.is_secure())
    return response


@signed_in
def choose(request: HttpRequest) -> HttpResponse:
    """Work in another operation, or look at another round."""
    access = access_of(request)
    if wanted := number_in(request.POST.get("operation", "")):
        if any(one.pk == wanted for one in operations_reached(access)):
            request.session["operation"] = wanted
            request.session.pop("round", None)
        return redirect("/")
    wanted = number_in(request.POST.get("round", ""))
    if Round.objects.filter(pk=wanted, operation__in=[one.pk for one in operations_reached(access)]).exists():
        request.session["round"] = wanted
    return redirect(inner(request, without_round(request.headers.get("Referer", ""), request)))


def without_round(address: str, request: HttpRequest) -> str:
    """The path of the page that somebody was on, without the round in it."""
    home = f"{request.scheme}://{request.get_host()}"
    found = address.removeprefix(home).partition("?")[0] if address.startswith(home) else "/"
    return "/" if found.startswith("/rounds/") else found


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """Where somebody's work begins: the first place on their rail."""
    access = access_of(request)
    if second_factor_of(access.user) != "none" and not request.user.is_verified():  # type: ignore[union-attr]
        return redirect("desk:second_factor")
    grants = {permission for place in sum(RAIL.values(), ()) for permission in place.permissions}
    held = {one for one in grants if queries.areas_of(access.user, one, None, access.at)}
    for place in sum(RAIL.values(), ()):
        if held & set(place.permissions):
            return redirect(f"desk:{place.name}")
    lead = text(request, "desk.no_role.lead")
    return show(request, "alone.html", title=text(request, "desk.no_role.title"), lead=lead)


urlpatterns = [
    path("", home, name="home"),
    path("login/", log_in, name="log_in"),
    path("logout/", log_out, name="log_out"),
    path("second-factor/", second_factor, name="second_factor"),
    path("welcome/<str:token>/", welcome, name="welcome"),
    path("language/", language, name="language"),
    path("choose/", choose, name="choose"),
]
