"""From facts to figures: whatever order a story comes in, the marks that its facts leave name every cell they move."""

from random import Random

import pytest
from django.db import connection

from dabai.figures import board, cells
from dabai.figures.queries import figures_of, round_scope
from dabai.figures.tests.test_cells import snapshot
from dabai.registry import settle_down
from dabai.testing.outcomes import outcomes_of
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import deliver
from dabai.testkit.story import Story, everything_goes_wrong


def told(story: Story, seed: int) -> list[int]:
    order = list(range(len(story.told)))
    Random(seed).shuffle(order)
    return order if seed else sorted(order)


@pytest.mark.parametrize("seed", range(4))
def test_marks_name_every_cell_that_a_fact_moves(drill: PreparedOperation, seed: int) -> None:
    story = everything_goes_wrong(drill)
    cells.rebuild(drill.district)
    for step, place in enumerate(told(story, seed)):
        reporter, fact = story.told[place]
        deliver(reporter, [fact])
        if step % 4 == 3 or step == len(story.told) - 1:
            settle_down()
            incremental = snapshot()
            cells.rebuild(drill.district)
            assert snapshot() == incremental, fact["kind"]


def test_figures_of_the_story(drill: PreparedOperation) -> None:
    story = everything_goes_wrong(drill)
    for reporter, fact in story.told:
        deliver(reporter, [fact])
    settle_down()
    found = figures_of(round_scope(story.round.pk)).numbers()
    assert found["roster_frozen"] == 12
    assert found["due"] == 12 + found["roster_added"] - found["roster_removed"]
    assert found["outstanding"] == found["due"] - found["people_sampled"] - found["excused"]
    assert found["tube_difference_packing"] == 0
    assert found["tube_difference_lab"] == 1  # the box came one short


def test_the_board_and_everybody_s_own_result_agree(drill: PreparedOperation) -> None:
    story = everything_goes_wrong(drill)
    for reporter, fact in story.told:
        deliver(reporter, [fact])
    settle_down()
    total = board.coverage(story.round.pk).total
    with connection.cursor() as cursor:
        cursor.execute("SELECT person FROM testing_coverage WHERE round = %s AND samples > 0", [story.round.pk])
        people = [row[0] for row in cursor.fetchall()]
        outcomes = list(outcomes_of(cursor, drill.district, story.round.pk, people).values())
    assert total.sampled + total.unlisted == len(people)
    for name in ("negative", "pending", "positive"):
        assert outcomes.count(name) == getattr(total, name) + getattr(total, f"unlisted_{name}")
