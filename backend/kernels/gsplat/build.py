# SPDX-License-Identifier: Apache-2.0
"""Compiles gsplat's 3DGS kernels, once a machine, and loads them.

gsplat's wheel holds sources only and would compile all of them, silently, at the first call. Here the part that we use
is compiled by nvcc, a line a file, into `cache`/<key>; the key names everything that the result depends on: gsplat's,
torch's and CUDA's release, the GPU's architecture and our changes (patches.py). A package that brings a compiled module
(gsplat/csrc.*.so) is taken as it is. check.py decides whether either may be used.

Linux only: the GPU engine for every machine is the project's own, this one is its cross-check.
torch and gsplat are imported inside the functions only.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from interchange.errors import InputError, Progress

from . import patches
from .patches import SOURCES, VERSION

CACHE = Path(__file__).resolve().parents[3] / ".digidouble" / "gsplat"
MODULE = "csrc"
_FLAGS = ("-std=c++20", "-O3", "-use_fast_math", "--expt-relaxed-constexpr", "-diag-suppress", "20012,186")
"""As gsplat builds itself. 20012 and 186 are remarks about its copy of glm."""
_LIBRARIES = ("c10", "c10_cuda", "torch_cpu", "torch_python")
_OTHER_WAY = "Choose the engine 'cuda' or 'cpu' instead."


@attrs.frozen
class Toolchain:
    """What compiles, and for what."""

    nvcc: Path
    cuda: tuple[int, int]  # release of nvcc
    arch: str  # of the GPU: "sm_90"
    torch: str  # version
    suffix: str  # of extension modules: ".cpython-311-x86_64-linux-gnu.so"
    includes: tuple[Path, ...]  # torch's and Python's
    libraries: Path  # folder of torch's libraries
    cxx11_abi: bool = True

    @property
    def key(self) -> str:
        """Name of the folder in the cache."""
        recipe = [Path(module.__file__ or "").read_bytes() for module in (patches, sys.modules[__name__])]
        digest = hashlib.sha256(b"".join(recipe)).hexdigest()[:8]
        return f"{VERSION}-torch{self.torch}-cuda{self.cuda[0]}.{self.cuda[1]}-{self.arch}-{digest}"


@attrs.frozen
class Kernels:
    """gsplat, ready for use. `folder` keeps what is known about `extension`, the compiled module."""

    gsplat: ModuleType
    extension: Path
    folder: Path


def load(cache: Path = CACHE, progress: Progress | None = None) -> Kernels:
    """gsplat with its kernels, compiled if they are not yet. InputError says what is missing when that cannot be."""
    extension, toolchain = find_extension(cache)
    if toolchain is None:
        return Kernels(_import(extension), extension, cache / f"{VERSION}-brought-along")
    if not extension.is_file():
        compile_kernels(toolchain, require_package(), extension.parent, progress)
    return Kernels(_import(extension), extension, extension.parent)


def find_extension(cache: Path = CACHE) -> tuple[Path, Toolchain | None]:
    """Where the compiled module is, or will be once the toolchain has compiled it; None: it came with the package.

    InputError says what is missing.
    """
    torch = require_torch()
    require_gpu(torch)
    package = require_package()
    extension = _brought_along(package)
    if extension is not None:
        return extension, None
    toolchain = find_toolchain(torch)
    return cache / toolchain.key / (MODULE + toolchain.suffix), toolchain


def require_torch() -> Any:
    """torch, built for CUDA."""
    try:
        import torch
    except ImportError as error:
        raise InputError("gsplat needs PyTorch, which is not installed.",
                         f"Install requirements/gsplat.txt. {_OTHER_WAY}") from error  # fmt: skip
    if torch.version.cuda is None:
        raise InputError(f"The installed PyTorch ({torch.__version__}) is built without CUDA.",
                         f"Install requirements/gsplat.txt. {_OTHER_WAY}")  # fmt: skip
    return torch


def require_gpu(torch: Any) -> None:
    """A GPU that the driver shows and gsplat's kernels know."""
    if not torch.cuda.is_available():
        raise InputError("PyTorch sees no NVIDIA GPU, or no driver that fits it.", f"Update the driver. {_OTHER_WAY}")
    major, minor = torch.cuda.get_device_capability()
    if major < 7:
        raise InputError(f"This GPU has compute capability {major}.{minor}; gsplat needs 7.0.", _OTHER_WAY)


