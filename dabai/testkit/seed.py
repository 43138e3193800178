"""``python -m dabai.testkit.seed``: make a drill ready in the database that ``DATABASE_URL`` names, for tests that
serve it.

Prints one JSON object: operation, round, sites, laboratory, and tokens of as many paired devices as asked for.
"""

import json
import sys

import django


def main(devices: int) -> None:
    """Prepare and print."""
    django.setup()
    from dabai.access import actions
    from dabai.testkit.district import make_operation
    from dabai.testkit.story import open_round

    drill = make_operation()
    running, people = open_round(drill, 50)
    tokens = []
    for number in range(devices):
        code = actions.issue_pairing_code(operation=drill.id, name=f"手机{number}", by=None, area=str(drill.district))
        tokens.append(actions.pair_device(code=code, name="", app="")[1])
    ready = {
        "operation": drill.id,
        "district": drill.district,
        "round": running.pk,
        "sites": [point.pk for point in drill.points],
        "laboratory": drill.laboratory.pk,
        "people": [str(one) for one in people],
        "tokens": tokens,
    }
    sys.stdout.write(json.dumps(ready))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
