"""Made-up files of an old system: no row stands for anybody."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

CUSTOMER_COLUMNS = (
    "客户编号", "客户名称", "客户类型", "联系人", "手机", "座机", "微信号", "身份证号/统一社会信用代码", "省", "市", "区",
    "详细地址", "客户级别", "意向车型", "来源渠道", "销售顾问", "首次到店日期", "最近联系日期", "最近联系内容", "备注",
)  # fmt: skip
INTERACTION_COLUMNS = ("日期时间", "客户编号", "销售顾问", "录入终端", "方式", "下次联系日期", "内容")


def person(number: int, **cells: str) -> dict[str, str]:
    """A person with everything filled that a row needs."""
    row = {
        "客户编号": f"K{number:05}",
        "客户名称": f"测试{number}",
        "客户类型": "个人",
        "手机": f"139{number:08}",
        "省": "四川省",
        "市": "泸州市",
        "客户级别": "B",
        "意向车型": "样车 1.5",
        "来源渠道": "抖音",
        "首次到店日期": "2025/3/1",
    }
    return row | cells


def firm(number: int, **cells: str) -> dict[str, str]:
    """An organisation with its contact person."""
    named = {"客户名称": f"样例{number}贸易有限公司", "客户类型": "单位", "联系人": f"联系{number}"}
    return person(number, **{**named, **cells})


def contact_with(number: int, moment: str, **cells: str) -> dict[str, str]:
    """An interaction with customer `number`."""
    row = {
        "客户编号": f"K{number:05}",
        "日期时间": moment,
        "方式": "电话",
        "销售顾问": "某顾问",
        "内容": "询价",
    }
    return row | cells


def write(
    path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]], encoding: str = "gb18030"
) -> Path:
    """The rows as CSV."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return path


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a rejects file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
