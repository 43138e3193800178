"""Who somebody is, as far as papers say: documents, names, phones, what may be shown of them, and who may be a double.

Everything here is pure: plain values in, a value or a ``Refusal`` out, today is an argument. No error ever repeats
the number, name or phone it is about.

**The citizen number** (GB 11643) is area (6) + birth day (8) + order (3, odd = male) + check digit. Three answers
are possible. *Valid*: a plain ``Document``. *Unsure*: a ``Document`` whose ``doubt`` names a reason; the check digit
holds, so the number was typed as it is printed, but its date can't be (public validators disagree about such
numbers), or it is a 15-digit number, which has no check digit to prove anything. It identifies a person all the same,
and a desk looks at it. *Invalid*: a ``Refusal`` that says why. An unknown area is never a reason to refuse: districts
are abolished while their people live on. (GB 11643-1999; ISO 7064 MOD 11-2.)
"""

import re
import unicodedata
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from dabai.kernel.refusal import Refusal

# --- Documents ------------------------------------------------------------------------------------------------------


class DocumentKind(StrEnum):
    """Codes of WS 364 CV02.01.101 where there is one (01–08, 99); 00 and 11–13 are ours."""

    NONE = "00"
    RESIDENT_ID = "01"
    HOUSEHOLD_BOOK = "02"
    PASSPORT = "03"
    MILITARY = "04"
    DRIVING_LICENCE = "05"
    HK_MACAO_PERMIT = "06"
    TAIWAN_PERMIT = "07"
    BIRTH_CERTIFICATE = "08"
    RESIDENCE_PERMIT = "11"
    FOREIGN_RESIDENT = "12"
    EXIT_PERMIT = "13"
    OTHER = "99"


class Document(NamedTuple):
    """A normalised identity document. Two people with an equal ``key`` are one person.

    ``doubt`` is None, or the code of the reason why a desk should look at the number (sentence: ``refusal.<doubt>``).
    """

    kind: DocumentKind
    number: str
    doubt: str | None = None

    @property
    def key(self) -> str:
        """What the blind index hashes: kind and number. Empty for a person without a document."""
        return f"{self.kind}:{self.number}" if self.number else ""

    @property
    def last_four(self) -> str:
        """The last four characters, by which staff search; empty when the number is too short to give them away."""
        return self.number[-4:] if len(self.number) >= 8 else ""

    @property
    def birth_date(self) -> date | None:
        """The day of birth that an 18-digit number carries, or None (other documents; a day that does not exist)."""
        if not self._carries_birth:
            return None
        ordinal = _birth(self.number[6:14])[1]
        return date.fromordinal(ordinal) if ordinal else None

    @property
    def sex(self) -> int:
        """GB/T 2261.1: 1 male, 2 female by the order digit of an 18-digit number; 0 unknown for everything else."""
        return 2 - int(self.number[16]) % 2 if self._carries_birth else 0

    @property
    def _carries_birth(self) -> bool:
        return self.kind in _CITIZEN_KINDS and len(self.number) == 18


