"""Fixtures of the desk's interface: a client that speaks JSON for somebody of the cast."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from dabai.access.login import new_api_token
from dabai.access.queries import forget_devices
from dabai.journal import reference
from dabai.testkit.cast import Cast, Member, make_cast
from dabai.testkit.district import PreparedOperation

BASE = "/api/v1/desk/"


@dataclass
class Desk:
    """Somebody at a script: ``get`` and ``post`` answer (status, body)."""

    headers: dict[str, str]

    def get(self, path: str, **query: Any) -> tuple[int, Any]:
        answer = Client().get(BASE + path, query, headers=self.headers)
        return answer.status_code, answer.json()

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        text = body if isinstance(body, str) else json.dumps(body if body is not None else {})
        answer = Client().post(BASE + path, text, content_type="application/json", headers=self.headers)
        return answer.status_code, answer.json()

    def upload(self, path: str, **parts: Any) -> tuple[int, Any]:
        answer = Client().post(BASE + path, parts, headers=self.headers)
        return answer.status_code, answer.json()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    reference.forget()
    forget_devices()


@pytest.fixture
def people(drill: PreparedOperation) -> Cast:
    """The cast, with their roles in the whole district."""
    return make_cast(drill.id, str(drill.district))


@pytest.fixture
def at(people: Cast) -> Callable[[str | Member], Desk]:
    """``at("commander")`` is their desk; ``at("")`` nobody's."""

    def sit(who: str | Member) -> Desk:
        if who == "":
            return Desk({})
        member = who if isinstance(who, Member) else getattr(people, who)
        return Desk({"Authorization": f"Bearer {new_api_token(user=member.user)}"})

    return sit
