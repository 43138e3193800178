"""``dabai link [NAME]``: lets somebody in who has no password, or has forgotten it, without a mail server.

The link works once. Whoever may run this command on the machine could read its files as well, so nothing is asked.
"""

import argparse
import sys

from dabai.commands._installed import installation, tell_access

HELP = "make a one-time link for an account; without a name, for the first system administrator"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("username", nargs="?", help="the account's log-in name")
    parser.add_argument(
        "--base-url", default="http://127.0.0.1:8000", help="how people reach the desk; begins the link"
    )


def run(args: argparse.Namespace) -> int:
    with installation():
        found = link_for(args.username)
        if isinstance(found, str):
            print(found, file=sys.stderr)
            return 1
        path, hours = found
        print(tell_access("link_made", hours=hours, link=args.base_url.rstrip("/") + path))
    return 0


def link_for(username: str | None) -> tuple[str, int] | str:
    """The link's path and its hours, or why there is none."""
    from dabai.access import actions
    from dabai.access.models import User

    if username is None:
        path = actions.first_admin_link()
        return (path, actions.FIRST_ADMIN_HOURS) if path else tell_access("link_none")
    user = User.objects.filter(username=actions.read_username(username)).first()
    if user is None:
        return tell_access("link_no_user", username=username)
    purpose = "password" if user.has_usable_password() else "welcome"
    return actions.one_time_link(user=user, purpose=purpose, by=None), actions.LINK_HOURS[purpose]
