"""Ids. A fact's id is a UUIDv7 made where the fact was reported; natural things get natural ids (RFC 9562)."""

import os
import time
import uuid

NAMESPACE = uuid.UUID("6f0a4f1e-7a36-5d1c-9a57-0d61ba1da6a1")


def uuid7(at_ms: int | None = None) -> uuid.UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, then random bits (RFC 9562 §5.7)."""
    stamp = int(time.time() * 1000) if at_ms is None else at_ms
    value = (stamp & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF000 << 64) | (0x7000 << 64)
    value = value & ~(0xC000 << 48) | (0x8000 << 48)
    return uuid.UUID(int=value)


def natural_id(*parts: object) -> uuid.UUID:
    """The same id for the same natural thing on every phone: uuid5 over its parts."""
    return uuid.uuid5(NAMESPACE, "/".join(str(part) for part in parts))


def stamp_of(value: uuid.UUID) -> int | None:
    """Unix milliseconds of a UUIDv7, or None for another version."""
    return value.int >> 80 if value.version == 7 else None