def require_package() -> Path:
    """Folder of the installed gsplat; it is not imported."""
    spec = importlib.util.find_spec("gsplat")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("gsplat is not installed.", f"Install requirements/gsplat.txt. {_OTHER_WAY}")
    package = Path(next(iter(spec.submodule_search_locations)))
    found = re.search(r'"([^"]+)"', (package / "version.py").read_text(encoding="utf-8"))
    if found is None or found.group(1) != VERSION:
        raise InputError(f"gsplat {found.group(1) if found else 'of an unknown release'} is installed.",
                         f"Install gsplat {VERSION}.")  # fmt: skip
    return package


def find_toolchain(torch: Any) -> Toolchain:
    """nvcc, host compiler and headers for the present Python, torch and GPU."""
    if sys.platform != "linux":
        raise InputError("gsplat's kernels are compiled on Linux only.", _OTHER_WAY)
    nvcc, cuda = find_nvcc(torch.version.cuda, nvcc_places(os.environ))
    require_host_compiler(os.environ, shutil.which)
    include = Path(sysconfig.get_paths()["include"])
    if not (include / "Python.h").is_file():
        raise InputError(f"Python's headers are missing ({include}/Python.h), which gsplat's kernels need.",
                         f"Install python3-dev. {_OTHER_WAY}")  # fmt: skip
    home = Path(torch.__file__).parent
    bundled = home.parent / "nvidia" / f"cu{cuda[0]}" / "include"  # where torch's wheels put the toolkit's headers
    roots = [home / "include", home / "include/torch/csrc/api/include", include, bundled]
    major, minor = torch.cuda.get_device_capability()
    return Toolchain(
        nvcc, cuda, f"sm_{major}{minor}", torch.__version__, sysconfig.get_config_var("EXT_SUFFIX"),
        tuple(root for root in roots if root.is_dir()), home / "lib", torch._C._GLIBCXX_USE_CXX11_ABI,
    )  # fmt: skip


