"""Made-up residents as lists hold them, any number of them, the same for the same seed.

Nobody lives behind these numbers: every birthday lies in the years 1900 to 1909. Households have about the size of the
district's (2.55 people, DOMAIN §7 and the census of 2020).
"""

import csv
import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from dabai.people.rules import check_digit

HEADER = [
    "姓名", "证件类型", "证件号码", "性别", "手机号码", "社区代码", "网格", "小区", "楼栋", "单元", "房号", "人员类别",
]  # fmt: skip
SURNAMES = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"
GIVEN = "春夏秋冬风花雪月山川湖海松竹梅兰琴棋书画东南西北金木水火土天地玄黄宇宙洪荒日盈昃辰宿列张"
FIRST_DAY = date(1900, 1, 1)
DAYS = 3652
HOUSEHOLD_SIZES = (1, 1, 2, 2, 2, 3, 3, 3, 4, 5)


def resident_number(index: int, district: int = 340602) -> str:
    """A valid citizen number that no other index below 3.6 million has."""
    born = FIRST_DAY + timedelta(days=index % DAYS)
    first = f"{district}{born:%Y%m%d}{index // DAYS:03}"
    return first + check_digit(first)


def resident_rows(count: int, communities: Sequence[str], *, seed: int = 1, grids: int = 2) -> Iterator[list[str]]:
    """``count`` rows under ``HEADER``, household by household, spread over the communities."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    index = door = 0
    while index < count:
        size = min(chance.choice(HOUSEHOLD_SIZES), count - index)
        community = communities[door % len(communities)]
        home = [str(door % grids + 1), "示例小区", f"{door // 120 % 40 + 1}号楼", str(door % 4 + 1), str(door // 56)]
        for _ in range(size):
            number = resident_number(index)
            name = chance.choice(SURNAMES) + chance.choice(GIVEN) + chance.choice(GIVEN)
            sex = "男" if int(number[16]) % 2 else "女"
            phone = f"138{chance.randrange(10**8):08}"
            yield [name, "居民身份证", number, sex, phone, community, *home, ""]
            index += 1
        door += 1


def write_residents(path: Path, count: int, communities: Sequence[str], *, seed: int = 1) -> None:
    """The same as a CSV file, UTF-8 with a byte order mark, as Excel writes it."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(resident_rows(count, communities, seed=seed))
