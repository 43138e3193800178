"""What `dabai doctor` finds: each fault is made for real, and the verdict must name it."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from dabai.commands import doctor, main
from dabai.commands._authority import Authority
from dabai.commands._folder import heartbeat_file, make_folders, only_one, secret_file, state_file
from dabai.commands.doctor import OK, WARN, WRONG, Finding, Place
from dabai.commands.postgres import create_database, with_database
from dabai.kernel.words import LANGUAGES


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A well-kept data folder where nothing is served, and a free port."""
    monkeypatch.delenv("DABAI_MASTER_KEY", raising=False)
    folder = tmp_path / "data"
    make_folders(folder, None)
    secret_file(folder / "keys" / "master.key")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Place(folder, "127.0.0.1", port)


@pytest.fixture
def empty_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database without tables."""
    base = os.environ["DATABASE_URL"]
    name = f"doctor_{os.getpid()}"
    monkeypatch.setenv("DATABASE_URL", create_database(base, name))
    yield os.environ["DATABASE_URL"]
    with psycopg.connect(with_database(base, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def verdict(finding: Finding) -> tuple[str, str]:
    return finding.verdict, finding.code


def test_a_well_kept_folder(place: Place) -> None:
    assert verdict(doctor.folder(place)) == (OK, "fine")
    assert verdict(doctor.folder(Place(place.folder / "none", "", 0))) == (WARN, "absent")


def test_a_folder_or_a_key_that_others_may_read(place: Place) -> None:
    (place.folder / "keys" / "master.key").chmod(0o640)
    found = doctor.folder(place)
    assert verdict(found) == (WRONG, "exposed")
    assert "master.key" in found.todo("en")
    place.folder.chmod(0o755)
    assert verdict(doctor.folder(place)) == (WRONG, "open")


@pytest.mark.parametrize(("free", "expected"), [(100, (OK, "fine")), (3, (WARN, "low")), (0.5, (WRONG, "full"))])
def test_the_disk(place: Place, free: float, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=int(free * doctor.GIB))
    monkeypatch.setattr("dabai.commands.doctor.shutil.disk_usage", lambda _: usage)
    assert verdict(doctor.disk(place)) == expected


def test_the_programs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert doctor.binaries(place).verdict == OK
    (place.folder / "postgres").mkdir()
    (place.folder / "postgres" / "PG_VERSION").write_text("9\n")
    assert verdict(doctor.binaries(place)) == (WRONG, "no_such_version")


def test_a_database_that_answers(place: Place) -> None:
    assert verdict(doctor.database(place)) == (OK, "fine")


def test_a_database_that_does_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://dabai@/dabai?host={place.folder}/run")
    monkeypatch.delenv("DABAI_EMBEDDED", raising=False)
    assert verdict(doctor.database(place)) == (WRONG, "unreachable")
    assert verdict(doctor.migrations(place)) == (WARN, "unknown")
    monkeypatch.setenv("DABAI_EMBEDDED", "1")
    assert verdict(doctor.database(place)) == (WRONG, "stopped")
    monkeypatch.delenv("DATABASE_URL")
    assert verdict(doctor.database(place)) == (WARN, "none")


@pytest.mark.django_db(transaction=True)
def test_tables_of_this_version(place: Place) -> None:
    assert verdict(doctor.migrations(place)) == (OK, "fine")


def test_keys_that_are_there_missing_or_not_yet_needed(place: Place, empty_database: str) -> None:
    assert verdict(doctor.keys(place)) == (OK, "fine")
    (place.folder / "keys" / "master.key").unlink()
    assert verdict(doctor.keys(place)) == (OK, "unused")
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE access_data_key AS SELECT 'x'::bytea AS wrapped")
    assert verdict(doctor.keys(place)) == (WRONG, "lost")


def test_certificates(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(doctor.tls(place)) == (OK, "none")
    authority = Authority(place.folder / "tls")
    authority.create("test", ["a.example"])
    found = doctor.tls(place)
    assert verdict(found) == (OK, "fine")
    assert "a.example" in found.what("zh")
    for days, expected in ((12.0, (WARN, "ending")), (-1.0, (WRONG, "ended"))):
        monkeypatch.setattr(doctor, "days_left", lambda _, days=days: days)
        assert verdict(doctor.tls(place)) == expected
    other = Authority(place.folder / "log")
    other.create("other", ["a.example"])
    other.key.rename(authority.key)
    assert verdict(doctor.tls(place)) == (WRONG, "unfit")


def test_clocks_that_are_apart(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "clock_is_synchronised", lambda: True)
    assert verdict(doctor.clock(place)) == (OK, "fine")
    monkeypatch.setattr(doctor, "clock_is_synchronised", lambda: False)
    assert verdict(doctor.clock(place)) == (WARN, "alone")
    monkeypatch.setattr(doctor, "SKEW_SECONDS", -1)
    assert verdict(doctor.clock(place)) == (WRONG, "apart")


def test_a_port_that_is_free_taken_or_ours(place: Place) -> None:
    assert verdict(doctor.port(place)) == (OK, "free")
    with socket.create_server((place.bind, place.port)):
        assert verdict(doctor.port(place)) == (WRONG, "taken")
    with only_one(place.folder):
        assert verdict(doctor.port(place)) == (WARN, "starting")
        state = {"url": f"http://127.0.0.1:{place.port}", "bind": "127.0.0.1", "port": place.port, "tls": False}
        state_file(place.folder).write_text(json.dumps(state))
        assert verdict(doctor.port(place)) == (WRONG, "silent")


def test_a_worker_that_has_fallen_silent(place: Place) -> None:
    assert verdict(doctor.worker(place)) == (WARN, "stopped")
    with only_one(place.folder):
        assert verdict(doctor.worker(place)) == (WRONG, "silent")
        heartbeat_file(place.folder).touch()
        assert verdict(doctor.worker(place)) == (OK, "fine")
        old = time.time() - 3600
        os.utime(heartbeat_file(place.folder), (old, old))
        assert verdict(doctor.worker(place)) == (WRONG, "silent")


def test_a_check_that_fails_is_a_finding_without_data(place: Place) -> None:
    def broken(_: Place) -> Finding:
        raise ValueError("a name that must not be shown")

    found = doctor._careful(broken, place)
    assert verdict(found) == (WRONG, "failed")
    assert "must not be shown" not in found.what("en") + found.todo("en")


def test_the_command(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DABAI_DATA", str(place.folder))
    monkeypatch.setenv("DATABASE_URL", f"postgresql://dabai@/dabai?host={place.folder}/run")
    (place.folder / "keys" / "master.key").chmod(0o644)
    assert main(["doctor", "--port", str(place.port), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [item["check"] for item in found] == [check.__name__ for check in doctor.CHECKS]
    for item in found:
        for lang in LANGUAGES:
            assert item[lang]["what"]
            assert "ops." not in item[lang]["what"] + item[lang]["do"]
            assert bool(item[lang]["do"]) == (item["verdict"] != OK)
    assert main(["doctor", "--port", str(place.port), "--lang", "zh"]) == 1
    text = capsys.readouterr().out
    assert "✗ 数据目录" in text
    assert "chmod go=" in text
