# SPDX-License-Identifier: Apache-2.0
"""The engine `gsplat`: a public rasterizer on an NVIDIA GPU, the cross-check of the project's own kernels.

`check.open_engine` compiles gsplat's kernels where they are not yet (build.py, patches.py), verifies them against the
references (check.py) and returns the engine (engine.py). Nothing here imports torch or gsplat before that.
"""
