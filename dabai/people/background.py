"""Staging and commits of lists in a thread of the web process, so that the request that asks for them returns at once.

A crash loses nothing: staging goes on behind its last chunk and a commit is one transaction, so whoever next looks at
the import starts it again (``keep_going``). Two processes that do so at once are told apart by a lock in the database.
"""

import logging
import threading

from django.db import connection, transaction

from dabai.people import imports
from dabai.people.models import Import, ImportState

log = logging.getLogger(__name__)
WORK = {ImportState.READING.value: imports.stage, ImportState.COMMITTING.value: imports.commit}
_running: set[int] = set()
_lock = threading.Lock()


def keep_going(found: Import) -> None:
    """See to it that an import that is being read or committed is worked on, once the present transaction is over."""
    if found.state in WORK:
        transaction.on_commit(lambda: start(found.pk, found.state))


def start(import_id: int, state: str) -> None:
    """Start the thread, if this process does not have it already."""
    with _lock:
        if import_id in _running:
            return
        _running.add(import_id)
    threading.Thread(target=run, args=(import_id, state), name=f"dabai-import-{import_id}").start()


def run(import_id: int, state: str) -> None:
    """Do the work. What goes wrong is told by its kind only: an error's text may hold what a cell held."""
    try:
        WORK[state](import_id)
    except Exception as error:
        log.error("import %s stopped: %s", import_id, type(error).__name__)
    finally:
        with _lock:
            _running.discard(import_id)
        connection.close()
