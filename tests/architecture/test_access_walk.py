"""Every endpoint denies by default: the walk over role × endpoint × area.

``access_table.toml`` says, endpoint by endpoint, what it asks for, and, permission by permission, which roles hold it.
It is a second word on purpose: who opens an endpoint or widens a role changes two places, and the reviewer sees both.
Then every endpoint is called for real by every member of the cast, in their area and with the same role in another
district.

A new endpoint needs a line in the table; this test prints it.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.timezone import now

from dabai.access import actions, login, queries
from dabai.access.guard import INSTALLATION, UNKNOWN_TOKENS, Endpoint, guarded_urls
from dabai.access.models import Assignment, User
from dabai.access.rules import MATRIX, Role
from dabai.figures.actions import propose
from dabai.people.models import Import, ImportState
from dabai.testing.models import Round
from dabai.testkit.cast import ELSEWHERE, PARTS, make_cast

TABLE = tomllib.loads((Path(__file__).parent / "access_table.toml").read_text(encoding="utf-8"))
MEMBERS = [key for key in PARTS if key != "outsider"]
SCOPED = re.compile(r"<(?:\w+:)?(?:operation|round\w*|import\w*|bulletin\w*)>")
WORDS = ["340602", "x", "12", "A1", str(uuid4()), "2022-03-13T07:00:00+08:00", "xxxxxxxxxxxx"]

pytestmark = pytest.mark.django_db


def line(endpoint: Endpoint) -> tuple[str, Any]:
    """How the table tells of an endpoint: ``METHOD route`` and its guard."""
    guard = endpoint.guard
    asks = [one.value for one in guard.permissions] if guard and guard.kind == "needs" else guard and guard.kind
    return f"{'|'.join(endpoint.methods) or 'ANY'} {endpoint.route}", asks


def walked() -> dict[str, Any]:
    return dict(line(endpoint) for endpoint in guarded_urls())


def test_every_endpoint_says_whom_it_lets_in():
    undeclared = [name for name, guard in walked().items() if guard is None]
    assert undeclared == [], "declare @needs(…), @signed_in or @public (dabai.access.guard)"


def test_the_table_and_the_endpoints_say_the_same():
    found, told = walked(), TABLE["endpoints"]
    new = "\n".join(
        f"{json.dumps(name)} = {json.dumps(found[name])}" for name in found if told.get(name) != found[name]
    )
    gone = sorted(set(told) - set(found))
    assert (new, gone) == ("", []), f"lines for access_table.toml:\n{new}\nlines to take out: {gone}"


def test_the_table_and_the_matrix_say_the_same():
    held = {name: sorted(role.value for role in Role if name in MATRIX[role]) for name in TABLE["permissions"]}
    assert held == {name: sorted(roles) for name, roles in TABLE["permissions"].items()}
    assert set(held) == {name.value for permissions in MATRIX.values() for name in permissions}


def roles_for(asks: Any) -> set[str]:
    """The roles that an endpoint lets in."""
    return {role for permission in asks for role in TABLE["permissions"][permission]}


# ---- filling in a request


@dataclass(frozen=True)
class Things:
    """What paths and bodies can name."""

    values: dict[str, Any]

    def path(self, route: str) -> str:
        """The route with its places filled; a name that nobody has taught the walk is an error."""
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", self.fill, route)

    def fill(self, place: re.Match[str]) -> str:
        """The value for one place of a route."""
        assert place[1] in self.values, f"teach test_access_walk.things what to put for <{place[1]}>"
        return str(self.values[place[1]])


@pytest.fixture
def things(drill) -> Things:
    common = {"district": drill.district, "operation": drill.id}
    round_ = Round.objects.create(
        number=1, name="第一轮", profile=drill.operation.profile.pk, areas=["340602"], starts_at=now(), **common
    )
    upload = Import.objects.create(
        purpose="residents",
        label="x",
        file_name="x.csv",
        file_digest=b"",
        area="340602",
        state=ImportState.STAGED,
        created_at=now(),
        **common,
    )
    bulletin = propose(by=None, operation=drill.id)
    named = {
        "bulletin_id": bulletin.pk,
        "operation": drill.id,
        "round": round_.pk,
        "round_id": round_.pk,
        "import_id": upload.pk,
    }
    named |= {"district": drill.district, "area": "340602", "lab": drill.laboratory.pk, "site": drill.points[0].pk}
    named |= {name: uuid4() for name in ("fact", "person", "device", "device_id", "household", "merge", "result")}
    named |= dict.fromkeys(("file_id", "user_id", "assignment_id"), 1)
    named |= dict.fromkeys(("what", "code", "subject", "name"), "x")
    named |= {"tube": "TDJ03A00417K", "box": "XDJ03A00417K", "token": "x" * 43, "profile": "covid19-cn-9"}
    return Things(named)


class Example:
    """A valid value for a schema of the contract: the smallest that passes."""

    def __init__(self, schemas: dict[str, Any], things: Things) -> None:
        self.schemas, self.things = schemas, things

    def of(self, schema: dict[str, Any], name: str = "") -> Any:
        """The value for one schema; a property that the walk knows by name gets a real one."""
        if "$ref" in schema:
            return self.of(self.schemas[schema["$ref"].rpartition("/")[2]], name)
        if "anyOf" in schema:
            return self.of(schema["anyOf"][0], name)
        if "enum" in schema:
            return schema["enum"][0]
        if name in self.things.values and schema.get("type") in ("integer", "string"):
            value = self.things.values[name]
            return value if schema["type"] == "integer" else str(value)
        return self.plain(schema)

    def plain(self, schema: dict[str, Any]) -> Any:
        """By type."""
        match schema.get("type"):
            case "object":
                properties = schema.get("properties", {})
                return {name: self.of(properties[name], name) for name in schema.get("required", [])}
            case "array":
                return [self.of(schema["items"]) for _ in range(schema.get("minItems", 0))]
            case "string":
                return self.text(schema)
            case "boolean":
                return True
        return schema.get("minimum", 1)

    def text(self, schema: dict[str, Any]) -> Any:
        """A text that fits the pattern, a file where one is asked for."""
        if schema.get("format") == "binary":
            return SimpleUploadedFile("x.csv", "姓名,用户名\n".encode())
        formats = {"date-time": "2022-03-13T07:00:00+08:00", "uuid": str(uuid4()), "date": "2022-03-13"}
        if schema.get("format") in formats:
            return formats[schema["format"]]
        fits = [word for word in WORDS if re.search(schema.get("pattern", ""), word)]
        return next(word for word in fits if len(word) >= schema.get("minLength", 0))


@cache
def contract() -> dict[str, Any]:
    """The contract of the interface."""
    from dabai.urls import api

    return api.get_openapi_schema()


class Caller:
    """Somebody who calls endpoints: by session at the desk's pages, by token at the interface."""

    def __init__(self, user: User | None, things: Things) -> None:
        self.client = Client(raise_request_exception=False)
        self.user, self.things = user, things
        if user:
            self.client.force_login(user)

    def call(self, name: str) -> int:
        """The status of the answer to a valid request."""
        methods, route = name.split(" ")
        if route.startswith("api/"):
            return self.call_interface(methods.split("|")[0], route)
        path = self.things.path(route)
        statuses = [self.client.get(path).status_code, self.client.post(path).status_code]
        return next((status for status in statuses if status != 405), 405)

    def call_interface(self, method: str, route: str) -> int:
        """Call an operation of the contract with a body and a query that its schema allows."""
        told_of = contract()
        path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
        told = told_of["paths"].get(path, {}).get(method.lower(), {})
        example = Example(told_of.get("components", {}).get("schemas", {}), self.things)
        wanted = [one for one in told.get("parameters", []) if one["in"] == "query" and one.get("required")]
        query = {one["name"]: example.of(one["schema"], one["name"]) for one in wanted}
        headers = {"Authorization": f"Bearer {login.new_api_token(user=self.user)}"} if self.user else {}
        arguments: dict[str, Any] = {"headers": headers, "query_params": query}
        for kind, body in told.get("requestBody", {}).get("content", {}).items():
            data = example.of(body["schema"])
            arguments |= (
                {"data": data} if kind.startswith("multipart") else {"data": json.dumps(data), "content_type": kind}
            )
        return getattr(Client(raise_request_exception=False), method.lower())(
            self.things.path(route), **arguments
        ).status_code


