"""``dabai keys``: change the key that an operation's personal data is sealed under, or the master key over all of them.

``rotate`` makes a new key and seals everything again; ``reseal`` goes on where that was stopped, and destroys old keys
that have rested; ``master`` wraps all keys under a new master key.
"""

import argparse
import sys
import time

from dabai.commands._installed import installation, tell_access

HELP = "rotate the data key of an operation and seal its data again, or change the master key"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["rotate", "reseal", "master"])
    parser.add_argument("operation", type=int, nargs="?", help="id of the operation (rotate, reseal)")


def run(args: argparse.Namespace) -> int:
    if args.action != "master" and args.operation is None:
        print(tell_access("keys_operation"), file=sys.stderr)
        return 2
    with installation():
        if args.action == "master":
            return change_master()
        if args.action == "rotate":
            rotate(args.operation)
        reseal(args.operation)
    return 0


def change_master() -> int:
    """Wrap all keys under a new master key."""
    from dabai.access.sunset import change_master_key

    changed = change_master_key(by=None)
    print(tell_access("keys_master" if changed else "keys_master_env"))
    return 0 if changed else 1


def rotate(operation: int) -> None:
    """Make a new key."""
    from dabai.access.reseal import rotate_key

    print(tell_access("keys_rotated", operation=operation, number=rotate_key(operation=operation, by=None).number))


def reseal(operation: int) -> None:
    """Seal again what older keys have sealed, with a line that moves; then destroy the keys that have rested."""
    from dabai.access import reseal as sealing

    began = time.monotonic()

    def moved(rows: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{rows:,}", end="", file=sys.stderr, flush=True)

    rows = sealing.reseal(operation=operation, by=None, on_batch=moved)
    print(tell_access("keys_resealed", rows=rows, seconds=round(time.monotonic() - began, 1)))
    retired = sealing.retire_keys(operation=operation, by=None)
    if retired.destroyed:
        print(tell_access("keys_destroyed", numbers=", ".join(map(str, retired.destroyed))))
    if retired.waiting:
        minutes = -(-int(retired.wait.total_seconds()) // 60)
        numbers = ", ".join(map(str, retired.waiting))
        print(tell_access("keys_waiting", numbers=numbers, minutes=max(minutes, 0), operation=operation))
