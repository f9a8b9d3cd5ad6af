"""Imports made-up customers from CSV or XLSX into a fresh SQLite deployment; prints rows per second and peak memory.

`python benchmarks/import_rows.py csv` (default 100,000 rows; `--rows 10000` for fewer). Run once per format, each in
its own process, so that the peak belongs to one import alone.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from openpyxl import Workbook

from crm_core import migrate
from crm_core.actors import system
from crm_core.db.session import open_database
from crm_core.imports.mapping import Subject
from crm_core.imports.models import OnError
from crm_core.imports.request import Request, Summary
from crm_core.imports.runner import run_import
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.settings import LineSettings, Settings
from crm_core.work import Services

HEADER = (
    "客户编号", "客户名称", "客户类型", "联系人", "手机", "微信号", "省", "市", "区", "详细地址", "客户级别", "意向车型",
    "来源渠道", "销售顾问", "首次到店日期", "最近联系日期", "最近联系内容", "备注",
)  # fmt: skip
FAMILY, GIVEN = "赵钱孙李周吴郑王冯陈", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超"
TODAY = date(2025, 10, 31)


def made_up(count: int) -> Iterator[list[str]]:
    """So many rows; every fourth is an organisation, every fiftieth wrong."""
    chance = random.Random(7)  # noqa: S311  # made-up data
    for number in range(1, count + 1):
        person = chance.choice(FAMILY) + "".join(chance.choices(GIVEN, k=2))
        firm = number % 4 == 0
        visit = TODAY - timedelta(days=1 + chance.randrange(900))
        yield [
            f"K{number:07}",
            f"样例{number}号贸易有限公司" if firm else person,
            "单位" if firm else "个人",
            person if firm else "",
            "无" if number % 50 == 0 else f"139{number:08}",
            "" if number % 50 == 0 else f"wx_{number}",
            "四川省",
            chance.choice(("泸州市", "成都市", "宜宾市")),
            "龙马潭区",
            f"样例路{chance.randrange(999)}号",
            chance.choice("ABC"),
            "样车 1.5T",
            chance.choice(("抖音", "车展", "朋友介绍")),
            chance.choice(FAMILY) + chance.choice(GIVEN),
            visit.isoformat(),
            (visit + timedelta(days=1)).strftime("%Y/%m/%d"),
            "提醒保养到期，客户表示月底来店",
            "喜欢深色，要求现车",
        ]


def write(folder: Path, kind: str, count: int) -> Path:
    """The file to import."""
    path = folder / f"customers.{kind}"
    if kind == "csv":
        with path.open("w", encoding="gb18030", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(made_up(count))
        return path
    book = Workbook(write_only=True)
    sheet = book.create_sheet("客户资料")
    sheet.append(HEADER)
    for row in made_up(count):
        sheet.append(row)
    book.save(path)
    return path


def deployment(folder: Path) -> Settings:
    """Settings of a deployment of one line in this folder."""
    return Settings(
        database_url=f"sqlite:///{folder / 'crm.db'}",
        lines={"east": LineSettings()},
        keys=Keyring.generate_text(),  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=Keyring.generate_index_text(),  # type: ignore[arg-type]
        store=folder / "store",
    )


async def imported(settings: Settings, file: Path) -> Summary:
    """Import the file into a fresh database."""
    registry = load(settings, ())
    await migrate.upgrade(settings, registry)
    database = open_database(settings, inline=True)
    keyring = Keyring.parse(settings.keys.get_secret_value(), settings.index_key.get_secret_value())
    services = Services(settings, registry, database, keyring)
    request = Request(
        Subject.CUSTOMERS,
        file,
        "east",
        TODAY,
        source="bench",
        on_error=OnError.REJECT_ROWS,
        rejects=file.with_suffix(".rejects.csv"),
    )
    try:
        return await run_import(services, system(("east",)), request)
    finally:
        await database.dispose()


def main() -> None:
    """Make the file, import it, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("csv", "xlsx"))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--file", type=Path, help="Import this file instead of a new one.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = arguments.file or _in_another_process(folder, arguments.kind, arguments.rows)
        started, cpu = time.perf_counter(), time.process_time()
        summary = asyncio.run(imported(deployment(folder), file))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    tally, peak = summary.tally, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.kind}: read {tally.read}, created {tally.created}, rejected {tally.rejected}")
    print(f"{tally.read / seconds:.0f} rows/s ({tally.read / cpu:.0f} per CPU second), peak {peak:.0f} MiB")


def _in_another_process(folder: Path, kind: str, count: int) -> Path:
    """Make the file where its memory is not counted as the import's."""
    import multiprocessing  # noqa: PLC0415

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(write, (folder, kind, count))


if __name__ == "__main__":
    main()
