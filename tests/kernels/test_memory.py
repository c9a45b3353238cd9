# SPDX-License-Identifier: Apache-2.0
"""The CPU kernels touch no memory that is not theirs: a step and a render under AddressSanitizer, in a child.

Kernels take addresses of arrays, and Numba frees an array after its own last use (see buffers.keep): what is read or
written too late shows here and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import numpy as np
from backend.kernels.engine import AdamState, CpuEngine
from backend.kernels.parameters import SplatParameters
from backend.kernels.rasterizer import LossWeights, Step, Target
from tests.kernels.scenes import camera_for, random_cloud

parameters = SplatParameters.from_cloud(random_cloud(300, 2, 1))
camera = camera_for(90, 70)
rng = np.random.default_rng(0)
picture = rng.random((70, 90, 3)).astype(np.float32)
target = Target(camera, picture, None, rng.random((70, 90)).astype(np.float32), np.ones((70, 90), np.float32))
for weights in (LossWeights(), LossWeights(depth=0.1)):
    engine = CpuEngine(300, 90, 70, 2)
    session = engine.begin(parameters, AdamState.like(parameters), [target], weights, True)
    rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    session.run([Step(0, i, rates) for i in (1, 2, 3)])
    session.render(camera)
print("done")
"""


def _sanitizer() -> str | None:
    """The runtime library of gcc's AddressSanitizer, if it is there."""
    if shutil.which("g++") is None:
        return None
    name = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    return name if os.path.isabs(name) else None


@pytest.mark.slow
@pytest.mark.skipif(_sanitizer() is None, reason="gcc's AddressSanitizer is not installed")
def test_no_kernel_uses_memory_after_it_was_given_back(tmp_path):
    options = "detect_leaks=0:use_sigaltstack=0:handle_segv=1"
    environment = {
        **os.environ, "LD_PRELOAD": _sanitizer() or "", "ASAN_OPTIONS": options, "PYTHONPATH": str(ROOT),
        "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert "AddressSanitizer" not in done.stderr, done.stderr[:2000]
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr[-2000:]
