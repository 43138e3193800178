"""Every refusal, role, permission and audited action of access has its words in both languages."""

import re
from pathlib import Path

import pytest

import dabai
from dabai.access.rules import Permission, Role
from dabai.kernel.words import LANGUAGES, catalogue

PACKAGE = Path(dabai.__file__).parent
REFUSED = re.compile(r'Refusal\(\s*"(access\.[a-z_]+)"')
AUDITED = re.compile(r'action="((?:account|login|role|device|sheet|key|operation|access)\.[a-z_]+)"')


def used(pattern: re.Pattern[str]) -> set[str]:
    files = [path for path in PACKAGE.rglob("*.py") if "tests" not in path.parts]
    return {name for path in files for name in pattern.findall(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_a_sentence(language):
    codes = used(REFUSED)
    assert len(codes) > 30
    assert {code for code in codes if f"access.refusal.{code.partition('.')[2]}" not in catalogue(language)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_audited_action_has_a_name(language):
    assert {name for name in used(AUDITED) if f"access.action.{name}" not in catalogue(language)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_role_and_permission_has_a_name(language):
    names = [f"access.role.{role}" for role in Role] + [f"access.permission.{name}" for name in Permission]
    assert [name for name in names if name not in catalogue(language)] == []
