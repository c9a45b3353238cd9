# SPDX-License-Identifier: Apache-2.0
"""What the service computes on, and which engine a fit takes: `python -m backend.service.machine` prints it as JSON.

In a process of its own, since to find out means to start CUDA and to load the kernels, and the server does neither.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs

from interchange.server_messages import Gpu, Machine

from .gpus import TIMEOUT_S, VISIBLE, find_gpus

LOG = logging.getLogger("digidouble.service")
REPOSITORY = Path(__file__).resolve().parents[2]
AGAIN_S = 60.0  # after a failure
_QUERY = ["--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]


@attrs.frozen
class Account:
    """What the process prints."""

    machine: Machine
    engine: str
    engine_reason: str


class MachineProbe:
    """Asks for the account when it is first wanted, and knows it a few seconds later. Belongs to one thread."""

    def __init__(self, clock: Callable[[], float], command: Sequence[str] = ()) -> None:
        self._clock = clock
        self._command = command or (sys.executable, "-m", "backend.service.machine")
        self._process: subprocess.Popen[str] | None = None
        self._account: Account | None = None
        self._next_at = float("-inf")

    def account(self) -> Account | None:
        """The account, or None while it is not known."""
        if self._process is not None and self._process.poll() is not None:
            self._take(*self._process.communicate())
        if self._account is None and self._process is None and self._clock() >= self._next_at:
            self._next_at = self._clock() + AGAIN_S
            self._process = subprocess.Popen(
                self._command, cwd=REPOSITORY, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        return self._account

    def _take(self, output: str, errors: str) -> None:
        self._process = None
        try:
            self._account = cattrs.structure(json.loads(output.strip().rpartition("\n")[2]), Account)
        except (ValueError, KeyError, TypeError, cattrs.BaseValidationError):
            LOG.error("the machine could not be looked at: %s", errors.strip()[-500:] or output[:500])

    def close(self) -> None:
        """Wait for nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def version() -> str:
    """Of this program."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def look() -> Account:
    """Look at this machine. Loads the kernels; may take seconds."""
    from backend.fitting.engines import choose_engine
    from backend.fitting.settings import FitSettings

    choice = choose_engine(FitSettings())
    return Account(Machine(cpu_name(), threads(), gpus(os.environ)), choice.name, choice.reason)


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor as its maker calls it, or at least its kind."""
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return asked.stdout.strip() or platform.machine()
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(filter(None, names)), platform.machine())


def threads() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """The graphics cards that jobs may use (those split into instances in whole); empty without an NVIDIA driver."""
    allowed = find_gpus(environment)
    tool = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if tool is None or not allowed:
        return []
    try:
        listing = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=TIMEOUT_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [[cell.strip() for cell in row] for row in csv.reader(listing.stdout.splitlines()) if len(row) == 4]
    chosen = [row for row in rows if VISIBLE not in environment or _is_allowed(row, allowed)]
    return [Gpu(name, int(memory) << 20) for _, _, name, memory in chosen or rows if memory.isdigit()]


def _is_allowed(row: Sequence[str], allowed: Sequence[str]) -> bool:
    return any(name == row[0] or row[1].startswith(name) for name in allowed)


def own_memory() -> int | None:
    """Bytes of memory that this process takes, where the system tells it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def main() -> int:
    """Entry of the process."""
    account: dict[str, Any] = attrs.asdict(look())
    print(json.dumps(account))
    return 0


if __name__ == "__main__":
    sys.exit(main())
