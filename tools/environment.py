"""Creates a virtual environment, also on a Debian whose Python came without `venv`.

Runs under the machine's own Python, before anything is installed: standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
PACKAGE = "python3-venv"


def main(arguments: list[str]) -> int:
    """Create the environment in the folder named by the one argument, unless a usable one is there."""
    folder = Path(arguments[0])
    if sys.version_info < OLDEST:
        return _refuse(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}."
        )
    if _usable(folder) or _create(folder):
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _install_venv()
        if _create(folder):
            return 0
    return _refuse(f"Python could not create {folder}. On Debian: apt-get install {PACKAGE}, then again.")


def _usable(folder: Path) -> bool:
    """A half-made environment (no pip) or one whose Python is gone or older is made anew."""
    python = folder / "bin" / "python"
    probe = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    return python.exists() and subprocess.run([python, "-c", probe], check=False).returncode == 0


def _create(folder: Path) -> bool:
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=False)
    return made.returncode == 0


def _install_venv() -> None:
    print(f"Installing {PACKAGE}, which this Python lacks …", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", PACKAGE]):
        subprocess.run(command, check=False, env=quiet)


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
