"""What lists show of a name, a number, a phone. Whole ones are revealed one by one, with a reason."""

import re

from dabai.people.rules import HAN

COMPOUND_SURNAMES = frozenset(
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙"
        "钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷轩辕令狐段干百里"
        "呼延东郭南门羊舌微生公户公玉公仪梁丘公仲公上公门公山公坚左丘公伯西门公祖第五公乘贯丘公皙南荣东里东宫"
        "仲长子书子桑即墨达奚褚师",
    )
)


def mask_name(name: str) -> str:
    """A name as lists show it: 张*, 张*三, 欧阳*, 欧阳*娜, 阿***·**提, J*** S****. A single character is hidden."""
    if "·" in name:
        parts = name.split("·")
        return "·".join([_shown(parts[0], 1, 0), *("*" * len(p) for p in parts[1:-1]), _shown(parts[-1], 0, 1)])
    if not re.search(f"[{HAN}]", name):
        return " ".join(_shown(word, 1, 0) for word in name.split(" "))
    head = 2 if name[:2] in COMPOUND_SURNAMES and len(name) > 2 else 1
    return _shown(name, head, 1 if len(name) > head + 1 else 0)


def _shown(text: str, head: int, tail: int) -> str:
    """``text`` with its ends left visible, unless that would leave nothing hidden."""
    hidden = len(text) - head - tail
    return text[:head] + "*" * hidden + (text[-tail:] if tail else "") if hidden > 0 else "*" * len(text)


def mask_number(number: str) -> str:
    """A document number as lists show it: 3406**********1234, H1*****78; a short one keeps one character."""
    ends = 4 if len(number) >= 15 else 2 if len(number) >= 8 else 0
    return _shown(number, ends or 1, ends)


def mask_phone(phone: str) -> str:
    """A phone as lists show it: 138****0000; a short or foreign one keeps less."""
    return _shown(phone, 3, 4) if len(phone) >= 11 else _shown(phone, 0, 2)
