"""Makes the synthetic tables of this scenario: people per community, grids, points. Run it; the result is committed.

Known (areas, census, published figures) are the district's totals. How many people live in which community, its grids
and the names of the points are not published: they are made here, from a fixed seed, and belong to nobody.
"""

import csv
import random
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = "duji-2022-03"
PEOPLE_PER_GRID = 1000
# Six communities, one in each street-level area, chosen for the drill of 13 March; together 12,310 people.
DRILL = {
    "340602001005": 2214,
    "340602002201": 1987,
    "340602100204": 2356,
    "340602101205": 1893,
    "340602102204": 1748,
    "340602400498": 2112,
}
PLACES = ("文化广场", "村部", "小学", "卫生室", "党群服务中心", "篮球场", "老年活动中心", "集市")
FIRMS = ("煤矿工人村", "纺织厂", "建材市场", "物流园", "机械厂", "建筑工地", "高速出口", "商贸城", "化工园", "汽车站")
POINT_COLUMNS = ("code", "kind", "name", "area", "address", "longitude", "latitude", "stations", "rounds")


def read_communities() -> list[dict[str, str]]:
    with open(HERE.parent / "areas" / "340602.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["level"] == "village"]


def census_total() -> int:
    with open(HERE / "census.csv", encoding="utf-8", newline="") as file:
        return next(int(row["value"]) for row in csv.DictReader(file) if row["item"] == "resident population")


def populations(communities: list[dict[str, str]], total: int) -> dict[str, int]:
    """People per community: the drill's as chosen, the others by a random weight, towns larger than villages."""
    rng = random.Random(SEED)
    weights = {}
    for row in communities:
        weight = rng.uniform(0.6, 1.4) * (1.5 if "社区" in row["name"] else 1.0)
        if row["code"] not in DRILL:
            weights[row["code"]] = weight
    left = total - sum(DRILL.values())
    exact = {code: left * weight / sum(weights.values()) for code, weight in weights.items()}
    people = {code: int(share) for code, share in exact.items()}
    by_remainder = sorted(exact, key=lambda code: (people[code] - exact[code], code))
    for code in by_remainder[: left - sum(people.values())]:
        people[code] += 1
    return {row["code"]: (people | DRILL)[row["code"]] for row in communities}


def grids(communities: list[dict[str, str]], people: dict[str, int]) -> list[list[str]]:
    rows = []
    for row in communities:
        count = max(2, -(-people[row["code"]] // PEOPLE_PER_GRID))
        short = short_name(row["name"])
        rows += [[f"{row['code']}{n:02}", f"{short}第{n}网格", "grid", row["code"]] for n in range(1, count + 1)]
    return rows


def short_name(name: str) -> str:
    for ending in ("社区居民委员会", "社区居委会", "村村委会", "村委会", "虚拟社区"):
        if name.endswith(ending):
            kind = {"社区": "社区", "村": "村", "虚拟": ""}[ending[:2].rstrip("委村") or "村"]
            return name.removesuffix(ending) + kind
    return name


def sites(names: dict[str, str], people: dict[str, int], rounds: list[dict[str, object]]) -> list[list[object]]:
    """The points of each round's communities (by people), the two posts, and the laboratories."""
    rows: list[list[object]] = []
    for number, plan in enumerate(rounds, start=1):
        communities = [str(code) for code in plan["communities"]]  # type: ignore[attr-defined]
        rows += points_of_round(number, communities, int(plan["points"]), names, people)  # type: ignore[call-overload]
    for index, row in enumerate(rows, start=1):
        row[0] = f"P{index:03}"
    posts = " ".join(str(n) for n, plan in enumerate(rounds, start=1) if plan.get("posts"))
    rows += [
        ["GTZB", "checkpoint", "高铁北站", "34060200100702", "", "", "", 1, posts],
        ["ZLKD", "checkpoint", "纵楼卡点", "34060210020901", "", "", "", 4, posts],
        ["LAB1", "laboratory", "区疾控中心核酸检测实验室", "34060200200901", "", "", "", 0, ""],
        ["LAB2", "laboratory", "第三方医学检验所", "34060240049801", "", "", "", 0, ""],
    ]
    return rows


def points_of_round(
    number: int, communities: list[str], count: int, names: dict[str, str], people: dict[str, int]
) -> list[list[object]]:
    """``count`` points shared out over the communities by people, at least one each."""
    shares = dict.fromkeys(communities, 1)
    for _ in range(count - len(communities)):
        shares[max(communities, key=lambda code: (people[code] / shares[code], code))] += 1
    if number == 1:
        shares = dict.fromkeys(communities, 2)
    rng = random.Random(f"{SEED}/{number}")
    rows: list[list[object]] = []
    for code in communities:
        kinds = PLACES + FIRMS if number > 1 else PLACES
        places = rng.sample(kinds, shares[code])
        for index, place in enumerate(places, start=1):
            stations = index if number == 1 else 2
            grid = f"{code}{(index - 1) % grid_count(people[code]) + 1:02}"
            name = f"{short_name(names[code])}{place}"
            rows.append(["", "sampling_point", name, grid, "", "", "", stations, number])
    return rows


def grid_count(people: int) -> int:
    return max(2, -(-people // PEOPLE_PER_GRID))


def write(name: str, header: tuple[str, ...], rows: list[list[object]] | list[list[str]]) -> None:
    with open(HERE / name, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    rounds = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))["round"]
    communities = read_communities()
    people = populations(communities, census_total())
    names = {row["code"]: row["name"] for row in communities}
    write("communities.csv", ("code", "people"), [[code, str(count)] for code, count in people.items()])
    write("grids.csv", ("code", "name", "level", "parent"), grids(communities, people))
    write("sites.csv", POINT_COLUMNS, sites(names, people, rounds))


if __name__ == "__main__":
    main()
