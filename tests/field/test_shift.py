"""A whole shift with four phones, from pairing to the laboratory's door, with and without a network."""

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.field.phone import Phone
from tests.field.words import like, t


def sample(nurse: Phone, shift: dict[str, Any]) -> int:
    """Two tubes: one full by residents' codes, one of four by ID card, a fifth taken out again. How many people."""
    people = shift["people"]
    nurse.go("/sample")
    nurse.swab(shift["tubes"][0], [one["code"] for one in people[:10]])
    nurse.seal()
    nurse.swab(shift["tubes"][1], [one["number"] for one in people[10:15]])
    nurse.page.get_by_role("button", name=like("sample.undo")).click()
    nurse.counts(4)
    nurse.seal("seal.reason.end")
    return 14


def pack(packer: Phone, shift: dict[str, Any]) -> None:
    """Both tubes into a bag, the bag into a box, the box sealed: the phone shows its code to whoever takes it."""
    packer.go("/pack")
    packer.button("pack.enter_count").click()
    packer.count_by_hand(2)
    packer.button("pack.start_bag").click()
    for code in (*shift["tubes"][:2], shift["bags"][0]):
        packer.scan(code)
        expect(packer.page.get_by_role("button", name=code)).to_be_visible()
    packer.page.get_by_role("button", name=t("pack.close"), exact=True).click()
    packer.count_by_hand(2)
    packer.page.get_by_role("navigation").get_by_role("button", name=t("pack.box")).click()
    packer.scan(shift["boxes"][0])
    packer.page.get_by_role("button", name=t("pack.pack"), exact=True).click()
    packer.page.get_by_label(t("pack.seal")).fill("S001")
    packer.button("pack.seal_go").click()
    packer.count_by_hand(2)
    expect(packer.page.locator(".ticket")).to_contain_text(shift["boxes"][0])


def take(courier: Phone, code: str) -> None:
    courier.go("/carry")
    courier.page.get_by_role("button", name=t("carry.take"), exact=True).click()
    courier.scan(code)
    courier.page.get_by_role("button", name=t("carry.count"), exact=True).click()
    courier.count_by_hand(2)
    courier.page.get_by_role("button", name=t("carry.confirm"), exact=True).click()
    expect(courier.page.get_by_text(like("carry.done")).first).to_be_visible()


def give(courier: Phone, box: str) -> None:
    courier.page.get_by_role("button", name=like("carry.give")).first.click()
    courier.page.get_by_role("button", name=box).click()
    expect(courier.page.locator(".ticket")).to_contain_text(box)


def receive(lab: Phone, code: str) -> None:
    lab.go("/receive")
    expect(lab.page.get_by_role("button", name=t("receive.scan"), exact=True)).to_be_visible()
    lab.scan(code)
    lab.count_by_hand(2)
    lab.page.get_by_role("button", name=t("receive.save"), exact=True).click()
    expect(lab.page.get_by_text(like("receive.today"))).to_be_visible()


def test_a_whole_shift_with_four_phones(server, phone, shift: dict[str, Any], tmp_path: Path) -> None:
    nurse = phone().at_work(shift, "sampler", station=1)
    packer = phone().at_work(shift, "packer")
    courier = phone().at_work(shift, "courier", place=shift["site"]["name"])
    lab = phone().at_work(shift, "lab")
    everybody = (nurse, packer, courier, lab)
    for one in everybody:
        one.offline()

    sampled = sample(nurse, shift)
    pack(packer, shift)
    take(courier, packer.shown_code(tmp_path))
    give(courier, shift["boxes"][0])
    lab.offline(False)
    receive(lab, courier.shown_code(tmp_path))

    assert server.ask("SELECT count(*) FROM testing_sample WHERE operation = %s", shift["operation"]) == [(0,)]
    for one in everybody:
        one.offline(False)
        one.all_sent()
    check(server, shift, sampled)


def check(server, shift: dict[str, Any], sampled: int) -> None:
    """Everything was accepted, the same hand-over is one fact, and coverage counts who was swabbed."""
    verdicts = server.ask(
        "SELECT kind, verdict, count(*) FROM journal_entry WHERE operation = %s GROUP BY 1, 2", shift["operation"]
    )
    assert {verdict for _, verdict, _ in verdicts} == {1}, verdicts
    server.settled()
    covered = server.ask(
        "SELECT count(*) FROM testing_coverage WHERE round = %s AND samples > 0 AND rostered", shift["round"]
    )
    assert covered == [(sampled,)]
    tubes = server.ask("SELECT tube, samples FROM testing_tube WHERE operation = %s ORDER BY tube", shift["operation"])
    assert tubes == [(shift["tubes"][0], 10), (shift["tubes"][1], 4)]
