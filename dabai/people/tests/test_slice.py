"""A phone carries the residents of its area: found by whole numbers, readable by nobody else, never in the clear."""

import hmac
from base64 import b64decode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dabai.access import actions as access
from dabai.access import queries as devices
from dabai.access.keys import derive
from dabai.access.models import AuditEntry
from dabai.access.queries import DeviceContext
from dabai.journal.kinds import Fact
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.people import actions, slice
from dabai.people.models import Identity, Person
from dabai.people.queries import find
from dabai.people.slice import areas_of, disjoint, slice_page, state_of
from dabai.people.tests.bringing import bring, line, number, take
from dabai.people.tests.reporting import hand_in, make_fact, withdraw
from dabai.testkit.district import PreparedOperation
from dabai.testkit.residents import HEADER as LISTED
from dabai.testkit.residents import resident_rows

SECRET = bytes(range(32))
LOOKUP = derive(SECRET, "dabai/lookup")
MAN, WOMAN, AWAY, FAR = (number(order) for order in range(1, 5))
OLD = "340602000102123"
COLUMNS = (
    "person", "tokens", "name", "last_four", "birth_year", "sex", "group", "sealed", "household", "area", "building",
    "unit", "estate",
)  # fmt: skip


@pytest.fixture
def residents(drill: PreparedOperation) -> PreparedOperation:
    """A household of two in 高岳, one who has moved away, somebody with an old number, and one in another street."""
    home = {"grid": "1", "estate": "示例小区", "building": "3号楼", "unit": "2", "room": "301", "phone": "13800000000"}
    rows = [line("样本甲", MAN, **home), line("样本乙丙", WOMAN, **home, group="密切接触者")]
    rows += [line("样本丁", AWAY, building="1号楼", grid="1"), line("样本戊", OLD, building="1号楼", grid="1")]
    take(bring(drill, [*rows, line("样本己", FAR, community="三二五队社区", grid="1")]))
    actions.set_away(by=None, operation=drill.id, person=who(drill, AWAY), away=True, reason="迁出")
    return drill


def who(drill: PreparedOperation, document: str) -> UUID:
    return find(drill.id, document, ["340602"]).people[0].id


def community(drill: PreparedOperation, document: str = MAN) -> str:
    return Person.objects.get(id=who(drill, document)).area[:12]


def registered(drill: PreparedOperation, area: str) -> Fact:
    document = {"kind": "", "number": number(9)}
    site = drill.points[0].pk
    return make_fact(drill, "person_registered", site=site, name="样本庚", document=document, area=area)


def device(drill: PreparedOperation, **scope: Any) -> DeviceContext:
    code = access.issue_pairing_code(name="手机", operation=drill.id, by=None, **scope)
    _, token = access.pair_device(code=code, name="手机", app="1")
    found = devices.authenticate_device(token)
    assert found is not None
    return found


def opened(page: dict[str, Any], secret: bytes = SECRET) -> list[dict[str, Any]]:
    """What a phone reads out of a page."""
    cipher, rows = AESGCM(derive(secret, "dabai/slice")), []
    for block in page["blocks"]:
        data = b64decode(block["data"])
        text = cipher.decrypt(data[:12], data[12:], f"slice|{page['version']}|{block['n']}".encode())
        rows += [dict(zip(COLUMNS, row, strict=True)) for row in orjson.loads(text)]
    return rows


def whole(context: DeviceContext, page: int = slice.PAGE) -> list[dict[str, Any]]:
    """A whole download."""
    rows, after = [], ""
    while True:
        answer = slice_page(context, SECRET, 0, after, page=page)
        rows += opened(answer)
        after = answer["after"]
        assert bool(after) == answer["more"]
        if not after:
            return rows


def token(text: str) -> str:
    return hmac.new(LOOKUP, text.encode(), "sha256").digest()[:6].hex()