def needing() -> dict[str, list[str]]:
    return {name: asks for name, asks in TABLE["endpoints"].items() if isinstance(asks, list)}


def is_of_installation(name: str, asks: list[str]) -> bool:
    """Whether an endpoint belongs to no operation: who holds the permission anywhere is let in, and does their part."""
    return not SCOPED.search(name) and (" api/" in name or bool(set(asks) & INSTALLATION))


# ---- the walk


@pytest.mark.parametrize("member", MEMBERS)
def test_a_role_is_let_in_where_the_table_says_so_and_nowhere_else(drill, things, member):
    person = getattr(make_cast(drill.id, str(drill.district)), member)
    caller = Caller(person.user, things)
    wrong = []
    for name, asks in needing().items():
        status = caller.call(name)
        if person.role not in roles_for(asks):
            wrong += [(name, status)] if status not in (403, 405) else []
        elif status == 401 or status >= 500 or (status == 403 and len(asks) == 1):
            wrong.append((name, status))
    assert wrong == [], wrong


@pytest.mark.parametrize("member", MEMBERS)
def test_the_same_role_in_another_district_is_let_in_nowhere(drill, things, member):
    person = getattr(make_cast(drill.id, str(drill.district)), member)
    Assignment.objects.filter(user=person.user).update(area=ELSEWHERE, operation=None)
    caller = Caller(person.user, things)
    wrong = []
    for name, asks in needing().items():
        status = caller.call(name)
        if status not in (403, 404, 405) and not (is_of_installation(name, asks) and person.role in roles_for(asks)):
            wrong.append((name, status))
    assert wrong == [], wrong


