"""Who is let in at each URL. Every view says so itself, and a test walks all URLs and fails on one that does not.

::

    @needs(Permission.SEE_FIGURES)
    def coverage(request, operation, area): …      # request.access.areas() for lists, .check(area) for objects

``operation`` and ``area`` are taken from the URL where it has them. An operation that none of the user's roles reaches
is not found (404); an area outside their scope is forbidden (403); an object is looked up first and then passed through
``request.access.check(its_area)``, which hides what lies elsewhere (404). Without ``operation`` in the URL the one in
the session counts, else the newest; where there is none, only what concerns the installation is open.
Pages before log-in are ``@public``, those for anybody logged in ``@signed_in``.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, get_resolver
from ninja.operation import PathView
from ninja.security.base import AuthBase

from dabai.access import actions, queries, rules
from dabai.access.limits import Failures, address_of
from dabai.access.login import awaits_second_factor
from dabai.access.models import Device, User
from dabai.access.queries import DeviceContext, OperationRow
from dabai.access.rules import Grant, Permission
from dabai.kernel import areas, clock
from dabai.kernel.refusal import Refusal

View = Callable[..., HttpResponseBase]
UNKNOWN_TOKENS = Failures(limit=120, seconds=60)
WRONG_CODES = Failures(limit=20, seconds=10 * 60)
# What somebody does before there is any operation, or apart from all of them. Everything else needs one.
INSTALLATION = frozenset(
    {Permission.MANAGE_ACCOUNTS, Permission.MANAGE_OPERATIONS, Permission.MANAGE_KEYS, Permission.SEE_AUDIT}
)


@dataclass(frozen=True, slots=True)
class Guard:
    """What a view declares: ``needs`` one of the permissions, ``signed_in``, ``device`` or ``public``."""

    kind: str
    permissions: tuple[Permission, ...] = ()


PUBLIC = Guard("public")
SIGNED_IN = Guard("signed_in")
DEVICE = Guard("device")
POSTING_DEVICE = Guard("posting_device")


@dataclass(frozen=True, slots=True)
class Access:
    """What the user of this request may see: set as ``request.access`` by the decorators of this module."""

    user: User
    grants: tuple[Grant, ...]
    at: datetime
    operation: OperationRow | None = None  # None on pages of the installation, and only there
    permissions: tuple[Permission, ...] = ()

    @property
    def operation_id(self) -> int | None:
        """The operation's id, None before there is any operation."""
        return self.operation.id if self.operation else None

    @property
    def district(self) -> str:
        """The area code of the operation's district; empty before there is any operation."""
        return str(self.operation.district) if self.operation else ""

    def may(self, permission: Permission, area: str | None = None) -> bool:
        """Whether the user has a permission for what lies in ``area``; without one, anywhere in the operation."""
        if area is None:
            return bool(self.areas(permission))
        return rules.allowed(self.grants, permission, area, self.operation_id, self.at)

    def areas(self, *permissions: Permission) -> list[str]:
        """The prefixes to filter a list by: where one of the permissions (the view's own if none is named) holds."""
        found: set[str] = set()
        for permission in permissions or self.permissions:
            found |= set(rules.prefixes(self.grants, permission, self.operation_id, self.at, self.district))
        return sorted(one for one in found if not any(one != two and one.startswith(two) for two in found))

    def check(self, area: str, *permissions: Permission) -> None:
        """404 for an object in an area that the user does not reach: they don't learn whether it exists."""
        if not areas.within(area, self.areas(*permissions)):
            raise Http404


def access_of(request: HttpRequest) -> Access:
    """The access of a guarded request; Http404 where no guard ran, which is a programming error that fails safe."""
    found = getattr(request, "access", None)
    if not isinstance(found, Access):
        raise Http404
    return found


def public(view: Any) -> Any:
    """Declare that anybody may call this view. Also for functions of the HTTP interface."""
    view.guard = PUBLIC
    return view


def signed_in(view: View) -> View:
    """Anybody who is logged in, whatever their role: their own account, the choice of an operation, logging out."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User):
            return to_login(request)
        request.access = Access(user, tuple(queries.grants_of(user)), clock.now())  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)

    guarded.guard = SIGNED_IN  # type: ignore[attr-defined]
    return guarded


def needs(*permissions: Permission) -> Callable[[View], View]:
    """Let in who has one of the permissions, in the operation and area of the URL. See the module's docstring."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = request.user
            if not isinstance(user, User):
                return to_login(request)
            access = admit(request, user, permissions, kwargs)
            if awaits_second_factor(request, access.grants):
                return HttpResponseRedirect(settings.SECOND_FACTOR_URL)
            request.access = access  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        guarded.guard = Guard("needs", permissions)  # type: ignore[attr-defined]
        return guarded

    return decorate


