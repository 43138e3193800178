"""What lies in ``deploy/``: a backup that restores, keys that can be destroyed, units that name real options."""

import os
import shlex
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from dabai.commands import parser_for
from dabai.commands._folder import CHECKOUT, embedded_url, only_one, temporary_folder, unprivileged
from dabai.commands.postgres import cluster_in, database_up

DEPLOY = CHECKOUT / "deploy"
TABLES = """
    CREATE TABLE access_data_key (operation integer, number smallint, wrapped bytea);
    CREATE TABLE sample (id integer PRIMARY KEY, sealed bytea);
    INSERT INTO access_data_key VALUES (1, 1, 'wrapped-key-of-operation-1'), (2, 1, 'wrapped-key-of-operation-2');
    INSERT INTO sample SELECT n, sha256(n::text::bytea) FROM generate_series(1, 1000) n;
"""


@dataclass
class Installation:
    """A data folder with its own embedded cluster, and the scripts run on it."""

    folder: Path

    def run(self, script: str, *arguments: Path, **env: str) -> subprocess.CompletedProcess[str]:
        ours = ("DATABASE_URL", "DABAI_EMBEDDED", "DABAI_MASTER_KEY")
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        launcher = self.folder.parent / "dabai"
        launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dabai.commands "$@"\n')
        launcher.chmod(0o755)
        return subprocess.run(
            [DEPLOY / script, *arguments],
            env=kept | {"DABAI": str(launcher), "DABAI_DATA": str(self.folder), "DABAI_LANG": "en"} | env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def ask(self, *queries: str) -> list[tuple[object, ...]]:
        with database_up(self.folder) as url, psycopg.connect(url, autocommit=True) as connection:
            for query in queries[:-1]:
                connection.execute(query.encode())
            return connection.execute(queries[-1].encode()).fetchall()


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "DABAI_EMBEDDED"):
        monkeypatch.delenv(name, raising=False)
    found = temporary_folder(unprivileged())
    found.chmod(0o755)
    yield found
    subprocess.run(["rm", "-rf", str(found)], check=True)


@pytest.fixture
def installation(base: Path) -> Installation:
    found = Installation(base / "data")
    found.ask(TABLES, "SELECT 1")
    (found.folder / "keys" / "master.key").write_text("ab" * 32)
    (found.folder / "keys" / "master.key").chmod(0o600)
    return found


def backup(installation: Installation, base: Path) -> tuple[Path, Path]:
    done = installation.run("backup", base / "backups", base / "medium")
    assert done.returncode == 0, done.stderr
    return max((base / "backups").glob("*.dump")), base / "medium" / "dabai-keys.tar"


def test_a_backup_restores_on_a_new_machine(installation: Installation, base: Path) -> None:
    dump, keys = backup(installation, base)
    for path in (dump, keys):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    new = Installation(base / "new")
    done = new.run("restore", dump, keys)
    assert done.returncode == 0, done.stderr
    assert new.ask("SELECT count(*), min(id), max(id) FROM sample") == [(1000, 1, 1000)]
    assert new.ask("SELECT bool_and(sealed = sha256(id::text::bytea)) FROM sample") == [(True,)]
    assert new.ask("SELECT operation FROM access_data_key ORDER BY 1") == [(1,), (2,)]
    master = new.folder / "keys" / "master.key"
    assert master.read_text() == "ab" * 32
    assert stat.S_IMODE(master.stat().st_mode) == 0o600


def test_a_restore_keeps_what_was_there(installation: Installation, base: Path) -> None:
    dump, keys = backup(installation, base)
    installation.ask("DELETE FROM sample", "SELECT 1")
    assert installation.run("restore", dump, keys).returncode == 0
    assert installation.ask("SELECT count(*) FROM sample") == [(1000,)]
    names = {str(row[0]) for row in installation.ask("SELECT datname FROM pg_database")}
    assert len([name for name in names if name.startswith("dabai_before_")]) == 1


def test_dumps_hold_no_key_and_destroyed_keys_are_gone_from_the_medium(installation: Installation, base: Path) -> None:
    first, keys = backup(installation, base)
    assert b"wrapped-key" not in first.read_bytes()
    url = embedded_url(installation.folder)
    assert url
    assert "7772617070" in _keys_text(keys)
    installation.ask("UPDATE access_data_key SET wrapped = NULL WHERE operation = 1", "SELECT 1")
    _, keys = backup(installation, base)
    text = _keys_text(keys)
    assert b"wrapped-key-of-operation-1".hex() not in text
    assert b"wrapped-key-of-operation-2".hex() in text
    assert sorted(path.name for path in keys.parent.iterdir()) == ["dabai-keys.tar"]


def _keys_text(keys: Path) -> str:
    with tarfile.open(keys) as tar:
        file = tar.extractfile("./data-keys.sql")
        assert file
        return file.read().decode()


def test_old_dumps_make_room(installation: Installation, base: Path) -> None:
    (base / "backups").mkdir()
    for day in range(1, 6):
        (base / "backups" / f"dabai-2022010{day}T000000Z.dump").touch()
    done = installation.run("backup", base / "backups", base / "medium", KEEP="2")
    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in (base / "backups").iterdir())
    assert len(kept) == 2
    assert kept[0] == "dabai-20220105T000000Z.dump"


def test_another_master_key_is_a_reason_to_refuse(installation: Installation, base: Path) -> None:
    dump, keys = backup(installation, base)
    (installation.folder / "keys" / "master.key").write_text("cd" * 32)
    done = installation.run("restore", dump, keys)
    assert done.returncode == 1
    assert "another master key" in done.stderr
    assert (installation.folder / "keys" / "master.key").read_text() == "cd" * 32


def test_a_database_in_use_is_not_replaced(installation: Installation, base: Path) -> None:
    dump, keys = backup(installation, base)
    cluster = cluster_in(installation.folder)
    with only_one(installation.folder):
        cluster.start()
        try:
            with psycopg.connect(cluster.url):
                done = installation.run("restore", dump, keys)
        finally:
            cluster.stop()
    assert done.returncode == 1
    assert "in use" in done.stderr


@pytest.mark.parametrize("script", ["backup", "restore"])
def test_without_arguments_a_script_says_how_it_is_used(base: Path, script: str) -> None:
    done = Installation(base / "data").run(script)
    assert done.returncode == 2
    assert f"deploy/{script}" in done.stderr
    assert not (base / "data").exists()


# ---- units


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / name)
    return parser


def test_the_service_starts_what_exists() -> None:
    service = unit("dabai.service")["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/.venv/bin/dabai")
    args = parser_for(words).parse_args(words)
    assert args.bind == "0.0.0.0"
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 60 + 25 + 20, "longer than our own stop takes at most"


def test_the_backup_unit_starts_what_exists() -> None:
    program, *words = shlex.split(unit("dabai-backup.service")["Service"]["ExecStart"])
    assert (CHECKOUT / Path(program).relative_to("/opt/dabai")).is_file()
    assert len(words) == 2
    assert unit("dabai-backup.timer")["Timer"]["OnCalendar"]


def test_the_container_starts_what_exists() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    words = next(line for line in lines if line.startswith("CMD")).removeprefix("CMD ")
    assert parser_for(["serve"]).parse_args([word.strip('[]", ') for word in words.split(",")]).bind == "0.0.0.0"


def test_scripts_are_sound() -> None:
    for script in ("backup", "restore", "test-system", "field-app"):
        assert os.access(DEPLOY / script, os.X_OK)
        subprocess.run(["bash", "-n", DEPLOY / script], check=True)
