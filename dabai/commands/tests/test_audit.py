"""``dabai audit`` as an operator types it."""

import pytest
from django.db import connection

from dabai.access import actions
from dabai.access.models import AuditEntry, AuditLink
from dabai.commands import main

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch, tmp_path):
    monkeypatch.setenv("DABAI_LANG", "en")
    monkeypatch.setenv("DABAI_DATA", str(tmp_path))
    monkeypatch.delenv("DABAI_EMBEDDED", raising=False)


def test_a_whole_log_tells_its_head_and_a_changed_row_is_named(capsys):
    for number in range(3):
        actions.record(by=None, action="login.done", subject=f"user/{number}")
    assert main(["audit"]) == 0
    told = capsys.readouterr().out
    assert "3 rows" in told
    head = next(word for word in told.split() if word.startswith("3:"))
    assert main(["audit", "--noted", head]) == 0
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE access_audit DISABLE TRIGGER access_audit_keep")
        cursor.execute("UPDATE access_audit SET subject = 'user/9' WHERE subject = 'user/1'")
        cursor.execute("ALTER TABLE access_audit ENABLE TRIGGER access_audit_keep")
    capsys.readouterr()
    assert main(["audit"]) == 1
    entry = AuditEntry.objects.get(subject="user/9").pk
    assert f"Link 2: row {entry} was changed" in capsys.readouterr().err


def test_rows_without_a_link_are_linked_first(monkeypatch, capsys):
    monkeypatch.setattr(actions, "follow", lambda _: None)
    actions.record(by=None, action="login.done")
    assert not AuditLink.objects.exists()
    assert main(["audit"]) == 0
    assert AuditLink.objects.count() == 1


def test_a_head_of_the_wrong_form_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--noted", "nonsense"])
    assert ended.value.code == 1
    assert "A head is written as" in capsys.readouterr().err
