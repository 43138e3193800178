"""The desk's JSON interface, ``/api/v1/desk/…``: what the HTML desk does, for a district's own scripts. No names.

One file per domain. An endpoint asks for access, hands over to an action or a query, and answers; rules live below.
"""

from ninja import Router

from dabai.api.desk import accounts, bulletins, coverage, imports, inbox, operations, results, rounds, session

routers: list[tuple[str, Router]] = [
    ("/desk", module.router)
    for module in (session, accounts, operations, imports, rounds, results, coverage, inbox, bulletins)
]
