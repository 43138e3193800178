"""Readers of protocol profiles and operations. A stored version never changes, so what is read of it is remembered."""

from functools import lru_cache
from typing import Any

from dabai.protocols import schema
from dabai.protocols.models import Operation, Profile


@lru_cache(64)
def rules_of(profile: int) -> schema.Profile:
    """The rules of one stored version. ``Profile.DoesNotExist`` for an id that is none."""
    return schema.parse_profile(Profile.objects.get(pk=profile).body)


def forget_rules() -> None:
    """Drop what is remembered: between tests, whose ids come again."""
    rules_of.cache_clear()


def newest(slug: str) -> Profile | None:
    """The newest stored version of a profile, None when there is none."""
    return Profile.objects.filter(slug=slug).order_by("-version").first()


def newest_profiles() -> list[Profile]:
    """The newest version of every stored profile, by slug."""
    return list(Profile.objects.order_by("slug", "-version").distinct("slug"))


def versions_of(slug: str) -> list[Profile]:
    """Every stored version of a profile, newest first."""
    return list(Profile.objects.filter(slug=slug).order_by("-version"))


def changes_between(one: int, other: int) -> list[schema.Change]:
    """What differs between two stored versions, by dotted path."""
    return schema.diff(rules_of(one), rules_of(other))


def operations_of(district: int | None = None, *, running: bool = False) -> list[Operation]:
    """Operations, newest first: of one district, only those that have not ended."""
    found = Operation.objects.select_related("profile").order_by("-pk")
    if district is not None:
        found = found.filter(district=district)
    return list(found.filter(ended_at=None) if running else found)


def tube_pattern(body: dict[str, Any]) -> str | None:
    """The regular expression for barcodes of tubes that a profile accepts beside our own; None: only our own."""
    return body.get("codes", {}).get("tube_pattern") or None


def pool_sizes(body: dict[str, Any]) -> tuple[list[int], int]:
    """The sizes that a profile allows and the usual one, without reading the rest of it."""
    pooling = body.get("pooling", {})
    return pooling.get("sizes", [1, 5, 10, 20]), pooling.get("default_size", 10)
