"""``python -m tests.load [NAME…] [--quick]``: what ``dabai bench`` starts."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.load.figure import Figure
from tests.load.installation import installation


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure: how many samples lie in the database beforehand, and the function that measures it."""

    samples: int
    measure: "Callable[[Stage], Figure]"


def measurements() -> dict[str, Measurement]:
    """Every figure by name, in the order in which the database grows."""
    from tests.load import intake

    million = 1_000_000
    return {
        "intake_tube_of_ten": Measurement(million, lambda stage: intake.intake(stage, intake.TUBES_OF_TEN)),
        "intake_200": Measurement(million, lambda stage: intake.intake(stage, intake.OF_200)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="dabai bench")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    with installation() as place:
        from tests.load.stage import Stage

        known = measurements()
        if unknown := set(arguments.names) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        stage = Stage(place, arguments.quick)
        for name, one in known.items():
            if not arguments.names or name in arguments.names:
                stage.fill(one.samples)
                stage.note(name)
                sys.stdout.write(one.measure(stage).line() + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
