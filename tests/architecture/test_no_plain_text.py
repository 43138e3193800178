"""Nothing personal lies in the clear: not in a dump, not in the database's files, its write-ahead log or its log.

A process of its own lets the cast pass through every door for people on a throwaway database (``write_cast.py``); then
everything that is on disk is searched for their names, numbers and phones.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dabai.commands.postgres import client_environment, embedded_binaries, temporary_cluster
from dabai.testkit.cast import PARTS, number_of

HERE = Path(__file__).parent


def needles() -> dict[str, bytes]:
    """What must not be found, as UTF-8 and as the hex in which a dump writes binary columns."""
    words = [name for _, _, name in PARTS.values()]
    words += [number_of(place) for place in range(1, len(PARTS) + 1)]
    words += [f"199000{place:05}" for place in range(1, len(PARTS) + 1)]
    plain = {word: word.encode() for word in words}
    return plain | {f"{word} (hex)": word.encode().hex().encode() for word in words}


def found_in(data: bytes) -> list[str]:
    return [word for word, needle in needles().items() if needle in data]


def files_of(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.fixture(scope="module")
def traces(tmp_path_factory) -> dict[str, bytes]:
    """Everything that the story left on disk, by name."""
    data = tmp_path_factory.mktemp("data")
    with temporary_cluster() as cluster:
        environment = os.environ | {"DATABASE_URL": cluster.url, "DABAI_DATA": str(data)}
        story = subprocess.run(
            [sys.executable, str(HERE / "write_cast.py")], env=environment, capture_output=True, check=False
        )
        assert story.returncode == 0, story.stderr.decode()[-2000:]
        dump = subprocess.run(
            [embedded_binaries() / "pg_dump"],
            env=environment | client_environment(cluster.url),
            capture_output=True,
            check=True,
        )
        cluster.stop()
        left = {str(path): path.read_bytes() for path in (*files_of(cluster.folder), *files_of(data))}
    return left | {"dump": dump.stdout, "output": story.stdout + story.stderr}


def test_the_story_was_told(traces):
    people = traces["dump"].decode().split("COPY public.people_person ")[1].split("\\.")[0]
    assert people.count("\n") > 2 * len(PARTS)
    assert any("pg_wal" in name for name in traces)
    assert any(name.endswith("postgres.log") for name in traces)


def test_the_search_finds_what_is_there(traces):
    assert found_in("演周宁".encode() + number_of(1).encode()) == ["演周宁", number_of(1)]
    assert "周护士".encode() in traces["dump"]


def test_no_name_number_or_phone_is_found_anywhere(traces):
    assert {name: words for name, data in traces.items() if (words := found_in(data))} == {}
