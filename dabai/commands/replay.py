"""`dabai replay NAME`: do again what a district did, through the public interfaces, and compare."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dabai.commands._folder import temporary_folder, unprivileged
from dabai.commands._replay import (
    Bar,
    GivenServer,
    OwnServer,
    ReplayTrouble,
    free_port,
    own_server,
    scenario_folder,
    show,
    tell,
)
from dabai.testkit.replay.drive import SABOTAGES, Replay
from dabai.testkit.replay.scenario import Scenario, ScenarioError, load
from dabai.testkit.replay.senders import Sabotage
from dabai.testkit.replay.wire import Refused, Unreachable

HELP = "replay a scenario through the public interfaces and compare with what was published"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a folder of scenarios/, or a path")
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="people scale, points do not (0.01 to 1)")
    parser.add_argument(
        "--rate", type=float, metavar="X", help="drill seconds per second (default: what the machine bears)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    spoil = "spoil one thing on its way in: the replay must fail; repeat for several"
    parser.add_argument("--sabotage", action="append", default=[], choices=SABOTAGES, help=spoil)
    parser.add_argument("--keep", action="store_true", help="keep the data folder of the replay's own server")
    parser.add_argument("--url", metavar="URL", help="an empty server on a drill clock, instead of one of our own")
    parser.add_argument("--first-admin", metavar="TOKEN", help="with --url: the link that it printed, or its token")


def run(args: argparse.Namespace) -> int:
    scenario = read_scenario(args.name, args.scale, args.rate)
    bar = Bar()
    with server_for(args) as server:
        try:
            verdict = Replay(scenario, server, bar, Sabotage(*args.sabotage)).run()
        except (ScenarioError, Refused, Unreachable) as problem:
            raise ReplayTrouble("failed", problem=problem) from problem
        finally:
            bar.end()
    if args.json:
        print(json.dumps(verdict.as_dict(), ensure_ascii=False))
    else:
        show(verdict)
    return 0 if verdict.ok else 1


def read_scenario(name: str, scale: float, rate: float | None) -> Scenario:
    try:
        return load(scenario_folder(name), scale, rate)
    except ScenarioError as problem:
        raise ReplayTrouble("failed", problem=problem) from problem


@contextmanager
def server_for(args: argparse.Namespace) -> Iterator[GivenServer | OwnServer]:
    """The server that was named, or one of our own in a new folder."""
    if args.url:
        if not args.first_admin:
            raise ReplayTrouble("first_admin_missing")
        yield GivenServer(args.url.rstrip("/"), args.first_admin)
        return
    folder = temporary_folder(unprivileged())
    try:
        with own_server(folder, free_port(), keep=args.keep, steady=args.rate is not None) as server:
            yield server
    finally:
        if args.keep:
            print(tell("kept", folder=folder), file=sys.stderr)
