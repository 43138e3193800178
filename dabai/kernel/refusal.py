"""The one way to say no: a stable code, the field it is about, and values for the sentence. Never personal data."""

from typing import Any


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
