"""No request, however wrong, breaks the interface: never a 5xx, always the form that the contract promises.

Three ways of being wrong, over every operation of the contract: requests that schemathesis makes up from the schemas,
right ones and wrong ones; bodies that no schema describes; and every field of every kind of fact with every value that
has ever hurt a server. They go through the WSGI application, over a real database, as a device, as people of several
roles, and as nobody.
"""

import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error, response_schema_conformance
from schemathesis.generation import GenerationMode

from dabai.access import actions, queries
from dabai.access.login import forget_failures, new_api_token
from dabai.commands.contract import openapi
from dabai.journal import reference
from dabai.journal.intake import stop_writer
from dabai.people import background
from dabai.people.actions import upload_list
from dabai.registry import kinds
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.field import fact
from dabai.testkit.story import open_round
from dabai.wsgi import application
from tests.contract.test_every_kind import Examples

DOCUMENT = json.loads(openapi())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.app = application
OPERATIONS = sorted((path, method) for path, methods in DOCUMENT["paths"].items() for method in methods)
POSTS = [path for path, method in OPERATIONS if method == "post"]
ROLES = ("commander", "round_manager", "lab_reviewer", "administrator", "outsider")
EXAMPLES = 16
pytestmark = pytest.mark.django_db

NASTY_NUMBERS = (0, -1, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0)
NASTY_TEXTS = (
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "\u202e\u0000",
    "'; DROP TABLE journal_entry; --",
    "{0.__class__}",
    "%s%n%(x)s",
    "１２３",
    "x" * 300_000,
    "9" * 5_000,
    "2022-02-30T25:61:00+99:99",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
)
DEEP = json.loads("[" * 300 + "]" * 300)
NASTY = (*NASTY_NUMBERS, *NASTY_TEXTS, None, True, [], {}, [None] * 600, {"a": {"b": {"c": []}}}, DEEP)
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a NUL": b"\x00",
    "half a sign": b'"\xe4\xba',
    "a lone surrogate": b'{"facts": ["\\ud800"], "name": "\\udfff"}',
    "a list too deep": b"[" * 100_000,
    "an object too deep": b'{"facts":' * 50_000 + b"1" + b"}" * 50_000,
    "a number too long": b'{"facts": [' + b"9" * 10_000 + b"]}",
    "a number too great": b'{"facts": [1e999999]}',
    "not a number": b'{"facts": [NaN, Infinity]}',
    "two of a key": b'{"facts": [], "facts": 1}',
    "a word": b"null",
    "a list": b"[]",
    "gzip that is none": b"\x1f\x8b\x08\x00 no",
    "a form": b"a=1&b=%00",
    "five megabytes": b" " * 5_000_000 + b"{}",
}
HEADERS: list[dict[str, str]] = [
    {"Authorization": "Device"},
    {"Authorization": "Device " + "x" * 5_000},
    {"Authorization": "Bearer \x80\xff"},
    {"Authorization": "Basic Og=="},
    {"Cookie": "sessionid='; lang=\x7f"},
    {"Cookie": "sessionid=" + "z" * 4_000},
    {"Accept-Language": "en" * 2_000},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"Content-Type": "application/json; charset=no-such"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "multipart/form-data; boundary=\x01"},
    {"X-Forwarded-For": "not an address, \x00"},
]


@dataclass
class Installation:
    """What stands ready to be asked wrongly."""

    drill: PreparedOperation
    people: Cast
    examples: Examples
    known: dict[str, Any]
    tokens: dict[str, str] = field(default_factory=dict)

    def headers(self, who: str) -> dict[str, str]:
        """The log-in of somebody of the cast, of the phone, or nobody's. A token that was logged out is made anew."""
        if who == "nobody":
            return {}
        if who == "phone":
            return {"Authorization": f"Device {self.tokens['phone']}"}
        return {"Authorization": f"Bearer {new_api_token(user=getattr(self.people, who).user)}"}

    def path(self, path: str) -> str:
        """A path of the contract with what exists in its places."""
        return path.format(**{name: self.known.get(name, "1") for name in names_in(path)})


def names_in(path: str) -> list[str]:
    """The parameters of a path."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


@pytest.fixture(scope="module")
def ready(django_db_setup: None, django_db_blocker: Any) -> Iterator[Installation]:
    """A drill with a running round, its people, a phone and an import: committed, and taken away in the end."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "start", lambda number, state: background.WORK[state](number))
        reference.forget()
        queries.forget_devices()
        yield prepare(make_operation())
        stop_writer()
        call_command("flush", verbosity=0, interactive=False)
        reference.forget()
        queries.forget_devices()


