"""``dabai audit``: whether the audit log is whole: no row changed, none taken out (``dabai.access.chain``).

The head that it prints is worth writing down outside this machine: with ``--noted`` it also shows that nothing was cut
off the end since.
"""

import argparse
import sys

from dabai.commands._installed import installation, tell_access

HELP = "check that no row of the audit log was changed or taken out"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--noted", default="", metavar="HEAD", help="the head that an earlier run has printed")


def run(args: argparse.Namespace) -> int:
    with installation():
        from dabai.access import actions, chain

        actions.link_rows()
        verdict = chain.verify(args.noted)
        if not verdict.broken:
            print(tell_access("audit_fine", links=verdict.head.number, head=verdict.head))
            return 0
        print(tell_access("audit_broken", count=verdict.broken), file=sys.stderr)
        for one in verdict.breaks:
            print(tell_access(f"audit_{one.what}", number=one.number, entry=one.entry), file=sys.stderr)
    return 1
