"""What a phone seals so that only this installation can read it: its outbox.

A phone writes each fact down sealed, before anything else happens to it, and can't open it again: whoever finds the
phone, or forgets the PIN, changes nothing about that. At each unlocking it makes an *envelope*::

    ephemeral key pair on P-256 ── ECDH with the operation's public sealing key ── shared secret
    content key  = HKDF-SHA256(shared secret, salt = the ephemeral public point, info = "dabai/outbox"), 32 bytes
    sealed fact  = nonce (12 bytes) + AES-256-GCM(content key, JSON of the fact, associated data = the fact's id)

and sends ``{id, key, epk}`` with its facts: which sealing key it used, and the ephemeral public point. Points are raw
and uncompressed (65 bytes), everything binary is Base64. What the phone keeps for its own screens is sealed under keys
derived from its *device secret* (``keys.derive``), labelled ``dabai/slice``, ``dabai/lookup`` and ``dabai/display``.
``contract/vectors/sealing.json`` says all of it in examples, for both sides.

Nothing here fails for what a phone sent: an envelope or a fact that does not open is one that nobody can read.
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dabai.access.keys import CURVE, NONCE, sealing_privates

POINT = 65
OUTBOX = b"dabai/outbox"
MAX_ENVELOPES = 50


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as a phone tells of it: its id, the number of the sealing key, the ephemeral public point."""

    id: str
    key: int
    point: bytes


def read_envelope(raw: Any) -> Envelope | None:
    """The envelope that was sent, or None for what is none."""
    match raw:
        case {"id": str(id_), "key": int(key), "epk": str(point)}:
            try:
                return Envelope(id_, key, b64decode(point, validate=True))
            except ValueError:
                return None
    return None


def content_key(private: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    """The 32-byte key of an envelope whose ephemeral public point is ``point``. ValueError when that is no point."""
    if len(point) != POINT:
        raise ValueError("not an uncompressed point")
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point))
    return HKDF(SHA256(), 32, point, OUTBOX).derive(shared)


def envelope_keys(operation: int, raws: Iterable[Any]) -> dict[str, AESGCM]:
    """What opens the facts of each envelope, by its id; those that can't be opened are left out.

    One agreement of keys (some 0.1 ms) for each. Of two envelopes with one id the first counts. Refusal
    ``access.master_key_wrong``: then nothing of the request may be judged.
    """
    envelopes = {one.id: one for one in reversed([read_envelope(raw) for raw in raws]) if one}
    privates = sealing_privates(operation, {one.key for one in envelopes.values()}) if envelopes else {}
    found = {}
    for one in envelopes.values():
        try:
            found[one.id] = AESGCM(content_key(privates[one.key], one.point))
        except (KeyError, ValueError):
            continue
    return found


def open_fact(keys: Mapping[str, AESGCM], item: Mapping[str, Any]) -> bytes | None:
    """The JSON of a sealed fact ``{id, envelope, sealed}``; None when it does not open under its envelope and id."""
    match item:
        case {"id": str(id_), "envelope": str(envelope), "sealed": str(text)} if envelope in keys:
            try:
                sealed = b64decode(text, validate=True)
                return keys[envelope].decrypt(sealed[:NONCE], sealed[NONCE:], id_.encode())
            except (InvalidTag, ValueError):
                return None
    return None
