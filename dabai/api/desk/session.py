"""Logging in, and the one-time links that make the first administrator and set a password."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from dabai.access import actions, login
from dabai.access.guard import public
from dabai.access.limits import address_of
from dabai.access.models import User
from dabai.access.queries import grants_of
from dabai.access.rules import in_force
from dabai.api.desk.door import anybody, desk_auth, user_of
from dabai.api.desk.forms import Done, Name, Secret
from dabai.kernel import clock

router = Router(tags=["desk: access"], auth=desk_auth)


class FirstAdmin(Schema):
    """Whoever installs, with the token that ``dabai serve`` printed."""

    token: Secret
    username: Name
    display_name: Name
    password: Secret


class LogIn(Schema):
    """A name and a password."""

    username: Secret
    password: Secret


class Welcome(Schema):
    """A one-time token and the password that its owner chose."""

    token: Secret
    password: Secret


class HeldRole(Schema):
    """A role in an area; an empty area is the whole installation."""

    role: str
    area: str
    operation: int | None


class LoggedIn(Schema):
    """The token for ``Authorization: Bearer``, and what its user is."""

    token: str
    username: str
    display_name: str
    roles: list[HeldRole]


class Named(Schema):
    """Whose password was set."""

    username: str


@router.post("/first-admin", auth=None, response=Named)
@public
def first_admin(request: HttpRequest, body: FirstAdmin) -> dict[str, str]:
    """Make the first administrator. Works once, while there is none."""
    user = actions.use_link(
        token=token_of(body.token), password=body.password, username=body.username, display_name=body.display_name
    )
    return {"username": user.username}


@router.post("/welcome", auth=None, response=Named)
@public
def welcome(request: HttpRequest, body: Welcome) -> dict[str, str]:
    """Set the password of a new account, or a forgotten one, by its one-time token."""
    return {"username": actions.use_link(token=token_of(body.token), password=body.password).username}


@router.post("/log-in", auth=None, response=LoggedIn)
@public
def log_in(request: HttpRequest, body: LogIn) -> dict[str, Any]:
    """A token for half a day. Refusals ``access.login_wrong`` (401), ``access.login_too_many`` (429)."""
    user = login.log_in(username=body.username, password=body.password, address=address_of(request))
    return {"token": login.new_api_token(user=user), **about(user)}


@router.post("/log-out", response=Done)
@anybody
def log_out(request: HttpRequest) -> dict[str, bool]:
    """End every token of the user."""
    login.revoke_tokens(user=user_of(request))
    return {"ok": True}


def about(user: User) -> dict[str, Any]:
    """Who somebody is, and their roles in force."""
    now = clock.now()
    held = [
        {"role": one.role.value, "area": one.area, "operation": one.operation}
        for one in grants_of(user)
        if in_force(one, now)
    ]
    return {"username": user.username, "display_name": user.display_name, "roles": held}


def token_of(text: str) -> str:
    """The token of a link, given alone or as the whole link that was printed."""
    return text.strip().rstrip("/").rpartition("/")[2]
