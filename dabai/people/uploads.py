"""Uploaded lists on disk, encrypted, so that an import can go on after a crash and no name ever lies there in clear.

A file is a head and blocks of equal size, each sealed under the operation's key. The associated data binds a block to
its import, its place and the size of the whole: blocks can't be swapped, dropped or added. Reading can seek, as
workbooks need. After a sunset the key is gone, and with it every upload in every backup.
"""

import hashlib
import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag

from dabai.access.keys import NONCE, TAG, KeyRing
from dabai.kernel.refusal import Refusal

BLOCK = 2**18
HEAD = struct.Struct(">8sHQ")
MAGIC = b"DABAIUP1"


class Stored(NamedTuple):
    """What was kept: SHA-256 and size of the clear file, and how many line ends it has."""

    digest: bytes
    size: int
    lines: int


def associated(ring: KeyRing, row: UUID, index: int, size: int) -> bytes:
    """What a block is bound to."""
    return ring.bound("people_import", "file", row) + struct.pack(">QQ", index, size)


def blocks_of(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Pieces of any size as blocks of ``BLOCK`` bytes, the last one shorter."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= BLOCK:
            yield bytes(held[:BLOCK])
            del held[:BLOCK]
    if held:
        yield bytes(held)


def keep(path: Path, pieces: Iterable[bytes], size: int, ring: KeyRing, row: UUID) -> Stored:
    """Write an upload of ``size`` bytes, encrypted, mode 0600. ``people.upload_cut`` when fewer or more bytes came."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, seen, lines, cipher = hashlib.sha256(), 0, 0, ring.ciphers[ring.current]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(HEAD.pack(MAGIC, ring.current, size))
        for index, block in enumerate(blocks_of(pieces)):
            digest.update(block)
            seen, lines = seen + len(block), lines + block.count(b"\n")
            nonce = os.urandom(NONCE)
            file.write(nonce + cipher.encrypt(nonce, block, associated(ring, row, index, size)))
        file.flush()
        os.fsync(file.fileno())
    if seen != size:
        path.unlink()
        raise Refusal("people.upload_cut", "file")
    return Stored(digest.digest(), size, lines)


class KeptFile(io.RawIOBase):
    """A kept upload, read in clear. ``people.upload_spoilt`` when a block was changed."""

    def __init__(self, path: Path, ring: KeyRing, row: UUID) -> None:
        super().__init__()
        self.file = path.open("rb")
        magic, key, self.size = HEAD.unpack(self.file.read(HEAD.size).ljust(HEAD.size, b"\0"))
        if magic != MAGIC:
            raise Refusal("people.upload_spoilt", "file")
        if key not in ring.ciphers:
            raise Refusal("access.key_destroyed")
        self.ring, self.row, self.cipher = ring, row, ring.ciphers[key]
        self.place, self.index, self.block = 0, -1, b""

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def seekable(self) -> bool:
        """Any place can be gone to."""
        return True

    def tell(self) -> int:
        """The place in the clear file."""
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the clear file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        self.place = max(0, base + offset)
        return self.place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as the present block goes."""
        if self.place >= self.size:
            return 0
        start = self.place % BLOCK
        part = self.opened(self.place // BLOCK)[start : start + len(buffer)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)

    def opened(self, index: int) -> bytes:
        """One block in clear; the last one is remembered."""
        if index != self.index:
            self.file.seek(HEAD.size + index * (NONCE + BLOCK + TAG))
            sealed = self.file.read(NONCE + BLOCK + TAG)
            bound = associated(self.ring, self.row, index, self.size)
            try:
                self.block = self.cipher.decrypt(sealed[:NONCE], sealed[NONCE:], bound)
            except InvalidTag:
                raise Refusal("people.upload_spoilt", "file") from None
            self.index = index
        return self.block

    def close(self) -> None:
        """Close the file beneath."""
        self.file.close()
        super().close()


def open_kept(path: Path, ring: KeyRing, row: UUID) -> io.BufferedReader:
    """A kept upload as a binary file that can be rewound."""
    return io.BufferedReader(KeptFile(path, ring, row), BLOCK)
