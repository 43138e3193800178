"""Who is at the desk's interface, and what may be done where. Every endpoint asks here first; nothing is open.

A script sends ``Authorization: Bearer <token>``; a browser has its session and, to change anything, the CSRF token.
``asks`` names the permission; ``Access`` then says in which areas the user holds it. An operation in which somebody has
no role at all does not exist for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from ninja.security import APIKeyCookie, HttpBearer

from dabai.access import actions, rules
from dabai.access import queries as access_queries
from dabai.access.guard import SIGNED_IN, Guard
from dabai.access.login import needs_second_factor, user_of_token
from dabai.access.models import User
from dabai.access.rules import Grant, Permission
from dabai.figures.models import Bulletin
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.people.models import Import
from dabai.protocols.models import Operation
from dabai.protocols.queries import operations_of
from dabai.testing.models import Round

View = Callable[..., Any]
THINGS: dict[str, tuple[Any, str]] = {
    "round_id": (Round, "testing.round_not_found"),
    "import_id": (Import, "people.import_not_found"),
    "bulletin_id": (Bulletin, "figures.bulletin_not_found"),
}


class TokenAuth(HttpBearer):
    """``Authorization: Bearer <token>`` from ``log-in``."""

    openapi_scheme = "bearer"

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """The user of a token that still holds; a request with a token is judged by it alone."""
        return user_of_token(token[:200])


class CsrfCheck(CsrfViewMiddleware):
    """The middleware's check as a question."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


class SessionAuth(APIKeyCookie):
    """The session of the desk's pages; a change needs the CSRF token as well."""

    param_name = "sessionid"

    def __init__(self) -> None:
        super().__init__(csrf=False)

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        """The logged-in user. Refusal ``api.csrf_not_allowed``."""
        user = request.user
        if not user.is_authenticated or "Authorization" in request.headers:
            return None
        check = CsrfCheck(lambda _: None)  # type: ignore[arg-type, return-value]
        check.process_request(request)
        if check.process_view(request, None, (), {}) is not None:
            raise Refusal("api.csrf_not_allowed")
        if needs_second_factor(access_queries.grants_of(user)) and not user.is_verified():  # type: ignore[attr-defined]
            raise Refusal("access.second_factor_not_allowed")
        return user


desk_auth = [TokenAuth(), SessionAuth()]


@dataclass(frozen=True, slots=True)
class Access:
    """A user in one operation, with all that was granted to them."""

    user: User
    operation: int
    district: int
    kind: str
    grants: tuple[Grant, ...]
    at: datetime

    def may(self, permission: Permission, area: str) -> bool:
        """Whether the user has the permission in the whole of ``area``."""
        return rules.allowed(self.grants, permission, area, self.operation or None, self.at)

    def need(self, permission: Permission, area: str | None = None) -> None:
        """Refuse without the permission in ``area`` (the district if not given). Refusal ``access.not_allowed``."""
        if not self.may(permission, str(self.district) if area is None else area):
            raise Refusal("access.not_allowed")

    def reach(self, permission: Permission, within: str = "") -> list[str]:
        """The prefixes in which the permission holds, cut to ``within`` and to the operation's district; maybe none."""
        home = str(self.district) if self.district else ""
        if not (within.startswith(home) or home.startswith(within)):
            return []
        inner = max(home, within, key=len)
        return rules.prefixes(self.grants, permission, self.operation or None, self.at, inner)

    def where(self, permission: Permission, within: str = "") -> list[str]:
        """``reach``, refusing nowhere. Refusal ``access.not_allowed``."""
        found = self.reach(permission, within)
        if not found:
            raise Refusal("access.not_allowed", "area" if within else None)
        return found


def user_of(request: HttpRequest) -> User:
    """The authenticated user of a request."""
    user = request.auth  # type: ignore[attr-defined]
    assert isinstance(user, User)
    return user


def asks(*permissions: Permission) -> Callable[[View], View]:
    """Let in who has one of these permissions somewhere in the operation that the path names; ``request.access`` then
    says where. What lies in one area is checked by the endpoint, which knows the area.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.access = admit(user_of(request), permissions, kwargs)  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        guarded.guard = Guard("needs", permissions)  # type: ignore[attr-defined]
        return guarded

    return decorate


def anybody(view: View) -> View:
    """Declare an endpoint for everybody who is logged in: it is about themselves."""
    view.guard = SIGNED_IN  # type: ignore[attr-defined]
    return view


def access_of(request: HttpRequest) -> Access:
    """The access that ``asks`` has found."""
    found = request.access  # type: ignore[attr-defined]
    assert isinstance(found, Access)
    return found


def admit(user: User, permissions: tuple[Permission, ...], named: dict[str, Any]) -> Access:
    """The user's access to what the path names. Refusals: ``…_not_found``, ``access.not_allowed`` (logged)."""
    access = open_access(user, operation_of(named))
    if not any(access.reach(permission) for permission in permissions):
        asked = [permission.value for permission in permissions]
        actions.record(by=user, action="access.denied", operation=access.operation, detail={"asked": asked})
        raise Refusal("access.not_allowed")
    return access


def operation_of(named: dict[str, Any]) -> int | None:
    """The operation that a path names, itself or through a thing of its own; None for a path without any."""
    if "operation" in named:
        return int(named["operation"])
    for name, (table, code) in THINGS.items():
        if name in named:
            found = table.objects.filter(pk=in_range(named[name])).values_list("operation", flat=True).first()
            if found is None:
                raise Refusal(code, name)
            return int(found)
    return None


def in_range(number: int) -> int:
    """A number that a key can have; 0, which none has, for all others."""
    return number if 0 < number < 2**31 else 0


def open_access(user: User, operation: int | None) -> Access:
    """What the user may do in an operation (None: in the installation).

    One that none of their roles reaches is not there: refusal ``access.operation_not_found``.
    """
    grants, at = access_queries.grants_of(user), clock.now()
    if operation is None:
        return Access(user, 0, 0, "", tuple(grants), at)
    found = access_queries.operation_row(in_range(operation))
    held = [one for one in grants if rules.in_force(one, at) and rules.in_operation(one, operation)]
    if found is None or not any(access_queries.in_district(one.area, found.district) for one in held):
        raise Refusal("access.operation_not_found", "operation")
    return Access(user, operation, found.district, found.kind, tuple(grants), at)


def operations_reached(user: User) -> list[Operation]:
    """The operations in which the user has a role now, newest first."""
    grants, at = access_queries.grants_of(user), clock.now()
    held = [one for one in grants if rules.in_force(one, at)]
    return [
        found
        for found in operations_of()
        if any(
            rules.in_operation(one, found.pk) and access_queries.in_district(one.area, found.district) for one in held
        )
    ]


def read_uuid(text: str | None, field: str) -> UUID | None:
    """A key of a page. Refusal ``api.key_form``."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Refusal("api.key_form", field) from None
