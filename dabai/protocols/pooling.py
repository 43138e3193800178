"""Who may share a tube (混采), by the rules of a profile: what a packer or a desk should look at again.

Findings are flags. The swabs are in the tube already, and a tube that is refused would lose ten people; so nothing here
raises, and a phone that warns from the same rules does not forbid either.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dabai.protocols.schema import Pooling, PoolRule


class Member(NamedTuple):
    """What is known of somebody in a tube; empty where unknown. ``person`` is any id that tells people apart."""

    person: str
    group: str = ""
    household: str = ""
    street: str = ""
    household_sealed: bool = False
    area_class: str = "normal"


class Finding(NamedTuple):
    """Something that should not have happened. ``people`` are those it is about, ``limit`` and ``found`` its numbers.

    The sentence is ``protocols.pool.<code>`` in the words catalogue.
    """

    code: str
    people: tuple[str, ...] = ()
    limit: int = 0
    found: int = 0


def rule_for(pooling: Pooling, member: Member) -> PoolRule:
    """The first rule that holds for this person. The last one of every profile holds for everybody."""
    return next(rule for rule in pooling.rules if _holds(rule, member))


def _holds(rule: PoolRule, member: Member) -> bool:
    return (
        (not rule.groups or member.group in rule.groups)
        and (not rule.area_classes or member.area_class in rule.area_classes)
        and rule.household_sealed in (None, member.household_sealed)
    )


def check_pool(
    pooling: Pooling,
    people: Sequence[Member],
    *,
    size: int | None = None,
    minutes_open: float | None = None,
    confirmed: bool = False,
) -> list[Finding]:
    """What is wrong with a tube of ``people``, whatever their order. An empty list: nothing.

    ``size`` is what the round (or the tube itself) was meant for, the profile's default if None; ``minutes_open`` from
    first swab to seal; ``confirmed`` says that somebody confirmed a short tube, as the profile asks. Codes: ``empty``,
    ``size_not_allowed``, ``over_full``, ``short``, ``same_person_twice``, ``key_group_pooled``,
    ``mixed_households``, ``mixed_streets``, ``rules_mixed``, ``open_too_long``.
    """
    meant = size or pooling.default_size
    if not people:
        return [Finding("empty"), *_timing(pooling, minutes_open)]
    return [
        *_counts(pooling, people, meant, confirmed),
        *_company(pooling, people),
        *_timing(pooling, minutes_open),
    ]


def _counts(pooling: Pooling, people: Sequence[Member], meant: int, confirmed: bool) -> list[Finding]:
    """Too many, too few, or somebody twice.

    The smallest tube that the rules give anyone in it counts, so that one member whose rule says five makes ten too
    many. The tube of a household is as large as its rule says, whatever the round is meant for, and never too small.
    Those who should be alone have a finding of their own: they make a tube neither too full nor too empty.
    """
    found: list[Finding] = []
    if meant not in pooling.sizes:
        found.append(Finding("size_not_allowed", limit=max(pooling.sizes), found=meant))
    seen = [member.person for member in people]
    if twice := sorted({person for person in seen if seen.count(person) > 1}):
        found.append(Finding("same_person_twice", tuple(twice), 1, len(seen)))
    rules = [rule_for(pooling, member) for member in people]
    shared = [rule.size for rule in rules if rule.sharing != "nobody"]
    one_household = all(rule.sharing == "household" for rule in rules)
    limit, count = min(shared if one_household else [meant, *shared]), len(set(seen))
    if count > limit:
        found.append(Finding("over_full", limit=limit, found=count))
    complete = confirmed or pooling.short_pool == "allow" or one_household or not shared
    if count < limit and not complete:
        found.append(Finding("short", limit=limit, found=count))
    return found


def _company(pooling: Pooling, people: Sequence[Member]) -> list[Finding]:
    """Who is in a tube with whom. One person alone is always in good company."""
    if len({member.person for member in people}) == 1:
        return []
    rules = [(member, rule_for(pooling, member)) for member in people]
    bound: dict[str, tuple[str, ...]] = {
        sharing: tuple(sorted({member.person for member, rule in rules if rule.sharing == sharing}))
        for sharing in ("nobody", "household", "street")
    }
    households, streets = {member.household for member in people}, {member.street for member in people} - {""}
    found: list[Finding] = []
    if bound["nobody"]:
        found.append(Finding("key_group_pooled", bound["nobody"], 1, len({member.person for member in people})))
    if bound["household"] and (len(households) > 1 or "" in households):
        found.append(Finding("mixed_households", bound["household"], 1, len(households)))
    if bound["street"] and len(streets) > 1:
        found.append(Finding("mixed_streets", bound["street"], 1, len(streets)))
    shared = {rule.code for _, rule in rules if rule.sharing != "nobody"}
    if len(shared) > 1:
        found.append(Finding("rules_mixed", limit=1, found=len(shared)))
    return found


def _timing(pooling: Pooling, minutes_open: float | None) -> list[Finding]:
    if minutes_open is None or minutes_open <= pooling.open_minutes:
        return []
    return [Finding("open_too_long", limit=pooling.open_minutes, found=round(minutes_open))]
