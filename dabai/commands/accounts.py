"""``dabai accounts FILE``: people, roles and devices of a district from one spreadsheet, and slips to print.

The columns are told in ``dabai.access.sheets``. The slips hold the only copy of codes and links: the file is readable
by its owner alone, and is to be deleted after printing.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dabai.commands import language
from dabai.commands._installed import installation, tell_access
from dabai.kernel.words import say_refusal

if TYPE_CHECKING:
    from dabai.access.sheets import SheetResult

HELP = "make accounts, roles and devices from a spreadsheet, and slips to print"
ERRORS_SHOWN = 200


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="CSV or XLSX; the columns: docs/howto/accounts.md")
    parser.add_argument(
        "--operation", type=int, help="id of the operation; without it roles hold in all, and no devices"
    )
    parser.add_argument("--slips", type=Path, default=Path("slips.html"), help="where to write the slips (slips.html)")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="how phones reach this installation")


def run(args: argparse.Namespace) -> int:
    with installation():
        from dabai.access.sheets import import_sheet

        began = time.monotonic()
        result = import_sheet(source=args.file, operation=args.operation, by=None)
        say_result(result, time.monotonic() - began)
        if result.slips:
            write_slips(result, args.slips, args.base_url)
            print(tell_access("accounts_slips", path=args.slips))
    return 1 if result.count("refused") else 0


def say_result(result: "SheetResult", seconds: float) -> None:
    """Counts to the terminal, refused rows to standard error."""
    counts = {name: result.count(name) for name in ("created", "same", "refused")}
    print(tell_access("accounts_done", rows=len(result.rows), seconds=round(seconds, 1), **counts))
    refused = [(row.number, row.reason) for row in result.rows if row.reason]
    for number, reason in refused[:ERRORS_SHOWN]:
        sentence = say_refusal(reason, language())
        print(tell_access("accounts_row", row=number, field=reason.field or "-", reason=sentence), file=sys.stderr)


def write_slips(result: "SheetResult", path: Path, base_url: str) -> None:
    """Write the printable page, for its owner's eyes only."""
    from dabai.access.slips import page

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.writelines(page(result.slips, base_url, language()))
