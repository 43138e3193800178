"""The slice: what a phone carries of the residents of its area, so that it finds them without a network.

Rows hold a masked name, the last four of the number, clear columns and *lookup tokens*, never a name or number. A phone
that is given a whole number makes the token itself and compares; the key of the tokens is derived from the device's own
secret, so that tokens of one phone say nothing to another and the operation's index key never leaves the server. Blocks
of rows are encrypted under another key derived from that secret, which the phone keeps under the PIN::

    block  = nonce (12 bytes) + AES-256-GCM(HKDF(secret, "dabai/slice"), JSON of up to 500 rows, "slice|<version>|<n>")
    token  = first 6 bytes of HMAC-SHA256(HKDF(secret, "dabai/lookup"), normalised number), as hex

The normalised number is ``normalise_document("", typed).number`` (15 digits become 18), or what ``clean_number`` leaves
where that refuses. People who are the same person (``Identity``) are one row under the canonical id, with the tokens of
all their numbers. ``contract/vectors/slice.json`` says it in examples.

A *version* stands for the whole slice: it changes with the device's scope, with lists taken in, corrections, merges,
people away or back, households sealed or opened, and with each round's roster. It does not change with each person
registered on the spot: a slice holds those who are there when it is downloaded.
"""

import hashlib
import hmac
import os
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core import signing

from dabai.access.actions import record
from dabai.access.keys import KeyRing, derive, ring
from dabai.access.queries import DeviceContext
from dabai.journal.feed import in_force
from dabai.kernel import areas, clock
from dabai.kernel.refusal import Refusal
from dabai.people.masks import mask_name
from dabai.people.queries import CORRECTIONS, rows
from dabai.people.rules import Document, DocumentKind, normalise_document
from dabai.places.models import Site, SiteKind

LEVEL = 1
BLOCK = 500
PAGE = 2_500
MOST = 60_000
TOKEN = 6
NONCE = 12
COMMUNITY = 12
NO_RESIDENTS = (SiteKind.LABORATORY,)
SALT = "dabai/slice/after"

# Everybody of %(areas)s, disjoint prefixes of digits, each one range of the index.
SCOPE = """
SELECT p.id, p.area, p.spot, p.away FROM unnest(%(areas)s::text[]) AS g(area)
JOIN people_person p ON p.district = %(district)s AND p.operation = %(operation)s
 AND p.area BETWEEN g.area AND rpad(g.area, 15, '9')
"""
IN_FORCE = "NOT EXISTS (SELECT FROM journal_withdrawal w WHERE w.district = %(district)s AND w.target = {id})"
STATE = f"""
WITH mine AS MATERIALIZED ({SCOPE}),
     here AS MATERIALIZED (SELECT m.id, m.spot FROM mine m
                           WHERE NOT m.away AND NOT (m.spot AND NOT {IN_FORCE.format(id="m.id")}))
SELECT (SELECT count(*) FROM here) - (
           SELECT coalesce(sum(ids - 1), 0)::int FROM (
               SELECT count(*) AS ids FROM people_identity i JOIN here h ON h.id = i.person
               WHERE i.district = %(district)s AND i.operation = %(operation)s GROUP BY i.canonical) g),
       (SELECT (count(*), bit_xor(uuid_hash_extended(id, 0)))::text FROM here WHERE NOT spot),
       (SELECT (count(*), bit_xor(uuid_hash_extended(h.id, 0)))::text FROM unnest(%(areas)s::text[]) AS g(area)
        JOIN people_household h ON h.district = %(district)s AND h.operation = %(operation)s AND h.sealed
         AND h.area BETWEEN g.area AND rpad(g.area, 15, '9')),
       (SELECT (count(*), max(finished_at))::text FROM people_import i
        WHERE i.operation = %(operation)s AND i.purpose = 'residents' AND i.state = 'committed' AND EXISTS (
            SELECT FROM unnest(%(areas)s::text[]) AS g(area)
            WHERE starts_with(i.area, g.area) OR starts_with(g.area, i.area))),
       (SELECT (count(*), bit_xor(uuid_hash_extended(c.id, 0)))::text FROM people_correction c
        WHERE c.district = %(district)s AND c.operation = %(operation)s AND c.person IN (SELECT id FROM mine)
          AND {IN_FORCE.format(id="c.id")}),
       (SELECT (count(*), bit_xor(uuid_hash_extended(m.id, 0)))::text FROM people_merge m
        WHERE m.district = %(district)s AND m.operation = %(operation)s AND {IN_FORCE.format(id="m.id")}
          AND (m.one IN (SELECT id FROM mine) OR m.other IN (SELECT id FROM mine)))
"""  # noqa: S608 - constants only

