"""A throwaway installation to load: PostgreSQL as ``dabai serve`` sets it up, web processes, the worker."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import django
import psycopg

from dabai.commands._process import spawn
from dabai.commands.postgres import create_database, temporary_cluster
from dabai.commands.serve import web_answers

WEB_PROCESSES = 2
WEB_THREADS = 32
APPLICATION = "dabai.wsgi:application"


@dataclass
class Installation:
    """The database's address, the data folder, and what runs."""

    url: str
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @contextmanager
    def web(self, application: str = APPLICATION) -> Iterator[int]:
        """The port of web processes as ``dabai serve`` starts them."""
        port = free_port()
        argv = ["-m", "dabai.commands._web", "--application", application, "--bind", "127.0.0.1", "--port", str(port)]
        argv += ["--processes", str(WEB_PROCESSES), "--threads", str(WEB_THREADS)]
        with self.child("web", argv) as process:
            end = time.monotonic() + 60
            while not web_answers("127.0.0.1", port, tls=False, host=f"127.0.0.1:{port}"):
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"the web processes do not answer:\n{self.log('web').read_text()[-2000:]}")
                time.sleep(0.1)
            yield port

    @contextmanager
    def worker(self) -> Iterator[None]:
        """The worker, while it is wanted."""
        with self.child("worker", ["-m", "dabai.commands", "worker"]):
            yield

    @contextmanager
    def child(self, name: str, argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A Python process of ours, stopped at the end."""
        with self.log(name).open("ab") as log:
            process = spawn([sys.executable, *argv], env=os.environ, output=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, name: str) -> Path:
        """What a child says."""
        return self.folder / f"{name}.log"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of our own, committing each statement."""
        return psycopg.connect(self.url, autocommit=True)

    def checkpoint(self) -> None:
        """Write everything out, so that no measurement pays for what was done before it."""
        with self.connect() as connection:
            connection.execute("CHECKPOINT")


@contextmanager
def installation() -> Iterator[Installation]:
    """Start the database with fsync on and bring its tables up to date; Django of this process is pointed at it."""
    with temporary_cluster(durable=True) as cluster, tempfile.TemporaryDirectory(prefix="dabai-bench-") as name:
        (Path(name) / "keys").mkdir(mode=0o700)
        url = create_database(cluster.url, "bench")
        os.environ |= {"DATABASE_URL": url, "DABAI_DATA": name, "DJANGO_SETTINGS_MODULE": "dabai.settings"}
        os.environ |= {"DABAI_MASTER_KEY": os.urandom(32).hex(), "DABAI_SECRET_KEY": os.urandom(32).hex()}
        os.environ.pop("DABAI_EMBEDDED", None)
        django.setup()
        migrate(url)
        yield Installation(url, Path(name))


def migrate(url: str) -> None:
    """Bring the tables of a database up to date."""
    argv = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    subprocess.run(argv, env=os.environ | {"DATABASE_URL": url}, check=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