def by_token(rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    return [row for row in rows if token(text) in row["tokens"]]


# --- what is in it --------------------------------------------------------------------------------------------


def test_a_row_shows_masks_and_clear_columns_only(residents: PreparedOperation) -> None:
    (row,) = by_token(whole(device(residents, area=community(residents))), MAN)
    home = row.pop("household")
    assert len(home) == 8
    assert row == {
        "person": str(who(residents, MAN)),
        "tokens": [token(MAN)],
        "name": "样*甲",
        "last_four": MAN[-4:],
        "birth_year": 1900,
        "sex": 2 - int(MAN[16]) % 2,
        "group": "",
        "sealed": 0,
        "area": community(residents) + "01",
        "building": "3号楼",
        "unit": "2",
        "estate": "示例小区",
    }


def test_no_name_or_number_is_readable_in_it(residents: PreparedOperation) -> None:
    context = device(residents, area="340602")
    page = slice_page(context, SECRET, 0)
    said = orjson.dumps([page, opened(page)]).decode()
    hidden = ("样本甲", "样本乙丙", "样本戊", MAN, WOMAN, OLD, OLD[6:12], MAN[6:], "13800000000", "301")
    assert not [text for text in hidden if text in said]
    with pytest.raises(InvalidTag):
        opened(page, bytes(32))


def test_a_number_is_found_in_its_old_form_and_its_new_one(residents: PreparedOperation) -> None:
    rows = whole(device(residents, area=community(residents)))
    longer = OLD[:6] + "19" + OLD[6:]
    (row,) = [row for row in rows if row["name"] == "样*戊"]
    assert row["tokens"] == [token(longer + row["last_four"][-1])]
    assert slice.forms(slice.Paper("03", "H1234567890"), clock.business_day(clock.now())) == {
        "H1234567890",
        "H12345678",
    }


def test_households_share_a_mark_and_a_seal(residents: PreparedOperation) -> None:
    context, grid = device(residents, area="340602"), community(residents)
    homes = {row["household"] for row in whole(context) if row["building"] == "3号楼"}
    assert len(homes) == 1
    actions.seal_households(
        by=None,
        operation=residents.id,
        district=residents.district,
        area=grid,
        building="3号楼",
        sealed=True,
        reason="封",
    )
    sealed = [row["name"] for row in whole(context) if row["sealed"]]
    assert sorted(sealed) == ["样**丙", "样*甲"]
    assert by_token(whole(context), WOMAN)[0]["group"] == "close_contact"


def test_who_has_moved_away_or_was_registered_by_mistake_is_not_in_it(residents: PreparedOperation) -> None:
    context = device(residents, area="340602")
    spot = registered(residents, community(residents))
    assert hand_in([spot]) == [None]
    assert not by_token(whole(context), AWAY)
    assert by_token(whole(context), number(9))
    withdraw(residents, spot.id)
    assert not by_token(whole(context), number(9))


def test_what_a_desk_corrected_goes_before_what_was_registered(residents: PreparedOperation) -> None:
    context = device(residents, area="340602")
    wrong = make_fact(residents, "corrected", person=who(residents, MAN), reason="核对", name="样本错")
    right: dict[str, Any] = {"document": {"kind": "01", "number": number(7)}, "name": "样本辛"}
    body: dict[str, Any] = {"person": who(residents, MAN), "reason": "核对", **right}
    assert hand_in([wrong]) == [None]
    correction = make_fact(residents, "corrected", minutes=1, **body)
    assert hand_in([correction]) == [None]
    (row,) = by_token(whole(context), number(7))
    assert (row["name"], row["last_four"], row["tokens"]) == ("样*辛", number(7)[-4:], [token(number(7))])
    withdraw(residents, correction.id)
    assert by_token(whole(context), MAN)[0]["name"] == "样*错"


def test_people_who_are_the_same_are_one_row_with_all_their_numbers(residents: PreparedOperation) -> None:
    man, far = who(residents, MAN), who(residents, FAR)
    canonical = min(man, far)
    Identity.objects.bulk_create(
        Identity(district=residents.district, operation=residents.id, person=one, canonical=canonical)
        for one in (man, far)
    )
    rows = whole(device(residents, area="340602"))
    (row,) = by_token(rows, FAR)
    assert row == by_token(rows, MAN)[0]
    assert row["person"] == str(canonical)
    here = whole(device(residents, area=community(residents, FAR)))
    assert [one["person"] for one in here] == [str(canonical)]
    assert len(here[0]["tokens"]) == 2


# --- whose it is ----------------------------------------------------------------------------------------------


def test_only_people_of_the_devices_areas_are_in_it(residents: PreparedOperation) -> None:
    assert len(whole(device(residents, area="340602"))) == 4
    assert len(whole(device(residents, area=community(residents)))) == 3
    assert len(whole(device(residents, area=community(residents, FAR) + "01"))) == 1
    assert whole(device(residents, area=community(residents, FAR) + "02")) == []


def test_a_point_serves_its_community_and_a_laboratory_nobody(residents: PreparedOperation) -> None:
    point = residents.points[0]
    assert areas_of(device(residents, site=point.pk)) == (point.area[:12],)
    assert areas_of(device(residents, site=residents.laboratory.pk)) == ()
    assert whole(device(residents, site=residents.laboratory.pk)) == []


def test_areas_that_lie_in_another_are_left_out() -> None:
    assert disjoint(["340602001", "340602", "340603001", "340602001002"]) == ("340602", "340603001")


def test_too_many_people_for_a_phone_are_refused(residents: PreparedOperation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice, "MOST", 3)
    context = device(residents, area="340602")
    with pytest.raises(Refusal, match=r"people\.slice_too_large"):
        slice_page(context, SECRET, 0)


def test_each_download_is_written_down_once_and_names_nobody(residents: PreparedOperation) -> None:
    context = device(residents, area="340602")
    assert len(whole(context, page=1)) == 4
    entry = AuditEntry.objects.get(action="people.slice_taken")
    assert entry.device == context.id
    assert entry.detail == {"people": 4, "areas": ["340602"], "version": state_of(context, 0).version}


def test_a_page_that_was_not_given_out_begins_a_download(residents: PreparedOperation) -> None:
    context = device(residents, area="340602")
    page = slice_page(context, SECRET, 0, "340602/forged", page=2)
    assert (page["reset"], page["blocks"][0]["n"]) == (True, 0)
    assert AuditEntry.objects.filter(action="people.slice_taken").count() == 1


# --- the version ----------------------------------------------------------------------------------------------

Change = Callable[[PreparedOperation], Any]


def away(drill: PreparedOperation) -> None:
    actions.set_away(by=None, operation=drill.id, person=who(drill, MAN), away=True, reason="迁出")
    actions.set_away(by=None, operation=drill.id, person=who(drill, AWAY), away=False, reason="迁回")


def correct(drill: PreparedOperation) -> None:
    assert hand_in([make_fact(drill, "corrected", person=who(drill, MAN), reason="核对", name="样本辛")]) == [None]


def merge(drill: PreparedOperation) -> None:
    one, other = who(drill, MAN), who(drill, WOMAN)
    assert hand_in([make_fact(drill, "merged", one=one, other=other, facts=[], reason="同一人")]) == [None]


def seal(drill: PreparedOperation) -> None:
    place = {"area": community(drill), "building": "3号楼"}
    actions.seal_households(by=None, operation=drill.id, district=drill.district, sealed=True, reason="封", **place)


def bring_another(drill: PreparedOperation) -> None:
    take(bring(drill, [line("样本壬", number(8))]))


@pytest.mark.parametrize("change", [away, correct, merge, seal, bring_another])
def test_the_version_changes_with_what_is_in_it(residents: PreparedOperation, change: Change) -> None:
    context = device(residents, area="340602")
    before = state_of(context, 0).version
    assert state_of(context, 0).version == before
    change(residents)
    assert state_of(context, 0).version != before


def test_the_version_stays_when_something_changes_elsewhere_or_somebody_is_registered(
    residents: PreparedOperation,
) -> None:
    context = device(residents, area=community(residents, FAR))
    before = state_of(context, 0)
    correct(residents)
    seal(residents)
    spot = registered(residents, community(residents, FAR))
    assert hand_in([spot]) == [None]
    after = state_of(context, 0)
    assert after.version == before.version
    assert after.people == before.people + 1


def test_the_version_changes_with_the_scope_and_with_a_rounds_roster(residents: PreparedOperation) -> None:
    wide, narrow = device(residents, area="340602"), device(residents, area=community(residents))
    assert state_of(wide, 0).version != state_of(narrow, 0).version
    assert state_of(wide, 0).version != state_of(wide, 1).version


def test_a_download_keeps_the_version_that_it_began_with(residents: PreparedOperation) -> None:
    context = device(residents, area="340602")
    first = slice_page(context, SECRET, 0, page=2)
    correct(residents)
    rest = slice_page(context, SECRET, 0, first["after"], page=2)
    assert (rest["reset"], rest["blocks"][0]["n"], rest["version"]) == (False, 1, first["version"])
    assert state_of(context, 0).version != first["version"]


def test_a_download_for_another_scope_begins_anew(residents: PreparedOperation) -> None:
    first = slice_page(device(residents, area="340602"), SECRET, 0, page=2)
    narrow = device(residents, area=community(residents))
    page = slice_page(narrow, SECRET, 0, first["after"], page=2)
    assert (page["reset"], page["blocks"][0]["n"], page["version"]) == (True, 0, state_of(narrow, 0).version)


# --- how fast -------------------------------------------------------------------------------------------------


def bring_many(drill: PreparedOperation, people: int) -> DeviceContext:
    listed = [LISTED, *resident_rows(people, drill.communities[:2])]
    take(bring(drill, "\n".join(",".join(row) for row in listed).encode("utf-8-sig")))
    return device(drill, area="340602")


def test_a_page_takes_as_many_statements_for_many_as_for_few(
    drill: PreparedOperation, django_assert_num_queries: Any
) -> None:
    context = bring_many(drill, 200)
    middle = slice_page(context, SECRET, 0, page=10)["after"]
    counts = set()
    for page in (2, 20, 100):
        with CaptureQueriesContext(connection) as caught:
            assert len(opened(slice_page(context, SECRET, 0, middle, page=page))) == page
        counts.add(len(caught))
    assert len(counts) == 1
    with django_assert_num_queries(1):  # and one more where a site says the area
        state_of(context, 0)


def test_pages_join_without_a_gap_or_a_double(drill: PreparedOperation) -> None:
    context = bring_many(drill, 137)
    once, paged = whole(context), whole(context, page=7)
    assert once == paged
    assert len({row["person"] for row in once}) == 137 == state_of(context, 0).people
