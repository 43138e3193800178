"""Encryption at rest and blind tokens.

Each operation has data keys, wrapped by the installation's master key (a file in the data folder, or ``DABAI_MASTER_KEY``).
A value is sealed with AES-256-GCM (SM4-GCM by setting) under a random nonce; the associated data binds it to operation,
table, column and row, so that a ciphertext moved elsewhere does not open. Tokens are HMACs under keys derived from the
operation's index root, one per field, so that equal values can be found but not read. Destroying the wrapped keys
destroys the data and the tokens' meaning, backups included.
"""

import hmac
import os
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from dabai.access.models import DataKey
from dabai.kernel.refusal import Refusal

NONCE = 12
TAG = 16
TOKEN = 16
CIPHERS = ("aes-256-gcm", "sm4-gcm")
FIELDS = ("number", "tail", "phone", "name", "address")


class Sm4Gcm:
    """SM4 in GCM with the interface of ``AESGCM``, for installations that must use the national algorithms."""

    def __init__(self, key: bytes) -> None:
        self.algorithm = algorithms.SM4(key[:16])

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Ciphertext with the tag appended."""
        encryptor = Cipher(self.algorithm, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated)
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """The plaintext; ``InvalidTag`` when anything was changed."""
        decryptor = Cipher(self.algorithm, modes.GCM(nonce, data[-TAG:])).decryptor()
        decryptor.authenticate_additional_data(associated)
        return decryptor.update(data[:-TAG]) + decryptor.finalize()


def aead(cipher: str, key: bytes) -> AESGCM | Sm4Gcm:
    """The cipher by its setting's name."""
    return AESGCM(key) if cipher == "aes-256-gcm" else Sm4Gcm(key)


def derive(root: bytes, label: str) -> bytes:
    """A 32-byte key for one purpose (HKDF-SHA256)."""
    return HKDF(SHA256(), 32, None, label.encode()).derive(root)


@cache
def master_key() -> bytes:
    """The installation's master key: ``DABAI_MASTER_KEY`` (64 hex digits) or ``keys/master.key`` in the data folder."""
    text = os.environ.get("DABAI_MASTER_KEY")
    if text:
        return bytes.fromhex(text)
    return read_or_make_secret(Path(settings.DATA_FOLDER) / "keys" / "master.key")


def read_or_make_secret(path: Path) -> bytes:
    """32 random bytes kept as hex in a file of mode 0600; made at first use, by exactly one of several processes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(32).hex())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return bytes.fromhex(path.read_text().strip())


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The open keys of one operation. ``current`` seals; every key that is not destroyed still opens."""

    operation: int
    current: int
    ciphers: dict[int, AESGCM | Sm4Gcm]
    index: dict[str, bytes]

    def seal(self, table: str, column: str, row: UUID, text: str | None) -> bytes | None:
        """Encrypt a value for one cell; None stays None."""
        if text is None:
            return None
        nonce = os.urandom(NONCE)
        return nonce + self.ciphers[self.current].encrypt(nonce, text.encode(), self.bound(table, column, row))

    def open(self, key: int, table: str, column: str, row: UUID, sealed: bytes | memoryview | None) -> str | None:
        """Decrypt a cell that was sealed under key number ``key``. Refusal ``access.key_destroyed`` once it is gone."""
        if sealed is None:
            return None
        if key not in self.ciphers:
            raise Refusal("access.key_destroyed")
        data = bytes(sealed)
        return self.ciphers[key].decrypt(data[:NONCE], data[NONCE:], self.bound(table, column, row)).decode()

    def bound(self, table: str, column: str, row: UUID) -> bytes:
        """What a ciphertext is bound to."""
        return f"{self.operation}|{table}|{column}|".encode() + row.bytes

    def token(self, field: str, normalised: str | None) -> bytes | None:
        """The blind token of a normalised value: 16 bytes, the same for the same value within the operation."""
        if not normalised:
            return None
        return hmac.digest(self.index[field], normalised.encode(), "sha256")[:TOKEN]


_rings: dict[int, KeyRing] = {}


def ring(operation: int) -> KeyRing:
    """The open key ring of an operation, remembered by this process. Refusal ``access.key_destroyed`` after its sunset."""
    found = _rings.get(operation)
    if found is None:
        found = _rings[operation] = open_ring(operation)
    return found


def open_ring(operation: int) -> KeyRing:
    """Read and unwrap the keys of an operation from the database."""
    rows = list(DataKey.objects.filter(operation=operation, wrapped__isnull=False).order_by("number"))
    if not rows:
        raise Refusal("access.key_destroyed")
    ciphers = {row.number: aead(row.cipher, unwrap(row, "wrapped")) for row in rows}
    root = unwrap(rows[0], "wrapped_index")
    return KeyRing(operation, rows[-1].number, ciphers, {field: derive(root, f"index/{field}") for field in FIELDS})


@dataclass(frozen=True, slots=True)
class CarriedKeys:
    """The keys of an operation on their way to a process of ours that only works for it; never written anywhere."""

    operation: int
    ciphers: dict[int, tuple[str, bytes]] = field(repr=False)
    index: dict[str, bytes] = field(repr=False)

    def ring(self) -> KeyRing:
        """The ring that they make."""
        ciphers = {number: aead(cipher, key) for number, (cipher, key) in self.ciphers.items()}
        return KeyRing(self.operation, max(ciphers), ciphers, self.index)


def carry_keys(operation: int) -> CarriedKeys:
    """What another process needs to seal and open values of this operation. ``access.key_destroyed`` after its sunset."""
    rows = list(DataKey.objects.filter(operation=operation, wrapped__isnull=False))
    ciphers = {row.number: (row.cipher, unwrap(row, "wrapped")) for row in rows}
    return CarriedKeys(operation, ciphers, ring(operation).index)


def forget_rings() -> None:
    """Drop remembered keys: after a rotation, after a sunset, and between tests."""
    _rings.clear()


def wrap(operation: int, number: int, column: str, key: bytes) -> bytes:
    """A key sealed under the master key, bound to its place."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(derive(master_key(), "wrap")).encrypt(nonce, key, f"{operation}|{number}|{column}".encode())


def unwrap(row: DataKey, column: str) -> bytes:
    """The key that ``wrap`` sealed."""
    sealed = bytes(getattr(row, column))
    associated = f"{row.operation}|{row.number}|{column}".encode()
    return AESGCM(derive(master_key(), "wrap")).decrypt(sealed[:NONCE], sealed[NONCE:], associated)


def make_key(operation: int) -> DataKey:
    """A new current key for an operation; the index root is made with the first one and carried over by a rotation."""
    rows = list(DataKey.objects.filter(operation=operation).order_by("number"))
    number = rows[-1].number + 1 if rows else 1
    root = unwrap(rows[0], "wrapped_index") if rows else os.urandom(32)
    row = DataKey.objects.create(
        operation=operation,
        number=number,
        cipher=settings.CIPHER,
        wrapped=wrap(operation, number, "wrapped", os.urandom(32)),
        wrapped_index=wrap(operation, number, "wrapped_index", root),
    )
    _rings.pop(operation, None)
    return row
