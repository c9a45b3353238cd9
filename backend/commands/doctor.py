# SPDX-License-Identifier: Apache-2.0
"""Say in a line each what works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess

from backend.blender_process import ROOT, blender_python
from backend.fitting.engines import choose_engine
from backend.fitting.settings import FitSettings
from backend.kernels.cuda import availability as cuda_availability
from backend.terminal import Terminal
from interchange.errors import InputError

Finding = tuple[str, str]  # ("ok" | "no" | "--", sentence); "--" means absent and not needed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command has no options."""


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """0 unless something that the CPU path needs is missing."""
    gpus = nvidia()
    seen = any(mark == "ok" for mark, _ in gpus)
    findings = [bpy(), cpu(), numba(), zmq(), *gpus, engine(), cuda(seen), gsplat(), onnx(), blender(), disk()]
    for mark, sentence in findings:
        terminal.say(f"{mark:<4} {sentence}")
    return 1 if any(mark == "no" for mark, _ in findings) else 0


def bpy() -> Finding:
    """Blender's module, in its own environment."""
    try:
        code = "import bpy; print(bpy.app.version_string)"
        result = subprocess.run([blender_python(), "-c", code], capture_output=True, text=True, timeout=120)
    except (InputError, OSError, subprocess.TimeoutExpired) as error:
        return "no", f"bpy: {error}"
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return "no", f"bpy does not start ({reason}): run python3 install.py doctor for the system libraries"
    return "ok", f"bpy {result.stdout.strip().splitlines()[-1]} (renders captures with Cycles)"


def cpu() -> Finding:
    """Cores, and the vector width that the kernels take."""
    from backend.kernels.simd import VECTOR_WIDTH

    return "ok", f"CPU: {os.cpu_count()} cores, kernels use vectors of {VECTOR_WIDTH} floats ({platform.machine()})"


def numba() -> Finding:
    """The compiler of the CPU kernels."""
    return "ok", f"numba {importlib.metadata.version('numba')} (fits on the CPU; compiles once, then cached)"


def zmq() -> Finding:
    """The wire, with encryption."""
    import zmq as library

    if not library.has("curve"):
        return "no", "pyzmq has no CURVE encryption: install it from a wheel (python3 install.py install)"
    return "ok", f"pyzmq {library.__version__}, libzmq {library.zmq_version()} with CURVE"


def nvidia() -> list[Finding]:
    """The driver's view of the GPUs."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return [("--", "CUDA: no NVIDIA driver here; everything runs on the CPU")]
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True)
    if result.returncode:
        return [("--", "CUDA: the NVIDIA driver does not answer; everything runs on the CPU")]
    return [("ok", f"GPU: {line}") for line in result.stdout.strip().splitlines()]


def engine() -> Finding:
    """What computes a fit if nothing else is asked for."""
    choice = choose_engine(FitSettings())
    return "ok", f"engine: a fit takes {choice.name}, unless told otherwise. {choice.reason}"


def cuda(gpu_seen: bool) -> Finding:
    """Our own CUDA engine."""
    works, sentence = cuda_availability()
    if works:
        return "ok", f"our CUDA engine: {sentence}"
    installed = importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings")
    hint = "" if installed or not gpu_seen else " Run python3 install.py install, which sees the GPU now."
    return "--", f"our CUDA engine: {sentence}{hint}"


def gsplat() -> Finding:
    """The engine to compare ours with; the only one that needs torch."""
    if importlib.util.find_spec("gsplat") is None:
        return "--", "gsplat: not installed; only to compare our CUDA engine with (python3 install.py gsplat)"
    name = "gsplat " + importlib.metadata.version("gsplat")
    try:
        return "ok", f"{name}: {choose_engine(FitSettings(engine='gsplat')).reason}"
    except InputError as error:
        return "--", f"{name}: {error.message}"


def onnx() -> Finding:
    """For the user's own swap networks."""
    if importlib.util.find_spec("onnxruntime") is None:
        return "--", "ONNX: onnxruntime is not installed; only your own networks need it (python3 install.py onnx)"
    import onnxruntime

    return "ok", f"onnxruntime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"


def blender() -> Finding:
    """A Blender with a window, where the extension goes."""
    found = shutil.which("blender")
    if found is None:
        return "--", "Blender: none on PATH; `python3 install.py addon` builds a zip for Preferences > Get Extensions"
    result = subprocess.run([found, "--version"], capture_output=True, text=True)
    return "ok", f"{(result.stdout.splitlines() or ['Blender'])[0]} at {found}: python3 install.py addon installs there"


def disk() -> Finding:
    """Captures and the service's store take room."""
    free = shutil.disk_usage(ROOT).free / 1e9
    return ("ok" if free > 2 else "no"), f"disk: {free:.0f} GB free" + ("" if free > 2 else "; make room")
