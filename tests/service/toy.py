# SPDX-License-Identifier: Apache-2.0
"""Jobs for the service's tests. Steps are written down in the work folder, to count what was done twice."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from interchange.errors import Cancelled, InputError, Progress
from interchange.png import encode_png


def run(
    kind: str,
    parameters: dict[str, Any],
    inputs: Path,
    work: Path,
    outputs: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
    preview: Callable[[str, bytes], None] | None = None,
) -> dict[str, Any]:
    """Count to `steps`, from where the last attempt stopped; then copy the inputs, reversed, to the outputs.

    With `pictures` each step shows one, all of the step's own grey.
    """
    _misbehave(kind, parameters, work)
    ledger = work / "steps.txt"
    done = len(ledger.read_text().split()) if ledger.exists() else 0
    steps = parameters.get("steps", 3)
    for step in range(done, steps):
        if cancelled():
            raise Cancelled
        time.sleep(parameters.get("pause", 0.01))
        with open(ledger, "a") as file:
            file.write(f"{step}\n")
        if parameters.get("die_at") == step and not (work / "died").exists():
            (work / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if preview is not None and parameters.get("pictures"):
            preview("count", picture(step, parameters["pictures"]))
        progress("count", (step + 1) / steps, parameters.get("say", f"step {step + 1} of {steps}"))
    for source in sorted(path for path in inputs.rglob("*") if path.is_file()):
        target = outputs / source.relative_to(inputs)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes()[::-1])
    (work / "gpu.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
    (work / "models.txt").write_text(os.environ.get("DIGIDOUBLE_MODELS", "unset"))
    return {"steps": ledger.read_text().split() if ledger.exists() else [], "nan": float("nan")}


def picture(grey: int, edge: int) -> bytes:
    """A preview; with `edge` above 512 one that may not be sent."""
    return encode_png(np.full((edge, edge, 3), grey % 256, np.uint8))


def _misbehave(kind: str, parameters: dict[str, Any], work: Path) -> None:
    if kind == "refuse":
        raise InputError("The source has no consent record.", "Put consent.json beside it.", "INPUT_CONSENT")
    if kind == "large":
        raise InputError("The fit needs 9000 MiB on the GPU, where 500 MiB are free.", "Be modest.", "RES_GPU_MEMORY")
    if kind == "fault":
        raise ZeroDivisionError("by zero")
    if kind == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if kind == "poison":
        with open(work / "attempts.txt", "a") as file:
            file.write("x")
        os._exit(7)
    if kind == "deaf":  # hears no cancellation, and has a child that would outlive it
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (work / "deaf").touch()
        time.sleep(60)
    if kind == "chatty":
        print("this is no JSON line")
        os.write(1, b"neither is this\n")
