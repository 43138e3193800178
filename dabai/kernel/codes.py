"""Codes on tubes, bags and boxes: what is printed on a strip, and what a scanner may hand us.

Our own code has twelve characters, Code 128, readable by a person::

    T DJ 03A 00417 K        kind · district · batch · serial · check
    │ │  │   │     └ ISO 7064 MOD 37,36 over all before it: finds any one wrong character and nearly any two swapped
    │ │  │   └ five digits, so a batch is 100,000 tubes, more than a round of 800,000 people needs
    │ │  └ three of 0-9 A-Z without I and O      └ two of the same, chosen once per district
    └ T tube, X box (箱), D bag (袋). X and D rather than B, which reads as an 8

The kind is part of what the check protects, so a box scanned where a tube belongs is always noticed. There is no
national standard for tubes; laboratories buy them with somebody else's barcode on. A profile therefore gives a
pattern, and whatever fits it is accepted as ``own=False``: nothing can vouch for such a code but the scanner.

Two more codes are read from screens and slips. A *resident's code* names a person: ``R``, the id as 26 characters of
Crockford's base32, and a check character of the same kind. A *hand-over code* stands on the phone of whoever gives a
box away and is scanned by whoever takes it, so that a hand-over needs no network: it carries the id of the fact that
the taker's phone will report, and scanned twice it is one fact.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

from dabai.kernel.refusal import Refusal

Kind = Literal["tube", "box", "bag"]
LETTERS: dict[Kind, str] = {"tube": "T", "box": "X", "bag": "D"}
LENGTH = 12
MAX_LENGTH = 40
DEFAULT_PATTERN = "[0-9A-Z]{12}"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_OWN = re.compile("[TXD][0-9A-HJ-NP-Z]{5}[0-9]{5}[0-9A-Z]")
_PLAIN = re.compile(f"[0-9A-Z]{{1,{MAX_LENGTH}}}")
_PRINTABLE = re.compile(r"[0-9A-Z][0-9A-Z./_+*-]*")


class Code(NamedTuple):
    """A code that may stand on a thing of this kind. ``own``: printed by us, proved by its check character.

    ``suspect``: shaped exactly like ours, but the check fails. Accepted where a pattern allows foreign codes, because
    it may be one; worth a flag, because it is more likely one of ours mistyped.
    """

    kind: Kind
    text: str
    own: bool
    suspect: bool = False


def check_character(body: str) -> str:
    """The check character of ISO 7064 MOD 37,36 for ``body`` (digits and capitals)."""
    return _close(_feed(36, body))


def _feed(state: int, text: str) -> int:
    """The hybrid system's product after ``text``, so that the serials of a batch share the work for their head."""
    for character in text:
        total = (state + _VALUES[character]) % 36 or 36
        state = total * 2 % 37
    return state


def _close(state: int) -> str:
    return _ALPHABET[(37 - state) % 36]


def make_codes(kind: Kind, prefix: str, batch: str, start: int, n: int) -> list[str]:
    """``n`` codes of a batch from serial ``start`` on, in order. Raises ``codes.prefix|batch|serial``."""
    for value, length, code in ((prefix, 2, "codes.prefix"), (batch, 3, "codes.batch")):
        if not re.fullmatch(f"[0-9A-HJ-NP-Z]{{{length}}}", value):
            raise Refusal(code, code.partition(".")[2], length=length)
    if start < 0 or n < 0 or start + n > 100_000:
        raise Refusal("codes.serial", "start", limit=99_999)
    head = LETTERS[kind] + prefix + batch
    state = _feed(36, head)
    serials = (f"{serial:05}" for serial in range(start, start + n))
    return [f"{head}{serial}{_close(_feed(state, serial))}" for serial in serials]


def make_tube_codes(prefix: str, batch: str, start: int, n: int) -> list[str]:
    """Codes for ``n`` tubes: see ``make_codes``."""
    return make_codes("tube", prefix, batch, start, n)


def own_kind(text: str) -> Kind | None:
    """The kind of thing that carries this code if it is one of ours with a right check character, else None."""
    if not _OWN.fullmatch(text) or check_character(text[:-1]) != text[-1]:
        return None
    return next(kind for kind, letter in LETTERS.items() if letter == text[0])


def check_code(kind: Kind, text: str, pattern: str | None = None) -> Code:
    """Whether ``text`` may be the code of a ``kind``; else ``Refusal("codes.…", kind)`` saying why not.

    Without ``pattern`` only our own codes pass. With one (a regular expression for the whole code, from the
    profile) foreign codes that fit it pass too. Of ours, the code of another kind never passes.
    """
    _check_characters(kind, text)
    found = own_kind(text)
    if found == kind:
        return Code(kind, text, own=True)
    if found is not None:
        raise Refusal("codes.wrong_kind", kind, found=found)
    shaped = bool(_OWN.fullmatch(text)) and text[0] == LETTERS[kind]
    if pattern is None:
        raise Refusal("codes.check_character" if shaped else "codes.not_ours", kind)
    if not _compiled(pattern).fullmatch(text):
        raise Refusal("codes.pattern", kind)
    return Code(kind, text, own=False, suspect=shaped)


