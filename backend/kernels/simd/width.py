# SPDX-License-Identifier: Apache-2.0
"""The number of float32 lanes of a vector: 16 with AVX-512, else 8 (LLVM splits 8 in two for SSE and NEON)."""

from __future__ import annotations

import os
from collections.abc import Mapping

import llvmlite.binding
from numba import config

ENVIRONMENT_VARIABLE = "DIGIDOUBLE_VECTOR_WIDTH"
_WIDE_FEATURES = ("avx512f", "avx512vl", "avx512bw", "avx512dq")


def choose_width(requested: str | None, features: Mapping[str, bool]) -> int:
    """8 or 16: `requested` if given (ValueError if it is neither), else by the CPU's features."""
    if requested:
        if requested not in ("8", "16"):
            raise ValueError(f"{ENVIRONMENT_VARIABLE} is {requested!r}; it can be 8 or 16.")
        return int(requested)
    return 16 if all(features.get(name, False) for name in _WIDE_FEATURES) else 8


def _features() -> Mapping[str, bool]:
    """What Numba compiles for: its own overrides first, then the host's features."""
    if config.CPU_FEATURES is not None:
        return {item[1:]: item[0] == "+" for item in config.CPU_FEATURES.split(",") if item}
    if config.CPU_NAME not in (None, "", "host"):
        return {}
    return dict(llvmlite.binding.get_host_cpu_features())


VECTOR_WIDTH: int = choose_width(os.environ.get(ENVIRONMENT_VARIABLE), _features())
