# SPDX-License-Identifier: Apache-2.0
"""How kernels are compiled: Numba without Python objects, without the interpreter's lock, cached on disk.

Numba's disk cache looks at the one file that holds a function. Two things escape it: the vector width, which is a
constant of this process, and the other modules of this package that the function calls. Both therefore go into the
function's name, from which Numba makes the name of the cache file.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from numba import njit

from .simd.width import VECTOR_WIDTH

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGE = __name__.rsplit(".", 1)[0]
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


def _modules_used(module: ModuleType, found: dict[str, ModuleType]) -> None:
    """Collect `module` and, recursively, the modules of this package whose names it imports."""
    if module.__name__ in found or not module.__name__.startswith(_PACKAGE):
        return
    found[module.__name__] = module
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules:
            _modules_used(sys.modules[name], found)


@functools.cache
def _fingerprint(module: str) -> str:
    """Eight digits that change when any source that the functions of a module may call changes.

    It is asked for by a module's first kernel, so kernels come after all imports.
    """
    found: dict[str, ModuleType] = {}
    _modules_used(sys.modules[module], found)
    digest = hashlib.sha1(usedforsecurity=False)
    for name in sorted(found):
        digest.update(_source(found[name].__file__))
    return digest.hexdigest()[:8]


@functools.cache
def _source(path: str | None) -> bytes:
    return Path(path).read_bytes() if path else b""


def _named(function: Function) -> Function:
    function.__qualname__ += f"_x{VECTOR_WIDTH}_{_fingerprint(function.__module__)}"
    return function


def kernel(function: Function) -> Function:
    """Compile for one thread (or to be called by another kernel)."""
    return njit(**_OPTIONS)(_named(function))  # type: ignore[no-any-return]


def inlined_kernel(function: Function) -> Function:
    """Compile into every caller, so that its constants leave the caller's loop; for what is called once an entry."""
    return njit(forceinline=True, **_OPTIONS)(_named(function))  # type: ignore[no-any-return]


def parallel_kernel(function: Function) -> Function:
    """Compile with `prange` loops spread over Numba's threads."""
    return njit(parallel=True, **_OPTIONS)(_named(function))  # type: ignore[no-any-return]
