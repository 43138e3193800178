"""Lists of residents: a million from a CSV file, a hundred thousand from a workbook."""

import json
import os
import subprocess
import sys

from dabai.commands.postgres import create_database
from tests.load.figure import Figure
from tests.load.installation import migrate
from tests.load.stage import Stage

MOST_MB = 500


def import_list(stage: Stage, rows: int, *, xlsx: bool) -> dict[str, float]:
    """Import a generated list into a database of its own, in a process of its own: seconds for each step, megabytes."""
    url = create_database(stage.place.url, "lists")
    migrate(url)
    argv = [sys.executable, "-m", "tests.load.import_residents", "--rows", str(rows), *(["--xlsx"] if xlsx else [])]
    stage.place.checkpoint()
    done = subprocess.run(argv, env=os.environ | {"DATABASE_URL": url}, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    if found["counts"]["added"] != rows:  # type: ignore[index]
        raise SystemExit(f"only {found['counts']} of {rows} rows")
    return found


def csv_of_a_million(stage: Stage) -> list[Figure]:
    """Staged and committed, without the reviewer's time."""
    rows = 2_000 if stage.quick else 1_000_000
    found = import_list(stage, rows, xlsx=False)
    seconds = found["stage_s"] + found["commit_s"]
    detail = {name: found[name] for name in ("stage_s", "commit_s", "most_mb", "workers")}
    met = seconds <= 60 and found["most_mb"] <= MOST_MB
    return [Figure("import_csv_1m", seconds, "s", 60, met, detail=detail | {"rows": rows, "target_mb": MOST_MB})]


def workbook(stage: Stage) -> list[Figure]:
    """What a workbook costs in memory."""
    rows = 500 if stage.quick else 100_000
    found = import_list(stage, rows, xlsx=True)
    detail = {name: found[name] for name in ("stage_s", "commit_s", "workers")}
    most = found["most_mb"]
    return [Figure("import_xlsx_100k", most, "MB", MOST_MB, most <= MOST_MB, detail=detail | {"rows": rows})]
