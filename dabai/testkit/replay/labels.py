"""Printed labels: strips of tubes, bags and boxes, with the check character of ISO 7064 MOD 37,36.

Twelve characters: T (tube), D (bag) or X (box), DJ for Duji, three of a batch, five of a serial, one check.
"""

from dataclasses import dataclass, field

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DISTRICT = "DJ"


def check_character(body: str) -> str:
    state = 36
    for character in body:
        total = (state + ALPHABET.index(character)) % 36 or 36
        state = total * 2 % 37
    return ALPHABET[(37 - state) % 36]


def label(kind: str, batch: int, serial: int) -> str:
    """The label ``serial`` of a batch; ``kind`` is T, D or X."""
    body = f"{kind}{DISTRICT}{batch:03}{serial:05}"
    return body + check_character(body)


@dataclass
class Labels:
    """A round's labels: one batch, each handed out once."""

    batch: int
    used: dict[str, int] = field(default_factory=dict)

    def next(self, kind: str) -> str:
        self.used[kind] = self.used.get(kind, 0) + 1
        return label(kind, self.batch, self.used[kind])
