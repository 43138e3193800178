"""The group writer: what phones say of themselves is written once a second, and never lost to silence."""

import time
from collections.abc import Iterator

import pytest
from django.db import OperationalError

from dabai.access import actions
from dabai.access.actions import Contact
from dabai.access.models import Device
from dabai.journal import intake
from dabai.journal.decode import read_facts
from dabai.journal.door import kinds
from dabai.journal.intake import GroupWriter, stop_writer, submit
from dabai.kernel import clock
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.field import AnyPhone, fact

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drill() -> PreparedOperation:
    return make_operation()


@pytest.fixture
def device(drill: PreparedOperation) -> Device:
    code = actions.issue_pairing_code(operation=drill.id, name="手机01", by=None, area=drill.streets[0])
    return actions.pair_device(code=code, name="", app="")[0]


@pytest.fixture(autouse=True)
def _own_writer() -> Iterator[None]:
    stop_writer()
    yield
    stop_writer()


def send(drill: PreparedOperation, contact: Contact) -> None:
    """A request with a fact that nobody knows, and what the device says of itself."""
    reporter = AnyPhone(drill.district, drill.id, device=contact.device)
    now = clock.now()
    facts = read_facts([fact("no.such", {})], kinds=kinds(), reporter=reporter, received_at=now, skew=now - now)
    submit(facts, contact)


def highest(device: Device) -> int:
    return Device.objects.values_list("highest_seq", flat=True).get(pk=device.pk)


def wait_for(device: Device, number: int) -> bool:
    end = time.monotonic() + 5
    while highest(device) != number and time.monotonic() < end:
        time.sleep(0.02)
    return highest(device) == number


def test_the_first_word_of_a_phone_is_written_at_once_and_its_last_within_a_second(
    drill: PreparedOperation, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHECK_IN_SECONDS", 0.3)
    send(drill, Contact(device.pk, clock.now(), highest_seq=1))
    assert wait_for(device, 1)
    for number in (2, 3, 4):
        send(drill, Contact(device.pk, clock.now(), highest_seq=number))
    assert highest(device) == 1
    assert wait_for(device, 4)  # though nobody sends anything more


def test_what_was_heard_is_written_before_the_writer_ends(
    drill: PreparedOperation, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHECK_IN_SECONDS", 60.0)
    for number in (1, 2):
        send(drill, Contact(device.pk, clock.now(), highest_seq=number))
    stop_writer()
    assert highest(device) == 2


def test_a_request_without_facts_is_heard_too(device: Device) -> None:
    assert submit([], Contact(device.pk, clock.now(), highest_seq=9, unsent=2)) == []
    assert highest(device) == 9


def test_a_database_that_is_away_stops_nobody(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    def away(contacts: object) -> None:
        raise OperationalError

    monkeypatch.setattr(intake, "check_in", away)
    writer = GroupWriter()
    writer.contacts = [Contact(device.pk, clock.now())]
    writer.check_in()
    assert writer.contacts == []
