"""A measured figure, and how it is printed: one JSON line."""

import os
import statistics
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

HALF = 0.5


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. ``bare`` is the same work done without us, ``ratio`` ours to that; both where there is one.

    ``met`` is decided by the ratio where the target is one of comparison, by the value where it is a time or a size.
    """

    name: str
    value: float
    unit: str
    target: float
    met: bool
    bare: float | None = None
    ratio: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """The figure as JSON, with what it was measured on."""
        head = {"name": self.name, "value": rounded(self.value), "unit": self.unit, "bare": rounded(self.bare)}
        head |= {"ratio": rounded(self.ratio), "target": self.target, "met": self.met}
        return orjson.dumps(head | self.detail | {"python": python(), "cores": len(os.sched_getaffinity(0))}).decode()


def rounded(value: float | None) -> float | None:
    """Three decimals below ten, whole numbers above a thousand."""
    if value is None:
        return None
    return round(value, 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0)


def python() -> dict[str, Any]:
    """Which interpreter ran. A build without profile-guided optimisation costs about a fifth."""
    flags = f"{sysconfig.get_config_var('CONFIG_ARGS')} {sysconfig.get_config_var('PY_CORE_CFLAGS')}"
    optimised = "--enable-optimizations" in flags or "-fprofile-use" in flags
    return {"version": sys.version.split()[0], "build": "optimised" if optimised else "not optimised"}


def at_most(name: str, value: float, target: float, unit: str = "s", **detail: Any) -> Figure:
    """A figure that must not be larger than its target."""
    return Figure(name, value, unit, target, value <= target, detail=detail)


def paired(
    name: str, ours: Sequence[float], bare: Sequence[float], *, unit: str, target: float, **detail: Any
) -> Figure:
    """A rate against the bare rate of the same moment: the median of the pairs' ratios decides."""
    ratios = [mine / other for mine, other in zip(ours, bare, strict=True)]
    ratio = statistics.median(ratios)
    detail = {"goal_reached": statistics.median(ours) >= target, "ratios": [rounded(one) for one in ratios]} | detail
    middle = statistics.median(ours), statistics.median(bare)
    return Figure(name, middle[0], unit, target, ratio >= HALF, bare=middle[1], ratio=ratio, detail=detail)
