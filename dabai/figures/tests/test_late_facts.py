"""A fact of a closed round that arrives later is accepted, flagged, moves the figures and proposes a corrected
bulletin.
"""

from datetime import timedelta
from uuid import UUID

import pytest

from dabai.figures import actions
from dabai.figures.models import Bulletin
from dabai.journal import reference
from dabai.journal.models import Entry, EntryFlag
from dabai.kernel import clock
from dabai.registry import settle_down
from dabai.testing.models import Round, RoundState
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import deliver
from dabai.testkit.story import TUBES, Story, open_round

pytestmark = pytest.mark.django_db


def swab(story: Story, person: UUID, tube: str) -> None:
    story.swab(person, tube, 5)
    reporter, fact = story.told[-1]
    assert deliver(reporter, [fact])[0].verdict == "accepted"


def test_a_late_fact_moves_the_figures_and_proposes_a_correction(drill: PreparedOperation) -> None:
    running, people = open_round(drill)
    story = Story(drill, running)
    swab(story, people[0], TUBES[0])
    settle_down()
    Round.objects.filter(pk=running.pk).update(state=RoundState.CLOSED, closed_at=clock.now() - timedelta(minutes=1))
    reference.forget()
    issue = actions.publish(by=None, bulletin_id=actions.propose(by=None, operation=drill.id, round_id=running.pk).pk)
    settle_down()
    assert Bulletin.objects.count() == 1

    swab(story, people[1], TUBES[1])
    assert sum(bool(row.flags & EntryFlag.ROUND_CLOSED) for row in Entry.objects.all()) == 1
    settle_down()
    proposed = Bulletin.objects.exclude(pk=issue.pk).get()
    assert (proposed.state, proposed.corrects) == ("proposed", issue.pk)
    assert {"figure": "person_times", "area": ""}.items() <= next(
        change for change in proposed.changes if change["figure"] == "person_times"
    ).items()
    assert Bulletin.objects.get(pk=issue.pk).text_zh == issue.text_zh
