"""Starts and stops the contestants: each one process, bound to the processor of servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.reads.loading import Deployment, crm
from crm_core.settings import Settings

CONTESTANTS: Final = ("product", "interpreter", "plain", "floor")
SERVERS_CPU: Final = 0
DATABASE_CPU: Final = 1
PATIENCE: Final = 60.0
ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Contestant:
    """A running server."""

    name: str
    port: int
    process: int
    deployment: Deployment

    def memory(self) -> float:
        """Resident memory, MiB."""
        status = Path(f"/proc/{self.process}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def has_planner() -> bool:
    """Whether the product can be told to leave compiled reads off; until then it is its own interpreter."""
    return "compiled_reads" in Settings.model_fields


def bind(process: int, cpu: int) -> None:
    """Bind a process to one processor, where the machine has it."""
    if cpu in os.sched_getaffinity(0) and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(process, {cpu})


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def command_of(name: str, deployment: Deployment, port: int) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a contestant."""
    if name in ("product", "interpreter"):
        off = {"CRM_COMPILED_READS": "false"} if name == "interpreter" and has_planner() else {}
        return crm("serve", "--port", str(port)), deployment.environment(**off)
    module = (
        f"benchmarks.reads.{name}"
        if deployment.dialect == "postgresql"
        else f"benchmarks.reads.{name}_sqlite"
    )
    given = ["--folder", str(deployment.folder), "--address", deployment.address, "--port", str(port)]
    return [sys.executable, "-m", module, *given], deployment.environment()


@contextmanager
def running(name: str, deployment: Deployment) -> Iterator[Contestant]:
    """A contestant that answers; it is stopped afterwards."""
    port = _free_port()
    command, environment = command_of(name, deployment, port)
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=lambda: bind(0, SERVERS_CPU),  # noqa: PLW1509
    )
    try:
        _wait(process, port)
        yield Contestant(name, port, process.pid, deployment)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def all_running(names: Sequence[str], deployment: Deployment) -> Iterator[list[Contestant]]:
    """Several contestants at once; those not asked stand still."""
    with ExitStack() as stack:
        yield [stack.enter_context(running(name, deployment)) for name in names]


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"a server ended with {process.returncode}: {process.args!r}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"a server does not answer: {process.args!r}")
