"""The processes that help an import: started afresh (spawn), given their keys in memory, each with its own connection.

This module imports nothing of Django's at the top, because a new process comes here before Django is set up; for the
same reason what it is given arrives packed.
"""

import gc
import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dabai.people.staging import Chunk, Stager

# The apps whose models staging touches; the others would cost a second and 30 MB for each process.
NEEDED = ("django.contrib.contenttypes", "django.contrib.auth", "dabai.access", "dabai.journal", "dabai.people")

_mine: "list[tuple[Stager, Any]]" = []


def begin(packed: bytes) -> None:
    """Make a new process ready to stage chunks of one import: what is packed are its ``ListSpec``, the keys, and how
    to reach the database."""
    from django.apps import apps

    apps.populate(NEEDED)
    spec, keys, database = pickle.loads(packed)  # noqa: S301 - handed over in memory by the process that started this one
    import psycopg
    from psycopg.types.string import BytesBinaryDumper

    from dabai.people.staging import Stager

    connection = psycopg.connect(**database, application_name="dabai-import", autocommit=True)
    connection.adapters.register_dumper(bytes, BytesBinaryDumper)  # the one that is compiled
    connection.execute("SET synchronous_commit = off")  # the count of rows done, committed after it, makes it durable
    connection.execute("SET client_connection_check_interval = '2s'")  # a killed helper leaves no statement running
    gc.set_threshold(1_000_000)  # nothing here makes cycles, and looking for them is a tenth of the work
    _mine[:] = [(Stager(spec, keys.ring()), connection)]


def work(chunk: "Chunk") -> int:
    """Stage one chunk in a transaction of its own; answers how many rows it had."""
    stager, connection = _mine[0]
    with connection.transaction(), connection.cursor() as cursor:
        stager.stage(cursor, chunk)
    return len(chunk)
