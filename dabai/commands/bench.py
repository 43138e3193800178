"""`dabai bench`: measure what the project promises, on a throwaway installation; one JSON line a figure.

The benchmark itself is ``tests/load`` and needs a checkout. What the figures mean: ``docs/howto/bench.md``.
"""

import argparse
import subprocess
import sys

from dabai.commands import Trouble
from dabai.commands._folder import CHECKOUT

HELP = "measure; one JSON line a figure (a checkout is needed; about half an hour for all of them)"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to measure; all of them if none is named")
    parser.add_argument("--quick", action="store_true", help="a district of 2,000 people: shows that the harness works")


def run(args: argparse.Namespace) -> int:
    if not (CHECKOUT / "tests" / "load").is_dir():
        raise Trouble("no_benchmark", folder=CHECKOUT)
    argv = [sys.executable, "-m", "tests.load", *args.names, *(["--quick"] if args.quick else [])]
    return subprocess.run(argv, cwd=CHECKOUT).returncode
