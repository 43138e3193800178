"""``dabai sunset OPERATION``: the personal data of an operation that has ended can never be read again.

Done by an administrator before a witness, both named by their accounts; the certificate says what was destroyed, with
counts and a digest.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dabai.commands._installed import installation, tell_access

if TYPE_CHECKING:
    from dabai.access.models import User

HELP = "destroy the keys of an operation that has ended: its personal data can never be read again"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("operation", type=int, help="id of the operation")
    parser.add_argument("--by", required=True, help="log-in name of the administrator who does it")
    parser.add_argument("--witness", required=True, help="log-in name of the witness")
    parser.add_argument("--reason", required=True)
    parser.add_argument("--certificate", type=Path, default=Path("sunset.json"), help="where to write it (sunset.json)")
    parser.add_argument("--yes", action="store_true", help="do not ask for the operation's name")


def run(args: argparse.Namespace) -> int:
    with installation():
        from dabai.access.sunset import sunset

        by, witness = account(args.by), account(args.witness)
        if not args.yes and input(tell_access("sunset_confirm")).strip() != name_of(args.operation):
            print(tell_access("sunset_not_confirmed"), file=sys.stderr)
            return 1
        certificate = sunset(operation=args.operation, by=by, witness=witness, reason=args.reason)
        text = json.dumps(certificate.as_dict(), ensure_ascii=False, indent=2, sort_keys=True)
        args.certificate.write_text(text + "\n", encoding="utf-8")
        print(tell_access("sunset_done", path=args.certificate))
        if not certificate.master_key_changed:
            print(tell_access("sunset_backups_env"))
    return 0


def account(username: str) -> "User":
    """The account of a name; ends the command when there is none."""
    from dabai.access.models import User

    user = User.objects.filter(username=username.strip().lower(), is_active=True).first()
    if user is None:
        print(tell_access("link_no_user", username=username), file=sys.stderr)
        sys.exit(1)
    return user


def name_of(operation: int) -> str | None:
    """The operation's name, to be typed in."""
    from dabai.protocols.models import Operation

    found = Operation.objects.filter(pk=operation).first()
    return found.name if found else None
