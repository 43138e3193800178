"""`dabai demo`: the Duji drill of 13 March on a server of its own, which then stays up to be looked at."""

import argparse
import shutil
import time

from dabai.access.codes import shown
from dabai.access.slips import FIELD_APP
from dabai.commands import Trouble
from dabai.commands._folder import data_folder, is_served, make_folders, unprivileged
from dabai.commands._replay import Bar, OwnServer, ReplayTrouble, own_server, show, tell
from dabai.commands.replay import read_scenario
from dabai.commands.serve import check_port
from dabai.testkit import labels
from dabai.testkit.replay.drive import Replay
from dabai.testkit.replay.scenario import ScenarioError
from dabai.testkit.replay.senders import Sabotage
from dabai.testkit.replay.setting_up import Offices
from dabai.testkit.replay.verdict import Verdict
from dabai.testkit.replay.wire import Refused, Unreachable

HELP = "replay the Duji drill on a server of its own and leave it up"
SCENARIO = "duji-drill"
TO_SAMPLE = 12


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="people scale, points do not (0.01 to 1)")
    parser.add_argument("--rate", type=float, metavar="X", help="drill seconds per second (default: what is bearable)")
    parser.add_argument("--exit", action="store_true", help="stop the server when the bulletin is printed")


def run(args: argparse.Namespace) -> int:
    scenario = read_scenario(SCENARIO, args.scale, args.rate)
    check_port("127.0.0.1", args.port)
    folder = data_folder() / "demo"
    if is_served(folder):
        raise Trouble("already_running", folder=folder, pid=(folder / "serve.lock").read_text().strip() or "?")
    make_folders(data_folder(), unprivileged())
    shutil.rmtree(folder, ignore_errors=True)
    bar = Bar()
    with own_server(folder, args.port, keep=True, steady=args.rate is not None) as server:
        replay = Replay(scenario, server, bar, Sabotage())
        try:
            verdict = replay.run()
        except (ScenarioError, Refused, Unreachable) as problem:
            raise ReplayTrouble("failed", problem=problem) from problem
        finally:
            bar.end()
        assert replay.offices is not None
        present(verdict)
        if not args.exit:
            server.calm(replay.clock.now())
            invite(replay.offices, server)
            invite_to_the_field(replay.offices.operation, server)
            print(tell("demo_stay"), flush=True)
            stay(server)
    return 0 if verdict.ok else 1


def present(verdict: Verdict) -> None:
    """The bulletin, whether all agrees, and how long it took."""
    print(verdict.bulletins[0]["text_zh"], end="\n\n")
    show(verdict)
    seconds = verdict.counts["seconds"]
    before = sum(value for part, value in seconds.items() if part not in ("replay", "comparison"))
    print(tell("demo_seconds", set_up=f"{before:.0f}", replay=f"{seconds['replay']:.0f}"))


def invite(offices: Offices, server: OwnServer) -> None:
    """Where the desk is, and how to get in."""
    print(tell("demo_url", url=server.url))
    print(tell("demo_log_ins"))
    for account in offices.log_ins:
        role = tell("desk." + account.username.partition(".")[0])
        print(f"  {account.username:<10} {account.password}  {role}")


def invite_to_the_field(operation: int, server: OwnServer) -> None:
    """How to take ten samples with the field app, in a browser on this machine: a round to try it in, and what is
    printed on the things that one would hold in one's hands."""
    shift = server.run("dabai.testkit.shift", "join", str(operation))
    sheet = server.folder / "labels.html"
    sheet.write_text(labels.page(shift), encoding="utf-8")
    worker, code = shift["workers"]["sampler"], shift["codes"]["sampler"]
    print("\n" + tell("field_title"))
    print(tell("field_pair", url=f"{server.url}{FIELD_APP}{code}", code=shown(code)))
    print(tell("field_sign_on", login=worker["login"], pin=worker["pin"], site=shift["site"]["name"]))
    print(tell("field_tube", tubes="  ".join(shift["tubes"][:3])))
    print(tell("field_people"))
    for person in shift["people"][:TO_SAMPLE]:
        print(f"     {person['number']}  {person['name']}")
    print(tell("field_seal"))
    print(tell("field_labels", file=sheet) + "\n")


def stay(server: OwnServer) -> None:
    """Wait for Ctrl-C, or for the server to end."""
    try:
        while server.process is not None and server.process.poll() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        print(tell("demo_stopping"), flush=True)
