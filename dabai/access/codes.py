"""Secrets that people carry: pairing codes to type, tokens of devices, tokens of one-time links.

A pairing code is nine characters, shown as ``K7M-2QX-94T``: eight at random from an alphabet without look-alikes (39
bits), then the check character of ISO 7064 MOD 37,36, so that a slip of the finger is told from an unknown code.
Only digests are stored. A code is short, so its digest is keyed: a copy of the database does not give codes away.
"""

import hashlib
import secrets

from django.utils.crypto import salted_hmac

from dabai.kernel.codes import check_character
from dabai.kernel.refusal import Refusal

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM = 8


def new_code() -> str:
    """A new pairing code without separators. Bodies whose check character looks like another are drawn again."""
    while True:
        body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM))
        check = check_character(body)
        if check in ALPHABET:
            return body + check


def shown(code: str) -> str:
    """The code in groups of three, as it is printed."""
    return "-".join(code[n : n + 3] for n in range(0, len(code), 3))


def read_code(text: str) -> str:
    """What somebody typed, without spaces and dashes, in capitals. Refusal ``access.code_mistyped``."""
    code = "".join(text.upper().replace("-", "").split())
    if len(code) != RANDOM + 1 or set(code) - set(ALPHABET) or check_character(code[:-1]) != code[-1]:
        raise Refusal("access.code_mistyped", "code")
    return code


def code_digest(code: str) -> bytes:
    """What is stored of a pairing code."""
    return salted_hmac("dabai.access.pairing", code, algorithm="sha256").digest()


def new_token() -> str:
    """256 random bits, for a device or a link."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()
