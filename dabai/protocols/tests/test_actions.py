"""Versions of profiles, and operations with a key of their own."""

import copy
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from dabai.access.keys import forget_rings, ring
from dabai.access.models import AuditEntry, DataKey, User
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.protocols import actions, queries, schema
from dabai.protocols.models import Operation, Profile
from dabai.testkit.cast import Cast, make_cast

pytestmark = pytest.mark.django_db
DISTRICT = 340602
SLUG = "covid19-cn-9"


def refused(code: str) -> Any:
    return pytest.raises(Refusal, match=f"^{re.escape(code)}$")


@pytest.fixture(autouse=True)
def _fresh_rules() -> None:
    queries.forget_rules()


@pytest.fixture
def operation() -> Operation:
    return actions.create_operation(by=None, district=DISTRICT, name="杜集全域演练", kind="drill", profile=SLUG)


@pytest.fixture
def cast(operation: Operation) -> Cast:
    return make_cast(operation.pk, str(DISTRICT), since=datetime(2022, 1, 1, tzinfo=UTC))


def body_of(slug: str = SLUG) -> dict[str, Any]:
    return copy.deepcopy(actions.as_body(schema.shipped_profiles()[slug]))


# --- profiles


def test_what_we_ship_is_stored_once():
    first = actions.load_shipped()
    assert [one.slug for one in first] == sorted(schema.shipped_profiles())
    assert actions.load_shipped() == first
    assert Profile.objects.count() == len(first)
    assert [one.pk for one in queries.newest_profiles()] == [one.pk for one in first]


def test_other_rules_are_the_next_version_and_the_old_one_stays():
    first = actions.publish(by=None, body=body_of())
    changed = body_of()
    changed["pooling"]["open_minutes"] += 10
    second = actions.publish(by=None, body=changed)
    assert (first.version, second.version) == (1, 2)
    assert actions.publish(by=None, body=changed) == second
    assert [one.version for one in queries.versions_of(SLUG)] == [2, 1]
    minutes = [queries.rules_of(one.pk).pooling.open_minutes for one in (first, second)]
    assert minutes[1] == minutes[0] + 10
    assert queries.changes_between(first.pk, second.pk)[0].field == "version"
    assert {one.field for one in queries.changes_between(first.pk, second.pk)} == {"version", "pooling.open_minutes"}


def test_going_back_to_old_rules_is_a_new_version_too():
    first = body_of()
    changed = copy.deepcopy(first)
    changed["fever_c"] = 38.0
    versions = [actions.publish(by=None, body=body).version for body in (first, changed, first)]
    assert versions == [1, 2, 3]


def test_a_profile_that_is_wrong_is_not_stored():
    wrong = body_of() | {"fever_c": 99}
    with pytest.raises(schema.ProfileInvalid) as caught:
        actions.publish(by=None, body=wrong)
    assert [problem.field for problem in caught.value.problems] == ["fever_c"]
    assert not Profile.objects.exists()


def test_who_may_publish(cast):
    published = actions.publish(by=cast.commander.user, body=body_of())
    entry = AuditEntry.objects.get(action="operations.profile_published")
    assert (entry.actor_id, entry.subject) == (cast.commander.user.pk, f"profile/{SLUG}/{published.version}")
    for member in (cast.round_manager, cast.administrator, cast.auditor):
        with refused("access.not_allowed"):
            actions.publish(by=member.user, body=body_of())


def test_pool_sizes_are_read_from_what_is_stored():
    stored = actions.publish(by=None, body=body_of())
    sizes, usual = queries.pool_sizes(stored.body)
    rules = queries.rules_of(stored.pk)
    assert (sizes, usual) == (list(rules.pooling.sizes), rules.pooling.default_size)
    assert queries.pool_sizes({}) == ([1, 5, 10, 20], 10)
    assert queries.tube_pattern({"codes": {"tube_pattern": "[0-9]{10}"}}) == "[0-9]{10}"
    assert queries.tube_pattern(stored.body) == rules.codes.tube_pattern


# --- operations


def test_an_operation_has_a_key_of_its_own(operation):
    other = actions.create_operation(by=None, district=DISTRICT, name="二", kind="response", profile=SLUG)
    forget_rings()
    row = uuid7()
    sealed = ring(operation.pk).seal("people_person", "name", row, "演甲")
    assert ring(operation.pk).open(1, "people_person", "name", row, sealed) == "演甲"
    assert ring(operation.pk).token("name", "演甲") != ring(other.pk).token("name", "演甲")
    assert DataKey.objects.filter(operation__in=(operation.pk, other.pk)).count() == 2
    assert operation.profile == other.profile == queries.newest(SLUG)


def test_an_operation_by_a_version_of_a_profile():
    first = actions.publish(by=None, body=body_of())
    actions.publish(by=None, body=body_of() | {"fever_c": 38.0})
    made = actions.create_operation(by=None, district=DISTRICT, name="一", kind="drill", profile=first.pk)
    assert made.profile == first


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"district": 3406}, "operations.district_form"),
        ({"district": 340602001}, "operations.district_form"),
        ({"name": " "}, "operations.name_missing"),
        ({"kind": "party"}, "operations.kind_unknown"),
        ({"profile": "plague-1348"}, "operations.profile_unknown"),
        ({"profile": 999_999}, "operations.profile_unknown"),
    ],
)
def test_an_operation_that_cannot_be(changes, code):
    given = {"by": None, "district": DISTRICT, "name": "一", "kind": "drill", "profile": SLUG}
    with refused(code):
        actions.create_operation(**given | changes)
    assert not Operation.objects.exists()
    assert not DataKey.objects.exists()


def test_who_may_begin_change_and_end_an_operation(cast, operation):
    manager: User = cast.round_manager.user
    with refused("access.not_allowed"):
        actions.create_operation(by=manager, district=DISTRICT, name="一", kind="drill", profile=SLUG)
    with refused("access.not_allowed"):
        actions.change_profile(by=manager, operation=operation.pk, profile="covid19-cn-8", reason="x")
    with refused("access.not_allowed"):
        actions.end_operation(by=manager, operation=operation.pk, reason="x")
    commander = cast.commander.user
    with refused("operations.reason_missing"):
        actions.end_operation(by=commander, operation=operation.pk, reason=" ")
    changed = actions.change_profile(by=commander, operation=operation.pk, profile="covid19-cn-8", reason="上级通知")
    assert changed.profile.slug == "covid19-cn-8"
    ended = actions.end_operation(by=commander, operation=operation.pk, reason="结束")
    assert ended.ended_at is not None
    with refused("operations.ended"):
        actions.end_operation(by=commander, operation=operation.pk, reason="再结束")
    logged = set(AuditEntry.objects.filter(operation=operation.pk).values_list("action", flat=True))
    assert {"operations.created", "operations.profile_changed", "operations.ended"} <= logged


def test_operations_newest_first(operation):
    other = actions.create_operation(by=None, district=370105, name="天桥", kind="response", profile=SLUG)
    assert [one.pk for one in queries.operations_of()] == [other.pk, operation.pk]
    actions.end_operation(by=None, operation=other.pk, reason="结束")
    assert [one.pk for one in queries.operations_of(running=True)] == [operation.pk]
    assert [one.pk for one in queries.operations_of(370105)] == [other.pk]
