"""`dabai serve` as a district runs it: real processes, real kills, real TLS."""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from dabai.commands import Trouble, parser_for
from dabai.commands._authority import Authority
from dabai.commands._folder import embedded_url, make_folders, temporary_folder, unprivileged
from dabai.commands._process import processes_in
from dabai.commands.postgres import create_database, temporary_cluster
from dabai.commands.serve import check_port, check_server, hosts, tls_files

HEALTH = "/api/v1/health"
OURS = ("DATABASE_URL", "DABAI_EMBEDDED", "DABAI_DATA", "DABAI_HOSTS", "DABAI_MASTER_KEY", "DJANGO_SETTINGS_MODULE")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def until(condition: Callable[[], bool], seconds: float = 30, *, about: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, about
        time.sleep(0.05)


@dataclass
class Served:
    """A running `dabai serve`."""

    process: subprocess.Popen[str]
    folder: Path
    port: int
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    def pid(self, name: str) -> int:
        """The process last started under this name."""
        return int(re.findall(rf"{name} started \(process (\d+)\)", self.text)[-1])

    def get(self, path: str = HEALTH) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def answers(self) -> bool:
        return self.get() == 200

    def family(self) -> list[int]:
        """Every process that descends from it, PostgreSQL's included."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] != "Z":
                    parents.setdefault(int(fields[1]), []).append(int(entry.name))
        found, todo = [], [self.process.pid]
        while todo:
            children = parents.get(todo.pop(), [])
            found += children
            todo += children
        return found


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return kept | {"DABAI_DATA": str(folder), "DABAI_LANG": "en", "PYTHONUNBUFFERED": "1"} | more


@contextmanager
def serving(folder: Path, *options: str, **env: str) -> Iterator[Served]:
    port = free_port()
    log, ready = folder / "serve.log", folder / "ready.json"
    ready.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "dabai.commands", "serve", "--port", str(port), "--ready-file", str(ready), *options]
    with log.open("w") as output:
        process = subprocess.Popen(argv, env=environment(folder, **env), stdout=output, stderr=output, text=True)
    served = Served(process, folder, port, log)
    try:
        until(lambda: ready.exists() or process.poll() is not None, 60, about="it never became ready")
        assert process.poll() is None, served.text
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


@contextmanager
def new_folder() -> Iterator[Path]:
    """A data folder that the database's account can reach."""
    found = temporary_folder(unprivileged())
    make_folders(found, unprivileged())
    yield found
    subprocess.run(["rm", "-rf", str(found)], check=True)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A district that runs through all tests that ask for it; whatever they kill comes back."""
    with new_folder() as folder, serving(folder) as found:
        yield found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder for the tests that start and end a `dabai serve` of their own."""
    with new_folder() as found:
        yield found


# ---- one district on the embedded PostgreSQL


def test_it_is_ready_and_says_how_to_begin(served: Served) -> None:
    assert served.answers()
    found = json.loads((served.folder / "ready.json").read_text())
    assert found == json.loads((served.folder / "serve.json").read_text())
    assert found["url"] == f"http://127.0.0.1:{served.port}"
    assert found["pid"] == served.process.pid
    assert f"http://127.0.0.1:{served.port}/welcome/" in served.text


def test_the_password_stands_in_no_line_and_no_argument(served: Served) -> None:
    password = (served.folder / "keys" / "postgres.password").read_text()
    assert password not in served.text
    for pid in served.family():
        with suppress(OSError):
            assert password not in Path(f"/proc/{pid}/cmdline").read_text()


def test_a_second_one_is_refused(served: Served) -> None:
    argv = [sys.executable, "-m", "dabai.commands", "serve", "--port", str(free_port())]
    second = subprocess.run(argv, env=environment(served.folder), capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert str(served.process.pid) in second.stderr
    assert served.answers()


@pytest.mark.parametrize("name", ["web", "worker", "postgres"])
def test_the_kill_of_a_child_is_mended(served: Served, name: str) -> None:
    killed = served.pid(name)
    os.kill(killed, signal.SIGKILL)
    until(lambda: served.pid(name) != killed, about=f"{name} was not started again")
    until(served.answers, about=f"no answer after the kill of {name}")
    assert "Traceback" not in served.text or name == "postgres"


def test_the_kill_of_one_web_process_is_mended(served: Served) -> None:
    main = served.pid("web")
    one, *others = [pid for pid in served.family() if _parent(pid) == main]
    assert others
    os.kill(one, signal.SIGKILL)
    until(lambda: one not in served.family() and served.answers(), about="the other web process did not answer")
    until(lambda: len([pid for pid in served.family() if _parent(pid) == main]) > len(others), about="not replaced")


def test_the_kill_of_a_postgres_backend_is_mended(served: Served) -> None:
    """PostgreSQL restarts all its backends then: every connection of ours is cut."""
    url = embedded_url(served.folder)
    assert url
    with psycopg.connect(url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    until(served.answers, about="no answer after the kill of a backend")


def test_the_worker_works_again_after_its_database_was_gone(served: Served) -> None:
    beat = served.folder / "worker.heartbeat"
    since = time.time()
    until(lambda: beat.exists() and beat.stat().st_mtime > since, about="the worker's heart does not beat")


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


# ---- ends


def test_a_stop_is_clean_and_in_order(folder: Path) -> None:
    with serving(folder) as served:
        family = served.family()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(60) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)
    order = re.findall(r"(web|worker|postgres) stopped", served.text)
    assert order == ["web", "worker", "postgres"]
    assert "database system is shut down" in (folder / "log" / "postgres.log").read_text().splitlines()[-1]
    assert not (folder / "ready.json").exists()
    assert not (folder / "serve.json").exists()


def test_nothing_outlives_the_kill_of_all_and_the_next_start_recovers(folder: Path) -> None:
    with serving(folder) as first:
        family = first.family()
        assert len(family) > 8
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        until(lambda: not processes_in(folder / "postgres", "postgres"), about="PostgreSQL outlived its supervisor")
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), about="a child outlived its supervisor")
    with serving(folder) as second:
        assert second.answers()


