"""A deployment of its own for the example: one line, a database in a folder, a server in another process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from crm_core.keyring import Keyring

CRM: Final = (sys.executable, "-c", "from crm_core.cli import main; main()")
LINE: Final = "telecom"
PATIENCE: Final = 90


@contextmanager
def scratch(folder: Path, database: str | None = None) -> Iterator[tuple[str, str]]:
    """Address and administrator's token of an instance that is served as long as this lasts.

    It keeps its data in an empty `database` (its URL), or in a file of its own.
    """
    config = _config(folder, database or f"sqlite:///{folder / 'crm.db'}")
    said = _crm(config, "db upgrade", "users create boss --role administrator", "token create --user boss")
    found = re.search(r"TOKEN (\S+)", said)
    assert found is not None, "the token is printed"
    port = _free_port()
    with (folder / "serve.log").open("w") as log:
        words = [*CRM, "--config", str(config), "serve", "--port", str(port)]
        process = subprocess.Popen(words, stdout=log, stderr=log, env=_environment())
        try:
            _until_ready(port, process)
            yield f"http://127.0.0.1:{port}/graphql", found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _config(folder: Path, database: str) -> Path:
    config = folder / "crm.toml"
    config.write_text(
        f'database_url = "{database}"\n'
        f'store = "{folder / "store"}"\n'
        'log_level = "warning"\n'
        f'keys = "{Keyring.generate_text()}"\n'
        f'index_key = "{Keyring.generate_index_text()}"\n'
        f'[lines.{LINE}]\nname = "集团客户 Key accounts"\nplugins = ["telecom_elite"]\n'
    )
    return config


def _crm(config: Path, *commands: str) -> str:
    """What `crm` says to these commands, one after the other in one process: starting it is what takes long."""
    words = [["--config", str(config), *one.split()] for one in commands]
    text = f"import sys; from crm_core.cli import run; sys.exit(any(run(one) for one in {words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, env=_environment()
    )
    if done.returncode:
        raise RuntimeError(f"crm {', '.join(commands)}: {done.stderr.strip()}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, without settings of another deployment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    return {**kept, "PYTHONUTF8": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the server did not become ready; see serve.log")
