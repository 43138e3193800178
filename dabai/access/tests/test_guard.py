"""Who is let in at a URL, on a small site of its own (``urls.py`` beside this file)."""

from datetime import timedelta

import pytest

from dabai.access import actions, queries
from dabai.access.guard import UNKNOWN_TOKENS, WRONG_CODES, guarded_urls
from dabai.access.models import Assignment, AuditEntry
from dabai.kernel import clock
from dabai.testkit.cast import make_cast
from dabai.testkit.district import make_operation

pytestmark = [pytest.mark.django_db, pytest.mark.urls("dabai.access.tests.urls")]


@pytest.fixture
def street(drill):
    return drill.streets[0]


@pytest.fixture
def cast(drill, street):
    return make_cast(drill.id, street)


@pytest.fixture
def visit(client, cast, drill):
    """Status and page for a member of the cast."""

    def go(member: str, where: str, operation: int = drill.id):
        client.force_login(getattr(cast, member).user)
        return client.get(where.format(operation=operation))

    return go


# ---- pages


@pytest.mark.parametrize("where", ["/me/", "/figures/", "/operations/{operation}/figures/", "/operations/9/figures/"])
def test_who_is_not_logged_in_is_sent_to_the_log_in_page(client, drill, where):
    answer = client.get(where.format(operation=drill.id))
    assert (answer.status_code, answer.headers["Location"].startswith("/login/?next=/")) == (302, True)
    assert client.get(where.format(operation=drill.id), headers={"HX-Request": "true"}).status_code == 401


def test_a_role_lets_in_and_another_does_not(visit, street, drill):
    answer = visit("round_manager", "/operations/{operation}/figures/")
    assert answer.json() == {"operation": drill.id, "areas": [street]}
    assert visit("administrator", "/operations/{operation}/figures/").status_code == 403
    assert AuditEntry.objects.get(action="access.denied").detail == {"asked": ["see_figures"]}


@pytest.mark.parametrize(
    ("area", "status"),
    [("340602001", 200), ("340602001004", 200), ("340602002", 403), ("340602", 403), ("370105", 404), ("x", 404)],
)
def test_an_area_of_the_url_must_lie_in_the_scope(visit, area, status):
    assert visit("round_manager", f"/operations/{{operation}}/figures/{area}/").status_code == status


def test_an_operation_that_no_role_reaches_is_not_there(visit, cast):
    other = make_operation()
    assert visit("round_manager", "/operations/{operation}/figures/", other.id).status_code == 404
    assert visit("round_manager", "/operations/{operation}/figures/", 987654).status_code == 404
    assert visit("outsider", "/operations/{operation}/figures/").status_code == 404
    Assignment.objects.filter(user=cast.round_manager.user).update(operation=None)
    assert visit("round_manager", "/operations/{operation}/figures/", other.id).status_code == 200


def test_a_role_that_is_over_lets_nobody_in(visit, cast):
    Assignment.objects.filter(user=cast.round_manager.user).update(valid_to=clock.now() - timedelta(minutes=1))
    assert visit("round_manager", "/operations/{operation}/figures/").status_code == 404
    assert visit("round_manager", "/figures/").status_code == 404


def test_without_an_operation_in_the_url_the_chosen_one_counts_else_the_newest(client, cast, drill, street):
    newer = make_operation()
    make_cast(newer.id, street)
    foreign = make_operation()
    client.force_login(cast.round_manager.user)
    assert client.get("/figures/").json()["operation"] == newer.id
    for chosen, expected in ((drill.id, drill.id), (foreign.id, newer.id), (987654, newer.id)):
        client.get(f"/choose/{chosen}/")
        assert client.get("/figures/").json()["operation"] == expected
    newer.operation.ended_at = clock.now()
    newer.operation.save(update_fields=["ended_at"])
    client.get("/choose/0/")
    assert client.get("/figures/").json()["operation"] == drill.id


@pytest.mark.parametrize(("where", "status"), [("340602001004", 200), ("340602002006", 404)])
def test_a_thing_that_lies_elsewhere_is_hidden(visit, where, status):
    assert visit("grid_worker", f"/operations/{{operation}}/things/{where}/").status_code == status
    assert visit("courier", f"/operations/{{operation}}/things/{where}/").status_code == status
    assert visit("auditor", f"/operations/{{operation}}/things/{where}/").status_code == 403


# ---- devices


@pytest.fixture
def phone(drill):
    UNKNOWN_TOKENS.forget()
    queries.forget_devices()
    code = actions.issue_pairing_code(operation=drill.id, name="手机", by=None, area=drill.streets[0])
    return actions.pair_device(code=code, name="", app="")


def test_a_device_comes_in_with_its_token(client, phone):
    device, token = phone
    for scheme in ("Device", "device"):
        answer = client.get("/api/changes", headers={"Authorization": f"{scheme} {token}"})
        assert (answer.status_code, answer.json()) == (200, str(device.pk))


@pytest.mark.parametrize("header", ["", "Device", "Device ", "Bearer {token}", "Device x", f"Device {'x' * 300}"])
def test_anything_else_does_not(client, phone, header):
    answer = client.get("/api/changes", headers={"Authorization": header.format(token=phone[1])})
    assert answer.status_code == 401


def test_a_revoked_device_may_post_and_nothing_else(client, phone):
    device, token = phone
    actions.revoke_device(device=device, by=None, reason="丢失", lost=True)
    headers = {"Authorization": f"Device {token}"}
    assert client.post("/api/facts", headers=headers).status_code == 200
    assert client.get("/api/changes", headers=headers).content == b"access.device_not_allowed"


def test_who_tries_tokens_is_made_to_wait_and_known_neighbours_are_not(client, phone, django_assert_num_queries):
    good = {"Authorization": f"Device {phone[1]}"}
    client.get("/api/changes", headers=good)
    for n in range(UNKNOWN_TOKENS.limit):
        assert client.get("/api/changes", headers={"Authorization": f"Device x{n}"}).status_code == 401
    with django_assert_num_queries(0):
        assert client.get("/api/changes", headers={"Authorization": "Device y"}).status_code == 429
    assert client.get("/api/changes", headers=good).status_code == 200


def test_who_tries_codes_is_made_to_wait(client, drill):
    WRONG_CODES.forget()
    for _ in range(WRONG_CODES.limit):
        assert client.post("/api/pair?code=ABC").content == b"access.code_mistyped"
    code = actions.issue_pairing_code(operation=drill.id, name="手机", by=None, area=drill.streets[0])
    assert client.post(f"/api/pair?code={code}").status_code == 429
    WRONG_CODES.forget()
    assert client.post(f"/api/pair?code={code}").status_code == 200


# ---- the walk


def test_the_walk_finds_every_url_and_those_that_declare_nothing():
    found = {(one.route, one.guard.kind if one.guard else None) for one in guarded_urls()}
    assert ("forgotten/", None) in found
    assert ("api/leak", None) in found
    assert ("api/health", "public") in found
    assert ("api/changes", "device") in found
    assert ("api/facts", "posting_device") in found
    assert ("figures/", "needs") in found
    assert ("me/", "signed_in") in found
    assert [route for route, guard in sorted(found) if guard is None] == ["api/leak", "forgotten/"]