# One row for each person: of several ids in scope that are the same person, the one that stands on a list.
PEOPLE = f"""
SELECT p.area, p.id, coalesce(i.canonical, p.id), i.canonical IS NOT NULL, p.key, p.name_enc, p.number_enc,
       p.document_kind, p.birth_year, p.sex, p."group", p.building, p.household, coalesce(h.sealed, false),
       coalesce(h.unit, ''), coalesce(h.estate, '')
FROM (
    SELECT p.area, p.id FROM unnest(%(left)s::text[]) AS g(area) CROSS JOIN LATERAL (
        SELECT p.area, p.id FROM people_person p
        LEFT JOIN people_identity i ON i.district = p.district AND i.person = p.id
        WHERE p.district = %(district)s AND p.operation = %(operation)s
          AND p.area BETWEEN g.area AND rpad(g.area, 15, '9') AND (p.area, p.id) > (%(area)s, %(person)s::uuid)
          AND NOT p.away AND NOT (p.spot AND NOT {IN_FORCE.format(id="p.id")})
          AND (i.canonical IS NULL OR NOT EXISTS (
            SELECT FROM people_identity o JOIN people_person q ON q.district = o.district AND q.id = o.person
            WHERE o.district = %(district)s AND o.canonical = i.canonical AND NOT q.away
              AND q.operation = %(operation)s AND NOT (q.spot AND NOT {IN_FORCE.format(id="q.id")})
              AND (q.spot, q.id) < (p.spot, p.id)
              AND EXISTS (SELECT FROM unnest(%(areas)s::text[]) AS s(area) WHERE starts_with(q.area, s.area))))
        ORDER BY p.area, p.id LIMIT %(limit)s) p
    ORDER BY p.area, p.id LIMIT %(limit)s
) k
JOIN people_person p ON p.district = %(district)s AND p.id = k.id
LEFT JOIN people_identity i ON i.district = p.district AND i.person = p.id
LEFT JOIN people_household h ON h.district = p.district AND h.id = p.household
ORDER BY p.area, p.id
"""  # noqa: S608 - constants only
# The other ids of the same people, wherever they are.
MATES = f"""
SELECT o.canonical, p.id, p.key, p.number_enc, p.document_kind FROM people_identity o
JOIN people_person p ON p.district = o.district AND p.id = o.person
WHERE o.district = %(district)s AND o.operation = %(operation)s AND o.canonical = ANY(%(groups)s::uuid[])
  AND p.id <> ALL(%(ids)s::uuid[]) AND NOT (p.spot AND NOT {IN_FORCE.format(id="p.id")})
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class State:
    """The slice of a device as a whole: which one it is now, and of how many people."""

    version: str
    people: int
    areas: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """What phones compare with the slice they have."""
        return {"version": self.version, "people": self.people}


class Place(NamedTuple):
    """Where a download stands: of which version and areas, how many blocks went out, and the last person in them."""

    version: str
    areas: tuple[str, ...]
    blocks: int = 0
    area: str = ""
    person: UUID = UUID(int=0)


def areas_of(context: DeviceContext) -> tuple[str, ...]:
    """The areas whose residents a device may carry: its own, and the community (or what is wider) of its sites.

    Disjoint prefixes. A laboratory's computer carries nobody.
    """
    scopes = in_force(context)
    sites = Site.objects.filter(operation=context.operation, pk__in=[one.site for one in scopes if one.site])
    wanted = {area[:COMMUNITY] for area in sites.exclude(kind__in=NO_RESIDENTS).values_list("area", flat=True)}
    wanted |= {one.area for one in scopes if one.area}
    return disjoint(area for area in wanted if areas.is_code(area))


def disjoint(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Without those that lie in another one."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)


def state_of(context: DeviceContext, rosters: object) -> State:
    """Version and size of a device's slice: two statements. ``rosters`` changes when a round's roster was frozen."""
    wanted = areas_of(context)
    where = {"district": context.district, "operation": context.operation, "areas": list(wanted)}
    people, *rest = rows(STATE, where)[0]
    said = repr((LEVEL, context.district, context.operation, wanted, rosters, rest))
    return State(hashlib.sha256(said.encode()).hexdigest()[:16], people, wanted)


# --- a download -----------------------------------------------------------------------------------------------


def slice_page(
    context: DeviceContext, secret: bytes, rosters: object, after: str = "", *, page: int = PAGE
) -> dict[str, Any]:
    """The next blocks of a device's slice, encrypted for it: at most five statements, and two more to begin a download.

    ``after`` is what the page before answered; one for another scope starts again (``reset``). What changes during a
    download may be in it or not; its version is that of the beginning, so that the phone then learns of another.
    Beginning is written down in the audit log. Refusal ``people.slice_too_large``.
    """
    place = read_place(after)
    if place is None or place.areas != areas_of(context):
        place = begin(context, state_of(context, rosters))
    found = residents(context, place, page)
    people, more = found[:page], len(found) > page
    shown = sliced_rows(context, people, derive(secret, "dabai/lookup"))
    blocks = sealed_blocks(derive(secret, "dabai/slice"), place.version, place.blocks, shown)
    reset = bool(after) and place.blocks == 0
    if more:
        place = place._replace(area=people[-1].area, person=people[-1].id, blocks=place.blocks + len(blocks))
    answer = {"version": place.version, "reset": reset, "more": more, "after": written_place(place) if more else ""}
    return {**answer, "blocks": blocks}


def begin(context: DeviceContext, state: State) -> Place:
    """The place before the first person. Written down before anything goes out."""
    if state.people > MOST:
        raise Refusal("people.slice_too_large", people=state.people, limit=MOST)
    note_download(context, state)
    return Place(state.version, state.areas)


def read_place(after: str) -> Place | None:
    """Where to go on; None to begin. Signed, so that nothing is downloaded without having been begun."""
    try:
        version, areas, blocks, area, person = signing.loads(after, salt=SALT)
    except signing.BadSignature:
        return None
    return Place(version, tuple(areas), blocks, area, UUID(person))


def written_place(place: Place) -> str:
    """A place as text."""
    return signing.dumps([*place[:4], str(place.person)], salt=SALT)


def note_download(context: DeviceContext, state: State) -> None:
    """Write down that a device takes its slice, before it does."""
    record(
        by=None,
        action="people.slice_taken",
        device=context.id,
        operation=context.operation,
        area=state.areas[0] if len(state.areas) == 1 else "",
        detail={"people": state.people, "areas": list(state.areas), "version": state.version},
    )


class Resident(NamedTuple):
    """One row of ``PEOPLE``."""

    area: str
    id: UUID
    canonical: UUID
    several: bool
    key: int
    name_enc: Any
    number_enc: Any
    document_kind: str
    birth_year: int | None
    sex: int
    group: str
    building: str
    household: UUID | None
    sealed: bool
    unit: str
    estate: str


def residents(context: DeviceContext, place: Place, page: int) -> list[Resident]:
    """The people of a page and one more: one statement."""
    where: dict[str, Any] = {"district": context.district, "operation": context.operation, "limit": page + 1}
    left = [area for area in place.areas if area >= place.area or place.area.startswith(area)]
    where |= {"left": left, "areas": list(place.areas), "area": place.area, "person": place.person}
    return [Resident(*row) for row in rows(PEOPLE, where)]


class Paper(NamedTuple):
    """A number and the kind of document that it was read from."""

    kind: str
    number: str


def sliced_rows(context: DeviceContext, people: Sequence[Resident], lookup: bytes) -> list[list[Any]]:
    """What phones are shown of these people: two statements. Corrections go before what was registered."""
    keys, today = ring(context.operation), clock.business_day(clock.now())
    ids = [one.id for one in people]
    where: dict[str, Any] = {"district": context.district, "operation": context.operation, "ids": ids}
    mates = rows(MATES, where | {"groups": [one.canonical for one in people if one.several]})
    names, numbers = corrections(keys, rows(CORRECTIONS, where | {"ids": [*ids, *(mate[1] for mate in mates)]}))

    def paper(person: UUID, key: int, sealed: Any, kind: str) -> Paper:
        if person in numbers:
            return numbers[person]
        return Paper(kind, keys.open(key, "people_person", "number", person, sealed) or "")

    others: dict[UUID, list[Paper]] = {}
    for canonical, *mate in mates:
        others.setdefault(canonical, []).append(paper(*mate))
    shown = []
    for one in people:
        own = paper(one.id, one.key, one.number_enc, one.document_kind)
        name = names.get(one.id) or keys.open(one.key, "people_person", "name", one.id, one.name_enc) or ""
        papers = [own, *others.get(one.canonical, ())] if one.several else [own]
        shown.append(sliced(one, name, own, tokens(lookup, papers, today)))
    return shown


def corrections(keys: KeyRing, found: Iterable[Sequence[Any]]) -> tuple[dict[UUID, str], dict[UUID, Paper]]:
    """Corrected names and numbers by person; of several, the last stands."""
    names: dict[UUID, str] = {}
    numbers: dict[UUID, Paper] = {}
    for person, fact, key, kind, name, number, _ in found:
        if name is not None:
            names[person] = keys.open(key, "people_correction", "name", fact, name) or ""
        if kind:
            numbers[person] = Paper(kind, keys.open(key, "people_correction", "number", fact, number) or "")
    return names, numbers


def sliced(one: Resident, name: str, own: Paper, found: list[str]) -> list[Any]:
    """One row as JSON."""
    household = one.household.hex[:8] if one.household else ""
    last_four = Document(DocumentKind.OTHER, own.number).last_four
    head = [
        str(one.canonical),
        found,
        mask_name(name) if name else "",
        last_four,
        one.birth_year or 0,
        one.sex,
        one.group,
    ]
    return [*head, int(one.sealed), household, one.area, one.building, one.unit, one.estate]


# --- what the phone can check ---------------------------------------------------------------------------------


def tokens(lookup: bytes, papers: Iterable[Paper], today: date) -> list[str]:
    """The lookup tokens of a person's numbers: as they are stored, and as a phone reads them that knows no kind."""
    return sorted({token(lookup, form) for paper in papers for form in forms(paper, today)})