_CITIZEN_KINDS = frozenset({DocumentKind.RESIDENT_ID, DocumentKind.RESIDENCE_PERMIT, DocumentKind.FOREIGN_RESIDENT})
# Papers that print the holder's citizen number as their own: the number, not the paper, says who it is.
_CARRIERS = frozenset({DocumentKind.HOUSEHOLD_BOOK, DocumentKind.DRIVING_LICENCE, DocumentKind.OTHER})
# The kinds that have a number, and those of them that may take eighteen characters for one.
_READ = tuple(kind for kind in DocumentKind if kind is not DocumentKind.NONE)
_READ_OF_CITIZEN = (DocumentKind.RESIDENT_ID, DocumentKind.MILITARY, *sorted(_CARRIERS))
_PROVINCES = (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71)
_KIND_OF_PREFIX = {
    **dict.fromkeys(map(str, _PROVINCES), DocumentKind.RESIDENT_ID),
    **dict.fromkeys(("81", "82", "83"), DocumentKind.RESIDENCE_PERMIT),
    **{f"9{digit}": DocumentKind.FOREIGN_RESIDENT for digit in range(10)},
}
_FORMS: dict[DocumentKind, tuple[re.Pattern[str], int | None]] = {
    # kind: (whole number after cleaning, characters kept). Reissue digits change with each card and are dropped.
    DocumentKind.HOUSEHOLD_BOOK: (re.compile(r"\w{2,32}"), None),
    DocumentKind.PASSPORT: (re.compile(r"[A-Z0-9]{5,15}"), None),
    DocumentKind.MILITARY: (re.compile(r"\w{2,32}"), None),
    DocumentKind.DRIVING_LICENCE: (re.compile(r"\w{2,32}"), None),
    DocumentKind.HK_MACAO_PERMIT: (re.compile(r"[HM][0-9]{8}(?:[0-9]{2})?"), 9),
    DocumentKind.TAIWAN_PERMIT: (re.compile(r"[0-9]{8}(?:[0-9]{2,3})?[A-Z]?"), 8),
    DocumentKind.BIRTH_CERTIFICATE: (re.compile(r"[A-Z0-9]{8,12}"), None),
    DocumentKind.FOREIGN_RESIDENT: (re.compile(r"[A-Z]{3}[0-9]{12}"), None),
    DocumentKind.EXIT_PERMIT: (re.compile(r"C[0-9]{8}|C[A-HJ-NP-Z][0-9]{7}"), None),
    DocumentKind.OTHER: (re.compile(r"\w{2,32}"), None),
}
_GUESSES: tuple[tuple[re.Pattern[str], DocumentKind], ...] = (
    (re.compile(r"[HM][0-9]{8}(?:[0-9]{2})?"), DocumentKind.HK_MACAO_PERMIT),
    (re.compile(r"C[0-9]{8}|C[A-HJ-NP-Z][0-9]{7}"), DocumentKind.EXIT_PERMIT),
    (re.compile(r"[0-9]{8}(?:[0-9]{2})?[A-Z]?"), DocumentKind.TAIWAN_PERMIT),
    (re.compile(r"[A-Z]{3}[0-9]{12}"), DocumentKind.FOREIGN_RESIDENT),
    (re.compile(r"[A-Z][0-9]{9}"), DocumentKind.BIRTH_CERTIFICATE),
    (re.compile(r"(?=.*[0-9])[A-Z0-9]{5,15}"), DocumentKind.PASSPORT),
)
_NO_NUMBER = frozenset({"", "0", "/", "无", "无证", "暂无", "没有", "未办", "NONE", "NA", "N/A", "NULL"})

_INVISIBLE = "".join(chr(c) for c in (0xAD, 0x61C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F)))
_INVISIBLE += "".join(chr(c) for c in (*range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)))
_NOISE: dict[int, str | None] = {ord(c): None for c in _INVISIBLE + " \t\r\n\v\f'\"`‘’“”-‐‑‒–—_()[].,:·"}
_NOISE.update({ord("×"): "X", ord("Х"): "X", ord("х"): "X", ord("Χ"): "X", ord("χ"): "X"})
_SCIENTIFIC = re.compile(r"\s*[0-9](?:\.[0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}\s*")

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def _sums(first: int) -> dict[str, int]:
    """Weighted digit sums of every three-digit text that stands at ``first``: one look-up for three digits."""
    a, b, c = _WEIGHTS[first : first + 3]
    return {f"{n:03}": n // 100 * a + n // 10 % 10 * b + n % 10 * c for n in range(1000)}


_AREA_HEAD, _AREA_TAIL, _ORDER = _sums(0), _sums(3), _sums(14)


@lru_cache(65536)
def _birth(text: str) -> tuple[int, int]:
    """Weighted sum of the eight digits of a birth day, and its ordinal, 0 where no such day exists.

    The cache holds every day of 180 years: all that a district needs."""
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS[6:14], strict=True))
    try:
        born = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return total, 0
    return total, born.toordinal() if born.year >= 1850 else 0


