"""Every kind of fact that a phone may report has a screen of its own, or a form with words in both languages."""

import re
from typing import Any

import pytest

from dabai.api.forms import CHOICES, FILLED, form, forms
from dabai.journal.kinds import Kind
from dabai.kernel.words import catalogue
from dabai.registry import kinds
from dabai.testkit.district import PreparedOperation

HAN = re.compile("[\u4e00-\u9fff]")
# What a phone reports by a screen that was made for it.
OWN_SCREEN = {
    "journal.fact_withdrawn",
    "people.person_registered",
    "testing.box_handed_over",
    "testing.box_packed",
    "testing.box_received",
    "testing.box_sealed",
    "testing.late_entry",
    "testing.not_sampled",
    "testing.sample_moved",
    "testing.sample_taken",
    "testing.tube_sealed",
    "testing.tube_voided",
    "testing.tubes_bagged",
}
# What a laboratory reports by its files and its desk.
AT_THE_LABORATORY = {
    "testing.result_read",
    "testing.result_released",
    "testing.result_reviewed",
    "testing.run_started",
}
FORMS = {one["kind"]: one for one in forms()}


def every_text(part: Any) -> list[str]:
    """The Chinese texts below."""
    if isinstance(part, dict):
        own = [part["zh"]] if set(part) == {"zh", "en"} else []
        return own + [text for value in part.values() for text in every_text(value)]
    return []


def test_every_kind_that_a_phone_may_report_has_a_way_to_be_reported() -> None:
    reported = {name for name, kind in kinds().items() if not kind.desk}
    assert set(FORMS) == reported - OWN_SCREEN - AT_THE_LABORATORY
    assert not [kind.name for kind in kinds().values() if kind.desk and kind.form]


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_form_asks_for_every_field_in_both_languages(name: str) -> None:
    one = FORMS[name]
    assert set(one["fields"]) == set(kinds()[name].body.model_fields) == set(one["schema"]["properties"])
    texts = [one["title"], *(field["label"] for field in one["fields"].values())]
    texts += [choice for field in one["fields"].values() for choice in (field["options"] or {}).values()]
    texts += [field["hint"] for field in one["fields"].values() if field["hint"]]
    for text in texts:
        assert HAN.search(text["zh"])
        assert not HAN.search(text["en"])
        assert "." not in text["en"].rstrip(".").replace(". ", "")


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_choice_has_a_name(name: str) -> None:
    schema = FORMS[name]["schema"]
    for part, definition in schema.get("$defs", {}).items():
        values = definition.get("enum", [])
        assert {f"{CHOICES[part]}.{value}" for value in values} <= set(catalogue("zh"))


def test_what_the_phone_knows_it_fills_in_itself() -> None:
    fields = FORMS["testing.queue_counted"]["fields"]
    assert {name: field["fill"] for name, field in fields.items()} == {"round": "round", "site": "site", "people": None}
    assert FORMS["testing.tube_rejected"]["fields"]["lab"]["fill"] == "site"
    assert set(FILLED.values()) == {"round", "site", "station", "login", "person", "tube", "box"}


def test_choices_come_with_their_names() -> None:
    choices = FORMS["testing.tube_rejected"]["fields"]["reason"]["options"]
    assert choices["leak"] == {"zh": "渗漏", "en": catalogue("en")["testing.rejected.leak"]}


def test_any_body_of_the_field_can_become_a_form() -> None:
    kind: Kind = kinds()["testing.not_sampled"]
    assert form(kind)["fields"]["outcome"]["options"]["moved"]["zh"] == "已搬离"


def test_no_word_is_left_that_no_form_says() -> None:
    said = {text for one in forms() for text in every_text(one)}
    own = {key: text for key, text in catalogue("zh").items() if key.startswith(("fields.kind.", "fields.hint."))}
    assert {key for key, text in own.items() if text not in said} == set()


@pytest.mark.django_db
def test_a_device_gets_the_forms(drill: PreparedOperation) -> None:
    from dabai.api.tests.test_field import paired

    assert paired(drill, site=drill.points[0].pk).get("/api/v1/forms").json() == forms()
