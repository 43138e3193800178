"""`dabai serve`: everything that a district needs, from one command.

Order of the start: PostgreSQL (ours, or the one ``DATABASE_URL`` names), migrations, the worker, the web processes, and
with the local authority the page by which phones learn to trust it. The stop is the reverse, so no request finds its
database gone. A crash of any of them is mended; after a kill of this process itself nothing is left running.
"""

import argparse
import http.client
import ipaddress
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from dabai.commands import Trouble
from dabai.commands._authority import Authority, host_names
from dabai.commands._folder import data_folder, given_url, make_folders, only_one, secret_file, state_file, unprivileged
from dabai.commands._supervisor import Child, Supervisor, announce
from dabai.commands.postgres import OLDEST, QUIET_ENVIRONMENT, Cluster, cluster_in

HELP = "run everything: database, migrations, web, worker"
HEALTH = "/api/v1/health"
RECOVERY_SECONDS = 1800
REACH_SECONDS = 60


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDR", help="address to listen on (default: loopback)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="a name people reach it by; repeat")
    parser.add_argument("--web-processes", type=int, default=2, metavar="N")
    parser.add_argument("--web-threads", type=int, default=32, metavar="N", help="requests at once in each web process")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PKCS#8, PEM")
    local = "HTTPS with the local authority's certificate (default: where there is one and ADDR is not loopback)"
    parser.add_argument("--tls", action=argparse.BooleanOptionalAction, help=local)
    plain = "plain port where phones learn to trust the local authority (default 8080; 0: none)"
    parser.add_argument("--trust-port", type=int, default=8080, metavar="PORT", help=plain)
    parser.add_argument("--drill-clock", metavar="START[xRATE]", help="let the time of a drill run from START")
    parser.add_argument("--ready-file", type=Path, metavar="PATH", help="written once the web answers")


def run(args: argparse.Namespace) -> int:
    folder = data_folder()
    make_folders(folder, None if given_url() else unprivileged())
    certificate = tls_files(args, folder)
    with only_one(folder), ready_files([state_file(folder), args.ready_file]) as write_ready:
        check_port(args.bind, args.port)
        supervisor = Supervisor()
        with supervisor.hearing():
            env = environment(args, folder, certificate) | start_database(supervisor, folder)
            migrate(supervisor, env, base_url(args, certificate))
            supervisor.add(worker(env))
            supervisor.add(web(args, env, certificate))
            if certificate and certificate[0].parent == folder / "tls" and args.trust_port:
                supervisor.add(trust(args, env))
            wait_for_web(supervisor, args, certificate)
            url = base_url(args, certificate)
            tls = certificate is not None
            write_ready({"pid": os.getpid(), "url": url, "bind": args.bind, "port": args.port, "tls": tls})
            announce("serve.ready", url=url)
            supervisor.run(lambda: None)
    return 0


# ---- the database


def start_database(supervisor: Supervisor, folder: Path) -> dict[str, str]:
    """The environment of a database that answers: the given one once it is reached, or ours, which is started."""
    if url := given_url():
        if not supervisor.wait_for(lambda: _answers(url), seconds=REACH_SECONDS):
            raise Trouble("database_unreachable")
        check_server(url)
        return {"DATABASE_URL": url}
    cluster = cluster_in(folder)
    cluster.prepare()
    supervisor.add(postgres(cluster))
    if not supervisor.wait_for(cluster.is_ready, seconds=RECOVERY_SECONDS):
        raise Trouble("postgres_failed", program="postgres", log=cluster.log)
    return {"DATABASE_URL": cluster.url, "DABAI_EMBEDDED": "1"}


