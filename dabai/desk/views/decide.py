"""A desk's decisions are facts through the same door as everybody's; a refusal comes back as one."""

from typing import Any

from django.http import HttpRequest

from dabai.access.guard import access_of
from dabai.desk.shell import operation_of
from dabai.journal.door import submit_desk
from dabai.kernel.refusal import Refusal


def decide(request: HttpRequest, kind: str, body: dict[str, Any]) -> str:
    """Report one decision; its id. Whatever the receipt refuses is raised, with the field in the form's words."""
    operation = operation_of(request)
    receipt = submit_desk(user=access_of(request).user, operation=operation.pk, facts=[{"kind": kind, "body": body}])[0]
    if receipt.verdict != "accepted":
        raise Refusal(receipt.code or "journal.body_invalid", last_name(receipt.field))
    return str(receipt.id)


def last_name(field: str | None) -> str | None:
    """``body.document.number`` is ``number`` in a form."""
    return field.rpartition(".")[2] if field else None
