"""Names, numbers and phones of people who don't exist.

A citizen number made here has a right check digit and a real date of birth, but an area code that was never assigned.
"""

import random
from datetime import date

# The commonest surnames of Anhui and given-name characters of several generations; any likeness is chance.
SURNAMES = (
    *"王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏"
    "钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文",
    "欧阳",
    "上官",
    "诸葛",
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华玉梅春红建国志文海峰婷玲浩宇轩子涵梓欣怡晨雨泽嘉琪思远振东德福"
    "长生永年淑珍凤云金花荣昌庆祥和顺安康乐天成俊豪佳慧雪琳颖倩璐瑶晶莹松柏林森鹏飞翔鑫瑞博睿哲"
)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK = "10X98765432"
# Counties end at 9x at the latest and start at 01 in their prefecture; Huaibei's never went past 340623.
RESIDENT_AREAS = 340640
TRAVELLER_AREAS = (119999, 319999, 329999, 339999, 349999, 369999, 379999, 419999, 429999, 619999)
UNUSED_MOBILE = "164"


def name(rng: random.Random) -> str:
    """Surname and one or, more often, two characters."""
    surname: str = rng.choice(SURNAMES)
    return surname + rng.choice(GIVEN) + (rng.choice(GIVEN) if rng.random() < 0.8 else "")


def phone(rng: random.Random) -> str:
    return f"{UNUSED_MOBILE}{rng.randrange(10**8):08}"


def citizen_number(area: int, born: date, sex: int, nth: int) -> str:
    """The number of the ``nth`` (from 0) person of this area, day and sex (1 male: odd order; 2 female: even)."""
    order = 2 * nth + (1 if sex == 1 else 2)
    if not 0 < order < 1000:
        raise ValueError("more people than a day has numbers for")
    first = f"{area:06}{born:%Y%m%d}{order:03}"
    total = sum(int(digit) * weight for digit, weight in zip(first, WEIGHTS, strict=True))
    return first + CHECK[total % 11]


class Numbers:
    """Hands out the numbers of one made-up area, never one twice."""

    def __init__(self, area: int) -> None:
        self.area = area
        self.used: dict[tuple[date, int], int] = {}

    def next(self, born: date, sex: int) -> str:
        nth = self.used.get((born, sex), 0)
        self.used[born, sex] = nth + 1
        return citizen_number(self.area, born, sex, nth)
