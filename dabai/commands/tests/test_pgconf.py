"""What the embedded PostgreSQL is told."""

from pathlib import Path

from dabai.commands._pgconf import GIB, MIB, memory_bytes, settings_text, sizes


def megabytes(text: str) -> int:
    assert text.endswith("MB")
    return int(text[:-2])


def test_a_district_server_of_24_gib() -> None:
    found = sizes(24 * GIB, 80 * GIB)
    assert found["shared_buffers"] == "6144MB"
    assert found["max_wal_size"] == "4096MB"
    assert found["work_mem"] == "48MB"


def test_memory_is_never_overcommitted_and_never_starved() -> None:
    for memory in (256 * MIB, GIB, 4 * GIB, 24 * GIB, 512 * GIB):
        found = {name: megabytes(value) for name, value in sizes(memory, 80 * GIB).items()}
        assert 128 <= found["shared_buffers"] <= 8192
        assert 4 <= found["work_mem"] <= 64
        assert found["maintenance_work_mem"] <= 1024


def test_a_small_disk_is_not_filled_with_wal() -> None:
    assert megabytes(sizes(24 * GIB, 8 * GIB)["max_wal_size"]) == 1024
    assert megabytes(sizes(24 * GIB, GIB // 2)["max_wal_size"]) == 256


def test_a_district_is_durable_and_a_throwaway_is_not(tmp_path: Path) -> None:
    district = settings_text(data=tmp_path, sockets=tmp_path, durable=True)
    for line in (
        "fsync = on",
        "synchronous_commit = on",
        "full_page_writes = on",
        "listen_addresses = ''",
        "jit = off",
    ):
        assert line in district
    assert "fsync = off" in settings_text(data=tmp_path, sockets=tmp_path, durable=False)


def test_a_quote_in_the_path_stays_inside_its_value(tmp_path: Path) -> None:
    text = settings_text(data=tmp_path, sockets=Path("/tmp/it's"), durable=True)
    assert "unix_socket_directories = '/tmp/it''s'" in text


def test_memory_is_known() -> None:
    assert memory_bytes() > 64 * MIB
