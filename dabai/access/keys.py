"""Encryption at rest and blind tokens.

Each operation has data keys, wrapped by the installation's master key (a file, or ``DABAI_MASTER_KEY``).
A value is sealed with AES-256-GCM (SM4-GCM by setting) under a random nonce; the associated data binds it to operation,
table, column and row, so that a ciphertext moved elsewhere does not open. Tokens are HMACs under keys derived from the
operation's index root, one per field, so that equal values can be found but not read. Destroying the wrapped keys and
changing the master key destroys the data and the tokens' meaning, backups included (``dabai.access.sunset``).

What phones seal is sealed to the operation's *sealing key*, a key pair whose private half is wrapped in the same way:
see ``dabai.access.sealing``.

Every process remembers open keys for half a minute at most. A rotation is therefore seen everywhere within that time;
an old key opens what it sealed until ``dabai.access.reseal`` has sealed all of it again.
"""

import hashlib
import os
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import connection, transaction

from dabai.access.models import DataKey, DeviceSecret, SealingKey
from dabai.kernel.refusal import Refusal

NONCE = 12
TAG = 16
TOKEN = 16
CIPHERS = ("aes-256-gcm", "sm4-gcm")
FIELDS = ("number", "tail", "phone", "name", "address")
REMEMBER_SECONDS = 30.0
KEYS_LOCK = 7_344
CURVE = ec.SECP256R1()


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


def master_file() -> Path:
    """Where the master key lies when the environment does not give it."""
    return Path(settings.DATA_FOLDER) / "keys" / "master.key"


def master_keys() -> list[bytes]:
    """The master keys that may open a wrapped key, the current one first; a second one only while it is being changed.

    ``DABAI_MASTER_KEY`` (64 hex digits) with ``DABAI_MASTER_KEY_OLD``, or ``keys/master.key`` in the data folder, made
    at first use, with ``master.key.next``. Read anew each time: another process may have changed it.
    """
    given = [os.environ[name] for name in ("DABAI_MASTER_KEY", "DABAI_MASTER_KEY_OLD") if os.environ.get(name)]
    if given:
        return [bytes.fromhex(text) for text in given]
    coming = next_master_file()
    return [read_or_make_secret(master_file())] + ([read_or_make_secret(coming)] if coming.exists() else [])


def next_master_file() -> Path:
    """Where the next master key lies while wrapped keys are moved to it."""
    return master_file().with_suffix(".key.next")


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


@lru_cache(256)
def keyed(key: bytes) -> tuple[Any, Any]:
    """The two hashes of an HMAC-SHA256 (RFC 2104) that have taken in their key: half the time of taking it in again.

    A test compares the tokens with those of ``hmac``.
    """
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return hashlib.sha256(bytes(b ^ 0x36 for b in block)), hashlib.sha256(bytes(b ^ 0x5C for b in block))


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The open keys of one operation. ``current`` seals; every key that is not destroyed still opens."""

    operation: int
    current: int
    ciphers: dict[int, AESGCM | Sm4Gcm]
    index: dict[str, bytes]

    def seal(self, table: str, column: str, row: UUID, text: str | None) -> bytes | None:
        """Encrypt a value for one cell; None stays None."""
        return None if text is None else self.sealed(self.bound(table, column, row), text)

    def sealed(self, bound: bytes, text: str) -> bytes:
        """Encrypt a value that is bound to ``bound``: for writers of a million cells, who make that themselves."""
        nonce = os.urandom(NONCE)
        return nonce + self.ciphers[self.current].encrypt(nonce, text.encode(), bound)

    def open(self, key: int, table: str, column: str, row: UUID, sealed: bytes | memoryview | None) -> str | None:
        """Decrypt a cell that was sealed under key number ``key``. Refusal ``access.key_destroyed`` once it is gone."""
        if sealed is None:
            return None
        data = bytes(sealed)
        return self.cipher(key).decrypt(data[:NONCE], data[NONCE:], self.bound(table, column, row)).decode()

    def cipher(self, key: int) -> AESGCM | Sm4Gcm:
        """The cipher of a key; one that a rotation made after this ring was opened is looked up."""
        found = self.ciphers.get(key) or ring(self.operation, reread=True).ciphers.get(key)
        if found is None:
            raise Refusal("access.key_destroyed")
        return found

    def bound(self, table: str, column: str, row: UUID) -> bytes:
        """What a ciphertext is bound to."""
        return f"{self.operation}|{table}|{column}|".encode() + row.bytes

    def token(self, field: str, normalised: str | None) -> bytes | None:
        """The blind token of a normalised value: 16 bytes, the same for the same value within the operation."""
        if not normalised:
            return None
        inner, outer = (half.copy() for half in keyed(self.index[field]))
        inner.update(normalised.encode())
        outer.update(inner.digest())
        whole: bytes = outer.digest()
        return whole[:TOKEN]


_rings: dict[int, tuple[float, KeyRing]] = {}


def ring(operation: int, *, reread: bool = False) -> KeyRing:
    """The open key ring of an operation, remembered for half a minute. ``access.key_destroyed`` after its sunset."""
    found = _rings.get(operation)
    if found is None or reread or time.monotonic() - found[0] > REMEMBER_SECONDS:
        _rings.pop(operation, None)
        found = _rings[operation] = (time.monotonic(), open_ring(operation))
    return found[1]


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
    """What a process of ours needs to seal and open values of an operation. ``access.key_destroyed`` after sunset."""
    rows = list(DataKey.objects.filter(operation=operation, wrapped__isnull=False))
    ciphers = {row.number: (row.cipher, unwrap(row, "wrapped")) for row in rows}
    return CarriedKeys(operation, ciphers, ring(operation).index)


def forget_rings() -> None:
    """Drop remembered keys: after a rotation, after a sunset, and between tests."""
    _rings.clear()
    _sealing.clear()
    keyed.cache_clear()


def wrap(operation: int, number: int, column: str, key: bytes, master: bytes | None = None) -> bytes:
    """A key sealed under the master key, bound to its place."""
    nonce, associated = os.urandom(NONCE), f"{operation}|{number}|{column}".encode()
    return nonce + AESGCM(derive(master or master_keys()[0], "wrap")).encrypt(nonce, key, associated)


def unwrap(row: DataKey | SealingKey, column: str) -> bytes:
    """The key that ``wrap`` sealed. Refusal ``access.master_key_wrong`` when no master key at hand opens it."""
    sealed = bytes(getattr(row, column))
    associated = f"{row.operation}|{row.number}|{column}".encode()
    for master in master_keys():
        try:
            return AESGCM(derive(master, "wrap")).decrypt(sealed[:NONCE], sealed[NONCE:], associated)
        except InvalidTag:
            continue
    raise Refusal("access.master_key_wrong")


@transaction.atomic
def make_key(operation: int) -> DataKey:
    """A new current key for an operation; the index root is made with the first one and carried over by a rotation.

    Refusal ``access.key_destroyed`` after its sunset.
    """
    lock_keys()
    rows = list(DataKey.objects.filter(operation=operation).order_by("number"))
    alive = [row for row in rows if row.wrapped_index is not None]
    if rows and not alive:
        raise Refusal("access.key_destroyed")
    number = rows[-1].number + 1 if rows else 1
    root = unwrap(alive[0], "wrapped_index") if alive else os.urandom(32)
    row = DataKey.objects.create(
        operation=operation,
        number=number,
        cipher=settings.CIPHER,
        wrapped=wrap(operation, number, "wrapped", os.urandom(32)),
        wrapped_index=wrap(operation, number, "wrapped_index", root),
    )
    _rings.pop(operation, None)
    return row


def lock_keys() -> None:
    """Let nobody else make a key, or change the master key, until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [KEYS_LOCK])


