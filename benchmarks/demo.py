# SPDX-License-Identifier: Apache-2.0
"""The whole job on the sample avatars, as `install.py demo` runs it: wall time, memory, quality.

Run it on an idle machine. The kernels' compilation counts unless an earlier run has cached them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from backend.evaluation.results import Evaluation
from interchange.connection import CONNECTION_FILE, Connection
from interchange.errors import InputError

from .bars import ROOT, Bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark; the rest is the demo's own."""
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="keep the demo's folder here (default: a temporary one)"
    )
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use MakeHuman heads")
    parser.add_argument("--target", metavar="NAME", help="identity of the target")
    parser.add_argument("--source", metavar="NAME", help="identity of the source")


def run(options: argparse.Namespace) -> list[Bar]:
    """Run the demo in a process of its own and hold its figures to the bars."""
    if options.out is not None and options.out.exists():
        raise InputError(f"{options.out} exists.", "A benchmark starts from nothing; name a new folder.")
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary) / "demo"
        command = [sys.executable, "-m", "backend.cli", "demo", "--out", str(out)]
        for name in ("makehuman", "target", "source"):
            value = getattr(options, name)
            command += [f"--{name}", str(value)] if value else []
        start = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT) as child:
            peak = watch_memory(child, out / "service" / CONNECTION_FILE)
        seconds = time.monotonic() - start
        if child.returncode:
            raise InputError(f"The demo ended with code {child.returncode}.", "Run it by hand to see why.")
        return bars_of(out, seconds, peak)


def bars_of(out: Path, seconds: float, peak_bytes: float) -> list[Bar]:
    """The bars of the demo's figures."""
    evaluation = Evaluation.load(out / "double")
    metrics = evaluation.metrics
    held_out, agreement = metrics.held_out, metrics.consistency
    rmse, floor = agreement.reprojection_rmse, agreement.floor
    ratio = rmse / floor if rmse is not None and floor else None
    bars = [
        Bar("wall time after installation", seconds, "s", at_most=300),
        Bar("peak memory of all processes", peak_bytes / 2**30, "GiB", at_most=6),
        Bar("training views", metrics.views.train, "", at_least=40),
        Bar("held-out views", metrics.views.held_out, "", at_least=8),
        Bar("edge of a view", min(metrics.size), "px", at_least=320),
        Bar("held_out.psnr", held_out.psnr, "dB", at_least=36),
        Bar("held_out.ssim", held_out.ssim, "", at_least=0.97),
        Bar("held_out.psnr_face", held_out.psnr_face, "dB", at_least=30),
        Bar("held_out.sharpness", held_out.sharpness),
        Bar("truth.psnr_face", metrics.truth.psnr_face, "dB", at_least=24),
        Bar("truth.psnr_face above the untouched avatar", evaluation.gain_over_untouched, "dB", at_least=4),
        Bar("truth.ssim_face", metrics.truth.ssim_face),
        Bar("reprojection RMSE / floor", ratio, "x", at_most=2),
        Bar("splats", metrics.splats),
    ]
    return bars + [Bar(f"timing: {k}", v, "s") for k, v in metrics.timing_s.items()]


def watch_memory(child: subprocess.Popen[bytes], connection: Path) -> float:
    """Wait for the child; the largest sum of resident bytes over it, the service that it starts (known by its
    connection file, as it is nobody's child) and their descendants, sampled twice a second."""
    peak, done = 0.0, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(0.5):
            peak = max(peak, resident_bytes(child.pid, *service_pid(connection)))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    child.wait()
    done.set()
    thread.join()
    return peak


def service_pid(connection: Path) -> list[int]:
    """The service's process id, while it runs."""
    try:
        return [Connection.load(connection).pid]
    except InputError:
        return []


def resident_bytes(*roots: int) -> float:
    """Resident memory of processes and all their descendants (Linux: /proc)."""
    parents, sizes = {}, {}
    page = os.sysconf("SC_PAGE_SIZE")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(entry.name)] = int(fields[1])
            sizes[int(entry.name)] = int(fields[21]) * page
        except (OSError, IndexError, ValueError):
            continue  # the process ended while we looked
    family, grown = set(roots), True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return float(sum(sizes.get(pid, 0) for pid in family))
