"""The one way to say no: a stable code, the field it is about, and values for the sentence. Never personal data."""

import re
from collections.abc import Iterable
from typing import Any

FIELD_NAME = re.compile(r"[a-z][a-z_]{0,39}|[0-9]{1,6}")


class Refusal(Exception):
    """Something can't be accepted. ``code`` is stable and names a sentence of the words catalogue (``refusal.<code>``).

    ``field`` is the path of the offending field in the caller's words; ``params`` fill the sentence and must
    never carry a name, a number, a phone or an address: they end up in logs and answers.
    """

    def __init__(self, code: str, field: str | None = None, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.params = params

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable form: ``{"code", "field", "params"}``."""
        return {"code": self.code, "field": self.field, "params": self.params}


def field_path(parts: Iterable[object]) -> str:
    """The path of a field as a refusal names it. What is not shaped like one of our names shows as ``?``: an app with a
    mistake in it may send somebody's name where a field's belongs.
    """
    return ".".join(name if FIELD_NAME.fullmatch(name := str(part)) else "?" for part in parts)[:70]
