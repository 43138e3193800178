"""What somebody may be told who asks for their own results by document number and name.

Whole cities ask at once: one statement answers many questions, and it is prepared, because planning it costs several
times what running it does. It is the same statement whether a number is known or not.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg

from dabai.access.keys import TOKEN, ring
from dabai.people.derive import EFFECTIVE
from dabai.people.queries import names_meant, numbers_meant
from dabai.testing.outcomes import IN_ROUNDS, PersonResult


class Claim(NamedTuple):
    """Who somebody says they are: number and name as on the document."""

    number: str
    name: str


def tokens(name: str) -> str:
    """The SQL that takes tokens apart which come as one value: which claim (two bytes), token, and so on.

    Arrays of bytes would have to be written as text, which takes as long as everything else about a question.
    """
    return f"""
    SELECT get_byte(%({name})s, g) * 256 + get_byte(%({name})s, g + 1) AS asked,
        substring(%({name})s FROM g + 3 FOR {TOKEN}) AS token
    FROM generate_series(0, length(%({name})s) - 1, {2 + TOKEN}) AS g"""  # noqa: S608 - constants only


def packed(found: Iterable[tuple[int, bytes | None]]) -> bytes:
    """Claims' numbers and tokens as ``tokens`` takes them apart."""
    return b"".join(which.to_bytes(2, "big") + token for which, token in found if token)


HELD = EFFECTIVE.replace("%(ids)s::uuid[]", "ARRAY(SELECT id FROM held)")
OWN = f"""
WITH number AS MATERIALIZED ({tokens("numbers")}), name AS MATERIALIZED ({tokens("names")}), held AS MATERIALIZED (
    SELECT p.id FROM number n CROSS JOIN LATERAL (
        SELECT p.id FROM people_person p
        WHERE p.district = %(district)s AND p.number_token = n.token OFFSET 0) p
    UNION
    SELECT c.person FROM number n CROSS JOIN LATERAL (
        SELECT c.person FROM people_correction c
        WHERE c.district = %(district)s AND c.number_token = n.token OFFSET 0) c
), bearer AS MATERIALIZED ({HELD}), own AS MATERIALIZED (
    SELECT n.asked, (array_agg(e.id ORDER BY e.id))[1] AS person
    FROM bearer e
    JOIN number n ON n.token = e.number_token
    JOIN name m ON m.asked = n.asked AND m.token = e.name_token
    GROUP BY n.asked
)
{IN_ROUNDS}"""  # noqa: S608 - constants only


def own_results(cursor: Any, district: int, operation: int, claims: Sequence[Claim]) -> list[list[PersonResult]]:
    """For each claim its results in the operation, newest first: one statement for at most 65,535 claims.

    Empty where the number is not known, the name is another, or there is no sample: nobody can tell which. Django's own
    cursors can't prepare, so the driver's is used on the same connection.
    """
    keys = ring(operation)
    raw = cursor.connection
    raw.prepare_threshold = raw.prepare_threshold or 5
    where = {
        "district": district,
        "operation": operation,
        "numbers": packed(
            (n, keys.token("number", one)) for n, c in enumerate(claims) for one in numbers_meant(c.number)
        ),
        "names": packed((n, keys.token("name", one)) for n, c in enumerate(claims) for one in names_meant(c.name)),
    }
    found: dict[int, list[PersonResult]] = defaultdict(list)
    for asked, *row in psycopg.Cursor(raw).execute(OWN, where, prepare=True).fetchall():
        found[asked].append(PersonResult(*row))
    return [found[n] for n in range(len(claims))]
