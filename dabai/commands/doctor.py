"""`dabai doctor`: what is wrong with this installation, and what to do about it.

It only looks: it starts nothing, repairs nothing, and each check stands alone, so that a broken database does not hide
a full disk. Texts are ``ops.doctor.<check>.<code>`` and, where something should be done, ``…_do``.
"""

import argparse
import ctypes
import json
import os
import shutil
import stat
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from dabai.commands import Trouble, language
from dabai.commands._authority import RENEW_DAYS, Authority, days_left, host_names, key_fits
from dabai.commands._folder import (
    account_of,
    can_reach,
    data_folder,
    given_url,
    heartbeat_file,
    is_served,
    state_file,
    unprivileged,
)
from dabai.commands.postgres import OLDEST, embedded_binaries, version_of
from dabai.commands.serve import check_port, web_answers
from dabai.kernel.words import LANGUAGES, say

HELP = "say what is wrong with this installation and what to do about it"
OK, WARN, WRONG = "ok", "warn", "wrong"
SIGNS = {OK: "✓", WARN: "!", WRONG: "✗"}
GIB = 2**30
SILENT_SECONDS = 60
SKEW_SECONDS = 2
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


@dataclass(frozen=True)
class Finding:
    """The verdict of one check. ``code`` and ``params`` choose and fill its texts."""

    check: str
    verdict: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def what(self, lang: str) -> str:
        return say(f"ops.doctor.{self.check}.{self.code}", lang, **self.params)

    def todo(self, lang: str) -> str:
        """What to do; empty where nothing needs doing."""
        return "" if self.verdict == OK else say(f"ops.doctor.{self.check}.{self.code}_do", lang, **self.params)


@dataclass(frozen=True)
class Place:
    """What is examined."""

    folder: Path
    bind: str
    port: int

    @property
    def state(self) -> dict[str, Any] | None:
        """What a running `dabai serve` says it listens on; None when none runs here."""
        if not is_served(self.folder):
            return None
        try:
            found: dict[str, Any] = json.loads(state_file(self.folder).read_text())
        except (OSError, ValueError):
            return {}
        return found


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="both languages, for programs")
    parser.add_argument("--lang", choices=LANGUAGES, help="zh or en (default: the terminal's)")
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDR")
    parser.add_argument("--port", type=int, default=8000)


