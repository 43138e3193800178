"""The examples of sealing that server and phone share (``contract/vectors/sealing.json``)."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dabai.access.keys import CURVE, derive, point_of
from dabai.access.sealing import content_key, open_fact

FILE = Path(__file__).resolve().parents[3] / "contract" / "vectors" / "sealing.json"
CASES = json.loads(FILE.read_text("utf-8"))["cases"]


def private(given: str) -> ec.EllipticCurvePrivateKey:
    key = load_der_private_key(b64decode(given), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def text(data: bytes) -> str:
    return b64encode(data).decode()


def sealed(key: str, nonce: str, plain: str, bound: str) -> str:
    return text(b64decode(nonce) + AESGCM(b64decode(key)).encrypt(b64decode(nonce), plain.encode(), bound.encode()))


def envelope(given: dict[str, Any]) -> dict[str, str]:
    server, ephemeral = private(given["server_private"]), private(given["ephemeral_private"])
    assert text(point_of(server)) == given["server_public"]
    assert text(point_of(ephemeral)) == given["epk"]
    point = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, b64decode(given["server_public"]))
    shared = ephemeral.exchange(ec.ECDH(), point)
    return {"shared": text(shared), "content_key": text(content_key(server, b64decode(given["epk"])))}


def opened(given: dict[str, Any]) -> dict[str, str]:
    item = {"id": given["id"], "envelope": "e", "sealed": given["sealed"]}
    plain = open_fact({"e": AESGCM(b64decode(given["content_key"]))}, item)
    return {"plaintext": plain.decode()} if plain else {"refused": "journal.sealed_unreadable"}


def lookup(given: dict[str, Any]) -> dict[str, str]:
    return {"token": hmac.new(b64decode(given["key"]), given["number"].encode(), "sha256").digest()[:6].hex()}


def by_pin(given: dict[str, Any]) -> dict[str, str]:
    key = hashlib.pbkdf2_hmac("sha256", given["pin"].encode(), b64decode(given["salt"]), given["iterations"], 32)
    return {"key": text(key)}


ANSWERS = {
    "content_key": envelope,
    "sealed": lambda g: {"sealed": sealed(g["content_key"], g["nonce"], g["plaintext"], g["id"])},
    "opened": opened,
    "derived": lambda g: {"key": text(derive(b64decode(g["device_secret"]), g["label"]))},
    "lookup": lookup,
    "block": lambda g: {"data": sealed(g["key"], g["nonce"], g["plaintext"], f"slice|{g['version']}|{g['n']}")},
    "display": lambda g: {"display": sealed(g["key"], g["nonce"], g["plaintext"], f"display|{g['id']}")},
    "pin": by_pin,
}


@pytest.mark.parametrize("place", range(len(CASES)))
def test_every_example(place: int) -> None:
    case = CASES[place]
    assert ANSWERS[case["input"]["what"]](case["input"]) == case["expected"]


def test_every_sort_of_example_is_there() -> None:
    assert {case["input"]["what"] for case in CASES} == set(ANSWERS)