def prepare(drill: PreparedOperation) -> Installation:
    """Everything that a path can name."""
    people = make_cast(drill.id, str(drill.district))
    running, _ = open_round(drill, 6)
    file = "姓名,证件号码\n演甲,340602190001010028\n".encode()
    staged = upload_list(
        by=people.round_manager.user, operation=drill.id, district=drill.district, purpose="residents", label="名单",
        area=str(drill.district), file_name="a.csv", pieces=[file], size=len(file),
    )  # fmt: skip
    code = actions.issue_pairing_code(name="1号手机", operation=drill.id, area=str(drill.district), by=None)
    _, token = actions.pair_device(code=code, name="", app="")
    known = {"operation": drill.id, "round_id": running.pk, "import_id": staged.pk, "fact": str(uuid.uuid4())}
    return Installation(drill, people, Examples(drill, running), known, {"phone": token})


@pytest.fixture
def _django_db_helper(ready: Installation, django_db_blocker: Any) -> Iterator[None]:
    """In place of pytest-django's, which would roll back or empty the database after each test: here the installation
    outlives them. Nobody is told to wait because somebody before them guessed."""
    with django_db_blocker.unblock():
        forget_failures()
        yield


def wrong_places(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Values of path parameters that name nothing."""
    wrong = st.sampled_from(
        ["0", "-1", str(2**31), str(2**70), "abc", "%00", "%F0%90", "é", "1e3", str(uuid.UUID(int=0))]
    )
    return st.fixed_dictionaries(dict.fromkeys(names, wrong))


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{m} {p}" for p, m in OPERATIONS])
def test_what_the_schemas_make_up(ready: Installation, path: str, method: str) -> None:
    operation = SCHEMA[path][method.upper()]
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    cases = modes.flatmap(lambda mode: operation.as_strategy(generation_mode=mode))
    places = st.just(ready.known) | wrong_places(names_in(path))
    who = st.sampled_from(["round_manager", "phone", *ROLES, "nobody"])

    @given(case=cases, places=places, who=who)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, places: dict[str, Any], who: str) -> None:
        case.path_parameters = {name: places.get(name, "1") for name in names_in(path)}
        answer = case.call(headers=ready.headers(who))
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])

    ask()


@pytest.mark.parametrize("path", POSTS)
def test_bodies_that_no_schema_describes(ready: Installation, path: str) -> None:
    who = "phone" if path == "/api/v1/facts" else "round_manager"
    for name, body in BODIES.items():
        answer = Client(headers=ready.headers(who)).post(ready.path(path), body, content_type="application/json")
        assert_form(answer, name)
    packed = gzip.compress(b"[" * 3_000_000)
    answer = Client(headers=ready.headers(who)).post(
        ready.path(path), packed, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert_form(answer, "a gzipped list too deep")


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{m} {p}" for p, m in OPERATIONS])
def test_headers_and_queries_that_nobody_sends(ready: Installation, path: str, method: str) -> None:
    client, where = Client(headers=ready.headers("round_manager")), ready.path(path)
    for headers in HEADERS:
        kind = headers.get("Content-Type", "application/json")
        assert_form(client.generic(method, where, b"{}", kind, headers=headers), str(headers)[:60])
    names = [one["name"] for one in DOCUMENT["paths"][path][method].get("parameters", []) if one["in"] == "query"]
    for name in names:
        for value in ("%00", "%ff", "9" * 400, "-1", "1.5", "%27", "nan", "2022-99-99", "x" * 3_000, "&" + name, ""):
            for sitter in (client, Client(headers=ready.headers("phone"))):
                assert_form(sitter.generic(method, f"{where}?{name}={value}"), f"{name}={value[:20]}")


def assert_form(answer: Any, what: str) -> None:
    """Not a 5xx; a client's error has the one form."""
    assert answer.status_code < 500, what
    if answer.status_code >= 400:
        told = answer.json()
        assert set(told) == {"code", "field", "params", "message"}, what
        assert told["message"] != told["code"], what


FILES: dict[str, bytes] = {
    "empty": b"",
    "NULs": b"\x00" * 100,
    "a broken workbook": b"PK\x03\x04" + b"\x00" * 60,
    "an old workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600,
    "half a sign": "姓名,证件号码\n演".encode()[:-1],
    "an open quote": '姓名,"证件号码\n演甲'.encode(),
    "one long line": b"x" * 2_000_000,
    "ten thousand columns": b",".join(b"c%d" % n for n in range(10_000)) + b"\n1\n",
    "UTF-16": "姓名,管码,结果\n演甲,TDJ03A00417K,阴性\n".encode("utf-16"),
    "not UTF-8": "姓名,管码,结果\n演甲,TDJ,阴性\n".encode("gb18030"),
}
UPLOADS = [path for path in POSTS if "multipart/form-data" in json.dumps(DOCUMENT["paths"][path]["post"])]


@pytest.mark.parametrize("path", UPLOADS)
@pytest.mark.parametrize("who", ["round_manager", "administrator", "lab_reviewer", "commander"])
def test_files_that_are_none(ready: Installation, path: str, who: str) -> None:
    lab, area = str(ready.drill.laboratory.pk), str(ready.drill.district)
    fields = {"lab": lab, "purpose": "residents", "label": "名单", "area": area}
    for name, content in FILES.items():
        for file_name in ("a.csv", "a.xlsx", "../../\x01.csv"):
            parts = {**fields, "file": as_file(content, file_name)}
            answer = Client(headers=ready.headers(who)).post(ready.path(path), parts)
            assert_form(answer, f"{name} as {file_name}")


def as_file(content: bytes, name: str) -> Any:
    """An upload."""
    from io import BytesIO

    file = BytesIO(content)
    file.name = name
    return file


def spoiled(body: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body with each field replaced by each nasty value, then left out; nested lists and objects as well."""
    for name in schema["properties"]:
        yield {key: value for key, value in body.items() if key != name}
        for value in NASTY:
            yield {**body, name: value}
            if isinstance(body.get(name), list):
                yield {**body, name: [value]}
            if isinstance(body.get(name), dict):
                yield from ({**body, name: {**body[name], part: value}} for part in body[name])


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_field_of_every_kind_with_every_nasty_value(ready: Installation, kind: str) -> None:
    body, schema = ready.examples.body(kind), DOCUMENT["components"]["schemas"][f"facts.{kind}"]
    right = [fact(kind, ready.examples.body(kind, number)) for number in (1, 2)]
    wrong = [fact(kind, one) for one in spoiled(body, schema)]
    facts = [right[0], *wrong, right[1]]
    for start in range(0, len(facts), 400):
        batch = facts[start : start + 400]
        receipts = send(ready, kind, batch)
        assert [one["id"] for one in receipts] == [one["id"] for one in batch]
        refused = [one for one in receipts if one["verdict"] == "refused"]
        assert all(one["code"] for one in refused)
        told = {one["id"]: one["verdict"] for one in receipts}
        assert {told[one["id"]] for one in right if one["id"] in told} <= {"accepted"}


def send(ready: Installation, kind: str, facts: list[Any]) -> list[dict[str, str]]:
    """Facts through the door that is theirs, half signs and great numbers as a browser would write them."""
    desk = kinds()[kind].desk
    where = f"/api/v1/desk/operations/{ready.drill.id}/facts" if desk else "/api/v1/facts"
    lab = kind.startswith("testing.result_corrected")
    who = ("lab_reviewer" if lab else "round_manager") if desk else "phone"
    client = Client(headers=ready.headers(who))
    answer = client.post(where, json.dumps({"facts": facts}), content_type="application/json")
    assert answer.status_code == 200, answer.content[:300]
    return answer.json()["receipts"]


ENVELOPES: list[Any] = [
    None,
    1,
    "x" * 100_000,
    [],
    {},
    {"id": "00000000-0000-0000-0000-000000000000"},
    {"id": 5, "kind": {}, "body": []},
    {"kind": "testing.sample_taken", "body": {"x": "\ud800"}},
]


def test_every_field_of_the_envelope_with_every_nasty_value(ready: Installation) -> None:
    good = fact("testing.sample_taken", ready.examples.body("testing.sample_taken"))
    names = ("id", "kind", "level", "happened_at", "device_seq", "by", "body")
    wrong = [*ENVELOPES, *({**good, name: value} for name in names for value in NASTY)]
    neighbour = fact("testing.queue_counted", {**ready.examples.at, "people": 3})
    for start in range(0, len(wrong), 400):
        receipts = send(ready, "testing.sample_taken", [*wrong[start : start + 400], neighbour])
        assert receipts[-1]["verdict"] == "accepted"