def check_digit(first17: str) -> str:
    """The 18th character that GB 11643 asks for after these 17 digits."""
    total = _AREA_HEAD[first17[:3]] + _AREA_TAIL[first17[3:6]] + _birth(first17[6:14])[0] + _ORDER[first17[14:17]]
    return _CHECK[total % 11]


def normalise_document(kind: str, raw: str, *, today: date) -> Document:
    """The one form of a document that identifies its holder, or ``Refusal("documents.…", "number")`` naming the reason.

    Spaces, zero-width and full-width characters and a small x are repaired, 15 digits become 18, reissue digits are
    dropped. Between resident number, residence permit and foreigner's permit the number itself decides, whatever
    ``kind`` says, and a citizen number in a household book, driving licence or "other" counts as the citizen number.
    An empty ``kind``, and "none" beside a number, mean: guess. About 2 µs for a clean citizen number.
    """
    if len(raw) == 18 and raw.isascii() and raw[:17].isdigit() and (kind in _CITIZEN_KINDS or not kind):
        return _citizen(raw if raw[17] != "x" else raw[:17] + "X", today)
    known = _known_kind(kind)
    if _SCIENTIFIC.fullmatch(raw):
        raise Refusal("documents.scientific", "number")
    text = clean_number(raw)
    if text in _NO_NUMBER:
        return _without_number(known)
    if "*" in text:
        raise Refusal("documents.masked", "number")
    return _normalise(guess_kind(text) if known is DocumentKind.NONE else known, text, today)


def possible_keys(raw: str, *, today: date) -> list[str]:
    """The keys under which whoever shows this number may be stored, whatever kind their document was taken for.

    That is the number as each kind has it, and as it was typed, for one that could not be verified.
    """
    text = clean_number(raw)
    if text in _NO_NUMBER:
        return []
    found: dict[str, None] = {}
    for kind in _READ_OF_CITIZEN if _looks_citizen(text) else _READ:
        try:
            found[_normalise(kind, text, today).key] = None
        except Refusal:
            continue
        if kind is DocumentKind.RESIDENT_ID and len(text) == 18:
            found[f"{DocumentKind.MILITARY}:{text}"] = None
            break  # every other kind that takes it takes it for the citizen number that it is
    found[f"{DocumentKind.OTHER}:{text}"] = None
    return list(found)


def _normalise(kind: DocumentKind, text: str, today: date) -> Document:
    """Apply the form of ``kind`` to an already cleaned number."""
    if kind in _CARRIERS and _looks_citizen(text):
        try:
            return _citizen(text, today)
        except Refusal:
            return Document(kind, text)  # the paper's own number, by chance of that length
    if kind in _CITIZEN_KINDS and not (kind is DocumentKind.FOREIGN_RESIDENT and text[0].isalpha()):
        return _citizen_text(text, today)
    pattern, kept = _FORMS[kind]
    if not pattern.fullmatch(text):
        raise Refusal("documents.format", "number", kind=str(kind), looks_like=str(guess_kind(text)))
    return Document(kind, text[:kept])


def _known_kind(kind: str) -> DocumentKind:
    try:
        return DocumentKind(kind or DocumentKind.NONE)
    except ValueError:
        raise Refusal("documents.kind_unknown", "kind") from None


def _without_number(kind: DocumentKind) -> Document:
    """No document yet (new-born, lost papers) is a legitimate answer; an empty number of a named kind is a mistake."""
    if kind is not DocumentKind.NONE:
        raise Refusal("documents.empty", "number", kind=str(kind))
    return Document(DocumentKind.NONE, "")


def _citizen_text(text: str, today: date) -> Document:
    """A cleaned text that should be a citizen number: 18 characters, or 15 digits of the years before 1999."""
    if _looks_citizen(text):
        return _citizen(text, today)
    if not re.fullmatch(r"[0-9]+X?", text):
        raise Refusal("documents.characters", "number", looks_like=str(guess_kind(text)))
    if len(text) != 15 or text.endswith("X"):
        raise Refusal("documents.length", "number", length=len(text))
    return _old_citizen(text)


