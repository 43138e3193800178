"""For commands that work on this installation's tables: its database up, Django ready, refusals told as sentences."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dabai.commands import language
from dabai.commands._folder import data_folder, secret_file
from dabai.commands.postgres import database_up
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import say, say_refusal


@contextmanager
def installation() -> Iterator[None]:
    """Inside, models can be used: on the database that runs, or on one started for the time being.

    A refusal is printed in the language of the terminal and ends the command with 1.
    """
    folder = data_folder()
    with database_up(folder) as url:
        os.environ["DATABASE_URL"] = url
        # Digests of pairing codes are keyed with it: made here if no server has run yet.
        (folder / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_file(folder / "keys" / "django.key")
        import django

        django.setup()
        try:
            yield
        except Refusal as refusal:
            print(f"dabai: {say_refusal(refusal, language())}", file=sys.stderr)
            sys.exit(1)


def tell_access(key: str, **params: Any) -> str:
    """The text ``access.cli.<key>`` in the language of the terminal."""
    return say(f"access.cli.{key}", language(), **params)