def test_ctrl_c_while_it_starts(folder: Path) -> None:
    argv = [sys.executable, "-m", "dabai.commands", "serve", "--port", str(free_port())]
    process = subprocess.Popen(argv, env=environment(folder), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert "postgres started" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not processes_in(folder / "postgres", "postgres")


# ---- HTTPS by the local authority


def test_https_under_two_names_and_the_page_that_leads_there(folder: Path) -> None:
    authority = Authority(folder / "tls")
    authority.create("Duji local authority", ["dabai.duji.example", "second.duji.example"])
    trust_port = free_port()
    with serving(folder, "--tls", "--trust-port", str(trust_port)) as served:
        for host in ("dabai.duji.example", "second.duji.example"):
            assert over_tls(served.port, host, authority.ca) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            over_tls(served.port, "third.duji.example", authority.ca)
        old = over_tls(served.port, "dabai.duji.example", authority.ca, newest=ssl.TLSVersion.TLSv1_2)
        assert old == 200
        assert not served.answers()
        until(lambda: plain(trust_port, "/trust/")[0] == 200, about="the trust page does not answer")
        page = plain(trust_port, "/trust/")[1].decode()
        assert f"https://dabai.duji.example:{served.port}" in page
        assert plain(trust_port, "/trust/ca.crt")[0] == 200
        assert plain(trust_port, HEALTH)[0] == 404
        reload_web(served, authority)
    for name in ("ca.crt", "ca.key", "server.crt", "server.key"):
        (folder / "tls" / name).unlink()


def over_tls(port: int, host: str, ca: Path, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> int:
    """What a phone does that trusts ``ca`` and opens ``https://host/``: name, chain and dates are checked."""
    context = ssl.create_default_context(cafile=str(ca))
    context.maximum_version = newest
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        context.wrap_socket(sock, server_hostname=host) as secure,
    ):
        secure.sendall(f"GET {HEALTH} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        return int(secure.recv(100).split()[1])


def reload_web(served: Served, authority: Authority) -> None:
    """After `dabai tls renew`, a SIGHUP brings the new certificate into use."""
    authority.issue(["dabai.duji.example", "third.duji.example"])
    served.process.send_signal(signal.SIGHUP)

    def renewed() -> bool:
        try:
            return over_tls(served.port, "third.duji.example", authority.ca) > 0
        except (OSError, IndexError):
            return False

    until(renewed, about="the renewed certificate is not used")


def plain(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


# ---- somebody else's PostgreSQL


def test_the_server_that_database_url_names(folder: Path) -> None:
    """Debian's own PostgreSQL, where it is installed; else ours, reached as a stranger's would be."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    with temporary_cluster(installed[0] if installed else None) as cluster:
        url = create_database(cluster.url, "district")
        with serving(folder, DATABASE_URL=url) as served:
            assert served.answers()
            assert "postgres started" not in served.text
        assert cluster.is_ready()


def test_a_server_that_will_not_do() -> None:
    with temporary_cluster() as cluster:
        check_server(cluster.url)
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            make = "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
            connection.execute(make)
        with pytest.raises(Trouble) as trouble:
            check_server(cluster.url.replace("/dabai?", "/latin?"))
        assert trouble.value.key == "database_encoding"


# ---- choices made before anything starts


def options(*words: str) -> argparse.Namespace:
    return parser_for(["serve"]).parse_args(["serve", *words])


def test_a_port_in_use_is_refused_with_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(Trouble) as trouble:
        check_port("127.0.0.1", other.getsockname()[1])
    assert "--port" in str(trouble.value)


def test_https_is_the_default_where_phones_come_in(tmp_path: Path) -> None:
    everywhere = ("--bind", "0.0.0.0")
    assert tls_files(options(), tmp_path) is None
    for wrong in (("--tls",), ("--tls-cert", "x.pem")):
        with pytest.raises(Trouble):
            tls_files(options(*wrong), tmp_path)
    (tmp_path / "tls").mkdir()
    Authority(tmp_path / "tls").create("test", ["a.example"])
    assert tls_files(options(), tmp_path) is None
    assert tls_files(options(*everywhere, "--no-tls"), tmp_path) is None
    found = tls_files(options(*everywhere), tmp_path)
    assert found == (tmp_path / "tls" / "server.crt", tmp_path / "tls" / "server.key")
    names = ["b.example", "a.example", "127.0.0.1", "localhost", "[::1]"]
    assert hosts(options(*everywhere, "--host", "b.example"), found) == names
