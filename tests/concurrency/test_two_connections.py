"""Two real connections, either commit order, a reader in between."""

import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from dabai.journal import reference
from dabai.journal.decode import read_facts
from dabai.journal.door import kinds
from dabai.journal.intake import commit, commit_retrying, store
from dabai.journal.models import Entry
from dabai.kernel import clock
from dabai.registry import derive_once
from dabai.testing.models import Sample
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.field import AnyPhone, derived_state, fact, forget_everything
from dabai.testkit.story import TUBES, everything_goes_wrong, open_round

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drill() -> Iterator[PreparedOperation]:
    reference.forget()
    yield make_operation()
    reference.forget()


def read(reporter: Any, raws: list[dict[str, Any]]) -> Any:
    now = clock.now()
    return read_facts(raws, kinds=kinds(), reporter=reporter, received_at=now, skew=now - now)


def swab(drill: PreparedOperation, number: int) -> dict[str, Any]:
    place = {"round": number, "site": drill.points[0].pk, "station": 1}
    return fact("testing.sample_taken", {**place, "tube": TUBES[0], "person": str(uuid4())})


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Run with a connection of its own, which is closed at the end."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def seqs() -> list[Any]:
    return list(Entry.objects.order_by("seq").values_list("id", flat=True))


def test_seq_follows_commit_order_and_a_reader_never_sees_a_later_one_first(drill: PreparedOperation) -> None:
    number = open_round(drill, 1)[0].pk
    phone = AnyPhone(drill.district, drill.id)
    one, two = swab(drill, number), swab(drill, number)
    stored, done = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            store(read(phone, [one]))
            stored.set()
            done.wait(10)

    holder = in_thread(first)
    assert stored.wait(10)
    second = in_thread(partial(commit, read(phone, [two])))
    second.join(0.5)
    assert second.is_alive(), "the second must wait for the first to commit before it gets its seq"
    assert seqs() == []
    done.set()
    holder.join(10)
    second.join(10)
    assert [str(id_) for id_ in seqs()] == [one["id"], two["id"]]


def test_the_same_fact_on_two_connections_at_once_is_stored_once(drill: PreparedOperation) -> None:
    number = open_round(drill, 1)[0].pk
    phone = AnyPhone(drill.district, drill.id)
    same = [swab(drill, number) for _ in range(20)]
    receipts: list[Any] = []
    start = threading.Barrier(4)

    def send() -> None:
        mine = random.sample(same, len(same))
        start.wait()
        receipts.extend(commit_retrying(read(phone, mine), tries=10))

    for thread in [in_thread(send) for _ in range(4)]:
        thread.join(30)
    assert len(receipts) == 80
    assert {receipt.verdict for receipt in receipts} == {"accepted"}
    assert Sample.objects.count() == Entry.objects.count() == 20


@pytest.mark.parametrize("seed", range(3))
def test_a_story_told_over_two_connections_ends_in_the_same_state(drill: PreparedOperation, seed: int) -> None:
    story = everything_goes_wrong(drill)
    tell(story.told)
    expected = derived_state()
    forget_everything()
    shuffled = random.Random(seed).sample(story.told, len(story.told))
    halves = shuffled[::2] + shuffled[:5], shuffled[1::2]
    stop = threading.Event()
    worker = in_thread(partial(derive_until, stop))
    for thread in [in_thread(partial(tell, half)) for half in halves]:
        thread.join(60)
    stop.set()
    worker.join(30)
    found = derived_state()
    assert {table: rows for table, rows in found.items() if rows != expected[table]} == {}


def derive_until(stop: threading.Event) -> None:
    while not stop.is_set():
        derive_once()


def tell(told: list[tuple[Any, dict[str, Any]]]) -> None:
    for reporter, one in told:
        receipts = commit_retrying(read(reporter, [one]), tries=10)
        assert receipts[0].verdict == "accepted"
