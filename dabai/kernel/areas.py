"""Areas are codes: 6 digits district, 9 street or town, 12 village or community, then two more for the grid.

Containment is ``startswith``; a scope is a list of such prefixes (GB/T 2260 and the statistics bureau's 12-digit
codes).
"""

from collections.abc import Iterable

LEVELS = {6: "district", 9: "street", 12: "community", 14: "grid"}
LENGTHS = tuple(LEVELS)


def level(code: str) -> str:
    """``district``, ``street``, ``community`` or ``grid``; ValueError for anything else."""
    if not code.isascii() or not code.isdigit() or len(code) not in LEVELS:
        raise ValueError("not an area code")
    return LEVELS[len(code)]


def is_code(code: str) -> bool:
    """Whether ``code`` has the form of an area code."""
    return len(code) in LEVELS and code.isascii() and code.isdigit()


def parent(code: str) -> str | None:
    """The code one level up, None for a district."""
    shorter = [length for length in LENGTHS if length < len(code)]
    return code[: shorter[-1]] if shorter else None


def ancestors(code: str) -> list[str]:
    """The codes above ``code``, district first."""
    return [code[:length] for length in LENGTHS if length < len(code)]


def within(code: str, prefixes: Iterable[str]) -> bool:
    """Whether ``code`` lies in one of the areas."""
    return any(code.startswith(prefix) for prefix in prefixes)
