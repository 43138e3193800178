"""Fixtures of every test. The database itself is decided earlier, in ``dabai.testkit.database``."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from dabai.access.guard import UNKNOWN_TOKENS, WRONG_CODES
from dabai.access.keys import forget_rings
from dabai.access.login import forget_failures
from dabai.access.queries import forget_devices
from dabai.journal.intake import stop_writer
from dabai.testkit.district import PreparedOperation, make_operation

# A busy machine makes a good example slow, not wrong.
settings.register_profile("dabai", deadline=None)
settings.load_profile("dabai")


@pytest.fixture(autouse=True)
def _fresh_memory() -> Iterator[None]:
    """No test sees the keys that another one opened, the devices that it met, or how often somebody failed in it."""
    forget_rings()
    yield
    forget_rings()
    forget_devices()
    forget_failures()
    for failures in (UNKNOWN_TOKENS, WRONG_CODES):
        failures.forget()


@pytest.fixture(scope="session", autouse=True)
def _writer_stops(request: pytest.FixtureRequest) -> Iterator[None]:
    """The intake's writer thread holds a connection; it must be gone before the test database is dropped."""
    if any(item.get_closest_marker("django_db") for item in request.session.items):
        request.getfixturevalue("django_db_setup")
    yield
    stop_writer()


@pytest.fixture
def drill(db: None) -> PreparedOperation:  # noqa: ARG001
    """A drill in Duji district with areas, sites and a key."""
    return make_operation()
