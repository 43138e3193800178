"""Which column is which: names that people give to columns, in Chinese and English, matched to what is wanted.

Names are compared after folding (half-width, small letters, no spaces, no marks, no "(必填)"), never by likeness: a
wrong guess would read somebody's phone as a number. What was chosen once, the caller remembers and hands in again.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dabai.exchange.rows import Row
from dabai.kernel.refusal import Refusal


class Column(NamedTuple):
    """A column that is wanted. ``identifier``: holds numbers that Excel destroys when it takes them for quantities."""

    key: str
    aliases: tuple[str, ...]
    required: bool = False
    identifier: bool = False


@dataclass
class ColumnMap:
    """Where each wanted column stands. ``missing`` are required keys without a column, ``unknown`` headers that nobody
    wanted, ``ambiguous`` keys for which several columns claim the same name (none of them is taken)."""

    places: dict[str, int]
    missing: list[str]
    unknown: list[str]
    ambiguous: dict[str, list[int]]
    identifiers: frozenset[str]
    header: list[str]
    absent: dict[str, str]
    usual_names: dict[str, str]

    def check(self) -> None:
        """Raise ``tables.columns_ambiguous`` or ``tables.columns_missing`` with the keys and names concerned."""
        for code, keys in (
            ("tables.columns_ambiguous", list(self.ambiguous)),
            ("tables.columns_missing", self.missing),
        ):
            if keys:
                names = ", ".join(f"{self.usual_names[key]} ({key})" for key in keys)
                raise Refusal(code, keys[0], keys=keys, names=names)

    def pick(self, row: Row) -> dict[str, str]:
        """The wanted cells of a row by key, "" for columns that the file does not have. Raises the row's own problem,
        and ``tables.scientific`` for an identifier that Excel has turned into a rounded quantity."""
        if row.problem:
            raise row.problem
        cells = row.cells
        picked = {key: cells[place] for key, place in self.places.items()}
        for key in self.identifiers:
            if "+" in picked[key] and _SCIENTIFIC.fullmatch(picked[key]):
                raise Refusal("tables.scientific", key, row=row.number, column=self.places[key] + 1)
        return self.absent | picked

    def remember(self) -> dict[str, str | int]:
        """What to hand in as ``remembered`` next time: header names, or column numbers where the name is not unique."""
        folded = [fold(name) for name in self.header]
        return {
            key: self.header[place] if folded.count(folded[place]) == 1 else place + 1
            for key, place in self.places.items()
        }


_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+[0-9]{1,3}")


def fold(name: str) -> str:
    """A column name as far as it matters."""
    text = unicodedata.normalize("NFKC", name).casefold()
    without_notes = re.sub(r"\([^)]*\)|\[[^\]]*\]|【[^】]*】", "", text)
    return re.sub(r"[\W_]+", "", without_notes) or re.sub(r"[\W_]+", "", text)


def match_columns(
    header: Sequence[str], wanted: Sequence[Column], *, remembered: Mapping[str, str | int] | None = None
) -> ColumnMap:
    """Find each wanted column in ``header``: as ``remembered`` (a header name, or a column number from 1) if that still
    fits, else by key and aliases, the first alias first. Nothing is raised: see ``ColumnMap.check``."""
    folded = [fold(name) for name in header]
    places: dict[str, int] = {}
    ambiguous: dict[str, list[int]] = {}
    for column in wanted:
        free = {i: name for i, name in enumerate(folded) if name and i not in places.values()}
        found = _remembered_place((remembered or {}).get(column.key), free, header) or _named_places(column, free)
        if len(found) == 1:
            places[column.key] = found[0]
        elif found:
            ambiguous[column.key] = [place + 1 for place in found]
    return ColumnMap(
        places=places,
        missing=[c.key for c in wanted if c.required and c.key not in places and c.key not in ambiguous],
        unknown=[name for i, name in enumerate(header) if name and i not in places.values()],
        ambiguous=ambiguous,
        identifiers=frozenset(c.key for c in wanted if c.identifier and c.key in places),
        header=list(header),
        absent={c.key: "" for c in wanted if c.key not in places},
        usual_names={c.key: (c.aliases or (c.key,))[0] for c in wanted},
    )


def _remembered_place(choice: str | int | None, free: dict[int, str], header: Sequence[str]) -> list[int]:
    if isinstance(choice, int):
        return [choice - 1] if choice - 1 in free else []
    same = [place for place in free if choice is not None and fold(header[place]) == fold(choice)]
    return same if len(same) == 1 else []


def _named_places(column: Column, free: dict[int, str]) -> list[int]:
    for alias in (column.key, *column.aliases):
        if found := [place for place, name in free.items() if name == fold(alias)]:
            return found
    return []


# --- Names that lists use -------------------------------------------------------------------------------------------


def _column(key: str, aliases: str, *, required: bool = False, identifier: bool = False) -> Column:
    return Column(key, tuple(aliases.split("|")), required, identifier)


RESIDENT_COLUMNS: tuple[Column, ...] = (
    _column("name", "姓名|居民姓名|人员姓名|名字|full name|patient name|resident name"),
    _column("family_name", "姓|last name|surname|patient last name"),
    _column("given_name", "名|first name|patient first name"),
    _column("document_kind", "证件类型|证件种类|证件类别|document type|id type"),
    _column(
        "number",
        "证件号码|证件号|身份证号|身份证号码|身份证|公民身份号码|居民身份证号|居民身份证号码|身份证件号码|居民身份证|"
        "id number|document number|id card|patient id",
        identifier=True,
    ),
    _column("sex", "性别|gender|biological sex|patient gender"),
    _column("birth_date", "出生日期|出生年月日|出生年月|生日|date of birth|dob|patient dob|birthday"),
    _column(
        "phone",
        "手机号码|手机号|联系电话|电话|手机|联系方式|电话号码|本人电话|"
        "phone number|mobile|telephone|patient phone number",
        identifier=True,
    ),
    _column("area", "区划代码|行政区划代码|社区代码|网格代码|网格编码|area code|grid code", identifier=True),
    _column("street", "街道|镇街|乡镇|街道乡镇|所属街道|sub-district|town"),
    _column("community", "社区|村居|社区村|村社区|居委会|所属社区|行政村|village"),
    _column("grid", "网格|网格号|所属网格|grid name"),
    _column("estate", "小区|小区名称|自然村|estate name"),
    _column("building", "楼栋|楼栋号|楼号|幢|栋|building number"),
    _column("unit", "单元|单元号|entrance"),
    _column("room", "房号|室|房间号|门牌号|户室|flat|apartment|street 2|patient street2"),
    _column("address", "地址|现住址|居住地址|家庭住址|详细地址|现居住地址|住址|patient street|home address"),
    _column("household", "户号|户编号|家庭编号|household id|household number", identifier=True),
    _column("relation", "与户主关系|户主关系|relation to head"),
    _column("group", "人员类别|人群类别|人员类型|重点人群|重点人群类别|category|role"),
    _column("remark", "备注|说明|note|notes|comment|comments"),
)

RESULT_COLUMNS: tuple[Column, ...] = (
    _column(
        "tube",
        "试管编号|试管码|管码|样本编号|样本条码|样本条形码|条码号|条形码|标本号|标本编号|采样管编号|"
        "barcode|tube code|sample id|sample name|accession number",
        required=True,
        identifier=True,
    ),
    _column("outcome", "检测结果|结果|核酸结果|核酸检测结果|结论|result|test result|interpretation", required=True),
    _column("tested_at", "检测时间|检测日期|报告时间|报告日期|结果时间|tested|test result date|result date"),
    _column("ct_orf1ab", "orf1ab|orf1ab ct|ct orf1ab|ct值orf1ab|orf1ab ct值|orf"),
    _column("ct_n", "n|n ct|ct n|ct值n|n ct值|n基因|n gene"),
    _column("run", "批次|板号|检测批次|plate|plate id", identifier=True),
    _column("well", "孔位|孔号|well position"),
    _column("laboratory", "检测机构|检测单位|实验室|lab|testing lab name|lab name"),
    _column("instrument", "仪器|扩增仪|equipment model name|device"),
    _column("tester", "检测人|检测者|检验人|tested by"),
    _column("reviewer", "审核人|复核人|审核者|reviewed by"),
    _column("remark", "备注|说明|note|test comment|comments"),
)

_OUTCOMES = {
    "negative": ("阴性", "阴", "negative", "neg", "not detected", "undetected", "未检出", "-", "n", "0"),
    "positive": ("阳性", "阳", "positive", "pos", "detected", "检出", "+", "p", "1"),
    "suspect": (
        "可疑",
        "灰区",
        "疑似",
        "弱阳性",
        "单靶标阳性",
        "suspect",
        "indeterminate",
        "inconclusive",
        "equivocal",
    ),
    "invalid": ("无效", "重采", "作废", "invalid", "invalid result", "error", "test not performed"),
}
_OUTCOME_WORDS = {word: outcome for outcome, words in _OUTCOMES.items() for word in words}


def outcome_from_text(text: str) -> str | None:
    """``negative``, ``positive``, ``suspect`` or ``invalid`` for what laboratories write, None for anything else.

    "0" and "1" are negative and positive, as a system that was in use numbers them. "复检" is no outcome: None.
    """
    return _OUTCOME_WORDS.get(" ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip("()"))
