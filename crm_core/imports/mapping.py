"""Says which column of a file is which field: by known spellings first, then as a file a deployer may edit."""

import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crm_core.imports.cells import Cell, plain, text
from crm_core.imports.files import Row


class Subject(StrEnum):
    """What the rows of a file are."""

    CUSTOMERS = "customers"
    INTERACTIONS = "interactions"


class MappingProblem(Exception):
    """A mapping that cannot be used: a stable code and its parameters, worded for the caller."""

    def __init__(self, code: str, params: ReadOnly[str, str]) -> None:
        self.code = code
        self.params = params
        super().__init__(self.message())

    def message(self, language: str = "en") -> str:
        """The reason in words; Chinese for a language that starts with `zh`, else English."""
        english, chinese = WORDING[self.code]
        return (chinese if language.lower().startswith("zh") else english).format_map(self.params)


class Mapping(BaseModel):
    """Which header is which field, and which written value means which of a closed list (字段映射).

    `columns` maps a header to a field; `ignored` names headers that are left out on purpose; `values` maps,
    per field (`kind`, `grade`, `method`), a spelling to its meaning; a field without a table has the usual one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Subject
    columns: dict[str, str]
    ignored: tuple[str, ...] = ()
    values: dict[str, dict[str, str]] = {}

    def save(self, path: Path) -> None:
        """Write the mapping as TOML that a person can edit."""
        path.write_text(_toml(self), encoding="utf-8")

    def bind(self, header: tuple[str, ...]) -> "Binding":
        """Find the mapping's columns in a header, in whatever order they stand.

        Raises:
            MappingProblem: a column that rows of this subject cannot do without is missing.
        """
        places = {_key(name): place for place, name in enumerate(header)}
        fields: dict[str, tuple[int, ...]] = {}
        for name, field in self.columns.items():
            place = places.get(_key(name))
            if place is not None:
                fields[field] = (*fields.get(field, ()), place)
        _require(self.subject, frozenset(fields))
        known = {_key(name) for name in (*self.columns, *self.ignored)}
        unknown = tuple(name for name in header if _key(name) not in known)
        tables = {**VALUES[self.subject], **self.values}
        values = {field: {_key(k): v for k, v in table.items()} for field, table in tables.items()}
        return Binding(header, fields, unknown, values)


@dataclass(frozen=True, slots=True)
class Binding:
    """A mapping applied to one file's header: reads fields from rows; `unknown` are the columns nobody knows."""

    header: tuple[str, ...]
    fields: ReadOnly[str, tuple[int, ...]]
    unknown: tuple[str, ...]
    values: ReadOnly[str, ReadOnly[str, str]]

    def cell(self, row: Row, field: str) -> Cell:
        """The cell of a field; None when the file has no such column."""
        places = self.fields.get(field)
        return row.cells[places[0]] if places else None

    def cells(self, row: Row, field: str) -> tuple[tuple[str, Cell], ...]:
        """Header and cell of every column of a field that may stand in several (two columns of phones)."""
        return tuple((self.header[place], row.cells[place]) for place in self.fields.get(field, ()))

    def text(self, row: Row, field: str) -> str | None:
        """The text of a field, None when blank."""
        return text(self.cell(row, field)) or None

    def column(self, field: str) -> str:
        """The header under which the file has a field; the field's own name when it has none."""
        places = self.fields.get(field)
        return self.header[places[0]] if places else field

    def meaning(self, field: str, cell: Cell) -> str | None:
        """What a written value of a closed list means, None if it is not on the list."""
        return self.values.get(field, {}).get(_key(plain(cell)))


def suggest(header: tuple[str, ...], subject: Subject) -> Mapping:
    """The mapping for a header by known Chinese and English spellings; unknown columns are left to `bind`.

    Raises:
        MappingProblem: two columns for one field, or a needed column missing.
    """
    spellings = {_key(name): field for field, names in SPELLINGS[subject].items() for name in (field, *names)}
    columns = {name: spellings[_key(name)] for name in header if _key(name) in spellings}
    mapping = checked(Mapping(subject=subject, columns=columns, values=VALUES[subject]))
    mapping.bind(header)
    return mapping


