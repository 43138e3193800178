"""Brings the tables up to date, and on a new installation says how the first administrator gets in.

`dabai serve` runs it before anything else. A lock in the database lets only one of several machines do it at a time.
"""

import argparse
import os

import django
import psycopg
from django.core.management import call_command

from dabai.commands import Trouble, tell

HELP = "bring the database's tables up to date; on a new one, print the one-time link for the first administrator"
LOCK = "SELECT pg_advisory_lock(hashtext('dabai.migrate'))"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="how people reach the desk")


def run(args: argparse.Namespace) -> int:
    django.setup()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(LOCK)
        call_command("migrate", interactive=False, verbosity=0)
    check_drill_clock()
    say_first_link(args.base_url)
    return 0


def check_drill_clock() -> None:
    """A clock of its own is for drills only: refuse it on a database in which a real response is kept."""
    from dabai.kernel.clock import drill_clock
    from dabai.protocols.models import Operation, OperationKind

    if drill_clock() is not None and Operation.objects.exclude(kind=OperationKind.DRILL).exists():
        raise Trouble("serve.drill_clock_real")


def say_first_link(base_url: str) -> None:
    """Print the one-time link while nobody can log in yet."""
    from dabai.access.actions import first_admin_link

    if link := first_admin_link():
        print(tell("serve.first_admin", link=base_url.rstrip("/") + link if link.startswith("/") else link), flush=True)