def _looks_citizen(text: str) -> bool:
    return len(text) == 18 and text.isascii() and text[:17].isdigit() and text[17] in "0123456789X"


def _citizen(number: str, today: date) -> Document:
    """Judge 17 digits and a check character. This is the hot path of an import of a million residents."""
    weighted, born = _birth(number[6:14])
    total = _AREA_HEAD[number[:3]] + _AREA_TAIL[number[3:6]] + weighted + _ORDER[number[14:17]]
    if _CHECK[total % 11] != number[17]:
        raise _wrong_check(number)
    kind = _KIND_OF_PREFIX.get(number[:2])
    if kind is not None and 0 < born <= today.toordinal():
        return Document(kind, number)
    if not born:
        doubt = "documents.date_not_real"
    else:
        doubt = "documents.area_unknown" if born <= today.toordinal() else "documents.date_future"
    return Document(kind or DocumentKind.RESIDENT_ID, number, doubt)


def _wrong_check(number: str) -> Refusal:
    """Excel keeps 15 digits of a number and writes zeros for the rest; say so where it looks like that."""
    if not number[17].isdigit() and number[17] != "X":
        return Refusal("documents.characters", "number", looks_like=str(DocumentKind.RESIDENT_ID))
    return Refusal("documents.precision_lost" if number.endswith("000") else "documents.check_digit", "number")


def _old_citizen(text: str) -> Document:
    """15 digits to 18. With no check digit to vouch for it, a day that does not exist is a typing error."""
    longer = f"{text[:6]}19{text[6:]}"
    if not _birth(longer[6:14])[1]:
        raise Refusal("documents.date_not_real", "number")
    return Document(DocumentKind.RESIDENT_ID, longer + check_digit(longer), "documents.no_check_digit")


def clean_number(raw: str) -> str:
    """Full-width to half-width, capitals, and nothing that a printer, a scanner or a sheet put in between."""
    text = raw[:128]
    if text.isascii() and text.isalnum():
        return text.upper()
    text = text[:-2] if text.endswith(".0") else text  # a number cell turned into text
    return unicodedata.normalize("NFKC", text).translate(_NOISE).upper()


def guess_kind(raw: str) -> DocumentKind:
    """The kind that a number without a kind most likely is. Never fails; an empty or "无" cell is ``NONE``.

    Near misses of a citizen number count as one, so that the refusal speaks about its length or check digit.
    """
    text = clean_number(raw)
    if text in _NO_NUMBER:
        return DocumentKind.NONE
    if re.fullmatch(r"[0-9]{14,20}|[0-9]{13,19}X", text):
        return _KIND_OF_PREFIX.get(text[:2], DocumentKind.RESIDENT_ID) if len(text) == 18 else DocumentKind.RESIDENT_ID
    return next((kind for pattern, kind in _GUESSES if pattern.fullmatch(text)), DocumentKind.OTHER)


_KIND_WORDS = {
    "居民身份证": "01", "身份证": "01", "二代身份证": "01", "residentid": "01", "idcard": "01", "id": "01",
    "户口簿": "02", "户口本": "02", "householdbook": "02",
    "护照": "03", "中国护照": "03", "外国护照": "03", "passport": "03",
    "军官证": "04", "士兵证": "04", "军人证": "04", "militaryid": "04",
    "驾驶证": "05", "驾照": "05", "drivinglicence": "05",
    "港澳通行证": "06", "港澳居民来往内地通行证": "06", "回乡证": "06", "hkmacaopermit": "06",
    "台湾通行证": "07", "台湾居民来往大陆通行证": "07", "台胞证": "07", "taiwanpermit": "07",
    "出生医学证明": "08", "出生证明": "08", "出生证": "08", "birthcertificate": "08",
    "港澳台居民居住证": "11", "居住证": "11", "residencepermit": "11",
    "外国人永久居留证": "12", "外国人永久居留身份证": "12", "永居证": "12", "foreignpermanentresident": "12",
    "往来港澳通行证": "13", "exitpermit": "13",
    "无": "00", "无证件": "00", "暂无": "00", "none": "00",
    "其他": "99", "其它": "99", "other": "99",
}  # fmt: skip


