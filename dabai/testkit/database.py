"""The database that tests run on, decided before Django reads its settings (a pytest plugin, named in ``addopts``).

With ``DATABASE_URL``: that server. Without: a throwaway PostgreSQL, started by the controlling process; the workers
of pytest-xdist inherit its address through the environment. Either way Django makes its own ``test_…`` database on it;
``DABAI_TEST_DB`` gives that another name, so that several people can use one server. ``DABAI_TEST_POSTGRES`` names a
folder of other server binaries (Debian's PostgreSQL 15): `make test` runs what touches the database on both.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from dabai.commands.postgres import temporary_cluster

MASTER_KEY = "5a" * 32
_held = ExitStack()


def prepare() -> None:
    """Point the environment at a database, a data folder and a master key that exist for this run only."""
    os.environ.setdefault("DABAI_MASTER_KEY", MASTER_KEY)
    if "DABAI_DATA" not in os.environ:
        folder = tempfile.mkdtemp(prefix="dabai-test-")
        _held.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ["DABAI_DATA"] = folder
    if "DATABASE_URL" not in os.environ:
        binaries = os.environ.get("DABAI_TEST_POSTGRES")
        cluster = temporary_cluster(Path(binaries) if binaries else None)
        os.environ["DATABASE_URL"] = _held.enter_context(cluster).url


def pytest_configure() -> None:
    """Give the test database its name, and let log-ins of tests cost nothing."""
    from django.conf import settings

    if name := os.environ.get("DABAI_TEST_DB"):
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = name
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _dropped_at_the_end() -> None:
    """Drop the test database although threads that write and answer together may still hold connections to it."""
    from django.db import connection
    from django.db.backends.base.creation import BaseDatabaseCreation

    def drop(self: BaseDatabaseCreation, name: str, verbosity: int) -> None:  # noqa: ARG001 - Django's own signature
        with self._nodb_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(f"DROP DATABASE {self.connection.ops.quote_name(name)} WITH (FORCE)")

    type(connection.creation)._destroy_test_db = drop  # type: ignore[method-assign]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop what this process started."""
    _held.close()


prepare()
