"""Nobody's name, number, phone or home is found in a table, in the files of the database, in a log or in an answer.

The cast lives through a round in a database of its own (``personal_story``); then everything that is left of it is
searched: every table as text, every file of the stopped server (tables, indexes, write-ahead log, its own log), every
file of the data folder, and whatever the product wrote or answered. Not only in clear: in hexadecimal, base64, other
encodings, and as a hash that anybody could make again from a list of numbers.
"""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing

from dabai.commands.postgres import temporary_cluster
from dabai.testkit.cast import PARTS, number_of
from dabai.testkit.database import MASTER_KEY
from tests.architecture.personal_story import HOMES

ROOT = Path(__file__).resolve().parents[2]


def secrets() -> list[str]:
    """What must never be found: of each of the cast, name, number, phone and home."""
    every = []
    for place, (_, _, name) in enumerate(PARTS.values(), start=1):
        every += [name, number_of(place), f"199000{place:05}", HOMES.format(place - 1)]
    return every


def forms(secret: str) -> Iterator[bytes]:
    """A text in the forms in which programs write text down."""
    plain = secret.encode()
    yield from (plain, secret.encode("utf-16-le"), plain.hex().encode())
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        yield coded[4 if shift else 0 : -4]


def rarer_forms(secret: str) -> Iterator[bytes]:
    """Other encodings, and hashes that anybody could make again from a list of names or numbers."""
    plain = secret.encode()
    yield from (secret.encode("utf-16-be"), secret.encode("gb18030"), plain.hex().upper().encode())
    yield from (json.dumps(secret)[1:-1].encode(), quote(secret).encode())
    for method in ("md5", "sha1", "sha256"):
        digest = hashlib.new(method, plain).digest()
        yield from (digest[:12], digest.hex()[:24].encode())


def grouped(*every: Callable[[str], Iterator[bytes]]) -> dict[bytes, dict[bytes, str]]:
    """Forms by their beginning: most files are free of that already."""
    groups: dict[bytes, dict[bytes, str]] = {}
    for secret in secrets():
        for form in (form for make in every for form in make(secret)):
            groups.setdefault(form[:6], {})[form] = secret
    return groups


USUAL, EVERY = grouped(forms), grouped(forms, rarer_forms)


def found_in(content: bytes, groups: dict[bytes, dict[bytes, str]] = EVERY) -> set[str]:
    """Whose secrets a content holds."""
    near = [known for beginning, known in groups.items() if beginning in content]
    return {secret for known in near for form, secret in known.items() if form in content}


@dataclass(frozen=True)
class Remains:
    """Everything that is left of the story."""

    said: bytes
    tables: dict[str, bytes]
    files: dict[str, bytes]


def dump(url: str) -> dict[str, bytes]:
    """Every table as text; bytes as hexadecimal, and again as they are. Sessions are unpacked."""
    dumped = {}
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        for (name,) in names:
            rows = [row[0] for row in connection.execute(f'SELECT t::text FROM "{name}" t')]
            dumped[name] = "\n".join(rows).encode() + unhexed("\n".join(rows))
        sessions = connection.execute("SELECT session_data FROM django_session").fetchall()
        dumped["sessions"] = b"\n".join(unpacked(one) for (one,) in sessions)
    return dumped


def unhexed(text: str) -> bytes:
    """The bytes behind every ``\\x…`` of a dump."""
    return b"\n".join(bytes.fromhex(part[: len(part) // 2 * 2]) for part in re.findall(r"\\x([0-9a-f]+)", text))


def unpacked(session: str) -> bytes:
    """What a session holds."""
    salt = "django.contrib.sessions.SessionStore"
    held = signing.loads(session, key=KEY, salt=salt, serializer=JSONSerializer)
    return json.dumps(held, ensure_ascii=False).encode()


KEY = "of-a-test-only-0123456789"


@pytest.fixture(scope="module")
def remains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remains]:
    folder = tmp_path_factory.mktemp("data")
    with temporary_cluster() as cluster:
        (cluster.data / "local.conf").write_text("wal_compression = off\n")  # so that nothing hides in it
        os.kill(int((cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
        environment = os.environ | {
            "DATABASE_URL": cluster.url,
            "DABAI_DATA": str(folder),
            "DABAI_MASTER_KEY": MASTER_KEY,
            "DABAI_SECRET_KEY": KEY,
            "DJANGO_SETTINGS_MODULE": "dabai.settings",
            "DABAI_HOSTS": "testserver",
        }
        said, begun = b"", time.time()
        for program in ("dabai.commands migrate", "tests.architecture.personal_story"):
            argv = [sys.executable, "-m", *program.split()]
            done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, timeout=300)
            assert done.returncode == 0, done.stderr.decode()[-3000:]
            said += done.stdout + done.stderr
        tables = dump(cluster.url)
        cluster.stop()
        places = [path for top in (cluster.folder, folder) for path in sorted(top.rglob("*")) if path.is_file()]
        touched = [path for path in places if path.stat().st_mtime >= begun - 2]
        yield Remains(said, tables, {str(path): path.read_bytes() for path in touched})


def test_the_story_left_what_it_should(remains: Remains) -> None:
    """Else there would be nothing to find."""
    for table in ("people_person", "people_staged_row", "people_listed", "journal_kept", "people_correction"):
        assert remains.tables[table].count(b"\\x") > len(PARTS) // 2, table
    assert remains.tables["access_audit"].count(b"reveal") >= 4
    clear = "示例小区".encode()  # an estate, which is no secret: where it is found, a name would be
    for part in ("/pg_wal/", "/base/"):
        assert any(part in name and clear in content for name, content in remains.files.items()), part
    assert any(name.endswith(".log") for name in remains.files)
    assert remains.said.count(b"refused") > 100


def test_no_table_tells(remains: Remains) -> None:
    assert {name: found for name, content in remains.tables.items() if (found := found_in(content))} == {}


def test_no_file_tells(remains: Remains) -> None:
    """Nor does what PostgreSQL wrote ahead, kept of deleted rows, or logged; nor an upload on its way."""
    assert {name: found for name, content in remains.files.items() if (found := found_in(content, USUAL))} == {}


def test_no_answer_and_no_log_tells(remains: Remains) -> None:
    """A refusal names the field that is wrong, never what was in it."""
    assert found_in(remains.said) == set()


@pytest.mark.parametrize("form", range(6))
def test_what_tells_would_be_found(form: int) -> None:
    name = "演周宁"
    hidden = [
        name.encode(),
        f"\\x{name.encode().hex()}".encode(),
        base64.b64encode(b"x" + name.encode() + b"yz"),
        json.dumps({"q": name}).encode(),
        f"GET /search?q={quote(name)}".encode(),
        hashlib.sha256(name.encode()).digest(),
    ]
    assert found_in(b"before " + hidden[form] + b" after") == {name}
    assert unhexed(f'(1,2,"\\\\x{b"before".hex()}{name.encode().hex()}")') == b"before" + name.encode()
