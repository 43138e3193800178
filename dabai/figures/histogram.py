"""Quantiles of durations that are known by whole minutes. Pure."""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil


def quantile(counts: Mapping[int, int], share: Fraction) -> int | None:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank); None of nothing.

    ``counts`` maps a value to how often it occurs. The same as ``sorted(values)[ceil(share * n) - 1]``.
    """
    rank = max(ceil(share * sum(counts.values())), 1)
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return None


def largest(counts: Mapping[int, int]) -> int | None:
    """The largest value that occurs; None of nothing."""
    return max((value for value, count in counts.items() if count), default=None)
