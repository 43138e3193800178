"""The command line: ``dabai COMMAND``.

A command is a module of this package whose name has no leading underscore, with ``HELP`` (one line),
``configure(parser)`` and ``run(args) -> exit code``. Only the module of the command that is run is imported, so that
``dabai doctor`` still works where Django, the settings or another command do not.
"""

import argparse
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from dabai.kernel.words import say


class Trouble(Exception):
    """Something that the person at the terminal can put right; its text is ``ops.<key>`` of the words catalogue."""

    def __init__(self, key: str, **params: Any) -> None:
        super().__init__(key)
        self.key, self.params = key, params

    def __str__(self) -> str:
        return tell(self.key, **self.params)


def language() -> str:
    """The language of the terminal: ``DABAI_LANG``, else Chinese where the locale is Chinese, else English."""
    for name in ("DABAI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.startswith("zh") else "en"
    return "en"


def tell(key: str, **params: Any) -> str:
    """The text ``ops.<key>`` in the language of the terminal."""
    return say(f"ops.{key}", language(), **params)


def names() -> list[str]:
    """Every command there is."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg and not m.name.startswith("_"))


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for this command line, knowing the named command only, or all of them when help is asked for."""
    parser = argparse.ArgumentParser(prog="dabai")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    known = names()
    wanted = argv[0].replace("-", "_") if argv else ""
    for name in [wanted] if wanted in known else known:
        module = import_module(f"{__name__}.{name}")
        command = commands.add_parser(name.replace("_", "-"), help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 1 and a line on standard error where it met trouble, 130 where it was interrupted."""
    from dabai.commands._folder import prepare_environment

    given = list(sys.argv[1:] if argv is None else argv)
    try:
        prepare_environment()
        args = parser_for(given).parse_args(given)
        return int(args.run(args) or 0)
    except Trouble as trouble:
        print(f"dabai: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
