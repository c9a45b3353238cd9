# SPDX-License-Identifier: Apache-2.0
"""Which GPU a job gets: each worker sees one, by CUDA_VISIBLE_DEVICES. The server itself never starts CUDA, which would
hold memory on every GPU for as long as it runs; it asks the driver's own tool.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

LOG = logging.getLogger("digidouble.service")
VISIBLE = "CUDA_VISIBLE_DEVICES"
TIMEOUT_S = 20.0  # a driver that nobody has woken yet takes some seconds
_LINE = re.compile(r"(\s*)(?:GPU|MIG)\b.*\(UUID: ((?:GPU|MIG)-[^)\s]+)\)")


def find_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them; empty where there is none.

    What the environment's own CUDA_VISIBLE_DEVICES allows, in its order and words; all of them if it says nothing.
    """
    tool = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if tool is None:
        return []
    try:
        listing = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, timeout=TIMEOUT_S, env=dict(environment), errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        LOG.warning("nvidia-smi does not answer (%s): jobs run as on a machine without a GPU", error)
        return []
    if listing.returncode:
        LOG.warning("nvidia-smi finds no GPU: %s", listing.stdout.strip()[:200] or listing.stderr.strip()[:200])
        return []
    boards, devices = _listed(listing.stdout)
    allowed = environment.get(VISIBLE)
    return devices if allowed is None else _allowed(allowed, boards, devices)


def _listed(text: str) -> tuple[list[str], list[str]]:
    """UUIDs of all boards, and of what programs compute on: a board, or the instances that it is split into (MIG)."""
    boards: list[str] = []
    instances: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found and not found[1]:
            boards.append(found[2])
            instances[found[2]] = []
        elif found and boards:
            instances[boards[-1]].append(found[2])
    return boards, [device for board in boards for device in instances[board] or [board]]


def _allowed(text: str, boards: Sequence[str], devices: Sequence[str]) -> list[str]:
    """CUDA's reading: numbers or beginnings of UUIDs; at the first that is none of them (-1, say), the list ends."""
    chosen: list[str] = []
    for word in text.split(","):
        name = word.strip()
        is_number = name.isascii() and name.isdigit() and int(name) < len(boards)
        is_uuid = name.startswith(("GPU-", "MIG-")) and any(d.startswith(name) for d in (*boards, *devices))
        if not (is_number or is_uuid) or name in chosen:
            break
        chosen.append(name)
    return chosen


class Lanes:
    """Hands the GPUs out: to each job the one with the fewest, the first of those. Without GPUs it hands out None."""

    def __init__(self, gpus: Sequence[str]) -> None:
        self._jobs = dict.fromkeys(gpus, 0)

    @property
    def count(self) -> int:
        """How many jobs can run without sharing: one a GPU, and one on a machine without."""
        return max(1, len(self._jobs))

    def take(self) -> str | None:
        """A GPU for one job."""
        if not self._jobs:
            return None
        gpu = min(self._jobs, key=lambda name: self._jobs[name])  # the first of equals: dicts keep their order
        self._jobs[gpu] += 1
        return gpu

    def give_back(self, gpu: str | None) -> None:
        """The job has ended."""
        if gpu is not None:
            self._jobs[gpu] -= 1
