"""One form mechanism: fields with a label, a value, a help and an error; a refusal lands at the field that it names.

::

    form = Form(Field("reason", required=True), Field("until", "datetime-local"), action="/…/")
    if request.method == "POST" and form.read(request.POST):
        with form.refusals():
            …do it…
            return redirect(…)
    return show(request, "form_page.html", form=form)

Labels are ``desk.field.<name>``, helps ``desk.help.<help>``. Forms check only that something was said.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dabai.kernel.refusal import Refusal

LONGEST = 4000
# Templates look a form up by key first, so no question may be called like a part of the form.
RESERVED = frozenset({"fields", "submit", "action", "danger", "error", "errors", "multipart"})


@dataclass(slots=True)
class Field:
    """One question. ``kind`` is text, password, number, datetime-local, textarea, select, checks, file or hidden.

    ``title`` is a label that is no words of ours: the name of a site.
    """

    name: str
    kind: str = "text"
    value: Any = ""
    required: bool = False
    options: Sequence[tuple[Any, str]] = ()
    label: str = ""
    title: str = ""
    help: str = ""
    accept: str = ""
    autocomplete: str = "off"
    error: Refusal | None = None
    key: str = ""

    @property
    def id(self) -> str:
        """The id of the input: several forms of a page may ask for a reason."""
        return f"f-{self.key}-{self.name}" if self.key else f"f-{self.name}"

    @property
    def label_key(self) -> str:
        """The words of the label."""
        return f"desk.field.{self.label or self.name}"

    @property
    def help_key(self) -> str:
        """The words of the help."""
        return f"desk.help.{self.help}" if self.help else ""

    def read(self, posted: Mapping[str, Any]) -> None:
        """Take what was sent; too much of it or nothing where something is needed is an error."""
        if self.kind == "file":
            return
        if self.kind == "checks":
            self.value = [one[:80] for one in posted.getlist(self.name)]  # type: ignore[attr-defined]
        else:
            self.value = str(posted.get(self.name, "")).strip().replace("\r\n", "\n")
            if len(self.value) > LONGEST:
                self.error = Refusal("desk.field_long", self.name, limit=LONGEST)
            elif "\0" in self.value:
                self.value, self.error = self.value.replace("\0", ""), Refusal("desk.field_wrong", self.name)
        if self.required and not self.value:
            self.error = Refusal("desk.field_missing", self.name)
        known = {str(option) for option, _ in self.options}
        chosen = self.value if isinstance(self.value, list) else [self.value] if self.value else []
        if self.options and not set(chosen) <= known:
            self.error = Refusal("desk.field_wrong", self.name)


@dataclass(slots=True)
class Form:
    """Some questions and one button."""

    fields: list[Field] = field(default_factory=list)
    submit: str = "save"
    action: str = ""
    danger: bool = False
    error: Refusal | None = None

    @property
    def multipart(self) -> bool:
        """Whether it sends files."""
        return any(one.kind == "file" for one in self.fields)

    @property
    def errors(self) -> list[Refusal]:
        """Everything that is wrong."""
        return [*filter(None, [self.error]), *(one.error for one in self.fields if one.error)]

    def __getitem__(self, name: str) -> Any:
        """What was said to a question."""
        return self.at(name).value

    def at(self, name: str) -> Field:
        """The question of this name. KeyError for any other: templates look a form up by key before its attributes."""
        for one in self.fields:
            if one.name == name:
                return one
        raise KeyError(name)

    def read(self, posted: Mapping[str, Any], files: Mapping[str, Any] | None = None) -> bool:
        """Take what was sent; whether nothing is wrong with it so far."""
        for one in self.fields:
            one.read(posted)
            if one.kind == "file" and files is not None:
                one.value = files.get(one.name)
                if one.required and one.value is None:
                    one.error = Refusal("desk.file_missing", one.name)
        return not self.errors

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Refusals of the work inside land at their field, or at the form."""
        try:
            yield
        except Refusal as refusal:
            self.fail(refusal)

    def fail(self, refusal: Refusal) -> None:
        """Show a refusal where it belongs."""
        names = {one.name: one for one in self.fields}
        named = (refusal.field or "").partition(".")[0]
        if named in names and names[named].kind != "hidden":
            names[named].error = refusal
        else:
            self.error = refusal


def form(*fields: Field, submit: str = "save", action: str = "", danger: bool = False) -> Form:
    """A form of these fields. ``submit`` names its button, and tells it from the other forms of a page."""
    for one in fields:
        assert one.name not in RESERVED, one.name
        one.key = submit
    return Form(list(fields), submit, action, danger)
