"""Logging in: a password for a session or for a token of a user's own scripts, and a second factor where one is asked.

Guessing is slowed down in each web process, without a write for it. A log-in begins a new session (no fixation); a
changed password or a closed account ends every session and token of the user with their next request. A token is 256
random bits of which only the digest is kept; it lives a working day, counted by the machine's clock, like a session's:
a drill's clock may run a thousand times as fast.
"""

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.contrib.auth.backends import ModelBackend
from django.db import connection
from django.http import HttpRequest
from django_otp import login as otp_login
from django_otp.plugins.otp_totp.models import TOTPDevice

from dabai.access import codes, queries
from dabai.access.actions import record, require_over
from dabai.access.limits import Failures, address_of
from dabai.access.models import ApiToken, User
from dabai.access.rules import Grant, Role, roles_in_force
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal

TOKEN_HOURS = 12
QUARTER = 15 * 60
# From one place five tries; from everywhere together more, so that a stranger can't easily lock somebody out.
HERE = Failures(limit=5, seconds=QUARTER)
BY_NAME = Failures(limit=40, seconds=QUARTER)
BY_ADDRESS = Failures(limit=100, seconds=QUARTER)
SECOND_FACTOR = Failures(limit=5, seconds=QUARTER)


class Backend(ModelBackend):
    """Name (any case) and password. There are no Django permissions here: roles are asked through ``guard``."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody has a Django permission."""
        return False