def to_login(request: HttpRequest) -> HttpResponseBase:
    """Send somebody to the log-in page; a part of a page asked for by script makes the whole page go there."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401, headers={"HX-Redirect": settings.LOGIN_URL})
    return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)


def admit(request: HttpRequest, user: User, permissions: tuple[Permission, ...], kwargs: dict[str, Any]) -> Access:
    """The user's access, or Http404 / PermissionDenied."""
    grants, at = tuple(queries.grants_of(user)), clock.now()
    operation = operation_of(request, kwargs, grants, at)
    access = Access(user, grants, at, operation, permissions)
    if operation is None and not INSTALLATION & set(permissions):
        raise Http404
    area = kwargs.get("area")
    if area is not None and not (areas.is_code(area) and area.startswith(access.district)):
        raise Http404
    if not any(access.may(permission, area) for permission in permissions):
        where = access.operation_id
        asked = [permission.value for permission in permissions]
        actions.record(by=user, action="access.denied", area=area or "", operation=where, detail={"asked": asked})
        raise PermissionDenied
    return access


def operation_of(
    request: HttpRequest, kwargs: dict[str, Any], grants: Iterable[Grant], at: datetime
) -> OperationRow | None:
    """The operation that a request is about: of the URL, of the session, or the newest that the user reaches."""
    held = [grant for grant in grants if rules.in_force(grant, at)]
    if "operation" in kwargs:
        found = queries.operation_row(kwargs["operation"])
        if found is None or not reaches(held, found):
            raise Http404
        return found
    chosen = request.session.get("operation")
    found = queries.operation_row(chosen) if isinstance(chosen, int) else None
    return found if found and reaches(held, found) else queries.newest_operation(held, at)


def reaches(grants: Iterable[Grant], operation: OperationRow) -> bool:
    """Whether one of the grants concerns the operation."""
    return any(
        rules.in_operation(grant, operation.id) and queries.in_district(grant.area, operation.district)
        for grant in grants
    )


# ---- devices


class DeviceAuth(AuthBase):
    """``Authorization: Device <token>`` for Django Ninja: gives the ``DeviceContext``, or None (401).

    A revoked or lost device may still post facts, and nothing else: ``posting=True`` lets it in, otherwise it meets
    ``access.device_not_allowed``. An address that keeps sending tokens that never were a device's is told to wait
    (``access.token_too_many``); devices that this process has met lately are not held up by their neighbours.
    """

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = "Authorization"
    openapi_description = "Device <token>, as given by the pairing."

    def __init__(self, *, posting: bool) -> None:
        super().__init__()
        self.posting = posting
        self.guard = POSTING_DEVICE if posting else DEVICE

    def __call__(self, request: HttpRequest) -> DeviceContext | None:
        """The calling device."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "device" or not token or len(token) > 200:
            return None
        device = self.known(address_of(request), token)
        if device is not None and device.revoked and not self.posting:
            raise Refusal("access.device_not_allowed", lost=device.lost)
        return device

    def known(self, address: str, token: str) -> DeviceContext | None:
        """The token's device; counts a failure of the address when it never was one."""
        if not queries.has_met(token) and (wait := UNKNOWN_TOKENS.wait(address)):
            raise Refusal("access.token_too_many", "Authorization", seconds=wait)
        device = queries.authenticate_device(token)
        if device is None:
            UNKNOWN_TOKENS.add(address)
        return device


posting_device_auth = DeviceAuth(posting=True)
device_auth = DeviceAuth(posting=False)


def pair_from(request: HttpRequest, *, code: str, name: str, app: str) -> tuple[Device, str]:
    """``actions.pair_device`` for a request: an address that keeps sending wrong codes is told to wait.

    Refusals: those of ``pair_device``, and ``access.code_too_many``.
    """
    address = address_of(request)
    if wait := WRONG_CODES.wait(address):
        raise Refusal("access.code_too_many", "code", seconds=wait)
    try:
        return actions.pair_device(code=code, name=name, app=app)
    except Refusal as refusal:
        if refusal.code in ("access.code_mistyped", "access.code_unknown"):
            WRONG_CODES.add(address)
        raise


# ---- the walk over all URLs


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way in: route as Django writes it, HTTP methods where they are known, and its guard (None: undeclared)."""

    route: str
    methods: tuple[str, ...]
    guard: Guard | None


def guarded_urls(patterns: Iterable[URLPattern | URLResolver] | None = None, prefix: str = "") -> Iterator[Endpoint]:
    """Every URL of the project with what its view declares. One without a declaration has ``guard`` None."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from guarded_urls(pattern.url_patterns, route)
        else:
            yield from endpoints(route, pattern.callback)


def endpoints(route: str, view: Any) -> Iterator[Endpoint]:
    """The endpoints behind one URL: a view, or the operations of the HTTP interface that share the path."""
    paths = inspect.getclosurevars(view).nonlocals.get("self") if inspect.isfunction(view) else None
    if isinstance(paths, PathView):
        for operation in paths.operations:
            yield Endpoint(route, tuple(operation.methods), guard_of_operation(operation))
    elif isinstance(view, partial) and view.func.__module__.startswith("ninja.openapi"):
        # The contract itself, and the root of the interface: they show no data.
        yield Endpoint(route, ("GET",), PUBLIC)
    else:
        yield Endpoint(route, (), getattr(view, "guard", None))


def guard_of_operation(operation: Any) -> Guard | None:
    """The guard of an operation of the HTTP interface: its view's own, or that of its authentication."""
    declared = getattr(operation.view_func, "guard", None)
    if declared is not None or not operation.auth_callbacks:
        return declared if isinstance(declared, Guard) else None
    found = {getattr(callback, "guard", None) for callback in operation.auth_callbacks}
    only = found.pop()
    return only if not found and isinstance(only, Guard) else None
