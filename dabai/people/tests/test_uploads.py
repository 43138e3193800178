"""A kept upload reads like the file that it was, and not at all once a byte of it was changed."""

import os
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from dabai.access.keys import FIELDS, NONCE, TAG, KeyRing
from dabai.kernel.refusal import Refusal
from dabai.people import uploads

ROW = UUID(int=7)
CONTENT = bytes(range(256)) * 3000


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing(1, 1, {1: AESGCM(b"k" * 32)}, {name: os.urandom(32) for name in FIELDS})


@pytest.fixture
def kept(tmp_path: Path, keys: KeyRing) -> Path:
    path = tmp_path / "folder" / "list.sealed"
    pieces = [CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000)]
    stored = uploads.keep(path, pieces, len(CONTENT), keys, ROW)
    assert (stored.size, stored.lines) == (len(CONTENT), 3000)
    return path


def test_it_reads_like_the_file(kept: Path, keys: KeyRing) -> None:
    with uploads.open_kept(kept, keys, ROW) as file:
        assert file.read() == CONTENT
        assert file.seek(0, 2) == len(CONTENT)
        assert file.read() == b""
        file.seek(256)
        assert file.read(3) == b"\0\1\2"
        file.seek(-1, 1)
        assert file.readline() == b"\2\3\4\5\6\7\10\11\n"


@settings(max_examples=30)
@given(places=st.lists(st.tuples(st.integers(0, len(CONTENT) + 5), st.integers(0, 600_000)), max_size=5))
def test_any_place_can_be_read(tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]]) -> None:
    keys = KeyRing(1, 1, {1: AESGCM(b"k" * 32)}, {})
    path = tmp_path_factory.getbasetemp() / "any.sealed"
    if not path.exists():
        uploads.keep(path, [CONTENT], len(CONTENT), keys, ROW)
    with uploads.open_kept(path, keys, ROW) as file:
        for place, length in places:
            file.seek(place)
            assert file.read(length) == CONTENT[place : place + length]


def test_a_changed_byte_is_noticed(kept: Path, keys: KeyRing) -> None:
    content = bytearray(kept.read_bytes())
    content[-5] ^= 1
    kept.write_bytes(content)
    with uploads.open_kept(kept, keys, ROW) as file, pytest.raises(Refusal) as refused:
        file.read()
    assert refused.value.code == "people.upload_spoilt"


def test_blocks_cannot_be_swapped_dropped_or_lent(kept: Path, keys: KeyRing) -> None:
    whole = kept.read_bytes()
    head, step = uploads.HEAD.size, NONCE + uploads.BLOCK + TAG
    first, second = whole[head : head + step], whole[head + step : head + 2 * step]
    for changed in (second + first, second, first):
        kept.write_bytes(whole[:head] + changed + whole[head + 2 * step :])
        with uploads.open_kept(kept, keys, ROW) as file, pytest.raises(Refusal):
            file.read()
    kept.write_bytes(whole)
    with uploads.open_kept(kept, keys, UUID(int=8)) as file, pytest.raises(Refusal):
        file.read()


def test_what_is_no_kept_file_or_whose_key_is_gone(kept: Path, keys: KeyRing, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x")
    with pytest.raises(Refusal) as refused:
        uploads.open_kept(tmp_path / "other", keys, ROW)
    assert refused.value.code == "people.upload_spoilt"
    with pytest.raises(Refusal) as refused:
        uploads.open_kept(kept, KeyRing(1, 2, {2: AESGCM(b"j" * 32)}, {}), ROW)
    assert refused.value.code == "access.key_destroyed"


@pytest.mark.parametrize("size", [1, len(CONTENT) + 1])
def test_an_upload_of_another_size_is_not_kept(tmp_path: Path, keys: KeyRing, size: int) -> None:
    with pytest.raises(Refusal) as refused:
        uploads.keep(tmp_path / "cut", [CONTENT], size, keys, ROW)
    assert refused.value.code == "people.upload_cut"
    assert not (tmp_path / "cut").exists()
