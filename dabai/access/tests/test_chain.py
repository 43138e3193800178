"""The chain over the audit log: it follows every row, under threads as well, and shows what was done to one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, transaction

from dabai.access import actions, chain
from dabai.access.actions import link_rows
from dabai.access.chain import Break, verify
from dabai.access.models import AuditEntry, AuditLink
from dabai.kernel.refusal import Refusal

pytestmark = pytest.mark.django_db(transaction=True)


def some(count: int, action: str = "account.created") -> None:
    for number in range(count):
        actions.record(by=None, action=action, subject=f"user/{number}", detail={"pin": True, "roles": ["a", "ä"]})


@contextmanager
def as_owner_of_the_database() -> Iterator[None]:
    """Whoever administers the database can switch its triggers off."""
    with connection.cursor() as cursor:
        for state in ("DISABLE", "ENABLE"):
            for table in ("access_audit", "access_audit_link"):
                cursor.execute(f"ALTER TABLE {table} {state} TRIGGER {table}_keep")
            if state == "DISABLE":
                yield


def breaks(noted: str = "") -> list[tuple[int, str]]:
    verdict = verify(noted)
    assert verdict.broken == len(verdict.breaks)
    return [(one.number, one.what) for one in verdict.breaks]


# ---- making links


def test_each_row_is_linked_once_its_transaction_has_committed():
    with transaction.atomic():
        some(3)
        assert not AuditLink.objects.exists()
    assert list(AuditLink.objects.values_list("number", "entry").order_by("number")) == [
        (place, entry.pk) for place, entry in enumerate(AuditEntry.objects.order_by("pk"), start=1)
    ]
    link_rows()
    assert verify().head.number == AuditLink.objects.count() == 3


def test_what_is_rolled_back_leaves_no_link():
    with transaction.atomic():
        some(1)
        transaction.set_rollback(True)
    with transaction.atomic():
        inner = transaction.savepoint()
        some(1)
        transaction.savepoint_rollback(inner)
        some(1)
    assert (AuditEntry.objects.count(), AuditLink.objects.count(), verify().broken) == (1, 1, 0)


def test_many_rows_written_at_once_are_linked_too(monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 7)
    monkeypatch.setattr(chain, "LOOSE", chain.LOOSE.replace("LIMIT 5000", "LIMIT 7"))
    monkeypatch.setattr(chain, "LINKS", chain.LINKS.replace("LIMIT 5000", "LIMIT 7"))
    actions.record_all([actions.entry(by=None, action="login.done") for _ in range(31)])
    actions.record_all([])
    assert AuditLink.objects.count() == 31
    assert verify().head.number == 31


def test_rows_that_were_left_without_a_link_get_one_later(monkeypatch):
    monkeypatch.setattr(actions, "follow", lambda _: None)
    some(2)
    monkeypatch.undo()
    some(1)
    assert AuditLink.objects.count() == 1
    link_rows()
    assert verify().head.number == 3
    assert verify().broken == 0


def test_a_link_that_can_not_be_made_takes_no_action_with_it(monkeypatch):
    def fail(_):
        raise DatabaseError

    monkeypatch.setattr(actions, "link_rows", fail)
    some(1)
    assert AuditEntry.objects.count() == 1


def test_many_at_once_make_one_chain():
    def write() -> None:
        try:
            for _ in range(10):
                with transaction.atomic():
                    some(2)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    verdict = verify()
    assert (verdict.head.number, verdict.broken, AuditEntry.objects.count()) == (120, 0, 120)


def test_links_are_as_hard_to_change_as_rows():
    some(1)
    for change in (AuditLink.objects.all().delete, lambda: AuditLink.objects.update(mac=b"x")):
        with pytest.raises(DatabaseError, match="never changed"):
            change()


# ---- what is found


@pytest.mark.parametrize(
    "change",
    [
        "actor_id = NULL, action = 'login.done'",
        "at = at + interval '1 microsecond'",
        "subject = 'user/9'",
        "reason = 'x'",
        "area = '3406'",
        "operation = 1",
        "device = gen_random_uuid()",
        """detail = '{"pin": false}'""",
    ],
)
def test_a_changed_row_is_found(change):
    some(5)
    entry = AuditEntry.objects.order_by("pk")[2].pk
    with as_owner_of_the_database(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE access_audit SET {change} WHERE id = %s", [entry])
    assert verify().breaks == [Break(3, entry, "changed")]


def test_a_row_taken_out_is_found_with_its_link_or_without():
    some(5)
    entries = list(AuditEntry.objects.order_by("pk").values_list("pk", flat=True))
    with as_owner_of_the_database():
        AuditEntry.objects.filter(pk=entries[1]).delete()
    assert breaks() == [(2, "missing")]
    with as_owner_of_the_database():
        AuditLink.objects.filter(entry__in=entries[1:3]).delete()
    assert breaks() == [(2, "unlinked"), (3, "unlinked")]


def test_links_made_anew_without_the_installations_key_are_found(settings):
    some(3)
    mine = settings.SECRET_KEY
    with as_owner_of_the_database():
        AuditEntry.objects.filter(pk=AuditEntry.objects.first().pk).delete()
        AuditLink.objects.all().delete()
    settings.SECRET_KEY = "a guess"
    link_rows()
    settings.SECRET_KEY = mine
    assert breaks() == [(1, "changed"), (2, "changed")]


def test_a_head_that_was_noted_shows_that_the_end_was_cut_off():
    some(4)
    noted = str(verify().head)
    some(1)
    assert breaks(noted) == []
    with as_owner_of_the_database():
        for model, name in ((AuditLink, "number"), (AuditEntry, "pk")):
            last = model.objects.order_by(f"-{name}").values_list("pk", flat=True)[:3]
            model.objects.filter(pk__in=list(last)).delete()
    assert breaks() == []
    assert breaks(noted) == [(4, "unlinked")]
    some(2)
    assert breaks(noted) == [(4, "made_anew")]
    for wrong in ("4", "x:0123456789abcdef", "4:xyz", "4:"):
        with pytest.raises(Refusal, match="head_form"):
            verify(wrong)


def test_a_changed_secret_key_still_proves_what_the_former_one_linked(settings):
    some(2)
    former, settings.SECRET_KEY = settings.SECRET_KEY, "the next one"
    settings.SECRET_KEY_FALLBACKS = [former]
    some(2)
    assert (verify().head.number, verify().broken) == (4, 0)
    settings.SECRET_KEY_FALLBACKS = []
    assert breaks() == [(1, "changed"), (2, "changed")]
