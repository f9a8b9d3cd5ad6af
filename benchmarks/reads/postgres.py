"""A PostgreSQL server of the benchmark's own, in a folder that may be kept between runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from crm_core.testing.postgres import _account, _programs  # the same binaries and account as the tests use

OPTIONS: Final = {
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "maintenance_work_mem": "256MB",
    "work_mem": "16MB",
    "max_wal_size": "8GB",
    "jit": "off",
    "synchronous_commit": "on",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    "max_connections": "100",
    "listen_addresses": "",
    "timezone": "UTC",
}
PATIENCE: Final = 120
USER: Final = "postgres"


@dataclass(frozen=True)
class Server:
    """A running server; clients reach it by the socket in its folder."""

    folder: Path
    process: int

    def url(self, database: str, driver: str = "postgresql") -> str:
        """The database's address."""
        host = {"host": str(self.folder)}
        return URL.create(driver, USER, database=database, query=host).render_as_string(hide_password=False)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server whose cluster lies in this folder; made at the first time, stopped afterwards."""
    programs, account = _programs(os.environ)[1], _account()
    folder.mkdir(parents=True, exist_ok=True)
    if account is not None:
        shutil.chown(folder, account.pw_uid, account.pw_gid)
    data = folder / "data"

    def run(program: str, *arguments: str | Path) -> None:
        with (folder / "log").open("ab") as log:
            subprocess.run(
                [programs / program, *arguments],
                check=True,
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )

    if not (data / "PG_VERSION").exists():
        run("initdb", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8", "-D", data)
    options = {**OPTIONS, "unix_socket_directories": str(folder)}
    given = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    run(
        "pg_ctl", "-D", data, "-l", folder / "server.log", "-o", given, "-t", str(PATIENCE), "--wait", "start"
    )
    process = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    try:
        yield Server(folder, process)
    finally:
        os.kill(process, signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while (data / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
