"""What is made of the clocks of devices."""

from datetime import UTC, datetime, timedelta

import pytest

from dabai.journal.decode import is_plausible, measured_skew, time_of

NOW = datetime(2022, 3, 13, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize("behind", [timedelta(minutes=47), -8 * timedelta(hours=1), 800 * DAY, -3000 * DAY])
def test_a_wrong_clock_is_put_right_however_wrong_it_is(behind: timedelta) -> None:
    skew = measured_skew(NOW - behind, NOW)
    happened = NOW - timedelta(hours=3)
    assert time_of(happened - behind, skew, NOW) == happened
    assert is_plausible(happened, NOW)


def test_the_network_is_no_wrong_clock() -> None:
    assert measured_skew(NOW - timedelta(seconds=4), NOW) == timedelta(0)
    assert measured_skew(None, NOW) == timedelta(0)


def test_what_was_written_before_the_clock_was_lost_is_believed() -> None:
    skew = measured_skew(NOW - 800 * DAY, NOW)
    happened = NOW - timedelta(hours=3)
    assert time_of(happened, skew, NOW) == happened


def test_what_was_written_before_a_clock_was_put_right_stays_odd() -> None:
    happened = time_of(NOW - 800 * DAY, timedelta(0), NOW)
    assert happened == NOW - 800 * DAY
    assert not is_plausible(happened, NOW)
