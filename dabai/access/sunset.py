"""The end of an operation's personal data: its keys are destroyed, so that nothing sealed under them can be read again.

What was sealed stays as noise; blind tokens can be computed by nobody; figures and clear columns remain. Backups hold
the same noise, but also the wrapped keys of their day. Therefore the master key is changed as well: the keys of other
operations are wrapped anew, the old master key is overwritten, and what a backup holds of the destroyed keys opens with
nothing. A copy of the *keys folder* made before opens them still: it must be destroyed too (``docs/howto``).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from dabai.access import queries
from dabai.access.actions import record, require
from dabai.access.keys import (
    KEYS_LOCK,
    forget_rings,
    master_file,
    master_keys,
    next_master_file,
    read_or_make_secret,
    unwrap,
    wrap,
)
from dabai.access.models import DataKey, Device, DeviceSecret, SealingKey, User
from dabai.access.reseal import sealed_tables
from dabai.access.rules import Permission
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was destroyed, when, by whom, and who watched. ``digest`` is the SHA-256 of the rest as canonical JSON."""

    operation: int
    district: int
    kind: str
    ended_at: str
    destroyed_at: str
    by: str
    witness: str
    reason: str
    rows: dict[str, int]
    devices: int
    keys: list[dict[str, Any]]
    master_key_changed: bool
    digest: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the audit log."""
        return asdict(self)


def sunset(*, operation: int, by: User, witness: User, reason: str) -> Certificate:
    """Destroy the keys of an operation that has ended, before a witness. It can't be undone.

    Refusals: ``access.operation_not_found``, ``access.operation_running``, ``access.witness_same``,
    ``access.reason_missing``, ``access.not_allowed``, ``access.key_destroyed`` (it was done before).
    """
    row = check(operation, by, witness, reason)
    with transaction.atomic():
        keys = destroy_keys(operation)
        devices = Device.objects.filter(operation=operation, revoked_at=None).update(revoked_at=clock.now())
        DeviceSecret.objects.filter(operation=operation).delete()
        rows = count_rows(operation)
    forget_rings()
    queries.forget_devices()
    changed = change_master_key(by=by)
    tidy()
    certificate = sign(
        Certificate(
            operation=operation,
            district=row.district,
            kind=row.kind,
            ended_at=row.ended_at.isoformat() if row.ended_at else "",
            destroyed_at=datetime.now(UTC).isoformat(),
            by=by.username,
            witness=witness.username,
            reason=reason.strip(),
            rows=rows,
            devices=devices,
            keys=keys,
            master_key_changed=changed,
        )
    )
    record(by=by, action="operation.sunset", operation=operation, reason=reason.strip(), detail=certificate.as_dict())
    return certificate


def check(operation: int, by: User, witness: User, reason: str) -> queries.OperationRow:
    """The operation, if its data may be destroyed by ``by`` before ``witness``."""
    row = queries.operation_row(operation)
    if row is None:
        raise Refusal("access.operation_not_found", "operation")
    require(by, Permission.MANAGE_KEYS, area=str(row.district), operation=operation, at=clock.now())
    if row.ended_at is None or row.ended_at > clock.now():
        raise Refusal("access.operation_running", "operation")
    if witness.pk == by.pk or not witness.is_active:
        raise Refusal("access.witness_same", "witness")
    if not reason.strip():
        raise Refusal("access.reason_missing", "reason")
    return row


def destroy_keys(operation: int) -> list[dict[str, Any]]:
    """Overwrite the wrapped keys with nothing; what they were, by fingerprint. Refusal ``access.key_destroyed``."""
    alive = list(DataKey.objects.select_for_update().filter(operation=operation).order_by("number"))
    if not any(row.wrapped for row in alive):
        raise Refusal("access.key_destroyed", "operation")
    pairs = SealingKey.objects.select_for_update().filter(operation=operation).order_by("number")
    told = [told_of(row, row.cipher, row.wrapped) for row in alive]
    told += [told_of(row, "ecdh-p256", row.wrapped_private) for row in pairs]
    now = datetime.now(UTC)
    DataKey.objects.filter(operation=operation).exclude(wrapped=None, wrapped_index=None).update(
        wrapped=None, wrapped_index=None, destroyed_at=now
    )
    SealingKey.objects.filter(operation=operation, destroyed_at=None).update(wrapped_private=None, destroyed_at=now)
    return told


def told_of(row: DataKey | SealingKey, cipher: str, wrapped: bytes | None) -> dict[str, Any]:
    """What a certificate says of a key: enough to know it again in a backup."""
    fingerprint = hashlib.sha256(bytes(wrapped)).hexdigest()[:32] if wrapped else None
    return {"number": row.number, "cipher": cipher, "made": row.created_at.isoformat(), "fingerprint": fingerprint}


def count_rows(operation: int) -> dict[str, int]:
    """How many rows of each table can no longer be read."""
    counts: dict[str, int] = {}
    with connection.cursor() as cursor:
        for table in sealed_tables():
            cursor.execute(f"SELECT count(*) FROM {table.table} WHERE {table.within}", [operation])  # noqa: S608
            counts[table.table] = counts.get(table.table, 0) + cursor.fetchone()[0]
    return counts


def sign(certificate: Certificate) -> Certificate:
    """The certificate with the digest of everything else in it."""
    told = {name: value for name, value in certificate.as_dict().items() if name != "digest"}
    canonical = json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Certificate(**told, digest=hashlib.sha256(canonical.encode()).hexdigest())


def tidy() -> None:
    """Rewrite the tables of keys, so that their files hold no dead row with a wrapped key. Not inside a transaction."""
    if not connection.in_atomic_block:
        with connection.cursor() as cursor:
            for table in ("access_data_key", "access_sealing_key", "access_device_secret"):
                cursor.execute(f"VACUUM FULL {table}")


# ---- the master key


def change_master_key(*, by: User | None) -> bool:
    """Wrap every key that is alive under a new master key and destroy the old one. Safe to run again after a crash.

    Where the environment gives the master key, the operator changes it: with ``DABAI_MASTER_KEY`` new and
    ``DABAI_MASTER_KEY_OLD`` the one before, this wraps anew; with one key only it does nothing and returns False.
    """
    given = os.environ.get("DABAI_MASTER_KEY")
    if given and not os.environ.get("DABAI_MASTER_KEY_OLD"):
        return False
    with nobody_makes_keys():
        new = master_keys()[0] if given else read_or_make_secret(next_master_file())
        with transaction.atomic():
            wrap_anew(new)
        if not given:
            replace_master_file()
    forget_rings()
    record(by=by, action="key.master_changed")
    return True


@contextmanager
def nobody_makes_keys() -> Iterator[None]:
    """Hold off ``make_key`` elsewhere: a key wrapped under the old master key now would be lost with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [KEYS_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [KEYS_LOCK])


def wrap_anew(new: bytes) -> None:
    """Wrap every key that is alive under ``new``."""
    for row in DataKey.objects.select_for_update().filter(wrapped__isnull=False).order_by("pk"):
        changed = {
            column: wrap(row.operation, row.number, column, unwrap(row, column), new)
            for column in ("wrapped", "wrapped_index")
        }
        DataKey.objects.filter(pk=row.pk).update(**changed)
    for pair in SealingKey.objects.select_for_update().filter(wrapped_private__isnull=False).order_by("pk"):
        secret = unwrap(pair, "wrapped_private")
        wrapped = wrap(pair.operation, pair.number, "wrapped_private", secret, new)
        SealingKey.objects.filter(pk=pair.pk).update(wrapped_private=wrapped)


def replace_master_file() -> None:
    """Overwrite the old master key, then put the new one in its place. Either file alone is enough at any moment."""
    overwrite(master_file())
    os.replace(next_master_file(), master_file())
    descriptor = os.open(master_file().parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def overwrite(path: Path) -> None:
    """Write other bytes over a secret in place: as good as the file system under it."""
    with open(path, "r+b") as file:
        file.write(os.urandom(32).hex().encode())
        file.flush()
        os.fsync(file.fileno())