def nvcc_places(environment: Any) -> list[Path]:
    """Where nvcc may be, best guess first."""
    homes = [environment.get("CUDA_HOME"), environment.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [Path(home) / "bin" / "nvcc" for home in homes if home]
    on_path = shutil.which("nvcc", path=environment.get("PATH"))
    return places[:-1] + ([Path(on_path)] if on_path else []) + places[-1:]


def find_nvcc(wanted: str, places: Sequence[Path]) -> tuple[Path, tuple[int, int]]:
    """The first nvcc of the same major release as torch's CUDA `wanted`, and its release."""
    others = []
    for place in places:
        if not place.is_file():
            continue
        text = subprocess.run([place, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"release (\d+)\.(\d+)", text)
        if found and found.group(1) == wanted.split(".")[0]:
            return place, (int(found.group(1)), int(found.group(2)))
        others.append(".".join(found.groups()) if found else "unknown release")
    if others:
        raise InputError(f"CUDA's compiler nvcc is that of CUDA {others[0]}, but PyTorch is built for CUDA {wanted}.",
                         f"Install the CUDA toolkit {wanted}. {_OTHER_WAY}")  # fmt: skip
    raise InputError("CUDA's compiler nvcc, which gsplat's kernels need, is not installed.",
                     f"Install the CUDA toolkit {wanted}. {_OTHER_WAY}")  # fmt: skip


def require_host_compiler(environment: Any, which: Callable[[str], str | None]) -> None:
    """nvcc hands all code for the CPU to one."""
    chosen = environment.get("NVCC_CCBIN", "g++")
    if which(chosen) is None:
        raise InputError(f"The C++ compiler {chosen}, which nvcc needs, is not installed.",
                         f"Install g++ (build-essential). {_OTHER_WAY}")  # fmt: skip


def compile_kernels(
    toolchain: Toolchain, package: Path, folder: Path, progress: Progress | None = None, jobs: int | None = None
) -> Path:
    """Compile and link into `folder`; returns the module. A folder is whole or not there: it is renamed at the end."""
    work = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    try:
        patches.copy_sources(package, work / "cuda", toolchain.cuda)
        _compile_all(toolchain, package, work, progress, jobs or min(len(SOURCES), os.cpu_count() or 1))
        name = MODULE + toolchain.suffix
        objects = [str(_object(work, file)) for file in SOURCES]
        libraries = ["-L", str(toolchain.libraries), *(f"-l{name}" for name in _LIBRARIES)]
        # --no-as-needed: torch's libraries find each other's symbols through the list of what a module needs.
        options = ["-shared", "-cudart", "shared", "-Xlinker", "--no-as-needed"]
        _run([str(toolchain.nvcc), *options, "-o", str(work / name), *objects, *libraries], "the module", work)
        for file in SOURCES:
            _object(work, file).unlink()
        with contextlib.suppress(OSError):  # another process was faster
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / name


def _compile_all(toolchain: Toolchain, package: Path, work: Path, progress: Progress | None, jobs: int) -> None:
    count = len(SOURCES)
    if progress:
        progress("gsplat", 0.0, f"compiling gsplat's kernels for {toolchain.arch}, {count} files, {jobs} at a time")
    with ThreadPoolExecutor(jobs) as pool:
        tasks = {pool.submit(_compile, toolchain, package, work, file): file for file in SOURCES}
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                task.result()
                if progress:
                    progress("gsplat", done / count, f"compiled gsplat's file {done} of {count} ({tasks[task]})")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _object(work: Path, file: str) -> Path:
    return work / (Path(file).name + ".o")


def _compile(toolchain: Toolchain, package: Path, work: Path, file: str) -> None:
    folders = [work / "cuda/include", work / "cuda/csrc", package / "cuda/csrc/third_party/glm", *toolchain.includes]
    command = [
        str(toolchain.nvcc), "-c", str(work / "cuda" / file), "-o", str(_object(work, file)), *_FLAGS,
        f"-arch={toolchain.arch}", "-Xcompiler", "-fPIC,-Wno-attributes", *(f"-I{folder}" for folder in folders),
        f"-DTORCH_EXTENSION_NAME={MODULE}", "-DTORCH_API_INCLUDE_EXTENSION_H",
        f"-D_GLIBCXX_USE_CXX11_ABI={int(toolchain.cxx11_abi)}",
    ]  # fmt: skip
    _run(command, file, work)


def _run(command: list[str], what: str, work: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"CUDA's compiler does not start ({error}).",
                         f"Check its installation. {_OTHER_WAY}") from error  # fmt: skip
    if done.returncode:
        log = work.parent / "failed-build.txt"
        log.write_text(" ".join(command) + "\n" + done.stdout + done.stderr, encoding="utf-8")
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if "error" in line.lower()]
        reason = lines[0] if lines else f"exit code {done.returncode}"
        raise InputError(f"gsplat does not compile: {what}: {reason}", f"All output is in {log}. {_OTHER_WAY}")


def _brought_along(package: Path) -> Path | None:
    """A module for this Python that lies in the package already."""
    places = [package / (MODULE + suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    return next((place for place in places if place.is_file()), None)


def _import(extension: Path) -> ModuleType:
    """gsplat over the compiled module, put where gsplat's own search, which might start to compile, looks first."""
    if "gsplat.cuda._backend" not in sys.modules:
        spec = importlib.util.spec_from_file_location(f"gsplat.{MODULE}", extension)
        assert spec is not None and spec.loader is not None
        try:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        except ImportError as error:
            raise InputError(f"gsplat's compiled kernels cannot be loaded ({error}).",
                             f"Delete {extension}. {_OTHER_WAY}") from error  # fmt: skip
        backend = ModuleType("gsplat.cuda._backend")
        backend._C = module  # type: ignore[attr-defined]
        sys.modules[f"gsplat.{MODULE}"], sys.modules[backend.__name__] = module, backend
    loaded = getattr(sys.modules["gsplat.cuda._backend"]._C, "__file__", None)
    if loaded is None or Path(loaded) != extension.absolute():
        raise InputError(f"This process runs gsplat with other kernels already ({loaded}).", "Start a fresh process.")
    try:
        import gsplat
        import gsplat.cuda._wrapper
    except ImportError as error:
        raise InputError(f"gsplat cannot be imported ({error}).",
                         f"Install requirements/gsplat.txt. {_OTHER_WAY}") from error  # fmt: skip
    assert isinstance(gsplat, ModuleType)
    return gsplat