def kind_from_text(text: str) -> DocumentKind | None:
    """The kind that a cell of a list names: a code (``01``, ``1``), a Chinese or English word; or None."""
    word = re.sub(r"[\s_/-]", "", unicodedata.normalize("NFKC", text)).lower()
    code = _KIND_WORDS.get(word, word.zfill(2) if word else "")
    return DocumentKind(code) if code in set(DocumentKind) else None


_SEX_WORDS = {"男": 1, "男性": 1, "1": 1, "m": 1, "male": 1, "女": 2, "女性": 2, "2": 2, "f": 2, "female": 2, "9": 9}


def sex_from_text(text: str) -> int:
    """GB/T 2261.1 (0 unknown, 1 male, 2 female, 9 unspecified) from a cell of a list.

    Some systems write 0 = male, 1 = female: a list whose numbers contradict its citizen numbers is one of those.
    """
    return _SEX_WORDS.get(unicodedata.normalize("NFKC", text).strip().lower(), 0)


# --- Names and phones -----------------------------------------------------------------------------------------------

_DOTS = re.compile(r"\s*[·•‧・･∙⋅●▪᛫]\s*")
HAN = "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN_GAP = re.compile(rf"(?<=[{HAN}])\s+|\s+(?=[{HAN}])")
_HAN_STOP = re.compile(rf"(?<=[{HAN}])[.。](?=[{HAN}])")
_PLAIN_HAN = re.compile("[\u4e00-\u9fff]{2,4}")
_NAME_NOISE: dict[int, str | None] = {
    **dict.fromkeys(map(ord, _INVISIBLE)),
    ord("’"): "'",
    ord("‘"): "'",
    ord("`"): "'",
}


def normalise_name(raw: str) -> str:
    """The form of a name that the blind index hashes: the same person written by two clerks gives the same text.

    NFKC, no invisible characters, one kind of middle dot and apostrophe, no spaces beside a Han character, single
    spaces elsewhere, capitals. Characters that this Python does not know yet, and private ones, stay: rare names need
    them. Raises ``documents.name_empty``, ``name_long`` (> 100), ``name_characters`` (controls, or no letter at all).
    """
    if _PLAIN_HAN.fullmatch(raw):
        return raw
    if len(raw) > 200:
        raise Refusal("documents.name_long", "name", limit=100)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).upper()).translate(_NAME_NOISE)
    text = _HAN_STOP.sub("·", _DOTS.sub("·", _HAN_GAP.sub("", " ".join(text.split()))))
    return _checked_name(text)


def _checked_name(text: str) -> str:
    if not text:
        raise Refusal("documents.name_empty", "name")
    if len(text) > 100:
        raise Refusal("documents.name_long", "name", limit=100)
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in text) or not any(c.isalpha() or c > "⺀" for c in text):
        raise Refusal("documents.name_characters", "name")
    return text


_PHONE_NOISE = re.compile(r"[\s()\-‐‑–—.·]+")
_EXTENSION = re.compile(r"(?<=[0-9]{7})\s*(?:-|转|X|EXT\.?|#)\s*([0-9]{1,6})$")
_MOBILE = re.compile(r"(?:\+86|0086|86|0)?(1[3-9][0-9]{9})")
_LANDLINE = re.compile(
    r"(?:\+86|0086|0)([1-9][0-9]{1,2}[2-9][0-9]{6,7})|(?:\+86|0086)0([1-9][0-9]{1,2}[2-9][0-9]{6,7})"
)
_LOCAL = re.compile(r"[2-9][0-9]{6,7}|[48]00[0-9]{7}")
_FOREIGN = re.compile(r"(?:\+|00)(?!86)([1-9][0-9]{6,14})")


