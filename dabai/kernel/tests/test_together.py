"""Questions answered together: each gets its own answer, whoever asks beside it, and its own error."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from dabai.kernel.together import Together


def doubled(questions: Sequence[int]) -> list[int]:
    if any(one < 0 for one in questions):
        raise ValueError(min(questions))
    return [2 * one for one in questions]


def test_each_gets_its_own_answer() -> None:
    together = Together("test", doubled)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(together.ask, range(500))) == [2 * one for one in range(500)]


def test_what_waits_is_asked_at_once_and_never_more_than_the_limit() -> None:
    sizes: list[int] = []
    go, busy = threading.Event(), threading.Event()

    def work(questions: Sequence[int]) -> list[int]:
        sizes.append(len(questions))
        busy.set()
        assert go.wait(10)
        return list(questions)

    together = Together("test", work, limit=5)
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(together.ask, 0)
        assert busy.wait(10)
        others = [pool.submit(together.ask, number) for number in range(1, 12)]
        while together.waiting.qsize() < 11:
            pass
        go.set()
        assert [one.result(10) for one in [first, *others]] == list(range(12))
    assert sizes == [1, 5, 5, 1]


def test_one_that_fails_takes_no_neighbour_with_it() -> None:
    together = Together("test", doubled)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(together.ask, number) for number in (1, -2, 3, 4, -5, 6)]
        for number, one in zip((1, -2, 3, 4, -5, 6), asked, strict=True):
            if number < 0:
                with pytest.raises(ValueError, match=str(number)):
                    one.result(10)
            else:
                assert one.result(10) == 2 * number


def test_a_connection_that_was_lost_is_opened_again() -> None:
    calls: list[int] = []

    def work(questions: Sequence[int]) -> list[int]:
        calls.append(len(questions))
        if len(calls) == 1:
            raise ConnectionError
        return list(questions)

    assert Together("test", work).ask(7) == 7
    assert calls == [1, 1]
