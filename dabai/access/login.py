"""Logging in: a password for a session or for a token of a user's own scripts.

Guessing is slowed down per name in each web process, without a write to the database. A token is 256 random bits of
which only the digest is kept; it lives a working day, and dies with its account, its password or a log-out. Its life
is counted by the machine's clock, like a session's: a drill's clock may run a thousand times as fast.
"""

from datetime import UTC, datetime, timedelta

from django.contrib.auth.hashers import check_password, make_password

from dabai.access import codes
from dabai.access.actions import record
from dabai.access.limits import Failures
from dabai.access.models import ApiToken, User
from dabai.kernel.refusal import Refusal

TOKEN_HOURS = 12
failures = Failures(limit=6, seconds=60)


def log_in(*, username: str, password: str) -> User:
    """The user of a name and password. Refusals: ``access.login_wrong``, ``access.login_too_many`` (wait a minute)."""
    name = username.strip().lower()[:40]
    if "\0" in name or "\0" in password:
        raise Refusal("access.login_wrong", "username")
    if failures.wait(name):
        raise Refusal("access.login_too_many", "username")
    user = User.objects.filter(username=name, is_active=True).first()
    # A name that does not exist costs as much time as a wrong password, so that names can't be found by a clock.
    stored = user.password if user and user.has_usable_password() else make_password("-")
    if not check_password(password, stored) or user is None:
        failures.add(name)
        if user is not None:
            record(by=None, action="login.failed", subject=f"user/{user.pk}")
        raise Refusal("access.login_wrong", "password")
    failures.clear(name)
    record(by=user, action="login.done", subject=f"user/{user.pk}")
    return user


def new_api_token(*, user: User) -> str:
    """A token for the user's scripts, for half a day. It is returned once; its digest is kept."""
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
