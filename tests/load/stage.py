"""What the figures share: the installation, the world in it, and how large everything is."""

import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta

from dabai.kernel import clock
from dabai.testing.models import Round, RoundState
from tests.load.installation import Installation
from tests.load.rounds import analyse, open_round, past_round
from tests.load.world import World, make_world

FINDABLE = 20_000


@dataclass
class Stage:
    """An installation being measured. ``quick`` shrinks everything: it shows that the harness works, nothing else."""

    place: Installation
    quick: bool
    started: float = field(default_factory=time.monotonic)
    made: World | None = None
    past: list[int] = field(default_factory=list)
    rates: tuple[float, float] | None = None

    @property
    def people(self) -> int:
        return 2_000 if self.quick else 1_000_000

    @property
    def pairs(self) -> int:
        return 1 if self.quick else 5

    def scaled(self, samples: int) -> int:
        """How many samples a run sends."""
        return samples // 40 if self.quick else samples

    @property
    def world(self) -> World:
        """The district, made when it is first asked for."""
        if self.made is None:
            self.note(f"making a district of {self.people} people")
            self.made = make_world(self.place, self.people, findable=200 if self.quick else FINDABLE)
        return self.made

    def fill(self, samples: int) -> None:
        """Past rounds until there are so many samples (a thousandth, when quick)."""
        wanted = samples * self.people // 1_000_000
        if not wanted:
            return
        while self.world.samples < wanted:
            self.note(f"writing a past round ({self.world.samples} of {wanted} samples)")
            self.past.append(past_round(self.place, self.world, days_ago=50 - len(self.past)).row.pk)
        analyse(self.place)

    def newest_past_round(self) -> int:
        """The id of the round that ``fill`` wrote last."""
        return self.past[-1]

    def running_round(self) -> Round:
        """A round that samples may be reported for."""
        return open_round(self.world, start=clock.now() - timedelta(hours=1), state=RoundState.RUNNING)

    def note(self, text: str) -> None:
        """Tell whoever waits what goes on."""
        sys.stderr.write(f"{time.monotonic() - self.started:7.1f} s  {text}\n")
        sys.stderr.flush()