def normalise_phone(raw: str) -> str:
    """The one form of a phone number: mobile ``13800000000``, landline ``05610000000`` (``-12`` for an extension),
    without area code ``3000000``, foreign ``+14155550100``.

    Not unique: old people share a child's phone. Raises ``documents.phone_…``, field ``phone``.
    """
    if len(raw) == 11 and raw.isascii() and raw.isdigit() and raw[0] == "1" and raw[1] >= "3":
        return raw
    text = unicodedata.normalize("NFKC", raw[:64]).translate(dict.fromkeys(map(ord, _INVISIBLE))).upper().strip(" '\"`")
    if _SCIENTIFIC.fullmatch(text):
        raise Refusal("documents.phone_scientific", "phone")
    if re.search(r"[0-9]\s*[/,;、|]\s*\+?[0-9]", text):
        raise Refusal("documents.phone_several", "phone")
    text = text.removesuffix(".0")
    found = _phone_form(_PHONE_NOISE.sub("", text)) or _with_extension(text)
    if not found:
        raise Refusal("documents.phone_form" if text.strip("-/无") else "documents.phone_empty", "phone")
    return found


def _phone_form(digits: str) -> str | None:
    if found := _MOBILE.fullmatch(digits):
        return found[1]
    if found := _LANDLINE.fullmatch(digits):
        return "0" + (found[1] or found[2])
    if found := _FOREIGN.fullmatch(digits):
        return "+" + found[1]
    return digits if _LOCAL.fullmatch(digits) else None


def _with_extension(text: str) -> str | None:
    """A landline with a desk's number behind it, kept after a hyphen: two desks of a switchboard are two phones."""
    if not (found := _EXTENSION.search(text)):
        return None
    line = _phone_form(_PHONE_NOISE.sub("", text[: found.start()]))
    return f"{line}-{found[1]}" if line else None


# --- Ages and groups ------------------------------------------------------------------------------------------------

# Bands that add up to those of the census (0-14, 15-59, 60+, 65+) and of vaccination lists (3-5, 60-64, 80+).
AGE_BANDS: tuple[tuple[int, str], ...] = (
    (0, "0-2"), (3, "3-5"), (6, "6-14"), (15, "15-17"), (18, "18-59"), (60, "60-64"), (65, "65-79"), (80, "80+"),
)  # fmt: skip


