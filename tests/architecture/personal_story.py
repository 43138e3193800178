"""The cast lives through a round: on lists, at the point, in refused facts and result files, revealed and exported.

Run as a program by ``test_personal_data``, in a database of its own, so that what it logs can be read afterwards.
Everything it is answered but files goes to standard output too: a refusal must not repeat what it refuses.
"""

import io
import json
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import django
import openpyxl

HOMES = "演家弄{}号401室"


def main() -> None:
    """Everything, once."""
    django.setup()
    from dabai.access import actions
    from dabai.people import background
    from dabai.testkit.cast import make_cast
    from dabai.testkit.district import make_operation
    from dabai.testkit.story import open_round

    background.start = lambda number, state: background.WORK[state](number)
    drill = make_operation()
    cast = make_cast(drill.id, str(drill.district))
    running, _ = open_round(drill, 0)
    code = actions.issue_pairing_code(name="1号手机", operation=drill.id, area=str(drill.district), by=None)
    _, token = actions.pair_device(code=code, name="", app="")
    Life(drill, list(cast), cast, running, token).live()


class Life:
    """What happens to the cast, and who asks about them."""

    def __init__(self, drill: Any, members: list[Any], cast: Any, running: Any, token: str) -> None:
        from django.test import Client

        from dabai.access.login import new_api_token
        from dabai.kernel.codes import make_tube_codes

        self.drill, self.members, self.cast, self.round = drill, members, cast, running
        self.tubes = make_tube_codes("DJ", "0PD", 1, 40)
        self.phone = Client(headers={"Authorization": f"Device {token}"})
        self.scripts = {
            who: Client(headers={"Authorization": f"Bearer {new_api_token(user=getattr(cast, who).user)}"})
            for who in ("round_manager", "lab_technician", "lab_reviewer", "commander")
        }

    def live(self) -> None:
        """In the order of a round, with the worker in between."""
        from dabai.registry import settle_down

        self.lists()
        self.at_the_point()
        self.refused()
        settle_down()
        self.results()
        settle_down()
        self.at_the_desk()
        self.bulletin()
        settle_down()

    # ---- lists

    def rows(self) -> Iterator[list[str]]:
        """The cast as a list has them."""
        community = self.drill.communities[0]
        for place, one in enumerate(self.members):
            home = ["示例小区", "1号楼", "1", HOMES.format(place)]
            yield [one.name, "居民身份证", one.number, one.phone, community, "1", *home]

    def lists(self) -> None:
        """Residents that are taken, one that is refused, the same people from a hotel, and lists without a header."""
        header = ["姓名", "证件类型", "证件号码", "手机号码", "社区代码", "网格", "小区", "楼栋", "单元", "房号"]
        rows = list(self.rows())
        wrong = [[row[0], row[1], row[2][:-1] + "?", row[3] + "几", *row[4:]] for row in rows]
        taken = self.upload("residents", as_csv([header, *rows, *wrong]), "residents.csv")
        self.told("round_manager", "get", f"imports/{taken}/rows")
        self.told("round_manager", "post", f"imports/{taken}/commit")
        hotel = self.upload("cross_list", as_workbook([header, *rows]), "hotel.xlsx")
        self.told("round_manager", "post", f"imports/{hotel}/commit")
        self.upload("residents", as_csv(rows), "no-header.csv")
        self.upload("residents", as_csv([[" ".join(rows[0])]]), "one-cell.csv")
        self.upload("residents", as_csv([header[:2] + rows[0][:1], *rows]), "name-as-heading.csv")

    def upload(self, purpose: str, content: bytes, name: str) -> int:
        """Upload a list; its id."""
        file = io.BytesIO(content)
        file.name = name
        fields = {"purpose": purpose, "label": "名单", "area": str(self.drill.district), "file": file}
        where = f"/api/v1/desk/operations/{self.drill.id}/imports"
        answer = self.scripts["round_manager"].post(where, fields)
        say(answer.content)
        return int(answer.json()["id"])

    def told(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """Ask the desk's interface; what it answers is said aloud."""
        client = self.scripts[who]
        answer = getattr(client, method)(f"/api/v1/desk/{path}", body or {}, content_type="application/json")
        say(answer.content)
        assert answer.status_code < 500, path
        return answer.json()

    # ---- facts

    def at_the_point(self) -> None:
        """Everybody is swabbed; everybody is written down once more, on the spot."""
        from dabai.testkit.field import fact

        place = {"round": self.round.pk, "site": self.drill.points[0].pk}
        facts = [fact("people.person_registered", self.registration(n)) for n in range(len(self.members))]
        for number, one in enumerate([*facts, *facts]):
            swab = {**place, "station": 1, "tube": self.tubes[number // 10], "person": one["id"]}
            facts.append(fact("testing.sample_taken", swab))
        sealed = [fact("testing.tube_sealed", {**place, "station": 1, "tube": t, "people": 10}) for t in self.tubes[:2]]
        receipts = self.post([*facts, *sealed])
        assert {one["verdict"] for one in receipts} == {"accepted"}

    def registration(self, number: int) -> dict[str, Any]:
        """One of the cast as a phone registers them."""
        one, home = self.members[number], HOMES.format(number)
        document = {"kind": "01", "number": one.number}
        return {
            "site": self.drill.points[0].pk,
            "name": one.name,
            "document": document,
            "phone": one.phone,
            "address": home,
        }

    def refused(self) -> None:
        """Facts that can't be accepted, with everything about somebody in every place that a body has."""
        from dabai.testkit.field import fact

        kind, wrong = "people.person_registered", []
        for number, one in enumerate(self.members):
            right = self.registration(number)
            wrong += [
                fact(kind, {**right, "site": 2_000_000}),
                fact(kind, {**right, "surname": one.name}),
                fact(kind, {**right, one.name: one.number, one.number: one.name}),
                fact(kind, {**right, "area": one.name, "group": one.number}),
                fact("people.no_such_kind", right),
                fact(kind, right, level=7),
                fact(kind, right, by=one.name + "x" * 60),
                {**fact(kind, right), "id": one.number},
                {**fact(kind, right), "kind": one.name},
                {**fact(kind, right), one.name: one.phone},
                [one.name, one.number, one.phone],
                f"{one.name} {one.number} {one.phone}",
            ]
        again = fact(kind, self.registration(0))
        twice = [again, {**again, "body": self.registration(1)}]
        receipts = self.post([*wrong, *twice])
        assert [one["verdict"] for one in receipts] == ["refused"] * len(wrong) + ["accepted", "refused"]
        broken = json.dumps({"facts": [], self.members[0].name: self.members[0].number}, ensure_ascii=False)
        say(self.phone.post("/api/v1/facts", broken, content_type="application/json").content)
        say(self.phone.post("/api/v1/facts", broken[:-5], content_type="application/json").content)

    def post(self, facts: list[Any]) -> Any:
        """Send facts as the phone; receipts are said aloud."""
        answer = self.phone.post("/api/v1/facts", json.dumps({"facts": facts}), content_type="application/json")
        assert answer.status_code == 200, answer.content
        say(answer.content)
        return answer.json()["receipts"]

    # ---- results

    def results(self) -> None:
        """A result file with names in it, one without a header, review, release, and the province's file."""
        header = ["姓名", "证件号码", "管码", "结果"]
        rows = [[one.name, one.number, tube, "阴性"] for one, tube in zip(self.members, self.tubes[:2], strict=False)]
        about_file = {"lab": self.drill.laboratory.pk, "read_at": "2022-03-13T12:00:00+08:00"}
        for content in (as_csv([header, *rows]), as_csv([header, [rows[0][0], *rows[0]]]), as_csv(rows)):
            file = io.BytesIO(content)
            file.name = "results.csv"
            where = f"/api/v1/desk/operations/{self.drill.id}/result-files"
            answer = self.scripts["lab_technician"].post(where, {**about_file, "file": file})
            say(answer.content)
        found = self.told("lab_reviewer", "get", f"operations/{self.drill.id}/results?state=to_review")["results"]
        about = {"lab": self.drill.laboratory.pk, "results": [one["id"] for one in found]}
        for kind, more in (("reviewed", {"verdict": "approved"}), ("released", {})):
            facts = [{"kind": f"testing.result_{kind}", "body": {**about, **more}}]
            self.told("lab_reviewer", "post", f"operations/{self.drill.id}/facts", {"facts": facts})

    # ---- the desk

    def at_the_desk(self) -> None:
        """Somebody searches, looks, reveals, settles a refused fact, and exports."""
        from django.test import Client

        from dabai.journal.models import Kept
        from dabai.people.models import Person
        from dabai.testing import province
        from dabai.testkit.cast import PASSWORD

        browser = Client()
        browser.post("/login/", {"username": "round_manager", "password": PASSWORD})
        for one in self.members:
            for asked in (one.name, one.number, one.phone, one.number[-4:], one.name[0]):
                assert browser.post("/search/", {"q": asked}).status_code == 200
        for person in Person.objects.filter(operation=self.drill.id)[:4]:
            page = f"/people/{person.id}/"
            assert browser.get(page).status_code == 200
            asked = {"what": ["name", "number", "phone"], "reason": "核对身份"}
            shown = browser.post(f"{page}do/reveal/", asked).content.decode()
            assert any(one.name in shown and one.number in shown for one in self.members)
        self.told("round_manager", "get", f"operations/{self.drill.id}/inbox")
        for kept in Kept.objects.filter(operation=self.drill.id)[:3]:
            assert browser.get(f"/inbox/kept/{kept.id}/").status_code == 200
            where = f"operations/{self.drill.id}/kept/{kept.id}"
            self.told("round_manager", "post", where, {"state": "dismissed", "reason": "已核对"})
        for page in ("/inbox/", "/audit/", "/coverage/", "/imports/", "/imports/doubles/", "/nowhere/"):
            browser.get(page)
        user = self.cast.commander.user
        made = province.export(by=user, operation=self.drill.id, reason="日报", form="xlsx")
        assert made.rows >= len(self.members)
        self.decide(browser)

    def decide(self, browser: Any) -> None:
        """A correction and a merge; and log-ins that fail with a name for a password."""
        one, other = self.members[0], self.members[1]
        body = {"person": str(uuid4()), "name": one.name, "reason": "核对"}
        right = {**body, "document": {"kind": "01", "number": one.number}, "phone": one.phone}
        wrong = {**body, "document": {"kind": "01", "number": one.number[:-1] + "?"}}
        facts = [{"kind": "people.corrected", "body": found} for found in (right, wrong)]
        self.told("round_manager", "post", f"operations/{self.drill.id}/facts", {"facts": facts})
        browser.post("/login/", {"username": other.name, "password": other.number})
        self.told("commander", "post", "log-in", {"username": other.number, "password": other.name})

    def bulletin(self) -> None:
        """What is published."""
        from dabai.figures import actions

        found = actions.propose(by=self.cast.commander.user, operation=self.drill.id, round_id=self.round.pk)
        say(found.text_zh.encode())


def as_csv(rows: list[list[str]]) -> bytes:
    """A list as text."""
    return "\n".join(",".join(row) for row in rows).encode()


def as_workbook(rows: list[list[str]]) -> bytes:
    """A list as a workbook."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def say(text: bytes) -> None:
    """Put an answer where the test looks for what should not be in it."""
    sys.stdout.write(json.dumps(json.loads(text), ensure_ascii=False) if text[:1] in b"{[" else text.decode())
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