def log_in(*, username: str, password: str, address: str = "") -> User:
    """The user of a name and password. Refusals: ``access.login_wrong``, ``access.login_too_many`` (with ``minutes``).

    The answer does not tell whether the name exists, nor does the time it takes (Django hashes all the same).
    """
    name = unicodedata.normalize("NFKC", username).strip().lower()[:40]
    if "\0" in name or "\0" in password:
        raise Refusal("access.login_wrong", "username")
    counted = ((HERE, f"{name}|{address}"), (BY_NAME, name), (BY_ADDRESS, address))
    if wait := max(failures.wait(key) for failures, key in counted):
        raise Refusal("access.login_too_many", "username", minutes=-(-wait // 60))
    user = authenticate(None, username=name, password=password)
    if not isinstance(user, User):
        for failures, key in counted:
            failures.add(key)
        record(by=None, action="login.failed", detail={"address": address})
        raise Refusal("access.login_wrong", "password")
    HERE.clear(f"{name}|{address}")
    record(by=user, action="login.done", subject=f"user/{user.pk}")
    return user


def sign_in(request: HttpRequest, username: str, password: str) -> User:
    """Log somebody in to a new session, for the desk's pages. Refusals as ``log_in``."""
    user = log_in(username=username, password=password, address=address_of(request))
    login(request, user)
    return user


def forget_failures() -> None:
    """Start counting anew (between tests)."""
    for failures in (HERE, BY_NAME, BY_ADDRESS, SECOND_FACTOR):
        failures.forget()


# ---- wrong PINs: counted where every web process sees them (``dabai.access.signon``)

COUNT = """
INSERT INTO access_sign_on_failure AS f (subject, since, count)
SELECT one, %(now)s, 1 FROM unnest(%(subjects)s::text[]) AS one ORDER BY one
ON CONFLICT (subject) DO UPDATE
SET count = CASE WHEN f.since <= %(begin)s THEN 1 ELSE f.count + 1 END,
    since = CASE WHEN f.since <= %(begin)s THEN excluded.since ELSE f.since END
"""
FORGET = """
DELETE FROM access_sign_on_failure WHERE subject IN (
    SELECT subject FROM access_sign_on_failure WHERE since <= %(begin)s FOR UPDATE SKIP LOCKED)
"""


def count_wrong_pin(subjects: Iterable[str], window: timedelta) -> None:
    """Count a failure of each subject; those of which ``window`` has passed since the first begin anew, or are swept
    out. Several subjects are counted in one order, so that nobody waits for ever.
    """
    now = datetime.now(UTC)
    values = {"now": now, "begin": now - window, "subjects": list(subjects)}
    with connection.cursor() as cursor:
        cursor.execute(COUNT, values)
        cursor.execute(FORGET, values)


# ---- tokens of a user's own scripts


def new_api_token(*, user: User) -> str:
    """A token for the user's scripts, for half a day. It is returned once; its digest is kept.

    Refusal ``access.second_factor_needed`` for a role that must show one: a script can't.
    """
    if needs_second_factor(queries.grants_of(user)):
        raise Refusal("access.second_factor_needed")
    token, now = codes.new_token(), datetime.now(UTC)
    expires = now + timedelta(hours=TOKEN_HOURS)
    ApiToken.objects.filter(user=user, expires_at__lte=now).delete()
    ApiToken.objects.create(user=user, token_hash=codes.token_digest(token), made_at=now, expires_at=expires)
    return token


def user_of_token(token: str) -> User | None:
    """The active user of a token that still holds: one statement."""
    row = (
        ApiToken.objects.select_related("user")
        .filter(token_hash=codes.token_digest(token), revoked_at=None, expires_at__gt=datetime.now(UTC))
        .first()
    )
    return row.user if row and row.user.is_active else None


def revoke_tokens(*, user: User) -> None:
    """End every token of a user: at a log-out, and when the password changes."""
    ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=datetime.now(UTC))


# ---- second factor


def needs_second_factor(grants: Iterable[Grant]) -> bool:
    """Whether one of the roles held now asks for a second factor here (``DABAI_SECOND_FACTOR``, empty by default)."""
    wanted = {Role(name) for name in settings.SECOND_FACTOR_ROLES}
    return bool(wanted and wanted & roles_in_force(grants, None, clock.now()))


def awaits_second_factor(request: HttpRequest, grants: Iterable[Grant] | None = None) -> bool:
    """Whether this session's user still has to show a second factor before anything else."""
    user = request.user
    if not settings.SECOND_FACTOR_ROLES or not isinstance(user, User) or user.is_verified():  # type: ignore[attr-defined]
        return False
    return needs_second_factor(queries.grants_of(user) if grants is None else grants)


def second_factor_of(user: User) -> str:
    """``none`` needed, ``missing`` (to be set up now), or ``ask`` for the six digits."""
    if not needs_second_factor(queries.grants_of(user)):
        return "none"
    return "ask" if TOTPDevice.objects.filter(user=user, confirmed=True).exists() else "missing"


def begin_second_factor(*, user: User) -> str:
    """The ``otpauth:`` address of a new secret, for the QR code that an authenticator app reads.

    Refusal ``access.second_factor_set`` when one is in use: ``take_second_factor_away`` comes first.
    """
    if TOTPDevice.objects.filter(user=user, confirmed=True).exists():
        raise Refusal("access.second_factor_set")
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return str(TOTPDevice.objects.create(user=user, name="app", confirmed=False).config_url)


def confirm_second_factor(request: HttpRequest, digits: str) -> None:
    """Check the six digits; the first right ones also confirm a new secret.

    Refusals ``access.second_factor_wrong``, ``access.login_too_many``.
    """
    user = request.user
    if not isinstance(user, User):
        raise Refusal("access.login_wrong")
    if wait := SECOND_FACTOR.wait(user.username):
        raise Refusal("access.login_too_many", "digits", minutes=-(-wait // 60))
    device = TOTPDevice.objects.filter(user=user).order_by("-confirmed", "-pk").first()
    if device is None or not device.verify_token(digits.strip()):
        SECOND_FACTOR.add(user.username)
        raise Refusal("access.second_factor_wrong", "digits")
    if not device.confirmed:
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        record(by=user, action="account.second_factor_set", subject=f"user/{user.pk}")
    request.session.cycle_key()
    otp_login(request, device)


def take_second_factor_away(*, user: User, by: User | None, reason: str) -> None:
    """Let somebody who lost their phone set up a new secret. Refusals: ``access.own_account``, ``not_allowed``."""
    require_over(by, user)
    TOTPDevice.objects.filter(user=user).delete()
    record(by=by, action="account.second_factor_taken", subject=f"user/{user.pk}", reason=reason)
