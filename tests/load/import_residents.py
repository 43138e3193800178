"""Measure an import of residents: stage and commit a generated list, print one JSON line with times and memory.

    DATABASE_URL=… .venv/bin/python -m tests.load.import_residents --rows 200000 [--workers 2] [--xlsx] [--again]

It makes a drill of its own in the database that it is given and takes it away afterwards. Memory is the sum of the
resident sets of this process and its helpers (what they share counted twice), at its highest.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import django


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--xlsx", action="store_true", help="a workbook instead of a CSV file")
    parser.add_argument("--again", action="store_true", help="import the same list a second time")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dabai.settings")
    os.environ.setdefault("DABAI_MASTER_KEY", "5a" * 32)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DABAI_DATA"] = folder
        django.setup()
        sys.stdout.write(json.dumps(measure(Path(folder), arguments), ensure_ascii=False) + "\n")
    return 0


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make the list, import it (twice if asked), and forget it again."""
    from dabai.people.models import Person
    from dabai.testkit.district import make_operation
    from dabai.testkit.residents import write_residents

    if Person.objects.exists():
        raise SystemExit("There are people in this database; give it an empty one.")
    drill = make_operation()
    path = folder / ("list.xlsx" if arguments.xlsx else "list.csv")
    if arguments.xlsx:
        write_workbook(path, arguments.rows, drill.communities)
    else:
        write_residents(path, arguments.rows, drill.communities)
    answer: dict[str, Any] = {"rows": arguments.rows, "bytes": path.stat().st_size, "workers": arguments.workers}
    try:
        with Memory() as memory:
            answer |= run(drill, path, arguments.workers)
            if arguments.again:
                answer["again"] = run(drill, path, arguments.workers)
        answer |= {"most_mb": round(memory.most / 2**20), "python": sys.version.split()[0]}
    finally:
        forget(drill)
    return answer


def run(drill: Any, path: Path, workers: int) -> dict[str, Any]:
    """One import from upload to tidied tables: seconds for each step."""
    from django.db import connection

    from dabai.people import imports
    from dabai.people.actions import accept_import, upload_list
    from dabai.people.models import Import

    times = {}
    cpu = processor_seconds()
    start = time.perf_counter()
    with path.open("rb") as file:
        found = upload_list(
            by=None, operation=drill.id, district=drill.district, purpose="residents", label="load", area="340602",
            file_name=path.name, pieces=iter(lambda: file.read(2**20), b""), size=path.stat().st_size,
        )  # fmt: skip
    times["upload_s"] = time.perf_counter() - start
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    start = time.perf_counter()
    imports.stage(found.pk, workers=workers)
    times["stage_s"] = time.perf_counter() - start
    accept_import(by=None, import_id=found.pk)
    start = time.perf_counter()
    imports.commit(found.pk)
    times["commit_s"] = time.perf_counter() - start
    times["python_cpu_s"] = processor_seconds() - cpu
    counts = Import.objects.get(pk=found.pk).counts
    return {name: round(value, 2) for name, value in times.items()} | {"counts": counts}


def processor_seconds() -> float:
    """What this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def write_workbook(path: Path, rows: int, communities: list[str]) -> None:
    """The list as a workbook."""
    from openpyxl import Workbook

    from dabai.testkit.residents import HEADER, resident_rows

    book = Workbook(write_only=True)
    sheet = book.create_sheet("居民")
    sheet.append(HEADER)
    for row in resident_rows(rows, communities):
        sheet.append(row)
    book.save(path)


def forget(drill: Any) -> None:
    """Take the drill's people away."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE people_person, people_household, people_staged_row, people_import")
        cursor.execute(
            "DELETE FROM places_station USING places_site s WHERE s.id = site_id AND operation = %s", [drill.id]
        )
        cursor.execute("DELETE FROM places_site WHERE operation = %s", [drill.id])
        cursor.execute("DELETE FROM protocols_operation WHERE id = %s", [drill.id])
        cursor.execute("DELETE FROM access_data_key WHERE operation = %s", [drill.id])


class Memory(threading.Thread):
    """Watches how much memory this process and its children hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0, threading.Event()

    def __enter__(self) -> "Memory":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        """Look four times a second."""
        while not self.ended.wait(0.25):
            self.most = max(self.most, sum(map(resident, family(os.getpid()))))


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(child) for child in path.read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


def resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