def load(path: Path) -> Mapping:
    """Read a saved mapping.

    Raises:
        MappingProblem: not TOML, unknown keys or fields, two columns for one field.
    """
    try:
        return checked(Mapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise MappingProblem("MAPPING_UNREADABLE", {"reason": str(error)}) from error


def checked(mapping: Mapping) -> Mapping:
    """The mapping itself, if its fields are fields and no two columns claim one.

    Raises:
        MappingProblem: an unknown field, or two columns for one field.
    """
    fields: dict[str, str] = {}
    for name, field in mapping.columns.items():
        if field not in SPELLINGS[mapping.subject]:
            raise MappingProblem("FIELD_UNKNOWN", {"column": name, "field": field})
        if field in fields and field not in _REPEATABLE:
            raise MappingProblem("FIELD_TWICE", {"field": field, "first": fields[field], "second": name})
        fields[field] = name
    return mapping


def _require(subject: Subject, fields: frozenset[str]) -> None:
    for choice in _REQUIRED[subject]:
        if not fields & set(choice):
            names = " / ".join(SPELLINGS[subject][field][0] for field in choice)
            raise MappingProblem("COLUMN_MISSING", {"field": " / ".join(choice), "names": names})


def _key(name: str) -> str:
    return re.sub(r"[\s_]", "", unicodedata.normalize("NFKC", name)).casefold()


def _toml(mapping: Mapping) -> str:
    lines = [
        f"subject = {_quoted(mapping.subject)}",
        f"ignored = [{', '.join(map(_quoted, mapping.ignored))}]",
        "",
        "[columns]",
        *_pairs(mapping.columns),
    ]
    for field, table in mapping.values.items():
        lines += ["", f"[values.{_quoted(field)}]", *_pairs(table)]
    return "\n".join(lines) + "\n"


def _pairs(table: ReadOnly[str, str]) -> list[str]:
    return [f"{_quoted(key)} = {_quoted(value)}" for key, value in table.items()]


def _quoted(content: str) -> str:
    return json.dumps(str(content), ensure_ascii=False).replace("\x7f", "\\u007f")


SPELLINGS: ReadOnly[Subject, ReadOnly[str, tuple[str, ...]]] = {
    Subject.CUSTOMERS: {
        "external_id": (
            "客户编号",
            "编号",
            "客户号",
            "客户代码",
            "customer id",
            "customer no",
            "customer number",
            "id",
        ),
        "name": (
            "客户名称",
            "客户姓名",
            "姓名",
            "名称",
            "单位名称",
            "公司名称",
            "customer name",
            "customer",
            "company",
        ),
        "kind": ("客户类型", "客户性质", "类型", "customer type", "type"),
        "contact_name": ("联系人", "联系人姓名", "contact", "contact person"),
        "phone": (
            "手机",
            "手机号",
            "手机号码",
            "移动电话",
            "联系电话",
            "电话",
            "mobile",
            "mobile phone",
            "cell phone",
            "tel",
        ),
        "landline": (
            "座机",
            "固定电话",
            "固话",
            "座机号码",
            "办公电话",
            "telephone",
            "fixed line",
            "office phone",
        ),
        "wechat": ("微信号", "微信", "wechat id", "weixin"),
        "identity_or_credit_code": (
            "身份证号/统一社会信用代码",
            "身份证/信用代码",
            "证件号码",
            "证件号",
            "identity number/credit code",
        ),
        "identity_number": ("身份证号", "身份证", "身份证号码", "id card", "id number"),
        "credit_code": ("统一社会信用代码", "信用代码", "社会信用代码", "uscc", "unified social credit code"),
        "province": ("省", "省份", "所在省"),
        "city": ("市", "城市", "所在市"),
        "district": ("区", "区县", "区/县", "县", "county"),
        "address": ("详细地址", "地址", "联系地址", "street", "street address"),
        "grade": ("客户级别", "客户等级", "级别", "等级", "level", "customer grade"),
        "intended_model": ("意向车型", "意向产品", "model", "model of interest"),
        "source_channel": ("来源渠道", "客户来源", "来源", "渠道", "source", "lead source", "channel"),
        "consultant": ("销售顾问", "顾问", "业务员", "负责人", "owner", "sales consultant", "salesperson"),
        "first_visit_on": ("首次到店日期", "首次到店", "首次来访日期", "first visit", "first visit date"),
        "last_contact_on": (
            "最近联系日期",
            "最后联系日期",
            "最近跟进日期",
            "last contact",
            "last contact date",
        ),
        "last_contact_text": ("最近联系内容", "最后联系内容", "最近跟进内容", "last contact notes"),
        "remark": ("备注", "说明", "remarks", "note", "notes", "comment"),
    },
    Subject.INTERACTIONS: {
        "external_id": (
            "客户编号",
            "编号",
            "客户号",
            "客户代码",
            "customer id",
            "customer no",
            "customer number",
        ),
        "occurred_at": (
            "日期时间",
            "时间",
            "联系时间",
            "跟进时间",
            "日期",
            "date time",
            "datetime",
            "time",
            "date",
        ),
        "method": ("方式", "联系方式", "跟进方式", "类型", "type", "kind"),
        "consultant": ("销售顾问", "顾问", "业务员", "跟进人", "sales consultant", "salesperson", "owner"),
        "content": ("内容", "联系内容", "跟进内容", "notes", "text", "description"),
        "next_on": ("下次联系日期", "下次跟进日期", "下次联系", "next contact", "next contact date"),
    },
}
"""Fields of a subject and the headers known for each, the Chinese standard name first."""

VALUES: ReadOnly[Subject, dict[str, dict[str, str]]] = {
    Subject.CUSTOMERS: {
        "kind": {
            "个人": "PERSON",
            "自然人": "PERSON",
            "person": "PERSON",
            "individual": "PERSON",
            "单位": "ORGANISATION",
            "公司": "ORGANISATION",
            "企业": "ORGANISATION",
            "organisation": "ORGANISATION",
            "organization": "ORGANISATION",
            "company": "ORGANISATION",
        },
        "grade": {"A": "A", "B": "B", "C": "C", "VIP": "VIP"},
    },
    Subject.INTERACTIONS: {
        "method": {
            "电话": "CALL",
            "短信": "SMS",
            "微信": "WECHAT",
            "到店": "SHOWROOM_VISIT",
            "外出拜访": "VISIT",
            "试驾": "TEST_DRIVE",
            "call": "CALL",
            "phone": "CALL",
            "sms": "SMS",
            "wechat": "WECHAT",
            "showroom visit": "SHOWROOM_VISIT",
            "visit": "VISIT",
            "test drive": "TEST_DRIVE",
        },
    },
}
"""Closed lists and their spellings; a saved mapping may change them."""

_REPEATABLE = frozenset({"phone", "landline"})
_REQUIRED: ReadOnly[Subject, tuple[tuple[str, ...], ...]] = {
    Subject.CUSTOMERS: (("name",), ("phone", "landline", "wechat")),
    Subject.INTERACTIONS: (("external_id",), ("occurred_at",)),
}

WORDING: ReadOnly[str, tuple[str, str]] = {
    "COLUMN_MISSING": ("no column for {field}; expected a header such as {names}", "缺少列:{names}({field})"),
    "FIELD_TWICE": (
        "{first} and {second} are both mapped to {field}",
        "{first} 与 {second} 都映射到 {field}",
    ),
    "FIELD_UNKNOWN": ("{column} is mapped to {field}, which is no field", "{column} 映射到未知字段 {field}"),
    "MAPPING_UNREADABLE": ("the mapping file cannot be read: {reason}", "无法读取映射文件:{reason}"),
}
"""English and Chinese wording of every mapping problem."""
