"""``python -m tests.load [NAME…] [--quick]``: what ``dabai bench`` starts."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.load.figure import Figure
from tests.load.installation import installation

if TYPE_CHECKING:
    from tests.load.stage import Stage


@dataclass(frozen=True, slots=True)
class Measurement:
    """A step that measures: which figure it is for, and how many samples lie in the database beforehand."""

    name: str
    samples: int
    measure: "Callable[[Stage], list[Figure]]"


def measurements() -> "list[Measurement]":
    """Every step, in the order in which the database grows."""
    from tests.load import board, intake, lists, lookup, results

    few, many, most = 1_000_000, 10_000_000, 20_000_000
    return [
        Measurement("import_csv_1m", 0, lists.csv_of_a_million),
        Measurement("import_xlsx_100k", 0, lists.workbook),
        Measurement("intake_tube_of_ten", few, lambda stage: intake.intake(stage, intake.TUBES_OF_TEN)),
        Measurement("intake_200", few, lambda stage: intake.intake(stage, intake.OF_200)),
        Measurement("result_lookup", few, lookup.lookup),
        Measurement("intake_20m_vs_1m", few, intake.before_growth),
        Measurement("coverage_1m", many, board.coverage),
        Measurement("fact_to_board", many, board.fact_to_board),
        Measurement("results_100k", many, results.results),
        Measurement("intake_20m_vs_1m", most, intake.growth),
    ]


def main() -> int:
    """Measure what is asked for, everything if nothing is; a figure that missed its target is no error."""
    parser = argparse.ArgumentParser(prog="dabai bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to measure; all of them if none is named")
    parser.add_argument("--quick", action="store_true", help="a district of 2,000: shows that the harness works")
    arguments = parser.parse_args()
    with installation() as place:
        from tests.load.stage import Stage

        steps = measurements()
        if unknown := set(arguments.names) - {step.name for step in steps}:
            parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(dict.fromkeys(one.name for one in steps))}")
        stage = Stage(place, arguments.quick)
        for step in steps:
            if not arguments.names or step.name in arguments.names:
                stage.fill(step.samples)
                stage.note(step.name)
                for figure in step.measure(stage):
                    sys.stdout.write(figure.line() + "\n")
                    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
