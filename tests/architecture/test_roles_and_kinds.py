"""Roles (``access``) and kinds of fact (``registry``) name each other rightly, though neither imports the other."""

from dabai.access.rules import REPORTS, Role, roles_that_report
from dabai.registry import kinds

DESK_ONLY = {Role.ROUND_MANAGER, Role.LAB_REVIEWER}


def test_roles_report_kinds_that_exist():
    assert set().union(*REPORTS.values()) - set(kinds()) == set()


def test_every_kind_is_reported_by_some_role():
    assert [name for name in kinds() if not roles_that_report(name)] == []


def test_a_desks_decision_is_taken_by_desk_roles_only():
    decisions = [name for name, kind in kinds().items() if kind.desk]
    assert {role for name in decisions for role in roles_that_report(name)} <= DESK_ONLY
