# SPDX-License-Identifier: Apache-2.0
"""How long a swap of many views takes on two cores, and how much memory: `digidouble swap` on 12, 24 and 48 views.

Twelve views of 512 x 512 are rendered (or taken from --capture) and copied to make more, so that reading, hashing and
writing count as ever; rendering does not. Each run is a process of its own, from the start of Python to its end, kept
to two cores. Beside the wall time stands processor time / 2, which is what two free cores would need at best and what
other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from backend.blender_process import run_blender
from backend.commands.avatar import build_arguments
from backend.commands.demo import MAKEHUMAN, PROCEDURAL
from backend.whole_job import ADDON
from interchange.capture import Capture, View
from interchange.errors import InputError

from .bars import ROOT, Bar

COUNTS = (12, 24, 48)
_RENDERED, _SIZE, _SAMPLES = 12, 512, 4
_CORES = 2
_SECONDS, _GIBIBYTES = 12.0, 2.5
_GROWTH = 1.25  # by which a view may cost more among many than among few


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is swapped."""
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep renders here (default: a cache)")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use MakeHuman heads")
    parser.add_argument("--capture", type=Path, metavar="DIR", help="a capture of yours; needs --source")
    parser.add_argument("--source", type=Path, metavar="DIR", help="a source folder of yours")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="runs of each number; the best counts")


@attrs.frozen
class Cost:
    """Of a process: wall and processor seconds, largest resident memory in GiB."""

    wall: float
    cpu: float
    memory: float


def run(options: argparse.Namespace) -> list[Bar]:
    """Render if need be, copy, swap each number of views."""
    if not hasattr(os, "wait4"):
        raise InputError("A process's cost cannot be measured on this system.", "Run it on Linux or macOS.")
    kind = "makehuman" if options.makehuman else "procedural"
    root = options.folder or Path(tempfile.gettempdir()) / "digidouble-benchmarks" / f"time-{kind}"
    capture, source = options.capture, options.source
    if capture is None or source is None:
        capture, source = _render(root, options.makehuman)
    costs = {}
    measure(_copied(capture, root / "views_2", 2), source, root / "out")  # compiles kernels
    for count in COUNTS:
        copy = _copied(capture, root / f"views_{count}", count)
        runs = [measure(copy, source, root / "out") for _ in range(max(options.rounds, 1))]
        costs[count] = Cost(*(min(getattr(r, field.name) for r in runs) for field in attrs.fields(Cost)))
        print(f"  {count} views: {costs[count].wall:.2f} s, {costs[count].cpu:.2f} s of processor, "
              f"{costs[count].memory:.2f} GiB", flush=True)  # fmt: skip
    return bars_of(costs)


def bars_of(costs: dict[int, Cost]) -> list[Bar]:
    """Bars for the largest number, and how cost grows from each number to the next."""
    few, some, many = sorted(costs)
    bars = [Bar(f"{n} views: wall", costs[n].wall, "s", at_most=_SECONDS if n == many else None) for n in costs]
    bars += [Bar(f"{n} views: processor / {_CORES}", costs[n].cpu / _CORES, "s") for n in costs]
    bars += [
        Bar(f"{n} views: memory", costs[n].memory, "GiB", at_most=_GIBIBYTES if n == many else None) for n in costs
    ]
    early = (costs[some].cpu - costs[few].cpu) / (some - few)
    late = (costs[many].cpu - costs[some].cpu) / (many - some)
    return [
        *bars,
        Bar(f"processor a view, {few} to {some}", 1e3 * early, "ms"),
        Bar(f"processor a view, {some} to {many}", 1e3 * late, "ms"),
        Bar("growth: a view among many / among few", late / early if early > 0 else None, "x", at_most=_GROWTH),
    ]


def measure(capture: Path, source: Path, out: Path) -> Cost:
    """One `digidouble swap` as a process of its own, on two cores where the system can keep it there."""
    shutil.rmtree(out, ignore_errors=True)
    command = ["swap", "--capture", capture, "--source", source, "--out", out, "--engine", "cpu"]
    return cost_of([sys.executable, "-m", "backend.cli", *map(str, command)])


def cost_of(command: Sequence[str]) -> Cost:
    """A command's cost. InputError if it fails."""
    done = subprocess.run([sys.executable, "-c", _LAUNCHER, str(_CORES), *command], cwd=ROOT, capture_output=True,
                          text=True, errors="replace", env=dict(os.environ, PYTHONPATH=str(ROOT)))  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise InputError(f"The swap stopped with code {done.returncode}: {said[-1] if said else 'no reason given'}")
    wall, cpu, largest = json.loads(done.stdout)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return Cost(wall, cpu, largest * unit / 2**30)


_LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(child.pid, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
_, status, usage = os.wait4(child.pid, 0)
print(json.dumps([time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
sys.exit(os.waitstatus_to_exitcode(status))
"""
# A small process between: Linux counts the memory of whoever starts a process as that process's own.


def _render(root: Path, makehuman: Path | None) -> tuple[Path, Path]:
    target, source = MAKEHUMAN if makehuman else PROCEDURAL
    log = root / "blender.log"
    for identity, what in ((source, "source"), (target, "capture")):
        blend, out = root / f"{what}.blend", root / what
        if (out / ("consent.json" if what == "source" else "capture.json")).exists():
            continue
        print(f"  rendering {what}", flush=True)
        run_blender("avatars", build_arguments(identity, blend, makehuman, 0, identity), log=log)
        if what == "source":
            run_blender(ADDON, ["portrait", "--blend", blend, "--out", out, "--samples", "8"], log=log)
        else:
            views = ["--train", str(_RENDERED), "--held-out", "0", "--size", str(_SIZE), "--samples", str(_SAMPLES)]
            run_blender(ADDON, ["capture", "--blend", blend, "--out", out, *views], log=log)
    return root / "capture", root / "source"


def _copied(folder: Path, out: Path, count: int) -> Path:
    """A capture of `count` views: copies of those in `folder`, in turn, each a file of its own."""
    capture = Capture.load(folder)
    shutil.rmtree(out, ignore_errors=True)
    for part in ("views", "previews"):
        (out / part).mkdir(parents=True)
    for name in [pose.mesh for pose in capture.poses] + [o.texture for o in capture.objects if o.texture]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, out / name)
    # Evenly over all views, so that few have as many that show the face among them as many have.
    order = np.linspace(0, len(capture.views), min(count, len(capture.views)), endpoint=False).astype(int)
    views = []
    for index in range(count):
        old = capture.views[order[index % len(order)]]
        name = f"view_{index:03d}"
        new = View(name, "train", old.pose, old.camera, f"views/{name}.exr", f"previews/{name}.png")
        shutil.copyfile(folder / old.exr, out / new.exr)
        shutil.copyfile(folder / old.preview, out / new.preview)
        views.append(new)
    copy = attrs.evolve(capture, folder=out, views=views)
    copy.save_manifest()
    return out
