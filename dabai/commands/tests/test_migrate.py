"""A clock of its own is for drills only."""

import pytest

from dabai.commands import Trouble
from dabai.commands.migrate import check_drill_clock
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.protocols.actions import create_operation
from dabai.testkit.district import make_operation

pytestmark = pytest.mark.django_db


@pytest.fixture
def _drill_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "drill_clock", lambda: clock.parse_drill_clock("2022-03-13T07:00:00+08:00x60"))


@pytest.mark.usefixtures("_drill_clock")
def test_a_drill_clock_is_refused_where_a_real_response_is_kept() -> None:
    make_operation("drill")
    check_drill_clock()
    make_operation("response")
    with pytest.raises(Trouble):
        check_drill_clock()


@pytest.mark.usefixtures("_drill_clock")
def test_on_a_drill_clock_only_drills_are_set_up() -> None:
    about = {"by": None, "district": 340602, "name": "处置", "profile": make_operation("drill").operation.profile_id}
    with pytest.raises(Refusal, match="clock_is_drill"):
        create_operation(kind="response", **about)
