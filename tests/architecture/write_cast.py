"""Run as a process of its own by ``test_no_plain_text``: lets the whole cast pass through every door for people.

They are on an uploaded list that is committed, on one that is only staged, registered on the spot, registered wrongly
(a refused fact keeps its body), corrected, and looked at; and one of them is in a statement that fails. Prints nothing.
"""

import csv
import io
import logging
import os

import django


def main() -> None:
    """Everything, on the database of the environment."""
    logging.disable(logging.NOTSET)
    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    from dabai import registry
    from dabai.access import reseal
    from dabai.testkit.cast import make_cast
    from dabai.testkit.district import make_operation

    drill = make_operation()
    cast = make_cast(drill.id, str(drill.district))
    person = register(drill, cast)
    upload(drill, cast, finish=True)
    upload(drill, cast, finish=False)
    look(drill, cast, person)
    fail_with_a_name(cast)
    reseal.rotate_key(operation=drill.id, by=None)
    reseal.reseal(operation=drill.id, by=None)
    registry.settle_down()


def register(drill, cast):
    """On the spot, rightly and wrongly, and then corrected; the id of one of them."""
    from dabai.journal.door import submit_desk

    manager = cast.round_manager.user
    facts = []
    for member in cast:
        document = {"kind": "01", "number": member.number}
        body = {"site": drill.points[0].pk, "name": member.name, "document": document, "phone": member.phone}
        facts.append({"kind": "people.person_registered", "body": body | {"address": f"{member.name}家"}})
        facts.append({"kind": "people.person_registered", "body": body | {"site": 987654}})
        facts.append({"kind": "people.person_registered", "body": body | {"nonsense": member.name}})
    receipts = submit_desk(user=manager, operation=drill.id, facts=facts)
    registered = [receipt for receipt in receipts if receipt.verdict == "accepted"]
    assert len(registered) >= len(list(cast)), receipts[:3]
    person = registered[0].id
    change = {"person": str(person), "name": cast.courier.name, "phone": cast.courier.phone, "reason": "登记有误"}
    (receipt,) = submit_desk(user=manager, operation=drill.id, facts=[{"kind": "people.corrected", "body": change}])
    assert receipt.verdict == "accepted", receipt
    return person


def upload(drill, cast, *, finish: bool) -> None:
    """A list with everybody on it; committed, or left staged with its file on disk."""
    from dabai.people import actions, imports

    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["姓名", "证件号码", "手机号码", "区划代码", "地址"])
    rows.writerows([m.name, m.number, m.phone, drill.grids[0], f"{m.name}家"] for m in cast)
    data = text.getvalue().encode()
    found = actions.upload_list(
        by=None,
        operation=drill.id,
        district=drill.district,
        purpose="residents" if finish else "cross_list",
        label="名单",
        area=str(drill.district),
        file_name="people.csv",
        pieces=[data],
        size=len(data),
    )
    imports.stage(found.pk, workers=0)
    if finish:
        actions.accept_import(by=None, import_id=found.pk)
        imports.commit(found.pk)


def look(drill, cast, person) -> None:
    """Reveal somebody; the audit log tells that, not what was seen."""
    from dabai.people import actions

    fields = ["name", "number", "phone"]
    seen = actions.reveal(by=cast.commander.user, operation=drill.id, person=person, fields=fields, reason="核实")
    assert cast.courier.name in seen.values()


def fail_with_a_name(cast) -> None:
    """A statement that the database refuses with "Failing row contains …", a name and a number among it."""
    from django.db import Error, connection, transaction

    try:
        with transaction.atomic(), connection.cursor() as cursor:
            values = [cast.courier.number, cast.courier.name]
            cursor.execute("INSERT INTO access_user (username, display_name) VALUES (%s, %s)", values)
    except Error:
        return
    raise AssertionError("the statement did not fail")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dabai.settings")
    main()
