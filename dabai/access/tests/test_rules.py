"""Who may do what, where and when: the matrix and the questions asked of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabai.access.rules import (
    ALONE,
    MATRIX,
    PERSONAL,
    REPORTS,
    Grant,
    Permission,
    Role,
    ScopeItem,
    allowed,
    check_grant,
    check_roles_together,
    device_may,
    may_report,
    prefixes,
    roles_in_force,
    roles_that_report,
)
from dabai.kernel.refusal import Refusal

NOON = datetime(2022, 3, 13, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
STREET, COMMUNITY, NEXT_STREET = "340602001", "340602001004", "340602002"


def grant(role: Role = Role.ROUND_MANAGER, area: str = STREET, operation: int | None = 1, **period: datetime) -> Grant:
    return Grant(role, area, operation, **({"valid_from": NOON - HOUR} | period))


def test_every_role_has_its_permissions_and_its_kinds():
    assert set(MATRIX) == set(REPORTS) == set(Role)


def test_every_permission_is_held_by_some_role():
    assert set().union(*MATRIX.values()) == set(Permission)


@pytest.mark.parametrize("role", sorted(ALONE))
def test_who_administers_or_audits_sees_no_personal_data_and_reports_nothing(role):
    assert not MATRIX[role] & PERSONAL
    assert not REPORTS[role]


def test_somebody_without_a_grant_may_nothing():
    assert not any(allowed([], permission, STREET, 1, NOON) for permission in Permission)


@pytest.mark.parametrize(
    ("area", "expected"), [(STREET, True), (COMMUNITY, True), (NEXT_STREET, False), ("340602", False), ("", False)]
)
def test_a_grant_reaches_what_lies_in_its_area(area, expected):
    assert allowed([grant()], Permission.SEE_FIGURES, area, 1, NOON) is expected


def test_a_grant_holds_from_its_start_until_before_its_end():
    held = [grant(valid_from=NOON, valid_to=NOON + HOUR)]
    moments = [NOON - timedelta(microseconds=1), NOON, NOON + HOUR - timedelta(microseconds=1), NOON + HOUR]
    assert [allowed(held, Permission.SEE_FIGURES, STREET, 1, at) for at in moments] == [False, True, True, False]


def test_a_grant_of_one_operation_says_nothing_of_another():
    assert not allowed([grant()], Permission.SEE_FIGURES, STREET, 2, NOON)
    assert allowed([grant(operation=None)], Permission.SEE_FIGURES, STREET, 2, NOON)
    assert allowed([grant()], Permission.SEE_FIGURES, STREET, None, NOON)


def test_prefixes_are_the_fewest_and_cut_to_the_district():
    held = [grant(), grant(area=COMMUNITY), grant(area=NEXT_STREET), grant(area="370105")]
    assert prefixes(held, Permission.SEE_FIGURES, 1, NOON, "340602") == [STREET, NEXT_STREET]
    assert prefixes([grant(area="")], Permission.SEE_FIGURES, 1, NOON, "340602") == ["340602"]
    assert prefixes(held, Permission.MANAGE_KEYS, 1, NOON) == []


CODES = st.sampled_from(["", "340602", STREET, COMMUNITY, COMMUNITY + "01", NEXT_STREET, "370105"])
GRANTS = st.lists(
    st.builds(
        Grant,
        st.sampled_from(Role),
        CODES,
        st.sampled_from([None, 1, 2]),
        st.sampled_from([NOON - HOUR, NOON, NOON + HOUR]),
        st.sampled_from([None, NOON, NOON + HOUR]),
    ),
    max_size=4,
)


@given(GRANTS, st.sampled_from(Permission), CODES.filter(bool), st.sampled_from([1, 2]))
def test_a_list_filtered_by_prefixes_shows_exactly_what_is_allowed(held, permission, area, operation):
    found = prefixes(held, permission, operation, NOON)
    assert allowed(held, permission, area, operation, NOON) == any(area.startswith(one) for one in found)


def test_roles_in_force_forget_what_is_over():
    held = [grant(), grant(Role.PACKER, valid_to=NOON), grant(Role.COURIER, operation=2)]
    assert roles_in_force(held, 1, NOON) == {Role.ROUND_MANAGER}


def test_a_role_reports_its_own_kinds_only():
    assert may_report([Role.REGISTRAR], "testing.sample_taken")
    assert not may_report([Role.COURIER, Role.PACKER], "testing.result_read")
    assert not may_report(["superuser"], "testing.sample_taken")
    assert roles_that_report("testing.result_released") == {Role.LAB_REVIEWER}


def test_no_role_both_takes_and_releases():
    for kinds in REPORTS.values():
        assert not {"testing.sample_taken", "testing.result_released"} <= kinds


# ---- devices


def scope(site: int | None = None, area: str | None = None, start: int = -1, end: int | None = None) -> ScopeItem:
    return ScopeItem(site, area, NOON + start * HOUR, None if end is None else NOON + end * HOUR)


def test_a_device_of_a_site_reports_from_that_site_wherever_it_lies():
    assert device_may([scope(site=7)], 7, COMMUNITY, NOON)
    assert not device_may([scope(site=7)], 8, COMMUNITY, NOON)
    assert not device_may([scope(site=7)], None, COMMUNITY, NOON)


def test_a_device_of_an_area_reports_from_every_site_in_it():
    assert device_may([scope(area=STREET)], 8, COMMUNITY, NOON)
    assert device_may([scope(area=STREET)], None, COMMUNITY, NOON)
    assert not device_may([scope(area=STREET)], 8, NEXT_STREET, NOON)


def test_a_scope_without_site_and_area_reaches_nothing():
    assert not device_may([scope(), scope(area="")], None, COMMUNITY, NOON)


def test_a_moved_device_is_judged_by_where_it_was_then():
    moved = [scope(site=7, start=-5, end=0), scope(site=8, start=0)]
    assert device_may(moved, 7, STREET, NOON - HOUR)
    assert not device_may(moved, 7, STREET, NOON)
    assert device_may(moved, 8, STREET, NOON)


# ---- giving roles


@pytest.mark.parametrize(
    ("held", "wanted", "code"),
    [
        ([], "superuser", "access.role_unknown"),
        (["packer"], "administrator", "access.roles_conflict"),
        (["auditor"], "packer", "access.roles_conflict"),
        (["administrator"], "auditor", "access.roles_conflict"),
    ],
)
def test_roles_that_stand_alone_stay_alone(held, wanted, code):
    with pytest.raises(Refusal) as refused:
        check_roles_together(held, wanted)
    assert refused.value.code == code


@pytest.mark.parametrize(("held", "wanted"), [([], "auditor"), (["auditor"], "auditor"), (["packer"], "courier")])
def test_other_roles_go_together(held, wanted):
    check_roles_together(held, wanted)


def test_an_administrator_gives_roles_in_their_area_to_others_only():
    mine = [grant(Role.ADMINISTRATOR, STREET, None)]
    check_grant(mine, myself=False, area=COMMUNITY, operation=1, at=NOON)
    for myself, area, code in [(True, COMMUNITY, "own_account"), (False, "340602", "not_allowed")]:
        with pytest.raises(Refusal, match=code):
            check_grant(mine, myself=myself, area=area, operation=1, at=NOON)
    with pytest.raises(Refusal, match="not_allowed"):
        check_grant([grant(Role.COMMANDER)], myself=False, area=STREET, operation=1, at=NOON)
