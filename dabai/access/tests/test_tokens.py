"""A blind token is the HMAC-SHA256 that the standard library makes, cut to 16 bytes, however fast it was made."""

import hmac
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from dabai.access.keys import FIELDS, TOKEN, KeyRing


@given(text=st.text(min_size=1, max_size=200), key=st.binary(min_size=32, max_size=32), name=st.sampled_from(FIELDS))
def test_tokens_are_hmacs(text: str, key: bytes, name: str) -> None:
    keys = KeyRing(1, 1, {1: AESGCM(b"k" * 32)}, dict.fromkeys(FIELDS, os.urandom(32)) | {name: key})
    expected = hmac.digest(key, text.encode("utf-8", "replace"), "sha256")[:TOKEN]
    assert keys.token(name, text.encode("utf-8", "replace").decode()) == expected


def test_nothing_has_no_token() -> None:
    keys = KeyRing(1, 1, {}, dict.fromkeys(FIELDS, b"k" * 32))
    assert keys.token("name", None) is None
    assert keys.token("name", "") is None