def run(args: argparse.Namespace) -> int:
    findings = examine(Place(data_folder(), args.bind, args.port))
    if args.json:
        print(json.dumps([as_json(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        print("\n".join(line for finding in findings for line in lines(finding, args.lang or language())))
    return 1 if any(finding.verdict == WRONG for finding in findings) else 0


def lines(finding: Finding, lang: str) -> list[str]:
    """How one finding reads on a terminal."""
    first = f"{SIGNS[finding.verdict]} {say(f'ops.doctor.{finding.check}.name', lang)}: {finding.what(lang)}"
    todo = finding.todo(lang)
    return [first, f"    → {todo}"] if todo else [first]


def as_json(finding: Finding) -> dict[str, Any]:
    texts = {lang: {"what": finding.what(lang), "do": finding.todo(lang)} for lang in LANGUAGES}
    return {"check": finding.check, "verdict": finding.verdict, "code": finding.code, **texts}


def examine(place: Place) -> list[Finding]:
    """Every check in the order of the causes: what stands first may explain what follows."""
    return [_careful(check, place) for check in CHECKS]


def _careful(check: Callable[[Place], Finding], place: Place) -> Finding:
    """A check that itself fails is a finding too. Only the kind of the error is told: its text may hold data."""
    try:
        return check(place)
    except Exception as error:
        return Finding("doctor", WRONG, "failed", {"check": check.__name__, "error": type(error).__name__})


# ---- the checks


def python(_: Place) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return Finding("python", WARN, "slow", {"version": version})
    return Finding("python", OK, "fine", {"version": version})


def folder(place: Place) -> Finding:
    """Ownership and modes of the data folder and of every key in it."""
    params = {"folder": str(place.folder)}
    if not place.folder.exists():
        return Finding("folder", WARN, "absent", params)
    status = place.folder.stat()
    if status.st_uid != os.geteuid():
        return Finding("folder", WRONG, "foreign", params)
    if status.st_mode & (0o066 if os.geteuid() == 0 else 0o077):
        return Finding("folder", WRONG, "open", params)
    if exposed := exposed_files(place.folder):
        return Finding("folder", WRONG, "exposed", {"file": str(exposed[0])})
    account = account_of(place.folder / "postgres") if given_url() is None else None
    return Finding(
        "folder", OK, "account" if account else "fine", params | {"account": account.name if account else ""}
    )


def exposed_files(folder: Path) -> list[Path]:
    """Secrets that others than their owner may read."""
    secrets = [*folder.glob("keys"), *folder.glob("keys/*"), *folder.glob("tls/*.key"), *folder.glob("run")]
    return [path for path in secrets if stat.S_IMODE(path.stat().st_mode) & 0o077]


def disk(place: Place) -> Finding:
    here = next(path for path in (place.folder, *place.folder.parents) if path.exists())
    free = shutil.disk_usage(here).free / GIB
    verdict, code = (WRONG, "full") if free < 1 else (WARN, "low") if free < 5 else (OK, "fine")
    return Finding("disk", verdict, code, {"folder": str(here), "free": round(free, 1)})


def binaries(place: Place) -> Finding:
    """The embedded PostgreSQL's programs, and whether its account gets to them."""
    if given_url():
        return Finding("binaries", OK, "given")
    version_file = place.folder / "postgres" / "PG_VERSION"
    major = int(version_file.read_text()) if version_file.is_file() else None
    try:
        found = embedded_binaries(major)
        account = unprivileged()
    except Trouble as trouble:
        return Finding("binaries", WRONG, trouble.key, trouble.params)
    return Finding("binaries", OK, "fine" if can_reach(account, found) else "copied", {"version": version_of(found)})


def database(place: Place) -> Finding:
    """Whether the database answers and is new enough."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        return Finding("database", WARN, "none", {"folder": str(place.folder)})
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version, encoding = connection.info.server_version, connection.info.parameter_status("server_encoding")
    except psycopg.OperationalError:
        return Finding("database", WRONG, "unreachable" if given_url() else "stopped")
    params = {"version": f"{version // 10_000}.{version % 10_000}", "oldest": OLDEST, "encoding": encoding}
    if version < OLDEST * 10_000:
        return Finding("database", WRONG, "old", params)
    return (
        Finding("database", OK, "fine", params) if encoding == "UTF8" else Finding("database", WRONG, "coded", params)
    )


def migrations(_: Place) -> Finding:
    """Whether the tables are those of this version."""
    if not _database_answers():
        return Finding("migrations", WARN, "unknown")
    import django
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    django.setup()
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    connection.close()
    return (
        Finding("migrations", WRONG, "pending", {"count": len(pending)})
        if pending
        else Finding("migrations", OK, "fine")
    )


def keys(place: Place) -> Finding:
    """The master key: without it nothing personal in the database can be read again."""
    if os.environ.get("DABAI_MASTER_KEY"):
        return Finding("keys", OK, "environment")
    if (place.folder / "keys" / "master.key").is_file():
        return Finding("keys", OK, "fine")
    wrapped = _database_answers() and _count_data_keys() > 0
    return Finding("keys", WRONG, "lost", {"folder": str(place.folder)}) if wrapped else Finding("keys", OK, "unused")


def tls(place: Place) -> Finding:
    """The local authority's server certificate."""
    authority = Authority(place.folder / "tls")
    if not authority.exists():
        return Finding("tls", OK, "none")
    days = int(days_left(authority.certificate))
    params = {"days": days, "hosts": ", ".join(host_names(authority.certificate))}
    if not key_fits(authority.certificate, authority.key):
        return Finding("tls", WRONG, "unfit", params)
    if days < 0:
        return Finding("tls", WRONG, "ended", params)
    return Finding("tls", WARN, "ending", params) if days < RENEW_DAYS else Finding("tls", OK, "fine", params)


def clock(_: Place) -> Finding:
    """The business zone, and the machine's clock against the database's and against its time source."""
    from django.conf import settings

    params: dict[str, Any] = {"zone": settings.TIME_ZONE}
    if _database_answers():
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        skew = abs((datetime.now(UTC) - row[0]).total_seconds()) if row else 0
        if skew > SKEW_SECONDS:
            return Finding("clock", WRONG, "apart", params | {"seconds": round(skew, 1)})
    return Finding(
        "clock", OK if clock_is_synchronised() else WARN, "fine" if clock_is_synchronised() else "alone", params
    )


def clock_is_synchronised() -> bool:
    """Whether the kernel knows its clock to be kept right by a time service."""
    return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) != TIME_ERROR)


def port(place: Place) -> Finding:
    """Whether the web answers; where nothing is served, whether the port is free for it."""
    state = place.state
    if state:
        params = {"url": state["url"]}
        host = state["url"].split("://")[1].rsplit(":", 1)[0]
        answers = web_answers(state["bind"], state["port"], tls=state["tls"], host=host)
        return Finding("port", OK, "answers", params) if answers else Finding("port", WRONG, "silent", params)
    if state is not None:
        return Finding("port", WARN, "starting")
    try:
        check_port(place.bind, place.port)
    except Trouble as trouble:
        return Finding("port", WRONG, "taken", trouble.params)
    return Finding("port", OK, "free", {"port": place.port})


def worker(place: Place) -> Finding:
    """Whether the worker has shown itself lately: without it figures stand still."""
    if place.state is None:
        return Finding("worker", WARN, "stopped")
    beat = heartbeat_file(place.folder)
    silent = int(time.time() - beat.stat().st_mtime) if beat.exists() else None
    if silent is None or silent > SILENT_SECONDS:
        return Finding("worker", WRONG, "silent", {"seconds": "∞" if silent is None else silent})
    return Finding("worker", OK, "fine", {"seconds": silent})


CHECKS = (python, folder, disk, binaries, database, migrations, keys, tls, clock, port, worker)


def _database_answers() -> bool:
    try:
        psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5).close()
    except (KeyError, psycopg.OperationalError):
        return False
    return True


def _count_data_keys() -> int:
    """Data keys that only the master key opens; none where the tables are not there yet."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        try:
            row = connection.execute("SELECT count(*) FROM access_data_key WHERE wrapped IS NOT NULL").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    return int(row[0]) if row else 0