def postgres(cluster: Cluster) -> Child:
    """Our PostgreSQL. SIGINT is its fast shutdown, for us and for the kernel when we are gone."""
    return Child(
        name="postgres",
        argv=cluster.argv,
        env=QUIET_ENVIRONMENT,
        account=cluster.account,
        output=cluster.open_log,
        before=cluster.clear,
        stop_signal=signal.SIGINT,
        stop_seconds=60,
        death_signal=signal.SIGINT,
    )


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def check_server(url: str) -> None:
    """Refuse a server that is too old or whose database is not UTF-8."""
    with psycopg.connect(url) as connection:
        if connection.info.server_version < OLDEST * 10_000:
            raise Trouble("database_old", oldest=OLDEST, found=connection.info.server_version // 10_000)
        if connection.info.parameter_status("server_encoding") != "UTF8":
            raise Trouble("database_encoding")


# ---- the children


def dabai(*words: str) -> list[str]:
    return [sys.executable, "-m", "dabai.commands", *words]


def migrate(supervisor: Supervisor, env: dict[str, str], url: str) -> None:
    announce("serve.migrating")
    if supervisor.run_once(Child("migrations", dabai("migrate", "--base-url", url), env=env)) != 0:
        raise Trouble("migrate_failed")


def worker(env: dict[str, str]) -> Child:
    return Child("worker", dabai("worker"), env=env)


def web(args: argparse.Namespace, env: dict[str, str], certificate: tuple[Path, Path] | None) -> Child:
    argv = [sys.executable, "-m", "dabai.commands._web", "--bind", args.bind, "--port", str(args.port)]
    argv += ["--processes", str(args.web_processes), "--threads", str(args.web_threads)]
    if certificate:
        argv += ["--cert", str(certificate[0]), "--key", str(certificate[1])]
    return Child("web", argv, env=env, stop_seconds=25, reload_signal=signal.SIGHUP)


def trust(args: argparse.Namespace, env: dict[str, str]) -> Child:
    """The two pages that a phone needs before it can open the others, on a plain port."""
    argv = [sys.executable, "-m", "dabai.commands._web", "--application", "dabai.kernel.trust:application"]
    argv += ["--bind", args.bind, "--port", str(args.trust_port), "--processes", "1", "--threads", "4"]
    return Child("trust", argv, env=env)


def environment(args: argparse.Namespace, folder: Path, certificate: tuple[Path, Path] | None) -> dict[str, str]:
    """What every child is told."""
    secret_file(folder / "keys" / "django.key")
    env = dict(os.environ) | {"DABAI_DATA": str(folder)}
    if "DABAI_HOSTS" not in env:
        env["DABAI_HOSTS"] = ",".join(hosts(args, certificate))
    if certificate:
        env["DABAI_HTTPS"] = "1"
    env["DABAI_BASE_URL"] = base_url(args, certificate)
    if args.drill_clock:
        # All processes count from one real moment.
        env["DABAI_DRILL_CLOCK"] = args.drill_clock if "@" in args.drill_clock else f"{args.drill_clock}@{time.time()}"
    return env


# ---- names and TLS


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def hosts(args: argparse.Namespace, certificate: tuple[Path, Path] | None) -> list[str]:
    """The names under which requests are taken: those given, those of the certificate, and this machine itself."""
    names = [*args.host, *(host_names(certificate[0]) if certificate else []), args.bind]
    names += ["127.0.0.1", "localhost", "::1"]
    return list(dict.fromkeys(f"[{name}]" if ":" in name else name for name in names if name not in ("0.0.0.0", "::")))  # noqa: S104


def tls_files(args: argparse.Namespace, folder: Path) -> tuple[Path, Path] | None:
    """Certificate and key to serve with, or None for plain HTTP."""
    if (args.tls_cert is None) != (args.tls_key is None):
        raise Trouble("tls_both")
    if args.tls_cert:
        return args.tls_cert.resolve(), args.tls_key.resolve()
    authority = Authority(folder / "tls")
    wanted = args.tls if args.tls is not None else authority.exists() and not is_loopback(args.bind)
    if not wanted:
        if not is_loopback(args.bind):
            announce("serve.no_tls")
        return None
    if not authority.exists():
        raise Trouble("tls_none")
    if authority.renew_when_due():
        announce("serve.tls_renewed")
    return authority.certificate, authority.key


def base_url(args: argparse.Namespace, certificate: tuple[Path, Path] | None) -> str:
    """How a person reaches the desk."""
    name = hosts(args, certificate)[0]
    return f"{'https' if certificate else 'http'}://{name}:{args.port}"


# ---- the port and the first answer


def probe_address(bind: str) -> str:
    """Where this machine itself reaches what listens on ``bind``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104


def check_port(bind: str, port: int) -> None:
    """Refuse a port that somebody else listens on. Granian shares ports: it would get half of the requests."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((bind, port))
        except OSError as error:
            raise Trouble("port", bind=bind, port=port, reason=error.strerror) from None


def web_answers(bind: str, port: int, *, tls: bool, host: str) -> bool:
    """Whether the health address answers 200. The certificate is not checked: we ask ourselves, by number."""
    connection = http.client.HTTPConnection(probe_address(bind), port, timeout=5)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(probe_address(bind), port, timeout=5, context=context)
    try:
        connection.request("GET", HEALTH, headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for_web(supervisor: Supervisor, args: argparse.Namespace, certificate: tuple[Path, Path] | None) -> None:
    """Wait until the web answers, however long that takes; say so every minute."""
    host = hosts(args, certificate)[0]

    def answers() -> bool:
        return web_answers(args.bind, args.port, tls=certificate is not None, host=host)

    while not supervisor.wait_for(answers, seconds=60):
        announce("serve.slow")


@contextmanager
def ready_files(wanted: list[Path | None]) -> Iterator[Callable[[dict[str, object]], None]]:
    """A function that writes the files, each at once and whole; they are gone when we are."""
    paths = [path for path in wanted if path]

    def write(content: dict[str, object]) -> None:
        for path in paths:
            new = path.with_name(path.name + ".new")
            new.write_text(json.dumps(content))
            new.rename(path)

    def remove() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    remove()
    try:
        yield write
    finally:
        remove()