def age_on(born: date, day: date) -> int:
    """Completed years on ``day``; a birth on 29 February counts from 1 March in other years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def age_group(age: int) -> str:
    """The band of ``AGE_BANDS`` that an age lies in."""
    return next(label for floor, label in reversed(AGE_BANDS) if age >= floor or floor == 0)


class KeyGroup(StrEnum):
    """Groups that rules treat in their own way (重点人群). A profile says how: single tube, how often, at home."""

    CLOSE_CONTACT = "close_contact"
    SECONDARY_CONTACT = "secondary_contact"
    VENUE_EXPOSED = "venue_exposed"
    QUARANTINE_RESIDENT = "quarantine_resident"
    HOME_QUARANTINE = "home_quarantine"
    HOME_MONITORING = "home_monitoring"
    FEVER_CLINIC = "fever_clinic"
    QUARANTINE_STAFF = "quarantine_staff"
    MEDICAL_STAFF = "medical_staff"
    MEDICAL_WASTE = "medical_waste"
    PORT_STAFF = "port_staff"
    COLD_CHAIN = "cold_chain"
    CARE_RESIDENT = "care_resident"
    CARE_STAFF = "care_staff"
    DRIVER = "driver"
    COURIER = "courier"
    HOTEL_STAFF = "hotel_staff"
    MARKET_STAFF = "market_staff"
    SCHOOL_STAFF = "school_staff"
    STUDENT = "student"
    ARRIVAL = "arrival"
    REDUCED_MOBILITY = "reduced_mobility"
    PREGNANT = "pregnant"
    NEW_BORN = "new_born"


# --- Probable duplicates --------------------------------------------------------------------------------------------


class Traits(NamedTuple):
    """What may be compared of a person without reading it: blind tokens and clear columns, None or 0 where unknown.

    ``certain`` says that the document is a valid 18-digit number: two different ones are two different people.
    """

    name: bytes | None
    birth_year: int | None = None
    sex: int = 0
    phone: bytes | None = None
    household: str | None = None
    area: str = ""
    document: bytes | None = None
    certain: bool = False


class Likeness(NamedTuple):
    """Two rows are probably one person: ``likely`` or ``possible``, and why (words: ``documents.same.<reason>``)."""

    level: str
    reasons: tuple[str, ...]


def number_slip(one: str, other: str) -> str | None:
    """How two numbers differ if one slip of the finger explains it: ``digit``, ``swapped``, ``missing``; else None.

    Compares readable numbers, so it runs only where they are in memory anyway: while a list is staged, or at a desk
    that revealed them.
    """
    if one == other or not one or not other or abs(len(one) - len(other)) > 1:
        return None
    if len(one) != len(other):
        short, long = sorted((one, other), key=len)
        return "missing" if any(long[:i] + long[i + 1 :] == short for i in range(len(long))) else None
    differing = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(differing) == 1:
        return "digit"
    i, j = differing[0], differing[-1]
    swapped = len(differing) == 2 and j == i + 1 and one[i] == other[j] and one[j] == other[i]
    return "swapped" if swapped else None


def duplicate_score(a: Traits, b: Traits, *, slip: str | None = None) -> Likeness | None:
    """Whether two rows are probably the same person. Symmetric. A person decides; nothing is merged by this.

    *None*: two different certain documents and no ``slip`` (from ``number_slip``), or two known sexes that differ.
    *Likely*: the same document (then identity has joined them already); or the same name, years of birth at most one
    apart or unknown, and a slip, the same phone or the same household. *Possible*: the same name and year of birth in
    the same community; or a slip, and the same household or phone; or the same phone, year and sex.
    """
    reasons = _shared(a, b, slip)
    if "document" in reasons:
        return Likeness("likely", reasons)
    if (a.certain and b.certain and slip is None) or {a.sex, b.sex} == {1, 2}:
        return None
    strong = {"slip", "phone", "household"} & set(reasons)
    years_fit = not (a.birth_year and b.birth_year) or abs(a.birth_year - b.birth_year) <= 1
    if "name" in reasons and years_fit and strong:
        return Likeness("likely", reasons)
    return Likeness("possible", reasons) if _possible(set(reasons), bool(a.sex and a.sex == b.sex)) else None


def _shared(a: Traits, b: Traits, slip: str | None) -> tuple[str, ...]:
    """The reasons that speak for one person, in a fixed order."""
    same: dict[str, bool] = {
        "document": a.document is not None and a.document == b.document,
        "name": a.name is not None and a.name == b.name,
        "slip": slip is not None,
        "phone": a.phone is not None and a.phone == b.phone,
        "birth_year": bool(a.birth_year) and a.birth_year == b.birth_year,
        "household": a.household is not None and a.household == b.household,
        "area": bool(a.area) and a.area[:12] == b.area[:12],
    }
    return tuple(reason for reason, holds in same.items() if holds)


def _possible(reasons: set[str], same_sex: bool) -> bool:
    return (
        {"name", "birth_year", "area"} <= reasons
        or ("slip" in reasons and bool({"household", "phone"} & reasons))
        or ({"phone", "birth_year"} <= reasons and same_sex)
    )


def duplicate_keys(traits: Traits) -> list[tuple[object, ...]]:
    """Keys to group rows by before comparing pairs: any two rows that ``duplicate_score`` accepts share one of these.

    From narrow to wide. Groups under a wide key may be too large to compare (namesakes, a hotline as everybody's
    phone): skip those, the narrow keys still find what is worth finding.
    """
    name, year, phone, household = traits.name, traits.birth_year, traits.phone, traits.household
    keys: list[tuple[object, ...]] = [
        ("document", traits.document),
        ("name_phone", name, phone),
        ("name_household", name, household),
        ("name_year", name, year),
        ("household", household),
        ("phone", phone),
        ("name", name),
    ]
    return [key for key in keys if None not in key]
