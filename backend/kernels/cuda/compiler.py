# SPDX-License-Identifier: Apache-2.0
"""Compiles the CUDA kernels on the user's machine with NVRTC, which comes as a wheel: no nvcc, no host compiler.

Machine code is kept on disk, in a file whose name is a digest of everything that it depends on: sources, constants,
options, GPU architecture, NVRTC's and the driver's version. So an update of any of them compiles anew, and nothing
stale is ever loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from interchange.errors import Progress
from interchange.whole_files import whole_file

from . import sources
from .sources import Variant

CACHE_VARIABLE = "DIGIDOUBLE_CACHE"
OLDEST_ARCHITECTURE = 75


class CompileError(RuntimeError):
    """NVRTC refused the sources; the message is its log."""


def cache_folder() -> Path:
    """Where machine code is kept: $DIGIDOUBLE_CACHE, else the platform's place for caches."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen) / "cuda"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "digidouble" / "cuda"


def compiled(
    variant: Variant, architecture: int, driver_version: int, folder: Path | None = None,
    progress: Progress | None = None,
) -> bytes:  # fmt: skip
    """Machine code (cubin) of all kernels for such splats; from the cache, or compiled and put there.

    architecture: compute capability, 90 for 9.0. Raises CompileError, ImportError without cuda-bindings or NVRTC.
    """
    path = (folder or cache_folder()) / f"{_digest(variant, architecture, driver_version)}.cubin"
    with contextlib.suppress(OSError):
        if image := _whole(path.read_bytes()):
            return image
    if progress:
        progress("compile", 0.0, f"compiling the CUDA kernels for sm_{architecture} (once)")
    image = compile_program(variant, architecture)
    with contextlib.suppress(OSError):  # a full or read-only disk costs the next start some seconds, nothing more
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(hashlib.sha256(image).digest() + image)
    if progress:
        progress("compile", 1.0, "compiled")
    return image


def compile_program(variant: Variant, architecture: int) -> bytes:
    """Compile without a cache; needs no GPU."""
    from cuda.bindings import nvrtc

    wanted = variant.program
    files = {**sources.include_files(wanted), sources.CONSTANTS: sources.constants(variant)}
    main = files.pop(wanted.main)
    names = [name.encode() for name in files]
    program = _checked(nvrtc.nvrtcCreateProgram(
        main.encode(), wanted.main.encode(), len(files), [text.encode() for text in files.values()], names
    ))  # fmt: skip
    try:
        options = [option.encode() for option in (f"--gpu-architecture=sm_{architecture}", *wanted.options)]
        (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if int(code):
            log = room_for(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
            _checked(nvrtc.nvrtcGetProgramLog(program, log))
            raise CompileError(log.rstrip(b"\0 ").decode(errors="replace"))
        size = _checked(nvrtc.nvrtcGetCUBINSize(program))
        image = room_for(size)
        _checked(nvrtc.nvrtcGetCUBIN(program, image))
        return image[:size]
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def room_for(size: int) -> bytes:
    """A bytes object that NVRTC may write `size` bytes into, and a little more.

    cuda-bindings wants bytes and writes into them. Python shares all bytes objects of length 0 and 1 (an empty log is
    one byte long): written into, every such constant of the process would change.
    """
    return bytes(size + 16)


def compiler_version() -> tuple[int, int]:
    """NVRTC's version. Raises ImportError or RuntimeError where there is none."""
    from cuda.bindings import nvrtc

    major, minor = _checked(nvrtc.nvrtcVersion())
    return int(major), int(minor)


def _checked(result: tuple[Any, ...]) -> Any:
    code, *values = result
    if int(code):
        raise CompileError(f"NVRTC failed: {code.name}")
    return values[0] if len(values) == 1 else values


def _digest(variant: Variant, architecture: int, driver_version: int) -> str:
    digest = hashlib.sha256(sources.constants(variant).encode())
    for name, text in sources.include_files(variant.program).items():
        digest.update(f"\0{name}\0{text}".encode())
    digest.update(repr((variant.program, architecture, driver_version, compiler_version())).encode())
    return digest.hexdigest()[:32]


def _whole(content: bytes) -> bytes | None:
    """The machine code of a cache file; None if the file is damaged."""
    image = content[32:]
    return image if image and hashlib.sha256(image).digest() == content[:32] else None
