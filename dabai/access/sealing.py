"""What a phone seals so that only this installation can read it: its outbox.

A phone writes each fact down sealed, before anything else happens to it, and can't open it again: whoever finds the
phone, or forgets the PIN, changes nothing about that. At each unlocking it makes an *envelope*::

    ephemeral key pair on P-256 ── ECDH with the operation's public sealing key ── shared secret
    content key  = HKDF-SHA256(shared secret, salt = the ephemeral public point, info = "dabai/outbox"), 32 bytes
    sealed fact  = nonce (12 bytes) + AES-256-GCM(content key, JSON of the fact, associated data = the fact's id)

and sends ``{id, key, epk}`` with its facts: which sealing key it used, and the ephemeral public point. Points are raw
and uncompressed (65 bytes), everything binary is Base64. What the phone keeps for its own screens is sealed under keys
derived from its *device secret* (``LABELS``). ``contract/vectors/sealing.json`` says it in examples, for both sides.
"""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NONCE = 12
POINT = 65
CURVE = ec.SECP256R1()
OUTBOX = b"dabai/outbox"
# What a phone derives from its device secret (``keys.derive``): the slice's blocks, the tokens of numbers in them, and
# the copies of its outbox that it shows.
LABELS = ("dabai/slice", "dabai/lookup", "dabai/display")


def content_key(private: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    """The 32-byte key of an envelope whose ephemeral public point is ``point``. ValueError when that is no point."""
    if len(point) != POINT:
        raise ValueError("not an uncompressed point")
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point))
    return HKDF(SHA256(), 32, point, OUTBOX).derive(shared)


def open_sealed(key: bytes, fact: str, sealed: bytes) -> bytes:
    """The JSON of a fact that was sealed under an envelope's key as the fact of this id. ``InvalidTag`` otherwise."""
    return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], fact.encode())


def point_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    """The public point of a key pair: raw, uncompressed, 65 bytes."""
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