def test_the_outsider_is_always_refused(drill, things):
    outsider = make_cast(drill.id, str(drill.district)).outsider.user
    caller = Caller(outsider, things)
    asked = {name: asks for name, asks in needing().items() if not is_of_installation(name, asks)}
    assert [name for name in asked if caller.call(name) not in (403, 404, 405)] == []


def test_somebody_without_any_role_is_refused_everywhere(drill, things):
    nobody = actions.create_user(username="nobody", display_name="无", by=None)
    caller = Caller(nobody, things)
    assert [name for name in needing() if caller.call(name) not in (403, 404, 405)] == []


def test_who_is_not_logged_in_is_sent_away(drill, things):
    caller = Caller(None, things)
    asked = {name: guard for name, guard in TABLE["endpoints"].items() if guard != "public"}
    assert [name for name in asked if caller.call(name) not in (302, 401, 405)] == []


def test_a_device_reaches_what_is_for_devices_and_a_revoked_one_may_only_post(drill, things):
    code = actions.issue_pairing_code(operation=drill.id, name="手机", by=None, area=str(drill.district))
    device, token = actions.pair_device(code=code, name="", app="")
    UNKNOWN_TOKENS.forget()

    def status(name: str, held: str) -> int:
        method, route = name.split(" ")
        call = getattr(Client(raise_request_exception=False), method.lower())
        return call(things.path(route), headers={"Authorization": f"Device {held}"}).status_code

    devices = [name for name, guard in TABLE["endpoints"].items() if guard in ("device", "posting_device")]
    assert [name for name in devices if status(name, token) in (401, 403)] == []
    assert {status(name, "x" * 43) for name in devices} == {401}
    assert [name for name in needing() if name.split(" ")[1].startswith("api/") and status(name, token) != 401] == []
    actions.revoke_device(device=device, by=None, reason="丢失")
    queries.forget_devices()
    let_in = {name for name in devices if status(name, token) not in (401, 403)}
    assert let_in == {name for name in devices if TABLE["endpoints"][name] == "posting_device"}