def forms(paper: Paper, today: date) -> set[str]:
    """The texts that a phone may make of a number."""
    kind, number = paper
    if not number:
        return set()
    if len(number) == 18 and kind == DocumentKind.RESIDENT_ID:
        return {number}
    try:
        return {number, normalise_document("", number, today=today).number} - {""}
    except Refusal:
        return {number}


def token(lookup: bytes, number: str) -> str:
    """The lookup token of a normalised number."""
    return hmac.digest(lookup, number.encode(), "sha256")[:TOKEN].hex()


def sealed_blocks(key: bytes, version: str, first: int, shown: Sequence[list[Any]]) -> list[dict[str, Any]]:
    """Rows in encrypted blocks of up to 500, numbered through the whole download."""
    parts = [shown[start : start + BLOCK] for start in range(0, len(shown), BLOCK)]
    return [
        {"n": n, "data": b64encode(sealed_block(key, version, n, orjson.dumps(part), os.urandom(NONCE))).decode()}
        for n, part in enumerate(parts, start=first)
    ]


def sealed_block(key: bytes, version: str, n: int, text: bytes, nonce: bytes) -> bytes:
    """One block, bound to its place in this version."""
    return nonce + AESGCM(key).encrypt(nonce, text, f"slice|{version}|{n}".encode())