def can_check_code(kind: Kind, text: str, pattern: str | None = None) -> bool:
    """``check_code`` as a question."""
    try:
        check_code(kind, text, pattern)
    except Refusal:
        return False
    return True


def _check_characters(kind: Kind, text: str) -> None:
    """Refuse what no label carries, saying what helps: a scanner's control character, caps lock, a spreadsheet."""
    if _PLAIN.fullmatch(text):
        return
    if not text:
        raise Refusal("codes.empty", kind)
    if len(text) > MAX_LENGTH:
        raise Refusal("codes.length", kind, limit=MAX_LENGTH)
    if any(character < " " or character == "\x7f" for character in text):
        raise Refusal("codes.control_character", kind)
    if re.fullmatch(r"[0-9](?:\.[0-9]+)?[eE]\+[0-9]+", text):
        raise Refusal("codes.scientific", kind)
    if text.upper() != text:
        raise Refusal("codes.lower_case", kind)
    if not _PRINTABLE.fullmatch(text):
        raise Refusal("codes.characters", kind)


@lru_cache(64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def check_pattern(pattern: str) -> None:
    """Refuse a profile's pattern that is no regular expression, or one that a hostile code could make run for ever.

    Only what labels need: classes, literals, ``{m,n}``, ``?``, alternatives. No repeated group, ``*`` or ``+``.
    """
    if len(pattern) > 80:
        raise Refusal("codes.pattern_long", "pattern", limit=80)
    if re.search(r"\)[*+?{]|(?<!\\)[*+]", re.sub(r"\[[^\]]*\]", "C", pattern)):
        raise Refusal("codes.pattern_repeats", "pattern")
    try:
        re.compile(pattern)
    except re.error:
        raise Refusal("codes.pattern_wrong", "pattern") from None


# --- residents ------------------------------------------------------------------------------------------------

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RESIDENT = re.compile(f"R[0-7][{_CROCKFORD}]{{25}}[0-9A-Z]")


def resident_code(person: UUID) -> str:
    """The code of a person: 28 characters, no personal data in it, the same for ever."""
    body = "R" + "".join(_CROCKFORD[person.int >> shift & 31] for shift in range(125, -1, -5))
    return body + check_character(body)


def read_resident_code(text: str) -> UUID:
    """The person whose code this is. Refusals ``codes.not_ours``, ``codes.check_character`` for field ``person``.

    Small letters are repaired: some scanners are set so, and the code has no two letters that differ by case.
    """
    code = text.strip().upper() if text.isascii() else ""
    if not _RESIDENT.fullmatch(code):
        raise Refusal("codes.not_ours", "person")
    if check_character(code[:-1]) != code[-1]:
        raise Refusal("codes.check_character", "person")
    number = 0
    for character in code[1:-1]:
        number = number << 5 | _CROCKFORD.index(character)
    return UUID(int=number)


# --- hand-over ------------------------------------------------------------------------------------------------

_HAND_OVER = re.compile(
    r"DBH1\|(?P<fact>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\|(?P<box>[0-9A-Z][0-9A-Z_.:/-]{0,39})"
    r"\|(?P<tubes>0|[1-9][0-9]{0,4})\|(?P<given_by>[!-{}~]{1,480})\|(?P<at>[0-9]{1,11})\|(?P<check>[0-9A-Z])"
)
_UNRESERVED = "-_.!~*'()"


class HandOver(NamedTuple):
    """What a hand-over code says: the id of the fact to report, the box, its tubes as counted by the giver, the log-in
    name of the giver, and when (seconds since 1970).
    """

    fact: UUID
    box: str
    tubes: int
    given_by: str
    at: int


def hand_over_code(given: HandOver) -> str:
    """The text of the QR code. The log-in name is percent-encoded as ``encodeURIComponent`` does it.

    The check character is that of the UTF-8 bytes before it, written as hexadecimal digits in capitals.
    """
    giver = quote(given.given_by, safe=_UNRESERVED)
    body = f"DBH1|{given.fact}|{given.box}|{given.tubes}|{giver}|{given.at}|"
    return body + check_character(body.encode().hex().upper())


def read_hand_over_code(text: str) -> HandOver:
    """What the code says. Refusals ``codes.not_ours``, ``codes.check_character`` for field ``box``."""
    found = _HAND_OVER.fullmatch(text.strip())
    if found is None:
        raise Refusal("codes.not_ours", "box")
    if check_character(text.strip()[:-1].encode().hex().upper()) != found["check"]:
        raise Refusal("codes.check_character", "box")
    giver = unquote(found["given_by"], errors="replace")
    return HandOver(UUID(found["fact"]), found["box"], int(found["tubes"]), giver, int(found["at"]))
