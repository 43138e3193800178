"""Secrets that people carry: pairing codes to type, PINs, tokens of devices, tokens of one-time links.

A pairing code is nine characters, shown as ``K7M-2QX-94T``: eight at random from an alphabet without look-alikes (39
bits), then the check character of ISO 7064 MOD 37,36, so that a slip of the finger is told from an unknown code.
Only digests are stored. A code is short, so its digest is keyed: a copy of the database does not give codes away.

So is a PIN's: six digits are a million guesses, which no hash makes expensive. What keeps them is that the key lies
apart from the database (``keys/django.key``) and that guesses at the door are counted (``dabai.access.signon``). The
scrypt on top is light, because a district gives out two thousand PINs at once.
"""

import hashlib
import hmac
import re
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


# ---- PINs

PIN_DIGITS = 6
_SCRYPT = {"n": 2**10, "r": 8, "p": 1, "dklen": 32}
_FORM = "scrypt10"


def check_pin(pin: str) -> str:
    """The PIN, if it has six digits and is no simple row. Refusals ``access.pin_form``, ``access.pin_simple``."""
    if not re.fullmatch(r"[0-9]{6}", pin):
        raise Refusal("access.pin_form", "pin")
    if len(set(pin)) < 3 or pin in "0123456789" or pin in "9876543210":
        raise Refusal("access.pin_simple", "pin")
    return pin


def new_pin() -> str:
    """A random PIN that ``check_pin`` takes."""
    while True:
        pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}}"
        try:
            return check_pin(pin)
        except Refusal:
            continue


def pin_verifier(pin: str, salt: bytes | None = None) -> str:
    """What is stored of a PIN: some milliseconds. Other threads go on meanwhile."""
    salt = salt or secrets.token_bytes(16)
    keyed = salted_hmac("dabai.access.pin", pin, algorithm="sha256").digest()
    return f"{_FORM}${salt.hex()}${hashlib.scrypt(keyed, salt=salt, **_SCRYPT).hex()}"


def is_pin(pin: str, verifier: str) -> bool:
    """Whether the PIN is the one of this verifier. It takes as long where there is none (an empty one)."""
    form, _, rest = verifier.partition("$")
    salt = bytes.fromhex(rest.partition("$")[0]) if form == _FORM else bytes(16)
    return hmac.compare_digest(pin_verifier(pin, salt), verifier)