# ---- sealing keys: key pairs to which phones seal their outbox


def point_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    """The public point of a key pair: raw, uncompressed, 65 bytes."""
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


Privates = dict[int, ec.EllipticCurvePrivateKey]
_sealing: dict[int, tuple[float, Privates]] = {}


def newest_sealing_key(operation: int) -> SealingKey:
    """The key pair that phones of an operation seal to; the first is made when it is asked for.

    Refusal ``access.key_destroyed`` after its sunset.
    """
    with transaction.atomic():
        found = SealingKey.objects.filter(operation=operation, retired_at=None, destroyed_at=None).last()
        if found is not None:
            return found
        lock_keys()
        found = SealingKey.objects.filter(operation=operation, retired_at=None, destroyed_at=None).last()
        return found or make_sealing_key(operation)


@transaction.atomic
def make_sealing_key(operation: int) -> SealingKey:
    """A new key pair for an operation, its private half wrapped. Refusal ``access.key_destroyed`` after its sunset."""
    lock_keys()
    if not DataKey.objects.filter(operation=operation, wrapped__isnull=False).exists():
        raise Refusal("access.key_destroyed")
    last = SealingKey.objects.filter(operation=operation).order_by("number").last()
    number, private = last.number + 1 if last else 1, ec.generate_private_key(CURVE)
    secret = private.private_numbers().private_value.to_bytes(32, "big")
    row = SealingKey.objects.create(
        operation=operation,
        number=number,
        public=point_of(private),
        wrapped_private=wrap(operation, number, "wrapped_private", secret),
    )
    _sealing.pop(operation, None)
    return row


def sealing_privates(operation: int, numbers: Collection[int]) -> Privates:
    """The private keys of an operation that are not destroyed, by number, remembered for half a minute.

    They are read again when one of ``numbers`` is not among those remembered: another process may have made it.
    """
    held = _sealing.get(operation)
    if held is None or time.monotonic() - held[0] > REMEMBER_SECONDS or not held[1].keys() >= set(numbers):
        held = _sealing[operation] = (time.monotonic(), open_sealing_keys(operation))
    return held[1]


def open_sealing_keys(operation: int) -> Privates:
    """Read and unwrap the private keys of an operation. Refusal ``access.master_key_wrong``."""
    rows = SealingKey.objects.filter(operation=operation, wrapped_private__isnull=False)
    values = {row.number: int.from_bytes(unwrap(row, "wrapped_private")) for row in rows}
    return {number: ec.derive_private_key(value, CURVE) for number, value in values.items()}


# ---- the secrets of devices


def device_secret(device: UUID) -> bytes | None:
    """The 32 random bytes of which everything that is sealed for this device alone derives (``derive``).

    None before anybody has signed on, and once the device is revoked or lost. Refusal ``access.key_destroyed``.
    """
    row = DeviceSecret.objects.filter(pk=device).first()
    if row is None:
        return None
    text = ring(row.operation).open(row.key, "access_device_secret", "secret", row.id, row.secret_enc)
    return b64decode(text or "")


def make_device_secret(operation: int, device: UUID) -> bytes:
    """Make and store the secret of a device that has none. The caller holds the device's row."""
    keys, secret = ring(operation), os.urandom(32)
    sealed = keys.seal("access_device_secret", "secret", device, b64encode(secret).decode())
    DeviceSecret.objects.create(id=device, operation=operation, key=keys.current, secret_enc=sealed)
    return secret
