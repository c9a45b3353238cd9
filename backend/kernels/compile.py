# SPDX-License-Identifier: Apache-2.0
"""`python -m backend.kernels.compile`: compile every CPU kernel now, so that the first fit does not wait for it.

Started in the background while Blender renders; the results lie in Numba's cache beside the sources.
"""

from __future__ import annotations

import contextlib
import os

from .engine import compile_kernels

if __name__ == "__main__":
    with contextlib.suppress(AttributeError, OSError):  # the render goes first; Windows has no nice
        os.nice(5)
    compile_kernels()
